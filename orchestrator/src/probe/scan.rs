//! Reads the packets of a file once before it is encoded: when each picture is shown, and where decoding may start. A
//! header may say anything.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::chunk::{Fields, Pairs, Syntax, Uncuttable, Unit};
use gstdivien::lane::{DecoderSpec, fields_of};

use super::pace::Part;
use super::times::Times;
use super::{as_whole_pictures, input, make, movie, parser, running_time, settle};
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
    /// The first packets.
    pub(super) first: Vec<gst::Buffer>,
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
}

/// Reads the packets. `None` where the file cannot be read to its end, which the run itself will tell.
pub(super) fn scan(wanted: Wanted<'_>) -> Option<Scanned> {
    let pipeline = gst::Pipeline::new();
    let scanned = read(&pipeline, wanted);
    let _ = pipeline.set_state(gst::State::Null);
    scanned
}

fn read(pipeline: &gst::Pipeline, wanted: Wanted<'_>) -> Option<Scanned> {
    let (source, parse) = (input::reader(wanted.path, wanted.has_gaps).ok()?, parser().ok()?);
    let sink = make("fakesink").ok()?;
    movie::hide(&parse, Some(wanted.path));
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.add_many([&source, &parse, &sink]).ok()?;
    source.link(&parse).ok()?;
    let seen = Arc::new(Mutex::new(Reader::new(wanted.part)));
    let over = Arc::new(AtomicBool::new(false));
    let entry = sink.static_pad("sink")?;
    watch(&entry, (&parse, wanted.is_whole), &seen, &over);
    let id = within_the_file(wanted.id).to_owned();
    parse.connect_pad_added(move |_, pad| {
        if pad.stream_id().is_some_and(|s| within_the_file(&s) == id) {
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
        let end = bus.timed_pop_filtered(GLANCE, &[gst::MessageType::Eos, gst::MessageType::Error]);
        match end.map(|message| message.type_()) {
            Some(gst::MessageType::Eos) => {
                return Some(std::mem::replace(&mut *lock(&seen), Reader::new(wanted.part)).scanned);
            }
            Some(_) => return None,
            // parsebin keeps an error to itself that comes while it still connects the demuxer.
            None if rested => return None,
            None => rested = settle::rests(pipeline, &[]),
        }
    }
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
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    entry.add_probe(mask, move |pad, info| {
        let times = parse.upgrade().map_or(Times::Open, |p| Times::of(&p, is_whole));
        let edited = times != Times::Open;
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                lock(&reader).hear(event, times);
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
    syntax: Option<Syntax>,
    fields: Fields,
    pairs: Pairs,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
}

impl Reader {
    fn new(part: Part) -> Self {
        let scanned = Scanned { times: Some(Vec::new()), units: Ok(Vec::new()), first: Vec::new(), caps: None };
        let (fields, pairs) = (Fields::default(), Pairs::default());
        Self { part, scanned, kept_bytes: 0, syntax: None, fields, pairs, segment: None }
    }

    fn hear(&mut self, event: &gst::Event, times: Times) {
        match event.view() {
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
    }

    fn refuse(&mut self, why: String) {
        if self.scanned.units.is_ok() {
            self.scanned.units = Err(why);
        }
    }

    /// Takes a packet; true once all is known.
    fn take(&mut self, pad: &gst::Pad, packet: &gst::BufferRef, edited: bool) -> bool {
        let shown = self.keep(pad, packet, edited);
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
    fn keep(&mut self, pad: &gst::Pad, packet: &gst::BufferRef, edited: bool) -> Option<u8> {
        if self.scanned.first.len() < KEPT && self.kept_bytes + packet.size() <= KEPT_BYTES {
            self.kept_bytes += packet.size();
            self.scanned.first.push(packet.to_owned());
        }
        let (syntax, bytes) = (self.syntax?, packet.map_readable().ok()?);
        let signs = syntax.signs(&bytes);
        if syntax.has_grain(&bytes) {
            self.refuse(Uncuttable::Grain.to_string());
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
    let mut tag = [0u8];
    vp8 && buffer.copy_to_slice(0, &mut tag).is_ok() && !tag.first().is_some_and(|t| shows(*t))
}

/// The bit `show_frame` of a VP8 frame's first byte.
fn shows(tag: u8) -> bool {
    tag & 0x10 != 0
}
