//! Matroska and WebM.
//!
//! Block times are presentation times in ms; nothing but the samples and the plan's hash goes into the
//! file, so there is no `DateUTC`.

mod ebml;
mod tracks;

use std::io;

use super::Writer;
use super::codec::{Codec, Kind};
use super::container::Container;
use super::output::Sink;
use super::track::{Header, Sample};
use ebml::Ebml;
pub(crate) use ebml::xiph_lace;

const CLUSTER_MS: i64 = 5_000;
const CLUSTER_BYTES: usize = 5 << 20;
/// Room for a `SeekHead` of five entries.
const SEEK_HEAD_BYTES: usize = 128;

/// The writer.
pub(crate) struct Mkv {
    header: Header,
    segment: u64,
    duration_at: u64,
    default_duration_at: Option<(usize, u64)>,
    seek: Vec<(u32, u64)>,
    cluster: Cluster,
    cues: Vec<Cue>,
    end_ms: f64,
    rate: RateCheck,
}

#[derive(Default)]
struct Cluster {
    start: Option<i64>,
    blocks: Ebml,
    cues: Vec<(i64, usize, usize)>,
}

struct Cue {
    time: i64,
    track: usize,
    cluster: u64,
    relative: usize,
}

/// Tells whether all frames are one frame time apart, to the clock's rounding.
#[derive(Default)]
struct RateCheck {
    frames: u64,
    first: i64,
    last: i64,
    regular: bool,
    step: f64,
}

impl Mkv {
    /// Writes everything up to the first cluster.
    pub(crate) fn begin(sink: &mut Sink, container: Container, header: Header) -> io::Result<Self> {
        let mut e = Ebml::new();
        e.master(0x1A45_DFA3, |e| {
            e.uint(0x4286, 1);
            e.uint(0x42F7, 1);
            e.uint(0x42F2, 4);
            e.uint(0x42F3, 8);
            e.text(0x4282, if container == Container::WebM { "webm" } else { "matroska" });
            e.uint(0x4287, 4);
            e.uint(0x4285, 2);
        });
        e.id(0x1853_8067);
        e.0.extend([0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        let segment = e.0.len() as u64;
        e.void(SEEK_HEAD_BYTES);
        let place = |e: &Ebml| e.0.len() as u64 - segment;
        let mut seek = vec![(0x1549_A966, place(&e))];

        let mut info = Ebml::new();
        info.uint(0x002A_D7B1, 1_000_000);
        let duration_in_info = info.0.len();
        info.float(0x4489, 0.0);
        info.text(0x4D80, "divien");
        info.text(0x5741, "divien");
        info.binary(0x73A4, header.seed.get(..16).unwrap_or_default());
        if let Some((_, title)) = header.tags.iter().find(|(n, _)| n == "title") {
            info.text(0x7BA9, title);
        }
        e.binary(0x1549_A966, &info.0);
        let duration_at = (e.0.len() - info.0.len() + duration_in_info + 3) as u64;

        seek.push((0x1654_AE6B, place(&e)));
        let mut all = Ebml::new();
        let mut default_at = None;
        for (i, track) in header.tracks.iter().enumerate() {
            let (entry, at) = tracks::entry(&header, i, track);
            all.binary(0xAE, &entry.0);
            if let Some(at) = at {
                default_at = Some((i, all.0.len() - entry.0.len() + at));
            }
        }
        e.binary(0x1654_AE6B, &all.0);
        let tracks_start = e.0.len() - all.0.len();
        let default_duration_at = default_at.map(|(i, at)| (i, (tracks_start + at) as u64));

        if !header.chapters.is_empty() {
            seek.push((0x1043_A770, place(&e)));
            e.0.extend(tracks::chapters(&header).0);
        }
        if header.tags.iter().any(|(n, _)| n != "title") {
            seek.push((0x1254_C367, place(&e)));
            e.0.extend(tracks::tags(&header).0);
        }
        sink.write(&e.0)?;
        Ok(Self {
            header,
            segment,
            duration_at,
            default_duration_at,
            seek,
            cluster: Cluster::default(),
            cues: Vec::new(),
            end_ms: 0.0,
            rate: RateCheck { regular: true, ..RateCheck::default() },
        })
    }

    fn close_cluster(&mut self, sink: &mut Sink) -> io::Result<()> {
        let cluster = std::mem::take(&mut self.cluster);
        let Some(start) = cluster.start else { return Ok(()) };
        let mut time = Ebml::new();
        time.uint(0xE7, start.max(0).unsigned_abs());
        let mut e = Ebml::new();
        e.id(0x1F43_B675);
        e.size(time.0.len() + cluster.blocks.0.len());
        let at = sink.position() - self.segment;
        for (ms, track, relative) in cluster.cues {
            self.cues.push(Cue { time: ms, track, cluster: at, relative: relative + time.0.len() });
        }
        sink.write(&e.0)?;
        sink.write(&time.0)?;
        sink.write(&cluster.blocks.0)
    }
}

impl Writer for Mkv {
    fn sample(&mut self, sink: &mut Sink, index: usize, sample: &Sample) -> io::Result<()> {
        let Some(track) = self.header.tracks.get(index) else { return Ok(()) };
        let kind = track.codec.kind();
        let delay = match track.codec {
            Codec::Opus => tracks::opus_delay(&track.private) as i64,
            _ => 0,
        };
        let rate = track.video.as_ref().and_then(|v| v.rate);
        let is_prores = matches!(track.codec, Codec::ProRes(_));
        let ns = (sample.pts - self.header.base + delay).max(0);
        let ms = (ns + 500_000) / 1_000_000;
        let has_video = self.header.tracks.iter().any(|t| t.video.is_some());
        if let Some(start) = self.cluster.start {
            let age = ms - start;
            let full = age > CLUSTER_MS || self.cluster.blocks.0.len() > CLUSTER_BYTES;
            let at_key = kind == Kind::Video && sample.key && age > 0;
            // A time that does not fit a block's 16 bits needs a cluster of its own, whatever comes before.
            if at_key || (full && (!has_video || kind == Kind::Video)) || !(-30_000..=30_000).contains(&age) {
                self.close_cluster(sink)?;
            }
        }
        let start = *self.cluster.start.get_or_insert(ms);
        let is_cue = match kind {
            Kind::Video => sample.key,
            Kind::Audio => !has_video && self.cluster.blocks.0.is_empty(),
            Kind::Subtitle | Kind::Other => false,
        };
        if is_cue {
            self.cluster.cues.push((ms, index, self.cluster.blocks.0.len()));
        }
        // Matroska keeps ProRes frames without their size and mark.
        let marked = is_prores && sample.data.get(4..8) == Some(b"icpf");
        let data = sample.data.get(if marked { 8 } else { 0 }..).unwrap_or_default();
        let relative = i16::try_from(ms - start).unwrap_or(0).to_be_bytes();
        let mut block = Ebml::new();
        block.size(index + 1);
        block.0.extend(relative);
        if kind == Kind::Subtitle {
            block.0.push(0);
            block.0.extend_from_slice(data);
            self.cluster.blocks.master(0xA0, |e| {
                e.binary(0xA1, &block.0);
                if sample.duration > 0 {
                    e.uint(0x9B, (sample.duration + 500_000) / 1_000_000);
                }
            });
        } else {
            block.0.push(if sample.key || kind == Kind::Audio { 0x80 } else { 0 });
            let blocks = &mut self.cluster.blocks;
            blocks.id(0xA3);
            blocks.size(block.0.len() + data.len());
            blocks.0.extend(block.0);
            blocks.0.extend_from_slice(data);
        }
        self.end_ms = self.end_ms.max((ns as f64 + sample.duration as f64) / 1e6);
        if kind == Kind::Video {
            self.rate.see(sample.pts, rate);
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut Sink) -> io::Result<()> {
        self.close_cluster(sink)?;
        if !self.cues.is_empty() {
            self.seek.push((0x1C53_BB6B, sink.position() - self.segment));
            let mut e = Ebml::new();
            e.master(0x1C53_BB6B, |e| {
                for cue in &self.cues {
                    e.master(0xBB, |e| {
                        e.uint(0xB3, cue.time.max(0).unsigned_abs());
                        e.master(0xB7, |e| {
                            e.uint(0xF7, cue.track as u64 + 1);
                            e.uint(0xF1, cue.cluster);
                            e.uint(0xF0, cue.relative as u64);
                        });
                    });
                }
            });
            sink.write(&e.0)?;
        }
        let mut head = Ebml::new();
        head.master(0x114D_9B74, |e| {
            for (id, at) in &self.seek {
                let mut name = Ebml::new();
                name.id(*id);
                e.master(0x4DBB, |e| {
                    e.binary(0x53AB, &name.0);
                    e.uint8(0x53AC, *at);
                });
            }
        });
        let rest = SEEK_HEAD_BYTES.saturating_sub(head.0.len());
        head.void(rest.max(2));
        sink.patch(self.segment, &head.0)?;
        sink.patch(self.duration_at, &self.end_ms.to_be_bytes())?;
        let size = sink.position() - self.segment;
        sink.patch(self.segment - 8, &(size | (1 << 56)).to_be_bytes())?;
        let rate = self.default_duration_at.and_then(|(i, at)| {
            let (n, d) = self.header.tracks.get(i)?.video.as_ref()?.rate?;
            (self.rate.is_regular() && n > 0).then(|| (at, 1_000_000_000 * u64::from(d) / u64::from(n)))
        });
        if let Some((at, ns)) = rate {
            let mut e = Ebml::new();
            e.uint8(0x0023_E383, ns);
            sink.patch(at, &e.0)?;
        }
        Ok(())
    }
}

impl RateCheck {
    fn see(&mut self, pts: i64, rate: Option<(u32, u32)>) {
        let Some((n, d)) = rate.filter(|(n, _)| *n > 0) else {
            self.regular = false;
            return;
        };
        self.step = 1e9 * f64::from(d) / f64::from(n);
        if self.frames == 0 {
            (self.first, self.last) = (pts, pts);
        }
        self.frames += 1;
        self.last = self.last.max(pts);
        // The first frame in decode order is the first shown, so every other is a whole number of steps later.
        let steps = (pts - self.first) as f64 / self.step;
        if (steps - steps.round()).abs() * self.step > 1.1e6 {
            self.regular = false;
        }
    }

    fn is_regular(&self) -> bool {
        let expected = (self.last - self.first) as f64 / self.step + 1.0;
        self.regular && self.frames > 1 && (expected - self.frames as f64).abs() < 0.5
    }
}
