//! What ffmpeg has and divien does not, yet: named, so that none is ever taken for something else.

const RATE_CONTROL: &str =
    "it needs rate control over the whole file, which a later version builds; -crf and -b:v work";
const FILTERS: &str = "filters are a later version's; filter with another tool before";
const STREAMS: &str =
    "the first video, and with it sound and subtitles, are taken; choosing streams is a later version's";
const SIZE: &str = "the picture keeps its size, shape and frame times; changing them is a filter of a later version";
const INPUT: &str = "the input is recognised by its content, and each frame keeps its own time";
const COPY: &str = "divien encodes the video; to copy streams use ffmpeg";
const COLOUR: &str = "colour and shape are taken from the input and kept";
const DECODER: &str = "how the input is decoded is divien's choice";
const MUXER: &str =
    "the containers are written with their usual settings; of their options only -movflags +faststart is there";
const LISTS: &str = "there are -h, -encoders and -version";
const LOGS: &str = "there are -loglevel, -stats and -progress";
const TAGS: &str = "titles, chapters and languages are kept; -metadata KEY=VALUE sets a tag of the file";
const AUDIO: &str = "the sound is copied or encoded as it is; changing it is a filter of a later version";
const SUBTITLES: &str = "subtitles are kept where the container has them; -sn leaves them out";
const FLAGS: &str =
    "interlacing is taken from the input, and groups of pictures are closed so that chunks can be joined";

/// Names that end in `:` stand for any stream specifier.
const NOT_YET: &[(&[&str], &str)] = &[
    (&["maxrate", "minrate", "bufsize", "rc_init_occupancy"], RATE_CONTROL),
    (&["pass", "passlogfile", "fastfirstpass", "stats_file", "x264-stats"], RATE_CONTROL),
    (
        &[
            "vf",
            "af",
            "filter:",
            "filter",
            "filter_complex",
            "lavfi",
            "filter_script:",
            "filter_complex_script",
            "filter_threads",
            "filter_complex_threads",
            "sws_flags",
            "sws_dict",
            "swr_opts",
            "autorotate",
            "noautorotate",
            "autoscale",
            "noautoscale",
            "reinit_filter",
            "apply_cropping",
            "deinterlace",
        ],
        FILTERS,
    ),
    (
        &[
            "map",
            "map_channel",
            "dn",
            "streamid",
            "programid",
            "program",
            "ignore_unknown",
            "copy_unknown",
            "discard",
            "disposition",
            "disposition:",
            "attach",
            "dump_attachment:",
            "guess_layout_max",
        ],
        STREAMS,
    ),
    (&["vn"], "divien encodes video; to take the sound alone use ffmpeg"),
    (
        &[
            "r",
            "r:",
            "s",
            "s:",
            "aspect",
            "aspect:",
            "fps_mode",
            "fps_mode:",
            "vsync",
            "fpsmax",
            "async",
            "adrift_threshold",
            "frame_drop_threshold",
            "copyts",
            "start_at_zero",
            "copytb",
            "enc_time_base",
            "muxdelay",
            "muxpreload",
            "video_track_timescale",
            "force_fps",
            "force_key_frames",
            "force_key_frames:",
            "croptop",
            "cropbottom",
            "cropleft",
            "cropright",
        ],
        SIZE,
    ),
    (
        &[
            "itsoffset",
            "itsscale",
            "re",
            "readrate",
            "stream_loop",
            "loop",
            "ss_relative",
            "sseof",
            "isync",
            "seek_timestamp",
            "accurate_seek",
            "noaccurate_seek",
            "dts_delta_threshold",
            "dts_error_threshold",
            "probesize",
            "analyzeduration",
            "fflags",
            "f:",
            "framerate",
            "video_size",
            "pixel_format",
            "pattern_type",
            "start_number",
            "thread_queue_size",
            "find_stream_info",
            "safe",
            "protocol_whitelist",
            "rtsp_transport",
            "user_agent",
            "headers",
            "bitexact",
        ],
        INPUT,
    ),
    (
        &["shortest", "shortest_buf_duration", "fs", "to_end", "target", "timelimit", "timestamp"],
        "the output is as long as the input, or as -t, -to and -frames:v say",
    ),
    (&["c", "codec", "c:s", "codec:s", "scodec", "c:d", "c:t"], COPY),
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
            "skip_frame",
            "skip_loop_filter",
            "lowres",
            "err_detect",
            "ec",
            "strict",
            "xerror",
            "max_error_rate",
            "thread_type",
            "flags2",
            "discard_frames",
        ],
        DECODER,
    ),
    (
        &["flags", "flags:", "flags:v", "ilme", "ildct", "forced-idr", "sc_factor", "mpv_flags", "a53cc", "udu_sei"],
        FLAGS,
    ),
    (
        &[
            "tag",
            "tag:",
            "vtag",
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
            "max_muxing_queue_size",
            "avoid_negative_ts",
            "max_interleave_delta",
            "use_editlist",
            "write_tmcd",
            "fdebug",
            "id3v2_version",
            "cluster_size_limit",
        ],
        MUXER,
    ),
    (&["map_metadata", "map_metadata:", "map_chapters", "metadata:", "chapter", "timecode"], TAGS),
    (
        &[
            "ar",
            "ar:",
            "ac",
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
            "filter:a",
            "aframes",
            "frames:a",
            "compression_level:a",
            "apad",
        ],
        AUDIO,
    ),
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
            "stats_period",
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
        ],
        LOGS,
    ),
    (&["nostdin", "stdin"], "stdin is read for the question about overwriting only: -y or -n answers it beforehand"),
    (&["fpre", "vpre", "apre", "spre", "pre"], "preset files are ffmpeg's own; give the options"),
    (
        &["workers", "workers_file", "token", "verify", "resume", "cut", "lane-timeout", "worker-timeout"],
        "a later version of divien builds it",
    ),
];

/// Why ffmpeg's option `name` is refused, if it is one of those.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let matches = |known: &str| match known.strip_suffix(':') {
        Some(base) => name.strip_prefix(base).is_some_and(|rest| rest.starts_with(':')),
        None => name == known,
    };
    NOT_YET.iter().find(|(names, _)| names.iter().any(|n| matches(n))).map(|(_, reason)| *reason)
}

/// Words that stand first on DiViEn's command lines and on those of later versions.
const WORDS: &[(&str, &str)] = &[
    ("worker", "it will encode for another machine; until then everything is encoded here"),
    ("workers", "it will list the machines that encode; until then everything is encoded here"),
    ("server", "it will be 'divien worker'; until then everything is encoded here"),
    ("client", "it will be 'divien -workers HOST:PORT,… -i INPUT OUTPUT'; until then everything is encoded here"),
    ("standalone", "encoding on this machine needs no word: divien -i INPUT OUTPUT"),
    ("token", "it will make the secret of a fleet of workers"),
];

/// Why `divien WORD` is refused.
pub(super) fn word(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(w, _)| *w == word).map(|(_, reason)| *reason)
}
