//! How long `divienenc` takes to stop: as long as its encoders do, all of them at the same time. No clock decides: each
//! encoder's stop ends when every other encoder is in its own, so stops one after the other would never end.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use gst::prelude::*;

use element_common::fake::{self, Act, Behaviour, FakeEncoder};
use element_common::*;

/// No machine is as slow: what takes longer waits for something that does not come.
const NEVER: Duration = Duration::from_secs(20);
const LANES: usize = 3;
const CHUNK: u32 = 10;

/// Counts who has come to a place.
struct Place(Mutex<usize>, Condvar);

impl Place {
    const fn new() -> Self {
        Self(Mutex::new(0), Condvar::new())
    }

    fn clear(&self) {
        *self.0.lock().unwrap() = 0;
    }

    fn arrive(&self) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }

    /// Waits until so many have come; false when they never do.
    fn wait_for(&self, count: usize) -> bool {
        let wait = self.1.wait_timeout_while(self.0.lock().unwrap(), NEVER, |there| *there < count);
        !wait.unwrap().1.timed_out()
    }
}

static STARTED: Place = Place::new();
static STOPPING: Place = Place::new();
static BLOCKED: Place = Place::new();
/// Encoders that may still end their chunk.
static FREE: AtomicUsize = AtomicUsize::new(0);
static FREE_STOPS: AtomicUsize = AtomicUsize::new(0);
static ONE_BY_ONE: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_FREE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn take_one(of: &AtomicUsize) -> bool {
    of.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

/// Works on its fifth frame until its lane takes it down.
fn frame_by_frame(encoder: &FakeEncoder, number: u32) -> Act {
    if number == 0 {
        IS_FREE.set(take_one(&FREE));
        STARTED.arrive();
        return Act::Key;
    }
    let src = encoder.static_pad("src").unwrap();
    while number == 5 && !IS_FREE.get() && !src.pad_flags().contains(gst::PadFlags::FLUSHING) {
        thread::yield_now();
    }
    Act::Encode
}

fn stop_with_the_others() {
    if take_one(&FREE_STOPS) {
        return;
    }
    STOPPING.arrive();
    if !STOPPING.wait_for(LANES) {
        ONE_BY_ONE.store(true, Ordering::SeqCst);
    }
}

/// What the element is doing when it is stopped.
struct Case {
    name: &'static str,
    frames: u64,
    budget_frames: u64,
    eos: bool,
    flush: bool,
    /// Chunks that are encoded whole, to be held by what is downstream.
    whole: usize,
}

const CASE: Case = Case { name: "", frames: 200, budget_frames: 1000, eos: false, flush: false, whole: 0 };

#[test]
fn stopping_takes_as_long_as_the_slowest_encoder_and_waits_for_nothing_else() {
    init();
    fake::register(Behaviour { frame: frame_by_frame, stop: stop_with_the_others });
    for case in [
        Case { name: "a lane waits for frames", frames: 24, ..CASE },
        Case { name: "a tail is held", frames: 32, ..CASE },
        Case { name: "the input has ended", frames: 30, eos: true, ..CASE },
        Case { name: "the source waits for a lane", ..CASE },
        Case { name: "the source waits for memory", budget_frames: 20, ..CASE },
        Case { name: "downstream takes nothing", whole: 1, ..CASE },
        Case { name: "a flush is under way", flush: true, ..CASE },
    ] {
        stop(&case);
    }
}

fn stop(case: &Case) {
    STARTED.clear();
    STOPPING.clear();
    BLOCKED.clear();
    FREE.store(case.whole, Ordering::SeqCst);
    FREE_STOPS.store(case.whole, Ordering::SeqCst);
    let element = gst::ElementFactory::make("divienenc")
        .property("encoder", "fake")
        .property("workers", LANES as u32)
        .property("chunk-frames", CHUNK)
        .property("max-buffered-bytes", case.budget_frames * 64 * 48 * 3 / 2)
        .build()
        .unwrap();
    let src = gst::Pad::new(gst::PadDirection::Src);
    let sink = gst::Pad::builder(gst::PadDirection::Sink).chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok)).build();
    src.link(&element.static_pad("sink").unwrap()).unwrap();
    element.static_pad("src").unwrap().link(&sink).unwrap();
    element.static_pad("src").unwrap().add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| {
        BLOCKED.arrive();
        gst::PadProbeReturn::Ok
    });
    sink.set_active(true).unwrap();
    src.set_active(true).unwrap();
    element.set_state(gst::State::Playing).unwrap();

    let (frames, eos, whole, source) = (case.frames, case.eos, case.whole, src.clone());
    let feeder = thread::spawn(move || {
        source.push_event(gst::event::StreamStart::new("s"));
        source.push_event(gst::event::Caps::new(&CAPS.parse().unwrap()));
        source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        let all = (0..frames).try_for_each(|n| {
            source.push(frame(n))?;
            // What is encoded whole is the first chunk, which is due first.
            assert!(n > 0 || STARTED.wait_for(whole), "no encoder started with the first frame");
            Ok::<_, gst::FlowError>(())
        });
        if eos && all.is_ok() {
            source.push_event(gst::event::Eos::new());
        }
    });
    assert!(STARTED.wait_for(LANES + case.whole), "{}: the encoders did not start", case.name);
    assert!(BLOCKED.wait_for(case.whole.min(1)), "{}: nothing came downstream", case.name);
    let flusher = case.flush.then(|| {
        let source = src.clone();
        thread::spawn(move || {
            source.push_event(gst::event::FlushStart::new());
            source.push_event(gst::event::FlushStop::new(true));
        })
    });

    let (told, stopped) = mpsc::channel();
    let stopper = thread::spawn({
        let element = element.clone();
        move || told.send(element.set_state(gst::State::Null).is_ok())
    });
    assert_eq!(stopped.recv_timeout(NEVER * 2), Ok(true), "{}: it did not stop", case.name);
    stopper.join().unwrap().unwrap();
    src.set_active(false).unwrap();
    feeder.join().unwrap();
    flusher.map(thread::JoinHandle::join).transpose().unwrap();
    assert!(!ONE_BY_ONE.load(Ordering::SeqCst), "{}: the encoders stopped one after the other", case.name);
    sink.set_active(false).unwrap();
}
