//! Encoders in processes of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use divien_testbed::run::{LIMIT, Signal};
use divien_testbed::{Clip, Running, divien, place, run};

use crate::made_film;

const OPTIONS: &[&str] = &["-preset", "slow", "-bsize", "25", "-w", "2"];

fn film(folder: &Path) -> PathBuf {
    let input = folder.join("in.mkv");
    made_film("640x360", 8, &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "flac"], &input);
    input
}

/// The processes that this one has started, by what they are told.
fn children(parent: u32) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-P", &parent.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

fn kill(process: u32, signal: &str) {
    // It may have ended by now.
    let _ = Command::new("kill").args([signal, &process.to_string()]).status().unwrap();
}

#[test]
fn no_byte_depends_on_where_a_chunk_is_encoded() {
    let folder = place::temporary();
    let film = film(folder.path());
    for (name, options) in [
        ("x264.mkv", &["-c:v", "libx264", "-preset", "veryfast"][..]),
        ("x265.mkv", &["-c:v", "libx265", "-preset", "ultrafast"]),
        ("vp9.webm", &["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "500k", "-cpu-used", "8", "-t", "3"]),
        ("jpeg.mov", &["-c:v", "mjpeg", "-q:v", "3"]),
        ("filters.mkv", &["-vf", "hflip,scale=320:-2", "-r", "12", "-preset", "ultrafast"]),
    ] {
        let written = |which: &str| {
            let output = folder.path().join(name);
            let mut command = divien!("-y", "-isolate", which, "-i", &film);
            run(command.args(options).args(["-bsize", "20", "-an"]).arg(&output)).success();
            fs::read(output).unwrap()
        };
        let alone = written("none");
        assert!(written("packets") == alone, "{name}");
        // Raw pictures from one decoder, as a pipe has them.
        let piped = |which: &str| {
            let output = folder.path().join(name);
            let mut command = divien!("-y", "-isolate", which, "-i", "-");
            let input = fs::File::open(&film).unwrap();
            run(command.args(options).args(["-bsize", "20", "-an"]).arg(&output).stdin(input)).success();
            fs::read(output).unwrap()
        };
        assert!(piped("none") == piped("all"), "{name}");
    }
}

#[test]
fn an_encoder_that_dies_costs_one_attempt() {
    let folder = place::temporary();
    let film = film(folder.path());
    let written = |name: &str| fs::read(folder.path().join(name)).unwrap();
    run(divien!("-isolate", "none", "-i", &film).args(OPTIONS).arg(folder.path().join("alone.mp4"))).success();
    let mut command = divien!("-i", &film);
    let running = Running::start(command.args(OPTIONS).arg(folder.path().join("killed.mp4")));
    let mut killed = 0;
    while killed < 3 {
        std::thread::sleep(Duration::from_millis(700));
        let Some(child) = children(running.id()).into_iter().next() else { break };
        kill(child, ["-KILL", "-ABRT", "-SEGV"][killed]);
        killed += 1;
    }
    let outcome = running.wait(LIMIT).success().says(&["ended by signal 9 (SIGKILL", "tried again"]);
    assert!(killed > 1, "{outcome}");
    assert!(written("killed.mp4") == written("alone.mp4"));
}

#[test]
fn no_encoder_outlives_the_program() {
    let folder = place::temporary();
    let film = film(folder.path());
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut command = divien!("-y", "-i", &film);
        let running = Running::start(command.args(OPTIONS).arg(folder.path().join("out.mp4")));
        let mut all = Vec::new();
        while all.len() < 2 {
            std::thread::sleep(Duration::from_millis(50));
            all = children(running.id());
        }
        running.signal(signal);
        running.wait(LIMIT);
        let until = std::time::Instant::now() + LIMIT;
        while all.iter().any(|child| is_alive(*child)) {
            assert!(std::time::Instant::now() < until, "{signal:?}: {all:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is_alive(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_process_that_hangs_is_ended_and_its_chunk_tried_again() {
    let folder = place::temporary();
    let film = Clip::film(100).path();
    let output = folder.path().join("out.mp4");
    let mut command = divien!("-lane-timeout", "3", "-i", &film);
    let running = Running::start(command.args(["-preset", "slow", "-bsize", "25", "-w", "1"]).arg(&output));
    let child = loop {
        std::thread::sleep(Duration::from_millis(20));
        if let Some(child) = children(running.id()).into_iter().next() {
            break child;
        }
    };
    std::thread::sleep(Duration::from_millis(400));
    kill(child, "-STOP");
    running.wait(LIMIT).success().says(&["nothing moved for 3 s", "tried again"]);
    assert!(output.exists());
}
