//! The divien engine and its GStreamer element `divienenc`.
//!
//! The way of a frame is the order of the modules: [`chunk`] cuts, [`dispatch`] hands out, [`lane`] encodes, [`stitch`]
//! joins. [`divienenc`] puts them between two pads.

pub mod chunk;
pub mod dispatch;
pub mod divienenc;
pub mod lane;
mod plugin;
pub mod stitch;

pub use plugin::plugin_register_static;
