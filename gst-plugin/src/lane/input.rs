//! The frames on their way into a lane, or the units that make them, and the memory that frames may take.
//!
//! Lock order: an input's lock is never held while the budget's is taken, nor the other way round.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::Kept;

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
        Arc::new(Self { most, state: Mutex::default(), freed: Condvar::new() })
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

    /// Counts so many bytes that cannot wait.
    pub fn count(self: &Arc<Self>, bytes: u64) -> Reservation {
        self.take(&mut self.spent(), bytes)
    }

    /// Ends all waiting, now and later.
    pub fn cancel(&self) {
        self.spent().cancelled = true;
        self.freed.notify_all();
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

    fn read(self) -> io::Result<gst::Buffer> {
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

/// A chunk's frames between the sink pad and the encoder. Its length is bounded by the budget, not here.
#[derive(Debug, Default)]
pub struct ChunkInput {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
enum Waiting {
    Frame(gst::Buffer),
    Unit(CodedUnit),
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Waiting, Reservation)>,
    ended: bool,
    cancelled: bool,
}

impl ChunkInput {
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
            queue.waiting.push_back((next, reservation));
        }
        drop(queue);
        self.changed.notify_one();
    }

    /// Says that the chunk has all its frames.
    pub fn end(&self) {
        self.queue().ended = true;
        self.changed.notify_all();
    }

    /// Drops what waits and lets no more in.
    pub fn cancel(&self) {
        let dropped = {
            let mut queue = self.queue();
            queue.cancelled = true;
            std::mem::take(&mut queue.waiting)
        };
        self.changed.notify_all();
        drop(dropped);
    }

    /// Waits for the next frame. Its share of the budget is free again when this returns it.
    pub fn next(&self) -> Next {
        let wait = |queue: &mut Queue| queue.waiting.is_empty() && !queue.ended && !queue.cancelled;
        let mut queue = self.changed.wait_while(self.queue(), wait).unwrap_or_else(PoisonError::into_inner);
        if queue.cancelled {
            return Next::Cancelled;
        }
        let next = queue.waiting.pop_front();
        drop(queue);
        match next {
            Some((Waiting::Frame(frame), _)) => Next::Frame(frame),
            Some((Waiting::Unit(unit), _)) => unit.read().map_or_else(Next::Unreadable, Next::Frame),
            None => Next::End,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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
        input.push(gst::Buffer::new(), budget.reserve(60).unwrap());
        assert!(budget.try_reserve(60).is_none());
        let waiting = thread::spawn({
            let budget = budget.clone();
            move || budget.reserve(60).map(|r| r.bytes)
        });
        assert!(matches!(input.next(), Next::Frame(_)));
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
        input.push(gst::Buffer::new(), budget.reserve(10).unwrap());
        let waiting = thread::spawn({
            let budget = budget.clone();
            move || budget.reserve(10).map(|r| r.bytes)
        });
        budget.cancel();
        assert_eq!(waiting.join().unwrap(), Err(Cancelled));
        input.cancel();
        assert!(matches!(input.next(), Next::Cancelled));
        assert_eq!(budget.bytes(), 0);
    }
}
