//! What a line does to packets. Pure: time comes in, arrivals come out.

use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;

/// How much later than the others a packet comes that is late, at most.
const LATENESS: Duration = Duration::from_millis(20);

/// A line between two machines; both ways are alike. By default it does nothing to a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Line {
    /// From one end to the other.
    pub delay: Duration,
    /// The share of packets that come some 10 ms later than that, behind others that left after them.
    pub late: f64,
    /// The share of packets that never come.
    pub loss: f64,
    /// How many packets it takes, and how many wait for it.
    pub rate: Option<Rate>,
}

/// A bottleneck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bits a second.
    pub bits: u64,
    /// Bytes that may wait before it; a packet for which there is no room is lost.
    pub queue: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trip = (self.delay * 2).as_millis();
        write!(f, "{trip} ms there and back, {:.1}% lost, {:.1}% late", self.loss * 100.0, self.late * 100.0)?;
        match self.rate {
            Some(Rate { bits, queue }) => {
                write!(f, ", {} Mbit/s behind {} kB", bits as f64 / 1e6, queue / 1000)
            }
            None => Ok(()),
        }
    }
}

/// One way of a line, with what is on it.
#[derive(Debug)]
pub(crate) struct Way {
    line: Line,
    random: Rng,
    /// When the bottleneck has sent all that waits before it.
    free: Option<Instant>,
}

impl Way {
    pub(crate) fn new(line: Line, seed: u64) -> Self {
        Self { line, random: Rng::with_seed(seed), free: None }
    }

    /// When a packet of so many bytes arrives that leaves now; `None` if it is lost.
    pub(crate) fn arrival(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let bytes = bytes as u64;
        let mut leaves = now;
        if let Some(rate) = self.line.rate {
            let begins = self.free.map_or(now, |free| free.max(now));
            let waiting = begins.duration_since(now).as_secs_f64() * rate.bits as f64 / 8.0;
            if waiting as u64 + bytes > rate.queue {
                return None;
            }
            leaves = begins + Duration::from_secs_f64(bytes as f64 * 8.0 / rate.bits as f64);
            self.free = Some(leaves);
        }
        if self.random.f64() < self.line.loss {
            return None;
        }
        let is_late = self.random.f64() < self.line.late;
        let late = if is_late { LATENESS.mul_f64(self.random.f64()) } else { Duration::ZERO };
        Some(leaves + self.line.delay + late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1250;

    #[test]
    fn a_bottleneck_takes_no_more_than_its_rate_and_loses_what_has_no_room() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let rate = Rate { bits: 1_000_000, queue: 50_000 };
        let mut way = Way::new(Line { rate: Some(rate), ..Line::default() }, 1);
        // Ten times as much as it can take, for ten seconds.
        let sent = (0..10_000).map(|n| start + second / 1000 * n);
        let arrivals: Vec<_> = sent.filter_map(|now| way.arrival(now, PACKET)).collect();
        assert!(arrivals.is_sorted());
        let within = arrivals.iter().filter(|at| **at <= start + 10 * second).count();
        assert_eq!(within * PACKET / 125_000, 10);
        // What waits at the end is what the queue holds.
        assert!(*arrivals.last().unwrap() <= start + 10 * second + Duration::from_millis(400));
        assert!((1_000..=1_041).contains(&arrivals.len()), "{}", arrivals.len());
        // Once it is empty, the next one does not wait.
        let later = start + 20 * second;
        assert_eq!(way.arrival(later, PACKET), Some(later + second / 100));
    }

    #[test]
    fn shares_are_kept_and_a_seed_makes_the_same_line_again() {
        let start = Instant::now();
        let line = Line { delay: Duration::from_millis(30), late: 0.1, loss: 0.05, rate: None };
        let fates = |seed| {
            let mut way = Way::new(line, seed);
            (0..20_000).map(|_| way.arrival(start, PACKET)).collect::<Vec<_>>()
        };
        let all = fates(7);
        let lost = all.iter().filter(|arrival| arrival.is_none()).count();
        let late = all.iter().flatten().filter(|arrival| **arrival > start + line.delay).count();
        assert!((900..1_100).contains(&lost), "{lost}");
        assert!((1_750..2_050).contains(&late), "{late}");
        assert!(all.iter().flatten().all(|arrival| *arrival >= start + line.delay));
        assert_eq!(all, fates(7));
        assert_ne!(all, fates(8));
    }
}
