//! Lines between machines: what plain QUIC carries over them by each congestion controller, and how busy a worker is that
//! divien reaches over them.

mod plain;
mod worker;

use std::time::Duration;

pub use plain::{Carried, Congestion, carried};
pub use worker::{Worked, encoded};

use crate::relay::{Line, Rate};

/// Half of a round trip of 50 ms.
const DELAY: Duration = Duration::from_millis(25);
/// 200 Mbit/s, before which as much waits as is on its way in a round trip.
const RATE: Option<Rate> = Some(Rate { bits: 200_000_000, queue: 1_250_000 });
/// The same line without a loss, and with 0.1% and 1%.
pub const LINES: [Line; 3] = [
    Line { delay: DELAY, late: 0.0, loss: 0.0, rate: RATE },
    Line { delay: DELAY, late: 0.0, loss: 0.001, rate: RATE },
    Line { delay: DELAY, late: 0.0, loss: 0.01, rate: RATE },
];
/// Relays listen at such addresses.
const HERE: std::net::SocketAddr = std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
