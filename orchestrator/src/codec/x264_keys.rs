//! x264's own options: which may be given, and which divien decides.

/// What becomes of an option given in `-x264-params`.
pub(super) enum Use {
    /// Into the element's option string.
    Pass,
    Crf,
    Qp,
    Bitrate,
    Keyint,
    Aud,
    /// The element overwrites it, or it breaks a rule.
    Refuse(&'static str),
}

/// Whether the lanes take it, and nothing here stands against it.
fn passes(key: &str) -> bool {
    gstdivien::lane::option_keys("x264enc").contains(&key) && refusal(key).is_none()
}

fn refusal(key: &str) -> Option<&'static str> {
    REFUSE.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, reason)| *reason)
}

/// Other names that x264 has for them.
const ALIASES: &[(&str, &str)] = &[
    ("level-idc", "level"),
    ("frameref", "ref"),
    ("filter", "deblock"),
    ("weight-b", "weightb"),
    ("direct-pred", "direct"),
    ("me-range", "merange"),
    ("mv-range", "mvrange"),
    ("subq", "subme"),
    ("qp-min", "qpmin"),
    ("qp-max", "qpmax"),
    ("qp-step", "qpstep"),
    ("ip-factor", "ipratio"),
    ("pb-factor", "pbratio"),
    ("cplx-blur", "cplxblur"),
    ("analyse", "partitions"),
];

pub(super) const VBV: &str =
    "it needs rate control over the whole file, which a later version builds; -crf and -b:v work";
pub(super) const UNPROVEN: &str = "whether chunks can be joined with it is not proven";
pub(super) const FILES: &str = "it reads or writes a file of its own";
pub(super) const THREADS: &str = "use -threads, which keeps the output the same on every machine";
pub(super) const ZONES: &str = "its frames would be counted from the start of each chunk";
const CAPS: &str = "it is taken from the input, and x264enc overwrites it";
pub(super) const JOIN: &str = "divien sets it so that chunks can be joined";

const REFUSE: &[(&[&str], &str)] = &[
    (&["vbv-maxrate", "vbv-bufsize", "vbv-init", "nal-hrd", "filler", "pass"], VBV),
    (&["stats", "dump-yuv", "cqmfile", "opencl-clbin", "qpfile", "log-file", "log-file-level"], FILES),
    (
        &[
            "threads",
            "lookahead-threads",
            "sliced-threads",
            "sync-lookahead",
            "deterministic",
            "n-deterministic",
            "non-deterministic",
            "asm",
            "cpu-independent",
            "opencl",
            "opencl-device",
            "mvrange-thread",
            "mv-range-thread",
        ],
        THREADS,
    ),
    (
        &[
            "sar",
            "videoformat",
            "fullrange",
            "range",
            "colorprim",
            "transfer",
            "colormatrix",
            "chromaloc",
            "fps",
            "force-cfr",
            "interlaced",
            "tff",
            "bff",
            "frame-packing",
            "timebase",
        ],
        CAPS,
    ),
    (
        &[
            "open-gop",
            "stitchable",
            "sps-id",
            "annexb",
            "repeat-headers",
            "global-header",
            "fake-interlaced",
            "pic-struct",
        ],
        JOIN,
    ),
    (&["zones"], ZONES),
    (&["psnr", "log"], "x264enc overwrites it"),
    (
        &[
            "avcintra-class",
            "avcintra-flavor",
            "alternative-transfer",
            "dpb-size",
            "cabac-idc",
            "cqm4p",
            "cqm8i",
            "cqm8p",
            "cqm4ic",
            "cqm4py",
            "cqm4pc",
            "ssim",
        ],
        UNPROVEN,
    ),
];

/// x264's first name of an option; the `no` that it allows before any of them stays.
pub(super) fn canonical(key: &str) -> String {
    let base = base(key);
    match ALIASES.iter().find(|(alias, _)| *alias == base) {
        Some((_, name)) if base == key => (*name).to_owned(),
        Some((_, name)) => format!("no-{name}"),
        None => key.to_owned(),
    }
}

fn base(key: &str) -> &str {
    let known = passes(key) || refusal(key).is_some() || ALIASES.iter().any(|(alias, _)| *alias == key);
    match key.strip_prefix("no") {
        Some(rest) if !known => rest.strip_prefix('-').unwrap_or(rest),
        _ => key,
    }
}

pub(super) fn usage(key: &str) -> Option<Use> {
    let base = base(key);
    if let Some(reason) = refusal(base) {
        return Some(Use::Refuse(reason));
    }
    match base {
        "crf" => Some(Use::Crf),
        "qp" | "qp-constant" => Some(Use::Qp),
        "bitrate" => Some(Use::Bitrate),
        "keyint" => Some(Use::Keyint),
        "aud" if key == "aud" => Some(Use::Aud),
        _ => (passes(base) || ALIASES.iter().any(|(alias, _)| *alias == base)).then_some(Use::Pass),
    }
}

const ME: &[&str] = &["dia", "hex", "umh", "esa", "tesa"];
const DIRECT: &[&str] = &["none", "spatial", "temporal", "auto"];
const PYRAMID: &[&str] = &["none", "strict", "normal"];
const SWITCH: &[&str] = &["true", "false", "yes", "no"];

/// x264 takes the name of a file as a matrix; and what it cannot read the element reports as caps that do not fit.
pub(super) fn check(key: &str, value: &str) -> Result<(), String> {
    let one_of = |words: &[&str]| match words.contains(&value) {
        true => Ok(()),
        false => Err(format!("one of {} is wanted", words.join(", "))),
    };
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    match base(key) {
        "me" => one_of(ME),
        "direct" => one_of(DIRECT),
        "cqm" => one_of(&["flat", "jvt"]),
        "b-pyramid" if !is_number(value) => one_of(PYRAMID),
        "overscan" => one_of(&["undef", "show", "crop"]),
        "ratetol" if value.starts_with("inf") => Ok(()),
        "level" => level(value).map(|_| ()).ok_or_else(|| format!("one of {LEVELS} is wanted")),
        "partitions" | "mastering-display" => Ok(()),
        _ if SWITCH.contains(&value) || value.split(',').all(is_number) => Ok(()),
        _ => Err("a number is wanted".into()),
    }
}

/// H.264's levels, ten times; 9 is 1b.
const LEVEL_IDC: &[u32] = &[9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62];
pub(super) const LEVELS: &str = "1, 1b, 1.1 to 1.3, 2 to 2.2, 3 to 3.2, 4 to 4.2, 5 to 5.2, 6 to 6.2";

/// Ten times the level. x264 itself rounds what it is given.
pub(super) fn level(text: &str) -> Option<u32> {
    if text == "1b" { Some(9) } else { exact_level(text, 7.0).filter(|idc| LEVEL_IDC.contains(idc)) }
}

/// `4.1` and `41` alike: below `limit` it is the level itself, else ten times the level.
pub(super) fn exact_level(text: &str, limit: f64) -> Option<u32> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..100.0).contains(n))?;
    let tenfold = if number < limit { number * 10.0 } else { number };
    ((tenfold - tenfold.round()).abs() < 1e-6).then_some(tenfold.round() as u32)
}

/// Every option, for the nearest one to a typo.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    gstdivien::lane::option_keys("x264enc").iter().copied().filter(|key| refusal(key).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_x264_has_a_use_or_a_reason() {
        // One of each group that x264's own parser knows.
        for key in ["ref", "no-mbtree", "nombtree", "crf", "qp-constant", "keyint", "frameref", "cqm4iy"] {
            assert!(matches!(usage(&canonical(key)), Some(u) if !matches!(u, Use::Refuse(_))), "{key}");
        }
        for key in ["stats", "threads", "sar", "open-gop", "vbv-bufsize", "opencl", "no-stitchable", "zones"] {
            assert!(matches!(usage(&canonical(key)), Some(Use::Refuse(_))), "{key}");
        }
        assert!(usage("nosuch").is_none() && names().any(|name| name == "crf"));
    }

    #[test]
    fn every_alias_stands_for_an_option_that_is_passed_on() {
        for (alias, name) in ALIASES {
            assert!(passes(name) && !passes(alias), "{alias}");
            assert_eq!(canonical(alias), *name);
            assert_eq!(canonical(&format!("no-{alias}")), format!("no-{name}"));
        }
        assert_eq!(canonical("no-mbtree"), "no-mbtree");
        assert_eq!(canonical("nr"), "nr");
    }

    #[test]
    fn levels_are_those_of_the_standard_and_are_not_rounded() {
        for (text, idc) in [("4.1", 41), ("41", 41), ("4.10", 41), ("1b", 9), ("6", 60), ("10", 10)] {
            assert_eq!(level(text), Some(idc), "{text}");
        }
        for text in ["9.9", "4.15", "4.3", "43", "0", "7", "1c", "-4", "41.5", "nan", ""] {
            assert_eq!(level(text), None, "{text}");
        }
        assert!(check("level", "4.15").is_err() && check("level", "4.2").is_ok());
    }
}
