//! What a program takes: wall time, the CPU's time, memory.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wait4::Wait4;

/// Long enough for one thread of a slow encoder on a slow machine; whatever takes longer hangs.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// What a program took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Wall time.
    pub(crate) seconds: f64,
    /// Seconds of CPU, the user's and the kernel's, of the program and of all it started and waited for.
    pub(crate) cpu: f64,
    /// The most bytes resident in it, or in the largest of the processes it started.
    pub(crate) peak: u64,
}

/// Runs a program to its end; gives what it took and what it wrote to stderr.
pub(crate) fn measured(command: &mut Command) -> Result<(Usage, String), String> {
    let line = format!("{command:?}");
    let failed = |what: String| format!("{line}\n{what}");
    // A file and not a pipe, so that nobody but the program is awake while it runs.
    let mut stderr = tempfile::tempfile().map_err(|error| format!("no temporary file: {error}"))?;
    let for_child = stderr.try_clone().map_err(|error| format!("no temporary file: {error}"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(for_child);
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let pid = Pid::from_child(&child);
    let (sender, ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let end = child.wait4();
        // Nobody listens after the limit.
        let _ = sender.send((end, started.elapsed()));
    });
    let ended = ended.recv_timeout(LIMIT);
    if ended.is_err() {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::KILL);
    }
    waiter.join().map_err(|_| failed("could not be waited for".into()))?;
    let (end, took) = ended.map_err(|_| failed(format!("was killed after {LIMIT:?}")))?;
    let end = end.map_err(|error| failed(format!("could not be waited for: {error}")))?;
    let said = text(&mut stderr).map_err(|error| failed(format!("what it wrote is lost: {error}")))?;
    if !end.status.success() {
        return Err(failed(format!("{}; it wrote:\n{said}", end.status)));
    }
    let cpu = (end.rusage.utime + end.rusage.stime).as_secs_f64();
    Ok((Usage { seconds: took.as_secs_f64(), cpu, peak: end.rusage.maxrss }, said))
}

fn text(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_those_of_the_whole_tree() {
        // A subshell that computes and holds a string of 64 MiB; the shell around it does neither.
        let script = "(i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; \
                       held=$(head -c 67108864 /dev/zero | tr '\\0' x); echo ${#held} >&2); exit 0";
        let (usage, said) = measured(Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!(said, "67108864\n");
        assert!(usage.peak > 64 << 20, "{usage:?}");
        assert!(usage.cpu > 0.05 && usage.cpu < usage.seconds * 8.0, "{usage:?}");
    }

    #[test]
    fn a_program_that_fails_is_told_with_what_it_said() {
        let error = measured(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        assert!(error.contains("exit status: 3") && error.contains("no such thing"), "{error}");
    }
}
