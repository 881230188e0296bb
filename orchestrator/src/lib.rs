//! The divien orchestrator: from an ffmpeg-style command line to a running pipeline.

pub mod cli;
pub mod codec;
