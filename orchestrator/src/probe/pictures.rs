//! The first pictures of a file, decoded before all others: what form they have, and whether there are as many as their
//! packets promise.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::chunk::{Uncuttable, Unit};
use gstdivien::lane::DecoderSpec;

use super::make;
use super::scan::Scanned;
use crate::sync::lock;

/// Decodes the first packets. Gives the form of their pictures, or why chunks of the stream cannot be decoded each by
/// itself.
pub(super) fn look(scanned: &Scanned) -> Result<gst::Caps, String> {
    scanned.units.as_ref().map_err(Clone::clone)?;
    let caps = scanned.caps.as_ref().ok_or("nothing tells its form")?;
    let decoder = DecoderSpec::of(caps).ok_or("nothing here decodes it")?;
    let first = scanned.heads.as_slice();
    if let Some(at) = first.iter().position(|unit| unit.is_field) {
        return Err(Uncuttable::Field(at as u64).to_string());
    }
    let seen = decoded(&decoder, caps, first, scanned.first.clone()).ok_or("its first pictures cannot be decoded")?;
    let [form] = seen.forms.as_slice() else {
        return Err("its first pictures cannot be decoded, or are of several forms".into());
    };
    let promised: BTreeSet<u64> = first.iter().filter(|u| u.shown > 0).filter_map(|u| u.pts).collect();
    // Leading pictures of what a recording has not caught never come.
    let begun = seen.times.first().copied().unwrap_or_default();
    if !promised.into_iter().filter(|time| *time >= begun).eq(seen.times.iter().copied()) {
        return Err("its decoder gives other pictures than the packets promise".into());
    }
    Ok(form.clone())
}

#[derive(Debug, Default)]
struct Seen {
    forms: Vec<gst::Caps>,
    times: BTreeSet<u64>,
}

fn decoded(decoder: &DecoderSpec, caps: &gst::Caps, units: &[Unit], packets: Vec<gst::Buffer>) -> Option<Seen> {
    let pipeline = gst::Pipeline::new();
    let packets = Mutex::new(packets.into_iter());
    let feed = gst_app::AppSrcCallbacks::builder().need_data(move |source, _| {
        let next = lock(&packets).next();
        // Both fail only while the pipeline is being taken down.
        let _ = match next {
            Some(packet) => source.push_buffer(packet),
            None => source.end_of_stream(),
        };
    });
    let source = gst_app::AppSrc::builder().caps(caps).format(gst::Format::Time).callbacks(feed.build()).build();
    let decoder = decoder.build(units.first()?.start).ok()?;
    let sink = make("fakesink").ok()?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let store = Arc::clone(&seen);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    decoder.static_pad("src")?.add_probe(mask, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(picture)) => {
                lock(&store).times.extend(picture.pts().map(gst::ClockTime::nseconds));
            }
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(caps) = event.view() {
                    let (caps, mut seen) = (caps.caps_owned(), lock(&store));
                    if !seen.forms.contains(&caps) {
                        seen.forms.push(caps);
                    }
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    let chain = [source.upcast_ref(), &decoder, &sink];
    pipeline.add_many(chain).and_then(|()| gst::Element::link_many(chain)).ok()?;
    let bus = pipeline.bus()?;
    let ended = pipeline
        .set_state(gst::State::Playing)
        .ok()
        .and_then(|_| bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Eos, gst::MessageType::Error]));
    // Always succeeds on the way down.
    let _ = pipeline.set_state(gst::State::Null);
    ended.filter(|message| message.type_() == gst::MessageType::Eos)?;
    let seen = std::mem::take(&mut *lock(&seen));
    Some(seen)
}
