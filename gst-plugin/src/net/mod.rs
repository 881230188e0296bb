//! Connections between the machines of a fleet: QUIC with mutual TLS, by one secret that all of them hold.

mod endpoint;
mod tls;
pub mod token;

pub use endpoint::{Arrival, Listener, NetError, addresses, dial};
pub use token::{Token, TokenError};
