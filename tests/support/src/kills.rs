//! Runs that are stopped at random moments in every way there is, and gone on with, beside a worker that stays; now and then
//! what they have finished is damaged in between.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tempfile::TempDir;

use crate::gst;
use crate::interrupted::Encode;
use crate::process::{LOOK, Process, new_token};
use crate::run::{LIMIT, Signal, signal};

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
    /// They stand still, and it goes on.
    Stall,
    /// No file may become larger than so much of the output.
    Full,
    Interrupt,
    InterruptTwice,
    Terminate,
    HangUp,
}

const WAYS: [Way; 8] =
    [Way::Kill, Way::Encoders, Way::Stall, Way::Full, Way::Interrupt, Way::InterruptTwice, Way::Terminate, Way::HangUp];
/// How long encoders may stand still, in seconds.
const PATIENCE: &str = "4";

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
    /// Files of chunks of which a bit was turned, and journals that were cut.
    damaged: u64,
    /// What the worker had after each run.
    held: Vec<Held>,
    /// The most that the stopped processes of each run had.
    most: Vec<Held>,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    /// Resident memory, in KiB.
    memory: u64,
    files: usize,
}

impl Held {
    fn least(self, other: Self) -> Self {
        Self { memory: self.memory.min(other.memory), files: self.files.min(other.files) }
    }

    fn most(self, other: Self) -> Self {
        Self { memory: self.memory.max(other.memory), files: self.files.max(other.files) }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB and {} files", self.memory >> 10, self.files)
    }
}

/// More than that is not flat: KiB of memory and open files of the worker, and what the hungriest run had.
const GROWTH: [Held; 2] = [Held { memory: 16 << 10, files: 4 }, Held { memory: 32 << 10, files: 16 }];
/// So few runs tell nothing of that.
const FEW: usize = 60;

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
        let mut command = gst::command(&divien);
        command.args(["worker", "--listen", "127.0.0.1:0", "--slots", "1", "--token-file"]).arg(&token);
        let (worker, address) = Process::listening(&mut command, folder.path().join("worker.log"))?;
        let address = address.to_string();
        let (ways, held, most) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(Self { divien, folder, kinds, worker, address, token, ways, found: 0, damaged: 0, held, most })
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
        let (mut damaged, mut most) = (BTreeMap::new(), Held::default());
        for _ in 0..stops {
            let mut more = vec!["-resume", "-keep", "-lane-timeout", PATIENCE];
            let token = self.token.to_str().ok_or("a folder without a name")?;
            if random.bool() {
                more.extend(["-workers", &self.address, "-token-file", token]);
            }
            let way = WAYS[random.usize(..WAYS.len())];
            let part = random.f64() * 1.1;
            let known = encode.finished(&output).len() as u64;
            let mut command = encode.command(&output, &more);
            if way == Way::Full {
                command = gst::limited(&command, &format!("--fsize={}", (kind.whole.len() as f64 * part) as u64));
            }
            let after = kind.took.mul_f64(part);
            stop(command.env("TMPDIR", &waiting), place.path().join("log"), way, after, &mut most)
                .map_err(|wrong| format!("{way:?} after {after:?}: {wrong}"))?;
            *self.ways.entry(way).or_default() += 1;
            self.found += known;
            if random.bool() {
                let what = damage(&encode.kept(&output), &mut random).map_err(|error| error.to_string())?;
                self.damaged += u64::from(what.is_some());
                if let Some(Damage::Chunk(number)) = what {
                    *damaged.entry(number).or_default() += 1;
                }
            }
        }
        let came = encode.killed(&output, &[])?;
        self.found += came.before as u64;
        came.check_damaged(&kind.whole, &damaged)?;
        self.most.push(most);
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
    /// the last third of all runs than in the one before. In the first it comes to have what it needs. And whether runs take
    /// no more than they did.
    ///
    /// # Errors
    /// It grows, or they do.
    pub fn stays(&self) -> Result<(), String> {
        let all = [("the worker grows", self.least()), ("runs grow", self.peaks())];
        let mut grown = all.into_iter().zip(GROWTH).filter(|((_, [before, now]), growth)| {
            now.memory > before.memory + growth.memory || now.files > before.files + growth.files
        });
        match grown.next() {
            Some(((who, [before, now]), _)) if self.held.len() >= FEW => Err(format!("{who}: {before} became {now}")),
            _ => Ok(()),
        }
    }

    fn least(&self) -> [Held; 2] {
        last_thirds(&self.held).map(|runs| runs.iter().copied().reduce(Held::least).unwrap_or_default())
    }

    fn peaks(&self) -> [Held; 2] {
        last_thirds(&self.most).map(|runs| runs.iter().copied().reduce(Held::most).unwrap_or_default())
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways: Vec<String> = self.ways.iter().map(|(way, count)| format!("{way:?} {count}")).collect();
        write!(f, "stopped by {}; {} finished chunks taken over, ", ways.join(", "), self.found)?;
        write!(f, "{} times something was damaged", self.damaged)?;
        let ([before, now], [took, take]) = (self.least(), self.peaks());
        write!(f, "; the worker had {before}, and has {now}; runs took {took} at most, and take {take}")?;
        if self.held.len() < FEW { f.write_str(" (too few runs to tell)") } else { Ok(()) }
    }
}

fn last_thirds<T>(all: &[T]) -> [&[T]; 2] {
    let third = all.len() / 3;
    [&all[third..2 * third], &all[2 * third..]]
}

/// What has befallen what a job has finished.
enum Damage {
    /// A bit has turned in the file of this chunk.
    Chunk(u64),
    /// The last line of its journal is cut.
    Journal,
}

/// Damages something in a job's folder, if there is anything.
fn damage(kept: &Path, random: &mut Rng) -> io::Result<Option<Damage>> {
    let number = |name: &str| name.strip_suffix(".chunk")?.parse().ok();
    let names = fs::read_dir(kept).into_iter().flatten().flatten();
    let mut chunks: Vec<u64> = names.filter_map(|entry| number(&entry.file_name().into_string().ok()?)).collect();
    chunks.sort_unstable();
    if chunks.is_empty() {
        return Ok(None);
    }
    if random.bool() {
        let chunk = chunks[random.usize(..chunks.len())];
        let file = kept.join(format!("{chunk:08}.chunk"));
        let mut bytes = fs::read(&file)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let at = random.usize(..bytes.len());
        bytes[at] ^= 1 << random.u8(..8);
        fs::write(file, bytes)?;
        return Ok(Some(Damage::Chunk(chunk)));
    }
    let journal = kept.join("journal");
    let text = fs::read(&journal)?;
    if text.is_empty() {
        return Ok(None);
    }
    let last = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    // Without the line that an output is whole, that is one that nobody knows.
    if !String::from_utf8_lossy(&text[last..]).contains("{\"chunk\":") {
        return Ok(None);
    }
    fs::write(journal, &text[..random.usize(last..text.len())])?;
    Ok(Some(Damage::Journal))
}

/// Starts a run and stops it after this time, or lets it end before; looks at what it has, as at what others had before.
fn stop(command: &mut Command, log: PathBuf, way: Way, after: Duration, most: &mut Held) -> Result<(), String> {
    let mut run = Process::start(command, log)?;
    let pid = run.child.id();
    let started = Instant::now();
    let mut look = || {
        // It may have ended.
        *most = most.most(held(pid).unwrap_or_default());
        std::thread::sleep(LOOK);
    };
    while started.elapsed() + LOOK < after && run.runs() {
        look();
    }
    if run.runs() {
        strike(way, &run.child);
    }
    while started.elapsed() < after + LIMIT && run.runs() {
        look();
    }
    run.ends()?;
    let status = run.child.wait().map_err(|error| error.to_string())?;
    // It may have been done before, or not far enough to hear a signal.
    let is_right = match (way, status.code()) {
        (_, Some(0)) | (Way::Full, Some(74)) => true,
        (Way::Encoders | Way::Stall | Way::Full, _) => false,
        (_, code) => [None, Some(255)].contains(&code),
    };
    if is_right { Ok(()) } else { Err(format!("{status}: {}", run.said())) }
}

fn strike(way: Way, child: &Child) {
    match way {
        Way::Kill => signal(child, Signal::KILL),
        Way::Encoders => to_encoders("KILL", child),
        Way::Stall => to_encoders("STOP", child),
        Way::Full => {}
        Way::Interrupt => signal(child, Signal::INT),
        Way::InterruptTwice => {
            signal(child, Signal::INT);
            std::thread::sleep(Duration::from_millis(100));
            signal(child, Signal::INT);
        }
        Way::Terminate => signal(child, Signal::TERM),
        Way::HangUp => signal(child, Signal::HUP),
    }
}

fn to_encoders(signal: &str, parent: &Child) {
    let mut kill = Command::new("pkill");
    kill.args(["--signal", signal, "-P", &parent.id().to_string(), "-f", "encode-chunks"]);
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
    let told = |error: io::Error| format!("process {process}: {error}");
    let status = fs::read_to_string(place.join("status")).map_err(told)?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    let files = fs::read_dir(place.join("fd")).map_err(told)?.count();
    Ok(Held { memory: memory.ok_or("no memory is told")?, files })
}
