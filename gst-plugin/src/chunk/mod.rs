//! Where to cut: frames in, chunks out. Pure: no GStreamer, no clock, no thread.

mod cutter;
mod model;

pub use cutter::{Cut, Cutter};
pub use model::{ChunkId, FrameTime, Nanos};
