//! Which frames are encoded: a window in time, a number of frames, and the rule that each has a time of its own.

use gst::prelude::*;

use crate::plan::Window;

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Skip,
    /// This frame and all that follow are past the end.
    End,
}

/// The state of the gate.
#[derive(Debug)]
pub(super) struct Gate {
    start: i64,
    end: Option<i64>,
    left: Option<u64>,
    last_end: i64,
}

impl Gate {
    /// A window counted from the time `origin`.
    pub(super) fn new(window: &Window, origin: i64) -> Self {
        let at = |ns: u64| origin.saturating_add(i64::try_from(ns).unwrap_or(i64::MAX));
        let start = if window.start == 0 { i64::MIN } else { at(window.start) };
        Self { start, end: window.end.map(at), left: window.frames, last_end: origin }
    }

    /// The times that may pass.
    pub(super) fn window(&self) -> std::ops::Range<i64> {
        self.start..self.end.unwrap_or(i64::MAX)
    }

    /// Where sound stops: at the end asked for, or at the end of the last frame that passed.
    pub(super) fn end_of_sound(&self) -> i64 {
        let limited = self.left == Some(0);
        self.end.filter(|_| !limited).unwrap_or(self.last_end)
    }

    /// Decides on the frame shown at `time` for `duration`. A clock's rounding moves no frame over an edge.
    pub(super) fn judge(&mut self, time: i64, duration: u64) -> Verdict {
        const ROUNDING: i64 = 1_000;
        if time.saturating_add(ROUNDING) < self.start {
            return Verdict::Skip;
        }
        if self.left == Some(0) || self.end.is_some_and(|e| time.saturating_add(ROUNDING) >= e) {
            return Verdict::End;
        }
        self.left = self.left.map(|n| n - 1);
        let length = i64::try_from(duration).unwrap_or(0);
        self.last_end = self.last_end.max(time.saturating_add(length));
        Verdict::Pass
    }

    /// True when the frame that passed last was the last that may.
    pub(super) fn is_used_up(&self) -> bool {
        self.left == Some(0)
    }
}

/// Ends what is behind the pad and not the pad itself: one that has ended refuses events, and the decoder would take
/// that for an error.
pub(super) fn end_behind(pad: &gst::Pad) {
    if let Some(peer) = pad.peer() {
        peer.send_event(gst::event::Eos::new());
    }
}

/// Nothing passes any more; whoever pushes frames is told that they are not wanted.
pub(super) fn refuse(info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    if info.buffer().is_some() {
        info.flow_res = Err(gst::FlowError::Eos);
    }
    info.data = None;
    gst::PadProbeReturn::Handled
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::sync::lock;

    const FRAME: u64 = 40_000_000;

    fn passing(window: Window, origin: i64) -> Vec<i64> {
        let mut gate = Gate::new(&window, origin);
        let times = (0..10).map(|i| origin + i * FRAME as i64);
        times.filter(|t| gate.judge(*t, FRAME) == Verdict::Pass).map(|t| (t - origin) / FRAME as i64).collect()
    }

    #[test]
    fn a_window_takes_the_frames_that_start_in_it() {
        let window = Window { start: 80_000_000, end: Some(200_000_000), frames: None };
        assert_eq!(passing(window, 0), [2, 3, 4]);
        assert_eq!(passing(window, 700_000_000), [2, 3, 4]);
    }

    #[test]
    fn so_many_frames_are_counted_from_the_start_of_the_window() {
        assert_eq!(passing(Window { start: 100_000_000, end: None, frames: Some(2) }, 0), [3, 4]);
        assert_eq!(passing(Window::default(), -5).len(), 10);
    }

    #[test]
    fn sound_ends_with_the_last_frame_that_was_counted() {
        let mut gate = Gate::new(&Window { frames: Some(2), ..Window::default() }, 0);
        for i in 0..3 {
            gate.judge(i * FRAME as i64, FRAME);
        }
        assert_eq!(gate.end_of_sound(), 2 * FRAME as i64);
    }

    #[test]
    fn what_comes_after_the_last_frame_is_refused_without_an_error() {
        gst::init().unwrap();
        let (source, sink) = (gst::Pad::new(gst::PadDirection::Src), gst::Pad::builder(gst::PadDirection::Sink));
        let sink = sink.chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok)).build();
        source.link(&sink).unwrap();
        sink.set_active(true).unwrap();
        source.set_active(true).unwrap();
        let ended = Mutex::new(false);
        source.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            if info.buffer().is_some() && !std::mem::replace(&mut *lock(&ended), true) {
                end_behind(pad);
            }
            if *lock(&ended) { refuse(info) } else { gst::PadProbeReturn::Ok }
        });
        let segment = || gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
        source.push_event(gst::event::StreamStart::new("a"));
        source.push_event(segment());
        assert_eq!(source.push(gst::Buffer::new()), Err(gst::FlowError::Eos));
        // What a demuxer says in the middle of a stream.
        assert!(source.push_event(segment()));
        assert!(source.push_event(gst::event::Tag::new(gst::TagList::new())));
        assert_eq!(source.push(gst::Buffer::new()), Err(gst::FlowError::Eos));
    }
}
