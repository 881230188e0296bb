//! What a command line asks for, typed but not yet resolved: nothing here has looked at a file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::filter::Filter;

/// One encode, as typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// `-i`
    pub input: Input,
    /// The last argument.
    pub output: Output,
    /// `-f` after `-i`: the output's container, by ffmpeg's name.
    pub format: Option<String>,
    /// `-y`, `-n`
    pub overwrite: Overwrite,
    /// `-w`: lanes that encode at once on this machine; `None` is the default.
    pub workers: Option<u32>,
    /// Workers elsewhere; `None` where everything is encoded here.
    pub remote: Option<Remote>,
    /// `-threads`: threads of each encoder; `None` is the encoder's constant default.
    pub threads: Option<u32>,
    /// `-bsize`: frames in a chunk; `None` is the encoder's default.
    pub chunk_frames: Option<u32>,
    /// `-lead-in`: frames before each chunk; `None` is as many as are worth it.
    pub lead_in: Option<u32>,
    /// `-xerror`: what the input has lost ends the run.
    pub strict: bool,
    /// `-lane-timeout`: how long a chunk may stand still before another encoder gets it; 0 is for ever.
    pub lane_timeout: Duration,
    /// `-verify`: the output is decoded before it gets its name.
    pub verifies: bool,
    /// `-isolate`
    pub isolate: Isolate,
    /// `-pass 2`: the bit rate is that of the whole file, as near as may be.
    pub exact_rate: bool,
    /// `-cut`
    pub cut: Cut,
    /// `-scenes`: a file that says where chunks begin, or will say it.
    pub scenes: Option<PathBuf>,
    /// `-c:v` and everything that belongs to the encoder.
    pub video: VideoArgs,
    /// `-vf`, and after it `-s` and `-r`.
    pub filters: Vec<Filter>,
    /// `-c:a`, `-b:a`, `-an`
    pub audio: AudioArgs,
    /// False with `-sn`.
    pub subtitles: bool,
    /// `-c:s`, `-tag:v`, `-map_metadata`, `-map_chapters`
    pub carry: Carry,
    /// `-ss`, `-t`, `-to`, `-frames:v`
    pub range: Range,
    /// `-movflags +faststart`
    pub faststart: bool,
    /// `-metadata key=value`, in order.
    pub metadata: Vec<(String, String)>,
    /// What is kept of the run until it is over.
    pub resume: Resume,
    /// How the run is told about.
    pub report: Report,
}

/// What is kept of a run until its output is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resume {
    /// `-resume`: goes on with what an earlier run has finished.
    pub resumes: bool,
    /// `-workdir`: the folder that holds the run's own; `None` is the output's.
    pub folder: Option<PathBuf>,
    /// `-keep`: what was kept stays when the output is there.
    pub stays: bool,
    /// `-finish-chunks`: a run that is told to end ends the chunks that it has begun.
    pub finishes: bool,
}

/// Workers on other machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// `-workers`: the `host:port` of each that listens.
    pub workers: Vec<String>,
    /// `divien server`, `-listen`: where others may join.
    pub listen: Option<SocketAddr>,
    /// `-token-file`, `-` for standard input; `None` is the variable `DIVIEN_TOKEN`.
    pub token_file: Option<PathBuf>,
    /// `-worker-timeout`: how long the run waits for one when there is none.
    pub timeout: Duration,
}

/// Where chunks begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// After exactly so many frames.
    Fixed,
    /// At a key frame of the input near by.
    #[default]
    Keyframe,
    /// Where a scene begins near by.
    Scene,
}

/// Which chunks are encoded in processes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolate {
    /// Those that are cut before they are decoded.
    #[default]
    Packets,
    /// All.
    All,
    /// None.
    None,
}

/// Where the input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// `-i -`
    Stdin,
}

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A file.
    File(PathBuf),
    /// `-`
    Stdout,
}

/// What happens to an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// Ask on a terminal, refuse elsewhere.
    #[default]
    Ask,
    /// `-y`
    Always,
    /// `-n`
    Never,
    /// `-nostdin`: as where no terminal is.
    Unasked,
}

/// The video encoder and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoArgs {
    /// `-c:v`: an ffmpeg name (`libx264`) or a GStreamer factory (`x264enc`).
    pub encoder: String,
    /// Encoder options as typed, without the dash, in order: `("crf", "23")`.
    pub options: Vec<(String, String)>,
    /// `-pix_fmt`, by ffmpeg's name.
    pub pix_fmt: Option<String>,
}

/// The sound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AudioArgs {
    /// `-c:a`, `-an`
    pub codec: AudioCodec,
    /// `-b:a`, in bits a second.
    pub bit_rate: Option<u64>,
    /// `-ac`
    pub channels: Option<u32>,
    /// `-ar`, samples a second.
    pub rate: Option<u32>,
}

/// What happens to the sound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AudioCodec {
    /// Copied where the container takes it, else encoded to the container's usual codec.
    #[default]
    Auto,
    /// `copy`: copied, or an error where the container does not take it.
    Copy,
    /// `none` or `-an`
    None,
    /// An ffmpeg name (`aac`) or a GStreamer factory (`fdkaacenc`).
    Encoder(String),
}

/// What is carried from the input into the output beside the pictures and the sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carry {
    /// `-c:s`
    pub subtitles: SubtitleCodec,
    /// `-tag:v`: the name that the video's sample entry has to have.
    pub video_tag: Option<String>,
    /// False with `-map_metadata -1`.
    pub metadata: bool,
    /// False with `-map_chapters -1`.
    pub chapters: bool,
}

impl Default for Carry {
    fn default() -> Self {
        Self { subtitles: SubtitleCodec::Auto, video_tag: None, metadata: true, chapters: true }
    }
}

/// What happens to subtitles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubtitleCodec {
    /// Kept as the container has them, else left out.
    #[default]
    Auto,
    /// `copy`: as they are, or an error.
    Copy,
    /// `mov_text`: text as mp4 and mov have it.
    MovText,
    /// `srt`, `subrip`, `text`: plain text.
    Text,
    /// `ass`, `ssa`
    Ass,
}

/// The part of the input that is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// `-ss`: where it starts, counted from the input's first time stamp.
    pub start: Option<Duration>,
    /// `-t`, `-to`: where it ends, counted from there too.
    pub end: Option<Duration>,
    /// `-frames:v`: how many frames at most.
    pub frames: Option<u64>,
}

/// How the run is told about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// `-progress URL`: `-` or `pipe:1` is stdout, `pipe:2` stderr, else a file.
    pub progress: Option<String>,
    /// `-stats` (true), `-nostats` (false); `None` follows the log level.
    pub stats: Option<bool>,
    /// `-stats_period`
    pub period: Option<Duration>,
    /// `-loglevel`
    pub level: LogLevel,
    /// `-hide_banner`
    pub hide_banner: bool,
}

/// ffmpeg's log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[expect(missing_docs, reason = "ffmpeg's own names")]
pub enum LogLevel {
    Quiet,
    Panic,
    Fatal,
    Error,
    Warning,
    #[default]
    Info,
    Verbose,
    Debug,
    Trace,
}
