//! What a coordinator and its workers say to each other, on any stream of bytes. Pure: no socket, no clock, no GStreamer.
//!
//! The one who has chunks is the *coordinator*, the one who encodes them the *worker*, whoever dialled. They share one
//! *control* stream, and one more for each *attempt* at a chunk; ending that one early calls the attempt off.
//!
//! ```text
//! control   worker → Hello      who I am, how many attempts at once
//!           ← Welcome           the minor version that both keep to
//!           ← Format            how chunks of a section are encoded; any time, before the first of them
//!           worker → Fit        what the libraries for it are, and what a short clip became with them
//!                  or Unfit     why it cannot be done here
//!           worker → Drain      no more attempts, please; those begun are finished
//!           ← Goodbye           all is done, or what went wrong
//! attempt   ← Begin, Unit …, End                          what to make, of what
//!           worker → Head, Unit … Progress …, Done        what became of it
//!                  or Failed
//! ```
//!
//! Everything is a [frame]: a tag, a length, a body. Bodies are [postcard](https://postcard.jamesmunns.com/wire-format)
//! of the [messages](mod@message); media follows its head as it is. Major versions have different ALPN names and never meet.
//! Minor ones meet at the lower: what it does not know is not sent, but for frames with an optional tag, which are passed
//! over.

pub mod frame;
pub mod message;
mod session;
mod tally;

pub use frame::{Decoder, Frame, FrameError};
pub use message::{Message, MessageError};
pub use session::{Control, Inputs, Output, ProtocolError, Received, Results, Work};
pub use tally::Tally;

/// The protocol's name in the handshake of TLS.
pub const ALPN: &[u8] = b"divien/1";

/// The minor version spoken here.
pub const MINOR: u16 = 1;
