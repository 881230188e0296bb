//! A stream of QUIC that is as long as there is time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::PrivatePkcs8KeyDer;
use quinn::{ClientConfig, Endpoint, ServerConfig, TransportConfig, VarInt};

use super::HERE;
use crate::relay::{Line, Relay};

/// A controller starts slowly: what it carries is counted behind so much of the time.
const START: f64 = 0.3;
/// So much may be on its way, in bytes.
const WINDOW: u32 = 64 << 20;
const PIECE: usize = 64 << 10;

/// The congestion controllers that quinn has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are all there is to say")]
pub enum Congestion {
    Cubic,
    NewReno,
    Bbr,
}

/// What came through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carried {
    /// Bits a second that the other side could use.
    pub rate: f64,
    /// Of the bytes sent, those that were sent in vain.
    pub in_vain: f64,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} | {:.1}%", self.rate / 1e6, self.in_vain * 100.0)
    }
}

impl Congestion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cubic, Self::NewReno, Self::Bbr];

    fn factory(self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::NewReno => Arc::new(NewRenoConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

/// Sends over the line for so long.
///
/// # Errors
/// Something here does not work.
pub fn carried(line: Line, congestion: Congestion, time: Duration) -> Result<Carried, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(send(line, congestion, time)).map_err(|error| error.to_string())
}

async fn send(
    line: Line,
    congestion: Congestion,
    time: Duration,
) -> Result<Carried, Box<dyn std::error::Error + Send + Sync>> {
    let own = rcgen::generate_simple_self_signed(["line".to_owned()])?;
    let certificate = own.cert.der().clone();
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(congestion.factory())
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into());
    let transport = Arc::new(transport);
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let mut config = ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    config.transport_config(transport.clone());
    let server = Endpoint::server(config, HERE)?;
    let relay = Relay::start(HERE, line, 1)?;
    relay.lead_to(server.local_addr()?);
    let taking = tokio::spawn(async move {
        let connection = server.accept().await.ok_or("nobody came")?.await?;
        let mut stream = connection.accept_uni().await?;
        let (began, mut counted, mut bytes) = (Instant::now(), None, 0u64);
        while let Ok(Some(chunk)) = stream.read_chunk(PIECE, true).await {
            if began.elapsed() >= time.mul_f64(START) {
                counted.get_or_insert_with(Instant::now);
                bytes += chunk.bytes.len() as u64;
            }
        }
        let seconds = counted.map_or(f64::INFINITY, |since| since.elapsed().as_secs_f64());
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(bytes as f64 * 8.0 / seconds)
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport);
    let client = Endpoint::client(HERE)?;
    let connection = client.connect_with(config, relay.address(), "line")?.await?;
    let mut stream = connection.open_uni().await?;
    let (began, piece) = (Instant::now(), vec![0; PIECE]);
    while began.elapsed() < time {
        stream.write_all(&piece).await?;
    }
    let sent = connection.stats();
    connection.close(VarInt::from_u32(0), b"");
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
