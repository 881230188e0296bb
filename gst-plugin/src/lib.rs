//! The divien engine and its GStreamer element `divienenc`.
//!
//! The way of a frame is the order of the modules: [`chunk`] cuts, [`dispatch`] hands out, [`lane`] encodes, [`stitch`]
//! joins. Where a whole stream is to have a bit rate, [`budget`] says which quality each chunk gets. What is compressed waits
//! in the [`store`], and what is finished is kept for later runs by the [`journal`].
//! [`divienenc`] puts them between two pads. [`wire`] is what machines say to each other, and a lane to a process of its own
//! ([`isolate`]); [`net`] is how machines meet, and [`remote`] what they do for each other.

pub mod budget;
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
pub mod scenes;
pub mod stitch;
pub mod store;
pub mod wire;

pub use plugin::plugin_register_static;
