//! What ffmpeg has and divien does not: named, so that none is ever taken for something else.

use super::UsageError;

const RATE_CONTROL: &str =
    "it needs rate control over the whole file, which a later version builds; -crf and -b:v work";
const FILTERS: &str = "of filters there is -vf with one chain for the video; the rest is a later version's";
const STREAMS: &str =
    "the first video and all sound and subtitles are taken; -an and -sn leave some out, choosing is a later version's";
const SIZE: &str = "-s, -r and the filters crop, setdar and fps of -vf change the size, shape and rate of pictures";
const SOUND: &str = "of the sound -b:a, -ac and -ar can be set; the rest is a filter of a later version";
const EACH: &str = "settings are for all streams of a kind, -c:a, -b:a, -c:s; single streams are a later version's";
const TAGS: &str = "titles and languages are kept; -metadata KEY=VALUE sets a tag of the file, not yet of a stream";
const MUXER: &str =
    "the containers are written with their usual settings; of their options -movflags +faststart is there";
const KEYS: &str =
    "key frames stand where chunks begin, at scene changes, and as -g, -keyint_min and -sc_threshold say";
/// Why a token is no argument.
pub(super) const SECRET: &str = "it would be seen in `ps`; use --token-file FILE with a worker, -token-file FILE with an encode, or the variable DIVIEN_TOKEN";
const LATER: &str = "a later version of divien builds it";

const TIMES: &str = "every frame keeps its own time, counted from where the encode begins";
const CONTENT: &str = "the input is recognised by its content, and read as fast as it is encoded";
const COPY: &str = "divien encodes the video; to copy it use ffmpeg";
const COLOUR: &str = "colour, shape and field order are taken from the input and kept";
const DECODER: &str = "how the input is decoded is divien's choice; frames it has lost are reported";
const LENGTH: &str = "the output is as long as the input, or as -t, -to and -frames:v say";
const LISTS: &str = "there are -h, -h full, -h encoder=NAME, -encoders and -version";
const LOGS: &str = "there are -loglevel, -stats, -stats_period and -progress";
const SUBTITLES: &str = "subtitles are kept as they are, -sn leaves them out";
const FLAGS: &str =
    "interlacing is taken from the input, and groups of pictures are closed so that chunks can be joined";

/// Names that end in `:` stand for any stream specifier.
const NOT_YET: &[(&[&str], &str)] = &[
    (&["maxrate", "minrate", "bufsize", "rc_init_occupancy", "maxrate:v", "minrate:v", "bufsize:v"], RATE_CONTROL),
    (&["passlogfile", "passlogfile:v", "fastfirstpass", "stats_file", "x264-stats"], RATE_CONTROL),
    (
        &[
            "af",
            "filter:",
            "filter",
            "filter_complex",
            "lavfi",
            "filter_script:",
            "filter_script",
            "filter_complex_script",
            "sws_flags",
            "sws_dict",
            "swr_opts",
            "autorotate",
            "noautorotate",
            "autoscale",
            "noautoscale",
            "reinit_filter",
            "apply_cropping",
        ],
        FILTERS,
    ),
    (
        &[
            "map",
            "map_channel",
            "streamid",
            "programid",
            "program",
            "copy_unknown",
            "discard",
            "disposition",
            "disposition:",
            "attach",
            "dump_attachment:",
        ],
        STREAMS,
    ),
    (
        &[
            "r:",
            "s:",
            "aspect",
            "aspect:",
            "fps_mode",
            "fps_mode:",
            "vsync",
            "fpsmax",
            "force_fps",
            "croptop",
            "cropbottom",
            "cropleft",
            "cropright",
        ],
        SIZE,
    ),
    (&["deinterlace"], "-vf yadif is there"),
    (&["force_key_frames", "force_key_frames:"], KEYS),
    (
        &[
            "tag",
            "tag:",
            "atag",
            "bsf",
            "bsf:",
            "vbsf",
            "absf",
            "movflags:",
            "brand",
            "frag_duration",
            "hls_time",
            "segment_time",
            "avoid_negative_ts",
            "max_interleave_delta",
            "use_editlist",
            "write_tmcd",
            "id3v2_version",
            "cluster_size_limit",
            "muxdelay",
            "muxpreload",
            "video_track_timescale",
            "time_base",
            "enc_time_base",
        ],
        MUXER,
    ),
    (&["map_metadata:", "map_chapters", "metadata:", "timecode", "timestamp"], TAGS),
    (&["c:a:", "codec:a:", "b:a:", "c:s:", "codec:s:"], EACH),
    (
        &[
            "ar:",
            "ac:",
            "aq",
            "q:a",
            "qscale:a",
            "sample_fmt",
            "vol",
            "channel_layout",
            "ch_layout",
            "profile:a",
            "cutoff",
            "vbr",
            "application",
            "frame_duration",
            "aframes",
            "frames:a",
            "compression_level:a",
            "apad",
            "async",
            "guess_layout_max",
        ],
        SOUND,
    ),
    (&["stream_loop", "loop", "sseof", "itsoffset", "itsscale", "shortest"], "a later version of divien may build it"),
    (&["workers_file", "verify"], LATER),
];

/// What divien is not made for, or does by itself.
const NOT_TAKEN: &[(&[&str], &str)] = &[
    (&["token", "-token"], SECRET),
    (&["vn"], "divien encodes video; to take the sound alone use ffmpeg"),
    (
        &[
            "copyts",
            "start_at_zero",
            "copytb",
            "adrift_threshold",
            "frame_drop_threshold",
            "dts_delta_threshold",
            "dts_error_threshold",
            "isync",
            "seek_timestamp",
            "noaccurate_seek",
            "ss_relative",
            "fflags",
        ],
        TIMES,
    ),
    (
        &[
            "re",
            "readrate",
            "f:",
            "framerate",
            "video_size",
            "pixel_format",
            "pattern_type",
            "start_number",
            "safe",
            "protocol_whitelist",
            "rtsp_transport",
            "user_agent",
            "headers",
        ],
        CONTENT,
    ),
    (&["shortest_buf_duration", "fs", "to_end", "target", "timelimit"], LENGTH),
    (&["c:d", "c:t", "codec:d", "codec:t", "dcodec"], "streams of data and attachments are left out"),
    (
        &[
            "color_range",
            "colorspace",
            "color_primaries",
            "color_trc",
            "chroma_sample_location",
            "field_order",
            "top",
            "intra_matrix",
            "inter_matrix",
            "chroma_intra_matrix",
            "sample_aspect_ratio",
            "bits_per_raw_sample",
        ],
        COLOUR,
    ),
    (
        &[
            "hwaccel",
            "hwaccel:",
            "hwaccel_device",
            "hwaccel_output_format",
            "init_hw_device",
            "filter_hw_device",
            "vaapi_device",
            "qsv_device",
            "skip_frame",
            "skip_loop_filter",
            "lowres",
            "err_detect",
            "ec",
            "strict",
            "max_error_rate",
            "thread_type",
            "flags2",
            "discard_frames",
        ],
        DECODER,
    ),
    (&["flags", "flags:", "ilme", "ildct", "forced-idr", "sc_factor", "mpv_flags", "a53cc", "udu_sei"], FLAGS),
    (&["canvas_size", "fix_sub_duration", "fix_sub_duration_heartbeat", "stag", "charenc", "sub_charenc"], SUBTITLES),
    (
        &[
            "formats",
            "muxers",
            "demuxers",
            "devices",
            "codecs",
            "decoders",
            "bsfs",
            "protocols",
            "filters",
            "pix_fmts",
            "layouts",
            "sample_fmts",
            "dispositions",
            "colors",
            "sources",
            "sinks",
            "hwaccels",
            "buildconf",
            "L",
            "license",
        ],
        LISTS,
    ),
    (
        &[
            "report",
            "vstats",
            "vstats_file",
            "vstats_version",
            "benchmark",
            "benchmark_all",
            "debug",
            "debug_ts",
            "dump",
            "hex",
            "psnr",
            "ssim",
            "qphist",
            "cpuflags",
            "cpucount",
            "max_alloc",
            "print_graphs",
            "abort_on",
            "fdebug",
        ],
        LOGS,
    ),
    (&["fpre", "vpre", "apre", "spre", "pre", "pre:"], "preset files are ffmpeg's own; give the options"),
];

/// The error for ffmpeg's option `name`, if it is one of those that are not there; with the value where that matters.
pub(super) fn refusal(name: &str, value: Option<&str>) -> Option<UsageError> {
    // What stands behind the sign may be the secret, and is not repeated.
    let name = match name.split_once('=') {
        Some((token @ ("token" | "-token"), _)) => token,
        _ => name,
    };
    let matches = |known: &str| match known.strip_suffix(':') {
        Some(base) => name.strip_prefix(base).is_some_and(|rest| rest.starts_with(':')),
        None => name == known,
    };
    let find = |table: &[(&[&str], &'static str)]| {
        table.iter().find(|(names, _)| names.iter().any(|n| matches(n))).map(|(_, reason)| *reason)
    };
    let typed = value.map_or_else(|| name.to_owned(), |value| format!("{name} {value}"));
    // `-c` is every stream's: copied, they are nothing to divien; named, an encoder cannot be meant for all of them.
    if matches!(name, "c" | "codec") {
        let reason = match value {
            Some("copy") | None => COPY.to_owned(),
            Some(encoder) => format!("it is for every stream; -c:v {encoder} is for the video, -c:a for the sound"),
        };
        return Some(UsageError::NotTaken { name: typed, reason });
    }
    if let Some(reason) = find(NOT_YET) {
        return Some(UsageError::NotYet { name: typed, reason });
    }
    find(NOT_TAKEN).map(|reason| UsageError::NotTaken { name: typed, reason: reason.into() })
}

/// Words that stand first on DiViEn's command lines and on those of later versions.
const WORDS: &[(&str, &str)] = &[("standalone", "encoding on this machine needs no word: divien -i INPUT OUTPUT")];

/// Why `divien WORD` is refused.
pub(super) fn word(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(w, _)| *w == word).map(|(_, reason)| *reason)
}
