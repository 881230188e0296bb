//! Where to cut: frames in, chunks out. Pure: no GStreamer, no clock, no thread.

mod bytes;
mod cuts;
mod cutter;
mod fields;
mod model;
mod obstacles;
mod preface;
mod random_access;
mod ranges;
#[cfg(test)]
mod ranges_properties;
mod rate;

pub use cuts::Cuts;
pub use cutter::{Cut, Cutter};
pub use fields::{Fields, Pairs};
pub use model::{ChunkId, FrameTime, Handover, Nanos};
pub use obstacles::Obstacles;
pub use preface::{Preface, Told};
pub use random_access::{Framing, Signs, Start, Syntax};
pub use ranges::{MOST_REORDERED, Mode, Needs, Piece, Ranges, Source, Uncuttable, Unit, cut, cut_as, cut_for};
pub use rate::{Fps, TooOften};
