//! From a plan to a running pipeline.
//!
//! ```text
//! source ! parsebin ─┬ queue ! [decoder and filters] ! divienenc ! parser ! tap (picture: `apart` or `ordered`)
//!                    ├ queue ! [parser] ! tap                                  (sound, copied)
//!                    ├ queue ! decoder ! audioconvert ! … ! encoder ! tap      (sound, encoded)
//!                    └ queue ! tap                                             (subtitles)
//! ```
//!
//! Every tap gives its packets to one [`Session`], which writes them in an order of its own. No tap ever
//! waits for another: what runs ahead is kept by the session, so sound cannot starve the picture of input.

mod apart;
mod colour;
mod encoder;
mod gate;
mod loss;
mod ordered;
mod retime;
mod sound;
mod tap;
mod track;
mod video;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::divienenc::DivienEnc;
use gstdivien::isolate::Isolation;
use gstdivien::journal::Shelf;

use crate::error::Error;
use crate::mux::{Codec, Header, Kind, Sample, Session, Shown, Sink, Track, Written};
use crate::plan::{Action, Plan};
use crate::probe::{Cutting, Outlet, Source};
use crate::report::counted;
use crate::sync::lock;
use tap::{Describe, Form, Tap};

/// The application message that says that every track has ended.
pub const DONE: &str = "divien-done";
/// The application message that says that [`Running::failure`] has something.
pub const FAILED: &str = "divien-failed";

/// The application message with a line for the user in its field `text`.
pub const NOTE: &str = "divien-note";

/// A pipeline at work.
pub struct Running {
    /// The pipeline.
    pub pipeline: gst::Pipeline,
    /// The element that encodes.
    pub encoder: gst::Element,
    shared: Arc<Shared>,
    begin: Arc<encoder::Encoder>,
    gate: gst::Pad,
    input_queue: Option<gst::Element>,
}

/// The pictures that have left the encoder.
#[derive(Debug)]
struct Left {
    shown: Shown,
    /// The time of each, where that will be wanted.
    times: Option<Vec<i64>>,
}

/// What the branches of a pipeline share.
pub(crate) struct Shared {
    session: Mutex<Session>,
    failure: Mutex<Option<Error>>,
    output: PathBuf,
    bus: gst::Bus,
    decoded: AtomicU64,
    untimed: AtomicU64,
    end_of_sound: AtomicI64,
    /// How far each lane of sound or texts has come.
    reached: Vec<AtomicI64>,
    raw_caps: Mutex<Option<gst::Caps>>,
    losses: Mutex<loss::Losses>,
    /// What has left the encoder.
    left: Mutex<Left>,
    /// The input's name, where what it has lost ends the run.
    strict: Option<String>,
    /// The window ended before the input did.
    cut: AtomicBool,
    /// The input need not be read on.
    over: Arc<AtomicBool>,
}

impl Shared {
    fn tell(&self, what: gst::Structure) {
        // A bus that is flushing belongs to a run that is being ended.
        let _ = self.bus.post(gst::message::Application::new(what));
    }

    fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.tell(gst::Structure::new_empty(FAILED));
    }

    fn disk(&self, source: std::io::Error) {
        self.fail(Error::Write { path: self.output.clone(), source });
    }

    fn set_track(&self, lane: usize, track: Track) -> bool {
        lock(&self.session).set_track(lane, track)
    }

    fn push(&self, lane: usize, sample: Sample) -> Result<(), ()> {
        let result = lock(&self.session).push(lane, sample);
        result.map_err(|e| self.disk(e))
    }

    /// No packet comes before `time`. Texts may be far apart: past the end nobody waits for the next one.
    fn promise(&self, lane: usize, time: i64) {
        if lane > 0 && self.passes_the_end(lane, time) {
            return self.end(lane);
        }
        let result = lock(&self.session).promise(lane, time);
        if let Err(e) = result {
            self.disk(e);
        }
    }

    fn end(&self, lane: usize) {
        let (result, done) = {
            let mut session = lock(&self.session);
            (session.end(lane), session.is_done())
        };
        self.read_no_further();
        match result {
            Err(e) => self.disk(e),
            Ok(()) if done => self.tell(gst::Structure::new_empty(DONE)),
            Ok(()) => {}
        }
    }

    /// Whether a lane that has come to `time` has all it needs.
    fn passes_the_end(&self, lane: usize, time: i64) -> bool {
        if let Some(reached) = self.reached.get(lane) {
            reached.fetch_max(time, Ordering::SeqCst);
        }
        time >= self.end_of_sound.load(Ordering::SeqCst)
    }

    /// Lanes that are there already may have no further packet that would tell them.
    fn end_sound_at(&self, time: i64) {
        self.end_of_sound.store(time, Ordering::SeqCst);
        lock(&self.session).limit(time);
        for (lane, _) in self.reached.iter().enumerate().filter(|(_, at)| at.load(Ordering::SeqCst) >= time) {
            self.end(lane);
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// All pictures that are wanted have been read.
    fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.read_no_further();
    }

    /// Ends the input once nothing that follows is wanted of any stream.
    fn read_no_further(&self) {
        if self.is_cut() && lock(&self.session).others_have_ended() {
            self.over.store(true, Ordering::Relaxed);
        }
    }

    fn note(&self, text: &str) {
        self.tell(gst::Structure::builder(NOTE).field("text", text).build());
    }

    /// Takes down what becomes of frames. The first that is lost ends a run that is to lose none.
    fn losses<T>(&self, note: impl FnOnce(&mut loss::Losses) -> T) -> T {
        let (noted, told) = {
            let mut losses = lock(&self.losses);
            (note(&mut losses), self.strict.as_ref().and_then(|_| losses.told()))
        };
        if let Some((input, reason)) = self.strict.clone().zip(told) {
            self.fail(Error::Lossy { input, reason });
        }
        noted
    }

    fn has_left(&self, time: i64) {
        let mut left = lock(&self.left);
        left.shown.add(time);
        left.times.iter_mut().for_each(|times| times.push(time));
    }

    fn count_untimed(&self) {
        self.untimed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Running {
    /// Starts.
    pub fn start(&self) -> Result<(), Error> {
        self.pipeline
            .set_state(gst::State::Playing)
            .map(|_| ())
            .map_err(|_| Error::Fault { what: "the pipeline does not start".into() })
    }

    /// Begins no chunk any more; a message says when those that are begun are done.
    pub fn wind_down(&self) {
        if let Some(encoder) = self.encoder.downcast_ref::<DivienEnc>() {
            encoder.wind_down();
        }
    }

    /// The error a branch ran into.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        lock(&self.shared.failure).take()
    }

    /// What is in the file.
    #[must_use]
    pub fn written(&self) -> Written {
        lock(&self.shared.session).written().clone()
    }

    /// Takes down what the encoder tells of frames that its decoders could not give; false where it tells something else.
    pub fn lost(&self, told: &gst::StructureRef) -> bool {
        self.shared.losses(|losses| losses.in_a_chunk(told))
    }

    /// True once a decoder has told the form of pictures.
    #[must_use]
    pub fn has_pictures(&self) -> bool {
        lock(&self.shared.raw_caps).is_some()
    }

    /// True when the part that was asked for ended before the input did.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.is_cut()
    }

    /// Packets left out because nothing told their time.
    #[must_use]
    pub fn untimed(&self) -> u64 {
        self.shared.untimed.load(Ordering::Relaxed)
    }

    /// The pictures that the input itself has lost or spoilt, in words.
    #[must_use]
    pub fn losses(&self) -> Option<String> {
        lock(&self.shared.losses).told()
    }

    /// The pictures before the first that can be decoded.
    #[must_use]
    pub fn too_early(&self) -> Option<String> {
        lock(&self.shared.losses).too_early()
    }

    /// What libav found wrong without losing a picture over it.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        lock(&self.shared.losses).complaint()
    }

    /// Pictures that are missing, where nothing tells which, in words.
    #[must_use]
    pub fn unaccounted(&self) -> Option<String> {
        lock(&self.shared.losses).unaccounted()
    }

    /// True while compressed video waits to be decoded.
    #[must_use]
    pub fn input_waits(&self) -> bool {
        let has_all = self.encoder.static_pad("sink").is_some_and(|pad| pad.pad_flags().contains(gst::PadFlags::EOS));
        has_all || self.input_queue.as_ref().is_some_and(|q| q.property::<u32>("current-level-buffers") > 0)
    }

    /// After the input broke off: what came is all there is.
    pub fn end_input(&self) {
        let sound: Vec<usize> = (1..lock(&self.shared.session).lanes()).collect();
        self.begin.begin(None);
        self.gate.push_event(gst::event::Eos::new());
        for lane in sound {
            self.shared.end(lane);
        }
    }

    /// What has gone wrong between the encoder and the file, in words.
    #[must_use]
    pub fn miswritten(&self) -> Option<String> {
        let (left, written) = (lock(&self.shared.left).shown, self.written().shown);
        if left.count != written.count {
            return Some(format!(
                "{} left the encoder and {} are in the file",
                counted(left.count, "picture"),
                written.count
            ));
        }
        (left != written)
            .then(|| "pictures in the file have other times than they had when they left the encoder".into())
    }

    /// When pictures are shown, where that was wanted.
    #[must_use]
    pub fn times(&self) -> Option<Vec<i64>> {
        lock(&self.shared.left).times.take()
    }

    /// Completes the file.
    pub fn finish(&self) -> Result<Option<Sink>, Error> {
        let path = self.shared.output.clone();
        lock(&self.shared.session).finish().map_err(|source| Error::Write { path, source })
    }
}

/// What a run has beside its pipeline.
#[derive(Debug)]
pub struct Means {
    /// Where finished chunks are kept, or taken from.
    pub shelf: Option<Arc<Shelf>>,
    /// The processes that chunks may be encoded in.
    pub isolation: Option<Arc<Isolation>>,
    /// The output will be verified.
    pub verifies: bool,
}

/// Builds everything behind the source, and lets the packets go.
pub fn build(source: &Source, plan: &Plan, sink: Sink, means: Means) -> Result<Running, Error> {
    let fault = |what: &str| Error::Fault { what: what.to_owned() };
    let bus = source.pipeline.bus().ok_or_else(|| fault("a pipeline without a bus"))?;
    let first = source.facts.first();
    let start = first.saturating_add(i64::try_from(plan.range.start).unwrap_or(i64::MAX));
    let origin = if plan.range.start > 0 { start } else { 0 };
    let output = plan.output.clone().unwrap_or_else(|| "standard output".into());
    let kinds: Vec<Kind> = std::iter::once(Kind::Video).chain(plan.others.iter().map(|t| t.kind)).collect();
    let header = Header {
        chapters: moved(plan, first),
        tags: plan.tags.clone(),
        attachments: plan.attachments.clone(),
        seed: plan.seed,
        faststart: plan.faststart,
        ..Header::default()
    };
    let session = Session::new(plan.container, header, origin, &kinds, sink);
    let shared = Arc::new(Shared {
        session: Mutex::new(session),
        failure: Mutex::new(None),
        output,
        bus,
        decoded: AtomicU64::new(0),
        untimed: AtomicU64::new(0),
        end_of_sound: AtomicI64::new(i64::MAX),
        reached: kinds.iter().map(|_| AtomicI64::new(i64::MIN)).collect(),
        raw_caps: Mutex::new(None),
        losses: Mutex::default(),
        left: Mutex::new(Left { shown: Shown::default(), times: means.verifies.then(Vec::new) }),
        strict: plan.strict.then(|| plan.input.clone()),
        cut: AtomicBool::new(false),
        over: Arc::clone(&source.over),
    });
    if let Some(end) = plan.range.end {
        shared.end_sound_at(first.saturating_add(i64::try_from(end).unwrap_or(i64::MAX)));
    }
    let known = source.facts.streams.get(plan.video.stream).map(|stream| &stream.cutting);
    if let Some(Cutting::Apart(units)) = known.filter(|_| plan.keeps_its_sound()) {
        let sound = plan.others.iter().filter(|track| track.kind == Kind::Audio).map(|track| track.stream);
        source.skip((plan.video.stream, units), &sound.collect::<Vec<_>>(), start)?;
    }
    let (encoder, gate) = video::branch(source, plan, &shared, (first, means))?;
    for (i, track) in plan.others.iter().enumerate() {
        let (Some(outlet), Some(stream)) = (source.outlets.get(track.stream), source.facts.streams.get(track.stream))
        else {
            continue;
        };
        let lane = i + 1;
        let (codec, language, title) = (track.codec.clone(), track.language.clone(), track.title.clone());
        let flags = track.flags;
        let described = codec.clone();
        let describe: Describe = Box::new(move |caps| {
            // Parsers know more than demuxers: the layer of MPEG sound, for one.
            let codec = match caps.structure(0).map(Codec::from_caps) {
                Some(codec) if codec.kind() == Kind::Audio => codec,
                _ => described.clone(),
            };
            let track = track::describe(caps, codec, language.clone(), title.clone())?;
            Some(Track { flags, ..track })
        });
        let form = match (&track.action, &stream.codec) {
            (Action::Text, Codec::Ass) => Form::FromAss,
            // GStreamer escapes subtitle texts that have marks; files keep them as they were.
            (Action::Text, _) | (Action::Copy, Codec::Text) if stream.has_marks() => Form::FromPango,
            _ => Form::Same,
        };
        if track.kind == Kind::Subtitle
            && let Some(t) = describe(&stream.caps)
        {
            shared.set_track(lane, t);
        }
        let start = if plan.range.start > 0 { start } else { i64::MIN };
        let copied = track.action == Action::Copy && plan.range.start == 0;
        let early = if copied { stream.early.clone() } else { Vec::new() };
        let tap = Tap { lane, kind: track.kind, form, describe, start, early, delay: stream.delay };
        sound::branch(source, plan, track, outlet, tap.element(&shared)?)?;
    }
    for (i, outlet) in source.outlets.iter().enumerate() {
        if i != plan.video.stream && !plan.others.iter().any(|t| t.stream == i) {
            discard(source, outlet)?;
        }
    }
    for outlet in &source.outlets {
        outlet.release();
    }
    Ok(Running {
        pipeline: source.pipeline.clone(),
        encoder: encoder.element().clone(),
        shared,
        begin: encoder,
        gate,
        input_queue: source.outlets.get(plan.video.stream).map(|o| o.queue().clone()),
    })
}

/// Chapters on the input's own time line, as the session wants them.
fn moved(plan: &Plan, first: i64) -> Vec<crate::mux::Chapter> {
    // Chapter times count from the start of the input's time line, cut ones from the start of the window.
    let shift =
        if plan.range.start > 0 { u64::try_from(first).unwrap_or(0).saturating_add(plan.range.start) } else { 0 };
    let mut chapters = plan.chapters.clone();
    for chapter in &mut chapters {
        chapter.start = chapter.start.saturating_add(shift);
        chapter.end = chapter.end.saturating_add(shift);
    }
    chapters
}

/// Adds elements to the pipeline, links them one after the other behind `outlet`, and starts them.
fn attach(source: &Source, outlet: &Outlet, elements: &[gst::Element]) -> Result<(), Error> {
    let fault = |e: &dyn std::fmt::Display| Error::Fault { what: format!("cannot build the pipeline: {e}") };
    source.pipeline.add_many(elements).map_err(|e| fault(&e))?;
    gst::Element::link_many(elements).map_err(|e| fault(&e))?;
    for element in elements.iter().rev().filter(|e| !e.is_locked_state()) {
        element.sync_state_with_parent().map_err(|e| fault(&format!("{}: {e}", element.name())))?;
    }
    let (Some(pad), Some(first)) = (outlet.pad(), elements.first().and_then(|e| e.static_pad("sink"))) else {
        return Err(fault(&"a pad is missing"));
    };
    pad.link(&first).map_err(|e| {
        // Damaged headers tell of pictures of other forms than those that were found first.
        let message = format!("the form of a stream changes to one that cannot be read: {e}");
        Error::Broken { input: source.facts.name.clone(), message, piped: false }
    })?;
    Ok(())
}

fn discard(source: &Source, outlet: &Outlet) -> Result<(), Error> {
    let sink = crate::probe::make("fakesink")?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    attach(source, outlet, &[sink])
}

fn caps_filter(caps: &str) -> Result<gst::Element, Error> {
    let element = crate::probe::make("capsfilter")?;
    let caps: gst::Caps = caps.parse().map_err(|_| Error::Fault { what: format!("caps that are none: {caps}") })?;
    element.set_property("caps", caps);
    Ok(element)
}
