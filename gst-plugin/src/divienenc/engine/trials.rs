//! A bit rate for the whole stream: chunks are gathered until all are known, tried as [`budget`](crate::budget) wants it, and
//! leave when each has its quality.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{Engine, Opening, Shared};
use crate::budget::{Planner, Quality, Setting, Trial};
use crate::chunk::{ChunkId, FrameTime};
use crate::dispatch::Event;
use crate::divienenc::chunks::{Item, State};
use crate::divienenc::flow::UNKNOWN_FRAME_DURATION;
use crate::divienenc::imp::CAT;
use crate::divienenc::model::{CodedChunk, Finished, FrameInfo, Goal, Mark, Means, Notice, Round, Section};
use crate::lane::coding::codec;
use crate::lane::{CodedUnit, Encoded, Format, LaneError, Wanted};
use crate::stitch::headers::Joiner;

/// What waits until the whole stream is known.
pub(in crate::divienenc) enum Gathered {
    Chunk(Part),
    Mark(Mark),
}

/// A chunk that is encoded more than once.
pub(in crate::divienenc) struct Part {
    section: Arc<Section>,
    first_frame: u64,
    wanted: Arc<Wanted>,
    frames: Vec<FrameInfo>,
    units: Vec<CodedUnit>,
}

/// The sections of trials, each with an encoder of its own in place of the stream's.
type Sections = BTreeMap<(u64, u64, Setting, Quality), Arc<Section>>;

impl Shared {
    /// Keeps a chunk until all are known.
    pub(super) fn gather(&self, chunk: CodedChunk) -> Result<(), gst::FlowError> {
        let CodedChunk { wanted, frames, units } = chunk;
        let mut state = self.state();
        state.flow?;
        let section = state.section.clone().ok_or(gst::FlowError::NotNegotiated)?;
        let (first_frame, count) = (state.frames_cut, frames.len() as u64);
        state.frames_cut += count;
        state.frames_in += count;
        let wanted = Arc::new(wanted);
        state.gathered.push(Gathered::Chunk(Part { section, first_frame, wanted, frames, units }));
        Ok(())
    }

    /// All chunks are known: they are tried until each has its quality, and then they are on their way out.
    pub(super) fn try_all(&self) -> Result<(), gst::FlowError> {
        let Some(goal) = &self.goal else { return Ok(()) };
        let gathered = {
            let mut state = self.state();
            state.flow?;
            std::mem::take(&mut state.gathered)
        };
        let parts: Vec<&Part> = gathered.iter().filter_map(Gathered::part).collect();
        let frames = || parts.iter().flat_map(|part| &part.frames).map(|frame| frame.time);
        let mut planner = Planner::new(goal.target, duration(frames()), parts.len());
        let (mut results, mut sections) = (BTreeMap::new(), Sections::new());
        loop {
            let trials = planner.next_trials();
            if trials.is_empty() {
                break;
            }
            let frames = |trial: &Trial| parts.get(trial.chunk).map_or(0, |part| part.frames.len() as u64);
            gst::info!(CAT, "{} of {} chunks are tried: {trials:?}", trials.len(), parts.len());
            self.state().round.begin(trials.iter().map(frames).sum());
            for (trial, finished) in self.try_out(goal, &parts, trials, &mut sections)? {
                let bytes = payload(&finished.encoded, trial.chunk == 0).map_err(|error| {
                    let error = LaneError::Unkept { error: error.to_string() };
                    let (id, lane, first_frame) = (finished.id, finished.lane, finished.first_frame);
                    let frames = finished.frames.len() as u64;
                    (self.notify)(Notice::Failed { id, first_frame, frames, lane, times: 1, error });
                    self.stop(gst::FlowError::Error);
                    gst::FlowError::Error
                })?;
                planner.learn(trial, bytes);
                if trial.setting == Setting::Wanted {
                    results.insert(trial, finished);
                }
            }
        }
        if planner.off().abs() > goal.target.tolerance && !parts.is_empty() {
            (self.notify)(Notice::Misses {
                wanted: planner.wanted(),
                off: planner.off(),
                is_at_the_end: planner.is_at_the_end(),
            });
        }
        let mut chosen: VecDeque<Finished> =
            planner.chosen().iter().filter_map(|trial| results.remove(trial)).collect();
        let mut state = self.state();
        state.flow?;
        let mut number = ChunkId::default();
        for gathered in gathered {
            match gathered {
                Gathered::Mark(mark) => state.order.push_back(Item::Mark(mark)),
                Gathered::Chunk(part) => {
                    let finished = chosen.pop_front().ok_or(gst::FlowError::Error)?;
                    leave(&mut state, part, Finished { id: number, ..finished });
                    number = number.next();
                }
            }
        }
        self.due.notify_all();
        Ok(())
    }

    /// Has chunks encoded; gives them back when all are.
    fn try_out(
        &self,
        goal: &Goal,
        parts: &[&Part],
        trials: Vec<Trial>,
        sections: &mut Sections,
    ) -> Result<Vec<(Trial, Finished)>, gst::FlowError> {
        let mut asked = Vec::new();
        for trial in trials {
            let Some(part) = parts.get(trial.chunk) else { continue };
            let section = self.section_for(goal, &part.section, &trial, sections)?;
            asked.push((trial, self.try_one(part, section, trial.chunk == 0)?));
        }
        let mut state = self.state();
        self.happened(&mut state, Event::Ended);
        let mut all = Vec::new();
        for (trial, id) in asked {
            let missing = |state: &mut State| state.flow.is_ok() && !state.tried.contains_key(&id);
            state = self.room.wait_while(state, missing).unwrap_or_else(PoisonError::into_inner);
            state.flow?;
            all.extend(state.tried.remove(&id).map(|finished| (trial, finished)));
        }
        Ok(all)
    }

    /// The section with the trial's encoder.
    fn section_for(
        &self,
        goal: &Goal,
        base: &Arc<Section>,
        trial: &Trial,
        sections: &mut Sections,
    ) -> Result<Arc<Section>, gst::FlowError> {
        let key = (base.number, base.epoch, trial.setting, trial.quality);
        if let Some(section) = sections.get(&key) {
            return Ok(section.clone());
        }
        let Means { encoder, filter } = (goal.means)(trial.setting, trial.quality).map_err(|why| {
            (self.notify)(Notice::Job { why });
            self.stop(gst::FlowError::Error);
            gst::FlowError::Error
        })?;
        let lead_in = if trial.setting == Setting::Analysis { 0 } else { base.format.lead_in };
        let format = Arc::new(Format { encoder, filter, lead_in, ..(*base.format).clone() });
        let stamp = base.stamp.as_ref().map(|stamp| stamp.with(&format)).transpose();
        let stamp = stamp.map_err(|error| self.end_job(error))?.map(Arc::new);
        let Section { frame_bytes, epoch, number, .. } = **base;
        let section = Arc::new(Section { format, frame_bytes, epoch, number, stamp });
        sections.insert(key, section.clone());
        Ok(section)
    }

    /// Opens a chunk that goes back to [`Self::try_all`]. Trials come in the same order in each run, so that the next one
    /// finds by its number what this one keeps.
    fn try_one(&self, part: &Part, section: Arc<Section>, is_first: bool) -> Result<ChunkId, gst::FlowError> {
        let frames = part.frames.iter().map(|frame| FrameInfo { time: frame.time, marks: Vec::new() }).collect();
        let (key, known) = self.known((&part.wanted, &part.units), &section)?;
        let count = part.frames.len() as u64;
        let opening = if known.is_some() { Opening::Known } else { Opening::Units(count) };
        let mut state = self.begin(self.state(), None, opening)?;
        if known.is_some() {
            // No encoder gives back its frames.
            state.round.frames = state.round.frames.saturating_sub(count);
        }
        let id = state.open.take().ok_or(gst::FlowError::Error)?;
        let open = state.chunks.get_mut(&id).ok_or(gst::FlowError::Error)?;
        (open.section, open.first_frame, open.is_first, open.is_trial) = (section, part.first_frame, is_first, true);
        self.fill(&mut state, id, (part.wanted.clone(), frames, part.units.clone()), (key, known))?;
        Ok(id)
    }

    /// A trial has come back.
    pub(super) fn was_tried<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        id: ChunkId,
        finished: Finished,
    ) -> MutexGuard<'a, State> {
        let bytes = finished.encoded.bytes();
        // Its units wait where those of the input do, and have had their turn.
        self.hold(&mut state, |held| held.saturating_sub(bytes));
        state.tried.insert(id, finished);
        self.happened(&mut state, Event::Delivered(id));
        self.room.notify_all();
        state
    }
}

impl Engine {
    /// The units of a chunk that was tried are out.
    pub(in crate::divienenc) fn handed_on(&self, frames: u64, bytes: u64) {
        let mut state = self.shared.state();
        state.frames_out += frames;
        state.bytes_out += bytes;
    }
}

impl Gathered {
    fn part(&self) -> Option<&Part> {
        match self {
            Self::Chunk(part) => Some(part),
            Self::Mark(_) => None,
        }
    }
}

impl Round {
    fn begin(&mut self, frames: u64) {
        self.number += 1;
        self.before += self.frames;
        self.frames = frames;
    }
}

/// A chunk leaves, with what stood among its frames.
fn leave(state: &mut State, part: Part, finished: Finished) {
    let mut there = finished.frames.into_iter().peekable();
    let (mut frames, mut marks) = (Vec::new(), Vec::new());
    for frame in part.frames {
        marks.extend(frame.marks);
        if let Some(own) = there.next_if(|own| own.time == frame.time) {
            frames.push(FrameInfo { marks: std::mem::take(&mut marks), ..own });
        }
    }
    // What stands before a chunk does not wait for the chunk.
    if let Some(first) = frames.first_mut() {
        state.lead_with(&mut first.marks);
    }
    state.order.push_back(Item::Tried(Box::new(Finished { section: part.section, frames, ..finished })));
    state.order.extend(marks.into_iter().map(Item::Mark));
}

/// From the first frame's begin to the last one's end, in nanoseconds.
fn duration(mut times: impl Iterator<Item = FrameTime> + Clone) -> u64 {
    let (count, Some(first)) = (times.clone().count() as u64, times.next()) else { return 0 };
    let last = times.last().unwrap_or(first);
    let whole = last.pts.saturating_sub(first.pts);
    let usual = match count {
        // Of a single frame nothing tells.
        1 => UNKNOWN_FRAME_DURATION.nseconds(),
        frames => whole / (frames - 1),
    };
    whole + last.duration.unwrap_or(usual)
}

/// The bytes of a result's pictures, and of who made them, which the stream's first unit says.
fn payload(encoded: &Encoded, is_first: bool) -> std::io::Result<u64> {
    let joiner = Joiner::new(codec(&encoded.caps));
    (0..).zip(&encoded.units).try_fold(0, |all, (number, kept)| {
        let unit = kept.unit()?;
        let bytes = unit.map_readable().map_err(std::io::Error::other)?;
        Ok(all + joiner.payload(&bytes, is_first && number == 0) as u64)
    })
}
