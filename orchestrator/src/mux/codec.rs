//! The codecs a container can be asked to hold, and how they are recognised.

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "their own names")]
pub enum Kind {
    Video,
    Audio,
    Subtitle,
    Other,
}

/// How a track is compressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "their own names")]
pub enum Codec {
    H264,
    H265,
    Av1,
    Vp8,
    Vp9,
    Theora,
    Mpeg4,
    /// MPEG-1 and MPEG-2 video, by version.
    MpegVideo(u8),
    Mjpeg,
    /// By its four characters: `apch`, `apcn`, …
    ProRes([u8; 4]),
    Ffv1,
    /// MPEG-4 sound; also MPEG-2 AAC.
    Aac,
    /// MPEG-1 sound by layer, 1 to 3.
    MpegAudio(u8),
    Ac3,
    Eac3,
    Dts,
    Opus,
    Vorbis,
    Flac,
    Alac,
    /// Plain samples by GStreamer's name: `S16LE`.
    Pcm(String),
    /// Plain text, perhaps with `<b> <i> <u>`.
    Text,
    /// Styled text, ASS and SSA.
    Ass,
    /// Blu-ray's bitmaps.
    Pgs,
    /// DVD's bitmaps.
    VobSub,
    /// Anything else, by its media type.
    Other(String),
}

impl Codec {
    /// The codec these caps stand for.
    #[must_use]
    pub fn from_caps(caps: &gst::StructureRef) -> Self {
        let int = |name| caps.get::<i32>(name).unwrap_or(0);
        let text = |name| caps.get::<&str>(name).unwrap_or("");
        let small = |n: i32| u8::try_from(n).unwrap_or(0);
        match caps.name().as_str() {
            "video/x-h264" => Self::H264,
            "video/x-h265" => Self::H265,
            "video/x-av1" => Self::Av1,
            "video/x-vp8" => Self::Vp8,
            "video/x-vp9" => Self::Vp9,
            "video/x-theora" => Self::Theora,
            "video/mpeg" if int("mpegversion") == 4 => Self::Mpeg4,
            "video/mpeg" => Self::MpegVideo(small(int("mpegversion"))),
            "image/jpeg" => Self::Mjpeg,
            "video/x-prores" => Self::ProRes(match text("variant") {
                "proxy" => *b"apco",
                "lt" => *b"apcs",
                "hq" => *b"apch",
                "4444" => *b"ap4h",
                "4444xq" => *b"ap4x",
                _ => *b"apcn",
            }),
            "video/x-ffv" => Self::Ffv1,
            "audio/mpeg" if int("mpegversion") == 1 => Self::MpegAudio(small(int("layer"))),
            "audio/mpeg" => Self::Aac,
            "audio/x-ac3" => Self::Ac3,
            "audio/x-eac3" => Self::Eac3,
            "audio/x-dts" => Self::Dts,
            "audio/x-opus" => Self::Opus,
            "audio/x-vorbis" => Self::Vorbis,
            "audio/x-flac" => Self::Flac,
            "audio/x-alac" => Self::Alac,
            "audio/x-raw" => Self::Pcm(text("format").to_owned()),
            "text/x-raw" => Self::Text,
            "application/x-ass" | "application/x-ssa" => Self::Ass,
            "subpicture/x-pgs" => Self::Pgs,
            "subpicture/x-dvd" => Self::VobSub,
            other => Self::Other(other.to_owned()),
        }
    }

    /// What such a track carries.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::H264
            | Self::H265
            | Self::Av1
            | Self::Vp8
            | Self::Vp9
            | Self::Theora
            | Self::Mpeg4
            | Self::MpegVideo(_)
            | Self::Mjpeg
            | Self::ProRes(_)
            | Self::Ffv1 => Kind::Video,
            Self::Aac
            | Self::MpegAudio(_)
            | Self::Ac3
            | Self::Eac3
            | Self::Dts
            | Self::Opus
            | Self::Vorbis
            | Self::Flac
            | Self::Alac
            | Self::Pcm(_) => Kind::Audio,
            Self::Text | Self::Ass | Self::Pgs | Self::VobSub => Kind::Subtitle,
            Self::Other(name) => match name.split('/').next() {
                Some("video" | "image") => Kind::Video,
                Some("audio") => Kind::Audio,
                Some("text" | "subpicture" | "subtitle") => Kind::Subtitle,
                _ if name == "application/x-yuv4mpeg" => Kind::Video,
                _ => Kind::Other,
            },
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::H264 => "H.264".into(),
            Self::H265 => "H.265".into(),
            Self::Av1 => "AV1".into(),
            Self::Vp8 => "VP8".into(),
            Self::Vp9 => "VP9".into(),
            Self::Theora => "Theora".into(),
            Self::Mpeg4 => "MPEG-4 part 2".into(),
            Self::MpegVideo(v) => format!("MPEG-{v} video"),
            Self::Mjpeg => "JPEG".into(),
            Self::ProRes(_) => "ProRes".into(),
            Self::Ffv1 => "FFV1".into(),
            Self::Aac => "AAC".into(),
            Self::MpegAudio(layer) => format!("MP{layer}"),
            Self::Ac3 => "AC-3".into(),
            Self::Eac3 => "E-AC-3".into(),
            Self::Dts => "DTS".into(),
            Self::Opus => "Opus".into(),
            Self::Vorbis => "Vorbis".into(),
            Self::Flac => "FLAC".into(),
            Self::Alac => "ALAC".into(),
            Self::Pcm(format) => format!("PCM {format}"),
            Self::Text => "text".into(),
            Self::Ass => "ASS".into(),
            Self::Pgs => "PGS".into(),
            Self::VobSub => "VobSub".into(),
            Self::Other(name) => name.clone(),
        }
    }

    /// Samples in one packet of sound, where that is fixed.
    #[must_use]
    pub fn packet_samples(&self) -> Option<u32> {
        match self {
            Self::Aac => Some(1024),
            Self::MpegAudio(1) => Some(384),
            Self::Ac3 | Self::Eac3 => Some(1536),
            _ => None,
        }
    }

    /// The caps this codec is muxed in: one form only, so that every writer knows what it gets.
    #[must_use]
    pub fn muxed_caps(&self, byte_stream: bool) -> Option<&'static str> {
        Some(match self {
            Self::H264 if byte_stream => "video/x-h264,stream-format=byte-stream,alignment=au",
            Self::H264 => "video/x-h264,stream-format=avc,alignment=au",
            Self::H265 if byte_stream => "video/x-h265,stream-format=byte-stream,alignment=au",
            Self::H265 => "video/x-h265,stream-format=hvc1,alignment=au",
            Self::Av1 => "video/x-av1,stream-format=obu-stream,alignment=tu",
            Self::Aac if byte_stream => "audio/mpeg,mpegversion=4,stream-format=adts,framed=true",
            Self::Aac => "audio/mpeg,mpegversion=4,stream-format=raw,framed=true",
            _ => return None,
        })
    }

    /// The element that brings a stream of this codec into [`Self::muxed_caps`].
    #[must_use]
    pub fn parser(&self) -> Option<&'static str> {
        Some(match self {
            Self::H264 => "h264parse",
            Self::H265 => "h265parse",
            Self::Av1 => "av1parse",
            Self::Vp9 => "vp9parse",
            Self::Mpeg4 => "mpeg4videoparse",
            Self::MpegVideo(_) => "mpegvideoparse",
            Self::Aac => "aacparse",
            Self::MpegAudio(_) => "mpegaudioparse",
            Self::Ac3 | Self::Eac3 => "ac3parse",
            Self::Dts => "dcaparse",
            Self::Flac => "flacparse",
            Self::Opus => "opusparse",
            _ => return None,
        })
    }
}
