//! Encoders in processes of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use divien_testbed::run::{LIMIT, Signal};
use divien_testbed::{Running, divien, gst, place, probe, run};

use crate::workers::{Worker, token};
use crate::{made_film, namespaced, preloaded};

const OPTIONS: &[&str] = &["-preset", "slow", "-bsize", "25", "-w", "2"];

fn film(folder: &Path) -> PathBuf {
    let input = folder.join("in.mkv");
    made_film("640x360", 8, &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "flac"], &input);
    input
}

/// The processes that this one has started for its encoders.
fn children(parent: u32) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-P", &parent.to_string(), "-f", "encode-chunks"]).output().unwrap();
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
        ("x264.mkv", &["-c:v", "libx264", "-preset", "veryfast", "-lead-in", "4"][..]),
        ("x265.mkv", &["-c:v", "libx265", "-preset", "ultrafast", "-lead-in", "2"]),
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
            command.args(options).args(["-bsize", "20", "-an"]).arg(&output).stdin(input);
            let running = Running::start(&mut command);
            if which == "all" {
                first_child(&running);
            }
            running.wait(LIMIT).success();
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
    for signal in ["-KILL", "-ABRT"] {
        first_child(&running);
        std::thread::sleep(Duration::from_millis(700));
        children(running.id()).into_iter().for_each(|child| kill(child, signal));
    }
    running.wait(LIMIT).success().says(&["signal 9 (SIGKILL", "signal 6 (SIGABRT", "tried again"]);
    assert!(written("killed.mp4") == written("alone.mp4"));
}

#[test]
fn no_encoder_outlives_the_program() {
    let folder = place::temporary();
    let film = film(folder.path());
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut command = divien!("-y", "-i", &film);
        let running = Running::start(command.args(OPTIONS).arg(folder.path().join("out.mp4")));
        first_child(&running);
        std::thread::sleep(Duration::from_millis(300));
        let all = children(running.id());
        running.signal(signal);
        running.wait(LIMIT);
        let until = Instant::now() + LIMIT;
        while all.iter().any(|child| is_alive(*child)) {
            assert!(Instant::now() < until, "{signal:?}: {all:?}");
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
    let film = film(folder.path());
    let output = folder.path().join("out.mp4");
    let mut command = divien!("-lane-timeout", "3", "-i", &film);
    let running = Running::start(command.args(["-preset", "slow", "-bsize", "25", "-w", "1"]).arg(&output));
    let child = first_child(&running);
    std::thread::sleep(Duration::from_millis(400));
    kill(child, "-STOP");
    running.wait(LIMIT).success().says(&["nothing moved for", "tried again"]);
    assert_eq!(probe::frame_times(&output).len(), 200);
}

fn first_child(running: &Running) -> u32 {
    first_child_of(running.id())
}

#[track_caller]
fn first_child_of(parent: u32) -> u32 {
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        if let Some(child) = children(parent).into_iter().next() {
            return child;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it has no encoder's process");
}

/// One encoder gets raw pictures of a chunk so long that many wait for it.
fn raw(film: &Path, output: &Path, options: &[&str]) -> Command {
    let mut command = divien!("-isolate", "all", "-w", "1", "-i", "-", "-an");
    command.args(options).args(["-preset", "veryslow", "-bsize", "200"]).arg(output);
    command.stdin(fs::File::open(film).unwrap());
    command
}

#[test]
fn one_that_hangs_with_raw_pictures_waiting_is_ended_as_well() {
    let folder = place::temporary();
    let film = film(folder.path());
    let output = folder.path().join("out.mkv");
    let running = Running::start(&mut raw(&film, &output, &["-lane-timeout", "3"]));
    let child = first_child(&running);
    std::thread::sleep(Duration::from_millis(900));
    kill(child, "-STOP");
    running.wait(LIMIT).success().says(&["nothing moved for", "tried again"]);
    assert_eq!(probe::frame_times(&output).len(), 200);

    // A run that is told to end waits for none either.
    let running = Running::start(&mut raw(&film, &folder.path().join("none.mkv"), &["-lane-timeout", "0"]));
    let child = first_child(&running);
    std::thread::sleep(Duration::from_millis(900));
    kill(child, "-STOP");
    running.signal(Signal::INT);
    running.wait(LIMIT).failure();
    assert!(!is_alive(child));
}

#[test]
fn a_picture_without_room_ends_the_run_at_once() {
    let folder = place::temporary();
    let film = film(folder.path());
    let command = raw(&film, &folder.path().join("out.mkv"), &["-lane-timeout", "0"]);
    let mut limited = gst::command("bash");
    limited.args(["-c", "ulimit -f 200; exec \"$@\"", "bash"]).arg(command.get_program()).args(command.get_args());
    let outcome = run(limited.stdin(fs::File::open(&film).unwrap())).failure();
    outcome.says(&["no memory for a picture"]);
}

#[test]
fn a_chunk_that_ends_three_processes_ends_the_run_which_can_be_resumed() {
    let folder = place::temporary();
    let film = film(folder.path());
    let output = folder.path().join("out.mp4");
    let options = ["-preset", "slow", "-bsize", "50", "-w", "1"];
    let mut command = divien!("-i", &film);
    let running = Running::start(command.args(options).arg(&output));
    let first = folder.path().join("out.mp4.divien").join("00000000.chunk");
    while !first.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut killed = Vec::new();
    while killed.len() < 3 {
        let child = first_child(&running);
        // It has its chunk by then, and is far from done.
        std::thread::sleep(Duration::from_millis(200));
        if !killed.contains(&child) {
            kill(child, "-ABRT");
            killed.push(child);
        }
    }
    let outcome = running.wait(LIMIT).failure();
    outcome.says(&["chunk 1 (frames 50 to 99) failed 3 times", "signal 6 (SIGABRT", "-resume"]);
    assert!(!output.exists());
    run(divien!("-resume", "-i", &film).args(options).arg(&output)).success();
    assert_eq!(probe::frame_times(&output).len(), 200);
}

#[test]
fn a_workers_encoder_that_dies_costs_one_attempt_and_no_worker() {
    let folder = place::temporary();
    let film = film(folder.path());
    let options = ["-preset", "slow", "-bsize", "25"];
    run(divien!("-isolate", "none", "-i", &film).args(options).arg(folder.path().join("alone.mp4"))).success();
    let token = token(folder.path());
    let worker = Worker::listen(folder.path(), "one", &token, &[]);
    for (before, (input, output)) in [(film.to_str().unwrap(), "packets.mp4"), ("-", "raw.mkv")].into_iter().enumerate()
    {
        let output = folder.path().join(output);
        let mut command = divien!("-w", "0", "-workers", &worker.address, "-token-file", &token);
        command.args(["-i", input]).args(options).arg(&output);
        if input == "-" {
            command.stdin(fs::File::open(&film).unwrap());
        }
        let running = Running::start(&mut command);
        for (signal, done) in [("-ABRT", "chunk 0"), ("-KILL", "chunk 2")] {
            // It is at work for the next one, and tries no encoder out any more.
            let until = Instant::now() + LIMIT;
            while worker.said().matches(done).count() <= before {
                assert!(Instant::now() < until, "{}", worker.said());
                std::thread::sleep(Duration::from_millis(5));
            }
            kill(first_child_of(worker.child.id()), signal);
        }
        let outcome = running.wait(LIMIT).success();
        outcome.says(&["its process was ended by signal", "it is tried again"]);
        assert_eq!(probe::frame_times(&output).len(), 200);
    }
    let made = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(made("packets.mp4") == made("alone.mp4"));
    // Whoever kills it kills them.
    let child = first_child_of(worker.child.id());
    drop(worker);
    while is_alive(child) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_encoder_in_any_pipeline_can_have_a_process_of_its_own() {
    let folder = place::temporary();
    let path = std::env::join_paths([place::profile(), "/usr/bin".into(), "/bin".into()]).unwrap();
    let made = |isolate: bool| {
        let output = folder.path().join(format!("{isolate}.h264"));
        let line = format!(
            "-e videotestsrc num-buffers=100 pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! divienenc \
             chunk-frames=20 isolate={isolate} encoder=\"x264enc speed-preset=veryfast\" ! filesink location={}",
            gst::quoted(&output)
        );
        run(gst::launch_command(&line).env("PATH", &path)).success();
        fs::read(output).unwrap()
    };
    assert!(made(true) == made(false));

    let mut nowhere =
        gst::launch_command("videotestsrc num-buffers=9 ! divienenc isolate=true encoder=x264enc ! fakesink");
    let outcome = gst::outcome(nowhere.env("PATH", "/usr/bin:/bin"), LIMIT).failure();
    outcome.says(&["isolate: ", "program 'divien'", "PATH"]);
}

#[test]
fn what_encoders_take_is_part_of_what_the_program_takes() {
    let folder = place::temporary();
    let film = film(folder.path());
    // User time of the program and of all that it has waited for.
    let time = |which: &str| -> f64 {
        let mut command = gst::command("bash");
        let script = "\"$@\" >/dev/null && LC_ALL=C times";
        command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_divien"), "-isolate", which, "-i"]).arg(&film);
        let outcome = run(command.args(["-preset", "fast", "-w", "1", "-f", "matroska", "-"])).success();
        let told = String::from_utf8(outcome.stdout).unwrap();
        let user = told.lines().last().unwrap().split_whitespace().next().unwrap();
        let (minutes, seconds) = user.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let alone = time("none");
    for _ in 0..6 {
        let apart = time("packets");
        assert!(apart > alone / 2.0, "{apart} s and {alone} s");
    }
}

/// A library that aborts an encoder when it gives its fifth picture: where a file is named that is there, which it removes, or
/// always where none is named.
fn aborting(folder: &Path) -> PathBuf {
    let code = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int gst_video_encoder_finish_frame(void *encoder, void *frame) {
            static int calls;
            const char *once = getenv("ABORT_ONCE");
            if (++calls == 5 && (!once || unlink(once) == 0)) {
                fputs("this is the end\n", stderr);
                abort();
            }
            int (*real)(void *, void *) = dlsym(RTLD_NEXT, "gst_video_encoder_finish_frame");
            return real(encoder, frame);
        }
    "#;
    preloaded(folder, code)
}

#[test]
fn an_encoder_that_aborts_by_itself_costs_attempts_and_never_the_program() {
    let folder = place::temporary();
    let film = film(folder.path());
    let options = ["-preset", "ultrafast", "-bsize", "50", "-w", "2"];
    let library = aborting(folder.path());
    run(divien!("-i", &film).args(options).arg(folder.path().join("alone.mp4"))).success();
    // The first is the one that tries the encoder out, or has a chunk.
    for times in 1..=2 {
        let (once, output) = (folder.path().join("once"), folder.path().join("out.mp4"));
        fs::write(&once, "").unwrap();
        let mut command = divien!("-y", "-i", &film);
        command.env("LD_PRELOAD", &library).env("ABORT_ONCE", &once);
        run(command.args(options).arg(&output)).success();
        assert!(!once.exists(), "{times}");
        assert!(fs::read(&output).unwrap() == fs::read(folder.path().join("alone.mp4")).unwrap());
    }
    let places = place::temporary();
    let output = places.path().join("out.mp4");
    let mut command = divien!("-i", &film);
    let outcome = run(command.env("LD_PRELOAD", &library).args(options).arg(&output)).failure();
    let outcome = outcome.says(&["failed 3 times", "signal 6 (SIGABRT", "this is the end"]);
    assert_eq!(outcome.status.code(), Some(70));
    // Nothing is finished, and nothing is left.
    assert_eq!(fs::read_dir(places.path()).unwrap().count(), 0);
}

#[test]
fn an_encoder_that_aborts_takes_no_worker_with_it() {
    let folder = place::temporary();
    let film = film(folder.path());
    let (token, library) = (token(folder.path()), aborting(folder.path()));
    let mut command = divien!("worker", "--listen", "127.0.0.1:0", "--token-file", &token);
    let mut worker = Worker::of(command.env("LD_PRELOAD", &library), folder.path().join("worker.log"));
    worker.says("listening on ");
    let said = worker.said();
    let address = said.split_once("listening on ").unwrap().1.split_whitespace().next().unwrap();
    let mut command = divien!("-i", &film, "-w", "0", "-worker-timeout", "1", "-token-file", &token);
    let outcome = run(command.args(["-workers", address]).arg(folder.path().join("out.mp4"))).failure();
    outcome.says(&["is not used", "signal 6 (SIGABRT"]);
    worker.says("signal 6");
    // Nor whoever asks what it can do, where encoders are tried as well.
    let mut command = divien!("workers", address, "--token-file", &token);
    let outcome = run(command.env("LD_PRELOAD", &library)).failure();
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(told.contains("x264enc") && told.contains("signal 6 (SIGABRT"), "{outcome}\n{told}");
    assert_eq!(worker.child.try_wait().unwrap(), None);
}

#[test]
fn without_proc_an_encoder_has_its_process_all_the_same_and_one_that_does_not_start_is_no_chunks_fault() {
    let folder = place::temporary();
    let film = film(folder.path());
    let options = ["-preset", "ultrafast", "-bsize", "25"];
    run(divien!("-i", &film).args(options).arg(folder.path().join("whole.mp4"))).success();
    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let without =
        |words: &str| namespaced(&format!("mount --bind \"$1\" /proc && shift && exec {words} \"$@\""), &nothing);
    if !run(without("true").arg("")).status.success() {
        eprintln!("not tested: this machine lets nobody mount a file system");
        return;
    }
    let program = env!("CARGO_BIN_EXE_divien");
    let output = folder.path().join("out.mp4");
    run(without("").arg(program).arg("-i").arg(&film).args(options).arg(&output)).success();
    assert!(fs::read(&output).unwrap() == fs::read(folder.path().join("whole.mp4")).unwrap());

    // Started from a file that has no name here, it does not know its own.
    let nameless = "import os, sys; os.execve(os.open(sys.argv[1], os.O_RDONLY), sys.argv[1:], os.environ)";
    let started = |more: &[&str]| {
        let mut command = without("python3");
        command.args(["-c", nameless, program, "-y"]).args(more).arg("-i").arg(&film).args(options).arg(&output);
        run(&mut command)
    };
    let outcome = started(&[]).failure().says(&["no process can be started", "-isolate none needs no processes"]);
    assert!(outcome.status.code() == Some(1) && !outcome.stderr.contains("3 times"), "{outcome}");
    started(&["-isolate", "none"]).success();
}
