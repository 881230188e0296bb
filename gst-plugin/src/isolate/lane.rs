//! The lane's side: a process that is started when it is needed, and ended when it fails.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::pictures::Slots;
use crate::lane::{Attempt, Encoded, Lane, LaneError, Next};
use crate::remote::convert::{format_to_wire, plain, to_wire};
use crate::remote::gather::{Gather, Told};
use crate::wire::message::{self, Begin, End, Message};
use crate::wire::{Results, Tally};

/// The processes that lanes share.
#[derive(Debug)]
pub struct Isolation {
    /// Or why there is none.
    program: Result<Vec<OsString>, String>,
    patience: Option<Duration>,
    idle: Mutex<Vec<Process>>,
    /// Here, and with each process.
    all: Arc<()>,
    failure: Mutex<Option<String>>,
}

impl Isolation {
    /// Processes of this program, with what it is told so that it calls [`serve`](super::serve). An attempt in one may stand
    /// still for so long; none is for ever.
    fn new(program: Result<Vec<OsString>, String>, patience: Option<Duration>) -> Arc<Self> {
        let (idle, all, failure) = (Mutex::default(), Arc::default(), Mutex::default());
        Arc::new(Self { program, patience, idle, all, failure })
    }

    /// Those of this `divien`, which has to be of this version.
    pub fn of(divien: impl Into<OsString>, patience: Option<Duration>) -> Arc<Self> {
        Self::new(Ok(vec![divien.into(), LANE.into(), VERSION.into()]), patience)
    }

    /// No process can be started, for this reason.
    pub fn without(why: String) -> Arc<Self> {
        Self::new(Err(why), None)
    }

    /// Why no process could be started, if that is why a run has ended.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Starts so many that will be wanted soon.
    pub fn prepare(&self, processes: usize) {
        // Whoever wants one that does not start is told why.
        self.idle().extend((0..processes).map_while(|_| self.start().ok()));
    }

    /// Ends those that idle, and waits for them: what they took is part of what this process took then. Others that are
    /// started later are not kept from it.
    pub fn end(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    /// Makes an attempt in a process that nobody else has before or after.
    pub(crate) fn encode(&self, attempt: &Attempt) -> Result<Encoded, LaneError> {
        let mut process = self.take(attempt, false)?;
        process.encode(attempt, self.patience).map_err(|broken| process.failure(broken))
    }

    fn start(&self) -> io::Result<Process> {
        let program = self.program.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        Process::start(program, self.all.clone())
    }

    /// One that idles, where that is wanted, else a new one.
    fn take(&self, attempt: &Attempt, may_idle: bool) -> Result<Process, LaneError> {
        let mut times = 0;
        loop {
            let idle = if may_idle { self.idle().pop() } else { None };
            match idle {
                Some(process) if process.has_ended() => continue,
                Some(process) => return Ok(process),
                None => {}
            }
            match self.start() {
                Ok(process) => return Ok(process),
                Err(_) if attempt.cancel.is_cancelled() => return Err(LaneError::Cancelled),
                // Others that end leave room for it, or theirs to it.
                Err(error) if is_for_want(&error) && (times < TRIES || Arc::strong_count(&self.all) > 1) => {
                    times += 1;
                    thread::sleep(PAUSE);
                }
                Err(error) => {
                    let why = error.to_string();
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why.clone());
                    return Err(LaneError::NoProcess(why));
                }
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system has too little of something just now.
fn is_for_want(error: &io::Error) -> bool {
    [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE].iter().any(|code| error.raw_os_error() == Some(*code))
}

/// How often a process is started that does not start for want of something, and how long that is waited for in between.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

/// The word that has the program `divien` call [`serve`](super::serve).
pub const LANE: &str = "encode-chunks";
/// What follows it, so that nobody speaks with those who mean something else by the same words.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long an attempt may stand still.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A lane whose attempts are made in processes.
#[derive(Debug)]
pub struct ProcessLane(Arc<Isolation>);

impl ProcessLane {
    /// One with these.
    pub fn new(isolation: Arc<Isolation>) -> Self {
        Self(isolation)
    }
}

impl Lane for ProcessLane {
    fn encode(&mut self, attempt: &Attempt) -> Result<Encoded, LaneError> {
        let mut process = self.0.take(attempt, true)?;
        let outcome = process.encode(attempt, self.0.patience);
        // One that was called off meanwhile is of no use to others.
        let is_called_off = attempt.cancel.is_cancelled();
        match outcome {
            Ok(encoded) => {
                if !is_called_off {
                    self.0.idle().push(process);
                }
                Ok(encoded)
            }
            Err(_) if is_called_off => Err(LaneError::Cancelled),
            Err(broken) => Err(process.failure(broken)),
        }
    }
}

/// Lines of its stderr that are told when it dies, and bytes of each.
const MOST_WORDS: (usize, u64) = (3, 4096);
/// How often it is looked whether an attempt moves.
const LOOK: Duration = Duration::from_millis(250);
/// An attempt moves within the time of so many frames.
const FRAMES: u32 = 30;
/// An encoder that computes has so many times as long.
const BUSY: u32 = 10;
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// How long a process that has closed its socket may take to end, and what it has said to come.
const ENDING: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Process {
    child: Child,
    socket: UnixStream,
    words: Option<Arc<Words>>,
    slots: Slots,
    format: Option<message::Format>,
    /// Its number may be another's by now.
    is_reaped: bool,
    _one: Arc<()>,
}

/// The process of an attempt that may be called off.
struct Armed(Arc<Mutex<Option<Pid>>>);

impl Armed {
    fn new(attempt: &Attempt, process: Pid) -> Self {
        let armed = Arc::new(Mutex::new(Some(process)));
        let (process, input) = (armed.clone(), attempt.input.clone());
        attempt.cancel.on_cancel(move || {
            if let Some(process) = *process.lock().unwrap_or_else(PoisonError::into_inner) {
                kill(process);
            }
            input.cancel();
        });
        Self(armed)
    }
}

impl Drop for Armed {
    /// From here on the process is there for others.
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Kills a process that nobody has waited for yet, and what it has started.
fn kill(process: Pid) {
    // It may have ended.
    let _ = kill_process_group(process, Signal::KILL);
}

/// Why there is no result.
enum Broken {
    Lane(LaneError),
    /// The process closed its socket.
    Gone,
}

impl Process {
    fn start(program: &[OsString], one: Arc<()>) -> io::Result<Self> {
        let (own, other) = UnixStream::pair()?;
        let slots = Slots::share(&own)?;
        let (name, arguments) = program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(name);
        // What it logs is for whoever has asked for a log.
        let is_heard = std::env::var_os("GST_DEBUG").is_some();
        if let Some(mut log) = std::env::var_os("GST_DEBUG_FILE") {
            log.push(".%p");
            command.env("GST_DEBUG_FILE", log);
        }
        let child = command
            .arg0("divien")
            .args(arguments)
            .stdin(OwnedFd::from(other))
            .stdout(Stdio::null())
            .stderr(if is_heard { Stdio::inherit() } else { Stdio::piped() })
            // Ctrl-C is for whoever started it, who may want the chunk that it has.
            .process_group(0)
            .spawn()?;
        // From here on it is ended with its value.
        let mut process = Self { child, socket: own, words: None, slots, format: None, is_reaped: false, _one: one };
        process.words = process.child.stderr.take().map(Words::hear).transpose()?;
        process.socket.set_read_timeout(Some(LOOK))?;
        Ok(process)
    }

    fn has_ended(&self) -> bool {
        has_ended(Pid::from_child(&self.child))
    }

    fn encode(&mut self, attempt: &Attempt, patience: Option<Duration>) -> Result<Encoded, Broken> {
        let pid = Pid::from_child(&self.child);
        let _armed = Armed::new(attempt, pid);
        let format = format_to_wire(&attempt.format, 0);
        let is_new = self.format.as_ref() != Some(&format);
        let (waits, sent) = &(AtomicBool::new(false), AtomicU64::new(0));
        let outcome = thread::scope(|scope| {
            let (socket, slots, new) = (&self.socket, &self.slots, is_new.then_some(&format));
            let sending = scope.spawn(move || {
                let sent = send_all((socket, slots), new, attempt, (waits, sent));
                // Whoever receives need not wait for what cannot come.
                if sent.is_err() {
                    kill(pid);
                }
                sent
            });
            let moves = Moves::new(attempt, (waits, sent), pid);
            let outcome = receive(socket, attempt, moves, patience);
            if outcome.is_err() {
                // How it ends by itself is worth knowing; one that does not, or was given up, holds nobody up.
                if matches!(outcome, Err(Broken::Gone)) {
                    await_end(pid);
                }
                kill(pid);
                attempt.input.cancel();
            }
            match sending.join() {
                Ok(Ok(())) | Err(_) => outcome,
                Ok(Err(error)) => Err(Broken::Lane(error)),
            }
        });
        self.format = Some(format);
        outcome
    }

    fn failure(&mut self, broken: Broken) -> LaneError {
        match broken {
            Broken::Lane(error) => error,
            Broken::Gone => LaneError::Killed(self.fate()),
        }
    }

    /// How it ended, and what it said last.
    fn fate(&mut self) -> String {
        let mut fate = self.child.wait().map_or_else(|_| "its process closed its socket".into(), told);
        self.is_reaped = true;
        let words = self.words.as_ref().map(|words| words.last()).unwrap_or_default();
        if !words.is_empty() {
            let words: Vec<String> = words.into_iter().map(plain).collect();
            fate = format!("{fate}; it said last: {}", words.join(" / "));
        }
        fate
    }
}

/// Whether a process has ended that nobody has waited for; its number stays its own.
fn has_ended(process: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    !matches!(waitid(WaitId::Pid(process), options), Ok(None))
}

/// Waits until a process that has closed its socket has ended, for as long as that may take.
fn await_end(process: Pid) {
    let until = Instant::now() + ENDING;
    while !has_ended(process) && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_reaped {
            kill(Pid::from_child(&self.child));
        }
        // Nothing of it is left running after this.
        let _ = self.child.wait();
    }
}

fn told(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("its process was ended by signal {signal} ({})", name(signal)),
        (None, Some(code)) => format!("its process ended with exit code {code}"),
        (None, None) => "its process ended".into(),
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => "SIGABRT, it gave up by itself",
        libc::SIGSEGV => "SIGSEGV, memory that is not its own",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL, as the system does where memory is short",
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        _ => "a signal",
    }
}

/// The last lines that a process says.
#[derive(Debug, Default)]
struct Words {
    said: Mutex<(VecDeque<String>, bool)>,
    ended: Condvar,
}

impl Words {
    fn hear(stderr: ChildStderr) -> io::Result<Arc<Self>> {
        let words = Arc::<Self>::default();
        let hearing = words.clone();
        thread::Builder::new().spawn(move || {
            let (mut stderr, mut line) = (BufReader::new(stderr), Vec::new());
            while stderr.by_ref().take(MOST_WORDS.1).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                line.clear();
                if !text.is_empty() {
                    let (said, _) = &mut *hearing.lock();
                    said.push_back(text);
                    if said.len() > MOST_WORDS.0 {
                        said.pop_front();
                    }
                }
            }
            hearing.lock().1 = true;
            hearing.ended.notify_all();
        })?;
        Ok(words)
    }

    /// What was said when all is, or after a while: others that it has started may hold its stderr.
    fn last(&self) -> Vec<String> {
        let said = self.ended.wait_timeout_while(self.lock(), ENDING, |(_, ended)| !*ended);
        said.unwrap_or_else(PoisonError::into_inner).0.0.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, (VecDeque<String>, bool)> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends all of an attempt, and its format where that is a new one. That nobody takes it is told by what comes back.
fn send_all(
    (mut socket, slots): (&UnixStream, &Slots),
    format: Option<&message::Format>,
    attempt: &Attempt,
    (waits, sent): (&AtomicBool, &AtomicU64),
) -> Result<(), LaneError> {
    let start = |error: &dyn std::fmt::Display| LaneError::Start(error.to_string());
    let pieces = |message: &Message| {
        let said = |error| LaneError::Start(format!("its process cannot be told: {error}; -isolate none needs none"));
        message.write().map_err(said)
    };
    let mut is_taken = |pieces: &[Bytes]| pieces.iter().try_for_each(|piece| socket.write_all(piece)).is_ok();
    let begin = Begin {
        chunk: 0,
        format: 0,
        is_first: attempt.is_first,
        wanted: attempt.wanted.as_deref().map(message::Wanted::from),
    };
    let first = format.map(|format| pieces(&Message::Format(format.clone()))).transpose()?.unwrap_or_default();
    if !is_taken(&first) || !is_taken(&pieces(&Message::Begin(begin))?) {
        return Ok(());
    }
    let mut tally = Tally::default();
    loop {
        waits.store(true, Ordering::Relaxed);
        let next = attempt.input.next();
        waits.store(false, Ordering::Relaxed);
        let unit = match next {
            Next::Frame(unit) => unit,
            Next::End => break,
            Next::Cancelled => return Ok(()),
            Next::Unreadable(error) => return Err(start(&format!("a frame cannot be read where it waited: {error}"))),
        };
        let (unit, mut media) = to_wire(unit).map_err(|error| start(&error))?;
        if attempt.wanted.is_none() {
            media = match slots.put(&media) {
                Ok(address) => address,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(start(&format!("no memory for a picture: {error}"))),
            };
        }
        let unit = pieces(&Message::Unit(unit, media))?;
        tally.add(&unit);
        if !is_taken(&unit) {
            return Ok(());
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
    is_taken(&pieces(&Message::End(End { tally: tally.count() }))?);
    Ok(())
}

/// Whether an attempt gets further.
struct Moves<'a> {
    attempt: &'a Attempt,
    waits: &'a AtomicBool,
    sent: &'a AtomicU64,
    process: Pid,
    /// When there was a frame first.
    first: Option<Instant>,
    /// When it was further than before, and how far.
    last: Instant,
    mark: (u64, u64),
    /// When its process had computed more than before, and for how long in all, in ticks of the system.
    computed: (Instant, u64),
}

impl<'a> Moves<'a> {
    fn new(attempt: &'a Attempt, (waits, sent): (&'a AtomicBool, &'a AtomicU64), process: Pid) -> Self {
        let now = Instant::now();
        Self { attempt, waits, sent, process, first: None, last: now, mark: (0, 0), computed: (now, 0) }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// For how long it has stood still, if that is longer than it may. Where frames take long, so does what stands still for
    /// all that can be seen; and an encoder that computes may give nothing for long.
    fn stands(&mut self, patience: Duration) -> Option<Duration> {
        let progress = &self.attempt.progress;
        let mark = (progress.frames(), progress.units() + self.sent());
        if mark != self.mark || self.waits.load(Ordering::Relaxed) {
            (self.mark, self.last) = (mark, Instant::now());
        }
        if progress.frames() > 0 {
            self.first.get_or_insert(self.last);
        }
        let took = self.first.map_or(Duration::ZERO, |first| self.last.duration_since(first));
        let each = took.checked_div(u32::try_from(progress.frames()).unwrap_or(u32::MAX)).unwrap_or_default();
        let patience = patience.max(each.saturating_mul(FRAMES));
        let stood = self.last.elapsed();
        if stood <= patience {
            self.computed = (self.last, 0);
            return None;
        }
        let computed = ticks(self.process).unwrap_or(0);
        if computed != self.computed.1 {
            self.computed = (Instant::now(), computed);
        }
        let is_idle = self.computed.0.elapsed() > patience.min(IDLE);
        (is_idle || stood > patience.saturating_mul(BUSY)).then_some(stood)
    }
}

/// A process that has computed nothing for so long is idle.
const IDLE: Duration = Duration::from_secs(2);

/// How long a process has computed, in ticks of the system.
fn ticks(process: Pid) -> Option<u64> {
    let told = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // Its name may have blanks and brackets in it.
    let mut fields = told.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn receive(
    mut socket: &UnixStream,
    attempt: &Attempt,
    mut moves: Moves<'_>,
    patience: Option<Duration>,
) -> Result<Encoded, Broken> {
    let (mut results, mut gather) = (Results::default(), Gather::new());
    loop {
        while let Some(output) =
            results.next_message().map_err(|e| Broken::Lane(LaneError::Elsewhere(e.to_string())))?
        {
            let told = gather.take(output, (attempt, moves.sent()), |store, unit| store.keep(unit));
            if told.map_err(Broken::Lane)? == Told::Whole {
                return Ok(gather.whole());
            }
        }
        let mut piece = BytesMut::zeroed(PIECE);
        match socket.read(&mut piece) {
            Ok(0) => return Err(Broken::Gone),
            Ok(length) => {
                piece.truncate(length);
                results.push(piece.freeze());
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Broken::Gone),
        }
        if let Some(stood) = patience.and_then(|patience| moves.stands(patience)) {
            let seconds = stood.as_secs();
            let told = format!("nothing moved for {seconds} s, and its process was ended");
            return Err(Broken::Lane(LaneError::Killed(told)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{EncoderSpec, FilterSpec, Format, Outlet};
    use crate::store::Store;

    fn attempt() -> Attempt {
        gst::init().unwrap();
        let format = Format {
            encoder: EncoderSpec::parse("x264enc", 0).unwrap(),
            input: "video/x-raw,format=I420,width=64,height=48,framerate=25/1".parse().unwrap(),
            decoder: None,
            filter: FilterSpec::default(),
            frame_caps: None,
            output: gst::Caps::new_any(),
            lead_in: 0,
        };
        Attempt::new(Arc::new(format), Arc::default(), None, Outlet::Store(Store::new(0)))
    }

    /// What becomes of an attempt whose process is a shell that is told this.
    fn outcome(script: &str, patience: Option<Duration>, attempt: &Attempt) -> Result<(), LaneError> {
        let program = ["sh", "-c", script].map(Into::into).into();
        ProcessLane::new(Isolation::new(Ok(program), patience)).encode(attempt).map(drop)
    }

    #[test]
    fn how_a_process_ended_is_told_with_what_it_said_last() {
        for (script, wanted) in [
            (
                "for n in 1 2 3 4; do echo \"line $n\" >&2; done; kill -ABRT $$",
                "its process was ended by signal 6 (SIGABRT, it gave up by itself); it said last: line 2 / line 3 / line 4",
            ),
            ("printf 'free():\\033[31m invalid\\n' >&2; kill -SEGV $$", "it said last: free():[31m invalid"),
            ("exit 7", "its process ended with exit code 7"),
        ] {
            let error = outcome(script, None, &attempt()).unwrap_err();
            let LaneError::Killed(told) = error else { panic!("{error}") };
            assert!(told.contains(wanted), "{told}");
        }
        let lane = outcome("", None, &attempt()).unwrap_err();
        assert!(matches!(lane, LaneError::Killed(_)), "{lane}");
    }

    #[test]
    fn one_that_does_not_start_is_not_called_one_that_was_killed() {
        for (none, why) in [
            (Isolation::of("/does/not/exist", None), "No such file"),
            (Isolation::without("nobody knows where".into()), "nobody knows where"),
        ] {
            let error = ProcessLane::new(none.clone()).encode(&attempt()).unwrap_err();
            assert!(matches!(&error, LaneError::NoProcess(told) if told.contains(why)), "{error}");
            assert!(none.failure().is_some_and(|told| told.contains(why)));
        }
    }

    #[test]
    fn a_process_that_hangs_is_ended_unless_it_waits_for_frames() {
        let patience = Some(Duration::from_millis(600));
        let hangs = attempt();
        hangs.input.input().end();
        let started = Instant::now();
        let error = outcome("sleep 100", patience, &hangs).unwrap_err();
        assert!(matches!(&error, LaneError::Killed(told) if told.contains("nothing moved")), "{error}");
        assert!(started.elapsed() >= Duration::from_millis(600));

        // It says a line after that time, when it was given nothing.
        let waits = attempt();
        let error = outcome("sleep 1.5; echo later >&2", patience, &waits).unwrap_err();
        assert!(matches!(&error, LaneError::Killed(told) if told.contains("later")), "{error}");
    }

    #[test]
    fn one_that_is_called_off_ends_at_once() {
        let attempt = attempt();
        let cancel = attempt.cancel.clone();
        let calling = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            cancel.cancel();
        });
        let started = Instant::now();
        let error = outcome("sleep 100", None, &attempt).unwrap_err();
        assert!(matches!(error, LaneError::Cancelled), "{error}");
        assert!(started.elapsed() < Duration::from_secs(50));
        calling.join().unwrap();
    }
}
