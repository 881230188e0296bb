//! Encoders that do what no encoder should: each is an error that names the chunk, never a stream that looks whole.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use element_common::fake::{self, Act, Behaviour, FakeEncoder};
use element_common::*;

fn but(fault: Act, at: bool, number: u32) -> Act {
    match number {
        _ if at => fault,
        0 => Act::Key,
        _ => Act::Encode,
    }
}

#[test]
fn an_encoder_with_a_fault_is_an_error_that_names_the_chunk_and_the_fault() {
    init();
    type Behave = fn(&FakeEncoder, u32) -> Act;
    let faults: [(Behave, &str); 4] = [
        (|_, n| but(Act::Drop, n % 5 == 3, n), "8 frames went in and 7 came out"),
        (|_, n| but(Act::Fail, n == 3, n), "out of ideas"),
        (|_, n| but(Act::End, n == 3, n), "before it had all"),
        (|_, _| Act::Encode, "no key frame"),
    ];
    for (frame_act, says) in faults {
        fake::register(Behaviour { frame: frame_act, stop: || {} });
        let (mut h, bus) = element("fake", 8);
        for n in 0..30 {
            if h.push(frame(n)).is_err() {
                break;
            }
        }
        h.push_event(gst::event::Eos::new());
        let mut done = 0;
        let text = loop {
            let message = bus.timed_pop(gst::ClockTime::from_seconds(10)).expect("an error");
            match message.view() {
                gst::MessageView::Error(error) => break format!("{}", error.error()),
                gst::MessageView::Element(_) => done += 1,
                _ => {}
            }
        };
        assert_eq!(done, 0, "no chunk was done, and {done} were told of: {says}");
        assert!(text.contains("chunk ") && text.contains("(frames ") && text.contains(says), "{says}: {text}");
    }
}
