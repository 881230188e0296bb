//! Workers on other machines, among the options of an encode.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gstdivien::net::address;

use super::{Input, Remote, UsageError};

/// How long vanished workers are waited for.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// The line begins with `server`.
    pub(super) is_server: bool,
    pub(super) workers: Vec<String>,
    pub(super) listen: Option<std::net::SocketAddr>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) timeout: Option<Duration>,
}

impl Typed {
    /// `None` where everything is encoded here.
    pub(super) fn resolve(self, lanes: Option<u32>, input: &Input) -> Result<Option<Remote>, UsageError> {
        if !self.is_server && self.workers.is_empty() {
            return self.nobody(lanes);
        }
        if self.token_file.as_deref() == Some(Path::new("-")) && *input == Input::Stdin {
            let reason = "standard input is the video already; put the token into a file, or into DIVIEN_TOKEN";
            return Err(UsageError::NotTaken { name: "token-file -".into(), reason: reason.into() });
        }
        Ok(Some(Remote {
            workers: self.workers,
            listen: self.is_server.then(|| self.listen.unwrap_or(address::EVERYWHERE)),
            token_file: self.token_file,
            timeout: self.timeout.unwrap_or(TIMEOUT),
        }))
    }

    fn nobody(self, lanes: Option<u32>) -> Result<Option<Remote>, UsageError> {
        if lanes == Some(0) {
            let range = "1 to 1024; 0, none here, wants -workers or 'divien server'".into();
            return Err(UsageError::OutOfRange { name: "w".into(), value: "0".into(), range });
        }
        let idle = [("token-file", self.token_file.is_some()), ("worker-timeout", self.timeout.is_some())];
        match idle.into_iter().find(|(_, typed)| *typed) {
            Some((name, _)) => Err(UsageError::NotTaken {
                name: name.into(),
                reason: "it is about workers elsewhere, of which -workers HOST:PORT,… or 'divien server' tell".into(),
            }),
            None => Ok(None),
        }
    }
}
