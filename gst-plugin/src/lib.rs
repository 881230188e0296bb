//! The divien engine and its GStreamer element `divienenc`.
//!
//! The way of a frame is the order of the modules: [`chunk`] cuts, [`dispatch`] hands out, [`lane`] encodes, [`stitch`]
//! joins.

pub mod chunk;
pub mod dispatch;
pub mod lane;
pub mod stitch;
