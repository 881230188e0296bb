//! Who encodes what: events in, actions out. Pure: no GStreamer, no clock, no thread.
//!
//! Chunks start in order, so the oldest chunk that is not done is always with a lane. Results are handed on in order;
//! a window bounds how far the newest chunk may run ahead of the oldest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::chunk::ChunkId;

/// A lane's number, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A chunk exists and may be started, though its frames may still be coming.
    Opened(ChunkId),
    /// A lane waits for work.
    LaneIdle(LaneId),
    /// A chunk's result is whole and accepted.
    Done(ChunkId, LaneId),
    /// A chunk's result has been handed on.
    Delivered(ChunkId),
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
    waiting: VecDeque<ChunkId>,
    running: BTreeMap<ChunkId, LaneId>,
    done: BTreeSet<ChunkId>,
    idle: BTreeSet<LaneId>,
    /// The oldest chunk that has not been delivered.
    head: ChunkId,
    delivered: u64,
}

impl Dispatch {
    /// At most `window` chunks, at least 1, are between opened and delivered.
    pub fn new(window: u64) -> Self {
        Self {
            window: window.max(1),
            waiting: VecDeque::new(),
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
            Event::Opened(chunk) => self.waiting.push_back(chunk),
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
        while let Some(&chunk) = self.waiting.front() {
            let Some(lane) = self.idle.pop_first() else { break };
            self.waiting.pop_front();
            self.running.insert(chunk, lane);
            actions.push(Action::Start(chunk, lane));
        }
        actions
    }

    /// May another chunk be opened?
    pub fn has_room(&self) -> bool {
        ((self.waiting.len() + self.running.len() + self.done.len()) as u64) < self.window
    }

    /// How many chunks wait for a lane.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Does a lane wait for a chunk?
    pub fn has_idle_lane(&self) -> bool {
        !self.idle.is_empty()
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
        let mut d = Dispatch::new(4);
        assert!(d.handle(Event::Opened(ChunkId(0))).is_empty());
        assert_eq!(d.handle(Event::LaneIdle(LaneId(1))), [Action::Start(ChunkId(0), LaneId(1))]);
        assert!(d.handle(Event::LaneIdle(LaneId(0))).is_empty());
        assert_eq!(d.handle(Event::Opened(ChunkId(1))), [Action::Start(ChunkId(1), LaneId(0))]);
    }

    #[test]
    fn a_result_waits_for_those_before_it() {
        let mut d = Dispatch::new(4);
        for n in 0..2 {
            d.handle(Event::LaneIdle(LaneId(n)));
            d.handle(Event::Opened(ChunkId(n.into())));
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
        let mut d = Dispatch::new(2);
        d.handle(Event::Opened(ChunkId(0)));
        assert!(d.has_room());
        d.handle(Event::Opened(ChunkId(1)));
        assert!(!d.has_room());
        d.handle(Event::LaneIdle(LaneId(0)));
        d.handle(Event::Done(ChunkId(0), LaneId(0)));
        assert!(!d.has_room());
        d.handle(Event::Delivered(ChunkId(0)));
        assert!(d.has_room());
    }

    proptest! {
        #[test]
        fn every_chunk_is_delivered_once_and_in_order(
            lanes in 1u32..5, window in 1u64..8, chunks in 0u64..30, picks in proptest::collection::vec(0usize..8, 200)
        ) {
            let mut d = Dispatch::new(window);
            let (mut opened, mut out, mut busy) = (0, Vec::new(), Vec::new());
            let mut actions = Vec::new();
            for lane in 0..lanes {
                actions.extend(d.handle(Event::LaneIdle(LaneId(lane))));
            }
            let mut picks = picks.into_iter().cycle();
            while (out.len() as u64) < chunks {
                while opened < chunks && d.has_room() {
                    actions.extend(d.handle(Event::Opened(ChunkId(opened))));
                    opened += 1;
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
