//! The element `divienenc`.
//!
//! # SECTION: element-divienenc
//!
//! Encodes video with many encoders at once. The video is cut into chunks of `chunk-frames` frames, each chunk is
//! encoded by a fresh encoder, and the results are joined into one stream that a single encoder could have written.
//!
//! ```sh
//! gst-launch-1.0 videotestsrc num-buffers=1000 ! video/x-raw,format=I420,width=1280,height=720 \
//!   ! divienenc encoder="x264enc speed-preset=slow pass=qual quantizer=23" workers=4 chunk-frames=100 \
//!   ! h264parse ! mp4mux ! filesink location=o.mp4
//! ```
//!
//! The video may be raw, or compressed and parsed. Compressed video is cut before it is decoded, and each encoder has a
//! decoder of its own, so that no single decoder feeds all:
//!
//! ```sh
//! gst-launch-1.0 filesrc location=in.mkv ! parsebin \
//!   ! divienenc encoder="x264enc speed-preset=medium pass=qual quantizer=23" filter="videoscale ! video/x-raw,width=640,height=360" \
//!   ! h264parse ! mp4mux ! filesink location=o.mp4
//! ```
//!
//! The frames that reach the encoders are those that one decoder would make of the whole input, whichever chunks they
//! are in. With `cut=keyframe` chunks begin at those of the input's key frames that are nearest to `chunk-frames`; with
//! `cut=fixed` they have exactly so many frames, as chunks of raw video always have, and the frames between the key frame
//! before a chunk and its first are decoded once more. With `cut=scene` they begin where a new scene does, within half of
//! `chunk-frames` of that many, and elsewhere as with `keyframe`: the video is decoded once more for it, ahead of the encoders
//! and on as many threads, and the element `divienscenes` looks at small grey pictures of it.
//! A list of frames in `cuts` takes the place of both.
//!
//! Each encoder but the first gets some frames before its chunk (`lead-in-frames`), which are its chunk's own first ones; what
//! it makes of them is thrown away, up to the key frame with which it is told to begin anew. So rate control knows such pictures
//! when the chunk begins. x264, x265, VP8, VP9 and openh264 can be told so; others get none.
//!
//! Video that cannot be cut before it is decoded (without time stamps, say) ends in an error that names the packet; a
//! decoder before the element takes it. Frames of units with the flag `DECODE_ONLY` are decoded where others need them,
//! and not encoded. Frames that the input has lost are left out, and a warning message names them;
//! its details are a structure `divien-frames-lost` with the chunk's `id` (uint64), `missing`, `damaged` and `unreachable`
//! (arrays of frame numbers, uint64), `missing-times`, `damaged-times` and `unreachable-times` (their presentation times in
//! ns) and `strange` (uint64), the count of frames with times that no packet has. Unreachable are those before the first
//! frame that can be decoded, as in a recording that begins between two key frames; where nothing else is lost an info
//! message names them.
//!
//! `filter` names elements that make each frame from one frame, with caps between them as in a launch line; they work
//! in every lane, before the encoder. Two filters of the element's own may be among them. `yadif`, which stands first, makes
//! whole pictures of interlaced frames, one of each, as ffmpeg's does: with `parity=auto` (or `tff`, `bff`) and `deint=all` (or
//! `interlaced`: of those alone that are marked so). Chunks have a frame more at each end for it. `fps rate=30000/1001` brings
//! frames to a constant rate: which are left out and which are repeated follows from their times alone, counted from
//! `origin` ns of running time on, as ffmpeg's does with `round=near`, and for `length` ns, where that is given; `chunk-frames`
//! counts what comes out of it. With raw video both hold a frame back, and events that come just then leave a frame early.
//! `frame-caps` replaces fields of the caps that the encoder reads: a rate or colours
//! that the input does not know itself. With an interlace mode among them they are all that the encoder reads beside
//! the layout of the frames.
//!
//! Other machines encode as well where they run `divien worker` with the same token (`token-file`, or the variable
//! DIVIEN_TOKEN): those that `remote-workers` names are dialled, and dialled again when they are lost; others may join at
//! `listen-address` at any time. Which machine encodes what changes no byte: each has to show first that it makes the
//! same of a short clip, with the same libraries, and is refused where it does not. What a lost machine had goes to
//! another; chunks are kept for that until they are done, raw frames beyond a quarter of `max-buffered-bytes` in files without
//! a name. With `local=false` nothing is encoded here. What becomes of machines is told in element messages
//! `divien-worker` with the fields `event` (`listening`, `joined`, `left`, `lost`, `refused`, `not-met`, `failed`, `put-aside`),
//! `name` and `detail` (strings).
//!
//! For every chunk done and joined, before it leaves, the element posts an element message `divien-chunk-done` with the fields `id`, `frames`,
//! `bytes` (uint64), `lane` (uint) and `seconds` (double). Where libav found errors in a chunk and hid them, on another
//! machine or in a program that asked to hear it (`lane::hear_decoders`), an element message `divien-complaints` has their
//! `count`, the `first` one (string), and the `time` of the unit it was found in (uint64).
//!
//! Output comes a whole chunk at a time, so the latency is that of `workers` + 1 chunks. When the encoders lag, the
//! element blocks; it never drops a frame. A chunk starts at every frame for which a force-key-unit event asks.
//!
//! With compressed video, up to two chunks are read ahead of the encoders, and a chunk is known once half as many frames
//! and 16 more have come. Packets wait for that within `max-buffered-bytes`: where they are more, chunks are shorter, and
//! where key frames are so far apart that no chunk fits, the stream ends in an error, as it does where nothing tells when
//! packets are shown, or where HEVC is spliced: such a stream has to be decoded before the element.
//!
//! Events keep their places among the frames. A GAP event that lasts past the end of the open chunk ends that chunk, so
//! that the frames before it come out in time; before the first frame, whose chunk brings the caps, events wait.
//!
//! Frames are kept in the buffers they come in. Those of a pool with a limited number of buffers, as cameras and
//! hardware decoders have, are copied, so that the pool never runs dry.

mod chunks;
mod coded;
mod engine;
mod flow;
mod frames;
mod imp;
mod key_requests;
mod machines;
mod model;
mod negotiation;
mod output;
mod raw;
mod scout;
mod settings;
mod sites;
mod units;

pub use coded::within;
pub use model::{Goal, Means};
use std::sync::{Arc, PoisonError};

use glib::subclass::prelude::*;
use gst::prelude::*;

use crate::isolate::Isolation;
use crate::journal::Shelf;

glib::wrapper! {
    /// The element: a [`gst::Element`] with one sink and one source pad.
    pub struct DivienEnc(ObjectSubclass<imp::DivienEnc>) @extends gst::Element, gst::Object;
}

impl DivienEnc {
    /// Has the chunks of the next run kept here once they are done, and those taken from here that are done already.
    pub fn set_shelf(&self, shelf: Arc<Shelf>) {
        *self.imp().shelf.lock().unwrap_or_else(PoisonError::into_inner) = Some(shelf);
    }

    /// Has the next runs look for this bit rate in compressed video, which they know to its end before they encode any of it.
    pub fn set_goal(&self, goal: Goal) {
        *self.imp().goal.lock().unwrap_or_else(PoisonError::into_inner) = Some(goal);
    }

    /// Has the chunks of later runs encoded in these processes.
    pub fn set_isolation(&self, isolation: Arc<Isolation>) {
        *self.imp().isolation.lock().unwrap_or_else(PoisonError::into_inner) = Some(isolation);
    }

    /// Begins no chunk any more. The message [`Self::WOUND_DOWN`] says when those that are begun are done; for that they are
    /// kept where [`Self::set_shelf`] says, and not handed on.
    pub fn wind_down(&self) {
        match self.imp().engine() {
            Some(engine) => engine.wind_down(),
            None => self.imp().wound_down(),
        }
    }

    /// The name of that message.
    pub const WOUND_DOWN: &str = imp::WOUND_DOWN;
}

/// Registers the element with a plugin.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "divienenc", gst::Rank::NONE, DivienEnc::static_type())
}
