//! Clips that are damaged at random, one after the other.
//!
//! ```text
//! soak DIVIEN [--cases N] [--seed S] [--keep FOLDER] [CLIP...]
//! ```
//!
//! divien may refuse a damaged clip or encode what can be read of it. It must not crash, hang, end with an exit code
//! that is not documented, or call an output complete that has fewer frames than ffprobe can decode of the input and
//! say nothing. A clip on which it does is kept. Without clips, small ones of the usual containers and codecs are made.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use fastrand::Rng;

const USAGE: &str = "soak DIVIEN [--cases N] [--seed S] [--keep FOLDER] [CLIP...]";

/// In seconds; whatever takes longer hangs.
const LIMIT: &str = "30";
/// What `timeout` of coreutils says then.
const TIMED_OUT: i32 = 124;

/// The exit codes a damaged clip may lead to: encoded, no video in it, nothing installed reads it, not all of it.
const ALLOWED: [i32; 4] = [0, 65, 69, 75];

/// Names, and what ffmpeg makes of its test picture and tone for them.
const MADE: [(&str, &[&str]); 14] = [
    ("h264.mp4", &["-c:v", "libx264", "-g", "12", "-c:a", "aac"]),
    ("h264.mkv", &["-c:v", "libx264", "-bf", "0", "-c:a", "libvorbis"]),
    ("h264.ts", &["-c:v", "libx264", "-g", "12", "-c:a", "aac"]),
    ("h264.flv", &["-c:v", "libx264", "-c:a", "aac", "-ar", "44100"]),
    ("open.mkv", &["-c:v", "libx264", "-x264-params", "open-gop=1:keyint=12", "-c:a", "flac"]),
    ("hevc.mp4", &["-c:v", "libx265", "-x265-params", "keyint=12:log-level=error", "-c:a", "aac"]),
    ("vp8.webm", &["-c:v", "libvpx", "-cpu-used", "8", "-c:a", "libvorbis"]),
    ("vp9.webm", &["-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"]),
    ("mpeg4.avi", &["-c:v", "mpeg4", "-bf", "2", "-c:a", "libmp3lame"]),
    ("mpeg2.mpg", &["-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"]),
    ("mpeg2.m2ts", &["-c:v", "mpeg2video", "-c:a", "ac3"]),
    ("theora.ogv", &["-c:v", "libtheora", "-c:a", "libvorbis"]),
    ("prores.mov", &["-c:v", "prores", "-c:a", "pcm_s16le"]),
    ("ffv1.mkv", &["-c:v", "ffv1", "-g", "5", "-c:a", "pcm_s16le"]),
];

fn main() -> ExitCode {
    match soak() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("soak: {message}");
            ExitCode::FAILURE
        }
    }
}

fn soak() -> Result<bool, String> {
    let mut arguments = std::env::args_os().skip(1);
    let divien = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let (mut cases, mut seed, mut keep, mut clips) = (2000u64, 1u64, PathBuf::from("soak"), Vec::new());
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.to_str()?.parse::<u64>().ok()).ok_or(USAGE);
        match argument.to_str() {
            Some("--cases") => cases = number()?,
            Some("--seed") => seed = number()?,
            Some("--keep") => keep = PathBuf::from(arguments.next().ok_or(USAGE)?),
            _ => clips.push(PathBuf::from(argument)),
        }
    }
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    if clips.is_empty() {
        clips = made(folder.path())?;
    }
    let clips: Vec<(PathBuf, Vec<u8>)> = clips
        .into_iter()
        .map(|clip| {
            std::fs::read(&clip).map(|data| (clip.clone(), data)).map_err(|e| format!("{}: {e}", clip.display()))
        })
        .collect::<Result<_, _>>()?;
    let (mut codes, mut found) = (BTreeMap::<String, u64>::new(), 0u64);
    for case in 0..cases {
        // Each case can be had again by itself.
        let mut random = Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(case));
        let index = usize::try_from(case).unwrap_or_default() % clips.len();
        let (clip, data) = &clips[index];
        let damaged = damaged(data, &clips[random.usize(..clips.len())].1, &mut random);
        let name = format!("{seed}-{case}-{}", clip.file_name().unwrap_or_default().to_string_lossy());
        let input = folder.path().join(&name);
        std::fs::write(&input, &damaged).map_err(|error| format!("{}: {error}", input.display()))?;
        let verdict = judged(&divien, &input, folder.path())?;
        *codes.entry(verdict.code).or_default() += 1;
        if let Some(fault) = verdict.fault {
            found += 1;
            std::fs::create_dir_all(&keep).map_err(|error| format!("{}: {error}", keep.display()))?;
            let kept = keep.join(&name);
            std::fs::copy(&input, &kept).map_err(|error| format!("{}: {error}", kept.display()))?;
            println!("{}: {fault}", kept.display());
        }
        std::fs::remove_file(&input).map_err(|error| format!("{}: {error}", input.display()))?;
        if (case + 1) % 100 == 0 {
            println!("{} of {cases} clips, {found} faults; exit codes: {codes:?}", case + 1);
        }
    }
    println!("{cases} clips, {found} faults; exit codes: {codes:?}");
    Ok(found == 0)
}

fn made(folder: &Path) -> Result<Vec<PathBuf>, String> {
    MADE.iter()
        .map(|(name, options)| {
            let clip = folder.join(name);
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2"]);
            ffmpeg.args(["-f", "lavfi", "-i", "sine=duration=2"]).args(*options).arg(&clip);
            let done = ffmpeg.output().map_err(|error| format!("ffmpeg cannot be started: {error}"))?;
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            if done.status.success() { Ok(clip) } else { Err(format!("{name} cannot be made: {said}")) }
        })
        .collect()
}

/// One kind of damage, or two.
fn damaged(data: &[u8], other: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..random.usize(1..=2) {
        if data.len() < 64 {
            break;
        }
        let at = random.usize(..data.len());
        let until = (at + random.usize(1..5000)).min(data.len());
        match random.u8(..6) {
            0 => data.truncate(at.max(50)),
            1 => drop(data.drain(at..until)),
            2 => data[at..until].fill(if random.bool() { 0 } else { 0xff }),
            3 => {
                let from = random.usize(..other.len());
                let piece = &other[from..(from + until - at).min(other.len())];
                drop(data.splice(at..at, piece.iter().copied()));
            }
            _ => {
                let reach = if random.bool() { data.len() } else { data.len().min(4096) };
                for _ in 0..[1, 5, 30, 300][random.usize(..4)] {
                    data[random.usize(..reach)] = random.u8(..);
                }
            }
        }
    }
    data
}

struct Verdict {
    code: String,
    fault: Option<String>,
}

fn judged(divien: &Path, input: &Path, folder: &Path) -> Result<Verdict, String> {
    let output = folder.join("out.mkv");
    let _ = std::fs::remove_file(&output);
    let mut command = limited(divien);
    command.args(["-y", "-i"]).arg(input).args(["-preset", "ultrafast", "-bsize", "10"]).arg(&output);
    let done = ran(&mut command)?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let code = done.status.code();
    let mut verdict = Verdict { code: code.map_or("signal".into(), |code| code.to_string()), fault: None };
    verdict.fault = match code {
        None => Some(format!("crashed, {}: {said}", done.status)),
        Some(TIMED_OUT) => Some(format!("not done after {LIMIT} s: {said}")),
        Some(_) if said.contains("panicked") => Some(format!("panicked: {said}")),
        Some(code) if !ALLOWED.contains(&code) => Some(format!("exit code {code}: {said}")),
        Some(0) => {
            // The last line is the summary, which is said in any case.
            let told = said.lines().count() > 1;
            let (of_input, of_output) = (frames(input)?, frames(&output)?);
            let fewer = of_output < of_input && !told;
            fewer.then(|| format!("{of_output:?} of {of_input:?} frames, and nothing was said: {said}"))
        }
        Some(code) => {
            let finished = output.exists() && code != 75;
            finished.then(|| format!("exit code {code}, and an output: {said}"))
        }
    };
    Ok(verdict)
}

/// What ffprobe decodes of the first video stream; `None` where it finds none.
fn frames(path: &Path) -> Result<Option<u64>, String> {
    let mut ffprobe = limited(OsStr::new("ffprobe"));
    ffprobe.args(["-v", "error", "-count_frames", "-select_streams", "v:0"]);
    ffprobe.args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]).arg(path);
    let told = ran(&mut ffprobe)?.stdout;
    Ok(String::from_utf8_lossy(&told).lines().next().and_then(|line| line.trim_end_matches(',').parse().ok()))
}

/// A program that is killed when it takes too long.
fn limited(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-k", "1", LIMIT]).arg(program);
    command
}

fn ran(command: &mut Command) -> Result<Output, String> {
    command.stdin(std::process::Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))
}
