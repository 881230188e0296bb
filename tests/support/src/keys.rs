//! Two sides that know each other.

use std::error::Error;
use std::sync::Arc;

use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, ServerConfig};

/// A key, and the certificate that both sides take.
pub(crate) struct Keys {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Keys {
    /// Who is dialled.
    pub(crate) const NAME: &str = "line";

    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let own = rcgen::generate_simple_self_signed([Self::NAME.to_owned()])?;
        Ok(Self { certificate: own.cert.der().clone(), key: own.signing_key.serialize_der() })
    }

    pub(crate) fn server(&self) -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        Ok(ServerConfig::with_single_cert(vec![self.certificate.clone()], key.into())?)
    }

    pub(crate) fn client(&self) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
        client_of(self.certificate.clone())
    }

    /// What a client in another process needs.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

/// A client that takes the one with this certificate.
pub(crate) fn client_of(certificate: CertificateDer<'static>) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    Ok(ClientConfig::with_root_certificates(Arc::new(roots))?)
}
