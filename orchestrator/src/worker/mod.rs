//! `divien worker`: encodes chunks for divien on other machines until it is told to stop; and `divien workers`, which asks
//! such workers what they can do.

mod log;
mod roll;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gstdivien::isolate::{Isolation, VERSION};
use gstdivien::lane::{hear_all_decoders, hear_decoders};
use gstdivien::net::{Token, TokenError};
use gstdivien::remote::worker::{self, Ended, Stop, Worker};

use rustix::param::linux_execfn;

use crate::cli::WorkerArgs;
use crate::error::Error;
use crate::open_files;
use crate::signals::Ends;
use log::Log;
pub use roll::roll;

/// How long a worker that was told to end at once gets to take its leave.
const GRACE: Duration = Duration::from_millis(1500);

/// Works as `args` say.
///
/// # Errors
/// Whatever ends it before the coordinator says that all is done.
pub fn run(args: &WorkerArgs) -> Result<(), Error> {
    let log = Log::new(args.log_format);
    let outcome = work(args, log);
    log.ended(outcome.as_ref().err());
    outcome
}

fn work(args: &WorkerArgs, log: Log) -> Result<(), Error> {
    open_files::allow()?;
    let token = token(args.token_file.as_deref())?;
    let fault = |what: String| Error::Fault { what };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("divien-net")
        .enable_all()
        .build()
        .map_err(|e| fault(format!("no runtime: {e}")))?;
    let ends = {
        let _inside = runtime.enter();
        // Before GStreamer writes any file.
        Ends::listen().map_err(|e| fault(format!("cannot listen for signals: {e}")))?
    };
    gst::init().map_err(|e| fault(format!("GStreamer does not start: {e}")))?;
    hear_decoders();
    let worker = Worker {
        name: args.name.clone().unwrap_or_else(host_name),
        slots: args.slots.unwrap_or_else(cores),
        memory: args.max_memory,
        token,
        drain_timeout: args.drain_timeout,
        once: args.once,
        isolation: if args.no_isolate { None } else { Some(processes(None)) },
    };
    let ended = runtime.block_on(async {
        let stop = Stop::default();
        tokio::select! {
            ended = worker::run(worker, args.place(), stop.clone(), move |told| log.report(&told)) => {
                if stop.now.is_cancelled() { Err(at_once()) } else { ended.map_err(Error::from) }
            }
            () = heed(ends, &stop) => Err(at_once()),
        }
    });
    // An encoder that is in the middle of a frame is not waited for.
    runtime.shutdown_background();
    match ended? {
        Ended::Done => Ok(()),
        ended => Err(Error::Worker(ended)),
    }
}

/// Drains at the first signal and ends at the second; resolves when that has taken too long. Cancel safe.
async fn heed(mut ends: Ends, stop: &Stop) {
    ends.next().await;
    stop.drain.cancel();
    ends.next().await;
    stop.now.cancel();
    tokio::time::sleep(GRACE).await;
}

fn at_once() -> Error {
    Error::Interrupted { left: "the chunks that were begun go back to whoever had them encoded".into() }
}

/// Encodes chunks for the process that has started this one, until that is gone.
///
/// # Errors
/// What comes from there makes no sense, or that is of another version.
pub fn lane(version: &str) -> Result<(), Error> {
    let fault = |what: String| Error::Fault { what };
    if version != VERSION {
        return Err(fault(format!(
            "this is divien {VERSION}, and {version} was asked for: install the same version of both"
        )));
    }
    gst::init().map_err(|e| fault(format!("GStreamer does not start: {e}")))?;
    gstdivien::plugin_register_static().map_err(|e| fault(format!("divien's elements cannot be registered: {e}")))?;
    hear_all_decoders();
    gstdivien::isolate::serve().map_err(|e| fault(format!("an encoder's process: {e}")))
}

/// Processes for encoders, in each of which an attempt may stand still for so long; none is for ever.
pub(crate) fn processes(patience: Option<Duration>) -> Arc<Isolation> {
    match this() {
        Ok(program) => Isolation::of(program, patience),
        Err(error) => Isolation::without(format!("divien does not find its own program: {error}")),
    }
}

/// This very program. Its first argument is no help: that is whatever its caller says.
fn this() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        // Whatever its file has become.
        return Ok(running.to_owned());
    }
    let started_from = || Path::new(OsStr::from_bytes(linux_execfn().to_bytes())).canonicalize();
    std::env::current_exe().or_else(|_| started_from())
}

/// The token in this file (`-` is standard input), else in the variable.
///
/// # Errors
/// There is none, or it is damaged.
pub(crate) fn token(file: Option<&Path>) -> Result<Token, TokenError> {
    file.map_or_else(Token::from_environment, Token::from_file)
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "worker".into() } else { name }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}
