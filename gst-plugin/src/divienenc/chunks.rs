//! What the engine knows of the chunks on their way, the lanes, and the order in which all leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::engine::Gathered;
use super::machines::Machines;
use super::model::{Config, Finished, FrameInfo, LaneStats, LostFrames, Mark, Round, Section, Stats};
use crate::chunk::{ChunkId, Cutter, Nanos};
use crate::dispatch::{Action, Dispatch, Event, LaneId, Site};
use crate::journal::{Hash, Key};
use crate::lane::{Cancel, ChunkInput, Encoded, LaneError, Lost, Progress, Reservation, Wanted};

/// Chunks of coded units that are read before a lane is free for them: so many always, and one more than there are
/// workers while they are small, so that the end of the input is seen before its last chunks are begun.
const MOST_WAITING: usize = 2;
const SMALL: u64 = 32 << 20;

/// So often machines may find other frames of a chunk that cannot be decoded.
const MOST_DOUBTED: usize = 3;
const DISAGREE: &str = "other frames of it cannot be decoded each time";

/// So often a chunk may fail where its frames are kept for that. A lane of this process alone takes them for good: no other
/// lane could begin with them again.
const TRIES: usize = 3;

pub(super) struct Frame {
    pub(super) buffer: gst::Buffer,
    pub(super) info: FrameInfo,
    pub(super) reservation: Reservation,
    /// What its picture is, where finished chunks are kept.
    pub(super) picture: Option<Hash>,
}

pub(super) struct Chunk {
    pub(super) section: Arc<Section>,
    pub(super) first_frame: u64,
    pub(super) frames: Vec<FrameInfo>,
    pub(super) input: Arc<ChunkInput>,
    /// Of a chunk of coded units.
    pub(super) wanted: Option<Arc<Wanted>>,
    /// Bytes of its units.
    pub(super) coded: u64,
    pub(super) result: Option<(Encoded, LaneId, Duration)>,
    /// What machines elsewhere said could not be decoded of it, as long as no two of them agree.
    pub(super) doubted: Vec<Lost>,
    /// What it is made of, where finished chunks are kept.
    pub(super) key: Option<Key>,
    /// It begins the stream, and has no lead-in.
    pub(super) is_first: bool,
    /// Its result goes back to who asked for it.
    pub(super) is_trial: bool,
    /// Its result is there already, and its frames come only to be compared with those it is of.
    pub(super) is_known: bool,
}

pub(super) enum Item {
    Mark(Mark),
    Chunk(ChunkId),
    /// One that was tried before all were known.
    Tried(Box<Finished>),
    Eos(gst::Event),
}

#[derive(Default)]
pub(super) struct LaneState {
    pub(super) site: Site,
    /// Wakes a lane that is no thread.
    pub(super) wake: Option<Arc<Notify>>,
    /// It gets nothing any more.
    pub(super) is_over: bool,
    pub(super) mail: Option<ChunkId>,
    /// Its mail was taken back before it was read.
    pub(super) recalled: bool,
    pub(super) chunks: u64,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) busy: Duration,
    pub(super) current: Option<(Arc<Progress>, Instant)>,
    /// Calls off what it does at present.
    pub(super) cancel: Option<Arc<Cancel>>,
    /// The frames of the present chunk, where they are known.
    pub(super) length: Option<u64>,
}

impl LaneState {
    /// A lane that is no thread looks what has changed.
    pub(super) fn wake(&self) {
        self.wake.iter().for_each(|wake| wake.notify_one());
    }
}

pub(super) struct State {
    pub(super) flow: Result<(), gst::FlowError>,
    pub(super) section: Option<Arc<Section>>,
    pub(super) cutter: Option<Cutter<Frame>>,
    pub(super) dispatch: Dispatch,
    /// How long workers have had a chunk, all together, up to the moment beside it.
    pub(super) worked: (Duration, Instant),
    pub(super) chunks: BTreeMap<ChunkId, Chunk>,
    pub(super) open: Option<ChunkId>,
    pub(super) next_chunk: ChunkId,
    pub(super) order: VecDeque<Item>,
    pub(super) pending: Vec<Mark>,
    pub(super) lanes: BTreeMap<LaneId, LaneState>,
    next_lane: u32,
    /// What the lanes of machines elsewhere did that are gone, by the machines' numbers.
    gone: BTreeMap<usize, LaneStats>,
    /// Those elsewhere.
    pub(super) machines: Machines,
    /// All that came has been handed on, and nothing more was to come.
    pub(super) is_done: bool,
    pub(super) result_bytes: u64,
    pub(super) frames_cut: u64,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) bytes_out: u64,
    pub(super) said_short: bool,
    pub(super) said_wound_down: bool,
    /// What waits until the whole stream is known.
    pub(super) gathered: Vec<Gathered>,
    /// Trials that have come back.
    pub(super) tried: BTreeMap<ChunkId, Finished>,
    pub(super) round: Round,
}

impl State {
    pub(super) fn new(config: &Config, window: u64, lanes: u32) -> Self {
        Self {
            flow: Ok(()),
            section: None,
            cutter: None,
            dispatch: Dispatch::new(window, config.workers, if config.may_lose { TRIES } else { 1 }),
            worked: (Duration::ZERO, Instant::now()),
            chunks: BTreeMap::new(),
            open: None,
            next_chunk: ChunkId::default(),
            order: VecDeque::new(),
            pending: Vec::new(),
            lanes: (0..lanes).map(|number| (LaneId(number), LaneState::default())).collect(),
            next_lane: lanes,
            gone: BTreeMap::new(),
            machines: Machines::default(),
            is_done: false,
            result_bytes: 0,
            frames_cut: 0,
            frames_in: 0,
            frames_out: 0,
            bytes_out: 0,
            said_short: false,
            said_wound_down: false,
            gathered: Vec::new(),
            tried: BTreeMap::new(),
            round: Round::default(),
        }
    }

    /// Of the marks of a chunk's first frame, events go out before the chunk.
    pub(super) fn lead_with(&mut self, marks: &mut Vec<Mark>) {
        let (before, at): (Vec<_>, _) = std::mem::take(marks).into_iter().partition(|m| matches!(m, Mark::Event(_)));
        *marks = at;
        self.order.extend(before.into_iter().map(Item::Mark));
    }

    pub(super) fn handle(&mut self, event: Event) -> Vec<Action> {
        self.worked = (self.worked(), Instant::now());
        self.dispatch.handle(event)
    }

    pub(super) fn add_site(&mut self, instance: [u8; 16], name: &str, slots: u32) -> (Site, Vec<LaneId>) {
        let site = self.machines.meet(instance, name, slots);
        let first = self.next_lane;
        self.next_lane = first.saturating_add(slots).saturating_add(1);
        let lanes: Vec<_> = (first..self.next_lane).map(LaneId).collect();
        let state = || LaneState { site, wake: Some(Arc::default()), ..LaneState::default() };
        self.lanes.extend(lanes.iter().map(|lane| (*lane, state())));
        (site, lanes)
    }

    /// A lane elsewhere is gone; what it did is its machine's.
    pub(super) fn forget(&mut self, lane: LaneId) {
        let Some(lane) = self.lanes.remove(&lane) else { return };
        let Some(machine) = self.machines.number(lane.site) else { return };
        let all = self.gone.entry(machine).or_insert(LaneStats { machine: Some(machine), ..LaneStats::default() });
        all.chunks += lane.chunks;
        all.frames += lane.frames;
        all.bytes += lane.bytes;
        all.busy += lane.busy;
    }

    /// The lanes of this site get nothing any more.
    pub(super) fn close(&mut self, site: Site) {
        for lane in self.lanes.values_mut().filter(|lane| lane.site == site) {
            lane.is_over = true;
            lane.wake();
        }
        self.machines.part(site);
    }

    /// Enough chunks of coded units wait for a lane.
    pub(super) fn has_enough_waiting(&self) -> bool {
        let waiting = self.dispatch.waiting();
        let most = usize::try_from(self.dispatch.slots_in_all()).unwrap_or(usize::MAX).saturating_add(1);
        let bytes = || waiting.clone().filter_map(|id| self.chunks.get(&id)).map(|chunk| chunk.coded).sum::<u64>();
        let count = waiting.clone().count();
        count >= MOST_WAITING && (count >= most || bytes() >= SMALL)
    }

    fn worked(&self) -> Duration {
        let (before, since) = self.worked;
        let at_work = u32::try_from(self.dispatch.running()).unwrap_or(u32::MAX).min(self.dispatch.slots_in_all());
        before + since.elapsed() * at_work
    }

    pub(super) fn stats(&self, bytes_buffered: u64) -> Stats {
        let lane = |l: &LaneState| LaneStats {
            chunks: l.chunks,
            frames: l.frames + l.current.as_ref().map_or(0, |(p, _)| p.units()),
            bytes: l.bytes + l.current.as_ref().map_or(0, |(p, _)| p.bytes()),
            busy: l.busy + l.current.as_ref().map_or(Duration::ZERO, |(_, since)| since.elapsed()),
            current: l.current.as_ref().map(|(p, _)| p.units()),
            length: l.length,
            machine: self.machines.number(l.site),
        };
        Stats {
            workers: self.dispatch.slots_in_all(),
            worked: self.worked(),
            chunks_done: self.dispatch.delivered(),
            chunks_in_flight: self.dispatch.in_flight(),
            frames_in: self.frames_in,
            frames_out: self.frames_out,
            bytes_out: self.bytes_out,
            bytes_buffered,
            round: self.round,
            lanes: self.lanes.values().map(lane).chain(self.gone.values().copied()).collect(),
            machines: self.machines.stats(),
        }
    }

    /// Takes a chunk that is done out.
    pub(super) fn finished(&mut self, id: ChunkId) -> Option<Finished> {
        let chunk = self.chunks.remove(&id)?;
        let (encoded, lane, time) = chunk.result?;
        let (section, mut frames, first_frame) = (chunk.section, chunk.frames, chunk.first_frame);
        let mut lost = LostFrames { strange: encoded.lost.strange, ..LostFrames::default() };
        if let Some(wanted) = &chunk.wanted {
            let numbered =
                |times: &[Nanos]| times.iter().filter_map(|pts| Some((wanted.number(*pts)?, *pts))).collect();
            (lost.missing, lost.damaged) = (numbered(&encoded.lost.missing), numbered(&encoded.lost.damaged));
            lost.unreachable = numbered(&encoded.lost.unreachable);
            let gone: BTreeSet<Nanos> = encoded.lost.gone().collect();
            let mut marks = Vec::new();
            frames = wanted
                .times()
                .zip(frames)
                .filter_map(|(pts, mut frame)| {
                    marks.append(&mut frame.marks);
                    let is_there = !gone.contains(&pts);
                    is_there.then(|| FrameInfo { marks: std::mem::take(&mut marks), ..frame })
                })
                .collect();
            // What stood before frames that are not there goes behind the chunk.
            marks.into_iter().rev().for_each(|mark| self.order.push_front(Item::Mark(mark)));
        }
        Some(Finished { id, lane, time, first_frame, section, frames, lost, encoded })
    }
}

impl Chunk {
    /// What another machine found. That the input is damaged is believed when it is said twice: it may be the machine's fault.
    pub(super) fn believed(&mut self, encoded: Encoded) -> Result<Encoded, LaneError> {
        if encoded.lost == Lost::default() || self.doubted.contains(&encoded.lost) {
            return Ok(encoded);
        }
        if self.doubted.len() + 1 == MOST_DOUBTED {
            return Err(LaneError::Elsewhere(DISAGREE.into()));
        }
        self.doubted.push(encoded.lost);
        Err(LaneError::Lost(DISAGREE.into()))
    }

    /// The lane's time stamps count from the chunk's first frame, so that its bytes do not depend on where it stands.
    pub(super) fn add(&mut self, frame: Frame) {
        let Frame { mut buffer, info, reservation, picture } = frame;
        let base = self.frames.first().map_or(info.time.pts, |first| first.time.pts);
        let from_first = info.time.pts.saturating_sub(base);
        if let (Some(key), Some(picture)) = (&mut self.key, &picture) {
            key.add_frame(from_first, info.time.duration, picture);
        }
        let pts = gst::ClockTime::from_nseconds(from_first);
        let writable = buffer.make_mut();
        writable.set_pts(pts);
        writable.set_dts(gst::ClockTime::NONE);
        writable.set_duration(info.time.duration.map(gst::ClockTime::from_nseconds));
        self.frames.push(info);
        if !self.is_known {
            self.input.push(buffer, reservation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_comes_and_goes_takes_no_room_and_keeps_what_it_did() {
        let config = Config {
            workers: 1,
            has_elsewhere: true,
            may_lose: true,
            chunk_frames: 10,
            max_buffered_bytes: 1 << 20,
            cuts: None,
        };
        let mut state = State::new(&config, 4, 1);
        for time in 1..=100 {
            let (site, lanes) = state.add_site([7; 16], "bee", 3);
            assert_eq!(lanes.len(), 4);
            for lane in &lanes {
                let lane = state.lanes.get_mut(lane).unwrap();
                (lane.chunks, lane.frames) = (1, 25);
            }
            state.close(site);
            lanes.into_iter().for_each(|lane| state.forget(lane));
            let stats = state.stats(0);
            let elsewhere: Vec<_> = stats.lanes.iter().filter(|lane| lane.machine == Some(0)).collect();
            assert_eq!((stats.lanes.len(), stats.machines.len(), elsewhere.len()), (2, 1, 1));
            assert_eq!((elsewhere[0].chunks, elsewhere[0].frames), (4 * time, 100 * time));
        }
    }
}
