//! `divienenc` in pipelines that run by a clock, seek, and change their rate.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

use std::path::Path;
use std::sync::{Arc, Mutex, Once};

use gst::prelude::*;

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstdivien::plugin_register_static().unwrap();
    });
}

const WAIT: gst::ClockTime = gst::ClockTime::from_seconds(30);

struct Run {
    pipeline: gst::Pipeline,
    /// What left the element, since the last flush: running time and stream time.
    seen: Arc<Mutex<Vec<(gst::ClockTime, gst::ClockTime)>>>,
}

impl Run {
    /// A line with an element `d`.
    fn of(line: &str) -> Self {
        init();
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let src = pipeline.by_name("d").unwrap().static_pad("src").unwrap();
        let units = seen.clone();
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH | gst::PadProbeType::EVENT_DOWNSTREAM;
        src.add_probe(types, move |pad, info| {
            if info.event().is_some_and(|e| e.type_() == gst::EventType::FlushStop) {
                units.lock().unwrap().clear();
            }
            if let Some(pts) = info.buffer().and_then(|b| b.pts()) {
                let event = pad.sticky_event::<gst::event::Segment>(0).unwrap();
                let segment = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
                let times = segment.to_running_time(pts).zip(segment.to_stream_time(pts));
                units.lock().unwrap().push(times.unwrap());
            }
            gst::PadProbeReturn::Ok
        });
        Self { pipeline, seen }
    }

    #[track_caller]
    fn set(&self, state: gst::State) {
        self.pipeline.set_state(state).unwrap();
        self.pipeline.state(WAIT).0.unwrap();
    }

    /// Waits for the end; an error when there is one first.
    fn end(&self) -> Result<(), String> {
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self.pipeline.bus().unwrap().timed_pop_filtered(WAIT, &ends).unwrap();
        match message.view() {
            gst::MessageView::Error(error) => Err(error.error().to_string()),
            _ => Ok(()),
        }
    }

    fn stream_times(&self) -> Vec<u64> {
        let mut times: Vec<_> = self.seen.lock().unwrap().iter().map(|(_, t)| t.mseconds()).collect();
        times.sort_unstable();
        times
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A file of 100 frames, 25 a second, a key frame every ten.
fn clip(folder: &Path) -> String {
    init();
    let path = folder.join("clip.mkv");
    let line = format!(
        "videotestsrc num-buffers=100 ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         x264enc speed-preset=ultrafast key-int-max=10 name=d ! h264parse ! matroskamux ! filesink location={}",
        path.display()
    );
    let run = Run::of(&line);
    run.set(gst::State::Playing);
    run.end().unwrap();
    format!("file://{}", path.display())
}

fn seekable(clip: &str, sink: &str) -> Run {
    Run::of(&format!(
        "uridecodebin uri={clip} ! divienenc name=d workers=2 chunk-frames=7 encoder=\"x264enc speed-preset=ultrafast\" ! {sink}"
    ))
}

const ACCURATE: gst::SeekFlags = gst::SeekFlags::ACCURATE;
const FLUSH: gst::SeekFlags = gst::SeekFlags::FLUSH;

fn seek(rate: f64, flags: gst::SeekFlags, start: u64, stop: u64) -> gst::Event {
    let at = gst::ClockTime::from_mseconds;
    gst::event::Seek::new(rate, flags, gst::SeekType::Set, at(start), gst::SeekType::Set, at(stop))
}

fn frames(range: std::ops::Range<u64>) -> Vec<u64> {
    range.map(|n| n * 40).collect()
}

#[test]
fn a_live_source_is_on_time_by_the_latency_that_is_told() {
    let run = Run::of(
        "videotestsrc is-live=true num-buffers=70 ! video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         divienenc name=d workers=2 chunk-frames=5 encoder=\"x264enc speed-preset=ultrafast\" ! fakesink name=s sync=false",
    );
    let came = Arc::<Mutex<Vec<_>>>::default();
    let (units, pipeline) = (came.clone(), run.pipeline.downgrade());
    let sink = run.pipeline.by_name("s").unwrap().static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let event = pad.sticky_event::<gst::event::Segment>(0).unwrap();
        let segment = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
        let time = segment.to_running_time(info.buffer().unwrap().pts().unwrap()).unwrap();
        units.lock().unwrap().push((time, pipeline.upgrade().unwrap().current_running_time().unwrap()));
        gst::PadProbeReturn::Ok
    });
    run.set(gst::State::Playing);
    let mut query = gst::query::Latency::new();
    assert!(run.pipeline.by_name("d").unwrap().static_pad("src").unwrap().query(&mut query));
    let (live, min, max) = query.result();
    // Three chunks, each with a tail of up to a quarter.
    assert!(live && min >= gst::ClockTime::from_mseconds(3 * 7 * 40), "{min}");
    assert_eq!(max, None);
    run.end().unwrap();
    assert_eq!(run.stream_times().len(), 70);
    let late = came.lock().unwrap().iter().find(|(time, now)| *now > *time + min).copied();
    assert_eq!(late, None, "with a latency of {min}");
}

#[test]
fn a_flushing_seek_starts_over_at_its_frame() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    for state in [gst::State::Paused, gst::State::Playing] {
        // By the clock, so that no run ends before it is sought in.
        let run = seekable(&clip, "fakesink sync=true");
        run.set(state);
        for start in [3000, 400, 2000] {
            assert!(run.pipeline.send_event(seek(1.0, FLUSH | ACCURATE, start, 3600)), "{state:?}");
            run.pipeline.state(WAIT).0.unwrap();
        }
        run.set(gst::State::Playing);
        run.end().unwrap();
        assert_eq!(run.stream_times(), frames(50..90), "{state:?}");
    }
}

#[test]
fn a_seek_behind_a_muxer_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = seekable(&clip(folder.path()), "h264parse ! matroskamux streamable=true ! fakesink");
    run.set(gst::State::Paused);
    assert!(run.pipeline.by_name("d").unwrap().send_event(seek(1.0, FLUSH | ACCURATE, 2000, 3600)));
    run.set(gst::State::Playing);
    run.end().unwrap();
    assert_eq!(run.stream_times(), frames(50..90));
}

#[test]
fn a_seek_without_a_flush_goes_on_in_running_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = seekable(&clip(folder.path()), "fakesink sync=true");
    run.set(gst::State::Playing);
    assert!(run.pipeline.send_event(seek(1.0, ACCURATE, 2000, 3600)));
    run.end().unwrap();
    let seen = run.seen.lock().unwrap();
    // The demuxer counts on from the last frame's start, so two frames share a time there.
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{seen:?}");
    let again: Vec<_> = seen.iter().rev().take(40).rev().map(|(_, time)| time.mseconds()).collect();
    assert_eq!(again, frames(50..90));
}

#[test]
fn a_double_rate_halves_the_running_times() {
    let folder = tempfile::tempdir().unwrap();
    let run = seekable(&clip(folder.path()), "fakesink");
    run.set(gst::State::Paused);
    assert!(run.pipeline.send_event(seek(2.0, FLUSH | ACCURATE, 0, 4000)));
    run.set(gst::State::Playing);
    run.end().unwrap();
    let seen = run.seen.lock().unwrap();
    assert_eq!(seen.len(), 100);
    for (n, (running, time)) in (0..).zip(seen.iter()) {
        assert_eq!((running.mseconds(), time.mseconds()), (n * 20, n * 40));
    }
}

#[test]
fn a_reverse_seek_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = seekable(&clip(folder.path()), "fakesink");
    run.set(gst::State::Paused);
    run.pipeline.send_event(seek(-1.0, FLUSH | ACCURATE, 0, 4000));
    let error = run.end().unwrap_err();
    assert!(error.contains("forward"), "{error}");
}
