//! The words the engine counts in.

use std::fmt;

/// A time in nanoseconds.
pub type Nanos = u64;

/// A chunk's number, counted from 0 over the whole stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChunkId(pub u64);

impl ChunkId {
    /// The chunk after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {}", self.0)
    }
}

/// When a frame is shown, and for how long where the input says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTime {
    /// Presentation time.
    pub pts: Nanos,
    /// How long the frame is shown.
    pub duration: Option<Nanos>,
}

/// Times that parsers leave to units which show nothing: of two units with one time, as a VP9 superframe's, only the first
/// has it.
#[derive(Debug, Default)]
pub struct Handover {
    untaken: Option<Nanos>,
}

impl Handover {
    /// Takes the next unit, in decode order; gives the time that holds for it.
    pub fn pass(&mut self, pts: Option<Nanos>, shows_nothing: bool) -> Option<Nanos> {
        if shows_nothing {
            self.untaken = pts.or(self.untaken);
            return pts;
        }
        let untaken = self.untaken.take();
        pts.or(untaken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_without_a_time_has_that_of_the_hidden_unit_right_before_it() {
        let units = [
            (Some(0), false),
            (Some(4), true),
            (None, true),
            (None, false),
            (None, false),
            (Some(9), true),
            (Some(8), false),
        ];
        let mut handover = Handover::default();
        let times: Vec<_> = units.iter().map(|(pts, shows_nothing)| handover.pass(*pts, *shows_nothing)).collect();
        assert_eq!(times, [Some(0), Some(4), None, Some(4), None, Some(9), Some(8)]);
    }
}
