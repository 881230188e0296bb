//! Matroska and WebM.
//!
//! Block times are presentation times in ms; nothing but the samples and the plan's hash goes into the
//! file, so there is no `DateUTC`.

mod elements;
mod tracks;

use std::io;

use webm_iterable::matroska_spec::{Block, Master, MatroskaSpec as M, SimpleBlock};

use super::Writer;
use super::codec::{Codec, Kind};
use super::container::Container;
use super::output::Sink;
use super::track::{Header, Sample, Track};
use elements::Elements;
pub(crate) use elements::xiph_lace;

const CLUSTER_MS: i64 = 5_000;
const CLUSTER_BYTES: usize = 5 << 20;
const CLUSTER: u32 = 0x1F43_B675;
/// Room for what only the end knows: the `SeekHead`, and a frame time for the video.
const ROOM: usize = 320;

/// The writer.
pub(crate) struct Mkv {
    container: Container,
    header: Header,
    /// Where the segment's content starts, and what has to be left between there and the first cluster.
    segment: u64,
    head: usize,
    /// Nothing can be filled in later: no duration, no index, and a segment that never tells its size.
    live: bool,
    cluster: Option<Cluster>,
    cues: Vec<Cue>,
    end_ms: f64,
    rate: RateCheck,
}

struct Cluster {
    start: i64,
    elements: Elements,
    /// No block has come yet.
    first: bool,
    /// Each key frame's time, track, and place in the cluster.
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

/// What `CodecDelay` says of a track, ns: its blocks are that much later than they are heard. Opus alone has one: players
/// that know it of other codecs are few, and to the rest their sound would come late.
pub(crate) fn delay(track: &Track) -> i64 {
    match track.codec {
        Codec::Opus => tracks::opus_delay(&track.private).try_into().unwrap_or(0),
        _ => 0,
    }
}

impl Mkv {
    /// Writes everything up to the first cluster.
    pub(crate) fn begin(sink: &mut Sink, container: Container, header: Header) -> io::Result<Self> {
        let mut mkv = Self {
            container,
            header,
            segment: 0,
            head: 0,
            live: sink.is_live(),
            cluster: None,
            cues: Vec::new(),
            end_ms: 0.0,
            rate: RateCheck { regular: true, ..RateCheck::default() },
        };
        let ebml = elements::alone(&mkv.ebml())?;
        sink.write(&ebml)?;
        let mut segment = Elements::within(&[M::Segment(Master::Start)])?;
        sink.write(segment.opening())?;
        mkv.segment = sink.position();
        if !mkv.live {
            segment.put(&M::Void(vec![0; ROOM]))?;
        }
        mkv.tell(&mut segment, None)?;
        mkv.head = segment.bytes().len();
        sink.write(segment.bytes())?;
        Ok(mkv)
    }

    fn ebml(&self) -> M {
        let kind = if self.container == Container::WebM { "webm" } else { "matroska" };
        M::Ebml(Master::Full(vec![
            M::EbmlVersion(1),
            M::EbmlReadVersion(1),
            M::EbmlMaxIdLength(4),
            M::EbmlMaxSizeLength(8),
            M::DocType(kind.into()),
            M::DocTypeVersion(4),
            M::DocTypeReadVersion(2),
        ]))
    }

    /// Everything about the film but its frames; gives each part's id and its place among the elements.
    fn tell(&self, elements: &mut Elements, frame_time: Option<u64>) -> io::Result<Vec<(u32, usize)>> {
        let header = &self.header;
        let mut info = vec![M::TimestampScale(1_000_000)];
        if !self.live {
            info.push(M::Duration(self.end_ms));
        }
        info.extend([
            M::MuxingApp("divien".into()),
            M::WritingApp("divien".into()),
            M::SegmentUID(header.seed.get(..16).unwrap_or_default().to_vec()),
        ]);
        info.extend(header.tags.iter().find(|(n, _)| n == "title").map(|(_, title)| M::Title(title.clone())));
        let tracks = header.tracks.iter().enumerate().map(|(i, t)| tracks::entry(header, i, t, frame_time)).collect();
        let mut places = vec![(0x1549_A966, elements.bytes().len())];
        elements.put(&M::Info(Master::Full(info)))?;
        places.push((0x1654_AE6B, elements.bytes().len()));
        elements.put(&M::Tracks(Master::Full(tracks)))?;
        if !header.chapters.is_empty() {
            places.push((0x1043_A770, elements.bytes().len()));
            elements.put(&tracks::chapters(header))?;
        }
        if !header.attachments.is_empty() {
            places.push((0x1941_A469, elements.bytes().len()));
            elements.put(&tracks::attachments(header))?;
        }
        if let Some(tags) = tracks::tags(header) {
            places.push((0x1254_C367, elements.bytes().len()));
            elements.put(&tags)?;
        }
        Ok(places)
    }

    fn close_cluster(&mut self, sink: &mut Sink) -> io::Result<()> {
        let Some(cluster) = self.cluster.take() else { return Ok(()) };
        let at = sink.position() - self.segment;
        for (time, track, relative) in cluster.cues {
            self.cues.push(Cue { time, track, cluster: at, relative });
        }
        let mut segment = Elements::within(&[M::Segment(Master::Start)])?;
        segment.put_raw(CLUSTER, cluster.elements.bytes())?;
        sink.write(segment.bytes())
    }

    /// The cluster for a sample at this time: the open one unless that is full.
    fn cluster_for(&mut self, sink: &mut Sink, ms: i64, is_key: bool, is_video: bool) -> io::Result<&mut Cluster> {
        let has_video = self.header.tracks.iter().any(|t| t.video.is_some());
        let is_over = self.cluster.as_ref().is_some_and(|cluster| {
            let age = ms - cluster.start;
            let full = age > CLUSTER_MS || cluster.elements.bytes().len() > CLUSTER_BYTES;
            // A time that does not fit a block's 16 bits needs a cluster of its own, whatever comes before.
            (is_video && is_key && age > 0) || (full && (!has_video || is_video)) || !(-30_000..=30_000).contains(&age)
        });
        if is_over {
            self.close_cluster(sink)?;
        }
        let cluster = match self.cluster.take() {
            Some(cluster) => cluster,
            None => {
                let mut elements = Elements::within(&[M::Segment(Master::Start), M::Cluster(Master::Start)])?;
                elements.put(&M::Timestamp(ms.max(0).unsigned_abs()))?;
                Cluster { start: ms, elements, first: true, cues: Vec::new() }
            }
        };
        Ok(self.cluster.insert(cluster))
    }

    /// The head again, now that everything in it is known.
    fn complete_head(&self, sink: &mut Sink, cues: Option<u64>) -> io::Result<()> {
        let video = self.header.tracks.iter().find_map(|t| t.video.as_ref()?.rate);
        let frame_time = video.filter(|(n, _)| *n > 0 && self.rate.is_regular());
        let frame_time = frame_time.map(|(n, d)| 1_000_000_000 * u64::from(d) / u64::from(n));
        let mut told = Elements::within(&[M::Segment(Master::Start)])?;
        let places = self.tell(&mut told, frame_time)?;
        let start = self.head.saturating_sub(told.bytes().len());
        let seek = places.into_iter().map(|(id, at)| (id, (start + at) as u64)).chain(cues.map(|at| (0x1C53_BB6B, at)));
        let seek = seek
            .map(|(id, at)| M::Seek(Master::Full(vec![M::SeekID(u32::to_be_bytes(id).to_vec()), M::SeekPosition(at)])));
        let mut head = Elements::within(&[M::Segment(Master::Start)])?;
        head.put(&M::SeekHead(Master::Full(seek.collect())))?;
        // An empty element of this size has a head of three bytes.
        let rest = start.checked_sub(head.bytes().len() + 3).filter(|rest| (127..16_383).contains(rest));
        let rest = rest.ok_or_else(|| io::Error::other("no room was left for the index of a Matroska file"))?;
        head.put(&M::Void(vec![0; rest]))?;
        sink.patch(self.segment, &[head.bytes(), told.bytes()].concat())?;
        // The segment's size, in the eight bytes that said it was unknown.
        let size = sink.position() - self.segment;
        sink.patch(self.segment - 8, &(size | (1 << 56)).to_be_bytes())
    }
}

impl Writer for Mkv {
    fn sample(&mut self, sink: &mut Sink, index: usize, sample: &Sample) -> io::Result<()> {
        let Some(track) = self.header.tracks.get(index) else { return Ok(()) };
        let kind = track.codec.kind();
        let delay = delay(track);
        let rate = track.video.as_ref().and_then(|v| v.rate);
        let ns = (sample.pts - self.header.base + delay).max(0);
        let ms = (ns + 500_000) / 1_000_000;
        // Matroska keeps ProRes frames without their size and mark.
        let marked = matches!(track.codec, Codec::ProRes(_)) && sample.data.get(4..8) == Some(b"icpf");
        let data = sample.data.get(if marked { 8 } else { 0 }..).unwrap_or_default();
        let has_video = self.header.tracks.iter().any(|t| t.video.is_some());
        let cluster = self.cluster_for(sink, ms, sample.key, kind == Kind::Video)?;
        let place = cluster.elements.bytes().len();
        let is_cue = match kind {
            Kind::Video => sample.key,
            Kind::Audio => !has_video && cluster.first,
            Kind::Subtitle | Kind::Other => false,
        };
        if is_cue {
            cluster.cues.push((ms, index, place));
        }
        cluster.first = false;
        let (number, time) = (index as u64 + 1, i16::try_from(ms - cluster.start).unwrap_or(0));
        cluster.elements.put(&if kind == Kind::Subtitle {
            let mut group = vec![Block::new_uncheked(number, time, false, None, data).into()];
            if sample.duration > 0 {
                group.push(M::BlockDuration((sample.duration + 500_000) / 1_000_000));
            }
            M::BlockGroup(Master::Full(group))
        } else {
            let key = sample.key || kind == Kind::Audio;
            SimpleBlock::new_uncheked(data, number, time, false, None, false, key).into()
        })?;
        self.end_ms = self.end_ms.max((ns as f64 + sample.duration as f64) / 1e6);
        if kind == Kind::Video {
            self.rate.see(sample.pts, rate);
        }
        Ok(())
    }

    fn finish(&mut self, sink: &mut Sink) -> io::Result<()> {
        self.close_cluster(sink)?;
        if self.live {
            return Ok(());
        }
        let cues = (!self.cues.is_empty()).then(|| sink.position() - self.segment);
        if cues.is_some() {
            let points = self.cues.iter().map(|cue| {
                M::CuePoint(Master::Full(vec![
                    M::CueTime(cue.time.max(0).unsigned_abs()),
                    M::CueTrackPositions(Master::Full(vec![
                        M::CueTrack(cue.track as u64 + 1),
                        M::CueClusterPosition(cue.cluster),
                        M::CueRelativePosition(cue.relative as u64),
                    ])),
                ]))
            });
            let mut segment = Elements::within(&[M::Segment(Master::Start)])?;
            segment.put(&M::Cues(Master::Full(points.collect())))?;
            sink.write(segment.bytes())?;
        }
        self.complete_head(sink, cues)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::{Attachment, Chapter, Flags, Output, Video};

    #[test]
    fn the_room_at_the_start_takes_the_largest_index_there_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let (_output, mut sink) = Output::create(Some(&folder.path().join("o.mkv")), false).unwrap();
        // One frame in ten seconds: a frame time of eight bytes.
        let video = Video { rate: Some((1, 10)), ..Video::default() };
        let track = Track {
            codec: Codec::H264,
            private: Vec::new(),
            language: None,
            title: None,
            flags: Flags::default(),
            video: Some(video),
            audio: None,
        };
        let header = Header {
            tracks: vec![track],
            chapters: vec![Chapter { start: 0, end: 1, title: "one".into(), language: None }],
            tags: vec![("artist".into(), "someone".into())],
            attachments: vec![Attachment {
                name: "a.ttf".into(),
                media_type: "font/ttf".into(),
                description: None,
                data: vec![7; 300],
            }],
            ..Header::default()
        };
        let mut mkv = Mkv::begin(&mut sink, Container::Matroska, header).unwrap();
        let head = sink.position();
        for frame in 0..3 {
            mkv.rate.see(frame * 10_000_000_000, Some((1, 10)));
        }
        mkv.complete_head(&mut sink, Some(1 << 50)).unwrap();
        assert_eq!(sink.position(), head);
    }
}
