//! What passes between the pads and the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::budget::{Quality, Setting, Target};
use crate::chunk::{ChunkId, Cuts, FrameTime, Nanos};
use crate::dispatch::{LaneId, Site};
use crate::journal::Stamp;
use crate::lane::{CodedUnit, Encoded, EncoderSpec, FilterSpec, Format, LaneError, Wanted};

/// How the engine runs.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// Encoders at work on this machine.
    pub(super) workers: u32,
    /// Machines elsewhere may help.
    pub(super) has_elsewhere: bool,
    /// Attempts may be lost, with machines elsewhere or processes here, so that others begin with the same frames again.
    pub(super) may_lose: bool,
    pub(super) chunk_frames: u64,
    pub(super) max_buffered_bytes: u64,
    /// The frames with which chunks begin in place of after so many.
    pub(super) cuts: Option<Cuts>,
}

/// A bit rate for the whole stream, of which all has to come before any of it leaves.
#[derive(Clone)]
pub struct Goal {
    /// What is wanted.
    pub target: Target,
    /// How chunks are encoded with a setting and a quality; an error is why they cannot be.
    pub means: Arc<dyn Fn(Setting, Quality) -> Result<Means, String> + Send + Sync>,
}

/// How chunks are encoded where that is not as the element's properties say.
#[derive(Debug, Clone)]
pub struct Means {
    /// In place of `encoder`.
    pub encoder: EncoderSpec,
    /// In place of `filter`.
    pub filter: FilterSpec,
}

/// What the engine has to say besides its output.
#[derive(Debug)]
pub(super) enum Notice {
    /// Memory for frames is short, so fewer lanes work than there are.
    Short { most: u64 },
    /// An attempt failed, and the chunk is tried again.
    Again { id: ChunkId, site: Site, error: LaneError },
    /// A machine elsewhere failed whatever it was given, and gets no more.
    PutAside { site: Site },
    /// What an earlier run finished of a chunk is damaged, so it is encoded again.
    Spoilt { id: ChunkId, why: String },
    /// The job cannot go on.
    Job { why: String },
    /// The stream does not have the bytes that were wanted, but so much more: 0.01 is a hundredth.
    Misses { wanted: u64, off: f64, is_at_the_end: bool },
    /// All chunks that were begun are done, and no others will be.
    WoundDown,
    /// A chunk cannot be done.
    Failed { id: ChunkId, first_frame: u64, frames: u64, lane: LaneId, times: usize, error: LaneError },
}

/// What travels in place among the frames.
#[derive(Debug)]
pub(super) enum Mark {
    Event(gst::Event),
    /// A key frame was asked for here.
    ForceKeyUnit {
        all_headers: bool,
        count: u32,
    },
}

/// A stretch of frames that share caps and segment.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) format: Arc<Format>,
    pub(super) frame_bytes: u64,
    /// Time stamps rise within one epoch.
    pub(super) epoch: u64,
    /// Counted over the stream.
    pub(super) number: u64,
    /// What its chunks are encoded with, where finished ones are kept.
    pub(super) stamp: Option<Arc<Stamp>>,
}

/// A frame of a chunk, as the joiner needs it.
#[derive(Debug)]
pub(super) struct FrameInfo {
    pub(super) time: FrameTime,
    pub(super) marks: Vec<Mark>,
}

/// A chunk of coded units, whole.
#[derive(Debug)]
pub(super) struct CodedChunk {
    pub(super) wanted: Wanted,
    pub(super) frames: Vec<FrameInfo>,
    pub(super) units: Vec<CodedUnit>,
}

/// Frames that the input has lost, by number and time.
#[derive(Debug, Default)]
pub(super) struct LostFrames {
    pub(super) missing: Vec<(u64, Nanos)>,
    pub(super) damaged: Vec<(u64, Nanos)>,
    /// They came before the first frame that can be decoded.
    pub(super) unreachable: Vec<(u64, Nanos)>,
    /// Frames that came with times that none should have.
    pub(super) strange: u64,
}

impl LostFrames {
    /// The input is as whole as it was when it began.
    pub(super) fn is_none(&self) -> bool {
        self.missing.is_empty() && self.damaged.is_empty() && self.strange == 0
    }
}

/// A chunk with its result.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) id: ChunkId,
    pub(super) lane: LaneId,
    /// What its encode took.
    pub(super) time: Duration,
    pub(super) first_frame: u64,
    pub(super) section: Arc<Section>,
    /// Those that there are.
    pub(super) frames: Vec<FrameInfo>,
    pub(super) lost: LostFrames,
    pub(super) encoded: Encoded,
}

/// What comes next on the source pad.
#[derive(Debug)]
pub(super) enum Output {
    Mark(Mark),
    Chunk(Box<Finished>),
    /// One that was tried before all were known.
    Tried(Box<Finished>),
    Eos(gst::Event),
    /// The engine has stopped.
    Stopped,
}

/// A step of the search for a bit rate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Round {
    /// Counted from 1; 0 where there is none.
    pub(super) number: u64,
    /// The frames that it encodes, and those of the ones before it.
    pub(super) frames: u64,
    pub(super) before: u64,
}

/// What `stats` shows of a lane, or of all those of a machine elsewhere that are gone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LaneStats {
    pub(super) chunks: u64,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) busy: Duration,
    /// Frames of the chunk it works on.
    pub(super) current: Option<u64>,
    /// The frames of that chunk, where they are known.
    pub(super) length: Option<u64>,
    /// Which of the machines elsewhere it is of.
    pub(super) machine: Option<usize>,
}

/// What `stats` shows of a machine elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MachineStats {
    pub(super) name: String,
    /// Chunks that it encodes at once; 0 while it is not there.
    pub(super) slots: u32,
    /// How long it has been there.
    pub(super) time: Duration,
    /// How often it went.
    pub(super) times_lost: u32,
}

/// What `stats` shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Stats {
    pub(super) workers: u32,
    /// The time in which workers had a chunk, all together.
    pub(super) worked: Duration,
    pub(super) chunks_done: u64,
    pub(super) chunks_in_flight: u64,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) bytes_out: u64,
    pub(super) bytes_buffered: u64,
    pub(super) round: Round,
    pub(super) lanes: Vec<LaneStats>,
    pub(super) machines: Vec<MachineStats>,
}
