//! Opening an input by its content, and holding every stream at its first packet.
//!
//! The same pipeline that finds out what the input is later encodes it, so that standard input, which
//! can be read once only, needs no case of its own.

mod clock;
mod clusters;
mod codec_delay;
mod ends;
mod facts;
mod input;
mod messages;
mod movie;
mod outlet;
mod pace;
mod pictures;
mod priming;
mod scan;
mod seek;
mod settle;
mod tags;
mod times;
mod told;
mod transport;
mod whole;
mod y4m;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;
use gstdivien::chunk::Start;
use gstdivien::lane::DecoderSpec;

use crate::cli::{Input, Range};
use crate::error::Error;
use crate::mux::{Codec, Flags, Kind};
use crate::sync::lock;
pub use clock::Breaks;
pub(crate) use clusters::damage;
pub use facts::{Cutting, Facts, Orientation, Stream, Units};
pub(crate) use messages::stopped;
pub use messages::{Messages, said};
pub use outlet::Outlet;
use outlet::OutletState;
pub use pace::{Pace, Pause};
pub(crate) use scan::is_hidden;
pub use seek::Skip;
use times::Times;

/// How long the elements get to stop on their own before the process ends over them.
const STOP: Duration = Duration::from_millis(1000);

/// What a stream may hold between demuxer and decoder, and what it may where another has no packet yet.
const QUEUE_BYTES: u32 = 4 << 20;
const MOST_QUEUE_BYTES: u32 = 32 << 20;

/// An opened input: every stream known and waiting at its first packet.
pub struct Source {
    /// The pipeline, paused.
    pub pipeline: gst::Pipeline,
    /// What it says from now on.
    pub messages: Messages,
    /// What is in it.
    pub facts: Facts,
    /// For each stream of the facts, where its packets come out once it is released.
    pub outlets: Vec<Outlet>,
    /// Set once nothing that follows in the file is wanted: it is not read on then.
    pub over: Arc<AtomicBool>,
    /// Of a transport stream.
    clock: Option<Arc<Mutex<clock::Clock>>>,
    /// What was found after all that is above.
    late: Arc<Mutex<Found>>,
}

impl Source {
    /// True where streams have begun midway, as in files that were put one behind the other: those are not read.
    #[must_use]
    pub fn changed(&self) -> bool {
        let late = lock(&self.late);
        late.changed || !late.outlets.is_empty() || !late.unknown.is_empty()
    }

    /// How often the clock of a transport stream has jumped, as far as it has been read: times go on at each without a
    /// step.
    #[must_use]
    pub fn jumps(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| lock(clock).jumps)
    }

    /// Where packets of the video in a transport stream are missing or damaged, as far as it has been read.
    #[must_use]
    pub fn breaks(&self) -> Option<Breaks> {
        let (pid, _) = self.video_packets()?;
        self.clock.as_ref().and_then(|clock| lock(clock).breaks(pid))
    }

    /// Packets of the video in a transport stream that demuxer and parser have made nothing of, once it has been read to its
    /// end.
    #[must_use]
    pub fn unread(&self) -> Option<u64> {
        let (pid, came) = self.video_packets()?;
        let sent = self.clock.as_ref().map(|clock| lock(clock).begun(pid))?;
        let unread = sent.saturating_sub(came);
        // A parser may make one picture of two fields that come in a packet each.
        let are_fields = came.abs_diff(unread) <= sent / 20;
        (unread > 0 && !are_fields).then_some(unread)
    }

    /// The video's PID, and the packets of it that have come so far.
    fn video_packets(&self) -> Option<(u16, u64)> {
        let outlet = self.outlets.get(self.facts.video()?)?;
        Some((transport::pid_of(outlet.id.as_deref()?)?, outlet.reach().packets))
    }

    /// True where an element of this kind takes the input apart.
    #[must_use]
    pub fn is_demuxed_by(&self, factory: &str) -> bool {
        let is_it = |e: gst::Element| e.factory().is_some_and(|f| f.name() == factory);
        self.pipeline.iterate_recurse().into_iter().flatten().any(is_it)
    }

    /// True where the demuxer knows no presentation times but decode times alone.
    #[must_use]
    pub fn has_decode_times_alone(&self) -> bool {
        self.is_demuxed_by("avidemux")
    }

    /// True where the demuxer of GStreamer 1.22 calls decode times presentation times.
    #[must_use]
    pub fn has_decode_times_twice(&self) -> bool {
        self.is_demuxed_by("mxfdemux")
    }

    /// True for a transport stream of which references are missing.
    fn has_gaps(&self) -> bool {
        self.clock.as_ref().is_some_and(|clock| lock(clock).gaps > 0)
    }
}

#[derive(Default)]
struct Found {
    outlets: Vec<(gst::Pad, Outlet)>,
    unknown: Vec<String>,
    /// The streams' own ids of those.
    unknown_ids: Vec<String>,
    /// The demuxer has met a stream after it had said that it has all.
    changed: bool,
    /// The innermost demuxer, and whether it has said that it has all its pads.
    demuxer: Option<(gst::Element, bool)>,
}

/// Opens the input and finds out what is in it.
pub fn open(input: &Input) -> Result<Source, Error> {
    let input::Entry { element, name, is_raw, waits, clock, over } = input::open(input)?;
    let pipeline = gst::Pipeline::new();
    let mut messages = messages::listen(&pipeline)?;
    let found = Arc::new(Mutex::new(Found::default()));
    let fault = |e: &dyn std::fmt::Display| Error::Fault { what: format!("cannot build the source: {e}") };
    pipeline.add(&element).map_err(|e| fault(&e))?;
    let path = match input {
        Input::File(path) => Some(path.as_path()).filter(|p| p.is_file()),
        Input::Stdin => None,
    };
    let mut told = path.map(told::read).unwrap_or_default();
    let mut movie = None;
    if is_raw {
        let pad = element.static_pad("src").ok_or_else(|| fault(&"no pad"))?;
        let outlet = hold(&pipeline, &pad, Times::Kept, false)?;
        lock(&found).outlets.push((pad, outlet));
    } else {
        let parse = parser()?;
        movie = Some(movie::hide(&parse, path));
        watch(&pipeline, &parse, &found, told.whole());
        pipeline.add(&parse).and_then(|()| element.link(&parse)).map_err(|e| fault(&e))?;
    }
    // A failed change of state is explained by a message, read below.
    let _ = pipeline.set_state(gst::State::Paused);
    let heard = settle::settle(&pipeline, &mut messages, &found, &name, is_raw, waits);
    let settle::Heard { complaint, missing, .. } = heard.inspect_err(|_| close(&pipeline))?;
    // A pipe cannot be read twice.
    let (mut early, delays) = path.map(|p| (priming::read(p), codec_delay::read(p))).unwrap_or_default();
    let duration = movie.and_then(|movie| lock(&movie).duration());
    let complaint = told.fault.take().or(complaint);
    let mut facts = Facts { name, complaint, duration, ..Facts::default() };
    let mut outlets = Vec::new();
    let jumps = clock.as_ref().is_some_and(|clock| lock(clock).jumps > 0);
    let mut early_pictures = false;
    let late = Arc::clone(&found);
    let found = {
        let mut late = lock(&late);
        // Whether it has all pads is of use later on.
        let rest = Found { demuxer: late.demuxer.clone(), changed: late.changed, ..Found::default() };
        std::mem::replace(&mut *late, rest)
    };
    facts.unknown = found.unknown.into_iter().chain(missing).chain(told.hidden).collect();
    facts.unknown.sort();
    facts.unknown.dedup();
    for (pad, outlet) in found.outlets {
        // What stands before the first packet is the same in every run; the demuxer itself may be further on.
        let settled = outlet.pad().filter(|_| lock(&outlet.state).ready);
        let said = settled.as_ref().unwrap_or(&pad);
        let Some(caps) = said.current_caps().or_else(|| Some(pad.query_caps(None))) else { continue };
        let Some(structure) = caps.structure(0) else { continue };
        let codec = Codec::from_caps(structure);
        let mut stream = Stream {
            kind: codec.kind(),
            codec,
            caps: caps.clone(),
            language: None,
            title: None,
            orientation: Orientation::default(),
            still: false,
            early: Vec::new(),
            delay: 0,
            pace: None,
            frames: None,
            pauses: Vec::new(),
            cutting: Cutting::Whole,
            flags: Flags::default(),
        };
        if let Some(packets) = stream_number(&pad).and_then(|n| early.remove(&n))
            && stream.kind == Kind::Audio
        {
            stream.early = packets;
        }
        if stream.kind == Kind::Audio && stream.codec != Codec::Opus {
            stream.delay = stream_number(&pad).and_then(|n| delays.get(&n).copied()).unwrap_or(0);
        }
        tags::read(said, &mut stream, &mut facts);
        let mut is_whole = false;
        if let Some(track) = stream_number(&pad).and_then(|n| told.tracks.remove(&n)) {
            is_whole = track.is_whole;
            early_pictures |= track.is_early && stream.kind == Kind::Video && !stream.still && facts.video().is_none();
            stream.flags = Flags { default: track.default.or(stream.flags.default), forced: track.forced };
            stream.language = track.language.filter(|_| stream.language.is_some()).or(stream.language);
        }
        if matches!(stream.kind, Kind::Video | Kind::Audio)
            && let Some(first) = lock(&outlet.state).first
        {
            facts.start = Some(facts.start.map_or(first, |s: i64| s.min(first)));
        }
        facts.streams.push(stream);
        outlets.push(Outlet { id: pad.stream_id().map(|id| id.to_string()), is_whole, ..outlet });
        // The demuxer takes the first time from the last, and has no last one of a transport stream from a pipe.
        if facts.duration.is_none() && !jumps && (clock.is_none() || path.is_some()) {
            facts.duration = pad.query_duration::<gst::ClockTime>().map(gst::ClockTime::nseconds);
        }
    }
    tags::close_chapters(&mut facts);
    tags::settle_defaults(&mut facts);
    facts.cut = path.and_then(whole::missing);
    let transport = clock.as_ref().and_then(|clock| lock(clock).transport()).unwrap_or_default();
    let ids = outlets.iter().filter_map(|o| o.id.as_deref()).chain(found.unknown_ids.iter().map(String::as_str));
    let shown: Vec<u16> = ids.filter_map(transport::pid_of).collect();
    facts.unknown.extend(transport.without(&shown));
    let source = Source { pipeline, messages, facts, outlets, clock, over, late };
    if early_pictures {
        close(&source.pipeline);
        return Err(Error::EarlyPictures { input: source.facts.name });
    }
    check(&source).inspect_err(|_| close(&source.pipeline))?;
    Ok(source)
}

/// Reads the packets of the part `range`: whether its pictures keep a rate, and where they can be cut before they are
/// decoded. What comes from a pipe cannot be read twice, and is taken to keep the rate it names.
pub fn measure(source: &mut Source, input: &Input, range: &Range) {
    let Input::File(path) = input else { return };
    let Some(index) = source.facts.video().filter(|_| path.is_file()) else { return };
    if source.facts.streams.get(index).is_none_or(|s| is_raw_video(&s.caps)) {
        return;
    }
    let Some(id) = source.outlets.get(index).and_then(|o| o.id.clone()) else { return };
    let ns = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    let first = source.facts.first();
    let start = range.start.filter(|start| !start.is_zero()).map(|start| first.saturating_add(ns(start)));
    let part = pace::Part {
        start: start.unwrap_or(i64::MIN),
        end: range.end.map_or(i64::MAX, |end| first.saturating_add(ns(end))),
        frames: range.frames.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX),
    };
    let has_gaps = source.has_gaps();
    let is_whole = source.outlets.get(index).is_some_and(|o| o.is_whole);
    let places = start.map(|start| seek::places(source, path, start)).unwrap_or_default();
    let (alone, twice) = (source.has_decode_times_alone(), source.has_decode_times_twice());
    let Some(stream) = source.facts.streams.get_mut(index) else { return };
    // Where the nearest place is not enough a further one may be, and the file's start is.
    let scan = |at: usize| {
        let skip = places.get(at).copied();
        let scanned = scan::scan(scan::Wanted { path, has_gaps, id: &id, is_whole, part, skip })?;
        (skip.is_none() || scanned.is_enough(part.start)).then_some((scanned, at))
    };
    let Some((scanned, at)) = (0..=places.len()).find_map(scan) else {
        stream.cutting = Cutting::Refused("its packets could not be read beforehand".into());
        return;
    };
    let places = places.get(at..).filter(|_| scanned.skipped).unwrap_or_default().to_vec();
    let preface = scanned.first.first().zip(scanned.caps.as_ref()).and_then(|(first, caps)| seek::preface(first, caps));
    let skip = (!places.is_empty()).then_some(Skip { places, preface });
    if let Some(times) = &scanned.times {
        let measured = pace::measured(times, part, stream.named_rate());
        stream.pace = measured.pace;
        stream.frames = Some(measured.frames);
        stream.pauses = measured.pauses;
    }
    let is_untimed = match stream.codec {
        Codec::MpegVideo(_) | Codec::Mpeg4 => alone,
        Codec::H264 | Codec::H265 => twice,
        _ => false,
    };
    if is_untimed {
        stream.cutting = Cutting::Refused("its container does not tell when pictures are shown".into());
        return;
    }
    stream.cutting = match pictures::look(&scanned) {
        Ok(pictures) => {
            let times = part.of(&scanned.times.unwrap_or_default());
            Cutting::Apart(Units::new(scanned.units.unwrap_or_default(), part.frames, &times, pictures, skip))
        }
        Err(why) => Cutting::Refused(why),
    };
}

/// What takes the input apart.
fn parser() -> Result<gst::Element, Error> {
    let parse = make("parsebin")?;
    // Parsers of styled subtitles give their plain text; the styles are in what they are given.
    parse.connect("autoplug-continue", false, |values| {
        let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
        let styled = caps
            .as_ref()
            .and_then(|c| c.structure(0))
            .is_some_and(|s| ["application/x-ass", "application/x-ssa"].contains(&s.name().as_str()));
        Some((!styled).to_value())
    });
    Ok(parse)
}

/// Stops a pipeline; encoders that take too long, and demuxers that read for ever, are left to the end of the process.
pub fn close(pipeline: &gst::Pipeline) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let stopping = pipeline.clone();
    std::thread::spawn(move || {
        let _ = stopping.set_state(gst::State::Null);
        let _ = sender.send(());
    });
    if receiver.recv_timeout(STOP).is_err() {
        // Dropping a pipeline that still runs would wait for it.
        std::mem::forget(pipeline.clone());
    }
}

/// Makes an element, or names the package that holds it.
pub(crate) fn make(factory: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| Error::NoElement { element: factory.to_owned(), package: package_of(factory) })
}

fn package_of(factory: &str) -> &'static str {
    match factory {
        f if f.starts_with("av") => "gstreamer1.0-libav",
        "x264enc" | "a52dec" => "gstreamer1.0-plugins-ugly",
        "parsebin" | "videoconvert" | "audioconvert" | "audioresample" | "opusenc" | "vorbisenc" => {
            "gstreamer1.0-plugins-base"
        }
        "videoflip" | "flacenc" | "lamemp3enc" => "gstreamer1.0-plugins-good",
        "queue" | "filesrc" | "fdsrc" | "capsfilter" => "libgstreamer1.0-0",
        _ => "gstreamer1.0-plugins-bad",
    }
}

fn watch(pipeline: &gst::Pipeline, parse: &gst::Element, found: &Arc<Mutex<Found>>, whole: Vec<u32>) {
    let list = Arc::clone(found);
    let added = move |_: &gst::Bin, _: &gst::Bin, element: &gst::Element| {
        if !splits(element) {
            return;
        }
        lock(&list).demuxer = Some((element.clone(), false));
        let late = Arc::clone(&list);
        element.connect_pad_added(move |element, _| {
            let mut found = lock(&late);
            found.changed |= found.demuxer.as_ref().is_some_and(|(demuxer, complete)| demuxer == element && *complete);
        });
        let list = Arc::clone(&list);
        element.connect_no_more_pads(move |element| {
            if let Some((_, complete)) = lock(&list).demuxer.as_mut().filter(|(demuxer, _)| demuxer == element) {
                *complete = true;
            }
        });
    };
    if let Some(bin) = parse.downcast_ref::<gst::Bin>() {
        bin.connect_deep_element_added(added);
    }
    let weak = pipeline.downgrade();
    let list = Arc::clone(found);
    parse.connect_pad_added(move |parse, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let is_demuxed = lock(&list).demuxer.is_some();
        let is_whole = stream_number(pad).is_some_and(|number| whole.contains(&number));
        match hold(&pipeline, pad, Times::of(parse, is_whole), is_demuxed) {
            Ok(outlet) => lock(&list).outlets.push((pad.clone(), outlet)),
            Err(error) => gst::element_error!(pipeline, gst::CoreError::Failed, ["{error}"]),
        }
    });
    let list = Arc::clone(found);
    parse.connect("unknown-type", false, move |values| {
        let caps = values.get(2).and_then(|v| v.get::<gst::Caps>().ok());
        let name = caps.and_then(|c| c.structure(0).map(|s| s.name().to_string()));
        let id = values.get(1).and_then(|v| v.get::<gst::Pad>().ok()).and_then(|pad| pad.stream_id());
        let mut found = lock(&list);
        found.unknown.push(name.unwrap_or_else(|| "an unknown stream".into()));
        found.unknown_ids.extend(id.map(|id| id.to_string()));
        None
    });
}

/// True for what adds a pad for each stream as it meets them.
fn splits(element: &gst::Element) -> bool {
    let Some(factory) = element.factory() else { return false };
    let opens = |t: &gst::StaticPadTemplate| {
        t.direction() == gst::PadDirection::Src && t.presence() == gst::PadPresence::Sometimes
    };
    factory.has_type(gst::ElementFactoryType::DEMUXER) && factory.static_pad_templates().iter().any(opens)
}

/// Puts a queue behind a stream and stops it there at its first packet.
///
/// Segments without edits are made open ones: matroskademux of 1.22 begins one at the first packet's time
/// and replaces it when another track turns out to be earlier, which moves the frames in between.
fn hold(pipeline: &gst::Pipeline, pad: &gst::Pad, times: Times, is_demuxed: bool) -> Result<Outlet, Error> {
    let fault = |what: String| Error::Fault { what };
    let queue = make("queue")?;
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-time", 0u64);
    queue.set_property("max-size-bytes", QUEUE_BYTES);
    let state = Arc::new(Mutex::new(OutletState::default()));
    let (Some(sink), Some(out)) = (queue.static_pad("sink"), queue.static_pad("src")) else {
        return Err(fault("a queue without pads".into()));
    };
    let ready = Arc::clone(&state);
    queue.connect("overrun", false, move |_| {
        lock(&ready).full = true;
        None
    });
    let ready = Arc::clone(&state);
    let block = gst::PadProbeType::BLOCK
        | gst::PadProbeType::BUFFER
        | gst::PadProbeType::BUFFER_LIST
        | gst::PadProbeType::EVENT_DOWNSTREAM;
    let id = out.add_probe(block, move |pad, info| {
        if info.event().is_some_and(|event| !begins(pad, event)) {
            return gst::PadProbeReturn::Pass;
        }
        let first = info.buffer().and_then(|b| running_time(pad, b.pts().or(b.dts())?));
        let mut state = lock(&ready);
        state.ready = true;
        state.first = state.first.or(first);
        state.opens = state.opens.or(first);
        state.begins = state.begins.or_else(|| info.buffer()?.pts());
        state.start = state.start.or_else(|| start(pad, info.buffer()?));
        gst::PadProbeReturn::Ok
    });
    let arriving = Arc::clone(&state);
    let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.add_probe(data, move |pad, info| {
        if info.event().is_some_and(|event| !begins(pad, event)) {
            return gst::PadProbeReturn::Ok;
        }
        let end = |b: &gst::Buffer| running_time(pad, b.pts()?.saturating_add(b.duration().unwrap_or_default()));
        let end = info.buffer().map(end);
        let mut state = lock(&arriving);
        state.arrived = true;
        if let Some(end) = end {
            state.reach.add(end);
            state.astray |= state.off;
            if let Some((preface, packet)) = state.due.take().zip(info.buffer_mut()) {
                packet.make_mut().prepend_memory(preface);
            }
        }
        state.ended |= info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        gst::PadProbeReturn::Ok
    });
    let moving = Arc::clone(&state);
    let events = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    sink.add_probe(events, move |_, info| {
        let Some(event) = info.event() else { return gst::PadProbeReturn::Ok };
        let changed = match event.view() {
            gst::EventView::FlushStop(_) => {
                lock(&moving).restart();
                None
            }
            gst::EventView::Segment(segment) => {
                let applied = times.applied(segment.segment()).map(|segment| gst::event::Segment::new(&segment));
                match times {
                    Times::Open => applied,
                    _ => lock(&moving).keeps(applied.as_ref().unwrap_or(event)).or(applied),
                }
            }
            gst::EventView::Caps(caps) if is_demuxed => {
                as_whole_pictures(caps.caps()).map(|caps| gst::event::Caps::new(&caps))
            }
            _ => None,
        };
        if let Some(event) = changed {
            info.data = Some(gst::PadProbeData::Event(event));
        }
        gst::PadProbeReturn::Ok
    });
    lock(&state).hold = id;
    let shield = shield()?;
    let entry = shield.static_pad("sink").ok_or_else(|| fault("a shield without a pad".into()))?;
    let fails = |e: glib::BoolError| fault(e.to_string());
    pipeline.add_many([&shield, &queue]).and_then(|()| shield.link(&queue)).map_err(fails)?;
    queue.sync_state_with_parent().and_then(|()| shield.sync_state_with_parent()).map_err(fails)?;
    pad.link(&entry).map_err(|e| fault(format!("cannot link a stream: {e}")))?;
    Ok(Outlet { queue, id: None, is_whole: false, state })
}

/// A packet of Motion JPEG in a container is a picture; matroskademux of 1.22 does not say so, and libav's decoder wants to
/// hear it.
fn as_whole_pictures(caps: &gst::CapsRef) -> Option<gst::Caps> {
    let silent = caps.structure(0).is_some_and(|s| s.name() == "image/jpeg" && !s.has_field("parsed"));
    let mut told = caps.to_owned();
    told.make_mut().set("parsed", true);
    silent.then_some(told)
}

/// The end of a stream without packets has to be there for whoever is linked behind. A stream of texts has said all about
/// itself before the gap that takes the place of its first packet.
fn begins(pad: &gst::Pad, event: &gst::EventRef) -> bool {
    match event.type_() {
        gst::EventType::Eos => true,
        gst::EventType::Gap => pad.current_caps().is_some_and(|caps| is_sparse(&caps)),
        _ => false,
    }
}

/// A stream that cannot be followed further must not end the others: its error would reach the demuxer at any moment,
/// as that is ahead by as much as the queue holds. The queue itself tells of it at the stream's end.
fn shield() -> Result<gst::Element, Error> {
    let element = make("errorignore")?;
    element.set_property("ignore-error", true);
    element.set_property("ignore-notnegotiated", true);
    element.set_property_from_str("convert-to", "ok");
    Ok(element)
}

fn start(pad: &gst::Pad, first: &gst::BufferRef) -> Option<Start> {
    let syntax = DecoderSpec::of(&pad.current_caps()?)?.syntax()?;
    let data = first.map_readable().ok()?;
    syntax.signs(&data)?.start
}

/// The container's own number of a stream, from the end of its id.
fn stream_number(pad: &gst::Pad) -> Option<u32> {
    pad.stream_id()?.rsplit('/').next()?.split(':').next()?.parse().ok()
}

/// A pad's time stamp on the pipeline's own time line; negative before its start.
pub(crate) fn running_time(pad: &gst::Pad, time: gst::ClockTime) -> Option<i64> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
    segment.to_running_time_full(time).map(nanoseconds)
}

/// A signed time as a plain number.
pub(crate) fn nanoseconds(time: gst::Signed<gst::ClockTime>) -> i64 {
    let number = |t: gst::ClockTime| i64::try_from(t.nseconds()).unwrap_or(i64::MAX);
    match time {
        gst::Signed::Positive(t) => number(t),
        gst::Signed::Negative(t) => -number(t),
    }
}

/// True for pictures that need no decoder.
pub(crate) fn is_raw_video(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| s.name() == "video/x-raw")
}

/// True for streams that may say nothing for long: texts, and what is neither picture nor sound.
fn is_sparse(caps: &gst::CapsRef) -> bool {
    let kind = caps.structure(0).map(|s| Codec::from_caps(s).kind());
    matches!(kind, Some(Kind::Subtitle | Kind::Other))
}

/// Where Debian keeps what reads the rarer formats.
pub(crate) const PACKAGES: &str = "gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly";

fn check(source: &Source) -> Result<(), Error> {
    let facts = &source.facts;
    let Some(video) = facts.video().and_then(|i| facts.streams.get(i)) else {
        return Err(Error::NoVideo { input: facts.name.clone(), found: facts.listed() });
    };
    // Its decoder in GStreamer 1.22 gives every picture the time 0.
    if video.caps.structure(0).is_some_and(|s| s.name() == "image/gst-libav-gif") {
        let reason = "GIF cannot be read with this GStreamer; turn it into another format first";
        return Err(Error::NotAVideo { input: facts.name.clone(), reason: reason.into() });
    }
    if let Some(code) = unknown_to_gstreamer(&video.caps) {
        let reason = format!("GStreamer does not know its format of video ({code}); ffmpeg may turn it into another");
        return Err(Error::NotAVideo { input: facts.name.clone(), reason });
    }
    // Without a container nothing tells where a picture ends and when it is shown.
    if video.caps.structure(0).is_some_and(|s| s.name() == "image/jpeg" && !s.has_field("parsed")) {
        let reason =
            "JPEG pictures without a container cannot be read; ffmpeg -i IN -c copy OUT.mkv puts them into one";
        return Err(Error::NotAVideo { input: facts.name.clone(), reason: reason.into() });
    }
    if !is_raw_video(&video.caps) && DecoderSpec::of(&video.caps).is_none() {
        if !video.caps.is_fixed() {
            let reason = format!("its {} is broken: it does not say what pictures it holds", video.codec.name());
            return Err(Error::NotAVideo { input: facts.name.clone(), reason });
        }
        return Err(Error::NoDecoder { input: facts.name.clone(), format: described(&video.caps), package: PACKAGES });
    }
    Ok(())
}

/// What a container calls a format that its demuxer has no caps for.
fn unknown_to_gstreamer(caps: &gst::CapsRef) -> Option<String> {
    let format = caps.structure(0).filter(|s| s.name().ends_with("unknown"))?;
    let letters = format.get::<String>("fourcc").ok();
    let number = || format.get::<i32>("fourcc").ok().map(|n| String::from_utf8_lossy(&n.to_le_bytes()).into_owned());
    let named = letters.or_else(number).or_else(|| format.get::<String>("codec-id").ok());
    Some(named.unwrap_or_else(|| "without a name".into()))
}

/// A format in words. The library has none, and no answer either, for caps that leave something open.
fn described(caps: &gst::Caps) -> String {
    if caps.is_fixed() {
        return gst_pbutils::pb_utils_get_codec_description(caps).to_string();
    }
    caps.structure(0).map_or_else(|| "an unknown format".to_owned(), |s| s.name().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_is_not_known_to_the_end_has_a_name() {
        gst::init().unwrap();
        let open: gst::Caps = "video/x-h264, stream-format={avc, byte-stream}".parse().unwrap();
        assert_eq!(described(&open), "video/x-h264");
        assert_eq!(described(&"video/x-vp9".parse().unwrap()), "VP9");
    }

    #[test]
    fn a_format_without_caps_is_called_as_its_container_calls_it() {
        gst::init().unwrap();
        let called = |caps: &str| unknown_to_gstreamer(&caps.parse::<gst::Caps>().unwrap());
        assert_eq!(called("video/x-unknown, codec-id=V_MS/VFW/FOURCC, fourcc=FFVH").as_deref(), Some("FFVH"));
        assert_eq!(called("video/x-avi-unknown, fourcc=811158613").as_deref(), Some("ULY0"));
        assert_eq!(called("video/x-unknown, codec-id=V_NEW").as_deref(), Some("V_NEW"));
        assert_eq!(called("video/x-vp9"), None);
    }
}
