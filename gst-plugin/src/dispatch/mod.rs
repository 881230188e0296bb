//! Who encodes what: events in, actions out. Pure: no GStreamer, no clock, no thread.
//!
//! Chunks start in order, so the oldest chunk that is not done is always with a lane. Results are handed on in order;
//! a window bounds how far the newest chunk may run ahead of the oldest.
//!
//! On this machine so many chunks are encoded at once as there are workers. The last ones are started together as soon as
//! less than two long ones for each worker are left: five equal chunks on two workers take two rounds and a half then, not
//! three, and a long chunk does not run alone at the end. Before that it would only make encoders share caches.
//!
//! Elsewhere each lane is of use at any time. An attempt that is *lost*, with its connection or its machine, says nothing of
//! its chunk, which goes to another lane; one that *failed* does, and so many of them end the run. A site that fails three
//! chunks in a row gets no more. A lane for which nothing waits takes a chunk that another site has not begun, or else does
//! one that another site works on as well: the first result is taken, the other attempt called off. Before the end that is
//! done only with what is *late*, which others would have done several times over by now; and it is done first of all where
//! the window is about to be full, so that one slow machine makes nobody wait.

use std::collections::{BTreeMap, BTreeSet};

use crate::chunk::ChunkId;

/// A lane's number, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u32);

/// A machine that has lanes; this one by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(pub u32);

impl Site {
    /// This machine.
    pub const HERE: Self = Self(0);
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A chunk of about so many frames exists and may be started, though its frames may still be coming.
    Opened(ChunkId, u64),
    /// A chunk exists whose result has been there since an earlier run.
    Known(ChunkId),
    /// This site works on so many chunks at once; more lanes than that have their next one waiting there.
    Slots(Site, u32),
    /// A lane of this site waits for work, maybe for the first time.
    LaneIdle(LaneId, Site),
    /// An attempt is not only with its lane: encoding has begun.
    Begun(ChunkId, LaneId),
    /// A chunk's result is whole and accepted.
    Done(ChunkId, LaneId),
    /// An attempt is over and says nothing of its chunk.
    Lost(ChunkId, LaneId),
    /// An attempt is over and speaks against its chunk.
    Failed(ChunkId, LaneId),
    /// An attempt is over and speaks against the lane's site alone.
    Unable(ChunkId, LaneId),
    /// A lane is gone, and what it had is lost.
    LaneGone(LaneId),
    /// A chunk's result has been handed on.
    Delivered(ChunkId),
    /// Whether results take all the memory that they may: no chunk is opened before the oldest one is done.
    Full(bool),
    /// No chunk follows those that are opened, unless another one is opened all the same.
    Ended,
    /// What is with a lane is done, and nothing else is begun.
    WindDown,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// This lane encodes this chunk.
    Start(ChunkId, LaneId),
    /// What this lane makes of this chunk is not wanted any more.
    CallOff(ChunkId, LaneId),
    /// This chunk failed too often.
    GiveUp(ChunkId),
    /// This site fails whatever it is given.
    PutAside(Site),
}

/// So many chunks in a row a site may fail.
const PATIENCE: u32 = 3;
/// So many chunks for each slot elsewhere may be open and not done: one at work, and one that waits there.
const OPEN: u64 = 2;
/// So many may be between opened and delivered: some are done before an older one is.
const AHEAD: u64 = 8;
/// A chunk is late when every slot could have done so many since: it may wait for one of them and take twice as long as
/// others until then.
const LATE: u64 = 3;

#[derive(Debug)]
struct Lane {
    site: Site,
    state: Doing,
    /// So many chunks were done when it got its chunk.
    since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It waits for a chunk.
    Idle,
    /// This one waits there for a slot.
    Holds(ChunkId),
    /// It works on this one.
    Encodes(ChunkId),
    /// What it did is over or not wanted, and it will say when it is idle.
    Ends,
}

impl Doing {
    fn chunk(self) -> Option<ChunkId> {
        match self {
            Self::Holds(chunk) | Self::Encodes(chunk) => Some(chunk),
            Self::Idle | Self::Ends => None,
        }
    }
}

#[derive(Debug, Default)]
struct Fame {
    slots: u32,
    /// Chunks that failed there in a row.
    failures: u32,
    /// It gets no more, whatever it still brings.
    is_aside: bool,
    /// It has so many.
    chunks: usize,
    /// Another site began its last chunk later and was first.
    is_slow: bool,
}

/// A chunk that waits or is worked on.
#[derive(Debug)]
struct Pending {
    frames: u64,
    /// Those that work on it.
    lanes: BTreeSet<LaneId>,
    /// Where it failed, each time.
    failed: Vec<Site>,
}

/// The state of all chunks between opened and delivered.
#[derive(Debug)]
pub struct Dispatch {
    window: u64,
    workers: u32,
    tries: usize,
    ended: bool,
    is_full: bool,
    winds_down: bool,
    pending: BTreeMap<ChunkId, Pending>,
    /// The frames of the longest chunk so far.
    longest: u64,
    done: BTreeSet<ChunkId>,
    lanes: BTreeMap<LaneId, Lane>,
    sites: BTreeMap<Site, Fame>,
    /// The oldest chunk that has not been delivered.
    head: ChunkId,
    finished: u64,
    delivered: u64,
}

impl Dispatch {
    /// At most `window` chunks, at least 1, are between opened and delivered, and for each slot elsewhere eight more, of
    /// which two wait to be done; `workers` are encoded at once on this machine; a chunk that has failed `tries` times, at
    /// least once, is given up.
    pub fn new(window: u64, workers: u32, tries: usize) -> Self {
        Self {
            window: window.max(1),
            workers: workers.min(u32::MAX / 2),
            tries: tries.max(1),
            ended: false,
            is_full: false,
            winds_down: false,
            pending: BTreeMap::new(),
            longest: 1,
            done: BTreeSet::new(),
            lanes: BTreeMap::new(),
            sites: BTreeMap::new(),
            head: ChunkId::default(),
            finished: 0,
            delivered: 0,
        }
    }

    /// Takes an event, returns what follows from it.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Opened(chunk, frames) => {
                self.pending.insert(chunk, Pending { frames, lanes: BTreeSet::new(), failed: Vec::new() });
                self.longest = self.longest.max(frames);
                self.ended = false;
            }
            Event::Known(chunk) => {
                self.done.insert(chunk);
                self.ended = false;
            }
            Event::Ended => self.ended = true,
            Event::WindDown => self.winds_down = true,
            Event::Full(is_full) => self.is_full = is_full,
            Event::Slots(site, slots) => self.sites.entry(site).or_default().slots = slots,
            Event::LaneIdle(lane, site) => {
                self.leave(lane);
                self.lanes.insert(lane, Lane { site, state: Doing::Idle, since: 0 });
            }
            Event::Begun(chunk, lane) => {
                if let Some(lane) = self.lanes.get_mut(&lane).filter(|lane| lane.state == Doing::Holds(chunk)) {
                    lane.state = Doing::Encodes(chunk);
                }
            }
            Event::Done(chunk, lane) => {
                if let Some(site) = self.end(chunk, lane) {
                    let fame = self.sites.entry(site).or_default();
                    (fame.failures, fame.is_slow) = (0, false);
                }
                if let Some(pending) = self.pending.remove(&chunk) {
                    self.done.insert(chunk);
                    self.finished += 1;
                    for other in pending.lanes {
                        self.overtaken(other, lane);
                        self.call_off(chunk, other, &mut actions);
                    }
                }
            }
            Event::Lost(chunk, lane) => drop(self.end(chunk, lane)),
            Event::Failed(chunk, lane) => {
                if let Some(site) = self.end(chunk, lane) {
                    self.doubt(site, &mut actions);
                    self.blame(chunk, site, &mut actions);
                }
            }
            Event::Unable(chunk, lane) => {
                if let Some(site) = self.end(chunk, lane) {
                    self.doubt(site, &mut actions);
                }
            }
            Event::LaneGone(lane) => {
                self.leave(lane);
                self.lanes.remove(&lane);
            }
            Event::Delivered(chunk) => {
                if self.done.remove(&chunk) {
                    self.head = chunk.next();
                    self.delivered += 1;
                }
            }
        }
        self.assign(&mut actions);
        actions
    }

    /// The lane has nothing to do with its chunk any more.
    fn leave(&mut self, lane: LaneId) {
        if let Some(chunk) = self.lanes.get(&lane).and_then(|lane| lane.state.chunk()) {
            self.end(chunk, lane);
        }
    }

    /// An attempt is over; gives the site if it was one that counts.
    fn end(&mut self, chunk: ChunkId, lane: LaneId) -> Option<Site> {
        let at = self.lanes.get_mut(&lane).filter(|lane| lane.state.chunk() == Some(chunk))?;
        at.state = Doing::Ends;
        let site = at.site;
        self.sites.entry(site).or_default().chunks -= 1;
        if let Some(pending) = self.pending.get_mut(&chunk) {
            pending.lanes.remove(&lane);
        }
        Some(site)
    }

    /// This lane has the chunk that the other one has done.
    fn overtaken(&mut self, lane: LaneId, by: LaneId) {
        let (Some(lane), Some(by)) = (self.lanes.get(&lane), self.lanes.get(&by)) else { return };
        if lane.since < by.since {
            self.sites.entry(lane.site).or_default().is_slow = true;
        }
    }

    fn call_off(&mut self, chunk: ChunkId, lane: LaneId, actions: &mut Vec<Action>) {
        if self.end(chunk, lane).is_some() {
            actions.push(Action::CallOff(chunk, lane));
        }
    }

    /// So often a chunk may fail.
    pub fn tries(&self) -> usize {
        self.tries
    }

    /// Of a site that fails again and again nothing more is wanted.
    fn doubt(&mut self, site: Site, actions: &mut Vec<Action>) {
        let fame = self.sites.entry(site).or_default();
        fame.failures += 1;
        // This machine has nobody to leave its work to where it is alone.
        if site != Site::HERE && fame.failures >= PATIENCE && !std::mem::replace(&mut fame.is_aside, true) {
            actions.push(Action::PutAside(site));
        }
    }

    fn blame(&mut self, chunk: ChunkId, site: Site, actions: &mut Vec<Action>) {
        if let Some(pending) = self.pending.get_mut(&chunk) {
            pending.failed.push(site);
            if pending.failed.len() == self.tries {
                actions.push(Action::GiveUp(chunk));
            }
        }
    }

    fn assign(&mut self, actions: &mut Vec<Action>) {
        if self.winds_down {
            return;
        }
        let ahead = self.room_ahead().saturating_add(self.waiting().count() as u64);
        if !self.ended && ahead < u64::from(self.slots_in_all()) {
            self.share(true, actions);
        }
        let waiting: Vec<_> = self.waiting().collect();
        for chunk in waiting {
            let Some(lane) = self.lane_for(chunk) else { continue };
            self.start(chunk, lane, actions);
        }
        let is_stuck = self.room_ahead() == 0 || self.is_full && !self.done.contains(&self.head);
        self.share(!self.ended && !is_stuck, actions);
    }

    /// Lanes that could begin at once do what other sites have, maybe only what is late there.
    fn share(&mut self, late_only: bool, actions: &mut Vec<Action>) {
        let idle: Vec<_> = self.idle().filter(|(_, site)| self.has_slot(*site)).collect();
        for (lane, site) in idle {
            // An earlier one of the same site may have taken the slot.
            if !self.has_slot(site) {
                continue;
            }
            let Some(chunk) = self.of_others(site, late_only) else { continue };
            if let Some(holder) = self.held_by(chunk) {
                self.call_off(chunk, holder, actions);
            }
            self.start(chunk, lane, actions);
        }
    }

    fn start(&mut self, chunk: ChunkId, lane: LaneId, actions: &mut Vec<Action>) {
        let (Some(at), Some(pending)) = (self.lanes.get_mut(&lane), self.pending.get_mut(&chunk)) else { return };
        at.state = if at.site == Site::HERE { Doing::Encodes(chunk) } else { Doing::Holds(chunk) };
        at.since = self.finished;
        pending.lanes.insert(lane);
        self.sites.entry(at.site).or_default().chunks += 1;
        actions.push(Action::Start(chunk, lane));
    }

    /// The lanes that may get a chunk, and their sites.
    fn idle(&self) -> impl Iterator<Item = (LaneId, Site)> + '_ {
        let idle = self.lanes.iter().filter(|(_, lane)| lane.state == Doing::Idle).map(|(id, lane)| (*id, lane.site));
        idle.filter(|(_, site)| self.may_work(*site))
    }

    fn may_work(&self, site: Site) -> bool {
        if site == Site::HERE {
            return self.count(site) < self.most_here();
        }
        !self.is_aside(site)
    }

    /// The site failed too often to get any more.
    pub fn is_aside(&self, site: Site) -> bool {
        self.sites.get(&site).is_some_and(|fame| fame.is_aside)
    }

    /// The lane that gets a chunk that waits: one where it has not failed, while there is such a site, and one that can begin
    /// at once, if any can.
    fn lane_for(&self, chunk: ChunkId) -> Option<LaneId> {
        let failed = &self.pending.get(&chunk)?.failed;
        let is_new = |site: &Site| !failed.contains(site);
        let anywhere_new =
            self.lanes.values().any(|l| is_new(&l.site) && (l.site == Site::HERE || self.may_work(l.site)));
        let idle = || self.idle().filter(|(_, site)| !anywhere_new || is_new(site));
        let lane = idle().find(|(_, site)| self.has_slot(*site)).or_else(|| idle().next());
        lane.map(|(lane, _)| lane)
    }

    /// The site could begin another chunk at once.
    fn has_slot(&self, site: Site) -> bool {
        self.count(site) < self.slots(site)
    }

    fn slots(&self, site: Site) -> usize {
        let slots = if site == Site::HERE { self.workers } else { self.sites.get(&site).map_or(1, |fame| fame.slots) };
        usize::try_from(slots).unwrap_or(usize::MAX)
    }

    /// Its next chunk waits there.
    fn is_full(&self, site: Site) -> bool {
        self.count(site) > self.slots(site)
    }

    /// The chunks a site has.
    fn count(&self, site: Site) -> usize {
        self.sites.get(&site).map_or(0, |fame| fame.chunks)
    }

    fn is_slow(&self, site: Site) -> bool {
        self.sites.get(&site).is_some_and(|fame| fame.is_slow)
    }

    /// A chunk that others have and this site may do as well. Of what is late the oldest one, for which the others wait; else
    /// the newest that is not begun, or the oldest that is, those of slow sites first.
    fn of_others(&self, site: Site, late_only: bool) -> Option<ChunkId> {
        let with = self.pending.iter().map(|(chunk, pending)| {
            let lanes: Vec<_> = pending.lanes.iter().filter_map(|lane| self.lanes.get(lane)).collect();
            (*chunk, lanes)
        });
        let mut others = with.filter(|(chunk, lanes)| {
            let is_open = match lanes[..] {
                [] => false,
                [_] => true,
                // A slow one is no help.
                [a, b] => !self.is_slow(site) && (self.is_slow(a.site) || self.is_slow(b.site)),
                _ => false,
            };
            is_open && lanes.iter().all(|lane| lane.site != site) && self.may_try(*chunk, site)
        });
        let chosen = if late_only {
            others.find(|(_, lanes)| lanes.iter().any(|lane| self.is_late(lane)))
        } else {
            others.max_by_key(|(chunk, lanes)| {
                let is_held = self.held_by(*chunk).is_some();
                let age = if is_held { chunk.0 } else { u64::MAX - chunk.0 };
                (is_held, lanes.iter().all(|lane| self.is_slow(lane.site)), age)
            })
        };
        chosen.map(|(chunk, _)| chunk)
    }

    /// The lane where the chunk waits for a slot, if it is nowhere else.
    fn held_by(&self, chunk: ChunkId) -> Option<LaneId> {
        let lanes = &self.pending.get(&chunk)?.lanes;
        let lane = lanes.first().copied().filter(|_| lanes.len() == 1)?;
        let at = self.lanes.get(&lane)?;
        (matches!(at.state, Doing::Holds(_)) && self.is_full(at.site)).then_some(lane)
    }

    fn is_late(&self, lane: &Lane) -> bool {
        self.finished.saturating_sub(lane.since) >= LATE * u64::from(self.slots_in_all()).max(1)
    }

    fn may_try(&self, chunk: ChunkId, site: Site) -> bool {
        self.pending.get(&chunk).is_some_and(|pending| !pending.failed.contains(&site))
    }

    /// So many lanes are of use on this machine: more chunks than that never run there at once.
    pub fn lanes(workers: u32) -> u32 {
        workers.saturating_mul(2)
    }

    /// So many chunks this machine encodes at once at present.
    fn most_here(&self) -> usize {
        // Those at work are taken to be half done.
        let halves = |chunks: usize| u64::try_from(chunks).unwrap_or(u64::MAX).saturating_mul(self.longest);
        let waiting =
            self.pending.values().filter(|p| p.lanes.is_empty()).fold(0u64, |sum, p| sum.saturating_add(p.frames));
        let left = waiting.saturating_mul(2).saturating_add(halves(self.running()));
        let here = usize::try_from(self.workers).unwrap_or(usize::MAX);
        let elsewhere = self.lanes.values().filter(|lane| lane.site != Site::HERE).count();
        let all = here.saturating_add(elsewhere).saturating_mul(2);
        let is_last = self.ended && left < halves(all.saturating_sub(1).saturating_mul(2));
        if is_last { here.saturating_mul(2) } else { here }
    }

    /// May another chunk be opened?
    pub fn has_room(&self) -> bool {
        (self.pending.len() as u64) < self.window_with(OPEN) && self.room_ahead() > 0
    }

    /// So many more chunks may be opened before the oldest one is done.
    fn room_ahead(&self) -> u64 {
        self.window_with(AHEAD).saturating_sub(self.in_flight())
    }

    fn window_with(&self, each: u64) -> u64 {
        self.window.saturating_add(each.saturating_mul(self.slots_elsewhere().into()))
    }

    fn slots_elsewhere(&self) -> u32 {
        self.sites.values().filter(|fame| !fame.is_aside).fold(0, |sum, fame| sum.saturating_add(fame.slots))
    }

    /// So many chunks are encoded at once, here and elsewhere, but for the last ones.
    pub fn slots_in_all(&self) -> u32 {
        self.workers.saturating_add(self.slots_elsewhere())
    }

    /// The chunks that wait for a lane, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = ChunkId> + Clone + '_ {
        self.pending.iter().filter(|(_, pending)| pending.lanes.is_empty()).map(|(chunk, _)| *chunk)
    }

    /// So many chunks are encoded at once on this machine, but for the last ones.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// How many chunks are with a lane.
    pub fn running(&self) -> usize {
        self.pending.values().filter(|pending| !pending.lanes.is_empty()).count()
    }

    /// All that was with a lane is done, and nothing else is begun.
    pub fn is_wound_down(&self) -> bool {
        self.winds_down && self.running() == 0
    }

    /// Would another chunk start at once?
    pub fn wants_more(&self) -> bool {
        self.waiting().next().is_none() && self.idle().next().is_some()
    }

    /// The chunk whose result is due next, if it is done.
    pub fn due(&self) -> Option<ChunkId> {
        self.done.first().copied().filter(|&chunk| chunk == self.head)
    }

    /// How many chunks wait, run, or are done and not yet handed on.
    pub fn in_flight(&self) -> u64 {
        (self.pending.len() + self.done.len()) as u64
    }

    /// How many chunks have been handed on.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

#[cfg(test)]
mod tests;
