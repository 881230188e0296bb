//! A list of the frames with which chunks begin.

use std::sync::Arc;

/// Chunks begin with these frames of a stream and with no others, but for its first, and those that events ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cuts(Arc<[u64]>);

impl Cuts {
    /// Frames by their numbers, counted from 0 in the order they are shown; the first need not be named.
    pub fn new(numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut numbers: Vec<u64> = numbers.into_iter().filter(|number| *number > 0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Self(numbers.into())
    }

    /// The first of them behind so many frames.
    pub(super) fn after(&self, frames: u64) -> Option<u64> {
        self.0.get(self.0.partition_point(|number| *number <= frames)).copied()
    }

    /// Whether a chunk begins with this frame.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.binary_search(&number).is_ok()
    }

    /// The most frames between two of them; those behind the last one are not known.
    pub(crate) fn longest(&self) -> u64 {
        let before = std::iter::once(0).chain(self.0.iter().copied());
        before.zip(self.0.iter()).map(|(from, to)| to - from).max().unwrap_or(0)
    }

    /// Their numbers, in order.
    pub fn numbers(&self) -> &[u64] {
        &self.0
    }
}
