//! Stopping `divienenc` at any moment, in a process of its own whose threads and objects are counted.
#![cfg(test)]

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

const IN_CHILD: &str = "DIVIEN_TEST_STOPS";

/// Names of this process's threads that are the element's lanes.
fn lane_threads() -> usize {
    let names = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let comm = task.ok()?.path().join("comm");
        std::fs::read_to_string(comm).ok()
    });
    names.filter(|name| name.starts_with("divien-lane")).count()
}

/// `way` is what is between the frames and the element.
fn stop_a_hundred_times(way: &str) {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
    let line = format!(
        "videotestsrc pattern=ball ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 {way} \
         ! divienenc workers=3 chunk-frames=20 encoder=\"x264enc speed-preset=veryfast\" ! fakesink"
    );
    for n in 0..100u64 {
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        // Moments spread over the first chunks, the same in every run.
        thread::sleep(Duration::from_millis(n * n % 83));
        let since = Instant::now();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(since.elapsed() < Duration::from_secs(30), "stop {n} took {:?}", since.elapsed());
        // A thread that has been joined may show for a moment.
        while lane_threads() > 0 && since.elapsed() < Duration::from_secs(30) {
            thread::yield_now();
        }
        assert_eq!(lane_threads(), 0, "after stop {n}");
    }
    // SAFETY: nothing of GStreamer is left in use; this makes the tracer report.
    unsafe { gst::deinit() };
}

#[test]
fn a_stop_at_any_moment_leaves_no_thread_and_no_object() {
    leaves_nothing("a_stop_at_any_moment_leaves_no_thread_and_no_object", "");
}

#[test]
fn a_stop_at_any_moment_leaves_nothing_of_compressed_video() {
    let way = "! x264enc speed-preset=ultrafast key-int-max=10 bframes=2 ! h264parse";
    leaves_nothing("a_stop_at_any_moment_leaves_nothing_of_compressed_video", way);
}

fn leaves_nothing(test: &str, way: &str) {
    if std::env::var_os(IN_CHILD).is_some() {
        return stop_a_hundred_times(way);
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(IN_CHILD, "1")
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{}{text}", String::from_utf8_lossy(&child.stdout));
    assert!(text.contains("leaks"), "the tracer said nothing: {text}");
    let leaks: Vec<_> = text.lines().filter(|line| line.contains("object-alive,") && !line.contains("%s")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}
