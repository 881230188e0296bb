//! The same bytes on one stream of QUIC between two processes that do nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use gstdivien::net::congestion::TolerantConfig;
use quinn::{Endpoint, TransportConfig, VarInt};
use wait4::Wait4 as _;

use super::{Moved, PICTURE};
use crate::keys::{Keys, client_of};
use crate::process::Process;
use crate::relay::HERE;

/// As much may be on its way as divien allows one worker, in bytes: of a stream, and of all.
const STREAM: u32 = 64 << 20;
const ALL: u32 = 256 << 20;
/// The most that is taken off the stream at once.
const PIECE: usize = 1 << 20;
const CERTIFICATE: &str = "certificate";

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Copies so many pictures; this program does either side's part when its arguments are `take FOLDER`, or `give FOLDER
/// ADDRESS COUNT`.
///
/// # Errors
/// Something here does not work.
pub fn copied(count: u64) -> Result<Moved, String> {
    let failed = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(failed)?;
    let this = std::env::current_exe().map_err(failed)?;
    let mut taker = Command::new(&this);
    let (mut taker, address) =
        Process::listening(taker.arg("take").arg(folder.path()), folder.path().join("taker.log"))?;
    let mut giver = Command::new(&this);
    giver.arg("give").arg(folder.path()).args([address.to_string(), count.to_string()]);
    let mut giver = Process::start(&mut giver, folder.path().join("giver.log"))?;
    let began = Instant::now();
    let sent = giver.child.wait4().map_err(failed)?;
    let seconds = began.elapsed().as_secs_f64();
    if !sent.status.success() {
        return Err(giver.said());
    }
    let taken = taker.child.wait4().map_err(failed)?;
    if !taken.status.success() {
        return Err(taker.said());
    }
    let cpu = |usage: wait4::ResUse| (usage.rusage.utime + usage.rusage.stime).as_secs_f64();
    Ok(Moved { bytes: (count * PICTURE) as f64, seconds, sending: cpu(sent), taking: cpu(taken) })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(TolerantConfig::default()))
        .stream_receive_window(VarInt::from_u32(STREAM))
        .receive_window(VarInt::from_u32(ALL))
        .send_window(ALL.into());
    Arc::new(transport)
}

/// Takes one stream, says on stderr where.
///
/// # Errors
/// Something here does not work.
pub fn take(folder: &Path) -> Result<(), Failed> {
    let keys = Keys::new()?;
    std::fs::write(folder.join(CERTIFICATE), keys.certificate())?;
    let mut config = keys.server()?;
    config.transport_config(transport());
    runtime()?.block_on(async {
        let server = Endpoint::server(config, HERE)?;
        eprintln!("listening on {}", server.local_addr()?);
        let connection = server.accept().await.ok_or("nobody came")?.await?;
        let (mut send, mut receive) = connection.accept_bi().await?;
        while receive.read_chunk(PIECE, true).await?.is_some() {}
        send.finish()?;
        connection.closed().await;
        Ok(())
    })
}

/// Sends so many pictures, and waits until all of them are there.
///
/// # Errors
/// Something here does not work.
pub fn give(folder: &Path, address: SocketAddr, count: u64) -> Result<(), Failed> {
    let mut config = client_of(std::fs::read(folder.join(CERTIFICATE))?.into())?;
    config.transport_config(transport());
    let picture = Bytes::from(vec![0x55; usize::try_from(PICTURE)?]);
    runtime()?.block_on(async {
        let client = Endpoint::client(HERE)?;
        let connection = client.connect_with(config, address, Keys::NAME)?.await?;
        let (mut send, mut receive) = connection.open_bi().await?;
        for _ in 0..count {
            send.write_chunk(picture.clone()).await?;
        }
        send.finish()?;
        receive.read_chunk(1, true).await?;
        connection.close(VarInt::from_u32(0), b"");
        client.wait_idle().await;
        Ok(())
    })
}
