//! `divien` as people type it, on made clips.

#![cfg(test)]

mod apart;
mod carried;
mod containers;
mod errors;
mod files;
mod filters;
mod habits;
mod parts;
mod streams;
mod video;

use std::path::{Path, PathBuf};

use divien_testbed::{divien, run};

/// Encodes `input` to `name` in `folder` with these options, and gives the output's path.
#[track_caller]
fn encode(input: &Path, options: &[&str], folder: &Path, name: &str) -> PathBuf {
    let output = folder.join(name);
    let mut command = divien!("-y", "-i", input);
    run(command.args(options).arg(&output)).success();
    output
}
