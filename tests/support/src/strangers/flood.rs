//! Handshakes that are begun, and that nobody goes on with.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme, version::TLS13};

use crate::run::LIMIT;

/// Datagrams that go out before answers are looked for: no more than fit into a socket.
const BURST: usize = 32;
/// How long an answer is waited for that may not come.
const ANSWER: Duration = Duration::from_millis(20);
/// What a datagram begins with that asks the other side to show that its address is its own (RFC 9000, 17.2.5).
const RETRY: u8 = 0xf0;
const HERE: &str = "127.0.0.1:0";

/// The first datagrams of handshakes, each with connection ids of its own. They are not bound to an address.
#[derive(Debug, Clone)]
pub struct Initials(Arc<Vec<Vec<u8>>>);

impl Initials {
    /// So many of them, by someone without a key who says no wrong word before one is needed if this is the right protocol.
    pub fn make(count: usize, protocol: &[u8]) -> Self {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let tls = tls.with_protocol_versions(&[&TLS13]).expect("there is TLS 1.3");
        let tls = tls.dangerous().with_custom_certificate_verifier(Arc::new(Anyone));
        let mut tls = tls.with_client_cert_resolver(Arc::new(NoKey));
        tls.alpn_protocols = vec![protocol.to_vec()];
        let tls = QuicClientConfig::try_from(tls).expect("this can be spoken over QUIC");
        let config = ClientConfig::new(Arc::new(tls));
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
        let (now, anywhere) = (Instant::now(), SocketAddr::from(([127, 0, 0, 1], 9)));
        let initials = (0..count).map(|_| {
            let begun = endpoint.connect(now, config.clone(), anywhere, "divien");
            let (_, mut connection) = begun.expect("anyone may begin");
            let mut first = Vec::new();
            let said = connection.poll_transmit(now, 1, &mut first).expect("who dials speaks first");
            first.truncate(said.size);
            first
        });
        Self(Arc::new(initials.collect()))
    }

    /// All of them.
    pub fn all(&self) -> &[Vec<u8>] {
        &self.0
    }
}

/// Many of them, one after the other and again, from several sockets that give no answer.
#[derive(Debug)]
pub struct Flood {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    sent: AtomicU64,
    retries: AtomicU64,
}

impl Flood {
    /// Goes there until it is stopped.
    pub fn start(target: SocketAddr, initials: &Initials, sockets: usize) -> Self {
        let sockets: Vec<_> = (0..sockets)
            .map(|_| {
                let socket = UdpSocket::bind(HERE).expect("there are sockets enough");
                socket.connect(target).expect("an address of this machine can be reached");
                socket.set_read_timeout(Some(ANSWER)).expect("a socket may wait for so long");
                socket
            })
            .collect();
        let (shared, initials) = (Arc::<Shared>::default(), initials.clone());
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || {
            for (burst, socket) in initials.0.chunks(BURST).cycle().zip(sockets.iter().cycle()) {
                if theirs.is_over.load(Ordering::Relaxed) {
                    return;
                }
                theirs.send(burst, socket);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Those that went out so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Those of them that were asked to show that their address is their own.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }

    /// Waits until so many have gone out.
    #[track_caller]
    pub fn has_sent(&self, count: usize) {
        self.wait(|| self.sent() >= count as u64);
    }

    /// Waits until one has been asked to show that its address is its own.
    #[track_caller]
    pub fn has_been_asked(&self) {
        self.wait(|| self.retries() > 0);
    }

    #[track_caller]
    fn wait(&self, has_come: impl Fn() -> bool) {
        let patience = Instant::now() + LIMIT;
        while !has_come() {
            assert!(Instant::now() < patience, "{self:?}");
            std::thread::sleep(ANSWER);
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a flood does not panic");
        }
    }
}

impl Shared {
    /// Sends so many, and waits for as many answers: what comes too fast for the other side would be lost before it.
    fn send(&self, burst: &[Vec<u8>], socket: &UdpSocket) {
        for initial in burst {
            // Nobody may listen any more.
            let _ = socket.send(initial);
        }
        self.sent.fetch_add(burst.len() as u64, Ordering::Relaxed);
        let mut answer = [0; 2048];
        for _ in burst {
            match socket.recv(&mut answer) {
                Ok(size) if size > 0 && answer[0] & RETRY == RETRY => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

/// Has no key, and would show one without a certificate.
#[derive(Debug)]
struct NoKey;

impl ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Takes anyone's key.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
