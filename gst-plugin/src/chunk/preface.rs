//! What a decoder that starts in the middle of a stream has to be told first.

use super::random_access::nal_units;
use super::{Framing, Syntax};

/// By this x264 marks the message that tells its version.
const X264: [u8; 16] = [0xdc, 0x45, 0xe9, 0xbd, 0xe6, 0xd9, 0x48, 0xb7, 0x96, 0x2c, 0xd8, 0x20, 0xd9, 0x23, 0xee, 0xef];
/// More parameter sets than any stream uses at a time.
const MOST_SETS: usize = 64;

/// Gathers what a stream tells once and every chunk of it needs: the parameter sets of H.264 and HEVC, and x264's version,
/// which stands in the first unit alone and by which libav's decoder knows what old versions did otherwise.
#[derive(Debug, Default)]
pub struct Preface {
    /// The newest last. A set replaces those before it that have its number.
    sets: Vec<Vec<u8>>,
    version: Option<Vec<u8>>,
    begun: bool,
}

impl Preface {
    /// Takes a unit. For one at which decoding `starts`, returns what goes before it, laid out as it is; `None` where
    /// there is nothing to tell.
    pub fn pass(&mut self, syntax: Syntax, unit: &[u8], starts: bool) -> Option<Vec<u8>> {
        let (framing, is_set): (_, fn(u8) -> bool) = match syntax {
            Syntax::H264(framing) => (framing, |head| matches!(head & 0x1f, 7 | 8 | 13 | 15)),
            Syntax::H265(framing) => (framing, |head| matches!(head >> 1 & 0x3f, 32..=34)),
            _ => return None,
        };
        let before = starts.then(|| self.written(framing)).filter(|bytes| !bytes.is_empty());
        for nal in nal_units(framing, unit) {
            let Some(head) = nal.first() else { continue };
            if is_set(*head) {
                self.sets.retain(|set| set != nal);
                self.sets.push(nal.to_vec());
                if self.sets.len() > MOST_SETS {
                    self.sets.remove(0);
                }
            } else if !self.begun && head & 0x1f == 6 && nal.windows(X264.len()).any(|w| w == X264) {
                self.version = Some(nal.to_vec());
            }
        }
        self.begun = true;
        before
    }

    fn written(&self, framing: Framing) -> Vec<u8> {
        let mut bytes = Vec::new();
        for nal in self.sets.iter().chain(&self.version) {
            match framing {
                Framing::StartCodes => bytes.extend([0, 0, 0, 1]),
                Framing::Lengths(size) => {
                    let length = nal.len().to_be_bytes();
                    let (high, low) = length.split_at(length.len().saturating_sub(size));
                    if high.iter().any(|byte| *byte != 0) {
                        continue;
                    }
                    bytes.extend(low);
                }
            }
            bytes.extend(nal);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_starts_are_told_the_sets_and_the_version() {
        let codes = Syntax::H264(Framing::StartCodes);
        let mut preface = Preface::default();
        let sei = [&[6, 5, 20][..], &X264, &[b'x', 0x80]].concat();
        let first = [&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1][..], &sei, &[0, 0, 1, 0x65, 3]].concat();
        assert_eq!(preface.pass(codes, &first, true), None);
        assert_eq!(preface.pass(codes, &[0, 0, 1, 0x41, 1], false), None);
        // The newer of two sets comes last, and no later version counts.
        let second = [&[0, 0, 1, 0x67, 9, 0, 0, 1][..], &sei, &[0xff, 0, 0, 1, 0x65, 3]].concat();
        let expected = |sets: [&[u8]; 2]| [&[0, 0, 0, 1], sets[0], &[0, 0, 0, 1], sets[1]].concat();
        let version = [&[0, 0, 0, 1][..], &sei].concat();
        let told = preface.pass(codes, &second, true).unwrap();
        assert_eq!(told, [expected([&[0x67, 1][..], &[0x68, 2]]), version.clone()].concat());
        let told = preface.pass(codes, &[0, 0, 1, 0x65], true).unwrap();
        let sets = [expected([&[0x67, 1], &[0x68, 2]]), vec![0, 0, 0, 1, 0x67, 9]].concat();
        assert_eq!(told, [sets, version].concat());
    }

    #[test]
    fn what_is_told_is_laid_out_as_the_stream_is() {
        let lengths = Syntax::H265(Framing::Lengths(2));
        let mut preface = Preface::default();
        preface.pass(lengths, &[0, 2, 64, 1, 0, 1, 2], true);
        assert_eq!(preface.pass(lengths, &[0, 1, 38], true), Some(vec![0, 2, 64, 1]));
        assert_eq!(preface.pass(lengths, &[0, 1, 2], false), None);
        assert_eq!(preface.pass(Syntax::Vp8, &[0], true), None);
    }
}
