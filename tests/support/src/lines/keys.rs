//! Two sides that know each other.

use std::error::Error;
use std::sync::Arc;

use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, ServerConfig};

/// A key, and the certificate that both sides take.
pub(super) struct Keys {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Keys {
    /// Who is dialled.
    pub(super) const NAME: &str = "line";

    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let own = rcgen::generate_simple_self_signed([Self::NAME.to_owned()])?;
        Ok(Self { certificate: own.cert.der().clone(), key: own.signing_key.serialize_der() })
    }

    pub(super) fn server(&self) -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        Ok(ServerConfig::with_single_cert(vec![self.certificate.clone()], key.into())?)
    }

    pub(super) fn client(&self) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(ClientConfig::with_root_certificates(Arc::new(roots))?)
    }
}
