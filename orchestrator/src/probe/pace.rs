//! Whether pictures come at a constant rate, told by the times of all packets: a header may say anything.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::{has_edits, input, make, movie, parser, running_time, settle};
use crate::sync::lock;

/// Containers round times, the coarser ones to milliseconds.
const ROUNDING: f64 = 2.5e6;

/// How pictures follow one another, in frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Every picture is shown for as long as any other.
    Constant(u32, u32),
    /// At uneven times; so many on average.
    Uneven(u32, u32),
}

/// A stretch in which the frame before is shown for longer than the others are, in ns from the first picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Where the picture should have come that does not.
    pub start: i64,
    /// Where pictures go on.
    pub end: i64,
}

/// What the times of all pictures tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) pace: Option<Pace>,
    /// How many there are.
    pub(super) frames: u64,
    pub(super) pauses: Vec<Pause>,
}

/// Where a rate that is kept nearly everywhere is not: the input pauses, or has lost pictures that no decoder has seen.
fn pauses(times: &[i64]) -> Vec<Pause> {
    let steps = || times.iter().zip(times.iter().skip(1)).map(|(from, to)| (*from, to - from));
    let mut lengths: Vec<i64> = steps().map(|(_, length)| length).collect();
    let middle = lengths.len() / 2;
    let Some(first) = times.first().filter(|_| !lengths.is_empty()) else { return Vec::new() };
    let usual = *lengths.select_nth_unstable(middle).1;
    let (kept, longer): (Vec<_>, Vec<_>) = steps()
        .filter(|(_, length)| *length > usual * 3 / 2 || (length - usual).abs() as f64 <= ROUNDING)
        .partition(|(_, length)| *length <= usual * 3 / 2);
    if kept.len() < lengths.len() * 9 / 10 {
        return Vec::new();
    }
    longer.into_iter().map(|(from, length)| Pause { start: from + usual - first, end: from + length - first }).collect()
}

/// The pace of frames shown at these times, in order; `named` is what the input's header says.
fn pace(times: &[i64], named: Option<(u32, u32)>) -> Option<Pace> {
    let (first, last) = (*times.first()?, *times.last()?);
    let steps = times.len() - 1;
    if steps < 2 || last <= first {
        return None;
    }
    let mean = steps as f64 * 1e9 / (last - first) as f64;
    let whole = mean.round().clamp(1.0, 1e6) as u32;
    let milli = ((mean * 1000.0).round().clamp(1.0, f64::from(u32::MAX)) as u32, 1000);
    let follow = |step: f64| {
        times.iter().enumerate().all(|(i, time)| ((time - first) as f64 - step * i as f64).abs() <= ROUNDING)
    };
    let keeps = |(n, d): &(u32, u32)| follow(f64::from(*d) * 1e9 / f64::from(*n));
    let usual = [(whole, 1), (whole.saturating_mul(1000), 1001), milli];
    if let Some((n, d)) = named.into_iter().chain(usual).find(keeps) {
        return Some(Pace::Constant(n, d));
    }
    let (n, d) = milli;
    (!follow((last - first) as f64 / steps as f64)).then_some(Pace::Uneven(n, d))
}

/// The part of a file that counts, in ns from its first picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) frames: usize,
}

impl Part {
    /// The times inside; packets come in decode order, and so do `times`.
    fn of(&self, times: &[i64]) -> Vec<i64> {
        let first = times.iter().min().copied().unwrap_or_default();
        let inside = self.start.saturating_add(first)..self.end.saturating_add(first);
        let mut times: Vec<i64> = times.iter().copied().filter(|t| inside.contains(t)).collect();
        times.sort_unstable();
        times.truncate(self.frames);
        times
    }

    /// True when pictures still to come are shown later than all of it.
    fn is_past(&self, times: &[i64], now: i64) -> bool {
        const REORDER: usize = 64;
        let first = times.first().copied().unwrap_or(now);
        now.saturating_sub(first) > self.end.saturating_add(2_000_000_000)
            || (now.saturating_sub(first) > self.start
                && times.len() > self.frames.saturating_add(REORDER)
                && times.iter().rev().take(self.frames.saturating_add(REORDER)).all(|t| t - first >= self.start))
    }
}

/// Reads the packets of the stream `id`, and nothing of them but their times. `None` where one has no time, or where the
/// file cannot be read to its end, which the run itself will tell.
pub(super) fn of_file(
    path: &Path,
    has_gaps: bool,
    id: &str,
    part: Part,
    named: Option<(u32, u32)>,
) -> Option<Measured> {
    let pipeline = gst::Pipeline::new();
    let times = read(&pipeline, (path, has_gaps), id, part);
    let _ = pipeline.set_state(gst::State::Null);
    let times = part.of(&times?);
    Some(Measured { pace: pace(&times, named), frames: times.len() as u64, pauses: pauses(&times) })
}

/// What the scan has seen; `None` after a packet without a time.
type Times = Arc<Mutex<Option<Vec<i64>>>>;

fn read(pipeline: &gst::Pipeline, (path, has_gaps): (&Path, bool), id: &str, part: Part) -> Option<Vec<i64>> {
    let (source, parse) = (input::reader(path, has_gaps).ok()?, parser().ok()?);
    let sink = make("fakesink").ok()?;
    movie::hide(&parse, Some(path));
    sink.set_property("sync", false);
    sink.set_property("async", false);
    pipeline.add_many([&source, &parse, &sink]).ok()?;
    source.link(&parse).ok()?;
    let times: Times = Arc::new(Mutex::new(Some(Vec::new())));
    let over = Arc::new(AtomicBool::new(false));
    let entry = sink.static_pad("sink")?;
    watch(&entry, &parse, &times, &over, part);
    let id = within_the_file(id).to_owned();
    parse.connect_pad_added(move |_, pad| {
        if pad.stream_id().is_some_and(|s| within_the_file(&s) == id) {
            // A stream that cannot be linked ends the scan with an error of its own.
            let _ = pad.link(&entry);
        } else {
            pass_over(pad, &over);
        }
    });
    pipeline.set_state(gst::State::Playing).ok()?;
    let bus = pipeline.bus()?;
    let mut rested = false;
    // A slow disk takes its time: giving up after some of it would make the output depend on the disk.
    loop {
        let end = bus.timed_pop_filtered(GLANCE, &[gst::MessageType::Eos, gst::MessageType::Error]);
        match end.map(|message| message.type_()) {
            Some(gst::MessageType::Eos) => return lock(&times).take(),
            Some(_) => return None,
            // parsebin keeps an error to itself that comes while it still connects the demuxer.
            None if rested => return None,
            None => rested = settle::rests(pipeline, &[]),
        }
    }
}

/// What the demuxer calls a stream; before that stands the source's own name, which is another each time for an `appsrc`.
fn within_the_file(stream_id: &str) -> &str {
    stream_id.split_once('/').map_or(stream_id, |(_, id)| id)
}

/// How often it is asked whether a scan still works, beside what it says itself.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// A demuxer that finds nobody behind its first pads would stop before the stream that is wanted has one.
fn pass_over(pad: &gst::Pad, over: &Arc<AtomicBool>) {
    let over = Arc::clone(over);
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        info.data = None;
        if over.load(Ordering::Relaxed) {
            info.flow_res = Err(gst::FlowError::Eos);
        }
        gst::PadProbeReturn::Handled
    });
}

/// Notes each packet's time, and ends the stream once enough is known.
fn watch(entry: &gst::Pad, parse: &gst::Element, times: &Times, over: &Arc<AtomicBool>, part: Part) {
    let (times, ended, parse) = (Arc::clone(times), Arc::clone(over), parse.downgrade());
    entry.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if info.buffer().is_some_and(|buffer| is_hidden(pad, buffer)) {
            return gst::PadProbeReturn::Ok;
        }
        let edited = parse.upgrade().is_some_and(|p| has_edits(&p));
        let time = info
            .buffer()
            .and_then(|b| b.pts())
            .and_then(|pts| if edited { running_time(pad, pts) } else { i64::try_from(pts.nseconds()).ok() });
        let mut seen = lock(&times);
        let over = match (time, seen.as_mut()) {
            (Some(time), Some(list)) => {
                list.push(time);
                part.is_past(list, time)
            }
            _ => {
                *seen = None;
                true
            }
        };
        drop(seen);
        if !over {
            return gst::PadProbeReturn::Ok;
        }
        ended.store(true, Ordering::Relaxed);
        pad.send_event(gst::event::Eos::new());
        info.data = None;
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
}

/// VP8 keeps pictures that are never shown in packets of their own, with a time between those of two others.
pub(crate) fn is_hidden(pad: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let vp8 = pad.current_caps().is_some_and(|caps| caps.structure(0).is_some_and(|s| s.name() == "video/x-vp8"));
    let mut tag = [0u8];
    vp8 && buffer.copy_to_slice(0, &mut tag).is_ok() && !tag.first().is_some_and(|t| shows(*t))
}

/// The bit `show_frame` of a VP8 frame's first byte.
fn shows(tag: u8) -> bool {
    tag & 0x10 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(frames: i64, n: i64, d: i64, unit: i64) -> Vec<i64> {
        (0..frames).map(|i| (i * 1_000_000_000 * d / n + unit / 2) / unit * unit + 40).collect()
    }

    #[test]
    fn times_rounded_by_a_container_keep_their_rate() {
        for (n, d) in [(25, 1), (24_000, 1001), (60_000, 1001), (240, 1), (1, 1)] {
            for unit in [1, 11_111, 1_000_000, 1_666_667] {
                let found = pace(&grid(5000, n, d, unit), Some((7, 1)));
                assert_eq!(found, Some(Pace::Constant(n as u32, d as u32)), "{n}/{d} in units of {unit} ns");
            }
        }
        let odd = pace(&grid(5000, 19_001, 317, 1_000_000), Some((19_001, 317)));
        assert_eq!(odd, Some(Pace::Constant(19_001, 317)), "a rate that fits is kept as the header says it");
    }

    #[test]
    fn a_burst_a_pause_and_a_lost_frame_are_uneven() {
        let is_uneven = |times: &[i64]| matches!(pace(times, Some((60_000, 1001))), Some(Pace::Uneven(..)));
        let mut lost = grid(500, 60_000, 1001, 1);
        lost.remove(250);
        assert!(is_uneven(&lost));
        let pause: Vec<i64> =
            grid(100, 30, 1, 1).iter().map(|t| if *t > 2_000_000_000 { t + (1 << 30) } else { *t }).collect();
        assert!(is_uneven(&pause));
        assert_eq!(pace(&[0, 40_000_000, 120_000_000, 200_000_000], None), Some(Pace::Uneven(15_000, 1000)));
        assert_eq!(pace(&[0, 7], None), None);
        assert_eq!(pace(&[5, 5, 5], None), None);
    }

    #[test]
    fn a_pause_has_a_start_and_an_end_and_a_film_of_pauses_has_none() {
        assert_eq!(pauses(&grid(500, 60_000, 1001, 1_000_000)), []);
        let mut lost = grid(100, 25, 1, 1_000_000);
        lost.drain(50..52);
        lost.drain(70..71);
        let ms = |start: i64, end: i64| Pause { start: start * 1_000_000, end: end * 1_000_000 };
        assert_eq!(pauses(&lost), [ms(2000, 2080), ms(2880, 2920)]);
        let still: Vec<i64> =
            grid(100, 25, 1, 1).into_iter().enumerate().filter(|(i, _)| i % 5 != 0).map(|(_, t)| t).collect();
        assert_eq!(pauses(&still), []);
        assert_eq!((pauses(&[]), pauses(&[7]), pauses(&[7, 9])), (vec![], vec![], vec![]));
    }

    #[test]
    fn only_the_part_that_is_encoded_counts() {
        let mut times = grid(100, 25, 1, 1);
        times.extend([5_000_000_000, 5_001_000_000]);
        let whole = Part { start: 0, end: i64::MAX, frames: usize::MAX };
        let pace = |part: Part| pace(&part.of(&times), None);
        assert!(matches!(pace(whole), Some(Pace::Uneven(..))));
        assert_eq!(pace(Part { end: 3_000_000_000, ..whole }), Some(Pace::Constant(25, 1)));
        assert_eq!(pace(Part { frames: 50, ..whole }), Some(Pace::Constant(25, 1)));
        let late = Part { start: 2_000_000_000, frames: 10, ..whole };
        assert_eq!(late.of(&times).first(), Some(&(2_000_000_040)));
        assert!(!late.is_past(&times[..60], times[59]));
        assert!(Part { end: 1_000_000_000, ..whole }.is_past(&times[..90], times[89]));
    }
}
