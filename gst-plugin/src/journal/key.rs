//! What a chunk is made of, as a hash: its units or frames, and how they are encoded.

use std::io;

use super::hex::Hash;
use crate::lane::{CodedUnit, Wanted};
use crate::remote::convert::to_wire;
use crate::wire::message::{self, Message};

/// The hash of a chunk as it grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Key(blake3::Hasher);

impl Key {
    /// Adds all the coded units of a chunk, and which frames they are to make.
    pub(crate) fn add_units(&mut self, wanted: &Wanted, units: &[CodedUnit]) -> io::Result<()> {
        let text = postcard::to_stdvec(&message::Wanted::from(wanted)).map_err(io::Error::other)?;
        self.0.update(&(text.len() as u64).to_le_bytes()).update(&text);
        for unit in units {
            let (unit, media) = to_wire(unit.clone().read()?).map_err(io::Error::other)?;
            let pieces = Message::Unit(unit, media).write().map_err(io::Error::other)?;
            for piece in &pieces {
                self.0.update(piece);
            }
        }
        Ok(())
    }

    /// Adds a chunk's next frame: its time from the chunk's first, its length, and what its picture is.
    pub(crate) fn add_frame(&mut self, pts: u64, duration: Option<u64>, picture: &Hash) {
        self.0.update(&pts.to_le_bytes());
        self.0.update(&duration.unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(picture.0.as_bytes());
    }

    /// The whole chunk has been added, and it is encoded with what has this stamp.
    pub(crate) fn get(&self, stamp: &Hash) -> Hash {
        let mut hash = blake3::Hasher::new();
        hash.update(self.0.finalize().as_bytes()).update(stamp.0.as_bytes());
        Hash(hash.finalize())
    }
}

/// Hashes pictures of one kind.
#[derive(Debug)]
pub(crate) struct Pictures {
    caps: gst::Caps,
    /// Where one lies without what lines may have behind them in memory, which is chance.
    plain: Option<(gst_video::VideoInfo, gst::Buffer)>,
}

impl Pictures {
    /// Those of these caps.
    pub(crate) fn new(caps: &gst::Caps) -> Self {
        let plain = || {
            let info = gst_video::VideoInfo::from_caps(caps).ok()?;
            let buffer = gst::Buffer::from_mut_slice(vec![0; info.size()]);
            Some((info, buffer))
        };
        Self { caps: caps.clone(), plain: plain() }
    }

    /// Their caps.
    pub(crate) fn caps(&self) -> &gst::Caps {
        &self.caps
    }

    /// The hash of one, with all that an encoder is told of it but its times.
    pub(crate) fn hash(&mut self, frame: &gst::Buffer) -> io::Result<Hash> {
        let mut hash = blake3::Hasher::new();
        let (unit, media) = to_wire(frame.clone()).map_err(io::Error::other)?;
        let about = message::Unit { pts: None, dts: None, duration: None, layout: None, ..unit };
        let about = postcard::to_stdvec(&about).map_err(io::Error::other)?;
        hash.update(&(about.len() as u64).to_le_bytes()).update(&about);
        match &mut self.plain {
            None => {
                hash.update(&media);
            }
            Some((info, plain)) => {
                let from = gst_video::VideoFrameRef::from_buffer_ref_readable(frame, info).map_err(io::Error::other)?;
                let mut to = gst_video::VideoFrameRef::from_buffer_ref_writable(plain.make_mut(), info)
                    .map_err(io::Error::other)?;
                from.copy(&mut to).map_err(io::Error::other)?;
                drop(to);
                hash.update(plain.map_readable().map_err(io::Error::other)?.as_slice());
            }
        }
        Ok(Hash(hash.finalize()))
    }
}
