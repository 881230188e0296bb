//! Compressed units that wait: in memory as far as that goes, else in files without a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file is gone once nothing in it is wanted any more, so none gets larger than this.
const FILE: u64 = 64 << 20;

/// Where units wait.
#[derive(Debug)]
pub struct Store {
    most: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_memory: u64,
    file: Option<Arc<File>>,
    end: u64,
}

/// A unit that waits. All copies of it are one.
#[derive(Debug, Clone)]
pub struct Kept(Arc<Place>);

#[derive(Debug)]
enum Place {
    Own(gst::Buffer),
    Here { unit: gst::Buffer, store: Arc<Store> },
    Away { head: gst::Buffer, file: Arc<File>, at: u64, size: usize },
}

impl Store {
    /// At most so many bytes wait in memory.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// Keeps a unit.
    pub fn keep(self: &Arc<Self>, unit: gst::Buffer) -> io::Result<Kept> {
        let bytes = unit.size() as u64;
        let mut state = self.state();
        if state.in_memory.saturating_add(bytes) <= self.most {
            state.in_memory += bytes;
            drop(state);
            return Ok(Kept(Arc::new(Place::Here { unit, store: self.clone() })));
        }
        if state.end > FILE {
            state.file = None;
        }
        let file = match &state.file {
            Some(file) => file.clone(),
            None => {
                state.end = 0;
                state.file.insert(Arc::new(tempfile::tempfile()?)).clone()
            }
        };
        let at = state.end;
        state.end += bytes;
        drop(state);
        let data = unit.map_readable().map_err(io::Error::other)?;
        file.write_all_at(&data, at)?;
        let size = data.len();
        drop(data);
        let about = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
        let mut head = gst::Buffer::new();
        unit.copy_into(head.make_mut(), about, ..).map_err(io::Error::other)?;
        Ok(Kept(Arc::new(Place::Away { head, file, at, size })))
    }

    /// The bytes that wait in memory.
    pub fn bytes(&self) -> u64 {
        self.state().in_memory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// A small unit that need not be counted.
    pub fn whole(unit: gst::Buffer) -> Self {
        Self(Arc::new(Place::Own(unit)))
    }

    /// The unit itself.
    pub fn unit(&self) -> io::Result<gst::Buffer> {
        match &*self.0 {
            Place::Own(unit) | Place::Here { unit, .. } => Ok(unit.clone()),
            Place::Away { head, file, at, size } => {
                let mut data = vec![0; *size];
                file.read_exact_at(&mut data, *at)?;
                let mut unit = head.clone();
                let whole = unit.make_mut();
                whole.append_memory(gst::Memory::from_mut_slice(data));
                // Said of buffers that come from a pool and are another's.
                whole.unset_flags(gst::BufferFlags::TAG_MEMORY);
                Ok(unit)
            }
        }
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        match &*self.0 {
            Place::Own(unit) | Place::Here { unit, .. } => unit.size() as u64,
            Place::Away { size, .. } => *size as u64,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Here { unit, store } = self {
            store.state().in_memory -= unit.size() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(number: u64, size: usize) -> gst::Buffer {
        let mut unit = gst::Buffer::from_mut_slice(vec![number as u8; size]);
        let fields = unit.get_mut().unwrap();
        fields.set_pts(gst::ClockTime::from_nseconds(number));
        fields.set_flags(gst::BufferFlags::DELTA_UNIT);
        unit
    }

    #[test]
    fn what_has_no_room_comes_back_as_it_was_and_memory_is_free_again() {
        gst::init().unwrap();
        let store = Store::new(1000);
        let kept: Vec<Kept> = (0..200).map(|number| store.keep(unit(number, 100)).unwrap()).collect();
        assert_eq!(store.bytes(), 1000);
        assert_eq!(kept.iter().filter(|kept| matches!(*kept.0, Place::Here { .. })).count(), 10);
        for (number, kept) in (0..).zip(&kept) {
            let (back, was) = (kept.unit().unwrap(), unit(number, 100));
            assert_eq!(back.map_readable().unwrap().as_slice(), was.map_readable().unwrap().as_slice());
            assert_eq!((back.pts(), back.flags(), kept.size()), (was.pts(), was.flags(), 100));
        }
        let again = kept[0].clone();
        drop(kept);
        assert_eq!(store.bytes(), 100);
        drop(again);
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn files_of_which_nothing_is_wanted_are_gone() {
        gst::init().unwrap();
        let store = Store::new(0);
        let mut files = Vec::new();
        for number in 0..30 {
            let kept = store.keep(unit(number, 8 << 20)).unwrap();
            if let Place::Away { file, .. } = &*kept.0 {
                files.push(Arc::downgrade(file));
            }
        }
        files.dedup_by(|a, b| a.ptr_eq(b));
        assert!(files.len() > 2, "{}", files.len());
        assert_eq!(files.iter().filter(|file| file.upgrade().is_some()).count(), 1);
    }
}
