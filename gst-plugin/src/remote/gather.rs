//! The result of an attempt that is made elsewhere, as its messages come.

use std::io;
use std::sync::Arc;

use super::convert::{caps, from_wire, plain, tags};
use crate::lane::{Attempt, Encoded, LaneError, Made, Outlet};
use crate::store::{Kept, Store};
use crate::wire::Output;
use crate::wire::message::{Blame, Failed};

/// Units that an encoder may make of a frame: one that is shown, and some that are not.
const MOST_UNITS_A_FRAME: u64 = 4;
/// Units that belong to no frame: headers.
const MOST_UNITS_BESIDE: u64 = 64;

/// What has come.
#[derive(Debug)]
pub(crate) struct Gather(Encoded);

/// What a message says of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It waits.
    Waits,
    /// Its encoder is at work.
    Works,
    /// Its result is whole.
    Whole,
}

impl Gather {
    pub(crate) fn new() -> Self {
        Self(Encoded::empty())
    }

    /// Takes a message, of an attempt that was sent so many units; `keep` puts what was made where it waits.
    pub(crate) fn take(
        &mut self,
        output: Output,
        (attempt, sent): (&Attempt, u64),
        keep: impl FnOnce(&Arc<Store>, gst::Buffer) -> io::Result<Kept>,
    ) -> Result<Told, LaneError> {
        let wrong = LaneError::Elsewhere;
        let (progress, encoded) = (&attempt.progress, &mut self.0);
        match output {
            Output::Head(head) => {
                let caps =
                    caps(&head.caps).map_err(|error| wrong(format!("its result is of no known kind: {error}")))?;
                (encoded.caps, encoded.segment_start) = (caps, head.segment_start);
            }
            Output::Progress(made) => {
                progress.has_taken(made.frames);
                if made.frames == 0 {
                    return Ok(Told::Waits);
                }
            }
            Output::Unit(unit, media) => {
                let unit = from_wire(unit, media, None).map_err(|error| wrong(error.to_string()))?;
                let delta = unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
                let is_image = encoded.caps.structure(0).is_some_and(|s| s.name().starts_with("image/"));
                if progress.units() == 0 && delta && !is_image {
                    return Err(wrong("its first unit is no key frame".into()));
                }
                let wanted = attempt.wanted.as_ref().map_or(0, |wanted| wanted.frames());
                let frames = wanted.max(sent);
                if progress.units() > frames * MOST_UNITS_A_FRAME + MOST_UNITS_BESIDE {
                    return Err(wrong(format!("it sends more units than {frames} frames can have")));
                }
                progress.add_unit(unit.size());
                match &attempt.result {
                    Outlet::Store(store) => {
                        let kept = keep(store, unit).map_err(|error| LaneError::Unkept { error: error.to_string() })?;
                        encoded.units.push(kept);
                    }
                    Outlet::Leave(leave) => {
                        let Encoded { caps, segment_start, .. } = &*encoded;
                        if !leave(Made { unit, caps: caps.clone(), segment_start: *segment_start }) {
                            return Err(LaneError::Cancelled);
                        }
                    }
                }
            }
            Output::Complaints(complaints) => encoded.complaints = complaints.into(),
            Output::Done(done) => {
                let read = |text: String| tags(&text).ok_or_else(|| wrong("its tags make no sense".into()));
                (encoded.tags, encoded.lost) = (done.tags.map(read).transpose()?, done.lost.into());
                progress.has_taken(done.frames);
                progress.end();
                return Ok(Told::Whole);
            }
            Output::Failed(Failed { blame: Blame::Worker, reason }) => return Err(LaneError::Unable(plain(reason))),
            Output::Failed(Failed { blame: Blame::Chunk, reason }) => return Err(wrong(plain(reason))),
        }
        Ok(Told::Works)
    }

    /// The whole result.
    pub(crate) fn whole(self) -> Encoded {
        self.0
    }
}
