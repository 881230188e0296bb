//! `divien` as people type it, on made clips.

#![cfg(test)]

mod apart;
mod carried;
mod containers;
mod errors;
mod faults;
mod files;
mod filters;
mod habits;
mod isolate;
mod losses;
mod parts;
mod rates;
mod resume;
mod strangers;
mod streams;
mod token;
mod verify;
mod video;
mod workers;

use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::{divien, gst, place, run};

/// Makes a clip.
#[track_caller]
fn ffmpeg(arguments: &[&str], output: &Path) {
    let mut make = Command::new("ffmpeg");
    run(make.args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg(output)).success();
}

/// Makes a clip of so many seconds of a test picture, 25 a second, and a tone.
#[track_caller]
fn made_film(size: &str, seconds: u32, options: &[&str], output: &Path) {
    let (picture, tone) = (format!("testsrc2=s={size}:r=25:d={seconds}"), format!("sine=d={seconds}"));
    ffmpeg(&[&["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone], options].concat(), output);
}

/// Encodes `input` to `name` in `folder` with these options, and gives the output's path.
#[track_caller]
fn encode(input: &Path, options: &[&str], folder: &Path, name: &str) -> PathBuf {
    let output = folder.join(name);
    let mut command = divien!("-y", "-i", input);
    run(command.args(options).arg(&output)).success();
    output
}

/// Whether this machine lets tests have file systems of their own; some containers do not.
fn may_mount() -> bool {
    let folder = place::temporary();
    let may = run(&mut namespaced("mount -t tmpfs tmpfs \"$1\"", folder.path())).status.success();
    if !may {
        eprintln!("not tested: this machine lets nobody mount a file system");
    }
    may
}

/// A shell with file systems of its own, which gets this folder and what follows as its arguments.
fn namespaced(script: &str, folder: &Path) -> Command {
    let mut command = gst::command("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]).arg(folder);
    command
}

/// A library of this code in C that goes before GStreamer's by `LD_PRELOAD`.
fn preloaded(folder: &Path, code: &str) -> PathBuf {
    let (source, library) = (folder.join("before.c"), folder.join("before.so"));
    std::fs::write(&source, code).unwrap();
    let build = "cc -shared -fPIC -o \"$1\" \"$2\" $(pkg-config --cflags gstreamer-video-1.0)";
    run(Command::new("sh").args(["-c", build, "sh"]).arg(&library).arg(&source)).success();
    library
}
