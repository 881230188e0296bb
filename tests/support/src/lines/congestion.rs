//! Who says how much a connection sends at once.

use std::fmt;
use std::sync::Arc;

use gstdivien::net::congestion::TolerantConfig;
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::{TransportConfig, VarInt};

/// So much may be on its way, in bytes.
const WINDOW: u32 = 64 << 20;

/// The congestion controllers that quinn has, and divien's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are all there is to say")]
pub enum Congestion {
    Cubic,
    NewReno,
    Bbr,
    Divien,
}

impl Congestion {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Cubic, Self::NewReno, Self::Bbr, Self::Divien];

    /// A connection that nothing else holds back.
    pub(super) fn transport(self) -> Arc<TransportConfig> {
        let factory: Arc<dyn ControllerFactory + Send + Sync> = match self {
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::NewReno => Arc::new(NewRenoConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
            Self::Divien => Arc::new(TolerantConfig::default()),
        };
        let mut transport = TransportConfig::default();
        transport
            .congestion_controller_factory(factory)
            .stream_receive_window(VarInt::from_u32(WINDOW))
            .receive_window(VarInt::from_u32(WINDOW))
            .send_window(WINDOW.into());
        Arc::new(transport)
    }
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
