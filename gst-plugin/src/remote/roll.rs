//! A call to workers before any work: who they are, and what they would encode as this machine does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::site::{Formats, Refusal, Site};
use crate::isolate::Isolation;
use crate::lane::{EncoderSpec, FilterSpec, Format};
use crate::net::{self, NetError, Token};
use crate::wire::message::Goodbye;

/// The encoders that are asked for where they are installed, each so that it is fast.
const ENCODERS: [&str; 6] = [
    "x264enc speed-preset=veryfast",
    "x265enc speed-preset=veryfast",
    "vp8enc cpu-used=8",
    "vp9enc cpu-used=8",
    "av1enc cpu-used=8 usage-profile=realtime",
    "svtav1enc preset=10",
];
/// Of raw frames, so that no decoder takes part.
const CAPS: &str = "video/x-raw,format=I420,width=192,height=112,framerate=25/1";

/// What a worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The same by all addresses of a machine, and nobody else's.
    pub instance: [u8; 16],
    /// What people call it.
    pub name: String,
    /// So many chunks it encodes at once.
    pub slots: u32,
    /// The cores it has for them.
    pub cores: u32,
    /// Bytes of inputs that may wait there.
    pub memory: u64,
    /// Its version of divien.
    pub version: String,
    /// How long a packet takes to go there and back.
    pub round_trip: Duration,
    /// Encoders that are installed here, and why it is not to encode with them.
    pub encoders: Vec<(String, Option<Refusal>)>,
}

/// Why nothing is known of a worker.
#[derive(Debug, thiserror::Error)]
pub enum Absent {
    /// It cannot be reached, or turns this machine away.
    #[error(transparent)]
    Net(#[from] NetError),
    /// It does not answer as workers do.
    #[error("{0}: {1}")]
    Refused(SocketAddr, Refusal),
    /// It left meanwhile.
    #[error("{0}: {1}")]
    Left(SocketAddr, String),
}

/// What is asked for, and what it comes to on this machine, which is found out once.
#[derive(Debug)]
pub struct Roll {
    formats: Arc<Formats>,
    encoders: Vec<(String, Arc<Format>)>,
}

impl Roll {
    /// All encoders that are installed here, tried in such processes if any are given: one that aborts takes nothing else
    /// with it then. GStreamer has to be initialised.
    pub fn tried_in(isolation: Option<Arc<Isolation>>) -> Self {
        let encoders = ENCODERS.iter().filter_map(|text| format(text));
        Self {
            formats: Arc::new(Formats::tried_in(isolation)),
            encoders: encoders.map(|(name, format)| (name, Arc::new(format))).collect(),
        }
    }

    /// Asks the worker there. Takes as long as all encoders, side by side, need for a short clip, there and here.
    ///
    /// # Errors
    /// It does not answer, or not as workers do.
    pub async fn call(&self, address: SocketAddr, token: &Token) -> Result<Present, Absent> {
        let connection = net::dial(address, token).await?;
        let met = Site::meet(connection, self.formats.clone()).await;
        let site = met.map_err(|why| Absent::Refused(address, why))?;
        // Encoders at work keep answers waiting.
        let round_trip = site.round_trip();
        let asked = self.encoders.iter().map(|(name, format)| {
            let (site, format) = (site.clone(), format.clone());
            (name, tokio::spawn(async move { site.may_encode(&format).await }))
        });
        let mut encoders = Vec::new();
        for (name, asked) in asked.collect::<Vec<_>>() {
            let verdict = asked.await.unwrap_or_else(|error| Err(error.to_string()));
            encoders.push((name.clone(), verdict.map_err(|why| Absent::Left(address, why))?.err()));
        }
        let hello = site.hello();
        let version = hello.software.iter().find(|software| software.name == "divien").map(|s| s.version.clone());
        let present = Present {
            instance: hello.instance,
            name: hello.name.clone(),
            slots: hello.slots,
            cores: hello.cores,
            memory: hello.memory,
            version: version.unwrap_or_default(),
            round_trip,
            encoders,
        };
        site.leave(Goodbye::Ended("it was only asked what it can do".into())).await;
        Ok(present)
    }
}

/// `None` for an encoder that is not installed.
fn format(text: &str) -> Option<(String, Format)> {
    let encoder = EncoderSpec::parse(text, 0).ok()?;
    let output = encoder.output_caps();
    let name = encoder.factory_name().to_string();
    let (filter, input) = (FilterSpec::default(), CAPS.parse().ok()?);
    Some((name, Format { encoder, input, decoder: None, filter, frame_caps: None, output, lead_in: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoder_that_is_asked_for_is_named_as_the_element_would_take_it() {
        gst::init().unwrap();
        assert!(CAPS.parse::<gst::Caps>().is_ok());
        for text in ENCODERS {
            let factory = text.split(' ').next().unwrap();
            let is_installed = gst::ElementFactory::find(factory).is_some();
            assert_eq!(format(text).map(|(name, _)| name), is_installed.then(|| factory.to_owned()), "{text}");
        }
    }
}
