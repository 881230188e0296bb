//! Lead-in: frames that an encoder gets before a chunk, so that its rate control knows such pictures when the chunk begins.
//!
//! They are the chunk's own first frames, which come twice. What the encoder makes of them the first time is thrown away, up
//! to the key frame that is forced where they come again. From there on nothing refers to what was before, so a chunk
//! begins as any key frame within a single encoder's stream does. The chunk's neighbours have no part in it: no frame of
//! theirs is decoded, kept or sent for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

use super::coding::{codec, syntax, with_bytes};
use super::frames::{self, Passing};

/// The most frames of a lead-in. They are in memory until the chunk has begun.
pub const MOST_LEAD_IN: u32 = 48;
/// For how long a frame is shown where nothing tells, in nanoseconds.
const USUAL: u64 = 40_000_000;

/// An attempt's lead-in.
#[derive(Debug)]
pub(super) struct LeadIn(Mutex<State>);

#[derive(Debug)]
struct State {
    /// So many frames at most.
    most: usize,
    held: Vec<gst::Buffer>,
    /// How many there are, once they are known, and by how much later the chunk's own come.
    led: Option<(usize, gst::ClockTime)>,
    /// Frames that the encoder got.
    entered: usize,
    /// Frames that came out of it, up to the first of the chunk.
    out: usize,
    /// The first unit, for what the chunk's first does not say again.
    opening: Option<gst::Buffer>,
    has_begun: bool,
}

impl LeadIn {
    /// One of so many frames, of a chunk that has as many.
    pub(super) fn new(most: u32) -> Arc<Self> {
        let state = State {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            held: Vec::new(),
            led: None,
            entered: 0,
            out: 0,
            opening: None,
            has_begun: most == 0,
        };
        Arc::new(Self(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An element that hands the chunk's first frames on twice, all those behind them once. It goes right before the
    /// encoder, which begins anew where they come again.
    pub(super) fn element(self: &Arc<Self>, encoder: &gst::Element) -> Result<gst::Element, glib::BoolError> {
        self.force_key_frame(encoder)?;
        let lead_in = self.clone();
        frames::element(&super::FilterSpec::default(), move |passing| {
            Ok(match passing {
                Passing::Frame(frame) => lead_in.state().push(frame),
                Passing::End => lead_in.state().lead(),
                Passing::Caps(_) | Passing::Segment(_) => Vec::new(),
            })
        })
    }

    fn force_key_frame(self: &Arc<Self>, encoder: &gst::Element) -> Result<(), glib::BoolError> {
        let sink = encoder.static_pad("sink").ok_or_else(|| glib::bool_error!("an encoder without a sink pad"))?;
        let lead_in = self.clone();
        sink.add_probe(gst::PadProbeType::BUFFER, move |sink, _| {
            if lead_in.state().enters() {
                let event = gst_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).build();
                // Whether it is heard is seen by what comes out.
                sink.send_event(event);
            }
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Takes the next unit that the encoder made; `None` where it is of the lead-in. An error says why the chunk cannot begin where it should.
    pub(super) fn pass(&self, unit: gst::Buffer, caps: &gst::CapsRef) -> Result<Option<gst::Buffer>, String> {
        let mut state = self.state();
        if state.has_begun {
            return Ok(Some(unit));
        }
        let bytes = unit.map_readable().map_err(|_| "a unit that cannot be read".to_owned())?;
        // Whatever an encoder holds back, it has had more frames than it has shown units, so the lead-in's length is known
        // here before the chunk's first unit comes.
        if state.led.is_none_or(|(led, _)| state.out < led) {
            state.out += usize::from(codec(caps).shows(&bytes));
            if state.opening.is_none() {
                drop(bytes);
                state.opening = Some(unit);
            }
            return Ok(None);
        }
        let kind = caps.structure(0).and_then(syntax);
        let is_key = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if !is_key || !kind.is_some_and(|syntax| syntax.begins_anew(&bytes)) {
            return Err(
                "the chunk's first frame came out as no key frame, though one was asked for: leave the lead-in out"
                    .into(),
            );
        }
        let opening = state.opening.take();
        let opening = opening.as_ref().and_then(|opening| opening.map_readable().ok());
        let whole = opening.and_then(|opening| codec(caps).with_sets_of(&opening, &bytes));
        drop(bytes);
        state.has_begun = true;
        let Some(whole) = whole else { return Ok(Some(unit)) };
        with_bytes(&unit, whole).map(Some).map_err(|error| error.to_string())
    }
}

impl State {
    fn push(&mut self, frame: gst::Buffer) -> Vec<gst::Buffer> {
        if let Some((_, later)) = self.led {
            return vec![moved(frame, later)];
        }
        self.held.push(frame);
        // The frame behind them tells for how long the last of them is shown.
        if self.held.len() > self.most { self.lead() } else { Vec::new() }
    }

    fn lead(&mut self) -> Vec<gst::Buffer> {
        if self.led.is_some() {
            return Vec::new();
        }
        let frames = std::mem::take(&mut self.held);
        let led = frames.len().min(self.most);
        let later = match frames.get(self.most) {
            Some(next) => next.pts(),
            None => frames.last().and_then(|last| {
                let length = last.duration().filter(|length| !length.is_zero());
                last.pts()?.checked_add(length.unwrap_or(gst::ClockTime::from_nseconds(USUAL)))
            }),
        };
        let first = frames.first().and_then(|first| first.pts());
        let later = later.zip(first).and_then(|(later, first)| later.checked_sub(first)).unwrap_or_default();
        self.led = Some((led, later));
        let again = frames.iter().cloned().map(|frame| moved(frame, later)).collect::<Vec<_>>();
        frames.into_iter().take(led).chain(again).collect()
    }

    /// A frame reaches the encoder; true for the chunk's first.
    fn enters(&mut self) -> bool {
        self.entered += 1;
        self.led.is_some_and(|(led, _)| self.entered == led + 1)
    }
}

/// The frame, shown so much later.
fn moved(mut frame: gst::Buffer, later: gst::ClockTime) -> gst::Buffer {
    let pts = frame.pts().map(|pts| pts.saturating_add(later));
    frame.make_mut().set_pts(pts);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn frame(number: u64, pts: u64) -> gst::Buffer {
        let mut frame = gst::Buffer::new();
        let fields = frame.make_mut();
        fields.set_offset(number);
        fields.set_pts(gst::ClockTime::from_mseconds(pts));
        fields.set_duration(gst::ClockTime::from_mseconds(10));
        frame
    }

    /// What an encoder gets of frames at these times: which frames, when, and before which of them it begins anew.
    fn fed(most: u32, times: &[u64]) -> (Vec<(u64, u64)>, Option<usize>) {
        gst::init().unwrap();
        let lead_in = LeadIn::new(most);
        let mut state = lead_in.state();
        let mut all: Vec<_> = (0..).zip(times).flat_map(|(n, pts)| state.push(frame(n, *pts))).collect();
        all.extend(state.lead());
        let begins = (0..all.len()).filter(|_| state.enters()).count();
        assert!(begins <= 1);
        state.entered = 0;
        let anew = (0..all.len()).find(|_| state.enters());
        let told = |frame: &gst::Buffer| (frame.offset(), frame.pts().unwrap().nseconds() / MS);
        (all.iter().map(told).collect(), anew)
    }

    #[test]
    fn the_first_frames_come_twice_and_time_goes_on() {
        let (frames, anew) = fed(2, &[0, 40, 100, 140]);
        assert_eq!(frames, [(0, 0), (1, 40), (0, 100), (1, 140), (2, 200), (3, 240)]);
        assert_eq!(anew, Some(2));
        // All of them, where the chunk has no more: the last is shown for as long as it says.
        let (frames, anew) = fed(9, &[0, 40, 100]);
        assert_eq!(frames, [(0, 0), (1, 40), (2, 100), (0, 110), (1, 150), (2, 210)]);
        assert_eq!(anew, Some(3));
        assert_eq!(fed(1, &[0]), (vec![(0, 0), (0, 10)], Some(1)));
        assert_eq!(fed(3, &[]), (Vec::new(), None));
    }

    #[test]
    fn a_frame_that_lasts_no_time_comes_again_later_all_the_same() {
        gst::init().unwrap();
        let lead_in = LeadIn::new(5);
        let mut none = frame(0, 0);
        none.make_mut().set_duration(gst::ClockTime::ZERO);
        assert!(lead_in.state().push(none).is_empty());
        let times: Vec<_> = lead_in.state().lead().iter().map(|frame| frame.pts().unwrap().nseconds()).collect();
        assert_eq!(times, [0, USUAL]);
    }

    fn vp8(is_key: bool, is_shown: bool) -> gst::Buffer {
        let tag = u8::from(!is_key) | u8::from(is_shown) << 4;
        let mut unit = gst::Buffer::from_mut_slice(vec![tag, 0, 0]);
        if !is_key {
            unit.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        unit
    }

    #[test]
    fn what_is_made_of_the_lead_in_is_dropped_with_the_pictures_that_nobody_sees() {
        gst::init().unwrap();
        let caps: gst::Caps = "video/x-vp8".parse().unwrap();
        let (lead_in, mut kept) = (LeadIn::new(2), 0);
        (0..4).for_each(|n| drop(lead_in.state().push(frame(n, n * 40))));
        for (is_key, is_shown) in [(true, true), (false, false), (false, true), (true, true), (false, false)] {
            kept += u32::from(matches!(lead_in.pass(vp8(is_key, is_shown), &caps), Ok(Some(_))));
        }
        assert_eq!(kept, 2);
    }

    #[test]
    fn a_chunk_that_begins_within_a_group_is_an_error() {
        gst::init().unwrap();
        let caps: gst::Caps = "video/x-vp8".parse().unwrap();
        for (marked, is) in [(false, false), (true, false), (false, true)] {
            let lead_in = LeadIn::new(1);
            (0..3).for_each(|n| drop(lead_in.state().push(frame(n, n * 40))));
            assert!(matches!(lead_in.pass(vp8(true, true), &caps), Ok(None)));
            let mut unit = vp8(is, true);
            let fields = unit.make_mut();
            if marked {
                fields.unset_flags(gst::BufferFlags::DELTA_UNIT)
            } else {
                fields.set_flags(gst::BufferFlags::DELTA_UNIT)
            }
            assert!(lead_in.pass(unit, &caps).is_err_and(|why| why.contains("no key frame")));
        }
    }
}
