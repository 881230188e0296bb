//! Raw pictures in memory that a lane shares with its process: the lane writes each once, where the encoder reads it.
//!
//! They are in slots of a file without a name, which never becomes smaller. Along a second pair of sockets the process says
//! of each slot when its picture was let in, and when nobody reads it any more; from then on the lane may write another there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

/// Pictures that the process has not let in yet.
const AHEAD: usize = 4;
/// Slots begin where pages do, of any size that machines have.
const PAGE: u64 = 64 << 10;
/// Bytes of what is said of a slot.
const NEWS: usize = 4;

/// Where a picture is, in place of its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    slot: u32,
    at: u64,
    size: u64,
}

/// The lane's side.
#[derive(Debug)]
pub(super) struct Slots {
    memory: File,
    back: UnixStream,
    table: Arc<Table>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    /// The end of the last slot.
    end: u64,
    /// Pictures that were not let in yet.
    ahead: usize,
    gone: bool,
}

#[derive(Debug)]
struct Slot {
    at: u64,
    room: u64,
    free: bool,
}

impl Slots {
    /// Shares memory with the process at the other end of this socket, before anything else is sent there.
    pub(super) fn share(socket: &UnixStream) -> io::Result<Self> {
        let memory = memfd_create("divien pictures", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK)?;
        let (back, others) = UnixStream::pair()?;
        let shared = [memory.as_fd(), others.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&shared));
        sendmsg(socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL)?;
        let table = Arc::<Table>::default();
        let listening = {
            let (back, table) = (back.try_clone()?, table.clone());
            thread::spawn(move || table.listen(back))
        };
        Ok(Self { memory: memory.into(), back, table, listening: Some(listening) })
    }

    /// Puts a picture where the process can read it, and gives what to send in place of it. Waits while enough of them are
    /// on their way.
    pub(super) fn put(&self, picture: &[u8]) -> io::Result<Bytes> {
        let size = picture.len() as u64;
        let (slot, at) = self.table.take(size)?;
        self.memory.write_all_at(picture, at)?;
        postcard::to_stdvec(&Address { slot, at, size }).map(Bytes::from).map_err(io::Error::other)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.back.shutdown(Shutdown::Both);
        if let Some(listening) = self.listening.take() {
            // It hears that there is no more.
            let _ = listening.join();
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for so many bytes, and where it begins.
    fn take(&self, size: u64) -> io::Result<(u32, u64)> {
        let waits = |state: &mut State| !state.gone && state.ahead >= AHEAD;
        let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let fits = state.slots.iter().position(|slot| slot.free && slot.room >= size);
        let index = fits.unwrap_or_else(|| {
            let (at, room) = (state.end, size.next_multiple_of(PAGE));
            state.end += room;
            state.slots.push(Slot { at, room, free: true });
            state.slots.len() - 1
        });
        let slot = &mut state.slots[index];
        slot.free = false;
        let at = slot.at;
        state.ahead += 1;
        Ok((u32::try_from(index).map_err(io::Error::other)?, at))
    }

    /// Hears of slots until the process is gone.
    fn listen(&self, mut back: UnixStream) {
        let mut news = [0; NEWS];
        while back.read_exact(&mut news).is_ok() {
            let news = u32::from_le_bytes(news);
            let mut state = self.lock();
            match news & 1 {
                0 => state.ahead = state.ahead.saturating_sub(1),
                _ => {
                    if let Some(slot) = state.slots.get_mut((news >> 1) as usize) {
                        slot.free = true;
                    }
                }
            }
            drop(state);
            self.changed.notify_all();
        }
        self.lock().gone = true;
        self.changed.notify_all();
    }
}

/// The process' side.
#[derive(Debug)]
pub(super) struct Shared {
    memory: File,
    back: Arc<UnixStream>,
    maps: HashMap<u32, Arc<Mmap>>,
}

impl Shared {
    /// Takes what the lane shares; that is the first that comes over the socket.
    pub(super) fn take(socket: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let mut shared = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(shared) => shared.collect(),
            _ => Vec::new(),
        });
        let (Some(memory), Some(back)) = (shared.next(), shared.next()) else {
            return Err(io::Error::other("no memory for pictures came with it"));
        };
        Ok(Self { memory: memory.into(), back: Arc::new(back.into()), maps: HashMap::new() })
    }

    /// Kills this process when the lane is gone, whatever its encoder is doing then. (A death signal would come when the thread
    /// of the lane's process ends that has started this one.)
    pub(super) fn end_with_lane(&self) -> io::Result<()> {
        let mut back = self.back.try_clone()?;
        thread::Builder::new().name("divien-end".into()).spawn(move || {
            // Nothing comes this way.
            let _ = back.read(&mut [0]);
            let _ = kill_process(getpid(), Signal::KILL);
        })?;
        Ok(())
    }

    /// The picture that is there, in place of which `address` was sent.
    pub(super) fn read(&mut self, address: &[u8]) -> io::Result<Picture> {
        let Address { slot, at, size } = postcard::from_bytes(address).map_err(io::Error::other)?;
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let map = match self.maps.get(&slot) {
            Some(map) if map.len() >= length => map.clone(),
            _ => {
                // SAFETY: the file is sealed against becoming smaller, and the lane writes to a slot again only when it has
                // heard that nobody reads it any more.
                let map = Arc::new(unsafe { MmapOptions::new().offset(at).len(length).map(&self.memory)? });
                self.maps.insert(slot, map.clone());
                map
            }
        };
        Ok(Picture { map, length, slot, back: self.back.clone() })
    }
}

/// A picture where the lane has put it.
#[derive(Debug)]
pub(super) struct Picture {
    map: Arc<Mmap>,
    length: usize,
    slot: u32,
    back: Arc<UnixStream>,
}

impl Picture {
    /// What says that it was let in.
    pub(super) fn let_in(&self) -> impl FnOnce() + use<> {
        let (slot, back) = (self.slot, self.back.clone());
        move || say(&back, slot << 1)
    }
}

impl AsRef<[u8]> for Picture {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.length]
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        say(&self.back, self.slot << 1 | 1);
    }
}

fn say(mut back: &UnixStream, news: u32) {
    // Where nobody is, this process ends as well.
    let _ = back.write_all(&news.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pair() -> (Slots, Shared) {
        let (own, other) = UnixStream::pair().unwrap();
        (Slots::share(&own).unwrap(), Shared::take(&other).unwrap())
    }

    #[test]
    fn pictures_are_read_where_they_were_put() {
        let (slots, mut shared) = pair();
        for size in [1, 100_000, 64 << 10, 3 << 20] {
            let picture: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let read = shared.read(&slots.put(&picture).unwrap()).unwrap();
            assert!(read.as_ref() == picture);
            read.let_in()();
        }
    }

    #[test]
    fn a_slot_is_another_pictures_when_nobody_reads_it_any_more() {
        let (slots, mut shared) = pair();
        let mut read = Vec::new();
        for n in 0..3 {
            let picture = shared.read(&slots.put(&[n; 5000]).unwrap()).unwrap();
            picture.let_in()();
            read.push(picture);
        }
        assert!(read.iter().zip(0..).all(|(picture, n)| picture.as_ref() == [n; 5000]));
        let end = slots.table.lock().end;
        read.remove(1);
        let freed = |state: &mut State| !state.slots[1].free;
        drop(slots.table.changed.wait_while(slots.table.lock(), freed).unwrap());
        let again = shared.read(&slots.put(&[9; 6000]).unwrap()).unwrap();
        assert_eq!((again.slot, again.as_ref()), (1, &[9; 6000][..]));
        assert_eq!(slots.table.lock().end, end);
        assert!(read.iter().zip([0, 2]).all(|(picture, n)| picture.as_ref() == [n; 5000]));
    }

    #[test]
    fn no_more_are_put_than_are_let_in() {
        let (slots, mut shared) = pair();
        let sent: Vec<_> = (0..AHEAD).map(|_| slots.put(&[1]).unwrap()).collect();
        thread::scope(|scope| {
            let next = scope.spawn(|| slots.put(&[2]));
            thread::sleep(Duration::from_millis(50));
            assert!(!next.is_finished());
            let first = shared.read(&sent[0]).unwrap();
            first.let_in()();
            next.join().unwrap().unwrap();
        });
        // Whoever waits hears that the process is gone.
        thread::scope(|scope| {
            let next = scope.spawn(|| slots.put(&[2]));
            thread::sleep(Duration::from_millis(50));
            drop(shared);
            assert_eq!(next.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
