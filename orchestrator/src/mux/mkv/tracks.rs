//! Track entries, chapters and tags.

use super::ebml::Ebml;
use crate::mux::codec::{Codec, Kind};
use crate::mux::container::matroska_pcm;
use crate::mux::track::{Colour, Header, LightLevel, Mastering, Track, Video};

/// The bytes a `DefaultDuration` takes, so that its place can be kept until the end.
pub(super) const DEFAULT_DURATION_BYTES: usize = 12;

/// An id out of the plan's hash: never zero, a different one for each use.
pub(super) fn uid(seed: &[u8; 32], what: &str, index: usize) -> u64 {
    let mut hash = blake3::Hasher::new_keyed(seed);
    hash.update(what.as_bytes());
    hash.update(&(index as u64).to_be_bytes());
    let mut bytes = [0; 8];
    hash.finalize_xof().fill(&mut bytes);
    (u64::from_be_bytes(bytes) >> 8) | 1
}

/// One `TrackEntry`'s content, and where in it the place for `DefaultDuration` is.
pub(super) fn entry(header: &Header, index: usize, track: &Track) -> (Ebml, Option<usize>) {
    let mut e = Ebml::new();
    e.uint(0xD7, index as u64 + 1);
    e.uint(0x73C5, uid(&header.seed, "track", index));
    e.uint(
        0x83,
        match track.codec.kind() {
            Kind::Video => 1,
            Kind::Audio => 2,
            Kind::Subtitle | Kind::Other => 17,
        },
    );
    e.uint(0x9C, 0);
    let first = header.tracks.iter().position(|t| t.codec.kind() == track.codec.kind());
    let default = first == Some(index) && track.codec.kind() != Kind::Subtitle;
    e.uint(0x88, u64::from(default));
    e.text(0x0022_B59C, track.language.as_deref().unwrap_or("und"));
    if let Some(title) = &track.title {
        e.text(0x536E, title);
    }
    e.text(0x86, &codec_id(&track.codec));
    let private = match &track.codec {
        Codec::ProRes(fourcc) => fourcc.to_vec(),
        Codec::Pcm(_) => Vec::new(),
        _ => track.private.clone(),
    };
    if !private.is_empty() {
        e.binary(0x63A2, &private);
    }
    if track.codec == Codec::Opus {
        e.uint(0x56AA, opus_delay(&track.private));
        e.uint(0x56BB, 80_000_000);
    }
    let mut place = None;
    if let Some(video) = &track.video {
        place = Some(e.0.len());
        e.void(DEFAULT_DURATION_BYTES);
        e.master(0xE0, |e| picture(e, video));
    }
    if let Some(audio) = &track.audio {
        e.master(0xE1, |e| {
            e.float(0xB5, f64::from(audio.rate));
            e.uint(0x9F, u64::from(audio.channels));
            let bits = match &track.codec {
                Codec::Pcm(format) => matroska_pcm(format).map_or(0, |(_, bits)| bits),
                _ => audio.bits,
            };
            if bits > 0 {
                e.uint(0x6264, u64::from(bits));
            }
        });
    }
    (e, place)
}

/// Opus's pre-skip in ns.
pub(super) fn opus_delay(head: &[u8]) -> u64 {
    let skip = head.get(10..12).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes);
    u64::from(skip) * 1_000_000_000 / 48_000
}

fn codec_id(codec: &Codec) -> String {
    match codec {
        Codec::H264 => "V_MPEG4/ISO/AVC",
        Codec::H265 => "V_MPEGH/ISO/HEVC",
        Codec::Av1 => "V_AV1",
        Codec::Vp8 => "V_VP8",
        Codec::Vp9 => "V_VP9",
        Codec::Theora => "V_THEORA",
        Codec::Mpeg4 => "V_MPEG4/ISO/ASP",
        Codec::MpegVideo(1) => "V_MPEG1",
        Codec::MpegVideo(_) => "V_MPEG2",
        Codec::Mjpeg => "V_MJPEG",
        Codec::ProRes(_) => "V_PRORES",
        Codec::Ffv1 => "V_FFV1",
        Codec::Aac => "A_AAC",
        Codec::MpegAudio(layer) => return format!("A_MPEG/L{layer}"),
        Codec::Ac3 => "A_AC3",
        Codec::Eac3 => "A_EAC3",
        Codec::Dts => "A_DTS",
        Codec::Opus => "A_OPUS",
        Codec::Vorbis => "A_VORBIS",
        Codec::Flac => "A_FLAC",
        Codec::Alac => "A_ALAC",
        Codec::Pcm(format) => matroska_pcm(format).map_or("A_PCM/INT/LIT", |(id, _)| id),
        Codec::Text => "S_TEXT/UTF8",
        Codec::Ass => "S_TEXT/ASS",
        Codec::Pgs => "S_HDMV/PGS",
        Codec::VobSub => "S_VOBSUB",
        Codec::Other(name) => return name.clone(),
    }
    .to_owned()
}

fn picture(e: &mut Ebml, video: &Video) {
    match video.top_field_first {
        Some(top) => {
            e.uint(0x9A, 1);
            e.uint(0x9D, if top { 9 } else { 14 });
        }
        None => e.uint(0x9A, 2),
    }
    e.uint(0xB0, u64::from(video.width));
    e.uint(0xBA, u64::from(video.height));
    let (n, d) = video.aspect;
    if n > 0 && d > 0 && n != d {
        // Display sizes in pixels would round the ratio away; as a plain ratio they keep it.
        let (w, h) = (u64::from(video.width) * u64::from(n), u64::from(video.height) * u64::from(d));
        let divisor = gcd(w, h).max(1);
        e.uint(0x54B0, w / divisor);
        e.uint(0x54BA, h / divisor);
        e.uint(0x54B2, 3);
    }
    if video.colour.is_some() || video.mastering.is_some() || video.light.is_some() {
        e.master(0x55B0, |e| colour(e, video.colour, video.mastering, video.light));
    }
}

fn colour(e: &mut Ebml, colour: Option<Colour>, mastering: Option<Mastering>, light: Option<LightLevel>) {
    if let Some(c) = colour {
        e.uint(0x55B1, u64::from(c.matrix));
        e.uint(0x55B9, if c.full_range { 2 } else { 1 });
        e.uint(0x55BA, u64::from(c.transfer));
        e.uint(0x55BB, u64::from(c.primaries));
    }
    if let Some(l) = light {
        e.uint(0x55BC, u64::from(l.max_content));
        e.uint(0x55BD, u64::from(l.max_frame_average));
    }
    if let Some(m) = mastering {
        e.master(0x55D0, |e| {
            let points = m.primaries.into_iter().chain([m.white]);
            for (i, (x, y)) in points.enumerate() {
                let id = 0x55D1 + 2 * i as u32;
                e.float(id, f64::from(x) / 50_000.0);
                e.float(id + 1, f64::from(y) / 50_000.0);
            }
            e.float(0x55D9, f64::from(m.max) / 10_000.0);
            e.float(0x55DA, f64::from(m.min) / 10_000.0);
        });
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The `Chapters` element.
pub(super) fn chapters(header: &Header) -> Ebml {
    let mut e = Ebml::new();
    e.master(0x1043_A770, |e| {
        e.master(0x45B9, |e| {
            e.uint(0x45BC, uid(&header.seed, "edition", 0));
            for (i, chapter) in header.chapters.iter().enumerate() {
                e.master(0xB6, |e| {
                    e.uint(0x73C4, uid(&header.seed, "chapter", i));
                    e.uint(0x91, chapter.start);
                    e.uint(0x92, chapter.end);
                    e.master(0x80, |e| {
                        e.text(0x85, &chapter.title);
                        e.text(0x437C, chapter.language.as_deref().unwrap_or("und"));
                    });
                });
            }
        });
    });
    e
}

/// The `Tags` element.
pub(super) fn tags(header: &Header) -> Ebml {
    let mut e = Ebml::new();
    e.master(0x1254_C367, |e| {
        e.master(0x7373, |e| {
            e.master(0x63C0, |_| {});
            for (name, value) in header.tags.iter().filter(|(n, _)| n != "title") {
                e.master(0x67C8, |e| {
                    e.text(0x45A3, &name.to_ascii_uppercase());
                    e.text(0x4487, value);
                });
            }
        });
    });
    e
}
