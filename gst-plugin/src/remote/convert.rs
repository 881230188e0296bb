//! Between GStreamer's objects and what goes over the wire.

use bytes::Bytes;
use gst_video::VideoCaptionType;
use gst_video::prelude::*;
use thiserror::Error;

use crate::chunk::Start;
use crate::lane::{
    Complaints, DecoderSpec, Encoded, EncoderSpec, FilterSpec, Format, Lost, MOST_LEAD_IN, SpecError, Wanted,
    WantedFrame,
};
use crate::wire::frame::ALIGNMENT;
use crate::wire::message::{self, Caption, Done, Layout, Plane, Unit};
use crate::wire::{Message, Tally};

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
    #[error("a text that GStreamer does not take")]
    Text,
    #[error("a text of {0} bytes, where {MOST_TEXT} are the most")]
    Long(usize),
    #[error("a frame's memory cannot be read")]
    Memory,
    #[error("a picture's layout makes no sense")]
    Layout,
    #[error("captions of no known kind")]
    Captions,
    #[error("a picture is not what its caps say")]
    Picture,
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

/// Captions that GStreamer takes.
const CAPTIONS: [VideoCaptionType; 4] = [
    VideoCaptionType::Cea608Raw,
    VideoCaptionType::Cea608S3341a,
    VideoCaptionType::Cea708Raw,
    VideoCaptionType::Cea708Cdp,
];

/// The frame or unit that came. A `picture` of this kind is copied to where its lines may be read quickly, and where
/// some encoders have to have them, unless it is there.
pub(crate) fn from_wire(
    unit: Unit,
    media: Bytes,
    picture: Option<&gst_video::VideoInfo>,
) -> Result<gst::Buffer, ConvertError> {
    let mut buffer = if picture.is_some() && !media.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        let params = gst::AllocationParams::new(gst::MemoryFlags::empty(), ALIGNMENT - 1, 0, 0);
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
    // The last number is no time.
    let time = |nanos: Option<u64>| nanos.filter(|nanos| *nanos != u64::MAX).map(gst::ClockTime::from_nseconds);
    let writable = buffer.make_mut();
    writable.set_pts(time(unit.pts));
    writable.set_dts(time(unit.dts));
    writable.set_duration(time(unit.duration));
    writable.set_flags(gst::BufferFlags::from_bits_truncate(unit.flags) & video_flags());
    writable.set_video_flags(gst_video::VideoBufferFlags::from_bits_truncate(unit.flags));
    if let Some(layout) = unit.layout {
        lay_out(writable, &layout, size)?;
    }
    for caption in &unit.captions {
        // SAFETY: any number is a value of a C enum, and those that are not known become one of glib's own.
        let kind = unsafe { glib::translate::from_glib(caption.kind) };
        if caption.data.is_empty() || !CAPTIONS.contains(&kind) {
            return Err(ConvertError::Captions);
        }
        gst_video::video_meta::VideoCaptionMeta::add(writable, kind, &caption.data);
    }
    match picture {
        Some(info) if !is_whole(&buffer, info) => Err(ConvertError::Picture),
        _ => Ok(buffer),
    }
}

/// Whether there is all of a picture. Most encoders read one that GStreamer could not map.
fn is_whole(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> bool {
    let Some(meta) = buffer.meta::<gst_video::VideoMeta>() else { return buffer.size() >= info.size() };
    meta.format() == info.format() && meta.width() >= info.width() && meta.height() >= info.height()
}

/// Says where the picture's planes are, after checking that all of them are within its bytes.
fn lay_out(buffer: &mut gst::BufferRef, layout: &Layout, size: u64) -> Result<(), ConvertError> {
    let name = readable(&layout.format).map_err(|_| ConvertError::Layout)?;
    let format = gst_video::VideoFormat::from_string(name);
    // GStreamer takes it for a fault of the program.
    if matches!(format, gst_video::VideoFormat::Unknown | gst_video::VideoFormat::Encoded) {
        return Err(ConvertError::Layout);
    }
    let info = gst_video::VideoInfo::builder(format, layout.width, layout.height).build();
    let info = info.map_err(|_| ConvertError::Layout)?;
    let planes = layout.planes.get(..info.n_planes() as usize).ok_or(ConvertError::Layout)?;
    if info.format_info().is_tiled() || planes.iter().any(|plane| plane.stride <= 0 || plane.offset >= size) {
        return Err(ConvertError::Layout);
    }
    let offsets: Vec<usize> = planes.iter().map(|plane| usize::try_from(plane.offset).unwrap_or(usize::MAX)).collect();
    let strides: Vec<i32> = planes.iter().map(|plane| plane.stride).collect();
    let laid = gst_video::VideoInfo::builder(format, layout.width, layout.height)
        .offset(&offsets)
        .stride(&strides)
        .build()
        .map_err(|_| ConvertError::Layout)?;
    if end_of(&laid, &info) > size || overlaps(&laid, &info) {
        return Err(ConvertError::Layout);
    }
    let flags = gst_video::VideoFrameFlags::from_bits_truncate(layout.flags);
    gst_video::VideoMeta::add_full(buffer, flags, format, layout.width, layout.height, &offsets, &strides)
        .map(drop)
        .map_err(|_| ConvertError::Layout)
}

/// Bytes of a palette.
const PALETTE: u64 = 256 * 4;

/// Where the last line of a picture ends; `usual` is the same kind of picture as GStreamer lays it out.
fn end_of(info: &gst_video::VideoInfo, usual: &gst_video::VideoInfo) -> u64 {
    let ends = components(info).map(|n| {
        let lines = u64::from(info.comp_height(n).saturating_sub(1));
        offset(info, n) + lines * u64::from(info.comp_stride(n).unsigned_abs()) + line(usual, n)
    });
    // The palette has a plane of its own.
    let palette = info.offset().get(1).filter(|_| info.format_info().has_palette());
    ends.chain(palette.map(|at| *at as u64 + PALETTE)).max().unwrap_or(0)
}

/// Whether lines begin before the one above has ended.
fn overlaps(info: &gst_video::VideoInfo, usual: &gst_video::VideoInfo) -> bool {
    components(info).any(|n| u64::from(info.comp_stride(n).unsigned_abs()) < line(usual, n))
}

/// The components of pixels; GStreamer counts a palette as one of them.
fn components(info: &gst_video::VideoInfo) -> impl Iterator<Item = u8> {
    let palette = u32::from(info.format_info().has_palette());
    0..u8::try_from(info.n_components().saturating_sub(palette)).unwrap_or(u8::MAX)
}

/// Where the plane of a component begins.
fn offset(info: &gst_video::VideoInfo, component: u8) -> u64 {
    let plane = info.format_info().plane().get(usize::from(component)).copied().unwrap_or(0);
    info.offset().get(plane as usize).copied().unwrap_or(0) as u64
}

/// Bytes of a line of whole pixels, for those who read them do not read parts of one.
fn line(usual: &gst_video::VideoInfo, component: u8) -> u64 {
    let pixels = u64::from(usual.comp_width(component)) * u64::from(usual.comp_pstride(component).unsigned_abs());
    let stride = u64::from(usual.comp_stride(component).unsigned_abs());
    // Not all have pixels of so many bytes each, and where two share their chroma the last may have none beside it.
    let is_even = pixels > 0 && !usual.format_info().flags().contains(gst_video::VideoFormatFlags::COMPLEX);
    if is_even { pixels.min(stride) } else { stride }
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

impl From<Complaints> for message::Complaints {
    fn from(Complaints { count, first }: Complaints) -> Self {
        Self { count, first }
    }
}

impl From<message::Complaints> for Complaints {
    fn from(message::Complaints { count, first }: message::Complaints) -> Self {
        Self { count, first: first.map(|(time, what)| (time, plain(what))) }
    }
}

/// What comes behind the units of a result of so many frames: the complaints, if there are any, and the count of all.
pub(crate) fn end_to_wire(encoded: &Encoded, frames: u64, tally: &Tally) -> impl Iterator<Item = Message> + use<> {
    let Encoded { tags, lost, complaints, .. } = encoded;
    let complaints = (*complaints != Complaints::default()).then(|| Message::Complaints(complaints.clone().into()));
    let tags = tags.as_ref().map(ToString::to_string);
    let done = Message::Done(Done { tally: tally.count(), frames, tags, lost: lost.clone().into() });
    complaints.into_iter().chain([done])
}

/// The most letters that are shown of what another machine says.
const MOST_LETTERS: usize = 500;

/// A text for people to read: it may go to a terminal.
pub(crate) fn plain(mut text: String) -> String {
    text.retain(|letter| !letter.is_control());
    text.truncate(text.char_indices().nth(MOST_LETTERS).map_or(text.len(), |(at, _)| at));
    text
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
        lead_in: format.lead_in,
    }
}

/// The format that came. All that a local run checks is checked here as well.
pub(crate) fn format_from_wire(format: &message::Format) -> Result<Format, ConvertError> {
    let structure =
        |text: &String| readable(text)?.parse::<gst::Structure>().map_err(|_| ConvertError::Structure(text.clone()));
    // Those of a stream are.
    let input = caps(&format.input)?;
    if !input.is_fixed() {
        return Err(ConvertError::Caps(format.input.clone()));
    }
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
        encoder: EncoderSpec::parse(readable(&format.encoder)?, format.threads)?,
        input,
        decoder,
        filter: FilterSpec::parse(readable(&format.filter)?)?,
        frame_caps: format.frame_caps.as_ref().map(structure).transpose()?,
        output: caps(&format.output)?,
        lead_in: format.lead_in.min(MOST_LEAD_IN),
    })
}

/// Caps that hold what decoders need have some kB as text, others less. GStreamer takes time by the square of the length.
const MOST_TEXT: usize = 32 << 10;
/// Lists are not deeper in one another in any text of ours. GStreamer takes some of the stack for each, and twice as long: it
/// reads what makes no sense again in another way, so that 250 bytes with 40 lists would keep it for days.
const MOST_DEPTH: usize = 4;

/// A text that GStreamer may read. It takes no zero for a part of one.
fn readable(text: &str) -> Result<&str, ConvertError> {
    if text.len() > MOST_TEXT {
        return Err(ConvertError::Long(text.len()));
    }
    if text.contains('\0') || depth(text) > MOST_DEPTH { Err(ConvertError::Text) } else { Ok(text) }
}

/// How deep lists are in one another, or deeper: what is opened in a string counts, and nothing in one closes anything.
fn depth(text: &str) -> usize {
    let (mut open, mut deepest) = (Vec::new(), 0);
    let (mut is_string, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        let was_escaped = std::mem::replace(&mut is_escaped, false);
        match byte {
            b'\\' if is_string => is_escaped = !was_escaped,
            b'"' if !was_escaped => is_string = !is_string,
            b'[' => open.push(b']'),
            b'{' => open.push(b'}'),
            b'<' => open.push(b'>'),
            _ if !is_string && open.last() == Some(&byte) => drop(open.pop()),
            _ => {}
        }
        deepest = deepest.max(open.len());
    }
    deepest
}

/// Caps that were text.
pub(crate) fn caps(text: &str) -> Result<gst::Caps, ConvertError> {
    readable(text)?.parse().map_err(|_| ConvertError::Caps(text.to_owned()))
}

/// Tags that were text.
pub(crate) fn tags(text: &str) -> Option<gst::TagList> {
    use gst::prelude::*;
    // GStreamer takes any other for a fault of the program.
    let text = readable(text).ok().filter(|text| text.starts_with("taglist"))?;
    glib::Value::deserialize(text, gst::TagList::static_type()).ok()?.get().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_buffer_comes_with_it() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::from_mut_slice((0..=255).cycle().take(64 * 4 + 32 * 2 * 2).collect::<Vec<u8>>());
        let fields = buffer.make_mut();
        fields.set_pts(gst::ClockTime::from_nseconds(5));
        fields.set_duration(gst::ClockTime::from_nseconds(9));
        fields.set_flags(gst::BufferFlags::DELTA_UNIT | gst::BufferFlags::TAG_MEMORY);
        fields.set_video_flags(gst_video::VideoBufferFlags::INTERLACED | gst_video::VideoBufferFlags::TFF);
        let format = gst_video::VideoFormat::I420;
        let flags = gst_video::VideoFrameFlags::TFF;
        gst_video::VideoMeta::add_full(fields, flags, format, 48, 4, &[0, 256, 320], &[64, 32, 32]).unwrap();
        let kind = VideoCaptionType::Cea708Raw;
        gst_video::video_meta::VideoCaptionMeta::add(fields, kind, &[1, 2, 3]);

        let (unit, media) = to_wire(buffer.clone()).unwrap();
        let info = gst_video::VideoInfo::builder(format, 48, 4).build().unwrap();
        for picture in [None, Some(&info)] {
            let back = from_wire(unit.clone(), media.clone(), picture).unwrap();
            assert_eq!(back.map_readable().unwrap().as_slice(), buffer.map_readable().unwrap().as_slice());
            assert_eq!((back.pts(), back.dts(), back.duration()), (buffer.pts(), None, buffer.duration()));
            assert_eq!(back.flags() & video_flags(), gst::BufferFlags::DELTA_UNIT);
            assert_eq!(back.video_flags(), buffer.video_flags());
            let meta = back.meta::<gst_video::VideoMeta>().unwrap();
            assert_eq!((meta.offset(), meta.stride()), (&[0usize, 256, 320][..], &[64, 32, 32][..]));
            assert_eq!(meta.video_frame_flags(), flags);
            let caption = back.meta::<gst_video::video_meta::VideoCaptionMeta>().unwrap();
            assert_eq!((caption.caption_type(), caption.data()), (kind, &[1, 2, 3][..]));
        }
    }

    #[test]
    fn pictures_of_every_format_come_as_they_are_laid_out_and_no_line_begins_in_another() {
        gst::init().unwrap();
        let mut formats = 0;
        for format in gst_video::VideoFormat::iter_raw() {
            if gst_video::VideoFormatInfo::from_format(format).is_tiled() {
                continue;
            }
            formats += 1;
            for (width, height) in [(1, 1), (5, 3), (48, 4)] {
                let info = gst_video::VideoInfo::builder(format, width, height).build().unwrap();
                let wire = |stride: Option<i32>| {
                    let mut buffer = gst::Buffer::from_mut_slice(vec![1; info.size()]);
                    gst_video::VideoMeta::add(
                        buffer.make_mut(),
                        gst_video::VideoFrameFlags::empty(),
                        format,
                        width,
                        height,
                    )
                    .unwrap();
                    let (mut unit, media) = to_wire(buffer).unwrap();
                    let planes = &mut unit.layout.as_mut().unwrap().planes;
                    stride.iter().for_each(|stride| planes[0].stride = *stride);
                    from_wire(unit, media, Some(&info))
                };
                let back = wire(None).unwrap_or_else(|error| panic!("{format} {width}x{height}: {error}"));
                assert_eq!(back.meta::<gst_video::VideoMeta>().unwrap().stride(), info.stride());
                if width > 8 {
                    assert!(wire(Some(1)).is_err(), "{format}");
                    // A line is all of its pixels.
                    let least = info.comp_width(0) as i32 * info.comp_pstride(0);
                    assert!(wire(Some(least - 1)).is_err(), "{format}");
                }
            }
        }
        assert!(formats > 80, "{formats}");
    }

    #[test]
    fn no_number_is_too_large_for_a_time() {
        gst::init().unwrap();
        let most = Some(u64::MAX);
        let unit = Unit { pts: most, dts: most, duration: most, flags: u32::MAX, ..Unit::default() };
        let buffer = from_wire(unit, Bytes::from_static(b"unit"), None).unwrap();
        assert_eq!((buffer.pts(), buffer.dts(), buffer.duration()), (None, None, None));
    }

    #[test]
    fn a_text_that_gstreamer_would_choke_on_is_refused() {
        gst::init().unwrap();
        let deep = |open: &str| format!("video/x-raw,a={}", open.repeat(30_000 / open.len()));
        // It would not live to see the end of these.
        let endless = |open: &str| format!("video/x-raw,a={}", open.repeat(40));
        let texts = [
            "video/x-raw\0".to_owned(),
            deep("<"),
            deep("{"),
            deep("(structure)[a,b="),
            endless("[a,b="),
            endless("[a,b={"),
            endless("[a,b=\"]\",c="),
            endless("[a,b=\"\\\\\"]\\\"\",c="),
        ];
        for text in &texts {
            let wire = |encoder: &str, input: &str, filter: &str, frame_caps: &str| message::Format {
                id: 0,
                encoder: encoder.into(),
                threads: 0,
                input: input.into(),
                decoder: None,
                filter: filter.into(),
                frame_caps: Some(frame_caps.into()),
                output: "ANY".into(),
                lead_in: 0,
            };
            let refused = |format| format_from_wire(&format).is_err();
            assert!(!refused(wire("x264enc", "video/x-raw", "", "a")));
            assert!(refused(wire(text, "video/x-raw", "", "a")));
            assert!(refused(wire("x264enc", text, "", "a")));
            assert!(refused(wire("x264enc", "video/x-raw", text, "a")));
            assert!(refused(wire("x264enc", "video/x-raw", "", text)));
            assert!(caps(text).is_err() && tags(&format!("taglist, {text}")).is_none());
        }
        assert!(tags("video/x-raw").is_none());
        let layout = Layout { format: "I420\0".into(), width: 2, height: 2, flags: 0, planes: Vec::new() };
        assert!(from_wire(Unit { layout: Some(layout), ..Unit::default() }, vec![0; 6].into(), None).is_err());
        let nested = "video/x-raw, format={ I420, NV12 }, width=[ 1, 8 ], c=< < 1, 2 >, (structure)[a, b={ 3 }] >";
        assert!(caps(nested).is_ok());
    }

    #[test]
    fn a_text_that_takes_gstreamer_long_is_refused_and_one_with_what_decoders_need_is_not() {
        gst::init().unwrap();
        let caps_of = |bytes: usize| format!("video/x-theora, streamheader=(buffer){}", "5a".repeat(bytes));
        // A stream header of Theora has some 5 kB.
        let caps_read = caps(&caps_of(10_000)).unwrap();
        assert_eq!(caps_read.structure(0).unwrap().get::<gst::Buffer>("streamheader").unwrap().size(), 10_000);
        let long = caps_of(40_000);
        assert!(matches!(caps(&long), Err(ConvertError::Long(length)) if length == long.len()));
        let fields: String = (0..20_000).map(|n| format!(",a{n}=1")).collect();
        assert!(tags(&format!("taglist{fields}")).is_none());
        let format = message::Format {
            id: 0,
            encoder: "x264enc".into(),
            threads: 0,
            input: "video/x-raw".into(),
            decoder: None,
            filter: String::new(),
            frame_caps: Some(format!("a{fields}")),
            output: "ANY".into(),
            lead_in: 0,
        };
        assert!(matches!(format_from_wire(&format), Err(ConvertError::Long(_))));
    }

    #[test]
    fn whatever_encoders_here_take_and_give_can_be_told() {
        gst::init().unwrap();
        let kind = gst::ElementFactoryType::VIDEO_ENCODER;
        let encoders = gst::ElementFactory::factories_with_type(kind, gst::Rank::NONE);
        let texts: Vec<_> =
            encoders.iter().flat_map(|f| f.static_pad_templates()).map(|t| t.caps().to_string()).collect();
        assert!(!texts.is_empty());
        for text in texts {
            assert!(readable(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_a_chunk_is_to_make_takes_no_more_memory_than_the_wire_says() {
        let frame = size_of::<message::WantedFrame>() + size_of::<WantedFrame>() + size_of::<u64>();
        assert!(message::MOST_FRAMES * frame + crate::wire::frame::MOST_LIST as usize <= 64 << 20);
    }

    #[test]
    fn captions_that_gstreamer_does_not_know_are_refused() {
        gst::init().unwrap();
        for (kind, data, is_known) in
            [(3, &[1][..], true), (3, &[], false), (0, &[1], false), (5, &[1], false), (-1, &[1], false)]
        {
            let unit = Unit { captions: vec![Caption { kind, data: data.to_vec() }], ..Unit::default() };
            assert_eq!(from_wire(unit, Bytes::from_static(b"unit"), None).is_ok(), is_known, "{kind}");
        }
    }

    #[test]
    fn a_layout_that_leaves_its_bytes_is_refused() {
        gst::init().unwrap();
        let plane = |offset, stride| Plane { offset, stride };
        let fits = vec![plane(0, 64), plane(256, 32), plane(320, 32)];
        let unit = |width, planes: &[Plane]| {
            let layout = Layout { format: "I420".into(), width, height: 4, flags: 0, planes: planes.to_vec() };
            Unit { layout: Some(layout), ..Unit::default() }
        };
        let from = |unit: Unit| from_wire(unit, vec![0; 384].into(), None).is_ok();
        assert!(from(unit(48, &fits)));
        for wrong in
            [plane(321, 64), plane(330, 32), plane(u64::MAX, 32), plane(320, -32), plane(320, 0), plane(320, i32::MAX)]
        {
            assert!(!from(unit(48, &[fits[0], fits[1], wrong])), "{wrong:?}");
        }
        assert!(!from(unit(48, &fits[..2])));
        assert!(!from(unit(0, &fits)));
        assert!(!from(unit(4096, &fits)));
        for format in ["none", "UNKNOWN", "ENCODED"] {
            let unknown = Layout { format: format.into(), width: 48, height: 4, flags: 0, planes: fits.clone() };
            assert!(!from(Unit { layout: Some(unknown), ..Unit::default() }), "{format}");
        }
    }
}
