//! Lines between machines: what plain QUIC carries over them by each congestion controller, and how busy a worker is that
//! divien reaches over them.

mod congestion;
mod plain;
mod simulated;
mod worker;

use std::time::Duration;

pub use congestion::{Carried, Congestion};
pub use plain::carried;
pub use simulated::shared;
pub use worker::{Worked, encoded};

use crate::relay::{Line, Rate};

/// A line over which a round trip takes so many milliseconds, with so many Mbit/s; before it waits what it takes in so many
/// round trips, at most, and this share of packets is lost by chance.
pub fn line(trip: u64, megabits: u64, trips_waiting: f64, loss: f64) -> Line {
    let bits = megabits * 1_000_000;
    let queue = (bits / 8 * trip / 1_000) as f64 * trips_waiting;
    Line { delay: Duration::from_millis(trip) / 2, late: 0.0, loss, rate: Some(Rate { bits, queue: queue as u64 }) }
}

/// 200 Mbit/s over 50 ms, without a loss, and with 0.1% and 1%.
pub fn measured() -> [Line; 3] {
    [0.0, 0.001, 0.01].map(|loss| line(50, 200, 1.0, loss))
}

/// Lines of all kinds: near and far, fast and slow, with long queues and short ones, clean and not.
pub fn all() -> Vec<Line> {
    let clean = [(1, 1_000, 1.0), (50, 10, 1.0), (50, 200, 0.2), (50, 200, 4.0), (50, 1_000, 0.1), (250, 100, 1.0)];
    let clean = clean.map(|(trip, megabits, waiting)| line(trip, megabits, waiting, 0.0));
    let chance = [(1, 1_000, 0.01), (50, 10, 0.01), (50, 200, 0.05)]
        .map(|(trip, megabits, loss)| line(trip, megabits, 1.0, loss));
    measured().into_iter().chain(clean).chain(chance).collect()
}
