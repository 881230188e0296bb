//! Those who should not be let in, and members who ask for what they should not: real processes that somebody works with
//! meanwhile.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use divien_testbed::relay::{Line, Relay};
use divien_testbed::run::{LIMIT, peak};
use divien_testbed::strangers::{Flood, Hand, Initials, dribble, joined};
use divien_testbed::{Running, divien, place};
use gstdivien::net::Token;
use gstdivien::wire::message::{Begin, Format, Unit, tag};
use gstdivien::wire::{ALPN, Message, Output};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::workers::{OPTIONS, Worker, token};
use crate::{encode, made_film};

const HERE: &str = "127.0.0.1:0";
/// Handshakes of a flood.
const MANY: usize = 10_000;
/// Where they come from.
const SOCKETS: usize = 16;
/// So much more memory is none: that of two runs of an encoder differs by some MB. That many that are held take 70 MB.
const FLAT: u64 = 16 << 20;
/// Lines that may tell of each of two floods, and one in ten seconds beside.
const FEW: u64 = 8 + 2;
/// Those who send again and again do so this often.
const DRIP: Duration = Duration::from_millis(200);

/// A film, and what it becomes without anybody elsewhere.
struct Film {
    folder: TempDir,
    film: PathBuf,
    token: PathBuf,
    alone: Vec<u8>,
}

impl Film {
    fn of(seconds: u32) -> Self {
        let folder = place::temporary();
        let film = folder.path().join("film.mp4");
        made_film("320x180", seconds, &["-c:v", "libx264", "-g", "25"], &film);
        let alone = std::fs::read(encode(&film, &OPTIONS, folder.path(), "alone.mkv")).unwrap();
        Self { token: token(folder.path()), folder, film, alone }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn key(&self) -> Token {
        Token::from_file(&self.token).unwrap()
    }

    fn worker(&self) -> Worker {
        let mut worker = Worker::start(self.path(), "worker", &self.token, &["--listen", HERE]);
        worker.address = address(&worker, "listening on ");
        worker
    }

    /// Encodes it at this worker alone.
    fn encode_at(&self, worker: impl ToString) -> Running {
        let output = self.path().join("far.mkv");
        let mut command = divien!("-y", "-i", &self.film, "-w", "0", "-token-file", &self.token, "-workers");
        Running::start(command.arg(worker.to_string()).args(OPTIONS).arg(&output))
    }

    /// Encodes it with whoever joins.
    fn server(&self) -> Worker {
        let output = self.path().join("joined.mkv");
        let mut command =
            divien!("server", "-listen", HERE, "-y", "-i", &self.film, "-w", "0", "-worker-timeout", "120");
        command.arg("-token-file").arg(&self.token).args(OPTIONS).arg(&output);
        let mut server = Worker::of(&mut command, self.path().join("server.log"));
        server.address = address(&server, "workers may join at ");
        server
    }

    #[track_caller]
    fn is_as_alone(&self) {
        let outputs = ["far.mkv", "joined.mkv"].map(|name| self.path().join(name));
        let output = outputs.into_iter().find(|output| output.exists()).unwrap();
        assert!(std::fs::read(&output).unwrap() == self.alone);
        std::fs::remove_file(output).unwrap();
    }
}

/// What this process says behind these words.
#[track_caller]
fn address(process: &Worker, words: &str) -> String {
    process.says(words);
    let said = process.said();
    said.split_once(words).unwrap().1.lines().next().unwrap().to_owned()
}

fn parsed(process: &Worker) -> SocketAddr {
    process.address.parse().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Lines about those who were turned away.
fn lines(process: &Worker) -> u64 {
    let words = ["does not answer", "another version of divien's protocol", "turned away"];
    let is_of_them = |line: &&str| words.iter().any(|words| line.contains(words));
    process.said().lines().filter(is_of_them).count() as u64
}

#[test]
fn a_flood_of_half_open_handshakes_keeps_nobody_out_harms_no_run_and_takes_no_memory() {
    let (here, there) = (Film::of(8), Film::of(8));
    let (worker, mut server) = (here.worker(), there.server());
    // What a run needs is there before.
    here.encode_at(&worker.address).wait(LIMIT).success();
    here.is_as_alone();
    let flooded = [&worker, &server];
    let before = flooded.map(|process| peak(&process.child));
    // Those of another protocol are refused at once.
    let others = Initials::make(MANY / 10, b"divien/2");
    let began = Instant::now();
    let floods = flooded.map(|process| Flood::start(parsed(process), &others, SOCKETS));
    floods.iter().for_each(|flood| flood.has_sent(MANY / 10));
    drop(floods);
    let initials = Initials::make(MANY, ALPN);
    let floods = flooded.map(|process| Flood::start(parsed(process), &initials, SOCKETS));
    floods.iter().for_each(Flood::has_been_asked);
    // A run begins, and a worker is met, while they come.
    here.encode_at(&worker.address).wait(LIMIT).success();
    here.is_as_alone();
    for (process, flood) in flooded.iter().zip(&floods) {
        flood.has_sent(MANY);
        process.says("more were turned away within");
        assert!(flood.retries() > MANY as u64 / 10, "{flood:?}");
    }
    let after = flooded.map(|process| peak(&process.child));
    for (before, after) in before.iter().zip(after) {
        assert!(after < before + FLAT, "{before} bytes before, {after} after");
    }
    // A worker joins, and all is done, while they come.
    let joins = Worker::start(there.path(), "joins", &there.token, &["--join", &server.address]);
    assert!(server.child.wait().unwrap().success(), "{}", server.said());
    assert_eq!(joins.code(), Some(0));
    there.is_as_alone();
    drop(floods);
    let most = 2 * FEW + began.elapsed().as_secs() / 10;
    for process in [&worker, &server] {
        assert!((1..=most).contains(&lines(process)), "{}", process.said());
    }
}

/// Sends all of these from a socket that hears nothing.
fn play(recorded: &[Vec<u8>], from: &UdpSocket, to: SocketAddr) {
    for datagram in recorded {
        from.send_to(datagram, to).unwrap();
    }
}

#[test]
fn what_a_member_sent_is_nothing_when_another_sends_it_again() {
    let film = Film::of(8);
    let worker = film.worker();
    let relay = Relay::start(HERE.parse().unwrap(), Line::default(), 1).unwrap();
    relay.lead_to(parsed(&worker));
    relay.record();
    let other = UdpSocket::bind(HERE).unwrap();
    let run = film.encode_at(relay.address());
    worker.says(": chunk 0");
    play(&relay.recorded(), &other, parsed(&worker));
    run.wait(LIMIT).success();
    film.is_as_alone();
    worker.says("left: all is done");
    let done = |worker: &Worker| worker.said().matches(": chunk ").count();
    assert_eq!(done(&worker), 8);
    // It begins again as soon as the connection is forgotten that was made with it, and gets nowhere.
    let (patience, line) = (Instant::now() + LIMIT, format!("warning: {}: ", other.local_addr().unwrap()));
    while !worker.said().contains(&line) {
        assert!(Instant::now() < patience, "{}", worker.said());
        play(&relay.recorded(), &other, parsed(&worker));
        std::thread::sleep(DRIP);
    }
    assert_eq!((done(&worker), worker.said().matches("works for").count()), (8, 1), "{}", worker.said());
    film.encode_at(&worker.address).wait(LIMIT).success();
    film.is_as_alone();
}

#[test]
fn those_who_send_for_ever_are_given_up_and_hold_nobody_up() {
    let film = Film::of(8);
    let (worker, server) = (film.worker(), film.server());
    let (to_worker, to_server, token) = (parsed(&worker), parsed(&server), film.key());
    let runtime = runtime();
    // A stranger begins a handshake again and again, and members say who they are, or what is to be made of a chunk, byte by
    // byte.
    let stranger = UdpSocket::bind(HERE).unwrap();
    let initial = Initials::make(1, ALPN);
    let (_connected, members) = runtime.block_on(async {
        let (no_welcome, slow) = Hand::dial_silently(to_worker, &token).await.unwrap();
        let (no_hello, slower) = joined(to_server, &token).await.unwrap();
        let hand = Hand::dial(to_worker, &token).await.unwrap();
        let mut members = vec![tokio::spawn(dribble(slow, tag::WELCOME)), tokio::spawn(dribble(slower, tag::HELLO))];
        for _ in 0..4 {
            let (send, _) = hand.open().await.unwrap();
            members.push(tokio::spawn(dribble(send, tag::BEGIN)));
        }
        ((no_welcome, no_hello, hand), members)
    });
    film.encode_at(&worker.address).wait(LIMIT).success();
    film.is_as_alone();
    let (patience, line) = (Instant::now() + LIMIT, format!("{}: does not answer", stranger.local_addr().unwrap()));
    while !worker.said().contains(&line) {
        assert!(Instant::now() < patience, "{}", worker.said());
        play(initial.all(), &stranger, to_worker);
        std::thread::sleep(DRIP);
    }
    worker.says("left: nothing was heard in time");
    server.says("it did not say who it is: nothing was heard in time");
    let patience = Instant::now() + LIMIT;
    while worker.said().matches("what to make of it did not come within 30 s").count() < 4 {
        assert!(Instant::now() < patience, "{}", worker.said());
        std::thread::sleep(DRIP);
    }
    // All of them hear of it.
    runtime.block_on(async {
        for member in members {
            member.await.unwrap();
        }
    });
    film.encode_at(&worker.address).wait(LIMIT).success();
    film.is_as_alone();
}

/// A message with these bytes in front of them.
fn framed(tag: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_le_bytes(), body].concat()
}

#[test]
fn what_a_member_must_not_ask_for_is_a_line_in_the_log_each() {
    let film = Film::of(8);
    let worker = film.worker();
    let evil = film.path().join("written");
    let evil_file = evil.display();
    let specs = [
        format!("filesink location={evil_file}"),
        "multifilesrc location=/etc/passwd".into(),
        format!("sh -c 'touch {evil_file}'"),
        format!("x264enc ! filesink location={evil_file}"),
        format!("x264enc multipass-cache-file={evil_file}"),
        format!("x264enc option-string=stats={evil_file}"),
        format!("x264enc option-string=dump-yuv={evil_file}"),
        format!("x264enc option-string=pass=1:stats={evil_file}"),
        format!("x264enc option-string=qpfile={evil_file}"),
        format!("x265enc option-string=analysis-save={evil_file}"),
        "../../bin/x264enc".into(),
        "/bin/sh".into(),
        "a".repeat(100_000),
    ];
    let format = |id, encoder: &str| Format {
        id,
        encoder: encoder.into(),
        threads: 0,
        input: "video/x-raw,format=I420,width=64,height=48,framerate=25/1".into(),
        decoder: None,
        filter: String::new(),
        frame_caps: None,
        output: "video/x-h264".into(),
        lead_in: 0,
    };
    let bytes = |message: &Message| message.write().unwrap().concat();
    let begin = Begin { chunk: 7, format: 900, is_first: true, wanted: None };
    let unit = bytes(&Message::Unit(Unit::default(), vec![0; 64 * 72].into()));
    let streams = [
        // Lengths of 4 GiB.
        framed(tag::UNIT, u32::MAX, b""),
        framed(tag::BEGIN, u32::MAX, b""),
        // What comes later, first; garbage; nothing.
        unit.clone(),
        framed(0x7f, 3, b"abc"),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        Vec::new(),
        // The same once an attempt has begun, and one that begins twice.
        [bytes(&Message::Begin(begin.clone())), framed(tag::UNIT, u32::MAX, b"")].concat(),
        [bytes(&Message::Begin(begin.clone())), bytes(&Message::Begin(begin.clone()))].concat(),
        [bytes(&Message::Begin(begin.clone())), unit].concat(),
        // A format that was refused.
        bytes(&Message::Begin(Begin { format: 0, ..begin })),
    ];
    let run = film.encode_at(&worker.address);
    worker.says("works for");
    runtime().block_on(async {
        let mut hand = Hand::dial(parsed(&worker), &film.key()).await.unwrap();
        for (id, spec) in (0..).zip(&specs) {
            let refused = hand.refuses(format(id, spec)).await.unwrap();
            assert!(refused.is_some(), "{spec} is taken");
        }
        let filter = Format { filter: format!("filesink location={evil_file}"), ..format(800, "x264enc") };
        assert!(hand.refuses(filter).await.unwrap().is_some());
        assert_eq!(hand.refuses(format(900, "x264enc speed-preset=ultrafast")).await.unwrap(), None);
        for (n, stream) in streams.iter().enumerate() {
            let outcome = hand.attempt(stream.clone()).await;
            assert!(!matches!(outcome, Ok(Output::Done(_))), "{n}: {outcome:?}");
        }
    });
    run.wait(LIMIT).success();
    film.is_as_alone();
    assert!(!evil.exists());
    let told = |words: &str| worker.said().lines().filter(|line| line.contains(words)).count();
    assert_eq!((told(": refused: "), told(": chunk 7: failed")), (specs.len() + 1 + 6, 4), "{}", worker.said());
}
