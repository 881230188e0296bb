//! The lane's side: a process that is started when it is needed, and ended when it fails.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::pictures::Slots;
use crate::lane::{Attempt, Encoded, Lane, LaneError, Next};
use crate::remote::convert::{format_to_wire, plain, to_wire};
use crate::remote::gather::{Gather, Told};
use crate::wire::message::{self, Begin, End, Message};
use crate::wire::{Results, Tally};

/// The processes that lanes share.
#[derive(Debug)]
pub struct Isolation {
    program: Vec<OsString>,
    patience: Option<Duration>,
    idle: Mutex<Vec<Process>>,
}

impl Isolation {
    /// Processes of this program, with what it is told so that it calls [`serve`](super::serve). An attempt in one may stand
    /// still for so long; none is for ever.
    pub fn new(program: Vec<OsString>, patience: Option<Duration>) -> Arc<Self> {
        Arc::new(Self { program, patience, idle: Mutex::default() })
    }

    /// Those of the program `divien` that is installed.
    pub(crate) fn installed(patience: Option<Duration>) -> Arc<Self> {
        Self::new(vec!["divien".into(), LANE.into()], patience)
    }

    /// Starts so many that will be wanted soon.
    pub fn prepare(&self, processes: usize) {
        // Whoever wants one that does not start is told why.
        self.idle().extend((0..processes).map_while(|_| Process::start(&self.program).ok()));
    }

    fn take(&self) -> io::Result<Process> {
        let alive = |process: &mut Process| matches!(process.child.try_wait(), Ok(None));
        let mut idle = self.idle();
        while let Some(mut process) = idle.pop() {
            if alive(&mut process) {
                return Ok(process);
            }
        }
        drop(idle);
        Process::start(&self.program)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The word that has the program `divien` call [`serve`](super::serve).
pub const LANE: &str = "encode-chunks";
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
        let mut process =
            self.0.take().map_err(|error| LaneError::Start(format!("its process does not start: {error}")))?;
        let outcome = process.encode(attempt, self.0.patience);
        match outcome {
            Ok(encoded) => {
                self.0.idle().push(process);
                Ok(encoded)
            }
            Err(_) if attempt.cancel.is_cancelled() => Err(LaneError::Cancelled),
            Err(Broken::Lane(error)) => Err(error),
            Err(Broken::Gone) => Err(LaneError::Killed(process.fate())),
        }
    }
}

/// Lines of its stderr that are told when it dies.
const MOST_WORDS: usize = 3;
/// How often it is looked whether an attempt moves.
const LOOK: Duration = Duration::from_millis(250);
/// An attempt moves within the time of so many frames.
const FRAMES: u32 = 30;
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// How long a process that has closed its socket may take to end.
const ENDING: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Process {
    child: Child,
    socket: UnixStream,
    words: Option<JoinHandle<VecDeque<String>>>,
    slots: Slots,
    format: Option<message::Format>,
}

/// An attempt that is over, which nobody calls off any more.
struct Over(Arc<Mutex<Option<UnixStream>>>);

impl Drop for Over {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Why there is no result.
enum Broken {
    Lane(LaneError),
    /// The process closed its socket.
    Gone,
}

impl Process {
    fn start(program: &[OsString]) -> io::Result<Self> {
        let (own, other) = UnixStream::pair()?;
        let slots = Slots::share(&own)?;
        let (name, arguments) = program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(name)
            .args(arguments)
            .stdin(OwnedFd::from(other))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for whoever started it, who may want the chunk that it has.
            .process_group(0)
            .spawn()?;
        let words = child.stderr.take().map(|stderr| thread::spawn(move || last_words(stderr)));
        own.set_read_timeout(Some(LOOK))?;
        Ok(Self { child, socket: own, words, slots, format: None })
    }

    fn encode(&mut self, attempt: &Attempt, patience: Option<Duration>) -> Result<Encoded, Broken> {
        let lost = |_| Broken::Gone;
        let format = format_to_wire(&attempt.format, 0);
        if self.format.as_ref() != Some(&format) {
            send(&self.socket, &Message::Format(format.clone())).map_err(lost)?;
            self.format = Some(format);
        }
        let begin = Begin { chunk: 0, format: 0, wanted: attempt.wanted.as_deref().map(message::Wanted::from) };
        send(&self.socket, &Message::Begin(begin)).map_err(lost)?;
        let (socket, input) = (self.socket.try_clone().map_err(lost)?, attempt.input.clone());
        let call_off = Arc::new(Mutex::new(Some(socket)));
        let _over = Over(call_off.clone());
        attempt.cancel.on_cancel(move || {
            // It ends by itself when nobody is there, and is killed behind this where it does not. After this attempt it is
            // there for others.
            if let Some(socket) = &*call_off.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = socket.shutdown(Shutdown::Both);
            }
            input.cancel();
        });
        let (waits, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let sending = scope.spawn(|| send_all(&self.socket, &self.slots, attempt, (&waits, &sent)));
            let outcome = receive(&self.socket, attempt, (&waits, &sent), patience);
            if outcome.is_err() {
                attempt.input.cancel();
                let _ = self.socket.shutdown(Shutdown::Both);
            }
            match sending.join() {
                Ok(Ok(())) | Err(_) => outcome,
                Ok(Err(error)) => Err(Broken::Lane(error)),
            }
        })
    }

    /// How it ended, and what it said last.
    fn fate(&mut self) -> String {
        let until = Instant::now() + ENDING;
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
                ended => break ended.ok().flatten(),
            }
        };
        let mut fate = status.map_or_else(|| "its process closed its socket".to_owned(), told);
        // What still runs would keep the pipe open.
        let _ = self.child.kill();
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        if !words.is_empty() {
            let words: Vec<String> = words.into_iter().map(plain).collect();
            fate = format!("{fate}; it said last: {}", words.join(" / "));
        }
        fate
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
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

fn last_words(stderr: ChildStderr) -> VecDeque<String> {
    let mut words = VecDeque::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !line.is_empty() {
            words.push_back(line);
            if words.len() > MOST_WORDS {
                words.pop_front();
            }
        }
    }
    words
}

fn send(mut socket: &UnixStream, message: &Message) -> io::Result<()> {
    let pieces = message.write().map_err(io::Error::other)?;
    pieces.iter().try_for_each(|piece| socket.write_all(piece))
}

/// Sends the units of an attempt. That nobody takes them is told by what comes back.
fn send_all(
    mut socket: &UnixStream,
    slots: &Slots,
    attempt: &Attempt,
    (waits, sent): (&AtomicBool, &AtomicU64),
) -> Result<(), LaneError> {
    let start = |error: &dyn std::fmt::Display| LaneError::Start(error.to_string());
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
        let pieces = Message::Unit(unit, media).write().map_err(|error| start(&error))?;
        tally.add(&pieces);
        if pieces.iter().try_for_each(|piece| socket.write_all(piece)).is_err() {
            return Ok(());
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
    // As above.
    let _ = send(socket, &Message::End(End { tally: tally.count() }));
    Ok(())
}

fn receive(
    mut socket: &UnixStream,
    attempt: &Attempt,
    (waits, sent): (&AtomicBool, &AtomicU64),
    patience: Option<Duration>,
) -> Result<Encoded, Broken> {
    let (mut results, mut gather) = (Results::default(), Gather::new());
    let started = Instant::now();
    let mut moved = (started, 0, 0);
    loop {
        while let Some(output) =
            results.next_message().map_err(|e| Broken::Lane(LaneError::Elsewhere(e.to_string())))?
        {
            let sent = sent.load(Ordering::Relaxed);
            let told = gather.take(output, (attempt, sent), |store, unit| store.keep(unit)).map_err(Broken::Lane)?;
            if told == Told::Whole {
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
        let now = (attempt.progress.frames(), attempt.progress.units() + sent.load(Ordering::Relaxed));
        if (moved.1, moved.2) != now || waits.load(Ordering::Relaxed) {
            moved = (Instant::now(), now.0, now.1);
            continue;
        }
        // Where frames take long, so does what stands still for all that can be seen.
        let took = moved.0.duration_since(started);
        let each = took.checked_div(u32::try_from(now.0).unwrap_or(u32::MAX)).unwrap_or_default();
        let patience = patience.map(|patience| patience.max(each.saturating_mul(FRAMES)));
        if let Some(patience) = patience.filter(|patience| moved.0.elapsed() > *patience) {
            let seconds = patience.as_secs();
            return Err(Broken::Lane(LaneError::Killed(format!(
                "nothing moved for {seconds} s, and its process was ended"
            ))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::{ChunkInput, EncoderSpec, FilterSpec, Format, Outlet, Reader};
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
        };
        Attempt {
            format: Arc::new(format),
            input: Arc::new(Reader::new(Arc::<ChunkInput>::default())),
            wanted: None,
            cancel: Arc::default(),
            progress: Arc::default(),
            result: Outlet::Store(Store::new(0)),
        }
    }

    /// What becomes of an attempt whose process is a shell that is told this.
    fn outcome(script: &str, patience: Option<Duration>, attempt: &Attempt) -> Result<(), LaneError> {
        let program = ["sh", "-c", script].map(Into::into).into();
        ProcessLane::new(Isolation::new(program, patience)).encode(attempt).map(drop)
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
        let program = vec!["/does/not/exist".into()];
        let error = ProcessLane::new(Isolation::new(program, None)).encode(&attempt()).unwrap_err();
        assert!(matches!(&error, LaneError::Start(told) if told.contains("No such file")), "{error}");
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
