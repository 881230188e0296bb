//! x265's own options: which may be given, and which divien decides.

use super::keys::{FILES, JOIN, Library, THREADS, UNPROVEN, VBV, ZONES};
use super::x264_keys::exact_level;

pub(super) const X265: Library =
    Library { name: "x265", factory: "x265enc", aliases: ALIASES, refuse: REFUSE, negations: &["no-"] };

const ALIASES: &[(&str, &str)] = &[
    ("level", "level-idc"),
    ("cip", "constrained-intra"),
    ("rdoq", "rdoq-level"),
    ("tmvp", "temporal-mvp"),
    ("ip-factor", "ipratio"),
    ("pb-factor", "pbratio"),
];

const INPUT: &str = "it is taken from the input";

const REFUSE: &[(&[&str], &str)] = &[
    (&["zones"], ZONES),
    (
        &[
            "svt",
            "svt-base-layer-switch-mode",
            "svt-compressed-ten-bit-format",
            "svt-fps-in-vps",
            "svt-hierarchical-level",
            "svt-hme",
            "svt-pred-struct",
            "svt-preset-tuner",
            "svt-search-height",
            "svt-search-width",
            "svt-speed-control",
        ],
        "x265 has no SVT-HEVC in it",
    ),
    (&["frame-dup"], "it leaves out frames, and every frame is kept"),
    (
        &[
            "vbv-maxrate",
            "vbv-bufsize",
            "vbv-init",
            "vbv-end",
            "vbv-end-fr-adj",
            "vbv-live-multi-pass",
            "strict-cbr",
            "hrd",
            "hrd-concat",
            "pass",
            "const-vbv",
            "min-vbv-fullness",
            "max-vbv-fullness",
        ],
        VBV,
    ),
    (
        &[
            "stats",
            "lambda-file",
            "qpfile",
            "zonefile",
            "csv",
            "csv-log-level",
            "recon",
            "dhdr10-info",
            "dolby-vision-rpu",
            "dolby-vision-profile",
            "nalu-file",
            "analysis-save",
            "analysis-load",
            "analysis-reuse-file",
            "analysis-reuse-mode",
            "analysis-reuse-level",
            "analysis-save-reuse-level",
            "analysis-load-reuse-level",
            "refine-inter",
            "refine-intra",
            "refine-mv",
            "refine-ctu-distortion",
            "refine-analysis-type",
            "scale-factor",
            "dynamic-refine",
            "ctu-info",
            "multi-pass-opt-analysis",
            "multi-pass-opt-distortion",
            "dhdr10-opt",
        ],
        FILES,
    ),
    (
        &[
            "frame-threads",
            "pools",
            "numa-pools",
            "pmode",
            "pme",
            "asm",
            "slices",
            "copy-pic",
            "lookahead-threads",
            "force-flush",
            "stylish",
        ],
        THREADS,
    ),
    (
        &[
            "sar",
            "fps",
            "input-res",
            "input-csp",
            "input-depth",
            "interlace",
            "field",
            "display-window",
            "crop-rect",
            "frames",
            "total-frames",
            "seek",
            "output-depth",
            "preset",
            "tune",
            "profile",
        ],
        INPUT,
    ),
    (
        &[
            "open-gop",
            "intra-refresh",
            "repeat-headers",
            "annexb",
            "info",
            "chunk-start",
            "chunk-end",
            "idr-recovery-sei",
            "single-sei",
            "radl",
            "log-level",
            "log",
            "opts",
            "cu-stats",
            "progress",
        ],
        JOIN,
    ),
    (
        &[
            "allow-non-conformance",
            "hist-threshold",
            "lft",
            "qp-adaptation-range",
            "slow-firstpass",
            "hme",
            "hme-search",
            "hme-range",
            "analyze-src-pics",
            "hdr",
            "hdr-opt",
            "uhd-bd",
            "hash",
            "multi-pass-opt-rps",
            "atc-sei",
            "pic-struct",
            "log2-max-poc-lsb",
            "dup-threshold",
            "max-ausize-factor",
            "masking-strength",
            "scenecut-aware-qp",
            "lowpass-dct",
            "ssim",
            "psnr",
            "vui-timing-info",
            "vui-hrd-info",
        ],
        UNPROVEN,
    ),
];

const ME: &[&str] = &["dia", "hex", "umh", "star", "sea", "full"];
const SWITCH: &[&str] = &["true", "false", "yes", "no", "on", "off"];
const LEVEL_IDC: &[u32] = &[0, 10, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62, 85];

/// x265 takes the name of a file as a list of scaling factors; and of what it cannot read the element says no more
/// than that it cannot start.
pub(super) fn check(key: &str, value: &str) -> Result<(), String> {
    let one_of = |words: &[&str]| match words.contains(&value) {
        true => Ok(()),
        false => Err(format!("one of {} is wanted", words.join(", "))),
    };
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match X265.base(key) {
        "level-idc" => match exact_level(value, 10.0).is_some_and(|idc| LEVEL_IDC.contains(&idc)) {
            true => Ok(()),
            false => Err("one of 1, 2, 2.1, 3, 3.1, 4, 4.1, 5 to 5.2, 6 to 6.2, 8.5 is wanted".into()),
        },
        "scaling-list" => one_of(&["off", "default"]),
        "me" if !is_number(value) => one_of(ME),
        "range" if !is_number(value) => one_of(&["limited", "full"]),
        "overscan" if !is_number(value) => one_of(&["unknown", "show", "crop"]),
        "videoformat" | "colorprim" | "transfer" | "colormatrix" if is_word(value) => Ok(()),
        "master-display" => Ok(()),
        _ if SWITCH.contains(&value) || value.split(',').all(is_number) => Ok(()),
        _ => Err("a number is wanted".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Standing;
    use super::*;

    #[test]
    fn every_option_of_x265_has_a_use_or_a_reason() {
        for key in ["rd", "no-sao", "level", "no-rdoq", "keyint", "max-cll", "cll", "no-tskip-fast", "tmvp"] {
            assert_eq!(X265.standing(&X265.canonical(key)), Standing::Passes, "{key}");
        }
        for key in ["csv", "pools", "sar", "open-gop", "vbv-maxrate", "frame-dup", "svt-hme", "zones", "no-wpp-x"] {
            let refused = matches!(X265.standing(key), Standing::Refused(_));
            assert_eq!(refused, key != "no-wpp-x", "{key}");
        }
        assert_eq!(X265.canonical("no-rdoq"), "no-rdoq-level");
    }

    #[test]
    fn values_that_x265_would_stumble_over_are_told_beforehand() {
        for (key, value) in [
            ("level-idc", "9.9"),
            ("level-idc", "4.15"),
            ("scaling-list", "/etc/passwd"),
            ("me", "best"),
            ("rd", "high"),
            ("range", "both"),
        ] {
            assert!(check(key, value).is_err(), "{key}={value}");
        }
        for (key, value) in [
            ("level-idc", "5.1"),
            ("level-idc", "51"),
            ("scaling-list", "default"),
            ("me", "star"),
            ("me", "3"),
            ("deblock", "-1,-1"),
            ("no-sao", "1"),
            ("colorprim", "bt2020"),
            ("transfer", "smpte2084"),
            ("max-cll", "1000,400"),
            ("master-display", "G(1,2)B(3,4)R(5,6)WP(7,8)L(9,10)"),
        ] {
            assert!(check(key, value).is_ok(), "{key}={value}");
        }
    }
}
