//! What becomes GStreamer's.

use std::sync::Once;

use bytes::Bytes;
use gst_video::prelude::*;
use gst_video::{VideoFrameRef, VideoInfo};

use crate::remote::convert::{caps, format_from_wire, format_to_wire, from_wire, tags, to_wire};
use crate::wire::Message;
use crate::wire::frame::Frame;
use crate::wire::message::{self, tag};

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| assert!(gst::init().is_ok()));
}

/// How a coordinator wants chunks encoded: lines for the encoder, the caps of what comes in, the decoder, the filter, the
/// frames' fields and the output's caps.
pub fn formats(text: &[u8]) {
    init();
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (encoder, input, decoder, filter, frame_caps, output) = (line(), line(), line(), line(), line(), line());
    let some = |line: String| Some(line).filter(|line| !line.is_empty());
    let wire = message::Format {
        id: 0,
        encoder,
        threads: 0,
        input,
        decoder: some(decoder),
        filter,
        frame_caps: some(frame_caps),
        output,
        lead_in: u32::MAX,
    };
    let Ok(format) = format_from_wire(&wire) else { return };
    // Its caps may be written in other words.
    let back = format_to_wire(&format, 0);
    assert_eq!((back.encoder, back.decoder, back.filter), (wire.encoder, wire.decoder, wire.filter));
    assert!(format.encoder.build().is_ok());
    assert!(format.filter.build(true).is_ok());
}

/// What pictures may be.
const PICTURES: [(gst_video::VideoFormat, u32, u32); 6] = [
    (gst_video::VideoFormat::I420, 16, 8),
    (gst_video::VideoFormat::I42010le, 8, 4),
    (gst_video::VideoFormat::Nv12, 16, 8),
    (gst_video::VideoFormat::Gray8, 8, 8),
    (gst_video::VideoFormat::Rgb, 5, 3),
    (gst_video::VideoFormat::Rgb8p, 4, 4),
];

/// A frame or unit, and what is known of it.
pub fn units(body: &[u8]) {
    init();
    let frame = Frame { tag: tag::UNIT, body: Bytes::copy_from_slice(body) };
    let Ok(Some(Message::Unit(unit, media))) = Message::read(frame) else { return };
    let convert = |picture: Option<&VideoInfo>| {
        let buffer = from_wire(unit.clone(), media.clone(), picture).ok()?;
        let Ok((back, bytes)) = to_wire(buffer.clone()) else { panic!("{unit:?} cannot be read") };
        assert_eq!(bytes, media);
        assert_eq!((&back.captions, back.layout.is_some()), (&unit.captions, unit.layout.is_some()));
        Some(buffer)
    };
    for picture in PICTURES.into_iter().filter_map(info) {
        if let Some(buffer) = convert(Some(&picture)) {
            look_at(&buffer, &picture);
        }
    }
    let Some(buffer) = convert(None) else { return };
    if let Some(meta) = buffer.meta::<gst_video::VideoMeta>() {
        let Some(picture) = info((meta.format(), meta.width(), meta.height())) else { panic!("{meta:?}") };
        look_at(&buffer, &picture);
    }
}

fn info((format, width, height): (gst_video::VideoFormat, u32, u32)) -> Option<VideoInfo> {
    VideoInfo::builder(format, width, height).build().ok()
}

/// Reads all of a picture, as an encoder does.
fn look_at(buffer: &gst::BufferRef, info: &VideoInfo) {
    let Ok(frame) = VideoFrameRef::from_buffer_ref_readable(buffer, info) else { panic!("no {info:?}") };
    let mut sum = 0u8;
    for component in 0..frame.n_components() {
        let Ok(data) = frame.comp_data(component) else { panic!("no {component} in {info:?}") };
        // It begins within a pixel, and ends with one, or with the line where pixels have no bytes of their own.
        let all = info.comp_stride(component as u8) as usize;
        let pixels = frame.comp_width(component) as usize * frame.comp_pstride(component) as usize;
        let line = if pixels == 0 { all } else { pixels.min(all) } - frame.comp_poffset(component) as usize;
        let lines = data.chunks(frame.comp_stride(component) as usize).take(frame.comp_height(component) as usize);
        lines.flat_map(|bytes| bytes.iter().take(line)).for_each(|byte| sum ^= byte);
    }
    if frame.format_info().has_palette() {
        frame.plane_data(1).into_iter().flatten().for_each(|byte| sum ^= byte);
    }
    std::hint::black_box(sum);
}

/// What a worker says of its result: caps, and tags behind the first line.
pub fn texts(text: &[u8]) {
    init();
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (of_caps, of_tags) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(caps) = caps(of_caps) {
        std::hint::black_box(caps.to_string());
    }
    if let Some(tags) = tags(of_tags) {
        std::hint::black_box(tags.to_string());
    }
}
