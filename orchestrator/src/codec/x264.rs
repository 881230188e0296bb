//! libx264 by x264enc.
//!
//! x264enc starts from the preset and the tunings, applies `option-string`, then the properties that were set,
//! and then overwrites rate control and key-frame distance from its properties whether they were set or not.
//! So these go through properties, and everything else through `option-string`, in the order in which ffmpeg applies it.

use super::options::{Args, Value};
use super::spec::{OptionString, Spec, parse_params};
use super::x264_keys::{self, Use, X264};
use super::x264_options::{DIRECT, ME, PRESET_REFS, PRESETS, PSY_TUNES, TUNES};
use super::{Error, Mapped, OF_EACH_CHUNK};

/// How the bits are spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rate {
    Crf(f64),
    Qp(i64),
    Kbit(u64),
}

/// What ends up in properties, because x264enc overwrites it from them.
struct State {
    rate: Rate,
    /// 0 is what ffmpeg passes for `-g 0`; x264 makes 1 of it.
    keyint: i64,
    keyint_given: bool,
    aud: bool,
    refs_given: bool,
    /// The bit rate is among x264's own parameters.
    rate_given: bool,
    options: OptionString,
}

pub(super) fn map(args: &Args) -> Result<Mapped, Error> {
    let preset = preset(args);
    let mut spec = Spec::new(args.factory);
    spec.set("speed-preset", PRESETS.get(preset).copied().unwrap_or("medium"));
    let animation = tune(args, &mut spec)?;

    let mut state = State {
        rate: rate(args),
        keyint: args.int("g").unwrap_or(250),
        keyint_given: args.int("g").is_some(),
        aud: args.int("aud") == Some(1),
        refs_given: args.int("refs").is_some(),
        rate_given: false,
        options: OptionString::default(),
    };
    let level = level(args)?;
    let profile = args.text("profile");
    typed_options(args, &mut state)?;
    if let Some(profile) = profile {
        restrict(profile, &mut state.options);
    }
    for name in ["x264opts", "x264-params"] {
        params(args, name, &mut state)?;
    }
    lossless_needs_high444(args, profile, state.rate)?;
    write_rate(args, &mut state, &mut spec)?;
    spec.set("key-int-max", state.keyint.max(1));
    spec.set("aud", state.aud);

    let mut mapped = Mapped::new(spec);
    mapped.formats = formats(profile);
    mapped.gop =
        (state.keyint_given && state.keyint < 1 << 30).then(|| u32::try_from(state.keyint.max(1)).ok()).flatten();
    if let Rate::Kbit(_) = state.rate {
        mapped.rate = args.rate("b").filter(|_| !state.rate_given);
        mapped.notes.extend(mapped.rate.is_none().then(|| OF_EACH_CHUNK.to_owned()));
    }
    if !state.refs_given
        && let Some(level) = level
    {
        let preset_refs = PRESET_REFS.get(preset).copied().unwrap_or(3);
        let refs = if animation && preset_refs > 1 { preset_refs * 2 } else { preset_refs };
        mapped.refs = Some(LevelRefs { level, refs, spec: mapped.spec.clone(), options: state.options.clone() });
    }
    if !state.options.is_empty() {
        mapped.spec.set("option-string", &state.options);
    }
    Ok(mapped)
}

fn preset(args: &Args) -> usize {
    let name = args.text("preset").unwrap_or("medium");
    let number = name.parse::<usize>().ok();
    number.or_else(|| PRESETS.iter().position(|p| *p == name)).unwrap_or(5)
}

/// Sets the tunings; true for animation, which doubles the reference frames.
fn tune(args: &Args, spec: &mut Spec) -> Result<bool, Error> {
    let Some(text) = args.text("tune") else {
        return Ok(false);
    };
    let (mut psy, mut flags) = (None, Vec::new());
    for name in text.split([',', '.', '-', '+', '/']).filter(|n| !n.is_empty()) {
        if PSY_TUNES.contains(&name) || name == "stillimage" {
            if psy.replace(name).is_some_and(|before| before != name) {
                return Err(args.bad(
                    "tune",
                    text,
                    "x264 takes one of film, animation, grain, stillimage, psnr and ssim",
                ));
            }
        } else if !TUNES.contains(&name) {
            let all: Vec<&str> = PSY_TUNES.iter().chain(TUNES).copied().collect();
            return Err(args.bad("tune", text, format!("x264's tunings are {}", all.join(", "))));
        }
        if TUNES.contains(&name) {
            flags.push(name);
        }
    }
    if let Some(name) = psy.filter(|name| *name != "stillimage") {
        spec.set("psy-tune", name);
    }
    if !flags.is_empty() {
        spec.set("tune", flags.join("+"));
    }
    Ok(psy == Some("animation"))
}

/// ffmpeg's order: `-crf` before `-qp` before `-b:v`, else x264's own CRF 23.
fn rate(args: &Args) -> Rate {
    match (args.float("crf"), args.int("qp"), args.rate("b")) {
        (Some(crf), _, _) => Rate::Crf(crf),
        (None, Some(qp), _) => Rate::Qp(qp),
        (None, None, Some(bits)) => Rate::Kbit(bits / 1000),
        (None, None, None) => Rate::Crf(23.0),
    }
}

fn typed_options(args: &Args, state: &mut State) -> Result<(), Error> {
    let options = &mut state.options;
    for (key, value) in args.passed() {
        match (key, value) {
            // -1 is ffmpeg's "leave it to x264".
            ("cabac", Value::Int(-1)) => {}
            // x264 takes these by name alone.
            ("me", Value::Int(n)) => options.push(key, named(ME, *n)),
            ("direct", Value::Int(n)) => options.push(key, named(DIRECT, *n)),
            _ => options.push(key, value.plain()),
        }
    }
    if let Some(text) = args.text("level") {
        options.push("level", text);
    }
    for name in ["psy-rd", "deblock"] {
        if let Some(text) = args.text(name) {
            let numbers = text.replace([':', '|'], ",");
            if !numbers.split(',').all(|n| n.parse::<f64>().is_ok()) {
                return Err(args.bad(name, text, "one or two numbers are wanted, A:B"));
            }
            options.push(name, numbers);
        }
    }
    if let Some(text) = args.text("partitions") {
        let known = |p: &str| matches!(p, "p8x8" | "p4x4" | "b8x8" | "i8x8" | "i4x4" | "none" | "all");
        if !text.split([',', '+']).all(known) {
            return Err(args.bad("partitions", text, "p8x8, p4x4, b8x8, i8x8, i4x4, none or all are wanted"));
        }
        options.push("partitions", text.replace('+', ","));
    }
    if let Some(factor) = args.float("i_qfactor") {
        options.push("ipratio", 1.0 / factor);
    }
    Ok(())
}

fn named(names: &[(&'static str, i64)], value: i64) -> &'static str {
    names.iter().find(|(_, number)| *number == value).map_or("auto", |(name, _)| name)
}

/// What x264's own profile restriction sets; high and above only restrict the input's format.
fn restrict(profile: &str, options: &mut OptionString) {
    if matches!(profile, "baseline" | "main") {
        options.push("8x8dct", 0);
    }
    if profile == "baseline" {
        options.push("cabac", 0);
        options.push("bframes", 0);
        options.push("weightp", 0);
    }
}

fn formats(profile: Option<&str>) -> Vec<&'static str> {
    match profile {
        Some("baseline" | "main" | "high") => vec!["yuv420p", "nv12"],
        Some("high10") => vec!["yuv420p", "nv12", "yuv420p10le"],
        Some("high422") => vec!["yuv420p", "nv12", "yuv422p", "yuv420p10le", "yuv422p10le"],
        _ => Vec::new(),
    }
}

fn lossless_needs_high444(args: &Args, profile: Option<&str>, rate: Rate) -> Result<(), Error> {
    let lossless = match rate {
        Rate::Crf(crf) => crf < 1.0,
        Rate::Qp(qp) => qp == 0,
        Rate::Kbit(_) => false,
    };
    match profile.filter(|p| lossless && *p != "high444") {
        Some(profile) => Err(args.refused(
            format!("-profile:v {profile} with lossless quality"),
            "only high444 has lossless H.264; leave the profile out or take a -crf or -qp of 1 or more",
        )),
        None => Ok(()),
    }
}

fn params(args: &Args, name: &str, state: &mut State) -> Result<(), Error> {
    let Some(text) = args.text(name) else {
        return Ok(());
    };
    let bare_is_true = |item: String| {
        if item.contains('=') { item } else { format!("{item}=1") }
    };
    let text = match name {
        "x264opts" => {
            text.split(':').filter(|i| !i.is_empty()).map(|i| bare_is_true(i.into())).collect::<Vec<_>>().join(":")
        }
        _ => text.to_owned(),
    };
    for (key, value) in parse_params(&text).map_err(|wanted| args.bad(name, &text, wanted))? {
        let key = X264.canonical(&key);
        let number =
            || value.parse::<f64>().map_err(|_| args.bad(name, &format!("{key}={value}"), "a number is wanted"));
        match x264_keys::usage(&key) {
            Some(Use::Pass) => {
                x264_keys::check(&key, &value).map_err(|wanted| args.bad(name, &format!("{key}={value}"), wanted))?;
                match key.as_str() {
                    "ref" => state.refs_given = true,
                    // x264's own parser raises the largest distance to the smallest.
                    "min-keyint" | "keyint-min" => state.keyint = state.keyint.max(number()? as i64),
                    _ => {}
                }
                state.options.push(key, value);
            }
            Some(Use::Refuse(reason)) => return Err(args.refused(format!("-{name} {key}"), reason)),
            Some(Use::Crf) => {
                let crf = number()?;
                state.rate = (0.0..=51.0)
                    .contains(&crf)
                    .then_some(Rate::Crf(crf))
                    .ok_or_else(|| args.out_of_range(name, &value, "crf is 0 to 51"))?;
            }
            Some(Use::Qp) => {
                let qp = number()?;
                state.rate = (0.0..=50.0)
                    .contains(&qp)
                    .then_some(Rate::Qp(qp as i64))
                    .ok_or_else(|| args.out_of_range(name, &value, "qp is 0 to 50"))?;
            }
            Some(Use::Bitrate) => {
                let kbit = number()?;
                state.rate_given = true;
                let fits = (1.0..=2_048_000.0).contains(&kbit);
                state.rate = fits
                    .then_some(Rate::Kbit(kbit as u64))
                    .ok_or_else(|| args.out_of_range(name, &value, "bitrate is 1 to 2048000 kbit/s"))?;
            }
            Some(Use::Keyint) => {
                state.keyint = if value.contains("infinite") { 1 << 30 } else { number()?.clamp(0.0, 1e9) as i64 };
                state.keyint_given = true;
            }
            Some(Use::Aud) => state.aud = matches!(value.as_str(), "1" | "true" | "yes"),
            None => return Err(X264.unknown(args, name, &key)),
        }
    }
    Ok(())
}

/// x264enc's quantizer is a whole number up to 50. What is missing to a CRF goes through one zone
/// over the whole chunk: a factor b on the bits moves the quantizer by -6 log2 b.
fn write_rate(args: &Args, state: &mut State, spec: &mut Spec) -> Result<(), Error> {
    // Without a buffer x264 drops the rate limit that x264enc takes from its bitrate property.
    match state.rate {
        Rate::Crf(crf) => {
            if crf > 0.0 && crf < 1.0 {
                return Err(args.cannot(
                    format!("-crf {crf}"),
                    "in 8 bit x264 is lossless below 1; take 0 for that, or 1 and more",
                ));
            }
            let base = crf.floor().min(50.0);
            spec.set("pass", "qual").set("quantizer", base as i64).set("vbv-buf-capacity", 0);
            if crf != base {
                state.options.push("zones", format!("0,{},b={:.6}", i32::MAX, ((base - crf) / 6.0).exp2()));
            }
        }
        Rate::Qp(qp) => {
            spec.set("pass", "quant").set("quantizer", qp);
        }
        Rate::Kbit(kbit) => {
            spec.set("pass", "cbr").set("bitrate", kbit).set("vbv-buf-capacity", 0);
        }
    }
    Ok(())
}

/// Macroblocks in the decoded picture buffer of each level, by ten times the level.
const DPB: &[(u32, u32)] = &[
    (9, 396),
    (10, 396),
    (11, 900),
    (12, 2376),
    (13, 2376),
    (20, 2376),
    (21, 4752),
    (22, 8100),
    (30, 8100),
    (31, 18000),
    (32, 20480),
    (40, 32768),
    (41, 32768),
    (42, 34816),
    (50, 110_400),
    (51, 184_320),
    (52, 184_320),
    (60, 696_320),
    (61, 696_320),
    (62, 696_320),
];

fn level(args: &Args) -> Result<Option<u32>, Error> {
    let Some(text) = args.text("level") else {
        return Ok(None);
    };
    let idc = x264_keys::level(text).filter(|idc| DPB.iter().any(|(known, _)| known == idc));
    idc.map(Some).ok_or_else(|| args.out_of_range("level", text, x264_keys::LEVELS))
}

/// ffmpeg's limit of the preset's reference frames by the level, which wants the size of the picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LevelRefs {
    level: u32,
    refs: u32,
    spec: Spec,
    options: OptionString,
}

impl LevelRefs {
    /// The settings for pictures of this size, where the level limits anything.
    pub(super) fn limit(&self, width: u32, height: u32) -> Option<String> {
        let macroblocks = width.div_ceil(16).checked_mul(height.div_ceil(16)).filter(|n| *n > 0)?;
        let (_, buffer) = DPB.iter().find(|(idc, _)| *idc == self.level)?;
        let refs = (buffer / macroblocks).clamp(1, self.refs.max(1));
        if refs == self.refs {
            return None;
        }
        // First, so that what -x264-params says still wins.
        let mut options = OptionString::default();
        options.push("ref", refs);
        options.append(&self.options);
        Some(self.spec.clone().set("option-string", &options).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_limits_references_by_the_size_of_the_picture() {
        let refs = LevelRefs { level: 41, refs: 16, spec: Spec::new("x264enc"), options: OptionString::default() };
        assert_eq!(refs.limit(1920, 1080).as_deref(), Some("x264enc option-string=\"ref=4\""));
        assert_eq!(refs.limit(320, 240), None);
        assert_eq!(refs.limit(0, 0), None);
    }
}
