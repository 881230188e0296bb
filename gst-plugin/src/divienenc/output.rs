//! From chunks' results to what leaves the source pad: stitched times, mended units, events in their places.

use std::collections::VecDeque;
use std::sync::Arc;

use thiserror::Error;

use super::imp::CAT;
use super::model::{Finished, FrameInfo, Mark, Section};
use crate::lane::coding;
use crate::stitch::headers::{Codec, HeaderError, Joiner, Position};
use crate::stitch::{MOST_DEPTH, Place, Timeline, TimelineError, UnitTime};
use crate::store::Kept;

/// GStreamer encoders that reorder shift their time stamps by this, so that no decode time is negative.
const SHIFT: u64 = 1000 * 3600 * 1_000_000_000;

/// More than any stream says before its first frame.
const MOST_DEFERRED: usize = 1024;

/// Why a result cannot be joined to the stream.
#[derive(Debug, Error)]
pub(super) enum JoinError {
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    #[error(transparent)]
    Headers(#[from] HeaderError),
    #[error("its caps are {0}, those of the first chunk {1}")]
    Caps(gst::Caps, gst::Caps),
    #[error("its first unit is no key frame")]
    NoKeyFrame,
    #[error("a unit could not be read")]
    Unreadable,
    #[error("a unit could not be read where it waited: {0}")]
    Lost(#[from] std::io::Error),
}

/// One thing to push.
#[derive(Debug)]
pub(super) enum Out {
    Event(gst::Event),
    Unit(gst::Buffer),
}

/// Writes the stream, chunk after chunk.
#[derive(Debug, Default)]
pub(super) struct Writer {
    section: Option<Current>,
    timeline: Timeline,
    epoch: u64,
    shift: u64,
    segment: Option<(gst::FormattedSegment<gst::ClockTime>, gst::Seqnum)>,
    segment_sent: bool,
    /// The running time of the last decode time, as [`Self::running_time`] has it.
    last_running: Option<gst::ClockTime>,
    /// Marks that came before the caps and segment they have to follow.
    deferred: VecDeque<Mark>,
    upstream_tags: Option<gst::TagList>,
    encoder_tags: Option<gst::TagList>,
    started: bool,
}

#[derive(Debug)]
struct Current {
    section: Arc<Section>,
    caps: gst::Caps,
    codec: Codec,
    joiner: Joiner,
    headers: Vec<Vec<u8>>,
    declared: usize,
    /// Every unit is a picture of its own, whatever its flags say.
    is_image: bool,
    frames: u64,
}

impl Writer {
    /// A writer for what comes after a flush: tags stay as they are.
    pub(super) fn after_flush(&mut self) -> Self {
        Self { upstream_tags: self.upstream_tags.take(), ..Self::default() }
    }

    /// What a mark between chunks becomes.
    pub(super) fn mark(&mut self, mark: Mark) -> Vec<Out> {
        if let Mark::Event(event) = &mark {
            match event.view() {
                gst::EventView::StreamStart(_) => {
                    self.started = false;
                    self.last_running = None;
                    self.upstream_tags = None;
                    return vec![Out::Event(event.clone())];
                }
                gst::EventView::Segment(segment) => {
                    if let Some(time) = segment.segment().downcast_ref::<gst::ClockTime>() {
                        self.segment = Some((time.clone(), event.seqnum()));
                        self.segment_sent = false;
                    }
                    return Vec::new();
                }
                _ => {}
            }
        }
        self.defer(mark);
        // The first chunk brings the caps, and they come before everything else.
        if self.section.is_some() { self.finish() } else { Vec::new() }
    }

    /// What is left to say.
    pub(super) fn finish(&mut self) -> Vec<Out> {
        let mut out = Vec::new();
        self.push_segment(&mut out);
        self.push_deferred(&mut out);
        out
    }

    /// A chunk's units and the events among them.
    pub(super) fn chunk(&mut self, finished: Finished) -> Result<Vec<Out>, JoinError> {
        let Finished { section, frames, encoded, .. } = finished;
        let units: Vec<gst::Buffer> = encoded.units.iter().map(Kept::unit).collect::<Result<_, _>>()?;
        if section.epoch != self.epoch {
            self.timeline = self.last_decoded().map_or_else(Timeline::default, Timeline::after);
            self.epoch = section.epoch;
        }
        let is_new = self.section.as_ref().is_none_or(|c| c.section.number != section.number);
        let mut current = match self.section.take() {
            Some(current) if !is_new => current,
            before => Current::begin(section, before.map(|c| c.joiner), (&encoded.caps, &units), &frames)?,
        };
        if current.caps != encoded.caps {
            return Err(JoinError::Caps(encoded.caps, current.caps));
        }
        let headers: Vec<gst::Buffer> = units.iter().filter(|u| is_header(u)).cloned().collect();
        let units = current.frame_units(units)?;
        let times: Vec<_> = units.iter().map(|(_, time)| *time).collect();
        let frame_times: Vec<_> = frames.iter().map(|f| f.time).collect();
        let places = self.timeline.place(&frame_times, &times, current.declared)?;
        self.last_running = places.last().and_then(|p| self.running_time(p.dts));

        let mut out = Vec::with_capacity(units.len() + 4);
        if is_new {
            out.push(Out::Event(gst::event::Caps::new(&current.caps)));
            let shift = if encoded.segment_start > 0 || self.timeline.depth() > 0 { SHIFT } else { 0 };
            self.segment_sent &= shift == self.shift;
            self.shift = shift;
            self.push_segment(&mut out);
            let said = self.encoder_tags.is_some();
            self.encoder_tags = encoded.tags.or(self.encoder_tags.take());
            if !said {
                out.extend(self.merged_tags().map(Out::Event));
            }
            out.extend(headers.into_iter().map(Out::Unit));
        } else {
            self.push_segment(&mut out);
        }
        self.push_deferred(&mut out);
        self.push_units(&mut out, &mut current, frames, units, &places)?;
        self.section = Some(current);
        Ok(out)
    }

    fn push_units(
        &mut self,
        out: &mut Vec<Out>,
        current: &mut Current,
        frames: Vec<FrameInfo>,
        units: Vec<(gst::Buffer, UnitTime)>,
        places: &[Place],
    ) -> Result<(), JoinError> {
        let frames_before = current.frames;
        current.frames += frames.len() as u64;
        let mut marks = frames.into_iter().map(|f| (f.time.pts, f.marks)).enumerate().peekable();
        for (n, ((unit, _), place)) in units.into_iter().zip(places).enumerate() {
            while let Some((_, (pts, frame_marks))) = marks.next_if(|(rank, _)| *rank <= place.rank) {
                for mark in frame_marks {
                    out.extend(self.place_mark(mark, Some(pts)).map(Out::Event));
                }
            }
            let key = current.is_image || !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
            if n == 0 && !key {
                return Err(JoinError::NoKeyFrame);
            }
            let at = Position { start: n == 0, key, frames_before };
            let mut unit = current.mend(unit, at)?;
            let writable = unit.make_mut();
            writable.set_pts(gst::ClockTime::from_nseconds(place.pts + self.shift));
            let dts = u64::try_from(place.dts.saturating_add_unsigned(self.shift)).unwrap_or(0);
            writable.set_dts(gst::ClockTime::from_nseconds(dts));
            writable.set_duration(place.duration.map(gst::ClockTime::from_nseconds));
            if self.started {
                writable.unset_flags(gst::BufferFlags::DISCONT);
            } else {
                writable.set_flags(gst::BufferFlags::DISCONT);
            }
            self.started = true;
            out.push(Out::Unit(unit));
        }
        Ok(())
    }

    fn push_segment(&mut self, out: &mut Vec<Out>) {
        if self.segment_sent {
            return;
        }
        let Some((segment, seqnum)) = &self.segment else { return };
        let segment = shifted(segment, self.shift);
        out.push(Out::Event(gst::event::Segment::builder(&segment).seqnum(*seqnum).build()));
        self.segment_sent = true;
    }

    /// The running time of a decode time, late enough never to be negative.
    fn running_time(&self, dts: i64) -> Option<gst::ClockTime> {
        let late = u64::try_from(dts.checked_add_unsigned(SHIFT)?).ok()?;
        let (segment, _) = self.segment.as_ref()?;
        late_running(segment).to_running_time_full(gst::ClockTime::from_nseconds(late))?.positive()
    }

    /// The last decode time, as the segment that follows counts.
    fn last_decoded(&self) -> Option<i64> {
        let (segment, _) = self.segment.as_ref()?;
        let late = late_running(segment).position_from_running_time_full(self.last_running?)?.positive()?;
        i64::try_from(late.nseconds()).ok()?.checked_sub_unsigned(SHIFT)
    }

    /// However long the first frame is waited for, no more than [`MOST_DEFERRED`] events wait for it: gaps in a row are
    /// one, and of the others the oldest go.
    fn defer(&mut self, mark: Mark) {
        if let (Some(Mark::Event(before)), Mark::Event(after)) = (self.deferred.back_mut(), &mark)
            && let Some(one) = one_gap(before, after)
        {
            *before = one;
            return;
        }
        if self.deferred.len() >= MOST_DEFERRED
            && let Some(oldest) = self.deferred.pop_front()
        {
            gst::warning!(CAT, "too many events before the first frame, so this one is lost: {oldest:?}");
            // Tags still go into those that follow.
            let _ = self.place_mark(oldest, None);
        }
        self.deferred.push_back(mark);
    }

    fn push_deferred(&mut self, out: &mut Vec<Out>) {
        for mark in std::mem::take(&mut self.deferred) {
            out.extend(self.place_mark(mark, None).map(Out::Event));
        }
    }

    /// The event that a mark before the frame with this presentation time becomes.
    fn place_mark(&mut self, mark: Mark, pts: Option<u64>) -> Option<gst::Event> {
        match mark {
            Mark::Event(event) => match event.view() {
                gst::EventView::Tag(tag) if tag.tag().scope() == gst::TagScope::Stream => {
                    self.upstream_tags = Some(tag.tag_owned());
                    self.merged_tags()
                }
                gst::EventView::Gap(gap) if self.shift > 0 => {
                    let (time, duration) = gap.get();
                    let time = time.saturating_add(gst::ClockTime::from_nseconds(self.shift));
                    Some(gst::event::Gap::builder(time).duration(duration).seqnum(event.seqnum()).build())
                }
                _ => Some(event),
            },
            Mark::ForceKeyUnit { all_headers, count } => {
                let pts = gst::ClockTime::from_nseconds(pts?);
                let segment = self.segment.as_ref().map(|(segment, _)| segment);
                Some(
                    gst_video::DownstreamForceKeyUnitEvent::builder()
                        .timestamp(pts.saturating_add(gst::ClockTime::from_nseconds(self.shift)))
                        .stream_time(segment.and_then(|s| s.to_stream_time(pts)))
                        .running_time(segment.and_then(|s| s.to_running_time(pts)))
                        .all_headers(all_headers)
                        .count(count)
                        .build(),
                )
            }
        }
    }

    /// The stream's tags with what the encoder says in place of what was said of the input's coding.
    fn merged_tags(&self) -> Option<gst::Event> {
        let mut tags = self.upstream_tags.clone().unwrap_or_default();
        let list = tags.make_mut();
        list.set_scope(gst::TagScope::Stream);
        list.remove::<gst::tags::VideoCodec>();
        list.remove::<gst::tags::Codec>();
        list.remove::<gst::tags::Encoder>();
        list.remove::<gst::tags::EncoderVersion>();
        list.remove::<gst::tags::Bitrate>();
        list.remove::<gst::tags::NominalBitrate>();
        list.remove::<gst::tags::MinimumBitrate>();
        list.remove::<gst::tags::MaximumBitrate>();
        if let Some(own) = &self.encoder_tags {
            list.insert(own, gst::TagMergeMode::Replace);
        }
        (list.n_tags() > 0).then(|| gst::event::Tag::new(tags))
    }
}

impl Current {
    fn begin(
        section: Arc<Section>,
        before: Option<Joiner>,
        (caps, units): (&gst::Caps, &[gst::Buffer]),
        frames: &[FrameInfo],
    ) -> Result<Self, JoinError> {
        let codec = coding::codec(caps);
        let mut joiner = match before {
            Some(before) => before.followed_by(codec.clone()),
            None => Joiner::new(codec.clone()),
        };
        let first = units.iter().find(|u| !is_header(u)).ok_or(JoinError::NoKeyFrame)?;
        let bytes = first.map_readable().map_err(|_| JoinError::Unreadable)?;
        let mut declared = joiner.declared_depth(&bytes).unwrap_or_else(|| lag(first, frames));
        if matches!(codec, Codec::Mpeg2 | Codec::Mpeg4) {
            // A short first chunk shows no B-picture, and these codecs' headers announce none.
            let reorders = section.format.encoder.property("max-bframes").is_some_and(|n| n != "0");
            declared = declared.max(usize::from(reorders));
        }
        let headers = header_bytes(units)?;
        let is_image = caps.structure(0).is_some_and(|s| s.name().starts_with("image/"));
        drop(bytes);
        Ok(Self { section, caps: caps.clone(), codec, joiner, headers, declared, is_image, frames: 0 })
    }

    /// The units that stand for frames. Header buffers, equal in all chunks, go out once a section.
    fn frame_units(&self, units: Vec<gst::Buffer>) -> Result<Vec<(gst::Buffer, UnitTime)>, JoinError> {
        if header_bytes(&units)? != self.headers {
            return Err(HeaderError::Differ("stream headers").into());
        }
        let units: Vec<_> = units.into_iter().filter(|u| !is_header(u)).collect();
        let maps: Result<Vec<_>, _> = units.iter().map(|u| u.map_readable()).collect();
        let maps = maps.map_err(|_| JoinError::Unreadable)?;
        let bytes: Vec<&[u8]> = maps.iter().map(|m| m.as_slice()).collect();
        let ranks = self.codec.ranks(&bytes);
        let times: Vec<_> = units
            .iter()
            .zip(&bytes)
            .enumerate()
            .map(|(i, (unit, bytes))| {
                let own = unit.pts().map(gst::ClockTime::nseconds);
                let pts = ranks.as_ref().map_or(own, |ranks| ranks.get(i).copied());
                UnitTime { pts, shown: self.codec.shows(bytes) }
            })
            .collect();
        drop(maps);
        Ok(units.into_iter().zip(times).collect())
    }

    fn mend(&mut self, unit: gst::Buffer, at: Position) -> Result<gst::Buffer, JoinError> {
        let mended = {
            let bytes = unit.map_readable().map_err(|_| JoinError::Unreadable)?;
            self.joiner.join(&bytes, at)?
        };
        let Some(mended) = mended else { return Ok(unit) };
        coding::with_bytes(&unit, mended).map_err(|_| JoinError::Unreadable)
    }
}

/// Two gaps in a row as one.
fn one_gap(before: &gst::Event, after: &gst::Event) -> Option<gst::Event> {
    let (gst::EventView::Gap(before), gst::EventView::Gap(after)) = (before.view(), after.view()) else { return None };
    let ((start, first), (second, duration)) = (before.get(), after.get());
    let end =
        |time: gst::ClockTime, duration: Option<gst::ClockTime>| time.saturating_add(duration.unwrap_or_default());
    let whole = end(start, first).max(end(second, duration)).checked_sub(start)?;
    Some(gst::event::Gap::builder(start).duration(whole).seqnum(after.seqnum()).build())
}

/// The segment for time stamps that are this much later.
fn shifted(segment: &gst::FormattedSegment<gst::ClockTime>, by: u64) -> gst::FormattedSegment<gst::ClockTime> {
    let later = |time: Option<gst::ClockTime>| time?.checked_add(gst::ClockTime::from_nseconds(by));
    let mut shifted = segment.clone();
    shifted.set_start(later(segment.start()));
    shifted.set_stop(later(segment.stop()));
    shifted.set_position(later(segment.position()));
    shifted
}

/// The segment with time stamps and running time later by [`SHIFT`].
fn late_running(segment: &gst::FormattedSegment<gst::ClockTime>) -> gst::FormattedSegment<gst::ClockTime> {
    let mut late = shifted(segment, SHIFT);
    late.set_base(segment.base().and_then(|base| base.checked_add(gst::ClockTime::from_nseconds(SHIFT))));
    late
}

/// Buffers that carry no frame: Theora's three headers.
fn is_header(unit: &gst::Buffer) -> bool {
    unit.flags().contains(gst::BufferFlags::HEADER) && unit.pts().is_none()
}

fn header_bytes(units: &[gst::Buffer]) -> Result<Vec<Vec<u8>>, JoinError> {
    let bytes = |u: &gst::Buffer| u.map_readable().map(|m| m.to_vec()).map_err(|_| JoinError::Unreadable);
    units.iter().filter(|u| is_header(u)).map(bytes).collect()
}

/// The reorder depth that an encoder's own decode times show: how far the first is before its presentation time.
fn lag(first: &gst::Buffer, frames: &[FrameInfo]) -> usize {
    let step = match frames {
        [a, b, ..] => Some(b.time.pts.saturating_sub(a.time.pts)),
        [a] => a.time.duration,
        [] => None,
    };
    let lag = first.pts().zip(first.dts()).map(|(pts, dts)| pts.saturating_sub(dts).nseconds());
    match (lag, step) {
        (Some(lag), Some(step)) if step > 0 => {
            let depth = (lag + step / 2) / step;
            usize::try_from(depth).ok().filter(|&d| d <= MOST_DEPTH).unwrap_or(0)
        }
        _ => 0,
    }
}
