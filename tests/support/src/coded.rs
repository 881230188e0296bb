//! Clips in many codecs, with key frames every second or less.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::run;

/// Names and ffmpeg's options. `refresh.mkv` has a single key frame.
pub const CODED: [(&str, &[&str]); 13] = [
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
    ("theora.ogv", &["-c:v", "libtheora", "-g", "25", "-q:v", "7"]),
    ("mjpeg.mkv", &["-c:v", "mjpeg", "-q:v", "3"]),
    ("ffv1.mkv", &["-c:v", "ffv1", "-g", "10", "-coder", "1", "-context", "1"]),
];

/// What encoders can do that makes cutting hard.
pub const HARD: &[(&str, &[&str])] = &[
    (
        "pyramid.mkv",
        &[
            "-c:v",
            "libx264",
            "-preset",
            "medium",
            "-x264-params",
            "keyint=25:open-gop=1:bframes=8:b-pyramid=normal:ref=8:weightp=2:b-adapt=2",
        ],
    ),
    (
        "strict.ts",
        &[
            "-c:v",
            "libx264",
            "-preset",
            "medium",
            "-x264-params",
            "keyint=25:open-gop=1:bframes=5:b-pyramid=strict:b-adapt=0:slices=3",
        ],
    ),
    ("mbaff.ts", &["-c:v", "libx264", "-preset", "medium", "-x264-params", "keyint=25:open-gop=1:tff=1:bframes=3"]),
    ("ten.mkv", &["-c:v", "libx264", "-pix_fmt", "yuv422p10le", "-x264-params", "keyint=25:open-gop=1"]),
    ("refreshed.ts", &["-c:v", "libx264", "-x264-params", "keyint=25:intra-refresh=1:bframes=0"]),
    ("radl.mkv", &["-c:v", "libx265", "-x265-params", "keyint=25:open-gop=0:radl=3:bframes=6:log-level=error"]),
    (
        "layers.mp4",
        &[
            "-c:v",
            "libx265",
            "-x265-params",
            "keyint=25:open-gop=1:bframes=8:temporal-layers=1:repeat-headers=1:log-level=error",
        ],
    ),
    ("kept.ts", &["-c:v", "libx265", "-x265-params", "keyint=25:open-gop=1:ref=6:hrd=0:aud=1:log-level=error"]),
    ("arf.webm", &["-c:v", "libvpx-vp9", "-g", "25", "-auto-alt-ref", "6", "-lag-in-frames", "25", "-cpu-used", "4"]),
    (
        "split.webm",
        &["-c:v", "libvpx-vp9", "-g", "25", "-lag-in-frames", "25", "-cpu-used", "8", "-bsf:v", "vp9_superframe_split"],
    ),
    (
        "parts.webm",
        &[
            "-c:v",
            "libvpx",
            "-g",
            "25",
            "-error-resilient",
            "partitions",
            "-auto-alt-ref",
            "1",
            "-lag-in-frames",
            "25",
            "-slices",
            "4",
            "-cpu-used",
            "8",
        ],
    ),
    ("open.webm", &["-c:v", "libsvtav1", "-g", "25", "-preset", "8", "-svtav1-params", "irefresh-type=1"]),
    ("closed.mpg", &["-c:v", "mpeg2video", "-g", "12", "-bf", "4", "-flags", "+cgop", "-sc_threshold", "1000000000"]),
    (
        "woven.ts",
        &[
            "-c:v",
            "mpeg2video",
            "-g",
            "15",
            "-bf",
            "2",
            "-flags",
            "+ilme+ildct",
            "-top",
            "1",
            "-alternate_scan",
            "1",
            "-intra_vlc",
            "1",
        ],
    ),
    ("one.mpg", &["-c:v", "mpeg1video", "-g", "15", "-bf", "2", "-f", "mpeg"]),
    ("quarter.mp4", &["-c:v", "mpeg4", "-g", "25", "-bf", "2", "-flags", "+qpel+mv4", "-mpeg_quant", "1"]),
    ("asp.avi", &["-c:v", "mpeg4", "-g", "25", "-bf", "2"]),
    ("theora.mkv", &["-c:v", "libtheora", "-g", "25", "-q:v", "7"]),
    ("prores.mov", &["-c:v", "prores_ks", "-profile:v", "2"]),
    ("dnxhd.mov", &["-c:v", "dnxhd", "-b:v", "60M", "-pix_fmt", "yuv422p", "-s", "1280x720", "-frames:v", "12"]),
    ("slices.mkv", &["-c:v", "ffv1", "-level", "3", "-slices", "4", "-g", "10", "-coder", "2", "-context", "1"]),
    ("old.mkv", &["-c:v", "ffv1", "-level", "1", "-g", "10", "-coder", "0"]),
    ("mjpeg.avi", &["-c:v", "mjpeg", "-q:v", "3"]),
    ("still.mkv", &["-c:v", "libx264", "-frames:v", "1"]),
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
