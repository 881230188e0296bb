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
mod resume;
mod strangers;
mod streams;
mod token;
mod verify;
mod video;
mod workers;

use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::{divien, run};

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
