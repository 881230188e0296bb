//! The folder of a job: made, locked, looked into, emptied.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::disk::{Disk as _, Folder};
use super::records::{self, Facts, FileId, Journal, Record};
use super::shelf::{Shelf, is_ours};
use super::{JobError, Unreadable};

/// The file that is locked.
const LOCK: &str = "lock";
/// How long it is waited for: a process that was killed takes its time to let go of what it has.
const DYING: Duration = Duration::from_secs(1);
/// The most that is read of who holds it.
const MOST_NAME: u64 = 200;

/// A job's folder, which nobody else works on as long as this is there.
#[derive(Debug)]
pub struct Job {
    path: PathBuf,
    _lock: File,
}

/// What a folder holds of a job.
#[derive(Debug)]
pub struct Held {
    facts: Facts,
    records: Vec<Record>,
    end: u64,
}

impl Job {
    /// Takes the folder, which is made if it is not there. `who` is told to others who want it meanwhile.
    ///
    /// # Errors
    /// Another run has it; it cannot be made; something else is in it.
    pub fn lock(path: &Path, who: &str) -> Result<Self, JobError> {
        let until = Instant::now() + DYING;
        loop {
            match fs::create_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
            refuse_strange(&Folder::open(path)?)?;
            let at = path.join(LOCK);
            let lock = File::options().create(true).truncate(false).read(true).write(true).open(&at)?;
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
            // Whoever had it may have removed the folder in between.
            let (own, there) = (lock.metadata()?, fs::metadata(&at));
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
                continue;
            }
            // Its name is as safe as what is in it.
            sync_parent(path);
            let job = Self { path: path.to_owned(), _lock: lock };
            let mut lock = &job._lock;
            lock.set_len(0)?;
            lock.rewind()?;
            lock.write_all(who.as_bytes())?;
            return Ok(job);
        }
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
        self.clear()?;
        Ok(Shelf::new(self.folder()?, facts)?)
    }

    /// Goes on with the job that is there.
    ///
    /// # Errors
    /// It is about something else, or its folder cannot be written to.
    pub fn go_on(&self, held: Held, facts: &Facts) -> Result<Shelf, JobError> {
        held.is_of(facts)?;
        held.remove_parts();
        Ok(Shelf::again(self.folder()?, (held.records, held.end))?)
    }

    /// Nothing is there of any job.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.folder()?.names()?.iter().all(|name| name == LOCK))
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// It, or something in it, cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        self.clear().map_err(io::Error::other)?;
        fs::remove_file(self.path.join(LOCK))?;
        fs::remove_dir(&self.path)?;
        sync_parent(&self.path);
        Ok(())
    }

    fn folder(&self) -> io::Result<Folder> {
        Folder::open(&self.path)
    }

    /// Removes all that is there of a job. Without a journal the rest is nothing.
    fn clear(&self) -> Result<(), JobError> {
        let folder = self.folder()?;
        match Journal::read(&folder) {
            Ok(Some((facts, records, end))) => Held { facts, records, end }.remove_parts(),
            Ok(None) | Err(Unreadable::Start | Unreadable::Version(_)) => {}
            Err(Unreadable::Io(error)) => return Err(error.into()),
        }
        let mut names: Vec<String> = folder.names()?.into_iter().filter(|name| is_ours(name)).collect();
        names.sort_by_key(|name| name != records::NAME);
        for (n, name) in names.iter().enumerate() {
            folder.remove(name)?;
            if n == 0 {
                folder.sync_names()?;
            }
        }
        Ok(())
    }
}

impl Held {
    /// How many chunks are done, and the frames in them.
    pub fn finished(&self) -> (u64, u64) {
        let chunks = self.records.iter().filter_map(|record| match record {
            Record::Chunk(finished) => Some((finished.number, finished.frames)),
            _ => None,
        });
        let chunks: std::collections::BTreeMap<u64, u64> = chunks.collect();
        (chunks.len() as u64, chunks.values().sum())
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

    /// Removes what stopped runs have left of their output.
    fn remove_parts(&self) {
        for record in &self.records {
            let Record::Part(part) = record else { continue };
            let path = Path::new(&part.path);
            if FileId::of(path).is_ok_and(|there| there.inode == part.inode) {
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
        let about = fs::metadata(path)?;
        // A name that is no text is not found again, and does no harm.
        let path = path.to_string_lossy().into_owned();
        Ok(Self { path, inode: about.ino(), size: about.len(), time: (about.mtime(), about.mtime_nsec()) })
    }
}

/// What is not of a job is somebody's own.
fn refuse_strange(folder: &Folder) -> Result<(), JobError> {
    let strange = folder.names()?.into_iter().find(|name| name != LOCK && !is_ours(name));
    strange.map_or(Ok(()), |name| Err(JobError::Strange(name)))
}

fn sync_parent(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Some file systems refuse it.
    let _ = File::open(parent).and_then(|parent| parent.sync_all());
}
