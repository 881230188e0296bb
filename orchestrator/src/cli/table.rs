//! The table of options: everything the parser, the help and the docs know about one.

use std::borrow::Cow;

/// Where an option stands on the command line and in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Anywhere.
    Global,
    /// Before or after `-i`.
    Input,
    /// After `-i`.
    Output,
    /// After `-i`: the video encoder's.
    Video,
    /// After `-i`: the sound's.
    Audio,
}

impl Group {
    pub(crate) const ALL: [Self; 5] = [Self::Global, Self::Input, Self::Output, Self::Video, Self::Audio];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Global => "global options",
            Self::Input => "which part of the input",
            Self::Output => "options of the output",
            Self::Video => "options of the video",
            Self::Audio => "options of the sound",
        }
    }
}

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Nothing.
    Flag,
    /// A whole number in a range.
    Count { metavar: &'static str, min: u64, max: u64 },
    /// Like a count, or the word `auto` for 0.
    CountOrAuto { metavar: &'static str, max: u64 },
    /// A time.
    Time,
    /// Bits a second.
    Rate { min: u64, max: u64 },
    /// Any text.
    Text(&'static str),
    /// A text of its own kind, checked by the codec that gets it.
    Codec(&'static str),
}

impl Kind {
    pub(crate) fn metavar(self) -> &'static str {
        match self {
            Self::Flag => "",
            Self::Count { metavar, .. }
            | Self::CountOrAuto { metavar, .. }
            | Self::Text(metavar)
            | Self::Codec(metavar) => metavar,
            Self::Time => "TIME",
            Self::Rate { .. } => "RATE",
        }
    }

    pub(crate) fn range(self) -> Option<String> {
        match self {
            Self::Count { min, max: u64::MAX, .. } => Some(format!("{min} or more")),
            Self::Count { min, max, .. } => Some(format!("{min} to {max}")),
            Self::CountOrAuto { max, .. } => Some(format!("auto, 0 to {max}")),
            Self::Rate { min, max } => Some(format!("{min} to {max} bits a second")),
            _ => None,
        }
    }
}

/// Which option it is, for the code that acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    Input,
    Help,
    Encoders,
    Version,
    Yes,
    No,
    Workers,
    RemoteWorkers,
    Listen,
    TokenFile,
    WorkerTimeout,
    LaneTimeout,
    Threads,
    ChunkFrames,
    Cut,
    Scenes,
    Pass,
    LeadIn,
    VideoEncoder,
    /// Goes to the encoder under this name.
    Encoder(&'static str),
    PixFmt,
    Filter,
    Size,
    FrameRate,
    AudioEncoder,
    AudioRate,
    Channels,
    SampleRate,
    NoAudio,
    NoSubtitles,
    Format,
    Start,
    Duration,
    Until,
    Frames,
    MovFlags,
    Metadata,
    Progress,
    Stats,
    NoStats,
    LogLevel,
    HideBanner,
    Stdin,
    NoStdin,
    Resume,
    WorkDir,
    Keep,
    FinishChunks,
    Verify,
    Isolate,
    StatsPeriod,
    SubtitleEncoder,
    Tag,
    MapMetadata,
    MapChapters,
    Strict,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionDef {
    pub(crate) id: Id,
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) kind: Kind,
    /// Empty where there is none.
    pub(crate) default: &'static str,
    pub(crate) group: Group,
    pub(crate) help: &'static str,
    /// How it compares with ffmpeg's option of the name; empty: the same.
    pub(crate) ffmpeg: &'static str,
    /// Shown by plain `-h` too.
    pub(crate) basic: bool,
}

const fn def(id: Id, name: &'static str, kind: Kind, group: Group, help: &'static str) -> OptionDef {
    OptionDef { id, name, aliases: &[], kind, default: "", group, help, ffmpeg: "", basic: false }
}

impl OptionDef {
    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn ffmpeg(mut self, meaning: &'static str) -> Self {
        self.ffmpeg = meaning;
        self
    }

    const fn basic(mut self) -> Self {
        self.basic = true;
        self
    }

    /// The name and its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

const WORKERS: Kind = Kind::Count { metavar: "N", min: 0, max: 1024 };
const WORKER_TIMEOUT: Kind = Kind::Count { metavar: "SECONDS", min: 1, max: 86_400 };
const LANE_TIMEOUT: Kind = Kind::Count { metavar: "SECONDS", min: 0, max: 86_400 };
const THREADS: Kind = Kind::CountOrAuto { metavar: "N", max: 256 };
const CHUNK: Kind = Kind::Count { metavar: "FRAMES", min: 1, max: 1_000_000 };
const LEAD_IN: Kind = Kind::CountOrAuto { metavar: "N", max: 48 };
const FRAMES: Kind = Kind::Count { metavar: "N", min: 1, max: u64::MAX };
const CHANNELS: Kind = Kind::Count { metavar: "N", min: 1, max: 64 };
const SAMPLE_RATE: Kind = Kind::Count { metavar: "HZ", min: 1000, max: 768_000 };
const AUDIO_RATE: Kind = Kind::Rate { min: 500, max: 10_000_000 };

/// Every option, in the order of the help.
pub(crate) const OPTIONS: &[OptionDef] = &[
    def(Id::Help, "h", Kind::Flag, Group::Global, "help; -h full: all options; -h encoder=NAME: an encoder's options")
        .or(&["help", "-help", "?"])
        .basic(),
    def(Id::Encoders, "encoders", Kind::Flag, Group::Global, "list the video encoders and whether they are installed")
        .basic(),
    def(Id::Version, "version", Kind::Flag, Group::Global, "show the version").or(&["-version"]),
    def(Id::Yes, "y", Kind::Flag, Group::Global, "overwrite the output without asking").basic(),
    def(Id::No, "n", Kind::Flag, Group::Global, "never overwrite: an output that exists is an error"),
    def(Id::Workers, "w", WORKERS, Group::Global, "encoders that run at the same time; 0, only with workers elsewhere: none here")
        .default("one for each core")
        .ffmpeg("divien's own; no byte of the output depends on it")
        .basic(),
    def(
        Id::RemoteWorkers,
        "workers",
        Kind::Text("HOST:PORT,…"),
        Group::Global,
        "workers on other machines that encode too, each a `divien worker` that holds the same token",
    )
    .ffmpeg("divien's own; no byte of the output depends on them")
    .basic(),
    def(
        Id::TokenFile,
        "token-file",
        Kind::Text("FILE"),
        Group::Global,
        "file with the token that the workers hold, as `divien token new` makes it; - is stdin",
    )
    .default("the variable DIVIEN_TOKEN")
    .ffmpeg("divien's own"),
    def(
        Id::WorkerTimeout,
        "worker-timeout",
        WORKER_TIMEOUT,
        Group::Global,
        "how long a run that has no encoder left waits for a worker",
    )
    .default("30")
    .ffmpeg("divien's own"),
    def(
        Id::LaneTimeout,
        "lane-timeout",
        LANE_TIMEOUT,
        Group::Global,
        "how long a chunk may stand still, on a worker or in a process of its own, before another encodes it, ten times as long in a process that computes; 0 is for ever",
    )
    .default("120")
    .ffmpeg("divien's own"),
    def(
        Id::Listen,
        "listen",
        Kind::Text("ADDR"),
        Group::Global,
        "after the word server, divien server -listen ADDR -i …: where workers may join (divien worker --join)",
    )
    .default("[::]:7171")
    .ffmpeg("divien's own"),
    def(
        Id::Progress,
        "progress",
        Kind::Text("URL"),
        Group::Global,
        "write key=value progress to a file, - (stdout) or pipe:2 (stderr)",
    ),
    def(Id::Stats, "stats", Kind::Flag, Group::Global, "show progress while encoding").default("on"),
    def(Id::NoStats, "nostats", Kind::Flag, Group::Global, "show no progress"),
    def(
        Id::LogLevel,
        "loglevel",
        Kind::Text("LEVEL"),
        Group::Global,
        "quiet, panic, fatal, error, warning, info, verbose (with what each encoder did), debug or trace",
    )
    .or(&["v"])
    .default("info"),
    def(
        Id::StatsPeriod,
        "stats_period",
        Kind::Time,
        Group::Global,
        "time between two reports of -stats and -progress, 0.25 s at least",
    )
    .default("0.5 s; 10 s for -stats where no terminal is"),
    def(
        Id::Strict,
        "xerror",
        Kind::Flag,
        Group::Global,
        "end with an error, and without an output, where frames of the input are missing or damaged",
    )
    .ffmpeg("whatever would end with exit code 75 is an error (65); what a decoder hides and only complains of is not"),
    def(
        Id::Resume,
        "resume",
        Kind::Flag,
        Group::Global,
        "go on with what an earlier run of the same command has finished; from the beginning where there is nothing",
    )
    .ffmpeg("divien's own; the output's bytes are those of a run that nobody stopped")
    .basic(),
    def(
        Id::WorkDir,
        "workdir",
        Kind::Text("FOLDER"),
        Group::Global,
        "where what is finished is kept until the output is whole, in a folder of its own",
    )
    .default("the output's folder")
    .ffmpeg("divien's own"),
    def(Id::Keep, "keep", Kind::Flag, Group::Global, "keep that folder when the output is there").ffmpeg("divien's own"),
    def(
        Id::FinishChunks,
        "finish-chunks",
        Kind::Flag,
        Group::Global,
        "on Ctrl-C finish the chunks that are begun, for -resume; a second one ends at once",
    )
    .ffmpeg("divien's own; without it they are given up within two seconds"),
    def(
        Id::Isolate,
        "isolate",
        Kind::Text("CHUNKS"),
        Group::Global,
        "which chunks are encoded in processes of their own, where an encoder that crashes or hangs costs one attempt: packets (those of files), all (raw pictures too) or none",
    )
    .default("packets")
    .ffmpeg("divien's own; no byte of the output depends on it"),
    def(
        Id::Verify,
        "verify",
        Kind::Flag,
        Group::Global,
        "decode the output before it gets its name, and compare how many pictures there are and when they are shown",
    )
    .ffmpeg("divien's own; without it what goes into the file is compared with what left the encoders, and is not decoded"),
    def(Id::HideBanner, "hide_banner", Kind::Flag, Group::Global, "there is no banner to hide"),
    def(
        Id::NoStdin,
        "nostdin",
        Kind::Flag,
        Group::Global,
        "do not ask about overwriting: refuse, as where no terminal is",
    ),
    def(Id::Stdin, "stdin", Kind::Flag, Group::Global, "ask about overwriting on a terminal").default("on"),
    def(Id::Input, "i", Kind::Text("INPUT"), Group::Input, "the input, recognised by its content; - is stdin")
        .ffmpeg("one only")
        .basic(),
    def(Id::Start, "ss", Kind::Time, Group::Input, "start at this time; after -i, of the part that is read").basic(),
    def(Id::Duration, "t", Kind::Time, Group::Input, "read (before -i) or write (after it) so much time")
        .ffmpeg("wins over -to, as there")
        .basic(),
    def(Id::Until, "to", Kind::Time, Group::Input, "stop at this time; after -i it counts from an -ss before -i")
        .basic(),
    def(Id::Frames, "frames:v", FRAMES, Group::Output, "stop after so many frames of video").or(&["vframes", "frames"]),
    def(
        Id::Format,
        "f",
        Kind::Text("FORMAT"),
        Group::Output,
        "the container: mp4, mov, matroska, webm, mpegts, ivf, h264, hevc, obu",
    )
    .default("from the output's name")
    .basic(),
    def(
        Id::MovFlags,
        "movflags",
        Kind::Text("FLAGS"),
        Group::Output,
        "+faststart: the index before the media in mp4 and mov",
    )
    .ffmpeg("other flags are not supported yet"),
    def(
        Id::Metadata,
        "metadata",
        Kind::Text("KEY=VALUE"),
        Group::Output,
        "set a tag of the file; may be given several times",
    ),
    def(
        Id::MapMetadata,
        "map_metadata",
        Kind::Text("INPUT"),
        Group::Output,
        "0: keep titles, languages and other tags, the default; -1: keep none",
    ),
    def(
        Id::MapChapters,
        "map_chapters",
        Kind::Text("INPUT"),
        Group::Output,
        "0: keep the chapters, the default; -1: leave them out",
    ),
    def(
        Id::SubtitleEncoder,
        "c:s",
        Kind::Text("CODEC"),
        Group::Output,
        "copy: subtitles as they are, or an error; mov_text, srt, ass: what they are in the output, or an error",
    )
    .or(&["scodec", "codec:s"])
    .default("as the container has them, else left out, and said")
    .ffmpeg("text becomes mov_text in mp4 and mov; nothing else is converted"),
    def(Id::NoSubtitles, "sn", Kind::Flag, Group::Output, "leave subtitles out"),
    def(
        Id::Tag,
        "tag:v",
        Kind::Text("FOURCC"),
        Group::Output,
        "the video's name in mp4 and mov: avc1, hvc1, av01, vp09, mp4v, as they are written anyway",
    )
    .or(&["vtag"])
    .ffmpeg("names for parameter sets inside the stream (avc3, hev1) are refused"),
    def(
        Id::VideoEncoder,
        "c:v",
        Kind::Text("ENCODER"),
        Group::Video,
        "the encoder: an ffmpeg name (-encoders) or a GStreamer element with its own properties",
    )
    .or(&["vcodec", "codec:v"])
    .default("libx264")
    .basic(),
    def(Id::Threads, "threads", THREADS, Group::Video, "threads of each encoder; 0 is the default")
        .default("a constant for each encoder")
        .ffmpeg("never taken from the number of cores: the output would depend on it"),
    def(
        Id::ChunkFrames,
        "bsize",
        CHUNK,
        Group::Global,
        "frames in a chunk; a multiple of -g is taken where -g is given",
    )
    .default("250; libvpx and libvpx-vp9: 128")
    .ffmpeg("divien's own"),
    def(
        Id::Cut,
        "cut",
        Kind::Text("MODE"),
        Group::Global,
        "keyframe: chunks begin at the input's key frames nearest to -bsize; scene: where the picture changes, which takes a second decoder; fixed: after exactly -bsize frames",
    )
    .default("keyframe")
    .ffmpeg("divien's own; fixed for pipes, raw pictures and what cannot be cut before it is decoded"),
    def(
        Id::Scenes,
        "scenes",
        Kind::Text("FILE"),
        Group::Global,
        "where chunks begin: as the file says, whatever -cut and -bsize are; where there is none, it is written when the output is there",
    )
    .ffmpeg("divien's own; JSON, as av1an's scene files are"),
    def(
        Id::LeadIn,
        "lead-in",
        LEAD_IN,
        Group::Global,
        "frames that each encoder but the first gets before its chunk, its own first ones, so that it begins as well as it goes on; what comes of them is thrown away",
    )
    .default("auto: one for each 50 frames of a chunk, where the encoder has a rate control and can be told to begin anew")
    .ffmpeg("divien's own"),
    def(Id::Encoder("crf"), "crf", Kind::Codec("QUALITY"), Group::Video, "constant quality, less is better").basic(),
    def(Id::Encoder("qp"), "qp", Kind::Codec("QP"), Group::Video, "constant quantizer; 0 is lossless in libx264"),
    def(
        Id::Encoder("q"),
        "q:v",
        Kind::Codec("QSCALE"),
        Group::Video,
        "quality scale of mpeg4, mpeg2video and mjpeg, less is better",
    )
    .or(&["q", "qscale", "qscale:v"]),
    def(Id::Encoder("b"), "b:v", Kind::Codec("RATE"), Group::Video, "average bit rate: 2M, 800k")
        .or(&["b", "vb"])
        .ffmpeg("of libx264 and libx265 that of the whole file, within 1%; of other encoders, and where the input comes by a pipe, that of each chunk")
        .basic(),
    def(Id::Pass, "pass", Kind::Text("2"), Group::Video, "the bit rate of -b:v is kept within 0.5%, by one run")
        .or(&["pass:v"])
        .ffmpeg("needs no run with -pass 1 before, and keeps no log file"),
    def(Id::Encoder("preset"), "preset", Kind::Codec("NAME"), Group::Video, "the encoder's trade of speed for size")
        .basic(),
    def(Id::Encoder("tune"), "tune", Kind::Codec("NAME"), Group::Video, "film, animation, grain … of the encoder"),
    def(Id::Encoder("profile"), "profile:v", Kind::Codec("NAME"), Group::Video, "the codec's profile")
        .or(&["profile", "vprofile"]),
    def(Id::Encoder("level"), "level", Kind::Codec("LEVEL"), Group::Video, "the codec's level").or(&["level:v"]),
    def(Id::Encoder("g"), "g", Kind::Codec("FRAMES"), Group::Video, "largest distance of key frames")
        .or(&["g:v"])
        .default("the encoder's"),
    def(Id::Encoder("bf"), "bf", Kind::Codec("N"), Group::Video, "most B-frames in a row")
        .or(&["bf:v"])
        .default("the encoder's"),
    def(Id::PixFmt, "pix_fmt", Kind::Text("FORMAT"), Group::Video, "pixel format: yuv420p, yuv422p10le …")
        .or(&["pix_fmt:v"])
        .default("the input's"),
    def(
        Id::Filter,
        "vf",
        Kind::Text("CHAIN"),
        Group::Video,
        "filters in a chain: scale, crop, pad, transpose, hflip, vflip, setsar, setdar, format, yadif, fps; -h full tells of each",
    )
    .or(&["filter:v"])
    .ffmpeg("one chain, of filters that need no pictures but their neighbours")
    .basic(),
    def(Id::Size, "s", Kind::Text("WxH"), Group::Video, "size of the pictures: 640x360, hd720; a scale after -vf")
        .or(&["s:v"])
        .default("the input's"),
    def(Id::FrameRate, "r", Kind::Text("RATE"), Group::Video, "frames a second, constant: 25, 30000/1001, ntsc")
        .or(&["r:v"])
        .default("the input's frames, each at its own time")
        .ffmpeg("frames are left out and repeated as its filter fps does"),
    def(
        Id::Encoder("x264-params"),
        "x264-params",
        Kind::Codec("K=V:…"),
        Group::Video,
        "x264's own options, after all others",
    ),
    def(
        Id::Encoder("x265-params"),
        "x265-params",
        Kind::Codec("K=V:…"),
        Group::Video,
        "x265's own options, after all others",
    ),
    def(
        Id::AudioEncoder,
        "c:a",
        Kind::Text("ENCODER"),
        Group::Audio,
        "copy, none, an ffmpeg name (aac, libopus) or a GStreamer element",
    )
    .or(&["acodec", "codec:a"])
    .default("copy where the container takes it")
    .basic(),
    def(Id::AudioRate, "b:a", AUDIO_RATE, Group::Audio, "bit rate of the sound, which is then encoded")
        .or(&["ab"])
        .basic(),
    def(Id::Channels, "ac", CHANNELS, Group::Audio, "channels of the sound, which is then encoded").or(&["ac:a"]),
    def(Id::SampleRate, "ar", SAMPLE_RATE, Group::Audio, "samples a second, of the sound then encoded").or(&["ar:a"]),
    def(Id::NoAudio, "an", Kind::Flag, Group::Audio, "leave the sound out").basic(),
];

/// The option of this name. A video option may say that it is for the video, `-crf:v`, or for the first, `-b:v:0`:
/// there is one.
pub(crate) fn find(name: &str) -> Option<&'static OptionDef> {
    let name = plain(name);
    let name = name.as_ref();
    let named = |name: &str| OPTIONS.iter().find(|o| o.names().any(|n| n == name));
    let of_video = || named(name.strip_suffix(":v")?).filter(|o| o.group == Group::Video);
    named(name).or_else(of_video)
}

/// `b:v:0` and `b:V` are `b:v` where there is one video stream.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    let video = [":v:0", ":V:0", ":V"].iter().find_map(|end| name.strip_suffix(end));
    video.map_or(Cow::Borrowed(name), |name| Cow::Owned(format!("{name}:v")))
}
