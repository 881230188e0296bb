//! A machine elsewhere, as the one with the chunks sees it: who it is, whether it may encode, and attempts at chunks there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream, VarInt};
use thiserror::Error;
use tokio::sync::{Mutex, Notify, OnceCell, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::convert::{format_to_wire, plain, to_wire};
use super::fingerprint::fingerprint;
use super::gather::{Gather, Told};
use super::link::{self, BROKEN, LinkError, OVER};
use super::movement::{Moved, Movement};
use crate::isolate::Isolation;
use crate::lane::{Attempt, Encoded, Format, LaneError, Next};
use crate::store::Store;
use crate::wire::message::{self, Begin, End, Fit, Goodbye, Hello, Software, Unfit, Welcome};
use crate::wire::{Control, Message, Output, Received, Results, Tally};

/// How long a member of the fleet may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// How long it may take over a format: it encodes a short clip.
const FITTING: Duration = Duration::from_secs(120);
/// How long its leaving may take.
const PARTING: Duration = Duration::from_secs(2);
/// How long it may take to say that it has seen the end of a stream.
const ANSWER: Duration = Duration::from_secs(2);
/// How often it is looked whether something has come.
const LISTEN: Duration = Duration::from_millis(50);
/// More slots than any machine has.
const MOST_SLOTS: u32 = 1024;

/// Why a machine does not encode for us.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Refusal {
    #[error("it did not say who it is: {0}")]
    Greeting(String),
    #[error("it cannot do this: {0}")]
    Unfit(String),
    #[error("it would write other bytes: it has {theirs}, and this machine {own}")]
    Versions { theirs: String, own: String },
    #[error("it writes other bytes than this machine, though both have {0}")]
    Bytes(String),
}

/// The formats of a run, and what they come to on this machine.
#[derive(Debug, Default)]
pub(crate) struct Formats {
    all: std::sync::Mutex<Vec<Arc<Own>>>,
    /// The processes in which it is found out what they come to, if any.
    isolation: Option<Arc<Isolation>>,
}

#[derive(Debug)]
struct Own {
    wire: message::Format,
    format: Arc<Format>,
    fit: OnceCell<Result<Fit, String>>,
}

impl Formats {
    pub(crate) fn tried_in(isolation: Option<Arc<Isolation>>) -> Self {
        Self { isolation, ..Self::default() }
    }

    fn of(&self, format: &Arc<Format>) -> Arc<Own> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.iter().find(|own| Arc::ptr_eq(&own.format, format)) {
            return own.clone();
        }
        let id = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let wire = format_to_wire(format, id);
        let same = |own: &&Arc<Own>| message::Format { id, ..own.wire.clone() } == wire;
        if let Some(own) = all.iter().find(same) {
            return own.clone();
        }
        let own = Arc::new(Own { wire, format: format.clone(), fit: OnceCell::new() });
        all.push(own.clone());
        own
    }
}

impl Own {
    /// What it comes to here; found out once.
    async fn fit(&self, isolation: Option<&Arc<Isolation>>) -> Result<&Fit, String> {
        let find = || async {
            let (format, id, isolation) = (self.format.clone(), self.wire.id, isolation.cloned());
            let found = tokio::task::spawn_blocking(move || fingerprint(&format, id, isolation.as_ref())).await;
            found.unwrap_or_else(|error| Err(error.to_string()))
        };
        self.fit.get_or_init(find).await.as_ref().map_err(Clone::clone)
    }
}

type Answer = Result<Fit, Unfit>;
/// Whether a machine may encode something; an error is that it is gone.
type Verdict = Result<Result<(), Refusal>, String>;

/// A machine that has said who it is.
#[derive(Debug)]
pub(crate) struct Site {
    connection: Connection,
    hello: Hello,
    control: Mutex<SendStream>,
    /// Answers that are waited for.
    asked: mpsc::UnboundedSender<(u32, oneshot::Sender<Answer>)>,
    formats: Arc<Formats>,
    fits: std::sync::Mutex<HashMap<u32, watch::Receiver<Option<Verdict>>>>,
    moved: Moved,
    /// It takes no more chunks, by its own word or since it is gone.
    pub(crate) draining: CancellationToken,
    /// By its own word.
    leaves: Arc<AtomicBool>,
}

impl Site {
    /// Hears who is there, and takes it in.
    pub(crate) async fn meet(connection: Connection, formats: Arc<Formats>) -> Result<Arc<Self>, Refusal> {
        let failed = |error: LinkError| Refusal::Greeting(error.to_string());
        let greet = async {
            let (mut send, mut receive) = connection.accept_bi().await?;
            let mut control = Control::of_coordinator();
            let (hello, minor) = loop {
                match control.next_message().map_err(LinkError::from)? {
                    Some(Received::Hello(hello, minor)) => break (hello, minor),
                    Some(_) => return Err(LinkError::Left),
                    None => control.push(link::piece(&mut receive).await?.ok_or(LinkError::Left)?),
                }
            };
            link::send(&mut send, &Message::Welcome(Welcome { minor })).await?;
            Ok((send, receive, control, hello))
        };
        let (send, receive, control, mut hello) =
            timeout(GREETING, greet).await.unwrap_or(Err(LinkError::Late)).map_err(failed)?;
        hello.slots = hello.slots.clamp(1, MOST_SLOTS);
        hello.name.retain(|c| !c.is_control());
        hello.name.truncate(hello.name.char_indices().nth(64).map_or(hello.name.len(), |(at, _)| at));
        // Nothing else is opened towards us.
        connection.set_max_concurrent_bi_streams(VarInt::from_u32(0));
        let (asked, answers) = mpsc::unbounded_channel();
        let (draining, leaves) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let gone = (draining.clone(), leaves.clone());
        tokio::spawn(listen(connection.clone(), receive, control, answers, gone));
        let (control, fits, moved) = (Mutex::new(send), std::sync::Mutex::default(), Moved::default());
        Ok(Arc::new(Self { connection, hello, control, asked, formats, fits, moved, draining, leaves }))
    }

    /// What it said of itself.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// How long a packet takes to go there and back.
    pub(crate) fn round_trip(&self) -> Duration {
        self.connection.rtt()
    }

    /// Whether it would encode this as this machine does; the outer error is that it is gone.
    pub(crate) async fn may_encode(self: &Arc<Self>, format: &Arc<Format>) -> Result<Result<(), Refusal>, String> {
        self.fits(&self.formats.of(format)).await
    }

    /// So much may wait in each direction, in bytes.
    pub(crate) fn share(&self, bytes: u64) {
        let window = VarInt::from_u64(bytes).unwrap_or(VarInt::MAX);
        self.connection.set_receive_window(window);
        self.connection.set_send_window(bytes);
    }

    /// Whether it may encode this. Asked once, by a task of its own: who waits for the answer may be called off.
    async fn fits(self: &Arc<Self>, own: &Arc<Own>) -> Verdict {
        let mut told = {
            let mut fits = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
            let ask = || {
                let (tell, told) = watch::channel(None);
                let (site, own) = (self.clone(), own.clone());
                tokio::spawn(async move {
                    let verdict = site.ask(&own).await.map_err(|error| error.to_string());
                    // Nobody may wait any more.
                    let _ = tell.send(Some(verdict));
                });
                told
            };
            fits.entry(own.wire.id).or_insert_with(ask).clone()
        };
        let verdict = told.wait_for(Option::is_some).await;
        verdict.ok().and_then(|verdict| verdict.clone()).unwrap_or_else(|| Err(LinkError::Left.to_string()))
    }

    async fn ask(&self, own: &Own) -> Result<Result<(), Refusal>, LinkError> {
        let (answer, answered) = oneshot::channel();
        self.asked.send((own.wire.id, answer)).map_err(|_| LinkError::Left)?;
        link::send(&mut *self.control.lock().await, &Message::Format(own.wire.clone())).await?;
        let here = own.fit(self.formats.isolation.as_ref()).await;
        let Ok(there) = timeout(FITTING, answered).await else {
            return Ok(Err(Refusal::Unfit(format!("it did not answer within {} s", FITTING.as_secs()))));
        };
        let there = there.map_err(|_| LinkError::Left)?;
        Ok(match (here, there) {
            (_, Err(unfit)) => Err(Refusal::Unfit(plain(unfit.reason))),
            (Err(why), Ok(_)) => Err(Refusal::Unfit(format!("nor can this machine: {why}"))),
            (Ok(here), Ok(there)) => compare(here, &there),
        })
    }

    /// Makes an attempt there. `begun` is called when an encoder has begun with it; `wait` is how long nothing may move
    /// from then on.
    pub(crate) async fn encode(
        self: &Arc<Self>,
        chunk: u64,
        attempt: &Attempt,
        begun: impl Fn(),
        wait: Option<Duration>,
    ) -> Result<Result<Encoded, LaneError>, Refusal> {
        let own = self.formats.of(&attempt.format);
        let cancelled = cancelled(attempt);
        let fits = tokio::select! {
            fits = self.fits(&own) => fits,
            () = cancelled.notified() => return Ok(Err(LaneError::Cancelled)),
        };
        match fits {
            Ok(verdict) => verdict?,
            Err(error) => return Ok(Err(LaneError::Lost(error))),
        }
        let opened = tokio::select! {
            opened = self.connection.open_bi() => opened,
            () = cancelled.notified() => return Ok(Err(LaneError::Cancelled)),
        };
        let (mut send, mut receive) = match opened {
            Ok(streams) => streams,
            Err(error) => return Ok(Err(LaneError::Lost(error.to_string()))),
        };
        let begin = Begin {
            chunk,
            format: own.wire.id,
            is_first: attempt.is_first,
            wanted: attempt.wanted.as_deref().map(message::Wanted::from),
        };
        let (moved, sent) = (Movement::new(&self.moved), AtomicU64::new(0));
        let mut is_stalled = false;
        let outcome = {
            let mut coming = Coming::new(attempt, &moved, &sent, &begun);
            let sending = send_all(&mut send, begin, attempt, &moved, &sent);
            let receiving = coming.receive(&mut receive);
            tokio::pin!(sending, receiving);
            let mut is_sent = false;
            loop {
                tokio::select! {
                    biased;
                    () = cancelled.notified() => break Err(LaneError::Cancelled),
                    outcome = &mut receiving => break outcome,
                    sent = &mut sending, if !is_sent => match sent {
                        // Why it takes no more comes the other way.
                        Ok(()) | Err(Sending::Link(_)) => is_sent = true,
                        Err(Sending::Input(error)) => break Err(error),
                    },
                    () = moved.stalled(wait) => {
                        is_stalled = true;
                        let seconds = wait.map_or(0, |wait| wait.as_secs());
                        break Err(LaneError::Elsewhere(format!("nothing moved for {seconds} s")));
                    }
                }
            }
        };
        if outcome.is_err() {
            // Fails where the stream is over already.
            let _ = (send.reset(OVER), receive.stop(OVER));
        }
        if is_stalled {
            // Whoever is there says at once that the stream is reset.
            let patience = ANSWER.max(4 * self.connection.rtt());
            tokio::select! {
                heard = timeout(patience, self.heard()) => if heard.is_err() {
                    return Ok(Err(LaneError::Lost("it does not answer".into())));
                },
                () = cancelled.notified() => return Ok(Err(LaneError::Cancelled)),
            }
        }
        // One that leaves says nothing of its chunks.
        let outcome = outcome.map_err(|error| match error {
            LaneError::Elsewhere(why) if self.draining.is_cancelled() || self.is_closed() => LaneError::Lost(why),
            error => error,
        });
        Ok(outcome)
    }

    /// Parts from it.
    pub(crate) async fn leave(&self, goodbye: Goodbye) {
        let part = async {
            let mut control = self.control.lock().await;
            // It may be gone already.
            let said = link::send(&mut control, &Message::Goodbye(goodbye)).await;
            if said.is_ok() && control.finish().is_ok() {
                self.connection.closed().await;
            }
        };
        // Whoever does not answer is left all the same.
        let _ = timeout(PARTING, part).await;
        self.connection.close(OVER, b"");
    }

    /// It is known that nobody is there any more.
    pub(crate) fn give_up(&self) {
        self.draining.cancel();
        self.connection.close(OVER, b"");
    }

    /// It has said that it takes no more, and is still there or has gone by itself.
    pub(crate) fn leaves(&self) -> bool {
        // What it says last may be seen first, and ends the connection here.
        let in_order = |why| why == quinn::ConnectionError::LocallyClosed || is_leave(&why);
        self.leaves.load(Ordering::Relaxed) && self.connection.close_reason().is_none_or(in_order)
    }

    /// It is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// Returns once something has come from it, or it is known to be gone.
    async fn heard(&self) {
        let came = || self.connection.stats().udp_rx.datagrams;
        let before = came();
        while came() == before && !self.is_closed() {
            tokio::time::sleep(LISTEN).await;
        }
    }

    /// Waits until it is gone; says why.
    pub(crate) async fn closed(&self) -> String {
        match self.connection.closed().await {
            quinn::ConnectionError::TimedOut => "it does not answer any more".into(),
            why if is_leave(&why) => "it left".into(),
            error => error.to_string(),
        }
    }
}

/// Whether a connection has ended so since the other side has left.
fn is_leave(why: &quinn::ConnectionError) -> bool {
    matches!(why, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == OVER)
}

fn compare(here: &Fit, there: &Fit) -> Result<(), Refusal> {
    let named = |software: &[Software]| {
        software.iter().map(|s| format!("{} of {}", s.name, s.version)).collect::<Vec<_>>().join(", ")
    };
    let differing = |one: &[Software], other: &[Software]| {
        named(&one.iter().filter(|s| !other.contains(s)).cloned().collect::<Vec<_>>())
    };
    if here.software != there.software {
        let (theirs, own) = (differing(&there.software, &here.software), differing(&here.software, &there.software));
        return Err(Refusal::Versions { theirs, own });
    }
    if here.digest != there.digest { Err(Refusal::Bytes(named(&here.software))) } else { Ok(()) }
}

/// Reads what a worker says beside its results.
async fn listen(
    connection: Connection,
    mut receive: RecvStream,
    mut control: Control,
    mut asked: mpsc::UnboundedReceiver<(u32, oneshot::Sender<Answer>)>,
    (draining, leaves): (CancellationToken, Arc<AtomicBool>),
) {
    let mut open = HashMap::new();
    let ended = loop {
        // What is asked is known here before it is sent, and so before it can be answered.
        while let Ok((format, answer)) = asked.try_recv() {
            control.ask(format);
            open.insert(format, answer);
        }
        match control.next_message() {
            Ok(None) => {}
            Ok(Some(received)) => {
                let answer = match received {
                    Received::Fit(fit) => Some((fit.format, Ok(fit))),
                    Received::Unfit(unfit) => Some((unfit.format, Err(unfit))),
                    Received::Drain => {
                        leaves.store(true, Ordering::Relaxed);
                        draining.cancel();
                        None
                    }
                    _ => None,
                };
                if let Some((format, answer)) = answer
                    && let Some(waiting) = open.remove(&format)
                {
                    // Whoever asked may have been called off.
                    let _ = waiting.send(answer);
                }
                continue;
            }
            Err(error) => break Err(error.to_string()),
        }
        match link::piece(&mut receive).await {
            Ok(Some(piece)) => control.push(piece),
            Ok(None) | Err(_) => break Ok(()),
        }
    };
    draining.cancel();
    // To close it again would put that in the place of why it is lost.
    match ended {
        _ if connection.close_reason().is_some() => {}
        Err(why) => connection.close(BROKEN, why.as_bytes()),
        Ok(()) => connection.close(OVER, b""),
    }
}

/// Wakes when the attempt is called off.
fn cancelled(attempt: &Attempt) -> Arc<Notify> {
    let told = Arc::new(Notify::new());
    let (tell, input) = (told.clone(), attempt.input.clone());
    attempt.cancel.on_cancel(move || {
        tell.notify_one();
        input.cancel();
    });
    told
}

enum Sending {
    Link(#[expect(dead_code, reason = "what the other side says is told instead")] LinkError),
    Input(LaneError),
}

impl From<LinkError> for Sending {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

async fn send_all(
    send: &mut SendStream,
    begin: Begin,
    attempt: &Attempt,
    moved: &Movement<'_>,
    sent: &AtomicU64,
) -> Result<(), Sending> {
    let mut tally = Tally::default();
    let begin = Message::Begin(begin).write().map_err(|e| Sending::Input(LaneError::Start(e.to_string())))?;
    link::write(send, begin).await?;
    loop {
        moved.waits.store(true, Ordering::Relaxed);
        let next = attempt.input.next_async().await;
        moved.waits.store(false, Ordering::Relaxed);
        let buffer = match next {
            Next::Frame(buffer) => buffer,
            Next::End => break,
            Next::Cancelled => return Err(Sending::Input(LaneError::Cancelled)),
            Next::Unreadable(error) => {
                return Err(Sending::Input(LaneError::Start(format!(
                    "a frame cannot be read where it waited: {error}"
                ))));
            }
        };
        let (unit, media) = to_wire(buffer).map_err(|e| Sending::Input(LaneError::Start(e.to_string())))?;
        let pieces = Message::Unit(unit, media).write();
        let pieces = pieces.map_err(|e| Sending::Input(LaneError::Start(e.to_string())))?;
        tally.add(&pieces);
        link::write_media(send, pieces, || moved.now()).await?;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    link::send(send, &Message::End(End { tally: tally.count() })).await?;
    // Fails only where the other side has stopped it.
    let _ = send.finish();
    Ok(())
}

/// A result as it comes.
struct Coming<'a, F> {
    attempt: &'a Attempt,
    moved: &'a Movement<'a>,
    /// Units that have been sent.
    sent: &'a AtomicU64,
    begun: &'a F,
    results: Results,
    gather: Gather,
}

impl<'a, F: Fn()> Coming<'a, F> {
    fn new(attempt: &'a Attempt, moved: &'a Movement<'a>, sent: &'a AtomicU64, begun: &'a F) -> Self {
        Self { attempt, moved, sent, begun, results: Results::default(), gather: Gather::new() }
    }

    async fn receive(&mut self, receive: &mut RecvStream) -> Result<Encoded, LaneError> {
        let wrong = |error: &dyn std::fmt::Display| LaneError::Elsewhere(error.to_string());
        loop {
            match self.results.next_message().map_err(|error| wrong(&error))? {
                Some(output) => {
                    let before = self.attempt.progress.frames();
                    match &output {
                        // It waits for its turn, while others get further.
                        Output::Progress(made) if made.frames == 0 => self.moved.own.now(),
                        Output::Progress(made) if made.frames <= before => {}
                        _ => self.moved.now(),
                    }
                    if self.take(output)? {
                        break;
                    }
                }
                None => match link::pieces(receive, |piece| self.results.push(piece)).await {
                    Ok(true) => {}
                    Ok(false) => return Err(wrong(&"it ended the result too early")),
                    Err(LinkError::Read(quinn::ReadError::Reset(code))) => {
                        let why = if code == BROKEN { "what came there was damaged" } else { "it gave the chunk back" };
                        return Err(wrong(&why));
                    }
                    Err(error) => return Err(LaneError::Lost(error.to_string())),
                },
            }
        }
        Ok(std::mem::replace(&mut self.gather, Gather::new()).whole())
    }

    /// True when the result is whole.
    fn take(&mut self, output: Output) -> Result<bool, LaneError> {
        let sent = self.sent.load(Ordering::Relaxed);
        let keep = |store: &Arc<Store>, unit| tokio::task::block_in_place(|| store.keep(unit));
        let told = self.gather.take(output, (self.attempt, sent), keep)?;
        if told == Told::Works && !self.moved.has_begun.swap(true, Ordering::Relaxed) {
            (self.begun)();
        }
        Ok(told == Told::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_would_write_other_bytes_is_told_what_each_has() {
        let fit = |x264: &str, digest| {
            let software = [("x264enc", x264), ("divien", "0.1.0")];
            let software = software.map(|(name, version)| Software { name: name.into(), version: version.into() });
            Fit { format: 0, software: software.into(), digest: [digest; 32] }
        };
        let (old, new) = ("x264 1.22.0 with libx264.so.164", "x264 1.22.0 with libx264.so.165");
        assert!(compare(&fit(old, 1), &fit(old, 1)).is_ok());
        let refusal = compare(&fit(old, 1), &fit(new, 1)).unwrap_err().to_string();
        let told = format!("it has x264enc of {new}, and this machine x264enc of {old}");
        assert!(refusal.contains(&told) && !refusal.contains("divien"), "{refusal}");
        let refusal = compare(&fit(old, 1), &fit(old, 2)).unwrap_err().to_string();
        assert!(refusal.contains("other bytes") && refusal.contains(old), "{refusal}");
    }
}
