//! A bit rate for the whole file: `-b:v` and `-pass 2`.

use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::run::{LIMIT, Signal};
use divien_testbed::{Fidelity, Running, divien, media, place, probe, run};

use crate::workers::{Worker, token};

/// Frames of the easy part, and of the hard one behind it.
const PART: usize = 150;
const RATE: f64 = 400_000.0;
const FAST: [&str; 7] = ["-an", "-preset", "veryfast", "-bsize", "30", "-b:v", "400k"];

/// A picture that stands still, and one that does not.
fn halves(folder: &Path) -> PathBuf {
    let output = folder.join("halves.mkv");
    let graph = format!(
        "smptebars=s=320x240:r=25,trim=end_frame={PART},format=yuv420p,setsar=1[easy];\
         testsrc2=s=320x240:r=25,trim=end_frame={PART},noise=alls=12:allf=t,format=yuv420p,setsar=1[hard];\
         [easy][hard]concat=n=2:v=1[v]"
    );
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-filter_complex", &graph, "-map", "[v]"]);
    run(command.args(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-g", "30"]).arg(&output)).success();
    output
}

fn sizes(file: &Path) -> Vec<f64> {
    probe::rows(file, "packet", Some("v:0"), "size").iter().map(|packet| packet.number("size").unwrap()).collect()
}

/// By how much a video of [`halves`] misses a rate.
fn off(file: &Path, rate: f64) -> f64 {
    let sizes = sizes(file);
    assert_eq!(sizes.len(), 2 * PART);
    sizes.iter().sum::<f64>() * 8.0 * 25.0 / sizes.len() as f64 / rate - 1.0
}

#[test]
fn bits_go_where_the_picture_needs_them_and_all_together_are_those_that_were_asked_for() {
    let folder = place::temporary();
    let film = halves(folder.path());
    let output = folder.path().join("out.mkv");
    let written = |more: &[&str]| {
        let mut command = divien!("-y", "-i", &film);
        run(command.args(FAST).args(more).arg(&output)).success();
        std::fs::read(&output).unwrap()
    };
    let one = written(&["-w", "1"]);
    assert!(off(&output, RATE).abs() <= 0.01, "{:+.4}", off(&output, RATE));
    Fidelity::of(&output, &film).assert();
    let sizes = sizes(&output);
    let (easy, hard) = sizes.split_at(PART);
    assert!(hard.iter().sum::<f64>() > 5.0 * easy.iter().sum::<f64>());
    for more in [&["-w", "2"][..], &["-w", "5", "-isolate", "none"], &["-w", "3", "-isolate", "all"]] {
        assert!(written(more) == one, "{more:?}");
    }
}

#[test]
fn pass_2_is_nearer_still_and_takes_no_first_run() {
    let folder = place::temporary();
    let film = halves(folder.path());
    let output = folder.path().join("out.mp4");
    for (encoder, rate) in [("libx264", "150k"), ("libx264", "900k"), ("libx265", "300k")] {
        let mut command = divien!("-y", "-i", &film, "-an", "-c:v", encoder, "-preset", "ultrafast", "-bsize", "30");
        run(command.args(["-b:v", rate, "-pass", "2"]).arg(&output)).success();
        let wanted = rate.trim_end_matches('k').parse::<f64>().unwrap() * 1000.0;
        assert!(off(&output, wanted).abs() <= 0.005, "{encoder} {rate}: {:+.4}", off(&output, wanted));
        Fidelity::of(&output, &film).assert();
    }
}

#[test]
fn workers_elsewhere_and_one_that_is_killed_change_no_byte() {
    let folder = place::temporary();
    let film = halves(folder.path());
    let (here, output) = (folder.path().join("here.mkv"), folder.path().join("far.mkv"));
    run(divien!("-y", "-i", &film).args(FAST).arg(&here)).success();
    let token = token(folder.path());
    let (mut killed, stays) =
        (Worker::listen(folder.path(), "killed", &token, &[]), Worker::listen(folder.path(), "stays", &token, &[]));
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-token-file", &token, "-workers");
    command.arg(format!("{},{}", killed.address, stays.address)).args(FAST).arg(&output);
    let encoding = Running::start(&mut command);
    killed.has_done(2);
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    encoding.wait(LIMIT).success();
    assert!(std::fs::read(&output).unwrap() == std::fs::read(&here).unwrap());
}

#[test]
fn a_run_that_was_killed_goes_on_with_what_it_has_found_out() {
    let folder = place::temporary();
    let film = halves(folder.path());
    let (whole, killed) = (folder.path().join("whole.mkv"), folder.path().join("killed.mkv"));
    let command = |output: &Path, more: &[&str]| {
        let mut command = divien!("-y", "-w", "1");
        command.args(more).arg("-i").arg(&film).args(FAST).args(["-preset", "slower"]).arg(output);
        command
    };
    run(&mut command(&whole, &[])).success();
    let finished = || {
        let files = std::fs::read_dir(folder.path()).unwrap().flatten();
        let jobs = files.map(|entry| entry.path()).filter(|path| path.is_dir());
        let chunks = jobs.flat_map(|job| std::fs::read_dir(job).into_iter().flatten().flatten());
        chunks.filter(|file| file.path().extension().is_some_and(|end| end == "chunk")).count()
    };
    // The analysis is over by then.
    let running = Running::start(&mut command(&killed, &[]));
    while finished() < 13 && !killed.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    running.signal(Signal::KILL);
    running.wait(LIMIT);
    let kept = finished();
    assert!(kept >= 13 && !killed.exists(), "{kept}");
    run(&mut command(&killed, &["-resume", "-keep"])).success().says(&["done already: 10 chunks (300 frames)"]);
    assert!(std::fs::read(&killed).unwrap() == std::fs::read(&whole).unwrap());
    // What was tried besides is no part of it.
    run(&mut command(&killed, &["-resume", "-verify"])).success().says(&["verified: 300 pictures"]);
}

#[test]
fn what_cannot_be_had_is_told() {
    let folder = place::temporary();
    let film = halves(folder.path());
    let output = folder.path().join("out.mkv");
    let told = |line: &[&str], words: &[&str]| {
        let mut command = divien!("-y", "-i", &film, "-an", "-preset", "ultrafast", "-bsize", "30");
        run(command.args(line).arg(&output)).says(words).status.code()
    };
    // A rate that no quality gives.
    assert_eq!(told(&["-b:v", "1k"], &["more than the", "no other quality"]), Some(0));
    assert_eq!(told(&["-pass", "1", "-b:v", "1M"], &["one run looks at the whole file"]), Some(64));
    assert_eq!(told(&["-pass", "2", "-crf", "30"], &["there is no bit rate that the whole file could have"]), Some(64));
    // What comes by a pipe is seen once.
    let piped = |line: &[&str]| {
        let mut command = divien!("-y", "-i", "-", "-an", "-preset", "ultrafast", "-bsize", "30", "-b:v", "400k");
        run(command.stdin(std::fs::File::open(&film).unwrap()).args(line).arg(&output))
    };
    piped(&[]).success().says(&["-b:v is the average of each chunk"]);
    assert_eq!(piped(&["-pass", "2"]).says(&["cannot be looked at before"]).status.code(), Some(64));
}

#[test]
fn real_clips_have_the_rate_that_was_asked_for_and_every_frame() {
    let folder = place::temporary();
    for (name, rate) in [("vfr.mp4", "300k"), ("h264_opengop.mp4", "600k"), ("interlaced_tff.ts", "1500k")] {
        let Some(clip) = media(name) else { return };
        let output = folder.path().join("out.mkv");
        let mut command = divien!("-y", "-i", &clip, "-an", "-sn", "-preset", "veryfast", "-bsize", "60", "-b:v", rate);
        let outcome = run(command.args(["-map_chapters", "-1"]).arg(&output)).success();
        assert!(!outcome.stderr.contains("more than the") && !outcome.stderr.contains("less than the"), "{outcome}");
        Fidelity::of(&output, &clip).assert();
    }
}
