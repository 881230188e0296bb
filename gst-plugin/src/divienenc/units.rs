//! Compressed units on the sink pad: from buffers and events to whole chunks.

use std::sync::Arc;

use glib::subclass::prelude::*;
use gst::prelude::*;

use super::coded::{Coded, Unfit};
use super::engine::Engine;
use super::imp::DivienEnc;
use super::model::{CodedChunk, LostFrames, Mark};
use super::scout::Survey;
use crate::chunk::ChunkId;
use crate::lane::{CodedUnit, Complaints, DecoderSpec, EncoderSpec, FilterSpec, Format, Wanted};
use crate::scenes;

/// So many stretches for each of those who look for scenes are on their way.
pub(super) const SURVEYS: usize = 3;

/// Has stretches looked through by this engine.
fn looking<'a>(
    engine: &'a Engine,
    format: &'a Option<Arc<Format>>,
) -> impl Fn(Wanted, Vec<CodedUnit>) -> Arc<Survey> + 'a {
    move |wanted, units| match format {
        Some(format) => engine.look(format.clone(), wanted, units),
        None => {
            let survey = Arc::<Survey>::default();
            survey.conclude(Ok(Vec::new()));
            survey
        }
    }
}

/// How units of these caps are looked through, where anybody does.
fn survey(caps: &gst::Caps, decoder: &DecoderSpec, engine: &Engine) -> Result<Option<Format>, gst::FlowError> {
    if engine.scouts() == 0 {
        return Ok(None);
    }
    let size = |name| caps.structure(0).and_then(|s| s.get::<i32>(name).ok()).and_then(|side| u32::try_from(side).ok());
    let filter = FilterSpec::parse(&scenes::filter(size("width").zip(size("height"))));
    let (Ok(encoder), Ok(filter)) = (EncoderSpec::parse(scenes::FACTORY, 0), filter) else {
        return Err(gst::FlowError::Error);
    };
    let plain = gst::Structure::builder("video/x-raw")
        .field("interlace-mode", "progressive")
        .field("framerate", gst::Fraction::new(25, 1))
        .build();
    Ok(Some(Format {
        encoder,
        input: caps.clone(),
        decoder: Some(decoder.clone()),
        filter,
        // Nothing that a decoder finds out on its way begins another stream.
        frame_caps: Some(plain),
        output: gst::Caps::new_any(),
        lead_in: 0,
    }))
}

/// So many lost frames are named one by one.
const NAMED: usize = 8;

impl DivienEnc {
    /// True while compressed video comes in.
    pub(super) fn is_coded(&self) -> bool {
        self.state().as_ref().is_some_and(|run| run.coded.is_some())
    }

    /// Takes a unit.
    pub(super) fn chain_coded(&self, unit: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some((engine, caps)) = self.caps_to_begin(&unit) {
            self.finish_coded(&engine)?;
            self.begin_coded(&engine, caps)?;
        }
        let (engine, learnt, pushed, awaits) = {
            let mut state = self.state();
            let run = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            run.engine.flow()?;
            let Some(segment) = &run.segment else {
                drop(state);
                return self.bad_frame(0, "came before any segment");
            };
            let Some(coded) = &mut run.coded else { return Err(gst::FlowError::NotNegotiated) };
            run.frames += 1;
            let running_time = unit.pts().and_then(|pts| segment.to_running_time(pts));
            if let Some(request) = run.key_requests.due(running_time) {
                let time = request.running_time.and_then(|time| segment.position_from_running_time(time));
                let mark = Mark::ForceKeyUnit { all_headers: request.all_headers, count: request.count };
                coded.ask(time.map(gst::ClockTime::nseconds), mark);
            }
            let step = || unit.duration().or_else(|| coded.step(unit.pts()?));
            let learnt = run.frame_duration.is_none().then(step).flatten();
            run.frame_duration = run.frame_duration.or(learnt);
            let pushed = coded.push(unit, run.engine.store(), &looking(&run.engine, &run.survey));
            let awaits = coded.awaited(false).is_some();
            (run.engine.clone(), learnt.is_some(), pushed, awaits)
        };
        if learnt {
            self.latency_changed();
        }
        let chunks = pushed.map_err(|why| self.unfit(&engine, why))?;
        self.push_coded(&engine, chunks)?;
        if awaits {
            self.await_scenes(&engine, false)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Says why units cannot be cut, unless the engine has stopped.
    fn unfit(&self, engine: &Engine, why: Unfit) -> gst::FlowError {
        if let Err(flow) = engine.flow() {
            return flow;
        }
        match &why {
            Unfit::Unkept(..) => self.cannot_keep(&why),
            Unfit::Scenes(_) => {
                gst::element_imp_error!(self, gst::StreamError::Failed, ("{why}; cut=keyframe does without"))
            }
            _ => gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("the input cannot be cut before it is decoded: {why}; put a decoder before divienenc (decodebin in place of parsebin)")
            ),
        }
        gst::FlowError::Error
    }

    /// Waits until no more is looked for scenes than may be at once, or until nothing is where `has_ended`.
    fn await_scenes(&self, engine: &Engine, has_ended: bool) -> Result<(), gst::FlowError> {
        let with = |step: &mut dyn FnMut(&mut Coded)| {
            if let Some(coded) = self.state().as_mut().and_then(|run| run.coded.as_mut()) {
                step(coded);
            }
        };
        loop {
            let mut awaited = None;
            with(&mut |coded| awaited = coded.awaited(has_ended));
            if let Some(survey) = &awaited {
                survey.wait();
            }
            let mut settled = Ok(Vec::new());
            with(&mut |coded| settled = coded.settle(has_ended));
            let chunks = settled.map_err(|why| self.unfit(engine, why))?;
            self.push_coded(engine, chunks)?;
            if awaited.is_none() {
                return Ok(());
            }
        }
    }

    /// New caps that begin with this unit: earlier ones still belong to what came before.
    fn caps_to_begin(&self, unit: &gst::BufferRef) -> Option<(Arc<Engine>, gst::Caps)> {
        let mut state = self.state();
        let run = state.as_mut()?;
        let caps = run.next_caps.as_ref()?;
        let (_, syntax) = Coded::syntax(caps).ok()?;
        let starts = Coded::starts(syntax, unit);
        let caps = run.next_caps.take_if(|_| starts)?;
        Some((run.engine.clone(), caps))
    }

    /// Caps of compressed video.
    pub(super) fn new_coded_caps(&self, engine: &Engine, caps: gst::Caps) -> Result<(), gst::FlowError> {
        if let Err(why) = Coded::syntax(&caps) {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{why}; put a decoder before divienenc"));
            return Err(gst::FlowError::NotNegotiated);
        }
        let is_new = {
            let settings = self.settings().clone();
            let mut state = self.state();
            let run = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            let is_new = run.coded.is_none();
            let segment = run.segment.clone();
            let (frames, cut, most) = (settings.chunk_frames, settings.cut, settings.max_buffered_bytes);
            let (needs, scouts) = (run.filter.needs(), run.engine.scouts());
            let new = || {
                let coded = Coded::new(frames.into(), cut.into(), needs, most).at(settings.cuts.clone());
                if scouts > 0 { coded.with_scouts(SURVEYS * scouts) } else { coded }
            };
            let coded = run.coded.get_or_insert_with(new);
            if let Some(segment) = segment.filter(|_| is_new) {
                coded.moves_to(segment);
            }
            is_new
        };
        let is_same = engine.current_section().is_some_and(|section| section.format.input == caps);
        if is_new && !is_same {
            return self.begin_coded(engine, caps);
        }
        if let Some(run) = self.state().as_mut() {
            run.next_caps = Some(caps).filter(|_| !is_same);
        }
        Ok(())
    }

    fn begin_coded(&self, engine: &Engine, caps: gst::Caps) -> Result<(), gst::FlowError> {
        let (decoder, syntax) = Coded::syntax(&caps).map_err(|_| gst::FlowError::NotNegotiated)?;
        let output = self.wanted_downstream()?;
        let rate = caps.structure(0).and_then(|s| s.get::<gst::Fraction>("framerate").ok());
        let usual = rate.filter(|rate| rate.numer() > 0 && rate.denom() > 0).and_then(|rate| {
            gst::ClockTime::SECOND.mul_div_floor(rate.denom().unsigned_abs().into(), rate.numer().unsigned_abs().into())
        });
        let format = {
            let mut state = self.state();
            let run = state.as_mut().ok_or(gst::FlowError::Flushing)?;
            run.frame_duration = usual;
            if let Some(coded) = &mut run.coded {
                coded.becomes(&caps, syntax, usual);
            }
            run.survey = survey(&caps, &decoder, engine)?.map(Arc::new);
            Format {
                encoder: run.encoder.clone(),
                input: caps,
                decoder: Some(decoder),
                filter: run.filter.clone(),
                frame_caps: run.frame_caps.clone(),
                output,
                lead_in: run.lead_in,
            }
        };
        engine.section(Arc::new(format), 0, false)?;
        self.latency_changed();
        Ok(())
    }

    /// Chunks that are open end here, and nothing that follows needs their units.
    pub(super) fn finish_coded(&self, engine: &Engine) -> Result<(), gst::FlowError> {
        self.end_coded(engine, false, Coded::finish)
    }

    /// Chunks that are open end here. What follows may need their units to be decoded.
    pub(super) fn split_coded(&self, engine: &Engine) -> Result<(), gst::FlowError> {
        self.end_coded(engine, true, Coded::split)
    }

    fn end_coded(
        &self,
        engine: &Engine,
        needs: bool,
        end: impl FnOnce(&mut Coded) -> (Vec<CodedChunk>, Vec<Mark>),
    ) -> Result<(), gst::FlowError> {
        let scouts = {
            let mut state = self.state();
            let run = state.as_mut();
            run.is_some_and(|run| {
                if let Some(coded) = &mut run.coded {
                    coded.conclude(needs, &looking(&run.engine, &run.survey));
                }
                run.engine.scouts() > 0
            })
        };
        if scouts {
            self.await_scenes(engine, true)?;
        }
        let left = self.state().as_mut().and_then(|run| run.coded.as_mut()).map(end);
        let Some((chunks, marks)) = left else { return Ok(()) };
        self.push_coded(engine, chunks)?;
        marks.into_iter().try_for_each(|mark| engine.mark(mark))
    }

    /// Where nothing is shown up to a time so late that whoever is downstream should not wait for it, the frames before
    /// that come out.
    pub(super) fn pause_coded(&self, engine: &Engine, end: gst::ClockTime) -> Result<(), gst::FlowError> {
        let since = self.state().as_ref().and_then(|run| run.coded.as_ref()?.since());
        let most = self.longest_chunk().nseconds();
        match since.filter(|since| end.nseconds().saturating_sub(*since) >= most) {
            Some(_) => self.end_coded(engine, true, Coded::pause),
            None => Ok(()),
        }
    }

    /// Puts an event in its place among the frames.
    pub(super) fn mark(&self, engine: &Engine, mark: Mark) -> Result<(), gst::FlowError> {
        let mark = match self.state().as_mut().and_then(|run| run.coded.as_mut()) {
            Some(coded) => coded.mark(mark),
            None => Some(mark),
        };
        mark.map_or(Ok(()), |mark| engine.mark(mark))
    }

    fn push_coded(&self, engine: &Engine, chunks: Vec<CodedChunk>) -> Result<(), gst::FlowError> {
        chunks.into_iter().try_for_each(|chunk| engine.push_coded(chunk))
    }

    /// Says what decoders found wrong, and hid in their pictures.
    pub(super) fn tell_complaints(&self, id: ChunkId, complaints: &Complaints) {
        let Some((time, what)) = &complaints.first else { return };
        let told = gst::Structure::builder("divien-complaints")
            .field("id", id.0)
            .field("count", complaints.count)
            .field("time", time)
            .field("first", what)
            .build();
        self.post(gst::message::Element::builder(told).src(&*self.obj()).build());
    }

    /// Says which frames the input has lost, or never had.
    pub(super) fn tell_lost(&self, id: ChunkId, lost: &LostFrames) {
        if lost.is_none() && lost.unreachable.is_empty() {
            return;
        }
        let LostFrames { missing, damaged, unreachable, strange } = lost;
        let named = |frames: &[(u64, u64)], what: &str| {
            let each = frames.iter().take(NAMED).map(|(n, pts)| format!("{n} at {:.3} s", *pts as f64 / 1e9));
            let more = if frames.len() > NAMED { " …" } else { "" };
            (!frames.is_empty())
                .then(|| format!("{} {what}: {}{more}", frames.len(), each.collect::<Vec<_>>().join(", ")))
        };
        let strange = (*strange > 0).then(|| format!("{strange} decoded with a time that no packet has"));
        let listed = [
            named(missing, "missing"),
            named(damaged, "damaged"),
            named(unreachable, "before the first that can be decoded"),
            strange,
        ];
        let told: Vec<_> = listed.into_iter().flatten().collect();
        let array = |frames: &[(u64, u64)], which: fn(&(u64, u64)) -> u64| gst::Array::new(frames.iter().map(which));
        let details = gst::Structure::builder("divien-frames-lost")
            .field("id", id.0)
            .field("missing", array(missing, |frame| frame.0))
            .field("missing-times", array(missing, |frame| frame.1))
            .field("damaged", array(damaged, |frame| frame.0))
            .field("damaged-times", array(damaged, |frame| frame.1))
            .field("unreachable", array(unreachable, |frame| frame.0))
            .field("unreachable-times", array(unreachable, |frame| frame.1))
            .field("strange", lost.strange)
            .build();
        let text = format!("frames of {id} could not be decoded as they were: {}", told.join("; "));
        let from = self.obj();
        self.post(if lost.is_none() {
            // gst-launch-1.0 shows of an info message what is for developers.
            let info = gst::message::Info::builder(gst::StreamError::Decode, &text).debug(&text);
            info.details(details).src(&*from).build()
        } else {
            gst::message::Warning::builder(gst::StreamError::Decode, &text).details(details).src(&*from).build()
        });
    }
}
