//! Where reading begins for a part of a file that starts late.
//!
//! qtdemux and matroskademux of GStreamer 1.22 go to the key frame that the file's index has at or before a place. The scan
//! and the run go there, each by itself, and read the same packets from there on. Times stay those of the whole file.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdivien::chunk::{Preface, Start, Told, Unit};
use gstdivien::lane::DecoderSpec;

use super::priming::{child, children, index, u32_at};
use super::{Outlet, Source, Units, settle};
use crate::error::Error;
use crate::mux::{Codec, Kind};
use crate::sync::lock;

/// So far before the part it is asked for, in s: further where the nearer place is not enough.
const BEFORE: [i64; 4] = [5, 20, 80, 320];
/// A file of which nothing moves for this long is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked how far things are.
const GLANCE: Duration = Duration::from_millis(2);

/// Where a run begins to read.
#[derive(Debug, Clone)]
pub struct Skip {
    /// The places to ask the demuxer for, in ns; the scan went to the first.
    pub(super) places: Vec<i64>,
    /// What the file's first packet tells once, laid out to go before another.
    pub(super) preface: Option<gst::Memory>,
}

/// The places that may be asked for, the nearest first, where the part of the file starts at `start` ns.
pub(super) fn places(source: &Source, path: &Path, start: i64) -> Vec<i64> {
    let is_matroska = source.is_demuxed_by("matroskademux");
    let is_movie = || source.is_demuxed_by("qtdemux");
    let has_index = || File::open(path).is_ok_and(|mut file| has_one_line(&mut file));
    if !(is_matroska || is_movie() && has_index()) {
        return Vec::new();
    }
    // Its headers are packets at the file's start.
    if source.facts.video().and_then(|i| source.facts.streams.get(i)).is_some_and(|s| s.codec == Codec::Theora) {
        return Vec::new();
    }
    // Texts that are shown in the part may begin anywhere before it, and nothing tells where.
    if is_matroska && source.facts.streams.iter().any(|stream| stream.kind == Kind::Subtitle) {
        return Vec::new();
    }
    let place = |before: i64| start.saturating_sub(before.saturating_mul(1_000_000_000));
    let mut places: Vec<i64> = BEFORE.into_iter().map(place).filter(|place| *place > 0).collect();
    places.dedup();
    places
}

/// Whether all tracks of an MP4 have one piece of their media, and all of the index is in one place.
fn has_one_line(file: &mut File) -> bool {
    let Some(index) = index(file) else { return false };
    let mut tracks = children(&index).filter(|(kind, _)| kind == b"trak").map(|(_, track)| track);
    child(&index, b"mvex").is_none() && tracks.all(|track| is_one_piece(track).unwrap_or(false))
}

fn is_one_piece(track: &[u8]) -> Option<bool> {
    let Some(list) = child(track, b"edts").and_then(|edits| child(edits, b"elst")) else { return Some(true) };
    let handler = child(child(track, b"mdia")?, b"hdlr")?.get(8..12)?;
    let (length, width) = if list.first() == Some(&1) { (20, 8) } else { (12, 4) };
    let count = usize::try_from(u32_at(list, 4)?).ok()?;
    let entries: Vec<&[u8]> = list.get(8..)?.chunks_exact(length).take(count).collect();
    let is_empty =
        |entry: &&[u8]| entry.get(width..2 * width).is_some_and(|time| time.iter().all(|byte| *byte == 0xFF));
    let (last, before) = entries.split_last()?;
    let is_whole = !is_empty(last) && u32_at(last, 2 * width)? == 0x0001_0000;
    // A pause before the track. qtdemux tells of it, and a text has no packet by which to know what it told last.
    let pauses = matches!(handler, b"vide" | b"soun") && before.iter().all(is_empty);
    Some(is_whole && (before.is_empty() || pauses))
}

/// What the demuxer is asked.
pub(super) fn event(place: i64) -> gst::Event {
    let place = gst::ClockTime::from_nseconds(place.max(0).unsigned_abs());
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
    gst::event::Seek::new(1.0, flags, gst::SeekType::Set, place, gst::SeekType::None, gst::ClockTime::NONE)
}

/// Whether chunks of these packets are those that they would be with all packets before them: decoding of the first
/// picture that is wanted begins at one that is known for a start by what is before it, or by itself.
pub(super) fn is_enough(units: &[Unit]) -> bool {
    let pictures = || units.iter().enumerate().filter(|(_, unit)| unit.shown > 0);
    let wanted = pictures().filter(|(_, unit)| unit.wanted).filter_map(|(_, unit)| unit.pts).min();
    let Some(wanted) = wanted.filter(|_| units.first().is_some_and(|unit| unit.pts.is_some())) else { return false };
    let (mut latest, mut last) = (None, None);
    for (number, pts, start) in pictures().filter_map(|(number, unit)| Some((number, unit.pts?, unit.start))) {
        if pts <= wanted && latest.is_none_or(|latest| latest < pts) {
            last = start.map(|start| (number, start)).or(last);
        }
        latest = latest.max(Some(pts));
    }
    last.is_some_and(|(number, start)| number > 0 || start == Start::Clean)
}

/// What a file's first packet tells those that begin to read later.
pub(super) fn preface(first: &gst::BufferRef, caps: &gst::Caps) -> Option<gst::Memory> {
    let syntax = DecoderSpec::of(caps)?.syntax()?;
    let bytes = first.map_readable().ok()?;
    let mut preface = Preface::default();
    preface.pass(syntax, &bytes, true);
    match preface.pass(syntax, &[], true)? {
        Told::Within(bytes) => Some(gst::Memory::from_slice(bytes)),
        Told::Before(_) => None,
    }
}

/// True where both tell the same time of what is in them.
pub(super) fn are_one_line(a: &gst::Segment, b: &gst::Segment) -> bool {
    let Some((a, b)) = a.downcast_ref::<gst::ClockTime>().zip(b.downcast_ref::<gst::ClockTime>()) else { return false };
    let sum = |time: Option<gst::ClockTime>, start: Option<gst::ClockTime>| time?.checked_add(start?);
    let sums = sum(a.time(), b.start()).zip(sum(b.time(), a.start()));
    a.rate() == b.rate() && sums.is_some_and(|(a, b)| a == b)
}

impl Source {
    /// Goes to where the scan of the stream `video` went, or to a place before it from where all packets come of the
    /// streams of sound `kept` that are shown at `start` or later. Reading begins at the file's own start where there is
    /// none.
    pub fn skip(&self, (video, units): (usize, &Units), kept: &[usize], start: i64) -> Result<(), Error> {
        let Some((skip, outlet)) = units.skip.as_ref().zip(self.outlets.get(video)) else { return Ok(()) };
        let first = units.all.first().and_then(|unit| unit.pts);
        let sound: Vec<&Outlet> = kept.iter().filter_map(|stream| self.outlets.get(*stream)).collect();
        // What a demuxer has said of a stream before its first packet is what holds for its packets.
        if !self.outlets.iter().zip(&self.facts.streams).all(|(outlet, stream)| outlet.is_known(stream.kind)) {
            return Ok(());
        }
        lock(&outlet.state).preface.clone_from(&skip.preface);
        for place in &skip.places {
            if self.goes_to(*place, outlet, &sound)
                && first.is_some_and(|first| outlet.begins_by(first))
                && sound.iter().all(|outlet| outlet.has_begun_by(start))
            {
                return Ok(());
            }
        }
        lock(&outlet.state).preface = None;
        let returns = self.goes_to(0, outlet, &sound);
        let lost = || Error::Fault { what: format!("{} cannot be read from its start again", self.facts.name) };
        returns.then_some(()).ok_or_else(lost)
    }

    /// Asks for a place; true where it was found, and the first packets from there have come.
    fn goes_to(&self, place: i64, video: &Outlet, sound: &[&Outlet]) -> bool {
        let Some(pad) = video.queue.static_pad("sink") else { return false };
        if !pad.push_event(event(place)) {
            return false;
        }
        let queues: Vec<gst::Element> = self.outlets.iter().map(|outlet| outlet.queue.clone()).collect();
        let is_ready = |outlet: &Outlet| lock(&outlet.state).ready;
        let begun = Instant::now();
        loop {
            // Asked before the streams are looked at: what was at rest then has brought all it will.
            let rests = settle::rests(&self.pipeline, &queues);
            if is_ready(video) && sound.iter().all(|outlet| is_ready(outlet)) {
                return !self.outlets.iter().any(|outlet| lock(&outlet.state).astray);
            }
            // A packet that is in a queue comes out of it.
            let settles = self.outlets.iter().any(|outlet| {
                let state = lock(&outlet.state);
                state.arrived && !state.ready
            });
            let is_full = self.outlets.iter().any(|outlet| lock(&outlet.state).full);
            if self.outlets.iter().filter(|outlet| outlet.grow()).count() > 0 {
                continue;
            }
            let gives_up = place > 0 && begun.elapsed() > PATIENCE;
            if (is_full && is_ready(video)) || (rests && !settles) || gives_up {
                return place == 0 && is_ready(video);
            }
            std::thread::sleep(GLANCE);
        }
    }
}

impl Outlet {
    fn is_known(&self, kind: Kind) -> bool {
        !matches!(kind, Kind::Video | Kind::Audio) || lock(&self.state).arrived
    }

    /// Whether the first packet is that of this time, or one before it.
    fn begins_by(&self, pts: u64) -> bool {
        lock(&self.state).begins.is_some_and(|begins| begins.nseconds() <= pts)
    }

    /// Whether no packet is missing from this running time on.
    fn has_begun_by(&self, start: i64) -> bool {
        let state = lock(&self.state);
        state.first.map_or(state.ended, |first| first <= start || state.opens == Some(first))
    }
}

#[cfg(test)]
mod tests {
    use gstdivien::chunk::{Mode, cut};
    use proptest::prelude::*;

    use super::*;

    /// Groups of so many pictures in the order of decoding, each with two that are shown before the one decoded before
    /// them; of open ones, some that are shown before their first.
    fn groups(groups: &[(usize, bool)]) -> Vec<Unit> {
        let mut units = Vec::new();
        for (length, is_open) in groups {
            let from = 10 * units.len() as u64 + 100;
            let start = Some(if *is_open { Start::Recovers } else { Start::Clean });
            // I P B B P B B …, where an open one's first pictures are shown before the I.
            let order = |n: usize| match (is_open, n) {
                (true, 0) => 2,
                (true, n) if n < 3 => n - 1,
                (true, n) => n,
                (false, 0) => 0,
                (false, n) => [3, 1, 2][(n - 1) % 3] + (n - 1) / 3 * 3,
            };
            for n in 0..*length {
                units.push(unit(from + 10 * order(n) as u64, start.filter(|_| n == 0), false));
            }
        }
        units
    }

    proptest! {
        #[test]
        fn chunks_of_what_is_read_later_are_those_of_what_is_read_from_the_start(
            gops in proptest::collection::vec(((1usize..5).prop_map(|n| 3 * n + 1), any::<bool>()), 2..25),
            begins in 0usize..300, skipped in 0usize..300, target in 2u64..40, fixed in any::<bool>(),
        ) {
            let mut units = groups(&gops);
            units[0].start = Some(Start::Clean);
            let mut times: Vec<u64> = units.iter().filter_map(|unit| unit.pts).collect();
            times.sort_unstable();
            let begin = times[begins % times.len()];
            units.iter_mut().for_each(|unit| unit.wanted = unit.pts >= Some(begin));
            // The place that is asked for is before the part.
            let first = units.iter().position(|unit| unit.wanted).unwrap_or(0);
            let places: Vec<usize> = (0..=first).filter(|n| units[*n].start.is_some()).collect();
            let later = &units[places[skipped % places.len()]..];
            let mode = if fixed { Mode::Fixed } else { Mode::Keyframe };
            let pieces = |units: &[Unit]| cut(units, target, mode).map(|pieces| {
                let piece = |piece: gstdivien::chunk::Piece<usize>| {
                    (piece.start, piece.frames, piece.units.iter().map(|n| units[*n].pts).collect::<Vec<_>>())
                };
                pieces.into_iter().map(piece).collect::<Vec<_>>()
            });
            prop_assume!(is_enough(later));
            prop_assert_eq!(pieces(later), pieces(&units));
        }
    }

    fn unit(pts: u64, start: Option<Start>, wanted: bool) -> Unit {
        Unit { pts: Some(pts), duration: Some(1), start, shown: 1, is_field: false, drops: false, wanted, scene: false }
    }

    #[test]
    fn a_part_begins_behind_a_start_that_is_one_for_certain() {
        let (clean, recovers) = (Some(Start::Clean), Some(Start::Recovers));
        let part = |first, second| {
            [unit(10, first, false), unit(11, None, false), unit(12, second, false), unit(13, None, true)]
        };
        assert!(is_enough(&part(clean, None)));
        assert!(is_enough(&part(recovers, recovers)));
        assert!(is_enough(&part(None, clean)));
        assert!(!is_enough(&part(recovers, None)));
        assert!(!is_enough(&part(None, None)));
        // A start that something before it is shown after is none, and one behind the part is of no use to it.
        assert!(!is_enough(&[unit(15, None, false), unit(12, clean, false), unit(13, None, true)]));
        assert!(!is_enough(&[unit(10, None, false), unit(13, None, true), unit(14, clean, true)]));
        assert!(!is_enough(&[unit(10, clean, false)]));
    }

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat()
    }

    #[test]
    fn a_track_of_several_pieces_or_at_another_rate_is_read_from_its_start() {
        let track = |handler: &[u8; 4], edits: &[(i32, u32)]| {
            let entry = |(time, rate): &(i32, u32)| {
                [&9u32.to_be_bytes()[..], &time.to_be_bytes(), &rate.to_be_bytes()].concat()
            };
            let list =
                [&[0; 4][..], &(edits.len() as u32).to_be_bytes(), &edits.iter().flat_map(entry).collect::<Vec<_>>()]
                    .concat();
            let media = boxed(b"mdia", &boxed(b"hdlr", &[&[0; 8], handler.as_slice(), &[0; 13]].concat()));
            [boxed(b"edts", &boxed(b"elst", &list)), media].concat()
        };
        const ONE: u32 = 0x1_0000;
        let is_one = |handler, edits: &[(i32, u32)]| is_one_piece(&track(handler, edits)).unwrap_or(false);
        assert!(is_one(b"vide", &[(1024, ONE)]) && is_one(b"vide", &[(-1, ONE), (0, ONE)]));
        assert!(!is_one(b"vide", &[(0, ONE), (90, ONE)]) && !is_one(b"vide", &[(0, ONE / 2)]));
        assert!(!is_one(b"vide", &[(0, ONE), (-1, ONE)]) && !is_one(b"vide", &[]));
        assert!(is_one(b"text", &[(0, ONE)]) && !is_one(b"text", &[(-1, ONE), (0, ONE)]));
        assert_eq!(is_one_piece(&boxed(b"tkhd", &[0; 4])), Some(true));
    }
}
