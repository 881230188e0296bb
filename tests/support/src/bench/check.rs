//! Whether an output is the video it should be, and how good.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::measure::measured;
use crate::fidelity::{Fidelity, Source};

/// What an output is, once it is known to be the same video as its source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quality {
    /// Bytes of the file.
    pub(super) size: u64,
    /// Against the source, of all planes, in dB.
    pub(super) psnr: f64,
}

/// Compares outputs with one source.
pub(super) struct Checker {
    clip: PathBuf,
    source: Arc<Source>,
    /// What each way wrote last.
    seen: HashMap<String, (Vec<u8>, Quality)>,
}

impl Checker {
    pub(super) fn new(clip: &Path) -> Self {
        Self { clip: clip.to_path_buf(), source: Source::new(clip), seen: HashMap::new() }
    }

    /// An error unless frames, times and pictures are the source's. The same bytes are not looked at twice.
    pub(super) fn check(&mut self, way: &str, output: &Path) -> Result<Quality, String> {
        let bytes = std::fs::read(output).map_err(|error| format!("{}: {error}", output.display()))?;
        if let Some((before, quality)) = self.seen.get(way)
            && *before == bytes
        {
            return Ok(*quality);
        }
        let findings = Fidelity::of_measured(output, &self.source).findings();
        let wrong: Vec<_> = findings.iter().filter(|finding| !finding.holds).map(ToString::to_string).collect();
        if !wrong.is_empty() {
            return Err(format!(
                "the output of {way} is not the same video as {}:\n{}",
                self.clip.display(),
                wrong.join("\n")
            ));
        }
        let quality = Quality { size: bytes.len() as u64, psnr: self.psnr(output)? };
        self.seen.insert(way.to_owned(), (bytes, quality));
        Ok(quality)
    }

    /// Frames are paired by number: their times have been compared, and containers round them.
    fn psnr(&self, output: &Path) -> Result<f64, String> {
        let numbered = "settb=1/1000,setpts=N";
        let graph = format!("[0:v:0]{numbered}[a];[1:v:0]{numbered}[b];[a][b]psnr");
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-nostats", "-noautorotate", "-i"]).arg(output);
        command.arg("-noautorotate").arg("-i").arg(&self.clip);
        command.args(["-lavfi", &graph, "-f", "null", "-"]);
        let (_, said) = measured(&mut command)?;
        average(&said).ok_or_else(|| format!("{command:?}\nsays nothing of the PSNR:\n{said}"))
    }
}

/// From the last line of ffmpeg's psnr filter.
fn average(said: &str) -> Option<f64> {
    let line = said.lines().rfind(|line| line.contains("PSNR "))?;
    line.split_once("average:")?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clip, place, run};

    /// What ffmpeg makes of a clip with these arguments.
    fn made(clip: &Path, arguments: &[&str], output: &Path) {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(clip).args(arguments).arg(output);
        run(&mut command).success();
    }

    #[test]
    fn another_video_is_an_error_and_the_same_one_has_its_size_and_psnr() {
        let folder = place::temporary();
        let output = folder.path().join("output.mkv");
        let clip = Clip::raw(30).path();
        let mut checker = Checker::new(&clip);
        made(&clip, &["-c:v", "libx264", "-crf", "30"], &output);
        let quality = checker.check("x", &output).unwrap();
        assert_eq!(quality.size, output.metadata().unwrap().len());
        assert!((20.0..60.0).contains(&quality.psnr), "{quality:?}");
        assert_eq!(checker.check("x", &output).unwrap(), quality);
        made(&clip, &["-c:v", "ffv1"], &output);
        assert_eq!(checker.check("x", &output).unwrap().psnr, f64::INFINITY);
        // Of the same number of frames, at the same times.
        made(&clip, &["-c:v", "ffv1", "-vf", "shuffleframes=0 1 1 3 4 5"], &output);
        let error = checker.check("x", &output).unwrap_err();
        assert!(error.contains("output of x") && error.contains("picture"), "{error}");
        made(&clip, &["-c:v", "ffv1", "-frames:v", "29"], &output);
        assert!(checker.check("x", &output).unwrap_err().contains("29 of 30"));
    }
}
