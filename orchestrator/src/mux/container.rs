//! The containers, their names, and what each takes.

use std::path::Path;

use super::codec::{Codec, Kind};
use super::mp4::tag_box;

/// A kind of output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "their own names")]
pub enum Container {
    Mp4,
    Mov,
    Matroska,
    WebM,
    MpegTs,
    Ivf,
    /// A bare H.264 byte stream.
    H264,
    /// A bare H.265 byte stream.
    H265,
    /// A bare AV1 stream of OBUs.
    Obu,
}

/// Extensions and ffmpeg's `-f` names.
const NAMES: &[(&str, Container)] = &[
    ("mp4", Container::Mp4),
    ("m4v", Container::Mp4),
    ("mov", Container::Mov),
    ("mkv", Container::Matroska),
    ("matroska", Container::Matroska),
    ("webm", Container::WebM),
    ("ts", Container::MpegTs),
    ("mts", Container::MpegTs),
    ("m2ts", Container::MpegTs),
    ("mpegts", Container::MpegTs),
    ("ivf", Container::Ivf),
    ("h264", Container::H264),
    ("264", Container::H264),
    ("h265", Container::H265),
    ("265", Container::H265),
    ("hevc", Container::H265),
    ("obu", Container::Obu),
];

impl Container {
    /// By ffmpeg's name or a file's extension.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, c)| *c)
    }

    /// By a file's extension.
    #[must_use]
    pub fn by_path(path: &Path) -> Option<Self> {
        Self::by_name(path.extension()?.to_str()?)
    }

    /// The names `-f` takes, for messages.
    #[must_use]
    pub fn names() -> String {
        "mp4, mov, matroska (mkv), webm, mpegts (ts), ivf, h264, hevc, obu".into()
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Mov => "QuickTime",
            Self::Matroska => "Matroska",
            Self::WebM => "WebM",
            Self::MpegTs => "MPEG-TS",
            Self::Ivf => "IVF",
            Self::H264 => "a bare H.264 stream",
            Self::H265 => "a bare H.265 stream",
            Self::Obu => "a bare AV1 stream",
        }
    }

    /// True when parameter sets travel in the stream (Annex B, ADTS) and not in a header.
    #[must_use]
    pub fn byte_stream(self) -> bool {
        matches!(self, Self::MpegTs | Self::H264 | Self::H265)
    }

    /// True when a file of it can be written from its start to its end, with nothing to come back to.
    #[must_use]
    pub fn flows(self) -> bool {
        !matches!(self, Self::Mp4 | Self::Mov)
    }

    /// True when the container says when pictures are shown.
    #[must_use]
    pub fn has_times(self) -> bool {
        !matches!(self, Self::H264 | Self::H265 | Self::Obu)
    }

    /// True when the container turns the picture by a note in its header.
    #[must_use]
    pub fn notes_rotation(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov)
    }

    /// True when the container's header has room for HDR10's data.
    #[must_use]
    pub fn holds_hdr10(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov | Self::Matroska | Self::WebM)
    }

    /// True when the container has room for chapters.
    #[must_use]
    pub fn has_chapters(self) -> bool {
        matches!(self, Self::Mp4 | Self::Mov | Self::Matroska | Self::WebM)
    }

    /// True when the container names its tracks' languages and carries tags.
    #[must_use]
    pub fn has_tags(self) -> bool {
        self.has_chapters()
    }

    /// True when this tag, by ffmpeg's name, has a place in it.
    #[must_use]
    pub fn holds_tag(self, name: &str) -> bool {
        match self {
            Self::Mp4 | Self::Mov => tag_box(name).is_some(),
            _ => self.has_tags(),
        }
    }

    /// Whether a track of this codec may stand in it as it is.
    #[must_use]
    pub fn takes(self, codec: &Codec) -> bool {
        match self {
            Self::Mp4 => matches!(
                codec,
                Codec::H264
                    | Codec::H265
                    | Codec::Av1
                    | Codec::Vp9
                    | Codec::Mpeg4
                    | Codec::MpegVideo(_)
                    | Codec::Mjpeg
                    | Codec::Aac
                    | Codec::MpegAudio(2 | 3)
                    | Codec::Ac3
                    | Codec::Eac3
                    | Codec::Opus
                    | Codec::Flac
                    | Codec::Alac
                    | Codec::Text
            ),
            Self::Mov => match codec {
                Codec::H264
                | Codec::H265
                | Codec::Mpeg4
                | Codec::MpegVideo(_)
                | Codec::Mjpeg
                | Codec::ProRes(_)
                | Codec::Aac
                | Codec::MpegAudio(2 | 3)
                | Codec::Ac3
                | Codec::Eac3
                | Codec::Alac
                | Codec::Text => true,
                Codec::Pcm(format) => matches!(format.as_str(), "S16LE" | "S16BE"),
                _ => false,
            },
            Self::Matroska => match codec {
                Codec::Pcm(format) => matroska_pcm(format).is_some(),
                Codec::Mjpeg => true,
                Codec::Other(_) => false,
                _ => true,
            },
            Self::WebM => {
                matches!(codec, Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus | Codec::Vorbis)
            }
            Self::MpegTs => matches!(
                codec,
                Codec::H264
                    | Codec::H265
                    | Codec::MpegVideo(_)
                    | Codec::Mpeg4
                    | Codec::Aac
                    | Codec::MpegAudio(_)
                    | Codec::Ac3
                    | Codec::Eac3
            ),
            Self::Ivf => matches!(codec, Codec::Vp8 | Codec::Vp9 | Codec::Av1),
            Self::H264 => matches!(codec, Codec::H264),
            Self::H265 => matches!(codec, Codec::H265),
            Self::Obu => matches!(codec, Codec::Av1),
        }
    }

    /// The codec sound is encoded to when it cannot be copied.
    #[must_use]
    pub fn usual_sound(self) -> Option<Codec> {
        match self {
            Self::Mp4 | Self::Mov | Self::MpegTs => Some(Codec::Aac),
            Self::Matroska | Self::WebM => Some(Codec::Opus),
            Self::Ivf | Self::H264 | Self::H265 | Self::Obu => None,
        }
    }

    /// How subtitles of this codec come into the container, if they can.
    #[must_use]
    pub fn subtitle(self, codec: &Codec) -> Option<Codec> {
        match (self, codec) {
            (Self::Matroska, c) if self.takes(c) && c.kind() == Kind::Subtitle => Some(c.clone()),
            (Self::Mp4 | Self::Mov, Codec::Text | Codec::Ass) => Some(Codec::Text),
            _ => None,
        }
    }
}

/// Matroska's codec id and sample size for plain samples.
pub(crate) fn matroska_pcm(format: &str) -> Option<(&'static str, u16)> {
    Some(match format {
        "U8" => ("A_PCM/INT/LIT", 8),
        "S16LE" => ("A_PCM/INT/LIT", 16),
        "S24LE" => ("A_PCM/INT/LIT", 24),
        "S32LE" => ("A_PCM/INT/LIT", 32),
        "S16BE" => ("A_PCM/INT/BIG", 16),
        "S24BE" => ("A_PCM/INT/BIG", 24),
        "S32BE" => ("A_PCM/INT/BIG", 32),
        "F32LE" => ("A_PCM/FLOAT/IEEE", 32),
        "F64LE" => ("A_PCM/FLOAT/IEEE", 64),
        _ => return None,
    })
}
