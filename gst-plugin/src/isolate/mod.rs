//! Lanes in processes of their own: an encoder that aborts, is killed or hangs takes nothing with it but its attempt.
//!
//! A lane and its process speak over a socket pair, which is the process' standard input; messages and their frames are those
//! of [`wire`](crate::wire):
//!
//! ```text
//! lane     [Format] Begin Unit … End                    [Format] Begin …
//! process                 Head Unit … Progress … Done            …
//! ```
//!
//! In place of raw pictures goes where they are in memory that both share.
//!
//! One attempt at a time; a process whose attempt has failed, or was called off, is ended, and the next attempt gets another.
//! It ends as well when the other end of its socket is gone, so that none outlives the program that started it.

mod child;
mod lane;
mod pictures;

pub use child::serve;
pub use lane::{Isolation, LANE, PATIENCE, ProcessLane, VERSION};
