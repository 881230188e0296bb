//! How far an input reaches, told by the packets of all its streams: a stream of its own may end before the others do.

use std::time::{Duration, Instant};

use super::{Outlet, Source};
use crate::sync::lock;

/// How often it is asked whether another packet came.
const GLANCE: Duration = Duration::from_millis(5);
/// An input that says nothing for this long is not waited for: it is not known how far it reaches.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far one stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Packets so far.
    pub(super) packets: u64,
    /// The running time, in ns, at which the last of them ends.
    pub(super) end: Option<i64>,
}

impl Reach {
    pub(super) fn add(&mut self, end: Option<i64>) {
        self.packets += 1;
        self.end = self.end.max(end);
    }
}

impl Source {
    /// The running time, in ns, at which the last packet of all streams ends, asked once the streams that are encoded
    /// have ended. `None` where another goes on: the demuxer has not given up.
    #[must_use]
    pub fn reached(&self) -> Option<i64> {
        let packets = || self.outlets.iter().map(|o| o.reach().packets).sum::<u64>();
        let (begun, before) = (Instant::now(), packets());
        while !self.outlets.iter().all(Outlet::has_ended) {
            if packets() != before || begun.elapsed() > PATIENCE {
                return None;
            }
            std::thread::sleep(GLANCE);
        }
        self.outlets.iter().filter_map(|o| o.reach().end).max()
    }
}

impl Outlet {
    pub(super) fn reach(&self) -> Reach {
        lock(&self.state).reach
    }

    fn has_ended(&self) -> bool {
        lock(&self.state).ended
    }
}
