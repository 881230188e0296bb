//! Compressed video on the sink pad: which units make which chunk, before any of them is decoded.

use std::collections::BTreeMap;

use super::model::{CodedChunk, FrameInfo, Mark};
use crate::chunk::{Fields, FrameTime, Mode, Nanos, Piece, Preface, Ranges, Syntax, Uncuttable, Unit};
use crate::lane::{DecoderSpec, Wanted, WantedFrame, fields_of};

/// Each unit has to be whole: a frame, or what is decoded with one.
const CAPS: &str = "\
    video/x-h264, stream-format={avc,avc3,byte-stream}, alignment=au; \
    video/x-h265, stream-format={hvc1,hev1,byte-stream}, alignment=au; \
    video/x-av1, alignment=tu; video/x-vp8; video/x-vp9; \
    video/mpeg, mpegversion={1,2}, systemstream=false, parsed=true; \
    video/mpeg, mpegversion=4, systemstream=false, parsed=true; \
    image/jpeg; video/x-prores; video/x-dnxhd; video/x-ffv";

/// What can come in besides raw frames.
pub(super) fn caps() -> gst::Caps {
    CAPS.parse().unwrap_or_else(|_| unreachable!("the text is static"))
}

/// A unit, and what goes before it where it is a chunk's first.
#[derive(Debug, Clone)]
struct Held {
    unit: gst::Buffer,
    preface: Option<gst::Memory>,
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
    ranges: Ranges<Held>,
    preface: Preface,
    fields: Fields,
    /// What stands before the frames of these times.
    marks: BTreeMap<Nanos, Vec<Mark>>,
    /// What stands before the next frame that comes.
    pending: Vec<Mark>,
    /// What was asked for at the first frame of this time or later.
    asked: BTreeMap<Nanos, Mark>,
    latest: Nanos,
}

impl Coded {
    /// For chunks of about `target` frames.
    pub(super) fn new(target: u64, mode: Mode) -> Self {
        Self {
            syntax: None,
            segment: gst::FormattedSegment::new(),
            usual: None,
            target,
            mode,
            ranges: Ranges::new(target, mode),
            preface: Preface::default(),
            fields: Fields::default(),
            marks: BTreeMap::new(),
            pending: Vec::new(),
            asked: BTreeMap::new(),
            latest: 0,
        }
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
        self.segment = segment;
    }

    /// Whether decoding may start at a unit of this syntax.
    pub(super) fn starts(syntax: Syntax, unit: &gst::BufferRef) -> bool {
        let signs = unit.map_readable().ok().and_then(|bytes| syntax.signs(&bytes));
        signs.is_some_and(|signs| signs.start.is_some())
    }

    /// The frame at `time`, or the first one after it, begins a chunk; with no time, the next one that comes.
    pub(super) fn ask(&mut self, time: Option<Nanos>, mark: Mark) {
        let time = self.ranges.force(time.unwrap_or(self.latest + 1));
        self.asked.insert(time, mark);
    }

    /// Takes the next unit, in decode order. Returns the chunks that are whole now.
    pub(super) fn push(&mut self, unit: gst::Buffer) -> Result<Vec<CodedChunk>, Uncuttable> {
        let (signs, preface, is_field) = match (self.syntax, unit.map_readable()) {
            (Some(syntax), Ok(bytes)) => {
                let signs = syntax.signs(&bytes);
                let starts = signs.is_some_and(|signs| signs.start.is_some());
                (signs, self.preface.pass(syntax, &bytes, starts), self.fields.pass(syntax, &bytes))
            }
            _ => (None, None, false),
        };
        let pts = unit.pts().map(gst::ClockTime::nseconds);
        let duration = unit.duration().or(self.usual);
        let is_shown = !unit.flags().contains(gst::BufferFlags::DECODE_ONLY);
        let wanted = is_shown && unit.pts().is_none_or(|pts| self.clip(pts, duration).is_some());
        let known = Unit {
            pts,
            duration: duration.map(gst::ClockTime::nseconds),
            start: signs.and_then(|signs| signs.start),
            shown: signs.map_or(0, |signs| signs.shown),
            is_field,
            wanted,
        };
        if let Some(pts) = pts.filter(|_| known.shown > 0 && wanted) {
            self.latest = self.latest.max(pts);
            if !self.pending.is_empty() {
                self.marks.entry(pts).or_default().append(&mut self.pending);
            }
        }
        let held = Held { unit, preface: preface.map(gst::Memory::from_slice) };
        let pieces = self.ranges.push(held, known)?;
        Ok(pieces.into_iter().map(|piece| self.chunk(piece)).collect())
    }

    /// Takes what keeps its place among the frames; gives it back where no frame is before it any more.
    pub(super) fn mark(&mut self, mark: Mark) -> Option<Mark> {
        if self.ranges.waiting() == 0 && self.pending.is_empty() {
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

    fn end(&mut self, pieces: Vec<Piece<Held>>) -> (Vec<CodedChunk>, Vec<Mark>) {
        let chunks = pieces.into_iter().map(|piece| self.chunk(piece)).collect();
        let left = std::mem::take(&mut self.marks).into_values().flatten();
        let left = left.chain(std::mem::take(&mut self.pending)).collect();
        self.asked.clear();
        self.latest = 0;
        (chunks, left)
    }

    /// After a flush: what the stream has told once stays known.
    pub(super) fn after_flush(self) -> Self {
        let Self { syntax, usual, preface, fields, target, mode, .. } = self;
        Self { syntax, usual, preface, fields, ..Self::new(target, mode) }
    }

    /// When a frame is shown, and for how long, of what is in the segment.
    fn clip(&self, pts: gst::ClockTime, duration: Option<gst::ClockTime>) -> Option<FrameTime> {
        let end = duration.and_then(|d| pts.checked_add(d)).filter(|end| end.nseconds() < u64::MAX - 1);
        let (start, stop) = self.segment.clip(pts, end)?;
        let start = start.unwrap_or(pts);
        let duration = duration.and_then(|d| stop.map_or(Some(d), |stop| stop.checked_sub(start)));
        Some(FrameTime { pts: start.nseconds(), duration: duration.map(gst::ClockTime::nseconds) })
    }

    fn chunk(&mut self, piece: Piece<Held>) -> CodedChunk {
        let Piece { units, start, frames } = piece;
        let shown = |time: &FrameTime| {
            let (pts, duration) = (gst::ClockTime::from_nseconds(time.pts), time.duration);
            self.clip(pts, duration.map(gst::ClockTime::from_nseconds)).unwrap_or(*time)
        };
        let shown: Vec<FrameTime> = frames.iter().map(shown).collect();
        let wanted = frames.iter().zip(&shown).map(|(own, shown)| WantedFrame { pts: own.pts, shown: shown.pts });
        let wanted = Wanted::new(start, wanted.collect());
        let mut infos: Vec<FrameInfo> = frames
            .iter()
            .zip(shown)
            .map(|(own, time)| FrameInfo { time, marks: self.marks.remove(&own.pts).unwrap_or_default() })
            .collect();
        if let Some(first) = infos.first_mut() {
            // One key frame answers all that were asked for until then.
            let later = self.asked.split_off(&(first.time.pts + 1));
            let answered = std::mem::replace(&mut self.asked, later);
            first.marks.extend(answered.into_values().next_back());
        }
        let units = units
            .into_iter()
            .enumerate()
            .map(|(i, held)| match held.preface.filter(|_| i == 0) {
                Some(preface) => {
                    let mut whole = held.unit;
                    whole.make_mut().prepend_memory(preface);
                    whole
                }
                None => held.unit,
            })
            .collect();
        CodedChunk { wanted, frames: infos, units }
    }
}
