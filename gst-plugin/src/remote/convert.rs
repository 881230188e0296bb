//! Between GStreamer's objects and what goes over the wire.

use bytes::Bytes;
use gst_video::prelude::*;
use thiserror::Error;

use crate::chunk::Start;
use crate::lane::{DecoderSpec, EncoderSpec, FilterSpec, Format, Lost, SpecError, Wanted, WantedFrame};
use crate::wire::message::{self, Caption, Layout, Plane, Software, Unit};

/// Why something cannot be taken from the wire, or sent.
#[derive(Debug, Error)]
pub(crate) enum ConvertError {
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("'{0}' are no caps")]
    Caps(String),
    #[error("'{0}' is no structure")]
    Structure(String),
    #[error("{wanted} decodes it there, and {here} would here")]
    Decoder { wanted: String, here: String },
    #[error("a frame's memory cannot be read")]
    Memory,
    #[error("a picture's layout makes no sense")]
    Layout,
}

/// Flags that say something of the video; others are of a buffer's memory.
fn video_flags() -> gst::BufferFlags {
    !(gst::BufferFlags::TAG_MEMORY | gst::BufferFlags::SYNC_AFTER)
}

/// A frame or unit, and its bytes, which are not copied where they are in one piece.
pub(crate) fn to_wire(buffer: gst::Buffer) -> Result<(Unit, Bytes), ConvertError> {
    let nanos = |time: Option<gst::ClockTime>| time.map(gst::ClockTime::nseconds);
    let layout = buffer.meta::<gst_video::VideoMeta>().map(|meta| Layout {
        format: meta.format().to_str().to_string(),
        width: meta.width(),
        height: meta.height(),
        flags: meta.video_frame_flags().bits(),
        planes: std::iter::zip(meta.offset(), meta.stride())
            .map(|(offset, stride)| Plane { offset: *offset as u64, stride: *stride })
            .collect(),
    });
    let captions = buffer.iter_meta::<gst_video::video_meta::VideoCaptionMeta>().map(|meta| Caption {
        kind: glib::translate::IntoGlib::into_glib(meta.caption_type()),
        data: meta.data().to_vec(),
    });
    let unit = Unit {
        pts: nanos(buffer.pts()),
        dts: nanos(buffer.dts()),
        duration: nanos(buffer.duration()),
        flags: (buffer.flags() & video_flags()).bits() | buffer.video_flags().bits(),
        layout,
        captions: captions.collect(),
    };
    let bytes = buffer.into_mapped_buffer_readable().map_err(|_| ConvertError::Memory)?;
    Ok((unit, Bytes::from_owner(bytes)))
}

/// Encoders and decoders read pictures fastest from such addresses, and some from no others.
const ALIGNMENT: usize = 63;

/// The frame or unit that came. A picture is copied to where its lines may be read quickly.
pub(crate) fn from_wire(unit: Unit, media: Bytes, is_picture: bool) -> Result<gst::Buffer, ConvertError> {
    let mut buffer = if is_picture {
        let params = gst::AllocationParams::new(gst::MemoryFlags::empty(), ALIGNMENT, 0, 0);
        let mut memory = gst::Memory::with_size_and_params(media.len(), &params);
        let writable = memory.get_mut().ok_or(ConvertError::Memory)?;
        writable.map_writable().map_err(|_| ConvertError::Memory)?.copy_from_slice(&media);
        let mut buffer = gst::Buffer::new();
        buffer.make_mut().append_memory(memory);
        buffer
    } else {
        gst::Buffer::from_slice(media)
    };
    let size = buffer.size() as u64;
    let writable = buffer.make_mut();
    writable.set_pts(unit.pts.map(gst::ClockTime::from_nseconds));
    writable.set_dts(unit.dts.map(gst::ClockTime::from_nseconds));
    writable.set_duration(unit.duration.map(gst::ClockTime::from_nseconds));
    writable.set_flags(gst::BufferFlags::from_bits_truncate(unit.flags) & video_flags());
    writable.set_video_flags(gst_video::VideoBufferFlags::from_bits_truncate(unit.flags));
    if let Some(layout) = unit.layout {
        lay_out(writable, &layout, size)?;
    }
    for caption in &unit.captions {
        // SAFETY: any number is a value of a C enum, and those that are not known become one of glib's own.
        let kind = unsafe { glib::translate::from_glib(caption.kind) };
        if caption.data.is_empty() {
            return Err(ConvertError::Layout);
        }
        gst_video::video_meta::VideoCaptionMeta::add(writable, kind, &caption.data);
    }
    Ok(buffer)
}

/// Says where the picture's planes are, after checking that all of them are within its bytes.
fn lay_out(buffer: &mut gst::BufferRef, layout: &Layout, size: u64) -> Result<(), ConvertError> {
    let format = gst_video::VideoFormat::from_string(&layout.format);
    let info = gst_video::VideoInfo::builder(format, layout.width, layout.height).build();
    let info = info.map_err(|_| ConvertError::Layout)?;
    let planes = layout.planes.get(..info.n_planes() as usize).ok_or(ConvertError::Layout)?;
    for (plane, own) in planes.iter().zip(info.stride()) {
        let is_tiled = info.format_info().is_tiled();
        let stride = u64::try_from(plane.stride).map_err(|_| ConvertError::Layout)?;
        if plane.offset >= size || !is_tiled && stride < u64::from(own.unsigned_abs()) {
            return Err(ConvertError::Layout);
        }
    }
    let offsets: Vec<usize> = planes.iter().map(|plane| usize::try_from(plane.offset).unwrap_or(usize::MAX)).collect();
    let strides: Vec<i32> = planes.iter().map(|plane| plane.stride).collect();
    let laid = gst_video::VideoInfo::builder(format, layout.width, layout.height)
        .offset(&offsets)
        .stride(&strides)
        .build()
        .map_err(|_| ConvertError::Layout)?;
    if end_of(&laid) > size {
        return Err(ConvertError::Layout);
    }
    let flags = gst_video::VideoFrameFlags::from_bits_truncate(layout.flags);
    gst_video::VideoMeta::add_full(buffer, flags, format, layout.width, layout.height, &offsets, &strides)
        .map(drop)
        .map_err(|_| ConvertError::Layout)
}

/// Where the last line of a picture ends.
fn end_of(info: &gst_video::VideoInfo) -> u64 {
    let format = info.format_info();
    let planes = std::iter::zip(info.offset(), info.stride()).enumerate();
    let ends = planes.map(|(plane, (offset, stride))| {
        let lines = (0..format.n_components() as usize)
            .filter(|n| format.plane().get(*n).is_some_and(|p| *p as usize == plane))
            .map(|n| info.comp_height(n as u8))
            .max()
            .unwrap_or_else(|| info.height());
        *offset as u64 + u64::from(stride.unsigned_abs()) * u64::from(lines.saturating_sub(1))
    });
    ends.max().unwrap_or(0)
}

impl From<&Wanted> for message::Wanted {
    fn from(wanted: &Wanted) -> Self {
        let start = wanted.start().map(|start| match start {
            Start::Clean => message::Start::Clean,
            Start::Recovers => message::Start::Recovers,
        });
        let frame = |f: &WantedFrame| message::WantedFrame { pts: f.pts, shown: f.shown, length: f.length };
        Self { start, frames: wanted.all().iter().map(frame).collect(), context: wanted.context().to_vec() }
    }
}

impl From<message::Wanted> for Wanted {
    fn from(wanted: message::Wanted) -> Self {
        let start = wanted.start.map(|start| match start {
            message::Start::Clean => Start::Clean,
            message::Start::Recovers => Start::Recovers,
        });
        // Their numbers are the coordinator's.
        let frame = |f: message::WantedFrame| WantedFrame { pts: f.pts, shown: f.shown, length: f.length, number: 0 };
        Self::new(start, wanted.frames.into_iter().map(frame).collect(), wanted.context)
    }
}

impl From<Lost> for message::Lost {
    fn from(lost: Lost) -> Self {
        let Lost { missing, unreachable, damaged, strange } = lost;
        Self { missing, unreachable, damaged, strange }
    }
}

impl From<message::Lost> for Lost {
    fn from(lost: message::Lost) -> Self {
        let message::Lost { missing, unreachable, damaged, strange } = lost;
        Self { missing, unreachable, damaged, strange }
    }
}

/// What a worker has to know of a format that is called so.
pub(crate) fn format_to_wire(format: &Format, id: u32) -> message::Format {
    let (encoder, threads) = format.encoder.source();
    message::Format {
        id,
        encoder: encoder.to_owned(),
        threads,
        input: format.input.to_string(),
        decoder: format.decoder.as_ref().map(DecoderSpec::name),
        filter: format.filter.source().to_owned(),
        frame_caps: format.frame_caps.as_ref().map(ToString::to_string),
        output: format.output.to_string(),
    }
}

/// The format that came. All that a local run checks is checked here as well.
pub(crate) fn format_from_wire(format: &message::Format) -> Result<Format, ConvertError> {
    let caps = |text: &str| text.parse::<gst::Caps>().map_err(|_| ConvertError::Caps(text.to_owned()));
    let structure = |text: &String| text.parse::<gst::Structure>().map_err(|_| ConvertError::Structure(text.clone()));
    let input = caps(&format.input)?;
    let decoder = match &format.decoder {
        None => None,
        Some(wanted) => {
            let here = DecoderSpec::of(&input);
            let name = here.as_ref().map_or_else(|| "nothing".to_owned(), DecoderSpec::name);
            if name != *wanted {
                return Err(ConvertError::Decoder { wanted: wanted.clone(), here: name });
            }
            here
        }
    };
    Ok(Format {
        encoder: EncoderSpec::parse(&format.encoder, format.threads)?,
        input,
        decoder,
        filter: FilterSpec::parse(&format.filter)?,
        frame_caps: format.frame_caps.as_ref().map(structure).transpose()?,
        output: caps(&format.output)?,
    })
}

/// Tags that were text.
pub(crate) fn tags(text: &str) -> Option<gst::TagList> {
    use gst::prelude::*;
    glib::Value::deserialize(text, gst::TagList::static_type()).ok()?.get().ok()
}

/// What is installed of these elements.
pub(crate) fn software<'a>(elements: impl IntoIterator<Item = &'a str>) -> Vec<Software> {
    let version = |name: &str| {
        let factory = gst::ElementFactory::find(name)?;
        let plugin = factory.plugin()?;
        Some(Software { name: name.to_owned(), version: format!("{} {}", plugin.plugin_name(), plugin.version()) })
    };
    elements.into_iter().filter_map(version).collect()
}
