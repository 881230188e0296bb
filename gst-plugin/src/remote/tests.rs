//! One side is the real one, the other says what it should not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::convert::format_from_wire;
use super::fingerprint::fingerprint;
use super::link;
use super::site::{Formats, Refusal, Site};
use super::worker::{Ended, Place, Report, Stop, Worker, run};
use crate::lane::{Attempt, Budget, ChunkInput, EncoderSpec, FilterSpec, Format, LaneError, Outlet};
use crate::net::{Arrival, Listener, NetError, Token, dial};
use crate::store::Store;
use crate::wire::message::{
    self, Begin, Count, Done, End, Goodbye, Head, Hello, Layout, Lost, Plane, Progress, Unit, Welcome,
};
use crate::wire::{Control, Message, Output, Received, Results, Tally};

const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const NEVER: Duration = Duration::from_secs(60);
const CAPS: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1";
/// Bytes of such a frame.
const FRAME: usize = 64 * 48 * 3 / 2;
const ENCODER: &str = "x264enc speed-preset=ultrafast";

fn runtime() -> Runtime {
    gst::init().unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn wire_format(id: u32, encoder: &str) -> message::Format {
    message::Format {
        id,
        encoder: encoder.into(),
        threads: 0,
        input: CAPS.into(),
        decoder: None,
        filter: String::new(),
        frame_caps: None,
        output: "video/x-h264".into(),
        lead_in: 0,
    }
}

/// A coordinator by hand, beside a real worker.
struct Hand {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    control: Control,
}

impl Hand {
    async fn dial(address: SocketAddr, token: &Token) -> Self {
        let connection = dial(address, token).await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        let mut control = Control::of_coordinator();
        loop {
            match control.next_message().unwrap() {
                Some(Received::Hello(_, minor)) => {
                    link::send(&mut send, &Message::Welcome(Welcome { minor })).await.unwrap();
                    return Self { connection, send, receive, control };
                }
                Some(other) => panic!("{other:?}"),
                None => control.push(link::piece(&mut receive).await.unwrap().unwrap()),
            }
        }
    }

    async fn ask(&mut self, format: message::Format) -> Received {
        self.control.ask(format.id);
        link::send(&mut self.send, &Message::Format(format)).await.unwrap();
        loop {
            match self.control.next_message().unwrap() {
                Some(received) => return received,
                None => self.control.push(link::piece(&mut self.receive).await.unwrap().unwrap()),
            }
        }
    }

    /// Sends these bytes as an attempt; gives how it ended.
    async fn attempt(&self, pieces: Vec<Bytes>) -> Result<Output, String> {
        let (mut send, mut receive) = self.connection.open_bi().await.unwrap();
        link::write(&mut send, pieces).await.unwrap();
        let _ = send.finish();
        let mut results = Results::default();
        loop {
            match results.next_message().map_err(|error| error.to_string())? {
                Some(last @ (Output::Done(_) | Output::Failed(_))) => return Ok(last),
                Some(_) => {}
                None => match link::piece(&mut receive).await {
                    Ok(Some(piece)) => results.push(piece),
                    Ok(None) => return Err("ended".into()),
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}

/// A real worker with one slot, and where it listens.
fn listening(runtime: &Runtime, token: &Token) -> (JoinHandle<Result<Ended, NetError>>, SocketAddr) {
    let worker = Worker {
        name: "w".into(),
        slots: 1,
        memory: 1 << 20,
        token: token.clone(),
        drain_timeout: NEVER,
        once: true,
        isolation: None,
    };
    let (listening, mut listens) = mpsc::unbounded_channel();
    let report = move |report| {
        if let Report::Listening(address) = report {
            listening.send(address).unwrap();
        }
    };
    let worker = runtime.spawn(run(worker, Place::Listen(HERE), Stop::default(), report));
    (worker, runtime.block_on(listens.recv()).unwrap())
}

fn written(messages: &[Message]) -> Vec<Bytes> {
    messages.iter().flat_map(|message| message.write().unwrap()).collect()
}

fn frames(count: u64) -> (Vec<Message>, End) {
    let mut tally = Tally::default();
    let frame = |n: u64| Unit { pts: Some(n * 40_000_000), duration: Some(40_000_000), ..Unit::default() };
    let units = (0..count).map(|n| Message::Unit(frame(n), vec![n as u8; 64 * 48 * 3 / 2].into())).collect::<Vec<_>>();
    units.iter().for_each(|unit| tally.add(&unit.write().unwrap()));
    (units, End { tally: tally.count() })
}

#[test]
fn a_worker_does_nothing_that_a_local_run_would_not_and_goes_on() {
    let runtime = runtime();
    let token = Token::random().unwrap();
    let (worker, address) = listening(&runtime, &token);
    let ended = runtime.block_on(async {
        let mut hand = Hand::dial(address, &token).await;
        let evil = tempfile::tempdir().unwrap();
        let file = evil.path().join("written").display().to_string();
        let refused = [
            format!("filesink location={file}"),
            "multifilesrc location=/etc/passwd".into(),
            "sh -c true".into(),
            format!("x264enc multipass-cache-file={file}"),
            format!("x264enc option-string=stats={file}"),
            format!("x264enc option-string=dump-yuv={file}"),
            format!("x264enc ! filesink location={file}"),
            "../../bin/x264enc".into(),
        ];
        for (id, encoder) in (0..).zip(&refused) {
            let answer = hand.ask(wire_format(id, encoder)).await;
            assert!(matches!(&answer, Received::Unfit(unfit) if unfit.format == id), "{encoder}: {answer:?}");
        }
        let filter = message::Format { filter: format!("filesink location={file}"), ..wire_format(50, ENCODER) };
        assert!(matches!(hand.ask(filter).await, Received::Unfit(_)));
        let decoder = message::Format { decoder: Some("avdec_h264".into()), ..wire_format(51, ENCODER) };
        assert!(matches!(hand.ask(decoder).await, Received::Unfit(_)));
        let caps = message::Format { input: "no caps at all, =".into(), ..wire_format(52, ENCODER) };
        assert!(matches!(hand.ask(caps).await, Received::Unfit(_)));
        assert!(matches!(hand.ask(wire_format(60, ENCODER)).await, Received::Fit(_)));
        assert!(std::fs::read_dir(evil.path()).unwrap().next().is_none());

        let begin = |format| Message::Begin(Begin { chunk: 0, format, is_first: true, wanted: None });
        let (units, end) = frames(5);
        let whole = |first: Message, end: End| {
            let all: Vec<_> = [first].into_iter().chain(units.clone()).chain([Message::End(end)]).collect();
            written(&all)
        };
        // A format that was refused, garbage, a length of 4 GiB, units before they should come, units that are not those.
        assert!(matches!(hand.attempt(whole(begin(0), end)).await, Ok(Output::Failed(_))));
        assert!(hand.attempt(vec![Bytes::from_static(b"\x7fgarbage garbage")]).await.is_err());
        assert!(hand.attempt(vec![Bytes::from_static(b"\x11\xff\xff\xff\xff")]).await.is_err());
        assert!(hand.attempt(written(&units[..1])).await.is_err());
        assert!(hand.attempt(written(&[begin(60), begin(60)])).await.is_err());
        let other = End { tally: Count { units: 5, hash: [0; 32] } };
        assert!(hand.attempt(whole(begin(60), other)).await.is_err());
        // Pictures with less to them than the caps say; encoders read what is not there.
        let vp8 = message::Format { output: "video/x-vp8".into(), ..wire_format(61, "vp8enc") };
        assert!(matches!(hand.ask(vp8).await, Received::Fit(_)));
        let layout = |format: &str, width, stride| Layout {
            format: format.into(),
            width,
            height: 48,
            flags: 0,
            planes: [0, 64 * 48, 64 * 60].map(|offset| Plane { offset, stride }).to_vec(),
        };
        for layout in [None, Some(layout("GRAY8", 64, 64)), Some(layout("I420", 32, 32))] {
            let bytes = if layout.is_none() { 100 } else { 64 * 72 };
            let unit = Message::Unit(Unit { pts: Some(0), layout, ..Unit::default() }, vec![0; bytes].into());
            let mut tally = Tally::default();
            tally.add(&unit.write().unwrap());
            let end = Message::End(End { tally: tally.count() });
            assert!(hand.attempt(written(&[begin(61), unit, end])).await.is_err());
        }
        // It goes on all the same.
        match hand.attempt(whole(begin(60), end)).await {
            Ok(Output::Done(done)) => assert_eq!((done.frames, done.tally.units), (5, 5)),
            other => panic!("{other:?}"),
        }
        link::send(&mut hand.send, &Message::Goodbye(Goodbye::Done)).await.unwrap();
        tokio::time::timeout(NEVER, worker).await.unwrap().unwrap().unwrap()
    });
    assert_eq!(ended, Ended::Done);
}

#[test]
fn coordinators_share_the_slots_of_a_worker() {
    let runtime = runtime();
    let token = Token::random().unwrap();
    let (worker, address) = listening(&runtime, &token);
    runtime.block_on(async {
        let (mut one, mut other) = (Hand::dial(address, &token).await, Hand::dial(address, &token).await);
        for hand in [&mut one, &mut other] {
            assert!(matches!(hand.ask(wire_format(0, ENCODER)).await, Received::Fit(_)));
        }
        let begin = Message::Begin(Begin { chunk: 0, format: 0, is_first: true, wanted: None });
        let (units, end) = frames(5);
        // The rest of it waits until its encoder has begun.
        let (mut send, mut receive) = one.connection.open_bi().await.unwrap();
        link::write(&mut send, written(&[begin.clone(), units[0].clone()])).await.unwrap();
        let mut results = Results::default();
        loop {
            match results.next_message().unwrap() {
                Some(Output::Progress(made)) if made.frames > 0 => break,
                Some(_) => {}
                None => results.push(link::piece(&mut receive).await.unwrap().unwrap()),
            }
        }
        let whole: Vec<_> = [begin].into_iter().chain(units.clone()).chain([Message::End(end)]).collect();
        let mut waiting = Box::pin(other.attempt(written(&whole)));
        assert!(tokio::time::timeout(Duration::from_millis(1200), &mut waiting).await.is_err());
        let rest: Vec<_> = units[1..].iter().cloned().chain([Message::End(end)]).collect();
        link::write(&mut send, written(&rest)).await.unwrap();
        send.finish().unwrap();
        assert!(matches!((&mut waiting).await, Ok(Output::Done(done)) if done.frames == 5));
        drop(waiting);
        for hand in [&mut one, &mut other] {
            link::send(&mut hand.send, &Message::Goodbye(Goodbye::Done)).await.unwrap();
        }
        tokio::time::timeout(NEVER, worker).await.unwrap().unwrap().unwrap();
    });
}

/// What a worker by hand does with an attempt.
type Misdeed = fn() -> Vec<Bytes>;

fn head() -> Message {
    Message::Head(Head { caps: "video/x-h264".into(), segment_start: 0 })
}

fn unit(flags: gst::BufferFlags) -> Message {
    Message::Unit(Unit { flags: flags.bits(), ..Unit::default() }, Bytes::from_static(b"unit"))
}

fn done(tally: Count) -> Message {
    Message::Done(Done { tally, frames: 5, tags: None, lost: Lost::default() })
}

fn count(units: &[Message]) -> Count {
    let mut tally = Tally::default();
    units.iter().for_each(|unit| tally.add(&unit.write().unwrap()));
    tally.count()
}

/// A worker by hand, that does this with every attempt.
async fn misdo(connection: Connection, misdeed: Option<Misdeed>, digest: Option<[u8; 32]>) {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(8));
    connection.set_receive_window(VarInt::MAX);
    let (name, software) = ("bad\n".into(), Vec::new());
    let hello = Hello { minor: 1, instance: [1; 16], name, slots: 0, cores: 1, memory: 1, software };
    link::send(&mut send, &Message::Hello(hello)).await.unwrap();
    let mut control = Control::of_worker();
    let format = loop {
        match control.next_message().unwrap() {
            Some(Received::Format(format)) => break format,
            Some(_) => {}
            None => control.push(link::piece(&mut receive).await.unwrap().unwrap()),
        }
    };
    let own = format_from_wire(&format).unwrap();
    let mut fit = tokio::task::spawn_blocking(move || fingerprint(&own, format.id, None)).await.unwrap().unwrap();
    fit.digest = digest.unwrap_or(fit.digest);
    link::send(&mut send, &Message::Fit(fit)).await.unwrap();
    while let Ok((mut send, _receive)) = connection.accept_bi().await {
        match misdeed {
            Some(misdeed) => {
                // It may be ended from the other side.
                let _ = link::write(&mut send, misdeed()).await;
                let _ = send.finish();
                let _ = send.stopped().await;
            }
            None => std::future::pending().await,
        }
    }
}

fn attempt(frames: u64) -> Attempt {
    counted(frames, &Budget::new(u64::MAX))
}

/// The same, whose frames are in the budget until they are sent.
fn counted(frames: u64, budget: &Arc<Budget>) -> Attempt {
    let format = Format {
        encoder: EncoderSpec::parse(ENCODER, 0).unwrap(),
        input: CAPS.parse().unwrap(),
        decoder: None,
        filter: FilterSpec::default(),
        frame_caps: None,
        output: "video/x-h264".parse().unwrap(),
        lead_in: 0,
    };
    let input = Arc::new(ChunkInput::default());
    for n in 0..frames {
        let mut frame = gst::Buffer::from_mut_slice(vec![n as u8; FRAME]);
        frame.make_mut().set_pts(gst::ClockTime::from_mseconds(40 * n));
        input.push(frame, budget.count(FRAME as u64));
    }
    input.end();
    Attempt::new(Arc::new(format), input, None, Outlet::Store(Store::new(1 << 20)))
}

/// A worker by hand that joins `listener`, which it reaches `by` this address; as a coordinator sees it.
async fn joined(
    listener: Listener,
    by: SocketAddr,
    token: &Token,
    (misdeed, digest): (Option<Misdeed>, Option<[u8; 32]>),
) -> Arc<Site> {
    let (send, mut arrivals) = mpsc::channel(1);
    tokio::spawn(listener.run(send, CancellationToken::new()));
    let member = dial(by, token).await.unwrap();
    let Some(Arrival::Member(connection)) = arrivals.recv().await else { panic!("nobody came") };
    tokio::spawn(misdo(member, misdeed, digest));
    Site::meet(connection, Arc::<Formats>::default()).await.unwrap()
}

/// What becomes of an attempt with such a worker.
fn with(misdeed: Option<Misdeed>, digest: Option<[u8; 32]>) -> Result<Result<usize, LaneError>, Refusal> {
    let runtime = runtime();
    let token = Token::random().unwrap();
    runtime.block_on(async {
        let listener = Listener::bind(HERE, &token).unwrap();
        let address = listener.address().unwrap();
        let site = joined(listener, address, &token, (misdeed, digest)).await;
        assert_eq!((site.hello().name.as_str(), site.hello().slots), ("bad", 1));
        let encoded = site.encode(0, &attempt(5), || {}, Some(Duration::from_secs(1))).await;
        encoded.map(|outcome| outcome.map(|encoded| encoded.units.len()))
    })
}

#[test]
fn results_that_cannot_be_right_are_not_taken() {
    const KEY: gst::BufferFlags = gst::BufferFlags::empty();
    let misdeeds: [(&str, Misdeed); 8] = [
        ("no key frame", || written(&[head(), unit(gst::BufferFlags::DELTA_UNIT)])),
        ("units came", || {
            let hash = count(&[unit(gst::BufferFlags::DELTA_UNIT)]).hash;
            written(&[head(), unit(KEY), done(Count { units: 1, hash })])
        }),
        ("units came", || {
            let count = count(&[unit(KEY)]);
            written(&[head(), unit(KEY), done(Count { units: 2, ..count })])
        }),
        ("too early", || written(&[head(), unit(KEY)])),
        ("tag 0x7f", || vec![Bytes::from_static(b"\x7f\x00\x00\x00\x00")]),
        ("4294967295 bytes", || vec![Bytes::from_static(b"\x11\xff\xff\xff\xff")]),
        ("does not belong there", || written(&[unit(KEY)])),
        ("no known kind", || written(&[Message::Head(Head { caps: "=,=".into(), segment_start: 0 })])),
    ];
    for (said, misdeed) in misdeeds {
        match with(Some(misdeed), None) {
            Ok(Err(LaneError::Elsewhere(why))) => assert!(why.contains(said), "{said}: {why}"),
            other => panic!("{said}: {other:?}"),
        }
    }
}

#[test]
fn one_that_says_nothing_is_not_waited_for() {
    match with(None, None) {
        Ok(Err(LaneError::Elsewhere(why))) => assert!(why.contains("nothing moved"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Nor one that says the same for ever, or never ends.
    let told: Misdeed = || written(&vec![Message::Progress(Progress { frames: 1 }); 1000]);
    assert!(matches!(with(Some(told), None), Ok(Err(LaneError::Elsewhere(_)))));
    let endless: Misdeed = || {
        let units = std::iter::repeat_n(unit(gst::BufferFlags::empty()), 1000);
        written(&[head()].into_iter().chain(units).collect::<Vec<_>>())
    };
    match with(Some(endless), None) {
        Ok(Err(LaneError::Elsewhere(why))) => assert!(why.contains("it sends more units than"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_that_would_write_other_bytes_gets_no_chunk() {
    match with(None, Some([1; 32])) {
        Err(Refusal::Bytes(software)) => assert!(software.contains("x264enc of x264"), "{software}"),
        other => panic!("{other:?}"),
    }
}

/// A line to this address, and what cuts it.
async fn line(to: SocketAddr) -> (SocketAddr, CancellationToken) {
    let (near, far) = (UdpSocket::bind(HERE).await.unwrap(), UdpSocket::bind(HERE).await.unwrap());
    far.connect(to).await.unwrap();
    let (address, cut) = (near.local_addr().unwrap(), CancellationToken::new());
    let is_cut = cut.clone();
    tokio::spawn(async move {
        let (mut there, mut back, mut client) = ([0; 2048], [0; 2048], HERE);
        loop {
            tokio::select! {
                () = is_cut.cancelled() => return,
                Ok((size, from)) = near.recv_from(&mut there) => {
                    client = from;
                    far.send(&there[..size]).await.unwrap();
                }
                Ok(size) = far.recv(&mut back) => drop(near.send_to(&back[..size], client).await.unwrap()),
            }
        }
    });
    (address, cut)
}

#[test]
fn one_that_ends_with_its_process_is_not_waited_for() {
    let (here, token) = (runtime(), Token::random().unwrap());
    for _ in 0..10 {
        let there = runtime();
        let (worker, address) = listening(&there, &token);
        let connection = here.block_on(async {
            let mut hand = Hand::dial(address, &token).await;
            link::send(&mut hand.send, &Message::Goodbye(Goodbye::Done)).await.unwrap();
            hand.connection
        });
        assert_eq!(there.block_on(worker).unwrap().unwrap(), Ended::Done);
        there.shutdown_background();
        let closed = here.block_on(connection.closed());
        assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed}");
    }
}

#[test]
fn one_that_is_gone_is_not_blamed() {
    let runtime = runtime();
    let token = Token::random().unwrap();
    let outcome = runtime.block_on(async {
        let listener = Listener::bind(HERE, &token).unwrap();
        let (line, cut) = line(listener.address().unwrap()).await;
        let site = joined(listener, line, &token, (None, None)).await;
        let attempt = attempt(5);
        site.may_encode(&attempt.format).await.unwrap().unwrap();
        cut.cancel();
        site.encode(0, &attempt, || {}, Some(Duration::from_secs(1))).await.unwrap()
    });
    assert!(matches!(outcome, Err(LaneError::Lost(_))), "{outcome:?}");
}

#[test]
fn one_that_takes_nothing_gets_its_share_and_no_more() {
    const SHARE: u64 = 1 << 20;
    let (runtime, token, budget) = (runtime(), Token::random().unwrap(), Budget::new(u64::MAX));
    let attempt = counted(2000, &budget);
    let all = budget.bytes();
    let outcome = runtime.block_on(async {
        let listener = Listener::bind(HERE, &token).unwrap();
        let (line, cut) = line(listener.address().unwrap()).await;
        let site = joined(listener, line, &token, (None, None)).await;
        site.may_encode(&attempt.format).await.unwrap().unwrap();
        site.share(SHARE);
        cut.cancel();
        site.encode(0, &attempt, || {}, Some(Duration::from_secs(1))).await.unwrap()
    });
    assert!(matches!(outcome, Err(LaneError::Lost(_))), "{outcome:?}");
    let taken = all - budget.bytes();
    assert!(all > 8 * SHARE && taken > SHARE / 2 && taken < SHARE + 4 * FRAME as u64, "{taken} of {all}");
}
