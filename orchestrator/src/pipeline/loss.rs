//! Pictures the input itself has lost: packets that went into the decoder and never came out as a picture.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gstdivien::chunk::{Fields, Handover, Pairs, Syntax};
use gstdivien::lane::{fields_of, hear, hear_decoders};

use super::{Shared, lock};
use crate::mux::Codec;
use crate::probe::{is_hidden, nanoseconds};
use crate::report::counted;

/// So many are named one by one.
const NAMED: usize = 8;
/// More than any decoder holds back: packets that stay longer are of a stream whose times cannot be followed.
const MOST_PENDING: usize = 4096;

/// What became of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Lost,
    Damaged,
    NoTime,
}

/// What became of the packets so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// The times that are encoded; what the others lack is nobody's loss. All times are running times in ns.
    window: Range<i64>,
    pending: BTreeSet<i64>,
    shown: u64,
    /// Those in the window, with those that never came.
    counted: u64,
    lost: u64,
    damaged: u64,
    /// Pictures left out, as their time was that of one before.
    untimed: u64,
    /// Number and time of the first ones.
    named: Vec<(Fault, u64, i64)>,
    /// Packets show pictures again, or their codec is not known: nothing can be told.
    uncounted: bool,
    /// The decoder gives its pictures times of its own, or packets have none: only how many are missing can be told.
    lost_track: bool,
    /// Pictures that went in, and those that came out.
    passed: [u64; 2],
    /// How many less came out, where that is all that can be known. Some may be such as nobody asked for.
    unaccounted: u64,
    /// The time of the first picture from which on all can be decoded, where packets say so.
    reachable: Option<i64>,
    /// Pictures before the first that can be decoded: how many, and when the first and the last would be shown.
    early: Option<(u64, i64, i64)>,
    /// Decoders of chunks give frames with times that no packet has.
    strange: u64,
    complaints: u64,
    complaint: Option<String>,
}

impl Losses {
    /// A packet with so many pictures is decoded; `starts` finds out whether decoding may start with it.
    fn entered(&mut self, time: Option<i64>, pictures: u64, starts: impl FnOnce() -> bool) {
        if self.reachable.is_none() && starts() {
            self.reachable = time;
        }
        self.passed[0] += pictures;
        match time {
            Some(time) if self.pending.len() < MOST_PENDING => {
                self.pending.insert(time);
            }
            _ => self.lost_track = true,
        }
    }

    /// Pictures come out in the order of their times, so what should have come before will not come.
    fn left(&mut self, time: Option<i64>, damaged: bool) {
        self.passed[1] += 1;
        let Some(time) = time else {
            self.lost_track = true;
            return;
        };
        if !self.pending.remove(&time) {
            self.lost_track = true;
        }
        let later = self.pending.split_off(&time);
        let gone = std::mem::replace(&mut self.pending, later);
        for time in gone {
            // Before the first picture they are those that refer to what a recording has not caught.
            if self.shown == 0 && self.reachable.is_none_or(|reachable| time < reachable) {
                self.come_too_early(time);
            } else {
                self.miss(time);
            }
        }
        self.shown += 1;
        if !self.window.contains(&time) {
            return;
        }
        if damaged {
            self.damaged += 1;
            self.name(Fault::Damaged, self.counted, time);
        }
        self.counted += 1;
    }

    fn come_too_early(&mut self, time: i64) {
        if self.window.contains(&time) {
            let (count, first, last) = self.early.unwrap_or((0, time, time));
            self.early = Some((count + 1, first.min(time), last.max(time)));
        }
    }

    fn miss(&mut self, time: i64) {
        if self.window.contains(&time) {
            self.lost += 1;
            self.name(Fault::Lost, self.counted, time);
            self.counted += 1;
        }
    }

    fn name(&mut self, fault: Fault, number: u64, time: i64) {
        if self.named.iter().filter(|(named, ..)| *named == fault).count() < NAMED {
            self.named.push((fault, number, time));
        }
    }

    /// The picture of this number has no time, or not one of its own.
    pub(super) fn has_no_time(&mut self, number: u64, time: i64) {
        self.untimed += 1;
        self.name(Fault::NoTime, number, time);
    }

    /// Takes what `divienenc` tells of a chunk's frames; false where that is something else. Chunks come in their order.
    pub(super) fn in_a_chunk(&mut self, told: &gst::StructureRef) -> bool {
        if told.name() == "divien-complaints" {
            let (time, what) = (told.get::<u64>("time").unwrap_or(0), told.get::<&str>("first").unwrap_or_default());
            let first = || format!("{what} (near {:.3} s)", time as f64 / 1e9);
            self.complain(told.get("count").unwrap_or(1), first);
            return true;
        }
        if told.name() != "divien-frames-lost" {
            return false;
        }
        for (number, time) in frames(told, "missing", "missing-times") {
            self.lost += 1;
            self.name(Fault::Lost, number, time);
        }
        // They refer to what a recording has not caught.
        for (_, time) in frames(told, "unreachable", "unreachable-times") {
            self.come_too_early(time);
        }
        for (number, time) in frames(told, "damaged", "damaged-times") {
            self.damaged += 1;
            self.name(Fault::Damaged, number, time);
        }
        self.strange += told.get::<u64>("strange").unwrap_or(0);
        true
    }

    /// Every chunk is decoded by itself, at once with others.
    pub(super) fn follow_chunks(&mut self) {
        self.window = i64::MIN..i64::MAX;
        self.shown = 1;
    }

    /// The decoder works on pictures that follow that of the number `last`. Before the first picture it complains of what a
    /// recording has not caught, and before the first that is encoded of what nobody sees.
    fn complained(&mut self, last: u64, what: &str) {
        if self.shown > 0 && (self.window.start == i64::MIN || last > 0) {
            self.complain(1, || format!("{what} (near frame {last})"));
        }
    }

    fn complain(&mut self, count: u64, first: impl FnOnce() -> String) {
        self.complaints += count;
        self.complaint.get_or_insert_with(first);
    }

    fn ended(&mut self) {
        for time in std::mem::take(&mut self.pending) {
            self.miss(time);
        }
        if self.lost_track {
            self.unaccounted = self.passed[0].saturating_sub(self.passed[1]);
        }
    }

    /// In words, if pictures were lost, damaged or left out.
    pub(super) fn told(&self) -> Option<String> {
        let lost = if self.uncounted || self.lost_track { 0 } else { self.lost };
        let told = |fault: Fault, count: u64, what: &str| {
            let named = self.named.iter().filter(|(named, ..)| *named == fault);
            let named: Vec<String> = named.map(|(_, n, time)| format!("{n} at {:.3} s", *time as f64 / 1e9)).collect();
            let more = if named.len() as u64 == count { "" } else { " …" };
            (count > 0).then(|| format!("{} {what}: {}{more}", counted(count, "frame"), named.join(", ")))
        };
        let lost = told(Fault::Lost, lost, "missing");
        let damaged = told(Fault::Damaged, self.damaged, "damaged");
        let untimed = told(Fault::NoTime, self.untimed, "left out, with no time of their own");
        let strange = counted(self.strange, "frame");
        let strange = (self.strange > 0).then(|| format!("{strange} left out, with a time that no packet has"));
        let all: Vec<String> = lost.into_iter().chain(damaged).chain(untimed).chain(strange).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The pictures before the first that can be decoded, in words.
    pub(super) fn too_early(&self) -> Option<String> {
        let (count, first, last) = self.early.filter(|_| !self.uncounted && !self.lost_track)?;
        let [first, last] = [first, last].map(|time| time as f64 / 1e9);
        let what = counted(count, "picture");
        Some(format!("{what} before the first that can be decoded left out, from {first:.3} to {last:.3} s"))
    }

    /// Where the times of packets do not tell which pictures are missing: how many are, in words.
    pub(super) fn unaccounted(&self) -> Option<String> {
        let count = if self.uncounted { 0 } else { self.unaccounted };
        let what = counted(count, "picture");
        (count > 0)
            .then(|| format!("{what} did not come out of the decoder, and the times of packets do not say which"))
    }

    /// What libav complained of, which may be of any stream and shows in the pictures or does not.
    pub(super) fn complaint(&self) -> Option<String> {
        let first = self.complaint.as_ref()?;
        Some(match self.complaints {
            1 => format!("an error was found: {first}"),
            many => format!("{many} errors were found, the first: {first}"),
        })
    }
}

/// Follows the packets through `decoder`. Codecs with packets that show the last picture again, and such as are not
/// known, are left out.
pub(super) fn follow(
    (decoder, syntax): (&gst::Element, Option<Syntax>),
    codec: &Codec,
    window: Range<i64>,
    shared: &Arc<Shared>,
) -> Option<()> {
    let one_each = !matches!(codec, Codec::Mpeg4 | Codec::Theora | Codec::Other(_));
    let (sink, source) = (decoder.static_pad("sink")?, decoder.static_pad("src")?);
    {
        let mut losses = lock(&shared.losses);
        losses.uncounted = !one_each;
        losses.window = window;
    }
    let at_entry = Arc::clone(shared);
    let state = Mutex::new((None::<Fields>, Pairs::default(), Handover::default()));
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer().filter(|buffer| !is_hidden(pad, buffer)) else {
            return gst::PadProbeReturn::Ok;
        };
        let bytes = buffer.map_readable().ok();
        let known = syntax.zip(bytes.as_deref());
        let signs = known.and_then(|(syntax, bytes)| syntax.signs(bytes));
        // H.264 and HEVC hide nothing: what holds no picture there has lost it.
        let hides = !matches!(syntax, Some(Syntax::H264(_) | Syntax::H265(_)));
        let shown = signs.map_or(1, |signs| if hides { signs.shown } else { signs.shown.max(1) });
        let shows_nothing = shown == 0;
        let (fields, pairs, handover) = &mut *lock(&state);
        let of_caps = || pad.current_caps().map(|caps| fields_of(&caps)).unwrap_or_default();
        let is_field = known.is_some_and(|(syntax, bytes)| fields.get_or_insert_with(of_caps).pass(syntax, bytes));
        let pts = handover.pass(buffer.pts().map(gst::ClockTime::nseconds), shows_nothing);
        // A frame has the time of its first field.
        let is_shown = !shows_nothing && !pairs.closes(is_field);
        if let Some(time) = time(pad, pts.map(gst::ClockTime::from_nseconds)).filter(|_| is_shown) {
            let starts = || signs.is_some_and(|signs| signs.start.is_some());
            lock(&at_entry.losses).entered(time, shown.into(), starts);
        }
        gst::PadProbeReturn::Ok
    });
    let at_exit = Arc::clone(shared);
    source.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        if let Some(buffer) = info.buffer().filter(|_| !at_exit.is_cut()) {
            let damaged = buffer.flags().contains(gst::BufferFlags::CORRUPTED);
            if let Some(time) = time(pad, buffer.pts()) {
                at_exit.losses(|losses| losses.left(time, damaged));
            }
        } else if info.event().is_some_and(|e| e.type_() == gst::EventType::Eos) && !at_exit.is_cut() {
            at_exit.losses(Losses::ended);
        }
        gst::PadProbeReturn::Ok
    });
    hear_the_decoder(shared);
    Some(())
}

/// The running time, if there is one; `None` for what an edit list leaves out.
fn time(pad: &gst::Pad, pts: Option<gst::ClockTime>) -> Option<Option<i64>> {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let segment = segment.as_ref().and_then(|e| e.segment().downcast_ref::<gst::ClockTime>());
    let Some((segment, pts)) = segment.zip(pts) else { return Some(None) };
    let inside = segment.start().is_none_or(|start| pts >= start) && segment.stop().is_none_or(|stop| pts < stop);
    inside.then(|| segment.to_running_time_full(pts).map(nanoseconds))
}

/// Numbers and times of frames, as `divienenc` tells them.
fn frames(told: &gst::StructureRef, numbers: &str, times: &str) -> Vec<(u64, i64)> {
    let all = |name: &str| {
        let list = told.get::<gst::ArrayRef<'_>>(name).ok();
        list.map(|list| list.iter().filter_map(|v| v.get::<u64>().ok()).collect::<Vec<_>>()).unwrap_or_default()
    };
    let time = |time| i64::try_from(time).unwrap_or(i64::MAX);
    all(numbers).into_iter().zip(all(times).into_iter().map(time)).collect()
}

/// What decoders of chunks find wrong and hide in their pictures, and others in sound.
pub(super) fn hear_all(shared: &Arc<Shared>) {
    hear_decoders();
    let shared = Arc::downgrade(shared);
    hear(move |what| {
        if let Some(shared) = shared.upgrade() {
            lock(&shared.losses).complain(1, || what.to_owned());
        }
    });
}

/// The same of one decoder for all.
fn hear_the_decoder(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    hear(move |what| {
        if let Some(shared) = shared.upgrade().filter(|shared| !shared.is_cut()) {
            let last = shared.decoded.load(Ordering::Relaxed);
            lock(&shared.losses).complained(last, what);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(entered: &[i64], left: &[i64]) -> Losses {
        let mut losses = Losses { window: 0..i64::MAX, ..Losses::default() };
        entered.iter().for_each(|t| losses.entered(Some(*t), 1, || false));
        left.iter().for_each(|t| losses.left(Some(*t), false));
        losses.ended();
        losses
    }

    #[test]
    fn a_picture_that_never_comes_is_told_by_number_and_time() {
        const SECOND: i64 = 1_000_000_000;
        assert_eq!(through(&[0, 3, 1, 2], &[0, 1, 2, 3]).told(), None);
        let lost = through(&[0, 3 * SECOND, SECOND, 2 * SECOND], &[0, SECOND, 3 * SECOND]).told();
        assert_eq!(lost.unwrap(), "1 frame missing: 2 at 2.000 s");
        assert!(through(&[0, 1, 2], &[0]).told().unwrap().starts_with("2 frames"));
    }

    #[test]
    fn pictures_before_the_first_that_can_be_decoded_are_not_lost() {
        let losses = through(&[5, 3, 4, 6], &[5, 6]);
        assert_eq!(losses.told(), None);
        let told = losses.too_early().unwrap();
        assert_eq!(told, "2 pictures before the first that can be decoded left out, from 0.000 to 0.000 s");
        assert_eq!(through(&[5, 6], &[5, 6]).too_early(), None);
    }

    #[test]
    fn a_picture_behind_the_first_that_can_be_decoded_is_lost_though_none_was_shown() {
        let mut losses = Losses { window: 0..i64::MAX, ..Losses::default() };
        // Leading pictures, and one behind.
        for (time, starts) in [(5, true), (3, false), (4, false), (6, false)] {
            losses.entered(Some(time), 1, || starts);
        }
        losses.left(Some(6), false);
        assert_eq!(losses.told().unwrap(), "1 frame missing: 0 at 0.000 s");
        assert!(losses.too_early().unwrap().starts_with("2 pictures"));
    }

    #[test]
    fn what_a_chunk_misses_behind_its_start_is_lost_from_the_first_frame_on() {
        gst::init().unwrap();
        let array = |values: &[u64]| gst::Array::new(values);
        let told = |missing: &[u64], unreachable: &[u64]| {
            gst::Structure::builder("divien-frames-lost")
                .field("missing", array(missing))
                .field("missing-times", array(missing))
                .field("unreachable", array(unreachable))
                .field("unreachable-times", array(unreachable))
                .build()
        };
        let mut losses = Losses::default();
        losses.follow_chunks();
        assert!(losses.in_a_chunk(&told(&[], &[0, 1])));
        assert_eq!((losses.told(), losses.too_early().is_some()), (None, true));
        assert!(losses.in_a_chunk(&told(&[2], &[])));
        assert!(losses.told().unwrap().starts_with("1 frame missing: 2 at"));
        let mut whole = Losses::default();
        whole.follow_chunks();
        whole.in_a_chunk(&told(&[0, 1, 2], &[]));
        assert!(whole.told().unwrap().starts_with("3 frames missing: 0 at"));
        assert_eq!(whole.too_early(), None);
    }

    #[test]
    fn a_damaged_picture_has_the_number_it_would_have_if_none_were_missing() {
        let mut losses = Losses { window: 0..i64::MAX, ..Losses::default() };
        (0..4).for_each(|t| losses.entered(Some(t), 1, || false));
        losses.left(Some(0), false);
        losses.left(Some(2), true);
        let told = losses.told().unwrap();
        assert_eq!(told, "1 frame missing: 1 at 0.000 s; 1 frame damaged: 2 at 0.000 s");
    }

    #[test]
    fn what_is_not_encoded_is_not_missed() {
        let mut losses = through(&[0, 10, 20, 30], &[0, 20, 30]);
        assert!(losses.told().is_some());
        losses = Losses { window: 15..25, ..Losses::default() };
        [0, 10, 20, 30].iter().for_each(|t| losses.entered(Some(*t), 1, || false));
        [0, 20].iter().for_each(|t| losses.left(Some(*t), *t == 0));
        losses.ended();
        assert_eq!(losses.told(), None);
    }

    #[test]
    fn a_decoder_with_times_of_its_own_is_not_believed() {
        assert_eq!(through(&[0, 10, 20], &[0, 11, 21]).told(), None);
    }

    #[test]
    fn where_times_cannot_be_followed_missing_pictures_are_counted_all_the_same() {
        let losses = through(&[0, 10, 20, 30], &[0, 11, 21]);
        assert_eq!(losses.told(), None);
        assert!(losses.unaccounted().unwrap().starts_with("1 picture did not"));
        let mut losses = Losses { window: 0..i64::MAX, ..Losses::default() };
        [(Some(0), 1), (None, 2), (Some(20), 1)].iter().for_each(|(t, n)| losses.entered(*t, *n, || false));
        [0, 20].iter().for_each(|t| losses.left(Some(*t), false));
        losses.ended();
        assert!(losses.unaccounted().unwrap().starts_with("2 pictures"));
        losses.uncounted = true;
        assert_eq!(losses.unaccounted(), None);
    }

    #[test]
    fn many_lost_pictures_take_one_line() {
        let told = through(&(0..5000).collect::<Vec<_>>()[..4000], &[0, 3999]).told().unwrap();
        assert!(told.starts_with("3998 frames") && told.ends_with('…') && told.len() < 300, "{told}");
    }
}
