//! The divien orchestrator: from an ffmpeg-style command line to a running pipeline.

pub mod cli;
pub mod codec;
pub mod error;
pub mod filter;
pub mod mux;
mod open_files;
pub mod pipeline;
pub mod plan;
pub mod probe;
pub mod report;
mod resume;
pub mod run;
pub mod scenes;
mod signals;
mod sync;
mod verify;
pub mod worker;
