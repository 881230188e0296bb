//! The branches beside the picture.

use gst::prelude::*;
use gstdivien::lane::DecoderSpec;

use super::{attach, caps_filter};
use crate::error::Error;
use crate::mux::{Codec, Kind};
use crate::plan::{Action, Plan, SoundEncoder, TrackPlan};
use crate::probe::{self, Outlet, Source, make};

/// Links one stream of sound or subtitles to its tap.
pub(super) fn branch(
    source: &Source,
    plan: &Plan,
    track: &TrackPlan,
    outlet: &Outlet,
    tap: gst::Element,
) -> Result<(), Error> {
    let mut elements = Vec::new();
    if track.kind == Kind::Audio {
        if let Action::Encode(encoder) = &track.action {
            elements.extend(encode(source, track, encoder)?);
        }
        if let Some(parser) = track.codec.parser() {
            elements.push(make(parser)?);
        }
        if let Some(caps) = track.codec.muxed_caps(plan.container.byte_stream()) {
            elements.push(caps_filter(caps)?);
        }
    }
    elements.push(tap);
    attach(source, outlet, &elements)
}

fn encode(source: &Source, track: &TrackPlan, encoder: &SoundEncoder) -> Result<Vec<gst::Element>, Error> {
    let mut elements = Vec::new();
    let stream = source.facts.streams.get(track.stream);
    let caps = stream.map(|s| s.caps.clone()).unwrap_or_else(gst::Caps::new_any);
    if !matches!(stream.map(|s| &s.codec), Some(Codec::Pcm(_))) {
        let decoder = DecoderSpec::of(&caps).ok_or_else(|| Error::NoDecoder {
            input: source.facts.name.clone(),
            format: stream.map_or_else(String::new, |s| s.codec.name()),
            package: probe::PACKAGES,
        })?;
        let decoder =
            decoder.build(None).map_err(|_| Error::NoElement { element: decoder.name(), package: probe::PACKAGES })?;
        elements.push(decoder);
    }
    elements.push(make("audioconvert")?);
    elements.push(make("audioresample")?);
    let raw = raw_caps(encoder);
    if let Codec::Pcm(format) = &track.codec {
        elements.push(caps_filter(&format!("{raw},format={format},layout=interleaved"))?);
        return Ok(elements);
    }
    let element = make(&encoder.factory)?;
    let wanted: Option<gst::Caps> = raw.parse().ok();
    let takes = element.pad_template("sink").zip(wanted).is_none_or(|(sink, raw)| sink.caps().can_intersect(&raw));
    if !takes {
        return Err(Error::Plan {
            what: format!("{} does not take sound of this -ac and -ar", encoder.factory),
            hint: format!("gst-inspect-1.0 {} tells what it takes", encoder.factory),
        });
    }
    elements.push(caps_filter(&raw)?);
    if let Some(rate) = encoder.bit_rate {
        set_bit_rate(&element, rate)?;
    }
    elements.push(element);
    Ok(elements)
}

/// The samples that the encoder is to get.
fn raw_caps(encoder: &SoundEncoder) -> String {
    let channels = encoder.channels.map_or_else(String::new, |n| format!(",channels={n}"));
    let rate = encoder.rate.map_or_else(String::new, |n| format!(",rate={n}"));
    format!("audio/x-raw{channels}{rate}")
}

/// Bit rates are in bits or in thousands of them, as the element's own range tells.
fn set_bit_rate(element: &gst::Element, rate: u64) -> Result<(), Error> {
    let refused = |hint: String| Error::Plan { what: format!("-b:a {rate} cannot be set"), hint };
    let name = element.factory().map(|f| f.name().to_string()).unwrap_or_default();
    let Some(property) = element.find_property("bitrate") else {
        return Err(refused(format!("{name} has no bit rate of its own")));
    };
    let value = if name == "lamemp3enc" || name == "twolamemp2enc" { rate / 1000 } else { rate };
    if name == "lamemp3enc" {
        element.set_property_from_str("target", "bitrate");
    }
    let fits = if let Some(p) = property.downcast_ref::<glib::ParamSpecInt>() {
        i64::try_from(value).is_ok_and(|v| (i64::from(p.minimum())..=i64::from(p.maximum())).contains(&v))
    } else if let Some(p) = property.downcast_ref::<glib::ParamSpecInt64>() {
        i64::try_from(value).is_ok_and(|v| (p.minimum()..=p.maximum()).contains(&v))
    } else if let Some(p) = property.downcast_ref::<glib::ParamSpecUInt>() {
        (u64::from(p.minimum())..=u64::from(p.maximum())).contains(&value)
    } else {
        property.value_type().is_a(glib::Type::ENUM)
    };
    if !fits {
        return Err(refused(format!("gst-inspect-1.0 {name} tells the range of its bit rate")));
    }
    element.set_property_from_str("bitrate", &value.to_string());
    Ok(())
}
