//! libvpx and libvpx-vp9 by vp8enc and vp9enc, with the defaults of ffmpeg's wrapper.

use super::options::{Args, Kind, Opt, own, pass};
use super::spec::Spec;
use super::{Error, Mapped, RATE_NOTE};

const INT_MAX: i64 = i32::MAX as i64;
const DEADLINE: &[&str] = &["best", "good", "realtime", "0", "1000000", "1"];
const AQ: &[(&str, i64)] = &[("none", 0), ("variance", 1), ("complexity", 2), ("cyclic", 3), ("equator360", 4)];
const TUNE: &[&str] = &["psnr", "ssim"];

const CRF: Opt = own("crf", Kind::Int(0, 63), "constrained quality, with -b:v as the upper limit");
const RATE: Opt = own("b", Kind::Rate(0, 2_000_000_000), "average bit rate, or with -crf the upper limit");
const DEADLINE_OPT: Opt = own("deadline", Kind::Word(DEADLINE), "good or best").or(&["quality"]);
/// The largest distance of key frames unless `-g` is given.
const KEY_FRAMES: i64 = 128;
const G: Opt = own("g", Kind::Int(0, INT_MAX), "largest distance of key frames; the default is 128");
const LAG: Opt =
    own("lag-in-frames", Kind::Int(0, 25), "frames to look ahead; the default is 25").or(&["rc_lookahead"]);
const ARNR_FRAMES: Opt =
    own("arnr-maxframes", Kind::Int(0, 15), "frames filtered into an alternate reference; the default is 0")
        .or(&["arnr_max_frames", "arnr-max-frames"]);
const ARNR_STRENGTH: Opt =
    own("arnr-strength", Kind::Int(0, 6), "strength of that filter; the default is 3").or(&["arnr_strength"]);
const TUNE_OPT: Opt = pass("tune", Kind::Word(TUNE), "tuning", "psnr or ssim");
const QMIN: Opt = pass("qmin", Kind::Int(0, 63), "min-quantizer", "smallest quantizer");
const QMAX: Opt = pass("qmax", Kind::Int(0, 63), "max-quantizer", "largest quantizer");
const UNDERSHOOT: Opt = pass("undershoot-pct", Kind::Int(0, 100), "undershoot", "how far below the rate, in percent");
const OVERSHOOT: Opt = pass("overshoot-pct", Kind::Int(0, 1000), "overshoot", "how far above the rate, in percent");
const STATIC: Opt =
    own("static-thresh", Kind::Int(0, INT_MAX), "change below which a block is skipped; the default is 0");
const INTRA: Opt =
    pass("max-intra-rate", Kind::Int(0, INT_MAX), "max-intra-bitrate", "largest I-frame, in percent of the rate");
const SHARPNESS: Opt = pass("sharpness", Kind::Int(0, 7), "sharpness", "sharpness of the loop filter");

const KEYINT_MIN: Opt = own(
    "keyint_min",
    Kind::Int(0, INT_MAX),
    "smallest distance of key frames; as in ffmpeg, of no effect unless it is -g",
);

pub(super) const VP9_OPTIONS: &[Opt] = &[
    CRF,
    RATE,
    own(
        "profile",
        Kind::Int(0, 3),
        "the profile: 0 is 8 bit 4:2:0, 1 is 8 bit and finer chroma, 2 and 3 have more bits",
    ),
    KEYINT_MIN,
    DEADLINE_OPT,
    own("cpu-used", Kind::Int(-8, 8), "speed against size; the default is 1").or(&["speed"]),
    G,
    LAG,
    own("auto-alt-ref", Kind::Int(0, 6), "alternate reference frames: 0 or 1; the default is 1"),
    ARNR_FRAMES,
    ARNR_STRENGTH,
    TUNE_OPT,
    QMIN,
    QMAX,
    own("lossless", Kind::Bool, "lossless"),
    pass("tile-columns", Kind::Int(0, 6), "tile-columns", "columns of tiles, log2"),
    pass("tile-rows", Kind::Int(0, 2), "tile-rows", "rows of tiles, log2"),
    own("frame-parallel", Kind::Bool, "features for decoding frames in parallel; the default is 1"),
    own("row-mt", Kind::Bool, "threads by rows; the output then depends on -threads"),
    own("aq-mode", Kind::Named(AQ, 0, 4), "adaptive quantization"),
    UNDERSHOOT,
    OVERSHOOT,
    STATIC,
    INTRA,
    SHARPNESS,
];

pub(super) const VP8_OPTIONS: &[Opt] = &[
    CRF,
    RATE,
    KEYINT_MIN,
    DEADLINE_OPT,
    own("cpu-used", Kind::Int(0, 16), "speed against size; the default is 1").or(&["speed"]),
    G,
    LAG,
    own("auto-alt-ref", Kind::Int(0, 1), "alternate reference frames; the default is 0"),
    ARNR_FRAMES,
    ARNR_STRENGTH,
    TUNE_OPT,
    QMIN,
    QMAX,
    UNDERSHOOT,
    OVERSHOOT,
    STATIC,
    INTRA,
    SHARPNESS,
    pass("noise-sensitivity", Kind::Int(0, 4), "noise-sensitivity", "noise reduction"),
];

pub(super) fn map_vp9(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let lossless = args.int("lossless") == Some(1);
    if lossless {
        return Err(args.cannot(
            "-lossless 1",
            "the element has no lossless switch; -c:v ffv1 and -c:v libx264 -qp 0 are lossless",
        ));
    }
    match (args.int("crf"), args.rate("b")) {
        (Some(crf), Some(bits)) => constrained(&mut spec, crf, bits),
        (None, Some(bits)) => {
            spec.set("end-usage", "vbr").set("target-bitrate", bits);
        }
        (crf, None) => {
            let what = crf.map_or("constant quality (libvpx-vp9's default)".into(), |crf| {
                format!("-crf {crf} without an upper limit")
            });
            return Err(
                args.cannot(what, "give the limit too, -crf 31 -b:v 2M (constrained quality), or -b:v RATE alone")
            );
        }
    }
    common(args, &mut spec, 0)?;
    spec.set("cpu-used", args.int("cpu-used").unwrap_or(1));
    // More than one layer of alternate references is beyond the element's switch.
    match args.int("auto-alt-ref").unwrap_or(1) {
        layers @ 0..=1 => spec.set("auto-alt-ref", layers == 1),
        layers => {
            return Err(args.cannot(format!("-auto-alt-ref {layers}"), "the element has 0 and 1"));
        }
    };
    spec.set("frame-parallel-decoding", args.int("frame-parallel").unwrap_or(1) == 1);
    if let Some(rows) = args.int("row-mt") {
        spec.set("row-mt", rows == 1);
    }
    if let Some(mode) = args.int("aq-mode") {
        let name =
            ["off", "variance", "complexity", "cyclic-refresh", "equator360"].get(usize::try_from(mode).unwrap_or(0));
        spec.set("aq-mode", name.copied().unwrap_or("off"));
    }
    // libvpx's own default; ffmpeg's sharing of a rate between sections is 60 in place of 50.
    spec.set("twopass-vbr-bias", 60);
    let mut mapped = finish(args, spec);
    mapped.formats = match args.int("profile") {
        Some(0) => vec!["yuv420p"],
        Some(1) => vec!["yuv422p", "yuv444p"],
        Some(2) => vec!["yuv420p10le", "yuv420p12le"],
        Some(_) => vec!["yuv422p10le", "yuv444p10le", "yuv422p12le", "yuv444p12le"],
        None => Vec::new(),
    };
    Ok(mapped)
}

pub(super) fn map_vp8(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let mut notes = Vec::new();
    match (args.int("crf"), args.rate("b")) {
        (Some(crf), Some(bits)) => constrained(&mut spec, crf, bits),
        (None, Some(bits)) => {
            spec.set("end-usage", "vbr").set("target-bitrate", bits);
        }
        (crf, None) => {
            // The rate is what ffmpeg takes there too.
            notes.push("no -b:v given: libvpx's default of 256 kbit/s is the upper limit, as in ffmpeg".to_owned());
            constrained(&mut spec, crf.unwrap_or(32), 256_000);
        }
    }
    common(args, &mut spec, 4)?;
    spec.set("cpu-used", args.int("cpu-used").unwrap_or(1));
    spec.set("auto-alt-ref", args.int("auto-alt-ref") == Some(1));
    spec.set("twopass-vbr-bias", 60);
    let mut mapped = finish(args, spec);
    mapped.notes.extend(notes);
    Ok(mapped)
}

fn constrained(spec: &mut Spec, crf: i64, bits: u64) {
    spec.set("end-usage", "cq").set("cq-level", crf).set("target-bitrate", bits);
}

/// What ffmpeg sets where the elements' own defaults differ.
fn common(args: &Args, spec: &mut Spec, least_quantizer: i64) -> Result<(), Error> {
    match args.text("deadline").unwrap_or("good") {
        "best" | "0" => spec.set("deadline", 0),
        "good" | "1000000" => spec.set("deadline", 1_000_000),
        _ => {
            return Err(args.refused(
                "-deadline realtime",
                "how much it does depends on the time it has, so that no two runs were the same; take good with a higher -cpu-used",
            ));
        }
    };
    // ffmpeg passes a smallest distance on only where it is the largest one too.
    if args.int("keyint_min").is_some_and(|least| least == args.int("g").unwrap_or(KEY_FRAMES)) {
        return Err(args.cannot(
            "-keyint_min as large as -g",
            "it has no smallest distance of key frames; -g alone sets the largest, and each chunk starts with one",
        ));
    }
    let crf = args.int("crf");
    let (low, high) = (args.int("qmin").unwrap_or(least_quantizer), args.int("qmax").unwrap_or(63));
    if let Some(crf) = crf.filter(|crf| !(low..=high).contains(crf)) {
        return Err(args.out_of_range("crf", crf, format!("between -qmin and -qmax, {low} to {high}")));
    }
    spec.set("keyframe-max-dist", args.int("g").unwrap_or(KEY_FRAMES));
    spec.set("lag-in-frames", args.int("lag-in-frames").unwrap_or(25));
    spec.set("arnr-maxframes", args.int("arnr-maxframes").unwrap_or(0));
    spec.set("arnr-strength", args.int("arnr-strength").unwrap_or(3));
    spec.set("static-threshold", args.int("static-thresh").unwrap_or(0));
    spec.set("min-quantizer", low).set("max-quantizer", high);
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    Ok(())
}

fn finish(args: &Args, spec: Spec) -> Mapped {
    let mut mapped = Mapped::new(spec);
    if args.int("g").is_none() {
        mapped.chunk_frames = KEY_FRAMES as u32;
    }
    mapped.gop = args.int("g").and_then(|g| u32::try_from(g.max(1)).ok()).filter(|g| *g < i32::MAX as u32);
    if args.int("crf").is_none() && args.rate("b").is_some() {
        mapped.notes.push(RATE_NOTE.into());
    }
    mapped
}
