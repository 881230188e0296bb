//! Drives the pure stages: frames in from the sink pad, chunks out to lanes and back, results out to the source pad.
//!
//! Threads: the sink pad's (`push`, `mark`, `section`, `eos`), one a lane, the source pad's task (`next`, `delivered`).
//! Lock order: `state`, then a chunk's input or the budget. `state` is never held over a notice or a lane's work.

mod attempts;
mod finished;
mod scouts;
mod trials;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use self::scouts::Scouts;
pub(super) use self::trials::Gathered;
use super::chunks::{Chunk, Frame, Item, LaneState, State};
use super::model::{CodedChunk, Config, FrameInfo, Goal, Mark, Notice, Output, Section, Stats};
use super::scout::Survey;
use crate::chunk::{ChunkId, Cut, Cutter, FrameTime, Nanos};
use crate::dispatch::{Action, Event, LaneId, Site};
use crate::isolate::Isolation;
use crate::journal::{Key, Pictures, Shelf};
use crate::lane::{Attempt, Budget, ChunkInput, CodedUnit, Encoded, Format, Lane, LaneError, Reservation, Wanted};
use crate::store::Store;

struct Shared {
    config: Config,
    /// A bit rate that the whole stream is to have.
    goal: Option<Goal>,
    budget: Arc<Budget>,
    /// Coded units before they are decoded, and what the encoders made.
    store: Arc<Store>,
    /// Those who look for scenes, if that is asked for.
    scouts: Scouts,
    /// Raw frames that have been read and may be read again.
    frames: Arc<Store>,
    /// Where finished chunks are kept for other runs.
    shelf: Option<Arc<Shelf>>,
    /// The processes in which encoders are tried out, if any.
    isolation: Option<Arc<Isolation>>,
    /// Hashes frames for it.
    pictures: Mutex<Option<Pictures>>,
    state: Mutex<State>,
    /// A chunk may be opened.
    room: Condvar,
    /// A lane has mail.
    work: Condvar,
    /// The source pad has something to do.
    due: Condvar,
    notify: Box<dyn Fn(Notice) + Send + Sync>,
}

/// Of compressed units so many bytes wait in memory.
const IN_MEMORY: u64 = 32 << 20;

/// Those who work on chunks of one kind.
type Lanes = Vec<Box<dyn Lane>>;

/// How a chunk begins.
#[derive(Debug, Clone, Copy)]
enum Opening {
    /// Its frames come one by one.
    Frames,
    /// Its units are there, for so many frames. It does not wait for a lane with many others.
    Units(u64),
    /// So is its result.
    Known,
}

/// One run, from start or flush to stop or flush.
pub(super) struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts a thread for each lane. Those beyond the number of workers are for the last chunks; `scouts` look for scenes.
    pub(super) fn start(
        (config, goal): (Config, Option<Goal>),
        (lanes, scouts): (Lanes, Lanes),
        shelf: Option<Arc<Shelf>>,
        isolation: Option<Arc<Isolation>>,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let window = 2 * u64::from(config.workers) + 2;
        // Of frames that may be read again a quarter may have been read before.
        let most = config.max_buffered_bytes;
        let first = if config.may_lose { most - most / 4 } else { most };
        let store = Store::new(config.max_buffered_bytes.min(IN_MEMORY));
        let shared = Arc::new(Shared {
            budget: Budget::new(first),
            scouts: Scouts::start(scouts, &store)?,
            store,
            frames: Store::new(config.max_buffered_bytes - first),
            shelf,
            isolation,
            pictures: Mutex::default(),
            state: Mutex::new(State::new(&config, window, u32::try_from(lanes.len()).unwrap_or(u32::MAX))),
            room: Condvar::new(),
            work: Condvar::new(),
            due: Condvar::new(),
            notify: Box::new(notify),
            config,
            goal,
        });
        let engine = Self { shared, threads: Mutex::default() };
        for (n, lane) in (0u32..).zip(lanes) {
            let shared = engine.shared.clone();
            let run = move || shared.run_lane(LaneId(n), lane);
            let thread = thread::Builder::new().name(format!("divien-lane-{n}")).spawn(run)?;
            engine.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(engine)
    }

    /// The frames that follow have this format. Ends the open chunk.
    pub(super) fn section(&self, format: Arc<Format>, frame_bytes: u64, new_epoch: bool) -> Result<(), gst::FlowError> {
        let state = self.shared.end_chunk(self.shared.state())?;
        let (number, epoch) = state
            .section
            .as_ref()
            .map_or((0, 0), |s| (s.number + u64::from(s.format.input != format.input), s.epoch + u64::from(new_epoch)));
        drop(state);
        // It may wait for the disk. No other thread begins sections.
        let stamp =
            self.shared.shelf.as_ref().map(|shelf| shelf.stamp(number, &format, self.shared.isolation.as_ref()));
        let mut state = self.shared.state();
        state.flow?;
        let most_held = self.shared.config.max_buffered_bytes / 2 / frame_bytes.max(1);
        state.cutter = Some(match &self.shared.config.cuts {
            Some(cuts) => Cutter::listed(cuts.clone(), state.frames_in),
            None => Cutter::new(self.shared.config.chunk_frames, most_held),
        });
        state.section = Some(Arc::new(Section { format, frame_bytes, epoch, number, stamp }));
        Ok(())
    }

    /// The format of the frames at present.
    pub(super) fn current_section(&self) -> Option<Arc<Section>> {
        self.shared.state().section.clone()
    }

    /// Waits until there is memory for a frame of so many bytes.
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reservation, gst::FlowError> {
        self.shared.reserve(bytes)
    }

    /// Takes a frame; waits while too many chunks are open.
    pub(super) fn push(
        &self,
        buffer: gst::Buffer,
        time: FrameTime,
        forced: Option<Mark>,
        reservation: Reservation,
    ) -> Result<(), gst::FlowError> {
        let picture = self.shared.picture(&buffer)?;
        let mut state = self.shared.state();
        state.flow?;
        let mut marks = std::mem::take(&mut state.pending);
        let is_forced = forced.is_some();
        marks.extend(forced);
        state.frames_in += 1;
        let frame = Frame { buffer, info: FrameInfo { time, marks }, reservation, picture };
        let Some(cutter) = &mut state.cutter else { return Err(gst::FlowError::NotNegotiated) };
        let cuts = cutter.push(frame, is_forced);
        self.shared.apply(state, cuts).map(drop)
    }

    /// How many look for scenes.
    pub(super) fn scouts(&self) -> usize {
        self.shared.scouts.count()
    }

    /// Has units decoded by this format, and looked through for scenes.
    pub(super) fn look(&self, format: Arc<Format>, wanted: Wanted, units: Vec<CodedUnit>) -> Arc<Survey> {
        self.shared.scouts.look(format, wanted, units)
    }

    /// Where coded units wait.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Takes a whole chunk of coded units; waits while too many chunks are open, or their units are too many.
    pub(super) fn push_coded(&self, mut chunk: CodedChunk) -> Result<(), gst::FlowError> {
        if self.shared.goal.is_some() {
            return self.shared.gather(chunk);
        }
        let bytes = chunk.units.iter().map(CodedUnit::size).sum();
        drop(self.shared.reserve(bytes)?);
        let count = chunk.frames.len() as u64;
        let section = self.current_section().ok_or(gst::FlowError::NotNegotiated)?;
        let (key, known) = self.shared.known((&chunk.wanted, &chunk.units), &section)?;
        let marks = chunk.frames.first_mut().map(|frame| &mut frame.marks);
        let opening = if known.is_some() { Opening::Known } else { Opening::Units(count) };
        let mut state = self.shared.begin(self.shared.state(), marks, opening)?;
        state.frames_in += count;
        state.frames_cut += count;
        let id = state.open.take().ok_or(gst::FlowError::Error)?;
        let made_of = (Arc::new(chunk.wanted), chunk.frames, chunk.units);
        self.shared.fill(&mut state, id, made_of, (key, known))
    }

    /// Takes something that keeps its place among the frames.
    pub(super) fn mark(&self, mark: Mark) -> Result<(), gst::FlowError> {
        let mut state = self.shared.state();
        state.flow?;
        if state.open.is_some() {
            state.pending.push(mark);
        } else if !state.gathered.is_empty() {
            state.gathered.push(Gathered::Mark(mark));
        } else {
            state.order.push_back(Item::Mark(mark));
            self.shared.due.notify_all();
        }
        Ok(())
    }

    /// The presentation time of the first frame of the chunk that is open.
    pub(super) fn open_since(&self) -> Option<Nanos> {
        let state = self.shared.state();
        state.chunks.get(&state.open?)?.frames.first().map(|frame| frame.time.pts)
    }

    /// Ends the open chunk: what follows goes after it.
    pub(super) fn end_chunk(&self) -> Result<(), gst::FlowError> {
        self.shared.end_chunk(self.shared.state()).map(drop)
    }

    /// No more frames come.
    pub(super) fn eos(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        drop(self.shared.end_chunk(self.shared.state())?);
        self.shared.try_all()?;
        let mut state = self.shared.state();
        state.flow?;
        state.order.push_back(Item::Eos(event));
        self.shared.happened(&mut state, Event::Ended);
        self.shared.due.notify_all();
        Ok(())
    }

    /// Waits for what comes next on the source pad.
    pub(super) fn next(&self) -> Output {
        let mut state = self.shared.state();
        loop {
            if state.flow.is_err() {
                return Output::Stopped;
            }
            match state.order.front() {
                Some(Item::Chunk(id)) if state.dispatch.due() == Some(*id) => {
                    let id = *id;
                    state.order.pop_front();
                    let is_trial = state.chunks.get(&id).is_some_and(|chunk| chunk.is_trial);
                    if let Some(finished) = state.finished(id) {
                        drop(state);
                        if self.shared.compare_again(id, &finished.encoded).is_err() {
                            return Output::Stopped;
                        }
                        if !is_trial {
                            return Output::Chunk(Box::new(finished));
                        }
                        state = self.shared.was_tried(self.shared.state(), id, finished);
                    }
                }
                Some(Item::Chunk(_)) | None => {
                    state = self.shared.due.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Some(Item::Mark(_) | Item::Tried(_) | Item::Eos(_)) => match state.order.pop_front() {
                    Some(Item::Mark(mark)) => return Output::Mark(mark),
                    Some(Item::Tried(finished)) => return Output::Tried(finished),
                    Some(Item::Eos(event)) => {
                        state.is_done = true;
                        return Output::Eos(event);
                    }
                    _ => {}
                },
            }
        }
    }

    /// The chunk's units are out: others may take its place.
    pub(super) fn delivered(&self, id: ChunkId, frames: u64, result_bytes: u64, bytes: u64) {
        let mut state = self.shared.state();
        self.shared.hold(&mut state, |held| held.saturating_sub(result_bytes));
        state.frames_out += frames;
        state.bytes_out += bytes;
        self.shared.happened(&mut state, Event::Delivered(id));
        self.shared.room.notify_all();
        self.shared.due.notify_all();
    }

    /// Begins no chunk any more; those that are begun come to their end, but for the one whose frames still come.
    pub(super) fn wind_down(&self) {
        let mut state = self.shared.state();
        self.shared.happened(&mut state, Event::WindDown);
        if let Some(chunk) = state.open.and_then(|id| state.chunks.get(&id)) {
            chunk.input.cancel();
        }
        drop(state);
        self.shared.tell_if_wound_down();
    }

    /// Stops everything for this reason, unless it has stopped before. Returns at once.
    pub(super) fn stop(&self, flow: gst::FlowError) {
        self.shared.stop(flow);
    }

    /// Why the engine stopped, if it has.
    pub(super) fn flow(&self) -> Result<(), gst::FlowError> {
        self.shared.state().flow
    }

    /// After [`Self::stop`]: waits until no lane's thread is left.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A lane that panicked has been reported as failed.
            let _ = thread.join();
        }
    }

    /// A machine elsewhere works on `slots` chunks at once; each of them, and the next one, has a lane. `instance` is the
    /// same whenever it comes.
    pub(super) fn add_site(&self, instance: [u8; 16], name: &str, slots: u32) -> (Site, Vec<LaneId>) {
        let mut state = self.shared.state();
        let (site, lanes) = state.add_site(instance, name, slots);
        self.shared.happened(&mut state, Event::Slots(site, slots));
        self.shared.room.notify_all();
        (site, lanes)
    }

    /// The site takes no more chunks. Those that it has go on.
    pub(super) fn close_site(&self, site: Site) {
        let mut state = self.shared.state();
        state.close(site);
        self.shared.happened(&mut state, Event::Slots(site, 0));
    }

    /// The site was lost, and was not sent away.
    pub(super) fn site_lost(&self, site: Site) {
        self.shared.state().machines.lost(site);
    }

    /// The lane is gone, if it is still there.
    pub(super) fn lane_gone(&self, id: LaneId) {
        let mut state = self.shared.state();
        self.shared.happened(&mut state, Event::LaneGone(id));
        state.forget(id);
    }

    /// The site failed too often to get any more.
    pub(super) fn is_aside(&self, site: Site) -> bool {
        self.shared.state().dispatch.is_aside(site)
    }

    /// The next chunk for a lane of a machine elsewhere; `None` when there will be none.
    pub(super) async fn next_attempt(&self, id: LaneId) -> Option<(ChunkId, Attempt, Instant)> {
        let wake = self.shared.state().lanes.get(&id)?.wake.clone()?;
        let mut is_told = false;
        loop {
            {
                let mut state = self.shared.state();
                let lane = state.lanes.get(&id)?;
                let recalled = lane.recalled;
                if state.flow.is_err() || lane.is_over && lane.mail.is_none() {
                    return None;
                }
                if !is_told || recalled {
                    self.shared.is_idle(&mut state, id);
                    is_told = true;
                }
                if let Some(begun) = self.shared.begin_attempt(&mut state, id) {
                    return Some(begun);
                }
            }
            wake.notified().await;
        }
    }

    /// An encoder elsewhere has begun with the chunk.
    pub(super) fn begun(&self, chunk: ChunkId, lane: LaneId) {
        let mut state = self.shared.state();
        self.shared.happened(&mut state, Event::Begun(chunk, lane));
    }

    /// An attempt elsewhere is over.
    pub(super) fn conclude(
        &self,
        lane: LaneId,
        (chunk, attempt, started): (ChunkId, Attempt, Instant),
        outcome: Result<Encoded, LaneError>,
    ) {
        tokio::task::block_in_place(|| self.shared.conclude(lane, chunk, started, &attempt, outcome));
    }

    /// Chunks wait, or are on their way.
    pub(super) fn has_work(&self) -> bool {
        let state = self.shared.state();
        state.flow.is_ok() && (state.dispatch.running() > 0 || state.dispatch.waiting().next().is_some())
    }

    /// All that came has been handed on, and nothing more was to come.
    pub(super) fn is_done(&self) -> bool {
        self.shared.state().is_done
    }

    pub(super) fn stats(&self) -> Stats {
        self.shared.state().stats(self.shared.budget.bytes())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(gst::FlowError::Flushing);
        self.join();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, gst::FlowError> {
        if let Some(reservation) = self.budget.try_reserve(bytes) {
            return Ok(reservation);
        }
        let short = {
            let mut state = self.state();
            let short = !state.said_short && state.dispatch.wants_more();
            state.said_short |= short;
            short
        };
        if short {
            (self.notify)(Notice::Short { most: self.config.max_buffered_bytes });
        }
        self.budget.reserve(bytes).map_err(|_| self.state().flow.err().unwrap_or(gst::FlowError::Flushing))
    }

    fn end_chunk<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>, gst::FlowError> {
        state.flow?;
        let cuts = state.cutter.as_mut().map(Cutter::finish).unwrap_or_default();
        let mut state = self.apply(state, cuts)?;
        let pending = std::mem::take(&mut state.pending);
        state.order.extend(pending.into_iter().map(Item::Mark));
        self.due.notify_all();
        Ok(state)
    }

    fn apply<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        cuts: Vec<Cut<Frame>>,
    ) -> Result<MutexGuard<'a, State>, gst::FlowError> {
        let mut cuts = cuts.into_iter().peekable();
        while let Some(cut) = cuts.next() {
            match cut {
                Cut::Open => {
                    let marks = match cuts.peek_mut() {
                        Some(Cut::Frame(first)) => Some(&mut first.info.marks),
                        _ => None,
                    };
                    state = self.begin(state, marks, Opening::Frames)?;
                }
                Cut::Frame(frame) => {
                    let chunk = state.open.and_then(|id| state.chunks.get_mut(&id)).ok_or(gst::FlowError::Error)?;
                    chunk.add(frame);
                    state.frames_cut += 1;
                }
                Cut::Close => {
                    if let Some(id) = state.open.take()
                        && let Some(chunk) = state.chunks.get(&id)
                    {
                        chunk.input.end();
                        if chunk.is_known {
                            state = self.compare(state, id)?;
                        }
                    }
                }
            }
        }
        Ok(state)
    }

    /// Opens a chunk whose first frame has these marks, once there is room for it.
    fn begin<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        marks: Option<&mut Vec<Mark>>,
        opening: Opening,
    ) -> Result<MutexGuard<'a, State>, gst::FlowError> {
        // What stands before a chunk does not wait for the chunk.
        if let Some(marks) = marks {
            state.lead_with(marks);
            self.due.notify_all();
        }
        // Finished results have a budget of their own, as large as that of the frames.
        let full = |s: &mut State| {
            let room = s.dispatch.has_room() && !self.is_full(s);
            s.flow.is_ok() && (!room || matches!(opening, Opening::Units(_)) && s.has_enough_waiting())
        };
        state = self.room.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        state.flow?;
        self.open(state, opening)
    }

    fn open<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        opening: Opening,
    ) -> Result<MutexGuard<'a, State>, gst::FlowError> {
        let section = state.section.clone().ok_or(gst::FlowError::NotNegotiated)?;
        let id = state.next_chunk;
        state.next_chunk = id.next();
        state.is_done = false;
        let is_known = match opening {
            Opening::Known => true,
            Opening::Units(_) => false,
            Opening::Frames => {
                drop(state);
                let is_known = self.has(id)?;
                state = self.state();
                state.flow?;
                is_known
            }
        };
        let chunk = Chunk {
            section,
            first_frame: state.frames_cut,
            frames: Vec::new(),
            input: Arc::new(if self.config.may_lose {
                ChunkInput::kept(self.frames.clone())
            } else {
                ChunkInput::default()
            }),
            wanted: None,
            coded: 0,
            result: None,
            doubted: Vec::new(),
            key: self.shelf.is_some().then(Key::default),
            is_first: id == ChunkId::default(),
            is_trial: false,
            is_known,
        };
        state.chunks.insert(id, chunk);
        state.open = Some(id);
        state.order.push_back(Item::Chunk(id));
        match opening {
            Opening::Units(frames) => drop(self.happened(&mut state, Event::Opened(id, frames))),
            Opening::Frames if !is_known => {
                self.happened(&mut state, Event::Opened(id, self.config.chunk_frames));
            }
            // No lane has anything to do with it.
            Opening::Frames | Opening::Known => {}
        }
        Ok(state)
    }

    /// Gives a chunk that was opened its units, or its result.
    fn fill(
        &self,
        state: &mut State,
        id: ChunkId,
        (wanted, frames, units): (Arc<Wanted>, Vec<FrameInfo>, Vec<CodedUnit>),
        (key, known): (Option<Key>, Option<Encoded>),
    ) -> Result<(), gst::FlowError> {
        let open = state.chunks.get_mut(&id).ok_or(gst::FlowError::Error)?;
        (open.wanted, open.frames, open.key) = (Some(wanted), frames, key);
        if let Some(encoded) = known {
            self.was_known(state, id, encoded);
            return Ok(());
        }
        open.coded = units.iter().map(CodedUnit::size).sum();
        for unit in units {
            let counted = self.budget.count(unit.size());
            open.input.push_unit(unit, counted);
        }
        open.input.end();
        Ok(())
    }

    fn is_full(&self, state: &State) -> bool {
        state.result_bytes >= self.config.max_buffered_bytes
    }

    /// Finished results take more memory, or less.
    fn hold(&self, state: &mut State, change: impl FnOnce(u64) -> u64) {
        let before = self.is_full(state);
        state.result_bytes = change(state.result_bytes);
        let is_full = self.is_full(state);
        if is_full != before {
            self.happened(state, Event::Full(is_full));
        }
    }

    /// Tells `dispatch`, and does what follows from it.
    fn happened(&self, state: &mut State, event: Event) -> Vec<Action> {
        let actions = state.handle(event);
        self.act(state, &actions);
        actions
    }

    fn act(&self, state: &mut State, actions: &[Action]) {
        for action in actions {
            match *action {
                Action::Start(chunk, lane) => {
                    if let Some(lane) = state.lanes.get_mut(&lane) {
                        lane.mail = Some(chunk);
                        lane.wake();
                    }
                }
                Action::CallOff(chunk, lane) => {
                    if let Some(lane) = state.lanes.get_mut(&lane) {
                        lane.recalled = lane.mail.take_if(|mail| *mail == chunk).is_some();
                        lane.cancel.iter().for_each(|cancel| cancel.cancel());
                        lane.wake();
                    }
                }
                Action::PutAside(site) => state.close(site),
                // Told by the lane that failed last.
                Action::GiveUp(_) => {}
            }
        }
        if !actions.is_empty() {
            self.work.notify_all();
            self.room.notify_all();
        }
    }

    fn stop(&self, flow: gst::FlowError) {
        let (inputs, cancels): (Vec<_>, Vec<_>) = {
            let mut state = self.state();
            if state.flow.is_ok() {
                state.flow = Err(flow);
            }
            let inputs = state.chunks.values().map(|chunk| chunk.input.clone()).collect();
            state.lanes.values().for_each(LaneState::wake);
            (inputs, state.lanes.values().filter_map(|lane| lane.cancel.clone()).collect())
        };
        self.scouts.stop();
        self.budget.cancel();
        self.room.notify_all();
        self.work.notify_all();
        self.due.notify_all();
        inputs.into_iter().for_each(|input| input.cancel());
        cancels.into_iter().for_each(|cancel| cancel.cancel());
    }
}
