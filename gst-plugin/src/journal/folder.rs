//! The folder of a job: made, locked, looked into, emptied.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::JobError;
use super::disk::{Disk, Folder};
use super::records::{self, Facts, FileId, Journal, Record};
use super::shelf::{Shelf, is_on_its_way_out, is_ours};

/// The file that is locked.
const LOCK: &str = "lock";
/// How long it is waited for: a process that was killed takes its time to let go of what it has.
const DYING: Duration = Duration::from_secs(1);
/// The most that is read of who holds it.
const MOST_NAME: u64 = 200;
/// The most of an output's name that is part of its partial files' names.
const MOST_STEM: usize = 40;

/// What the names of the files begin and end with that are to become this output, all of them beside it.
pub fn part_of(output: &Path) -> (String, &'static str) {
    let stem = output.file_name().unwrap_or_default().to_string_lossy();
    (format!(".{}.", stem.chars().take(MOST_STEM).collect::<String>()), ".part")
}

/// A job's folder, which nobody else works on as long as this is there.
#[derive(Debug)]
pub struct Job {
    path: PathBuf,
    output: PathBuf,
    lock: Mutex<Option<File>>,
}

/// What a folder holds of a job.
#[derive(Debug)]
pub struct Held {
    facts: Facts,
    records: Vec<Record>,
    end: u64,
}

impl Job {
    /// Takes the folder of what is to become this output. It is made if it is not there.
    ///
    /// # Errors
    /// Another run has it; it cannot be made; it is somebody else's, or something else is in it.
    pub fn lock(path: &Path, output: &Path) -> Result<Self, JobError> {
        let until = Instant::now() + DYING;
        loop {
            match fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
            let lock = match open_lock(path) {
                // Whoever had it has removed it in between.
                Err(JobError::Io(error)) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => {
                    thread::sleep(DYING / 20);
                    continue;
                }
                opened => opened?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    thread::sleep(DYING / 20);
                    continue;
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let read = lock.take(MOST_NAME).read_to_string(&mut holder);
                    let known = read.is_ok() && !holder.is_empty();
                    return Err(JobError::Held(if known { holder } else { "another run".into() }));
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            let (own, there) = (lock.metadata()?, fs::symlink_metadata(path.join(LOCK)));
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
                continue;
            }
            // Its name is as safe as what is in it.
            sync_parent(path);
            let lock = Mutex::new(Some(lock));
            return Ok(Self { path: path.to_owned(), output: output.to_owned(), lock });
        }
    }

    /// Has others who want it meanwhile told this.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn sign(&self, who: &str) -> io::Result<()> {
        let Some(lock) = &mut *self.locked() else { return Ok(()) };
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(who.as_bytes())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there of a job.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub fn held(&self) -> Result<Option<Held>, JobError> {
        let held = Journal::read(&self.folder()?)?;
        Ok(held.map(|(facts, records, end)| Held { facts, records, end }))
    }

    /// Begins a new job, in place of the one that is there.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn begin(&self, facts: Facts) -> Result<Shelf, JobError> {
        self.clear(false)?;
        Ok(Shelf::new(self.folder()?, facts)?)
    }

    /// Goes on with the job that is there.
    ///
    /// # Errors
    /// It is about something else, or its folder cannot be written to.
    pub fn go_on(&self, held: Held, facts: &Facts) -> Result<Shelf, JobError> {
        held.is_of(facts)?;
        held.remove_parts(&self.output);
        Ok(Shelf::again(self.folder()?, (held.records, held.end))?)
    }

    /// Nothing is there of any job.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.folder()?.names()?.iter().all(|name| name == LOCK || is_on_its_way_out(name)))
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// It, or something in it, cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        self.clear(true)?;
        self.folder()?.remove(LOCK)?;
        if fs::remove_dir(&self.path).is_err() {
            // A file that is open is not quite gone on every file system.
            *self.locked() = None;
            fs::remove_dir(&self.path)?;
        }
        sync_parent(&self.path);
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> io::Result<Folder> {
        Folder::open(&self.path)
    }

    /// Removes all that is there of a job, and what its runs have left beside it.
    fn clear(&self, is_over: bool) -> io::Result<()> {
        let folder = self.folder()?;
        let mut is_whole = false;
        if let Ok(Some((facts, records, end))) = Journal::read(&folder) {
            is_whole = is_over && records.iter().any(|record| matches!(record, Record::Output(_)));
            Held { facts, records, end }.remove_parts(&self.output);
        }
        empty(&folder, is_whole)
    }
}

/// Removes all files of a job. Without a journal the rest is nothing, but that of a job whose output is whole goes last: it
/// tells that nothing is missing.
pub(super) fn empty<D: Disk>(disk: &D, is_whole: bool) -> io::Result<()> {
    let all = disk.names()?;
    let (journal, rest): (Vec<_>, Vec<_>) =
        all.iter().filter(|name| is_ours(name)).partition(|name| *name == records::NAME);
    let (first, last) = if is_whole { (rest, journal) } else { (journal, rest) };
    first.iter().try_for_each(|name| disk.remove(name))?;
    if !first.is_empty() {
        disk.sync_names()?;
    }
    last.iter().try_for_each(|name| disk.remove(name))?;
    for name in all.iter().filter(|name| is_on_its_way_out(name)) {
        // It may be in use yet.
        let _ = disk.remove(name);
    }
    Ok(())
}

impl Held {
    /// How many chunks are done, and the frames in them.
    pub fn finished(&self) -> (u64, u64) {
        records::counted(self.records.iter().filter_map(|record| match record {
            Record::Chunk(finished) => Some(finished),
            _ => None,
        }))
    }

    /// Whether it is the job that these facts are of.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn is_of(&self, facts: &Facts) -> Result<(), JobError> {
        let told = |value: Option<&String>| value.map_or_else(|| "not given".into(), |value| format!("'{value}'"));
        let differences = records::changes(&self.facts, facts, told);
        if differences.is_empty() { Ok(()) } else { Err(JobError::Differs(differences)) }
    }

    /// Whether this file is the output that the job came to.
    pub fn came_to(&self, output: &Path) -> bool {
        let last = self.records.iter().rev().find_map(|record| match record {
            Record::Output(id) => Some(id),
            _ => None,
        });
        last.is_some_and(|id| FileId::of(output).is_ok_and(|there| FileId { path: id.path.clone(), ..there } == *id))
    }

    /// Removes what stopped runs have left of this output.
    fn remove_parts(&self, output: &Path) {
        let (begin, end) = part_of(output);
        for record in &self.records {
            let Record::Part(part) = record else { continue };
            let Some(name) = part.path.file_name() else { continue };
            let text = name.to_string_lossy();
            // Nothing else is removed, and nothing elsewhere, whatever a journal says.
            let path = output.with_file_name(name);
            let is_there = || FileId::of(&path).is_ok_and(|there| there.inode == part.inode);
            if text.starts_with(&begin) && text.ends_with(end) && is_there() {
                // It takes room, and nothing else.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl FileId {
    /// That of the file there.
    ///
    /// # Errors
    /// There is none.
    pub fn of(path: &Path) -> io::Result<Self> {
        let about = fs::symlink_metadata(path)?;
        let path = path.to_owned();
        Ok(Self { path, inode: about.ino(), size: about.len(), time: (about.mtime(), about.mtime_nsec()) })
    }
}

fn open_lock(path: &Path) -> Result<File, JobError> {
    let folder = Folder::open(path)?;
    refuse_strange(&folder)?;
    Ok(folder.plain(LOCK, OFlags::RDWR | OFlags::CREATE)?)
}

/// What is not of a job is somebody's own.
fn refuse_strange(folder: &Folder) -> Result<(), JobError> {
    let (own, there) = (geteuid().as_raw(), folder.about()?.uid());
    // Where a file system gives all files to one user, a new one is that user's.
    let is_given = || tempfile::tempfile_in(folder.path()).and_then(|new| new.metadata());
    if own != there && !is_given().is_ok_and(|new| new.uid() == there) {
        return Err(JobError::Others { own, there });
    }
    let is_known = |name: &str| name == LOCK || is_ours(name) || is_on_its_way_out(name);
    let strange = folder.names()?.into_iter().find(|name| !is_known(name));
    strange.map_or(Ok(()), |name| Err(JobError::Strange(name)))
}

fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some file systems refuse it.
    let _ = File::open(parent).and_then(|parent| parent.sync_all());
}
