//! A plugin with an encoder that waits instead of computing, for runs with more workers than the machine has cores.

#![expect(missing_docs, reason = "what the macros make has none")]

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use gst::glib;
use gst::glib::ParamSpecBuilderExt as _;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;

/// This machine takes so many times longer.
static SLOWER: LazyLock<u32> =
    LazyLock::new(|| std::env::var("WAITENC_SLOWER").ok().and_then(|n| n.parse().ok()).unwrap_or(1));

/// More than that is not the machine's fault: there were no frames.
const LATE: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct Wait {
    /// Microseconds for a frame.
    time: Mutex<u32>,
    /// When the last frame was to be done.
    until: Mutex<Option<Instant>>,
}

#[glib::object_subclass]
impl ObjectSubclass for Wait {
    const NAME: &'static str = "DivienTestWait";
    type Type = WaitEnc;
    type ParentType = gst_video::VideoEncoder;
}

impl ObjectImpl for Wait {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![glib::ParamSpecUInt::builder("time").nick("Time").blurb("Microseconds for a frame").build()]
        });
        &PROPERTIES
    }

    fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
        *self.time.lock().unwrap() = value.get().unwrap();
    }

    fn property(&self, _: usize, _: &glib::ParamSpec) -> glib::Value {
        self.time.lock().unwrap().to_value()
    }
}

impl GstObjectImpl for Wait {}

impl ElementImpl for Wait {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new("Wait", "Codec/Encoder/Video", "Waits for each frame", "divien")
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            [("sink", gst::PadDirection::Sink, "video/x-raw"), ("src", gst::PadDirection::Src, "video/x-wait")]
                .map(|(name, direction, caps)| {
                    let caps = gst::Caps::new_empty_simple(caps);
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
                })
                .into()
        });
        &TEMPLATES
    }
}

impl Wait {
    /// Waits so long from when the last frame was to be done: on a busy machine one wait is longer, and the next is shorter.
    fn wait(&self, time: Duration) {
        let mut until = self.until.lock().unwrap();
        let now = Instant::now();
        let begun = until.map_or(now, |until| until.max(now - LATE));
        let until = *until.insert(begun + time);
        std::thread::sleep(until.saturating_duration_since(now));
    }
}

impl VideoEncoderImpl for Wait {
    fn set_format(
        &self,
        state: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        let encoder = self.obj();
        let output = encoder.set_output_state(gst::Caps::new_empty_simple("video/x-wait"), Some(state));
        let output = output.map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no state"))?;
        encoder.negotiate(output).map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no caps"))
    }

    fn handle_frame(&self, mut frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let time = *self.time.lock().unwrap();
        if time > 0 {
            self.wait(Duration::from_micros(time.into()) * *SLOWER);
        }
        if frame.system_frame_number() == 0 {
            frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
        }
        frame.set_output_buffer(gst::Buffer::from_slice([0u8; 64]));
        self.obj().finish_frame(frame)
    }
}

glib::wrapper! {
    pub struct WaitEnc(ObjectSubclass<Wait>) @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "waitenc", gst::Rank::NONE, WaitEnc::static_type())
}

gst::plugin_define!(
    waitenc,
    "An encoder that waits",
    plugin_init,
    "0.1.0",
    "MIT/X11",
    "divien",
    "divien",
    "https://localhost",
    "2026-01-01"
);
