//! The branch of the picture.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::lane::DecoderSpec;

use super::encoder::Encoder;
use super::gate::{Gate, Verdict};
use super::tap::{Form, Tap};
use super::{Shared, attach, caps_filter, lock, loss, retime, track};
use crate::error::Error;
use crate::mux::{Codec, Kind};
use crate::plan::Plan;
use crate::probe::{self, Outlet, Source, make, nanoseconds};

/// Builds the branch; gives the encoder, and the pad that frames pass on their way into it.
pub(super) fn branch(
    source: &Source,
    plan: &Plan,
    shared: &Arc<Shared>,
    first: i64,
) -> Result<(Arc<Encoder>, gst::Pad), Error> {
    let missing = || Error::Fault { what: "the plan's video is not in the source".into() };
    let video = &plan.video;
    let outlet = source.outlets.get(video.stream).ok_or_else(missing)?;
    let stream = source.facts.streams.get(video.stream).ok_or_else(missing)?;
    let mut elements = Vec::new();
    let order_alone = retime::has_decode_times_alone(&source.pipeline);
    match stream.codec {
        Codec::MpegVideo(_) => elements.push(retime::element(retime::Form::Mpeg12, order_alone)?),
        Codec::H264 | Codec::H265 if retime::has_decode_times_twice(&source.pipeline) => {
            elements.push(retime::untimed()?)
        }
        Codec::Mpeg4 if order_alone => elements.push(retime::element(retime::Form::Mpeg4, true)?),
        _ => {}
    }
    let mut honest = true;
    let gate = Gate::new(&plan.range, first);
    if !probe::is_raw_video(&stream.caps) {
        let decoder = decoder(source, &stream.caps, outlet)?;
        // Those of libav write what the stream says; others guess.
        loss::follow(&decoder, &stream.codec, gate.window(), shared).ok_or_else(missing)?;
        honest = decoder.factory().is_some_and(|f| f.name().starts_with("avdec_"));
        elements.push(decoder);
    }
    let encoder = Arc::new(Encoder::new(video, &stream.caps, honest)?);
    let converter = make("videoconvert")?;
    let size = caps_filter("video/x-raw")?;
    begin_with_the_pictures(&converter, &encoder, &size, shared)?;
    elements.extend([converter, make("videoscale")?, size]);
    if let Some(method) = video.turn {
        let flip = make("videoflip")?;
        flip.set_property_from_str("video-direction", flip_direction(method));
        elements.push(flip);
    }
    let formats = match video.encoder.raw_formats.as_slice() {
        [] => "video/x-raw".to_owned(),
        formats => format!("video/x-raw,format={{{}}}", formats.join(",")),
    };
    let filter = caps_filter(&formats)?;
    let entry = filter.static_pad("src").ok_or_else(missing)?;
    watch(&entry, gate, shared, &encoder);
    elements.push(filter);
    elements.push(encoder.element().clone());
    if let Some(parser) = video.codec.parser() {
        let parser = make(parser)?;
        if plan.container.byte_stream() && parser.has_property("config-interval") {
            parser.set_property("config-interval", -1i32);
        }
        elements.push(parser);
    }
    if let Some(caps) = video.codec.muxed_caps(plan.container.byte_stream()) {
        elements.push(caps_filter(caps)?);
    }
    let (codec, language, title) = (video.codec.clone(), video.language.clone(), video.title.clone());
    let (coded, rotation, pictures) = (stream.caps.clone(), video.noted_rotation, Arc::clone(shared));
    let (told, container) = (Arc::clone(&encoder), plan.container);
    let describe = Box::new(move |caps: &gst::CapsRef| {
        let mut track = track::describe(caps, codec.clone(), language.clone(), title.clone())?;
        let raw = lock(&pictures.raw_caps).clone();
        track::add_picture(&mut track, raw.as_deref(), &coded, rotation);
        if let Some(video) = track.video.as_mut() {
            if told.is_uneven() {
                video.rate = None;
            }
            video.colour = told.colours(raw.as_deref()).as_ref().map(track::colour);
            let has_hdr10 = video.mastering.is_some() || video.light.is_some();
            if has_hdr10 && !container.holds_hdr10() && !told.writes_hdr10() {
                pictures.note(&format!("video: HDR10 data: dropped, {} has no room for it", container.name()));
            }
        }
        Some(track)
    });
    let tap =
        Tap { lane: 0, kind: Kind::Video, form: Form::Same, describe, start: i64::MIN, early: Vec::new(), delay: 0 };
    elements.push(tap.element(shared)?);
    attach(source, outlet, &elements)?;
    Ok((encoder, entry))
}

fn decoder(source: &Source, caps: &gst::Caps, outlet: &Outlet) -> Result<gst::Element, Error> {
    let missing = |element: String| Error::NoElement { element, package: probe::PACKAGES };
    let spec = DecoderSpec::of(caps).ok_or_else(|| missing(format!("a decoder of {}", source.facts.name)))?;
    spec.build(outlet.start()).map_err(|_| missing(spec.name()))
}

/// What decodes tells the form of the pictures, and with it what the encoder has to know. The first ones' size is that
/// of all, as in ffmpeg: a file says it once.
fn begin_with_the_pictures(
    converter: &gst::Element,
    encoder: &Arc<Encoder>,
    size: &gst::Element,
    shared: &Arc<Shared>,
) -> Result<(), Error> {
    let Some(pad) = converter.static_pad("sink") else {
        return Err(Error::Fault { what: "a converter without a pad".into() });
    };
    let (encoder, size, shared) = (Arc::clone(encoder), size.downgrade(), Arc::clone(shared));
    let converting = converter.downgrade();
    let first = Mutex::new(None);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match info.event().map(|e| e.view()) {
            Some(gst::EventView::Caps(caps)) => {
                // Grey has no matrix, and videoconvert of 1.22 spoils it where none, or another, is named.
                if let Some(converter) = converting.upgrade().filter(|_| is_grey(caps.caps())) {
                    converter.set_property_from_str("matrix-mode", "none");
                }
                let form = Shape::of(caps.caps());
                let before = *lock(&first).get_or_insert(form);
                if before != form {
                    let ((w, h), (width, height)) = (form.size, before.size);
                    shared.note(&format!(
                        "the pictures change from {width}x{height} to {w}x{h}: they are scaled to the first size"
                    ));
                } else if let Some(size) = size.upgrade() {
                    size.set_property("caps", before.caps());
                }
                let begins = encoder.begin(Some(caps.caps()));
                if let Some(told) = encoder.untold_range().filter(|_| begins) {
                    shared.note(&told);
                }
            }
            Some(gst::EventView::Eos(_)) => {
                encoder.begin(None);
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn is_grey(caps: &gst::CapsRef) -> bool {
    gst_video::VideoInfo::from_caps(caps).is_ok_and(|info| info.format_info().is_gray())
}

/// The size of pictures and the form of their pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    size: (i32, i32),
    aspect: Option<gst::Fraction>,
}

impl Shape {
    fn of(caps: &gst::CapsRef) -> Self {
        let field = |name| caps.structure(0).and_then(|s| s.get::<i32>(name).ok()).unwrap_or_default();
        let aspect = caps.structure(0).and_then(|s| s.get("pixel-aspect-ratio").ok());
        Self { size: (field("width"), field("height")), aspect }
    }

    fn caps(&self) -> gst::Caps {
        let caps = gst::Caps::builder("video/x-raw").field("width", self.size.0).field("height", self.size.1);
        caps.field_if_some("pixel-aspect-ratio", self.aspect).build()
    }
}

fn flip_direction(method: &str) -> &'static str {
    match method {
        "clockwise" => "90r",
        "rotate-180" => "180",
        "counterclockwise" => "90l",
        "horizontal-flip" => "horiz",
        "vertical-flip" => "vert",
        "upper-left-diagonal" => "ul-lr",
        _ => "ur-ll",
    }
}

/// Counts frames, keeps those outside the window away from the encoder, and remembers the pictures' form.
fn watch(pad: &gst::Pad, gate: Gate, shared: &Arc<Shared>, encoder: &Arc<Encoder>) {
    let start = gate.window().start;
    let gate = Mutex::new((gate, false));
    let last = Mutex::new(None::<i64>);
    let encoder = Arc::clone(encoder);
    let shared = Arc::clone(shared);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(mask, move |pad, info| {
        if lock(&gate).1 {
            return refuse(info);
        }
        // A gap lets the frames before it go, and nobody waits for those: it would only cost a chunk, or several where the
        // decoder gives it before the frames it still holds.
        if info.event().is_some_and(|e| e.type_() == gst::EventType::Gap) {
            info.data = None;
            return gst::PadProbeReturn::Handled;
        }
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|e| e.view()) {
            let caps = encoder.caps(caps.caps());
            if let Some(told) = encoder.conversion(&caps) {
                shared.note(&told);
            }
            lock(&shared.raw_caps).get_or_insert_with(|| caps.clone());
            info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
        }
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let time = segment
            .as_ref()
            .and_then(|s| s.segment().downcast_ref::<gst::ClockTime>())
            .zip(buffer.pts())
            .and_then(|(s, pts)| s.to_running_time_full(pts))
            .map(nanoseconds);
        // Containers that are damaged, or tell no times, give the time of one picture to the next.
        let Some(time) = time.filter(|time| lock(&last).is_none_or(|last| *time > last)) else {
            if time.is_none_or(|time| time >= start) {
                let number = shared.decoded.load(Ordering::Relaxed);
                lock(&shared.losses).has_no_time(number, time.or(*lock(&last)).unwrap_or_default());
            }
            return gst::PadProbeReturn::Drop;
        };
        let duration = buffer.duration().map_or(0, gst::ClockTime::nseconds);
        let mut state = lock(&gate);
        let verdict = state.0.judge(time, duration);
        match verdict {
            Verdict::Pass => {
                *lock(&last) = Some(time);
                shared.decoded.fetch_add(1, Ordering::Relaxed);
                if state.0.is_used_up() {
                    shared.end_sound_at(state.0.end_of_sound());
                }
                gst::PadProbeReturn::Ok
            }
            Verdict::Skip => gst::PadProbeReturn::Drop,
            Verdict::End => {
                shared.cut.store(true, Ordering::Release);
                shared.end_sound_at(state.0.end_of_sound());
                state.1 = true;
                drop(state);
                end_behind(pad);
                refuse(info)
            }
        }
    });
}

/// Ends what is behind the pad and not the pad itself: one that has ended refuses events, and the decoder would take
/// that for an error.
fn end_behind(pad: &gst::Pad) {
    if let Some(peer) = pad.peer() {
        peer.send_event(gst::event::Eos::new());
    }
}

/// Nothing passes any more; whoever pushes frames is told that they are not wanted.
fn refuse(info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    if info.buffer().is_some() {
        info.flow_res = Err(gst::FlowError::Eos);
    }
    info.data = None;
    gst::PadProbeReturn::Handled
}

#[cfg(test)]
mod tests {
    use super::*;

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
