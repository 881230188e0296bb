//! A stream of QUIC that is as long as there is time.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Endpoint, EndpointConfig, ServerConfig, VarInt};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::congestion::{Carried, Congestion};
use crate::keys::Keys;
use crate::relay::{HERE, Line, Relay, SOCKET};

/// A controller starts slowly: what it carries is counted behind so much of the time.
const START: f64 = 0.3;
const PIECE: usize = 64 << 10;

/// Sends over the line for so long.
///
/// # Errors
/// Something here does not work.
pub fn carried(line: Line, congestion: Congestion, time: Duration) -> Result<Carried, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(send(line, congestion, time)).map_err(|error| error.to_string())
}

/// One on whose socket as much may wait as on divien's.
fn endpoint(server: Option<ServerConfig>) -> std::io::Result<Endpoint> {
    let socket = UdpSocket::bind(HERE)?;
    set_socket_recv_buffer_size(&socket, SOCKET)?;
    Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(quinn::TokioRuntime))
}

async fn send(
    line: Line,
    congestion: Congestion,
    time: Duration,
) -> Result<Carried, Box<dyn std::error::Error + Send + Sync>> {
    let keys = Keys::new()?;
    let mut config = keys.server()?;
    config.transport_config(congestion.transport());
    let server = endpoint(Some(config))?;
    let relay = Relay::start(HERE, line, 1)?;
    relay.lead_to(server.local_addr()?);
    let taking = tokio::spawn(async move {
        let connection = server.accept().await.ok_or("nobody came")?.await?;
        let mut stream = connection.accept_uni().await?;
        let began = Instant::now();
        let mut bytes = 0u64;
        let take = async {
            while let Ok(Some(chunk)) = stream.read_chunk(PIECE, true).await {
                if began.elapsed() >= time.mul_f64(START) {
                    bytes += chunk.bytes.len() as u64;
                }
            }
        };
        // What is sent to end it may be lost as well, and nobody waits for that.
        let is_short = tokio::time::timeout(time, take).await.is_ok();
        connection.close(VarInt::from_u32(0), b"");
        if is_short {
            return Err("the stream ended too early".into());
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(bytes as f64 * 8.0 / time.mul_f64(1.0 - START).as_secs_f64())
    });
    let mut config = keys.client()?;
    config.transport_config(congestion.transport());
    let connection = endpoint(None)?.connect_with(config, relay.address(), Keys::NAME)?.await?;
    let mut stream = connection.open_uni().await?;
    let piece = vec![0; PIECE];
    // Until the other side ends it.
    while stream.write_all(&piece).await.is_ok() {}
    let sent = connection.stats();
    let rate = taking.await??;
    let in_vain = sent.path.lost_bytes as f64 / sent.udp_tx.bytes.max(1) as f64;
    Ok(Carried { rate, in_vain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Rate;

    #[test]
    fn what_a_line_carries_is_not_more_than_it_has() {
        let rate = Some(Rate { bits: 4_000_000, queue: 50_000 });
        let line = Line { delay: Duration::from_millis(2), rate, ..Line::default() };
        let carried = carried(line, Congestion::NewReno, Duration::from_secs(2)).unwrap();
        assert!(carried.rate > 400_000.0 && carried.rate < 4_400_000.0, "{carried}");
    }
}
