//! Parts of files that start late: what is read of them, and that it makes no difference.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::{divien, gst, place, run};

use crate::{encode, ffmpeg, made_film};

/// 42 s of picture and sound.
#[track_caller]
fn film(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let file = folder.join(name);
    // Read from a pipe as well.
    let in_front: &[&str] = if name.ends_with("mp4") { &["-movflags", "+faststart"] } else { &[] };
    made_film("96x64", 42, &[options, in_front].concat(), &file);
    file
}

/// All of them, byte for byte, with their times. What a file says of its tracks is not all there in a pipe.
#[track_caller]
fn packets(path: &Path) -> String {
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_packets", "-show_data_hash", "md5", "-of", "csv"]);
    String::from_utf8(run(probe.arg(path)).success().stdout).unwrap()
}

#[test]
fn a_late_part_has_the_packets_that_reading_from_the_start_gives() {
    let folder = place::temporary();
    let films: [(&str, &[&str]); 7] = [
        ("bframes.mp4", &["-c:v", "libx264", "-g", "50", "-preset", "veryfast", "-c:a", "aac"]),
        (
            "open.mp4",
            &["-c:v", "libx264", "-g", "50", "-x264-params", "open-gop=1", "-preset", "veryfast", "-c:a", "aac"],
        ),
        (
            "open.mkv",
            &["-c:v", "libx264", "-g", "50", "-x264-params", "open-gop=1", "-preset", "veryfast", "-c:a", "mp3"],
        ),
        ("far.mkv", &["-c:v", "libx264", "-g", "300", "-keyint_min", "300", "-preset", "veryfast", "-c:a", "aac"]),
        (
            "hevc.mkv",
            &["-c:v", "libx265", "-x265-params", "keyint=50:open-gop=1:log-level=error", "-preset", "ultrafast"],
        ),
        ("vp8.webm", &["-c:v", "libvpx", "-g", "50", "-auto-alt-ref", "1", "-lag-in-frames", "10", "-cpu-used", "8"]),
        ("asp.mp4", &["-c:v", "mpeg4", "-g", "24", "-bf", "2", "-q:v", "3", "-c:a", "aac"]),
    ];
    let parts: [&[&str]; 3] = [
        &["-ss", "17.3", "-t", "1.5", "-bsize", "20"],
        &["-ss", "36.02", "-bsize", "60", "-isolate", "none"],
        &["-ss", "23", "-frames:v", "30", "-bsize", "5", "-isolate", "none"],
    ];
    for (name, options) in films {
        let input = film(folder.path(), name, options);
        for part in parts {
            let options = [&["-preset", "ultrafast", "-cut", "fixed"], part].concat();
            let found = encode(&input, &options, folder.path(), "found.mkv");
            // A pipe knows no way but that from its start.
            let read = folder.path().join("read.mkv");
            let mut command = divien!("-y", "-i", "-");
            run(command.args(&options).arg(&read).stdin(File::open(&input).unwrap())).success();
            assert_eq!(packets(&found), packets(&read), "{name} {part:?}");
        }
    }
}

/// The bytes that a run reads, of whatever file.
#[track_caller]
fn bytes_read(arguments: &[&str], input: &Path, output: &Path) -> u64 {
    let divien = divien!();
    let mut shell = gst::command("sh");
    // What a program has read that has ended counts as the shell's own.
    shell.args(["-c", "\"$@\" >&2 && cat /proc/$$/io", "sh"]).arg(divien.get_program());
    let outcome = run(shell.args(["-y", "-nostats"]).args(arguments).arg("-i").arg(input).arg(output)).success();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    said.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).expect("the kernel counts what is read")
}

#[test]
fn of_a_part_of_a_large_file_little_more_than_the_part_is_read() {
    const MEGABYTES: u64 = 1_000_000;
    let folder = place::temporary();
    let piece = folder.path().join("piece.mkv");
    let options = ["-vf", "noise=alls=80:allf=t", "-c:v", "mjpeg", "-q:v", "2", "-c:a", "aac"];
    made_film("320x240", 10, &options, &piece);
    for name in ["long.mp4", "long.mkv"] {
        let long = folder.path().join(name);
        ffmpeg(&["-stream_loop", "11", "-i", piece.to_str().unwrap(), "-c", "copy"], &long);
        let size = fs::metadata(&long).unwrap().len();
        assert!(size > 100 * MEGABYTES, "{size}");
        // The program itself, its libraries and their list are read as well.
        for part in [&["-ss", "110", "-t", "0.4"][..], &["-to", "0.4"], &["-ss", "60", "-to", "60.4"]] {
            let read = bytes_read(part, &long, &folder.path().join("out.mkv"));
            eprintln!("{name} {part:?}: {read} of {size}");
            // From the start it would be twice the file. matroskademux reads what is larger than 64 kB twice, and all demuxers
            // some seconds ahead, however long the file is.
            assert!(read < size * 6 / 10, "{name} {part:?}: {read} of {size}");
        }
        fs::remove_file(&long).unwrap();
    }
}
