//! Where connections are made and taken.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionError, EndpointConfig, Incoming, ServerConfig, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::congestion::TolerantConfig;
use super::strangers::{Counted, Strangers};
use super::tls;
use super::token::Token;

/// Handshakes that may be open at once; what comes beyond is turned away.
const MOST_OPEN: usize = 64;
/// From here on whoever comes has to show first that its address is its own (QUIC Retry).
const MANY_OPEN: usize = 16;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A connection on which nothing else is sent sends something this often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// One that hears nothing for so long is lost.
const IDLE: VarInt = VarInt::from_u32(15_000);
/// What a peer may send before it has said who it is, in bytes.
const BEFORE_HELLO: VarInt = VarInt::from_u32(64 << 10);
/// The same of one stream later, at most: as much as is on the way on 10 Gbit/s over 50 ms. The connection's own window is
/// smaller where there are many peers.
pub const MOST_ON_ITS_WAY: u64 = 64 << 20;
/// What the system keeps of packets that nobody has taken yet, in bytes, if it lets us.
const SOCKET: usize = 4 << 20;
/// What it keeps of those of handshakes that are not begun, in bytes.
const INCOMING: u64 = 1 << 20;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum NetError {
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// The token's key is of no use.
    #[error("the token's key cannot be used: {0}")]
    Key(#[from] rustls::Error),
    /// The same.
    #[error("the token's key cannot be used: {0}")]
    Cipher(#[from] NoInitialCipherSuite),
    /// The socket cannot be opened.
    #[error("{address}: no socket can be opened: {error}")]
    Socket {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The name has no address.
    #[error("{host}: there is no such address: {error}")]
    Name {
        /// The name.
        host: String,
        /// What the system says.
        error: io::Error,
    },
    /// The other side cannot be dialled.
    #[error("{address}: {error}")]
    Dial {
        /// Its address.
        address: SocketAddr,
        /// What QUIC says.
        error: quinn::ConnectError,
    },
    /// The handshake failed.
    #[error("{address}: {}", explained(error))]
    Handshake {
        /// The other side's address.
        address: SocketAddr,
        /// What QUIC says.
        error: ConnectionError,
    },
}

/// TLS's alerts for a side that shows no key, or another one.
const REFUSALS: [u8; 5] = [40, 42, 46, 49, 116];
/// The same for a side that speaks another major version.
const OTHER_PROTOCOL: u8 = 120;

impl NetError {
    /// There is nothing of this name.
    pub(crate) fn unknown(host: &str) -> Self {
        Self::Name { host: host.to_owned(), error: io::ErrorKind::NotFound.into() }
    }

    /// Nobody answers there.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::Handshake { address, error: ConnectionError::TimedOut }
    }

    /// The two sides hold different tokens, or one of them none.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Handshake { error, .. } if alert(error).is_some_and(|alert| REFUSALS.contains(&alert)))
    }

    /// The other side speaks another major version, or something else.
    pub fn is_other_protocol(&self) -> bool {
        matches!(self, Self::Handshake { error, .. } if alert(error) == Some(OTHER_PROTOCOL))
    }
}

fn alert(error: &ConnectionError) -> Option<u8> {
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return None,
    };
    // RFC 9001, 4.8: an alert of TLS is an error from 0x100 on.
    u8::try_from(code.checked_sub(0x100)?).ok()
}

fn explained(error: &ConnectionError) -> String {
    match alert(error) {
        Some(OTHER_PROTOCOL) => "speaks another version of divien's protocol".into(),
        Some(code) if REFUSALS.contains(&code) => "holds another token, or none".into(),
        _ if *error == ConnectionError::TimedOut => "does not answer".into(),
        _ => error.to_string(),
    }
}

fn transport(stream: u64) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(TolerantConfig::default()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IDLE.into()))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u64(stream.min(MOST_ON_ITS_WAY)).unwrap_or(VarInt::MAX))
        .receive_window(BEFORE_HELLO)
        .send_window(BEFORE_HELLO.into_inner());
    config
}

/// A socket for IPv6 and IPv4 alike, where the system has both and the address is for all.
fn socket(address: SocketAddr) -> Result<UdpSocket, NetError> {
    let open = |address: SocketAddr| -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // More than the system allows is cut down to that, and less of it only costs speed.
        let _ = (socket.set_recv_buffer_size(SOCKET), socket.set_send_buffer_size(SOCKET));
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    let has_no_ipv6 = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    let opened = match open(address) {
        Err(error) if has_no_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            open((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        opened => opened,
    };
    opened.map_err(|error| NetError::Socket { address, error })
}

fn endpoint(socket: UdpSocket, server: Option<ServerConfig>, address: SocketAddr) -> Result<quinn::Endpoint, NetError> {
    let runtime = Arc::new(quinn::TokioRuntime);
    quinn::Endpoint::new(EndpointConfig::default(), server, socket, runtime)
        .map_err(|error| NetError::Socket { address, error })
}

/// Dials a machine, each time from a new socket: a NAT that has forgotten the old one would keep it out for good.
///
/// # Errors
/// It does not answer, or holds another token.
pub async fn dial(address: SocketAddr, token: &Token) -> Result<Connection, NetError> {
    dial_with(address, token, MOST_ON_ITS_WAY).await.map(|(_, connection)| connection)
}

/// The same, where at most so many bytes of each stream are on their way here; gives the connection's endpoint as well,
/// which waits until the other side has been told that it is over.
///
/// # Errors
/// It does not answer, or holds another token.
pub async fn dial_with(
    address: SocketAddr,
    token: &Token,
    stream: u64,
) -> Result<(quinn::Endpoint, Connection), NetError> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let own = SocketAddr::new(any, 0);
    let endpoint = endpoint(socket(own)?, None, own)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls::client(token)?)?));
    config.transport_config(Arc::new(transport(stream)));
    // Names mean nothing to keys that are pinned.
    let connecting =
        endpoint.connect_with(config, address, "divien").map_err(|error| NetError::Dial { address, error })?;
    let made = timeout(HANDSHAKE, connecting).await.unwrap_or(Err(ConnectionError::TimedOut));
    let connection = made.map_err(|error| NetError::Handshake { address, error })?;
    Ok((endpoint, connection))
}

/// All addresses of `host:port`.
///
/// # Errors
/// There are none.
pub async fn addresses(host: &str) -> Result<Vec<SocketAddr>, NetError> {
    let failed = |error| NetError::Name { host: host.to_owned(), error };
    let found: Vec<_> = tokio::net::lookup_host(host).await.map_err(failed)?.collect();
    if found.is_empty() { Err(NetError::unknown(host)) } else { Ok(found) }
}

/// What comes to a [`Listener`].
#[derive(Debug)]
pub enum Arrival {
    /// A member of the fleet.
    Member(Connection),
    /// Someone else, or many.
    Stranger(Strangers),
}

/// Takes connections.
#[derive(Debug)]
pub struct Listener {
    endpoint: quinn::Endpoint,
}

impl Listener {
    /// Listens there. Has to be called within a runtime of tokio.
    ///
    /// # Errors
    /// The address is taken, or none of this machine's.
    pub fn bind(address: SocketAddr, token: &Token) -> Result<Self, NetError> {
        Self::bind_with(address, token, MOST_ON_ITS_WAY)
    }

    /// The same, where at most so many bytes of each stream are on their way here.
    ///
    /// # Errors
    /// The address is taken, or none of this machine's.
    pub fn bind_with(address: SocketAddr, token: &Token, stream: u64) -> Result<Self, NetError> {
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls::server(token)?)?));
        config
            .transport_config(Arc::new(transport(stream)))
            .max_incoming(MOST_OPEN)
            .incoming_buffer_size(INCOMING / MOST_OPEN as u64)
            .incoming_buffer_size_total(INCOMING);
        Ok(Self { endpoint: endpoint(socket(address)?, Some(config), address)? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Hands on whoever comes, until it is called off or nobody takes them any more, and waits then until the other side of
    /// each connection has been told that it is over. Whoever has not passed the handshake holds nothing here but one of few places,
    /// and that for seconds.
    pub async fn run(self, arrivals: mpsc::Sender<Arrival>, over: CancellationToken) {
        let mut open = JoinSet::new();
        let mut strangers = Counted::default();
        loop {
            let arrival = tokio::select! {
                () = over.cancelled() => break,
                Some(incoming) = self.endpoint.accept() => {
                    self.take(incoming, &mut open, &mut strangers);
                    continue;
                }
                Some(Ok(made)) = open.join_next() => match made {
                    Ok(member) => Some(Arrival::Member(member)),
                    Err(error) => strangers.refused(error, Instant::now()).map(Arrival::Stranger),
                },
                () = at(strangers.due()) => strangers.look(Instant::now()).map(Arrival::Stranger),
                else => break,
            };
            if let Some(arrival) = arrival
                && arrivals.send(arrival).await.is_err()
            {
                break;
            }
        }
        self.endpoint.set_server_config(None);
        drop(open);
        self.endpoint.wait_idle().await;
    }

    fn take(&self, incoming: Incoming, open: &mut Handshakes, strangers: &mut Counted) {
        if open.len() >= MOST_OPEN {
            strangers.put_off(Instant::now());
            return incoming.ignore();
        }
        if incoming.remote_address_validated() {
            strangers.has_shown();
        } else if open.len() >= MANY_OPEN && incoming.may_retry() {
            strangers.put_off(Instant::now());
            // Fails only where a retry is not allowed.
            let _ = incoming.retry();
            return;
        }
        open.spawn(async move {
            let address = incoming.remote_address();
            let connecting = async { incoming.accept()?.await };
            let made = timeout(HANDSHAKE, connecting).await.unwrap_or(Err(ConnectionError::TimedOut));
            made.map_err(|error| NetError::Handshake { address, error })
        });
    }
}

/// Those that are open.
type Handshakes = JoinSet<Result<Connection, NetError>>;

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
