//! Reads the packets of a file once before it is encoded: when each picture is shown, and where decoding may start. A
//! header may say anything.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use gst::prelude::*;
use gstdivien::chunk::{Fields, Handover, Obstacles, Pairs, Signs, Syntax, Unit};
use gstdivien::lane::{DecoderSpec, fields_of};

use super::pace::Part;
use super::times::Times;
use super::{as_whole_pictures, input, make, movie, parser, running_time, seek, settle};
use crate::sync::lock;

/// So many packets are kept to be decoded, in bytes and in number.
const KEPT_BYTES: usize = 64 << 20;
const KEPT: usize = 24;
/// What the demuxer takes for a rest is asked so often, beside what it says itself.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// What the packets of a stream tell.
#[derive(Debug)]
pub(super) struct Scanned {
    /// When pictures are shown, in the order of decoding; `None` where a packet did not say.
    pub(super) times: Option<Vec<i64>>,
    /// What has to be known to cut the stream; an error says why it cannot be.
    pub(super) units: Result<Vec<Unit>, String>,
    /// The first packets of the file.
    pub(super) first: Vec<gst::Buffer>,
    /// What is known of those.
    pub(super) heads: Vec<Unit>,
    /// What stands between those and the place that was asked for was not read.
    pub(super) skipped: bool,
    /// The form of them all.
    pub(super) caps: Option<gst::Caps>,
}

/// A stream of a file, and what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) path: &'a Path,
    /// Clock references of the transport stream are missing.
    pub(super) has_gaps: bool,
    /// The stream's id.
    pub(super) id: &'a str,
    /// It has no edit list.
    pub(super) is_whole: bool,
    pub(super) part: Part,
    /// After the first packets it is gone on about here, in ns.
    pub(super) skip: Option<i64>,
}

impl Scanned {
    /// Whether what was passed over is not needed for the part that starts at `start`.
    pub(super) fn is_enough(&self, start: i64) -> bool {
        let begins = self.times.as_ref().and_then(|times| times.first());
        let is_before = begins.is_some_and(|begins| *begins < start);
        !self.skipped || (is_before && self.units.as_ref().is_ok_and(|units| seek::is_enough(units)))
    }
}

/// What is said once enough of the first packets is known.
const SKIP: &str = "divien-scan-skip";

/// Reads the packets. `None` where the file cannot be read to its end, which the run itself will tell.
pub(super) fn scan(wanted: Wanted<'_>) -> Option<Scanned> {
    let pipeline = gst::Pipeline::new();
    let scanned = read(&pipeline, wanted);
    let _ = pipeline.set_state(gst::State::Null);
    scanned
}

fn read(pipeline: &gst::Pipeline, wanted: Wanted<'_>) -> Option<Scanned> {
    let (source, parse) = (input::reader(wanted.path, wanted.has_gaps, &Arc::default()).ok()?, parser().ok()?);
    let sink = make("fakesink").ok()?;
    movie::hide(&parse, Some(wanted.path));
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.add_many([&source, &parse, &sink]).ok()?;
    source.link(&parse).ok()?;
    let seen = Arc::new(Mutex::new(Reader::new(&wanted)));
    let over = Arc::new(AtomicBool::new(false));
    let entry = sink.static_pad("sink")?;
    watch(&entry, (&parse, wanted.is_whole), &seen, &over);
    let id = within_the_file(wanted.id).to_owned();
    let (reader, going) = (Arc::clone(&seen), entry.clone());
    parse.connect_pad_added(move |_, pad| {
        if pad.stream_id().is_some_and(|s| within_the_file(&s) == id) {
            stop_to_skip(pad, &reader);
            // A stream that cannot be linked ends the scan with an error of its own.
            let _ = pad.link(&entry);
        } else {
            pass_over(pad, &over);
        }
    });
    pipeline.set_state(gst::State::Playing).ok()?;
    let bus = pipeline.bus()?;
    let mut rested = false;
    // A slow disk takes its time: giving up after some of it would make the output depend on the disk.
    loop {
        let ends = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Application];
        match bus.timed_pop_filtered(GLANCE, &ends).map(|message| message.type_()) {
            Some(gst::MessageType::Eos) => {
                let reader = std::mem::replace(&mut *lock(&seen), Reader::new(&wanted));
                return (!reader.astray).then_some(reader.scanned);
            }
            Some(gst::MessageType::Application) => {
                let place = wanted.skip?;
                if !going.push_event(seek::event(place)) {
                    return None;
                }
            }
            Some(_) => return None,
            // parsebin keeps an error to itself that comes while it still connects the demuxer.
            None if rested => return None,
            None => rested = settle::rests(pipeline, &[]),
        }
    }
}

/// Holds the stream back behind its first packets until the demuxer has gone elsewhere.
fn stop_to_skip(pad: &gst::Pad, reader: &Arc<Mutex<Reader>>) {
    let reader = Arc::clone(reader);
    pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, move |pad, _| {
        if !lock(&reader).is_to_skip() {
            return gst::PadProbeReturn::Pass;
        }
        if let Some(parse) = pad.parent_element() {
            // Heard by the thread that waits for the end.
            let told = gst::Structure::new_empty(SKIP);
            let _ = parse.post_message(gst::message::Application::builder(told).src(&parse).build());
        }
        gst::PadProbeReturn::Ok
    });
}

/// What the demuxer calls a stream; before that stands the source's own name, which is another each time for an `appsrc`.
fn within_the_file(stream_id: &str) -> &str {
    stream_id.split_once('/').map_or(stream_id, |(_, id)| id)
}

/// A demuxer that finds nobody behind its first pads would stop before the stream that is wanted has one.
fn pass_over(pad: &gst::Pad, over: &Arc<AtomicBool>) {
    let over = Arc::clone(over);
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        info.data = None;
        if over.load(Ordering::Relaxed) {
            info.flow_res = Err(gst::FlowError::Eos);
        }
        gst::PadProbeReturn::Handled
    });
}

/// Reads what passes, and ends the stream once enough is known.
fn watch(
    entry: &gst::Pad,
    (parse, is_whole): (&gst::Element, bool),
    reader: &Arc<Mutex<Reader>>,
    over: &Arc<AtomicBool>,
) {
    let (reader, ended, parse) = (Arc::clone(reader), Arc::clone(over), parse.downgrade());
    // The demuxer is there before anything comes from it, and stays.
    let known = OnceLock::new();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    entry.add_probe(mask, move |pad, info| {
        let times = *known.get_or_init(|| parse.upgrade().map_or(Times::Open, |p| Times::of(&p, is_whole)));
        let edited = times != Times::Open;
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let Some(before) = lock(&reader).hear(event, times) {
                    info.data = Some(gst::PadProbeData::Event(before));
                }
                return gst::PadProbeReturn::Ok;
            }
            Some(gst::PadProbeData::Buffer(packet)) => {
                if !lock(&reader).take(pad, packet, edited) {
                    return gst::PadProbeReturn::Ok;
                }
            }
            _ => return gst::PadProbeReturn::Ok,
        }
        ended.store(true, Ordering::Relaxed);
        pad.send_event(gst::event::Eos::new());
        info.data = None;
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
}

/// Reads one packet after the other.
#[derive(Debug)]
struct Reader {
    part: Part,
    scanned: Scanned,
    kept_bytes: usize,
    /// No more packets are kept.
    closed: bool,
    syntax: Option<Syntax>,
    fields: Fields,
    pairs: Pairs,
    handover: Handover,
    obstacles: Obstacles,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    skips: bool,
    /// In a pause before the stream, where no packets are.
    off: bool,
    /// A packet has come from where times go on otherwise.
    astray: bool,
}

impl Reader {
    fn new(wanted: &Wanted<'_>) -> Self {
        let scanned = Scanned {
            times: Some(Vec::new()),
            units: Ok(Vec::new()),
            first: Vec::new(),
            heads: Vec::new(),
            skipped: false,
            caps: None,
        };
        Self {
            part: wanted.part,
            scanned,
            kept_bytes: 0,
            closed: false,
            syntax: None,
            fields: Fields::default(),
            pairs: Pairs::default(),
            handover: Handover::default(),
            obstacles: Obstacles::default(),
            segment: None,
            skips: wanted.skip.is_some(),
            off: false,
            astray: false,
        }
    }

    /// True once all first packets are kept.
    fn is_to_skip(&self) -> bool {
        self.skips
            && !self.scanned.skipped
            && self.scanned.units.is_ok()
            && (self.closed || self.scanned.first.len() >= KEPT)
    }

    /// Takes an event; gives what goes on in its place.
    fn hear(&mut self, event: &gst::Event, times: Times) -> Option<gst::Event> {
        match event.view() {
            gst::EventView::FlushStop(_) => {
                self.scanned.skipped = true;
                (self.pairs, self.handover) = (Pairs::default(), Handover::default());
                self.obstacles = Obstacles::default();
                self.scanned.times = self.scanned.times.take().map(|_| Vec::new());
                if let Ok(units) = &mut self.scanned.units {
                    units.clear();
                }
            }
            gst::EventView::Caps(caps) => {
                let caps = as_whole_pictures(caps.caps()).unwrap_or_else(|| caps.caps_owned());
                if self.scanned.caps.as_ref().is_some_and(|before| *before != caps) {
                    self.refuse("its form changes on the way".into());
                }
                self.syntax = DecoderSpec::of(&caps).and_then(|decoder| decoder.syntax());
                if self.syntax.is_none() {
                    self.refuse(format!("nothing tells where its pictures can be decoded from ({})", named(&caps)));
                }
                self.fields = fields_of(&caps);
                self.scanned.caps = Some(caps);
            }
            gst::EventView::Segment(segment) if times != Times::Open && self.scanned.skipped => {
                // Running times would count from the place that was asked for.
                let before = self.segment.as_ref().map(|before| before.upcast_ref());
                let before = before.filter(|before| seek::are_one_line(before, segment.segment()));
                self.off = before.is_none();
                return before.map(gst::event::Segment::new);
            }
            gst::EventView::Segment(segment) if times != Times::Open => {
                let segment = segment.segment();
                let segment = times.applied(segment).or_else(|| segment.downcast_ref::<gst::ClockTime>().cloned());
                if self.segment.is_some() && !self.scanned.first.is_empty() {
                    self.refuse("its edit list has several parts".into());
                }
                self.segment = segment;
            }
            _ => {}
        }
        None
    }

    fn refuse(&mut self, why: String) {
        if self.scanned.units.is_ok() {
            self.scanned.units = Err(why);
        }
    }

    /// Takes a packet; true once all is known.
    fn take(&mut self, pad: &gst::Pad, packet: &gst::BufferRef, edited: bool) -> bool {
        self.astray |= self.off;
        let signs = self.syntax.zip(packet.map_readable().ok()).and_then(|(syntax, bytes)| syntax.signs(&bytes));
        let shows_nothing = signs.is_some_and(|signs| signs.shown == 0);
        let pts = self.handover.pass(packet.pts().map(gst::ClockTime::nseconds), shows_nothing);
        let mut timed = None;
        if packet.pts().is_none() && pts.is_some() {
            let packet = timed.insert(packet.to_owned());
            packet.make_mut().set_pts(pts.map(gst::ClockTime::from_nseconds));
        }
        let packet = timed.as_deref().unwrap_or(packet);
        let shown = self.keep(pad, packet, signs, edited);
        if shown == Some(0) || is_hidden(pad, packet) {
            return false;
        }
        match (time(pad, packet, edited), &mut self.scanned.times) {
            (Some(time), Some(list)) => {
                list.push(time);
                self.part.is_past(list, time)
            }
            _ => {
                self.scanned.times = None;
                self.refuse("its packets do not tell when they are shown".into());
                true
            }
        }
    }

    /// Notes what a packet is. Returns how many pictures it shows, where that is known.
    fn keep(&mut self, pad: &gst::Pad, packet: &gst::BufferRef, signs: Option<Signs>, edited: bool) -> Option<u8> {
        self.closed |= self.scanned.first.len() >= KEPT || self.kept_bytes + packet.size() > KEPT_BYTES;
        if !self.closed {
            self.kept_bytes += packet.size();
            self.scanned.first.push(packet.to_owned());
        }
        let (syntax, bytes) = (self.syntax?, packet.map_readable().ok()?);
        if let Some(obstacle) = self.obstacles.pass(syntax, &bytes) {
            self.refuse(obstacle.to_string());
        }
        let is_field = self.fields.pass(syntax, &bytes);
        let end = packet.pts().zip(packet.duration()).and_then(|(pts, duration)| pts.checked_add(duration));
        let is_inside = |segment: &gst::FormattedSegment<gst::ClockTime>| {
            packet.pts().is_none_or(|pts| segment.clip(pts, end).is_some())
        };
        let nanos = gst::ClockTime::nseconds;
        let unit = Unit {
            is_field,
            wanted: self.segment.as_ref().is_none_or(is_inside)
                && time(pad, packet, edited).is_none_or(|time| self.part.contains(time)),
            ..Unit::new(packet.pts().map(nanos), packet.duration().map(nanos), signs)
        };
        if let Ok(units) = &mut self.scanned.units {
            units.push(unit);
        }
        if self.scanned.heads.len() < self.scanned.first.len() {
            self.scanned.heads.push(unit);
        }
        // The second field has its own time, and is shown in the frame of the first.
        if self.pairs.closes(is_field) { Some(0) } else { Some(signs?.shown) }
    }
}

/// When a picture is shown.
fn time(pad: &gst::Pad, packet: &gst::BufferRef, edited: bool) -> Option<i64> {
    let pts = packet.pts()?;
    if edited { running_time(pad, pts) } else { i64::try_from(pts.nseconds()).ok() }
}

fn named(caps: &gst::Caps) -> String {
    caps.structure(0).map_or_else(String::new, |s| s.name().to_string())
}

/// VP8 keeps pictures that are never shown in packets of their own, with a time between those of two others.
pub(crate) fn is_hidden(pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let vp8 = pad.current_caps().is_some_and(|caps| caps.structure(0).is_some_and(|s| s.name() == "video/x-vp8"));
    vp8 && buffer.map_readable().is_ok_and(|bytes| bytes.first().is_some_and(|tag| !shows(*tag)))
}

/// The bit `show_frame` of a VP8 frame's first byte.
fn shows(tag: u8) -> bool {
    tag & 0x10 != 0
}
