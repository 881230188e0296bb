//! Frames that may be kept for as long as it takes.

use glib::translate::from_glib_none;
use gst::prelude::*;

/// The frame itself, or a copy of it where keeping it could leave its source with nothing to fill.
///
/// A camera or a hardware decoder has a pool of a few buffers and waits until one comes back. Most frames of a chunk
/// have to be kept until more frames have come, so each would wait for the other.
pub(super) fn to_keep(frame: gst::Buffer) -> Result<gst::Buffer, glib::BoolError> {
    if !is_scarce(&frame) {
        return Ok(frame);
    }
    frame.copy_deep()
}

/// Does this buffer, or one whose memory it shares, go back to a pool that has only so many?
fn is_scarce(buffer: &gst::BufferRef) -> bool {
    // SAFETY: the field is null or a pool that the buffer owns a reference to, and the buffer is borrowed here.
    let pool: Option<gst::BufferPool> = unsafe { from_glib_none((*buffer.as_ptr()).pool) };
    if pool.is_some_and(|pool| pool.config().params().is_some_and(|(_, _, _, most)| most > 0)) {
        return true;
    }
    buffer.iter_meta::<gst::meta::ParentBufferMeta>().any(|meta| is_scarce(meta.parent()))
}
