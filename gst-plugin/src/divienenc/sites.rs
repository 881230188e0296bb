//! Machines elsewhere that encode for an engine: dialled, or taken in when they join; their lanes are tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::Connection;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use crate::dispatch::{LaneId, Site};
use crate::isolate::Isolation;
use crate::lane::LaneError;
use crate::net::{self, Arrival, Listener, NetError, Token};
use crate::remote::site::{self, Formats, Refusal};
use crate::wire::message::Goodbye;

/// Bytes that may wait in each direction, over all machines.
const BUDGET: u64 = 256 << 20;
/// The least that one of them gets.
const LEAST: u64 = 1 << 20;
/// Connections that wait to be looked at.
const MOST_ARRIVALS: usize = 16;
/// How long is waited before a machine is dialled again, at first and at most.
const AGAIN: Duration = Duration::from_millis(500);
const MOST_AGAIN: Duration = Duration::from_secs(10);
/// The same of one that was turned away: another may be there by then.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(60);
/// Who has not answered by then is told of.
const SOON: Duration = Duration::from_secs(2);
/// How often it is looked whether anyone is there.
const LOOK: Duration = Duration::from_millis(250);
/// So many of those who do not come are named.
const MOST_NAMED: usize = 4;
/// How long leaving takes at most.
const LEAVING: Duration = Duration::from_secs(3);

/// Where machines elsewhere are met.
#[derive(Debug)]
pub(super) struct Meeting {
    /// They are dialled there.
    pub(super) hosts: Vec<String>,
    /// They join here.
    pub(super) listen: Option<SocketAddr>,
    pub(super) token: Token,
    /// How long work may wait for any of them, where nobody is here to do it.
    pub(super) timeout: Duration,
    /// Nobody encodes here.
    pub(super) are_alone: bool,
    /// How long an attempt may stand still.
    pub(super) lane_timeout: Option<Duration>,
}

impl Meeting {
    /// Who is waited for, in words.
    fn awaited(&self) -> String {
        let more = self.hosts.len().saturating_sub(MOST_NAMED);
        let mut hosts = self.hosts.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            hosts += &format!(" and {more} more");
        }
        match (self.listen, self.hosts.is_empty()) {
            (None, _) => hosts,
            (Some(own), true) => format!("those who join at {own}"),
            (Some(own), false) => format!("{hosts}, those who join at {own}"),
        }
    }
}

/// What there is to say of a machine.
#[derive(Debug)]
pub(super) enum News {
    Listening(SocketAddr),
    Joined {
        name: String,
        address: SocketAddr,
        slots: u32,
    },
    Lost {
        name: String,
        why: String,
    },
    Refused {
        name: String,
        why: String,
    },
    /// It could not be reached, or was turned away.
    NotMet(String),
    /// It takes no more, and has done what it had, or gives that back.
    Left {
        name: String,
        gives_back: bool,
    },
    /// Nobody is there to do what is left.
    Nobody(Nobody),
}

/// Why nobody elsewhere works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Nobody {
    /// Nobody came within this time, of those who were waited for in these words.
    InTime(Duration, String),
    /// The last one that was dialled holds another token.
    Refuses(String),
    /// The same with another protocol.
    Differs(String),
}

type Tell = Arc<dyn Fn(News) + Send + Sync>;

/// All of them. Leaves when dropped.
pub(super) struct Sites {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<Engine>,
    meeting: Meeting,
    formats: Arc<Formats>,
    tell: Tell,
    here: Mutex<BTreeMap<Site, Arc<site::Site>>>,
    /// Machines that are not taken in again, by whatever address.
    unwanted: Mutex<BTreeSet<[u8; 16]>>,
    /// Why the last of those is not dialled again that never will be.
    given_up: Mutex<Option<Nobody>>,
    over: CancellationToken,
}

impl Sites {
    /// Meets them.
    pub(super) fn start(
        engine: Arc<Engine>,
        meeting: Meeting,
        isolation: Option<Arc<Isolation>>,
        tell: Tell,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("divien-net")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let listener = {
            let _entered = runtime.enter();
            meeting.listen.map(|address| Listener::bind(address, &meeting.token)).transpose()
        };
        let listener = listener.map_err(|error| error.to_string())?;
        let hosts = meeting.hosts.clone();
        let shared = Arc::new(Shared {
            engine,
            meeting,
            formats: Arc::new(Formats::tried_in(isolation)),
            tell,
            here: Mutex::default(),
            unwanted: Mutex::default(),
            given_up: Mutex::default(),
            over: CancellationToken::new(),
        });
        let mut meeting = Vec::new();
        if let Some(listener) = listener {
            if let Ok(address) = listener.address() {
                (shared.tell)(News::Listening(address));
            }
            let (send, arrivals) = mpsc::channel(MOST_ARRIVALS);
            runtime.spawn(listener.run(send, shared.over.clone()));
            meeting.push(runtime.spawn(shared.clone().take(arrivals)));
        }
        meeting.extend(hosts.into_iter().map(|host| runtime.spawn(shared.clone().dial_all(host))));
        runtime.spawn(shared.clone().watch(meeting));
        Ok(Self { runtime: Some(runtime), shared })
    }

    /// What people call a machine that is there.
    pub(super) fn name(&self, site: Site) -> Option<String> {
        self.shared.here().get(&site).map(|site| site.hello().name.clone())
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        self.shared.over.cancel();
        let Some(runtime) = self.runtime.take() else { return };
        let here: Vec<_> = self.shared.here().values().cloned().collect();
        let is_done = self.shared.engine.is_done();
        let goodbye = if is_done { Goodbye::Done } else { Goodbye::Ended("it was stopped, or has failed".into()) };
        let leave = move || {
            runtime.block_on(async {
                let mut leaving = JoinSet::new();
                for site in here {
                    let goodbye = goodbye.clone();
                    leaving.spawn(async move { site.leave(goodbye).await });
                }
                // Whoever does not answer is left all the same.
                let _ = tokio::time::timeout(LEAVING, leaving.join_all()).await;
            });
            runtime.shutdown_timeout(LEAVING);
        };
        // Whoever drops it may be a task of another runtime, where nothing may be waited for in this way.
        std::thread::scope(|scope| drop(scope.spawn(leave).join()));
    }
}

impl Shared {
    fn here(&self) -> MutexGuard<'_, BTreeMap<Site, Arc<site::Site>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwanted(&self) -> MutexGuard<'_, BTreeSet<[u8; 16]>> {
        self.unwanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All machines get the same share of what may wait.
    fn share(&self) {
        let here = self.here();
        let share = (BUDGET / (here.len() as u64).max(1)).max(LEAST);
        here.values().for_each(|site| site.share(share));
    }

    /// Those who join.
    async fn take(self: Arc<Self>, mut arrivals: mpsc::Receiver<Arrival>) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                () = self.over.cancelled() => break,
                Some(arrival) = arrivals.recv() => match arrival {
                    Arrival::Stranger(error) => (self.tell)(News::NotMet(error.to_string())),
                    Arrival::Member(connection) => drop(sessions.spawn(self.clone().joined(connection))),
                },
                Some(_) = sessions.join_next() => {}
            }
        }
        // They end with the run; each is told so.
        sessions.detach_all();
    }

    /// One of them; it is for it to come back.
    async fn joined(self: Arc<Self>, connection: Connection) {
        if let Parted::NotMet(why) = self.clone().session(connection, true).await {
            (self.tell)(News::NotMet(why));
        }
    }

    /// Those behind a name, which is looked up again and again: others may be there by then. Ends when none of them will be
    /// dialled any more.
    async fn dial_all(self: Arc<Self>, host: String) {
        let (mut known, mut tried) = (BTreeSet::new(), JoinSet::new());
        let mut pause = Pause::default();
        loop {
            match net::addresses(&host).await {
                Ok(addresses) => {
                    for address in addresses.into_iter().filter(|address| known.insert(*address)) {
                        tried.spawn(self.clone().dial(address));
                    }
                }
                Err(error) if known.is_empty() => self.not_met(&mut pause, error.to_string()),
                Err(_) => {}
            }
            let given_up = async { while tried.join_next().await.is_some() {} };
            tokio::select! {
                is_over = self.waits(pause.next()) => if is_over { return },
                () = given_up, if !known.is_empty() => return,
            }
        }
    }

    fn not_met(&self, pause: &mut Pause, why: String) {
        if pause.said.as_ref() != Some(&why) {
            (self.tell)(News::NotMet(why.clone()));
            pause.said = Some(why);
        }
    }

    /// One of them, again and again while it is lost.
    async fn dial(self: Arc<Self>, address: SocketAddr) {
        let mut pause = Pause::default();
        loop {
            let dialling = net::dial(address, &self.meeting.token);
            tokio::pin!(dialling);
            let in_time = tokio::time::timeout(SOON, &mut dialling).await;
            let is_late = in_time.is_err();
            let dialled = match in_time {
                Ok(dialled) => dialled,
                Err(_) => {
                    // A run may be over before it is certain.
                    self.not_met(&mut pause, NetError::silent(address).to_string());
                    dialling.await
                }
            };
            match dialled {
                Ok(connection) => match self.clone().session(connection, false).await {
                    Parted::Over => return,
                    Parted::TurnedAway => pause.last = Some(AFTER_A_REFUSAL),
                    Parted::Lost => pause = Pause::default(),
                    Parted::NotMet(why) => self.not_met(&mut pause, why),
                    // By its other address; this one is the next when that is gone.
                    Parted::IsHere => {}
                },
                Err(error) => {
                    if !is_late {
                        self.not_met(&mut pause, error.to_string());
                    }
                    // It will not hold another token soon.
                    if let Some(never) = Nobody::after(&error) {
                        *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(never);
                        return;
                    }
                }
            }
            if self.waits(pause.next()).await {
                return;
            }
        }
    }

    /// True when it is over.
    async fn waits(&self, pause: Duration) -> bool {
        tokio::select! {
            () = self.over.cancelled() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }

    /// A machine encodes for us until it is gone. One that `joins` has one connection at a time.
    async fn session(self: Arc<Self>, connection: Connection, joins: bool) -> Parted {
        let address = connection.remote_address();
        let remote = match site::Site::meet(connection, self.formats.clone()).await {
            Ok(remote) => remote,
            Err(refusal) => return Parted::NotMet(format!("{address}: {refusal}")),
        };
        let (slots, instance) = (remote.hello().slots, remote.hello().instance);
        let name = remote.hello().name.clone();
        if self.unwanted().contains(&instance) {
            remote.leave(Goodbye::Refused("it was turned away before".into())).await;
            return Parted::TurnedAway;
        }
        let added = {
            let mut here = self.here();
            match here.values().find(|other| other.hello().instance == instance).cloned() {
                Some(twin) if !joins => Err(twin),
                lost => {
                    // It would not have come again if its first connection were not lost.
                    lost.iter().for_each(|lost| lost.give_up());
                    let (site, lanes) = self.engine.add_site(instance, &remote.hello().name, slots);
                    here.insert(site, remote.clone());
                    Ok((site, lanes))
                }
            }
        };
        let (site, lanes) = match added {
            Ok(added) => added,
            Err(twin) => {
                remote.leave(Goodbye::Ended("this machine is met by another address".into())).await;
                tokio::select! {
                    _ = twin.closed() => {}
                    () = self.over.cancelled() => {}
                }
                return Parted::IsHere;
            }
        };
        self.share();
        (self.tell)(News::Joined { name: name.clone(), address, slots });
        let mut working = JoinSet::new();
        for lane in lanes {
            working.spawn(self.clone().work(lane, remote.clone()));
        }
        let (mut refusal, mut has_lost, mut is_draining) = (None, false, false);
        loop {
            tokio::select! {
                ended = working.join_next() => match ended {
                    Some(Ok(Ended::Refused(why))) => {
                        refusal.get_or_insert(why);
                        self.engine.close_site(site);
                    }
                    Some(Ok(Ended::Lost) | Err(_)) => has_lost = true,
                    Some(Ok(Ended::Idle)) => {}
                    None => break,
                },
                () = remote.draining.cancelled(), if !is_draining => {
                    self.engine.close_site(site);
                    is_draining = true;
                }
            }
        }
        self.engine.close_site(site);
        if self.over.is_cancelled() || self.engine.flow().is_err() {
            // Said goodbye to when all are.
            return Parted::Over;
        }
        self.here().remove(&site);
        self.share();
        if let Some(refusal) = refusal {
            self.unwanted().insert(instance);
            (self.tell)(News::Refused { name, why: refusal.to_string() });
            remote.leave(Goodbye::Refused(refusal.to_string())).await;
            return Parted::TurnedAway;
        }
        if self.engine.is_aside(site) {
            // It would fail the next ones as well.
            self.unwanted().insert(instance);
            remote.leave(Goodbye::Refused("it failed three chunks in a row".into())).await;
            return Parted::TurnedAway;
        }
        if remote.leaves() {
            (self.tell)(News::Left { name, gives_back: has_lost });
        } else {
            let why = if remote.is_closed() { remote.closed().await } else { "it takes no more".to_owned() };
            self.engine.site_lost(site);
            (self.tell)(News::Lost { name, why });
        }
        if !remote.is_closed() {
            remote.leave(Goodbye::Ended("it was told to stop".into())).await;
        }
        Parted::Lost
    }

    /// One lane of it.
    async fn work(self: Arc<Self>, lane: LaneId, remote: Arc<site::Site>) -> Ended {
        // Whatever becomes of this task, no chunk waits for it.
        let _gone = Gone { engine: &self.engine, lane };
        let mut has_lost = false;
        while let Some((chunk, attempt, started)) = self.engine.next_attempt(lane).await {
            let begun = || self.engine.begun(chunk, lane);
            let outcome = remote.encode(chunk.0, &attempt, begun, self.meeting.lane_timeout).await;
            let (outcome, refusal) = match outcome {
                Ok(outcome) => (outcome, None),
                Err(refusal) => (Err(LaneError::Lost(refusal.to_string())), Some(refusal)),
            };
            has_lost |= matches!(outcome, Err(LaneError::Lost(_)));
            self.engine.conclude(lane, (chunk, attempt, started), outcome);
            if let Some(refusal) = refusal {
                return Ended::Refused(refusal);
            }
            if has_lost && remote.is_closed() {
                break;
            }
        }
        if has_lost { Ended::Lost } else { Ended::Idle }
    }

    /// Ends the run when nobody is there to do it, and none of those who meet others meets one in time.
    async fn watch(self: Arc<Self>, meeting: Vec<JoinHandle<()>>) {
        if !self.meeting.are_alone {
            return;
        }
        let mut alone_since = Instant::now();
        while !self.waits(LOOK).await {
            if self.engine.flow().is_err() {
                return;
            }
            let has_work = self.engine.has_work();
            if !self.here().is_empty() || !has_work {
                alone_since = Instant::now();
            }
            let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let nobody = match given_up {
                Some(why) if has_work && meeting.iter().all(JoinHandle::is_finished) => why,
                _ if alone_since.elapsed() >= self.meeting.timeout => {
                    Nobody::InTime(self.meeting.timeout, self.meeting.awaited())
                }
                _ => continue,
            };
            (self.tell)(News::Nobody(nobody));
            return;
        }
    }
}

/// How one of a machine's lanes ended.
enum Ended {
    /// There is nothing left for it.
    Idle,
    /// Something that it had is for others.
    Lost,
    /// It would encode otherwise than others do.
    Refused(Refusal),
}

/// How a session with a machine ended.
enum Parted {
    /// With the run.
    Over,
    /// It is not taken in again.
    TurnedAway,
    Lost,
    /// It did not say who it is.
    NotMet(String),
    /// It encodes for us by another address, or did so until now.
    IsHere,
}

impl Nobody {
    /// Whether whoever answered like that is not dialled again.
    fn after(error: &NetError) -> Option<Self> {
        match error.to_string() {
            why if error.is_refusal() => Some(Self::Refuses(why)),
            why if error.is_other_protocol() => Some(Self::Differs(why)),
            _ => None,
        }
    }
}

struct Gone<'a> {
    engine: &'a Engine,
    lane: LaneId,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.engine.lane_gone(self.lane);
    }
}

/// Longer each time.
#[derive(Debug, Default)]
struct Pause {
    last: Option<Duration>,
    said: Option<String>,
}

impl Pause {
    fn next(&mut self) -> Duration {
        let next = self.last.map_or(AGAIN, |last| (last * 2).min(MOST_AGAIN).max(last));
        self.last = Some(next);
        next
    }
}
