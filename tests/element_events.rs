//! Events and segments between the frames that pass `divienenc`.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_check::Harness;

use element_common::*;

fn custom(name: &str) -> gst::Event {
    gst::event::CustomDownstream::builder(gst::Structure::new_empty(name)).build()
}

/// Waits for an event of this type.
#[track_caller]
fn wait_for(h: &mut Harness, type_: gst::EventType) {
    while h.pull_event().unwrap().type_() != type_ {}
}

#[test]
fn an_event_after_a_whole_chunk_leaves_before_the_next_is_done() {
    let (mut h, _) = element("vp8enc", 4);
    push_frames(&mut h, 0..4);
    h.push_event(custom("mine"));
    // Two more frames are no tail, so the first chunk ends.
    push_frames(&mut h, 4..6);
    wait_for(&mut h, gst::EventType::CustomDownstream);
    assert_eq!(h.buffers_received(), 4);
}

#[test]
fn an_event_between_whole_chunks_leaves_at_once() {
    let (mut h, _) = element("vp8enc", 1);
    push_frames(&mut h, 0..2);
    for _ in 0..2 {
        h.pull().unwrap();
    }
    h.push_event(custom("mine"));
    wait_for(&mut h, gst::EventType::CustomDownstream);
}

#[test]
fn a_gap_that_outlasts_the_chunk_lets_the_frames_before_it_go() {
    let (mut h, _) = element("x264enc", 10);
    push_frames(&mut h, 0..3);
    for n in [3, 8] {
        h.push_event(gst::event::Gap::builder(FRAME * n).duration(FRAME * 5).build());
    }
    wait_for(&mut h, gst::EventType::Gap);
    assert_eq!(h.buffers_received(), 3);
    push_frames(&mut h, 13..15);
    assert_eq!(frames_of(&drain(&mut h), segment_start(&h)), [0, 1, 2, 13, 14]);
}

#[test]
fn a_short_gap_cuts_nothing() {
    let (mut h, _) = element("x264enc", 10);
    push_frames(&mut h, 0..3);
    h.push_event(gst::event::Gap::builder(FRAME * 3).duration(FRAME * 2).build());
    push_frames(&mut h, 5..9);
    assert_eq!(drain(&mut h).iter().filter(|u| is_key(u)).count(), 1);
}

#[test]
fn decode_times_rise_from_segment_to_segment() {
    let (mut h, _) = element("x264enc bframes=2 b-adapt=false", 6);
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let times = seen.clone();
    h.sinkpad().unwrap().add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
        let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
        let running = segment.to_running_time_full(info.buffer().unwrap().dts().unwrap()).unwrap();
        times.lock().unwrap().push(running);
        gst::PadProbeReturn::Ok
    });
    push_frames(&mut h, 0..8);
    // A second between frames: two of them before the first is long before the end of what came before.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(FRAME * 8);
    h.push_event(gst::event::Segment::new(&segment));
    for n in 0..8 {
        h.push(frame(n * 25)).unwrap();
    }
    assert_eq!(drain(&mut h).len(), 16);
    let times = seen.lock().unwrap();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
}
