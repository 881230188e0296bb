//! Which of a decoder's frames a chunk wants, and which of them it did not get.

use std::sync::{Mutex, PoisonError};

use crate::chunk::{Nanos, Start};

/// The frames that a chunk's units are to make.
#[derive(Debug)]
pub struct Wanted {
    start: Option<Start>,
    frames: Vec<WantedFrame>,
    context: Vec<Nanos>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedFrame {
    /// The time of its unit. Several frames in a row may be the same one, shown again.
    pub pts: Nanos,
    /// When it is shown, which is later for a frame that a segment begins in.
    pub shown: Nanos,
    /// For how long, where that is not what its unit says.
    pub length: Option<Nanos>,
    /// Which of all the input's frames it is.
    pub number: u64,
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
    /// Frames in the order they are shown, of units at whose first decoding begins so; and the times of units whose frames
    /// the filters need to make them.
    pub fn new(start: Option<Start>, frames: Vec<WantedFrame>, context: Vec<Nanos>) -> Self {
        Self { start, frames, context }
    }

    /// How many there are.
    pub fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    /// All of them, in the order they are shown.
    pub fn all(&self) -> &[WantedFrame] {
        &self.frames
    }

    /// The times of units whose frames only the filters need.
    pub fn context(&self) -> &[Nanos] {
        &self.context
    }

    /// How decoding starts.
    pub fn start(&self) -> Option<Start> {
        self.start
    }

    /// Their units' times, in order.
    pub fn times(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.frames.iter().map(|frame| frame.pts)
    }

    /// Which of the input's frames has this time.
    pub fn number(&self, pts: Nanos) -> Option<u64> {
        let at = self.frames.partition_point(|frame| frame.pts < pts);
        self.frames.get(at).filter(|frame| frame.pts == pts).map(|frame| frame.number)
    }
}

impl Lost {
    /// The times of all frames that the chunk is without.
    pub fn gone(&self) -> impl Iterator<Item = Nanos> + '_ {
        self.missing.iter().chain(&self.unreachable).copied()
    }
}

/// What becomes of a decoder's frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Passed {
    /// Nobody wants it.
    Out,
    /// The filters need it, and nobody sees it.
    Context,
    /// So long after the chunk's first frame it is shown, for so long, and again.
    Shown(Vec<(Nanos, Option<Nanos>)>),
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

    pub(super) fn pass(&self, pts: Option<Nanos>, damaged: bool) -> Passed {
        let frames = &self.wanted.frames;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, lost) = &mut *state;
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Passed::Out };
        if pts.is_some_and(|pts| self.wanted.context.binary_search(&pts).is_ok()) {
            return Passed::Context;
        }
        let at = pts.map(|pts| frames.partition_point(|frame| frame.pts < pts));
        let found = at.filter(|at| frames.get(*at).is_some_and(|frame| Some(frame.pts) == pts));
        let Some(at) = found.filter(|at| at >= next) else {
            lost.strange += u64::from(pts.is_none_or(|pts| (first.pts..=last.pts).contains(&pts)));
            return Passed::Out;
        };
        let before = once(frames.get(*next..at));
        if *next == 0 && self.wanted.start.is_none() {
            lost.unreachable.extend(before);
        } else {
            lost.missing.extend(before);
        }
        let same = frames.get(at..).unwrap_or_default().iter().take_while(|frame| Some(frame.pts) == pts);
        let shown: Vec<_> = same.map(|frame| (frame.shown.saturating_sub(first.shown), frame.length)).collect();
        *next = at + shown.len();
        if damaged {
            lost.damaged.extend(pts);
        }
        Passed::Shown(shown)
    }

    /// After the decoder's last frame.
    pub(super) fn lost(&self) -> Lost {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, lost) = &mut *state;
        let rest = once(self.wanted.frames.get(*next..));
        if *next == 0 && self.wanted.start.is_none() {
            lost.unreachable.extend(rest);
        } else {
            lost.missing.extend(rest);
        }
        *next = self.wanted.frames.len();
        std::mem::take(lost)
    }
}

/// The times of frames, each of them once.
fn once(frames: Option<&[WantedFrame]>) -> impl Iterator<Item = Nanos> + '_ {
    let mut times: Vec<Nanos> = frames.unwrap_or_default().iter().map(|frame| frame.pts).collect();
    times.dedup();
    times.into_iter()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn sieve_with(start: Option<Start>, times: &[u64], context: &[u64]) -> Sieve {
        let frames =
            (0..).zip(times).map(|(n, pts)| WantedFrame { pts: *pts, shown: 5 + 10 * n, length: None, number: n });
        Sieve::new(Arc::new(Wanted::new(start, frames.collect(), context.to_vec())))
    }

    fn sieve(start: Option<Start>, times: &[u64]) -> Sieve {
        sieve_with(start, times, &[])
    }

    fn shown(times: &[u64]) -> Passed {
        Passed::Shown(times.iter().map(|time| (*time, None)).collect())
    }

    #[test]
    fn what_lies_outside_of_the_chunk_is_left_out_and_nobody_misses_it() {
        let sieve = sieve(Some(Start::Clean), &[40, 50, 60]);
        let all = [20, 30, 40, 50, 60, 70].map(|pts| sieve.pass(Some(pts), false));
        assert_eq!(all, [Passed::Out, Passed::Out, shown(&[0]), shown(&[10]), shown(&[20]), Passed::Out]);
        assert_eq!(sieve.lost(), Lost::default());
    }

    #[test]
    fn frames_are_repeated_and_left_to_the_filters_as_the_chunk_says() {
        let sieve = sieve_with(Some(Start::Clean), &[40, 40, 60], &[30, 50, 70]);
        let all = [20, 30, 40, 50, 60, 70].map(|pts| sieve.pass(Some(pts), false));
        let context = Passed::Context;
        assert_eq!(all, [Passed::Out, context.clone(), shown(&[0, 10]), context.clone(), shown(&[20]), context]);
        assert_eq!(sieve.lost(), Lost::default());
    }

    #[test]
    fn what_does_not_come_or_comes_damaged_is_told() {
        let sieve = sieve(Some(Start::Recovers), &[10, 20, 30, 30, 40, 50]);
        assert_eq!(sieve.pass(Some(20), true), shown(&[10]));
        assert_eq!(sieve.pass(Some(20), false), Passed::Out);
        assert_eq!(sieve.pass(None, false), Passed::Out);
        assert_eq!(sieve.pass(Some(40), false), shown(&[40]));
        let lost = Lost { missing: vec![10, 30, 50], damaged: vec![20], strange: 2, ..Lost::default() };
        assert_eq!(sieve.lost(), lost);
    }

    #[test]
    fn what_a_recording_has_not_caught_is_not_missing() {
        let sieve = sieve(None, &[10, 20, 30, 40]);
        assert_eq!(sieve.pass(Some(20), false), shown(&[10]));
        assert_eq!(sieve.pass(Some(40), false), shown(&[30]));
        assert_eq!(sieve.lost(), Lost { missing: vec![30], unreachable: vec![10], ..Lost::default() });
    }
}
