//! The journal: a line for each record, with a hash before it. Lines are only ever added.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::disk::Disk;
use super::hex::Hash;

/// The file's name.
pub(super) const NAME: &str = "journal";
/// Its name before it is whole.
pub(super) const UNFINISHED: &str = "journal.new";
/// Another number is another program's.
const VERSION: u32 = 1;
/// Letters of a line's hash, and the space behind it.
const PREFIX: usize = 17;

/// What a job is, by name: all that its bytes depend on.
pub type Facts = BTreeMap<String, String>;

/// What is another now than it was, in words; `told` says a value, or that there is none.
pub(super) fn changes(before: &Facts, now: &Facts, told: impl Fn(Option<&String>) -> String) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .map(|name| (name, before.get(name), now.get(name)))
        .filter(|(_, before, now)| before != now)
        .map(|(name, before, now)| format!("{name} was {} and is {}", told(before), told(now)))
        .collect()
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Record {
    /// The job begins: always the first one.
    Job {
        version: u32,
        facts: Facts,
    },
    /// What the chunks of a section are encoded with.
    Encoder(Encoder),
    Chunk(Finished),
    /// The output is written to this file before it has its name.
    Part(FileId),
    /// The output is whole, and gets its name next.
    Output(FileId),
}

/// What the chunks of a section are encoded with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Encoder {
    /// Which of the stream's sections.
    pub section: u64,
    /// What takes part, and its version.
    pub software: BTreeMap<String, String>,
    /// The encoder and its settings.
    pub encoder: String,
    /// The hash of what a short clip becomes with it; `None` where it takes no such clip.
    pub clip: Option<Hash>,
}

impl Encoder {
    /// Whether both make the same bytes, as far as is known: the clip may have failed for a reason of its own, as where files
    /// may not be as large as the memory that its process shares.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let is_same_clip = self.clip == other.clip || self.clip.is_none() || other.clip.is_none();
        is_same_clip
            && (self.section, &self.software, &self.encoder) == (other.section, &other.software, &other.encoder)
    }
}

/// A chunk that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finished {
    /// Which of the stream's.
    pub number: u64,
    /// Its first frame.
    pub first: u64,
    /// How many there are.
    pub frames: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Its file's BLAKE3.
    pub hash: Hash,
    /// That of its units, and of how they are encoded.
    pub key: Hash,
}

/// How many chunks these are, and the frames in them. One that is encoded in several qualities is one.
pub(super) fn counted<'a>(all: impl Iterator<Item = &'a Finished>) -> (u64, u64) {
    let chunks: BTreeMap<u64, u64> = all.map(|finished| (finished.first, finished.frames)).collect();
    (chunks.len() as u64, chunks.values().sum())
}

/// A file, and not another one that has got its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// Where it is.
    #[serde(with = "as_text")]
    pub path: PathBuf,
    /// Its number on its device, which may have another number itself after a restart.
    pub inode: u64,
    /// Bytes in it, where it is whole.
    pub size: u64,
    /// When it was written to last: seconds since 1970, and nanoseconds.
    pub time: (i64, i64),
}

/// A path as a text, and as its bytes where it is none.
mod as_text {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(out),
            None => path.as_os_str().as_bytes().serialize(out),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(written: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(written)? {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

/// Why a journal is of no use.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// It cannot be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its first line is not one.
    #[error("the first line of its journal is damaged")]
    Start,
    /// Another version wrote it.
    #[error("its journal is of version {0}, and this program writes {VERSION}")]
    Version(u32),
}

/// One that is written to.
#[derive(Debug)]
pub(super) struct Journal<D: Disk> {
    file: D::File,
    /// Where the last whole line ends.
    end: u64,
    /// What was written last could be neither made safe nor taken back.
    is_broken: bool,
}

impl<D: Disk> Journal<D> {
    /// A new one, safe on the disk.
    pub(super) fn create(disk: &D, facts: Facts) -> io::Result<Self> {
        let first = line(&Record::Job { version: VERSION, facts })?;
        let mut file = disk.create(UNFINISHED)?;
        file.write_all(&first)?;
        disk.sync(&mut file)?;
        disk.rename(UNFINISHED, NAME)?;
        disk.sync_names()?;
        // By its name once more: the first file was not opened to write behind its end.
        Ok(Self { file: disk.append(NAME)?, end: first.len() as u64, is_broken: false })
    }

    /// What one says, if there is one: its facts, and all other records that are whole.
    pub(super) fn read(disk: &D) -> Result<Option<(Facts, Vec<Record>, u64)>, Unreadable> {
        let mut text = Vec::new();
        match disk.open(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => drop(opened?.read_to_end(&mut text)?),
        }
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let facts = match lines.next().and_then(parsed) {
            Some(Record::Job { version: VERSION, facts }) => facts,
            Some(Record::Job { version, .. }) => return Err(Unreadable::Version(version)),
            _ => return Err(Unreadable::Start),
        };
        // A line that was damaged later on takes no other one with it.
        let records = lines.filter_map(parsed).collect();
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok(Some((facts, records, end as u64)))
    }

    /// Goes on with the one that was read, whose last whole line ends here.
    pub(super) fn go_on(disk: &D, end: u64) -> io::Result<Self> {
        let mut file = disk.append(NAME)?;
        disk.cut(&mut file, end)?;
        disk.sync(&mut file)?;
        Ok(Self { file, end, is_broken: false })
    }

    /// Adds a record, which is safe on the disk when this returns.
    pub(super) fn add(&mut self, disk: &D, record: &Record) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("the journal could not be written to before"));
        }
        let line = line(record)?;
        let written = self.file.write_all(&line).and_then(|()| disk.sync(&mut self.file));
        if let Err(error) = written {
            // What follows would be part of this line.
            self.is_broken = disk.cut(&mut self.file, self.end).and_then(|()| disk.sync(&mut self.file)).is_err();
            return Err(error);
        }
        self.end += line.len() as u64;
        Ok(())
    }
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let text = serde_json::to_string(record).map_err(io::Error::other)?;
    Ok(format!("{} {text}\n", hash(text.as_bytes())).into_bytes())
}

/// The record in a line that is whole.
fn parsed(line: &[u8]) -> Option<Record> {
    let (said, text) = line.strip_suffix(b"\n")?.split_at_checked(PREFIX)?;
    (said.strip_suffix(b" ")? == hash(text).as_bytes()).then(|| serde_json::from_slice(text).ok()).flatten()
}

/// Enough of a hash to tell a line from one that is damaged.
fn hash(text: &[u8]) -> String {
    blake3::hash(text).to_hex().chars().take(PREFIX - 1).collect()
}
