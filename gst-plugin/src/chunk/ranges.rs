//! Cuts a compressed stream of which every unit is known, before anything of it is decoded.
//!
//! A chunk is the frames of one range of presentation times, and the units that make them: from a place where decoding
//! may start, at or before its first frame, to the last unit of which it shows a frame. Leading pictures, which follow
//! that place and are shown before it, are left out.

use std::ops::Range;

use thiserror::Error;

use super::Nanos;

/// More frames decoded twice than this share of all is worse than one decoder for all.
const TWICE: f64 = 0.25;

/// What is known of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// When its frame is shown.
    pub pts: Option<Nanos>,
    /// Decoding may start here.
    pub starts: bool,
    /// So many frames are shown.
    pub shown: u8,
}

/// Where chunks may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Exactly after so many frames.
    Fixed,
    /// Where decoding may start, within half a chunk; exactly there where it may not.
    Keyframe,
}

/// One chunk of a compressed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The units to decode, by their place in the stream.
    pub units: Range<usize>,
    /// Of these units, those shown earlier are not decoded: they need what came before.
    pub from: Option<Nanos>,
    /// The times of its frames, in the order they are shown.
    pub frames: Vec<Nanos>,
}

impl Piece {
    /// True where a unit of [`units`](Self::units) is to be decoded.
    pub fn takes(&self, unit: &Unit) -> bool {
        unit.pts.zip(self.from).is_none_or(|(pts, from)| pts >= from)
    }
}

/// Why a stream cannot be cut before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Uncuttable {
    /// A unit does not tell when it is shown.
    #[error("packet {0} has no presentation time")]
    NoTime(usize),
    /// A unit shows something else than one frame.
    #[error("packet {0} holds {1} frames")]
    NotOneFrame(usize, u8),
    /// Two frames are shown at once.
    #[error("packet {0} has the time of another")]
    SameTime(usize),
    /// There is nowhere to start.
    #[error("no picture in it can be decoded without those before it")]
    NoStart,
    /// Chunks would begin too far behind the places where decoding may start.
    #[error("key frames are too far apart: {0} of {1} frames would be decoded twice")]
    Twice(usize, usize),
}

/// Cuts a stream into chunks of about `target` frames.
pub fn cut(units: &[Unit], target: u64, mode: Mode) -> Result<Vec<Piece>, Uncuttable> {
    let shown = in_order(units)?;
    let starts = starts(units);
    if starts.is_empty() {
        return Err(Uncuttable::NoStart);
    }
    let times: Vec<Nanos> = shown.iter().map(|(pts, _)| *pts).collect();
    let ranks: Vec<usize> = starts.iter().map(|(pts, _)| times.partition_point(|t| t < pts)).collect();
    let pieces: Vec<Piece> =
        boundaries(times.len(), usize::try_from(target).unwrap_or(usize::MAX).max(1), mode, &ranks)
            .into_iter()
            .filter_map(|frames| piece(&shown, &starts, frames))
            .collect();
    let decoded: usize = pieces.iter().map(|p| units.get(p.units.clone()).map_or(0, |u| decodes(p, u))).sum();
    let twice = decoded.saturating_sub(times.len());
    if twice as f64 > times.len() as f64 * TWICE {
        return Err(Uncuttable::Twice(twice, times.len()));
    }
    Ok(pieces)
}

fn decodes(piece: &Piece, units: &[Unit]) -> usize {
    units.iter().filter(|u| u.shown > 0 && piece.takes(u)).count()
}

/// The frames' times and units, in the order they are shown.
fn in_order(units: &[Unit]) -> Result<Vec<(Nanos, usize)>, Uncuttable> {
    let mut shown = Vec::with_capacity(units.len());
    for (i, unit) in units.iter().enumerate() {
        match (unit.shown, unit.pts) {
            (0, _) => {}
            (1, Some(pts)) => shown.push((pts, i)),
            (1, None) => return Err(Uncuttable::NoTime(i)),
            (n, _) => return Err(Uncuttable::NotOneFrame(i, n)),
        }
    }
    shown.sort_unstable();
    match shown.windows(2).find_map(|pair| (pair.first()?.0 == pair.last()?.0).then(|| pair.last().map(|p| p.1))?) {
        Some(i) => Err(Uncuttable::SameTime(i)),
        None => Ok(shown),
    }
}

/// The places where decoding may start, with their times: those that nothing before them is shown after.
fn starts(units: &[Unit]) -> Vec<(Nanos, usize)> {
    let mut latest = None;
    let mut found = Vec::new();
    for (i, unit) in units.iter().enumerate() {
        let Some(pts) = unit.pts.filter(|_| unit.shown > 0) else { continue };
        if unit.starts && latest.is_none_or(|latest| latest < pts) {
            found.push((pts, i));
        }
        latest = latest.max(Some(pts));
    }
    found
}

/// The ranks of each chunk's frames.
fn boundaries(frames: usize, target: usize, mode: Mode, starts: &[usize]) -> Vec<Range<usize>> {
    let shortest = if target == 1 { 1 } else { target.div_ceil(4).max(2) };
    let mut cuts = vec![0];
    let mut last = 0usize;
    // What is left may be one chunk.
    while frames - last > target {
        let aim = last.saturating_add(target);
        let reach = match mode {
            Mode::Fixed => 0,
            Mode::Keyframe => target / 2,
        };
        let near = starts.iter().copied().filter(|s| (last + 1..frames).contains(s) && s.abs_diff(aim) <= reach);
        let next = near.min_by_key(|s| s.abs_diff(aim)).unwrap_or(aim);
        if frames - next < shortest {
            break;
        }
        cuts.push(next);
        last = next;
    }
    let ends = cuts.iter().copied().skip(1).chain([frames]);
    cuts.iter().copied().zip(ends).map(|(from, to)| from..to).filter(|r| !r.is_empty()).collect()
}

fn piece(shown: &[(Nanos, usize)], starts: &[(Nanos, usize)], frames: Range<usize>) -> Option<Piece> {
    let of = shown.get(frames.clone())?;
    let (first, _) = *of.first()?;
    let last_unit = of.iter().map(|(_, unit)| *unit).max()?;
    let start = starts.get(..starts.partition_point(|(pts, _)| *pts <= first))?.last();
    // What the stream begins with is decoded as far as it can be.
    let start = start.filter(|_| frames.start > 0);
    Some(Piece {
        units: start.map_or(0, |(_, unit)| *unit)..last_unit + 1,
        from: start.map(|(pts, _)| *pts),
        frames: of.iter().map(|(pts, _)| *pts).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Units from text: each an I (starts), a P, a B or a hidden one (h), with the rank of its frame.
    fn stream(text: &str) -> Vec<Unit> {
        let unit = |word: &str| {
            let (kind, rank) = word.split_at(1);
            Unit { pts: rank.parse().ok(), starts: kind == "I", shown: u8::from(kind != "h") }
        };
        text.split_whitespace().map(unit).collect()
    }

    fn closed(frames: usize, gop: usize) -> Vec<Unit> {
        (0..frames).map(|i| Unit { pts: Some(i as u64), starts: i % gop == 0, shown: 1 }).collect()
    }

    fn lengths(units: &[Unit], target: u64, mode: Mode) -> Vec<usize> {
        cut(units, target, mode).unwrap().iter().map(|p| p.frames.len()).collect()
    }

    #[test]
    fn chunks_begin_at_key_frames_near_by_and_nothing_is_decoded_twice() {
        assert_eq!(lengths(&closed(1000, 30), 100, Mode::Keyframe), [90, 90, 90, 90, 90, 90, 90, 90, 90, 90, 100]);
        assert_eq!(lengths(&closed(1000, 30), 100, Mode::Fixed), [100; 10]);
        assert_eq!(lengths(&closed(300, 1), 100, Mode::Keyframe), [100; 3]);
        assert_eq!(lengths(&closed(310, 100), 100, Mode::Keyframe), [100, 100, 110]);
        assert_eq!(lengths(&closed(150, 10), 40, Mode::Keyframe), [40, 40, 40, 30]);
        assert_eq!(lengths(&closed(1, 1), 250, Mode::Keyframe), [1]);
        let pieces = cut(&closed(200, 50), 60, Mode::Keyframe).unwrap();
        assert!(pieces.iter().all(|p| p.units.len() == p.frames.len()), "{pieces:?}");
    }

    #[test]
    fn leading_pictures_belong_to_the_chunk_before_and_are_not_decoded_in_their_own() {
        let units = stream("I0 P3 B1 B2 I6 B4 B5 P9 B7 B8");
        let pieces = cut(&units, 6, Mode::Keyframe).unwrap();
        assert_eq!(pieces.iter().map(|p| p.units.clone()).collect::<Vec<_>>(), [0..7, 4..10]);
        assert_eq!(pieces.iter().map(|p| p.frames.len()).collect::<Vec<_>>(), [6, 4]);
        let second: Vec<_> = units[4..10].iter().filter(|u| pieces[1].takes(u)).filter_map(|u| u.pts).collect();
        assert_eq!(second, [6, 9, 7, 8]);
    }

    #[test]
    fn what_cannot_be_cut_is_told() {
        let reason = |text: &str, target| cut(&stream(text), target, Mode::Keyframe).unwrap_err();
        assert_eq!(reason("I0 P P2", 1), Uncuttable::NoTime(1));
        assert_eq!(reason("I0 P1 P1", 1), Uncuttable::SameTime(2));
        assert_eq!(reason("P0 P1", 1), Uncuttable::NoStart);
        assert_eq!(reason("I0 P1 P2 P3 P4 P5 P6 P7", 2), Uncuttable::Twice(2 + 4 + 6, 8));
        assert_eq!(cut(&[], 1, Mode::Fixed), Err(Uncuttable::NoStart));
    }

    #[test]
    fn a_start_that_something_before_it_is_shown_after_is_none() {
        assert_eq!(starts(&stream("I0 P5 I3 P7 h9 I8")), [(0, 0), (8, 5)]);
    }

    proptest! {
        #[test]
        fn every_frame_is_in_one_chunk_and_its_unit_is_decoded_there(
            gop in 1usize..40, frames in 1usize..300, target in 1u64..80, reorder in 0u64..4, fixed: bool
        ) {
            let mut units = closed(frames, gop);
            // B pictures: every so many are decoded after the one that is shown behind them.
            for i in (1..units.len()).step_by(reorder as usize + 2) {
                if !units[i].starts && !units[i - 1].starts {
                    units.swap(i - 1, i);
                }
            }
            let mode = if fixed { Mode::Fixed } else { Mode::Keyframe };
            if let Ok(pieces) = cut(&units, target, mode) {
                let all: Vec<u64> = pieces.iter().flat_map(|p| p.frames.clone()).collect();
                prop_assert_eq!(all, (0..frames as u64).collect::<Vec<_>>());
                for piece in &pieces {
                    let taken: Vec<u64> =
                        units[piece.units.clone()].iter().filter(|u| piece.takes(u)).filter_map(|u| u.pts).collect();
                    prop_assert!(piece.frames.iter().all(|f| taken.contains(f)));
                    prop_assert!(piece.units.start == 0 || units[piece.units.start].starts);
                }
            }
        }
    }
}
