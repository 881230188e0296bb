//! Cuts a stream of frames whose end is not known in advance.
//!
//! Chunks have `target` frames. A tail shorter than a quarter of that joins the chunk before it, so after every full
//! chunk the frames of the next quarter wait until it is known whether they are such a tail. A chunk of one frame
//! comes out only where it was asked for: by `target` 1, by forced starts on neighbouring frames, or by an input of
//! one frame.

use std::collections::VecDeque;
use std::mem;

use super::Cuts;

/// What happens next in the chunk that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut<F> {
    /// A new chunk begins.
    Open,
    /// The open chunk gets this frame.
    Frame(F),
    /// The open chunk has all its frames.
    Close,
}

/// Decides where chunks begin and end.
///
/// The decisions follow from the frames' number and the forced starts alone, never from when they were pushed.
#[derive(Debug)]
pub struct Cutter<F> {
    target: u64,
    tail: u64,
    /// Frames the open chunk has; 0 when none is open.
    open: u64,
    held: VecDeque<F>,
    /// Where chunks begin in place of after `target` frames, and the number of the next frame.
    listed: Option<(Cuts, u64)>,
}

impl<F> Cutter<F> {
    /// Cuts chunks of `target` frames, at least 1.
    ///
    /// `most_held` bounds how many frames may wait for the decision about a tail; it shortens the longest tail that
    /// joins and nothing else. One may always wait, so that no tail of one frame is left.
    pub fn new(target: u64, most_held: u64) -> Self {
        let target = target.max(1);
        let shortest_alone = if target == 1 { 1 } else { target.div_ceil(4).max(2) };
        Self { target, tail: shortest_alone.min(most_held.max(2)), open: 0, held: VecDeque::new(), listed: None }
    }

    /// Cuts where `cuts` say; so many frames were before the first.
    pub fn listed(cuts: Cuts, before: u64) -> Self {
        Self { listed: Some((cuts, before)), ..Self::new(u64::MAX, 0) }
    }

    /// Takes the next frame; `forced` when it has to begin a chunk.
    pub fn push(&mut self, frame: F, forced: bool) -> Vec<Cut<F>> {
        let is_listed = self.listed.as_mut().is_some_and(|(listed, next)| {
            let number = *next;
            *next += 1;
            listed.contains(number)
        });
        let mut cuts = Vec::new();
        if forced || is_listed {
            cuts = self.finish();
        }
        if self.open < self.target {
            if self.open == 0 {
                cuts.push(Cut::Open);
            }
            self.open += 1;
            cuts.push(Cut::Frame(frame));
            if self.open == self.target && self.tail == 1 {
                self.open = 0;
                cuts.push(Cut::Close);
            }
            return cuts;
        }
        self.held.push_back(frame);
        if self.held.len() as u64 >= self.tail {
            cuts.push(Cut::Close);
            cuts.push(Cut::Open);
            self.open = self.held.len() as u64;
            cuts.extend(mem::take(&mut self.held).into_iter().map(Cut::Frame));
        }
        cuts
    }

    /// Ends the open chunk here: the stream ends, or what follows cannot share a chunk with it.
    pub fn finish(&mut self) -> Vec<Cut<F>> {
        if self.open == 0 {
            return Vec::new();
        }
        self.open = 0;
        let mut cuts: Vec<_> = mem::take(&mut self.held).into_iter().map(Cut::Frame).collect();
        cuts.push(Cut::Close);
        cuts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Chunk lengths for `frames` frames with forced starts at `forced`, and whether the frames kept their order.
    fn lengths(target: u64, most_held: u64, frames: u64, forced: &[u64]) -> Vec<u64> {
        cut(Cutter::new(target, most_held), frames, forced)
    }

    fn cut(mut cutter: Cutter<u64>, frames: u64, forced: &[u64]) -> Vec<u64> {
        let mut cuts = Vec::new();
        for n in 0..frames {
            cuts.extend(cutter.push(n, forced.contains(&n)));
        }
        cuts.extend(cutter.finish());
        let (mut all, mut len, mut open, mut next) = (Vec::new(), 0, false, 0);
        for cut in cuts {
            match cut {
                Cut::Open => {
                    assert!(!open);
                    (open, len) = (true, 0);
                }
                Cut::Frame(n) => {
                    assert!(open);
                    assert_eq!(n, next);
                    (next, len) = (next + 1, len + 1);
                }
                Cut::Close => {
                    assert!(open);
                    open = false;
                    all.push(len);
                }
            }
        }
        assert!(!open);
        assert_eq!(next, frames);
        all
    }

    #[test]
    fn a_tail_shorter_than_a_quarter_joins_the_chunk_before_it() {
        assert_eq!(lengths(250, 1000, 1769, &[]), [250, 250, 250, 250, 250, 250, 269]);
        assert_eq!(lengths(100, 1000, 224, &[]), [100, 124]);
        assert_eq!(lengths(100, 1000, 225, &[]), [100, 100, 25]);
        assert_eq!(lengths(250, 1000, 12, &[]), [12]);
        assert!(lengths(250, 1000, 0, &[]).is_empty());
    }

    #[test]
    fn one_frame_chunks_come_only_when_asked_for() {
        assert_eq!(lengths(2, 1000, 5, &[]), [2, 3]);
        assert_eq!(lengths(7, 1000, 8, &[]), [8]);
        assert_eq!(lengths(7, 1000, 9, &[]), [7, 2]);
        assert_eq!(lengths(1, 1000, 3, &[]), [1, 1, 1]);
        assert_eq!(lengths(100, 1000, 1, &[]), [1]);
        assert_eq!(lengths(100, 1000, 3, &[1, 2]), [1, 1, 1]);
    }

    #[test]
    fn a_forced_start_begins_a_chunk_and_the_tail_before_it_joins() {
        assert_eq!(lengths(100, 1000, 300, &[110]), [110, 100, 90]);
        assert_eq!(lengths(100, 1000, 300, &[50, 150]), [50, 100, 100, 50]);
        assert_eq!(lengths(100, 1000, 300, &[0]), [100, 100, 100]);
    }

    #[test]
    fn a_small_hold_shortens_the_tail_that_joins() {
        assert_eq!(lengths(100, 10, 209, &[]), [100, 109]);
        assert_eq!(lengths(100, 10, 210, &[]), [100, 100, 10]);
        assert_eq!(lengths(100, 0, 201, &[]), [100, 101]);
    }

    #[test]
    fn listed_cuts_are_where_chunks_begin_whatever_their_lengths() {
        let lengths = |cuts: &[u64], before, frames: u64, forced: &[u64]| {
            cut(Cutter::listed(Cuts::new(cuts.iter().copied()), before), frames, forced)
        };
        assert_eq!(lengths(&[0, 7, 1, 300], 0, 301, &[]), [1, 6, 293, 1]);
        assert_eq!(lengths(&[], 0, 1000, &[]), [1000]);
        assert_eq!(lengths(&[100, 300], 50, 100, &[]), [50, 50]);
        assert_eq!(lengths(&[10, 20], 0, 30, &[15]), [10, 5, 5, 10]);
    }

    #[test]
    fn a_chunk_that_no_tail_can_join_ends_with_its_last_frame() {
        assert_eq!(Cutter::new(1, 1000).push('a', false), [Cut::Open, Cut::Frame('a'), Cut::Close]);
    }

    proptest! {
        #[test]
        fn every_frame_is_in_one_chunk_of_legal_length(
            target in 1u64..60, frames in 0u64..400, forced in proptest::collection::vec(0u64..400, 0..4)
        ) {
            let all = lengths(target, 1000, frames, &forced);
            prop_assert_eq!(all.iter().sum::<u64>(), frames);
            let longest = target + if target == 1 { 0 } else { target.div_ceil(4).max(2) - 1 };
            prop_assert!(all.iter().all(|&n| 1 <= n && n <= longest));
        }
    }
}
