//! `divienenc` in a harness.
#![allow(dead_code, reason = "no test needs all of it")]

pub(crate) mod fake;

use std::sync::Once;

use gst::prelude::*;
use gst_check::Harness;

pub(crate) const CAPS: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1";
pub(crate) const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

pub(crate) fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstdivien::plugin_register_static().unwrap();
    });
}

/// An element with this encoder and chunk length and three workers, with caps set and a bus to read.
pub(crate) fn element(encoder: &str, chunk_frames: u32) -> (Harness, gst::Bus) {
    element_with(encoder, chunk_frames, 3)
}

pub(crate) fn element_with(encoder: &str, chunk_frames: u32, workers: u32) -> (Harness, gst::Bus) {
    init();
    let element = gst::ElementFactory::make("divienenc")
        .property("encoder", encoder)
        .property("workers", workers)
        .property("chunk-frames", chunk_frames)
        .build()
        .unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str(CAPS);
    (harness, bus)
}

pub(crate) fn frame(n: u64) -> gst::Buffer {
    sized_frame(n, 64 * 48 * 3 / 2)
}

pub(crate) fn sized_frame(n: u64, size: usize) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![(n * 7 % 250) as u8; size]);
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(FRAME * n);
    writable.set_duration(FRAME);
    buffer
}

pub(crate) fn push_frames(harness: &mut Harness, numbers: std::ops::Range<u64>) {
    for n in numbers {
        harness.push(frame(n)).unwrap();
    }
}

/// Everything that left the element up to EOS: units and, between them, events of interest.
pub(crate) fn drain(harness: &mut Harness) -> Vec<gst::Buffer> {
    harness.push_event(gst::event::Eos::new());
    let mut units = Vec::new();
    loop {
        match harness.pull_until_eos() {
            Ok(Some(unit)) => units.push(unit),
            _ => return units,
        }
    }
}

pub(crate) fn is_key(unit: &gst::Buffer) -> bool {
    !unit.flags().contains(gst::BufferFlags::DELTA_UNIT)
}

/// Presentation times in order, counted in frames from the segment's start.
pub(crate) fn frames_of(units: &[gst::Buffer], start: gst::ClockTime) -> Vec<u64> {
    let mut times: Vec<_> = units.iter().map(|u| (u.pts().unwrap() - start) / FRAME).collect();
    times.sort_unstable();
    times
}

pub(crate) fn segment_start(harness: &Harness) -> gst::ClockTime {
    let event = harness.sinkpad().unwrap().sticky_event::<gst::event::Segment>(0).unwrap();
    event.segment().downcast_ref::<gst::ClockTime>().unwrap().start().unwrap()
}

pub(crate) fn error_text(bus: &gst::Bus) -> String {
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    format!("{} {}", error.error(), error.debug().unwrap_or_default())
}
