//! One decoder that gives all pictures in their order: for pipes, for raw pictures, and for what cannot be cut before it is
//! decoded.
//!
//! ```text
//! [times] ! decoder ! gate ! [yadif, fps] ! videoconvert ! videoscale ! size ! [videoflip] ! [filters] ! formats ! divienenc
//! ```

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::divienenc::within;
use gstdivien::lane::{DecoderSpec, FilterSpec, in_order};

use super::encoder::Encoder;
use super::gate::{Gate, Verdict, end_behind, refuse};
use super::video::{Shape, flip_direction, formats, is_grey, named_format, refuse_fields};
use super::{Shared, caps_filter, lock, loss, retime};
use crate::error::Error;
use crate::mux::Codec;
use crate::plan::{Plan, may_deinterlace};
use crate::probe::{self, Source, make, nanoseconds};

/// The elements before the encoder, and the pad that frames pass on their way into it.
pub(super) fn head(
    source: &Source,
    plan: &Plan,
    shared: &Arc<Shared>,
    (encoder, decoder): (&Arc<Encoder>, Option<DecoderSpec>),
    first: i64,
) -> Result<(Vec<gst::Element>, gst::Pad), Error> {
    let missing = || Error::Fault { what: "the plan's video is not in the source".into() };
    let video = &plan.video;
    let outlet = source.outlets.get(video.stream).ok_or_else(missing)?;
    let stream = source.facts.streams.get(video.stream).ok_or_else(missing)?;
    let mut elements = Vec::new();
    let order_alone = source.has_decode_times_alone();
    match stream.codec {
        Codec::MpegVideo(_) => elements.push(retime::element(retime::Form::Mpeg12, order_alone)?),
        Codec::H264 | Codec::H265 if source.has_decode_times_twice() => elements.push(retime::untimed()?),
        Codec::Mpeg4 if order_alone => elements.push(retime::element(retime::Form::Mpeg4, true)?),
        _ => {}
    }
    let gate = Gate::new(&plan.range, first);
    if let Some(spec) = decoder {
        let none = |_| Error::NoElement { element: spec.name(), package: probe::PACKAGES };
        let decoder = spec.build(outlet.start()).map_err(none)?;
        loss::follow((&decoder, spec.syntax()), &stream.codec, gate.window(), shared).ok_or_else(missing)?;
        elements.push(decoder);
    }
    let admits = make("identity")?;
    let entry = admits.static_pad("src").ok_or_else(missing)?;
    admit(&entry, gate, shared);
    if video.filters.yadif.is_some() {
        refuse_packed(&entry, shared);
    }
    elements.push(admits);
    let fault = |e: &dyn std::fmt::Display| Error::Fault { what: format!("a filter cannot be made: {e}") };
    let filter = |text: &str| FilterSpec::parse(text).map_err(|e| fault(&e));
    if video.filters.yadif.is_some() || video.filters.fps.is_some() {
        let several = filter(video.filters.of_several_frames().trim_end_matches(" ! "))?;
        elements.push(in_order(&several, within).map_err(|e| fault(&e))?);
    }
    let converter = make("videoconvert")?;
    let size = caps_filter("video/x-raw")?;
    begin_with_the_pictures(&converter, encoder, &size, (shared, &plan.input))?;
    elements.extend([converter, make("videoscale")?, size]);
    if let Some(method) = video.filters.turn {
        let flip = make("videoflip")?;
        flip.set_property_from_str("video-direction", flip_direction(method));
        elements.push(flip);
    }
    let each = filter(video.filters.elements.trim_start_matches(" ! "))?;
    elements.extend(each.elements().map_err(|e| fault(&e))?);
    let formats = caps_filter(&formats(video))?;
    tell(&formats, shared, encoder).ok_or_else(missing)?;
    elements.push(formats);
    Ok((elements, entry))
}

/// Ends the run where pictures come that yadif cannot take.
fn refuse_packed(pad: &gst::Pad, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|e| e.view())
            && let Err(refused) = may_deinterlace(caps.caps())
        {
            shared.fail(refused);
        }
        gst::PadProbeReturn::Ok
    });
}

/// What decodes tells the form of the pictures, and with it what the encoder has to know. The first ones' size is that
/// of all, as in ffmpeg: a file says it once.
fn begin_with_the_pictures(
    converter: &gst::Element,
    encoder: &Arc<Encoder>,
    size: &gst::Element,
    (shared, input): (&Arc<Shared>, &str),
) -> Result<(), Error> {
    let Some(pad) = converter.static_pad("sink") else {
        return Err(Error::Fault { what: "a converter without a pad".into() });
    };
    let (encoder, size, shared, input) = (Arc::clone(encoder), size.downgrade(), Arc::clone(shared), input.to_owned());
    let converting = converter.downgrade();
    let first = Mutex::new(None);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match info.event().map(|e| e.view()) {
            Some(gst::EventView::Caps(caps)) => {
                if let Err(refused) = refuse_fields(caps.caps(), &input) {
                    shared.fail(refused);
                }
                // Grey has no matrix, and videoconvert of 1.22 spoils it where none, or another, is named.
                if let Some(converter) = converting.upgrade().filter(|_| is_grey(caps.caps())) {
                    converter.set_property_from_str("matrix-mode", "none");
                }
                let form = Shape::of(caps.caps());
                let before = *lock(&first).get_or_insert(form);
                if before != form {
                    shared.note(&before.change(&form));
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

/// True for pictures that differ in nothing but how they are meant: an encoder is told that once, as in ffmpeg.
fn is_laid_out(first: &gst::CapsRef, caps: &gst::CapsRef) -> bool {
    let layout = |caps: &gst::CapsRef| (named_format(caps), Shape::of(caps).size);
    layout(first) == layout(caps)
}

/// Remembers the form in which pictures reach the encoder behind `formats`, and says there what the input does.
fn tell(formats: &gst::Element, shared: &Arc<Shared>, encoder: &Arc<Encoder>) -> Option<()> {
    let (encoder, shared) = (Arc::clone(encoder), Arc::clone(shared));
    let (form, filter) = (Mutex::new(None::<gst::Caps>), formats.downgrade());
    formats.static_pad("src")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|e| e.view()) {
            let mut caps = encoder.caps(caps.caps());
            if let Some(told) = encoder.conversion(&caps) {
                shared.note(&told);
            }
            lock(&shared.raw_caps).get_or_insert_with(|| caps.clone());
            let mut form = lock(&form);
            match &*form {
                Some(first) if is_laid_out(first, &caps) => caps = first.clone(),
                Some(_) => {}
                None => {
                    if let Some((filter, format)) = filter.upgrade().zip(named_format(&caps)) {
                        filter.set_property("caps", gst::Caps::builder("video/x-raw").field("format", format).build());
                    }
                    *form = Some(caps.clone());
                }
            }
            info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
        }
        gst::PadProbeReturn::Ok
    });
    Some(())
}

/// Counts frames, and keeps those outside the window away from the encoder.
fn admit(pad: &gst::Pad, gate: Gate, shared: &Arc<Shared>) {
    let start = gate.window().start;
    let gate = Mutex::new((gate, false));
    let last = Mutex::new(None::<i64>);
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
                let time = time.or(*lock(&last)).unwrap_or_default();
                shared.losses(|losses| losses.has_no_time(number, time));
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
                shared.cut();
                shared.end_sound_at(state.0.end_of_sound());
                state.1 = true;
                drop(state);
                end_behind(pad);
                refuse(info)
            }
        }
    });
}
