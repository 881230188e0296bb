//! The end of a branch: every packet, with its time on the pipeline's own time line, goes into the file.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::{Shared, lock};
use crate::error::Error;
use crate::mux::{Codec, Kind, Sample, Track};
use crate::mux::{plain_from_ass, plain_from_pango};
use crate::probe::{make, nanoseconds};

/// How long a still picture is shown, as in ffmpeg: a frame at 25 frames a second.
const PICTURE: u64 = 40_000_000;

/// From caps to what the container is told; `None` for caps that say nothing.
pub(super) type Describe = Box<dyn Fn(&gst::CapsRef) -> Option<Track> + Send>;

/// How a branch's packets are told to the file.
pub(super) struct Tap {
    /// Its track's number in the session.
    pub(super) lane: usize,
    /// What it carries.
    pub(super) kind: Kind,
    /// How packets change on their way.
    pub(super) form: Form,
    /// From caps to the track's description.
    pub(super) describe: Describe,
    /// Packets that end before are left out.
    pub(super) start: i64,
    /// Packets that come before all others.
    pub(super) early: Vec<Sample>,
    /// Packets are shown so much earlier than the demuxer says, ns.
    pub(super) delay: u64,
}

/// What is done to a packet's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Same,
    FromPango,
    FromAss,
}

impl Tap {
    /// An appsink that feeds the session.
    pub(super) fn element(self, shared: &Arc<Shared>) -> Result<gst::Element, Error> {
        let sink = make("appsink")?;
        let Some(app) = sink.downcast_ref::<gst_app::AppSink>() else {
            return Err(Error::Fault { what: "appsink is not an appsink".into() });
        };
        app.set_sync(false);
        app.set_property("async", false);
        app.set_property("enable-last-sample", false);
        let lane = self.lane;
        let state = Arc::new(Mutex::new((self, Memory::default())));
        let at_sample = Arc::clone(shared);
        let at_end = (Arc::clone(shared), Arc::clone(&state));
        app.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |app| {
                    let sample = app.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let mut state = lock(&state);
                    let (tap, memory) = &mut *state;
                    tap.take(&at_sample, memory, &sample)
                })
                .eos(move |_| {
                    let (shared, state) = &at_end;
                    let first = lock(state).1.first.take();
                    // A disk that is full has told so itself.
                    let _ = first.map(|sample| shared.push(lane, sample));
                    shared.end(lane);
                })
                .build(),
        );
        let promising = Arc::clone(shared);
        if let Some(pad) = sink.static_pad("sink") {
            pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
                if let Some(gst::EventView::Gap(gap)) = info.event().map(|e| e.view()) {
                    let (start, length) = gap.get();
                    let end = start + length.unwrap_or(gst::ClockTime::ZERO);
                    if let Some(time) = crate::probe::running_time(pad, end) {
                        promising.promise(lane, time);
                    }
                }
                gst::PadProbeReturn::Ok
            });
        }
        Ok(sink)
    }

    fn take(
        &self,
        shared: &Shared,
        memory: &mut Memory,
        sample: &gst::Sample,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        if memory.caps.as_ref().map(|c| c.as_ref()) != Some(caps) {
            let Some(track) = (self.describe)(caps) else {
                shared.fail(Error::Mux { what: format!("a track's caps say nothing: {caps}") });
                return Err(gst::FlowError::Error);
            };
            let is_other = memory.codec.as_ref().is_some_and(|before| *before != track.codec);
            memory.codec = Some(track.codec.clone());
            memory.caps = Some(caps.to_owned());
            let fits = shared.set_track(self.lane, track);
            if !fits && self.kind == Kind::Audio && !is_other {
                if !std::mem::replace(&mut memory.has_changed, true) {
                    shared.note(
                        "the sound changes its form on the way (its channels, say): the file describes it as it began",
                    );
                }
            } else if !fits {
                shared.fail(Error::Mux {
                    what: "the pictures change their size or form on the way, and the container says them once".into(),
                });
                return Err(gst::FlowError::Error);
            }
        }
        if is_header(&data, memory.codec.as_ref()) {
            return Ok(gst::FlowSuccess::Ok);
        }
        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
        let time =
            |t: Option<gst::ClockTime>| segment.zip(t).and_then(|(s, t)| s.to_running_time_full(t)).map(nanoseconds);
        // A film's first frame lasts until its second; one that stays alone is a picture, to which encoders give 1 ns.
        let unsaid = if self.kind == Kind::Video && memory.packets == 0 { PICTURE } else { 0 };
        let duration =
            buffer.duration().filter(|d| *d > gst::ClockTime::USECOND).map_or(unsaid, gst::ClockTime::nseconds);
        let (pts, dts) = (time(buffer.pts()), time(buffer.dts()));
        let Some(pts) = pts.or(dts).or(memory.next) else {
            shared.count_untimed();
            return Ok(gst::FlowSuccess::Ok);
        };
        memory.next = Some(pts.saturating_add(i64::try_from(duration).unwrap_or(0)));
        let pts = pts.saturating_sub(i64::try_from(self.delay).unwrap_or(0));
        let dts = if self.kind == Kind::Video { dts.unwrap_or(pts).min(pts) } else { pts };
        let ends = pts.saturating_add(i64::try_from(duration).unwrap_or(0));
        if self.kind != Kind::Video {
            if shared.passes_the_end(self.lane, pts) {
                let _ = memory.first.take().map(|first| shared.push(self.lane, first));
                shared.end(self.lane);
                return Err(gst::FlowError::Eos);
            }
            if ends <= self.start {
                return Ok(gst::FlowSuccess::Ok);
            }
        }
        let data = match self.form {
            Form::Same => data.to_vec(),
            Form::FromPango => plain_from_pango(&String::from_utf8_lossy(&data)).into_bytes(),
            Form::FromAss => plain_from_ass(&String::from_utf8_lossy(&data)).into_bytes(),
        };
        if self.kind == Kind::Subtitle && data.is_empty() {
            return Ok(gst::FlowSuccess::Ok);
        }
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let sample = Sample { pts, dts, duration, key, data };
        let sent = if memory.packets == 0 && !self.early.is_empty() {
            self.early.iter().cloned().chain([sample]).try_for_each(|s| shared.push(self.lane, s))
        } else if self.kind == Kind::Audio && memory.packets == 0 {
            memory.first = Some(sample);
            Ok(())
        } else {
            memory
                .first_settled_by(&sample)
                .map_or(Ok(()), |first| shared.push(self.lane, first))
                .and_then(|()| shared.push(self.lane, sample))
        };
        memory.packets += 1;
        sent.map(|()| gst::FlowSuccess::Ok).map_err(|()| gst::FlowError::Error)
    }
}

#[derive(Default)]
struct Memory {
    caps: Option<gst::Caps>,
    codec: Option<Codec>,
    next: Option<i64>,
    packets: u64,
    /// Its description no longer fits, which was said.
    has_changed: bool,
    /// The first packet of sound, until the second tells when it really starts.
    first: Option<Sample>,
}

impl Memory {
    /// Demuxers put a packet that starts before 0 at 0, where it overlaps the next one.
    fn first_settled_by(&mut self, second: &Sample) -> Option<Sample> {
        let mut first = self.first.take()?;
        let length = i64::try_from(first.duration).unwrap_or(0);
        let overlap = first.pts.saturating_add(length) - second.pts;
        if first.pts == 0 && overlap > 1_000_000 && overlap <= length {
            first.pts -= overlap;
            first.dts = first.pts;
        }
        Some(first)
    }
}

/// Codec headers that travel as packets: they are in the track's description already.
fn is_header(data: &[u8], codec: Option<&Codec>) -> bool {
    let first = data.first().copied().unwrap_or(0);
    match codec {
        Some(Codec::Vorbis) => first & 1 == 1,
        Some(Codec::Theora) => first & 0x80 != 0,
        Some(Codec::Opus) => data.starts_with(b"OpusHead") || data.starts_with(b"OpusTags"),
        Some(Codec::Flac) => first != 0xFF,
        _ => false,
    }
}
