//! Cuts a compressed stream before anything of it is decoded.
//!
//! A chunk is the frames of one range of presentation times, and the units that make them: from a place where decoding
//! may start, at or before its first frame, to the last unit of which it shows a frame. Leading pictures, which follow
//! that place and are shown before it, are left out.

use std::collections::{BTreeSet, VecDeque};

use thiserror::Error;

use super::rate::{Rate, Shows, TooOften};
use super::{Cuts, Fps, FrameTime, Nanos, Signs, Start};

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
    /// A scene begins with its frame.
    pub scene: bool,
}

impl Unit {
    /// A unit of these signs. One that cannot be read but has a time is taken for a picture, so that it is told when none
    /// comes of it.
    pub fn new(pts: Option<Nanos>, duration: Option<Nanos>, signs: Option<Signs>) -> Self {
        let unread = Signs { start: None, shown: u8::from(pts.is_some()), drops: false };
        let Signs { start, shown, drops } = signs.unwrap_or(unread);
        Self { pts, duration, start, shown, drops, is_field: false, wanted: true, scene: false }
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
    /// Where scenes begin, within half a chunk; else where decoding may start, within half a chunk; else exactly there.
    Scene,
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
    /// What each of them is made of.
    pub sources: Vec<Source>,
    /// The times of units whose frames are not shown: those between, and what the filters need around them.
    pub context: Vec<Nanos>,
}

/// A frame as it comes out of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The time of its unit.
    pub pts: Nanos,
    /// Which of all frames it is, counted from 0 in the order they are shown.
    pub number: u64,
}

/// What is done to frames that concerns more than one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// So many frames before a frame make a part of it.
    pub before: usize,
    /// The same of frames behind it.
    pub after: usize,
    /// Frames are left out and repeated.
    pub fps: Option<Fps>,
}

impl Needs {
    /// As many frames on either side.
    pub fn around(frames: usize, fps: Option<Fps>) -> Self {
        Self { before: frames, after: frames, fps }
    }
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
    /// Decoders that work at the same time disturb one another.
    #[error("film grain comes out right from one decoder at a time only")]
    Grain,
    /// What a decoder shows depends on what it has decoded before.
    #[error("it is spliced: sequences end, and others begin with pictures that drop what was before")]
    Spliced,
    /// Two frames are shown at once.
    #[error("packet {0} has the time of another")]
    SameTime(u64),
    /// A frame is shown before others that came long before it.
    #[error("packet {0} has a time of long before")]
    Late(u64),
    /// A frame would be shown too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
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
    cut_for(units, target, mode, Needs::default())
}

/// The same for frames that more is done to.
pub fn cut_for(units: &[Unit], target: u64, mode: Mode, needs: Needs) -> Result<Vec<Piece<usize>>, Uncuttable> {
    cut_as(Ranges::new(target, mode).needing(needs), units)
}

/// The same as these ranges do it, which have taken nothing yet.
pub fn cut_as(mut ranges: Ranges<usize>, units: &[Unit]) -> Result<Vec<Piece<usize>>, Uncuttable> {
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
    let is_far_more = longest > ranges.target.saturating_mul(LONGEST);
    if ranges.cuts.is_none() && (is_much || is_far_more) {
        return Err(Uncuttable::TooLong(longest));
    }
    let all = pieces.iter().flat_map(|p| &p.units);
    let once = all.clone().collect::<BTreeSet<_>>().len();
    let twice = all.count() - once;
    // Those that are repeated are decoded once.
    let frames = if ranges.rate.is_some() { once } else { frames };
    if twice as f64 > frames as f64 * TWICE {
        return Err(Uncuttable::Twice(twice, frames));
    }
    Ok(pieces)
}

/// A frame that is in no chunk yet.
#[derive(Debug, Clone, Copy)]
struct Shown {
    time: FrameTime,
    /// The time of its unit.
    source: Nanos,
    number: u64,
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
    /// Time and number of the units whose frames those that are in no chunk yet are made of, by presentation time.
    around: Vec<(Nanos, u64)>,
    before_each: usize,
    after_each: usize,
    rate: Option<Rate<T>>,
    /// Frames that are in chunks.
    taken: u64,
    starts: VecDeque<Place>,
    /// Frames with which scenes begin, that are in no chunk yet.
    scenes: BTreeSet<Nanos>,
    /// Of all units so far.
    latest: Option<Nanos>,
    /// Frames have come behind others that are shown after them.
    reorders: bool,
    /// The last frame that is in a chunk.
    done: Option<Nanos>,
    /// At these times, or at the first frame after each, a chunk has to begin.
    forced: BTreeSet<Nanos>,
    /// Where chunks begin in place of after about `target` frames.
    cuts: Option<Cuts>,
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
            around: Vec::new(),
            before_each: 0,
            after_each: 0,
            rate: None,
            taken: 0,
            starts: VecDeque::new(),
            scenes: BTreeSet::new(),
            latest: None,
            reorders: false,
            done: None,
            forced: BTreeSet::new(),
            cuts: None,
        }
    }

    /// Cuts where these say, if there are any, in place of after about so many frames; before the first unit.
    pub fn at(self, cuts: Option<Cuts>) -> Self {
        Self { cuts, ..self }
    }

    /// Chunks of frames that this is done to; before the first unit.
    pub fn needing(self, needs: Needs) -> Self {
        let rate = needs.fps.map(Rate::new);
        Self { before_each: needs.before, after_each: needs.after, rate, ..self }
    }

    /// The ticks of frames that follow count from another origin.
    pub fn moves_to(&mut self, fps: Fps) {
        if let Some(rate) = &mut self.rate {
            rate.moves_to(fps);
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
        match &mut self.rate {
            Some(rate) => {
                let settled = rate.push(payload, unit)?;
                settled.into_iter().try_for_each(|(payload, unit, shows)| self.enter(payload, unit, shows))?;
            }
            None => self.enter(payload, unit, None)?,
        }
        Ok(self.complete(false))
    }

    /// Nothing follows, or what follows shares no chunk with it: all chunks that are left.
    pub fn finish(&mut self) -> Vec<Piece<T>> {
        self.settle();
        let pieces = self.complete(true);
        self.clear();
        pieces
    }

    /// What follows shares no chunk with what came before, but may need it to be decoded: all chunks that are left.
    pub fn split(&mut self) -> Vec<Piece<T>> {
        self.settle();
        let pieces = self.complete(true);
        self.before = self.units.len();
        self.around.clear();
        self.done = None;
        pieces
    }

    fn settle(&mut self) {
        for (payload, unit, shows) in self.rate.as_mut().map(Rate::finish).unwrap_or_default() {
            // What is wrong with a unit that was held back ends no stream that has ended.
            let _ = self.enter(payload, unit, shows);
        }
    }

    fn enter(&mut self, payload: T, unit: Unit, shows: Option<Shows>) -> Result<(), Uncuttable> {
        if self.before > 0 && self.is_apart(&unit) {
            self.clear();
        }
        let number = self.base + self.units.len() as u64;
        if unit.is_field {
            return Err(Uncuttable::Field(number));
        }
        match (unit.shown, unit.pts) {
            (1, Some(pts)) => self.frame(number, &unit, pts, shows)?,
            (0, _) => {}
            (1, None) => return Err(Uncuttable::NoTime(number)),
            (n, _) => return Err(Uncuttable::NotOneFrame(number, n)),
        }
        self.units.push_back((unit, payload));
        if self.shown.is_empty() && unit.start.is_some() {
            self.forget();
        }
        Ok(())
    }

    /// Frames are shown for longer than a chunk lasts: all chunks that are left, though what follows goes on from them.
    /// `None` where it may be a part of them, or come between them: demuxers tell of a pause where a stream lags behind
    /// another as well.
    pub fn pause(&mut self) -> Option<Vec<Piece<T>>> {
        // Frames may be made, or timed, by those behind them.
        let needs_what_follows = self.after_each > 0 || self.rate.is_some();
        (!needs_what_follows && !self.may_have_holes()).then(|| self.complete(true))
    }

    /// Frames may be missing between those that have come: where some change places, and not each begins where the one
    /// before it ends.
    fn may_have_holes(&self) -> bool {
        let meet = |pair: &[Shown]| match pair {
            [a, b] => {
                a.time.duration.is_some_and(|length| b.time.pts - a.time.pts <= length.saturating_add(length / 2))
            }
            _ => true,
        };
        self.reorders && !self.shown.windows(2).all(meet)
    }

    /// For who cannot hold more: the next chunk, where its end is certain, though not yet whether it is the best. Exactly
    /// `target` frames, or up to the start nearest to that.
    pub fn relieve(&mut self) -> Option<Piece<T>> {
        let known = self.settled();
        let may_begin = |rank: &usize| (1..known).contains(rank);
        let next = match self.mode {
            // A cut that is known has been made.
            _ if self.cuts.is_some() => None,
            Mode::Fixed => Some(self.target).filter(may_begin),
            Mode::Keyframe | Mode::Scene => {
                let starts = self.starts.iter().map(|place| place.pts).chain(self.scenes.iter().copied());
                let ranks = starts.map(|pts| self.rank(pts)).filter(may_begin);
                let exact = Some(self.target).filter(|rank| self.mode == Mode::Scene && may_begin(rank));
                ranks.min_by_key(|rank| rank.abs_diff(self.target)).or(exact)
            }
        };
        next.and_then(|frames| self.take(frames))
    }

    fn clear(&mut self) {
        self.base += self.units.len() as u64;
        self.before = 0;
        self.units.clear();
        self.shown.clear();
        self.around.clear();
        self.starts.clear();
        self.scenes.clear();
        self.forced.clear();
        (self.latest, self.done, self.reorders) = (None, None, false);
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
        self.shown.len() + self.rate.as_ref().map_or(0, Rate::waiting)
    }

    /// When the first of them is shown.
    pub fn since(&self) -> Option<Nanos> {
        let held_back = || self.rate.as_ref().and_then(Rate::frontier);
        self.shown.first().map(|shown| shown.time.pts).or_else(held_back)
    }

    /// Units that chunks to come may need: the last so many.
    pub fn held(&self) -> usize {
        self.units.len() + self.rate.as_ref().map_or(0, Rate::held)
    }

    fn frame(&mut self, number: u64, unit: &Unit, pts: Nanos, shows: Option<Shows>) -> Result<(), Uncuttable> {
        // What something before it is shown after is no start.
        if let Some(start) = unit.start.filter(|_| self.latest.is_none_or(|latest| latest < pts)) {
            self.starts.push_back(Place { pts, unit: number, start });
        }
        self.reorders |= self.latest.is_some_and(|latest| pts < latest);
        self.latest = self.latest.max(Some(pts));
        if !unit.wanted {
            return Ok(());
        }
        if self.done.is_some_and(|done| pts <= done) {
            return Err(Uncuttable::Late(number));
        }
        if unit.scene {
            self.scenes.insert(pts);
        }
        let at = self.rank(pts);
        if self.shown.get(at).is_some_and(|other| other.source == pts) {
            return Err(Uncuttable::SameTime(number));
        }
        let own = || Shows { number: 0, times: vec![FrameTime { pts, duration: unit.duration }] };
        let Shows { number: frame, times } = shows.unwrap_or_else(own);
        let shown = times.into_iter().map(|time| Shown { time, source: pts, number: frame, unit: number });
        self.shown.splice(at..at, shown);
        if self.before_each + self.after_each > 0 || self.rate.is_some() {
            let at = self.around.partition_point(|(time, _)| *time < pts);
            self.around.insert(at, (pts, number));
        }
        Ok(())
    }

    /// How many frames are made of units before this time.
    fn rank(&self, pts: Nanos) -> usize {
        self.shown.partition_point(|shown| shown.source < pts)
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
        let known = if ended { self.shown.len() } else { self.settled() };
        let forced = self.forced.iter().map(|pts| self.rank(*pts)).find(|rank| (1..known).contains(rank));
        // What has to end there, whatever else.
        let end = forced.or((ended && known > 0).then_some(known));
        if let Some(cuts) = &self.cuts {
            let next = cuts.after(self.taken).and_then(|number| usize::try_from(number - self.taken).ok());
            return next.filter(|rank| *rank < end.unwrap_or(known)).or(end);
        }
        let reach = match self.mode {
            Mode::Fixed => 0,
            Mode::Keyframe | Mode::Scene => self.target / 2,
        };
        if let Some(end) = end.filter(|end| *end <= self.target) {
            return Some(end);
        }
        let limit = end.unwrap_or(known);
        if limit <= self.target {
            return None;
        }
        let (before, after) = self.places(limit);
        let nearest = |ranks: &mut dyn Iterator<Item = usize>| {
            ranks.filter(|rank| rank.abs_diff(self.target) <= reach).min_by_key(|rank| rank.abs_diff(self.target))
        };
        let may_be = |rank: &usize| (1..limit).contains(rank);
        let scene = match self.mode {
            Mode::Scene => nearest(&mut self.scenes.iter().map(|pts| self.rank(*pts)).filter(may_be)),
            Mode::Fixed | Mode::Keyframe => None,
        };
        // Before all is known where scenes may begin, a start is only the second best.
        let is_known = self.mode != Mode::Scene || end.is_some() || limit > self.target + reach;
        let near = scene.or_else(|| nearest(&mut [before, after].into_iter().flatten()).filter(|_| is_known));
        // Frames so far away could bring a nearer place.
        let nearer = near.map_or(reach, |rank| rank.abs_diff(self.target));
        if end.is_none() && limit <= self.target + nearer {
            return None;
        }
        let next = near.or_else(|| {
            let may_be_exact = match self.mode {
                Mode::Fixed | Mode::Scene => true,
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

    /// So many frames have the rank they are seen with, and all that their filters need of those behind them is there.
    fn settled(&self) -> usize {
        let Some(rate) = &self.rate else { return self.shown.len().saturating_sub(MOST_REORDERED + self.after_each) };
        let Some(frontier) = rate.frontier() else { return self.shown.len() };
        let there = self.around.partition_point(|(pts, _)| *pts < frontier);
        let needed = there.checked_sub(self.after_each).and_then(|at| self.around.get(at));
        match (self.after_each, needed) {
            (0, _) => self.rank(frontier),
            (_, Some((pts, _))) => self.rank(*pts),
            (_, None) => 0,
        }
    }

    /// The ranks of the starts before and after the frame with which a chunk should begin.
    fn places(&self, limit: usize) -> (Option<usize>, Option<usize>) {
        let Some(aim) = self.shown.get(self.target) else { return (None, None) };
        let at = self.starts.partition_point(|place| place.pts < aim.source);
        let rank = |at: usize| self.starts.get(at).map(|place| self.rank(place.pts)).filter(|r| (1..limit).contains(r));
        (at.checked_sub(1).and_then(rank), rank(at))
    }

    /// Takes the chunk of the next `frames` frames.
    fn take(&mut self, frames: usize) -> Option<Piece<T>> {
        let of: Vec<Shown> = self.shown.drain(..frames.min(self.shown.len())).collect();
        let (first, last) = (of.first()?.source, of.last()?.source);
        let after = self.around.partition_point(|(pts, _)| *pts <= last);
        let around = self.around.get(self.reach(first)..self.around.len().min(after + self.after_each));
        let around = around.unwrap_or_default();
        let from = around.first().map_or(first, |(pts, _)| *pts);
        let end = of.iter().map(|shown| shown.unit).chain(around.iter().map(|(_, unit)| *unit)).max()? + 1;
        // Some of the frames may be dropped by what comes next, however early the chunk ends.
        let next = self.units.iter().skip(usize::try_from(end.saturating_sub(self.base)).unwrap_or(0));
        let dropping = (end..).zip(next).take(MOST_REORDERED).find(|(_, (unit, _))| unit.drops);
        let end = dropping.map_or(end, |(number, _)| number + 1);
        let start = self.starts.iter().rev().find(|place| place.pts <= from).copied();
        let units: Vec<&(Unit, T)> = (self.base..)
            .zip(&self.units)
            .skip_while(|(number, _)| start.is_some_and(|start| *number < start.unit))
            .take_while(|(number, _)| *number < end)
            .map(|(_, unit)| unit)
            // Leading pictures need what came before the start.
            .filter(|(unit, _)| start.zip(unit.pts).is_none_or(|(start, pts)| pts >= start.pts))
            .collect();
        let number = |rank: u64, shown: &Shown| if self.rate.is_some() { shown.number } else { self.taken + rank };
        let is_shown = |pts: &Nanos| of.binary_search_by_key(pts, |shown| shown.source).is_ok();
        let piece = Piece {
            units: units.into_iter().map(|(_, payload)| payload.clone()).collect(),
            start: start.map(|start| start.start),
            frames: of.iter().map(|shown| shown.time).collect(),
            sources: (0..).zip(&of).map(|(n, s)| Source { pts: s.source, number: number(n, s) }).collect(),
            context: around.iter().map(|(pts, _)| *pts).filter(|pts| !is_shown(pts)).collect(),
        };
        self.taken += of.len() as u64;
        self.around.drain(..after.saturating_sub(self.before_each + 1));
        self.done = Some(last);
        self.forced = self.forced.split_off(&(last + 1));
        self.scenes = self.scenes.split_off(&(last + 1));
        self.forget();
        Some(piece)
    }

    /// Where the frames begin that those from `pts` on need, in `around`.
    fn reach(&self, pts: Nanos) -> usize {
        self.around.partition_point(|(time, _)| *time < pts).saturating_sub(self.before_each)
    }

    /// Lets go of the units that no chunk to come can need: those before the last start that is at or before its first
    /// frame.
    fn forget(&mut self) {
        // With none, leading pictures of the last start may follow.
        let last = self.starts.iter().rev().nth(1).map_or(0, |place| place.pts);
        let next = self.shown.first().map_or(last, |shown| shown.source);
        let next = self.around.get(self.reach(next)).map_or(next, |(pts, _)| next.min(*pts));
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
mod tests;
