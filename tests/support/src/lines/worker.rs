//! A worker with one slot at the other end of a line.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use wait4::Wait4 as _;

use crate::process::{Process, new_token};
use crate::relay::{HERE, Line, Relay};

/// What became of a run that a worker did alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worked {
    /// The share of the time in which the worker's one encoder computed.
    pub busy: f64,
    /// Bytes on the line for each of the input and the output.
    pub bytes: f64,
}

impl fmt::Display for Worked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}% | {:.3}", self.busy * 100.0, self.bytes)
    }
}

/// Encodes the clip with x264 medium, all of it at the other end of the line.
///
/// # Errors
/// Something here does not work.
pub fn encoded(divien: &Path, clip: &Path, line: Line) -> Result<Worked, String> {
    let failed = |what: &dyn fmt::Display| what.to_string();
    let folder = tempfile::tempdir().map_err(|e| failed(&e))?;
    let ((_, token), output) = (new_token(folder.path())?, folder.path().join("out.mkv"));
    let mut worker = Command::new(divien);
    worker.args(["worker", "--listen", "127.0.0.1:0", "--slots", "1", "--once", "--token-file"]).arg(&token);
    let (mut worker, address) = Process::listening(&mut worker, folder.path().join("worker.log"))?;
    let relay = Relay::start(HERE, line, 1).map_err(|e| failed(&e))?;
    relay.lead_to(address);
    let mut run = Command::new(divien);
    run.args(["-y", "-nostats", "-an", "-w", "0", "-i"]).arg(clip).arg("-token-file").arg(&token);
    run.args(["-workers", &relay.address().to_string(), "-c:v", "libx264", "-preset", "medium"]).arg(&output);
    let began = Instant::now();
    let done = run.output().map_err(|e| failed(&e))?;
    let took = began.elapsed();
    if !done.status.success() {
        return Err(format!("{run:?}: {}\n{}", done.status, String::from_utf8_lossy(&done.stderr)));
    }
    let usage = worker.child.wait4().map_err(|e| failed(&e))?.rusage;
    let length = |path: &Path| std::fs::metadata(path).map(|file| file.len()).map_err(|e| failed(&e));
    let on_the_line = relay.there().bytes + relay.back().bytes;
    Ok(Worked {
        busy: (usage.utime + usage.stime).as_secs_f64() / took.as_secs_f64(),
        bytes: on_the_line as f64 / (length(clip)? + length(&output)?) as f64,
    })
}
