//! What a decoder that starts in the middle of a stream has to be told first.

use super::random_access::nal_units;
use super::{Framing, Syntax};

/// By this x264 marks the message that tells its version.
const X264: [u8; 16] = [0xdc, 0x45, 0xe9, 0xbd, 0xe6, 0xd9, 0x48, 0xb7, 0x96, 0x2c, 0xd8, 0x20, 0xd9, 0x23, 0xee, 0xef];
/// More parameter sets than any stream uses at a time: H.264 has numbers for 32 and 256 of them.
const MOST_SETS: usize = 320;
/// Theora's headers: identification, comment, setup.
const MOST_HEADERS: usize = 3;
const IDENTIFICATION: u8 = 0x80;

/// What goes before a unit with which decoding starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Bytes before its own.
    Within(Vec<u8>),
    /// Units of their own.
    Before(Vec<Vec<u8>>),
}

/// Gathers what a stream tells once and every chunk of it needs: the headers of Theora, the parameter sets of H.264 and
/// HEVC, and x264's version, which stands in the first unit alone and by which libav's decoder knows what old versions did
/// otherwise.
#[derive(Debug, Default)]
pub struct Preface {
    codec: Codec,
    /// The newest last. A set replaces those before it that have its number.
    sets: Vec<Vec<u8>>,
    version: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Codec {
    #[default]
    Other,
    H264,
    H265,
    Theora,
}

impl Codec {
    /// What has to be known before what: a set before those that refer to it. `None` for what is no parameter set.
    fn order(self, nal: &[u8]) -> Option<u8> {
        let head = nal.first()?;
        match (self, head & 0x1f, head >> 1 & 0x3f) {
            (Self::H264, 7, _) | (Self::H265, _, 32) => Some(0),
            (Self::H264, 13 | 15, _) | (Self::H265, _, 33) => Some(1),
            (Self::H264, 8, _) | (Self::H265, _, 34) => Some(2),
            _ => None,
        }
    }
}

impl Preface {
    /// Takes a unit. For one at which decoding `starts`, returns what goes before it, laid out as it is; `None` where
    /// there is nothing to tell.
    pub fn pass(&mut self, syntax: Syntax, unit: &[u8], starts: bool) -> Option<Told> {
        let (codec, framing) = match syntax {
            Syntax::H264(framing) => (Codec::H264, Some(framing)),
            Syntax::H265(framing) => (Codec::H265, Some(framing)),
            Syntax::Theora => (Codec::Theora, None),
            _ => (Codec::Other, None),
        };
        if codec != self.codec {
            *self = Self { codec, ..Self::default() };
        }
        let Some(framing) = framing else { return self.packet(unit, starts) };
        let before = starts.then(|| self.written(framing)).filter(|bytes| !bytes.is_empty());
        for nal in nal_units(framing, unit) {
            if codec.order(nal).is_some() {
                self.keep(nal);
            } else if codec == Codec::H264
                && nal.first().is_some_and(|head| head & 0x1f == 6)
                && nal.windows(X264.len()).any(|w| w == X264)
            {
                self.version = Some(nal.to_vec());
            }
        }
        before.map(Told::Within)
    }

    /// A unit that may be one of Theora's headers.
    fn packet(&mut self, unit: &[u8], starts: bool) -> Option<Told> {
        match unit.first().filter(|_| self.codec == Codec::Theora) {
            Some(first) if first & 0x80 != 0 => self.header(unit),
            Some(_) if starts && !self.sets.is_empty() => return Some(Told::Before(self.sets.clone())),
            _ => {}
        }
        None
    }

    /// The identification begins, the others follow in their order.
    fn header(&mut self, unit: &[u8]) {
        if unit.first() == Some(&IDENTIFICATION) {
            self.sets.clear();
        }
        if let Some(before) = self.sets.iter_mut().find(|set| set.first() == unit.first()) {
            *before = unit.to_vec();
        } else if self.sets.len() < MOST_HEADERS {
            self.sets.push(unit.to_vec());
        }
    }

    fn keep(&mut self, set: &[u8]) {
        self.sets.retain(|other| other != set);
        self.sets.push(set.to_vec());
        if self.sets.len() > MOST_SETS {
            self.sets.remove(0);
        }
    }

    fn written(&self, framing: Framing) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sets: Vec<&Vec<u8>> = self.sets.iter().collect();
        sets.sort_by_key(|set| self.codec.order(set));
        for nal in sets.into_iter().chain(&self.version) {
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

    fn annexed(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 1], *nal].concat()).collect()
    }

    fn told(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    fn within(told: Option<Told>) -> Vec<u8> {
        match told {
            Some(Told::Within(bytes)) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn later_starts_are_told_the_sets_and_the_version() {
        let codes = Syntax::H264(Framing::StartCodes);
        let mut preface = Preface::default();
        let version = |text: u8| [&[6, 5, 20][..], &X264, &[text, 0x80]].concat();
        let first = annexed(&[&[0x67, 1], &[0x68, 2], &version(b'1'), &[0x65, 3]]);
        assert_eq!(preface.pass(codes, &first, true), None);
        assert_eq!(preface.pass(codes, &[0, 0, 1, 0x41, 1], false), None);
        let second = annexed(&[&[0x67, 9], &[0x65, 3]]);
        let before = within(preface.pass(codes, &second, true));
        assert_eq!(before, told(&[&[0x67, 1], &[0x68, 2], &version(b'1')]));
        // The newer of two sets comes behind the other, and before those that refer to it.
        let before = within(preface.pass(codes, &annexed(&[&version(b'2'), &[0x65]]), true));
        assert_eq!(before, told(&[&[0x67, 1], &[0x67, 9], &[0x68, 2], &version(b'1')]));
        // The decoder goes by the last version it has met.
        let before = within(preface.pass(codes, &[0, 0, 1, 0x65], true));
        assert_eq!(before, told(&[&[0x67, 1], &[0x67, 9], &[0x68, 2], &version(b'2')]));
    }

    #[test]
    fn what_is_told_is_laid_out_as_the_stream_is() {
        let lengths = Syntax::H265(Framing::Lengths(2));
        let mut preface = Preface::default();
        preface.pass(lengths, &[0, 2, 64, 1, 0, 1, 2], true);
        assert_eq!(within(preface.pass(lengths, &[0, 1, 38], true)), [0, 2, 64, 1]);
        assert_eq!(preface.pass(lengths, &[0, 1, 2], false), None);
        assert_eq!(preface.pass(Syntax::Vp8, &[0], true), None);
    }

    #[test]
    fn nothing_is_told_of_another_codec() {
        let mut preface = Preface::default();
        preface.pass(Syntax::H264(Framing::StartCodes), &annexed(&[&[0x67, 1], &[0x65]]), true);
        assert_eq!(preface.pass(Syntax::H265(Framing::StartCodes), &annexed(&[&[38]]), true), None);
    }

    #[test]
    fn headers_of_theora_are_units_of_their_own() {
        let mut preface = Preface::default();
        for header in [&[0x80, 1], &[0x81, 2], &[0x82, 3], &[0x81, 4]] {
            assert_eq!(preface.pass(Syntax::Theora, header, false), None);
        }
        let headers = vec![vec![0x80, 1], vec![0x81, 4], vec![0x82, 3]];
        assert_eq!(preface.pass(Syntax::Theora, &[0x30], true), Some(Told::Before(headers)));
        assert_eq!(preface.pass(Syntax::Theora, &[0x40], false), None);
    }
}
