//! What forbids that a stream is cut, wherever decoding may start in it.

use super::random_access::{CRA, nal_units};
use super::{Syntax, Uncuttable};

/// Finds it.
#[derive(Debug, Default)]
pub struct Obstacles {
    /// No picture has come since a sequence of HEVC ended.
    ended: bool,
}

impl Obstacles {
    /// Takes the next unit, in decode order.
    pub fn pass(&mut self, syntax: Syntax, unit: &[u8]) -> Option<Uncuttable> {
        if syntax.has_grain(unit) {
            return Some(Uncuttable::Grain);
        }
        let Syntax::H265(framing) = syntax else { return None };
        let mut is_spliced = false;
        for nal in nal_units(framing, unit) {
            match nal.first().map(|head| head >> 1 & 0x3f) {
                Some(kind @ 0..=31) => is_spliced |= std::mem::take(&mut self.ended) && kind == CRA,
                // End of sequence, end of bitstream.
                Some(36 | 37) => self.ended = true,
                _ => {}
            }
        }
        is_spliced.then_some(Uncuttable::Spliced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Framing;

    #[test]
    fn a_clean_random_access_picture_behind_the_end_of_a_sequence_is_no_place_to_cut() {
        let unit = |kinds: &[u8]| kinds.iter().flat_map(|kind| [0, 0, 1, kind << 1, 1, 0x80]).collect::<Vec<_>>();
        let passed = |units: &[&[u8]]| {
            let mut obstacles = Obstacles::default();
            let syntax = Syntax::H265(Framing::StartCodes);
            units.iter().map(|kinds| obstacles.pass(syntax, &unit(kinds)).is_some()).collect::<Vec<_>>()
        };
        const IDR: u8 = 19;
        assert_eq!(passed(&[&[1, 36], &[35, 32, CRA, CRA], &[CRA]]), [false, true, false]);
        assert_eq!(passed(&[&[1], &[37, CRA]]), [false, true]);
        // All end with one, and an IDR picture begins anew by itself.
        assert_eq!(passed(&[&[1, 36], &[IDR], &[CRA], &[36]]), [false; 4]);
    }
}
