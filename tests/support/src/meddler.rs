//! Between a coordinator and a real worker, as a member of the fleet towards both: hands on all that they say to each other,
//! but spoils the results.
//!
//! A machine that is met by two addresses is one machine, so that the worker behind a meddler must not be met otherwise.

mod spoil;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use gstdivien::net::{Arrival, Listener, NetError, Token, dial};
use gstdivien::wire::Decoder;
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use spoil::Mischief;
use spoil::{Instead, Spoiler};

/// The most that is taken off a stream at once.
const PIECE: usize = 1 << 20;
/// What may be on its way in each direction, in bytes: more than any chunk of a test.
const WINDOW: u32 = 64 << 20;
/// Attempts that a coordinator may begin at once; the worker has its own limit.
const ATTEMPTS: VarInt = VarInt::from_u32(64);
const OVER: VarInt = VarInt::from_u32(0);

/// A meddler at work.
#[derive(Debug)]
pub struct Meddler {
    address: SocketAddr,
    spoiled: Arc<AtomicU64>,
    // The last to go: its tasks use the others.
    _runtime: Runtime,
}

impl Meddler {
    /// Listens at an address of this machine in place of the worker that listens at `worker`.
    ///
    /// # Errors
    /// There is no socket for it.
    pub fn start(worker: SocketAddr, token: &Token, mischief: Mischief) -> Result<Self, NetError> {
        let at = SocketAddr::new(worker.ip(), 0);
        let failed = |error| NetError::Socket { address: at, error };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("meddler").enable_all().build().map_err(failed)?;
        let listener = {
            let _entered = runtime.enter();
            Listener::bind(at, token)?
        };
        let address = listener.address().map_err(failed)?;
        let (send, mut arrivals) = mpsc::channel(1);
        runtime.spawn(listener.run(send, CancellationToken::new()));
        let spoiled = Arc::<AtomicU64>::default();
        let (token, count) = (token.clone(), spoiled.clone());
        runtime.spawn(async move {
            while let Some(arrival) = arrivals.recv().await {
                if let Arrival::Member(coordinator) = arrival {
                    let (token, spoiled) = (token.clone(), count.clone());
                    tokio::spawn(async move {
                        match dial(worker, &token).await {
                            Ok(worker) => Between { coordinator, worker, mischief, spoiled }.run().await,
                            Err(_) => coordinator.close(OVER, b"there is no worker"),
                        }
                    });
                }
            }
        });
        Ok(Self { address, spoiled, _runtime: runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Results that it has begun to spoil.
    pub fn spoiled(&self) -> u64 {
        self.spoiled.load(Ordering::Relaxed)
    }
}

/// Two connections that seem to be one.
struct Between {
    coordinator: Connection,
    worker: Connection,
    mischief: Mischief,
    spoiled: Arc<AtomicU64>,
}

impl Between {
    async fn run(self) {
        for connection in [&self.coordinator, &self.worker] {
            connection.set_receive_window(WINDOW.into());
            connection.set_send_window(WINDOW.into());
        }
        self.coordinator.set_max_concurrent_bi_streams(ATTEMPTS);
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                ended = self.coordinator.closed() => return close(&self.worker, ended),
                ended = self.worker.closed() => return close(&self.coordinator, ended),
                // The worker opens the control stream, the coordinator one for each attempt. One that cannot be opened
                // any more is of a connection that is about to be closed.
                Ok(control) = self.worker.accept_bi() => {
                    let coordinator = self.coordinator.clone();
                    streams.spawn(async move {
                        if let Ok(there) = coordinator.open_bi().await {
                            join(there, control, None).await;
                        }
                    });
                }
                Ok(attempt) = self.coordinator.accept_bi() => {
                    let (worker, spoiler) = (self.worker.clone(), (Spoiler::new(self.mischief), self.spoiled.clone()));
                    streams.spawn(async move {
                        if let Ok(there) = worker.open_bi().await {
                            join(attempt, there, Some(spoiler)).await;
                        }
                    });
                }
                Some(_) = streams.join_next() => {}
            }
        }
    }
}

/// What is done to a result, and where it is counted once something of it has come.
type Spoiling = (Spoiler, Arc<AtomicU64>);

/// As the other one was closed.
fn close(connection: &Connection, as_other: ConnectionError) {
    match as_other {
        ConnectionError::ApplicationClosed(close) => connection.close(close.error_code, &close.reason),
        _ => connection.close(OVER, b""),
    }
}

async fn join(coordinator: (SendStream, RecvStream), worker: (SendStream, RecvStream), spoiler: Option<Spoiling>) {
    tokio::join!(pass(coordinator.1, worker.0, None), pass(worker.1, coordinator.0, spoiler));
}

/// Hands on what comes, until the stream ends on either side; the other side ends as that one did.
async fn pass(mut from: RecvStream, mut to: SendStream, spoiler: Option<Spoiling>) {
    let (spoiler, count) = spoiler.unzip();
    let is_silent = spoiler.as_ref().is_some_and(Spoiler::is_silent);
    let mut spoiling = spoiler.map(|spoiler| (Decoder::default(), spoiler));
    let mut uncounted = count;
    let stopped = to.stopped();
    tokio::pin!(stopped);
    loop {
        let piece = tokio::select! {
            biased;
            stopped = &mut stopped => {
                if let Ok(Some(code)) = stopped {
                    // Fails where the stream has ended.
                    let _ = from.stop(code);
                }
                return;
            }
            piece = from.read_chunk(PIECE, true) => piece,
        };
        if matches!(piece, Ok(Some(_)))
            && let Some(count) = uncounted.take()
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let written = match (piece, &mut spoiling) {
            (Ok(Some(piece)), None) => to.write_chunk(piece.bytes).await,
            (Ok(Some(piece)), Some((decoder, spoiler))) => spoil(piece.bytes, decoder, spoiler, &mut to).await,
            (Ok(None), _) => {
                if !is_silent {
                    let _ = to.finish();
                }
                // A stream that is dropped is finished.
                let _ = stopped.await;
                return;
            }
            (Err(ReadError::Reset(code)), _) => {
                let _ = to.reset(code);
                return;
            }
            (Err(_), _) => return,
        };
        if let Err(WriteError::Stopped(code)) = written {
            let _ = from.stop(code);
            return;
        }
    }
}

/// Hands on what is made of a piece of a result.
async fn spoil(
    piece: Bytes,
    decoder: &mut Decoder,
    spoiler: &mut Spoiler,
    to: &mut SendStream,
) -> Result<(), WriteError> {
    decoder.push(piece);
    while let Ok(Some(frame)) = decoder.next_frame() {
        match spoiler.spoil(frame).expect("a worker's messages can be read") {
            Instead::Bytes(mut pieces) => to.write_all_chunks(&mut pieces).await?,
            Instead::Forever(pieces) => match forever(&pieces, to).await? {},
            Instead::Nothing => {}
        }
    }
    Ok(())
}

async fn forever(pieces: &[Bytes], to: &mut SendStream) -> Result<Infallible, WriteError> {
    loop {
        to.write_all_chunks(&mut pieces.to_vec()).await?;
    }
}
