//! Clips in many codecs, with key frames every second or less.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::run;

/// Names and ffmpeg's options. `refresh.mkv` has a single key frame.
pub const CODED: [(&str, &[&str]); 11] = [
    ("closed.mp4", &["-c:v", "libx264", "-g", "25", "-preset", "veryfast"]),
    ("open.mkv", &["-c:v", "libx264", "-g", "25", "-x264-params", "open-gop=1", "-preset", "veryfast"]),
    ("refresh.mkv", &["-c:v", "libx264", "-g", "25", "-x264-params", "intra-refresh=1", "-preset", "veryfast"]),
    ("open.ts", &["-c:v", "libx265", "-x265-params", "keyint=25:open-gop=1:log-level=error", "-preset", "veryfast"]),
    ("vp8.webm", &["-c:v", "libvpx", "-g", "25", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-cpu-used", "8"]),
    ("vp9.webm", &["-c:v", "libvpx-vp9", "-g", "25", "-lag-in-frames", "10", "-cpu-used", "8"]),
    ("av1.mkv", &["-c:v", "libaom-av1", "-g", "25", "-cpu-used", "8"]),
    ("open.mpg", &["-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-q:v", "3", "-f", "mpegts"]),
    ("asp.mp4", &["-c:v", "mpeg4", "-g", "12", "-bf", "2", "-q:v", "3"]),
    ("mjpeg.mov", &["-c:v", "mjpeg", "-q:v", "3"]),
    ("ffv1.mkv", &["-c:v", "ffv1", "-g", "10", "-coder", "1", "-context", "1"]),
];

/// Makes a clip of 150 frames.
#[track_caller]
pub fn coded(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=6"]);
    run(make.args(options).arg(&file)).success();
    file
}
