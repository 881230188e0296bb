//! How good an output is, against the clip it was made of.

use std::path::Path;
use std::process::Command;

use crate::bench::measured;

/// Means over all pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scores {
    pub(super) vmaf: f64,
    /// Of the luma, dB.
    pub(super) psnr: f64,
}

/// Compares all pictures, first with first. Gives the bytes that the output takes for them as well.
pub(super) fn scores(
    ffmpeg: &Path,
    output: &Path,
    (clip, frames): (&Path, usize),
    folder: &Path,
) -> Result<(u64, Scores), String> {
    let log = folder.join("scores.csv");
    // Pictures meet by their number: whatever a stream or a container says of times.
    let numbered = "settb=1/25,setpts=N,format=yuv420p";
    let path = log.to_str().ok_or("a temporary folder that is no text")?;
    let graph = format!(
        "[0:v:0]{numbered}[out];[1:v:0]{numbered}[clip];\
         [out][clip]libvmaf=feature=name=psnr:log_fmt=csv:log_path={path}:n_threads=1"
    );
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-v", "error", "-noautorotate", "-i"]).arg(output);
    command
        .args(["-noautorotate", "-i"])
        .arg(clip)
        .args(["-lavfi", &graph, "-fps_mode", "passthrough"])
        .args(["-f", "null", "-"]);
    measured(&mut command)?;
    let text = std::fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let (scores, pictures) = read(&text).ok_or_else(|| format!("libvmaf's log cannot be read: {text:.200}"))?;
    let (encoded, bytes) = packets(output);
    if pictures != frames || encoded != frames {
        return Err(format!("{frames} pictures became {encoded}, of which {pictures} were compared"));
    }
    Ok((bytes, scores))
}

/// The pictures that a clip has once it is decoded.
pub(super) fn frames(clip: &Path) -> Result<usize, String> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries", "stream=nb_read_frames"]);
    let output = command.args(["-of", "csv=p=0"]).arg(clip).output().map_err(|error| format!("ffprobe: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().trim_end_matches(',').parse().map_err(|_| format!("{}: ffprobe counts nothing", clip.display()))
}

/// The packets of an output's video, and their bytes.
fn packets(output: &Path) -> (usize, u64) {
    let packets = crate::probe::rows(output, "packet", Some("v:0"), "size");
    let bytes = packets.iter().filter_map(|packet| packet.text("size")?.parse::<u64>().ok()).sum();
    (packets.len(), bytes)
}

/// The means of a log, and how many pictures it has.
fn read(csv: &str) -> Option<(Scores, usize)> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next()?.split(',').collect();
    let column = |name: &str| names.iter().position(|known| *known == name);
    let (vmaf, psnr) = (column("vmaf")?, column("psnr_y")?);
    let mut sums = Scores { vmaf: 0.0, psnr: 0.0 };
    let mut pictures = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let values: Vec<&str> = line.split(',').collect();
        sums.vmaf += values.get(vmaf)?.parse::<f64>().ok()?;
        sums.psnr += values.get(psnr)?.parse::<f64>().ok()?;
        pictures += 1;
    }
    let mean = |sum: f64| sum / pictures as f64;
    Some((Scores { vmaf: mean(sums.vmaf), psnr: mean(sums.psnr) }, pictures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_all_pictures_whatever_else_is_in_the_log() {
        let csv = "Frame,psnr_y,integer_motion,vmaf,\n0,40.0,1,90.0,\n1,42.0,1,80.0,\n";
        assert_eq!(read(csv), Some((Scores { vmaf: 85.0, psnr: 41.0 }, 2)));
        assert_eq!(read("Frame,vmaf\n0,1\n"), None);
    }
}
