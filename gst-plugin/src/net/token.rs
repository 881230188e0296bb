//! The secret of a fleet.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use ring::hkdf;
use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;
use zeroize::Zeroizing;

/// The variable that a token may stand in.
pub const VARIABLE: &str = "DIVIEN_TOKEN";

/// What a token begins with; the number goes up with what is made of it.
const PREFIX: &str = "divien1-";
/// Bytes that are secret.
const SECRET: usize = 32;
/// Bytes that tell a slip of the hand from another fleet's token: the start of the secret's BLAKE3.
const CHECK: usize = 4;
/// More than any file with a token has.
const MOST: u64 = 4096;

/// One secret for all machines of a fleet. Who holds it may encode and have encoded; nobody else gets past the handshake.
///
/// Its text is `divien1-` and 48 characters of base64url: 32 random bytes, and four that check them.
#[derive(Clone)]
pub struct Token(Zeroizing<[u8; SECRET]>);

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The text is none.
    #[error("what was given is no token: it begins with {PREFIX} and has 56 characters")]
    NoToken,
    /// The text was one.
    #[error("the token is damaged: some of its characters are not what they were")]
    Damaged,
    /// The file cannot be read.
    #[error("{}: the token cannot be read: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Standard input cannot be read.
    #[error("the token cannot be read from standard input: {0}")]
    Stdin(io::Error),
    /// The variable is not set.
    #[error("{VARIABLE} is not set")]
    Unset,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// [`TokenError::Random`].
    pub fn random() -> Result<Self, TokenError> {
        let mut secret = Zeroizing::new([0; SECRET]);
        SystemRandom::new().fill(secret.as_mut_slice()).map_err(|_| TokenError::Random)?;
        Ok(Self(secret))
    }

    /// The one in this file, or on standard input for `-`.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        if path == Path::new("-") {
            return read(io::stdin().lock()).map_err(TokenError::Stdin)?.parse();
        }
        let failed = |error| TokenError::File { path: path.to_owned(), error };
        read(File::open(path).map_err(failed)?).map_err(failed)?.parse()
    }

    /// The one in [`VARIABLE`].
    ///
    /// # Errors
    /// There is none.
    pub fn from_environment() -> Result<Self, TokenError> {
        Zeroizing::new(std::env::var(VARIABLE).map_err(|_| TokenError::Unset)?).parse()
    }

    /// Its text, for a file.
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; SECRET + CHECK]);
        let (secret, check) = bytes.split_at_mut(SECRET);
        secret.copy_from_slice(self.0.as_slice());
        check.copy_from_slice(&check_of(&self.0));
        Zeroizing::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(bytes.as_slice())))
    }

    /// The seed of the fleet's one Ed25519 key, by HKDF (RFC 5869) with SHA-256.
    pub(super) fn seed(&self) -> Result<Zeroizing<[u8; SECRET]>, TokenError> {
        let mut seed = Zeroizing::new([0; SECRET]);
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, b"divien/1").extract(self.0.as_slice());
        let expanded = key.expand(&[b"identity of the fleet, Ed25519"], hkdf::HKDF_SHA256);
        expanded.and_then(|key| key.fill(seed.as_mut_slice())).map_err(|_| TokenError::Random)?;
        Ok(seed)
    }
}

fn check_of(secret: &[u8; SECRET]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    blake3::Hasher::new_derive_key("divien token check 1").update(secret).finalize_xof().fill(&mut check);
    check
}

fn read(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenError::NoToken)?;
        let mut bytes = Zeroizing::new([0; SECRET + CHECK]);
        if encoded.len() != BASE64URL_NOPAD.encode_len(bytes.len()) {
            return Err(TokenError::NoToken);
        }
        let decoded = BASE64URL_NOPAD.decode_mut(encoded.as_bytes(), bytes.as_mut_slice());
        decoded.map_err(|_| TokenError::Damaged)?;
        let (secret, check) = bytes.split_at(SECRET);
        let mut token = Self(Zeroizing::new([0; SECRET]));
        token.0.copy_from_slice(secret);
        if check_of(&token.0) == check { Ok(token) } else { Err(TokenError::Damaged) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_token_survives_its_text_and_a_file() {
        let token = Token::random().unwrap();
        assert_eq!(token.text().len(), 56);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{}", *token.text()).unwrap();
        let again = Token::from_file(file.path()).unwrap();
        assert_eq!(again.0, token.0);
        assert_eq!(*again.seed().unwrap(), *token.seed().unwrap());
        assert_ne!(*token.seed().unwrap(), *token.0);
    }

    #[test]
    fn two_tokens_differ_and_none_shows_itself() {
        let (one, two) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one.text(), two.text());
        assert!(!one.text().contains(&format!("{one:?}")));
    }

    #[test]
    fn a_slip_in_any_place_is_told() {
        let text = Token::random().unwrap().text();
        for at in PREFIX.len()..text.len() {
            let mut slipped = text.as_bytes().to_vec();
            slipped[at] = if slipped[at] == b'x' { b'y' } else { b'x' };
            let slipped = String::from_utf8(slipped).unwrap();
            assert!(matches!(slipped.parse::<Token>(), Err(TokenError::Damaged)), "at {at}");
        }
        for text in ["", "divien1-", "divien2-abc", &text[..55], &format!("{}x", *text), &text[8..]] {
            assert!(matches!(text.parse::<Token>(), Err(TokenError::NoToken)), "{text}");
        }
    }

    #[test]
    fn what_a_token_becomes_never_changes() {
        const SEED: &str = "0362a02664099198701eeef50092aecf64a57adfe2d12dd4e307fe4f38c62d7d";
        let token = Token(Zeroizing::new(std::array::from_fn(|n| n as u8)));
        assert_eq!(*token.text(), "divien1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8Hb6xT");
        assert_eq!(data_encoding::HEXLOWER.encode(token.seed().unwrap().as_slice()), SEED);
    }
}
