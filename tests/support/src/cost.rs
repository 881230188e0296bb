//! What it costs that an encode can be interrupted and its encoders may crash: the same encode by one encoder within divien
//! and without a journal, and in a process with one.
//!
//! The two run at the same time, with one encoder each: a machine that others use as well gets slower and faster by more than
//! what is looked for here, for both alike. That the first writes nowhere is counted as well.

use std::path::Path;
use std::process::Command;
use std::thread;

use crate::bench::{Usage, measured};
use crate::gst;

/// What tells one from the other: what goes to a pipe has no journal.
const WAYS: [&[&str]; 2] = [&["-isolate", "none", "-f", "matroska", "-"], &["-y"]];

/// What both took in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round([Usage; 2]);

impl Round {
    /// Encodes a clip in both ways. The output of the second goes to `folder`.
    ///
    /// # Errors
    /// One of them fails.
    pub fn measure(divien: &Path, clip: &Path, options: &[&str], folder: &Path) -> Result<Self, String> {
        let encode = |way: usize| {
            let own = WAYS[way];
            let mut command: Command = gst::command(divien);
            command.arg("-i").arg(clip).args(["-an", "-w", "1"]).args(options).args(own);
            if own.last() != Some(&"-") {
                command.arg(folder.join("out.mkv"));
            }
            measured(&mut command).map(|(usage, _)| usage)
        };
        thread::scope(|scope| {
            let other = scope.spawn(|| encode(1));
            let first = encode(0)?;
            Ok(Self([first, other.join().map_err(|_| "a measurement panicked")??]))
        })
    }

    /// Wall time and CPU time of the second, as parts of the first one's.
    #[must_use]
    pub fn ratios(&self) -> (f64, f64) {
        let [without, with] = self.0;
        (with.seconds / without.seconds, with.cpu / without.cpu)
    }
}
