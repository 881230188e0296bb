//! What passes the pads.

use std::sync::Arc;

use glib::subclass::prelude::*;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::coded::{self, Coded};
use super::engine::Engine;
use super::frames;
use super::imp::{CAT, DivienEnc};
use super::key_requests::{KeyRequest, KeyRequests};
use super::model::{Finished, Mark, Output};
use super::output::Out;
use super::scout::STRETCH;
use super::units::SURVEYS;
use crate::chunk::{FrameTime, MOST_REORDERED, Mode};
use crate::lane::{Format, InOrder};
use crate::scenes::AHEAD;

/// A frame's duration where nothing tells.
pub(super) const UNKNOWN_FRAME_DURATION: gst::ClockTime = gst::ClockTime::from_mseconds(40);

impl DivienEnc {
    pub(super) fn build_sinkpad(template: &gst::PadTemplate) -> gst::Pad {
        gst::Pad::builder_from_template(template)
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |imp| imp.chain(buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_SCHEDULING)
            .build()
    }

    pub(super) fn build_srcpad(template: &gst::PadTemplate) -> gst::Pad {
        gst::Pad::builder_from_template(template)
            .activatemode_function(|_, parent, mode, active| {
                let failed = || Err(gst::loggable_error!(CAT, "panic while activating the source pad"));
                Self::catch_panic_pad_function(parent, failed, |imp| imp.activate_src(mode, active))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .build()
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.is_coded() {
            return self.chain_coded(buffer);
        }
        let (engine, time, learnt) = {
            let mut state = self.state();
            let run = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            run.engine.flow()?;
            let number = run.frames;
            let Some(segment) = &run.segment else {
                drop(state);
                return self.bad_frame(number, "came before any segment");
            };
            let Some(pts) = buffer.pts() else {
                drop(state);
                return self.bad_frame(number, "has no presentation time");
            };
            let end = buffer.duration().and_then(|d| pts.checked_add(d)).filter(|end| end.nseconds() < u64::MAX - 1);
            let Some((start, stop)) = segment.clip(pts, end) else {
                gst::debug!(CAT, imp = self, "frame {number} at {pts} is outside of the segment");
                return Ok(gst::FlowSuccess::Ok);
            };
            let (bytes, whole) = (buffer.size() as u64, run.frame_bytes);
            if bytes == 0 || (bytes < whole && buffer.meta::<gst_video::VideoMeta>().is_none()) {
                drop(state);
                return self.bad_frame(number, &format!("has {bytes} bytes, its caps ask for {whole}"));
            }
            let start = start.unwrap_or(pts);
            if let Some(last) = run.last_pts.filter(|&last| start <= last) {
                drop(state);
                let what = if start == last { "the same presentation time as" } else { "a presentation time before" };
                return self.bad_frame(number, &format!("has {what} the frame before it ({start} after {last})"));
            }
            let duration = buffer.duration().and_then(|d| stop.map_or(Some(d), |stop| stop.checked_sub(start)));
            let unknown = run.frame_duration.is_none();
            if unknown {
                run.frame_duration = run.last_pts.and_then(|last| start.checked_sub(last));
            }
            let learnt = unknown && run.frame_duration.is_some();
            run.last_pts = Some(start);
            run.frames += 1;
            let time = FrameTime { pts: start.nseconds(), duration: duration.map(gst::ClockTime::nseconds) };
            (run.engine.clone(), time, learnt)
        };
        if learnt {
            self.latency_changed();
        }
        let reservation = engine.reserve(buffer.size() as u64)?;
        let buffer = frames::to_keep(buffer).map_err(|error| {
            gst::element_imp_error!(self, gst::ResourceError::Failed, ("a frame could not be copied: {error}"));
            gst::FlowError::Error
        })?;
        let ready = self.in_order(|frames| frames.push(buffer.clone(), time));
        let pushed = match ready {
            Some(frames) => {
                drop(reservation);
                self.push_frames(&engine, frames)
            }
            None => self.push_frame(&engine, buffer, time, reservation),
        };
        pushed.map(|()| gst::FlowSuccess::Ok)
    }

    pub(super) fn bad_frame(&self, number: u64, what: &str) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::element_imp_error!(
            self,
            gst::StreamError::Format,
            ("frame {number} {what}; raw frames have to be whole, each with a later presentation time")
        );
        Err(gst::FlowError::Error)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        gst::trace!(CAT, imp = self, "sink event {event:?}");
        match event.view() {
            EventView::FlushStart(_) => {
                let forwarded = gst::Pad::event_default(pad, Some(&*self.obj()), event);
                if let Some(engine) = self.engine() {
                    engine.stop(gst::FlowError::Flushing);
                }
                let _ = self.srcpad.pause_task();
                return forwarded;
            }
            EventView::FlushStop(_) => {
                let restarted = self.restart();
                let forwarded = gst::Pad::event_default(pad, Some(&*self.obj()), event);
                return restarted && self.start_task().is_ok() && forwarded;
            }
            _ if !event.is_serialized() => return gst::Pad::event_default(pad, Some(&*self.obj()), event),
            _ => {}
        }
        let Some(engine) = self.engine() else { return false };
        let is_format = matches!(event.type_(), gst::EventType::Caps | gst::EventType::Segment);
        let done = match event.view() {
            EventView::Eos(_) => match self.finish_all(&engine).and_then(|()| engine.eos(event)) {
                // What is downstream has ended before, and has been told so.
                Err(gst::FlowError::Eos) => Ok(()),
                done => done,
            },
            EventView::Caps(caps) => self.new_caps(&engine, caps.caps_owned()),
            EventView::Segment(segment) => self.new_segment(&engine, &event, segment.segment()),
            EventView::StreamStart(_) => {
                if let Some(run) = self.state().as_mut() {
                    run.new_stream = true;
                }
                let ended = self.finish_all(&engine).and_then(|()| engine.end_chunk());
                ended.and_then(|()| engine.mark(Mark::Event(event)))
            }
            EventView::Gap(gap) => {
                // What is downstream would wait for the rest of the chunk, which may never come.
                let (start, duration) = gap.get();
                let end = start.saturating_add(duration.unwrap_or_default());
                let most = self.longest_chunk().nseconds();
                let outlasts = engine.open_since().is_some_and(|since| end.nseconds().saturating_sub(since) >= most);
                let ended = if outlasts { engine.end_chunk() } else { self.pause_coded(&engine, end) };
                ended.and_then(|()| self.mark(&engine, Mark::Event(event)))
            }
            EventView::SegmentDone(_) | EventView::StreamGroupDone(_) => {
                let ended = self.finish_all(&engine).and_then(|()| engine.end_chunk());
                ended.and_then(|()| engine.mark(Mark::Event(event)))
            }
            EventView::CustomDownstream(_) if gst_video::ForceKeyUnitEvent::is(&event) => {
                if let Ok(request) = gst_video::DownstreamForceKeyUnitEvent::parse(&event) {
                    let (running_time, all_headers, count) = (request.running_time, request.all_headers, request.count);
                    self.request_key(KeyRequest { running_time, all_headers, count });
                }
                Ok(())
            }
            _ => self.mark(&engine, Mark::Event(event)),
        };
        if let (true, Err(flow)) = (is_format, done) {
            // What follows cannot be encoded, and a refused sticky event alone would not stop it.
            engine.stop(flow);
        }
        done.is_ok()
    }

    fn new_caps(&self, engine: &Engine, caps: gst::Caps) -> Result<(), gst::FlowError> {
        if caps.structure(0).is_none_or(|s| s.name() != "video/x-raw") {
            self.finish_frames(engine)?;
            engine.end_chunk()?;
            return self.new_coded_caps(engine, caps);
        }
        self.finish_coded(engine)?;
        let becomes = self.in_order(|frames| frames.becomes(&caps)).transpose();
        let caps = match becomes {
            Ok(None) => caps,
            Ok(Some((rest, becomes))) => {
                self.push_frames(engine, Ok(rest))?;
                becomes
            }
            Err(why) => return self.push_frames(engine, Err(why)),
        };
        if engine.current_section().is_some_and(|s| s.format.input == caps) {
            return Ok(());
        }
        let info = gst_video::VideoInfo::from_caps(&caps).map_err(|_| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("these caps are no raw video: {caps}"));
            gst::FlowError::NotNegotiated
        })?;
        let output = self.wanted_downstream()?;
        let fps = info.fps();
        let duration = (fps.numer() > 0).then(|| {
            gst::ClockTime::SECOND.mul_div_floor(fps.denom().unsigned_abs().into(), fps.numer().unsigned_abs().into())
        });
        let format = {
            let mut state = self.state();
            let run = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            run.frame_duration = duration.flatten();
            run.frame_bytes = info.size() as u64;
            (run.coded, run.next_caps) = (None, None);
            Format {
                encoder: run.encoder.clone(),
                input: caps,
                decoder: None,
                filter: run.filter.clone(),
                frame_caps: run.frame_caps.clone(),
                output,
                lead_in: run.lead_in,
            }
        };
        engine.section(Arc::new(format), info.size() as u64, false)?;
        self.latency_changed();
        Ok(())
    }

    /// What the element downstream takes of the encoder.
    pub(super) fn wanted_downstream(&self) -> Result<gst::Caps, gst::FlowError> {
        let run = self.state().as_ref().map(|run| (run.negotiation.clone(), run.encoder.clone()));
        let (negotiation, encoder) = run.ok_or(gst::FlowError::Flushing)?;
        let output = negotiation.output(&self.srcpad);
        if output.is_empty() {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("{} gives nothing that the element downstream takes", encoder.factory_name())
            );
            return Err(gst::FlowError::NotNegotiated);
        }
        Ok(output)
    }

    pub(super) fn latency_changed(&self) {
        self.post(gst::message::Latency::builder().src(&*self.obj()).build());
    }

    fn new_segment(&self, engine: &Engine, event: &gst::Event, segment: &gst::Segment) -> Result<(), gst::FlowError> {
        let Some(time) = segment.downcast_ref::<gst::ClockTime>().filter(|s| s.rate() > 0.0) else {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                (
                    "a segment in {:?} at rate {}: only forward segments in time can be encoded",
                    segment.format(),
                    segment.rate()
                )
            );
            return Err(gst::FlowError::Error);
        };
        let is_first = {
            let mut state = self.state();
            let run = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            let fields = |s: &gst::FormattedSegment<gst::ClockTime>| {
                (s.rate(), s.start(), s.stop(), s.time(), s.base(), s.offset(), s.flags())
            };
            let is_same = run.segment.as_ref().is_some_and(|before| fields(before) == fields(time));
            let new_stream = std::mem::take(&mut run.new_stream);
            if is_same && !new_stream {
                // Said again, as demuxers do when another track turns up: nothing starts over.
                return Ok(());
            }
            run.segment.is_none()
        };
        self.split_coded(engine)?;
        self.finish_frames(engine)?;
        if let Some(run) = self.state().as_mut() {
            run.segment = Some(time.clone());
            run.last_pts = None;
            if let Some((frames, fps)) = run.in_order.as_mut().zip(run.filter.fps()) {
                frames.moves_to(coded::within(fps, time));
            }
            if let Some(coded) = &mut run.coded {
                coded.moves_to(time.clone());
            }
        }
        // Time stamps may start over, so what follows shares neither chunk nor decode times with what came before.
        match engine.current_section() {
            Some(section) if !is_first => engine.section(section.format.clone(), section.frame_bytes, true)?,
            _ => engine.end_chunk()?,
        }
        engine.mark(Mark::Event(event.clone()))
    }

    /// Remembers that a key frame was asked for; false when nothing runs, or too many have been.
    fn request_key(&self, request: KeyRequest) -> bool {
        let taken = self.state().as_mut().is_some_and(|run| run.key_requests.add(request));
        if !taken {
            gst::warning!(CAT, imp = self, "no key frame will be made for {request:?}");
        }
        taken
    }

    fn restart(&self) -> bool {
        let Some(old) = self.engine() else { return false };
        old.stop(gst::FlowError::Flushing);
        let _ = self.srcpad.pause_task();
        old.join();
        let settings = self.settings().clone();
        // They leave before they are met again: an address is listened on once.
        let sites = self.state().as_mut().and_then(|run| run.sites.take());
        drop(sites);
        match self.start_engine(&settings) {
            Ok((engine, sites)) => {
                // A flush keeps the caps and what else is sticky. What has not left yet does so now, and the stream's tags once
                // more: they left as others, merged with the encoder's. A new engine refuses none of it.
                if let Some(section) = old.current_section() {
                    let _ = engine.section(section.format.clone(), section.frame_bytes, true);
                }
                let mut sent = Vec::new();
                self.srcpad.sticky_events_foreach(|event| {
                    sent.push(event.clone());
                    std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
                });
                self.sinkpad.sticky_events_foreach(|event| {
                    let again =
                        !matches!(event.type_(), gst::EventType::Caps | gst::EventType::Segment | gst::EventType::Eos);
                    if again && !sent.iter().any(|s| s.as_ptr() == event.as_ptr()) {
                        let _ = engine.mark(Mark::Event(event.clone()));
                    }
                    std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
                });
                let mut state = self.state();
                let Some(run) = state.as_mut().filter(|run| !run.stopping) else { return false };
                run.engine = engine;
                run.sites = sites;
                run.segment = None;
                run.coded = run.coded.take().map(Coded::after_flush);
                run.in_order.iter_mut().for_each(InOrder::flush);
                run.last_pts = None;
                run.frames = 0;
                run.key_requests = KeyRequests::default();
                drop(state);
                let mut writer = self.writer();
                *writer = writer.after_flush();
                true
            }
            Err(error) => {
                self.post_error_message(error);
                false
            }
        }
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        let negotiation = self.state().as_ref().map(|run| run.negotiation.clone());
        match (query.view_mut(), negotiation) {
            (QueryViewMut::Caps(q), Some(negotiation)) => {
                let mut caps = negotiation.input(q.filter());
                let coded = coded::caps();
                caps.merge(match q.filter() {
                    Some(filter) => filter.intersect_with_mode(&coded, gst::CapsIntersectMode::First),
                    None => coded,
                });
                q.set_result(&caps);
                true
            }
            (QueryViewMut::Allocation(q), _) => {
                // Encoders read frames through their video meta, whatever their strides: no copy is needed. Of a pool that has
                // an end no buffer is kept, so none needs a minimum.
                q.add_allocation_meta::<gst_video::VideoMeta>(None);
                if let Some(info) = q.get().0.and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()) {
                    q.add_allocation_pool(gst::BufferPool::NONE, info.size() as u32, 0, 0);
                }
                true
            }
            (QueryViewMut::Drain(_), _) => false,
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        match query.view_mut() {
            QueryViewMut::Latency(q) => {
                let mut upstream = gst::query::Latency::new();
                if !self.sinkpad.peer_query(&mut upstream) {
                    return false;
                }
                let (live, min, _) = upstream.result();
                // Frames wait as long as they have to, so there is no upper bound.
                q.set(live, min + self.own_latency(), gst::ClockTime::NONE);
                true
            }
            QueryViewMut::Caps(q) => {
                let negotiation = self.state().as_ref().map(|run| run.negotiation.clone());
                // A muxer's pad is chosen by these caps before anything runs.
                let settings = self.settings().clone();
                let template = || negotiation.map_or_else(|| settings.output_caps(), |n| n.output_template().clone());
                let caps = pad.current_caps().unwrap_or_else(template);
                let caps = match q.filter() {
                    Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                    None => caps,
                };
                q.set_result(&caps);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// How long a chunk lasts: with the tail of a quarter that may join it, or with the half by which a key frame may be
    /// too late.
    pub(super) fn longest_chunk(&self) -> gst::ClockTime {
        let settings = self.settings().clone();
        if let Some(cuts) = &settings.cuts {
            // Of the part behind the last one nothing is known.
            return self.shown_for(cuts.longest().max(settings.chunk_frames.into()));
        }
        let frames = u64::from(settings.chunk_frames);
        let seeks = self.is_coded() && Mode::from(settings.cut) != Mode::Fixed;
        let more = if seeks { frames.div_ceil(4).max(frames / 2) } else { frames.div_ceil(4) };
        self.shown_for(frames + more)
    }

    /// `workers` + 1 chunks, and the frames that may be decoded before one that is shown before them.
    fn own_latency(&self) -> gst::ClockTime {
        let chunks = u64::from(self.settings().workers()) + 1;
        let reordered = if self.is_coded() { MOST_REORDERED as u64 } else { 0 };
        // Each stretch may be longer by half.
        let scouts = self.engine().filter(|_| self.is_coded()).map_or(0, |engine| engine.scouts());
        let looked = if scouts > 0 { (1 + SURVEYS * scouts) as u64 * STRETCH * 3 / 2 + AHEAD as u64 } else { 0 };
        let reordered = reordered + looked;
        let all = self.longest_chunk().nseconds().saturating_mul(chunks);
        gst::ClockTime::from_nseconds(all.saturating_add(self.shown_for(reordered).nseconds()).min(u64::MAX / 2))
    }

    fn shown_for(&self, frames: u64) -> gst::ClockTime {
        let frame = self.state().as_ref().and_then(|run| run.frame_duration).unwrap_or(UNKNOWN_FRAME_DURATION);
        gst::ClockTime::from_nseconds(frame.nseconds().saturating_mul(frames).min(u64::MAX / 2))
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if let gst::EventView::CustomUpstream(_) = event.view()
            && gst_video::ForceKeyUnitEvent::is(&event)
        {
            let Ok(request) = gst_video::UpstreamForceKeyUnitEvent::parse(&event) else { return false };
            let (running_time, all_headers, count) = (request.running_time, request.all_headers, request.count);
            return self.request_key(KeyRequest { running_time, all_headers, count });
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn activate_src(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "the source pad only pushes"));
        }
        if active {
            self.start_task().map_err(|_| gst::loggable_error!(CAT, "the source pad's task did not start"))
        } else {
            if let Some(engine) = self.engine() {
                engine.stop(gst::FlowError::Flushing);
            }
            self.srcpad.stop_task().map_err(|_| gst::loggable_error!(CAT, "the source pad's task did not stop"))
        }
    }

    fn start_task(&self) -> Result<(), glib::BoolError> {
        let stopping = || self.state().as_ref().is_none_or(|run| run.stopping);
        let is_stopping = || glib::bool_error!("the element is stopping");
        if stopping() {
            return Err(is_stopping());
        }
        let element = self.obj().downgrade();
        self.srcpad.start_task(move || {
            let Some(element) = element.upgrade() else { return };
            let imp = element.imp();
            imp.catch_panic(|| (), |imp| imp.produce());
            if imp.panicked().load(std::sync::atomic::Ordering::Relaxed) {
                if let Some(engine) = imp.engine() {
                    engine.stop(gst::FlowError::Error);
                }
                let _ = imp.srcpad.pause_task();
            }
        })?;
        // Starting posts messages, so no lock is held over it, and a stop may have come between.
        if stopping() {
            let _ = self.srcpad.stop_task();
            return Err(is_stopping());
        }
        Ok(())
    }

    /// One turn of the source pad's task.
    fn produce(&self) {
        let Some(engine) = self.engine() else {
            let _ = self.srcpad.pause_task();
            return;
        };
        let pushed = match engine.next() {
            Output::Mark(mark) => {
                let out = self.writer().mark(mark);
                self.push(out)
            }
            Output::Chunk(finished) => self.push_chunk(&engine, *finished, false),
            Output::Tried(finished) => self.push_chunk(&engine, *finished, true),
            Output::Eos(event) => {
                let out = self.writer().finish();
                let pushed = self.push(out);
                self.srcpad.push_event(event);
                pushed
            }
            Output::Stopped => {
                let _ = self.srcpad.pause_task();
                return;
            }
        };
        if let Err(flow) = pushed {
            gst::debug!(CAT, imp = self, "pushing stopped: {flow}");
            engine.stop(flow);
            let _ = self.srcpad.pause_task();
            if flow == gst::FlowError::Eos {
                self.srcpad.push_event(gst::event::Eos::new());
            }
            if matches!(flow, gst::FlowError::NotLinked | gst::FlowError::NotNegotiated | gst::FlowError::Error) {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Failed,
                    ("the element downstream stopped taking units: {flow}")
                );
            }
        }
    }

    fn push_chunk(&self, engine: &Engine, finished: Finished, was_tried: bool) -> Result<(), gst::FlowError> {
        let (id, lane, time, first) = (finished.id, finished.lane, finished.time, finished.first_frame);
        let frames = finished.frames.len() as u64;
        let taken = finished.encoded.bytes();
        self.tell_lost(id, &finished.lost);
        self.tell_complaints(id, &finished.encoded.complaints);
        let joined = if frames == 0 { Ok(Vec::new()) } else { self.writer().chunk(finished) };
        let out = joined.map_err(|error| {
            let last = (first + frames).saturating_sub(1);
            gst::element_imp_error!(
                self,
                gst::StreamError::Encode,
                ("{id} (frames {first} to {last}) from lane {} cannot be joined: {error}", lane.0)
            );
            gst::FlowError::Flushing
        });
        let out = out.inspect_err(|_| engine.stop(gst::FlowError::Error))?;
        // Before its units leave, so that whoever sees the end has heard of every chunk.
        gst::debug!(CAT, imp = self, "{id} done on lane {}: {frames} frames, {taken} bytes, {time:?}", lane.0);
        let done = gst::Structure::builder("divien-chunk-done")
            .field("id", id.0)
            .field("frames", frames)
            .field("bytes", taken)
            .field("lane", lane.0)
            .field("seconds", time.as_secs_f64())
            .build();
        self.post(gst::message::Element::builder(done).src(&*self.obj()).build());
        let bytes = out.iter().map(|o| if let Out::Unit(u) = o { u.size() as u64 } else { 0 }).sum();
        let pushed = self.push(out);
        if was_tried {
            engine.handed_on(frames, bytes);
        } else {
            engine.delivered(id, frames, taken, bytes);
        }
        pushed
    }

    fn push(&self, out: Vec<Out>) -> Result<(), gst::FlowError> {
        for item in out {
            match item {
                Out::Event(event) => {
                    // A refused event shows when the next unit is pushed.
                    self.srcpad.push_event(event);
                }
                Out::Unit(unit) => {
                    self.srcpad.push(unit)?;
                }
            }
        }
        Ok(())
    }
}
