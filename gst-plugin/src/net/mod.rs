//! Connections between the machines of a fleet: QUIC with mutual TLS, by one secret that all of them hold.

pub mod address;
pub mod congestion;
mod endpoint;
mod strangers;
mod tls;
pub mod token;

pub use endpoint::{Arrival, Listener, MOST_ON_ITS_WAY, NetError, addresses, dial, dial_with};
pub use strangers::Strangers;
pub use token::{Token, TokenError};
