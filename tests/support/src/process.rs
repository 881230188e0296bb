//! Processes that tests start, and what they say.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gstdivien::net::Token;

use crate::run::{LIMIT, Signal, signal};

/// How often something is looked at that tells by itself when it is over.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A new token, and a file with it in this folder.
pub(crate) fn new_token(folder: &Path) -> Result<(Token, PathBuf), String> {
    let (token, file) = (Token::random().map_err(|error| error.to_string())?, folder.join("token"));
    std::fs::write(&file, token.text().as_bytes()).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((token, file))
}

/// A process that is killed with its value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says goes to a file.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Result<Self, String> {
        let failed = |error| format!("{command:?}: {error}");
        let file = File::create(&log).map_err(failed)?;
        command.stdout(Stdio::null()).stderr(file);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self { child, log })
    }

    /// Starts a worker; gives where it listens as well.
    pub(crate) fn listening(command: &mut Command, log: PathBuf) -> Result<(Self, SocketAddr), String> {
        let mut worker = Self::start(command, log)?;
        let address = worker.address("listening on ")?;
        Ok((worker, address))
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read(&self.log).map(|said| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default()
    }

    /// Waits for the address that it says behind these words.
    pub(crate) fn address(&mut self, words: &str) -> Result<SocketAddr, String> {
        let patience = Instant::now() + LIMIT;
        loop {
            let is_over = !self.runs();
            let said = self.said();
            let told = said.split_once(words).and_then(|(_, rest)| rest.split_once('\n'));
            if let Some((address, _)) = told {
                return address.trim().parse().map_err(|error| format!("{words}{address}: {error}"));
            }
            if is_over || Instant::now() > patience {
                return Err(format!("nothing was said of '{words}': {said}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until it has ended, for as long as anything may take.
    pub(crate) fn ends(&mut self) -> Result<(), String> {
        let patience = Instant::now() + LIMIT;
        while self.runs() {
            if Instant::now() > patience {
                return Err(format!("it does not end: {}", self.said()));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn go_on(&mut self) {
        if self.runs() {
            signal(&self.child, Signal::CONT);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
