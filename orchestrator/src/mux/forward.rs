//! Output that cannot be replaced (standard output, a pipe, a device): bytes are sent on while they are written.
//!
//! What is written goes to a file without a name first, and a thread of its own sends it from there. So a reader that
//! is slow, or stops, holds up no encoder; it costs disk space, which is given back as far as the reader has come.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{FallocateFlags, fallocate};

use crate::sync::lock;

/// Sent with one call; also what is given back to the disk at once.
const PIECE: u64 = 1 << 18;

/// The thread that sends, seen from the end of the run.
#[derive(Debug)]
pub(super) struct Forward {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// How far the file may be sent.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: u64,
    complete: bool,
    abandoned: bool,
    failed: Option<io::ErrorKind>,
}

impl Forward {
    /// Starts to send `file` to `target`, or to standard output; it is opened when there is something to send.
    pub(super) fn start(file: File, target: Option<PathBuf>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("forward".into()).spawn(move || {
            let sent = seen.send(&file, target);
            if let Err(e) = &sent {
                seen.state().failed = Some(e.kind());
            }
            sent
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What the writer tells its progress to.
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Waits until everything up to `size` is sent.
    pub(super) fn finish(&mut self, size: u64) -> io::Result<()> {
        {
            let mut state = self.shared.state();
            state.ready = size;
            state.complete = true;
        }
        self.shared.changed.notify_all();
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that sends the output broke off")))
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // A thread that waits for its reader ends with the process.
        self.shared.state().abandoned = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What comes before `position` will not change any more; an error if nobody wants it.
    pub(super) fn publish(&self, position: u64) -> io::Result<()> {
        let mut state = self.state();
        if let Some(kind) = state.failed {
            return Err(kind.into());
        }
        state.ready = position;
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn send(&self, file: &File, target: Option<PathBuf>) -> io::Result<()> {
        let mut out: Option<Box<dyn Write>> = None;
        let mut piece = vec![0; PIECE as usize];
        let mut sent = 0;
        while let Some(ready) = self.wait_for_more(sent) {
            let out = match out.as_mut() {
                Some(out) => out,
                None => out.insert(match &target {
                    Some(path) => Box::new(File::options().write(true).open(path)?),
                    None => Box::new(io::stdout()),
                }),
            };
            while sent < ready {
                let size = usize::try_from(ready - sent).unwrap_or(usize::MAX).min(piece.len());
                let part = piece.get_mut(..size).unwrap_or_default();
                file.read_exact_at(part, sent)?;
                out.write_all(part)?;
                sent += size as u64;
                let (from, length) = (sent.saturating_sub(PIECE) / PIECE * PIECE, sent / PIECE * PIECE);
                if length > from {
                    // Where files cannot have holes, this one keeps its size.
                    let _ =
                        fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, length - from);
                }
            }
            out.flush()?;
        }
        Ok(())
    }

    /// How far to send, once that is further than `sent`; `None` at the end.
    fn wait_for_more(&self, sent: u64) -> Option<u64> {
        let waits = |s: &mut State| s.ready <= sent && !s.complete && !s.abandoned;
        let state = self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner);
        (state.ready > sent && !state.abandoned).then_some(state.ready)
    }
}
