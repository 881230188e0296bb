//! What the end-to-end tests stand on.
//!
//! A test makes or borrows a clip ([`Clip`], [`media`]), puts it through `divien` ([`divien!`]) or a gst-launch line
//! ([`gst::launch`]), each under a time limit ([`run()`]), and asks ffmpeg and ffprobe, never the project, whether the
//! result is the same video ([`Fidelity`], [`probe`], [`stream`]).

pub mod bench;
pub mod clip;
pub mod coded;
pub mod cost;
pub mod faults;
pub mod fidelity;
pub mod fields;
pub mod gst;
pub mod interrupted;
mod keys;
pub mod kills;
pub mod lines;
pub mod meddler;
pub mod place;
pub mod probe;
mod process;
pub mod quality;
pub mod raw;
pub mod relay;
pub mod run;
pub mod scale;
pub mod strangers;
pub mod stream;

pub use clip::Clip;
pub use fidelity::Fidelity;
pub use place::{media, media_clips};
pub use run::{Outcome, Running, run};

/// The `divien` that this test run built, as a [`std::process::Command`] with the arguments given, in surroundings that
/// touch nothing of the user's.
#[macro_export]
macro_rules! divien {
    ($($argument:expr),* $(,)?) => {{
        let mut command = $crate::gst::command(env!("CARGO_BIN_EXE_divien"));
        $(command.arg($argument);)*
        command
    }};
}
