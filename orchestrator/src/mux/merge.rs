//! The order in which samples of several tracks are written: by time, then by track, whatever the
//! order they arrived in.

use std::collections::VecDeque;

/// Samples of several tracks on their way into one file.
///
/// A sample leaves when no other track can still bring an earlier one: each has a sample waiting,
/// has promised to be past that time, or has ended.
#[derive(Debug)]
pub struct Merge<T> {
    lanes: Vec<Lane<T>>,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<(i64, T)>,
    promised: i64,
    ended: bool,
}

impl<T> Merge<T> {
    /// A merge of so many tracks.
    #[must_use]
    pub fn new(tracks: usize) -> Self {
        let lane = || Lane { waiting: VecDeque::new(), promised: i64::MIN, ended: false };
        Self { lanes: (0..tracks).map(|_| lane()).collect() }
    }

    /// Adds a sample. Times of one track never go back: a lower one counts as the highest so far.
    pub fn push(&mut self, track: usize, time: i64, sample: T) {
        if let Some(lane) = self.lanes.get_mut(track) {
            lane.promised = lane.promised.max(time);
            let time = lane.promised;
            lane.waiting.push_back((time, sample));
        }
    }

    /// No later sample of this track will be earlier than `time`.
    pub fn promise(&mut self, track: usize, time: i64) {
        if let Some(lane) = self.lanes.get_mut(track) {
            lane.promised = lane.promised.max(time);
        }
    }

    /// This track has no more samples.
    pub fn end(&mut self, track: usize) {
        if let Some(lane) = self.lanes.get_mut(track) {
            lane.ended = true;
        }
    }

    /// True when every track has ended and no sample waits.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.lanes.iter().all(|l| l.ended && l.waiting.is_empty())
    }

    /// The next sample, if it is certain which one that is.
    pub fn pop(&mut self) -> Option<(usize, T)> {
        let (time, track) =
            self.lanes.iter().enumerate().filter_map(|(i, l)| l.waiting.front().map(|(t, _)| (*t, i))).min()?;
        let settled =
            self.lanes.iter().enumerate().all(|(i, l)| {
                !l.waiting.is_empty() || l.ended || l.promised > time || (l.promised == time && i > track)
            });
        if !settled {
            return None;
        }
        let lane = self.lanes.get_mut(track)?;
        lane.waiting.pop_front().map(|(_, sample)| (track, sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(merge: &mut Merge<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| merge.pop().map(|(_, s)| s)).collect()
    }

    #[test]
    fn the_order_of_arrival_changes_nothing() {
        let samples = [(0, 0, "v0"), (0, 40, "v1"), (0, 80, "v2"), (1, 0, "a0"), (1, 21, "a1"), (1, 80, "a2")];
        let mut sound_first = samples;
        sound_first.rotate_left(3);
        for order in [samples, sound_first] {
            let mut merge = Merge::new(2);
            let mut out = Vec::new();
            for (track, time, name) in order {
                merge.push(track, time, name);
                out.extend(drain(&mut merge));
            }
            merge.end(0);
            merge.end(1);
            out.extend(drain(&mut merge));
            assert_eq!(out, ["v0", "a0", "a1", "v1", "v2", "a2"]);
            assert!(merge.is_done());
        }
    }

    #[test]
    fn a_sparse_track_does_not_hold_the_others_once_it_has_promised() {
        let mut merge = Merge::new(2);
        merge.push(0, 10, "v0");
        assert_eq!(merge.pop(), None);
        merge.promise(1, 11);
        assert_eq!(merge.pop(), Some((0, "v0")));
    }
}
