//! The options of libx264 that are mapped, by ffmpeg's names.

use super::options::{Kind, Opt, own, pass};

const INT_MAX: i64 = i32::MAX as i64;
/// Presets of x264 and x265 alike.
pub(super) const PRESETS: &[&str] =
    &["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"];
pub(super) const PRESETS_OR_NUMBERS: &[&str] = &[
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
];
/// Reference frames of each preset, in the order of `PRESETS`.
pub(super) const PRESET_REFS: [u32; 10] = [1, 1, 1, 2, 2, 3, 5, 8, 16, 16];
pub(super) const PSY_TUNES: &[&str] = &["film", "animation", "grain", "psnr", "ssim"];
pub(super) const TUNES: &[&str] = &["stillimage", "fastdecode", "zerolatency"];
const PROFILES: &[&str] = &["baseline", "main", "high", "high10", "high422", "high444"];
pub(super) const ME: &[(&str, i64)] = &[("dia", 0), ("hex", 1), ("umh", 2), ("esa", 3), ("tesa", 4)];
const AQ: &[(&str, i64)] = &[("none", 0), ("variance", 1), ("autovariance", 2), ("autovariance-biased", 3)];
const WEIGHTP: &[(&str, i64)] = &[("none", 0), ("simple", 1), ("smart", 2)];
const PYRAMID: &[(&str, i64)] = &[("none", 0), ("strict", 1), ("normal", 2)];
pub(super) const DIRECT: &[(&str, i64)] = &[("none", 0), ("spatial", 1), ("temporal", 2), ("auto", 3)];
const CODER: &[(&str, i64)] = &[("default", -1), ("cavlc", 0), ("cabac", 1), ("vlc", 0), ("ac", 1)];
const FLOAT: Kind = Kind::Float(0.0, f64::MAX);

pub(super) const OPTIONS: &[Opt] = &[
    own("crf", Kind::Float(0.0, 51.0), "constant quality, the default: 23; 0 is lossless in 8 bit"),
    own("qp", Kind::Int(0, 50), "constant quantizer; 0 is lossless in 8 bit"),
    own("b", Kind::Rate(0, 2_048_000_000), "average bit rate"),
    own("preset", Kind::Word(PRESETS_OR_NUMBERS), "speed against size; the default is medium"),
    own(
        "tune",
        Kind::Text("film, animation, grain, psnr or ssim, and stillimage, fastdecode, zerolatency, with commas"),
        "what to tune for",
    ),
    own("profile", Kind::Word(PROFILES), "restrict the stream to a profile"),
    own("level", Kind::Text("1 to 6.2, 1b, or 10 to 62"), "the level to write and to limit reference frames by"),
    own("g", Kind::Int(0, 1 << 30), "largest distance of key frames; the default is 250"),
    pass("keyint_min", Kind::Int(0, 1 << 30), "min-keyint", "smallest distance of key frames"),
    pass("bf", Kind::Int(0, 16), "bframes", "most B-frames in a row; the default is the preset's"),
    pass("refs", Kind::Int(0, 16), "ref", "reference frames"),
    pass("sc_threshold", Kind::Int(0, INT_MAX), "scenecut", "how easily a scene change is seen"),
    pass("rc-lookahead", Kind::Int(0, 250), "rc-lookahead", "frames to look ahead").or(&["rc_lookahead"]),
    pass("aq-mode", Kind::Named(AQ, 0, 3), "aq-mode", "adaptive quantization"),
    pass("aq-strength", FLOAT, "aq-strength", "strength of adaptive quantization"),
    own("psy-rd", Kind::Text("RD:TRELLIS, two numbers"), "strength of psychovisual optimisation"),
    pass("psy", Kind::Bool, "psy", "psychovisual optimisation"),
    pass("me_method", Kind::Named(ME, 0, 4), "me", "motion search").or(&["motion-est"]),
    pass("me_range", Kind::Int(0, INT_MAX), "merange", "range of the motion search"),
    pass("subq", Kind::Int(0, 11), "subme", "depth of subpixel refinement"),
    pass("trellis", Kind::Int(0, 2), "trellis", "trellis quantization"),
    pass("b_strategy", Kind::Int(0, 2), "b-adapt", "how B-frames are chosen"),
    pass("b-bias", Kind::Int(-100, 100), "b-bias", "preference for B-frames"),
    pass("b-pyramid", Kind::Named(PYRAMID, 0, 2), "b-pyramid", "B-frames as references"),
    pass("weightb", Kind::Bool, "weightb", "weighted prediction of B-frames"),
    pass("weightp", Kind::Named(WEIGHTP, 0, 2), "weightp", "weighted prediction of P-frames").or(&["wpredp"]),
    pass("mixed-refs", Kind::Bool, "mixed-refs", "a reference for each partition"),
    pass("8x8dct", Kind::Bool, "8x8dct", "8x8 transform"),
    pass("fast-pskip", Kind::Bool, "fast-pskip", "early skip detection"),
    pass("mbtree", Kind::Bool, "mbtree", "macroblock tree"),
    pass("coder", Kind::Named(CODER, -1, 1), "cabac", "entropy coder"),
    pass("direct-pred", Kind::Named(DIRECT, 0, 3), "direct", "direct prediction"),
    own("deblock", Kind::Text("ALPHA:BETA"), "loop filter"),
    own("partitions", Kind::Text("p8x8,p4x4,b8x8,i8x8,i4x4, none or all"), "partitions to try"),
    pass("cplxblur", FLOAT, "cplxblur", "blur of complexity before curve compression"),
    pass("qmin", Kind::Int(0, 69), "qpmin", "smallest quantizer"),
    pass("qmax", Kind::Int(0, 69), "qpmax", "largest quantizer"),
    pass("qdiff", Kind::Int(0, INT_MAX), "qpstep", "largest step of the quantizer"),
    pass("qcomp", Kind::Float(0.0, 1.0), "qcomp", "curve compression"),
    pass("qblur", FLOAT, "qblur", "blur of the quantizer"),
    own("i_qfactor", Kind::Float(0.01, 100.0), "quantizer of I-frames against P-frames"),
    pass("b_qfactor", Kind::Float(0.01, 100.0), "pbratio", "quantizer of B-frames against P-frames"),
    pass("chromaoffset", Kind::Int(-32, 32), "chroma-qp-offset", "quantizer of chroma against luma"),
    pass("noise_reduction", Kind::Int(0, 100_000), "nr", "noise reduction"),
    pass("slices", Kind::Int(0, 1000), "slices", "slices in a picture"),
    pass("slice-max-size", Kind::Int(0, INT_MAX), "slice-max-size", "most bytes in a slice"),
    pass("intra-refresh", Kind::Bool, "intra-refresh", "periodic intra refresh in place of key frames inside a chunk"),
    pass("bluray-compat", Kind::Bool, "bluray-compat", "keep to what Blu-ray players take"),
    own("aud", Kind::Bool, "access unit delimiters"),
    own("x264opts", Kind::Text("KEY=VALUE:KEY=VALUE"), "x264's own options, before -x264-params"),
    own("x264-params", Kind::Text("KEY=VALUE:KEY=VALUE"), "x264's own options, after all others"),
];
