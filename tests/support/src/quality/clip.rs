//! The clips that are encoded.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::compare;
use crate::bench::measured;

/// A clip that is there.
#[derive(Debug)]
pub(super) struct Clip {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) frames: usize,
}

/// Names, and files in `DIVIEN_MEDIA`.
const REAL: [(&str, &str); 4] = [
    ("traffic", "traffic_960x540p5994.mp4"),
    ("hand-drawing", "hand-drawing_1080p25.mp4"),
    ("sintel", "sintel_trailer_720p24.mp4"),
    ("ocean", "ocean.webm"),
];

/// A clip of many shots, made of the others.
const SHOTS: &str = "shots";
/// From which clip, from which second on, how many frames: none as long as a chunk.
const PARTS: [(usize, f64, u32); 12] = [
    (0, 1.0, 61),
    (2, 12.0, 83),
    (3, 2.0, 47),
    (1, 3.0, 109),
    (0, 9.0, 38),
    (2, 24.5, 72),
    (1, 9.0, 95),
    (3, 8.0, 54),
    (0, 20.0, 130),
    (2, 33.0, 66),
    (1, 13.0, 41),
    (0, 25.0, 88),
];

/// The clips named, or all, or files.
pub(super) fn chosen(names: &[String], folder: &Path) -> Result<Vec<Clip>, String> {
    let all = || REAL.iter().map(|(name, _)| (*name).to_owned()).chain([SHOTS.to_owned()]).collect::<Vec<_>>();
    let names = if names.is_empty() { all() } else { names.to_vec() };
    names.iter().map(|name| named(name, folder)).collect()
}

fn named(name: &str, folder: &Path) -> Result<Clip, String> {
    let path = match REAL.iter().find(|(known, _)| *known == name) {
        Some((_, file)) => media(file)?,
        None if name == SHOTS => shots(folder)?,
        None if Path::new(name).is_file() => PathBuf::from(name),
        None => {
            let known: Vec<_> = REAL.iter().map(|(name, _)| *name).chain([SHOTS]).collect();
            return Err(format!("there is no clip '{name}'; there are: {}", known.join(", ")));
        }
    };
    let name = path.file_stem().filter(|_| Path::new(name).is_file()).map(|stem| stem.to_string_lossy().into_owned());
    let (name, frames) = (name.unwrap_or_else(|| name_of(&path)), compare::frames(&path)?);
    Ok(Clip { name, path, frames })
}

fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default();
    let known = REAL.iter().find(|(_, known)| file == *known).map(|(name, _)| *name);
    known.unwrap_or(SHOTS).to_owned()
}

fn media(file: &str) -> Result<PathBuf, String> {
    let folder = std::env::var_os("DIVIEN_MEDIA").ok_or("DIVIEN_MEDIA names no folder with the clips")?;
    let path = PathBuf::from(folder).join(file);
    if path.is_file() { Ok(path) } else { Err(format!("{} is not there", path.display())) }
}

/// Shots of the other clips, one after another, in one size and at one rate, coded so well that it does not show.
fn shots(folder: &Path) -> Result<PathBuf, String> {
    let output = folder.join("shots.mkv");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]);
    for (clip, start, _) in PARTS {
        command.args(["-noautorotate", "-ss", &start.to_string(), "-i"]).arg(media(REAL[clip].1)?);
    }
    let form = "scale=640:360:force_original_aspect_ratio=increase,crop=640:360,setsar=1,format=yuv420p";
    let part = |(n, (_, _, frames)): (usize, (usize, f64, u32))| {
        format!("[{n}:v:0]trim=end_frame={frames},setpts=N/(24*TB),{form},fps=24[p{n}];")
    };
    let parts: String = PARTS.into_iter().enumerate().map(part).collect();
    let inputs: String = (0..PARTS.len()).map(|n| format!("[p{n}]")).collect();
    let graph = format!("{parts}{inputs}concat=n={}:v=1[v]", PARTS.len());
    command.args(["-filter_complex", &graph, "-map", "[v]", "-c:v", "libx264", "-crf", "8", "-threads", "1"]);
    measured(command.arg(&output)).map(|_| output)
}
