//! Counts units as they are sent or come, so that both sides can compare.

use bytes::Bytes;

use super::frame::Frame;
use super::message::Count;

/// The units so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    units: u64,
    hash: blake3::Hasher,
}

impl Tally {
    /// Adds a [`Unit`](super::message::Unit) as [`Message::write`](super::Message::write) made it. The length in its head
    /// keeps bytes from moving into the next one unseen.
    pub fn add(&mut self, pieces: &[Bytes]) {
        self.units += 1;
        for piece in pieces {
            self.hash.update(piece);
        }
    }

    /// Adds one as it came.
    pub fn add_frame(&mut self, frame: &Frame) {
        self.units += 1;
        self.hash.update(&frame.head()).update(&frame.body);
    }

    /// What was added.
    pub fn count(&self) -> Count {
        Count { units: self.units, hash: *self.hash.finalize().as_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(units: &[&[&'static [u8]]]) -> Count {
        let mut tally = Tally::default();
        for unit in units {
            tally.add(&unit.iter().map(|piece| Bytes::from_static(piece)).collect::<Vec<_>>());
        }
        tally.count()
    }

    #[test]
    fn pieces_make_no_difference_and_units_do() {
        assert_eq!(count(&[&[b"abc", b"d"]]), count(&[&[b"a", b"bcd"]]));
        assert_ne!(count(&[&[b"ab"], &[b"cd"]]), count(&[&[b"abcd"]]));
        assert_ne!(count(&[&[b"ab"], &[b"cd"]]), count(&[&[b"cd"], &[b"ab"]]));
        assert_ne!(count(&[]), count(&[&[]]));
    }
}
