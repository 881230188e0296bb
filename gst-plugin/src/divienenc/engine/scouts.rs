//! Those who look through stretches of the input, ahead of the lanes that encode.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::chunk::Nanos;
use crate::divienenc::scout::Survey;
use crate::lane::{Attempt, Budget, Cancel, ChunkInput, CodedUnit, Encoded, Format, Lane, LaneError, Outlet, Wanted};
use crate::scenes::SCENE;
use crate::store::Store;

/// How often a process may be ended over it, from outside or by itself.
const TRIES: usize = 3;

/// Threads that wait for stretches.
pub(super) struct Scouts {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    has_stopped: bool,
    stretches: VecDeque<Stretch>,
    at_work: Vec<Arc<Cancel>>,
}

struct Stretch {
    survey: Arc<Survey>,
    format: Arc<Format>,
    wanted: Arc<Wanted>,
    units: Vec<CodedUnit>,
}

impl Scouts {
    /// One for each lane.
    pub(super) fn start(lanes: Vec<Box<dyn Lane>>, store: &Arc<Store>) -> std::io::Result<Self> {
        let mut scouts = Self { shared: Arc::default(), threads: Vec::new() };
        for (n, lane) in lanes.into_iter().enumerate() {
            let (shared, store) = (scouts.shared.clone(), store.clone());
            let run = move || shared.run(lane, &store);
            scouts.threads.push(thread::Builder::new().name(format!("divien-scout-{n}")).spawn(run)?);
        }
        Ok(scouts)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.threads.len()
    }

    /// Has a stretch looked through.
    pub(super) fn look(&self, format: Arc<Format>, wanted: Wanted, units: Vec<CodedUnit>) -> Arc<Survey> {
        let survey = Arc::<Survey>::default();
        let mut state = self.shared.state();
        if state.has_stopped {
            survey.conclude(Err(LaneError::Cancelled));
        } else {
            let wanted = Arc::new(wanted);
            state.stretches.push_back(Stretch { survey: survey.clone(), format, wanted, units });
        }
        drop(state);
        self.shared.work.notify_one();
        survey
    }

    /// Ends all that is on its way. Returns at once.
    pub(super) fn stop(&self) {
        let (stretches, at_work) = {
            let mut state = self.shared.state();
            state.has_stopped = true;
            (std::mem::take(&mut state.stretches), state.at_work.clone())
        };
        self.shared.work.notify_all();
        at_work.iter().for_each(|cancel| cancel.cancel());
        stretches.iter().for_each(|stretch| stretch.survey.conclude(Err(LaneError::Cancelled)));
    }
}

impl Drop for Scouts {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // One that panicked has said so in its survey.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut lane: Box<dyn Lane>, store: &Arc<Store>) {
        loop {
            let next = {
                let idle = |state: &mut State| !state.has_stopped && state.stretches.is_empty();
                let mut state = self.work.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
                state.stretches.pop_front()
            };
            let Some(stretch) = next else { return };
            let look = AssertUnwindSafe(|| self.look(lane.as_mut(), &stretch, store));
            stretch.survey.conclude(panic::catch_unwind(look).unwrap_or(Err(LaneError::Panicked)));
        }
    }

    fn look(&self, lane: &mut dyn Lane, stretch: &Stretch, store: &Arc<Store>) -> Result<Vec<Nanos>, LaneError> {
        let mut tries = 1;
        loop {
            let (input, budget) = (Arc::<ChunkInput>::default(), Budget::new(u64::MAX));
            for unit in &stretch.units {
                input.push_unit(unit.clone(), budget.count(0));
            }
            input.end();
            let (wanted, result) = (Some(stretch.wanted.clone()), Outlet::Store(store.clone()));
            let attempt = Attempt::new(stretch.format.clone(), input, wanted, result);
            let cancel = attempt.cancel.clone();
            {
                let mut state = self.state();
                if state.has_stopped {
                    return Err(LaneError::Cancelled);
                }
                state.at_work.push(cancel.clone());
            }
            let outcome = lane.encode(&attempt);
            self.state().at_work.retain(|other| !Arc::ptr_eq(other, &cancel));
            match outcome {
                Err(LaneError::Killed(_)) if tries < TRIES => tries += 1,
                outcome => return scenes(&outcome?, &stretch.wanted),
            }
        }
    }
}

/// The times of the frames with which scenes begin.
fn scenes(encoded: &Encoded, wanted: &Wanted) -> Result<Vec<Nanos>, LaneError> {
    let Some(first) = wanted.times().next() else { return Ok(Vec::new()) };
    let unread = |error: String| LaneError::Unkept { error };
    let mut times = Vec::new();
    for kept in &encoded.units {
        let unit = kept.unit().map_err(|error| unread(error.to_string()))?;
        let says = unit.map_readable().map_err(|error| unread(error.to_string()))?;
        if says.first() == Some(&SCENE) {
            times.extend(unit.pts().map(|pts| pts.nseconds().saturating_add(first)));
        }
    }
    Ok(times)
}
