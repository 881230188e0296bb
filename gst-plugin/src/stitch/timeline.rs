//! Presentation and decode times of the joined stream.
//!
//! A chunk's shown units get the chunk's own presentation times back by rank: the unit that its encoder shows as the
//! k-th gets the k-th time that went in, so an encoder that bends or shifts time stamps does no harm. Decode times are
//! made anew for the whole stream: the i-th shown unit in decode order gets the (i − d)-th smallest presentation time,
//! d the reorder depth. Before the first presentation time they go on backwards, one frame apart.

use std::collections::VecDeque;

use thiserror::Error;

use crate::chunk::{FrameTime, Nanos};

/// A unit as its encoder gave it, in decode order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitTime {
    /// The encoder's own presentation time: only its order among the chunk's units counts.
    pub pts: Option<Nanos>,
    /// False for units that show nothing of their own (VP8's alternate reference frames).
    pub shown: bool,
}

/// Where a unit goes in the joined stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The frame it shows, counted from the chunk's first; for a hidden unit the next frame shown after it.
    pub rank: usize,
    /// Presentation time.
    pub pts: Nanos,
    /// Decode time, negative when it is before the time stamps' zero.
    pub dts: i64,
    /// Duration of the frame it shows.
    pub duration: Option<Nanos>,
}

/// Why a chunk's result does not fit the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimelineError {
    /// Not one shown unit for each frame.
    #[error("{frames} frames went in and {units} came out")]
    Count {
        /// Frames that went in.
        frames: usize,
        /// Shown units that came out.
        units: usize,
    },
    /// Shown units without a presentation time cannot be ranked.
    #[error("the encoder gave unit {0} no presentation time")]
    NoTime(usize),
    /// A later chunk reorders more than the stream's decode times allow.
    #[error("its frames are reordered by {found}, the stream has room for {depth}")]
    Depth {
        /// What this chunk needs.
        found: usize,
        /// What the first chunk declared.
        depth: usize,
    },
    /// More than half the range of 64 bits.
    #[error("a presentation time of {0} ns is out of range")]
    Range(Nanos),
}

/// The stream's decode times so far. One for each run of frames with rising presentation times.
#[derive(Debug, Default)]
pub struct Timeline {
    depth: Option<usize>,
    /// The last `depth` decode times not yet given, oldest first.
    due: VecDeque<i64>,
    last_dts: Option<i64>,
    /// Where decode times ended before.
    floor: Option<i64>,
}

impl Timeline {
    /// The decode times of what follows a stream whose last decode time is this one.
    pub fn after(last_dts: i64) -> Self {
        Self { floor: Some(last_dts), ..Self::default() }
    }

    /// The stream's reorder depth, 0 before its first chunk.
    pub fn depth(&self) -> usize {
        self.depth.unwrap_or(0)
    }

    /// Places a chunk's units. `declared` is the reorder depth that the encoder itself announces, if it does.
    ///
    /// The first chunk fixes the stream's depth: the larger of what is declared and what it shows.
    pub fn place(
        &mut self,
        frames: &[FrameTime],
        units: &[UnitTime],
        declared: usize,
    ) -> Result<Vec<Place>, TimelineError> {
        let ranks = ranks(frames.len(), units)?;
        if declared > MOST_DEPTH {
            return Err(TimelineError::Depth { found: declared, depth: MOST_DEPTH });
        }
        let found = ranks.iter().flatten().enumerate().map(|(i, &rank)| i.saturating_sub(rank)).max().unwrap_or(0);
        let times = frames
            .iter()
            .map(|f| i64::try_from(f.pts).ok().filter(|&t| t <= i64::MAX / 2).ok_or(TimelineError::Range(f.pts)))
            .collect::<Result<Vec<_>, _>>()?;
        let depth = match self.depth {
            Some(depth) if found > depth => return Err(TimelineError::Depth { found, depth }),
            Some(depth) => depth,
            None => {
                let depth = found.max(declared);
                self.depth = Some(depth);
                if let (Some(&first), Some(frame)) = (times.first(), frames.first()) {
                    let step = times.get(1).map(|&second| second - first);
                    let step = step.or(frame.duration.and_then(|d| i64::try_from(d).ok()));
                    let step = step.filter(|&s| 0 < s && s < i64::MAX / 4096).unwrap_or(DEFAULT_STEP);
                    // Frames that themselves start before the floor leave no room above it.
                    let room = self.floor.map(|floor| first.saturating_sub(floor) / (depth as i64 + 1));
                    let step = room.filter(|&room| room > 0).map_or(step, |room| room.min(step));
                    self.due.extend((1..=depth).rev().map(|k| first - step * k as i64));
                }
                depth
            }
        };
        debug_assert!(self.due.len() == depth || times.is_empty());
        self.due.extend(&times);

        let mut next_shown: Vec<usize> = Vec::with_capacity(ranks.len());
        let mut following = frames.len().saturating_sub(1);
        for rank in ranks.iter().rev() {
            following = rank.unwrap_or(following);
            next_shown.push(following);
        }
        next_shown.reverse();

        let mut places = Vec::with_capacity(units.len());
        for (rank, at) in ranks.iter().zip(next_shown) {
            let Some(&frame) = frames.get(at) else { break };
            let dts = match rank {
                Some(_) => self.due.pop_front().unwrap_or_default(),
                None => {
                    let next = self.due.front().copied();
                    match (self.last_dts, next) {
                        (Some(last), Some(next)) => last + (next - last) / 2,
                        (Some(last), None) => last + 1,
                        (None, next) => next.unwrap_or_default() - 1,
                    }
                }
            };
            self.last_dts = Some(dts);
            let pts = if rank.is_some() { frame.pts } else { u64::try_from(dts).unwrap_or(0) };
            places.push(Place { rank: at, pts, dts, duration: frame.duration.filter(|_| rank.is_some()) });
        }
        Ok(places)
    }
}

/// No codec reorders further; a larger value is nonsense.
pub const MOST_DEPTH: usize = 32;

/// How far apart decode times are before the first frame when nothing tells.
const DEFAULT_STEP: i64 = 1_000_000_000 / 25;

/// Each unit's rank among the shown units' presentation times; `None` for hidden ones.
fn ranks(frames: usize, units: &[UnitTime]) -> Result<Vec<Option<usize>>, TimelineError> {
    let shown = units.iter().filter(|u| u.shown).count();
    if shown != frames {
        return Err(TimelineError::Count { frames, units: shown });
    }
    if frames == 1 {
        return Ok(units.iter().map(|u| u.shown.then_some(0)).collect());
    }
    let mut order = Vec::with_capacity(shown);
    for (i, unit) in units.iter().enumerate().filter(|(_, u)| u.shown) {
        order.push((unit.pts.ok_or(TimelineError::NoTime(i))?, i));
    }
    order.sort_unstable();
    let mut ranks = vec![None; units.len()];
    for (rank, (_, i)) in order.into_iter().enumerate() {
        if let Some(slot) = ranks.get_mut(i) {
            *slot = Some(rank);
        }
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(pts: impl IntoIterator<Item = Nanos>) -> Vec<FrameTime> {
        pts.into_iter().map(|pts| FrameTime { pts, duration: Some(40) }).collect()
    }

    fn shown(pts: impl IntoIterator<Item = Nanos>) -> Vec<UnitTime> {
        pts.into_iter().map(|pts| UnitTime { pts: Some(pts), shown: true }).collect()
    }

    #[test]
    fn presentation_times_come_back_by_rank_whatever_the_encoder_made_of_them() {
        let mut t = Timeline::default();
        let places = t.place(&frames([100, 140, 200]), &shown([7_000, 9_000, 8_000]), 0).unwrap();
        assert_eq!(places.iter().map(|p| p.pts).collect::<Vec<_>>(), [100, 200, 140]);
        assert_eq!(places.iter().map(|p| p.dts).collect::<Vec<_>>(), [60, 100, 140]);
    }

    #[test]
    fn a_chunk_of_one_frame_needs_no_time_of_its_encoder() {
        // x265enc says 10^19 ns of such a frame.
        for own in [None, Some(10_000_000_000_000_000_000)] {
            let mut t = Timeline::default();
            let places = t.place(&frames([120]), &[UnitTime { pts: own, shown: true }], 0).unwrap();
            assert_eq!((places[0].pts, places[0].dts), (120, 120));
        }
    }

    #[test]
    fn decode_times_run_on_over_the_joint() {
        let mut t = Timeline::default();
        t.place(&frames([0, 40, 80]), &shown([0, 80, 40]), 2).unwrap();
        let places = t.place(&frames([120, 160]), &shown([0, 40]), 0).unwrap();
        assert_eq!(places.iter().map(|p| p.dts).collect::<Vec<_>>(), [40, 80]);
    }

    #[test]
    fn decode_times_rise_over_a_new_start() {
        let mut t = Timeline::after(70);
        let places = t.place(&frames([100, 200, 300]), &shown([0, 2, 1]), 2).unwrap();
        assert_eq!(places.iter().map(|p| p.dts).collect::<Vec<_>>(), [80, 90, 100]);
        let mut late = Timeline::after(5000);
        let places = late.place(&frames([100, 140]), &shown([0, 1]), 1).unwrap();
        assert_eq!(places.iter().map(|p| p.dts).collect::<Vec<_>>(), [60, 100]);
    }

    #[test]
    fn a_single_frame_needs_no_time_stamp_of_the_encoder() {
        let unit = UnitTime { pts: Some(u64::MAX - 5), shown: true };
        let places = Timeline::default().place(&frames([80]), &[unit], 0).unwrap();
        assert_eq!((places[0].pts, places[0].dts), (80, 80));
    }

    #[test]
    fn hidden_units_take_no_frame_and_keep_decode_times_rising() {
        let mut units = shown([0, 40]);
        units.insert(1, UnitTime { pts: Some(39), shown: false });
        let places = Timeline::default().place(&frames([0, 40]), &units, 0).unwrap();
        assert_eq!(places.iter().map(|p| (p.rank, p.dts)).collect::<Vec<_>>(), [(0, 0), (1, 20), (1, 40)]);
    }

    #[test]
    fn a_hidden_unit_at_the_very_end_keeps_decode_times_rising() {
        let mut units = shown([0, 40]);
        units.push(UnitTime { pts: Some(41), shown: false });
        let mut timeline = Timeline::default();
        let places = timeline.place(&frames([1000, 1040]), &units, 0).unwrap();
        assert_eq!(places.iter().map(|p| p.dts).collect::<Vec<_>>(), [1000, 1040, 1041]);
    }

    #[test]
    fn a_nonsense_depth_is_refused() {
        let place = Timeline::default().place(&frames([0]), &shown([0]), 1 << 30);
        assert_eq!(place, Err(TimelineError::Depth { found: 1 << 30, depth: MOST_DEPTH }));
    }

    #[test]
    fn lost_doubled_and_untimed_frames_are_errors() {
        let place = |f: &[FrameTime], u: &[UnitTime]| Timeline::default().place(f, u, 0);
        assert_eq!(place(&frames([0, 40]), &shown([0])), Err(TimelineError::Count { frames: 2, units: 1 }));
        assert_eq!(place(&frames([0]), &shown([0, 40])), Err(TimelineError::Count { frames: 1, units: 2 }));
        let untimed = UnitTime { pts: None, shown: true };
        assert_eq!(place(&frames([0, 40]), &[untimed, untimed]), Err(TimelineError::NoTime(0)));
    }

    #[test]
    fn a_chunk_that_reorders_more_than_the_stream_allows_is_refused() {
        let mut t = Timeline::default();
        t.place(&frames([0, 40]), &shown([0, 40]), 0).unwrap();
        let late = t.place(&frames([80, 120, 160]), &shown([0, 80, 40]), 0);
        assert_eq!(late, Err(TimelineError::Depth { found: 1, depth: 0 }));
    }

    proptest! {
        #[test]
        fn decode_times_rise_and_are_never_after_the_presentation(
            gaps in proptest::collection::vec(1u64..1_000_000, 1..120),
            chunk in 1usize..20,
            group in 1usize..6,
            start in 0u64..1_000_000_000,
        ) {
            let mut pts = start;
            let all = frames(gaps.iter().map(|gap| { pts += gap; pts }));
            let mut timeline = Timeline::default();
            let mut last = i64::MIN;
            for part in all.chunks(chunk) {
                // Each group of frames is coded last frame first: depth 1.
                let mut units: Vec<usize> = Vec::new();
                for g in (0..part.len()).collect::<Vec<_>>().chunks(group) {
                    units.extend(g.last());
                    units.extend(&g[..g.len() - 1]);
                }
                let units = shown(units.into_iter().map(|k| k as u64));
                for place in timeline.place(part, &units, 1).unwrap() {
                    prop_assert!(place.dts > last);
                    prop_assert!(place.dts <= place.pts as i64);
                    last = place.dts;
                }
            }
        }
    }
}
