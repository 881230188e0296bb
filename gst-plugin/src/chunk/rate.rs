//! Frames at a constant rate, chosen by their times alone: which frame is shown at which tick, known before any is
//! decoded.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use num_integer::gcd;
use thiserror::Error;

use super::ranges::MOST_REORDERED;
use super::{FrameTime, Nanos, Uncuttable, Unit};

/// What clocks in nanoseconds have cut off of times: half a tick stays half a tick.
const ROUNDING: i128 = 2;
const SECOND: i128 = 1_000_000_000;

/// A rate of frames a second, whose ticks count from an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fps {
    n: u32,
    d: u32,
    origin: i64,
    length: Option<Nanos>,
}

impl Fps {
    /// `n/d` frames a second, from 0 on; `None` where that is no rate.
    pub fn new(n: u32, d: u32) -> Option<Self> {
        // A tick has to be longer than times are exact.
        let fits = n > 0 && d > 0 && n / d <= 1_000_000;
        let divisor = || gcd(n, d);
        fits.then(divisor).map(|divisor| Self { n: n / divisor, d: d / divisor, origin: 0, length: None })
    }

    /// The same, with the first tick then.
    pub fn from(self, origin: i64) -> Self {
        Self { origin, ..self }
    }

    /// The same, with no tick from so long after the first one.
    pub fn lasting(self, length: Option<Nanos>) -> Self {
        Self { length, ..self }
    }

    /// From the tick nearest to so long after the first one there is none.
    pub fn length(self) -> Option<Nanos> {
        self.length
    }

    /// Numerator and denominator.
    pub fn rate(self) -> (u32, u32) {
        (self.n, self.d)
    }

    /// The time of the first tick.
    pub fn origin(self) -> i64 {
        self.origin
    }

    /// The tick nearest to a time, the later one of two.
    fn tick(self, time: Nanos) -> i64 {
        self.nearest(i128::from(time) - i128::from(self.origin) + ROUNDING)
    }

    /// The tick nearest to so many nanoseconds after the first, the later one of two.
    fn nearest(self, since: i128) -> i64 {
        let (n, tick) = (i128::from(self.n), i128::from(self.d) * SECOND);
        i64::try_from((2 * since * n + tick).div_euclid(2 * tick)).unwrap_or(i64::MAX)
    }

    fn time(self, tick: i64) -> Nanos {
        let since = (i128::from(tick) * i128::from(self.d) * SECOND).div_euclid(i128::from(self.n));
        u64::try_from(i128::from(self.origin) + since).unwrap_or(0)
    }

    /// When a frame is shown that comes at `time` and is followed by another at `end`; without an end, once.
    pub fn shows(self, time: Nanos, end: Option<Nanos>) -> Result<Vec<FrameTime>, TooOften> {
        let shown = |tick| {
            let pts = self.time(tick);
            FrameTime { pts, duration: Some(self.time(tick + 1).saturating_sub(pts)) }
        };
        self.ticks(time, end).map(|ticks| ticks.map(shown).collect())
    }

    fn ticks(self, time: Nanos, end: Option<Nanos>) -> Result<Range<i64>, TooOften> {
        let first = self.tick(time);
        let end = end.map_or(first.saturating_add(1), |end| self.tick(end));
        let times = end.saturating_sub(first);
        if times > MOST_TIMES { Err(TooOften { times, from: time }) } else { Ok(first..end.min(self.last())) }
    }

    /// The tick after the last one: as ffmpeg has it, the one nearest to the end.
    fn last(self) -> i64 {
        let Some(length) = self.length else { return i64::MAX };
        self.nearest(i128::from(length))
    }
}

/// A time stamp that jumps by years would make frames without end.
const MOST_TIMES: i64 = 30_000;

/// A frame would be shown more often than any is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the frame at {:.3} s would be shown {times} times, until the next one comes; fps repeats one {MOST_TIMES} times at most", *from as f64 / 1e9)]
pub struct TooOften {
    times: i64,
    from: Nanos,
}

/// When a unit's frame is shown, and which of all frames it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shows {
    pub(super) number: u64,
    pub(super) times: Vec<FrameTime>,
}

/// Holds units back until it is known when their frames are shown.
#[derive(Debug)]
pub(super) struct Rate<T> {
    fps: Fps,
    units: VecDeque<(T, Unit, u64)>,
    next: u64,
    /// Frames that are not settled, by their time: time, duration and unit.
    open: Vec<(Nanos, Option<Nanos>, u64)>,
    settled: BTreeMap<u64, Shows>,
    latest: Option<Nanos>,
    frames: u64,
}

impl<T> Rate<T> {
    pub(super) fn new(fps: Fps) -> Self {
        let (units, open, settled) = (VecDeque::new(), Vec::new(), BTreeMap::new());
        Self { fps, units, next: 0, open, settled, latest: None, frames: 0 }
    }

    /// Frames from here on count from another origin.
    pub(super) fn moves_to(&mut self, fps: Fps) {
        self.fps = fps;
    }

    /// The time of the first frame that is held back; those before it are all there.
    pub(super) fn frontier(&self) -> Option<Nanos> {
        self.units.iter().filter(|(_, unit, _)| is_frame(unit)).filter_map(|(_, unit, _)| unit.pts).min()
    }

    /// Units that are held back: the last so many.
    pub(super) fn held(&self) -> usize {
        self.units.len()
    }

    /// Frames that are held back.
    pub(super) fn waiting(&self) -> usize {
        self.units.iter().filter(|(_, unit, _)| is_frame(unit)).count()
    }

    /// Takes the next unit, in decode order. Returns those that are settled now.
    pub(super) fn push(&mut self, payload: T, unit: Unit) -> Result<Vec<(T, Unit, Option<Shows>)>, Uncuttable> {
        let number = self.next;
        self.next += 1;
        if let Some(pts) = unit.pts.filter(|_| is_frame(&unit)) {
            if self.latest.is_some_and(|latest| pts <= latest) {
                return Err(Uncuttable::Late(number));
            }
            let at = self.open.partition_point(|(time, ..)| *time < pts);
            if self.open.get(at).is_some_and(|(time, ..)| *time == pts) {
                return Err(Uncuttable::SameTime(number));
            }
            self.open.insert(at, (pts, unit.duration, number));
            // What may still come between two frames is a few of them.
            for pair in
                self.open.get(at.saturating_sub(1)..(at + 2).min(self.open.len())).unwrap_or_default().windows(2)
            {
                if let [(a, ..), (b, ..)] = pair {
                    self.fps.ticks(*a, Some(*b))?;
                }
            }
        }
        self.units.push_back((payload, unit, number));
        // A frame ends where the next one begins, and what comes later may come between them.
        while self.open.len() > MOST_REORDERED + 1 {
            self.settle();
        }
        Ok(self.release())
    }

    /// Nothing follows: all that is left.
    pub(super) fn finish(&mut self) -> Vec<(T, Unit, Option<Shows>)> {
        while !self.open.is_empty() {
            self.settle();
        }
        self.latest = None;
        self.release()
    }

    fn settle(&mut self) {
        let (pts, duration, unit) = self.open.remove(0);
        let next = self.open.first().map(|(time, ..)| *time);
        let end = next.or_else(|| pts.checked_add(duration?));
        // A length of hours is none.
        let times = self.fps.shows(pts, end).or_else(|_| self.fps.shows(pts, None)).unwrap_or_default();
        let shows = Shows { number: self.frames, times };
        self.settled.insert(unit, shows);
        self.frames += 1;
        self.latest = Some(pts);
    }

    fn release(&mut self) -> Vec<(T, Unit, Option<Shows>)> {
        let mut out = Vec::new();
        while let Some((payload, unit, number)) = self.units.pop_front() {
            let shows = self.settled.remove(&number);
            if shows.is_none() && is_frame(&unit) {
                self.units.push_front((payload, unit, number));
                break;
            }
            out.push((payload, unit, shows));
        }
        out
    }
}

fn is_frame(unit: &Unit) -> bool {
    unit.wanted && unit.shown == 1 && unit.pts.is_some() && !unit.is_field
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(pts: u64) -> Unit {
        Unit::new(Some(pts), Some(40_000_000), None)
    }

    fn ticks(fps: Fps, times: &[u64]) -> Vec<Vec<u64>> {
        let mut rate = Rate::new(fps);
        let mut all: Vec<_> = times.iter().flat_map(|time| rate.push((), unit(*time)).unwrap()).collect();
        all.extend(rate.finish());
        all.into_iter().map(|(_, _, shows)| shows.unwrap().times.iter().map(|t| t.pts).collect()).collect()
    }

    #[test]
    fn half_a_tick_stays_half_a_tick_whatever_a_clock_cuts_off() {
        // Every second frame of 30 a second, whose times are cut to whole nanoseconds; ffmpeg takes the odd ones.
        let times: Vec<u64> = (0..8).map(|i| i * 1_000_000_000 / 30).collect();
        let shown: Vec<usize> = ticks(Fps::new(15, 1).unwrap(), &times).iter().map(Vec::len).collect();
        assert_eq!(shown, [1, 0, 1, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn no_frame_is_shown_from_the_tick_of_the_end_on() {
        let frames: Vec<u64> = (0..7).map(|i| i * 40_000_000).collect();
        let shown = |length| ticks(Fps::new(50, 1).unwrap().from(7).lasting(length), &frames).concat().len();
        assert_eq!(shown(None), 14);
        assert_eq!([20, 40, 49, 50, 250, 280].map(|ms| shown(Some(ms * 1_000_000))), [1, 2, 2, 3, 13, 14]);
    }

    #[test]
    fn frames_are_left_out_and_repeated_at_the_ticks_of_their_own_time() {
        const MS: u64 = 1_000_000;
        let fps = Fps::new(25, 1).unwrap();
        assert_eq!(ticks(fps, &[0, 100 * MS, 110 * MS]), [vec![0, 40 * MS, 80 * MS], vec![], vec![120 * MS]]);
        // In decode order.
        assert_eq!(ticks(fps, &[0, 80 * MS, 40 * MS]), [vec![0], vec![80 * MS], vec![40 * MS]]);
        assert_eq!(ticks(fps.from(7 * MS as i64), &[7 * MS, 47 * MS]), [vec![7 * MS], vec![47 * MS]]);
    }

    #[test]
    fn only_rates_are_rates() {
        assert_eq!(Fps::new(50, 2), Fps::new(25, 1));
        assert_eq!([(0, 1), (1, 0), (2_000_001, 1)].map(|(n, d)| Fps::new(n, d)), [None; 3]);
    }

    proptest! {
        #[test]
        fn every_tick_has_one_frame(
            gaps in proptest::collection::vec(1u64..200_000_000, 1..80),
            n in 1u32..120,
            d in 1u32..3,
            origin in 0u64..1_000_000_000,
        ) {
            let fps = Fps::new(n, d).unwrap().from(origin as i64);
            let mut times = vec![origin];
            times.extend(gaps.iter().scan(origin, |at, gap| { *at += gap; Some(*at) }));
            let all: Vec<u64> = ticks(fps, &times).concat();
            let first = fps.tick(times[0]);
            let expected: Vec<u64> = (first..).take(all.len()).map(|tick| fps.time(tick)).collect();
            prop_assert_eq!(&all, &expected);
            let end = fps.tick(times[gaps.len()] + 40_000_000);
            prop_assert_eq!(all.len() as i64, end - first);
        }
    }
}
