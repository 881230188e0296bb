//! IVF, and bare streams of one video.

use std::io;

use super::Writer;
use super::codec::Codec;
use super::output::Sink;
use super::track::{Header, Sample};

/// A bare stream: the samples' bytes and nothing else.
pub(crate) struct Bare;

impl Writer for Bare {
    fn sample(&mut self, sink: &mut Sink, _track: usize, sample: &Sample) -> io::Result<()> {
        sink.write(&sample.data)
    }

    fn finish(&mut self, _sink: &mut Sink) -> io::Result<()> {
        Ok(())
    }
}

/// IVF: a header, and each frame with its size and time.
pub(crate) struct Ivf {
    base: i64,
    clock: (u32, u32),
    /// In ticks of the clock: readers take the header's count for the length.
    end: u32,
}

impl Ivf {
    pub(crate) fn begin(sink: &mut Sink, header: &Header) -> io::Result<Self> {
        let track = header.tracks.first();
        let video = track.and_then(|t| t.video.clone()).unwrap_or_default();
        let fourcc = match track.map(|t| &t.codec) {
            Some(Codec::Vp8) => b"VP80",
            Some(Codec::Vp9) => b"VP90",
            _ => b"AV01",
        };
        // A clock of whole frames cannot say the times of a variable rate: fine steps of it can.
        let clock = match video.rate {
            Some((n, d)) if n > 0 && n.checked_mul(100).is_some() => (n * 100, d),
            _ => (90_000, 1),
        };
        let mut out = b"DKIF\0\0\x20\0".to_vec();
        out.extend_from_slice(fourcc);
        out.extend((video.width as u16).to_le_bytes());
        out.extend((video.height as u16).to_le_bytes());
        out.extend(clock.0.to_le_bytes());
        out.extend(clock.1.to_le_bytes());
        out.extend([0; 8]);
        sink.write(&out)?;
        Ok(Self { base: header.base, clock, end: 0 })
    }
}

impl Writer for Ivf {
    fn sample(&mut self, sink: &mut Sink, _track: usize, sample: &Sample) -> io::Result<()> {
        let size = u32::try_from(sample.data.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a frame of more than 4 GiB does not fit IVF"))?;
        let ns = i128::from((sample.pts - self.base).max(0));
        let (n, d) = (i128::from(self.clock.0), 1_000_000_000 * i128::from(self.clock.1));
        let ticks = |ns: i128| u64::try_from((ns * n + d / 2) / d.max(1)).unwrap_or(0);
        let time = ticks(ns);
        let end = u32::try_from(ticks(ns + i128::from(sample.duration))).unwrap_or(u32::MAX);
        self.end = self.end.max(end);
        sink.write(&size.to_le_bytes())?;
        sink.write(&time.to_le_bytes())?;
        sink.write(&sample.data)
    }

    fn finish(&mut self, sink: &mut Sink) -> io::Result<()> {
        if sink.is_live() {
            return Ok(());
        }
        sink.patch(24, &self.end.to_le_bytes())
    }
}
