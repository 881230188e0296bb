//! What comes from a network, taken through all that reads it here. A target takes any bytes, and panics where a promise
//! is not kept. `tests/fuzz` looks for bytes that make one do so; what it keeps is tried by the tests here.

mod media;
mod stream;
#[cfg(test)]
mod tests;

pub use media::{formats, texts, units};
pub use stream::{control_of_coordinator, control_of_worker, frames, inputs, results};

use crate::net::Token;

/// A text that may be a token.
pub fn token(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(*token.text(), text.trim());
    }
}
