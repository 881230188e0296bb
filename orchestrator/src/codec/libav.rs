//! libavcodec's own encoders by the avenc elements, whose properties are libavcodec's options.

use super::gst_element::plugin_version;
use super::options::{Args, Kind, Opt, own, pass};
use super::spec::Spec;
use super::{Error, Mapped, RATE_NOTE};

const INT_MAX: i64 = i32::MAX as i64;
const MBD: &[&str] = &["simple", "bits", "rd"];
const MBD_NAMED: &[(&str, i64)] = &[("simple", 0), ("bits", 1), ("rd", 2)];
const PRORES: &[(&str, i64)] =
    &[("auto", -1), ("proxy", 0), ("lt", 1), ("standard", 2), ("hq", 3), ("4444", 4), ("4444xq", 5)];
const QUANT_MAT: &[&str] = &["auto", "proxy", "lt", "standard", "hq", "default"];
const FFV1_CODER: &[(&str, i64)] = &[("rice", 0), ("ac", 1), ("range_tab", 2), ("range_def", -2)];
const HUFFMAN: &[&str] = &["default", "optimal"];

pub(super) const MPEG_OPTIONS: &[Opt] = &[
    own("q", Kind::Float(1.0, 31.0), "constant quality scale, less is better"),
    own("b", Kind::Rate(0, 2_000_000_000), "average bit rate; the default is 200 kbit/s"),
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
    let mut mapped = quality_or_rate(args)?;
    if let Some(mode) = args.int("mbd") {
        let name = usize::try_from(mode).ok().and_then(|m| MBD.get(m));
        mapped.spec.set("mbd", name.copied().unwrap_or("simple"));
    }
    mapped.gop = gop(args);
    Ok(mapped)
}

pub(super) fn map_mpeg2(args: &Args) -> Result<Mapped, Error> {
    if counts_nanoseconds(args) {
        return Err(args.cannot(
            "MPEG-2",
            "before GStreamer 1.24 the element counts time in nanoseconds, which is no frame rate of MPEG-2; mpeg4 and libx264 work",
        ));
    }
    map_mpeg(args)
}

/// GStreamer 1.22's libav elements open the encoders with a time base of a nanosecond, which
/// libavcodec's rate control takes for the length of a frame; it was put right in 1.23.1.
fn counts_nanoseconds(args: &Args) -> bool {
    plugin_version(args.factory).is_some_and(|version| version < (1, 23, 1))
}

fn gop(args: &Args) -> Option<u32> {
    let distance = args.int("g").and_then(|g| u32::try_from(g.max(1)).ok());
    distance.filter(|g| *g < INT_MAX as u32)
}

pub(super) const MJPEG_OPTIONS: &[Opt] = &[
    own("q", Kind::Float(1.0, 31.0), "constant quality scale, less is better"),
    own("b", Kind::Rate(0, 2_000_000_000), "average bit rate; the default is 200 kbit/s"),
    pass("qmin", Kind::Int(-1, 69), "qmin", "smallest quantizer"),
    pass("qmax", Kind::Int(-1, 1024), "qmax", "largest quantizer"),
    pass("huffman", Kind::Word(HUFFMAN), "huffman", "Huffman tables"),
];

pub(super) fn map_mjpeg(args: &Args) -> Result<Mapped, Error> {
    quality_or_rate(args)
}

/// libavcodec's FF_QP2LAMBDA.
const LAMBDA_OF_A_STEP: f64 = 118.0;

/// ffmpeg's rate where neither is given.
const DEFAULT_RATE: u64 = 200_000;

/// The elements' own `quantizer` reaches the first frame alone, so the rate control is held between equal limits:
/// of lambda, which decides the quantizer and what it is weighed against, the same for each type of picture.
fn quality_or_rate(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let mut notes = Vec::new();
    match (args.float("q"), args.rate("b")) {
        (Some(scale), _) => {
            // As ffmpeg rounds it.
            let lambda = (LAMBDA_OF_A_STEP * scale) as i64;
            spec.set("lmin", lambda).set("lmax", lambda);
            spec.set("i-qfactor", 1).set("b-qfactor", 1).set("b-qoffset", 0);
        }
        (None, rate) => {
            if counts_nanoseconds(args) {
                let what = rate.map_or("a bit rate (the default, 200 kbit/s)", |_| "-b:v");
                return Err(args.cannot(
                    what,
                    "before GStreamer 1.24 the element's rate control counts nanoseconds as frames; -q:v 1 to 31 works",
                ));
            }
            spec.set("bitrate", rate.unwrap_or(DEFAULT_RATE));
            notes.push(match rate {
                Some(_) => RATE_NOTE.to_owned(),
                None => format!("neither -q:v nor -b:v given: {} kbit/s, as in ffmpeg", DEFAULT_RATE / 1000),
            });
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
        if vendor.len() != 4 || !vendor.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(args.bad("vendor", vendor, "four letters or digits are wanted"));
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
    own("level", Kind::Int(0, 4), "version of the format: 3"),
    own("coder", Kind::Named(FFV1_CODER, -2, 2), "entropy coder"),
    pass("context", Kind::Int(0, 1), "context", "context model"),
    own("slices", Kind::Int(0, 1024), "slices in a picture: 4, 6, 9, 12, 16, 20, 24, 30 …"),
    own("slicecrc", Kind::Bool, "check sums of slices"),
    pass(
        "g",
        Kind::Int(0, INT_MAX),
        "gop-size",
        "distance of key frames; the default is 12, and 1 makes every frame one",
    ),
];

pub(super) fn map_ffv1(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let slices = args.int("slices").filter(|n| *n > 0);
    // The element has no level, but libavcodec takes version 3 for more than one slice; 4 are its own choice there.
    let slices = match (args.int("level"), slices) {
        (None, slices) => slices,
        (Some(3), None) => Some(4),
        (Some(3), Some(slices)) if slices > 1 => Some(slices),
        (Some(level), _) => {
            return Err(args.cannot(
                format!("-level {level}"),
                "it writes version 3 alone, in more than one slice: -level 3, or no -level",
            ));
        }
    };
    if let Some(slices) = slices {
        spec.set("slices", slices);
    }
    if let Some(coder) = args.int("coder")
        && let Some((name, _)) = FFV1_CODER.iter().find(|(_, value)| *value == coder)
    {
        spec.set("coder", name);
    }
    if let Some(crc) = args.int("slicecrc") {
        spec.set("slicecrc", crc == 1);
    }
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut mapped = Mapped::new(spec);
    mapped.gop = gop(args);
    Ok(mapped)
}
