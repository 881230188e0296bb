//! Other programs, under a time limit that holds.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};

/// Sends a signal to a program that a test has started by itself.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap_or_else(|error| panic!("cannot be signalled: {error}"));
}

/// The most memory that a program has had so far, in bytes.
pub fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it has not been waited for");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it runs");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("this is a number") * 1024
}

/// How long a program may take unless a test says otherwise: long enough for a busy machine, short enough for a hang
/// to be seen.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs a program to its end; a test fails if that takes longer than [`LIMIT`].
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    Running::start(command).wait(LIMIT)
}

/// Starts a program that does not end by itself, waits until a line on its stderr has this mark, and kills it with all
/// it started; gives what follows the mark.
#[track_caller]
pub fn told(command: &mut Command, mark: &str, limit: Duration) -> String {
    let line = format!("{command:?}");
    command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line} cannot be started: {error}"));
    let pid = Pid::from_child(&child);
    let stderr = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || stderr.split(b'\n').map_while(Result::ok).all(|l| sender.send(l).is_ok()));
    let deadline = Instant::now() + limit;
    let mut said = String::new();
    let found = loop {
        let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) else { break None };
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((_, rest)) = line.split_once(mark) {
            break Some(rest.to_owned());
        }
        said.push_str(&line);
        said.push('\n');
    };
    drop(lines);
    let _ = kill_process_group(pid, Signal::KILL);
    child.wait().expect("a child can be waited for");
    reader.join().expect("a reader of a pipe does not panic");
    found.unwrap_or_else(|| panic!("{line}\nnever said '{mark}' within {limit:?}; it wrote:\n{said}"))
}

/// A program that runs, in a process group of its own.
#[derive(Debug)]
pub struct Running {
    line: String,
    pid: Pid,
    started: Instant,
    ended: mpsc::Receiver<std::io::Result<ExitStatus>>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    /// Hears when the mark of [`Running::start_watching`] was written.
    marked: mpsc::Receiver<()>,
}

/// What became of a program.
#[derive(Debug)]
pub struct Outcome {
    /// The command line.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Running {
    /// Starts a program. Its stdin is empty unless the command says otherwise.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::start_watching(command, None)
    }

    /// Starts a program and looks for a mark on its stderr, see [`Running::wait_or_interrupt`].
    #[track_caller]
    pub fn start_watching(command: &mut Command, mark: Option<&'static str>) -> Self {
        let line = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line} cannot be started: {error}"));
        let stdout = child.stdout.take().map(|pipe| drain(pipe, None));
        let (sender, marked) = mpsc::channel();
        let stderr = child.stderr.take().map(|pipe| drain(pipe, mark.map(|mark| (mark, sender))));
        let pid = Pid::from_child(&child);
        Self { line, pid, started: Instant::now(), ended: wait_for(child), stdout, stderr, marked }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Sends a signal to the program, as a terminal would.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap_or_else(|error| panic!("{}: cannot be signalled: {error}", self.line));
    }

    /// Waits for the program's end as [`Running::wait`] does, but interrupts a program that still runs this long after
    /// the mark was written.
    #[track_caller]
    pub fn wait_or_interrupt(mut self, limit: Duration, patience: Duration) -> Outcome {
        if self.marked.recv_timeout(limit.saturating_sub(self.started.elapsed())).is_ok() {
            match self.ended.recv_timeout(patience) {
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    // It may have ended just now.
                    let _ = kill_process(self.pid, Signal::INT);
                }
                ended => {
                    let (sender, again) = mpsc::channel();
                    let _ = ended.map(|ended| sender.send(ended));
                    self.ended = again;
                }
            }
        }
        self.wait(limit)
    }

    /// Waits for the program's end. When the limit is over it is killed with all it started, and the test fails.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let status = self.ended.recv_timeout(limit.saturating_sub(self.started.elapsed()));
        let took = self.started.elapsed();
        // Whatever the program left behind would hold the pipes open.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let stdout = collected(self.stdout.take());
        let stderr = String::from_utf8_lossy(&collected(self.stderr.take())).into_owned();
        let Ok(status) = status else {
            panic!(
                "{}\nwas killed after {took:.1?}; it wrote:\n{}{stderr}",
                self.line,
                String::from_utf8_lossy(&stdout)
            );
        };
        let status = status.expect("a child can be waited for");
        Outcome { line: std::mem::take(&mut self.line), status, stdout, stderr, took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

/// Reads a pipe to its end, and tells when a line has the mark.
fn drain(pipe: impl Read + Send + 'static, mut mark: Option<(&'static str, mpsc::Sender<()>)>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        loop {
            let begun = bytes.len();
            match pipe.read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => return bytes,
                Ok(_) => {}
            }
            if let Some((_, sender)) =
                mark.take_if(|(text, _)| String::from_utf8_lossy(&bytes[begun..]).contains(*text))
            {
                let _ = sender.send(());
            }
        }
    })
}

fn collected(reader: Option<JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.map(|thread| thread.join().expect("a reader of a pipe does not panic")).unwrap_or_default()
}

fn wait_for(mut child: Child) -> mpsc::Receiver<std::io::Result<ExitStatus>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(child.wait());
    });
    receiver
}

impl Outcome {
    /// The program must have succeeded.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// The program must have ended by itself with an exit code that is not 0.
    #[track_caller]
    pub fn failure(self) -> Self {
        assert!(self.status.signal().is_none(), "ended by a signal, not by itself\n{self}");
        assert!(!self.status.success(), "succeeded, but should not have\n{self}");
        self
    }

    /// The program must have said each of these, on stdout or stderr, in any case of letters.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let said = self.said().to_lowercase();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "nothing was said of '{word}'\n{self}");
        }
        self
    }

    /// All that was written, as text.
    pub fn said(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.stdout), self.stderr)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "{}\n{}, after {:.1?}; it wrote:\n{stdout}{}", self.line, self.status, self.took, self.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "was killed after")]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo begun; sleep 600"]);
        Running::start(&mut command).wait(Duration::from_millis(300));
    }

    #[test]
    fn a_program_that_outlasts_its_mark_is_interrupted() {
        // A shell cannot trap what whoever started the tests has ignored.
        let mut command = Command::new("env");
        command.args([
            "--default-signal=INT",
            "sh",
            "-c",
            "trap 'exit 3' INT; echo failed: x >&2; while :; do sleep 0.05; done",
        ]);
        let running = Running::start_watching(&mut command, Some("failed"));
        let outcome = running.wait_or_interrupt(LIMIT, Duration::from_millis(50)).failure();
        assert_eq!((outcome.status.code(), outcome.stderr.as_str()), (Some(3), "failed: x\n"));
        let mut command = Command::new("sh");
        command.args(["-c", "echo failed: x >&2; exit 4"]);
        let running = Running::start_watching(&mut command, Some("failed"));
        assert_eq!(running.wait_or_interrupt(LIMIT, LIMIT).failure().status.code(), Some(4));
    }

    #[test]
    #[should_panic(expected = "ended by a signal")]
    fn a_crash_does_not_pass_for_an_error() {
        run(Command::new("sh").args(["-c", "kill -SEGV $$"])).failure();
    }

    #[test]
    fn both_outputs_are_kept_apart() {
        let outcome = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).failure();
        assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_str()), (&b"one\n"[..], "two\n"));
        assert_eq!(outcome.status.code(), Some(3));
    }
}
