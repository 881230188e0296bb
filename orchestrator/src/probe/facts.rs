//! What an input turned out to be.

use std::ops::Range;

use gstdivien::chunk::Unit;

use super::pace::{Pace, Pause};
use super::seek::Skip;
use crate::mux::{Attachment, Chapter, Codec, Flags, Kind, Sample};

/// Everything known about an input before it is decoded.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The input's name, for messages.
    pub name: String,
    /// Its length in ns, where the container says so.
    pub duration: Option<u64>,
    /// Its first time stamp, ns; sound and pictures before 0 are of use for decoding only.
    pub start: Option<i64>,
    /// In the order the demuxer gave them.
    pub streams: Vec<Stream>,
    /// The table of contents.
    pub chapters: Vec<Chapter>,
    /// Title and the like, by ffmpeg's names.
    pub tags: Vec<(String, String)>,
    /// Files within the file: fonts, covers.
    pub attachments: Vec<Attachment>,
    /// Streams that no installed element understands.
    pub unknown: Vec<String>,
    /// Bytes that the file's own header promises and that are not there.
    pub cut: Option<u64>,
    /// What the demuxer complained about on the way.
    pub complaint: Option<String>,
}

/// One stream of the input.
#[derive(Debug, Clone)]
pub struct Stream {
    /// What it carries.
    pub kind: Kind,
    /// How it is compressed.
    pub codec: Codec,
    /// The caps it leaves the parser with.
    pub caps: gst::Caps,
    /// ISO 639-2 code.
    pub language: Option<String>,
    /// The stream's own title.
    pub title: Option<String>,
    /// How the picture is to be turned to be seen upright.
    pub orientation: Orientation,
    /// True when the demuxer says there is a still picture in it (a cover).
    pub still: bool,
    /// Packets before the start that the demuxer leaves out.
    pub early: Vec<Sample>,
    /// The time its decoder swallows first, which the demuxer does not take off: Matroska's CodecDelay, ns.
    pub delay: u64,
    /// How its pictures follow one another; `None` where their times were not read.
    pub pace: Option<Pace>,
    /// How many of its pictures there are in the part that is encoded, where they were counted.
    pub frames: Option<u64>,
    /// Where they pause.
    pub pauses: Vec<Pause>,
    /// Whether chunks of it can be decoded each by itself.
    pub cutting: Cutting,
    /// What players are told of it.
    pub flags: Flags,
}

/// Whether chunks of a stream can be decoded each by itself.
#[derive(Debug, Clone, Default)]
pub enum Cutting {
    /// It was not asked: raw pictures, or what comes from a pipe.
    #[default]
    Whole,
    /// They cannot, for this reason.
    Refused(String),
    /// They may, if chunks can begin where they have to.
    Apart(Units),
}

/// What is known of a stream before it is decoded.
#[derive(Debug, Clone)]
pub struct Units {
    /// Its packets, in decode order; those behind the part that is encoded may be missing.
    pub all: Vec<Unit>,
    /// The form of its first pictures.
    pub pictures: gst::Caps,
    /// When the last picture that is wanted ends, in ns, where no more of them were asked for.
    pub end: Option<i64>,
    /// Where the packets begin that are known, if that is not the file's start.
    pub skip: Option<Skip>,
}

impl Units {
    /// At most `frames` pictures are wanted, the first ones; `times` are those that are, in order.
    pub(super) fn new(
        mut all: Vec<Unit>,
        frames: usize,
        times: &[i64],
        pictures: gst::Caps,
        skip: Option<Skip>,
    ) -> Self {
        let ended = times.last().filter(|_| times.len() >= frames);
        let is_picture = |unit: &&mut Unit| unit.wanted && unit.shown > 0;
        let mut times: Vec<_> = all.iter_mut().filter(is_picture).filter_map(|unit| unit.pts).collect();
        times.sort_unstable();
        if let Some(end) = times.get(frames).copied() {
            all.iter_mut().filter(|unit| unit.pts >= Some(end)).for_each(|unit| unit.wanted = false);
        }
        let mut units = Self { all, pictures, end: None, skip };
        let last = units.all[units.wanted()].iter().max_by_key(|unit| unit.pts);
        let length = last.and_then(|unit| unit.duration).and_then(|length| i64::try_from(length).ok());
        units.end = ended.map(|time| time.saturating_add(length.unwrap_or(0)));
        units
    }

    /// The numbers of the packets from the first that is wanted to the last.
    #[must_use]
    pub fn wanted(&self) -> Range<usize> {
        let is_wanted = |unit: &Unit| unit.wanted && unit.shown > 0;
        let first = self.all.iter().position(is_wanted).unwrap_or(self.all.len());
        first..self.all.iter().rposition(is_wanted).map_or(first, |last| last + 1)
    }
}

/// Clockwise by so many degrees, then mirrored left to right or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orientation {
    /// 0, 90, 180 or 270.
    pub degrees: u16,
    /// Mirrored as well.
    pub flipped: bool,
}

impl Orientation {
    /// From GStreamer's tag `image-orientation`.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        let flipped = tag.starts_with("flip-");
        let degrees = tag.rsplit('-').next().and_then(|d| d.parse().ok()).unwrap_or(0);
        Self { degrees: if [90, 180, 270].contains(&degrees) { degrees } else { 0 }, flipped }
    }

    /// The name of `videoflip`'s method for it, or `None` when nothing is to be done.
    #[must_use]
    pub fn flip_method(self) -> Option<&'static str> {
        Some(match (self.flipped, self.degrees) {
            (false, 90) => "clockwise",
            (false, 180) => "rotate-180",
            (false, 270) => "counterclockwise",
            (true, 0) => "horizontal-flip",
            (true, 90) => "upper-right-diagonal",
            (true, 180) => "vertical-flip",
            (true, 270) => "upper-left-diagonal",
            _ => return None,
        })
    }
}

impl Facts {
    /// The time from which parts of the input count.
    #[must_use]
    pub fn first(&self) -> i64 {
        self.start.unwrap_or(0).max(0)
    }

    /// The video that is encoded: the first that is not a still picture.
    #[must_use]
    pub fn video(&self) -> Option<usize> {
        self.streams.iter().position(|s| s.kind == Kind::Video && !s.still)
    }

    /// Every stream in a word, for messages.
    #[must_use]
    pub fn listed(&self) -> String {
        let known = self.streams.iter().map(|s| s.codec.name());
        let all: Vec<String> = known.chain(self.unknown.iter().cloned()).collect();
        if all.is_empty() { "no stream at all".into() } else { format!("only {}", all.join(", ")) }
    }
}

impl Stream {
    /// Width and height, where the caps say so.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        let caps = self.caps.structure(0)?;
        let side = |name| caps.get::<i32>(name).ok().and_then(|v| u32::try_from(v).ok());
        Some((side("width")?, side("height")?))
    }

    /// Frames a second on average, by their times, else as the header says.
    #[must_use]
    pub fn rate(&self) -> Option<(u32, u32)> {
        match self.pace {
            Some(Pace::Constant(n, d) | Pace::Uneven(n, d)) => Some((n, d)),
            None => self.named_rate(),
        }
    }

    /// Frames a second, where the caps say so.
    pub(super) fn named_rate(&self) -> Option<(u32, u32)> {
        let rate = self.caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
        let (n, d) = (u32::try_from(rate.numer()).ok()?, u32::try_from(rate.denom()).ok()?);
        (n > 0 && d > 0).then_some((n, d))
    }

    /// True for texts with marks as HTML has them; the demuxer of MP4 leaves the marks out.
    #[must_use]
    pub fn has_marks(&self) -> bool {
        self.codec == Codec::Text
            && self.caps.structure(0).is_some_and(|s| s.get::<&str>("format").is_ok_and(|f| f == "pango-markup"))
    }

    /// A word for messages: codec and language.
    #[must_use]
    pub fn named(&self) -> String {
        match &self.language {
            Some(language) if language != "und" => format!("{} ({language})", self.codec.name()),
            _ => self.codec.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_of_a_camera_is_understood() {
        assert_eq!(Orientation::from_tag("rotate-0").flip_method(), None);
        assert_eq!(Orientation::from_tag("rotate-90").flip_method(), Some("clockwise"));
        assert_eq!(Orientation::from_tag("rotate-270").flip_method(), Some("counterclockwise"));
        assert_eq!(Orientation::from_tag("flip-rotate-0").flip_method(), Some("horizontal-flip"));
        assert_eq!(Orientation::from_tag("nonsense").flip_method(), None);
    }
}
