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

#[test]
fn what_comes_before_the_first_frame_is_bounded() {
    let (mut h, _) = element("vp8enc", 10);
    for n in 0..5000 {
        assert!(h.push_event(gst::event::Gap::builder(FRAME * n).duration(FRAME).build()));
    }
    for n in 0..3000u64 {
        let structure = gst::Structure::builder("numbered").field("n", n).build();
        assert!(h.push_event(gst::event::CustomDownstream::new(structure)));
    }
    assert!(h.push(frame(5000)).is_ok());
    drain(&mut h);
    let (mut gaps, mut numbers) = (Vec::new(), Vec::new());
    while let Some(event) = h.try_pull_event() {
        match event.view() {
            gst::EventView::Gap(gap) => gaps.push(gap.get()),
            gst::EventView::CustomDownstream(custom) => {
                numbers.extend(custom.structure().and_then(|s| s.get::<u64>("n").ok()));
            }
            _ => {}
        }
    }
    assert!(gaps.len() <= 1, "{} gaps", gaps.len());
    assert!(numbers.len() <= 1024 && numbers.iter().copied().eq(3000 - numbers.len() as u64..3000), "{numbers:?}");
}

#[test]
fn gaps_before_the_first_frame_are_one() {
    let (mut h, _) = element("vp8enc", 10);
    for n in 0..5000 {
        assert!(h.push_event(gst::event::Gap::builder(FRAME * n).duration(FRAME).build()));
    }
    assert!(h.push(frame(5000)).is_ok());
    drain(&mut h);
    let mut gaps = Vec::new();
    while let Some(event) = h.try_pull_event() {
        if let gst::EventView::Gap(gap) = event.view() {
            gaps.push(gap.get());
        }
    }
    assert_eq!(gaps, [(gst::ClockTime::ZERO, Some(FRAME * 5000))]);
}

#[test]
fn a_rate_learnt_from_the_frames_is_told_as_a_new_latency() {
    let (mut h, bus) = element("vp8enc", 10);
    let told = || std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Latency])).count();
    h.set_src_caps_str("video/x-raw,format=I420,width=64,height=48,framerate=0/1");
    told();
    h.push(frame(0)).unwrap();
    assert_eq!(told(), 0);
    h.push(frame(1)).unwrap();
    assert_eq!(told(), 1);
    h.push(frame(2)).unwrap();
    assert_eq!(told(), 0);
    drain(&mut h);
}
