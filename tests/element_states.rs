//! Starting `divienenc`, again and with what cannot be started.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

use gst::prelude::*;

fn init() {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
}

fn launch(line: &str) -> gst::Element {
    gst::parse::launch(line).unwrap()
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

#[test]
fn whoever_hears_a_message_may_ask_for_stats_at_once() {
    init();
    let pipeline = launch(
        "videotestsrc num-buffers=30 ! video/x-raw,format=I420,width=64,height=48 ! divienenc name=d chunk-frames=7 \
         ! fakesink",
    );
    let encoder = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("d").unwrap().downgrade();
    let bus = pipeline.bus().unwrap();
    let asked = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
    let asking = asked.clone();
    bus.set_sync_handler(move |_, message| {
        if let Some(encoder) = encoder.upgrade() {
            encoder.property::<gst::Structure>("stats");
            let own = message.src().is_some_and(|src| encoder.static_pad("src").is_some_and(|pad| src == &pad));
            asking.fetch_or(own, std::sync::atomic::Ordering::Relaxed);
        }
        gst::BusSyncReply::Pass
    });
    let (ended, end) = std::sync::mpsc::channel();
    // Should it hang, so would a state change on this thread.
    std::thread::spawn(move || {
        let _ = pipeline.set_state(gst::State::Playing);
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &ends);
        let _ = pipeline.set_state(gst::State::Null);
        let _ = ended.send(message.map(|m| m.type_()));
    });
    let last = end.recv_timeout(std::time::Duration::from_secs(40)).expect("the run hangs");
    assert_eq!(last, Some(gst::MessageType::Eos));
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed), "the source pad's task says that it starts");
}
