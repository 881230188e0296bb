//! Finished chunks, each in a file of its own, and the journal that says which of them are whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::JobError;
use super::disk::{Disk, Folder};
use super::hex::Hash;
use super::records::{self, Encoder, Facts, FileId, Finished, Journal, Record};
use super::result::{self, Unread};
use crate::chunk::ChunkId;
use crate::isolate::Isolation;
use crate::lane::{Encoded, Format};
use crate::remote::convert::format_to_wire;
use crate::remote::fingerprint::{digest, parts};
use crate::store::Store;

/// What ends the names of chunks' files.
const WHOLE: &str = ".chunk";
/// The same before they are whole.
const UNFINISHED: &str = ".new";

/// Where the finished chunks of a job are kept.
///
/// A chunk is finished when it has been put here: whatever happens then, the next run takes it from here.
#[derive(Debug)]
pub struct Shelf<D: Disk = Folder> {
    disk: D,
    /// Held while it is written to. Before `state`, never within.
    journal: Mutex<Option<Journal<D>>>,
    state: Mutex<State>,
    /// One that was busy is not any more.
    idle: Condvar,
}

#[derive(Debug)]
struct State {
    chunks: BTreeMap<u64, Finished>,
    encoders: BTreeMap<u64, Encoder>,
    stamps: BTreeMap<u64, Arc<Stamp>>,
    /// They are being written.
    busy: BTreeSet<u64>,
    taken: u64,
    /// Nothing is put there any more.
    is_closed: bool,
    /// Why the job cannot go on.
    failure: Option<JobError>,
}

/// What the chunks of a section are encoded with, known once it has been tried.
pub(crate) struct Stamp {
    outcome: OnceLock<Result<Hash, JobError>>,
    trial: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What the shelf has of a chunk.
#[derive(Debug)]
pub(crate) enum Found<T> {
    /// Nothing.
    Nothing,
    /// Something that is not what was put there, for this reason.
    Spoilt(String),
    /// The result of other frames than these, or of another encoder.
    Another,
    /// There is no place for it to wait, which says nothing of it.
    Failed(io::Error),
    /// Its result.
    There(T),
}

/// A chunk that is put there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub(crate) number: ChunkId,
    pub(crate) first: u64,
    pub(crate) frames: u64,
    pub(crate) key: Hash,
}

impl<D: Disk> Shelf<D> {
    /// The shelf of a new job.
    pub(super) fn new(disk: D, facts: Facts) -> io::Result<Self> {
        let journal = Journal::create(&disk, facts)?;
        Ok(Self::with(disk, journal, Vec::new()))
    }

    /// The shelf of a job that goes on, whose journal said this.
    pub(super) fn again(disk: D, (records, end): (Vec<Record>, u64)) -> io::Result<Self> {
        let journal = Journal::go_on(&disk, end)?;
        Ok(Self::with(disk, journal, records))
    }

    fn with(disk: D, journal: Journal<D>, records: Vec<Record>) -> Self {
        let (mut chunks, mut encoders) = (BTreeMap::new(), BTreeMap::new());
        for record in records {
            match record {
                Record::Chunk(finished) => drop(chunks.insert(finished.number, finished)),
                Record::Encoder(encoder) => drop(encoders.insert(encoder.section, encoder)),
                Record::Job { .. } | Record::Part(_) | Record::Output(_) => {}
            }
        }
        let (stamps, busy) = (BTreeMap::new(), BTreeSet::new());
        let state = State { chunks, encoders, stamps, busy, taken: 0, is_closed: false, failure: None };
        Self { disk, journal: Mutex::new(Some(journal)), state: Mutex::new(state), idle: Condvar::new() }
    }

    /// How many chunks are finished, and the frames in them.
    pub fn finished(&self) -> (u64, u64) {
        records::counted(self.state().chunks.values())
    }

    /// Some chunks are there more than once, each time in another quality.
    pub fn has_trials(&self) -> bool {
        let state = self.state();
        records::counted(state.chunks.values()).0 < state.chunks.len() as u64
    }

    /// Nothing is put there from now on. True where nothing is on its way any more.
    pub fn close(&self) -> bool {
        let is_still = {
            let mut state = self.state();
            state.is_closed = true;
            state.busy.is_empty()
        };
        if is_still {
            // A file that is open is not quite gone on every file system when it is removed.
            *self.journal() = None;
        }
        is_still
    }

    /// How many chunks this run has taken from here.
    pub fn taken(&self) -> u64 {
        self.state().taken
    }

    /// Why the job cannot go on, if that is why the run has ended.
    pub fn failure(&self) -> Option<JobError> {
        self.state().failure.take()
    }

    pub(crate) fn fail(&self, error: JobError) {
        self.state().failure.get_or_insert(error);
    }

    /// The bytes of all that is finished.
    pub fn bytes(&self) -> u64 {
        self.state().chunks.values().map(|chunk| chunk.bytes).sum()
    }

    /// Takes down where the output is written to until it has its name.
    ///
    /// # Errors
    /// The journal cannot be written to.
    pub fn writes_to(&self, part: FileId) -> io::Result<()> {
        self.add(&Record::Part(part))
    }

    /// Takes down that this file is the whole output, and lacks its name only.
    ///
    /// # Errors
    /// The journal cannot be written to.
    pub fn completes(&self, output: FileId) -> io::Result<()> {
        self.add(&Record::Output(output))
    }

    /// Begins to find out what the chunks of this section are encoded with.
    pub(crate) fn stamp(
        self: &Arc<Self>,
        section: u64,
        format: &Arc<Format>,
        isolation: Option<&Arc<Isolation>>,
    ) -> Arc<Stamp>
    where
        D: 'static,
    {
        let mut state = self.state();
        if let Some(stamp) = state.stamps.get(&section) {
            return stamp.clone();
        }
        let stamp = Arc::new(Stamp { outcome: OnceLock::new(), trial: Mutex::default() });
        let trial = {
            let (shelf, stamp, format) = (self.clone(), stamp.clone(), format.clone());
            let isolation = isolation.cloned();
            move || drop(stamp.outcome.set(shelf.try_out(section, &format, isolation.as_ref())))
        };
        match thread::Builder::new().name("divien-stamp".into()).spawn(trial) {
            Ok(thread) => *stamp.trial.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
            Err(error) => drop(stamp.outcome.set(Err(JobError::Io(error)))),
        }
        state.stamps.insert(section, stamp.clone());
        stamp
    }

    fn try_out(&self, section: u64, format: &Format, isolation: Option<&Arc<Isolation>>) -> Result<Hash, JobError> {
        let wire = format_to_wire(format, 0);
        let software = parts(format).map_err(JobError::Encoder)?;
        let encoder = Encoder {
            section,
            software: software.into_iter().map(|software| (software.name, software.version)).collect(),
            encoder: wire.encoder.clone(),
            clip: digest(format, isolation).ok().map(Hash::from),
        };
        let before = self.state().encoders.get(&section).cloned();
        let encoder = match before {
            Some(before) if before.is_like(&encoder) => before,
            Some(before) => return Err(JobError::Encoder(changed(&before, &encoder))),
            None => {
                self.add(&Record::Encoder(encoder.clone()))?;
                self.state().encoders.insert(section, encoder.clone());
                encoder
            }
        };
        let mut hash = blake3::Hasher::new();
        hash.update(&postcard::to_stdvec(&wire).map_err(io::Error::other)?);
        hash.update(&serde_json::to_vec(&encoder).map_err(io::Error::other)?);
        Ok(Hash(hash.finalize()))
    }

    /// A chunk is finished, says the journal.
    pub(crate) fn knows(&self, number: ChunkId) -> bool {
        self.state().chunks.contains_key(&number.0)
    }

    /// What there is of a chunk, before its frames are known. It is read once to see whether it is whole.
    pub(crate) fn has(&self, number: ChunkId) -> Found<()> {
        let Some(finished) = self.state().chunks.get(&number.0).copied() else { return Found::Nothing };
        self.found(number, self.check(&finished).map_err(Unread::File))
    }

    /// Takes the result of a chunk with this key; its units wait in `store`.
    pub(crate) fn take(&self, number: ChunkId, key: &Hash, store: &Arc<Store>) -> Found<Encoded> {
        let Some(finished) = self.state().chunks.get(&number.0).copied() else { return Found::Nothing };
        if finished.key != *key {
            return Found::Another;
        }
        let read = || {
            let mut file = Counted::new(self.disk.open(&name(number, WHOLE))?);
            let encoded = result::read(&mut file, store)?;
            file.check_whole(&finished)?;
            Ok(encoded)
        };
        let read = read();
        if read.is_ok() {
            self.state().taken += 1;
        }
        self.found(number, read)
    }

    fn found<T>(&self, number: ChunkId, read: Result<T, Unread>) -> Found<T> {
        match read {
            Ok(there) => Found::There(there),
            // Whatever is wrong with its file, the chunk can be made once more.
            Err(Unread::File(error)) => {
                self.state().chunks.remove(&number.0);
                Found::Spoilt(error.to_string())
            }
            Err(Unread::Store(error)) => Found::Failed(error),
        }
    }

    /// Whether a file is what was put there.
    fn check(&self, finished: &Finished) -> io::Result<()> {
        Counted::new(self.disk.open(&name(ChunkId(finished.number), WHOLE))?).check_whole(finished)
    }

    /// Keeps a result, which is safe when this returns. Where another lane brings the same chunk, its result is waited for, and
    /// this one is not kept: false.
    pub(crate) fn keep(&self, label: Label, encoded: &Encoded) -> io::Result<bool> {
        let number = label.number.0;
        {
            let is_busy = |state: &mut State| state.busy.contains(&number);
            let mut state = self.idle.wait_while(self.state(), is_busy).unwrap_or_else(PoisonError::into_inner);
            if state.chunks.contains_key(&number) {
                return Ok(false);
            }
            if state.is_closed {
                return Err(io::Error::other("the run is over"));
            }
            state.busy.insert(number);
        }
        let written = self.write(label, encoded);
        let written = written.and_then(|finished| self.add(&Record::Chunk(finished)).map(|()| finished));
        let mut state = self.state();
        state.busy.remove(&number);
        self.idle.notify_all();
        state.chunks.insert(number, written?);
        Ok(true)
    }

    /// Whether a result that has waited for its turn is still the one that was finished. What is not kept is not compared.
    pub(crate) fn is_still(&self, number: ChunkId, encoded: &Encoded) -> io::Result<bool> {
        let Some(finished) = self.state().chunks.get(&number.0).copied() else { return Ok(true) };
        let mut out = Counted::new(io::sink());
        result::write(encoded, finished.frames, &mut out)?;
        Ok((out.bytes, Hash(out.hash.finalize())) == (finished.bytes, finished.hash))
    }

    fn add(&self, record: &Record) -> io::Result<()> {
        match &mut *self.journal() {
            Some(journal) => journal.add(&self.disk, record),
            None => Err(io::Error::other("the run is over")),
        }
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal<D>>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, label: Label, encoded: &Encoded) -> io::Result<Finished> {
        let (unfinished, whole) = (name(label.number, UNFINISHED), name(label.number, WHOLE));
        let written = || {
            let mut out = Counted::new(self.disk.create(&unfinished)?);
            let mut buffered = BufWriter::with_capacity(256 << 10, &mut out);
            result::write(encoded, label.frames, &mut buffered)?;
            buffered.flush()?;
            drop(buffered);
            self.disk.sync(&mut out.file)?;
            self.disk.rename(&unfinished, &whole)?;
            self.disk.sync_names()?;
            Ok((Hash(out.hash.finalize()), out.bytes))
        };
        match written() {
            Ok((hash, bytes)) => {
                let Label { number, first, frames, key } = label;
                Ok(Finished { number: number.0, first, frames, bytes, hash, key })
            }
            Err(error) => {
                // What has no room leaves what there is to others.
                let _ = self.disk.remove(&unfinished);
                Err(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    /// The same for an encoder that differs in its settings alone.
    pub(crate) fn with(&self, format: &Format) -> Result<Self, JobError> {
        let mut hash = blake3::Hasher::new();
        hash.update(self.get()?.0.as_bytes());
        hash.update(&postcard::to_stdvec(&format_to_wire(format, 0)).map_err(io::Error::other)?);
        Ok(Self { outcome: OnceLock::from(Ok(Hash(hash.finalize()))), trial: Mutex::default() })
    }

    /// Waits until it is known what chunks are encoded with.
    pub(crate) fn get(&self) -> Result<Hash, JobError> {
        if let Some(trial) = self.trial.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that panicked has left nothing.
            let _ = trial.join();
        }
        match self.outcome.get() {
            Some(Ok(stamp)) => Ok(*stamp),
            Some(Err(error)) => Err(error.again()),
            None => Err(JobError::Io(io::Error::other("the encoder could not be tried out"))),
        }
    }
}

impl std::fmt::Debug for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stamp").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

fn spoilt(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What file systems of other machines call a file that was removed while it was open.
pub(super) fn is_on_its_way_out(name: &str) -> bool {
    name.starts_with(".nfs")
}

/// Names of the files that a shelf may leave.
pub(super) fn is_ours(name: &str) -> bool {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    [records::NAME, records::UNFINISHED].contains(&name)
        || [WHOLE, UNFINISHED].iter().any(|end| name.strip_suffix(end).is_some_and(is_number))
}

fn name(number: ChunkId, end: &str) -> String {
    format!("{:08}{end}", number.0)
}

/// What has changed between two encoders, in words.
fn changed(before: &Encoder, now: &Encoder) -> String {
    let version = |version: Option<&String>| version.cloned().unwrap_or_else(|| "nothing".into());
    let mut all = records::changes(&before.software, &now.software, version);
    if before.encoder != now.encoder {
        all.push(format!("the encoder was {} and is {}", before.encoder, now.encoder));
    }
    if all.is_empty() {
        all.push(format!("{} makes other bytes of the same pictures than it did", now.encoder));
    }
    all.join("; ")
}

/// A file whose bytes are counted and hashed.
#[derive(Debug)]
struct Counted<W> {
    file: W,
    hash: blake3::Hasher,
    bytes: u64,
}

impl<F> Counted<F> {
    fn new(file: F) -> Self {
        Self { file, hash: blake3::Hasher::new(), bytes: 0 }
    }
}

impl<R: Read> Counted<R> {
    /// Reads the rest of a file that should be that of a chunk.
    fn check_whole(mut self, finished: &Finished) -> io::Result<()> {
        // One byte more tells a file that is too long.
        let rest = (finished.bytes + 1).saturating_sub(self.bytes);
        io::copy(&mut self.by_ref().take(rest), &mut io::sink())?;
        if self.bytes != finished.bytes {
            return Err(spoilt(format!("{} bytes of {}", self.bytes, finished.bytes)));
        }
        if Hash(self.hash.finalize()) != finished.hash {
            return Err(spoilt("its bytes are not those that were written".into()));
        }
        Ok(())
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, data: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(data)?;
        self.hash.update(data.get(..read).unwrap_or(data));
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.hash.update(data.get(..written).unwrap_or(data));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
