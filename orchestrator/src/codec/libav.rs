//! libavcodec's own encoders by the avenc elements, whose properties are libavcodec's options.

use super::options::{Args, Kind, Opt, own, pass};
use super::spec::Spec;
use super::{Error, Mapped};

const INT_MAX: i64 = i32::MAX as i64;
const MBD: &[&str] = &["simple", "bits", "rd"];
const MBD_NAMED: &[(&str, i64)] = &[("simple", 0), ("bits", 1), ("rd", 2)];
const PRORES: &[(&str, i64)] =
    &[("auto", -1), ("proxy", 0), ("lt", 1), ("standard", 2), ("hq", 3), ("4444", 4), ("4444xq", 5)];
const QUANT_MAT: &[&str] = &["auto", "proxy", "lt", "standard", "hq", "default"];
const FFV1_CODER: &[(&str, i64)] = &[("rice", 0), ("ac", 1), ("range_tab", 2), ("range_def", -2)];
const HUFFMAN: &[&str] = &["default", "optimal"];

pub(super) const MPEG_OPTIONS: &[Opt] = &[
    own("q", Kind::Float(0.01, 30.0), "constant quality scale, less is better"),
    own("b", Kind::Rate(1000, 2_000_000_000), "average bit rate; the default is 200 kbit/s"),
    pass("g", Kind::Int(0, INT_MAX), "gop-size", "largest distance of key frames; the default is 12"),
    pass("bf", Kind::Int(0, 16), "max-bframes", "most B-frames in a row; the default is 0"),
    pass("qmin", Kind::Int(-1, 69), "qmin", "smallest quantizer"),
    pass("qmax", Kind::Int(-1, 1024), "qmax", "largest quantizer"),
    pass("qdiff", Kind::Int(0, INT_MAX), "qdiff", "largest step of the quantizer"),
    pass("qcomp", Kind::Float(0.0, 1.0), "qcomp", "curve compression"),
    pass("qblur", Kind::Float(0.0, 1e6), "qblur", "blur of the quantizer"),
    pass("bt", Kind::Rate(1, 2_000_000_000), "bitrate-tolerance", "how far from the rate, in bits a second"),
    pass("sc_threshold", Kind::Int(-1_000_000_000, 1_000_000_000), "sc-threshold", "how easily a scene change is seen"),
    pass("b_strategy", Kind::Int(0, 2), "b-strategy", "how B-frames are chosen"),
    own("mbd", Kind::Named(MBD_NAMED, 0, 2), "macroblock decision"),
    pass("me_range", Kind::Int(0, INT_MAX), "me-range", "range of the motion search"),
    pass("trellis", Kind::Int(0, 2), "trellis", "trellis quantization"),
    pass("keyint_min", Kind::Int(0, INT_MAX), "keyint-min", "smallest distance of key frames"),
];

pub(super) fn map_mpeg(args: &Args) -> Result<Mapped, Error> {
    let mut mapped = quality_or_rate(args, 200_000)?;
    if let Some(mode) = args.int("mbd") {
        let name = usize::try_from(mode).ok().and_then(|m| MBD.get(m)).copied().unwrap_or("simple");
        mapped.spec.set("mbd", name);
    }
    mapped.gop = args.int("g").and_then(|g| u32::try_from(g.max(1)).ok()).filter(|g| *g < INT_MAX as u32);
    Ok(mapped)
}

pub(super) const MJPEG_OPTIONS: &[Opt] = &[
    own("q", Kind::Float(0.01, 30.0), "constant quality scale, less is better"),
    own("b", Kind::Rate(1000, 2_000_000_000), "average bit rate; the default is 200 kbit/s"),
    pass("qmin", Kind::Int(-1, 69), "qmin", "smallest quantizer"),
    pass("qmax", Kind::Int(-1, 1024), "qmax", "largest quantizer"),
    pass("huffman", Kind::Word(HUFFMAN), "huffman", "Huffman tables"),
];

pub(super) fn map_mjpeg(args: &Args) -> Result<Mapped, Error> {
    let mut mapped = quality_or_rate(args, 200_000)?;
    mapped.gop = None;
    Ok(mapped)
}

fn quality_or_rate(args: &Args, default_rate: u64) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let mut notes = Vec::new();
    match args.float("q") {
        Some(scale) => {
            spec.set("pass", "quant").set("quantizer", scale);
        }
        None => {
            let rate = args.rate("b");
            spec.set("pass", "cbr").set("bitrate", rate.unwrap_or(default_rate));
            match rate {
                Some(_) => notes.push("-b:v is kept in each chunk for now; the whole file comes within 5%".to_owned()),
                None => {
                    notes.push(format!("neither -q:v nor -b:v given: {} kbit/s, as in ffmpeg", default_rate / 1000))
                }
            }
        }
    }
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut mapped = Mapped::new(spec);
    mapped.notes = notes;
    Ok(mapped)
}

pub(super) const PRORES_OPTIONS: &[Opt] = &[
    own("profile", Kind::Named(PRORES, -1, 5), "proxy, lt, standard, hq, 4444 or 4444xq"),
    pass("qmin", Kind::Int(-1, 69), "qmin", "smallest quantizer"),
    own("q", Kind::Float(0.01, 30.0), "constant quality scale, less is better"),
    pass("bits_per_mb", Kind::Int(0, 8192), "bits-per-mb", "bits wanted for a macroblock"),
    pass("mbs_per_slice", Kind::Int(1, 8), "mbs-per-slice", "macroblocks in a slice"),
    pass("quant_mat", Kind::Word(QUANT_MAT), "quant-mat", "quantization matrix"),
    pass("alpha_bits", Kind::Int(0, 16), "alpha-bits", "bits of the alpha plane: 0, 8 or 16"),
    own("vendor", Kind::Text("four letters"), "vendor of the stream"),
];

pub(super) fn map_prores(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let profile = args.int("profile").unwrap_or(-1);
    if let Some((name, _)) = PRORES.iter().find(|(_, value)| *value == profile) {
        spec.set("profile", name);
    }
    if let Some(scale) = args.float("q") {
        spec.set("pass", "quant").set("quantizer", scale);
    }
    if let Some(vendor) = args.text("vendor") {
        if vendor.len() != 4 || !vendor.is_ascii() {
            return Err(args.bad("vendor", vendor, "four ASCII letters are wanted"));
        }
        spec.set("vendor", vendor);
    }
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut mapped = Mapped::new(spec);
    mapped.formats = match profile {
        0..=3 => vec!["yuv422p10le"],
        4 | 5 => vec!["yuv444p10le", "yuva444p10le"],
        _ => Vec::new(),
    };
    Ok(mapped)
}

pub(super) const FFV1_OPTIONS: &[Opt] = &[
    own("level", Kind::Named(&[("0", 0), ("1", 1), ("3", 3)], 0, 3), "version of the format: 0, 1 or 3"),
    own("coder", Kind::Named(FFV1_CODER, -2, 2), "entropy coder"),
    pass("context", Kind::Int(0, 1), "context", "context model"),
    pass("slices", Kind::Int(0, 1024), "slices", "slices in a picture: 4, 6, 9, 12, 16, 20, 24, 30 …"),
    own("slicecrc", Kind::Bool, "check sums of slices"),
    own("g", Kind::Int(0, INT_MAX), "distance of key frames; the default is 12, and 1 makes every frame one"),
];

pub(super) fn map_ffv1(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    if let Some(version) = args.int("level") {
        if version == 2 {
            return Err(args.bad("level", "2", "version 2 of FFV1 was experimental and never finished: 0, 1 or 3"));
        }
        spec.set("level", version);
    }
    if let Some(coder) = args.int("coder")
        && let Some((name, _)) = FFV1_CODER.iter().find(|(_, value)| *value == coder)
    {
        spec.set("coder", name);
    }
    if let Some(crc) = args.int("slicecrc") {
        spec.set("slicecrc", crc == 1);
    }
    if let Some(g) = args.int("g") {
        spec.set("gop-size", g);
    }
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut mapped = Mapped::new(spec);
    mapped.gop = args.int("g").and_then(|g| u32::try_from(g.max(1)).ok()).filter(|g| *g < INT_MAX as u32);
    Ok(mapped)
}
