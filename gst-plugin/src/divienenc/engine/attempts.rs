//! How lanes get chunks, and what becomes of their attempts.

use std::panic::{self, AssertUnwindSafe};
use std::sync::PoisonError;
use std::time::Instant;

use super::Shared;
use super::finished::Unkeyed;
use crate::chunk::ChunkId;
use crate::dispatch::{Action, Event, LaneId, Site};
use crate::divienenc::chunks::{LaneState, State};
use crate::divienenc::model::Notice;
use crate::lane::{Attempt, Encoded, Lane, LaneError, Outlet};

impl Shared {
    pub(super) fn run_lane(&self, id: LaneId, mut lane: Box<dyn Lane>) {
        while let Some((chunk, attempt, started)) = self.next_attempt(id) {
            let encode = AssertUnwindSafe(|| lane.encode(&attempt));
            let outcome = panic::catch_unwind(encode).unwrap_or(Err(LaneError::Panicked));
            self.conclude(id, chunk, started, &attempt, outcome);
        }
    }

    pub(super) fn conclude(
        &self,
        id: LaneId,
        chunk: ChunkId,
        started: Instant,
        attempt: &Attempt,
        outcome: Result<Encoded, LaneError>,
    ) {
        let is_called_off = matches!(outcome, Err(LaneError::Cancelled));
        let outcome = outcome.and_then(|encoded| self.kept(id, chunk, attempt, encoded));
        let notices = self.settle(id, chunk, started, attempt, outcome);
        // Of a chunk that is done nothing waits any more.
        if !is_called_off {
            attempt.input.input().set_aside();
        }
        for notice in notices {
            let is_over = matches!(notice, Notice::Failed { .. });
            (self.notify)(notice);
            if is_over {
                self.stop(gst::FlowError::Error);
            }
        }
        self.tell_if_wound_down();
    }

    pub(super) fn tell_if_wound_down(&self) {
        let mut state = self.state();
        if state.dispatch.is_wound_down() && !std::mem::replace(&mut state.said_wound_down, true) {
            drop(state);
            (self.notify)(Notice::WoundDown);
        }
    }

    fn next_attempt(&self, id: LaneId) -> Option<(ChunkId, Attempt, Instant)> {
        let mut state = self.state();
        loop {
            self.is_idle(&mut state, id);
            let nothing = |l: &LaneState| l.mail.is_none() && !l.recalled;
            let idle = |s: &mut State| s.flow.is_ok() && s.lanes.get(&id).is_some_and(nothing);
            state = self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            state.flow.ok()?;
            if let Some(begun) = self.begin_attempt(&mut state, id) {
                return Some(begun);
            }
        }
    }

    pub(super) fn is_idle(&self, state: &mut State, id: LaneId) {
        let Some(site) = state.lanes.get(&id).map(|lane| lane.site) else { return };
        self.happened(state, Event::LaneIdle(id, site));
    }

    /// What the lane's mail asks for; `None` where it was taken back, or nothing came.
    pub(super) fn begin_attempt(&self, state: &mut State, id: LaneId) -> Option<(ChunkId, Attempt, Instant)> {
        let lane = state.lanes.get_mut(&id)?;
        lane.recalled = false;
        let chunk_id = lane.mail.take()?;
        let chunk = state.chunks.get(&chunk_id)?;
        let (format, result) = (chunk.section.format.clone(), Outlet::Store(self.store.clone()));
        let attempt = Attempt {
            is_first: chunk.is_first,
            ..Attempt::new(format, chunk.input.clone(), chunk.wanted.clone(), result)
        };
        let (progress, cancel) = (attempt.progress.clone(), attempt.cancel.clone());
        let started = Instant::now();
        let length = attempt.wanted.as_ref().map(|wanted| wanted.frames());
        let lane = state.lanes.get_mut(&id)?;
        (lane.current, lane.length, lane.cancel) = (Some((progress, started)), length, Some(cancel));
        Some((chunk_id, attempt, started))
    }

    /// The result, if it is one, kept for later runs where that is wanted.
    fn kept(&self, lane: LaneId, id: ChunkId, attempt: &Attempt, encoded: Encoded) -> Result<Encoded, LaneError> {
        let (encoded, label) = {
            let mut state = self.state();
            let site = state.lanes.get(&lane).map_or(Site::HERE, |lane| lane.site);
            let is_open = state.open == Some(id);
            // Another one may have been first.
            let Some(chunk) = state.chunks.get_mut(&id).filter(|chunk| chunk.result.is_none()) else {
                return Err(LaneError::Cancelled);
            };
            let taken = attempt.progress.frames();
            let frames = chunk.frames.len() as u64;
            let whole = match &chunk.wanted {
                None => taken == frames && !is_open,
                Some(_) => attempt.progress.has_ended(),
            };
            if !whole {
                return Err(LaneError::Early(taken));
            }
            let encoded = if site == Site::HERE { encoded } else { chunk.believed(encoded)? };
            let first = chunk.first_frame;
            let label =
                chunk.key.clone().map(|key| (Unkeyed { number: id, first, frames, key }, chunk.section.clone()));
            (encoded, label)
        };
        if let Some((label, section)) = label {
            let is_kept = self.keep((&label, &section), &encoded).map_err(|error| {
                let _ = self.end_job(error);
                LaneError::Unshelved
            })?;
            // The one that is kept is the one that goes out.
            if !is_kept {
                return Err(LaneError::Cancelled);
            }
        }
        Ok(encoded)
    }

    /// Records how an attempt ended; returns what is to be said of it.
    fn settle(
        &self,
        lane: LaneId,
        id: ChunkId,
        started: Instant,
        attempt: &Attempt,
        outcome: Result<Encoded, LaneError>,
    ) -> Vec<Notice> {
        let mut state = self.state();
        let time = started.elapsed();
        let mut site = Site::HERE;
        if let Some(lane) = state.lanes.get_mut(&lane) {
            (lane.current, lane.length, lane.cancel) = (None, None, None);
            lane.busy += time;
            site = lane.site;
        }
        let stopped = state.flow.is_err();
        // Another one may have been first.
        let Some(chunk) = state.chunks.get_mut(&id).filter(|chunk| chunk.result.is_none()) else {
            return Vec::new();
        };
        let (first_frame, frames) = (chunk.first_frame, chunk.frames.len() as u64);
        match outcome {
            Ok(encoded) => {
                let bytes = encoded.bytes();
                chunk.result = Some((encoded, lane, time));
                // Nobody reads it again.
                chunk.input.cancel();
                if let Some(lane) = state.lanes.get_mut(&lane) {
                    lane.chunks += 1;
                    lane.frames += attempt.progress.units();
                    lane.bytes += attempt.progress.bytes();
                }
                self.hold(&mut state, |held| held.saturating_add(bytes));
                self.happened(&mut state, Event::Done(id, lane));
                self.due.notify_all();
                Vec::new()
            }
            Err(LaneError::Cancelled | LaneError::Lost(_)) => {
                self.happened(&mut state, Event::Lost(id, lane));
                Vec::new()
            }
            // It is told already.
            Err(LaneError::Unshelved) => {
                self.happened(&mut state, Event::Lost(id, lane));
                Vec::new()
            }
            Err(error @ (LaneError::Unkept { .. } | LaneError::NoProcess(_))) => {
                // No machine's fault, and the same with the next.
                self.happened(&mut state, Event::Lost(id, lane));
                if stopped {
                    Vec::new()
                } else {
                    vec![Notice::Failed { id, first_frame, frames, lane, times: 1, error }]
                }
            }
            Err(error) => {
                let is_unable = matches!(error, LaneError::Unable(_));
                let event = if is_unable { Event::Unable } else { Event::Failed };
                let actions = self.happened(&mut state, event(id, lane));
                if stopped {
                    return Vec::new();
                }
                let is_given_up = actions.contains(&Action::GiveUp(id));
                // An encoder that says why it fails would say it again.
                let is_final = !self.config.has_elsewhere && !matches!(error, LaneError::Killed(_));
                let mut notices = vec![if is_given_up || is_final {
                    let times = if is_given_up { state.dispatch.tries() } else { 1 };
                    Notice::Failed { id, first_frame, frames, lane, times, error }
                } else {
                    Notice::Again { id, site, error }
                }];
                notices.extend(actions.contains(&Action::PutAside(site)).then_some(Notice::PutAside { site }));
                notices
            }
        }
    }
}
