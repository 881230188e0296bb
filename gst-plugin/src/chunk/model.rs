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
