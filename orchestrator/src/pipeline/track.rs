//! From caps to what a container is told about a track.

use gst_video::VideoColorRange;

use crate::mux::{Audio, Codec, Colour, Flags, Kind, LightLevel, Mastering, Track, Video, xiph_lace};

/// A track as its caps describe it.
pub(super) fn describe(
    caps: &gst::CapsRef,
    codec: Codec,
    language: Option<String>,
    title: Option<String>,
) -> Option<Track> {
    let s = caps.structure(0)?;
    let uint = |name| s.get::<i32>(name).ok().and_then(|v| u32::try_from(v).ok());
    let video = (codec.kind() == Kind::Video).then(|| Video {
        width: uint("width").unwrap_or(0),
        height: uint("height").unwrap_or(0),
        aspect: fraction(s, "pixel-aspect-ratio").unwrap_or((0, 0)),
        rate: fraction(s, "framerate").filter(|(n, _)| *n > 0),
        ..Video::default()
    });
    let audio = (codec.kind() == Kind::Audio).then(|| Audio {
        rate: uint("rate").unwrap_or(48_000),
        channels: uint("channels").and_then(|c| u16::try_from(c).ok()).unwrap_or(2),
        bits: uint("depth").and_then(|c| u16::try_from(c).ok()).unwrap_or(0),
    });
    let private = private(s, &codec, audio);
    Some(Track { codec, private, language, title, flags: Flags::default(), video, audio })
}

/// Adds what only the pictures themselves (`raw`) and the source's own header (`coded`) know.
pub(super) fn add_picture(track: &mut Track, raw: Option<&gst::CapsRef>, coded: &gst::CapsRef, rotation: u16) {
    let Some(video) = track.video.as_mut() else { return };
    video.rotation = rotation;
    let Some(raw) = raw else { return };
    if let Ok(info) = gst_video::VideoInfo::from_caps(raw) {
        let format = info.format_info();
        video.depth = format.depth().first().and_then(|d| u8::try_from(*d).ok()).unwrap_or(8);
        let shift = |v: &[u32]| v.get(1).and_then(|s| u8::try_from(*s).ok()).unwrap_or(0);
        video.subsampling = (shift(format.w_sub()), shift(format.h_sub()));
        let (par, fps) = (info.par(), info.fps());
        let whole = |n: i32| u32::try_from(n).unwrap_or(0);
        let said = raw.structure(0).is_some_and(|s| s.has_field("pixel-aspect-ratio"));
        if said && video.aspect == (0, 0) {
            video.aspect = (whole(par.numer()), whole(par.denom()));
        }
        video.rate = (fps.numer() > 0).then(|| (whole(fps.numer()), whole(fps.denom())));
        if info.interlace_mode() == gst_video::VideoInterlaceMode::Interleaved {
            video.top_field_first = match info.field_order() {
                gst_video::VideoFieldOrder::TopFieldFirst => Some(true),
                gst_video::VideoFieldOrder::BottomFieldFirst => Some(false),
                _ => None,
            };
        }
    }
    (video.mastering, video.light) = hdr10(raw, coded);
}

/// HDR10's data: the pictures' own, else those of the source's header.
pub(super) fn hdr10(raw: &gst::CapsRef, coded: &gst::CapsRef) -> (Option<Mastering>, Option<LightLevel>) {
    let first = |caps: &gst::CapsRef| gst_video::VideoMasteringDisplayInfo::from_caps(caps).ok();
    let mastering = first(raw).or_else(|| first(coded)).map(|m| {
        let unit = |v: f32| (v * 50_000.0).round().clamp(0.0, 65_535.0) as u16;
        let point = |p: gst_video::VideoMasteringDisplayInfoCoordinate| (unit(p.x()), unit(p.y()));
        Mastering {
            primaries: m.display_primaries().map(point),
            white: point(m.white_point()),
            max: m.max_display_mastering_luminance(),
            min: m.min_display_mastering_luminance(),
        }
    });
    let first = |caps: &gst::CapsRef| gst_video::VideoContentLightLevel::from_caps(caps).ok();
    let light = first(raw).or_else(|| first(coded)).map(|l| LightLevel {
        max_content: l.max_content_light_level(),
        max_frame_average: l.max_frame_average_light_level(),
    });
    (mastering, light)
}

fn fraction(s: &gst::StructureRef, name: &str) -> Option<(u32, u32)> {
    let f = s.get::<gst::Fraction>(name).ok()?;
    Some((u32::try_from(f.numer()).ok()?, u32::try_from(f.denom()).ok()?))
}

fn private(s: &gst::StructureRef, codec: &Codec, audio: Option<Audio>) -> Vec<u8> {
    let bytes = |b: &gst::Buffer| b.map_readable().map(|m| m.to_vec()).unwrap_or_default();
    let data = s.get::<gst::Buffer>("codec_data").map(|b| bytes(&b)).unwrap_or_default();
    let headers: Vec<Vec<u8>> = s
        .get::<gst::ArrayRef<'_>>("streamheader")
        .map(|a| a.iter().filter_map(|v| v.get::<gst::Buffer>().ok()).map(|b| bytes(&b)).collect())
        .unwrap_or_default();
    match codec {
        Codec::Vorbis | Codec::Theora if headers.len() >= 3 => xiph_lace(headers.get(..3).unwrap_or_default()),
        Codec::Flac => flac(&headers).unwrap_or(data),
        Codec::Opus => match headers.into_iter().next().filter(|h| h.starts_with(b"OpusHead")) {
            Some(head) => head,
            None if data.starts_with(b"OpusHead") => data,
            None => opus_head(s, audio.unwrap_or_default()),
        },
        // Some demuxers hand over the whole box around the cookie.
        Codec::Alac if data.len() > 24 => data.get(data.len() - 24..).unwrap_or_default().to_vec(),
        _ => data,
    }
}

/// `fLaC` and the metadata blocks, out of FLAC-in-Ogg's headers.
fn flac(headers: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut out = headers.first()?.get(9..)?.to_vec();
    if !out.starts_with(b"fLaC") {
        return None;
    }
    // The stream's own information is enough, and the last block has to be marked as the last.
    if let Some(mark) = out.get_mut(4) {
        *mark |= 0x80;
    }
    Some(out)
}

fn opus_head(s: &gst::StructureRef, audio: Audio) -> Vec<u8> {
    let mut out = b"OpusHead\x01".to_vec();
    out.push(audio.channels.min(255) as u8);
    out.extend(312u16.to_le_bytes());
    out.extend(audio.rate.to_le_bytes());
    out.extend([0, 0]);
    let family = s.get::<i32>("channel-mapping-family").unwrap_or(0).clamp(0, 255) as u8;
    out.push(family);
    if family > 0 {
        let small = |name, or: i32| s.get::<i32>(name).unwrap_or(or).clamp(0, 255) as u8;
        out.push(small("stream-count", 1));
        out.push(small("coupled-count", 0));
        if let Ok(map) = s.get::<gst::ArrayRef<'_>>("channel-mapping") {
            out.extend(map.iter().filter_map(|v| v.get::<i32>().ok()).map(|v| v.clamp(0, 255) as u8));
        }
    }
    out
}

/// Colours by the numbers containers use.
pub(super) fn colour(c: &gst_video::VideoColorimetry) -> Colour {
    const UNSPECIFIED: u8 = 2;
    let number = |iso: u32| u8::try_from(iso).unwrap_or(UNSPECIFIED);
    Colour {
        primaries: number(c.primaries().to_iso()),
        transfer: number(c.transfer().to_iso()),
        matrix: number(c.matrix().to_iso()),
        full_range: c.range() == VideoColorRange::Range0_255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hdr10_colours_get_their_standard_numbers() {
        gst::init().unwrap();
        let colour = |text: &str| colour(&text.parse().unwrap());
        let hdr = colour("bt2100-pq");
        assert_eq!(hdr, Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false });
        assert_eq!(colour("bt709"), Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false });
        assert_eq!(colour("1:0:0:0"), Colour { primaries: 2, transfer: 2, matrix: 2, full_range: true });
    }
}
