//! What the caps of coded units say of their layout.

use crate::chunk::{Framing, Syntax};
use crate::stitch::headers::{self, Codec};

/// How the units of these caps are laid out, where that is known.
pub(super) fn syntax(caps: &gst::StructureRef) -> Option<Syntax> {
    Some(match caps.name().as_str() {
        // Decoder configurations (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1) tell the size of lengths.
        "video/x-h264" => Syntax::H264(framing(caps, 4)?),
        "video/x-h265" => Syntax::H265(framing(caps, 21)?),
        "video/x-av1" => Syntax::Av1,
        "video/x-vp8" => Syntax::Vp8,
        "video/x-vp9" => Syntax::Vp9,
        "video/mpeg" => match caps.get::<i32>("mpegversion") {
            Ok(1 | 2) => Syntax::Mpeg12,
            Ok(4) => Syntax::Mpeg4,
            _ => return None,
        },
        "video/x-theora" => Syntax::Theora,
        "image/jpeg" | "video/x-prores" | "video/x-dnxhd" => Syntax::Intra,
        "video/x-ffv" => Syntax::Ffv1,
        _ => return None,
    })
}

fn framing(caps: &gst::StructureRef, at: usize) -> Option<Framing> {
    if caps.get::<&str>("stream-format").is_ok_and(|form| form == "byte-stream") {
        return Some(Framing::StartCodes);
    }
    let private = caps.get::<gst::Buffer>("codec_data").ok()?.into_mapped_buffer_readable().ok()?;
    private.get(at).map(|size| Framing::Lengths(usize::from(size & 3) + 1))
}

/// How the units of a stream of these caps are read where chunks are joined.
pub(crate) fn codec(caps: &gst::CapsRef) -> Codec {
    let Some(s) = caps.structure(0) else { return Codec::Other };
    let config = s.get::<gst::Buffer>("codec_data").ok().and_then(|b| b.map_readable().ok().map(|m| m.to_vec()));
    let byte_stream = s.get::<&str>("stream-format").is_ok_and(|f| f == "byte-stream");
    let framing = |length_size_at: usize| match &config {
        Some(config) if !byte_stream => headers::Framing::Length((config.get(length_size_at).unwrap_or(&3) & 3) + 1),
        _ => headers::Framing::AnnexB,
    };
    match s.name().as_str() {
        "video/x-h264" => Codec::H264 { framing: framing(4), config },
        "video/x-h265" => Codec::H265 { framing: framing(21), config },
        "video/x-av1" => Codec::Av1,
        "video/x-vp8" => Codec::Vp8,
        "video/mpeg" => match s.get::<i32>("mpegversion") {
            Ok(4) => Codec::Mpeg4,
            _ => Codec::Mpeg2,
        },
        _ => Codec::Other,
    }
}

/// A unit with other bytes; all else that is known of it stays.
pub(crate) fn with_bytes(unit: &gst::BufferRef, bytes: Vec<u8>) -> Result<gst::Buffer, glib::BoolError> {
    let mut new = gst::Buffer::from_mut_slice(bytes);
    let metadata = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::META;
    unit.copy_into(new.make_mut(), metadata, ..)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(caps: &str) -> Option<Syntax> {
        gst::init().unwrap();
        syntax(caps.parse::<gst::Caps>().unwrap().structure(0).unwrap())
    }

    #[test]
    fn the_way_units_are_laid_out_is_told_by_their_caps() {
        assert_eq!(found("video/x-h264, stream-format=byte-stream"), Some(Syntax::H264(Framing::StartCodes)));
        let avc = "video/x-h264, stream-format=avc, codec_data=(buffer)0164001ffde1";
        assert_eq!(found(avc), Some(Syntax::H264(Framing::Lengths(2))));
        let hvc = format!("video/x-h265, stream-format=hvc1, codec_data=(buffer){}03", "00".repeat(21));
        assert_eq!(found(&hvc), Some(Syntax::H265(Framing::Lengths(4))));
        assert_eq!(found("video/x-h264, stream-format=avc"), None);
        assert_eq!(found("video/x-h264, stream-format=avc, codec_data=(buffer)0164"), None);
        assert_eq!(found("video/mpeg, mpegversion=2"), Some(Syntax::Mpeg12));
        assert_eq!(found("video/x-msmpeg"), None);
    }
}
