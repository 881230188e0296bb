//! Which of a decoder's frames a chunk wants, and which of them it did not get.

use std::sync::{Mutex, PoisonError};

use crate::chunk::{Nanos, Start};

/// The frames that a chunk's units are to make.
#[derive(Debug)]
pub struct Wanted {
    start: Option<Start>,
    frames: Vec<WantedFrame>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedFrame {
    /// The time of its unit.
    pub pts: Nanos,
    /// When it is shown, which is later for a frame that a segment begins in.
    pub shown: Nanos,
}

/// Frames that a decoder did not give, or gave damaged, by their presentation times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// They never came.
    pub missing: Vec<Nanos>,
    /// They came before the first frame that could be decoded: what they refer to is not in the stream.
    pub unreachable: Vec<Nanos>,
    /// They came, and are encoded, but the decoder had to make some of it up.
    pub damaged: Vec<Nanos>,
    /// Frames with times that none should have.
    pub strange: u64,
}

impl Wanted {
    /// Frames in the order they are shown, of units at whose first decoding begins so.
    pub fn new(start: Option<Start>, frames: Vec<WantedFrame>) -> Self {
        Self { start, frames }
    }

    /// How decoding begins.
    pub fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    /// How decoding starts.
    pub fn start(&self) -> Option<Start> {
        self.start
    }

    /// Which of them, counted from 0, its unit's time is this.
    pub fn rank(&self, pts: Nanos) -> Option<u64> {
        self.frames.binary_search_by_key(&pts, |frame| frame.pts).ok().map(|rank| rank as u64)
    }
}

impl Lost {
    /// The times of all frames that the chunk is without.
    pub fn gone(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.missing.iter().chain(&self.unreachable).copied()
    }
}

/// Goes through a decoder's frames.
#[derive(Debug)]
pub(super) struct Sieve {
    wanted: std::sync::Arc<Wanted>,
    state: Mutex<(usize, Lost)>,
}

impl Sieve {
    pub(super) fn new(wanted: std::sync::Arc<Wanted>) -> Self {
        Self { wanted, state: Mutex::default() }
    }

    /// For a frame that the chunk wants: how long after the chunk's first frame it is shown.
    pub(super) fn pass(&self, pts: Option<Nanos>, damaged: bool) -> Option<Nanos> {
        let frames = &self.wanted.frames;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, lost) = &mut *state;
        let (first, last) = (frames.first()?.pts, frames.last()?.pts);
        let found = pts.and_then(|pts| frames.binary_search_by_key(&pts, |frame| frame.pts).ok());
        let Some(at) = found.filter(|at| at >= next) else {
            lost.strange += u64::from(pts.is_none_or(|pts| (first..=last).contains(&pts)));
            return None;
        };
        let before = frames.get(*next..at).unwrap_or_default().iter().map(|frame| frame.pts);
        if *next == 0 && self.wanted.start.is_none() {
            lost.unreachable.extend(before);
        } else {
            lost.missing.extend(before);
        }
        *next = at + 1;
        let frame = frames.get(at)?;
        if damaged {
            lost.damaged.push(frame.pts);
        }
        frame.shown.checked_sub(frames.first()?.shown)
    }

    /// After the decoder's last frame.
    pub(super) fn lost(&self) -> Lost {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, lost) = &mut *state;
        let rest = self.wanted.frames.get(*next..).unwrap_or_default().iter().map(|frame| frame.pts);
        if *next == 0 && self.wanted.start.is_none() {
            lost.unreachable.extend(rest);
        } else {
            lost.missing.extend(rest);
        }
        *next = self.wanted.frames.len();
        std::mem::take(lost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn sieve(start: Option<Start>, times: &[u64]) -> Sieve {
        let frames = times.iter().map(|pts| WantedFrame { pts: *pts, shown: *pts + 5 }).collect();
        Sieve::new(Arc::new(Wanted::new(start, frames)))
    }

    #[test]
    fn what_lies_outside_of_the_chunk_is_left_out_and_nobody_misses_it() {
        let sieve = sieve(Some(Start::Clean), &[40, 50, 60]);
        let all = [20, 30, 40, 50, 60, 70].map(|pts| sieve.pass(Some(pts), false));
        assert_eq!(all, [None, None, Some(0), Some(10), Some(20), None]);
        assert_eq!(sieve.lost(), Lost::default());
    }

    #[test]
    fn what_does_not_come_or_comes_damaged_is_told() {
        let sieve = sieve(Some(Start::Recovers), &[10, 20, 30, 40, 50]);
        assert_eq!(sieve.pass(Some(20), true), Some(10));
        assert_eq!(sieve.pass(Some(20), false), None);
        assert_eq!(sieve.pass(None, false), None);
        assert_eq!(sieve.pass(Some(40), false), Some(30));
        let lost = Lost { missing: vec![10, 30, 50], damaged: vec![20], strange: 2, ..Lost::default() };
        assert_eq!(sieve.lost(), lost);
    }

    #[test]
    fn what_a_recording_has_not_caught_is_not_missing() {
        let sieve = sieve(None, &[10, 20, 30, 40]);
        assert_eq!(sieve.pass(Some(20), false), Some(10));
        assert_eq!(sieve.pass(Some(40), false), Some(30));
        assert_eq!(sieve.lost(), Lost { missing: vec![30], unreachable: vec![10], ..Lost::default() });
    }
}
