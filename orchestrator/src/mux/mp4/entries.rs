//! Sample entries: what a decoder has to know of each track.

use super::boxes::Boxes;
use crate::mux::bits::Bits;
use crate::mux::codec::Codec;
use crate::mux::container::Container;
use crate::mux::track::{Audio, Track, Video};

/// The `stsd` box.
pub(super) fn stsd(b: &mut Boxes, container: Container, track: &Track, first: &[u8]) {
    b.full(b"stsd", 0, 0, |b| {
        b.u32(1);
        if let Some(video) = &track.video {
            visual(b, container, track, video);
        } else if let Some(audio) = &track.audio {
            sound(b, container, track, audio, first);
        } else {
            text(b);
        }
    });
}

fn visual(b: &mut Boxes, container: Container, track: &Track, video: &Video) {
    let kind = match &track.codec {
        Codec::H264 => *b"avc1",
        Codec::H265 => *b"hvc1",
        Codec::Av1 => *b"av01",
        Codec::Vp9 => *b"vp09",
        Codec::ProRes(fourcc) => *fourcc,
        Codec::Mjpeg if container == Container::Mov => *b"jpeg",
        _ => *b"mp4v",
    };
    b.boxed(&kind, |b| {
        b.zeros(6);
        b.u16(1);
        b.zeros(16);
        b.u16(video.width.min(0xFFFF) as u16);
        b.u16(video.height.min(0xFFFF) as u16);
        b.u32(0x0048_0000);
        b.u32(0x0048_0000);
        b.u32(0);
        b.u16(1);
        b.zeros(32);
        b.u16(24);
        b.u16(0xFFFF);
        match &track.codec {
            Codec::H264 => b.boxed(b"avcC", |b| b.bytes(&track.private)),
            Codec::H265 => b.boxed(b"hvcC", |b| b.bytes(&track.private)),
            Codec::Av1 => b.boxed(b"av1C", |b| b.bytes(&track.private)),
            Codec::Vp9 => vpcc(b, video),
            Codec::Mpeg4 => esds(b, 0x20, 4, &track.private),
            Codec::MpegVideo(1) => esds(b, 0x6A, 4, &[]),
            Codec::MpegVideo(_) => esds(b, 0x61, 4, &[]),
            Codec::Mjpeg if container != Container::Mov => esds(b, 0x6C, 4, &[]),
            _ => {}
        }
        extensions(b, container, video);
    });
}

fn extensions(b: &mut Boxes, container: Container, video: &Video) {
    if let Some(top) = video.top_field_first {
        b.boxed(b"fiel", |b| b.bytes(&[2, if top { 9 } else { 14 }]));
    }
    let (n, d) = video.aspect;
    if n > 0 && d > 0 {
        b.boxed(b"pasp", |b| {
            b.u32(n);
            b.u32(d);
        });
    }
    if let Some(c) = video.colour {
        b.boxed(b"colr", |b| {
            b.bytes(if container == Container::Mov { b"nclc" } else { b"nclx" });
            b.u16(c.primaries.into());
            b.u16(c.transfer.into());
            b.u16(c.matrix.into());
            if container != Container::Mov {
                b.u8(if c.full_range { 0x80 } else { 0 });
            }
        });
    }
    if let Some(m) = video.mastering {
        b.boxed(b"mdcv", |b| {
            let [red, green, blue] = m.primaries;
            for (x, y) in [green, blue, red, m.white] {
                b.u16(x);
                b.u16(y);
            }
            b.u32(m.max);
            b.u32(m.min);
        });
    }
    if let Some(l) = video.light {
        b.boxed(b"clli", |b| {
            b.u16(l.max_content);
            b.u16(l.max_frame_average);
        });
    }
}

fn vpcc(b: &mut Boxes, video: &Video) {
    let depth = video.depth.max(8);
    let chroma = match video.subsampling {
        (1, 1) => 1,
        (1, 0) => 2,
        _ => 3,
    };
    let profile = match (depth > 8, chroma > 1) {
        (false, false) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (true, true) => 3,
    };
    let pixels = u64::from(video.width) * u64::from(video.height);
    let sizes = [36_864, 122_880, 245_760, 552_960, 983_040, 2_228_224, 8_912_896, 35_651_584];
    let levels = [10, 20, 21, 30, 31, 41, 51, 61];
    let level = sizes.iter().zip(levels).find(|(s, _)| pixels <= **s).map_or(62, |(_, l)| l);
    let colour =
        video.colour.unwrap_or(crate::mux::track::Colour { primaries: 2, transfer: 2, matrix: 2, full_range: false });
    b.full(b"vpcC", 1, 0, |b| {
        b.u8(profile);
        b.u8(level);
        b.u8(depth << 4 | chroma << 1 | u8::from(colour.full_range));
        b.bytes(&[colour.primaries, colour.transfer, colour.matrix]);
        b.u16(0);
    });
}

fn esds(b: &mut Boxes, object: u8, stream: u8, private: &[u8]) {
    b.full(b"esds", 0, 0, |b| {
        b.descriptor(3, |b| {
            b.u16(0);
            b.u8(0);
            b.descriptor(4, |b| {
                b.u8(object);
                b.u8(stream << 2 | 1);
                b.u24(0);
                b.u32(0);
                b.u32(0);
                if !private.is_empty() {
                    b.descriptor(5, |b| b.bytes(private));
                }
            });
            b.descriptor(6, |b| b.u8(2));
        });
    });
}

fn sound(b: &mut Boxes, container: Container, track: &Track, audio: &Audio, first: &[u8]) {
    let kind = match &track.codec {
        Codec::Ac3 => b"ac-3",
        Codec::Eac3 => b"ec-3",
        Codec::Opus => b"Opus",
        Codec::Flac => b"fLaC",
        Codec::Alac => b"alac",
        Codec::Pcm(format) if format == "S16BE" => b"twos",
        Codec::Pcm(_) => b"sowt",
        Codec::MpegAudio(3) if container == Container::Mov => b".mp3",
        _ => b"mp4a",
    };
    b.boxed(kind, |b| {
        b.zeros(6);
        b.u16(1);
        b.zeros(8);
        b.u16(audio.channels);
        b.u16(16);
        b.u32(0);
        b.u16(u16::try_from(audio.rate).unwrap_or(0));
        b.u16(0);
        match &track.codec {
            Codec::Ac3 => b.boxed(b"dac3", |b| b.bytes(&dac3(first))),
            Codec::Eac3 => b.boxed(b"dec3", |b| b.bytes(&dec3(first))),
            Codec::Opus => b.boxed(b"dOps", |b| b.bytes(&dops(&track.private))),
            Codec::Flac => b.full(b"dfLa", 0, 0, |b| {
                b.bytes(track.private.strip_prefix(b"fLaC").unwrap_or(&track.private));
            }),
            Codec::Alac => b.full(b"alac", 0, 0, |b| b.bytes(&track.private)),
            Codec::MpegAudio(3) if container == Container::Mov => {}
            Codec::MpegAudio(_) => esds(b, if audio.rate >= 32_000 { 0x6B } else { 0x69 }, 5, &[]),
            Codec::Aac => esds(b, 0x40, 5, &track.private),
            _ => {}
        }
    });
}

/// `AC3SpecificBox` from a frame's own header (ETSI TS 102 366, F.4).
fn dac3(frame: &[u8]) -> [u8; 3] {
    let mut r = Bits::new(frame);
    r.take(32);
    let (fscod, frmsizecod, bsid, bsmod, acmod) = (r.take(2), r.take(6), r.take(5), r.take(3), r.take(3));
    if acmod & 1 != 0 && acmod != 1 {
        r.take(2);
    }
    if acmod & 4 != 0 {
        r.take(2);
    }
    if acmod == 2 {
        r.take(2);
    }
    let lfe = r.take(1);
    let value = fscod << 22 | bsid << 17 | bsmod << 14 | acmod << 11 | lfe << 10 | (frmsizecod >> 1) << 5;
    let [_, a, b, c] = value.to_be_bytes();
    [a, b, c]
}

/// `EC3SpecificBox` for one independent substream (ETSI TS 102 366, F.6).
fn dec3(frame: &[u8]) -> [u8; 5] {
    let mut r = Bits::new(frame);
    r.take(16 + 2 + 3);
    let size = (r.take(11) + 1) * 2;
    let fscod = r.take(2);
    let low = r.take(2);
    let blocks = match low {
        _ if fscod == 3 => 6,
        0 => 1,
        1 => 2,
        2 => 3,
        _ => 6,
    };
    let (acmod, lfe, bsid) = (r.take(3), r.take(1), r.take(5));
    let rate = [48_000, 44_100, 32_000, 24_000].get(fscod as usize).copied().unwrap_or(48_000);
    let kbps = u64::from(size * 8) * rate / (blocks * 256) / 1000;
    let value =
        kbps << 27 | u64::from(fscod) << 22 | u64::from(bsid) << 17 | u64::from(acmod) << 9 | u64::from(lfe) << 8;
    let [_, _, _, a, b, c, d, e] = value.to_be_bytes();
    [a, b, c, d, e]
}

/// `OpusSpecificBox` from an `OpusHead`: the same fields, big-endian.
fn dops(head: &[u8]) -> Vec<u8> {
    let at = |i: usize| head.get(i).copied().unwrap_or(0);
    let mut out = vec![0, at(9), at(11), at(10), at(15), at(14), at(13), at(12), at(17), at(16), at(18)];
    out.extend_from_slice(head.get(19..).unwrap_or_default());
    out
}

fn text(b: &mut Boxes) {
    b.boxed(b"tx3g", |b| {
        b.zeros(6);
        b.u16(1);
        b.u32(0);
        b.bytes(&[1, 0xFF]);
        b.zeros(4);
        b.zeros(8);
        b.u32(0);
        b.u16(1);
        b.bytes(&[0, 18]);
        b.u32(0xFFFF_FFFF);
        b.boxed(b"ftab", |b| {
            b.u16(1);
            b.u16(1);
            b.u8(5);
            b.bytes(b"Serif");
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ac3_frame_tells_its_channels_and_rate() {
        // 48 kHz, 192 kbit/s (frmsizecod 20), bsid 8, 2/0.
        let frame = [0x0B, 0x77, 0, 0, 20, 0b0100_0000, 0b0100_0000, 0];
        assert_eq!(dac3(&frame), [0x10, 0x11, 0x40]);
    }

    #[test]
    fn a_short_frame_is_no_panic() {
        assert_eq!(dac3(&[]).len(), dec3(&[1]).len() - 2);
        assert_eq!(dops(&[]).len(), 11);
    }
}
