//! A worker: encodes chunks for whoever holds the same token.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::{Connection, RecvStream, SendStream, VarInt};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::convert::{format_from_wire, plain};
use super::fingerprint::fingerprint;
use super::job::{self, Outcome, Slots};
use super::link::{self, LinkError, OVER};
use crate::isolate::Isolation;
use crate::lane::Format;
use crate::net::{self, Arrival, Listener, NetError, Token};
use crate::wire::message::{self, Goodbye, Hello, Software, Unfit};
use crate::wire::{Control, MINOR, Message, Received};

/// Connections that wait to be looked at.
const MOST_ARRIVALS: usize = 16;
/// How long a coordinator may take to answer.
const GREETING: Duration = Duration::from_secs(10);
/// How long attempts may take to see that all is done, and coordinators to hear that nobody is here any more.
const ENDING: Duration = Duration::from_millis(500);
/// How long it waits before it dials again.
const AGAIN: Duration = Duration::from_secs(1);
/// What may be on its way to one coordinator, in bytes.
const MOST_WINDOW: u64 = 256 << 20;

/// What a worker is.
#[derive(Debug, Clone)]
pub struct Worker {
    /// What people call it.
    pub name: String,
    /// So many chunks are encoded at once.
    pub slots: u32,
    /// Bytes of inputs that may wait for their encoders, all together.
    pub memory: u64,
    /// The fleet's secret.
    pub token: Token,
    /// How long chunks that are begun may take once it drains.
    pub drain_timeout: Duration,
    /// It ends with its first session.
    pub once: bool,
    /// The processes that chunks are encoded in, if any.
    pub isolation: Option<Arc<Isolation>>,
}

/// How it meets those who have chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// They dial it here.
    Listen(SocketAddr),
    /// It dials this `host:port`, and gives up when nobody has answered for so long.
    Join(String, Duration),
}

/// What it has to say on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It can be reached here.
    Listening(SocketAddr),
    /// It works for this one now.
    Met(SocketAddr),
    /// This one was turned away, or could not be reached; it goes on.
    NotMet(String),
    /// A chunk is over.
    Chunk {
        /// Whose it is.
        peer: SocketAddr,
        /// Its number there.
        chunk: u64,
        /// Frames that were encoded.
        frames: u64,
        /// Bytes of the result.
        bytes: u64,
        /// How long it took.
        time: Duration,
        /// Why there is no result.
        failed: Option<String>,
    },
    /// This one asked for something that is not done here.
    Refused(SocketAddr, String),
    /// It takes no more chunks.
    Draining,
    /// A session is over, and why.
    Left(SocketAddr, String),
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The coordinator said that all is done.
    Done,
    /// The coordinator left otherwise, and said so.
    Unfinished(String),
    /// It was told to drain.
    Drained,
    /// Nobody could be reached in time.
    NoCoordinator(String),
    /// It holds another token.
    Refused(String),
    /// It is not what the coordinator needs, or speaks another version.
    Unfit(String),
}

/// Two ways to stop it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// It takes no more chunks, and ends when those it has are done.
    pub drain: CancellationToken,
    /// It ends at once.
    pub now: CancellationToken,
}

/// Works until it is told to stop, or its one session is over. GStreamer has to be initialised.
///
/// # Errors
/// It cannot listen.
pub async fn run(
    worker: Worker,
    place: Place,
    stop: Stop,
    report: impl Fn(Report) + Send + Sync + 'static,
) -> Result<Ended, NetError> {
    let mut instance = [0; 16];
    SystemRandom::new().fill(&mut instance).map_err(|_| NetError::Random)?;
    let slots = Arc::new(Slots::new(worker.slots, worker.memory, worker.isolation.clone()));
    let told = Arc::new(Told { worker, instance, slots, stop, report: Box::new(report) });
    match place {
        Place::Listen(address) => listen(told, address).await,
        Place::Join(host, timeout) => Ok(join(told, &host, timeout).await),
    }
}

struct Told {
    worker: Worker,
    /// By what coordinators know that it is the same machine.
    instance: [u8; 16],
    slots: Arc<Slots>,
    stop: Stop,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

async fn listen(told: Arc<Told>, address: SocketAddr) -> Result<Ended, NetError> {
    let listener = Listener::bind_with(address, &told.worker.token, told.slots.share)?;
    if let Ok(address) = listener.address() {
        (told.report)(Report::Listening(address));
    }
    let (send, mut arrivals) = mpsc::channel(MOST_ARRIVALS);
    let over = CancellationToken::new();
    let _listening = over.clone().drop_guard();
    let accepting = tokio::spawn(listener.run(send, over.clone()));
    let mut sessions = JoinSet::new();
    // The first who had chunks, where that is the last.
    let mut first = None;
    let ended = loop {
        tokio::select! {
            () = told.stop.now.cancelled() => break Ended::Drained,
            () = told.stop.drain.cancelled(), if sessions.is_empty() => break Ended::Drained,
            Some(arrival) = arrivals.recv() => match arrival {
                Arrival::Stranger(error) => (told.report)(Report::NotMet(error.to_string())),
                Arrival::Member(connection) if told.stop.drain.is_cancelled() || first.is_some() => {
                    connection.close(OVER, b"draining");
                }
                Arrival::Member(connection) => {
                    sessions.spawn(session(told.clone(), connection));
                }
            },
            Some(ended) = sessions.join_next() => {
                let over = ended.unwrap_or_else(|error| Over {
                    ended: Ended::Unfinished(error.to_string()),
                    was_met: true,
                    had_chunks: true,
                });
                let ended = over.ended;
                // Whoever finds it unfit comes again and again.
                if told.worker.once && (over.had_chunks || matches!(ended, Ended::Unfit(_))) {
                    first.get_or_insert_with(|| ended.clone());
                }
                if sessions.is_empty() && (first.is_some() || told.stop.drain.is_cancelled()) {
                    break first.unwrap_or(ended);
                }
            }
        }
    };
    over.cancel();
    // Each of them sees for itself that it is to end.
    let _ = tokio::time::timeout(ENDING, async { while sessions.join_next().await.is_some() {} }).await;
    sessions.shutdown().await;
    // Those who came meanwhile are let go.
    drop(arrivals);
    // Whoever is not told by then finds out.
    let _ = tokio::time::timeout(ENDING, accepting).await;
    Ok(ended)
}

async fn join(told: Arc<Told>, host: &str, patience: Duration) -> Ended {
    let mut alone_since = Instant::now();
    // Why nobody is there, as far as it is known, and how the run ended that had chunks last.
    let (mut last, mut worked) = (None, None);
    let silent = || format!("{host}: does not answer");
    let alone = |last: Option<String>, worked: Option<String>| match (worked, last) {
        (Some(why), None) => Ended::Unfinished(why),
        (Some(why), Some(last)) => Ended::Unfinished(format!("{why}, and nobody has come since ({last})")),
        (None, last) => Ended::NoCoordinator(last.unwrap_or_else(silent)),
    };
    loop {
        // Without any patience it is tried once, however long that takes.
        let end = alone_since.checked_add(patience).filter(|_| !patience.is_zero()).map(Into::into);
        // Names are looked up each time: the machine behind one may have changed.
        let dialled = async {
            let mut failed = None;
            for address in net::addresses(host).await? {
                match net::dial_with(address, &told.worker.token, told.slots.share).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => failed = Some(error),
                }
            }
            failed.map_or_else(|| Err(NetError::unknown(host)), Err)
        };
        let dialled = tokio::select! {
            dialled = dialled => dialled,
            () = told.stop.drain.cancelled() => return Ended::Drained,
            () = told.stop.now.cancelled() => return Ended::Drained,
            () = at(end) => return alone(last.or_else(|| Some(silent())), worked),
        };
        match dialled {
            Ok((endpoint, connection)) => {
                let Over { ended, was_met, had_chunks } = session(told.clone(), connection).await;
                // Whoever is not told by then finds out.
                let _ = tokio::time::timeout(ENDING, endpoint.wait_idle()).await;
                let why = match ended {
                    Ended::Unfinished(why) if !told.worker.once && !told.stop.drain.is_cancelled() => why,
                    ended => return ended,
                };
                if was_met {
                    (alone_since, last) = (Instant::now(), None);
                    worked = if had_chunks { Some(why) } else { worked };
                } else {
                    last = Some(why);
                }
            }
            Err(error) if error.is_refusal() => return Ended::Refused(error.to_string()),
            Err(error) if error.is_other_protocol() => return Ended::Unfit(error.to_string()),
            Err(error) => {
                let why = error.to_string();
                if last.as_ref() != Some(&why) {
                    (told.report)(Report::NotMet(why.clone()));
                    last = Some(why);
                }
            }
        }
        if alone_since.elapsed() >= patience {
            return alone(last, worked);
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = at(end) => return alone(last, worked),
            () = told.stop.drain.cancelled() => return Ended::Drained,
            () = told.stop.now.cancelled() => return Ended::Drained,
        }
    }
}

/// How a session was.
struct Over {
    ended: Ended,
    /// The other side was a coordinator.
    was_met: bool,
    had_chunks: bool,
}

/// Works for one coordinator, until it leaves.
async fn session(told: Arc<Told>, connection: Connection) -> Over {
    let peer = connection.remote_address();
    let (mut was_met, mut had_chunks) = (false, false);
    let ended = match Session::begin(&told, &connection).await {
        Ok(mut session) => {
            (told.report)(Report::Met(peer));
            was_met = true;
            let ended = session.run().await;
            had_chunks = session.had_chunks || matches!(ended, Ok(Ended::Done));
            session.finish(matches!(ended, Ok(Ended::Done))).await;
            ended
        }
        Err(error) => Err(error),
    };
    let ended = match ended {
        // It is the answer to what was said here.
        Ok(Ended::Unfinished(_)) | Err(_) if told.stop.drain.is_cancelled() => Ok(Ended::Drained),
        ended => ended,
    };
    let (ended, why) = match ended {
        Ok(ended) => {
            let why = match &ended {
                Ended::Done => "all is done".to_owned(),
                Ended::Drained => "drained".to_owned(),
                Ended::Unfinished(why) | Ended::NoCoordinator(why) | Ended::Refused(why) | Ended::Unfit(why) => {
                    why.clone()
                }
            };
            (ended, why)
        }
        Err(error) => (Ended::Unfinished(error.to_string()), error.to_string()),
    };
    connection.close(OVER, b"");
    (told.report)(Report::Left(peer, why));
    Over { ended, was_met, had_chunks }
}

type Known = Arc<Mutex<HashMap<u32, Arc<Format>>>>;

struct Session<'a> {
    told: &'a Arc<Told>,
    connection: &'a Connection,
    send: SendStream,
    receive: RecvStream,
    control: Control,
    formats: Known,
    attempts: JoinSet<Option<Outcome>>,
    /// Formats that are tried.
    fitting: JoinSet<Message>,
    had_chunks: bool,
}

impl<'a> Session<'a> {
    /// Says who is here.
    async fn begin(told: &'a Arc<Told>, connection: &'a Connection) -> Result<Self, LinkError> {
        let worker = &told.worker;
        let (mut send, mut receive) = connection.open_bi().await?;
        let cores = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
        let hello = Hello {
            minor: MINOR,
            instance: told.instance,
            name: worker.name.clone(),
            slots: worker.slots,
            cores,
            memory: worker.memory,
            software: vec![Software { name: "divien".into(), version: env!("CARGO_PKG_VERSION").into() }],
        };
        link::send(&mut send, &Message::Hello(hello)).await?;
        let mut control = Control::of_worker();
        let welcome = async {
            loop {
                match control.next_message()? {
                    Some(Received::Welcome(_)) => return Ok(()),
                    Some(_) => return Err(LinkError::Left),
                    None => control.push(link::piece(&mut receive).await?.ok_or(LinkError::Left)?),
                }
            }
        };
        tokio::time::timeout(GREETING, welcome).await.map_err(|_| LinkError::Late)??;
        let slots = &told.slots;
        connection.set_max_concurrent_bi_streams(VarInt::from_u32(slots.most_attempts));
        // Every attempt has its own window in full.
        let stream = slots.share.min(net::MOST_ON_ITS_WAY);
        let window = stream.saturating_mul(u64::from(slots.most_attempts) + 1);
        connection.set_receive_window(VarInt::from_u64(window).unwrap_or(VarInt::MAX));
        connection.set_send_window(worker.memory.min(MOST_WINDOW));
        Ok(Self {
            told,
            connection,
            send,
            receive,
            control,
            formats: Known::default(),
            attempts: JoinSet::new(),
            fitting: JoinSet::new(),
            had_chunks: false,
        })
    }

    async fn run(&mut self) -> Result<Ended, LinkError> {
        let stop = self.told.stop.clone();
        let mut deadline = None;
        loop {
            if let Some(received) = self.control.next_message()? {
                if let Some(ended) = self.received(received) {
                    return Ok(ended);
                }
                continue;
            }
            let is_idle = self.attempts.is_empty();
            if deadline.is_some() && is_idle {
                return Ok(Ended::Drained);
            }
            tokio::select! {
                piece = link::piece(&mut self.receive) => match piece? {
                    Some(piece) => self.control.push(piece),
                    None => return Ok(Ended::Unfinished("it left without a word".into())),
                },
                streams = self.connection.accept_bi() => {
                    self.had_chunks = true;
                    let formats = self.formats.clone();
                    let known = move |id| lock(&formats).get(&id).cloned();
                    self.attempts.spawn(job::attempt(streams?, self.told.slots.clone(), known));
                }
                Some(outcome) = self.attempts.join_next() => self.over(outcome.ok().flatten()),
                Some(answer) = self.fitting.join_next() => {
                    let answer = answer.map_err(|_| LinkError::Left)?;
                    if let Message::Unfit(Unfit { reason, .. }) = &answer {
                        self.refused(reason.clone());
                    }
                    link::send(&mut self.send, &answer).await?;
                }
                () = stop.drain.cancelled(), if deadline.is_none() => {
                    (self.told.report)(Report::Draining);
                    link::send(&mut self.send, &Message::Drain).await?;
                    deadline = Some(tokio::time::Instant::now() + self.told.worker.drain_timeout);
                }
                () = at(deadline) => return Ok(Ended::Drained),
                () = stop.now.cancelled() => return Ok(Ended::Drained),
            }
        }
    }

    fn received(&mut self, received: Received) -> Option<Ended> {
        match received {
            Received::Format(format) => {
                let (formats, isolation) = (self.formats.clone(), self.told.worker.isolation.clone());
                self.fitting.spawn(async move {
                    let id = format.id;
                    let tried = tokio::task::spawn_blocking(move || fit(&format, &formats, isolation.as_ref())).await;
                    let tried = tried.unwrap_or_else(|error| Err(error.to_string()));
                    tried.map_or_else(|reason| Message::Unfit(Unfit { format: id, reason }), Message::Fit)
                });
                None
            }
            Received::Goodbye(Goodbye::Done) => Some(Ended::Done),
            Received::Goodbye(Goodbye::Ended(why)) => Some(Ended::Unfinished(plain(why))),
            Received::Goodbye(Goodbye::Refused(why)) => Some(Ended::Unfit(plain(why))),
            _ => None,
        }
    }

    /// Attempts that go on have nobody to give their results to; where all is done they are those just over.
    async fn finish(&mut self, is_done: bool) {
        if is_done {
            while let Ok(Some(outcome)) = tokio::time::timeout(ENDING, self.attempts.join_next()).await {
                self.over(outcome.ok().flatten());
            }
        }
        // What is over may not have been heard yet.
        while let Some(outcome) = self.attempts.try_join_next() {
            self.over(outcome.ok().flatten());
        }
        // First of all, or streams that end would seem to be results.
        self.connection.close(OVER, b"");
        self.attempts.shutdown().await;
    }

    fn over(&self, outcome: Option<Outcome>) {
        match outcome {
            Some(Outcome::Chunk { chunk, frames, bytes, time, failed }) => {
                let peer = self.connection.remote_address();
                (self.told.report)(Report::Chunk { peer, chunk, frames, bytes, time, failed });
            }
            Some(Outcome::Refused(why)) => self.refused(why),
            None => {}
        }
    }

    fn refused(&self, why: String) {
        (self.told.report)(Report::Refused(self.connection.remote_address(), plain(why)));
    }
}

async fn at(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Checks a format as a local run would, and tries it.
fn fit(format: &message::Format, formats: &Known, isolation: Option<&Arc<Isolation>>) -> Result<message::Fit, String> {
    let own = Arc::new(format_from_wire(format).map_err(|error| error.to_string())?);
    let fit = fingerprint(&own, format.id, isolation)?;
    lock(formats).insert(format.id, own);
    Ok(fit)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
