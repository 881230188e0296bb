//! The branch of the picture.

use std::sync::Arc;

use gst::prelude::*;
use gstdivien::lane::DecoderSpec;

use super::encoder::Encoder;
use super::tap::{Form, Tap};
use super::{Means, Shared, apart, attach, caps_filter, lock, ordered, track};
use crate::error::Error;
use crate::mux::Kind;
use crate::plan::{Plan, VideoPlan};
use crate::probe::{self, Cutting, Source, make};

/// Builds the branch; gives the encoder, and the pad that all passes on its way into it.
pub(super) fn branch(
    source: &Source,
    plan: &Plan,
    shared: &Arc<Shared>,
    (first, means): (i64, Means),
) -> Result<(Arc<Encoder>, gst::Pad), Error> {
    let missing = || Error::Fault { what: "the plan's video is not in the source".into() };
    let video = &plan.video;
    let outlet = source.outlets.get(video.stream).ok_or_else(missing)?;
    let stream = source.facts.streams.get(video.stream).ok_or_else(missing)?;
    let decoder = if probe::is_raw_video(&stream.caps) { None } else { Some(decoder(source, &stream.caps)?) };
    // Those of libav write what the stream says; others guess.
    let honest = decoder.as_ref().is_none_or(|d| d.name().starts_with("avdec_"));
    let encoder = Arc::new(Encoder::new(video, (&stream.caps, honest), means)?);
    let (mut elements, entry) = match video.cut {
        Some(_) => (Vec::new(), outlet.pad().ok_or_else(missing)?),
        None => ordered::head(source, plan, shared, (&encoder, decoder), first)?,
    };
    elements.push(encoder.element().clone());
    let left = Arc::clone(shared);
    if let Some(pad) = encoder.element().static_pad("src") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            // Headers have no time.
            let time = info.buffer().and_then(|buffer| buffer.pts()).and_then(|pts| probe::running_time(pad, pts));
            if let Some(time) = time {
                left.has_left(time);
            }
            gst::PadProbeReturn::Ok
        });
    }
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
    if let (Some(mode), Cutting::Apart(units)) = (video.cut, &stream.cutting) {
        apart::begin(&encoder, (plan, &entry), units, mode, shared)?;
    }
    Ok((encoder, entry))
}

fn decoder(source: &Source, caps: &gst::Caps) -> Result<DecoderSpec, Error> {
    let missing =
        || Error::NoElement { element: format!("a decoder of {}", source.facts.name), package: probe::PACKAGES };
    DecoderSpec::of(caps).ok_or_else(missing)
}

pub(super) fn is_grey(caps: &gst::CapsRef) -> bool {
    gst_video::VideoInfo::from_caps(caps).is_ok_and(|info| info.format_info().is_gray())
}

/// Decoders hand over single fields of HEVC, of which nothing in GStreamer 1.22 makes frames.
pub(super) fn refuse_fields(decoded: &gst::CapsRef, input: &str) -> Result<(), Error> {
    let by_fields = decoded.features(0).is_some_and(|f| f.contains("format:Interlaced"));
    let reason = "its pictures are coded field by field, of which this GStreamer makes no frames; turn it into another format first";
    if by_fields { Err(Error::NotAVideo { input: input.into(), reason: reason.into() }) } else { Ok(()) }
}

/// The name of a raw format.
pub(super) fn named_format(caps: &gst::CapsRef) -> Option<String> {
    caps.structure(0).and_then(|s| s.get("format").ok())
}

/// The size of pictures and the form of their pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) size: (i32, i32),
    aspect: Option<gst::Fraction>,
}

impl Shape {
    pub(super) fn of(caps: &gst::CapsRef) -> Self {
        let field = |name| caps.structure(0).and_then(|s| s.get::<i32>(name).ok()).unwrap_or_default();
        let aspect = caps.structure(0).and_then(|s| s.get("pixel-aspect-ratio").ok());
        Self { size: (field("width"), field("height")), aspect }
    }

    /// What is to be said when pictures of this shape become those of `other`.
    pub(super) fn change(&self, other: &Self) -> String {
        let ((width, height), (w, h)) = (self.size, other.size);
        if self.size != other.size {
            return format!("the pictures change from {width}x{height} to {w}x{h}: they are scaled to the first size");
        }
        let named = |shape: &Self| shape.aspect.map_or("1:1".into(), |a| format!("{}:{}", a.numer(), a.denom()));
        let (before, after) = (named(self), named(other));
        format!("the pictures' pixels change from {before} to {after}: they are scaled to the first shape")
    }

    pub(super) fn caps(&self) -> gst::Caps {
        let caps = gst::Caps::builder("video/x-raw").field("width", self.size.0).field("height", self.size.1);
        caps.field_if_some("pixel-aspect-ratio", self.aspect).build()
    }
}

pub(super) fn flip_direction(method: &str) -> &'static str {
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

/// The raw formats that the encoder may be given.
pub(super) fn formats(video: &VideoPlan) -> String {
    match video.encoder.raw_formats.as_slice() {
        [] => "video/x-raw".to_owned(),
        formats => format!("video/x-raw,format={{{}}}", formats.join(",")),
    }
}
