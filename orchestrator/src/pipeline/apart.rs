//! Chunks that are cut before they are decoded: every lane decodes, converts and encodes its own.
//!
//! ```text
//! divienenc filter="[yadif] ! [fps] ! videoconvert ! videoscale ! size ! [videoflip] ! [filters] ! formats"
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gst::prelude::*;
use gstdivien::chunk::Mode;

use super::encoder::Encoder;
use super::gate::{end_behind, refuse};
use super::video::{Shape, flip_direction, formats, is_grey, refuse_fields};
use super::{Shared, lock, loss};
use crate::error::Error;
use crate::plan::Plan;
use crate::probe::Units;

/// Starts the encoder for the pictures of these units.
pub(super) fn begin(
    encoder: &Encoder,
    (plan, entry): (&Plan, &gst::Pad),
    units: &Units,
    mode: Mode,
    shared: &Arc<Shared>,
) -> Result<(), Error> {
    let (video, decoded) = (&plan.video, &units.pictures);
    refuse_fields(decoded, &plan.input)?;
    // Grey has no matrix, and videoconvert of 1.22 spoils it where none, or another, is named.
    let matrix = if is_grey(decoded) { " matrix-mode=none" } else { "" };
    // The first size is that of all, as in ffmpeg: a file says it once.
    let size = Shape::of(decoded).caps();
    let filters = &video.filters;
    let turn = filters.turn.map(|method| format!(" ! videoflip video-direction={}", flip_direction(method)));
    let filter = format!(
        "{}videoconvert{matrix} ! videoscale ! {size}{}{} ! {}",
        filters.of_several_frames(),
        turn.unwrap_or_default(),
        filters.elements,
        formats(video)
    );
    if !plan.range.is_all() {
        limit(entry, units, shared);
    }
    pass_no_gaps(entry);
    let raw = encoder.begin_coded(decoded, &filter, mode)?;
    for told in [encoder.untold_range(), encoder.conversion(&raw)].into_iter().flatten() {
        shared.note(&told);
    }
    *lock(&shared.raw_caps) = Some(raw);
    lock(&shared.losses).follow_chunks();
    loss::hear_all(shared);
    Ok(())
}

/// Nobody waits for the pictures before a gap, which demuxers also tell of while later packets are still to be shown before
/// those that have come.
fn pass_no_gaps(entry: &gst::Pad) {
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if info.event().is_none_or(|event| event.type_() != gst::EventType::Gap) {
            return gst::PadProbeReturn::Ok;
        }
        info.data = None;
        gst::PadProbeReturn::Handled
    });
}

/// Tells the encoder which packets are only there for others to be decoded, and ends the input behind the last that is
/// wanted.
fn limit(entry: &gst::Pad, units: &Units, shared: &Arc<Shared>) {
    let wanted: Vec<bool> = units.all.iter().map(|unit| unit.wanted).collect();
    let end = units.wanted().end;
    if let Some(time) = units.end {
        shared.end_sound_at(time);
    }
    // Reading may begin before the first packet that is known.
    let first = units.skip.as_ref().and_then(|_| units.all.first()?.pts);
    let (shared, passed) = (Arc::clone(shared), AtomicUsize::new(0));
    entry.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if info.buffer().is_none() {
            return if passed.load(Ordering::Relaxed) > end { refuse(info) } else { gst::PadProbeReturn::Ok };
        }
        let is_early = |packet: &gst::BufferRef| packet.pts().map(gst::ClockTime::nseconds) != first;
        if first.is_some() && passed.load(Ordering::Relaxed) == 0 && info.buffer().is_some_and(|p| is_early(p)) {
            if let Some(packet) = info.buffer_mut() {
                packet.make_mut().set_flags(gst::BufferFlags::DECODE_ONLY);
            }
            return gst::PadProbeReturn::Ok;
        }
        let number = passed.fetch_add(1, Ordering::Relaxed);
        if number >= end {
            if number == end {
                shared.cut();
                end_behind(pad);
            }
            return refuse(info);
        }
        if let Some(packet) = info.buffer_mut().filter(|_| wanted.get(number) == Some(&false)) {
            packet.make_mut().set_flags(gst::BufferFlags::DECODE_ONLY);
        }
        gst::PadProbeReturn::Ok
    });
}
