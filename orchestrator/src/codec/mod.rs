//! From ffmpeg's names and options to a GStreamer encoder and its properties, with ffmpeg's meaning.

mod aom;
mod encoders;
mod error;
mod gst_element;
mod keys;
mod libav;
mod openh264;
mod options;
mod pixfmt;
mod rate;
mod spec;
mod vpx;
mod x264;
mod x264_keys;
mod x264_options;
mod x265;
mod x265_keys;

pub use error::Error;
pub use rate::WholeRate;

pub(crate) use encoders::{ENCODERS, EncoderDef, find, installed, unknown};
pub(crate) use gst_element::properties;
pub(crate) use options::Opt;
pub(crate) use pixfmt::to_gst as raw_format;

use crate::cli::VideoArgs;

/// That of x264 and x265, and near enough for what has no such distance of its own.
pub(crate) const CHUNK_FRAMES: u32 = 250;
/// Of encoders that have no quality to look for.
const RATE_NOTE: &str = "-b:v is the average of each chunk with this encoder; the whole file comes within 5%";
/// A bit rate among an encoder's own parameters is no option of ours.
const OF_EACH_CHUNK: &str = "the bit rate is the average of each chunk: with -b:v alone it is that of the whole file";

/// An encoder with its settings, ready for `divienenc`.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The GStreamer element.
    pub factory: String,
    /// The text of `divienenc`'s property `encoder`, for pictures of any size. Threads are not in it.
    pub spec: String,
    /// The distance of key frames that was asked for, to round chunks to a multiple of.
    pub gop: Option<u32>,
    /// The frames of a chunk unless another length is asked for: the encoder's own largest distance of key frames.
    pub chunk_frames: u32,
    /// The raw formats that the settings allow, by GStreamer's names, the wanted one first; empty: whatever the element takes.
    pub raw_formats: Vec<String>,
    /// A bit rate that a whole file can have, where it is cut before it is decoded.
    pub rate: Option<WholeRate>,
    /// One-liners for the user.
    pub notes: Vec<String>,
    refs: Option<x264::LevelRefs>,
}

impl Choice {
    /// The text of `divienenc`'s property `encoder` for pictures of this size: `-level` of libx264 limits
    /// the reference frames by it, as ffmpeg does.
    pub fn spec_for(&self, width: u32, height: u32) -> String {
        match self.refs.as_ref().and_then(|refs| refs.limit(width, height)) {
            Some(spec) => spec,
            None => self.spec.clone(),
        }
    }
}

/// What the code of an encoder decides.
#[derive(Debug)]
struct Mapped {
    spec: spec::Spec,
    gop: Option<u32>,
    chunk_frames: u32,
    /// ffmpeg's names of the formats that a profile allows; empty: no limit.
    formats: Vec<&'static str>,
    notes: Vec<String>,
    /// The bits a second that were asked for, of an encoder that has a constant quality as well.
    rate: Option<u64>,
    refs: Option<x264::LevelRefs>,
}

impl Mapped {
    fn new(spec: spec::Spec) -> Self {
        Self {
            spec,
            gop: None,
            chunk_frames: CHUNK_FRAMES,
            formats: Vec::new(),
            notes: Vec::new(),
            rate: None,
            refs: None,
        }
    }
}

/// Maps what was typed to an installed element and its properties. `threads` is checked, not written into the text.
pub fn resolve(video: &VideoArgs, threads: Option<u32>) -> Result<Choice, Error> {
    gst::init().map_err(|e| Error::NoGstreamer(e.to_string()))?;
    let (factory, mapped) = match find(&video.encoder) {
        Some(def) => {
            let args = options::Args::read(video, def.factory, def.options)?;
            encoders::require(def)?;
            encoders::check_threads(def, threads)?;
            let mapped = (def.map)(&args)?;
            (def.factory.to_owned(), mapped)
        }
        None => (video.encoder.clone(), gst_element::map(video)?),
    };
    let raw_formats = pixfmt::allowed(&video.encoder, &factory, video.pix_fmt.as_deref(), &mapped.formats)?;
    Ok(Choice {
        spec: mapped.spec.to_string(),
        factory,
        gop: mapped.gop,
        chunk_frames: mapped.chunk_frames,
        raw_formats,
        rate: WholeRate::of(video, threads, mapped.rate),
        notes: mapped.notes,
        refs: mapped.refs,
    })
}

/// Whether the encoder has this option. An encoder that is not known has none; saying so is left to [`resolve`].
pub(crate) fn accepts(encoder: &str, name: &str) -> bool {
    match find(encoder) {
        Some(def) => def.options.iter().any(|o| o.named(name)),
        None => gst_element::accepts(encoder, name),
    }
}

/// Whether any of ffmpeg's encoders that we map has this option.
pub(crate) fn of_some_encoder(name: &str) -> bool {
    ENCODERS.iter().any(|def| def.options.iter().any(|o| o.named(name)))
}

/// The names of the encoder's options.
pub(crate) fn option_names(encoder: &str) -> Vec<String> {
    match find(encoder) {
        Some(def) => def.options.iter().map(|o| o.name.to_owned()).collect(),
        None => properties(encoder).into_iter().map(|p| p.name).collect(),
    }
}
