//! An encoder whose behaviour a test chooses. Its units are one byte each.

use std::sync::Mutex;

use gst::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Key,
    Encode,
    Drop,
    Fail,
    End,
}

/// What the encoders of this process do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behaviour {
    /// Asked for each frame, by its number in the chunk.
    pub(crate) frame: fn(&FakeEncoder, u32) -> Act,
    /// Runs on the way to READY.
    pub(crate) stop: fn(),
}

static BEHAVIOUR: Mutex<Behaviour> = Mutex::new(Behaviour { frame: key_first, stop: || {} });

pub(crate) fn key_first(_: &FakeEncoder, number: u32) -> Act {
    if number == 0 { Act::Key } else { Act::Encode }
}

/// Registers the encoder as `fake`, to behave like this from now on.
pub(crate) fn register(behaviour: Behaviour) {
    *BEHAVIOUR.lock().unwrap() = behaviour;
    gst::Element::register(None, "fake", gst::Rank::NONE, FakeEncoder::static_type()).unwrap();
}

fn behaviour() -> Behaviour {
    *BEHAVIOUR.lock().unwrap()
}

#[derive(Default)]
pub struct Fake;

#[glib::object_subclass]
impl ObjectSubclass for Fake {
    const NAME: &'static str = "DivienTestFake";
    type Type = FakeEncoder;
    type ParentType = gst_video::VideoEncoder;
}

impl ObjectImpl for Fake {}
impl GstObjectImpl for Fake {}

impl ElementImpl for Fake {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> = std::sync::LazyLock::new(|| {
            gst::subclass::ElementMetadata::new("Fake", "Codec/Encoder/Video", "Does what a test asks", "divien")
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

impl VideoEncoderImpl for Fake {
    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        (behaviour().stop)();
        Ok(())
    }

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
        match (behaviour().frame)(&self.obj(), frame.system_frame_number()) {
            Act::Drop => return self.obj().finish_frame(frame),
            Act::Fail => {
                gst::element_imp_error!(self, gst::StreamError::Encode, ("out of ideas"));
                return Err(gst::FlowError::Error);
            }
            Act::End => return Err(gst::FlowError::Eos),
            Act::Key => frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT),
            Act::Encode => {}
        }
        frame.set_output_buffer(gst::Buffer::from_slice([0u8]));
        self.obj().finish_frame(frame)
    }
}

glib::wrapper! {
    pub struct FakeEncoder(ObjectSubclass<Fake>) @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}
