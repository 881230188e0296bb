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

const PASS: &[&str] = &[
    "level",
    "level-idc",
    "bluray-compat",
    "avcintra-class",
    "avcintra-flavor",
    "overscan",
    "mastering-display",
    "cll",
    "alternative-transfer",
    "ref",
    "frameref",
    "dpb-size",
    "min-keyint",
    "keyint-min",
    "scenecut",
    "intra-refresh",
    "bframes",
    "b-adapt",
    "b-bias",
    "b-pyramid",
    "nf",
    "filter",
    "deblock",
    "slice-max-size",
    "slice-max-mbs",
    "slice-min-mbs",
    "slices",
    "slices-max",
    "cabac",
    "cabac-idc",
    "constrained-intra",
    "cqm",
    "cqm4",
    "cqm8",
    "cqm4i",
    "cqm4p",
    "cqm8i",
    "cqm8p",
    "cqm4iy",
    "cqm4ic",
    "cqm4py",
    "cqm4pc",
    "analyse",
    "partitions",
    "8x8dct",
    "weightb",
    "weight-b",
    "weightp",
    "direct",
    "direct-pred",
    "chroma-qp-offset",
    "me",
    "merange",
    "me-range",
    "mvrange",
    "mv-range",
    "subme",
    "subq",
    "psy-rd",
    "psy",
    "chroma-me",
    "mixed-refs",
    "trellis",
    "fast-pskip",
    "dct-decimate",
    "deadzone-inter",
    "deadzone-intra",
    "nr",
    "crf-max",
    "rc-lookahead",
    "qpmin",
    "qp-min",
    "qpmax",
    "qp-max",
    "qpstep",
    "qp-step",
    "ratetol",
    "ipratio",
    "ip-factor",
    "pbratio",
    "pb-factor",
    "aq-mode",
    "aq-strength",
    "qcomp",
    "mbtree",
    "qblur",
    "cplxblur",
    "cplx-blur",
    "zones",
    "crop-rect",
    "ssim",
];

const VBV: &str = "it needs rate control over the whole file, which a later version builds; -crf and -b:v work";
const FILES: &str = "it reads or writes a file of its own";
const THREADS: &str = "use -threads, which keeps the output the same on every machine";
const CAPS: &str = "it is taken from the input, and x264enc overwrites it";
const JOIN: &str = "divien sets it so that chunks can be joined";

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
    (&["psnr", "log"], "x264enc overwrites it"),
];

/// The option without the `no` that x264 allows before any of them.
fn base(key: &str) -> &str {
    let known = |k: &str| PASS.contains(&k) || REFUSE.iter().any(|(keys, _)| keys.contains(&k)) || matches!(k, "aud");
    match key.strip_prefix("no") {
        Some(rest) if !known(key) => rest.strip_prefix('-').unwrap_or(rest),
        _ => key,
    }
}

pub(super) fn usage(key: &str) -> Option<Use> {
    let base = base(key);
    if let Some((_, reason)) = REFUSE.iter().find(|(keys, _)| keys.contains(&base)) {
        return Some(Use::Refuse(reason));
    }
    match base {
        "crf" => Some(Use::Crf),
        "qp" | "qp-constant" => Some(Use::Qp),
        "bitrate" => Some(Use::Bitrate),
        "keyint" => Some(Use::Keyint),
        "aud" if key == "aud" => Some(Use::Aud),
        _ => PASS.contains(&base).then_some(Use::Pass),
    }
}

const ME: &[&str] = &["dia", "hex", "umh", "esa", "tesa"];
const DIRECT: &[&str] = &["none", "spatial", "temporal", "auto"];
const PYRAMID: &[&str] = &["none", "strict", "normal"];
const SWITCH: &[&str] = &["true", "false", "yes", "no"];

/// x264 takes the name of a file as a matrix, and any option at all inside a zone; and what it cannot read
/// the element reports as caps that do not fit.
pub(super) fn check(key: &str, value: &str) -> Result<(), String> {
    let one_of = |words: &[&str]| match words.contains(&value) {
        true => Ok(()),
        false => Err(format!("one of {} is wanted", words.join(", "))),
    };
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    match base(key) {
        "me" => one_of(ME),
        "direct" | "direct-pred" => one_of(DIRECT),
        "cqm" => one_of(&["flat", "jvt"]),
        "b-pyramid" if !is_number(value) => one_of(PYRAMID),
        "overscan" => one_of(&["undef", "show", "crop"]),
        "zones" if value.split('/').all(is_zone) => Ok(()),
        "zones" => Err("START,END,q=QP or START,END,b=FACTOR is wanted, with slashes between zones".into()),
        "ratetol" if value.starts_with("inf") => Ok(()),
        "level" | "level-idc" if value == "1b" => Ok(()),
        "analyse" | "partitions" | "avcintra-flavor" | "mastering-display" | "cll" | "alternative-transfer" => Ok(()),
        _ if SWITCH.contains(&value) || value.split(',').all(is_number) => Ok(()),
        _ => Err("a number is wanted".into()),
    }
}

fn is_zone(zone: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().is_ok();
    match zone.split(',').collect::<Vec<_>>().as_slice() {
        [start, end, change] => {
            number(start)
                && number(end)
                && change.strip_prefix(['q', 'b']).and_then(|c| c.strip_prefix('=')).is_some_and(number)
        }
        _ => false,
    }
}

/// Every option, for the nearest one to a typo.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PASS.iter().copied().chain(["crf", "qp", "bitrate", "keyint", "aud"])
}
