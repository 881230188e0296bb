//! MP4 and QuickTime.
//!
//! Samples go to `mdat` as they come from the merge; the index follows, or is put before them when
//! asked (`+faststart`). There are no creation times. The edit list reaches to the end of the frame
//! shown last, so that with B-frames and a variable rate no player drops it.

mod entries;
mod moov;
mod timing;

use std::io;

use mp4_atom::{Encode as _, FourCC, Ftyp};

use super::Writer;
use super::codec::Codec;
use super::container::Container;
use super::output::Sink;
use super::text;
use super::track::{Flags, Header, Sample, Track};
pub(crate) use moov::tag_box;
pub(crate) use timing::scale;

/// What the track of chapters carries.
const CHAPTERS: &str = "chapters";

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

fn fault(e: mp4_atom::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this does not fit MP4: {e}"))
}

/// The track that tells players the chapters.
fn chapter_track(header: &Header) -> Track {
    Track {
        codec: Codec::Other(CHAPTERS.into()),
        private: Vec::new(),
        language: header.chapters.first().and_then(|c| c.language.clone()),
        title: None,
        flags: Flags::default(),
        video: None,
        audio: None,
    }
}

impl Mp4 {
    /// Writes everything up to the first sample.
    pub(crate) fn begin(sink: &mut Sink, container: Container, mut header: Header) -> io::Result<Self> {
        let mut brands = vec![b"isom", b"iso2"];
        if header.tracks.iter().any(|t| t.codec == Codec::H264) {
            brands.push(b"avc1");
        }
        if header.tracks.iter().any(|t| t.codec == Codec::Av1) {
            brands.push(b"av01");
        }
        brands.push(b"mp41");
        if container == Container::Mov {
            brands = vec![b"qt  "];
        }
        let ftyp = Ftyp {
            major_brand: FourCC::new(if container == Container::Mov { b"qt  " } else { b"isom" }),
            minor_version: 0x200,
            compatible_brands: brands.into_iter().map(FourCC::new).collect(),
        };
        let mut out = Vec::new();
        ftyp.encode(&mut out).map_err(fault)?;
        let mdat = out.len() as u64;
        // A size of 1 says that the real one follows the name, in 64 bits.
        1u32.encode(&mut out).map_err(fault)?;
        b"mdat".encode(&mut out).map_err(fault)?;
        0u64.encode(&mut out).map_err(fault)?;
        sink.write(&out)?;
        if !header.chapters.is_empty() {
            header.tracks.push(chapter_track(&header));
        }
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

    /// Chapters follow each other without a gap, and end with the film.
    fn add_chapters(&mut self, sink: &mut Sink) -> io::Result<()> {
        let Some(index) = self.header.tracks.iter().position(|t| t.codec == Codec::Other(CHAPTERS.into())) else {
            return Ok(());
        };
        let ends = self.tracks.iter().flat_map(|t| &t.samples).map(|s| s.pts.saturating_add_unsigned(s.duration));
        let film = ends.max().unwrap_or(0);
        let base = self.header.base;
        let mut chapters: Vec<_> =
            self.header.chapters.iter().map(|c| (base.saturating_add_unsigned(c.start), c.clone())).collect();
        chapters.sort_by_key(|(start, _)| *start);
        chapters.retain(|(start, _)| *start < film);
        let next = chapters.iter().skip(1).map(|(start, _)| Some(*start)).chain([None]).collect::<Vec<_>>();
        for ((pts, chapter), next) in chapters.into_iter().zip(next) {
            let own = base.saturating_add_unsigned(chapter.end).clamp(pts, film);
            let duration = (next.unwrap_or(own) - pts).unsigned_abs();
            let body = text::chapter(&chapter.title).map_err(fault)?;
            let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
            self.add(sink, index, &body, Entry { pts, dts: pts, duration, size, key: true })?;
        }
        Ok(())
    }
}

impl Writer for Mp4 {
    fn sample(&mut self, sink: &mut Sink, index: usize, sample: &Sample) -> io::Result<()> {
        let Some(track) = self.header.tracks.get(index) else { return Ok(()) };
        if track.codec == Codec::Text {
            let body = text::tx3g(&sample.data).map_err(fault)?;
            return self.add_text(sink, index, sample, &body);
        }
        let size = u32::try_from(sample.data.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a sample of more than 4 GiB does not fit MP4"))?;
        let (pts, dts, duration) = (sample.pts, sample.dts, sample.duration);
        self.add(sink, index, &sample.data, Entry { pts, dts, duration, size, key: sample.key })
    }

    fn finish(&mut self, sink: &mut Sink) -> io::Result<()> {
        for index in 0..self.tracks.len() {
            // Readers show the last cue to the end of the film unless an empty one follows it.
            let is_text = self.header.tracks.get(index).is_some_and(|t| t.codec == Codec::Text);
            let state = self.tracks.get(index).filter(|s| is_text && !s.samples.is_empty());
            if let Some(at) = state.map(|s| s.text_end) {
                self.add(sink, index, &[0, 0], Entry { pts: at, dts: at, duration: 1_000_000, size: 2, key: true })?;
            }
        }
        self.add_chapters(sink)?;
        let end = sink.position();
        sink.patch(self.mdat + 8, &(end - self.mdat).to_be_bytes())?;
        // Decided with room to spare, so that both passes choose the same width.
        let wide = end > u64::from(u32::MAX) - (1 << 28);
        let index = moov::moov(self, 0, wide).map_err(fault)?;
        if self.header.faststart {
            let index = moov::moov(self, index.len() as u64, wide).map_err(fault)?;
            sink.insert(self.mdat, &index)
        } else {
            sink.write(&index)
        }
    }
}
