//! Messages as bytes, and back.

use proptest::prelude::*;

use super::super::frame::Decoder;
use super::*;

/// One of each, with all there is in it.
fn all() -> Vec<Message> {
    let software = vec![Software { name: "x264enc".into(), version: "164".into() }];
    let tally = Count { units: 3, hash: [7; 32] };
    let layout = Layout {
        format: "I420".into(),
        width: 64,
        height: 48,
        flags: 1,
        planes: vec![Plane { offset: 0, stride: 64 }, Plane { offset: 3072, stride: -32 }],
    };
    let unit = Unit {
        pts: Some(40_000_000),
        dts: None,
        duration: Some(1),
        flags: 0x2000,
        layout: Some(layout),
        captions: vec![Caption { kind: 3, data: vec![1, 2] }],
    };
    let frame = WantedFrame { pts: 5, shown: 6, length: Some(7) };
    vec![
        Message::Hello(Hello {
            minor: 0,
            instance: [5; 16],
            name: "attic".into(),
            slots: 2,
            cores: 4,
            memory: 1 << 33,
            software: software.clone(),
        }),
        Message::Welcome(Welcome { minor: 0 }),
        Message::Format(Format {
            id: 1,
            encoder: "x264enc speed-preset=slow".into(),
            threads: 0,
            input: "video/x-h264".into(),
            decoder: Some("avdec_h264".into()),
            filter: "videoscale".into(),
            frame_caps: Some("a".into()),
            output: "ANY".into(),
            lead_in: 5,
        }),
        Message::Fit(Fit { format: 1, software, digest: [9; 32] }),
        Message::Unfit(Unfit { format: 1, reason: "no".into() }),
        Message::Drain,
        Message::Goodbye(Goodbye::Done),
        Message::Goodbye(Goodbye::Ended("disk full".into())),
        Message::Goodbye(Goodbye::Refused("x264 163".into())),
        Message::Begin(Begin {
            chunk: 300,
            format: 1,
            is_first: false,
            wanted: Some(Wanted { start: Some(Start::Recovers), frames: vec![frame], context: vec![4] }),
        }),
        Message::Begin(Begin { chunk: 0, format: 1, is_first: true, wanted: None }),
        Message::Unit(unit, Bytes::from_static(b"media")),
        Message::End(End { tally }),
        Message::Head(Head { caps: "video/x-h264".into(), segment_start: 1 }),
        Message::Progress(Progress { frames: 250 }),
        Message::Done(Done {
            tally,
            frames: 250,
            tags: Some("taglist".into()),
            lost: Lost { missing: vec![1], unreachable: vec![2], damaged: vec![3], strange: 4 },
        }),
        Message::Failed(Failed { blame: Blame::Worker, reason: "out of memory".into() }),
        Message::Complaints(Complaints { count: 2, first: Some((40, "damaged".into())) }),
    ]
}

fn bytes(message: &Message) -> Bytes {
    message.write().unwrap().concat().into()
}

fn read(bytes: Bytes) -> Result<Option<Message>, MessageError> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let frame = decoder.next_frame()?.expect("a whole frame");
    decoder.end()?;
    Message::read(frame)
}

#[test]
fn messages_come_out_as_they_went_in() {
    for message in all() {
        assert_eq!(read(bytes(&message)), Ok(Some(message)));
    }
}

/// What version 1.0 writes. A message that is added goes to the end of the file; a line that is there never changes, since
/// others read it. `DIVIEN_RECORD=1` writes the file.
#[test]
fn bytes_of_released_versions_are_read_and_written_for_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/message/recorded.hex");
    let lines: Vec<_> = all().iter().map(|message| data_encoding::HEXLOWER.encode(&bytes(message))).collect();
    if std::env::var_os("DIVIEN_RECORD").is_some() {
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let recorded = std::fs::read_to_string(path).unwrap();
    for ((line, now), message) in recorded.lines().zip(&lines).zip(all()) {
        assert_eq!(line, now, "{} is written in another way", message.name());
        let bytes = data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap();
        assert_eq!(read(bytes.into()), Ok(Some(message)));
    }
    assert_eq!(recorded.lines().count(), lines.len());
}

#[test]
fn what_later_versions_add_is_passed_over_where_it_may_be() {
    let optional = Frame { tag: 0xff, body: Bytes::from_static(b"from the future") };
    assert_eq!(Message::read(optional), Ok(None));
    let needed = Frame { tag: 0x7f, body: Bytes::new() };
    assert_eq!(Message::read(needed), Err(MessageError::Unknown(0x7f)));
}

#[test]
fn bodies_that_end_too_early_or_too_late_are_refused() {
    for message in all() {
        let whole = bytes(&message);
        let (tag, body) = (whole[0], whole.slice(frame::HEAD..));
        if !matches!(message, Message::Unit(..)) {
            let longer = [&body[..], &[0]].concat();
            assert_eq!(Message::read(Frame { tag, body: longer.into() }), Err(MessageError::Rest(tag, 1)));
        }
        let head = body.len() - if let Message::Unit(_, media) = &message { media.len() } else { 0 };
        for end in 0..head {
            assert_eq!(
                Message::read(Frame { tag, body: body.slice(..end) }),
                Err(MessageError::Body(tag)),
                "{message:?}"
            );
        }
    }
}

#[test]
fn a_list_that_claims_to_be_endless_takes_no_memory() {
    // A tally, no tags, and a list with 2^63 times.
    let mut body = postcard::to_stdvec(&(Count { units: 0, hash: [0; 32] }, 0u64, None::<String>)).unwrap();
    body.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(Message::read(Frame { tag: tag::DONE, body: body.into() }), Err(MessageError::Body(tag::DONE)));
}

fn wanted(frames: usize) -> Message {
    let frame = WantedFrame { pts: u64::MAX, shown: u64::MAX, length: Some(u64::MAX) };
    let wanted = Wanted { start: None, frames: vec![frame; frames], context: vec![u64::MAX; frames / 100] };
    Message::Begin(Begin { chunk: u64::MAX, format: u32::MAX, is_first: true, wanted: Some(wanted) })
}

#[test]
fn a_chunk_of_hours_is_described_and_a_longer_one_is_not() {
    // Times that take as many bytes as any can.
    let (hours, longer) = (wanted(500_000), wanted(MOST_FRAMES + 1));
    assert_eq!(read(bytes(&hours)), Ok(Some(hours)));
    assert_eq!(longer.write(), Err(MessageError::Long(tag::BEGIN)));
}

#[test]
fn few_bytes_do_not_become_many_in_memory() {
    // As many frames as there is room for, each of them as short as any can be.
    for (tag, head) in [(tag::BEGIN, &[0, 0, 0, 1, 0][..]), (tag::DONE, &[0; 35][..])] {
        let mut body = head.to_vec();
        let count = frame::MOST_LIST as usize / 3 - 100;
        body.extend(postcard::to_stdvec(&count).unwrap());
        body.resize(frame::MOST_LIST as usize, 0);
        assert_eq!(Message::read(Frame { tag, body: body.into() }), Err(MessageError::Body(tag)));
    }
    let caption = Caption { kind: 0, data: Vec::new() };
    let unit = |count| Unit { captions: vec![caption.clone(); count], ..Unit::default() };
    let (many, more) = (Message::Unit(unit(1 << 18), Bytes::from_static(b"media")), unit(1 << 20));
    assert_eq!(read(bytes(&many)), Ok(Some(many)));
    let body = postcard::to_stdvec(&more).unwrap();
    assert_eq!(Message::read(Frame { tag: tag::UNIT, body: body.into() }), Err(MessageError::Body(tag::UNIT)));
    assert!(Message::Unit(more, Bytes::new()).write().is_err());
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(tag in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::read(Frame { tag, body: body.into() });
    }

    #[test]
    fn what_can_be_read_is_written_the_same(tag in 0u8..0x30, body in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(Some(message)) = Message::read(Frame { tag, body: body.into() }) {
            prop_assert_eq!(read(bytes(&message)), Ok(Some(message)));
        }
    }
}
