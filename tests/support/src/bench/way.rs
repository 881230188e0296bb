//! The ways to encode a clip, as commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::contest::{Codec, Contest};
use super::measure::measured;
use crate::gst;

/// What encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One thread that decodes and encodes: not a way to compete, but what the work itself costs.
    Baseline,
    Ffmpeg,
    /// `x264enc` in a pipeline of GStreamer's own.
    Launch,
    /// With so many encoders at once, or its default.
    Divien(Option<u32>),
    Av1an(Av1an),
}

/// How av1an reads its chunks and shares the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Av1an {
    /// What it calls the chunk method.
    pub(super) method: &'static str,
    pub(super) workers: usize,
    /// Of each encoder; `None` for the encoder's own choice.
    pub(super) threads: Option<usize>,
}

/// What commands are made of.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    pub(super) divien: &'a Path,
    pub(super) av1an: &'a Path,
    /// Everything that is written goes here.
    pub(super) folder: &'a Path,
    pub(super) cores: usize,
    /// What else a command gets before it runs.
    pub(super) surround: fn(&mut Command),
}

impl Way {
    /// Those that a contest is for, less av1an: which of its settings are best has to be found out.
    pub(super) fn of(contest: &Contest, workers: &[u32]) -> Vec<Self> {
        let launch = (contest.codec == Codec::X264).then_some(Self::Launch);
        let ours = [None].into_iter().chain(workers.iter().copied().map(Some)).map(Self::Divien);
        [Self::Baseline, Self::Ffmpeg].into_iter().chain(launch).chain(ours).collect()
    }

    /// As the report calls it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Baseline => BASELINE.into(),
            Self::Ffmpeg => FFMPEG.into(),
            Self::Launch => "x264enc in gst-launch-1.0".into(),
            Self::Divien(None) => DIVIEN.into(),
            Self::Divien(Some(workers)) => format!("{DIVIEN} -w {workers}"),
            // One name for all of its settings: there is one a contest.
            Self::Av1an(_) => AV1AN.into(),
        }
    }
}

pub(super) const BASELINE: &str = "one thread";
pub(super) const FFMPEG: &str = "ffmpeg";
pub(super) const DIVIEN: &str = "divien";
pub(super) const AV1AN: &str = "av1an";

impl Workshop<'_> {
    /// Where the way leaves its output; the baseline has none.
    pub(super) fn output(&self, way: Way, contest: &Contest) -> Option<PathBuf> {
        let stem = match way {
            Way::Baseline => return None,
            Way::Ffmpeg => "ffmpeg".to_owned(),
            Way::Launch => "launch".to_owned(),
            Way::Divien(workers) => format!("divien-{}", workers.unwrap_or(0)),
            Way::Av1an(_) => "av1an".to_owned(),
        };
        // What mkvmerge writes, av1an's own choice for joining.
        let extension = if matches!(way, Way::Av1an(_)) { "mkv" } else { contest.codec.extension() };
        Some(self.folder.join(stem).with_extension(extension))
    }

    pub(super) fn command(&self, way: Way, contest: &Contest) -> Command {
        let output = self.output(way, contest).unwrap_or_else(|| "-".into());
        let mut command = match way {
            Way::Baseline => baseline(contest),
            Way::Ffmpeg => self.ffmpeg(contest, &output),
            Way::Launch => launch(contest, &output),
            Way::Divien(workers) => self.divien(contest, workers, &output),
            Way::Av1an(settings) => self.av1an(contest, settings, &output),
        };
        self.prepare(&mut command);
        command
    }

    /// Has GStreamer look for its plugins once, before time counts.
    pub(super) fn warm_up(&self) -> Result<(), String> {
        let mut command = Command::new("gst-inspect-1.0");
        command.args(["--exists", "x264enc"]);
        self.prepare(&mut command);
        measured(&mut command).map(drop)
    }

    /// With a registry of plugins that nobody else writes to.
    fn prepare(&self, command: &mut Command) {
        command.env("GST_REGISTRY", self.folder.join("registry.bin"));
        (self.surround)(command);
    }

    fn ffmpeg(&self, contest: &Contest, output: &Path) -> Command {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-noautorotate", "-i"]).arg(&contest.clip);
        command.args(words(contest.codec.arguments()));
        if contest.codec == Codec::Vp9 {
            // With these ffmpeg's libvpx was at its fastest; it has one thread by default.
            command.args(["-row-mt", "1", "-tile-columns", "1", "-threads", &self.cores.to_string()]);
        }
        command.arg(output);
        command
    }

    fn divien(&self, contest: &Contest, workers: Option<u32>, output: &Path) -> Command {
        let mut command = Command::new(self.divien);
        command.args(["-y", "-nostats", "-loglevel", "verbose", "-i"]).arg(&contest.clip);
        command.args(words(contest.codec.arguments()));
        if let Some(frames) = contest.chunk {
            command.args(["-cut", "fixed", "-bsize", &frames.to_string()]);
        }
        if let Some(workers) = workers {
            command.args(["-w", &workers.to_string()]);
        }
        command.arg(output);
        command
    }

    fn av1an(&self, contest: &Contest, settings: Av1an, output: &Path) -> Command {
        let (encoder, mut parameters) = match contest.codec {
            Codec::X264 => ("x264", "--preset medium --crf 23".to_owned()),
            Codec::X265 => ("x265", "--preset medium --crf 28".to_owned()),
            Codec::Vp9 => {
                let same = "--codec=vp9 --good --cpu-used=4 --end-usage=cq --cq-level=31 --target-bitrate=2000";
                ("vpx", same.to_owned())
            }
        };
        match (contest.codec, settings.threads) {
            (_, None) => {}
            (Codec::X264, Some(threads)) => parameters += &format!(" --threads {threads}"),
            (Codec::X265, Some(threads)) => parameters += &format!(" --pools {threads} --frame-threads {threads}"),
            (Codec::Vp9, Some(threads)) => parameters += &format!(" --threads={threads}"),
        }
        let mut command = Command::new(self.av1an);
        command.arg("-i").arg(&contest.clip).args(["-y", "--quiet", "--split-method", "none", "--no-defaults"]);
        // An index kept beside the clip would spare all runs but the first what others do in each.
        command.args(["-m", settings.method, "--cache-mode", "temp"]);
        command.args(["-x", &contest.chunk.unwrap_or(250).to_string(), "-w", &settings.workers.to_string()]);
        command.args(["-e", encoder, "-p", "1", "--pix-format", &crate::probe::video(&contest.clip, "pix_fmt")]);
        command.args(["-v", &parameters, "--temp"]).arg(self.folder.join("av1an"));
        // Its log goes into the current folder.
        command.arg("-o").arg(output).current_dir(self.folder);
        command
    }
}

/// The bare decoder and the bare encoder in one process, one thread each, nothing written.
fn baseline(contest: &Contest) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-threads", "1", "-noautorotate", "-i"]).arg(&contest.clip);
    command.args(words(contest.codec.arguments())).args(["-threads", "1", "-filter_threads", "1"]);
    if contest.codec == Codec::X265 {
        command.args(["-x265-params", "pools=none:frame-threads=1"]);
    }
    command.args(["-f", "null", "-"]);
    command
}

/// With ffmpeg's meaning of the settings in place of the element's defaults.
fn launch(contest: &Contest, output: &Path) -> Command {
    let line = format!(
        "filesrc location={} ! decodebin ! videoconvert ! x264enc pass=qual quantizer=23 speed-preset=medium \
         key-int-max=250 vbv-buf-capacity=0 ! h264parse ! mp4mux ! filesink location={}",
        gst::quoted(&contest.clip),
        gst::quoted(output),
    );
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec gst-launch-1.0 -q {line}")]);
    command
}

fn words(line: &str) -> impl Iterator<Item = OsString> + '_ {
    line.split(' ').map(OsString::from)
}

/// av1an's ways to a chunk's frames, less those that cut elsewhere than they are told to.
pub(super) const AV1AN_METHODS: [&str; 4] = ["lsmash", "ffms2", "bestsource", "hybrid"];

/// The settings to choose from once the way to the frames is known: one encoder a core comes first, then what one does
/// with all cores, then two a core.
pub(super) fn av1an_settings(method: &'static str, cores: usize) -> [Av1an; 3] {
    let one_thread = |workers| Av1an { method, workers, threads: Some(1) };
    [one_thread(cores), Av1an { method, workers: 1, threads: None }, one_thread(2 * cores)]
}

/// What the program says when it is asked for its version, if it is there.
pub(super) fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // Up to the copyright: `ffmpeg version 5.1.9 Copyright …`, `gst-launch-1.0 version 1.22.0`, `av1an 0.4.4`.
    let words = said.lines().next()?.split(' ').filter(|word| *word != "version");
    let words: Vec<_> = words.take_while(|word| !matches!(*word, "Copyright" | "(rev")).collect();
    Some(words.join(" ")).filter(|text| !text.is_empty())
}

/// The seconds that each of divien's encoders had a chunk.
pub(super) fn busy(said: &str) -> Vec<f64> {
    let seconds = |line: &str| {
        let (_, rest) = line.strip_prefix("encoder ")?.split_once("busy ")?;
        rest.split(' ').next()?.parse().ok()
    };
    said.lines().filter_map(seconds).collect()
}
