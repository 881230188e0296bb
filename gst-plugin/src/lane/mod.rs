//! Encodes one chunk at a time: frames, or the units that make them, in; encoded units out.

pub(crate) mod coding;
mod complaints;
mod decoder;
mod encoder;
mod filter;
mod frames;
mod input;
mod known;
mod lead_in;
mod local;
mod memory;
mod wanted;
mod yadif;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::store::{Kept, Store};

pub use complaints::{Complaints, hear, hear_all_decoders, hear_decoders};
pub use decoder::{DecoderSpec, fields_of};
pub use encoder::{EncoderSpec, SpecError, option_keys};
pub use filter::FilterSpec;
pub use frames::{InOrder, in_order};
pub use input::{Budget, Cancelled, ChunkInput, CodedUnit, Next, Reader, Reservation};
pub use lead_in::MOST_LEAD_IN;
pub use local::LocalLane;
pub use wanted::{Lost, Wanted, WantedFrame};
pub use yadif::Yadif;

/// Everything a lane needs to know about the chunks of one section.
#[derive(Debug, Clone)]
pub struct Format {
    /// Which encoder, with which properties.
    pub encoder: EncoderSpec,
    /// What comes in: frames, or coded units.
    pub input: gst::Caps,
    /// What makes frames of coded units.
    pub decoder: Option<DecoderSpec>,
    /// What is done to each frame.
    pub filter: FilterSpec,
    /// Fields that the encoder reads in place of those of the frames' own caps.
    pub frame_caps: Option<gst::Structure>,
    /// What the units may be.
    pub output: gst::Caps,
    /// Frames that each encoder but the stream's first gets before its chunk.
    pub lead_in: u32,
}

/// What became of a chunk.
#[derive(Debug)]
pub struct Encoded {
    /// What the units are.
    pub caps: gst::Caps,
    /// The units, in decode order, with the encoder's own time stamps.
    pub units: Vec<Kept>,
    /// Where the encoder's output segment starts: some shift their time stamps so that no decode time is negative.
    pub segment_start: u64,
    /// What the encoder says of itself.
    pub tags: Option<gst::TagList>,
    /// What the decoder could not give.
    pub lost: Lost,
    /// What it found wrong, where that is heard.
    pub complaints: Complaints,
}

impl Encoded {
    /// A result of which nothing has come yet.
    pub(crate) fn empty() -> Self {
        Self {
            caps: gst::Caps::new_empty(),
            units: Vec::new(),
            segment_start: 0,
            tags: None,
            lost: Lost::default(),
            complaints: Complaints::default(),
        }
    }

    /// Bytes of all units.
    pub fn bytes(&self) -> u64 {
        self.units.iter().map(Kept::size).sum()
    }
}

/// Why a lane has no result.
#[derive(Debug, Error)]
pub enum LaneError {
    /// The attempt was called off.
    #[error("called off")]
    Cancelled,
    /// The encoder, or the pipeline around it, reported an error.
    #[error("{element} says: {message}{}", .debug.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Encoder {
        /// Who reported it.
        element: String,
        /// The message for users.
        message: String,
        /// The message for developers.
        debug: Option<String>,
    },
    /// The lane's pipeline could not be built or started.
    #[error("the encoder could not be started: {0}")]
    Start(String),
    /// The encoder does not take the frames, or cannot give what is wanted of it.
    #[error("{encoder} does not take {input}{}", if .output.is_any() { String::new() } else { format!(", or does not make {output} of it") })]
    Refused {
        /// Its factory.
        encoder: String,
        /// What the frames are.
        input: gst::Caps,
        /// What is wanted.
        output: gst::Caps,
    },
    /// The encoder ended without giving anything back.
    #[error("the encoder gave nothing back")]
    Nothing,
    /// The encoder ended before it had all frames.
    #[error("the encoder ended after {0} frames, before it had all")]
    Early(u64),
    /// The machine it was with is gone, which says nothing of the chunk.
    #[error("lost: {0}")]
    Lost(String),
    /// The machine it was with could not, and says that this is its own fault.
    #[error("{0}")]
    Unable(String),
    /// A machine elsewhere says so, or a process.
    #[error("{0}")]
    Elsewhere(String),
    /// The process it was with has ended, or had to be, which another one need not.
    #[error("{0}")]
    Killed(String),
    /// There is no process for it, which says nothing of the chunk.
    #[error("its process does not start: {0}")]
    NoProcess(String),
    /// What it made cannot wait for its turn.
    #[error("the result cannot be kept in {}: {error}", std::env::temp_dir().display())]
    Unkept {
        /// What the system says.
        error: String,
    },
    /// It cannot be kept with its job, which has ended over that.
    #[error("the result cannot be kept")]
    Unshelved,
    /// A bug of ours.
    #[error("the lane panicked; this is a bug in divien")]
    Panicked,
}

/// How far an attempt is.
#[derive(Debug, Default)]
pub struct Progress {
    frames: AtomicU64,
    units: AtomicU64,
    thrown: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    /// Frames handed to the encoder.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Units the encoder gave back.
    pub fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// The same with those of the lead-in.
    pub(crate) fn made(&self) -> u64 {
        self.units() + self.thrown.load(Ordering::Relaxed)
    }

    /// Bytes of these units.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// All of the input has been taken.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn add_frame(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn throw_unit(&self) {
        self.thrown.fetch_add(1, Ordering::Relaxed);
    }

    /// So many frames have been taken, as another machine says.
    pub(crate) fn has_taken(&self, frames: u64) {
        self.frames.fetch_max(frames, Ordering::Relaxed);
    }

    pub(crate) fn add_unit(&self, bytes: usize) {
        self.units.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// One try at one chunk, as a lane sees it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// How to encode.
    pub format: Arc<Format>,
    /// The frames, with time stamps that count from the chunk's first; or the units that make them, with their own.
    pub input: Arc<Reader>,
    /// Which frames to make of units.
    pub wanted: Option<Arc<Wanted>>,
    /// The stream begins with it, as a single encoder's does: without lead-in.
    pub is_first: bool,
    /// Calls the attempt off.
    pub cancel: Arc<Cancel>,
    /// Tells how far it is.
    pub progress: Arc<Progress>,
    /// Where the result goes.
    pub result: Outlet,
}

impl Attempt {
    /// Frames that the encoder gets before the chunk.
    pub fn lead_in(&self) -> u32 {
        if self.is_first { 0 } else { self.format.lead_in }
    }

    /// One that begins with the first frame of `input`, of a chunk with which the stream begins.
    pub fn new(format: Arc<Format>, input: Arc<ChunkInput>, wanted: Option<Arc<Wanted>>, result: Outlet) -> Self {
        let input = Arc::new(Reader::new(input));
        Self { format, input, wanted, is_first: true, cancel: Arc::default(), progress: Arc::default(), result }
    }
}

/// A unit that an encoder made, with what is known of all of them.
#[derive(Debug)]
pub struct Made {
    /// The unit.
    pub unit: gst::Buffer,
    /// What it is.
    pub caps: gst::Caps,
    /// Where the encoder's output segment starts.
    pub segment_start: u64,
}

/// Where the units of a result go.
#[derive(Clone)]
pub enum Outlet {
    /// They wait here until all are there.
    Store(Arc<Store>),
    /// They leave at once; false when nobody takes them any more.
    Leave(Arc<dyn Fn(Made) -> bool + Send + Sync>),
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store(_) => "Store",
            Self::Leave(_) => "Leave",
        })
    }
}

/// A place where chunks are encoded.
pub trait Lane: Send {
    /// Encodes one chunk, on the calling thread's time, until it is done, fails or is called off.
    ///
    /// Every attempt starts from a fresh encoder. When this returns, nothing of the attempt is left running.
    fn encode(&mut self, attempt: &Attempt) -> Result<Encoded, LaneError>;
}

type Hook = Box<dyn FnOnce() + Send>;

/// Calls an attempt off, from any thread.
#[derive(Default)]
pub struct Cancel {
    state: Mutex<CancelState>,
}

#[derive(Default)]
struct CancelState {
    cancelled: bool,
    hooks: Vec<Hook>,
}

impl Cancel {
    /// Calls the attempt off and wakes whoever works on it.
    pub fn cancel(&self) {
        let hooks = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.cancelled = true;
            std::mem::take(&mut state.hooks)
        };
        hooks.into_iter().for_each(|hook| hook());
    }

    /// Has it been called off?
    pub fn is_cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// Runs `hook` when the attempt is called off, at once if it has been. It may be run under the engine's lock: it wakes
    /// who waits, and waits for nobody.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) {
        let late = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.cancelled {
                Some(hook)
            } else {
                state.hooks.push(Box::new(hook));
                None
            }
        };
        if let Some(hook) = late {
            hook();
        }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}
