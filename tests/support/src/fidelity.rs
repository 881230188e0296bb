//! Is an output the same video as its source, frame for frame? Only ffmpeg and ffprobe are asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use crate::probe::{self, Row};
use crate::run::{Outcome, run};

/// A picture is compared at this size: small enough to be quick, large enough to tell neighbours apart.
const WIDTH: usize = 64;
const HEIGHT: usize = 36;

/// A source, measured once for all the outputs that are compared with it.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    times: OnceLock<Vec<f64>>,
    thumbnails: OnceLock<Vec<Vec<u8>>>,
    format: OnceLock<String>,
    hashes: OnceLock<Vec<String>>,
}

impl Source {
    /// A file; it must stay as it is.
    pub fn new(path: impl AsRef<Path>) -> Arc<Self> {
        Arc::new(Self {
            path: path.as_ref().to_path_buf(),
            times: OnceLock::new(),
            thumbnails: OnceLock::new(),
            format: OnceLock::new(),
            hashes: OnceLock::new(),
        })
    }

    fn times(&self) -> &[f64] {
        self.times.get_or_init(|| probe::frame_times(&self.path))
    }

    fn thumbnails(&self) -> &[Vec<u8>] {
        self.thumbnails.get_or_init(|| thumbnails(&decode_to_thumbnails(&self.path, "error", &[])))
    }

    /// Of its pixels, by ffmpeg's name.
    fn format(&self) -> &str {
        self.format.get_or_init(|| probe::video(&self.path, "pix_fmt"))
    }

    fn hashes(&self) -> &[String] {
        self.hashes.get_or_init(|| picture_hashes(&self.path, self.format()))
    }
}

/// What to compare, and how closely.
#[derive(Debug, Clone)]
pub struct Fidelity {
    source: Arc<Source>,
    output: PathBuf,
    tolerance_ms: f64,
    sound_tolerance_ms: f64,
    largest_error: f64,
    lossless: bool,
    streams: bool,
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check.
    pub name: &'static str,
    /// Did it hold?
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:9} {}", if self.holds { "ok  " } else { "FAIL" }, self.name, self.seen)
    }
}

impl Fidelity {
    /// Compares `output` with `source`: frames, presentation times, decode times, warnings, pictures.
    pub fn of(output: impl AsRef<Path>, source: impl AsRef<Path>) -> Self {
        Self::of_measured(output, &Source::new(source))
    }

    /// As [`Fidelity::of`], with a source that other outputs are compared with too.
    pub fn of_measured(output: impl AsRef<Path>, source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            output: output.as_ref().to_path_buf(),
            // Matroska counts milliseconds.
            tolerance_ms: 1.1,
            sound_tolerance_ms: 20.0,
            largest_error: 6.0,
            lossless: false,
            streams: false,
        }
    }

    /// Every decoded frame must be identical.
    pub fn lossless(mut self) -> Self {
        self.lossless = true;
        self
    }

    /// Sound, subtitles, languages, chapters must be the source's own, and as far from the picture.
    pub fn streams(mut self) -> Self {
        self.streams = true;
        self
    }

    /// How far a frame's mean luma may be off (of 255) and still be the same picture: 6 unless told.
    pub fn largest_error(mut self, error: f64) -> Self {
        self.largest_error = error;
        self
    }

    /// How far sound and picture may move against each other: 20 ms unless told.
    pub fn sound_tolerance_ms(mut self, tolerance: f64) -> Self {
        self.sound_tolerance_ms = tolerance;
        self
    }

    /// Every check must hold.
    #[track_caller]
    pub fn assert(&self) {
        let findings = self.findings();
        let report: Vec<_> = findings.iter().map(Finding::to_string).collect();
        let paths = format!("{}\nfrom {}", self.output.display(), self.source.path.display());
        assert!(findings.iter().all(|finding| finding.holds), "{paths}\n{}", report.join("\n"));
    }

    /// Every check, in order.
    #[track_caller]
    pub fn findings(&self) -> Vec<Finding> {
        let times = Times { source: self.source.times(), output: &probe::frame_times(&self.output) };
        // Decoded once, for the decoder's messages and for the pictures.
        let decoded = match self.lossless {
            true => decode_to_hashes(&self.output, "warning", &["-xerror"], self.source.format()),
            false => decode_to_thumbnails(&self.output, "warning", &["-xerror"]),
        };
        let mut findings =
            vec![times.count(), times.presentation(self.tolerance_ms), self.decode_times(), decodes(&decoded)];
        findings.push(match self.lossless {
            true => self.identical(&hashes(&decoded)),
            false => self.pictures(&thumbnails(&decoded)),
        });
        if self.streams {
            findings.extend([self.sound(), self.subtitles(), self.languages(), self.chapters()]);
            findings.extend(self.offset(&times));
        }
        findings
    }

    #[track_caller]
    fn decode_times(&self) -> Finding {
        let packets = probe::packet_times(&self.output, "v:0");
        let (mut falling, mut late, mut last) = (0, 0, None);
        for (pts, dts) in &packets {
            let Some(dts) = dts else { continue };
            falling += usize::from(last.is_some_and(|last| *dts <= last));
            late += usize::from(pts.is_some_and(|pts| *dts > pts + 1e-6));
            last = Some(*dts);
        }
        let seen = format!("{falling} not rising, {late} after their pts, of {}", packets.len());
        finding("dts", falling == 0 && late == 0 && !packets.is_empty(), seen)
    }

    fn pictures(&self, output: &[Vec<u8>]) -> Finding {
        let source = self.source.thumbnails();
        let (mut worst, mut at, mut shifted) = (0.0, 0, Vec::new());
        for (index, (expected, picture)) in source.iter().zip(output).enumerate() {
            let error = mean_error(expected, picture);
            if error > worst {
                (worst, at) = (error, index);
            }
            let before = index.checked_sub(1).and_then(|before| source.get(before));
            let neighbours = before.into_iter().chain(source.get(index + 1));
            let nearest = neighbours.map(|near| mean_error(near, picture)).fold(f64::INFINITY, f64::min);
            if error > nearest * 1.5 + 0.5 {
                shifted.push(index);
            }
        }
        let same = source.len() == output.len() && !source.is_empty();
        let seen = format!(
            "worst mean error {worst:.2}/255 at frame {at}; {} nearer a neighbour, first {:?}; {} of {} pictures",
            shifted.len(),
            shifted.first(),
            output.len(),
            source.len(),
        );
        finding("picture", same && worst <= self.largest_error && shifted.is_empty(), seen)
    }

    fn identical(&self, output: &[String]) -> Finding {
        let source = self.source.hashes();
        let different: Vec<_> =
            source.iter().zip(output).enumerate().filter(|(_, (a, b))| a != b).map(|(index, _)| index).collect();
        let seen = format!("{} frames differ of {}, first {:?}", different.len(), source.len(), different.first());
        finding("lossless", source == output && !source.is_empty(), seen)
    }

    #[track_caller]
    fn sound(&self) -> Finding {
        let (source, output) = (packet_hashes(&self.source.path), packet_hashes(&self.output));
        finding("sound", source == output, format!("{} of {} tracks, packets compared", output.len(), source.len()))
    }

    #[track_caller]
    fn subtitles(&self) -> Finding {
        let (source, output) = (cues(&self.source.path), cues(&self.output));
        finding("subtitles", source == output, format!("{output:?} of {source:?}"))
    }

    #[track_caller]
    fn languages(&self) -> Finding {
        let (source, output) = (languages(&self.source.path), languages(&self.output));
        finding("languages", source == output, format!("{output:?} of {source:?}"))
    }

    #[track_caller]
    fn chapters(&self) -> Finding {
        let (source, output) = (chapters(&self.source.path), chapters(&self.output));
        finding("chapters", source == output, format!("{output} of {source}"))
    }

    #[track_caller]
    fn offset(&self, times: &Times) -> Option<Finding> {
        let distance = |path: &Path, frames: &[f64]| {
            let sound = probe::packet_times(path, "a:0").iter().find_map(|(pts, _)| *pts)?;
            Some((frames.first()? - sound) * 1e3)
        };
        let moved = distance(&self.output, times.output)? - distance(&self.source.path, times.source)?;
        let seen = format!("video against audio moved by {moved:.3} ms");
        Some(finding("offset", moved.abs() <= self.sound_tolerance_ms, seen))
    }
}

/// When the frames of both are shown, in seconds.
struct Times<'a> {
    source: &'a [f64],
    output: &'a [f64],
}

impl Times<'_> {
    fn count(&self) -> Finding {
        let (source, output) = (self.source.len(), self.output.len());
        finding("frames", source == output && output > 0, format!("{output} of {source}"))
    }

    fn presentation(&self, tolerance_ms: f64) -> Finding {
        let since_first = |times: &[f64]| -> Vec<f64> {
            times.iter().map(|time| (time - times.first().unwrap_or(time)) * 1e3).collect()
        };
        let (source, output) = (since_first(self.source), since_first(self.output));
        let off = source.iter().zip(&output).map(|(a, b)| (a - b).abs());
        let (frame, worst) = off.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or((0, 0.0));
        let holds = source.len() == output.len() && worst <= tolerance_ms;
        finding("pts", holds, format!("largest difference {worst:.3} ms, at frame {frame}"))
    }
}

fn decodes(decoded: &Outcome) -> Finding {
    let complaint = complaints(&decoded.stderr).next().map(str::to_owned);
    let holds = decoded.status.success() && complaint.is_none();
    finding("decode", holds, complaint.unwrap_or_else(|| decoded.status.to_string()))
}

/// What ffmpeg said of the file it decoded, less what it says of the scaler and the output behind.
fn complaints(stderr: &str) -> impl Iterator<Item = &str> {
    let behind = |line: &str| ["[swscaler @", "[rawvideo @", "[framemd5 @"].iter().any(|part| line.contains(part));
    stderr.lines().filter(move |line| !line.trim().is_empty() && !behind(line))
}

/// The first video stream decoded as it is: every frame once, not turned.
#[track_caller]
fn decode(path: &Path, level: &str, global: &[&str], output: &[&str]) -> Outcome {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", level]).args(global).arg("-noautorotate").arg("-i").arg(path);
    run(command.args(["-map", "0:v:0", "-fps_mode", "passthrough"]).args(output))
}

#[track_caller]
fn decode_to_thumbnails(path: &Path, level: &str, global: &[&str]) -> Outcome {
    let filter = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
    decode(path, level, global, &["-vf", &filter, "-f", "rawvideo", "-"])
}

fn thumbnails(decoded: &Outcome) -> Vec<Vec<u8>> {
    decoded.stdout.chunks_exact(WIDTH * HEIGHT).map(<[u8]>::to_vec).collect()
}

fn mean_error(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / (WIDTH * HEIGHT) as f64
}

/// A hash of each decoded frame.
#[track_caller]
pub fn picture_hashes(path: &Path, pixel_format: &str) -> Vec<String> {
    hashes(&decode_to_hashes(path, "error", &[], pixel_format))
}

#[track_caller]
fn decode_to_hashes(path: &Path, level: &str, global: &[&str], pixel_format: &str) -> Outcome {
    decode(path, level, global, &["-pix_fmt", pixel_format, "-f", "framemd5", "-"])
}

fn hashes(decoded: &Outcome) -> Vec<String> {
    rows(decoded).iter().filter_map(|row| Some(row.last()?.clone())).collect()
}

/// The columns of what `framemd5` writes of each frame.
fn rows(decoded: &Outcome) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(&decoded.stdout);
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| row.split(',').map(|column| column.trim().to_owned()).collect()).collect()
}

/// The time of each decoded frame, in milliseconds, and a hash of it.
#[track_caller]
pub fn timed_hashes(path: &Path) -> Vec<(i64, String)> {
    let output = ["-copyts", "-enc_time_base", "1:1000", "-f", "framemd5", "-"];
    let decoded = decode(path, "error", &[], &output);
    let timed = |row: &Vec<String>| Some((row.get(2)?.parse().ok()?, row.last()?.clone()));
    rows(&decoded).iter().filter_map(timed).collect()
}

#[track_caller]
fn packet_hashes(path: &Path) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    let outcome = run(command.args(["-map", "0:a", "-c", "copy", "-f", "streamhash", "-hash", "md5", "-"]));
    let text = String::from_utf8_lossy(&outcome.stdout);
    text.lines().filter_map(|line| Some(line.rsplit_once('=')?.1.to_owned())).collect()
}

/// Each subtitle track's cues as text and times, so that a container's own form counts as equal; a bitmap track's as
/// times alone.
#[track_caller]
fn cues(path: &Path) -> Vec<String> {
    let tracks = probe::rows(path, "stream", Some("s"), "codec_name").len();
    (0..tracks).map(|track| cues_of(path, track)).collect()
}

#[track_caller]
fn cues_of(path: &Path, track: usize) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    let outcome = run(command.args(["-map", &format!("0:s:{track}"), "-f", "srt", "-"]));
    if outcome.status.success() && !outcome.stdout.is_empty() {
        return String::from_utf8_lossy(&outcome.stdout).into_owned();
    }
    let times = probe::packet_times(path, &format!("s:{track}"));
    let times: Vec<_> = times.iter().map(|(pts, _)| format!("{:.2}", pts.unwrap_or(0.0))).collect();
    times.join(" ")
}

#[track_caller]
fn languages(path: &Path) -> Vec<String> {
    let streams = probe::rows(path, "stream", None, "codec_type:stream_tags=language");
    let heard = |stream: &&Row| matches!(stream.text("codec_type"), Some("audio" | "subtitle"));
    let language = |stream: &Row| stream.text("tag:language").unwrap_or("und").to_owned();
    streams.iter().filter(heard).map(language).collect()
}

#[track_caller]
fn chapters(path: &Path) -> usize {
    probe::rows(path, "chapter", None, "id,start_time").len()
}

fn finding(name: &'static str, holds: bool, seen: impl Into<String>) -> Finding {
    Finding { name, holds, seen: seen.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clip, place};

    /// The checks that fail when ffmpeg makes an output of a clip with these arguments.
    fn broken(source: &Path, arguments: &[&str], check: fn(Fidelity) -> Fidelity) -> Vec<&'static str> {
        let folder = place::temporary();
        let output = folder.path().join("output.mkv");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-i"]).arg(source).args(arguments).arg(&output);
        run(&mut command).success();
        let findings = check(Fidelity::of(&output, source)).findings();
        findings.into_iter().filter(|finding| !finding.holds).map(|finding| finding.name).collect()
    }

    #[test]
    fn a_copy_is_faithful() {
        let clip = Clip::raw(30).path();
        assert_eq!(broken(&clip, &["-c:v", "ffv1"], Fidelity::lossless), [""; 0]);
    }

    #[test]
    fn a_dropped_frame_a_moved_one_and_a_doubled_one_are_found() {
        let clip = Clip::raw(30).path();
        let passthrough = |filter: &'static str| {
            ["-c:v", "ffv1", "-fps_mode", "passthrough", "-enc_time_base", "1:1000", "-vf", filter]
        };
        assert_eq!(broken(&clip, &passthrough("select=n-7"), |it| it), ["frames", "pts", "picture"]);
        assert_eq!(broken(&clip, &passthrough("settb=1/1000,setpts=PTS+20*eq(N\\,7)"), |it| it), ["pts"]);
        assert_eq!(broken(&clip, &passthrough("shuffleframes=0 1 1 3 4 5"), |it| it), ["picture"]);
    }

    #[test]
    fn one_wrong_bit_of_luma_is_found() {
        let clip = Clip::raw(30).path();
        let arguments = ["-c:v", "ffv1", "-vf", "lutyuv=y=if(eq(val\\,81)\\,82\\,val)"];
        assert_eq!(broken(&clip, &arguments, Fidelity::lossless), ["lossless"]);
    }

    #[test]
    fn moved_and_missing_sound_is_found() {
        let film = Clip::film(60).path();
        let late = ["-c:v", "ffv1", "-fps_mode", "passthrough", "-c:a", "copy", "-bsf:a", "setts=ts=TS+2400"];
        assert_eq!(broken(&film, &late, Fidelity::streams), ["offset"]);
        assert_eq!(broken(&film, &["-c:v", "ffv1", "-an"], Fidelity::streams), ["sound", "languages"]);
        assert_eq!(broken(&film, &["-c:v", "ffv1", "-c:a", "copy"], Fidelity::streams), [""; 0]);
    }
}
