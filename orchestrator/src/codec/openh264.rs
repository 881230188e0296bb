//! libopenh264 by openh264enc, with the defaults of ffmpeg's wrapper.

use super::options::{Args, Kind, Opt, own, pass};
use super::spec::Spec;
use super::{Error, Mapped};

const MODES: &[&str] = &["off", "quality", "bitrate", "buffer", "timestamp"];
const PROFILES: &[&str] = &["constrained_baseline", "main", "high"];
const CODER: &[(&str, i64)] = &[("default", -1), ("cavlc", 0), ("cabac", 1), ("vlc", 0), ("ac", 1)];

pub(super) const OPTIONS: &[Opt] = &[
    own("b", Kind::Rate(0, 2_000_000_000), "bit rate; the default is 2 Mbit/s"),
    own("g", Kind::Int(0, i32::MAX as i64), "distance of key frames; the default is one at each chunk's start"),
    pass("qmin", Kind::Int(1, 51), "qp-min", "smallest quantizer"),
    pass("qmax", Kind::Int(1, 51), "qp-max", "largest quantizer"),
    own("rc_mode", Kind::Word(MODES), "quality (the default), bitrate, buffer or off"),
    own("loopfilter", Kind::Bool, "loop filter; the default is 1"),
    own("slices", Kind::Int(0, 35), "slices in a picture; the default is 1"),
    own("profile", Kind::Word(PROFILES), "constrained_baseline alone"),
    own("coder", Kind::Named(CODER, -1, 1), "cavlc alone"),
];

pub(super) fn map(args: &Args) -> Result<Mapped, Error> {
    if let Some(profile) = args.text("profile").filter(|p| *p != "constrained_baseline") {
        return Err(
            args.cannot(format!("-profile:v {profile}"), "it writes constrained_baseline; libx264 has main and high")
        );
    }
    if args.int("coder") == Some(1) {
        return Err(
            args.cannot("-coder cabac", "it writes constrained_baseline, which has cavlc alone; libx264 has cabac")
        );
    }
    let mut spec = Spec::new(args.factory);
    match args.text("rc_mode").unwrap_or("quality") {
        "timestamp" => {
            return Err(args.refused("-rc_mode timestamp", "it depends on times; take bitrate"));
        }
        mode => spec.set("rate-control", mode),
    };
    spec.set("bitrate", args.rate("b").unwrap_or(2_000_000));
    if let Some(bits) = args.rate("b") {
        spec.set("max-bitrate", bits);
    }
    spec.set("gop-size", args.int("g").unwrap_or(0));
    spec.set("complexity", "low");
    spec.set("deblocking", if args.int("loopfilter") == Some(0) { "off" } else { "on" });
    spec.set("slice-mode", "n-slices");
    spec.set("num-slices", args.int("slices").unwrap_or(1).max(1));
    for (key, value) in args.passed() {
        spec.set(key, value.plain());
    }
    let mut mapped = Mapped::new(spec);
    mapped.gop = args.int("g").filter(|g| *g > 0).and_then(|g| u32::try_from(g).ok());
    Ok(mapped)
}
