//! Raw frames on their way to the engine, and what is done to several of them before.

use glib::subclass::prelude::*;

use super::engine::Engine;
use super::imp::DivienEnc;
use super::model::Mark;
use crate::chunk::FrameTime;
use crate::lane::{InOrder, Reservation};

impl DivienEnc {
    /// What the filter does to several frames is done here, where it does any.
    pub(super) fn in_order<T>(&self, step: impl FnOnce(&mut InOrder) -> T) -> Option<T> {
        self.state().as_mut().and_then(|run| run.in_order.as_mut()).map(step)
    }

    pub(super) fn push_frame(
        &self,
        engine: &Engine,
        frame: gst::Buffer,
        time: FrameTime,
        reservation: Reservation,
    ) -> Result<(), gst::FlowError> {
        let forced = self.state().as_mut().and_then(|run| {
            let pts = gst::ClockTime::from_nseconds(time.pts);
            let running_time = run.segment.as_ref().and_then(|segment| segment.to_running_time(pts));
            run.key_requests.due(running_time)
        });
        let forced = forced.map(|r| Mark::ForceKeyUnit { all_headers: r.all_headers, count: r.count });
        engine.push(frame, time, forced, reservation)
    }

    /// Takes what comes of several frames; an error says why nothing does.
    pub(super) fn push_frames(
        &self,
        engine: &Engine,
        frames: Result<Vec<(gst::Buffer, FrameTime)>, String>,
    ) -> Result<(), gst::FlowError> {
        let frames = frames.map_err(|why| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{why}"));
            gst::FlowError::NotNegotiated
        })?;
        for (frame, time) in frames {
            let reservation = engine.reserve(frame.size() as u64)?;
            self.push_frame(engine, frame, time, reservation)?;
        }
        Ok(())
    }

    /// Nothing that follows is a neighbour of the frames before.
    pub(super) fn finish_frames(&self, engine: &Engine) -> Result<(), gst::FlowError> {
        self.in_order(InOrder::finish).map_or(Ok(()), |rest| self.push_frames(engine, rest))
    }

    /// All that is held ends here.
    pub(super) fn finish_all(&self, engine: &Engine) -> Result<(), gst::FlowError> {
        self.finish_coded(engine)?;
        self.finish_frames(engine)
    }
}
