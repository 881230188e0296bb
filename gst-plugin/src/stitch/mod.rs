//! Joins the chunks' results into one stream. Pure: units are times and bytes here, not buffers.

pub mod headers;
mod timeline;

pub use timeline::{MOST_DEPTH, Place, Timeline, TimelineError, UnitTime};
