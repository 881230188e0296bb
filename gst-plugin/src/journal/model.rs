//! A disk that forgets what was not synced, and can fail at any step.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use super::disk::Disk;

/// What a crash leaves of bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// Nothing; the names are those of the last sync.
    Nothing,
    /// All that was written, and the names as they were last.
    All,
    /// All names, and half of the bytes that were not synced.
    Half,
    /// All names, and zeros in place of the bytes that were not synced.
    Zeros,
    /// All bytes, and the names of the last sync.
    OldNames,
    /// All bytes, and every other one of the names that were changed.
    EvenNames,
    /// The others of those.
    OddNames,
}

pub(super) const CRASHES: [Crash; 7] =
    [Crash::Nothing, Crash::All, Crash::Half, Crash::Zeros, Crash::OldNames, Crash::EvenNames, Crash::OddNames];

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
    /// Steps that are still taken before all fail.
    left: Option<u64>,
    steps: u64,
}

impl State {
    /// The names of the last sync with every second change since, from the one at this place on.
    fn some_names(&self, from: usize) -> BTreeMap<String, usize> {
        let both: BTreeSet<&String> = self.names.keys().chain(self.synced.keys()).collect();
        let changed = both.into_iter().filter(|name| self.names.get(*name) != self.synced.get(*name));
        let mut found = self.synced.clone();
        for name in changed.skip(from).step_by(2) {
            match self.names.get(name) {
                Some(inode) => found.insert(name.clone(), *inode),
                None => found.remove(name),
            };
        }
        found
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct ModelFile {
    disk: Model,
    inode: usize,
}

impl Model {
    /// After so many steps every one fails.
    pub(super) fn failing(self, steps: u64) -> Self {
        self.0.lock().unwrap().left = Some(steps);
        self
    }

    /// Steps that were taken.
    pub(super) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    /// The disk as it is found after a crash.
    pub(super) fn after(&self, crash: Crash) -> Self {
        let state = self.0.lock().unwrap();
        let names = match crash {
            Crash::Nothing | Crash::OldNames => state.synced.clone(),
            Crash::All | Crash::Half | Crash::Zeros => state.names.clone(),
            Crash::EvenNames | Crash::OddNames => state.some_names(usize::from(crash == Crash::OddNames)),
        };
        let survive = |inode: &Inode| {
            let common = inode.bytes.iter().zip(&inode.synced).take_while(|(a, b)| a == b).count();
            let bytes = match crash {
                Crash::Nothing => inode.synced.clone(),
                Crash::All | Crash::OldNames | Crash::EvenNames | Crash::OddNames => inode.bytes.clone(),
                Crash::Half => inode.bytes[..common + (inode.bytes.len() - common) / 2].to_vec(),
                Crash::Zeros => {
                    let mut bytes = inode.bytes.clone();
                    bytes[common..].fill(0);
                    bytes
                }
            };
            Inode { synced: bytes.clone(), bytes }
        };
        let inodes = state.inodes.iter().map(survive).collect();
        Self(Arc::new(Mutex::new(State { inodes, synced: names.clone(), names, left: None, steps: 0 })))
    }

    /// The file's bytes, to change them.
    pub(super) fn with<T>(&self, name: &str, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut state = self.0.lock().unwrap();
        let at = state.names[name];
        let changed = change(&mut state.inodes[at].bytes);
        state.inodes[at].synced = state.inodes[at].bytes.clone();
        changed
    }

    fn step<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        match &mut state.left {
            Some(0) => return Err(io::Error::other("the disk is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        state.steps += 1;
        work(&mut state)
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for Model {
    type File = ModelFile;

    fn create(&self, name: &str) -> io::Result<ModelFile> {
        self.step(|state| {
            let inode = match state.names.get(name) {
                Some(inode) => *inode,
                None => {
                    state.inodes.push(Inode::default());
                    state.inodes.len() - 1
                }
            };
            state.inodes[inode].bytes.clear();
            state.names.insert(name.to_owned(), inode);
            Ok(ModelFile { disk: self.clone(), inode })
        })
    }

    fn append(&self, name: &str) -> io::Result<ModelFile> {
        self.step(|state| {
            let inode = *state.names.get(name).ok_or_else(missing)?;
            Ok(ModelFile { disk: self.clone(), inode })
        })
    }

    fn cut(&self, file: &mut ModelFile, length: u64) -> io::Result<()> {
        self.step(|state| {
            state.inodes[file.inode].bytes.truncate(usize::try_from(length).unwrap());
            Ok(())
        })
    }

    fn sync(&self, file: &mut ModelFile) -> io::Result<()> {
        self.step(|state| {
            let inode = &mut state.inodes[file.inode];
            inode.synced = inode.bytes.clone();
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(|state| {
            let inode = state.names.remove(from).ok_or_else(missing)?;
            state.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(|state| state.names.remove(name).map(drop).ok_or_else(missing))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.step(|state| {
            state.synced = state.names.clone();
            Ok(())
        })
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read>> {
        let state = self.0.lock().unwrap();
        let inode = *state.names.get(name).ok_or_else(missing)?;
        Ok(Box::new(io::Cursor::new(state.inodes[inode].bytes.clone())))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }
}

impl Write for ModelFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // A part of it may be all that is written before the disk is gone.
        let half = data.len().div_ceil(2);
        self.disk.step(|state| {
            state.inodes[self.inode].bytes.extend_from_slice(&data[..half]);
            Ok(half)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
