//! Starting and stopping `divienenc` at any moment.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

fn init() {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
}

fn launch(line: &str) -> gst::Element {
    gst::parse::launch(line).unwrap()
}

/// Names of this process's threads that are the element's lanes.
fn lane_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let comm = task.ok()?.path().join("comm");
        std::fs::read_to_string(comm).ok()
    });
    names.filter(|name| name.starts_with("divien-lane")).count()
}

/// One test, because the threads of the whole process are counted.
#[test]
fn a_stop_at_any_moment_is_quick_and_leaves_no_thread() {
    init();
    let line = "videotestsrc pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 \
                ! divienenc workers=3 chunk-frames=20 encoder=\"x264enc speed-preset=veryfast\" ! fakesink";
    for n in 0..100u64 {
        let pipeline = launch(line);
        pipeline.set_state(gst::State::Playing).unwrap();
        // Moments spread over the first chunks, the same in every run.
        thread::sleep(Duration::from_millis(n * n % 83));
        let since = Instant::now();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(since.elapsed() < Duration::from_secs(5), "stop {n} took {:?}", since.elapsed());
        assert_eq!(lane_threads(), 0, "after stop {n}");
    }
}

#[test]
fn a_run_can_follow_a_run() {
    init();
    let pipeline = launch(
        "videotestsrc num-buffers=30 ! video/x-raw,format=I420,width=64,height=48 ! divienenc chunk-frames=7 workers=2 \
         ! fakesink name=s signal-handoffs=true",
    );
    let counted = std::sync::Arc::<std::sync::atomic::AtomicU32>::default();
    let counter = counted.clone();
    pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("s").unwrap().connect("handoff", false, move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        None
    });
    for _ in 0..3 {
        pipeline.set_state(gst::State::Playing).unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(30), &ends).unwrap();
        assert_eq!(message.type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
    }
    assert_eq!(counted.load(std::sync::atomic::Ordering::Relaxed), 90);
}

#[test]
fn a_bad_encoder_is_an_error_when_the_pipeline_starts() {
    init();
    for (encoder, what) in [("x246enc", "x264enc"), ("x264enc speed=1", "speed-preset"), ("y4menc", "header")] {
        let pipeline = launch("videotestsrc ! divienenc name=d ! fakesink");
        pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("d").unwrap().set_property("encoder", encoder);
        assert!(pipeline.set_state(gst::State::Paused).is_err());
        let message = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else { unreachable!() };
        assert!(error.error().to_string().contains(what), "{}", error.error());
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
