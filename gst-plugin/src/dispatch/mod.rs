//! Who encodes what: events in, actions out. Pure: no GStreamer, no clock, no thread.
//!
//! Chunks start in order, so the oldest chunk that is not done is always with a lane. Results are handed on in order;
//! a window bounds how far the newest chunk may run ahead of the oldest.
//!
//! So many chunks are encoded at once as there are workers. The last ones are started together as soon as less than two
//! long ones for each worker are left: five equal chunks on two workers take two rounds and a half then, not three, and a
//! long chunk does not run alone at the end. Before that it would only make encoders share caches.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::chunk::ChunkId;

/// A lane's number, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A chunk of about so many frames exists and may be started, though its frames may still be coming.
    Opened(ChunkId, u64),
    /// A lane waits for work.
    LaneIdle(LaneId),
    /// A chunk's result is whole and accepted.
    Done(ChunkId, LaneId),
    /// A chunk's result has been handed on.
    Delivered(ChunkId),
    /// No chunk follows those that are opened, unless another one is opened all the same.
    Ended,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// This lane encodes this chunk.
    Start(ChunkId, LaneId),
}

/// The state of all chunks between opened and delivered.
#[derive(Debug)]
pub struct Dispatch {
    window: u64,
    workers: u32,
    ended: bool,
    /// With the frames of each.
    waiting: VecDeque<(ChunkId, u64)>,
    /// The frames of the longest chunk so far.
    longest: u64,
    running: BTreeMap<ChunkId, LaneId>,
    done: BTreeSet<ChunkId>,
    idle: BTreeSet<LaneId>,
    /// The oldest chunk that has not been delivered.
    head: ChunkId,
    delivered: u64,
}

impl Dispatch {
    /// At most `window` chunks, at least 1, are between opened and delivered; `workers`, at least 1, are encoded at once.
    pub fn new(window: u64, workers: u32) -> Self {
        Self {
            window: window.max(1),
            workers: workers.clamp(1, u32::MAX / 2),
            ended: false,
            waiting: VecDeque::new(),
            longest: 1,
            running: BTreeMap::new(),
            done: BTreeSet::new(),
            idle: BTreeSet::new(),
            head: ChunkId::default(),
            delivered: 0,
        }
    }

    /// Takes an event, returns what follows from it.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Opened(chunk, frames) => {
                self.waiting.push_back((chunk, frames));
                self.longest = self.longest.max(frames);
                self.ended = false;
            }
            Event::Ended => self.ended = true,
            Event::LaneIdle(lane) => {
                self.idle.insert(lane);
            }
            Event::Done(chunk, _) => {
                if self.running.remove(&chunk).is_some() {
                    self.done.insert(chunk);
                }
            }
            Event::Delivered(chunk) => {
                if self.done.remove(&chunk) {
                    self.head = chunk.next();
                    self.delivered += 1;
                }
            }
        }
        let mut actions = Vec::new();
        let most = self.most_running();
        while let Some(&(chunk, _)) = self.waiting.front().filter(|_| self.running.len() < most) {
            let Some(lane) = self.idle.pop_first() else { break };
            self.waiting.pop_front();
            self.running.insert(chunk, lane);
            actions.push(Action::Start(chunk, lane));
        }
        actions
    }

    /// So many lanes are of use: more chunks than that never run at once.
    pub fn lanes(workers: u32) -> u32 {
        workers.saturating_mul(2).max(1)
    }

    fn most_running(&self) -> usize {
        // Those at work are taken to be half done.
        let halves = |chunks: usize| u64::try_from(chunks).unwrap_or(u64::MAX).saturating_mul(self.longest);
        let waiting = self.waiting.iter().fold(0u64, |sum, (_, frames)| sum.saturating_add(*frames));
        let left = waiting.saturating_mul(2).saturating_add(halves(self.running.len()));
        let lanes = usize::try_from(Self::lanes(self.workers)).unwrap_or(usize::MAX);
        let is_last = self.ended && left < halves((lanes - 1).saturating_mul(2));
        if is_last { lanes } else { lanes / 2 }
    }

    /// May another chunk be opened?
    pub fn has_room(&self) -> bool {
        ((self.waiting.len() + self.running.len() + self.done.len()) as u64) < self.window
    }

    /// The chunks that wait for a lane.
    pub fn waiting(&self) -> impl Iterator<Item = ChunkId> + Clone + '_ {
        self.waiting.iter().map(|(chunk, _)| *chunk)
    }

    /// So many chunks are encoded at once, but for the last ones.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// How many chunks are with a lane.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Would another chunk start at once?
    pub fn wants_more(&self) -> bool {
        self.waiting.is_empty() && self.running.len() < self.most_running() && !self.idle.is_empty()
    }

    /// The chunk whose result is due next, if it is done.
    pub fn due(&self) -> Option<ChunkId> {
        self.done.first().copied().filter(|&chunk| chunk == self.head)
    }

    /// How many chunks wait, run, or are done and not yet handed on.
    pub fn in_flight(&self) -> u64 {
        (self.waiting.len() + self.running.len() + self.done.len()) as u64
    }

    /// How many chunks have been handed on.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chunks_start_in_order_on_whichever_lane_is_free() {
        let mut d = Dispatch::new(4, 2);
        assert!(d.handle(Event::Opened(ChunkId(0), 9)).is_empty());
        assert_eq!(d.handle(Event::LaneIdle(LaneId(1))), [Action::Start(ChunkId(0), LaneId(1))]);
        assert!(d.handle(Event::LaneIdle(LaneId(0))).is_empty());
        assert_eq!(d.handle(Event::Opened(ChunkId(1), 9)), [Action::Start(ChunkId(1), LaneId(0))]);
    }

    #[test]
    fn a_result_waits_for_those_before_it() {
        let mut d = Dispatch::new(4, 2);
        for n in 0..2 {
            d.handle(Event::LaneIdle(LaneId(n)));
            d.handle(Event::Opened(ChunkId(n.into()), 9));
        }
        d.handle(Event::Done(ChunkId(1), LaneId(1)));
        assert_eq!(d.due(), None);
        d.handle(Event::Done(ChunkId(0), LaneId(0)));
        assert_eq!(d.due(), Some(ChunkId(0)));
        d.handle(Event::Delivered(ChunkId(0)));
        assert_eq!(d.due(), Some(ChunkId(1)));
    }

    #[test]
    fn the_window_bounds_what_is_open() {
        let mut d = Dispatch::new(2, 2);
        d.handle(Event::Opened(ChunkId(0), 9));
        assert!(d.has_room());
        d.handle(Event::Opened(ChunkId(1), 9));
        assert!(!d.has_room());
        d.handle(Event::LaneIdle(LaneId(0)));
        d.handle(Event::Done(ChunkId(0), LaneId(0)));
        assert!(!d.has_room());
        d.handle(Event::Delivered(ChunkId(0)));
        assert!(d.has_room());
    }

    #[test]
    fn the_last_chunks_start_together_and_none_before() {
        let mut d = Dispatch::new(8, 2);
        for lane in 0..Dispatch::lanes(2) {
            d.handle(Event::LaneIdle(LaneId(lane)));
        }
        let started = |actions: Vec<Action>| actions.iter().map(|Action::Start(c, _)| c.0).collect::<Vec<_>>();
        let opened: Vec<_> = (0..5).flat_map(|n| started(d.handle(Event::Opened(ChunkId(n), 9)))).collect();
        assert_eq!(opened, [0, 1]);
        assert!(d.handle(Event::Ended).is_empty());
        // Nothing is lost yet if two of four wait.
        assert_eq!(started(d.handle(Event::Done(ChunkId(0), LaneId(0)))), [2]);
        assert!(d.handle(Event::LaneIdle(LaneId(0))).is_empty());
        assert_eq!(started(d.handle(Event::Done(ChunkId(1), LaneId(1)))), [3, 4]);
    }

    #[test]
    fn a_short_last_chunk_keeps_no_long_one_waiting() {
        let mut d = Dispatch::new(8, 2);
        (0..Dispatch::lanes(2)).for_each(|lane| drop(d.handle(Event::LaneIdle(LaneId(lane)))));
        for (n, frames) in [(0, 250), (1, 250), (2, 250), (3, 250), (4, 70)] {
            d.handle(Event::Opened(ChunkId(n), frames));
        }
        d.handle(Event::Ended);
        assert_eq!(d.handle(Event::Done(ChunkId(0), LaneId(0))).len(), 2);
        assert_eq!(d.handle(Event::LaneIdle(LaneId(0))).len(), 1);
    }

    #[test]
    fn what_goes_on_after_an_end_goes_on_as_before() {
        let mut d = Dispatch::new(8, 1);
        (0..2).for_each(|lane| drop(d.handle(Event::LaneIdle(LaneId(lane)))));
        d.handle(Event::Ended);
        assert_eq!(d.handle(Event::Opened(ChunkId(0), 9)).len(), 1);
        assert!(d.handle(Event::Opened(ChunkId(1), 9)).is_empty());
    }

    proptest! {
        #[test]
        fn every_chunk_is_delivered_once_and_in_order(
            workers in 1u32..5, window in 1u64..8, chunks in 0u64..30, picks in proptest::collection::vec(0usize..8, 200)
        ) {
            let mut d = Dispatch::new(window, workers);
            let lanes = Dispatch::lanes(workers);
            let (mut opened, mut out, mut busy) = (0, Vec::new(), Vec::new());
            let mut actions = Vec::new();
            for lane in 0..lanes {
                actions.extend(d.handle(Event::LaneIdle(LaneId(lane))));
            }
            let mut picks = picks.into_iter().cycle();
            while (out.len() as u64) < chunks {
                while opened < chunks && d.has_room() {
                    actions.extend(d.handle(Event::Opened(ChunkId(opened), 9)));
                    opened += 1;
                    if opened == chunks {
                        actions.extend(d.handle(Event::Ended));
                    }
                }
                busy.extend(actions.drain(..).map(|Action::Start(c, l)| (c, l)));
                prop_assert!(!busy.is_empty(), "nothing runs and nothing is due");
                let (chunk, lane) = busy.swap_remove(picks.next().unwrap_or(0) % busy.len());
                actions.extend(d.handle(Event::Done(chunk, lane)));
                actions.extend(d.handle(Event::LaneIdle(lane)));
                while let Some(due) = d.due() {
                    out.push(due.0);
                    actions.extend(d.handle(Event::Delivered(due)));
                }
            }
            prop_assert_eq!(out, (0..chunks).collect::<Vec<_>>());
            prop_assert_eq!(d.in_flight(), 0);
        }
    }
}
