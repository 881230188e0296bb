//! `divien worker` and those who use it: real processes, real QUIC on loopback.

use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use divien_testbed::run::{LIMIT, signal};
use divien_testbed::{Clip, Running, divien, gst, place, run};
use rustix::process::Signal;

use crate::losses::{SOURCE, spoil};
use crate::{encode, ffmpeg, made_film, may_mount, namespaced};

/// A worker, or another process that says what it does, that is killed with the test.
pub(crate) struct Worker {
    pub(crate) child: Child,
    pub(crate) address: String,
    log: PathBuf,
}

impl Worker {
    pub(crate) fn listen(folder: &Path, name: &str, token: &Path, options: &[&str]) -> Self {
        let address = free();
        let mut worker = Self::start(folder, name, token, &[&["--listen", &address], options].concat());
        worker.says("listening on");
        worker.address = address;
        worker
    }

    pub(crate) fn start(folder: &Path, name: &str, token: &Path, arguments: &[&str]) -> Self {
        let mut command: Command = divien!("worker", "--name", name, "--slots", "1", "--token-file", token);
        Self::of(command.args(arguments), folder.join(format!("{name}.log")))
    }

    pub(crate) fn of(command: &mut Command, log: PathBuf) -> Self {
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        Self { child, address: String::new(), log }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// How many chunks it has done.
    fn done(&self) -> usize {
        self.said().lines().filter(|line| line.contains(": chunk ") && !line.contains("failed")).count()
    }

    /// Waits until it has done so many chunks.
    #[track_caller]
    pub(crate) fn has_done(&self, chunks: usize) {
        let patience = Instant::now() + LIMIT;
        while self.done() < chunks {
            assert!(Instant::now() < patience, "{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has said so.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        let patience = Instant::now() + LIMIT;
        while !self.said().contains(words) {
            assert!(Instant::now() < patience, "{words}: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same command with this file in place of the system's `/etc/hosts`.
fn with_hosts(hosts: &Path, command: &Command) -> Command {
    let mut named = namespaced("mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"", hosts);
    named.arg(command.get_program()).args(command.get_args());
    named
}

/// An address that nobody has.
fn free() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

pub(crate) fn token(folder: &Path) -> PathBuf {
    let file = folder.join("token");
    std::fs::write(&file, run(&mut divien!("token", "new")).success().stdout).unwrap();
    file
}

pub(crate) const OPTIONS: [&str; 5] = ["-an", "-preset", "veryfast", "-bsize", "25"];

#[test]
fn a_worker_that_is_killed_and_one_that_is_told_to_go_change_no_byte() {
    let folder = place::temporary();
    let film = folder.path().join("film.mp4");
    made_film("640x360", 24, &["-c:v", "libx264", "-g", "25"], &film);
    let alone = std::fs::read(encode(&film, &OPTIONS, folder.path(), "alone.mkv")).unwrap();
    let token = token(folder.path());
    let start = |name| Worker::listen(folder.path(), name, &token, &[]);
    let (mut killed, mut gone, stays) = (start("killed"), start("gone"), start("stays"));
    let output = folder.path().join("far.mkv");
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-token-file", &token, "-workers");
    command.arg([&killed, &gone, &stays].map(|worker| worker.address.clone()).join(","));
    let encoding = Running::start(command.args(OPTIONS).arg(&output));
    // It has no part in this before the others are gone: the run cannot end by then.
    stays.says("works for");
    signal(&stays.child, Signal::STOP);
    killed.has_done(4);
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    gone.says(": chunk");
    signal(&gone.child, Signal::TERM);
    assert_eq!(gone.child.wait().unwrap().code(), Some(75));
    gone.says("divien: drained, as it was told to");
    signal(&stays.child, Signal::CONT);
    let done = encoding.wait(LIMIT).success().says(&["worker stays joined", "worker gone has left"]);
    let share = |name: &str| done.stderr.lines().find(|line| line.starts_with(&format!("worker {name}: ")));
    let shares = ["killed", "gone", "stays"].map(|name| share(name).unwrap());
    assert!(!shares[1].contains("lost") && shares[2].contains(" chunks"), "{shares:?}");
    assert!(std::fs::read(&output).unwrap() == alone);
    // Of the 24 chunks those are done once more at most that each of the three had at hand when it was killed, left or stopped.
    let done = [&killed, &gone, &stays].map(Worker::done);
    assert!(done.iter().sum::<usize>() <= 24 + 3, "{done:?}");
}

#[test]
fn damage_that_a_worker_meets_is_told_as_if_it_was_met_here() {
    let folder = place::temporary();
    let film = folder.path().join("film.mp4");
    ffmpeg(&[&SOURCE[..], &["-c:v", "libx264", "-preset", "veryfast", "-g", "25"]].concat(), &film);
    spoil(&film, 30..45);
    let token = token(folder.path());
    let worker = Worker::listen(folder.path(), "worker", &token, &[]);
    let output = folder.path().join("out.mkv");
    let told = |elsewhere: &[&str]| {
        let mut command = divien!("-y", "-i", &film);
        let outcome = run(command.args(elsewhere).args(OPTIONS).arg(&output));
        let lines = outcome.stderr.lines().filter(|line| line.contains("film.mp4: "));
        (outcome.status.code(), lines.map(str::to_owned).collect::<Vec<_>>())
    };
    let here = told(&["-w", "1"]);
    assert!(here.1.iter().any(|line| line.contains("found: ") || line.contains("the first: ")), "{here:?}");
    let token = token.display().to_string();
    assert_eq!(told(&["-w", "0", "-workers", &worker.address, "-token-file", &token]), here);
}

#[test]
fn workers_join_a_server_and_end_with_it() {
    let folder = place::temporary();
    let film = folder.path().join("film.mp4");
    made_film("320x180", 8, &["-c:v", "libx264", "-g", "25"], &film);
    let alone = std::fs::read(encode(&film, &OPTIONS, folder.path(), "alone.mkv")).unwrap();
    let (token, address, output) = (token(folder.path()), free(), folder.path().join("far.mkv"));
    let mut command = divien!("server", "-listen", &address, "-y", "-i", &film, "-w", "0", "-token-file", &token);
    let encoding = Running::start(command.args(OPTIONS).arg(&output));
    // Another token is none.
    let other = folder.path().join("other");
    std::fs::write(&other, run(&mut divien!("token", "new")).success().stdout).unwrap();
    let stranger = Worker::start(folder.path(), "stranger", &other, &["--join", &address]);
    assert_eq!(stranger.code(), Some(77));
    let worker = Worker::start(folder.path(), "member", &token, &["--join", &address]);
    encoding.wait(LIMIT).success().says(&["workers may join", "worker member joined"]);
    assert_eq!(worker.code(), Some(0));
    assert!(std::fs::read(&output).unwrap() == alone);
}

#[test]
fn a_token_comes_by_standard_input_and_by_a_pipe_as_well() {
    let folder = place::temporary();
    let film = folder.path().join("film.mp4");
    made_film("320x180", 2, &["-c:v", "libx264", "-g", "25"], &film);
    let (token, pipe, output) = (token(folder.path()), folder.path().join("pipe"), folder.path().join("far.mkv"));
    let worker = Worker::listen(folder.path(), "worker", &token, &[]);
    run(Command::new("mkfifo").arg(&pipe)).success();
    // It is written once, and whoever reads it twice finds nothing.
    let secret = std::fs::read(&token).unwrap();
    let writing = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, secret).unwrap()
    });
    for (file, input) in [(pipe.as_path(), Stdio::null()), (Path::new("-"), File::open(&token).unwrap().into())] {
        let mut command = divien!("-y", "-i", &film, "-w", "0", "-workers", &worker.address, "-token-file", file);
        run(command.args(OPTIONS).arg(&output).stdin(input)).success().says(&["worker worker joined"]);
    }
    writing.join().unwrap();
}

#[test]
fn workers_tell_what_they_are_and_what_they_can_do() {
    let folder = place::temporary();
    let file = token(folder.path());
    let one = Worker::listen(folder.path(), "one", &file, &[]);
    let mut two = Worker::listen(folder.path(), "two", &file, &["--once"]);
    let ask = |peers: &str, token: &Path| run(&mut divien!("workers", peers, "--token-file", token));
    let told = ask(&format!("{},{}", one.address, two.address), &file).success();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let named: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(named[0].starts_with(&format!("one ({}): 1 chunk at once", one.address)), "{told}");
    assert!(named[1].starts_with("two ("), "{told}");
    assert_eq!(text.matches("encodes as this machine does: x264enc, x265enc, ").count(), 2, "{told}");
    // Whoever asks has no chunks, for which it waits on.
    two.says("only asked");
    assert_eq!(two.child.try_wait().unwrap(), None);
    // The one that can be reached tells all the same.
    let nowhere = ask(&format!("{},{}", free(), one.address), &file);
    assert_eq!(nowhere.status.code(), Some(69), "{nowhere}");
    nowhere.says(&["one (", "check the address"]);
    let other = folder.path().join("other");
    std::fs::write(&other, run(&mut divien!("token", "new")).success().stdout).unwrap();
    let refused = ask(&one.address, &other);
    assert_eq!(refused.status.code(), Some(77), "{refused}");
    // By two names.
    let port = one.address.rsplit_once(':').unwrap().1;
    let twice = ask(&format!("{},localhost:{port}", one.address), &file).success();
    let text = String::from_utf8_lossy(&twice.stdout).into_owned();
    assert!(text.ends_with(&format!("\nlocalhost:{port} is one once more\n")), "{twice}\n{text}");
}

#[test]
fn nobody_to_work_for_and_nobody_who_works_are_told() {
    let folder = place::temporary();
    let token = token(folder.path());
    let worker = Worker::start(folder.path(), "alone", &token, &["--join", &free(), "--join-timeout", "1"]);
    let film = folder.path().join("film.mp4");
    made_film("320x180", 2, &[], &film);
    let output = folder.path().join("far.mkv");
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-worker-timeout", "1", "-token-file", &token, "-workers");
    let nowhere = free();
    let outcome = run(command.arg(&nowhere).args(OPTIONS).arg(&output)).failure();
    let said = format!("no worker was there for 1 s ({nowhere}), ");
    assert_eq!(outcome.says(&[&said, "divien workers"]).status.code(), Some(69));
    assert!(!output.exists());
    assert_eq!(worker.code(), Some(69));
}

#[test]
fn whoever_joins_nobody_gives_up_when_it_is_to() {
    let folder = place::temporary();
    let token = token(folder.path());
    let joins = |name: &str, timeout: &str| {
        Worker::start(folder.path(), name, &token, &["--join", &free(), "--join-timeout", timeout])
    };
    // A single try takes longer where nobody says that nobody is there.
    let (mut once, soon) = (joins("once", "0"), joins("soon", "0.5"));
    assert_eq!(soon.code(), Some(69));
    assert_eq!(once.child.try_wait().unwrap(), None);
    assert_eq!(once.code(), Some(69));
}

#[test]
fn whoever_worked_for_a_run_that_was_stopped_and_meets_no_other_says_so() {
    let folder = place::temporary();
    let film = folder.path().join("film.mp4");
    made_film("640x360", 40, &["-c:v", "libx264", "-g", "25"], &film);
    let (token, address) = (token(folder.path()), free());
    let mut command = divien!("server", "-listen", &address, "-y", "-i", &film, "-w", "0", "-token-file", &token);
    let log = folder.path().join("server.log");
    let server = Worker::of(command.args(["-an", "-bsize", "25"]).arg(folder.path().join("far.mkv")), log);
    server.says("workers may join");
    let joins = ["--join", &address, "--join-timeout", "4"];
    let (worker, once) = (
        Worker::start(folder.path(), "goes-on", &token, &joins),
        Worker::start(folder.path(), "once", &token, &[&joins[..], &["--once"]].concat()),
    );
    [&worker, &once].iter().for_each(|worker| worker.says(": chunk"));
    signal(&server.child, Signal::INT);
    assert_eq!(server.code(), Some(255));
    for (mut worker, more) in [(once, "\n"), (worker, ", and nobody has come since (")] {
        assert_eq!(worker.child.wait().unwrap().code(), Some(75));
        let said = format!("divien: the run has ended before all was done: it was stopped, or has failed{more}");
        assert!(worker.said().contains(&said), "{}", worker.said());
    }
}

#[test]
fn a_worker_that_may_write_no_large_file_says_so_and_stays() {
    let folder = place::temporary();
    // One decoder gives all its pictures, which go to an encoder's process by memory that is a file to the system.
    let film = folder.path().join("film.mp4");
    made_film("320x180", 4, &["-c:v", "libx264", "-g", "9999", "-sc_threshold", "0"], &film);
    let (token, address) = (token(folder.path()), free());
    let command = divien!("worker", "--listen", &address, "--token-file", &token);
    let mut worker = Worker::of(&mut gst::limited(&command, "--fsize=200000"), folder.path().join("worker.log"));
    worker.says("listening on");
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-worker-timeout", "1", "-token-file", &token);
    let outcome = run(command.args(["-workers", &address]).args(OPTIONS).arg(folder.path().join("far.mkv"))).failure();
    assert_eq!(outcome.says(&["is not used: ", "File too large"]).status.code(), Some(69));
    worker.says("File too large");
    assert_eq!(worker.child.try_wait().unwrap(), None);
}

#[test]
fn workers_of_another_fleet_are_not_waited_for() {
    let folder = place::temporary();
    let worker = Worker::listen(folder.path(), "strange", &token(folder.path()), &[]);
    let elsewhere = place::temporary();
    let other = token(elsewhere.path());
    let film = Clip::film(50).path();
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-worker-timeout", "3600", "-token-file", &other);
    let outcome = run(command.args(["-workers", &worker.address]).arg(folder.path().join("o.mkv"))).failure();
    assert_eq!(outcome.says(&["holds another token", "the same token"]).status.code(), Some(77));
}

#[test]
fn why_workers_cannot_be_met_is_told() {
    let folder = place::temporary();
    let token = token(folder.path());
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let film = Clip::film(50).path();
    let output = folder.path().join("o.mkv");
    let mut command = divien!("server", "-listen", holder.local_addr().unwrap().to_string(), "-y", "-i", &film);
    let outcome = run(command.arg("-token-file").arg(&token).arg(&output)).failure();
    assert_eq!(outcome.says(&["no socket can be opened", "in use"]).status.code(), Some(78));
    let nothing = folder.path().join("nothing");
    std::fs::write(&nothing, "this is no token").unwrap();
    let mut command = divien!("-y", "-i", &film, "-workers", "127.0.0.1:9", "-token-file", "-");
    let outcome = run(command.arg(&output).stdin(File::open(&nothing).unwrap())).failure();
    assert_eq!(outcome.says(&["no token", "divien token new"]).status.code(), Some(78));
}

#[test]
fn a_worker_that_joins_another_worker_gives_up_and_one_that_is_unfit_ends_with_its_session() {
    let folder = place::temporary();
    let token = token(folder.path());
    let other = Worker::listen(folder.path(), "other", &token, &[]);
    let joins = Worker::start(folder.path(), "joins", &token, &["--join", &other.address, "--join-timeout", "1"]);
    // One that has no encoder.
    let (mut command, address) = (divien!("worker", "--once", "--token-file", &token, "--listen"), free());
    command
        .arg(&address)
        .env("GST_REGISTRY", folder.path().join("none"))
        .env("GST_PLUGIN_SYSTEM_PATH_1_0", folder.path());
    let unfit = Worker::of(&mut command, folder.path().join("unfit.log"));
    unfit.says("listening on");
    let film = Clip::film(50).path();
    let mut command = divien!("-y", "-i", &film, "-worker-timeout", "1", "-w", "0", "-token-file", &token, "-workers");
    let outcome = run(command.arg(address).arg(folder.path().join("o.mkv"))).failure();
    assert_eq!(outcome.says(&["is not used"]).status.code(), Some(69));
    assert_eq!(unfit.code(), Some(78));
    assert_eq!(joins.code(), Some(69));
}

#[test]
fn whoever_has_a_name_by_now_is_met() {
    if !may_mount() {
        return;
    }
    let folder = place::temporary();
    let token = token(folder.path());
    let worker = Worker::listen(folder.path(), "named", &token, &[]);
    let port = worker.address.rsplit_once(':').unwrap().1;
    let hosts = folder.path().join("hosts");
    // Nobody is there.
    std::fs::write(&hosts, "127.0.0.9 worker.test\n").unwrap();
    let encode = divien!("-y", "-i", Clip::film(50).path(), "-w", "0", "-worker-timeout", "600", "-token-file", &token);
    let mut command = with_hosts(&hosts, &encode);
    command.args(["-workers", &format!("worker.test:{port}")]).arg(folder.path().join("o.mkv"));
    let running = Running::start(&mut command);
    std::thread::sleep(Duration::from_millis(1500));
    std::fs::write(&hosts, "127.0.0.1 worker.test\n").unwrap();
    running.wait(LIMIT).success().says(&["worker named joined"]);
}

#[test]
fn all_machines_of_a_name_work() {
    if !may_mount() {
        return;
    }
    let folder = place::temporary();
    let token = token(folder.path());
    let one = Worker::listen(folder.path(), "one", &token, &[]);
    let port = one.address.rsplit_once(':').unwrap().1;
    let two = Worker::start(folder.path(), "two", &token, &["--listen", &format!("127.0.0.2:{port}")]);
    two.says("listening on");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 workers.test\n127.0.0.2 workers.test\n").unwrap();
    let film = folder.path().join("film.mp4");
    made_film("320x180", 40, &["-c:v", "libx264", "-g", "25"], &film);
    let alone = std::fs::read(encode(&film, &OPTIONS, folder.path(), "alone.mkv")).unwrap();
    let output = folder.path().join("far.mkv");
    let mut command = with_hosts(&hosts, &divien!("-y", "-i", &film, "-w", "0", "-token-file", &token));
    command.args(OPTIONS).args(["-workers", &format!("workers.test:{port}")]);
    let running = Running::start(command.arg(&output));
    // Neither does all of it.
    signal(&one.child, Signal::STOP);
    two.says(": chunk");
    signal(&one.child, Signal::CONT);
    running.wait(LIMIT).success().says(&["worker one joined", "worker two joined"]);
    assert!(std::fs::read(&output).unwrap() == alone);
}

#[test]
fn a_worker_with_another_version_of_an_encoder_is_refused_with_both_named() {
    let folder = place::temporary();
    // The same library by another version's name, as only the system's linker sees it.
    let installed = run(Command::new("/sbin/ldconfig").arg("-p")).success();
    let installed = String::from_utf8_lossy(&installed.stdout).into_owned();
    let installed = installed.lines().find(|line| line.trim().starts_with("libx264.so.")).unwrap();
    let (library, path) = (installed.split_whitespace().next().unwrap(), installed.split(" => ").last().unwrap());
    let other = format!("{library}.9");
    std::fs::copy(path, folder.path().join(&other)).unwrap();
    std::os::unix::fs::symlink(&other, folder.path().join(library)).unwrap();
    let film = folder.path().join("film.mp4");
    made_film("320x180", 40, &["-c:v", "libx264", "-g", "25"], &film);
    let (token, address) = (token(folder.path()), free());
    let mut command = divien!("worker", "--name", "old", "--token-file", &token, "--listen", &address);
    let worker = Worker::of(command.env("LD_LIBRARY_PATH", folder.path()), folder.path().join("old.log"));
    worker.says("listening on");
    // Another one does all of it, and is not disturbed.
    let fit = Worker::listen(folder.path(), "fit", &token, &[]);
    let workers = format!("{address},{}", fit.address);
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-workers", workers, "-token-file", &token);
    let outcome = run(command.args(OPTIONS).arg(folder.path().join("o.mkv"))).success();
    let outcome = outcome.says(&["worker old is not used: it would write other bytes"]);
    let refusal = outcome.stderr.lines().find(|line| line.contains("is not used")).unwrap();
    let (theirs, own) = refusal.split_once(", and this machine x264enc of x264 ").unwrap();
    assert!(theirs.contains("it has x264enc of x264 ") && theirs.ends_with(&other), "{refusal}");
    assert!(own.contains(library) && !own.contains(&other), "{refusal}");
    worker.says("it would write other bytes");
}

#[test]
fn a_worker_tells_programs_in_json() {
    let folder = place::temporary();
    let (token, address) = (token(folder.path()), free());
    let mut command = divien!("worker", "--once", "--log-format", "json", "--token-file", &token, "--listen", &address);
    let worker = Running::start(&mut command);
    let film = folder.path().join("film.mp4");
    made_film("320x180", 4, &["-c:v", "libx264", "-g", "25"], &film);
    let mut command = divien!("-y", "-i", &film, "-w", "0", "-workers", &address, "-token-file", &token);
    run(command.args(OPTIONS).arg(folder.path().join("far.mkv"))).success();
    let told = worker.wait(LIMIT).success();
    let events = String::from_utf8(told.stdout).unwrap();
    let events: Vec<serde_json::Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["listening", "met", "chunk", "chunk", "chunk", "chunk", "left", "ended"], "{events:?}");
    let chunks: Vec<_> = events.iter().filter(|event| event["event"] == "chunk").collect();
    assert_eq!(chunks.iter().map(|chunk| chunk["frames"].as_u64().unwrap()).sum::<u64>(), 100, "{events:?}");
    assert!(
        chunks.iter().all(|chunk| chunk["bytes"].as_u64() > Some(0) && chunk.get("failed").is_none()),
        "{events:?}"
    );
    assert!(events.iter().all(|event| event["time"].as_str().unwrap().ends_with('Z')) && events[7]["code"] == 0);
    assert_eq!(told.stderr, "");
}
