//! An attempt, as the worker sees it: units come, an encoder of this machine takes them, its units leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gst_video::VideoInfo;
use quinn::{RecvStream, SendStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::convert::{end_to_wire, from_wire, to_wire};
use super::link::{self, BROKEN, LinkError, OVER};
use crate::isolate::{Isolation, ProcessLane};
use crate::lane::{
    Attempt, Budget, Cancel, ChunkInput, Encoded, Format, Lane as _, LaneError, LocalLane, Made, Outlet, Progress,
};
use crate::wire::message::{self, Begin, Blame, Failed, Head};
use crate::wire::{Inputs, Message, ProtocolError, Tally, Work};

/// How often the other side is told how far it is.
const TELLING: Duration = Duration::from_millis(500);
/// How long it may take over what it asks for. One that says nothing at all is lost before.
const BEGINNING: Duration = Duration::from_secs(30);
/// Bytes that a unit takes beside its own, and each of its captions.
const BESIDE: u64 = 512;
/// Results that wait for the network; the encoder waits when they are more.
const MOST_LEAVING: usize = 16;

/// What all attempts on this machine share, whoever they are for.
pub(super) struct Slots {
    /// Encoders that may work.
    free: Arc<Semaphore>,
    /// Attempts whose inputs may come: those at work, as many that wait behind them, and some that are called off.
    places: Arc<Semaphore>,
    /// How many they are.
    pub(super) most_attempts: u32,
    /// Bytes of inputs that may wait, for each of them, and as many that may be on their way: an attempt that waits takes
    /// nothing from one at work.
    pub(super) share: u64,
    /// Goes up when any of them gets further.
    moves: AtomicU64,
    /// The processes that they are made in, if any.
    isolation: Option<Arc<Isolation>>,
}

impl Slots {
    /// So many attempts at once, with so many bytes for all.
    pub(super) fn new(count: u32, memory: u64, isolation: Option<Arc<Isolation>>) -> Self {
        let most_attempts = count.saturating_mul(2).saturating_add(2);
        let permits = |count: u32| {
            Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)))
        };
        Self {
            free: permits(count),
            places: permits(most_attempts),
            most_attempts,
            share: memory / 2 / u64::from(most_attempts),
            moves: AtomicU64::new(0),
            isolation,
        }
    }

    /// Waits for a permit. As long as others get further, the other side is told that this one only waits for its turn.
    async fn turn(&self, permits: &Arc<Semaphore>, send: &mut SendStream) -> Result<OwnedSemaphorePermit, LaneError> {
        let (acquiring, stopped) = (permits.clone().acquire_owned(), send.stopped());
        tokio::pin!(acquiring, stopped);
        let mut before = self.moves.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                biased;
                permit = &mut acquiring => return permit.map_err(|_| LaneError::Cancelled),
                _ = &mut stopped => return Err(LaneError::Cancelled),
                () = tokio::time::sleep(TELLING) => {
                    let now = self.moves.load(Ordering::Relaxed);
                    if std::mem::replace(&mut before, now) != now {
                        tell(send, 0).await.map_err(lost)?;
                    }
                }
            }
        }
    }
}

/// Says how many frames an encoder has had.
async fn tell(send: &mut SendStream, frames: u64) -> Result<(), LinkError> {
    link::send(send, &Message::Progress(message::Progress { frames })).await
}

/// How it went.
pub(super) enum Outcome {
    Chunk {
        chunk: u64,
        frames: u64,
        bytes: u64,
        time: Duration,
        /// Why there is no result.
        failed: Option<String>,
    },
    /// It did not ask for one as it should.
    Refused(String),
}

/// Does what the streams of an attempt ask for. `None` where it was called off: another one was first, or the coordinator is
/// gone.
pub(super) async fn attempt(
    (mut send, mut receive): (SendStream, RecvStream),
    slots: Arc<Slots>,
    formats: impl Fn(u32) -> Option<Arc<Format>>,
) -> Option<Outcome> {
    let mut inputs = Inputs::default();
    let begun = timeout(BEGINNING, begin(&mut receive, &mut inputs)).await;
    let begin = match begun.unwrap_or(Err(LinkError::Late)) {
        Ok(begin) => begin,
        Err(error) => {
            refuse(&mut send, &mut receive);
            return match error {
                LinkError::Protocol(error) => Some(Outcome::Refused(format!("a chunk: {error}"))),
                LinkError::Late => {
                    let seconds = BEGINNING.as_secs();
                    Some(Outcome::Refused(format!("a chunk: what to make of it did not come within {seconds} s")))
                }
                _ => None,
            };
        }
    };
    let chunk = begin.chunk;
    let started = Instant::now();
    let progress = Arc::<Progress>::default();
    let outcome = match formats(begin.format) {
        None => Err(LaneError::Start("its format was not asked for".into())),
        Some(format) => work((&mut send, &mut receive), inputs, &slots, format, begin, &progress).await,
    };
    let failed = match outcome {
        Ok(()) => None,
        Err(LaneError::Cancelled | LaneError::Lost(_)) => {
            refuse(&mut send, &mut receive);
            return None;
        }
        Err(LaneError::Elsewhere(why)) => {
            // What came was damaged.
            let _ = (send.reset(BROKEN), receive.stop(BROKEN));
            Some(why)
        }
        Err(error) => {
            let is_own = matches!(error, LaneError::NoProcess(_));
            let failed = Failed { blame: if is_own { Blame::Worker } else { Blame::Chunk }, reason: error.to_string() };
            // Both fail where nobody listens any more.
            let _ = link::send(&mut send, &Message::Failed(failed)).await;
            let _ = (send.finish(), receive.stop(OVER));
            Some(error.to_string())
        }
    };
    let (frames, bytes) = (progress.frames(), progress.bytes());
    Some(Outcome::Chunk { chunk, frames, bytes, time: started.elapsed(), failed })
}

fn refuse(send: &mut SendStream, receive: &mut RecvStream) {
    // Fail where the other side has ended them.
    let _ = (send.reset(OVER), receive.stop(OVER));
}

async fn begin(receive: &mut RecvStream, inputs: &mut Inputs) -> Result<Begin, LinkError> {
    loop {
        match inputs.next_message()? {
            Some(Work::Begin(begin)) => return Ok(begin),
            // Nothing else comes first.
            Some(_) => return Err(LinkError::Left),
            None => inputs.push(link::piece(receive).await?.ok_or(ProtocolError::Early)?),
        }
    }
}

async fn work(
    (send, receive): (&mut SendStream, &mut RecvStream),
    inputs: Inputs,
    slots: &Slots,
    format: Arc<Format>,
    begin: Begin,
    progress: &Arc<Progress>,
) -> Result<(), LaneError> {
    let _place = slots.turn(&slots.places, send).await?;
    let input = Arc::<ChunkInput>::default();
    let (leave, leaving) = mpsc::channel(MOST_LEAVING);
    let wanted = begin.wanted.map(|wanted| Arc::new(wanted.into()));
    let result = Outlet::Leave(Arc::new(move |made| leave.blocking_send(made).is_ok()));
    let attempt = Attempt {
        progress: progress.clone(),
        is_first: begin.is_first,
        ..Attempt::new(format, input.clone(), wanted, result)
    };
    let pictures = attempt.wanted.is_none().then(|| VideoInfo::from_caps(&attempt.format.input)).transpose();
    let pictures = pictures.map_err(|error| LaneError::Start(error.to_string()))?;
    // Whatever becomes of this task, no encoder goes on for nobody.
    let _over = CallsOff(attempt.cancel.clone(), input.clone());
    let stopped = send.stopped();
    let watching = async {
        let taking = take_all(receive, inputs, &input, slots.share, pictures.as_ref());
        tokio::pin!(taking, stopped);
        tokio::select! {
            taken = &mut taking => match taken {
                Ok(()) => {}
                Err(error) => return error,
            },
            _ = &mut stopped => return LaneError::Cancelled,
        }
        match stopped.await {
            Ok(_) => LaneError::Cancelled,
            Err(error) => LaneError::Lost(error.to_string()),
        }
    };
    let giving = encode(send, slots, &attempt, leaving);
    tokio::pin!(giving);
    tokio::select! {
        biased;
        given = &mut giving => given,
        error = watching => {
            attempt.cancel.cancel();
            // Nothing of it is left running after this.
            giving.await.map_err(|_| error)
        }
    }
}

struct CallsOff(Arc<Cancel>, Arc<ChunkInput>);

impl Drop for CallsOff {
    fn drop(&mut self) {
        self.0.cancel();
        self.1.cancel();
    }
}

/// What a unit takes of the memory for those that wait.
fn weight(unit: &message::Unit, media: &Bytes) -> u64 {
    let captions: u64 = unit.captions.iter().map(|caption| caption.data.len() as u64 + BESIDE).sum();
    media.len() as u64 + captions + BESIDE
}

/// Takes the units as they come, no more of them than may wait.
async fn take_all(
    receive: &mut RecvStream,
    mut inputs: Inputs,
    input: &Arc<ChunkInput>,
    most: u64,
    pictures: Option<&VideoInfo>,
) -> Result<(), LaneError> {
    let budget = Budget::new(most);
    loop {
        match inputs.next_message() {
            Ok(Some(Work::Unit(unit, media))) => {
                let bytes = weight(&unit, &media);
                let buffer = from_wire(unit, media, pictures).map_err(|e| LaneError::Elsewhere(e.to_string()))?;
                let Ok(share) = budget.reserve_async(bytes).await else { return Err(LaneError::Cancelled) };
                input.push(buffer, share);
            }
            Ok(Some(Work::End)) => {
                input.end();
                return Ok(());
            }
            Ok(Some(Work::Begin(_))) => return Err(LaneError::Elsewhere("it begins twice".into())),
            Ok(None) => match link::pieces(receive, |piece| inputs.push(piece)).await {
                Ok(true) => {}
                Ok(false) => return Err(LaneError::Elsewhere(ProtocolError::Early.to_string())),
                Err(error) => return Err(LaneError::Lost(error.to_string())),
            },
            Err(error) => return Err(LaneError::Elsewhere(error.to_string())),
        }
    }
}

/// Encodes once there is a slot, and sends what comes of it.
async fn encode(
    send: &mut SendStream,
    slots: &Slots,
    attempt: &Attempt,
    mut leaving: mpsc::Receiver<Made>,
) -> Result<(), LaneError> {
    let called_off = CancellationToken::new();
    attempt.cancel.on_cancel({
        let called_off = called_off.clone();
        move || called_off.cancel()
    });
    let slot = tokio::select! {
        slot = slots.turn(&slots.free, send) => slot?,
        () = called_off.cancelled() => return Err(LaneError::Cancelled),
    };
    let (job, isolation) = (attempt.clone(), slots.isolation.clone());
    let encoding = tokio::task::spawn_blocking(move || {
        // Whoever this is for may leave before the encoder has ended.
        let _slot = slot;
        match isolation {
            Some(isolation) => ProcessLane::new(isolation).encode(&job),
            None => LocalLane.encode(&job),
        }
    });
    tokio::pin!(encoding);
    let mut out = Leaving { send, tally: Tally::default(), is_first: true, told: 0, moves: &slots.moves };
    let relayed = loop {
        let sent = tokio::select! {
            biased;
            Some(made) = leaving.recv() => out.unit(made).await,
            ended = &mut encoding => break Ok(ended.unwrap_or(Err(LaneError::Panicked))),
            () = tokio::time::sleep(TELLING) => out.progress(attempt).await,
        };
        if let Err(error) = sent {
            break Err(error);
        }
    };
    let encoded = match relayed {
        Ok(encoded) => encoded?,
        Err(error) => {
            attempt.cancel.cancel();
            drop(leaving);
            // Nothing of it is left running after this.
            let _ = encoding.await;
            return Err(lost(error));
        }
    };
    while let Ok(made) = leaving.try_recv() {
        out.unit(made).await.map_err(lost)?;
    }
    if !attempt.progress.has_ended() {
        return Err(LaneError::Early(attempt.progress.frames()));
    }
    out.done(attempt, encoded).await.map_err(lost)
}

fn lost(error: LinkError) -> LaneError {
    LaneError::Lost(error.to_string())
}

/// A result on its way.
struct Leaving<'a> {
    send: &'a mut SendStream,
    tally: Tally,
    is_first: bool,
    /// Frames that the other side knows of.
    told: u64,
    moves: &'a AtomicU64,
}

impl Leaving<'_> {
    async fn progress(&mut self, attempt: &Attempt) -> Result<(), LinkError> {
        let frames = attempt.progress.frames();
        if std::mem::replace(&mut self.told, frames) < frames {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
        // No frame yet is what those say that wait.
        if frames == 0 { Ok(()) } else { tell(self.send, frames).await }
    }

    async fn unit(&mut self, made: Made) -> Result<(), LinkError> {
        self.moves.fetch_add(1, Ordering::Relaxed);
        if std::mem::take(&mut self.is_first) {
            let head = Head { caps: made.caps.to_string(), segment_start: made.segment_start };
            link::send(self.send, &Message::Head(head)).await?;
        }
        // What cannot be read cannot be sent either.
        let (unit, media) = to_wire(made.unit).map_err(|_| LinkError::Left)?;
        let pieces = Message::Unit(unit, media).write()?;
        self.tally.add(&pieces);
        link::write(self.send, pieces).await
    }

    async fn done(&mut self, attempt: &Attempt, encoded: Encoded) -> Result<(), LinkError> {
        for message in end_to_wire(&encoded, attempt.progress.frames(), &self.tally) {
            link::send(self.send, &message).await?;
        }
        // Fails only where the other side has stopped it.
        let _ = self.send.finish();
        // What is not there yet when the connection ends would be lost.
        let _ = self.send.stopped().await;
        Ok(())
    }
}
