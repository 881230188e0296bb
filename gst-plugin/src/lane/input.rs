//! The frames on their way into a lane, or the units that make them, and the memory that frames may take.
//!
//! Lock order: an input's lock, then that of one of its readers. Neither is held while the budget's is taken, nor the other way
//! round.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::store::{Kept, Store};

/// The wait ended because the work was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

/// Bounds the bytes of frames that no encoder has taken yet.
///
/// A frame is let in when it fits, or when no lane has frames left to work on: then waiting could last forever.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    state: Mutex<Spent>,
    freed: Condvar,
    /// The same for those who are no threads.
    told: Notify,
}

#[derive(Debug, Default)]
struct Spent {
    /// Bytes of all frames let in.
    total: u64,
    /// Those of them that wait in a lane's input.
    queued: u64,
    cancelled: bool,
}

impl Budget {
    /// A budget of `most` bytes.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), freed: Condvar::new(), told: Notify::new() })
    }

    /// Lets a frame of so many bytes in, or returns `None` when it would have to wait.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut spent = self.spent();
        self.admits(&spent, bytes).then(|| self.take(&mut spent, bytes))
    }

    /// Waits until a frame of so many bytes may come in.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Cancelled> {
        let mut spent = self
            .freed
            .wait_while(self.spent(), |spent| !spent.cancelled && !self.admits(spent, bytes))
            .unwrap_or_else(PoisonError::into_inner);
        if spent.cancelled {
            return Err(Cancelled);
        }
        Ok(self.take(&mut spent, bytes))
    }

    /// The same for a task, which lets others run meanwhile.
    pub async fn reserve_async(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Cancelled> {
        loop {
            let told = self.told.notified();
            {
                let mut spent = self.spent();
                if spent.cancelled {
                    return Err(Cancelled);
                }
                if self.admits(&spent, bytes) {
                    return Ok(self.take(&mut spent, bytes));
                }
            }
            told.await;
        }
    }

    /// Counts so many bytes that cannot wait.
    pub fn count(self: &Arc<Self>, bytes: u64) -> Reservation {
        self.take(&mut self.spent(), bytes)
    }

    /// Ends all waiting, now and later.
    pub fn cancel(&self) {
        self.spent().cancelled = true;
        self.freed.notify_all();
        self.told.notify_waiters();
    }

    /// Bytes let in and not yet taken by an encoder.
    pub fn bytes(&self) -> u64 {
        self.spent().total
    }

    fn admits(&self, spent: &Spent, bytes: u64) -> bool {
        spent.total.saturating_add(bytes) <= self.most || spent.queued == 0
    }

    fn take(self: &Arc<Self>, spent: &mut Spent, bytes: u64) -> Reservation {
        spent.total += bytes;
        Reservation { budget: self.clone(), bytes, queued: false }
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame's share of the budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
    queued: bool,
}

impl Reservation {
    fn queue(&mut self) {
        self.budget.spent().queued += self.bytes;
        self.queued = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut spent = self.budget.spent();
        spent.total -= self.bytes;
        if self.queued {
            spent.queued -= self.bytes;
        }
        drop(spent);
        self.budget.freed.notify_all();
        self.budget.told.notify_waiters();
    }
}

/// What a lane gets when it asks for the next frame.
#[derive(Debug)]
pub enum Next {
    /// A frame.
    Frame(gst::Buffer),
    /// A unit could not be read where it waited.
    Unreadable(io::Error),
    /// There are no more.
    End,
    /// The work was called off.
    Cancelled,
}

/// A unit that waits, and what it needs to be one of its chunk.
#[derive(Debug, Clone)]
pub struct CodedUnit {
    /// The unit.
    pub kept: Kept,
    /// What goes before its own bytes.
    pub preface: Option<gst::Memory>,
    /// Decoding starts with it.
    pub starts: bool,
}

impl From<Kept> for CodedUnit {
    fn from(kept: Kept) -> Self {
        Self { kept, preface: None, starts: false }
    }
}

impl CodedUnit {
    /// Its bytes, with what goes before them.
    pub fn size(&self) -> u64 {
        self.kept.size() + self.preface.as_ref().map_or(0, |preface| preface.size() as u64)
    }

    /// The unit as a decoder gets it.
    pub(crate) fn read(self) -> io::Result<gst::Buffer> {
        let mut unit = self.kept.unit()?;
        // Decoders that look at flags alone would pass it over.
        if self.starts {
            unit.make_mut().unset_flags(gst::BufferFlags::DELTA_UNIT);
        }
        if let Some(preface) = self.preface {
            unit.make_mut().prepend_memory(preface);
        }
        Ok(unit)
    }
}

/// A chunk's frames between the sink pad and those who encode them. Its length is bounded by the budget, not here.
///
/// Frames are gone once they are read, unless the chunk is kept: then each reader gets all of them.
#[derive(Debug, Default)]
pub struct ChunkInput {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// The same for readers that are no threads.
    woken: Notify,
    /// Where frames wait that have been read and may be read again.
    store: Option<Arc<Store>>,
}

#[derive(Debug, Clone)]
enum Waiting {
    Frame(gst::Buffer),
    Unit(CodedUnit),
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Waiting, Option<Reservation>)>,
    /// Those read before, of a chunk that is not kept.
    gone: usize,
    ended: bool,
    cancelled: bool,
}

impl ChunkInput {
    /// One that can be read again, whose frames wait in `store` once they have been read.
    pub fn kept(store: Arc<Store>) -> Self {
        Self { store: Some(store), ..Self::default() }
    }

    /// Adds the chunk's next frame.
    pub fn push(&self, frame: gst::Buffer, reservation: Reservation) {
        self.add(Waiting::Frame(frame), reservation);
    }

    /// Adds the chunk's next unit.
    pub fn push_unit(&self, unit: CodedUnit, reservation: Reservation) {
        self.add(Waiting::Unit(unit), reservation);
    }

    fn add(&self, next: Waiting, mut reservation: Reservation) {
        reservation.queue();
        let mut queue = self.queue();
        if !queue.cancelled {
            queue.waiting.push_back((next, Some(reservation)));
        }
        drop(queue);
        self.wake();
    }

    /// Says that the chunk has all its frames.
    pub fn end(&self) {
        self.queue().ended = true;
        self.wake();
    }

    /// Drops what waits and lets no more in: nobody reads it any more.
    pub fn cancel(&self) {
        let dropped = {
            let mut queue = self.queue();
            queue.cancelled = true;
            std::mem::take(&mut queue.waiting)
        };
        self.wake();
        drop(dropped);
    }

    /// Nobody reads it for now, so that it keeps nobody else waiting: what has not been read goes into the store.
    pub fn set_aside(&self) {
        if self.store.is_none() {
            return;
        }
        for at in 0.. {
            let (frame, share) = match self.queue().waiting.get_mut(at) {
                None => break,
                Some((Waiting::Frame(frame), share)) => (Some(frame.clone()), share.take()),
                Some((Waiting::Unit(_), share)) => (None, share.take()),
            };
            if let (Some(frame), Some(_)) = (frame, &share) {
                // What cannot be put there stays where it is.
                let _ = self.keep(at, &frame);
            }
        }
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.woken.notify_waiters();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at this place, and the frame's share of the budget, which is free again from then on. `None` where nothing
    /// is yet.
    fn take(&self, queue: &mut Queue, at: usize) -> Option<(Taken, Option<Reservation>)> {
        if queue.cancelled {
            return Some((Taken::Cancelled, None));
        }
        let index = at.saturating_sub(queue.gone);
        let taken = if self.store.is_some() {
            queue.waiting.get_mut(index).map(|(waiting, share)| (waiting.clone(), share.take()))
        } else {
            let first = queue.waiting.pop_front();
            queue.gone += usize::from(first.is_some());
            first
        };
        match taken {
            Some((waiting, share)) => Some((Taken::Some(waiting), share)),
            None => queue.ended.then_some((Taken::End, None)),
        }
    }

    /// Puts a frame that was read into the store, in place of the memory that is not counted any more.
    fn keep(&self, at: usize, frame: &gst::Buffer) -> io::Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let kept = store.keep(frame.clone())?;
        if let Some((waiting @ Waiting::Frame(_), _)) = self.queue().waiting.get_mut(at) {
            *waiting = Waiting::Unit(kept.into());
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Taken {
    Some(Waiting),
    End,
    Cancelled,
}

/// One who reads a chunk, from its first frame on.
#[derive(Debug)]
pub struct Reader {
    input: Arc<ChunkInput>,
    state: Mutex<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    next: usize,
    cancelled: bool,
}

impl Reader {
    /// Begins with the first frame.
    pub fn new(input: Arc<ChunkInput>) -> Self {
        Self { input, state: Mutex::default() }
    }

    /// What it reads.
    pub fn input(&self) -> &ChunkInput {
        &self.input
    }

    /// Reads no more; others may.
    pub fn cancel(&self) {
        self.reading().cancelled = true;
        // Whoever has seen it unset waits by now.
        drop(self.input.queue());
        self.input.wake();
    }

    /// Waits for the next frame. Its share of the budget is free again when this returns it.
    pub fn next(&self) -> Next {
        let mut queue = self.input.queue();
        let (taken, share) = loop {
            if let Some(taken) = self.take(&mut queue) {
                break taken;
            }
            queue = self.input.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        };
        drop(queue);
        self.read(taken, share)
    }

    /// The same for a task, which lets others run meanwhile.
    pub async fn next_async(&self) -> Next {
        let (taken, share) = loop {
            let woken = self.input.woken.notified();
            if let Some(taken) = self.take(&mut self.input.queue()) {
                break taken;
            }
            woken.await;
        };
        tokio::task::block_in_place(|| self.read(taken, share))
    }

    fn take(&self, queue: &mut Queue) -> Option<(Taken, Option<Reservation>)> {
        let mut reading = self.reading();
        if reading.cancelled {
            return Some((Taken::Cancelled, None));
        }
        let taken = self.input.take(queue, reading.next)?;
        reading.next += usize::from(matches!(taken.0, Taken::Some(_)));
        Some(taken)
    }

    fn read(&self, taken: Taken, share: Option<Reservation>) -> Next {
        let frame = match taken {
            Taken::Some(Waiting::Frame(frame)) => {
                let at = self.reading().next - 1;
                self.input.keep(at, &frame).map(|()| frame)
            }
            Taken::Some(Waiting::Unit(unit)) => unit.read(),
            Taken::End => return Next::End,
            Taken::Cancelled => return Next::Cancelled,
        };
        drop(share);
        frame.map_or_else(Next::Unreadable, Next::Frame)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_full_budget_waits_for_a_lane_to_take_a_frame() {
        gst::init().unwrap();
        let budget = Budget::new(100);
        let input = Arc::new(ChunkInput::default());
        let reader = Reader::new(input.clone());
        input.push(gst::Buffer::new(), budget.reserve(60).unwrap());
        assert!(budget.try_reserve(60).is_none());
        let waiting = thread::spawn({
            let budget = budget.clone();
            move || budget.reserve(60).map(|r| r.bytes)
        });
        assert!(matches!(reader.next(), Next::Frame(_)));
        assert_eq!(waiting.join().unwrap(), Ok(60));
        assert_eq!(budget.bytes(), 0);
    }

    #[test]
    fn a_frame_larger_than_the_budget_passes_when_the_lanes_are_dry() {
        let budget = Budget::new(10);
        let held = budget.reserve(50).unwrap();
        assert_eq!(budget.reserve(70).map(|r| r.bytes), Ok(70));
        assert_eq!(budget.bytes(), 50);
        drop(held);
    }

    #[test]
    fn calling_off_ends_every_wait() {
        gst::init().unwrap();
        let budget = Budget::new(10);
        let input = Arc::new(ChunkInput::default());
        let reader = Reader::new(input.clone());
        input.push(gst::Buffer::new(), budget.reserve(10).unwrap());
        let waiting = thread::spawn({
            let budget = budget.clone();
            move || budget.reserve(10).map(|r| r.bytes)
        });
        budget.cancel();
        assert_eq!(waiting.join().unwrap(), Err(Cancelled));
        input.cancel();
        assert!(matches!(reader.next(), Next::Cancelled));
        assert_eq!(budget.bytes(), 0);
    }

    fn frame(number: u8) -> gst::Buffer {
        gst::Buffer::from_mut_slice(vec![number; 10])
    }

    fn numbers(reader: &Reader) -> Vec<u8> {
        let next = || match reader.next() {
            Next::Frame(frame) => Some(frame.map_readable().unwrap()[0]),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_kept_is_read_as_often_as_it_is_wanted_and_takes_the_budget_once() {
        gst::init().unwrap();
        // Two of three frames have no room in memory.
        let (budget, input) = (Budget::new(100), Arc::new(ChunkInput::kept(Store::new(10))));
        let early = Reader::new(input.clone());
        (0..3).for_each(|n| input.push(frame(n), budget.reserve(10).unwrap()));
        let called_off = Reader::new(input.clone());
        assert!(matches!(called_off.next(), Next::Frame(_)));
        assert_eq!(budget.bytes(), 20);
        called_off.cancel();
        assert!(matches!(called_off.next(), Next::Cancelled));
        input.end();
        assert_eq!(numbers(&early), [0, 1, 2]);
        assert_eq!(budget.bytes(), 0);
        assert_eq!(numbers(&Reader::new(input.clone())), [0, 1, 2]);
        input.cancel();
        assert!(numbers(&Reader::new(input)).is_empty());
    }

    #[test]
    fn what_nobody_reads_keeps_nobody_waiting() {
        gst::init().unwrap();
        let (budget, input) = (Budget::new(30), Arc::new(ChunkInput::kept(Store::new(10))));
        let lost = Reader::new(input.clone());
        (0..3).for_each(|n| input.push(frame(n), budget.reserve(10).unwrap()));
        assert!(matches!(lost.next(), Next::Frame(_)));
        assert!(budget.try_reserve(20).is_none());
        input.set_aside();
        assert_eq!(budget.bytes(), 0);
        input.push(frame(3), budget.reserve(10).unwrap());
        input.end();
        assert_eq!(numbers(&Reader::new(input)), [0, 1, 2, 3]);
    }

    #[test]
    fn a_task_waits_as_a_thread_does() {
        gst::init().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (budget, input) = (Budget::new(100), Arc::new(ChunkInput::kept(Store::new(100))));
        let reader = Reader::new(input.clone());
        let reading = runtime.spawn(async move {
            let first = reader.next_async().await;
            (matches!(first, Next::Frame(_)), matches!(reader.next_async().await, Next::End))
        });
        thread::sleep(std::time::Duration::from_millis(20));
        input.push(frame(1), budget.reserve(10).unwrap());
        thread::sleep(std::time::Duration::from_millis(20));
        input.end();
        assert_eq!(runtime.block_on(reading).unwrap(), (true, true));
    }
}
