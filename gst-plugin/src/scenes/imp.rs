//! The element's inside.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use av_scenechange::{Rational32, SceneChangeDetector, SceneDetectionSpeed};
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use v_frame::chroma::ChromaSubsampling;
use v_frame::frame::{Frame, FrameBuilder};

use super::SCENE;

/// The detector looks so many pictures ahead to tell a scene from a flash.
pub(super) const AHEAD: usize = 5;
/// Pixels around a picture, where the blocks of the detector reach to: av-decoders has as many.
const MARGIN: usize = 64 + 24;
/// What its measure of pictures' distance does not depend on, and asks for.
const RATE: (i32, i32) = (1, 25);

#[derive(Default)]
pub struct DivienScenes(Mutex<Option<State>>);

struct State {
    info: gst_video::VideoInfo,
    detector: SceneChangeDetector<u8>,
    /// The picture before those that wait, and they.
    pictures: VecDeque<Arc<Frame<u8>>>,
    waiting: usize,
    /// Pictures that are done.
    done: usize,
}

#[glib::object_subclass]
impl ObjectSubclass for DivienScenes {
    const NAME: &'static str = "DivienScenes";
    type Type = super::DivienScenes;
    type ParentType = gst_video::VideoEncoder;
}

impl ObjectImpl for DivienScenes {}
impl GstObjectImpl for DivienScenes {}

impl ElementImpl for DivienScenes {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Scene finder of divienenc",
                "Codec/Encoder/Video",
                "Says with which pictures scenes begin, a byte for each",
                "The divien developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let grey = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::Gray8).build();
            let scenes = gst::Caps::new_empty_simple("application/x-divien-scenes");
            let template = |name, direction, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
            };
            [("sink", gst::PadDirection::Sink, &grey), ("src", gst::PadDirection::Src, &scenes)]
                .into_iter()
                .filter_map(|(name, direction, caps)| template(name, direction, caps).ok())
                .collect()
        });
        TEMPLATES.as_ref()
    }
}

impl DivienScenes {
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the pictures of which it is known whether a scene begins with them: all where nothing follows.
    fn give(&self, has_ended: bool) -> Result<gst::FlowSuccess, gst::FlowError> {
        let next = || self.state().as_mut().and_then(|state| state.next(has_ended));
        while let Some(begins) = next() {
            let element = self.obj();
            let mut frame = element.oldest_frame().ok_or(gst::FlowError::Error)?;
            // Each says all of its picture.
            frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
            frame.set_output_buffer(gst::Buffer::from_slice([if begins { SCENE } else { 0 }]));
            element.finish_frame(frame)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

impl State {
    fn new(info: gst_video::VideoInfo) -> Self {
        let size = (info.width() as usize, info.height() as usize);
        let (mode, rate) = (SceneDetectionSpeed::Standard, Rational32::new(RATE.0, RATE.1));
        let detector = SceneChangeDetector::new(size, 8, rate, ChromaSubsampling::Monochrome, AHEAD, mode, 0, MOST);
        Self { info, detector, pictures: VecDeque::new(), waiting: 0, done: 0 }
    }

    fn push(&mut self, buffer: &gst::BufferRef) -> Option<()> {
        let picture = self.picture(buffer)?;
        self.pictures.push_back(Arc::new(picture));
        self.waiting += 1;
        Some(())
    }

    fn picture(&self, buffer: &gst::BufferRef) -> Option<Frame<u8>> {
        let from = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &self.info).ok()?;
        let (width, height) = (self.info.width() as usize, self.info.height() as usize);
        let mut picture = FrameBuilder::new(width, height, ChromaSubsampling::Monochrome, 8)
            .luma_padding_left(MARGIN)
            .luma_padding_right(MARGIN)
            .luma_padding_top(MARGIN)
            .luma_padding_bottom(MARGIN)
            .build::<u8>()
            .ok()?;
        let stride = usize::try_from(*from.plane_stride().first()?).ok()?;
        let lines = from.plane_data(0).ok()?.chunks(stride);
        for (to, line) in picture.y_plane.rows_mut().zip(lines) {
            to.copy_from_slice(line.get(..width)?);
        }
        Some(picture)
    }

    /// Whether a scene begins with the next picture, once that is known.
    fn next(&mut self, has_ended: bool) -> Option<bool> {
        if self.waiting == 0 || self.waiting <= AHEAD && !has_ended {
            return None;
        }
        let set: Vec<&Arc<Frame<u8>>> = self.pictures.iter().take(AHEAD + 2).collect();
        // The first has none before it.
        let begins = self.done > 0 && set.len() > 1 && self.detector.analyze_next_frame(&set, self.done, 0).0;
        if self.done > 0 {
            self.pictures.pop_front();
        }
        (self.done, self.waiting) = (self.done + 1, self.waiting - 1);
        Some(begins)
    }
}

/// Scenes may be as long.
const MOST: usize = usize::MAX / 2;

impl VideoEncoderImpl for DivienScenes {
    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state() = None;
        Ok(())
    }

    fn set_format(
        &self,
        state: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        // What waits is of the pictures before.
        self.give(true).map_err(|_| gst::loggable_error!(gst::CAT_RUST, "nobody takes what there is"))?;
        *self.state() = Some(State::new(state.info().clone()));
        let caps = gst::Caps::new_empty_simple("application/x-divien-scenes");
        let element = self.obj();
        let output = element.set_output_state(caps, Some(state));
        let output = output.map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no output state"))?;
        element.negotiate(output).map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no output caps"))
    }

    fn handle_frame(&self, frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let taken = {
            let mut state = self.state();
            frame.input_buffer().and_then(|buffer| state.as_mut()?.push(buffer))
        };
        drop(frame);
        if taken.is_none() {
            gst::element_imp_error!(self, gst::StreamError::Format, ("a picture that cannot be read"));
            return Err(gst::FlowError::Error);
        }
        self.give(false)
    }

    fn finish(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.give(true)
    }
}
