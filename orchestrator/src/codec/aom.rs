//! AV1: libaom-av1 by av1enc, and the two whose elements Debian 12 has no package of.

use super::options::{Args, Kind, Opt, own, pass};
use super::spec::{Spec, parse_params};
use super::{Error, Mapped, RATE_NOTE};

const INT_MAX: i64 = i32::MAX as i64;
const RESILIENCE: &[(&str, i64)] = &[("default", 1)];

pub(super) const OPTIONS: &[Opt] = &[
    own("crf", Kind::Int(0, 63), "constant quality; the element has level 10 alone"),
    own("b", Kind::Rate(0, 2_000_000_000), "average bit rate"),
    pass("cpu-used", Kind::Int(0, 8), "cpu-used", "speed against size; the default is 1"),
    own("g", Kind::Int(0, INT_MAX), "largest distance of key frames; the default is 9999"),
    own(
        "lag-in-frames",
        Kind::Int(0, 48),
        "frames to look ahead; from 19 on, and so with the default of 35, libaom 3.6 may abort: refused",
    ),
    pass("qmin", Kind::Int(0, 63), "min-quantizer", "smallest quantizer"),
    own("qmax", Kind::Int(0, 63), "largest quantizer; the default is 63"),
    pass("undershoot-pct", Kind::Int(0, 100), "undershoot-pct", "how far below the rate, in percent"),
    pass("overshoot-pct", Kind::Int(0, 1000), "overshoot-pct", "how far above the rate, in percent"),
    pass("tile-columns", Kind::Int(0, 6), "tile-columns", "columns of tiles, log2"),
    pass("tile-rows", Kind::Int(0, 6), "tile-rows", "rows of tiles, log2"),
    own("row-mt", Kind::Bool, "threads by rows; the default is 1"),
    own(
        "error-resilience",
        Kind::Named(RESILIENCE, 0, 1),
        "must be default, as the element always makes the stream resilient",
    ),
];

/// av1enc always asks for error resilience, and the limits of its look-ahead's rate control are 0.
const RESILIENT: &str = "-error-resilience default";
const NO_LAG: &str = "-lag-in-frames 0";
/// With more, libaom 3.6 may abort the process.
const LONGEST_LAG: i64 = 18;
const SHORT_LAG: &str = "-lag-in-frames 18";

pub(super) fn map(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    let mut notes = Vec::new();
    let (crf, rate) = (args.int("crf"), args.rate("b"));
    let mut missing = Vec::new();
    if rate.is_some() && args.int("lag-in-frames") != Some(0) {
        missing.push(NO_LAG);
    } else if rate.is_none() && args.int("lag-in-frames").unwrap_or(35) > LONGEST_LAG {
        missing.push(SHORT_LAG);
    }
    if args.int("error-resilience") != Some(1) {
        missing.push(RESILIENT);
    }
    match (crf, rate) {
        (None, Some(bits)) => {
            spec.set("end-usage", "vbr").set("target-bitrate", (bits + 500) / 1000);
            notes.push(RATE_NOTE.to_owned());
        }
        (Some(10), None) => {
            spec.set("end-usage", "q");
        }
        (Some(10), Some(bits)) => {
            spec.set("end-usage", "cq").set("target-bitrate", (bits + 500) / 1000);
        }
        (crf, _) => {
            let what = crf.map_or("constant quality (libaom-av1's default)".into(), |crf| format!("-crf {crf}"));
            return Err(args.cannot(
                what,
                format!(
                    "it has no cq-level, which stays at libaom's 10; what it has is -b:v RATE {NO_LAG} {RESILIENT}"
                ),
            ));
        }
    }
    if !missing.is_empty() {
        let what = if rate.is_some() {
            "-b:v as ffmpeg's libaom-av1 does it"
        } else {
            "-crf 10 as ffmpeg's libaom-av1 does it"
        };
        return Err(args.cannot(
            what,
            format!("the element is without look-ahead in its rate control and always error-resilient, which costs size, and libaom 3.6 may abort with 19 frames of look-ahead or more; to have what is left, add {}", missing.join(" ")),
        ));
    }
    spec.set("usage-profile", "good-quality");
    spec.set("cpu-used", 1);
    // The element's own maximum of 0 would force the best quality whatever the rate.
    spec.set("max-quantizer", args.int("qmax").unwrap_or(63));
    spec.set("keyframe-max-dist", args.int("g").unwrap_or(9999));
    spec.set("lag-in-frames", args.int("lag-in-frames").unwrap_or(35));
    spec.set("row-mt", args.int("row-mt").unwrap_or(1) == 1);
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut mapped = Mapped::new(spec);
    mapped.gop = gop(args);
    mapped.notes = notes;
    Ok(mapped)
}

pub(super) const SVT_OPTIONS: &[Opt] = &[
    pass("crf", Kind::Int(0, 63), "crf", "constant quality; the default is 35"),
    pass("qp", Kind::Int(0, 63), "cqp", "constant quantizer"),
    own("b", Kind::Rate(0, 100_000_000), "average bit rate; -crf and -qp win over it"),
    pass("preset", Kind::Int(-1, 13), "preset", "speed against size; the default is 10"),
    own("g", Kind::Int(0, INT_MAX), "largest distance of key frames"),
    own("svtav1-params", Kind::Text("KEY=VALUE:KEY=VALUE"), "SVT-AV1's own options"),
];

pub(super) fn map_svt(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let constant = args.int("crf").or(args.int("qp")).is_some_and(|level| level > 0);
    let mut notes = Vec::new();
    if let Some(bits) = args.rate("b").filter(|_| !constant) {
        spec.set("target-bitrate", bits / 1000);
        notes.push(RATE_NOTE.to_owned());
    }
    if let Some(g) = args.int("g") {
        // SVT-AV1 counts the frames between key frames.
        spec.set("intra-period-length", (g - 1).max(0));
    }
    if let Some(text) = args.text("svtav1-params") {
        let pairs = parse_params(text).map_err(|wanted| args.bad("svtav1-params", text, wanted))?;
        if let Some((key, _)) = pairs.iter().find(|(key, _)| {
            matches!(key.as_str(), "stats" | "pass" | "passes" | "lp" | "input" | "output" | "errlog" | "pin")
        }) {
            return Err(args
                .refused(format!("-svtav1-params {key}"), "it reads or writes a file, or sets threads; use -threads"));
        }
        let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        spec.set("parameters-string", pairs.join(":"));
    }
    let mut mapped = Mapped::new(spec);
    mapped.gop = gop(args);
    mapped.notes = notes;
    Ok(mapped)
}

pub(super) const RAV1E_OPTIONS: &[Opt] = &[
    pass("qp", Kind::Int(0, 255), "quantizer", "constant quantizer"),
    own("b", Kind::Rate(0, 2_000_000_000), "average bit rate"),
    pass("speed", Kind::Int(0, 10), "speed-preset", "speed against size"),
    pass("g", Kind::Int(0, INT_MAX), "max-key-frame-interval", "largest distance of key frames"),
    pass("keyint_min", Kind::Int(0, INT_MAX), "min-key-frame-interval", "smallest distance of key frames"),
    pass("tiles", Kind::Int(0, 4096), "tiles", "tiles in a picture"),
    pass("tile-columns", Kind::Int(0, 64), "tile-cols", "columns of tiles"),
    pass("tile-rows", Kind::Int(0, 64), "tile-rows", "rows of tiles"),
];

pub(super) fn map_rav1e(args: &Args) -> Result<Mapped, Error> {
    let mut spec = Spec::new(args.factory);
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut notes = Vec::new();
    // As in ffmpeg, a quantizer wins over a rate, and beside a rate the element's is the largest one.
    if let Some(bits) = args.rate("b").filter(|_| args.int("qp").is_none()) {
        spec.set("bitrate", bits).set("quantizer", 255);
        notes.push(RATE_NOTE.to_owned());
    }
    let mut mapped = Mapped::new(spec);
    mapped.gop = gop(args);
    mapped.notes = notes;
    Ok(mapped)
}

fn gop(args: &Args) -> Option<u32> {
    args.int("g").and_then(|g| u32::try_from(g.max(1)).ok()).filter(|g| *g < i32::MAX as u32)
}
