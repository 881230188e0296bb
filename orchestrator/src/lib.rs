//! The divien orchestrator: from an ffmpeg-style command line to a running pipeline.

pub mod cli;
pub mod error;
pub mod mux;
pub mod probe;
pub mod plan;
pub mod pipeline;
pub mod report;
pub mod run;
