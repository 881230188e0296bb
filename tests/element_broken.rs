//! Encoders that do what no encoder should: each is an error that names the chunk, never a stream that looks whole.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use std::sync::Mutex;

use gst::prelude::*;

use element_common::*;

/// What is wrong with the encoders that are made next.
static FAULT: Mutex<&str> = Mutex::new("");

/// An encoder whose units are one byte each.
mod faulty {
    use gst::subclass::prelude::*;
    use gst_video::prelude::*;
    use gst_video::subclass::prelude::*;

    #[derive(Default)]
    pub struct Faulty;

    #[glib::object_subclass]
    impl ObjectSubclass for Faulty {
        const NAME: &'static str = "DivienTestFaulty";
        type Type = super::FaultyEncoder;
        type ParentType = gst_video::VideoEncoder;
    }

    impl ObjectImpl for Faulty {}
    impl GstObjectImpl for Faulty {}

    impl ElementImpl for Faulty {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> = std::sync::LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Faulty", "Codec/Encoder/Video", "Does what none should", "divien")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
                [("sink", gst::PadDirection::Sink, "video/x-raw"), ("src", gst::PadDirection::Src, "video/x-test")]
                    .map(|(name, direction, caps)| {
                        let caps = gst::Caps::new_empty_simple(caps);
                        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
                    })
                    .into()
            });
            &TEMPLATES
        }
    }

    impl VideoEncoderImpl for Faulty {
        fn set_format(
            &self,
            state: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
        ) -> Result<(), gst::LoggableError> {
            let caps = gst::Caps::new_empty_simple("video/x-test");
            let encoder = self.obj();
            let output = encoder.set_output_state(caps, Some(state));
            let output = output.map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no state"))?;
            encoder.negotiate(output).map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no caps"))
        }

        fn handle_frame(&self, mut frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
            let number = frame.system_frame_number();
            let fault = *super::FAULT.lock().unwrap();
            match fault {
                "drops" if number % 5 == 3 => return self.obj().finish_frame(frame).map(|_| gst::FlowSuccess::Ok),
                "fails" if number == 3 => {
                    gst::element_imp_error!(self, gst::StreamError::Encode, ("out of ideas"));
                    return Err(gst::FlowError::Error);
                }
                "ends" if number == 3 => return Err(gst::FlowError::Eos),
                _ => {}
            }
            if number == 0 && fault != "keyless" {
                frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
            }
            frame.set_output_buffer(gst::Buffer::from_slice([0u8]));
            self.obj().finish_frame(frame)
        }
    }
}

glib::wrapper! {
    pub struct FaultyEncoder(ObjectSubclass<faulty::Faulty>)
        @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}

#[test]
fn an_encoder_with_a_fault_is_an_error_that_names_the_chunk_and_the_fault() {
    init();
    gst::Element::register(None, "faulty", gst::Rank::NONE, FaultyEncoder::static_type()).unwrap();
    for (fault, says) in [
        ("drops", "8 frames went in and 7 came out"),
        ("fails", "out of ideas"),
        ("ends", "before it had all"),
        ("keyless", "no key frame"),
    ] {
        *FAULT.lock().unwrap() = fault;
        let (mut h, bus) = element("faulty", 8);
        for n in 0..30 {
            if h.push(frame(n)).is_err() {
                break;
            }
        }
        h.push_event(gst::event::Eos::new());
        let text = error_text(&bus);
        assert!(text.contains("chunk ") && text.contains("(frames ") && text.contains(says), "{fault}: {text}");
    }
}
