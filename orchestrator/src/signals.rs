//! Signals to end, at any moment: while an input is opened, while it is encoded, while the file is completed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::error::{EXIT_INTERRUPTED, Error};
use crate::mux::{Output, Sink};
use crate::report::tell;
use crate::resume::Opening;
use crate::sync::lock;

/// How long a run that was told to end gets to do so in order.
const GRACE: Duration = Duration::from_millis(1500);
/// How long it may take to say what is left of it.
const SAYING: Duration = Duration::from_millis(300);

/// SIGXFSZ, on Linux.
const FILE_SIZE: i32 = 25;

/// A listener on a thread of its own, so that nothing the run waits for can keep a signal from being heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    told: Notify,
    follows: AtomicBool,
    /// It may take as long as it needs to end in order.
    has_time: AtomicBool,
    ends: AtomicBool,
    output: Mutex<Guarded>,
}

/// What becomes of the output should the run not come to it.
#[derive(Debug, Default)]
struct Guarded {
    part: Option<PathBuf>,
    /// Said of it, in words.
    left: Option<String>,
    /// What is kept of the run.
    kept: Option<Opening>,
}

impl Signals {
    /// Starts to listen; `quiet` ends without a word.
    pub(crate) fn listen(quiet: bool) -> Result<Self, Error> {
        let fault = |e: io::Error| Error::Fault { what: format!("cannot listen for signals: {e}") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fault)?;
        let this = Self::default();
        let ends = {
            let _inside = runtime.enter();
            Ends::listen().map_err(fault)?
        };
        let listener = this.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(listener.hear(ends, quiet)))
            .map_err(fault)?;
        Ok(this)
    }

    async fn hear(&self, mut ends: Ends, quiet: bool) {
        ends.next().await;
        self.shared.told.notify_one();
        if self.shared.follows.load(Ordering::Acquire) {
            // In order if it can be, but a second signal is meant.
            if self.shared.has_time.load(Ordering::Acquire) {
                ends.next().await;
            } else {
                let _ = tokio::time::timeout(GRACE, ends.next()).await;
            }
        }
        self.shared.ends.store(true, Ordering::Release);
        let words = self.last_words();
        if !quiet {
            let (saying, said) = tokio::sync::oneshot::channel::<()>();
            // Nobody may read what is said.
            std::thread::spawn(move || {
                words.iter().for_each(tell);
                drop(saying);
            });
            tokio::select! {
                _ = said => {}
                () = ends.next() => {}
                () = tokio::time::sleep(SAYING) => {}
            }
        }
        std::process::exit(EXIT_INTERRUPTED.into());
    }

    /// What is left of the run, now that nothing more is made of it.
    fn last_words(&self) -> Vec<String> {
        let guarded = self.guarded();
        if let Some(part) = &guarded.part {
            // What is no longer there has its name already, or was removed by the run itself.
            let _ = std::fs::remove_file(part);
        }
        let mut words: Vec<String> = guarded.kept.as_ref().and_then(Opening::left).into_iter().collect();
        words.push(match &guarded.left {
            Some(left) => format!("divien: interrupted; {left}"),
            None => "divien: interrupted".into(),
        });
        // Held to the end of the process, so that no file is made behind it.
        std::mem::forget(guarded);
        words
    }

    fn guarded(&self) -> MutexGuard<'_, Guarded> {
        lock(&self.shared.output)
    }

    /// Makes the output, whose partial file is removed should the run not come to it.
    pub(crate) fn make_output<T>(
        &self,
        make: impl FnOnce() -> Result<(Output, T), Error>,
    ) -> Result<(Output, T), Error> {
        let mut guarded = self.guarded();
        let made = make()?;
        (guarded.part, guarded.left) = (made.0.part().map(Path::to_owned), Some(made.0.if_stopped()));
        Ok(made)
    }

    /// Tells of what is kept of the run should it be ended from now on.
    pub(crate) fn keeps(&self, kept: Opening) {
        self.guarded().kept = Some(kept);
    }

    /// Gives the output its name: a signal comes before that or after it, and what is said of the output is true. `note` is
    /// told the file that is the whole output.
    pub(crate) fn complete(
        &self,
        mut output: Output,
        sink: Sink,
        note: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let size = output.complete(sink).inspect_err(|_| self.give_way())?;
        output.part().map_or(Ok(()), note)?;
        {
            let mut guarded = self.guarded();
            output.rename().map_err(|error| match error {
                // Without a folder there is nothing else of it.
                Error::Appeared { path, .. } if guarded.kept.as_ref().and_then(Opening::kept).is_none() => {
                    Error::Appeared { path, part: output.keep_part() }
                }
                error => error,
            })?;
            *guarded = Guarded::default();
        }
        output.sync_folder();
        Ok(size)
    }

    /// From here on, or no longer, the run listens to [`Self::told`] and ends in order.
    pub(crate) fn follow(&self, follows: bool) {
        self.shared.follows.store(follows, Ordering::Release);
    }

    /// A run that follows ends when it has done what it has begun.
    pub(crate) fn give_time(&self) {
        self.shared.has_time.store(true, Ordering::Release);
    }

    /// Waits for the end of the process if a signal has brought it about: what failed then failed for that reason.
    pub(crate) fn give_way(&self) {
        while self.shared.ends.load(Ordering::Acquire) {
            std::thread::park();
        }
    }

    /// Resolves when a signal has come. Cancel safe.
    pub(crate) async fn told(&self) {
        self.shared.told.notified().await;
    }
}

/// From here on a file that may not grow further is an error like a full disk, and no longer the end of the process. Called
/// within a runtime of tokio.
pub(crate) fn stand_full_files() -> io::Result<()> {
    // Whether it is heard or not.
    signal(SignalKind::from_raw(FILE_SIZE)).map(drop)
}

/// The signals to end.
#[derive(Debug)]
pub(crate) struct Ends {
    always: [Signal; 3],
    hangup: Option<Signal>,
}

impl Ends {
    /// Listens from here on, within a runtime of tokio.
    pub(crate) fn listen() -> io::Result<Self> {
        stand_full_files()?;
        // nohup has it ignored, and means it.
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let [interrupt, terminate, quit] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()].map(signal);
        Ok(Self { always: [interrupt?, terminate?, quit?], hangup })
    }

    /// Resolves when one has come. Cancel safe.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, quit] = &mut self.always;
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
            () = hangup => {}
        }
    }
}

/// Whether whoever started the process had it ignore hang-ups, as Linux tells it.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).is_some_and(|m| m & 1 == 1)
}
