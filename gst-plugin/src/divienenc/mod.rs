//! The element `divienenc`.
//!
//! # SECTION: element-divienenc
//!
//! Encodes raw video with many encoders at once. The video is cut into chunks of `chunk-frames` frames, each chunk is
//! encoded by a fresh encoder, and the results are joined into one stream that a single encoder could have written.
//!
//! ```sh
//! gst-launch-1.0 videotestsrc num-buffers=1000 ! video/x-raw,format=I420,width=1280,height=720 \
//!   ! divienenc encoder="x264enc speed-preset=slow pass=qual quantizer=23" workers=4 chunk-frames=100 \
//!   ! h264parse ! mp4mux ! filesink location=o.mp4
//! ```
//!
//! For every chunk done and joined, before it leaves, the element posts an element message `divien-chunk-done` with the fields `id`, `frames`,
//! `bytes` (uint64), `lane` (uint) and `seconds` (double).
//!
//! Output comes a whole chunk at a time, so the latency is that of `workers` + 1 chunks. When the encoders lag, the
//! element blocks; it never drops a frame. A chunk starts at every frame for which a force-key-unit event asks.
//!
//! Events keep their places among the frames. A GAP event that lasts past the end of the open chunk ends that chunk, so
//! that the frames before it come out in time; before the first frame, whose chunk brings the caps, events wait.
//!
//! Frames are kept in the buffers they come in. Those of a pool with a limited number of buffers, as cameras and
//! hardware decoders have, are copied, so that the pool never runs dry.

mod engine;
mod flow;
mod frames;
mod imp;
mod key_requests;
mod model;
mod negotiation;
mod output;
mod settings;

use gst::prelude::*;

glib::wrapper! {
    /// The element: a [`gst::Element`] with one sink and one source pad.
    pub struct DivienEnc(ObjectSubclass<imp::DivienEnc>) @extends gst::Element, gst::Object;
}

/// Registers the element with a plugin.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "divienenc", gst::Rank::NONE, DivienEnc::static_type())
}
