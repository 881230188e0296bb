//! Sample entries: what a decoder has to know of each track.

use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, Esds};
use mp4_atom::{
    Ac3SpecificBox, Audio as AudioEntry, BufMut as _, Colr, Dops, Ec3IndependentSubstream, Ec3SpecificBox, Encode as _,
    Fiel, FixedPoint, FontEntry, Ftab, OpusChannelMapping, Pasp, RgbaColor, Tx3g, Visual, VpcC,
};

use super::CHAPTERS;
use crate::mux::bits::Bits;
use crate::mux::codec::Codec;
use crate::mux::container::Container;
use crate::mux::track::{Audio, Track, Video};

type Result = mp4_atom::Result<()>;

/// The `stsd` box. The crate's own holds a closed set of entries, without ProRes, MPEG-4 video or HDR10.
pub(super) fn stsd(b: &mut Vec<u8>, container: Container, track: &Track, first: &[u8]) -> Result {
    b.encode_atom(b"stsd", |b| {
        0u32.encode(b)?;
        1u32.encode(b)?;
        match (&track.video, &track.audio) {
            (Some(video), _) => visual(b, container, track, video),
            (None, Some(audio)) => sound(b, container, track, audio, first),
            (None, None) if track.codec == Codec::Other(CHAPTERS.into()) => chapter(b),
            (None, None) => text().encode(b),
        }
    })
}

/// A box whose content came with the stream: to read it only to write it again could lose what the reader does not know.
fn given(b: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) -> Result {
    b.encode_atom(kind, |b| content.encode(b))
}

/// The same, behind a version and flags of 0.
fn given_full(b: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) -> Result {
    b.encode_atom(kind, |b| {
        0u32.encode(b)?;
        content.encode(b)
    })
}

fn visual(b: &mut Vec<u8>, container: Container, track: &Track, video: &Video) -> Result {
    let kind = match &track.codec {
        Codec::H264 => *b"avc1",
        Codec::H265 => *b"hvc1",
        Codec::Av1 => *b"av01",
        Codec::Vp9 => *b"vp09",
        Codec::ProRes(fourcc) => *fourcc,
        Codec::Mjpeg if container == Container::Mov => *b"jpeg",
        _ => *b"mp4v",
    };
    let picture = Visual {
        data_reference_index: 1,
        width: u16::try_from(video.width).unwrap_or(u16::MAX),
        height: u16::try_from(video.height).unwrap_or(u16::MAX),
        ..Visual::default()
    };
    b.encode_atom(kind, |b| {
        picture.encode(b)?;
        match &track.codec {
            Codec::H264 => given(b, b"avcC", &track.private)?,
            Codec::H265 => given(b, b"hvcC", &track.private)?,
            Codec::Av1 => given(b, b"av1C", &track.private)?,
            Codec::Vp9 => vpcc(video).encode(b)?,
            Codec::Mpeg4 => esds(0x20, 4, &track.private).encode(b)?,
            Codec::MpegVideo(1) => esds(0x6A, 4, &[]).encode(b)?,
            Codec::MpegVideo(_) => esds(0x61, 4, &[]).encode(b)?,
            Codec::Mjpeg if container != Container::Mov => esds(0x6C, 4, &[]).encode(b)?,
            _ => {}
        }
        extensions(b, container, video)
    })
}

fn extensions(b: &mut Vec<u8>, container: Container, video: &Video) -> Result {
    let fields = video.top_field_first.map(|top| Fiel { field_count: 2, field_order: if top { 9 } else { 14 } });
    fields.encode(b)?;
    let (h_spacing, v_spacing) = video.aspect;
    if h_spacing > 0 && v_spacing > 0 {
        Pasp { h_spacing, v_spacing }.encode(b)?;
    }
    let colour = video.colour.map(|c| {
        let (colour_primaries, transfer_characteristics) = (c.primaries.into(), c.transfer.into());
        let (matrix_coefficients, full_range_flag) = (c.matrix.into(), c.full_range);
        match container {
            Container::Mov => Colr::Nclc { colour_primaries, transfer_characteristics, matrix_coefficients },
            _ => Colr::Nclx { colour_primaries, transfer_characteristics, matrix_coefficients, full_range_flag },
        }
    });
    colour.encode(b)?;
    // The crate has no boxes for HDR10 data.
    if let Some(m) = video.mastering {
        b.encode_atom(b"mdcv", |b| {
            let [red, green, blue] = m.primaries;
            for (x, y) in [green, blue, red, m.white] {
                x.encode(b)?;
                y.encode(b)?;
            }
            m.max.encode(b)?;
            m.min.encode(b)
        })?;
    }
    if let Some(l) = video.light {
        b.encode_atom(b"clli", |b| {
            l.max_content.encode(b)?;
            l.max_frame_average.encode(b)
        })?;
    }
    Ok(())
}

fn vpcc(video: &Video) -> VpcC {
    let bit_depth = video.depth.max(8);
    let chroma_subsampling = match video.subsampling {
        (1, 1) => 1,
        (1, 0) => 2,
        _ => 3,
    };
    let profile = match (bit_depth > 8, chroma_subsampling > 1) {
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
    VpcC {
        profile,
        level,
        bit_depth,
        chroma_subsampling,
        video_full_range_flag: colour.full_range,
        color_primaries: colour.primaries,
        transfer_characteristics: colour.transfer,
        // RGB cannot be subsampled: said of such a stream, it is a mistake of the input's.
        matrix_coefficients: if colour.matrix == 0 && chroma_subsampling != 3 { 2 } else { colour.matrix },
        codec_initialization_data: Vec::new(),
    }
}

fn esds(object_type_indication: u8, stream_type: u8, private: &[u8]) -> Esds {
    let raw = private.to_vec();
    let dec_specific = (!raw.is_empty()).then(|| DecoderSpecific { raw, ..DecoderSpecific::default() });
    let dec_config = DecoderConfig { object_type_indication, stream_type, dec_specific, ..DecoderConfig::default() };
    Esds { es_desc: EsDescriptor { dec_config, ..EsDescriptor::default() } }
}

fn sound(b: &mut Vec<u8>, container: Container, track: &Track, audio: &Audio, first: &[u8]) -> Result {
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
    let entry = AudioEntry {
        data_reference_index: 1,
        channel_count: audio.channels,
        sample_size: 16,
        // A rate that has no room here is 0, and the codec's own header tells it.
        sample_rate: FixedPoint::new(u16::try_from(audio.rate).unwrap_or(0), 0),
    };
    b.encode_atom(kind, |b| {
        entry.encode(b)?;
        match &track.codec {
            Codec::Ac3 => dac3(first).encode(b),
            Codec::Eac3 => dec3(first).encode(b),
            Codec::Opus => dops(&track.private).encode(b),
            Codec::Flac => given_full(b, b"dfLa", track.private.strip_prefix(b"fLaC").unwrap_or(&track.private)),
            Codec::Alac => given_full(b, b"alac", &track.private),
            Codec::MpegAudio(3) if container == Container::Mov => Ok(()),
            Codec::MpegAudio(_) => esds(if audio.rate >= 32_000 { 0x6B } else { 0x69 }, 5, &[]).encode(b),
            Codec::Aac => esds(0x40, 5, &track.private).encode(b),
            _ => Ok(()),
        }
    })
}

/// From a frame's own header (ETSI TS 102 366, F.4).
fn dac3(frame: &[u8]) -> Ac3SpecificBox {
    let mut r = Bits::new(frame);
    r.take(32);
    let (fscod, frmsizecod, bsid, bsmod, acmod) = (r.byte(2), r.byte(6), r.byte(5), r.byte(3), r.byte(3));
    if acmod & 1 != 0 && acmod != 1 {
        r.take(2);
    }
    if acmod & 4 != 0 {
        r.take(2);
    }
    if acmod == 2 {
        r.take(2);
    }
    Ac3SpecificBox { fscod, bsid, bsmod, acmod, lfeon: r.take(1) == 1, bit_rate_code: frmsizecod >> 1 }
}

/// For one independent substream (ETSI TS 102 366, F.6).
fn dec3(frame: &[u8]) -> Ec3SpecificBox {
    let mut r = Bits::new(frame);
    r.take(16 + 2 + 3);
    let size = (r.take(11) + 1) * 2;
    let fscod = r.byte(2);
    let blocks = match r.take(2) {
        _ if fscod == 3 => 6,
        0 => 1,
        1 => 2,
        2 => 3,
        _ => 6,
    };
    let (acmod, lfeon, bsid) = (r.byte(3), r.take(1) == 1, r.byte(5));
    let rate = [48_000, 44_100, 32_000, 24_000].get(usize::from(fscod)).copied().unwrap_or(48_000);
    let kbps = u64::from(size * 8) * rate / (blocks * 256) / 1000;
    let substream =
        Ec3IndependentSubstream { fscod, bsid, asvc: false, bsmod: 0, acmod, lfeon, num_dep_sub: 0, chan_loc: None };
    // The field has 13 bits.
    Ec3SpecificBox { data_rate: kbps.min(0x1FFF) as u16, substreams: vec![substream] }
}

/// From an `OpusHead`.
fn dops(head: &[u8]) -> Dops {
    let at = |i: usize| head.get(i).copied().unwrap_or(0);
    let output_channel_count = at(9);
    let mapping = OpusChannelMapping {
        family: at(18),
        stream_count: at(19),
        coupled_count: at(20),
        channel_mapping: head.iter().skip(21).take(output_channel_count.into()).copied().collect(),
    };
    Dops {
        output_channel_count,
        pre_skip: u16::from_le_bytes([at(10), at(11)]),
        input_sample_rate: u32::from_le_bytes([at(12), at(13), at(14), at(15)]),
        output_gain: i16::from_le_bytes([at(16), at(17)]),
        channel_mapping: (mapping.family != 0).then_some(mapping),
    }
}

fn text() -> Tx3g {
    Tx3g {
        data_reference_index: 1,
        bg_color_rgba: RgbaColor::default(),
        ftab: Some(Ftab { font_entries: vec![FontEntry { font_id: 1, font: "Arial".into() }] }),
        ..Tx3g::default()
    }
}

/// QuickTime's plain text, which chapters are written in; the crate has the name of this entry only.
fn chapter(b: &mut Vec<u8>) -> Result {
    b.encode_atom(b"text", |b| {
        [0u8; 6].encode(b)?;
        1u16.encode(b)?;
        // Drawn on nothing, in no font: the words are all there is.
        1u32.encode(b)?;
        [0u8; 18].encode(b)?;
        1u16.encode(b)?;
        [0u8; 6].encode(b)?;
        Ftab { font_entries: vec![FontEntry { font_id: 1, font: String::new() }] }.encode(b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ac3_frame_tells_its_channels_and_rate() {
        // 48 kHz, 192 kbit/s (frmsizecod 20), bsid 8, 2/0.
        let frame = [0x0B, 0x77, 0, 0, 20, 0b0100_0000, 0b0100_0000, 0];
        let mut written = Vec::new();
        dac3(&frame).encode(&mut written).unwrap();
        assert_eq!(written[8..], [0x10, 0x11, 0x40]);
    }

    #[test]
    fn a_short_frame_is_no_panic() {
        assert_eq!(dac3(&[]).acmod, 0);
        assert_eq!(dec3(&[1]).substreams.len(), 1);
        assert_eq!(dops(&[]).channel_mapping, None);
    }

    #[test]
    fn an_opus_head_tells_where_each_of_its_channels_goes() {
        let head = [b"OpusHead\x01", &[3u8, 0x38, 1, 0x80, 0xBB, 0, 0, 0, 0, 1, 2, 1, 0, 2, 1][..]].concat();
        let mut written = Vec::new();
        dops(&head).encode(&mut written).unwrap();
        assert_eq!(written[8..], [0, 3, 1, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 1, 2, 1, 0, 2, 1]);
    }

    #[test]
    fn a_subsampled_stream_that_claims_rgb_is_no_failure() {
        let colour = Some(crate::mux::Colour { primaries: 1, transfer: 13, matrix: 0, full_range: true });
        let video = Video { colour, subsampling: (1, 1), ..Video::default() };
        assert_eq!(vpcc(&video).matrix_coefficients, 2);
        vpcc(&video).encode(&mut Vec::new()).unwrap();
    }
}
