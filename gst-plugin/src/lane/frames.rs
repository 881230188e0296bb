//! What concerns several frames: fields that become whole pictures, and frames that are left out and repeated.

use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;

use super::wanted::{Passed, Sieve};
use super::yadif::{Fields, YadifError};
use super::{FilterSpec, Progress};
use crate::chunk::{Fps, FrameTime, Nanos};

/// Takes the frames of a stream in their order, all of them.
#[derive(Debug)]
pub struct InOrder {
    filter: FilterSpec,
    fields: Option<Fields<FrameTime>>,
    fps: Option<Fps>,
    held: Option<(gst::Buffer, FrameTime)>,
}

impl InOrder {
    /// For what the filter does to more than one frame.
    pub fn new(filter: &FilterSpec) -> Self {
        Self { filter: filter.clone(), fields: filter.yadif().map(Fields::new), fps: filter.fps(), held: None }
    }

    /// Forgets the frames that it holds.
    pub fn flush(&mut self) {
        self.held = None;
        self.fields.iter_mut().for_each(Fields::flush);
    }

    /// Ticks of frames that follow count so.
    pub fn moves_to(&mut self, fps: Fps) {
        self.fps = self.fps.map(|_| fps);
    }

    /// Frames that follow are so. Returns those before, and the caps of those that come.
    pub fn becomes(&mut self, caps: &gst::CapsRef) -> Result<(Vec<(gst::Buffer, FrameTime)>, gst::Caps), String> {
        let passed = self.filter.passed(caps);
        let Some(fields) = &mut self.fields else { return Ok((Vec::new(), passed)) };
        let last = fields.becomes(caps).map_err(|e| e.to_string())?;
        Ok((last.map_or(Ok(Vec::new()), |(frame, time)| self.timed(frame, time))?, passed))
    }

    /// Takes a frame. Returns what can be shown now.
    pub fn push(&mut self, frame: gst::Buffer, time: FrameTime) -> Result<Vec<(gst::Buffer, FrameTime)>, String> {
        let made = match &mut self.fields {
            Some(fields) => fields.push(frame, Some(time)).map_err(|e| e.to_string())?,
            None => Some((frame, time)),
        };
        made.map_or(Ok(Vec::new()), |(frame, time)| self.timed(frame, time))
    }

    /// Nothing follows: the rest.
    pub fn finish(&mut self) -> Result<Vec<(gst::Buffer, FrameTime)>, String> {
        let last = self.fields.as_mut().map(Fields::finish).transpose().map_err(|e| e.to_string())?.flatten();
        let mut rest = last.map_or(Ok(Vec::new()), |(frame, time)| self.timed(frame, time))?;
        if let (Some(fps), Some((frame, time))) = (self.fps, self.held.take()) {
            rest.extend(shown(fps, &frame, time, time.duration.and_then(|length| time.pts.checked_add(length)))?);
        }
        Ok(rest)
    }

    fn timed(&mut self, frame: gst::Buffer, time: FrameTime) -> Result<Vec<(gst::Buffer, FrameTime)>, String> {
        let Some(fps) = self.fps else { return Ok(vec![(frame, time)]) };
        match self.held.replace((frame, time)) {
            Some((before, of_before)) => shown(fps, &before, of_before, Some(time.pts)),
            None => Ok(Vec::new()),
        }
    }
}

fn shown(
    fps: Fps,
    frame: &gst::Buffer,
    time: FrameTime,
    end: Option<Nanos>,
) -> Result<Vec<(gst::Buffer, FrameTime)>, String> {
    let times = fps.shows(time.pts, end).map_err(|e| e.to_string())?;
    Ok(times.into_iter().map(|time| (frame.clone(), time)).collect())
}

/// An element that does so to the frames that pass it; `within` tells how ticks count in a segment.
pub fn in_order(
    filter: &FilterSpec,
    within: fn(Fps, &gst::FormattedSegment<gst::ClockTime>) -> Fps,
) -> Result<gst::Element, glib::BoolError> {
    let (mut frames, fps) = (InOrder::new(filter), filter.fps());
    element(filter, move |passing| {
        let ready = match passing {
            Passing::Frame(frame) => {
                let time = frame.pts().map(gst::ClockTime::nseconds);
                let duration = frame.duration().map(gst::ClockTime::nseconds);
                time.map_or(Ok(Vec::new()), |pts| frames.push(frame, FrameTime { pts, duration }))
            }
            Passing::Caps(caps) => frames.becomes(&caps).map(|(rest, _)| rest),
            Passing::Segment(segment) => {
                let rest = frames.finish();
                if let Some(fps) = fps {
                    frames.moves_to(within(fps, &segment));
                }
                rest
            }
            Passing::End => frames.finish(),
        };
        Ok(ready?.into_iter().map(|(frame, time)| stamped(frame, time.pts, time.duration)).collect())
    })
}

/// An element that lets a chunk's own frames through, with time stamps that count from its first, as often as they are shown.
pub(super) fn of_a_chunk(
    sieve: Arc<Sieve>,
    filter: &FilterSpec,
    progress: Arc<Progress>,
) -> Result<gst::Element, glib::BoolError> {
    let mut fields = filter.yadif().map(Fields::new);
    element(filter, move |passing| {
        let told = |e: YadifError| e.to_string();
        let made = match (passing, &mut fields) {
            (Passing::Frame(frame), fields) => {
                let damaged = frame.flags().contains(gst::BufferFlags::CORRUPTED);
                let what = match sieve.pass(frame.pts().map(gst::ClockTime::nseconds), damaged) {
                    Passed::Out => return Ok(Vec::new()),
                    Passed::Context => None,
                    Passed::Shown(times) => Some(times),
                };
                match fields {
                    Some(fields) => fields.push(frame, what).map_err(told)?,
                    None => what.map(|times| (frame, times)),
                }
            }
            (Passing::Caps(caps), Some(fields)) => fields.becomes(&caps).map_err(told)?,
            (Passing::End, Some(fields)) => fields.finish().map_err(told)?,
            _ => None,
        };
        let Some((frame, times)) = made else { return Ok(Vec::new()) };
        times.iter().for_each(|_| progress.add_frame());
        Ok(times.into_iter().map(|(time, length)| stamped(frame.clone(), time, length)).collect())
    })
}

/// A frame that is shown then; without a length its own stays.
fn stamped(mut frame: gst::Buffer, pts: Nanos, length: Option<Nanos>) -> gst::Buffer {
    let writable = frame.make_mut();
    writable.set_pts(gst::ClockTime::from_nseconds(pts));
    writable.set_dts(gst::ClockTime::NONE);
    if let Some(length) = length {
        writable.set_duration(gst::ClockTime::from_nseconds(length));
    }
    frame
}

/// What comes to an element.
pub(super) enum Passing {
    Frame(gst::Buffer),
    Caps(gst::Caps),
    Segment(gst::FormattedSegment<gst::ClockTime>),
    End,
}

/// An element that hands on what `step` makes of the frames.
pub(super) fn element(
    filter: &FilterSpec,
    step: impl FnMut(Passing) -> Result<Vec<gst::Buffer>, String> + Send + 'static,
) -> Result<gst::Element, glib::BoolError> {
    let element = gst::ElementFactory::make("identity").build()?;
    let pads = element.static_pad("sink").zip(element.static_pad("src"));
    let (sink, out) = pads.ok_or_else(|| glib::bool_error!("identity without pads"))?;
    let (owner, out, step, filter) = (element.downgrade(), out.downgrade(), Mutex::new(step), filter.clone());
    sink.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let passing = match &info.data {
            Some(gst::PadProbeData::Buffer(frame)) => Passing::Frame(frame.clone()),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Eos(_) => Passing::End,
                gst::EventView::Caps(caps) => Passing::Caps(caps.caps_owned()),
                gst::EventView::Segment(segment) => match segment.segment().downcast_ref() {
                    Some(time) => Passing::Segment(gst::FormattedSegment::clone(time)),
                    None => return gst::PadProbeReturn::Ok,
                },
                // Encoders would let go of what they hold.
                gst::EventView::Gap(_) => {
                    info.data = None;
                    return gst::PadProbeReturn::Handled;
                }
                _ => return gst::PadProbeReturn::Ok,
            },
            _ => return gst::PadProbeReturn::Ok,
        };
        let is_frame = matches!(passing, Passing::Frame(_));
        if is_frame {
            // The frame is the step's alone, which may write into it.
            info.data = None;
        }
        let made = step.lock().unwrap_or_else(PoisonError::into_inner)(passing);
        let pushed = match (made, out.upgrade()) {
            (Ok(frames), Some(out)) => frames.into_iter().try_fold(gst::FlowSuccess::Ok, |_, frame| out.push(frame)),
            (Err(why), _) => {
                if let Some(element) = owner.upgrade() {
                    gst::element_error!(element, gst::StreamError::Format, ["{why}"]);
                }
                Err(gst::FlowError::Error)
            }
            (Ok(_), None) => Err(gst::FlowError::Flushing),
        };
        if is_frame {
            info.flow_res = pushed;
            return gst::PadProbeReturn::Handled;
        }
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
            info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&filter.passed(caps.caps()))));
        }
        gst::PadProbeReturn::Ok
    });
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_in_order_is_left_out_and_repeated_by_its_times() {
        gst::init().unwrap();
        let mut frames = InOrder::new(&FilterSpec::parse("fps rate=10/1").unwrap());
        const MS: u64 = 1_000_000;
        let mut shown = Vec::new();
        for (n, pts) in (0..).zip([0, 40, 80, 120, 400]) {
            let time = FrameTime { pts: pts * MS, duration: Some(40 * MS) };
            let mut frame = gst::Buffer::new();
            frame.make_mut().set_offset(n);
            shown.extend(frames.push(frame, time).unwrap());
        }
        shown.extend(frames.finish().unwrap());
        let shown: Vec<_> = shown.iter().map(|(frame, time)| (frame.offset(), time.pts / MS)).collect();
        assert_eq!(shown, [(1, 0), (3, 100), (3, 200), (3, 300)].map(|(n, t): (u64, u64)| (n, t)));
    }
}
