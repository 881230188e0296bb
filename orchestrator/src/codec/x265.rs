//! libx265 by x265enc.
//!
//! x265enc applies `option-string` after everything else, so all but the preset and the tuning goes there.
//! Its default tuning is ssim, and "none" indexes one before x265's table of names: psnr is asked for instead
//! and what it changes is set back to the preset's values.

use super::keys::Standing;
use super::options::{Args, Kind, Opt, own, pass};
use super::spec::{OptionString, Spec, parse_params};
use super::x264_options::{PRESETS, PRESETS_OR_NUMBERS};
use super::x265_keys::{self, X265};
use super::{Error, Mapped, OF_EACH_CHUNK};

const TUNES: &[&str] = &["psnr", "ssim", "grain", "zerolatency", "fastdecode", "animation"];
const PROFILES: &[&str] = &[
    "main",
    "main10",
    "main12",
    "main422-10",
    "main422-12",
    "main444-8",
    "main444-10",
    "main444-12",
    "main-intra",
    "main10-intra",
    "main12-intra",
    "main422-10-intra",
    "main422-12-intra",
    "main444-intra",
    "main444-10-intra",
    "main444-12-intra",
];
const INT_MAX: i64 = i32::MAX as i64;

pub(super) const OPTIONS: &[Opt] = &[
    own("crf", Kind::Float(0.0, 51.0), "constant quality, the default: 28"),
    own("qp", Kind::Int(0, 51), "constant quantizer"),
    own("b", Kind::Rate(0, 2_000_000_000), "average bit rate"),
    own("preset", Kind::Word(PRESETS_OR_NUMBERS), "speed against size; the default is medium"),
    own("tune", Kind::Word(TUNES), "what to tune for; the default is none of them"),
    own("profile", Kind::Word(PROFILES), "restrict the stream to a profile"),
    own("g", Kind::Int(0, INT_MAX), "largest distance of key frames; the default is 250"),
    pass("keyint_min", Kind::Int(0, INT_MAX), "min-keyint", "smallest distance of key frames"),
    pass("bf", Kind::Int(0, 16), "bframes", "most B-frames in a row; the default is the preset's"),
    pass("refs", Kind::Int(1, 16), "ref", "reference frames"),
    pass("qmin", Kind::Int(0, 51), "qpmin", "smallest quantizer"),
    pass("qmax", Kind::Int(0, 51), "qpmax", "largest quantizer"),
    pass("qdiff", Kind::Int(0, INT_MAX), "qpstep", "largest step of the quantizer"),
    own("qcomp", Kind::Float(0.0, 1.0), "curve compression"),
    own("qblur", Kind::Float(0.0, 1000.0), "blur of the quantizer"),
    own("i_qfactor", Kind::Float(0.0, 100.0), "quantizer of I-frames against P-frames"),
    own("b_qfactor", Kind::Float(0.0, 100.0), "quantizer of B-frames against P-frames"),
    own("x265-params", Kind::Text("KEY=VALUE:KEY=VALUE"), "x265's own options, after all others"),
];

pub(super) fn map(args: &Args) -> Result<Mapped, Error> {
    let preset = args.text("preset").unwrap_or("medium");
    let preset = match preset.parse::<usize>() {
        Ok(number) => PRESETS.get(number).copied().unwrap_or("medium"),
        Err(_) => preset,
    };
    let mut options = OptionString::default();
    let mut spec = Spec::new(args.factory);
    spec.set("speed-preset", preset);
    match args.text("tune") {
        Some(tune) => {
            spec.set("tune", tune);
        }
        None => {
            spec.set("tune", "psnr");
            undo_psnr(preset, &mut options);
        }
    }
    let abr = write_rate(args, &mut options);

    let mut gop = args.int("g");
    for (key, value) in args.passed() {
        // ffmpeg passes no smallest distance of 0.
        if !(key == "min-keyint" && value.plain() == "0") {
            options.push(key, value.plain());
        }
    }
    for (name, key) in [("qcomp", "qcomp"), ("qblur", "qblur"), ("i_qfactor", "ipratio"), ("b_qfactor", "pbratio")] {
        // Two digits are what ffmpeg passes.
        if let Some(value) = args.float(name) {
            options.push(key, format!("{value:.2}"));
        }
    }
    if let Some(gop) = gop {
        options.push("keyint", gop);
    }
    let mut abr = abr;
    params(args, &mut options, &mut gop, &mut abr)?;
    let profile = args.text("profile");
    if profile.is_some_and(|p| p.ends_with("-intra")) {
        options.push("keyint", 1);
        gop = Some(1);
    }
    spec.set("option-string", &options);

    let mut mapped = Mapped::new(spec);
    mapped.gop = gop.filter(|g| *g < INT_MAX).map(|g| g.max(1)).and_then(|g| u32::try_from(g).ok());
    mapped.formats = profile.map(formats).unwrap_or_default();
    if abr {
        mapped.rate =
            args.rate("b").filter(|_| args.text("x265-params").is_none_or(|params| !params.contains("bitrate")));
        mapped.notes.extend(mapped.rate.is_none().then(|| OF_EACH_CHUNK.to_owned()));
    }
    Ok(mapped)
}

/// The values that x265's tuning psnr replaces, as each preset has them.
fn undo_psnr(preset: &str, options: &mut OptionString) {
    let fastest = matches!(preset, "ultrafast" | "superfast");
    let slow = matches!(preset, "slow" | "slower" | "veryslow" | "placebo");
    options.push("aq-strength", if fastest { "0" } else { "1" });
    options.push("psy-rd", "2");
    options.push("psy-rdoq", if slow { "1" } else { "0" });
}

/// ffmpeg's order: `-crf` before `-b:v` before `-qp`, else x265's own CRF 28. True for an average bit rate.
fn write_rate(args: &Args, options: &mut OptionString) -> bool {
    let rate = args.rate("b");
    match (args.float("crf"), rate, args.int("qp")) {
        (Some(crf), _, _) => options.push("crf", format!("{crf:.2}")),
        (None, Some(bits), _) => options.push("bitrate", bits / 1000),
        (None, None, Some(qp)) => options.push("qp", qp),
        (None, None, None) => options.push("crf", "28"),
    }
    args.float("crf").is_none() && rate.is_some()
}

fn params(args: &Args, options: &mut OptionString, gop: &mut Option<i64>, abr: &mut bool) -> Result<(), Error> {
    const NAME: &str = "x265-params";
    let Some(text) = args.text(NAME) else {
        return Ok(());
    };
    for (key, value) in parse_params(text).map_err(|wanted| args.bad(NAME, text, wanted))? {
        let key = X265.canonical(&key);
        match X265.standing(&key) {
            Standing::Passes => {
                x265_keys::check(&key, &value).map_err(|wanted| args.bad(NAME, &format!("{key}={value}"), wanted))?;
                match key.as_str() {
                    "keyint" => {
                        let distance = value
                            .parse::<i64>()
                            .map_err(|_| args.bad(NAME, &format!("keyint={value}"), "a whole number is wanted"))?;
                        // Less than 0 is x265's "no limit".
                        *gop = Some(if distance < 0 { INT_MAX } else { distance });
                    }
                    "bitrate" => *abr = true,
                    "crf" | "qp" | "lossless" => *abr = false,
                    _ => {}
                }
                options.push(key, value);
            }
            Standing::Refused(reason) => return Err(args.refused(format!("-{NAME} {key}"), reason)),
            Standing::Unknown => return Err(X265.unknown(args, NAME, &key)),
        }
    }
    Ok(())
}

/// The formats that a profile has room for.
fn formats(profile: &str) -> Vec<&'static str> {
    let profile = profile.strip_suffix("-intra").unwrap_or(profile);
    let (chroma, depth) = match profile {
        "main" => ("420", 8),
        "main10" => ("420", 10),
        "main12" => ("420", 12),
        "main422-10" => ("422", 10),
        "main422-12" => ("422", 12),
        "main444-8" | "main444" => ("444", 8),
        "main444-10" => ("444", 10),
        _ => ("444", 12),
    };
    let all = [
        ("yuv420p", "420", 8),
        ("yuv422p", "422", 8),
        ("yuv444p", "444", 8),
        ("yuv420p10le", "420", 10),
        ("yuv422p10le", "422", 10),
        ("yuv444p10le", "444", 10),
        ("yuv420p12le", "420", 12),
        ("yuv422p12le", "422", 12),
        ("yuv444p12le", "444", 12),
    ];
    all.iter().filter(|(_, c, d)| *c <= chroma && *d <= depth).map(|(name, ..)| *name).collect()
}
