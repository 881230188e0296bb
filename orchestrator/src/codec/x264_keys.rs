//! x264's own options: which may be given, and which divien decides.

use super::keys::{FILES, JOIN, Library, Standing, THREADS, UNPROVEN, VBV, ZONES};

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

pub(super) const X264: Library =
    Library { name: "x264", factory: "x264enc", aliases: ALIASES, refuse: REFUSE, negations: &["no-", "no"] };

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
    ("qp-constant", "qp"),
];

const CAPS: &str = "it is taken from the input, and x264enc overwrites it";

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

/// `None` for what x264 does not have.
pub(super) fn usage(key: &str) -> Option<Use> {
    match X264.standing(key) {
        Standing::Refused(reason) => Some(Use::Refuse(reason)),
        Standing::Unknown => None,
        Standing::Passes => Some(match X264.base(key) {
            "crf" => Use::Crf,
            "qp" => Use::Qp,
            "bitrate" => Use::Bitrate,
            "keyint" => Use::Keyint,
            "aud" if key == "aud" => Use::Aud,
            _ => Use::Pass,
        }),
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
    match X264.base(key) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_x264_has_a_use_or_a_reason() {
        // One of each group that x264's own parser knows.
        for key in ["ref", "no-mbtree", "nombtree", "crf", "qp-constant", "keyint", "frameref", "cqm4iy"] {
            assert!(matches!(usage(&X264.canonical(key)), Some(u) if !matches!(u, Use::Refuse(_))), "{key}");
        }
        for key in ["stats", "threads", "sar", "open-gop", "vbv-bufsize", "opencl", "no-stitchable", "zones"] {
            assert!(matches!(usage(&X264.canonical(key)), Some(Use::Refuse(_))), "{key}");
        }
        assert!(usage("nosuch").is_none());
    }

    #[test]
    fn every_alias_stands_for_an_option_that_is_passed_on() {
        for (alias, name) in ALIASES {
            assert_eq!(X264.standing(name), Standing::Passes, "{alias}");
            assert_eq!(X264.canonical(alias), *name);
            assert_eq!(X264.canonical(&format!("no-{alias}")), format!("no-{name}"));
        }
        assert_eq!(X264.canonical("no-mbtree"), "no-mbtree");
        assert_eq!(X264.canonical("nr"), "nr");
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
