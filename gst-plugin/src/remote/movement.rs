//! Whether anything moves between two machines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When anything last came from a machine, or went there.
#[derive(Debug)]
pub(super) struct Moved(Mutex<Instant>);

impl Default for Moved {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Moved {
    pub(super) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same of one attempt there. While it waits for a slot, all that its machine does is progress.
pub(super) struct Movement<'a> {
    pub(super) own: Moved,
    all: &'a Moved,
    pub(super) has_begun: AtomicBool,
    /// Nothing can be sent before more of the input comes.
    pub(super) waits: AtomicBool,
}

impl<'a> Movement<'a> {
    pub(super) fn new(all: &'a Moved) -> Self {
        Self { own: Moved::default(), all, has_begun: AtomicBool::new(false), waits: AtomicBool::new(false) }
    }

    pub(super) fn now(&self) {
        self.own.now();
        self.all.now();
    }

    /// Returns once nothing has moved for so long.
    pub(super) async fn stalled(&self, wait: Option<Duration>) {
        let Some(wait) = wait else { return std::future::pending().await };
        loop {
            tokio::time::sleep(wait / 4).await;
            if self.waits.load(Ordering::Relaxed) {
                self.own.now();
                continue;
            }
            let has_begun = self.has_begun.load(Ordering::Relaxed);
            let last = if has_begun { self.own.at() } else { self.own.at().max(self.all.at()) };
            if last.elapsed() >= wait {
                return;
            }
        }
    }
}
