//! What a container is told about its tracks and samples.

use super::codec::Codec;

/// Everything a file says before its first sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header {
    /// In the order they are numbered in the file.
    pub tracks: Vec<Track>,
    /// The table of contents.
    pub chapters: Vec<Chapter>,
    /// Container tags by ffmpeg's names: `title`, `artist`, …
    pub tags: Vec<(String, String)>,
    /// Files within the file.
    pub attachments: Vec<Attachment>,
    /// Where all ids in the file come from.
    pub seed: [u8; 32],
    /// Times are counted from here: the first time of any sound or video, ns.
    pub base: i64,
    /// The index goes before the samples.
    pub faststart: bool,
}

/// One track.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// How it is compressed.
    pub codec: Codec,
    /// What the codec's decoder needs before the first sample (`avcC`, AudioSpecificConfig, …).
    pub private: Vec<u8>,
    /// ISO 639-2 code.
    pub language: Option<String>,
    /// The track's own title.
    pub title: Option<String>,
    /// What players are told of it.
    pub flags: Flags,
    /// Set for video.
    pub video: Option<Video>,
    /// Set for sound.
    pub audio: Option<Audio>,
}

/// What tells players which of a kind's tracks to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Chosen where the viewer has chosen nothing; `None` where the input does not say.
    pub default: Option<bool>,
    /// Shown whatever the viewer has chosen.
    pub forced: bool,
}

/// A file within the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by their types")]
pub struct Attachment {
    pub name: String,
    pub media_type: String,
    pub description: Option<String>,
    pub data: Vec<u8>,
}

/// A picture's geometry and colour.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Video {
    /// Width in samples.
    pub width: u32,
    /// Height in samples.
    pub height: u32,
    /// Pixel aspect ratio; 0 where unknown.
    pub aspect: (u32, u32),
    /// Frame rate; `None` where variable or unknown.
    pub rate: Option<(u32, u32)>,
    /// ISO 23091-2 code points.
    pub colour: Option<Colour>,
    /// HDR10 static metadata.
    pub mastering: Option<Mastering>,
    /// HDR10 light levels.
    pub light: Option<LightLevel>,
    /// Clockwise, in degrees: 0, 90, 180, 270.
    pub rotation: u16,
    /// Interlaced: `Some(true)` is top field first.
    pub top_field_first: Option<bool>,
    /// Bits of a sample.
    pub depth: u8,
    /// Horizontal and vertical chroma subsampling as shifts: (1, 1) is 4:2:0.
    pub subsampling: (u8, u8),
}

/// Colour as ISO 23091-2 numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the standard's own words")]
pub struct Colour {
    pub primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
    pub full_range: bool,
}

/// SMPTE ST 2086 in its own units: primaries (red, green, blue) and white in 1/50000, luminance in 1/10000 cd/m².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by the line above")]
pub struct Mastering {
    pub primaries: [(u16, u16); 3],
    pub white: (u16, u16),
    pub max: u32,
    pub min: u32,
}

/// CTA-861.3 light levels, cd/m².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the standard's own words")]
pub struct LightLevel {
    pub max_content: u16,
    pub max_frame_average: u16,
}

/// A sound's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Audio {
    /// Samples a second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// Bits of a sample where the codec says so.
    pub bits: u16,
}

/// One chapter; ns from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by their types")]
pub struct Chapter {
    pub start: u64,
    pub end: u64,
    pub title: String,
    pub language: Option<String>,
}

/// One compressed frame, packet or cue. Times in ns on the input's time line; they may be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When it is shown.
    pub pts: i64,
    /// When it is decoded.
    pub dts: i64,
    /// How long it is shown; 0 where unknown.
    pub duration: u64,
    /// Decoding can start here.
    pub key: bool,
    /// Its bytes.
    pub data: Vec<u8>,
}
