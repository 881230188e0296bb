//! The folder of a run beside its output: what an earlier run has finished of it, and what is said of that.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use gstdivien::journal::{Facts, FileId, Held, Job as Folder, JobError, Shelf};

use crate::cli::{AudioCodec, Input, Job, Output, Overwrite, Resume};
use crate::error::Error;
use crate::mux::followed;
use crate::plan::Plan;
use crate::probe::{Cutting, Facts as Found};
use crate::report::{counted, size};
use crate::sync::lock;

/// So much of the input's start, and of its end, is compared.
const COMPARED: u64 = 1 << 20;

/// Whether a run has a folder.
#[derive(Debug, Clone)]
pub(crate) enum Opening {
    /// It has none, for this reason.
    Without(String),
    /// It has one.
    Folder(Kept),
}

/// What is kept of a run until its output is whole.
#[derive(Debug, Clone)]
pub(crate) struct Kept(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    /// As the user sees it.
    path: PathBuf,
    /// What an earlier run has left, until this one begins with it.
    held: Mutex<Option<Held>>,
    /// So many chunks, and frames in them.
    before: (u64, u64),
    /// The output is there as an earlier run has made it.
    is_complete: bool,
    shelf: Mutex<Option<Arc<Shelf>>>,
    /// How many frames there will be, about.
    frames: Mutex<Option<u64>>,
    stays: bool,
}

impl Opening {
    /// Takes the run's folder, if it can have one.
    pub(crate) fn of(job: &Job) -> Result<Self, Error> {
        let Resume { resumes, folder, stays, .. } = &job.resume;
        let (output, why) = match (whole_input(&job.input), &job.output) {
            (Err(why), _) => (None, why),
            (Ok(()), Output::Stdout) => (None, "the output goes to standard output".to_owned()),
            (Ok(()), Output::File(path)) => match fs::metadata(path) {
                Ok(about) if !about.is_file() => (None, format!("{} is no file", path.display())),
                _ => (Some(path), String::new()),
            },
        };
        let Some(output) = output else {
            return match asked(&job.resume) {
                Some(option) => Err(Error::Plan {
                    what: format!("{option}: this run cannot be resumed: {why}"),
                    hint: "runs from a file to a file can be; leave the option out".into(),
                }),
                None => Ok(Self::Without(why)),
            };
        };
        let path = beside(output, folder.as_deref())?;
        let real = followed(output).map_err(|source| Error::Create { path: output.clone(), source })?;
        let locked = match Folder::lock(&path, &real) {
            Ok(locked) => locked,
            Err(JobError::Io(error)) if cannot_hold_any(&error) && asked(&job.resume).is_none() => {
                return Ok(Self::Without(format!("{} cannot be held: {error}", path.display())));
            }
            // Nothing can be made where the output is to be.
            Err(JobError::Io(source)) if folder.is_none() => {
                return Err(Error::Create { path: output.clone(), source });
            }
            Err(error) => return Err(Error::Job { path, error }),
        };
        let failed = |error| Error::Job { path: path.clone(), error };
        let held = match locked.held() {
            // It is of no use, and will be replaced.
            Err(JobError::Unreadable(_)) if !resumes && job.overwrite == Overwrite::Always => None,
            held => held.map_err(failed)?,
        };
        let is_complete = *resumes && held.as_ref().is_some_and(|held| held.came_to(&real));
        let before @ (chunks, frames) = held.as_ref().map_or((0, 0), Held::finished);
        if !resumes && job.overwrite != Overwrite::Always && chunks > 0 {
            return Err(Error::Unfinished { path, chunks, frames, resume: again() });
        }
        locked.sign(&who()).map_err(|error| failed(error.into()))?;
        // What is replaced is nobody's concern any more.
        let before = if *resumes { before } else { (0, 0) };
        let (held, shelf, frames) = (Mutex::new(held.filter(|_| *resumes)), Mutex::default(), Mutex::default());
        let kept =
            Kept(Arc::new(Inner { folder: locked, path, held, before, is_complete, shelf, frames, stays: *stays }));
        Ok(Self::Folder(kept))
    }

    /// What is kept of the run.
    pub(crate) fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Without(_) => None,
            Self::Folder(kept) => Some(kept),
        }
    }

    /// What a run that was stopped leaves, and how another goes on from there.
    pub(crate) fn left(&self) -> Option<String> {
        match self {
            Self::Without(why) => Some(format!("this run cannot be resumed: {why}")),
            Self::Folder(kept) => kept.left(),
        }
    }
}

impl Kept {
    /// Whether the output is there, as an earlier run of this very job has made it.
    pub(crate) fn is_complete(&self, job: &Job, (plan, found): (&Plan, &Found)) -> Result<bool, Error> {
        if self.may_be_complete()
            && let Some(held) = &*lock(&self.0.held)
        {
            held.is_of(&facts(job, plan, found)?).map_err(|error| self.failed(error))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The chunks that earlier runs have finished, and their frames.
    pub(crate) fn before(&self) -> (u64, u64) {
        self.0.before
    }

    /// The output is there, as an earlier run has made it; whether that was the same job is yet to be seen.
    pub(crate) fn may_be_complete(&self) -> bool {
        self.0.is_complete
    }

    /// Begins the job that was decided, or goes on with it. Gives the chunks that are there of it, and their frames.
    pub(crate) fn begin(&self, job: &Job, (plan, found): (&Plan, &Found)) -> Result<(u64, u64), Error> {
        let facts = facts(job, plan, found)?;
        let begun = match lock(&self.0.held).take() {
            Some(held) => self.0.folder.go_on(held, &facts),
            None => self.0.folder.begin(facts),
        };
        let shelf = begun.map_err(|error| self.failed(error))?;
        let finished = shelf.finished();
        *lock(&self.0.shelf) = Some(Arc::new(shelf));
        *lock(&self.0.frames) = plan.frames;
        Ok(finished)
    }

    /// Where chunks are kept, once that has begun.
    pub(crate) fn shelf(&self) -> Option<Arc<Shelf>> {
        lock(&self.0.shelf).clone()
    }

    /// The output goes into this file until it is whole.
    pub(crate) fn writes_to(&self, part: &Path) -> Result<(), Error> {
        self.note(part, Shelf::writes_to)
    }

    /// This file is the whole output.
    pub(crate) fn completes(&self, part: &Path) -> Result<(), Error> {
        self.note(part, Shelf::completes)
    }

    fn note(&self, file: &Path, note: impl Fn(&Shelf, FileId) -> io::Result<()>) -> Result<(), Error> {
        let Some(shelf) = self.shelf() else { return Ok(()) };
        FileId::of(file).and_then(|id| note(&shelf, id)).map_err(|error| self.failed(error.into()))
    }

    /// Why the job cannot go on, if that has ended the run.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.shelf().and_then(|shelf| shelf.failure()).map(|error| self.failed(error))
    }

    /// The output is there: nothing is kept any more, unless that was asked for. Gives what is left, and why.
    pub(crate) fn is_over(&self) -> Option<String> {
        if self.0.stays {
            return None;
        }
        if let Some(shelf) = self.shelf() {
            shelf.close();
        }
        let removed = self.0.folder.remove();
        removed.err().map(|error| format!("{} is left behind: {error}", self.0.path.display()))
    }

    /// What a run that was stopped leaves, and how another goes on from there. Where there is nothing, the folder goes.
    fn left(&self) -> Option<String> {
        let (chunks, frames) = match self.shelf() {
            Some(shelf) => {
                let is_still = shelf.close();
                if is_still && shelf.finished().0 == 0 {
                    let _ = self.0.folder.remove();
                }
                shelf.finished()
            }
            None => {
                if self.0.folder.is_empty().unwrap_or(false) {
                    let _ = self.0.folder.remove();
                }
                self.0.before
            }
        };
        if chunks == 0 {
            return None;
        }
        Some(format!(
            "{} ({}) kept in {}; to go on: {}",
            counted(chunks, "finished chunk"),
            counted(frames, "frame"),
            self.0.path.display(),
            again()
        ))
    }

    /// How much room the rest takes, as far as that can be told by what is finished.
    pub(crate) fn needs(&self) -> Option<String> {
        let (shelf, total) = (self.shelf()?, (*lock(&self.0.frames))?);
        // What was tried says little of what will be.
        if shelf.has_trials() {
            return None;
        }
        let (_, frames) = shelf.finished();
        let each = shelf.bytes().checked_div(frames)?;
        let (rest, all) = (each.saturating_mul(total.saturating_sub(frames)), each.saturating_mul(total));
        let folder = self.0.path.display();
        Some(format!("the rest takes about {} in {folder}, and the output about {}", size(rest), size(all)))
    }

    fn failed(&self, error: JobError) -> Error {
        Error::Job { path: self.0.path.clone(), error }
    }
}

/// The first option that makes no sense without a folder.
fn asked(resume: &Resume) -> Option<&'static str> {
    let all = [
        (resume.resumes, "-resume"),
        (resume.folder.is_some(), "-workdir"),
        (resume.stays, "-keep"),
        (resume.finishes, "-finish-chunks"),
    ];
    all.into_iter().find_map(|(is_asked, option)| is_asked.then_some(option))
}

/// Some file systems know no locks, and some outputs have the longest name that there can be.
fn cannot_hold_any(error: &io::Error) -> bool {
    let known = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NAMETOOLONG];
    error.raw_os_error().is_some_and(|code| known.iter().any(|known| known.raw_os_error() == code))
}

/// Whether the input can be read once more.
fn whole_input(input: &Input) -> Result<(), String> {
    match input {
        Input::Stdin => Err("the input comes from standard input, and comes once".into()),
        Input::File(path) if path.to_string_lossy().starts_with("pipe:") => {
            Err(format!("{} comes once", path.display()))
        }
        Input::File(path) => match fs::metadata(path) {
            Ok(about) if !about.is_file() => Err(format!("{} is no file, and comes once", path.display())),
            // That it is not there is told when it is opened.
            _ => Ok(()),
        },
    }
}

/// `OUTPUT.divien`, beside the output or in another folder. A link has that of what it leads to.
fn beside(output: &Path, folder: Option<&Path>) -> Result<PathBuf, Error> {
    let failed = |source| Error::Create { path: output.to_owned(), source };
    let real;
    let output = if output.is_symlink() {
        real = followed(output).map_err(failed)?;
        &real
    } else {
        output
    };
    let Some(name) = output.file_name() else {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "names no file")));
    };
    let mut name = name.to_owned();
    let Some(folder) = folder else {
        name.push(".divien");
        return Ok(output.with_file_name(name));
    };
    // Other outputs may have the same name.
    let own = output.parent().filter(|own| !own.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = own.canonicalize().map_err(failed)?.join(&name);
    let hash = blake3::hash(whole.as_os_str().as_encoded_bytes()).to_hex();
    name.push(format!("-{}.divien", &hash[..8]));
    Ok(folder.join(name))
}

fn who() -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("process {} on {machine}", std::process::id())
}

/// The command that goes on from what is kept: what was typed, and `-resume`.
pub(crate) fn again() -> String {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if !words.iter().any(|word| word == "-resume") {
        let at = if words.get(1).is_some_and(|word| word == "server") { 2 } else { 1 };
        words.insert(at.min(words.len()), "-resume".into());
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word for a shell. What is no text, or would do something to a terminal, is written as bash, zsh and ksh read it.
fn quoted(word: &OsStr) -> String {
    match word.to_str() {
        Some(text) if !text.chars().any(char::is_control) => shell_words::quote(text).into_owned(),
        _ => format!("$'{}'", word.as_bytes().escape_ascii()),
    }
}

/// All that the output's bytes depend on beside what the encoder says of itself, by the names people know it by.
fn facts(job: &Job, plan: &Plan, found: &Found) -> Result<Facts, Error> {
    let mut facts = Facts::new();
    let mut add = |name: &str, value: String| {
        facts.entry(name.to_owned()).and_modify(|all| *all = format!("{all} {value}")).or_insert(value);
    };
    let video = &plan.video;
    add("-c:v", job.video.encoder.clone());
    job.video.options.iter().for_each(|(name, value)| add(&format!("-{name}"), value.clone()));
    job.video.pix_fmt.iter().for_each(|format| add("-pix_fmt", format.clone()));
    add("-threads", video.threads.to_string());
    add("-bsize", video.chunk_frames.to_string());
    add("-lead-in", video.lead_in.map_or_else(|| "auto".into(), |frames| frames.to_string()));
    add("-cut", format!("{:?}", job.cut).to_lowercase());
    if let Some(cuts) = &video.cuts {
        add("-scenes", blake3::hash(format!("{:?}", cuts.numbers()).as_bytes()).to_hex().to_string());
    }
    if job.exact_rate {
        add("-pass", "2".into());
    }
    add("-f", plan.container.name().to_owned());
    if !job.filters.is_empty() {
        add("-vf, -s and -r", format!("{:?}", job.filters));
    }
    add(
        "-c:a",
        match &job.audio.codec {
            AudioCodec::Auto => "chosen".into(),
            AudioCodec::Copy => "copy".into(),
            AudioCodec::None => "none".into(),
            AudioCodec::Encoder(name) => name.clone(),
        },
    );
    job.audio.bit_rate.iter().for_each(|rate| add("-b:a", rate.to_string()));
    job.audio.channels.iter().for_each(|channels| add("-ac", channels.to_string()));
    job.audio.rate.iter().for_each(|rate| add("-ar", rate.to_string()));
    add("-c:s", if job.subtitles { format!("{:?}", job.carry.subtitles).to_lowercase() } else { "none".into() });
    job.carry.video_tag.iter().for_each(|tag| add("-tag:v", tag.clone()));
    for (name, is_kept) in [("-map_metadata", job.carry.metadata), ("-map_chapters", job.carry.chapters)] {
        add(name, if is_kept { "0" } else { "-1" }.into());
    }
    let range = &plan.range;
    let seconds = |ns: u64| format!("{:.9}", ns as f64 / 1e9);
    if range.start > 0 {
        add("-ss", seconds(range.start));
    }
    range.end.iter().for_each(|end| add("-t or -to", seconds(*end)));
    range.frames.iter().for_each(|frames| add("-frames:v", frames.to_string()));
    if plan.faststart {
        add("-movflags", "+faststart".into());
    }
    job.metadata.iter().for_each(|(name, value)| add(&format!("-metadata {name}"), value.clone()));
    if let Input::File(path) = &job.input {
        let failed = |source| Error::Input { path: path.clone(), source };
        let (about, ends) = ends(path).map_err(failed)?;
        add("the input's size", about.len().to_string());
        add("the input's time", moment(about.mtime(), about.mtime_nsec()));
        add("the input's start and end", ends.to_hex().to_string());
    }
    if let Some(Cutting::Apart(units)) = found.streams.get(video.stream).map(|stream| &stream.cutting) {
        let mut hash = blake3::Hasher::new();
        for unit in &units.all {
            hash.update(format!("{unit:?}").as_bytes());
        }
        add("the input's index", hash.finalize().to_hex().to_string());
        add("how chunks are decoded", video.cut.map_or("one after the other".into(), |_| "each by itself".into()));
    }
    Ok(facts)
}

/// A moment by UTC, to the nanosecond.
fn moment(seconds: i64, nanoseconds: i64) -> String {
    let whole = glib::DateTime::from_unix_utc(seconds).and_then(|moment| moment.format("%Y-%m-%d %H:%M:%S"));
    let whole = whole.map_or_else(|_| format!("{seconds} s since 1970"), Into::into);
    format!("{whole} and {nanoseconds} ns, UTC")
}

/// A file's first bytes and its last ones, as a hash.
fn ends(path: &Path) -> io::Result<(fs::Metadata, blake3::Hash)> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let mut hash = blake3::Hasher::new();
    io::copy(&mut (&file).take(COMPARED), &mut hash)?;
    file.seek(SeekFrom::Start(about.len().saturating_sub(COMPARED)))?;
    io::copy(&mut (&file).take(COMPARED), &mut hash)?;
    Ok((about, hash.finalize()))
}
