//! Two sides on loopback.

use super::*;

const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Side {
    address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    over: CancellationToken,
}

impl Side {
    fn listen(token: &Token) -> Self {
        let listener = Listener::bind(HERE, token).unwrap();
        let (send, arrivals) = mpsc::channel(8);
        let (address, over) = (listener.address().unwrap(), CancellationToken::new());
        tokio::spawn(listener.run(send, over.clone()));
        Self { address, arrivals, over }
    }

    async fn stranger(&mut self) -> NetError {
        match self.arrivals.recv().await.unwrap() {
            Arrival::Stranger(told) => told.last.unwrap(),
            Arrival::Member(connection) => panic!("{} was let in", connection.remote_address()),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// A side that dials with a configuration of its own.
async fn dial_with(address: SocketAddr, crypto: rustls::ClientConfig) -> Result<Connection, ConnectionError> {
    let endpoint = endpoint(socket(HERE).unwrap(), None, HERE).unwrap();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    endpoint.connect_with(config, address, "divien").unwrap().await
}

/// Shows nothing.
#[derive(Debug)]
struct NoKey;

impl rustls::client::ResolvesClientCert for NoKey {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Shows what another one shows, as a certificate.
#[derive(Debug)]
struct Certified(Arc<dyn rustls::client::ResolvesClientCert>);

impl rustls::client::ResolvesClientCert for Certified {
    fn resolve(&self, hints: &[&[u8]], schemes: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.0.resolve(hints, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// TLS 1.3 lets the dialling side believe that all is well until it hears of the other's refusal.
async fn refused(dialled: Result<Connection, ConnectionError>) -> ConnectionError {
    match dialled {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    }
}

#[tokio::test]
async fn members_of_a_fleet_meet() {
    let token = Token::random().unwrap();
    let mut side = Side::listen(&token);
    let dialled = dial(side.address, &token).await.unwrap();
    let Arrival::Member(taken) = side.arrivals.recv().await.unwrap() else { panic!("turned away") };
    let (mut send, _) = dialled.open_bi().await.unwrap();
    send.write_all(b"hello").await.unwrap();
    send.finish().unwrap();
    let (_, mut recv) = taken.accept_bi().await.unwrap();
    assert_eq!(recv.read_to_end(9).await.unwrap(), b"hello");
}

#[tokio::test]
async fn another_token_gets_nowhere_and_both_sides_say_so() {
    let mut side = Side::listen(&Token::random().unwrap());
    let error = match dial(side.address, &Token::random().unwrap()).await {
        Ok(connection) => panic!("let in: {:?}", connection.closed().await),
        Err(error) => error,
    };
    assert!(error.is_refusal() && !error.is_other_protocol(), "{error}");
    assert!(error.to_string().ends_with("holds another token, or none"), "{error}");
    let heard = side.stranger().await;
    assert!(heard.is_refusal(), "{heard}");
}

#[tokio::test]
async fn no_key_and_another_ones_key_get_nowhere() {
    let token = Token::random().unwrap();
    let mut side = Side::listen(&token);
    // It takes the listener's key, and shows none.
    let mut nameless = tls::client(&token).unwrap();
    nameless.client_auth_cert_resolver = Arc::new(NoKey);
    let error = refused(dial_with(side.address, nameless).await).await;
    assert!(alert(&error).is_some(), "{error}");
    side.stranger().await;
    // It takes the listener's key, and shows that of another fleet.
    let mut other = tls::client(&token).unwrap();
    other.client_auth_cert_resolver = tls::client(&Token::random().unwrap()).unwrap().client_auth_cert_resolver;
    let error = refused(dial_with(side.address, other).await).await;
    assert!(alert(&error).is_some(), "{error}");
    side.stranger().await;
    // It shows the fleet's key in a certificate, and takes no other.
    let mut certified = tls::client(&token).unwrap();
    certified.client_auth_cert_resolver = Arc::new(Certified(certified.client_auth_cert_resolver));
    let error = refused(dial_with(side.address, certified).await).await;
    assert!(alert(&error).is_some(), "{error}");
    side.stranger().await;
}

#[tokio::test]
async fn another_protocol_is_told() {
    let token = Token::random().unwrap();
    let mut side = Side::listen(&token);
    let mut future = tls::client(&token).unwrap();
    future.alpn_protocols = vec![b"divien/2".to_vec()];
    let error = refused(dial_with(side.address, future).await).await;
    let error = NetError::Handshake { address: side.address, error };
    assert!(error.is_other_protocol(), "{error}");
    assert!(side.stranger().await.is_other_protocol());
}

#[tokio::test]
async fn many_strangers_are_not_a_line_each() {
    let token = Token::random().unwrap();
    let mut side = Side::listen(&token);
    let mut future = tls::client(&token).unwrap();
    future.alpn_protocols = vec![b"divien/2".to_vec()];
    for _ in 0..100 {
        refused(dial_with(side.address, future.clone()).await).await;
    }
    let (mut lines, mut told_of) = (0, 0);
    while told_of < 100 {
        let Arrival::Stranger(told) = side.arrivals.recv().await.unwrap() else { panic!("one was let in") };
        lines += 1;
        told_of += told.count;
    }
    assert_eq!((told_of, lines < 20), (100, true), "{lines} lines");
}

#[tokio::test]
async fn a_side_that_is_not_there_does_not_answer() {
    let taken = socket(HERE).unwrap();
    let address = taken.local_addr().unwrap();
    let error = dial(address, &Token::random().unwrap()).await.unwrap_err();
    assert!(!error.is_refusal(), "{error}");
    assert!(error.to_string().ends_with("does not answer"), "{error}");
}
