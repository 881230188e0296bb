//! Machines elsewhere: real QUIC on loopback, workers that listen and workers that join.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use gst::prelude::*;
use gstdivien::net::{Token, dial};
use gstdivien::remote::worker::{Ended, Place, Report, Stop, Worker, run};
use gstdivien::wire::message::Hello;
use gstdivien::wire::{Control, Message, Received};
use quinn::{Connection, RecvStream, SendStream};

use element_common::*;

const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// No machine is as slow: what takes longer does not come.
const NEVER: Duration = Duration::from_secs(60);

/// A worker on a thread of its own.
struct Running {
    stop: Stop,
    reports: Arc<Mutex<Vec<Report>>>,
    address: Option<SocketAddr>,
    ended: mpsc::Receiver<Ended>,
}

impl Running {
    fn start(token: &Token, slots: u32, place: Place) -> Self {
        init();
        let worker = Worker {
            name: "other".into(),
            slots,
            memory: 64 << 20,
            token: token.clone(),
            drain_timeout: NEVER,
            once: true,
            isolation: None,
        };
        let (stop, reports) = (Stop::default(), Arc::<Mutex<Vec<Report>>>::default());
        let (listening, listens) = mpsc::channel();
        let (tell, ended) = mpsc::channel();
        let (waits, told, stops) = (matches!(place, Place::Listen(_)), reports.clone(), stop.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let report = move |report: Report| {
                if let Report::Listening(address) = &report {
                    listening.send(*address).unwrap();
                }
                told.lock().unwrap().push(report);
            };
            // The test may be over.
            let _ = tell.send(runtime.block_on(run(worker, place, stops, report)).unwrap());
        });
        let address = waits.then(|| listens.recv_timeout(NEVER).unwrap());
        Self { stop, reports, address, ended }
    }

    fn listen(token: &Token, slots: u32) -> Self {
        Self::start(token, slots, Place::Listen(HERE))
    }

    fn ended(&self) -> Ended {
        self.ended.recv_timeout(NEVER).unwrap()
    }

    /// Chunks that it has given back.
    fn chunks(&self) -> usize {
        let reports = self.reports.lock().unwrap();
        reports.iter().filter(|report| matches!(report, Report::Chunk { failed: None, .. })).count()
    }
}

fn token_file(token: &Token) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(token.text().as_bytes()).unwrap();
    file
}

/// Leaves no slice in the units of H.264 at these places that pass the element.
fn spoil(element: &gst::Element) {
    let count = std::sync::atomic::AtomicU32::new(0);
    element.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if !(33..36).contains(&count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            return gst::PadProbeReturn::Ok;
        }
        let mut unit = info.buffer_mut().unwrap().make_mut().map_writable().unwrap();
        let starts: Vec<_> = unit.windows(3).enumerate().filter(|(_, code)| **code == [0, 0, 1]).collect();
        let starts: Vec<_> = starts.into_iter().map(|(at, _)| at + 3).collect();
        // A type of NAL unit that no decoder looks at.
        starts.into_iter().for_each(|at| unit[at] = 0x1f);
        gst::PadProbeReturn::Ok
    });
}

/// Runs a launch line with `divienenc name=d` and a `filesink`; gives the bytes that were written, or the error.
fn launch(line: &str, properties: &[(&str, &str)]) -> Result<Vec<u8>, String> {
    init();
    let out = tempfile::NamedTempFile::new().unwrap();
    let pipeline = gst::parse::launch(&format!("{line} ! filesink location={}", out.path().display())).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let element = pipeline.by_name("d").unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    if let Some(spoils) = pipeline.by_name("spoils") {
        spoil(&spoils);
    }
    let bus = pipeline.bus().unwrap();
    let started = pipeline.set_state(gst::State::Playing);
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &ends).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    if let gst::MessageView::Error(error) = message.view() {
        return Err(format!("{} {}", error.error(), error.debug().unwrap_or_default()));
    }
    started.unwrap();
    Ok(std::fs::read(out.path()).unwrap())
}

const RAW: &str = "videotestsrc pattern=ball num-buffers=95 ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 \
                   ! divienenc name=d chunk-frames=20 workers=2";

const CODED: &str = "videotestsrc pattern=ball num-buffers=95 ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 \
                     ! x264enc key-int-max=30 bframes=2 ! h264parse ! divienenc name=d chunk-frames=20 workers=2";

/// An address that nobody has.
fn free() -> String {
    std::net::UdpSocket::bind(HERE).unwrap().local_addr().unwrap().to_string()
}

/// Raw and compressed chunks come back as they would have been here: from one worker, two and three, which listen or join,
/// with and without lanes of this machine.
#[track_caller]
fn comes_to_the_same(encoder: &str, lead_in: &str) {
    for (source, kind) in [(RAW, "raw"), (CODED, "coded")] {
        let alone = launch(source, &[("encoder", encoder), ("lead-in-frames", lead_in)]).unwrap();
        assert!(!alone.is_empty());
        for count in 1..=3 {
            for (joins, local) in [(false, false), (false, true), (true, false), (true, true)] {
                let token = Token::random().unwrap();
                let (file, address) = (token_file(&token), free());
                let start = |n| {
                    let place = if joins { Place::Join(address.clone(), NEVER) } else { Place::Listen(HERE) };
                    Running::start(&token, if n == 1 { 2 } else { 1 }, place)
                };
                let workers: Vec<_> = (0..count).map(start).collect();
                let hosts: Vec<_> = workers.iter().filter_map(|worker| worker.address).map(|a| a.to_string()).collect();
                let hosts = hosts.join(",");
                let meets = if joins { ("listen-address", &*address) } else { ("remote-workers", &*hosts) };
                let (file, local) = (file.path().display().to_string(), local.to_string());
                let token_file = ("token-file", &*file);
                let settings =
                    [("encoder", encoder), ("lead-in-frames", lead_in), meets, token_file, ("local", &local)];
                let told = format!("{encoder}, {kind}, {count} workers, joins: {joins}, local: {local}");
                assert!(launch(source, &settings).unwrap() == alone, "{told}");
                // One may have come too late, and where this machine encodes as well, all of them.
                let chunks: Vec<_> = workers.iter().map(Running::chunks).collect();
                assert!(local == "true" || chunks.iter().sum::<usize>() >= 4, "{told}: {chunks:?}");
                for (worker, chunks) in workers.iter().zip(chunks) {
                    if chunks == 0 {
                        worker.stop.now.cancel();
                    }
                    let ended = worker.ended();
                    assert!(ended == Ended::Done || ended == Ended::Drained && chunks == 0, "{told}: {ended:?}");
                }
            }
        }
    }
}

#[test]
fn x264_elsewhere_comes_to_the_same_as_here() {
    comes_to_the_same("x264enc speed-preset=veryfast", "5");
}

#[test]
fn x265_elsewhere_comes_to_the_same_as_here() {
    comes_to_the_same("x265enc speed-preset=ultrafast", "3");
}

#[test]
fn vp9_elsewhere_comes_to_the_same_as_here() {
    comes_to_the_same("vp9enc deadline=1 cpu-used=8", "0");
}

#[test]
fn what_is_made_live_and_filtered_on_its_way_is_encoded_elsewhere() {
    let (encoder, chunks) = ("x264enc speed-preset=veryfast", 4);
    let line = |live: &str| {
        format!(
            "videotestsrc pattern=ball {live} num-buffers=80 ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 \
             ! videobalance saturation=0.5 ! videoscale ! video/x-raw,width=128,height=96 \
             ! divienenc name=d chunk-frames=20 workers=1"
        )
    };
    let alone = launch(&line(""), &[("encoder", encoder)]).unwrap();
    let token = Token::random().unwrap();
    let file = token_file(&token);
    let file = file.path().display().to_string();
    let workers = [Running::listen(&token, 1), Running::listen(&token, 1)];
    let hosts = workers.each_ref().map(|worker| worker.address.unwrap().to_string()).join(",");
    let elsewhere = [("encoder", encoder), ("remote-workers", &hosts), ("token-file", &file), ("local", "false")];
    assert!(launch(&line("is-live=true"), &elsewhere).unwrap() == alone);
    assert!(workers.iter().map(Running::chunks).sum::<usize>() >= chunks);
}

#[test]
fn a_worker_that_is_stopped_midway_costs_nothing_but_time() {
    let encoder = "x264enc speed-preset=veryfast";
    let source = "videotestsrc pattern=ball num-buffers=600 ! video/x-raw,format=I420,width=320,height=192,framerate=25/1 \
                  ! divienenc name=d chunk-frames=20 workers=1";
    let alone = launch(source, &[("encoder", encoder)]).unwrap();
    let token = Token::random().unwrap();
    let file = token_file(&token);
    let file = file.path().display().to_string();
    let workers = [Running::listen(&token, 1), Running::listen(&token, 1)];
    let hosts = workers.each_ref().map(|worker| worker.address.unwrap().to_string()).join(",");
    let (stop, reports) = (workers[0].stop.clone(), workers[0].reports.clone());
    std::thread::spawn(move || {
        let has_one = || reports.lock().unwrap().iter().any(|report| matches!(report, Report::Chunk { .. }));
        while !has_one() {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.now.cancel();
    });
    let elsewhere = [("encoder", encoder), ("remote-workers", &hosts), ("token-file", &file), ("local", "false")];
    assert!(launch(source, &elsewhere).unwrap() == alone);
    assert_eq!(workers[0].ended(), Ended::Drained);
    assert_eq!(workers[1].ended(), Ended::Done);
}

#[test]
fn a_run_with_nobody_to_do_it_ends_with_an_error_that_says_so() {
    let token = Token::random().unwrap();
    let (file, address) = (token_file(&token), free());
    let file = file.path().display().to_string();
    let nobody =
        [("remote-workers", address.as_str()), ("token-file", &file), ("local", "false"), ("worker-timeout", "1")];
    let error = launch(RAW, &nobody).unwrap_err();
    assert!(error.contains("no worker was there for 1 s"), "{error}");
    // One with another token is nobody, and is not waited for.
    let stranger = Running::listen(&Token::random().unwrap(), 1);
    let host = stranger.address.unwrap().to_string();
    let nobody =
        [("remote-workers", host.as_str()), ("token-file", &file), ("local", "false"), ("worker-timeout", "3600")];
    let error = launch(RAW, &nobody).unwrap_err();
    assert!(error.contains("holds another token"), "{error}");
    while !stranger.reports.lock().unwrap().iter().any(|report| matches!(report, Report::NotMet(_))) {
        std::thread::sleep(Duration::from_millis(5));
    }
    stranger.stop.now.cancel();
    assert_eq!(stranger.ended(), Ended::Drained);
}

#[test]
fn settings_that_cannot_work_are_refused_before_anything_starts() {
    let error = launch(RAW, &[("local", "false")]).unwrap_err();
    assert!(error.contains("nobody would encode"), "{error}");
    let error = launch(RAW, &[("remote-workers", "127.0.0.1:1"), ("token-file", "/no/such/file")]).unwrap_err();
    assert!(error.contains("/no/such/file") && error.contains("divien token new"), "{error}");
    let token = token_file(&Token::random().unwrap());
    let file = token.path().display().to_string();
    let error = launch(RAW, &[("listen-address", "nowhere"), ("token-file", &file)]).unwrap_err();
    assert!(error.contains("listen-address: 'nowhere': an address of this machine is wanted"), "{error}");
    for named in ["bogus:::1", "::1:7171", "one:1,", "one:1, one:1"] {
        let error = launch(RAW, &[("remote-workers", named), ("token-file", &file)]).unwrap_err();
        let wanted = error.contains("HOST:PORT is wanted") || error.contains("one:1 is named twice");
        assert!(wanted && error.contains(&format!("remote-workers: '{named}'")), "{error}");
    }
}

#[test]
fn a_machine_with_two_addresses_is_one_machine() {
    init();
    let token = Token::random().unwrap();
    let file = token_file(&token);
    let file = file.path().display().to_string();
    let worker = Running::start(&token, 1, Place::Listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)));
    let port = worker.address.unwrap().port();
    let hosts = format!("127.0.0.1:{port},127.0.0.2:{port}");
    let alone = launch(RAW, &[("encoder", "x264enc")]).unwrap();
    let elsewhere = [("encoder", "x264enc"), ("remote-workers", &hosts), ("token-file", &file), ("local", "false")];
    assert!(launch(RAW, &elsewhere).unwrap() == alone);
    assert_eq!(worker.ended(), Ended::Done);
    let reports = worker.reports.lock().unwrap();
    let of_chunks = reports.iter().filter_map(|report| match report {
        Report::Chunk { peer, .. } => Some(*peer),
        _ => None,
    });
    assert_eq!(of_chunks.collect::<BTreeSet<_>>().len(), 1, "{reports:?}");
}

/// Joins by hand, and has said hello.
async fn join(address: SocketAddr, token: &Token, instance: [u8; 16]) -> (Connection, SendStream, RecvStream) {
    let connection = loop {
        match dial(address, token).await {
            Ok(connection) => break connection,
            // It does not listen yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let (name, software) = ("by hand".to_owned(), Vec::new());
    let hello = Hello { minor: 1, instance, name, slots: 1, cores: 1, memory: 1 << 20, software };
    send.write_all_chunks(&mut Message::Hello(hello).write().unwrap()).await.unwrap();
    let mut control = Control::of_worker();
    while !matches!(control.next_message().unwrap(), Some(Received::Welcome(_))) {
        control.push(receive.read_chunk(1024, true).await.unwrap().unwrap().bytes);
    }
    (connection, send, receive)
}

#[test]
fn a_worker_that_joins_again_takes_the_place_of_the_connection_that_it_lost() {
    init();
    let token = Token::random().unwrap();
    let file = token_file(&token);
    let address: SocketAddr = free().parse().unwrap();
    let line = format!(
        "appsrc format=time caps=video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! \
         divienenc encoder=x264enc listen-address={address} token-file={} ! fakesink async=false",
        file.path().display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (other, _other, _its) = join(address, &token, [1; 16]).await;
        let (first, _first, _of_first) = join(address, &token, [7; 16]).await;
        let (second, _second, _of_second) = join(address, &token, [7; 16]).await;
        tokio::time::timeout(NEVER, first.closed()).await.unwrap();
        // Long enough for the second, or another machine, to be turned away.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((second.close_reason(), other.close_reason()), (None, None));
    });
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn what_another_machine_cannot_decode_is_believed_when_it_is_said_twice() {
    let coded = "videotestsrc pattern=ball num-buffers=95 ! video/x-raw,format=I420,width=96,height=64,framerate=25/1 \
                 ! x264enc key-int-max=30 bframes=0 ! h264parse ! video/x-h264,stream-format=byte-stream \
                 ! identity name=spoils ! divienenc name=d chunk-frames=20 workers=2 encoder=x264enc";
    let alone = launch(coded, &[]).unwrap();
    let token = Token::random().unwrap();
    let file = token_file(&token);
    let file = file.path().display().to_string();
    let worker = Running::listen(&token, 1);
    let host = worker.address.unwrap().to_string();
    let elsewhere = [("remote-workers", host.as_str()), ("token-file", &file), ("local", "false")];
    assert!(launch(coded, &elsewhere).unwrap() == alone);
    assert_eq!(worker.ended(), Ended::Done);
    // The input begins a chunk at each of its four key frames.
    assert_eq!(worker.chunks(), 4 + 1);
}
