//! What is left when fewer chunks than workers can share evenly is begun together. No clock decides: each of the last
//! encoders waits until all of them have begun.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use gst::prelude::*;

use element_common::fake::{self, Act, Behaviour, FakeEncoder};
use element_common::*;

/// No machine is as slow: what takes longer waits for something that does not come.
const NEVER: Duration = Duration::from_secs(20);
const WORKERS: usize = 2;
const CHUNKS: usize = 5;

static BEGUN: Mutex<usize> = Mutex::new(0);
static MORE: Condvar = Condvar::new();
static HAS_ENDED: AtomicBool = AtomicBool::new(false);
static WAS_ALONE: AtomicBool = AtomicBool::new(false);

/// The first encoders wait for the end of the input, the others for one another.
fn together(_: &FakeEncoder, number: u32) -> Act {
    if number > 0 {
        return Act::Encode;
    }
    let mut begun = BEGUN.lock().unwrap();
    *begun += 1;
    MORE.notify_all();
    let is_early = *begun <= WORKERS;
    let waits = |begun: &mut usize| if is_early { !HAS_ENDED.load(Ordering::SeqCst) } else { *begun < CHUNKS };
    let waited = MORE.wait_timeout_while(begun, NEVER, waits).unwrap();
    WAS_ALONE.fetch_or(waited.1.timed_out(), Ordering::SeqCst);
    Act::Key
}

#[test]
fn five_chunks_on_two_workers_are_no_three_rounds() {
    init();
    fake::register(Behaviour { frame: together, stop: || {} });
    let (mut h, _) = element_with("fake", 10, WORKERS as u32);
    push_frames(&mut h, 0..CHUNKS as u64 * 10);
    h.push_event(gst::event::Eos::new());
    HAS_ENDED.store(true, Ordering::SeqCst);
    // Whoever looks at it does so with this lock, and misses no notice.
    drop(BEGUN.lock().unwrap());
    MORE.notify_all();
    while let Ok(Some(_)) = h.pull_until_eos() {}
    assert!(!WAS_ALONE.load(Ordering::SeqCst), "an encoder of the last three worked alone");
    let stats = h.element().unwrap().property::<gst::Structure>("stats");
    assert_eq!((stats.get("workers"), stats.get("chunks-done")), (Ok(WORKERS as u32), Ok(CHUNKS as u64)));
    let lanes = stats.get::<gst::ArrayRef<'_>>("lanes").unwrap();
    let chunks = lanes.iter().map(|lane| lane.get::<gst::Structure>().unwrap().get::<u64>("chunks").unwrap());
    assert_eq!(chunks.sum::<u64>(), CHUNKS as u64);
}
