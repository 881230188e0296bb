//! What it costs that an encode can be interrupted and its encoders may crash: the same encode without processes of its own
//! for encoders and without a journal, with the first, and with both.

use std::path::Path;
use std::process::Command;

use crate::bench::{Usage, measured};
use crate::gst;

/// The ways, and what tells one from the others: what goes to a pipe has no journal.
const WAYS: [(&str, &[&str]); 3] = [
    ("within divien, without a journal", &["-isolate", "none", "-f", "matroska", "-"]),
    ("in processes, without a journal", &["-f", "matroska", "-"]),
    ("in processes, with a journal", &["-y"]),
];

/// What the ways took in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round([Usage; WAYS.len()]);

impl Round {
    /// Encodes a clip in each way. The output of the last goes to `folder`.
    ///
    /// # Errors
    /// One of them fails.
    pub fn measure(divien: &Path, clip: &Path, options: &[&str], folder: &Path) -> Result<Self, String> {
        let encode = |(_, own): (&str, &[&str])| {
            let mut command: Command = gst::command(divien);
            command.arg("-i").arg(clip).args(["-an"]).args(options).args(own);
            if own.last() != Some(&"-") {
                command.arg(folder.join("out.mkv"));
            }
            measured(&mut command).map(|(usage, _)| usage)
        };
        Ok(Self([encode(WAYS[0])?, encode(WAYS[1])?, encode(WAYS[2])?]))
    }

    /// Each way by its name, with its wall time and its CPU time as parts of the first one's.
    #[must_use]
    pub fn ratios(&self) -> [(&'static str, f64, f64); WAYS.len()] {
        let [first, ..] = self.0;
        let of = |way: usize| (WAYS[way].0, self.0[way].seconds / first.seconds, self.0[way].cpu / first.cpu);
        [of(0), of(1), of(2)]
    }
}
