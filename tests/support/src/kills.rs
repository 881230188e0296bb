//! Runs that are stopped at random moments in every way there is, and gone on with, beside a worker that stays.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tempfile::TempDir;

use crate::interrupted::Encode;
use crate::process::{LOOK, Process, new_token};
use crate::run::{Signal, signal};

/// What is encoded: the picture's size and length, how the clip is made, and how it is encoded.
const KINDS: [(&str, &[&str], &str, &[&str]); 3] = [
    (
        "testsrc2=s=480x270:r=25:d=8",
        &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "flac"],
        "out.mp4",
        &["-preset", "fast", "-bsize", "25", "-w", "2"],
    ),
    // One decoder gives all pictures.
    (
        "testsrc2=s=480x270:r=25:d=6",
        &["-c:v", "libx264", "-preset", "ultrafast", "-g", "9999", "-sc_threshold", "0", "-c:a", "flac"],
        "out.mkv",
        &["-preset", "fast", "-bsize", "20", "-w", "2"],
    ),
    // Large results.
    (
        "testsrc2=s=320x240:r=25:d=8",
        &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "flac"],
        "out.mkv",
        &["-c:v", "ffv1", "-bsize", "10", "-w", "2"],
    ),
];

/// A clip, and what becomes of it when nobody stops its encode.
#[derive(Debug)]
struct Kind {
    input: PathBuf,
    name: &'static str,
    options: &'static [&'static str],
    whole: Vec<u8>,
    took: Duration,
}

/// How a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Kill,
    /// Its encoders' processes are killed, and it goes on.
    Encoders,
    Interrupt,
    InterruptTwice,
    Terminate,
    HangUp,
}

const WAYS: [Way; 6] = [Way::Kill, Way::Encoders, Way::Interrupt, Way::InterruptTwice, Way::Terminate, Way::HangUp];

/// Where it all happens.
#[derive(Debug)]
pub struct Kills {
    divien: PathBuf,
    folder: TempDir,
    kinds: Vec<Kind>,
    worker: Process,
    address: String,
    token: PathBuf,
    /// How often each way was taken.
    ways: BTreeMap<Way, u64>,
    /// Chunks that a later run found finished.
    found: u64,
    /// What the worker had after each run.
    held: Vec<Held>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Resident memory, in KiB.
    memory: u64,
    files: usize,
}

/// More than that is not flat: KiB of memory, and open files.
const GROWTH: (u64, usize) = (16 << 10, 4);

impl Kills {
    /// Makes the clips, their outputs, and a worker.
    ///
    /// # Errors
    /// Something of that cannot be made.
    pub fn new(divien: PathBuf) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut kinds = Vec::new();
        for (number, (picture, made, name, options)) in KINDS.into_iter().enumerate() {
            let input = folder.path().join(format!("in-{number}.mkv"));
            let mut make = Command::new("ffmpeg");
            make.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture]);
            make.args(["-f", "lavfi", "-i", "sine=d=8", "-shortest"]).args(made).arg(&input);
            let status = make.status().map_err(|error| format!("ffmpeg: {error}"))?;
            if !status.success() {
                return Err(format!("{make:?}: {status}"));
            }
            let place = tempfile::tempdir_in(folder.path()).map_err(|error| error.to_string())?;
            let (whole, took) = Encode { divien: &divien, input: &input, options, name }.whole(place.path())?;
            kinds.push(Kind { input, name, options, whole, took });
        }
        let (_, token) = new_token(folder.path())?;
        let mut command = crate::gst::command(&divien);
        command.args(["worker", "--listen", "127.0.0.1:0", "--slots", "1", "--token-file"]).arg(&token);
        let (worker, address) = Process::listening(&mut command, folder.path().join("worker.log"))?;
        let address = address.to_string();
        Ok(Self { divien, folder, kinds, worker, address, token, ways: BTreeMap::new(), found: 0, held: Vec::new() })
    }

    /// Stops runs of one encode as the seed says, and lets a last one come to its end.
    ///
    /// # Errors
    /// What is wrong with what became of it.
    pub fn run(&mut self, seed: u64) -> Result<(), String> {
        let mut random = Rng::with_seed(seed);
        let kind = &self.kinds[random.usize(..self.kinds.len())];
        let encode = Encode { divien: &self.divien, input: &kind.input, options: kind.options, name: kind.name };
        let place = tempfile::tempdir_in(self.folder.path()).map_err(|error| error.to_string())?;
        let (output, waiting) = (place.path().join("output"), place.path().join("waiting"));
        for folder in [&output, &waiting] {
            fs::create_dir(folder).map_err(|error| error.to_string())?;
        }
        let stops = random.usize(1..=3);
        for _ in 0..stops {
            let mut more = vec!["-resume", "-keep"];
            let token = self.token.to_str().ok_or("a folder without a name")?;
            if random.bool() {
                more.extend(["-workers", &self.address, "-token-file", token]);
            }
            let way = WAYS[random.usize(..WAYS.len())];
            let after = kind.took.mul_f64(random.f64() * 1.1);
            let known = encode.finished(&output).len() as u64;
            stop(encode.command(&output, &more).env("TMPDIR", &waiting), place.path().join("log"), way, after)
                .map_err(|wrong| format!("{way:?} after {after:?}: {wrong}"))?;
            *self.ways.entry(way).or_default() += 1;
            self.found += known;
        }
        let came = encode.killed(&output, &[])?;
        self.found += came.before as u64;
        came.check(&kind.whole)?;
        let left: Vec<_> = fs::read_dir(&waiting).map_err(|error| error.to_string())?.flatten().collect();
        if !left.is_empty() {
            return Err(format!("left behind in TMPDIR: {left:?}"));
        }
        // An encoder may still be about to end.
        let patience = Instant::now() + Duration::from_secs(10);
        while let Some(process) = in_surroundings(&waiting) {
            if Instant::now() > patience {
                return Err(format!("a process outlives its run: {process}"));
            }
            std::thread::sleep(LOOK);
        }
        self.look_at_worker()
    }

    /// Whether the worker is as it was.
    fn look_at_worker(&mut self) -> Result<(), String> {
        if !self.worker.runs() {
            return Err(format!("the worker is gone: {}", self.worker.said()));
        }
        self.held.push(held(self.worker.child.id())?);
        Ok(())
    }

    /// Whether the worker has stayed as it was: what it has when it has least, which is when nobody is with it, is no more in
    /// the last third of all runs than in the one before. In the first it comes to have what it needs.
    ///
    /// # Errors
    /// It grows.
    pub fn stays(&self) -> Result<(), String> {
        let [before, now] = self.least();
        if now.memory > before.memory + GROWTH.0 || now.files > before.files + GROWTH.1 {
            return Err(format!("the worker grows: {before:?} became {now:?}"));
        }
        Ok(())
    }

    fn least(&self) -> [Held; 2] {
        let third = self.held.len() / 3;
        let least = |runs: &[Held]| Held {
            memory: runs.iter().map(|held| held.memory).min().unwrap_or(0),
            files: runs.iter().map(|held| held.files).min().unwrap_or(0),
        };
        [&self.held[third..2 * third], &self.held[2 * third..]].map(least)
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways: Vec<String> = self.ways.iter().map(|(way, count)| format!("{way:?} {count}")).collect();
        write!(f, "stopped by {}; {} finished chunks taken over", ways.join(", "), self.found)?;
        let [before, now] = self.least();
        let mib = |held: Held| held.memory >> 10;
        write!(f, "; the worker had {} MiB and {} files, ", mib(before), before.files)?;
        write!(f, "and has {} MiB and {} files", mib(now), now.files)
    }
}

/// Starts a run and stops it after this time, or lets it end before.
fn stop(command: &mut Command, log: PathBuf, way: Way, after: Duration) -> Result<(), String> {
    let mut run = Process::start(command, log)?;
    let child = &run.child;
    std::thread::sleep(after);
    match way {
        Way::Kill => signal(child, Signal::KILL),
        Way::Encoders => kill_encoders(child),
        Way::Interrupt => signal(child, Signal::INT),
        Way::InterruptTwice => {
            signal(child, Signal::INT);
            std::thread::sleep(Duration::from_millis(100));
            signal(child, Signal::INT);
        }
        Way::Terminate => signal(child, Signal::TERM),
        Way::HangUp => signal(child, Signal::HUP),
    }
    run.ends()?;
    let status = run.child.wait().map_err(|error| error.to_string())?;
    let code = status.code();
    // It may have been done before, or not far enough to hear a signal.
    let is_right = match way {
        Way::Encoders => code == Some(0),
        _ => [None, Some(0), Some(255)].contains(&code),
    };
    if is_right { Ok(()) } else { Err(format!("{status}: {}", run.said())) }
}

fn kill_encoders(parent: &Child) {
    let mut kill = Command::new("pkill");
    kill.args(["-KILL", "-P", &parent.id().to_string(), "-f", "encode-chunks"]);
    // There may be none.
    let _ = kill.status();
}

/// A process that has this folder for what waits, if there is one.
fn in_surroundings(folder: &Path) -> Option<String> {
    let wanted = [b"TMPDIR=", folder.as_os_str().as_encoded_bytes(), b"\0"].concat();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|process| process.path()).find_map(|process| {
        let surroundings = fs::read(process.join("environ")).ok()?;
        surroundings.windows(wanted.len()).any(|part| part == wanted).then(|| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ")
        })
    })
}

fn held(process: u32) -> Result<Held, String> {
    let place = PathBuf::from(format!("/proc/{process}"));
    let told = |error: std::io::Error| format!("process {process}: {error}");
    let status = fs::read_to_string(place.join("status")).map_err(told)?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    let files = fs::read_dir(place.join("fd")).map_err(told)?.count();
    Ok(Held { memory: memory.ok_or("no memory is told")?, files })
}
