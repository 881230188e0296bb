//! Compressed video on the sink pad: which units make which chunk, before any of them is decoded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use super::model::{CodedChunk, FrameInfo, Mark};
use super::scout::{Look, Scout, Survey};
use crate::chunk::{
    Cuts, Fields, Fps, FrameTime, Handover, Mode, Nanos, Needs, Obstacles, Piece, Preface, Ranges, Start, Syntax, Told,
    Uncuttable, Unit,
};
use crate::lane::{CodedUnit, DecoderSpec, LaneError, Wanted, WantedFrame, fields_of};
use crate::store::{Kept, Store};

/// Each unit has to be whole: a frame, or what is decoded with one.
const CAPS: &str = "\
    video/x-h264, stream-format={avc,avc3,byte-stream}, alignment=au; \
    video/x-h265, stream-format={hvc1,hev1,byte-stream}, alignment=au; \
    video/x-av1, stream-format=obu-stream, alignment=tu; video/x-vp8; video/x-vp9; \
    video/mpeg, mpegversion={1,2}, systemstream=false, parsed=true; \
    video/mpeg, mpegversion=4, systemstream=false, parsed=true; \
    video/x-theora; image/jpeg, parsed=true; video/x-prores; video/x-dnxhd; video/x-ffv";

/// What can come in besides raw frames.
pub(super) fn caps() -> gst::Caps {
    CAPS.parse().unwrap_or_else(|_| unreachable!("the text is static"))
}

/// Why units cannot be cut.
#[derive(Debug, Error)]
pub(super) enum Unfit {
    #[error(transparent)]
    Uncuttable(#[from] Uncuttable),
    #[error("a packet cannot be kept in {0}: {1}")]
    Unkept(String, String),
    #[error("where scenes begin cannot be found: {0}")]
    Scenes(LaneError),
    #[error("key frames are too far apart: {0} packets that belong together are more than max-buffered-bytes ({1})")]
    TooLarge(usize, u64),
}

/// A unit, and what goes before it where it is a chunk's first.
#[derive(Debug, Clone)]
pub(super) struct Held {
    unit: Kept,
    preface: Option<Before>,
}

#[derive(Debug, Clone)]
enum Before {
    Bytes(gst::Memory),
    Units(Vec<gst::Buffer>),
}

impl From<Told> for Before {
    fn from(told: Told) -> Self {
        match told {
            Told::Within(bytes) => Self::Bytes(gst::Memory::from_slice(bytes)),
            Told::Before(units) => Self::Units(units.into_iter().map(gst::Buffer::from_slice).collect()),
        }
    }
}

impl From<Kept> for Held {
    fn from(unit: Kept) -> Self {
        Self { unit, preface: None }
    }
}

impl Held {
    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        self.unit.size()
    }

    /// The units that a chunk begins with.
    fn first(self, start: Option<Start>) -> Vec<CodedUnit> {
        let starts = start.is_some();
        let (preface, before) = match self.preface {
            Some(Before::Bytes(bytes)) => (Some(bytes), Vec::new()),
            Some(Before::Units(units)) => (None, units),
            None => (None, Vec::new()),
        };
        let before = before.into_iter().map(|unit| CodedUnit::from(Kept::whole(unit)));
        before.chain([CodedUnit { kept: self.unit, preface, starts }]).collect()
    }
}

/// Gathers units until they are chunks.
#[derive(Debug)]
pub(super) struct Coded {
    syntax: Option<Syntax>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    /// For how long a frame is shown, where its unit does not say.
    usual: Option<gst::ClockTime>,
    target: u64,
    mode: Mode,
    /// The most bytes that units may have before they are in a chunk.
    most: u64,
    needs: Needs,
    cuts: Option<Cuts>,
    ranges: Ranges<Held>,
    /// What units wait for before they are cut, where that is done by scenes.
    scout: Option<Scout>,
    /// Bytes of each unit that is held, and of all.
    sizes: VecDeque<u64>,
    bytes: u64,
    preface: Preface,
    fields: Fields,
    /// What stands before the frames of these times.
    marks: BTreeMap<Nanos, Vec<Mark>>,
    /// What stands before the next frame that comes.
    pending: Vec<Mark>,
    /// What was asked for at the first frame of this time or later.
    asked: BTreeMap<Nanos, Mark>,
    latest: Option<Nanos>,
    handover: Handover,
    obstacles: Obstacles,
}

impl Coded {
    /// For chunks of about `target` frames, to which this is done, and whose units have at most so many bytes.
    pub(super) fn new(target: u64, mode: Mode, needs: Needs, most: u64) -> Self {
        Self {
            syntax: None,
            segment: gst::FormattedSegment::new(),
            usual: None,
            target,
            mode,
            needs,
            most,
            cuts: None,
            ranges: Ranges::new(target, mode).needing(needs),
            scout: None,
            sizes: VecDeque::new(),
            bytes: 0,
            preface: Preface::default(),
            fields: Fields::default(),
            marks: BTreeMap::new(),
            pending: Vec::new(),
            asked: BTreeMap::new(),
            latest: None,
            handover: Handover::default(),
            obstacles: Obstacles::default(),
        }
    }

    /// Chunks begin where these say, if there are any, in place of after about so many frames.
    pub(super) fn at(self, cuts: Option<Cuts>) -> Self {
        Self { ranges: self.ranges.at(cuts.clone()), cuts, ..self }
    }

    /// Scenes are looked for, in so many stretches at once.
    pub(super) fn with_scouts(self, most: usize) -> Self {
        Self { scout: Some(Scout::new(most)), ..self }
    }

    /// How units of these caps are laid out; an error says why they cannot be cut.
    pub(super) fn syntax(caps: &gst::Caps) -> Result<(DecoderSpec, Syntax), String> {
        let decoder = DecoderSpec::of(caps).ok_or_else(|| format!("nothing that is installed decodes {caps}"))?;
        let syntax = decoder.syntax();
        syntax.map(|syntax| (decoder, syntax)).ok_or_else(|| format!("{caps} cannot be cut before it is decoded"))
    }

    /// Units that follow are laid out so, and their frames are usually shown for so long.
    pub(super) fn becomes(&mut self, caps: &gst::Caps, syntax: Syntax, usual: Option<gst::ClockTime>) {
        (self.syntax, self.usual) = (Some(syntax), usual);
        self.fields = fields_of(caps);
    }

    /// The segment of what follows.
    pub(super) fn moves_to(&mut self, segment: gst::FormattedSegment<gst::ClockTime>) {
        if let Some(fps) = self.needs.fps {
            self.ranges.moves_to(within(fps, &segment));
        }
        self.segment = segment;
    }

    /// Whether decoding may start at a unit of this syntax.
    pub(super) fn starts(syntax: Syntax, unit: &gst::BufferRef) -> bool {
        unit.map_readable().is_ok_and(|bytes| syntax.starts(&bytes))
    }

    /// The frame at `time`, or the first one after it, begins a chunk; with no time, the next one that comes.
    pub(super) fn ask(&mut self, time: Option<Nanos>, mark: Mark) {
        // The segment may begin within the first frame.
        let time = match time {
            Some(time) if self.segment.start().is_some_and(|start| time <= start.nseconds()) => 0,
            Some(time) => time,
            None => self.latest.map_or(0, |latest| latest + 1),
        };
        // How many chunks there are by now is chance where scenes are looked for.
        let next = self.scout.as_ref().and(self.latest).map_or(0, |latest| latest + 1);
        let time = self.ranges.force(time.max(next));
        self.asked.insert(time, mark);
    }

    /// Takes the next unit, in decode order, which waits in the store. Returns the chunks that are whole now.
    pub(super) fn push(
        &mut self,
        mut unit: gst::Buffer,
        store: &Arc<Store>,
        look: Look<'_>,
    ) -> Result<Vec<CodedChunk>, Unfit> {
        let (signs, preface, is_field) = match (self.syntax, unit.map_readable()) {
            (Some(syntax), Ok(bytes)) => {
                if let Some(obstacle) = self.obstacles.pass(syntax, &bytes) {
                    return Err(obstacle.into());
                }
                let signs = syntax.signs(&bytes);
                let starts = signs.is_some_and(|signs| signs.start.is_some());
                (signs, self.preface.pass(syntax, &bytes, starts), self.fields.pass(syntax, &bytes))
            }
            _ => (None, None, false),
        };
        let shows_nothing = signs.is_some_and(|signs| signs.shown == 0);
        let pts = self.handover.pass(unit.pts().map(gst::ClockTime::nseconds), shows_nothing);
        if unit.pts().is_none() && pts.is_some() {
            unit.make_mut().set_pts(pts.map(gst::ClockTime::from_nseconds));
        }
        let duration = unit.duration().or(self.usual);
        let is_shown = !unit.flags().contains(gst::BufferFlags::DECODE_ONLY);
        let wanted = is_shown && unit.pts().is_none_or(|pts| self.clip(pts, duration).is_some());
        let known = Unit::new(pts, duration.map(gst::ClockTime::nseconds), signs);
        let known = Unit { is_field, wanted, ..known };
        if let Some(pts) = pts.filter(|_| known.shown > 0 && wanted) {
            self.latest = self.latest.max(Some(pts));
            if !self.pending.is_empty() {
                self.marks.entry(pts).or_default().append(&mut self.pending);
            }
        }
        let kept = store
            .keep(unit)
            .map_err(|error| Unfit::Unkept(std::env::temp_dir().display().to_string(), error.to_string()))?;
        let held = Held { unit: kept, preface: preface.map(Before::from) };
        match &mut self.scout {
            Some(scout) => {
                scout.push(held, known, look)?;
                self.settle(false)
            }
            None => self.cut([(held, known)]),
        }
    }

    /// What has to be waited for, without the lock on this, before [`Self::settle`]: of scenes that are looked for too
    /// much, or `all`.
    pub(super) fn awaited(&self, all: bool) -> Option<Arc<Survey>> {
        self.scout.as_ref()?.awaited(all, self.most)
    }

    /// The chunks that are whole now that more is known of scenes; where the input `has_ended`, nothing is held back.
    pub(super) fn settle(&mut self, has_ended: bool) -> Result<Vec<CodedChunk>, Unfit> {
        let Some(scout) = &mut self.scout else { return Ok(Vec::new()) };
        let settled = scout.settled(has_ended).map_err(Unfit::Scenes)?;
        self.cut(settled)
    }

    /// No more units come for now, and what follows `needs` what was before it, or does not: what is left is looked
    /// through.
    pub(super) fn conclude(&mut self, needs: bool, look: Look<'_>) {
        if let Some(scout) = &mut self.scout {
            scout.end(needs, look);
        }
    }

    fn cut(&mut self, units: impl IntoIterator<Item = (Held, Unit)>) -> Result<Vec<CodedChunk>, Unfit> {
        let mut pieces = Vec::new();
        for (held, unit) in units {
            let size = held.size();
            pieces.extend(self.ranges.push(held, unit)?);
            self.sizes.push_back(size);
            self.bytes += size;
            // One by one, and without those that wait for a scout: it depends on the units alone where chunks end.
            while self.held() > self.most {
                match self.ranges.relieve() {
                    Some(piece) => pieces.push(piece),
                    None => return Err(Unfit::TooLarge(self.sizes.len(), self.most)),
                }
            }
        }
        Ok(pieces.into_iter().map(|piece| self.chunk(piece)).collect())
    }

    /// Bytes of the units that are in no chunk yet, or that later ones need as well.
    fn held(&mut self) -> u64 {
        let gone = self.sizes.len().saturating_sub(self.ranges.held());
        self.bytes -= self.sizes.drain(..gone).sum::<u64>();
        self.bytes
    }

    /// When the first frame is shown that is in no chunk yet; where scenes are looked for, which takes chance times, the last
    /// that has come.
    pub(super) fn since(&self) -> Option<Nanos> {
        if self.scout.is_some() { self.latest } else { self.ranges.since() }
    }

    /// How much later than those before it the frame of this time is shown.
    pub(super) fn step(&self, pts: gst::ClockTime) -> Option<gst::ClockTime> {
        pts.checked_sub(gst::ClockTime::from_nseconds(self.latest?)).filter(|step| !step.is_zero())
    }

    /// Takes what keeps its place among the frames; gives it back where no frame is before it any more.
    pub(super) fn mark(&mut self, mark: Mark) -> Option<Mark> {
        let none_waits = self.ranges.waiting() == 0 && self.scout.as_ref().is_none_or(Scout::is_empty);
        if none_waits && self.pending.is_empty() {
            return Some(mark);
        }
        self.pending.push(mark);
        None
    }

    /// All that is left: chunks, and what stands behind them.
    pub(super) fn finish(&mut self) -> (Vec<CodedChunk>, Vec<Mark>) {
        let pieces = self.ranges.finish();
        self.end(pieces)
    }

    /// The same where what follows may need the units that were before it.
    pub(super) fn split(&mut self) -> (Vec<CodedChunk>, Vec<Mark>) {
        let pieces = self.ranges.split();
        self.end(pieces)
    }

    /// The same where nothing is shown for so long that nobody should wait for it, if frames can end there.
    pub(super) fn pause(&mut self) -> (Vec<CodedChunk>, Vec<Mark>) {
        self.ranges.pause().map(|pieces| self.end(pieces)).unwrap_or_default()
    }

    fn end(&mut self, pieces: Vec<Piece<Held>>) -> (Vec<CodedChunk>, Vec<Mark>) {
        let chunks = pieces.into_iter().map(|piece| self.chunk(piece)).collect();
        let left = std::mem::take(&mut self.marks).into_values().flatten();
        let left = left.chain(std::mem::take(&mut self.pending)).collect();
        self.asked.clear();
        (self.latest, self.handover, self.obstacles) = (None, Handover::default(), Obstacles::default());
        (chunks, left)
    }

    /// After a flush: what the stream has told once stays known.
    pub(super) fn after_flush(self) -> Self {
        let Self { syntax, usual, preface, fields, target, mode, needs, most, cuts, scout, .. } = self;
        let scout = scout.map(|scout| scout.after_flush());
        Self { syntax, usual, preface, fields, scout, ..Self::new(target, mode, needs, most).at(cuts) }
    }

    /// When a frame is shown, and for how long, of what is in the segment.
    fn clip(&self, pts: gst::ClockTime, duration: Option<gst::ClockTime>) -> Option<FrameTime> {
        let end = duration.and_then(|d| pts.checked_add(d)).filter(|end| end.nseconds() < u64::MAX - 1);
        // What nothing tells to last until the segment begins does not, or all that is decoded before would be shown there.
        if end.is_none() && self.segment.start().is_some_and(|start| pts < start) {
            return None;
        }
        let (start, stop) = self.segment.clip(pts, end)?;
        let start = start.unwrap_or(pts);
        let duration = duration.and_then(|d| stop.map_or(Some(d), |stop| stop.checked_sub(start)));
        Some(FrameTime { pts: start.nseconds(), duration: duration.map(gst::ClockTime::nseconds) })
    }

    fn chunk(&mut self, piece: Piece<Held>) -> CodedChunk {
        let Piece { units, start, frames, sources, context } = piece;
        let shown = |time: &FrameTime| {
            let (pts, duration) = (gst::ClockTime::from_nseconds(time.pts), time.duration);
            // Ticks are where they are.
            let clipped =
                self.clip(pts, duration.map(gst::ClockTime::from_nseconds)).filter(|_| self.needs.fps.is_none());
            clipped.unwrap_or(*time)
        };
        let shown: Vec<FrameTime> = frames.iter().map(shown).collect();
        let wanted = sources.iter().zip(&shown).map(|(own, time)| WantedFrame {
            pts: own.pts,
            shown: time.pts,
            length: time.duration.filter(|_| self.needs.fps.is_some()),
            number: own.number,
        });
        let wanted = Wanted::new(start, wanted.collect(), context);
        let mut infos: Vec<FrameInfo> = sources
            .iter()
            .zip(shown)
            .map(|(own, time)| {
                // What stands before frames that are left out stands before the next one that is not.
                let later = self.marks.split_off(&(own.pts + 1));
                let marks = std::mem::replace(&mut self.marks, later).into_values().flatten();
                FrameInfo { time, marks: marks.collect() }
            })
            .collect();
        if let Some((first, own)) = infos.first_mut().zip(sources.first()) {
            // One key frame answers all that were asked for until then.
            let later = self.asked.split_off(&(own.pts.max(first.time.pts) + 1));
            let answered = std::mem::replace(&mut self.asked, later);
            first.marks.extend(answered.into_values().next_back());
        }
        CodedChunk { wanted, frames: infos, units: coded_units(units, start) }
    }
}

/// Units that are decoded from the first of them on, which is a start of this kind, if any.
pub(super) fn coded_units(units: Vec<Held>, start: Option<Start>) -> Vec<CodedUnit> {
    let mut held = units.into_iter();
    let mut units = held.next().map(|held| held.first(start)).unwrap_or_default();
    units.extend(held.map(|held| CodedUnit::from(held.unit)));
    units
}

/// Ticks count in running time: the same in the time stamps of a segment.
pub fn within(fps: Fps, segment: &gst::FormattedSegment<gst::ClockTime>) -> Fps {
    let ns = |time: Option<gst::ClockTime>| time.map_or(0, |t| i64::try_from(t.nseconds()).unwrap_or(i64::MAX));
    let starts = ns(segment.start()).saturating_add(ns(segment.offset()));
    fps.from(fps.origin().saturating_add(starts).saturating_sub(ns(segment.base())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_before_the_segment_is_shown_in_it_only_where_it_is_known_to_last_so_long() {
        gst::init().unwrap();
        let mut coded = Coded::new(10, Mode::Fixed, Needs::default(), u64::MAX);
        let mut segment = gst::FormattedSegment::new();
        segment.set_start(gst::ClockTime::from_seconds(10));
        coded.moves_to(segment);
        let ms = gst::ClockTime::from_mseconds;
        let shown = |pts, duration: Option<u64>| coded.clip(ms(pts), duration.map(ms)).map(|time| time.pts / 1_000_000);
        assert_eq!(shown(9_980, Some(40)), Some(10_000));
        assert_eq!(shown(9_980, Some(20)), None);
        assert_eq!(shown(9_980, None), None);
        assert_eq!(shown(10_000, None), Some(10_000));
    }
}
