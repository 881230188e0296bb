//! Cuts a compressed stream before anything of it is decoded.
//!
//! A chunk is the frames of one range of presentation times, and the units that make them: from a place where decoding
//! may start, at or before its first frame, to the last unit of which it shows a frame. Leading pictures, which follow
//! that place and are shown before it, are left out.

use std::collections::{BTreeSet, VecDeque};

use thiserror::Error;

use super::{FrameTime, Nanos, Signs, Start};

/// More frames decoded twice than this share of all is worse than one decoder for all.
const TWICE: f64 = 0.25;
/// A chunk so many times as long as it should be keeps one core busy while the others have nothing left.
const LONGEST: usize = 4;
/// One so many times as long does so where it is more than this part of all.
const LONG: usize = 2;
const PART: usize = 8;
/// The most frames that are decoded before one that is shown before them (H.264, `max_num_reorder_frames`; the other
/// codecs have fewer). So all frames but the last so many have the rank they are seen with.
pub const MOST_REORDERED: usize = 16;

/// What is known of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// When its frame is shown.
    pub pts: Option<Nanos>,
    /// For how long, where the input says.
    pub duration: Option<Nanos>,
    /// Decoding may start here.
    pub start: Option<Start>,
    /// So many frames are shown.
    pub shown: u8,
    /// Frames before it that are not shown yet never will be.
    pub drops: bool,
    /// It is one of two fields that make a frame.
    pub is_field: bool,
    /// Its frame is to be encoded: others are decoded at most.
    pub wanted: bool,
}

impl Unit {
    /// A unit of these signs. One that cannot be read but has a time is taken for a picture, so that it is told when none
    /// comes of it.
    pub fn new(pts: Option<Nanos>, duration: Option<Nanos>, signs: Option<Signs>) -> Self {
        let unread = Signs { start: None, shown: u8::from(pts.is_some()), drops: false };
        let Signs { start, shown, drops } = signs.unwrap_or(unread);
        Self { pts, duration, start, shown, drops, is_field: false, wanted: true }
    }
}

/// Where chunks may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Exactly after so many frames.
    Fixed,
    /// Where decoding may start, within half a chunk. Where there is no such place: exactly there, if that costs at most
    /// a quarter of a chunk, else at the next such place.
    Keyframe,
}

/// One chunk of a compressed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<T> {
    /// The units to decode, in their order.
    pub units: Vec<T>,
    /// How decoding starts at the first of them; `None` where it does not, which only the stream's own begin can be.
    pub start: Option<Start>,
    /// The times of its frames, in the order they are shown.
    pub frames: Vec<FrameTime>,
}

/// Why a stream cannot be cut before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Uncuttable {
    /// A unit does not tell when it is shown.
    #[error("packet {0} has no presentation time")]
    NoTime(u64),
    /// A unit shows something else than one frame.
    #[error("packet {0} holds {1} frames")]
    NotOneFrame(u64, u8),
    /// Two units make one frame.
    #[error("packet {0} is a single field")]
    Field(u64),
    /// Two frames are shown at once.
    #[error("packet {0} has the time of another")]
    SameTime(u64),
    /// A frame is shown before others that came long before it.
    #[error("packet {0} has a time of long before")]
    Late(u64),
    /// There is nowhere to start.
    #[error("no picture in it can be decoded without those before it")]
    NoStart,
    /// Chunks would begin too far behind the places where decoding may start.
    #[error("key frames are too far apart: {0} of {1} frames would be decoded twice")]
    Twice(usize, usize),
    /// A chunk would have so many frames.
    #[error("key frames are too far apart: a chunk would have {0} frames")]
    TooLong(usize),
}

/// Cuts a stream of which everything is known into chunks of about `target` frames.
pub fn cut(units: &[Unit], target: u64, mode: Mode) -> Result<Vec<Piece<usize>>, Uncuttable> {
    let mut ranges = Ranges::new(target, mode);
    let mut pieces = Vec::new();
    for (i, unit) in units.iter().enumerate() {
        pieces.extend(ranges.push(i, *unit)?);
    }
    pieces.extend(ranges.finish());
    if !pieces.iter().any(|piece| piece.start.is_some()) {
        return Err(Uncuttable::NoStart);
    }
    let frames = pieces.iter().map(|p| p.frames.len()).sum();
    let longest = pieces.iter().map(|p| p.frames.len()).max().unwrap_or(0);
    let is_much = longest > ranges.target.saturating_mul(LONG) && longest.saturating_mul(PART) > frames;
    if is_much || longest > ranges.target.saturating_mul(LONGEST) {
        return Err(Uncuttable::TooLong(longest));
    }
    let all = pieces.iter().flat_map(|p| &p.units);
    let twice = all.clone().count() - all.collect::<BTreeSet<_>>().len();
    if twice as f64 > frames as f64 * TWICE {
        return Err(Uncuttable::Twice(twice, frames));
    }
    Ok(pieces)
}

/// A frame that is in no chunk yet.
#[derive(Debug, Clone, Copy)]
struct Shown {
    time: FrameTime,
    unit: u64,
}

/// A place where decoding may start.
#[derive(Debug, Clone, Copy)]
struct Place {
    pts: Nanos,
    unit: u64,
    start: Start,
}

/// Cuts a stream whose end is not known, with payloads of type `T` for its units.
///
/// The decisions follow from the units and their order alone, never from when they were pushed.
#[derive(Debug)]
pub struct Ranges<T> {
    target: usize,
    mode: Mode,
    /// Units that chunks to come may need; the first has the number `base`.
    units: VecDeque<(Unit, T)>,
    base: u64,
    /// So many units at the front are from before a split.
    before: usize,
    /// By presentation time.
    shown: Vec<Shown>,
    starts: VecDeque<Place>,
    /// Of all units so far.
    latest: Option<Nanos>,
    /// The last frame that is in a chunk.
    done: Option<Nanos>,
    /// At these times, or at the first frame after each, a chunk has to begin.
    forced: BTreeSet<Nanos>,
}

impl<T: Clone> Ranges<T> {
    /// Cuts chunks of about `target` frames, at least 1.
    pub fn new(target: u64, mode: Mode) -> Self {
        Self {
            target: usize::try_from(target).unwrap_or(usize::MAX / 2).clamp(1, usize::MAX / 2),
            mode,
            units: VecDeque::new(),
            base: 0,
            before: 0,
            shown: Vec::new(),
            starts: VecDeque::new(),
            latest: None,
            done: None,
            forced: BTreeSet::new(),
        }
    }

    /// The frame at `time`, or the first one after it, has to begin a chunk; for a time that is in a chunk already, the
    /// first one after that. Returns the time that counts.
    pub fn force(&mut self, time: Nanos) -> Nanos {
        let time = self.done.map_or(time, |done| time.max(done + 1));
        self.forced.insert(time);
        time
    }

    /// Takes the next unit, in decode order. Returns the chunks that are complete now.
    pub fn push(&mut self, payload: T, unit: Unit) -> Result<Vec<Piece<T>>, Uncuttable> {
        if self.before > 0 && self.is_apart(&unit) {
            self.clear();
        }
        let number = self.base + self.units.len() as u64;
        if unit.is_field {
            return Err(Uncuttable::Field(number));
        }
        match (unit.shown, unit.pts) {
            (1, Some(pts)) => self.frame(number, &unit, pts)?,
            (0, _) => {}
            (1, None) => return Err(Uncuttable::NoTime(number)),
            (n, _) => return Err(Uncuttable::NotOneFrame(number, n)),
        }
        self.units.push_back((unit, payload));
        if self.shown.is_empty() && unit.start.is_some() {
            self.forget();
        }
        Ok(self.complete(false))
    }

    /// Nothing follows, or what follows shares no chunk with it: all chunks that are left.
    pub fn finish(&mut self) -> Vec<Piece<T>> {
        let pieces = self.complete(true);
        self.clear();
        pieces
    }

    /// What follows shares no chunk with what came before, but may need it to be decoded: all chunks that are left.
    pub fn split(&mut self) -> Vec<Piece<T>> {
        let pieces = self.complete(true);
        self.before = self.units.len();
        self.done = None;
        pieces
    }

    /// Frames are shown for longer than a chunk lasts: all chunks that are left, though what follows goes on from them.
    pub fn pause(&mut self) -> Vec<Piece<T>> {
        self.complete(true)
    }

    /// For who cannot hold more: the next chunk, where its end is certain, though not yet whether it is the best. Exactly
    /// `target` frames, or up to the start nearest to that.
    pub fn relieve(&mut self) -> Option<Piece<T>> {
        let known = self.shown.len().saturating_sub(MOST_REORDERED);
        let may_begin = |rank: &usize| (1..known).contains(rank);
        let next = match self.mode {
            Mode::Fixed => Some(self.target).filter(may_begin),
            Mode::Keyframe => {
                let starts = self.starts.iter().map(|place| self.rank(place.pts)).filter(may_begin);
                starts.min_by_key(|rank| rank.abs_diff(self.target))
            }
        };
        next.and_then(|frames| self.take(frames))
    }

    fn clear(&mut self) {
        self.base += self.units.len() as u64;
        self.before = 0;
        self.units.clear();
        self.shown.clear();
        self.starts.clear();
        self.forced.clear();
        (self.latest, self.done) = (None, None);
    }

    /// After a split: `unit` does not go on where the units before it ended.
    fn is_apart(&self, unit: &Unit) -> bool {
        let Some(pts) = unit.pts else { return false };
        let known = |other: &(Unit, T)| other.0.pts == Some(pts);
        let goes_back = self.starts.front().is_some_and(|start| pts < start.pts);
        goes_back || self.units.iter().take(self.before).any(known)
    }

    /// Frames that are in no chunk yet.
    pub fn waiting(&self) -> usize {
        self.shown.len()
    }

    /// When the first of them is shown.
    pub fn since(&self) -> Option<Nanos> {
        self.shown.first().map(|shown| shown.time.pts)
    }

    /// Units that chunks to come may need: the last so many.
    pub fn held(&self) -> usize {
        self.units.len()
    }

    fn frame(&mut self, number: u64, unit: &Unit, pts: Nanos) -> Result<(), Uncuttable> {
        // What something before it is shown after is no start.
        if let Some(start) = unit.start.filter(|_| self.latest.is_none_or(|latest| latest < pts)) {
            self.starts.push_back(Place { pts, unit: number, start });
        }
        self.latest = self.latest.max(Some(pts));
        if !unit.wanted {
            return Ok(());
        }
        if self.done.is_some_and(|done| pts <= done) {
            return Err(Uncuttable::Late(number));
        }
        let at = self.rank(pts);
        if self.shown.get(at).is_some_and(|other| other.time.pts == pts) {
            return Err(Uncuttable::SameTime(number));
        }
        self.shown.insert(at, Shown { time: FrameTime { pts, duration: unit.duration }, unit: number });
        Ok(())
    }

    fn rank(&self, pts: Nanos) -> usize {
        self.shown.partition_point(|shown| shown.time.pts < pts)
    }

    fn complete(&mut self, ended: bool) -> Vec<Piece<T>> {
        let mut pieces = Vec::new();
        while let Some(frames) = self.next_cut(ended) {
            pieces.extend(self.take(frames));
        }
        pieces
    }

    /// How many frames the next chunk has, once that is certain.
    fn next_cut(&self, ended: bool) -> Option<usize> {
        let known = if ended { self.shown.len() } else { self.shown.len().saturating_sub(MOST_REORDERED) };
        let forced = self.forced.iter().map(|pts| self.rank(*pts)).find(|rank| (1..known).contains(rank));
        // What has to end there, whatever else.
        let end = forced.or((ended && known > 0).then_some(known));
        let reach = match self.mode {
            Mode::Fixed => 0,
            Mode::Keyframe => self.target / 2,
        };
        if let Some(end) = end.filter(|end| *end <= self.target) {
            return Some(end);
        }
        let limit = end.unwrap_or(known);
        if limit <= self.target {
            return None;
        }
        let (before, after) = self.places(limit);
        let near = [before, after].into_iter().flatten().filter(|rank| rank.abs_diff(self.target) <= reach);
        let near = near.min_by_key(|rank| rank.abs_diff(self.target));
        // Frames so far away could bring a nearer place.
        let nearer = near.map_or(reach, |rank| rank.abs_diff(self.target));
        if end.is_none() && limit <= self.target + nearer {
            return None;
        }
        let next = near.or_else(|| {
            let may_be_exact = match self.mode {
                Mode::Fixed => true,
                Mode::Keyframe => before.is_some_and(|rank| self.target - rank <= self.target / 4),
            };
            if may_be_exact { Some(self.target) } else { after.or(end) }
        })?;
        // A tail shorter than a quarter joins the chunk before it.
        let shortest = if self.target == 1 { 1 } else { self.target.div_ceil(4).max(2) };
        match end {
            Some(end) if end - next < shortest => Some(end),
            None if limit - next < shortest => None,
            _ => Some(next),
        }
    }

    /// The ranks of the starts before and after the frame with which a chunk should begin.
    fn places(&self, limit: usize) -> (Option<usize>, Option<usize>) {
        let Some(aim) = self.shown.get(self.target) else { return (None, None) };
        let at = self.starts.partition_point(|place| place.pts < aim.time.pts);
        let rank = |at: usize| self.starts.get(at).map(|place| self.rank(place.pts)).filter(|r| (1..limit).contains(r));
        (at.checked_sub(1).and_then(rank), rank(at))
    }

    /// Takes the chunk of the next `frames` frames.
    fn take(&mut self, frames: usize) -> Option<Piece<T>> {
        let of: Vec<Shown> = self.shown.drain(..frames.min(self.shown.len())).collect();
        let (first, last) = (of.first()?.time.pts, of.last()?.time.pts);
        let end = of.iter().map(|shown| shown.unit).max()? + 1;
        // Some of the frames may be dropped by what comes next, however early the chunk ends.
        let next = self.units.iter().skip(usize::try_from(end.saturating_sub(self.base)).unwrap_or(0));
        let dropping = (end..).zip(next).take(MOST_REORDERED).find(|(_, (unit, _))| unit.drops);
        let end = dropping.map_or(end, |(number, _)| number + 1);
        let start = self.starts.iter().rev().find(|place| place.pts <= first).copied();
        let units: Vec<&(Unit, T)> = (self.base..)
            .zip(&self.units)
            .skip_while(|(number, _)| start.is_some_and(|start| *number < start.unit))
            .take_while(|(number, _)| *number < end)
            .map(|(_, unit)| unit)
            // Leading pictures need what came before the start.
            .filter(|(unit, _)| start.zip(unit.pts).is_none_or(|(start, pts)| pts >= start.pts))
            .collect();
        let piece = Piece {
            units: units.into_iter().map(|(_, payload)| payload.clone()).collect(),
            start: start.map(|start| start.start),
            frames: of.iter().map(|shown| shown.time).collect(),
        };
        self.done = Some(last);
        self.forced = self.forced.split_off(&(last + 1));
        self.forget();
        Some(piece)
    }

    /// Lets go of the units that no chunk to come can need: those before the last start that is at or before its first
    /// frame.
    fn forget(&mut self) {
        // With none, leading pictures of the last start may follow.
        let last = self.starts.iter().rev().nth(1).map_or(0, |place| place.pts);
        let next = self.shown.first().map_or(last, |shown| shown.time.pts);
        let Some(at) = self.starts.iter().rposition(|place| place.pts <= next) else { return };
        self.starts.drain(..at);
        let Some(keep) = self.starts.front().map(|place| place.unit) else { return };
        let gone = usize::try_from(keep.saturating_sub(self.base)).unwrap_or(0).min(self.units.len());
        self.units.drain(..gone);
        self.base += gone as u64;
        self.before = self.before.saturating_sub(gone);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Units from text: each an I (starts), a D (starts and drops), a P, a B or a hidden one (h), with the time of its
    /// frame; small letters are not wanted.
    fn stream(text: &str) -> Vec<Unit> {
        let unit = |word: &str| {
            let (kind, time) = word.split_at(1);
            Unit {
                pts: time.parse().ok(),
                duration: None,
                start: ["I", "i", "D"].contains(&kind).then_some(Start::Clean),
                shown: u8::from(kind != "h"),
                drops: kind == "D",
                is_field: kind == "F",
                wanted: kind != kind.to_lowercase(),
            }
        };
        text.split_whitespace().map(unit).collect()
    }

    fn closed(frames: usize, gop: usize) -> Vec<Unit> {
        let start = |i: usize| i.is_multiple_of(gop).then_some(Start::Clean);
        let unit = |i| Unit { start: start(i), ..Unit::new(Some(i as u64), None, None) };
        (0..frames).map(unit).collect()
    }

    fn lengths(units: &[Unit], target: u64, mode: Mode) -> Vec<usize> {
        cut(units, target, mode).unwrap().iter().map(|p| p.frames.len()).collect()
    }

    fn times(units: &[Unit], piece: &Piece<usize>) -> Vec<u64> {
        piece.units.iter().filter_map(|i| units[*i].pts).collect()
    }

    #[test]
    fn chunks_begin_at_key_frames_near_by_and_nothing_is_decoded_twice() {
        assert_eq!(lengths(&closed(1000, 30), 100, Mode::Keyframe), [90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 100]);
        assert_eq!(lengths(&closed(1000, 30), 100, Mode::Fixed), [100; 10]);
        assert_eq!(lengths(&closed(300, 1), 100, Mode::Keyframe), [100; 3]);
        assert_eq!(lengths(&closed(310, 100), 100, Mode::Keyframe), [100, 100, 110]);
        assert_eq!(lengths(&closed(150, 10), 40, Mode::Keyframe), [40, 40, 40, 30]);
        assert_eq!(lengths(&closed(1, 1), 250, Mode::Keyframe), [1]);
        let pieces = cut(&closed(200, 50), 60, Mode::Keyframe).unwrap();
        assert!(pieces.iter().all(|p| p.units.len() == p.frames.len()), "{pieces:?}");
    }

    #[test]
    fn where_key_frames_are_rare_chunks_are_longer_but_not_by_far() {
        // 20 frames of 100 twice is cheap.
        assert_eq!(lengths(&closed(560, 80), 160, Mode::Keyframe), [160, 160, 160, 80]);
        assert_eq!(lengths(&closed(400, 380), 200, Mode::Keyframe), [400]);
        assert_eq!(lengths(&closed(8000, 1000), 400, Mode::Keyframe), [1000; 8]);
        assert_eq!(cut(&closed(7000, 1000), 400, Mode::Keyframe), Err(Uncuttable::TooLong(1000)));
        assert_eq!(cut(&closed(2000, 1000), 200, Mode::Keyframe), Err(Uncuttable::TooLong(1000)));
        assert_eq!(cut(&closed(2000, 1000), 400, Mode::Fixed), Err(Uncuttable::Twice(400 + 800 + 200 + 600, 2000)));
        let mut units = closed(300, 1000);
        units[95].start = Some(Start::Clean);
        units[30].start = Some(Start::Clean);
        assert_eq!(lengths(&units, 120, Mode::Keyframe), [95, 205]);
        units[95].start = None;
        assert_eq!(lengths(&units, 150, Mode::Keyframe), [300]);
    }

    #[test]
    fn leading_pictures_belong_to_the_chunk_before_and_are_not_decoded_in_their_own() {
        let units = stream("I0 P3 B1 B2 I6 B4 B5 P9 B7 B8");
        let pieces = cut(&units, 6, Mode::Keyframe).unwrap();
        assert_eq!(times(&units, &pieces[0]), [0, 3, 1, 2, 6, 4, 5]);
        assert_eq!(times(&units, &pieces[1]), [6, 9, 7, 8]);
        assert_eq!(pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>(), [6, 4]);
    }

    #[test]
    fn what_drops_frames_that_are_not_shown_yet_does_so_to_every_chunk_before_it() {
        let units = stream("I0 P3 B1 B2 D4 P5 P6");
        let taken = |target, mode| cut(&units, target, mode).map(|p| p.iter().map(|p| times(&units, p)).collect());
        assert_eq!(taken(4, Mode::Keyframe), Ok(vec![vec![0, 3, 1, 2, 4], vec![4, 5, 6]]));
    }

    #[test]
    fn frames_that_are_not_wanted_are_decoded_where_others_need_them() {
        let units = stream("i0 p1 p2 i3 p4 P5 P6 I7 P8 p9 i10");
        let pieces = cut(&units, 2, Mode::Fixed).unwrap();
        assert_eq!(pieces.iter().map(|p| times(&units, p)).collect::<Vec<_>>(), [vec![3, 4, 5, 6], vec![7, 8]]);
        assert_eq!(pieces[0].frames.iter().map(|f| f.pts).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn what_cannot_be_cut_is_told() {
        let reason = |text: &str, target| cut(&stream(text), target, Mode::Fixed).unwrap_err();
        assert_eq!(reason("I0 P P2", 1), Uncuttable::NoTime(1));
        assert_eq!(reason("I0 P1 P1", 1), Uncuttable::SameTime(2));
        assert_eq!(reason("I0 P1 F2", 1), Uncuttable::Field(2));
        assert_eq!(reason("P0 P1", 1), Uncuttable::NoStart);
        assert_eq!(reason("I0 P1 P2 P3 P4 P5 P6 P7", 2), Uncuttable::Twice(2 + 4 + 6, 8));
        assert_eq!(cut(&[], 1, Mode::Fixed), Err(Uncuttable::NoStart));
        let mut late = closed(40, 10);
        late[39].pts = Some(0);
        assert_eq!(cut(&late, 1, Mode::Fixed), Err(Uncuttable::Late(39)));
    }

    #[test]
    fn a_start_that_something_before_it_is_shown_after_is_none() {
        let mut ranges = Ranges::new(100, Mode::Fixed);
        for unit in stream("I0 P5 I3 P7 h9 I8") {
            ranges.push((), unit).unwrap();
        }
        assert_eq!(ranges.starts.iter().map(|s| (s.pts, s.unit)).collect::<Vec<_>>(), [(0, 0), (8, 5)]);
    }

    #[test]
    fn a_forced_start_begins_a_chunk_and_the_tail_before_it_joins() {
        let lengths = |forced: &[u64]| {
            let mut ranges = Ranges::new(100, Mode::Keyframe);
            let mut pieces = Vec::new();
            forced.iter().for_each(|time| assert_eq!(ranges.force(*time), *time));
            for (i, unit) in closed(300, 10).into_iter().enumerate() {
                pieces.extend(ranges.push(i, unit).unwrap());
            }
            pieces.extend(ranges.finish());
            pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[]), [100, 100, 100]);
        assert_eq!(lengths(&[115]), [115, 95, 90]);
        assert_eq!(lengths(&[50, 150]), [50, 100, 100, 50]);
        assert_eq!(lengths(&[1, 2]), [1, 1, 98, 100, 100]);
    }

    #[test]
    fn a_split_in_the_middle_of_a_group_leaves_what_follows_its_start() {
        let split = |text: &str, then: &str| {
            let mut ranges = Ranges::new(100, Mode::Keyframe);
            let mut number = 0;
            let mut push = |ranges: &mut Ranges<usize>, text: &str| {
                for unit in stream(text) {
                    assert_eq!(ranges.push(number, unit), Ok(vec![]));
                    number += 1;
                }
            };
            push(&mut ranges, text);
            let mut pieces = ranges.split();
            push(&mut ranges, then);
            pieces.extend(ranges.finish());
            let of = |p: Piece<usize>| (p.units, p.frames.iter().map(|f| f.pts).collect::<Vec<_>>());
            pieces.into_iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(split("I0 P1", "P2 P3"), [(vec![0, 1], vec![0, 1]), (vec![0, 1, 2, 3], vec![2, 3])]);
        assert_eq!(split("I0 P1", "I2 P3"), [(vec![0, 1], vec![0, 1]), (vec![2, 3], vec![2, 3])]);
        // Leading pictures of the last start.
        assert_eq!(split("I0 P1 I4", "B2 B3"), [(vec![0, 1, 2], vec![0, 1, 4]), (vec![0, 1, 2, 3, 4], vec![2, 3])]);
        // Times that start over.
        assert_eq!(split("I5 P6 P7", "P6 P7"), [(vec![0, 1, 2], vec![5, 6, 7]), (vec![3, 4], vec![6, 7])]);
        assert_eq!(split("I5 P6", "P0 P1"), [(vec![0, 1], vec![5, 6]), (vec![2, 3], vec![0, 1])]);
    }

    #[test]
    fn what_comes_long_before_the_first_wanted_frame_is_not_kept() {
        let mut ranges = Ranges::new(100, Mode::Keyframe);
        for (i, unit) in closed(1000, 10).into_iter().enumerate() {
            ranges.push(i, Unit { wanted: i >= 905, ..unit }).unwrap();
            assert!(ranges.units.len() <= 30 || i >= 905, "{} at {i}", ranges.units.len());
        }
        let pieces = ranges.finish();
        assert_eq!((pieces[0].units.first(), pieces[0].frames.len()), (Some(&900), 95));
    }

    proptest! {
        #[test]
        fn every_frame_is_in_one_chunk_and_its_unit_is_decoded_there(
            gop in 1usize..40, frames in 1usize..300, target in 1u64..80, reorder in 0u64..4, fixed: bool
        ) {
            let mut units = closed(frames, gop);
            // B pictures: every so many are decoded after the one that is shown behind them.
            for i in (1..units.len()).step_by(reorder as usize + 2) {
                if units[i].start.is_none() && units[i - 1].start.is_none() {
                    units.swap(i - 1, i);
                }
            }
            let mode = if fixed { Mode::Fixed } else { Mode::Keyframe };
            let mut ranges = Ranges::new(target, mode);
            let mut pieces = Vec::new();
            for (i, unit) in units.iter().enumerate() {
                pieces.extend(ranges.push(i, *unit).unwrap());
                // What a chunk to come may need, and no more.
                let most = 2 * target as usize + 2 * gop + MOST_REORDERED;
                prop_assert!(ranges.units.len() <= most, "{} of {most}", ranges.units.len());
            }
            pieces.extend(ranges.finish());
            let all: Vec<u64> = pieces.iter().flat_map(|p| p.frames.iter().map(|f| f.pts)).collect();
            prop_assert_eq!(all, (0..frames as u64).collect::<Vec<_>>());
            for piece in &pieces {
                let taken = times(&units, piece);
                prop_assert!(piece.frames.iter().all(|f| taken.contains(&f.pts)));
                prop_assert!(units[piece.units[0]].start.is_some());
            }
            let all: Vec<usize> = pieces.iter().flat_map(|p| p.units.clone()).collect();
            let twice = all.len() - all.iter().collect::<BTreeSet<_>>().len();
            prop_assert!(fixed || twice * 4 <= frames, "{twice} of {frames}");
        }
    }
}
