//! Hashes as text.

use serde::{Deserialize, Serialize};

/// A BLAKE3 hash, written in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub blake3::Hash);

impl TryFrom<String> for Hash {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        blake3::Hash::from_hex(text).map(Self)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.0.to_hex().to_string()
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }
}
