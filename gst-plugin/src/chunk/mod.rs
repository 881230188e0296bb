//! Where to cut: frames in, chunks out. Pure: no GStreamer, no clock, no thread.

mod bytes;
mod cutter;
mod fields;
mod model;
mod preface;
mod random_access;
mod ranges;

pub use cutter::{Cut, Cutter};
pub use fields::Fields;
pub use model::{ChunkId, FrameTime, Nanos};
pub use preface::Preface;
pub use random_access::{Framing, Signs, Start, Syntax};
pub use ranges::{Mode, Piece, Ranges, Uncuttable, Unit, cut};
