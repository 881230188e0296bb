//! From samples that arrive in any order on many threads to one file written in one order.
//!
//! Tracks that run ahead wait here: in memory up to [`MEMORY`], beyond that in a temporary file without
//! a name, so that no source is ever held up by a track that lags and no memory grows with the input.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::codec::{Codec, Kind};
use super::container::Container;
use super::merge::Merge;
use super::mkv::{self, Mkv};
use super::mp4::Mp4;
use super::output::Sink;
use super::raw::{Bare, Ivf};
use super::shown::Shown;
use super::track::{Header, Sample, Track};
use super::ts::Ts;
use super::{Writer, av1};

/// What waiting samples may take in memory.
const MEMORY: usize = 64 << 20;

/// A first packet later than this after 0 belongs to a time line that does not start at 0, ns.
const NEAR: i64 = 10_000_000_000;

/// A file being written.
pub struct Session {
    container: Container,
    header: Header,
    origin: i64,
    limit: Option<i64>,
    merge: Merge<Waiting>,
    tracks: Vec<Lane>,
    sink: Option<Sink>,
    writer: Option<Box<dyn Writer>>,
    spill: Spill,
    written: Written,
}

/// What has gone into the file so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The video frames, and when they are shown, on the session's time line.
    pub shown: Shown,
    /// All samples' bytes.
    pub bytes: u64,
    /// The video's share of them.
    pub video_bytes: u64,
    /// The end of the frame shown last, ns from the file's start.
    pub duration: u64,
    /// The end of whatever ends last, ns from the file's start.
    pub end: u64,
    /// The time of the video frame written last, ns from the file's start.
    pub time: u64,
    /// Tracks that turned out empty.
    pub empty: Vec<usize>,
}

#[derive(Debug, Default)]
struct Lane {
    kind: Option<Kind>,
    track: Option<Track>,
    first_pts: Option<i64>,
    ended: bool,
    index: Option<usize>,
}

struct Waiting {
    pts: i64,
    dts: i64,
    duration: u64,
    key: bool,
    data: Data,
}

enum Data {
    Here(Vec<u8>),
    Spilled(u64, usize),
}

#[derive(Debug)]
struct Spill {
    folder: PathBuf,
    file: Option<File>,
    end: u64,
    in_memory: usize,
    in_file: usize,
}

impl Session {
    /// A file with one track for each of `kinds`. `header` brings all but the tracks and the base; times
    /// before `origin` are of use for decoding only.
    #[must_use]
    pub fn new(container: Container, header: Header, origin: i64, kinds: &[Kind], sink: Sink) -> Self {
        let spill = Spill { folder: sink.folder().to_owned(), file: None, end: 0, in_memory: 0, in_file: 0 };
        Self {
            container,
            header,
            origin,
            limit: None,
            merge: Merge::new(kinds.len()),
            tracks: kinds.iter().map(|k| Lane { kind: Some(*k), ..Lane::default() }).collect(),
            sink: Some(sink),
            writer: None,
            spill,
            written: Written::default(),
        }
    }

    /// Says what a track is: before its first sample, and never again unless it is the same.
    ///
    /// False when the track was something else before: a container's header says it once.
    pub fn set_track(&mut self, lane: usize, track: Track) -> bool {
        match self.tracks.get_mut(lane) {
            Some(Lane { track: Some(before), .. }) => {
                before.private == track.private
                    && before.video.as_ref().map(|v| (v.width, v.height))
                        == track.video.as_ref().map(|v| (v.width, v.height))
            }
            Some(lane) => {
                lane.track = Some(track);
                true
            }
            None => false,
        }
    }

    /// True when [`Self::set_track`] has been called for it.
    #[must_use]
    pub fn has_track(&self, lane: usize) -> bool {
        self.tracks.get(lane).is_some_and(|l| l.track.is_some())
    }

    /// Adds a sample.
    pub fn push(&mut self, lane: usize, mut sample: Sample) -> io::Result<()> {
        let bare = matches!(self.container, Container::Obu | Container::Ivf);
        if let Some(l) = self.tracks.get_mut(lane) {
            l.first_pts.get_or_insert(sample.pts);
            if let Some(track) = l.track.as_mut().filter(|t| t.codec == Codec::Av1 && !bare) {
                if track.private.is_empty() {
                    track.private = av1::configuration(&sample.data).unwrap_or_default();
                }
                sample.data = av1::without_delimiters(&sample.data);
            }
        }
        let key = sample.dts;
        let data = self.spill.keep(sample.data)?;
        let waiting = Waiting { pts: sample.pts, dts: sample.dts, duration: sample.duration, key: sample.key, data };
        self.merge.push(lane, key, waiting);
        self.drain()
    }

    /// No later sample of this track comes before `time`.
    pub fn promise(&mut self, lane: usize, time: i64) -> io::Result<()> {
        self.merge.promise(lane, time);
        self.drain()
    }

    /// This track has no more samples.
    pub fn end(&mut self, lane: usize) -> io::Result<()> {
        if let Some(l) = self.tracks.get_mut(lane) {
            l.ended = true;
        }
        self.merge.end(lane);
        self.drain()
    }

    /// Sound and subtitles from this time on are left out.
    pub fn limit(&mut self, time: i64) {
        self.limit = Some(time);
    }

    /// How many tracks there may be.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.tracks.len()
    }

    /// True when every track but the first, which is the picture, has ended.
    #[must_use]
    pub fn others_have_ended(&self) -> bool {
        self.tracks.iter().skip(1).all(|lane| lane.ended)
    }

    /// True when every track has ended and every sample is in the file.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.merge.is_done()
    }

    /// What has gone into the file so far.
    #[must_use]
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Completes the file, with what has come.
    pub fn finish(&mut self) -> io::Result<Option<Sink>> {
        for lane in 0..self.tracks.len() {
            self.end(lane)?;
        }
        let Some(mut sink) = self.sink.take() else { return Ok(None) };
        if let Some(mut writer) = self.writer.take() {
            writer.finish(&mut sink)?;
        }
        Ok(Some(sink))
    }

    fn begin(&mut self) -> io::Result<bool> {
        if self.writer.is_some() {
            return Ok(true);
        }
        let Some(sink) = self.sink.as_mut() else { return Ok(false) };
        let known = |l: &Lane| {
            l.ended
                || match l.kind {
                    Some(Kind::Video | Kind::Audio) => l.track.is_some() && l.first_pts.is_some(),
                    _ => l.track.is_some(),
                }
        };
        if !self.tracks.iter().all(known) {
            return Ok(false);
        }
        for (i, lane) in self.tracks.iter_mut().enumerate() {
            // Whether texts have ended by now is chance: their track is there in any case.
            let is_kept = lane.first_pts.is_some() || !matches!(lane.kind, Some(Kind::Video | Kind::Audio));
            match lane.track.take().filter(|_| is_kept) {
                Some(track) => {
                    lane.index = Some(self.header.tracks.len());
                    lane.track = Some(track.clone());
                    self.header.tracks.push(track);
                }
                None => self.written.empty.push(i),
            }
        }
        let timed = self.tracks.iter().filter(|l| matches!(l.kind, Some(Kind::Video | Kind::Audio)));
        let notes_delay = matches!(self.container, Container::Matroska | Container::WebM);
        let starts = timed.filter_map(|l| {
            let delay = l.track.as_ref().filter(|_| notes_delay).map_or(0, mkv::delay);
            l.first_pts.map(|pts| pts.saturating_add(delay))
        });
        let first = starts.min().unwrap_or(self.origin);
        let has_edits = matches!(self.container, Container::Mp4 | Container::Mov);
        // Cues and chapters may come before the first picture, and they count from the input's own 0.
        let counted = self.tracks.iter().any(|l| l.kind == Some(Kind::Subtitle)) || !self.header.chapters.is_empty();
        let is_near = (self.origin..self.origin.saturating_add(NEAR)).contains(&first);
        self.header.base = match has_edits {
            _ if counted && is_near => self.origin,
            true => first.max(self.origin),
            false => first,
        };
        for chapter in &mut self.header.chapters {
            let moved = |t: u64| u64::try_from(i128::from(t) - i128::from(self.header.base)).unwrap_or(0);
            chapter.start = moved(chapter.start);
            chapter.end = moved(chapter.end);
        }
        let header = self.header.clone();
        self.writer = Some(match self.container {
            Container::Mp4 | Container::Mov => Box::new(Mp4::begin(sink, self.container, header)?),
            Container::Matroska | Container::WebM => Box::new(Mkv::begin(sink, self.container, header)?),
            Container::MpegTs => Box::new(Ts::begin(header)),
            Container::Ivf => Box::new(Ivf::begin(sink, &header)?),
            Container::H264 | Container::H265 | Container::Obu => Box::new(Bare),
        });
        Ok(true)
    }

    fn drain(&mut self) -> io::Result<()> {
        if !self.begin()? {
            return Ok(());
        }
        while let Some((lane, waiting)) = self.merge.pop() {
            let data = self.spill.take(waiting.data)?;
            let Some(lane) = self.tracks.get(lane) else { continue };
            let (Some(index), Some(kind)) = (lane.index, lane.kind) else { continue };
            if kind != Kind::Video && self.limit.is_some_and(|end| waiting.pts >= end) {
                continue;
            }
            let sample =
                Sample { pts: waiting.pts, dts: waiting.dts, duration: waiting.duration, key: waiting.key, data };
            let (Some(sink), Some(writer)) = (self.sink.as_mut(), self.writer.as_mut()) else { break };
            writer.sample(sink, index, &sample)?;
            let size = sample.data.len() as u64;
            let start = u64::try_from(sample.pts - self.header.base).unwrap_or(0);
            self.written.bytes += size;
            self.written.end = self.written.end.max(start + sample.duration);
            if kind == Kind::Video {
                self.written.shown.add(sample.pts);
                self.written.video_bytes += size;
                self.written.time = start;
                self.written.duration = self.written.duration.max(start + sample.duration);
            }
        }
        self.sink.as_mut().map_or(Ok(()), Sink::publish)
    }
}

impl Spill {
    fn keep(&mut self, data: Vec<u8>) -> io::Result<Data> {
        if self.in_memory + data.len() <= MEMORY {
            self.in_memory += data.len();
            return Ok(Data::Here(data));
        }
        let file = match self.file.as_mut() {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
        };
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&data)?;
        let at = self.end;
        self.end += data.len() as u64;
        self.in_file += 1;
        Ok(Data::Spilled(at, data.len()))
    }

    fn take(&mut self, data: Data) -> io::Result<Vec<u8>> {
        match data {
            Data::Here(data) => {
                self.in_memory = self.in_memory.saturating_sub(data.len());
                Ok(data)
            }
            Data::Spilled(at, size) => {
                let mut data = vec![0; size];
                if let Some(file) = self.file.as_mut() {
                    file.seek(SeekFrom::Start(at))?;
                    file.read_exact(&mut data)?;
                }
                self.in_file = self.in_file.saturating_sub(1);
                if self.in_file == 0 {
                    self.end = 0;
                }
                Ok(data)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::track::{Audio, Flags, Video};
    use crate::mux::{Output, Sink};

    fn track(codec: Codec) -> Track {
        let video = (codec.kind() == Kind::Video).then(|| Video {
            width: 64,
            height: 48,
            rate: Some((25, 1)),
            ..Video::default()
        });
        let audio = (codec.kind() == Kind::Audio).then_some(Audio { rate: 48_000, channels: 2, bits: 0 });
        Track { codec, private: vec![1, 2, 3], language: None, title: None, flags: Flags::default(), video, audio }
    }

    fn sample(ms: i64, length: u64, size: usize) -> Sample {
        let ns = ms * 1_000_000;
        Sample { pts: ns, dts: ns, duration: length * 1_000_000, key: true, data: vec![ms as u8; size] }
    }

    fn file(container: Container, video_first: bool, size: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let (output, sink): (Output, Sink) = Output::create(Some(&target), false).unwrap();
        let kinds = [Kind::Video, Kind::Audio];
        let header = Header { seed: [7; 32], ..Header::default() };
        let mut session = Session::new(container, header, 0, &kinds, sink);
        let video = (0..50).map(|i| (0, sample(i * 40, 40, size)));
        let sound = (0..90).map(|i| (1, sample(i * 21, 21, 200)));
        let all: Vec<_> = if video_first { video.chain(sound).collect() } else { sound.chain(video).collect() };
        session.set_track(0, track(Codec::H264));
        session.set_track(1, track(Codec::Aac));
        for (lane, sample) in all {
            session.push(lane, sample).unwrap();
        }
        let sink = session.finish().unwrap().unwrap();
        output.commit(sink);
        std::fs::read(&target).unwrap()
    }

    #[test]
    fn no_byte_depends_on_which_track_came_first() {
        for container in [Container::Mp4, Container::Mov, Container::Matroska, Container::MpegTs] {
            let (a, b) = (file(container, true, 100), file(container, false, 100));
            assert!(a == b && a.len() > 10_000, "{container:?}");
        }
    }

    #[test]
    fn an_opus_tracks_lead_in_is_told_to_matroska_and_moves_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.mkv");
        let (output, sink) = Output::create(Some(&target), false).unwrap();
        let kinds = [Kind::Video, Kind::Audio];
        let header = Header { seed: [7; 32], ..Header::default() };
        let mut session = Session::new(Container::Matroska, header, 0, &kinds, sink);
        session.set_track(0, track(Codec::H264));
        // 312 samples of 48 kHz, which are 6.5 ms.
        let private = [b"OpusHead\x01\x02".as_slice(), &312u16.to_le_bytes(), &[0; 7]].concat();
        session.set_track(1, Track { private, ..track(Codec::Opus) });
        session.push(0, sample(0, 40, 10)).unwrap();
        session.push(1, Sample { pts: -6_500_000, dts: -6_500_000, ..sample(1, 20, 5) }).unwrap();
        output.commit(session.finish().unwrap().unwrap());
        let data = std::fs::read(&target).unwrap();
        let block = |size: u8, track: u8| [0xA3, 0x80 | (size + 4), 0x80 | track, 0, 0, 0x80];
        for head in [block(10, 1), block(5, 2)] {
            assert!(data.windows(6).any(|w| w == head), "a block at 0: {head:02x?}");
        }
    }

    #[test]
    fn what_does_not_fit_memory_waits_on_the_disk_and_comes_back_whole() {
        let (a, b) = (file(Container::Matroska, true, 3 << 20), file(Container::Matroska, false, 3 << 20));
        assert!(a == b && a.len() > 50 * (3 << 20));
    }
}
