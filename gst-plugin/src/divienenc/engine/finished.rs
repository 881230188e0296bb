//! Chunks that an earlier run has finished, and those that are kept for later ones.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::chunk::ChunkId;
use crate::dispatch::{Event, LaneId};
use crate::divienenc::chunks::State;
use crate::divienenc::model::{Notice, Section};
use crate::journal::{Found, Hash, JobError, Key, Label, Pictures};
use crate::lane::{CodedUnit, Encoded, LaneError, Wanted};

impl Shared {
    /// What a frame's picture is, where that is of use.
    pub(super) fn picture(&self, buffer: &gst::Buffer) -> Result<Option<Hash>, gst::FlowError> {
        if self.shelf.is_none() {
            return Ok(None);
        }
        let section = self.state().section.clone().ok_or(gst::FlowError::NotNegotiated)?;
        let input = &section.format.input;
        let mut pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        let pictures = match &mut *pictures {
            Some(pictures) if pictures.caps() == input => pictures,
            other => other.insert(Pictures::new(input)),
        };
        pictures.hash(buffer).map(Some).map_err(|error| self.end_job(error.into()))
    }

    /// What a chunk of units is made of, and its result, if there is one.
    pub(super) fn known(
        &self,
        (wanted, units): (&Wanted, &[CodedUnit]),
        section: &Section,
    ) -> Result<(Option<Key>, Option<Encoded>), gst::FlowError> {
        let Some(shelf) = &self.shelf else { return Ok((None, None)) };
        let mut key = Key::default();
        key.add_units(wanted, units).map_err(|error| self.end_job(error.into()))?;
        // No other thread opens chunks.
        let id = self.state().next_chunk;
        let known = if shelf.knows(id) { self.take(id, section, &key)? } else { None };
        Ok((Some(key), known))
    }

    /// An earlier run has finished a chunk.
    pub(super) fn has(&self, id: ChunkId) -> Result<bool, gst::FlowError> {
        let Some(shelf) = &self.shelf else { return Ok(false) };
        Ok(self.found(id, shelf.has(id))?.is_some())
    }

    fn found<T>(&self, id: ChunkId, found: Found<T>) -> Result<Option<T>, gst::FlowError> {
        match found {
            Found::There(there) => Ok(Some(there)),
            Found::Nothing => Ok(None),
            Found::Spoilt(why) => {
                (self.notify)(Notice::Spoilt { id, why });
                Ok(None)
            }
            Found::Another => Err(self.end_job(JobError::Input(id))),
            Found::Failed(error) => {
                let error = LaneError::Unkept { error: error.to_string() };
                let (first_frame, frames, lane) = (0, 0, LaneId(u32::MAX));
                (self.notify)(Notice::Failed { id, first_frame, frames, lane, times: 1, error });
                self.stop(gst::FlowError::Error);
                Err(gst::FlowError::Error)
            }
        }
    }

    /// Its result, if it is one of what has this key.
    fn take(&self, id: ChunkId, section: &Section, key: &Key) -> Result<Option<Encoded>, gst::FlowError> {
        let (Some(shelf), Some(stamp)) = (&self.shelf, &section.stamp) else { return Ok(None) };
        let stamp = stamp.get().map_err(|error| self.end_job(error))?;
        self.found(id, shelf.take(id, &key.get(&stamp), &self.store))
    }

    /// All frames of a chunk that is known have come.
    pub(super) fn compare<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        id: ChunkId,
    ) -> Result<MutexGuard<'a, State>, gst::FlowError> {
        let Some((section, key)) =
            state.chunks.get(&id).and_then(|chunk| Some((chunk.section.clone(), chunk.key.clone()?)))
        else {
            return Ok(state);
        };
        drop(state);
        // Its frames are gone, so that it could not be encoded either.
        let encoded = self.take(id, &section, &key)?.ok_or_else(|| {
            self.end_job(
                std::io::Error::other(format!("the file of {id} has become another since it was looked at")).into(),
            )
        })?;
        let mut state = self.state();
        state.flow?;
        self.was_known(&mut state, id, encoded);
        Ok(state)
    }

    /// A chunk is there with its result.
    pub(super) fn was_known(&self, state: &mut State, id: ChunkId, encoded: Encoded) {
        let bytes = encoded.bytes();
        let Some(chunk) = state.chunks.get_mut(&id) else { return };
        chunk.result = Some((encoded, LaneId(u32::MAX), Duration::ZERO));
        self.hold(state, |held| held.saturating_add(bytes));
        self.happened(state, Event::Known(id));
        self.due.notify_all();
    }

    /// Keeps a result for later runs; false where that of another lane is kept.
    pub(super) fn keep(&self, (label, section): (&Unkeyed, &Section), encoded: &Encoded) -> Result<bool, JobError> {
        let (Some(shelf), Some(stamp)) = (&self.shelf, &section.stamp) else { return Ok(true) };
        let Unkeyed { number, first, frames, key } = label;
        let label = Label { number: *number, first: *first, frames: *frames, key: key.get(&stamp.get()?) };
        Ok(shelf.keep(label, encoded)?)
    }

    /// Whether a chunk is still what it was when it was finished.
    pub(super) fn compare_again(&self, id: ChunkId, encoded: &Encoded) -> Result<(), gst::FlowError> {
        let Some(shelf) = &self.shelf else { return Ok(()) };
        match shelf.is_still(id, encoded) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.end_job(JobError::Changed(id))),
            Err(error) => Err(self.end_job(error.into())),
        }
    }

    /// The job cannot go on.
    pub(super) fn end_job(&self, error: JobError) -> gst::FlowError {
        let why = error.to_string();
        // Whoever hears of it looks there for the cause.
        if let Some(shelf) = &self.shelf {
            shelf.fail(error);
        }
        (self.notify)(Notice::Job { why });
        self.stop(gst::FlowError::Error);
        gst::FlowError::Error
    }
}

/// A chunk that is done, and what it was made of.
pub(super) struct Unkeyed {
    pub(super) number: ChunkId,
    pub(super) first: u64,
    pub(super) frames: u64,
    pub(super) key: Key,
}
