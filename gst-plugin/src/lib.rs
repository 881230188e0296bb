//! The divien engine and its GStreamer element `divienenc`.
//!
//! The way of a frame is the order of the modules: [`chunk`] cuts, [`dispatch`] hands out, [`lane`] encodes, [`stitch`]
//! joins. What is compressed waits in the [`store`]. [`divienenc`] puts them between two pads. [`wire`] is what machines say
//! to each other, [`net`] how they meet.

pub mod chunk;
pub mod dispatch;
pub mod divienenc;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod isolate;
pub mod journal;
pub mod lane;
pub mod net;
mod plugin;
pub mod remote;
pub mod stitch;
pub mod store;
pub mod wire;

pub use plugin::plugin_register_static;
