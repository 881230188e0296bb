//! What we know of single encoders beyond what their properties say.

/// How many threads an encoder uses, and how it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// A property of this name.
    Property(&'static str),
    /// x265's option string.
    X265,
    /// It has no say: always so many.
    Always(u32),
}

/// A property that takes `key=value:key=value` for the library behind the element.
#[derive(Debug)]
pub(super) struct OptionString {
    pub(super) property: &'static str,
    /// Keys that read and write nothing but the stream. A `no-` before any of them is allowed too.
    pub(super) allowed: &'static [&'static str],
    /// The key that takes a file's name as well, and its values that are none.
    pub(super) words: (&'static str, &'static [&'static str]),
    /// What joining needs, whatever the user says.
    pub(super) forced: &'static [(&'static str, &'static str)],
}

/// A property value that breaks a chunked encode.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) property: &'static str,
    /// The values it may have all the same, as text; none where it may not be set at all.
    pub(super) unless: &'static [&'static str],
    pub(super) why: &'static str,
}

/// One encoder.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) factory: &'static str,
    pub(super) threads: Threads,
    pub(super) default_threads: u32,
    /// Set before the user's own properties, so that those win.
    pub(super) defaults: &'static [(&'static str, &'static str)],
    pub(super) options: Option<OptionString>,
    pub(super) refused: &'static [Refused],
    pub(super) ending: Ending,
    pub(super) restart: Restart,
}

/// Whether an encoder begins anew within its stream, at a frame that it is told of (force-key-unit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// At just that frame, so that it can be given others before it.
    Exact,
    /// It does not, or not there, or what follows may refer to what was before.
    No,
}

/// What an encoder does when it is told that there are no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It gives what it holds.
    Whole,
    /// It gives only as many frames as fit its buffer, and the rest when it is asked again. GStreamer's element asks
    /// libvpx once.
    InParts,
    /// It holds nothing, and libopenh264 writes a complaint to standard error when it is asked.
    Unasked,
}

/// What holds for an encoder that has no entry.
pub(super) const UNKNOWN: Known = Known {
    factory: "",
    ending: Ending::Whole,
    restart: Restart::No,
    threads: Threads::Always(0),
    default_threads: 0,
    defaults: &[],
    options: None,
    refused: &[],
};

const A_PASS_FILE: &str = "a pass over the whole file needs one encoder for all of it";
const A_FRAME_LOST: &str = "it lets the encoder drop frames";

/// Up to 18, with which libaom 3.6 was never seen to abort.
const SHORT_LAG: &[&str] =
    &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18"];

const fn refused(property: &'static str, unless: &'static [&'static str], why: &'static str) -> Refused {
    Refused { property, unless, why }
}

const VPX_REFUSED: &[Refused] =
    &[refused("multipass-mode", &["0", "one-pass"], A_PASS_FILE), refused("dropframe-threshold", &["0"], A_FRAME_LOST)];

/// Encoders and why their chunks cannot be joined.
pub(super) const UNJOINABLE: &[(&str, &str)] = &[
    ("avenc_apng", "an APNG file numbers its frames from its first to its last"),
    ("y4menc", "it writes a file header before every chunk"),
    ("avenc_flashsv", "its blocks refer to pictures of the chunk before"),
    ("avenc_flashsv2", "no decoder reads its pictures that refer to others, with chunks or without"),
    ("avenc_rpza", "it marks no picture as a key frame"),
    ("mpeg2enc", "it gives a stream of bytes and does not say where a picture starts"),
    ("avenc_zmbv", "its compression state runs on from picture to picture"),
];

pub(super) const KNOWN: &[Known] = &[
    Known {
        factory: "x264enc",
        ending: Ending::Whole,
        restart: Restart::Exact,
        threads: Threads::Property("threads"),
        default_threads: 1,
        defaults: &[],
        options: Some(OptionString {
            property: "option-string",
            allowed: X264,
            words: ("cqm", &["flat", "jvt"]),
            forced: &[("stitchable", "1")],
        }),
        refused: &[refused("pass", &["0", "cbr", "4", "quant", "5", "qual"], A_PASS_FILE)],
    },
    Known {
        factory: "x265enc",
        ending: Ending::Whole,
        restart: Restart::Exact,
        threads: Threads::X265,
        default_threads: 1,
        defaults: &[],
        options: Some(OptionString {
            property: "option-string",
            allowed: X265,
            words: ("scaling-list", &["off", "default"]),
            // With repeated headers the average bit rate's control depends on thread timing; every chunk starts with the
            // parameter sets without them.
            forced: &[("const-vbv", "1"), ("open-gop", "0"), ("repeat-headers", "0")],
        }),
        refused: &[],
    },
    Known {
        factory: "av1enc",
        ending: Ending::Whole,
        restart: Restart::No,
        threads: Threads::Property("threads"),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: &[
            refused("drop-frame", &["0"], A_FRAME_LOST),
            // av1_twopass_postencode_update asserts that the look-ahead's statistics are not used up, and they can be.
            refused("lag-in-frames", SHORT_LAG, "from 19 on libaom 3.6 may abort the whole process, so at most 18"),
        ],
    },
    Known {
        factory: "vp8enc",
        ending: Ending::InParts,
        restart: Restart::Exact,
        threads: Threads::Property("threads"),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: &[
            refused("multipass-mode", &["0", "one-pass"], A_PASS_FILE),
            refused("dropframe-threshold", &["0"], A_FRAME_LOST),
            refused("deadline", &["0", "1000000"], "it makes the encoder choose by the time it has left"),
        ],
    },
    Known {
        factory: "vp9enc",
        ending: Ending::InParts,
        restart: Restart::Exact,
        threads: Threads::Property("threads"),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: VPX_REFUSED,
    },
    Known {
        factory: "openh264enc",
        ending: Ending::Unasked,
        restart: Restart::Exact,
        threads: Threads::Property("multi-thread"),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: &[refused("enable-frame-skip", &["false", "0", "no"], A_FRAME_LOST)],
    },
    Known {
        factory: "theoraenc",
        ending: Ending::Whole,
        restart: Restart::No,
        threads: Threads::Always(1),
        default_threads: 1,
        defaults: &[("drop-frames", "false")],
        options: None,
        refused: &[
            refused("multipass-mode", &["0", "single-pass"], A_PASS_FILE),
            refused("drop-frames", &["false", "0", "no"], A_FRAME_LOST),
        ],
    },
    Known {
        factory: "jpegenc",
        ending: Ending::Whole,
        restart: Restart::No,
        threads: Threads::Always(1),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: &[refused("snapshot", &["false", "0", "no"], "it ends the stream after one frame")],
    },
    Known {
        factory: "svtav1enc",
        ending: Ending::Whole,
        restart: Restart::No,
        threads: Threads::Property("logical-processors"),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: &[],
    },
    Known {
        factory: "rav1enc",
        ending: Ending::Whole,
        restart: Restart::No,
        threads: Threads::Property("threads"),
        default_threads: 1,
        defaults: &[],
        options: None,
        refused: &[],
    },
];

/// Keys of `x264_param_parse` that name no file and write none.
const X264: &[&str] = &[
    "8x8dct",
    "aq-mode",
    "aq-strength",
    "aud",
    "b-adapt",
    "b-bias",
    "b-pyramid",
    "bff",
    "bframes",
    "bitrate",
    "bluray-compat",
    "cabac",
    "chroma-me",
    "chroma-qp-offset",
    "chromaloc",
    "cll",
    "colormatrix",
    "colorprim",
    "constrained-intra",
    "cplxblur",
    "cqm",
    "cqm4",
    "cqm4i",
    "cqm4iy",
    "cqm8",
    "crf",
    "crf-max",
    "crop-rect",
    "dct-decimate",
    "deadzone-inter",
    "deadzone-intra",
    "deblock",
    "direct",
    "fake-interlaced",
    "fast-pskip",
    "filler",
    "fps",
    "frame-packing",
    "fullrange",
    "interlaced",
    "intra-refresh",
    "ipratio",
    "keyint",
    "keyint-min",
    "level",
    "mastering-display",
    "mbtree",
    "me",
    "merange",
    "min-keyint",
    "mixed-refs",
    "mvrange",
    "mvrange-thread",
    "nal-hrd",
    "nf",
    "nr",
    "open-gop",
    "overscan",
    "partitions",
    "pbratio",
    "pic-struct",
    "psy",
    "psy-rd",
    "qblur",
    "qcomp",
    "qp",
    "qpmax",
    "qpmin",
    "qpstep",
    "range",
    "ratetol",
    "rc-lookahead",
    "ref",
    "sar",
    "scenecut",
    "slice-max-mbs",
    "slice-max-size",
    "slice-min-mbs",
    "slices",
    "slices-max",
    "sps-id",
    "subme",
    "tff",
    "transfer",
    "trellis",
    "vbv-bufsize",
    "vbv-init",
    "vbv-maxrate",
    "videoformat",
    "weightb",
    "weightp",
    "zones",
];

/// Keys of `x265_param_parse` that name no file and write none. Threads and what joining forces are not among them.
const X265: &[&str] = &[
    "amp",
    "aq-mode",
    "aq-motion",
    "aq-strength",
    "asm",
    "aud",
    "b-adapt",
    "b-intra",
    "b-pyramid",
    "bframe-bias",
    "bframes",
    "bitrate",
    "cbqpoffs",
    "chromaloc",
    "cll",
    "colormatrix",
    "colorprim",
    "constrained-intra",
    "cplxblur",
    "crf",
    "crf-max",
    "crf-min",
    "crqpoffs",
    "ctu",
    "cu-lossless",
    "cutree",
    "deblock",
    "display-window",
    "dynamic-rd",
    "dynamic-refine",
    "early-skip",
    "fades",
    "fast-intra",
    "gop-lookahead",
    "hdr10",
    "hdr10-opt",
    "hevc-aq",
    "high-tier",
    "hist-scenecut",
    "hrd",
    "info",
    "interlace",
    "intra-refresh",
    "ipratio",
    "keyint",
    "level-idc",
    "limit-modes",
    "limit-refs",
    "limit-sao",
    "limit-tu",
    "lossless",
    "lookahead-slices",
    "master-display",
    "max-ausize-factor",
    "max-cll",
    "max-luma",
    "max-merge",
    "max-tu-size",
    "me",
    "merange",
    "min-cu-size",
    "min-keyint",
    "min-luma",
    "nr-inter",
    "nr-intra",
    "opt-cu-delta-qp",
    "opt-qp-pps",
    "opt-ref-list-length-pps",
    "overscan",
    "pbratio",
    "pmode",
    "profile",
    "psy-rd",
    "psy-rdoq",
    "qblur",
    "qcomp",
    "qg-size",
    "qp",
    "qpmax",
    "qpmin",
    "qpstep",
    "range",
    "rc-grain",
    "rc-lookahead",
    "rd",
    "rd-refine",
    "rdoq-level",
    "rdpenalty",
    "rect",
    "ref",
    "rskip",
    "rskip-edge-threshold",
    "sao",
    "sao-non-deblock",
    "sar",
    "scaling-list",
    "scenecut",
    "scenecut-bias",
    "selective-sao",
    "signhide",
    "slices",
    "splitrd-skip",
    "ssim-rd",
    "strict-cbr",
    "strong-intra-smoothing",
    "subme",
    "temporal-layers",
    "temporal-mvp",
    "tmvp",
    "transfer",
    "tskip",
    "tskip-fast",
    "tu-inter-depth",
    "tu-intra-depth",
    "vbv-bufsize",
    "vbv-init",
    "vbv-maxrate",
    "videoformat",
    "weightb",
    "weightp",
    "wpp",
    "zones",
];
