//! MP4 and QuickTime.
//!
//! Samples go to `mdat` as they come from the merge; the index follows, or is put before them when
//! asked (`+faststart`). There are no creation times. The edit list reaches to the end of the frame
//! shown last, so that with B-frames and a variable rate no player drops it.

mod boxes;
mod entries;
mod moov;
mod timing;

use std::io;

use super::Writer;
use super::codec::Codec;
use super::container::Container;
use super::output::Sink;
use super::text;
use super::track::{Header, Sample, Track};
use boxes::Boxes;
pub(crate) use moov::tag_box;
pub(crate) use timing::scale;

/// The writer.
pub(crate) struct Mp4 {
    container: Container,
    header: Header,
    tracks: Vec<TrackState>,
    mdat: u64,
    open_chunk: Option<usize>,
}

/// What is remembered of a track until the index is written.
struct TrackState {
    scale: u32,
    samples: Vec<Entry>,
    /// Each chunk's place in the file and its first sample's number.
    chunks: Vec<(u64, usize)>,
    /// The first sample's start: some sample entries are made from it.
    first: Vec<u8>,
    pcm_frame: Option<u32>,
    /// Where the last cue ends: cues have to follow each other without a gap.
    text_end: i64,
}

struct Entry {
    pts: i64,
    dts: i64,
    duration: u64,
    size: u32,
    key: bool,
}

/// A track's clock: its frame rate's own, made fine enough for frames that keep to no rate.
fn clock(track: &Track) -> u32 {
    if let Some(audio) = &track.audio {
        return match track.codec {
            Codec::Opus => 48_000,
            _ => audio.rate.max(1),
        };
    }
    let rate = track.video.as_ref().and_then(|v| v.rate).filter(|(n, d)| *n > 0 && *d > 0);
    match rate {
        Some((n, _)) if n <= 200_000 => n * 12_800u32.div_ceil(n),
        Some(_) => 90_000,
        None if track.video.is_some() => 90_000,
        None => 1000,
    }
}

impl Mp4 {
    /// Writes everything up to the first sample.
    pub(crate) fn begin(sink: &mut Sink, container: Container, header: Header) -> io::Result<Self> {
        let mut b = Boxes::default();
        b.boxed(b"ftyp", |b| {
            if container == Container::Mov {
                b.bytes(b"qt  ");
                b.u32(0x200);
                b.bytes(b"qt  ");
                return;
            }
            b.bytes(b"isom");
            b.u32(0x200);
            b.bytes(b"isomiso2");
            if header.tracks.iter().any(|t| t.codec == Codec::H264) {
                b.bytes(b"avc1");
            }
            if header.tracks.iter().any(|t| t.codec == Codec::Av1) {
                b.bytes(b"av01");
            }
            b.bytes(b"mp41");
        });
        let mdat = b.0.len() as u64;
        b.u32(1);
        b.bytes(b"mdat");
        b.u64(0);
        sink.write(&b.0)?;
        let tracks = header
            .tracks
            .iter()
            .map(|track| TrackState {
                scale: clock(track),
                samples: Vec::new(),
                chunks: Vec::new(),
                first: Vec::new(),
                pcm_frame: match (&track.codec, &track.audio) {
                    (Codec::Pcm(_), Some(audio)) => Some(2 * u32::from(audio.channels).max(1)),
                    _ => None,
                },
                text_end: header.base,
            })
            .collect();
        Ok(Self { container, header, tracks, mdat, open_chunk: None })
    }

    fn add(&mut self, sink: &mut Sink, index: usize, data: &[u8], entry: Entry) -> io::Result<()> {
        let Some(state) = self.tracks.get_mut(index) else { return Ok(()) };
        if self.open_chunk != Some(index) {
            state.chunks.push((sink.position(), state.samples.len()));
            self.open_chunk = Some(index);
        }
        if state.samples.is_empty() {
            state.first = data.get(..data.len().min(64)).unwrap_or_default().to_vec();
        }
        state.samples.push(entry);
        sink.write(data)
    }

    fn add_text(&mut self, sink: &mut Sink, index: usize, sample: &Sample, body: &[u8]) -> io::Result<()> {
        let end = self.tracks.get(index).map_or(0, |s| s.text_end);
        let pts = sample.pts.max(end);
        if pts > end {
            let gap = Entry { pts: end, dts: end, duration: (pts - end).unsigned_abs(), size: 2, key: true };
            self.add(sink, index, &[0, 0], gap)?;
        }
        let duration = sample.duration.saturating_sub((pts - sample.pts).unsigned_abs());
        if let Some(state) = self.tracks.get_mut(index) {
            state.text_end = pts + duration as i64;
        }
        let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.add(sink, index, body, Entry { pts, dts: pts, duration, size, key: true })
    }
}

impl Writer for Mp4 {
    fn sample(&mut self, sink: &mut Sink, index: usize, sample: &Sample) -> io::Result<()> {
        let Some(track) = self.header.tracks.get(index) else { return Ok(()) };
        if track.codec == Codec::Text {
            let body = text::tx3g(&sample.data);
            return self.add_text(sink, index, sample, &body);
        }
        let size = u32::try_from(sample.data.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a sample of more than 4 GiB does not fit MP4"))?;
        let (pts, dts, duration) = (sample.pts, sample.dts, sample.duration);
        self.add(sink, index, &sample.data, Entry { pts, dts, duration, size, key: sample.key })
    }

    fn finish(&mut self, sink: &mut Sink) -> io::Result<()> {
        let end = sink.position();
        sink.patch(self.mdat + 8, &(end - self.mdat).to_be_bytes())?;
        // Decided with room to spare, so that both passes choose the same width.
        let wide = end > u64::from(u32::MAX) - (1 << 28);
        let index = moov::moov(self, 0, wide);
        if self.header.faststart {
            let index = moov::moov(self, index.len() as u64, wide);
            sink.insert(self.mdat, &index)
        } else {
            sink.write(&index)
        }
    }
}
