//! Pictures the input itself has lost: packets that went into the decoder and never came out as a picture.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gst::prelude::*;

use super::{Shared, lock};
use crate::mux::Codec;

/// So many are named one by one.
const NAMED: usize = 8;
/// More than any decoder holds back: packets that stay longer are of a stream whose times cannot be followed.
const MOST_PENDING: usize = 4096;

/// What became of the packets so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pending: BTreeSet<u64>,
    shown: u64,
    lost: u64,
    damaged: u64,
    /// Number and time of the first ones.
    named: Vec<(u64, u64)>,
    /// The decoder gives its pictures times of its own, or packets have none: nothing can be told.
    lost_track: bool,
    complaints: u64,
    complaint: Option<String>,
}

impl Losses {
    fn entered(&mut self, time: Option<u64>) {
        match time {
            Some(time) if self.pending.len() < MOST_PENDING => {
                self.pending.insert(time);
            }
            _ => self.lost_track = true,
        }
    }

    /// Pictures come out in the order of their times, so what should have come before will not come.
    fn left(&mut self, time: Option<u64>, damaged: bool) {
        let Some(time) = time else {
            self.lost_track = true;
            return;
        };
        if !self.pending.remove(&time) {
            self.lost_track = true;
        }
        let later = self.pending.split_off(&time);
        let gone = std::mem::replace(&mut self.pending, later);
        // Before the first picture they are those that refer to what a recording has not caught.
        if self.shown > 0 {
            gone.into_iter().for_each(|time| self.miss(time));
        }
        if damaged {
            self.damaged += 1;
            self.name(self.shown, time);
        }
        self.shown += 1;
    }

    fn miss(&mut self, time: u64) {
        self.name(self.shown + self.lost, time);
        self.lost += 1;
    }

    fn name(&mut self, number: u64, time: u64) {
        if self.named.len() < NAMED {
            self.named.push((number, time));
        }
    }

    /// `near` is the number of the picture that came last; decoders work on some that follow it.
    fn complained(&mut self, near: u64, what: &str) {
        self.complaints += 1;
        self.complaint.get_or_insert_with(|| format!("{what} (near frame {near})"));
    }

    fn ended(&mut self) {
        for time in std::mem::take(&mut self.pending) {
            self.miss(time);
        }
    }

    /// In words, if pictures were lost or damaged.
    pub(super) fn told(&self) -> Option<String> {
        let lost = if self.lost_track { 0 } else { self.lost };
        let named: Vec<String> =
            self.named.iter().map(|(number, time)| format!("{number} at {:.3} s", *time as f64 / 1e9)).collect();
        let more = if self.named.len() as u64 == lost + self.damaged { "" } else { " …" };
        let named = format!("{}{more}", named.join(", "));
        match (lost, self.damaged, &self.complaint) {
            (0, 0, None) => None,
            (0, 0, Some(first)) => Some(format!("its decoder found {} errors, first: {first}", self.complaints)),
            (lost, 0, _) => Some(format!("{lost} frames cannot be decoded and are missing: {named}")),
            (0, damaged, _) => Some(format!("{damaged} frames are damaged: {named}")),
            (lost, damaged, _) => Some(format!("{lost} frames are missing and {damaged} damaged: {named}")),
        }
    }
}

/// Follows the packets through `decoder`. Codecs with packets that show nothing, or the last picture again, are left out.
pub(super) fn follow(decoder: &gst::Element, codec: &Codec, shared: &Arc<Shared>) -> Option<()> {
    let one_each = matches!(codec, Codec::H264 | Codec::H265 | Codec::MpegVideo(_) | Codec::Mjpeg | Codec::ProRes(_));
    let (sink, source) = (decoder.static_pad("sink")?, decoder.static_pad("src")?);
    lock(&shared.losses).lost_track = !one_each;
    let at_entry = Arc::clone(shared);
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer().filter(|b| is_wanted(pad, b)) {
            lock(&at_entry.losses).entered(buffer.pts().map(gst::ClockTime::nseconds));
        }
        gst::PadProbeReturn::Ok
    });
    let at_exit = Arc::clone(shared);
    source.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if info.buffer().is_some_and(|b| !is_wanted(pad, b)) {
            return gst::PadProbeReturn::Ok;
        }
        if let Some(buffer) = info.buffer() {
            let damaged = buffer.flags().contains(gst::BufferFlags::CORRUPTED);
            lock(&at_exit.losses).left(buffer.pts().map(gst::ClockTime::nseconds), damaged);
        } else if info.event().is_some_and(|e| e.type_() == gst::EventType::Eos) && !at_exit.is_cut() {
            lock(&at_exit.losses).ended();
        }
        gst::PadProbeReturn::Ok
    });
    hear(shared);
    Some(())
}

/// False for what an edit list leaves out.
fn is_wanted(pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let segment = segment.as_ref().and_then(|e| e.segment().downcast_ref::<gst::ClockTime>());
    let Some((segment, time)) = segment.zip(buffer.pts()) else { return true };
    segment.start().is_none_or(|start| time >= start) && segment.stop().is_none_or(|stop| time < stop)
}

/// What libav's decoders find wrong and hide in their pictures they tell their log alone.
fn hear(shared: &Arc<Shared>) {
    let Some(category) = gst::DebugCategory::get("libav") else { return };
    if category.threshold() < gst::DebugLevel::Error {
        // Where nobody asked to see the log it stays unseen.
        if std::env::var_os("GST_DEBUG").is_none() {
            gst::log::remove_default_log_function();
        }
        category.set_threshold(gst::DebugLevel::Error);
    }
    let shared = Arc::downgrade(shared);
    gst::log::add_log_function(move |from, level, _, _, _, _, message| {
        if from == category
            && level == gst::DebugLevel::Error
            && let (Some(shared), Some(text)) = (shared.upgrade(), message.get())
        {
            lock(&shared.losses).complained(shared.decoded.load(Ordering::Relaxed), text.trim());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(entered: &[u64], left: &[u64]) -> Losses {
        let mut losses = Losses::default();
        entered.iter().for_each(|t| losses.entered(Some(*t)));
        left.iter().for_each(|t| losses.left(Some(*t), false));
        losses.ended();
        losses
    }

    #[test]
    fn a_picture_that_never_comes_is_told_by_number_and_time() {
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(through(&[0, 3, 1, 2], &[0, 1, 2, 3]).told(), None);
        let lost = through(&[0, 3 * SECOND, SECOND, 2 * SECOND], &[0, SECOND, 3 * SECOND]).told();
        assert_eq!(lost.unwrap(), "1 frames cannot be decoded and are missing: 2 at 2.000 s");
        assert!(through(&[0, 1, 2], &[0]).told().unwrap().starts_with("2 frames"));
    }

    #[test]
    fn pictures_before_the_first_that_can_be_decoded_are_not_lost() {
        assert_eq!(through(&[5, 3, 4, 6], &[5, 6]).told(), None);
    }

    #[test]
    fn a_decoder_with_times_of_its_own_is_not_believed() {
        assert_eq!(through(&[0, 10, 20], &[0, 11, 21]).told(), None);
    }

    #[test]
    fn many_lost_pictures_take_one_line() {
        let told = through(&(0..5000).collect::<Vec<_>>()[..4000], &[0, 3999]).told().unwrap();
        assert!(told.starts_with("3998 frames") && told.ends_with('…') && told.len() < 300, "{told}");
    }
}
