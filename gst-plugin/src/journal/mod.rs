//! What a job has finished, in a folder, so that another run goes on from there.
//!
//! ```text
//! OUTPUT.divien/
//!   lock             held by the run that works on it, with its name in it
//!   journal          what the job is, and a line for each chunk that is done
//!   00000012.chunk   a chunk's result, as a worker elsewhere would send it
//!   00000013.new     one that is being written
//! ```
//!
//! A chunk's file is on the disk before the journal names it, and the journal's line is on the disk before the chunk counts
//! as done: after a crash at any moment the journal names nothing that is not there, and all that was done is named. Each
//! line has a hash, as has each file; what does not agree with it is done again, and nothing else.

mod disk;
mod folder;
mod hex;
mod key;
mod records;
mod result;
mod shelf;

use std::io;

use thiserror::Error;

use crate::chunk::ChunkId;

pub use disk::{Disk, Folder};
pub use folder::{Held, Job, part_of};
pub use hex::Hash;
pub use records::{Facts, FileId, Unreadable};
pub use shelf::Shelf;

pub(crate) use key::{Key, Pictures};
pub(crate) use shelf::{Found, Label, Stamp};

/// Why a job cannot begin or go on.
#[derive(Debug, Error)]
pub enum JobError {
    /// The folder, or a file in it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another run works on it.
    #[error("{0} works on it")]
    Held(String),
    /// Its journal is of no use.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It is about something else.
    #[error("it is another job: {}", .0.join("; "))]
    Differs(Vec<String>),
    /// It was encoded with something else.
    #[error("{0}")]
    Encoder(String),
    /// A chunk is finished, and what the input gives for it now is something else.
    #[error("the input has changed: {0} has other frames than when it was encoded")]
    Input(ChunkId),
    /// A chunk waited for its turn, and is not what it was when it was finished.
    #[error("{0} has changed while it waited for its turn: what this machine remembers cannot be trusted")]
    Changed(ChunkId),
    /// There is something in its folder that is not its own.
    #[error("there is something else in it: {0}")]
    Strange(String),
    /// Its folder is somebody else's.
    #[error("it belongs to user {there}, and this run is that of user {own}")]
    Others {
        /// The user of this run.
        own: u32,
        /// The user of the folder.
        there: u32,
    },
}

impl JobError {
    /// The same once more.
    fn again(&self) -> Self {
        match self {
            Self::Encoder(what) => Self::Encoder(what.clone()),
            other => Self::Io(io::Error::other(other.to_string())),
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
