//! What is encoded, and the bytes that it should become.

use std::collections::HashMap;
use std::fs::File;
use std::io::pipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::Faults;

/// Every film is so long, at 25 frames a second.
const SECONDS: u32 = 12;

/// A film and what is made of it.
#[derive(Debug)]
pub struct Recipe {
    /// What it is called.
    pub name: &'static str,
    size: &'static str,
    /// ffmpeg's options for the film, and the name of its file.
    made: &'static [&'static str],
    film: &'static str,
    /// It comes through a pipe.
    pub(super) is_piped: bool,
    /// Frames are sent to workers as they are, not as the film has them.
    pub is_raw: bool,
    /// divien's options.
    pub(super) options: &'static [&'static str],
}

const H264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-g", "25", "-bf", "2"];
/// Where cuts may fall anywhere, little is decoded twice.
const SHORT_GOPS: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-g", "5"];
const RAW: &[&str] = &["-pix_fmt", "yuv420p"];

/// All of them; the first are taken more often.
pub(super) static RECIPES: [Recipe; 8] = [
    recipe("x264", &["-preset", "medium", "-bsize", "25"]),
    Recipe { made: SHORT_GOPS, ..recipe("x264, -cut fixed", &["-preset", "medium", "-bsize", "32", "-cut", "fixed"]) },
    recipe("x264, smaller", &["-preset", "slow", "-vf", "scale=320:180", "-bsize", "25"]),
    recipe("x264, -r 20", &["-preset", "medium", "-r", "20", "-bsize", "20"]),
    Recipe {
        size: "320x180",
        is_piped: true,
        is_raw: true,
        ..recipe("x264 from a pipe", &["-preset", "medium", "-bsize", "25"])
    },
    Recipe {
        size: "320x180",
        made: RAW,
        film: "film.y4m",
        is_raw: true,
        ..recipe("x264 of raw pictures", &["-preset", "slow", "-bsize", "25"])
    },
    Recipe { size: "320x180", ..recipe("x265", &["-c:v", "libx265", "-preset", "veryfast", "-bsize", "25"]) },
    Recipe {
        size: "320x180",
        ..recipe("vp9", &["-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "1M", "-cpu-used", "6", "-bsize", "25"])
    },
];

const fn recipe(name: &'static str, options: &'static [&'static str]) -> Recipe {
    Recipe { name, size: "480x270", made: H264, film: "film.mkv", is_piped: false, is_raw: false, options }
}

/// A film, and what divien alone makes of it.
#[derive(Debug)]
pub(super) struct Reference {
    film: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// Those that were made so far.
#[derive(Debug, Default)]
pub(super) struct References(Mutex<HashMap<&'static str, Arc<Reference>>>);

impl References {
    pub(super) fn of(&self, faults: &Faults, recipe: &Recipe) -> Result<Arc<Reference>, String> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reference) = made.get(recipe.name) {
            return Ok(reference.clone());
        }
        let folder = faults.folder.join(format!("film-{}", made.len()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let reference = Arc::new(recipe.make(faults, &folder)?);
        made.insert(recipe.name, reference.clone());
        Ok(reference)
    }
}

impl Recipe {
    fn make(&self, faults: &Faults, folder: &Path) -> Result<Reference, String> {
        let (film, output) = (folder.join(self.film), folder.join("alone.mkv"));
        let mut ffmpeg = Command::new("ffmpeg");
        let picture = format!("testsrc2=s={}:r=25:d={}", self.size, SECONDS);
        ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &picture]).args(self.made).arg(&film);
        finish(&mut ffmpeg)?;
        let mut alone = faults.command();
        alone.arg("-y");
        self.ask(&mut alone, &film, &output)?;
        finish(&mut alone)?;
        let bytes = std::fs::read(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        Ok(Reference { film, bytes })
    }

    /// Completes a command of divien.
    pub(super) fn ask(&self, divien: &mut Command, film: &Path, output: &Path) -> Result<(), String> {
        let failed = |error| format!("{}: {error}", film.display());
        if self.is_piped {
            let mut file = File::open(film).map_err(failed)?;
            let (from, mut to) = pipe().map_err(failed)?;
            divien.args(["-i", "-"]).stdin(from);
            // Whoever reads may end before the film does.
            std::thread::spawn(move || drop(std::io::copy(&mut file, &mut to)));
        } else {
            divien.arg("-i").arg(film).stdin(Stdio::null());
        }
        divien.args(self.options).arg(output);
        Ok(())
    }
}

impl Reference {
    pub(super) fn film(&self) -> &Path {
        &self.film
    }
}

fn finish(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(()) } else { Err(format!("{command:?}: {}\n{said}", done.status)) }
}
