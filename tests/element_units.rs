//! Compressed units and events on the sink pad of `divienenc`, one by one.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gst_check::Harness;
use proptest::prelude::*;

use element_common::*;

const X264: &str = "x264enc speed-preset=ultrafast pass=qual quantizer=20";

/// A stream's caps and units.
#[derive(Debug, Clone)]
struct Stream {
    caps: gst::Caps,
    units: Vec<gst::Buffer>,
}

/// Frames of 40 ms through `encoder`, parsed.
fn coded(frames: u32, size: &str, encoder: &str) -> Stream {
    init();
    let line = format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,{size},framerate=25/1 ! {encoder} ! \
         appsink name=sink sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut stream = Stream { caps: gst::Caps::new_empty(), units: Vec::new() };
    while let Ok(sample) = sink.pull_sample() {
        stream.caps = sample.caps_owned().unwrap();
        let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().clone();
        let mut unit = sample.buffer_owned().unwrap();
        let writable = unit.make_mut();
        let pts = writable.pts().and_then(|pts| segment.to_running_time(pts));
        writable.set_pts(pts);
        writable.set_dts(gst::ClockTime::NONE);
        stream.units.push(unit);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    stream
}

const SMALL: &str = "width=64,height=48";

/// Closed GOPs of 10 frames with two B pictures in a row.
fn h264(frames: u32) -> Stream {
    coded(
        frames,
        SMALL,
        "x264enc speed-preset=veryfast key-int-max=10 bframes=2 b-adapt=false option-string=\"scenecut=0\" ! h264parse ! \
         video/x-h264,stream-format=byte-stream,alignment=au",
    )
}

fn jpeg(frames: u32) -> Stream {
    coded(frames, SMALL, "jpegenc ! jpegparse")
}

fn damaged(unit: &gst::Buffer) -> gst::Buffer {
    let mut bad = gst::Buffer::from_mut_slice(vec![0; unit.size()]);
    unit.copy_into(bad.get_mut().unwrap(), gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS, ..).unwrap();
    bad
}

/// An element that takes this stream.
fn taking(stream: &Stream, encoder: &str, chunk_frames: u32) -> (Harness, gst::Bus) {
    let (h, bus) = unset(encoder, chunk_frames);
    begin(h, bus, stream)
}

fn unset(encoder: &str, chunk_frames: u32) -> (Harness, gst::Bus) {
    within(1 << 30, encoder, chunk_frames)
}

/// An element that holds so many bytes at most.
fn within(most: u64, encoder: &str, chunk_frames: u32) -> (Harness, gst::Bus) {
    init();
    let element = gst::ElementFactory::make("divienenc")
        .property("encoder", encoder)
        .property("workers", 3u32)
        .property("chunk-frames", chunk_frames)
        .property("max-buffered-bytes", most)
        .build()
        .unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (Harness::with_element(&element, Some("sink"), Some("src")), bus)
}

fn begin(mut h: Harness, bus: gst::Bus, stream: &Stream) -> (Harness, gst::Bus) {
    h.set_src_caps(stream.caps.clone());
    (h, bus)
}

fn push(h: &mut Harness, units: &[gst::Buffer]) {
    units.iter().for_each(|unit| assert_eq!(h.push(unit.clone()), Ok(gst::FlowSuccess::Ok)));
}

/// The presentation times of key frames, counted in frames.
fn keys(units: &[gst::Buffer], start: gst::ClockTime) -> Vec<u64> {
    frames_of(&units.iter().filter(|unit| is_key(unit)).cloned().collect::<Vec<_>>(), start)
}

fn drained(mut h: Harness) -> (Vec<u64>, Vec<u64>) {
    let units = drain(&mut h);
    let start = segment_start(&h);
    (frames_of(&units, start), keys(&units, start))
}

fn warnings(bus: &gst::Bus) -> Vec<String> {
    let text = |message: gst::Message| match message.view() {
        gst::MessageView::Warning(warning) => warning.error().message().to_owned(),
        _ => unreachable!(),
    };
    std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning])).map(text).collect()
}

#[test]
fn a_key_frame_asked_for_before_the_first_frame_is_that_frame() {
    let stream = h264(30);
    let at_once = gst_video::UpstreamForceKeyUnitEvent::builder().build();
    let at_zero = gst_video::UpstreamForceKeyUnitEvent::builder().running_time(gst::ClockTime::ZERO).build();
    for (event, start) in [(at_once, 0), (at_zero, 10)] {
        let (mut h, _) = unset(X264, 100);
        h.set_src_caps(stream.caps.clone());
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        // Within the first frame.
        segment.set_start(gst::ClockTime::from_mseconds(start));
        h.push_event(gst::event::Segment::new(&segment));
        h.push_upstream_event(event);
        push(&mut h, &stream.units);
        let units = drain(&mut h);
        assert_eq!((units.len(), units.iter().filter(|unit| is_key(unit)).count()), (30, 1), "from {start} ms");
    }
}

#[test]
fn a_key_frame_asked_for_on_the_way_is_the_next_that_can_be() {
    let stream = h264(60);
    let (mut h, _) = taking(&stream, X264, 100);
    push(&mut h, &stream.units[..14]);
    h.push_event(gst_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).count(7).build());
    push(&mut h, &stream.units[14..]);
    let (frames, keys) = drained(h);
    assert_eq!(frames, (0..60).collect::<Vec<_>>());
    // The 14 units that came hold frames up to this one's neighbour.
    let latest = stream.units[..14].iter().map(|unit| unit.pts().unwrap() / FRAME).max().unwrap();
    assert_eq!(keys, [0, latest + 1]);
}

/// What leaves, in its order: frames and events by number.
fn watched(h: &Harness) -> Arc<Mutex<Vec<(&'static str, u64)>>> {
    let order = Arc::<Mutex<Vec<_>>>::default();
    let seen = order.clone();
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    let exit = h.element().unwrap().static_pad("src").unwrap();
    exit.add_probe(mask, move |_, info| {
        let what = match &info.data {
            Some(gst::PadProbeData::Buffer(unit)) => Some(("frame", unit.pts().unwrap() / FRAME)),
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::CustomDownstream(e) if e.has_name("mine") => {
                    Some(("custom", e.structure().unwrap().get("before").unwrap()))
                }
                gst::EventView::Gap(gap) => Some(("gap", gap.get().0 / FRAME)),
                gst::EventView::Tag(tag) => {
                    tag.tag().get::<gst::tags::Title>().map(|title| ("tag", title.get().parse().unwrap()))
                }
                _ => None,
            },
            _ => None,
        };
        seen.lock().unwrap().extend(what);
        gst::PadProbeReturn::Ok
    });
    order
}

#[test]
fn events_keep_their_place_among_the_frames_that_are_not_decoded_yet() {
    let stream = jpeg(30);
    let (mut h, _) = taking(&stream, "jpegenc", 10);
    let order = watched(&h);
    let custom = |n: u64| {
        let structure = gst::Structure::builder("mine").field("before", n).build();
        gst::event::CustomDownstream::builder(structure).build()
    };
    for (n, unit) in (0..).zip(&stream.units) {
        if [0, 4, 10, 17].contains(&n) {
            h.push_event(custom(n));
            let mut tags = gst::TagList::new();
            tags.make_mut().add::<gst::tags::Title>(&format!("{n}").as_str(), gst::TagMergeMode::Replace);
            h.push_event(gst::event::Tag::new(tags));
            h.push_event(gst::event::Gap::builder(FRAME * n).duration(FRAME / 2).build());
        }
        push(&mut h, std::slice::from_ref(unit));
    }
    drain(&mut h);
    let order = order.lock().unwrap();
    let place = |what: (&str, u64)| order.iter().position(|seen| *seen == what).unwrap_or_else(|| panic!("{what:?}"));
    for n in [0, 4, 10, 17] {
        for event in ["custom", "tag", "gap"] {
            let at = place((event, n));
            assert!(at < place(("frame", n)), "{event} {n} of {order:?}");
            assert!(n == 0 || at > place(("frame", n - 1)), "{event} {n} of {order:?}");
        }
    }
}

#[test]
fn a_gap_that_outlasts_the_chunk_lets_the_frames_before_it_go() {
    let stream = h264(40);
    let (mut h, _) = taking(&stream, X264, 10);
    push(&mut h, &stream.units[..20]);
    // Two whole groups, of which the second waits for more.
    h.push_event(gst::event::Gap::builder(FRAME * 20).duration(FRAME * 50).build());
    while h.pull_event().unwrap().type_() != gst::EventType::Gap {}
    assert_eq!(h.buffers_received(), 20);
    let later: Vec<_> = stream.units[20..]
        .iter()
        .cloned()
        .map(|mut unit| {
            let pts = unit.pts().unwrap() + FRAME * 50;
            unit.make_mut().set_pts(pts);
            unit
        })
        .collect();
    push(&mut h, &later);
    assert_eq!(drained(h).0, (0..20).chain(70..90).collect::<Vec<_>>());
}

#[test]
fn a_gap_between_pictures_that_change_places_moves_nothing() {
    let stream = h264(40);
    let (mut h, _) = taking(&stream, X264, 10);
    // The next unit is shown before this one.
    let last = stream.units.windows(2).skip(21).position(|pair| pair[1].pts() < pair[0].pts()).unwrap() + 21;
    let order = watched(&h);
    push(&mut h, &stream.units[..=last]);
    let structure = gst::Structure::builder("mine").field("before", 0u64).build();
    h.push_event(gst::event::CustomDownstream::builder(structure).build());
    let asked = gst_video::UpstreamForceKeyUnitEvent::builder().running_time(FRAME * 35).build();
    assert!(h.push_upstream_event(asked));
    h.push_event(gst::event::Gap::builder(FRAME * 30).duration(FRAME * 90).build());
    push(&mut h, &stream.units[last + 1..]);
    let (frames, keys) = drained(h);
    assert_eq!(frames, (0..40).collect::<Vec<_>>());
    assert!(keys.contains(&35), "{keys:?}");
    let order = order.lock().unwrap();
    let before = order.iter().take_while(|(what, _)| *what != "custom").filter(|(what, _)| *what == "frame").count();
    assert!((20..40).contains(&before), "{before} of {order:?}");
}

#[test]
fn a_short_gap_cuts_nothing() {
    let stream = h264(20);
    let (mut h, _) = taking(&stream, X264, 10);
    push(&mut h, &stream.units[..10]);
    h.push_event(gst::event::Gap::builder(FRAME * 10).duration(FRAME).build());
    push(&mut h, &stream.units[10..]);
    assert_eq!(drained(h), ((0..20).collect(), vec![0, 10]));
}

#[test]
fn a_unit_that_nothing_can_read_is_a_frame_that_is_missed() {
    let mut stream = h264(40);
    let spoilt = stream.units[39].pts().unwrap() / FRAME;
    stream.units[39] = damaged(&stream.units[39]);
    let (mut h, bus) = taking(&stream, X264, 20);
    push(&mut h, &stream.units);
    assert_eq!(drained(h).0, (0..40).filter(|n| *n != spoilt).collect::<Vec<_>>());
    let told = warnings(&bus);
    assert!(told.len() == 1 && told[0].contains(&format!("1 missing: {spoilt} at")), "{told:?}");
}

#[test]
fn a_unit_at_which_a_decoder_fails_does_not_end_the_stream() {
    let stream = coded(
        30,
        SMALL,
        "av1enc cpu-used=8 keyframe-max-dist=10 lag-in-frames=0 ! av1parse ! video/x-av1,alignment=tu",
    );
    // A chunk's first unit, before anything of it has come out, and one in its middle.
    for spoilt in [10, 14] {
        let mut stream = stream.clone();
        let unit = &mut stream.units[spoilt];
        let mut bytes = unit.map_readable().unwrap().to_vec();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xff);
        let mut bad = gst::Buffer::from_mut_slice(bytes);
        let copied = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
        unit.copy_into(bad.get_mut().unwrap(), copied, ..).unwrap();
        *unit = bad;
        let (mut h, bus) = taking(&stream, X264, 10);
        push(&mut h, &stream.units);
        let frames = drained(h).0;
        assert!(frames.len() < 30 && (0..10).chain(20..30).all(|n| frames.contains(&n)), "{frames:?}");
        let told = warnings(&bus);
        assert!(
            told.len() == 1 && told[0].contains(&format!("{} missing: {spoilt} at", 30 - frames.len())),
            "{told:?}"
        );
    }
}

#[test]
fn what_cannot_be_decoded_before_the_first_key_frame_is_told() {
    let mut stream = h264(30);
    stream.units[0] = damaged(&stream.units[0]);
    let (mut h, bus) = taking(&stream, X264, 20);
    push(&mut h, &stream.units);
    assert_eq!(drained(h).0, (10..30).collect::<Vec<_>>());
    let message = bus.pop_filtered(&[gst::MessageType::Info, gst::MessageType::Warning]).unwrap();
    let gst::MessageView::Info(info) = message.view() else { panic!("{message:?}") };
    let text = info.error().message().to_owned();
    assert!(text.contains("10 before the first that can be decoded: 0 at 0.000 s"), "{text}");
    assert_eq!(info.details().unwrap().get::<gst::Array>("unreachable").unwrap().len(), 10);
}

#[test]
fn a_frame_has_the_time_of_the_hidden_one_before_it_where_it_has_none() {
    let mut stream = coded(40, SMALL, "vp8enc keyframe-max-dist=10 deadline=1 cpu-used=8");
    let shown = stream.units[15].make_mut();
    let mut bytes = shown.map_readable().unwrap().to_vec();
    // show_frame
    bytes[0] &= !0x10;
    let mut hidden = gst::Buffer::from_mut_slice(bytes);
    hidden.get_mut().unwrap().set_pts(shown.pts());
    shown.set_pts(gst::ClockTime::NONE);
    stream.units.insert(15, hidden);
    let (mut h, bus) = taking(&stream, X264, 10);
    push(&mut h, &stream.units);
    assert_eq!(drained(h).0, (0..40).collect::<Vec<_>>());
    assert_eq!(warnings(&bus), Vec::<String>::new());
}

#[test]
fn a_chunk_of_which_nothing_is_left_is_passed_over_whatever_the_encoder() {
    let mut stream = jpeg(30);
    for unit in &mut stream.units[10..20] {
        *unit = damaged(unit);
    }
    for encoder in [
        X264,
        "x265enc speed-preset=ultrafast",
        "av1enc cpu-used=9",
        "vp8enc cpu-used=16",
        "vp9enc cpu-used=8",
        "openh264enc",
        "theoraenc",
        "jpegenc",
        "avenc_ffv1",
        "avenc_prores_ks",
        "avenc_mpeg4",
    ] {
        let (mut h, bus) = taking(&stream, encoder, 10);
        push(&mut h, &stream.units);
        let units: Vec<_> = drain(&mut h).into_iter().filter(|unit| unit.pts().is_some()).collect();
        let frames = frames_of(&units, segment_start(&h));
        assert_eq!(frames, (0..10).chain(20..30).collect::<Vec<_>>(), "{encoder}");
        assert!(warnings(&bus)[0].contains("10 missing"), "{encoder}");
    }
}

#[test]
fn a_group_that_is_larger_than_the_budget_is_an_error_and_no_growth() {
    let stream = coded(
        200,
        "width=160,height=120",
        "x264enc speed-preset=veryfast key-int-max=100000 ! h264parse ! video/x-h264,alignment=au",
    );
    let all: usize = stream.units.iter().map(|unit| unit.size()).sum();
    let (mut h, bus) = within(all as u64 / 2, X264, 20);
    h.set_src_caps(stream.caps.clone());
    let refused = stream.units.iter().position(|unit| h.push(unit.clone()).is_err()).unwrap();
    assert!((20..180).contains(&refused), "{refused}");
    let error = error_text(&bus);
    assert!(error.contains("key frames are too far apart") && error.contains("max-buffered-bytes"), "{error}");
}

#[test]
fn a_chunk_that_is_larger_than_the_budget_is_cut_where_it_can_be() {
    let stream = jpeg(300);
    let each = stream.units.iter().map(|unit| unit.size() as u64).max().unwrap();
    let (mut h, _) = within(each * 60, X264, 100);
    h.set_src_caps(stream.caps.clone());
    for unit in &stream.units {
        push(&mut h, std::slice::from_ref(unit));
        let stats: gst::Structure = h.element().unwrap().property("stats");
        assert!(stats.get::<u64>("bytes-buffered").unwrap() <= each * 60);
    }
    let (frames, keys) = drained(h);
    assert_eq!(frames, (0..300).collect::<Vec<_>>());
    assert!((4..12).contains(&keys.len()), "{keys:?}");
}

#[test]
fn a_flush_leaves_a_clean_element() {
    let stream = h264(60);
    let (mut h, _) = taking(&stream, X264, 10);
    push(&mut h, &stream.units[..35]);
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    while h.try_pull().is_some() {}
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(FRAME * 40);
    h.push_event(gst::event::Segment::new(&segment));
    push(&mut h, &stream.units[40..]);
    let units = drain(&mut h);
    let frames: Vec<u64> = frames_of(&units, segment_start(&h));
    assert_eq!(frames, (0..20).collect::<Vec<_>>());
}

#[test]
fn another_codec_begins_a_new_section() {
    let first = h264(20);
    let second = coded(
        20,
        SMALL,
        "x265enc speed-preset=ultrafast key-int-max=10 ! h265parse ! video/x-h265,stream-format=byte-stream,alignment=au",
    );
    let third = jpeg(20);
    let (mut h, bus) = taking(&first, X264, 10);
    let later = |stream: &Stream, by: u64| -> Vec<gst::Buffer> {
        let shifted = stream.units.iter().cloned().map(|mut unit| {
            let pts = unit.pts().unwrap() + FRAME * by;
            unit.make_mut().set_pts(pts);
            unit
        });
        shifted.collect()
    };
    push(&mut h, &first.units);
    for (stream, by) in [(&second, 20), (&third, 40), (&first, 60)] {
        h.push_event(gst::event::Caps::new(&stream.caps));
        push(&mut h, &later(stream, by));
    }
    h.push_event(gst::event::Caps::new(&CAPS.parse().unwrap()));
    push_frames(&mut h, 80..90);
    h.push_event(gst::event::Caps::new(&third.caps));
    push(&mut h, &later(&third, 90));
    assert_eq!(drained(h).0, (0..110).collect::<Vec<_>>());
    assert_eq!(warnings(&bus), Vec::<String>::new());
}

#[test]
fn a_segment_may_start_anywhere() {
    let stream = h264(30);
    let (mut h, _) = unset(X264, 10);
    h.set_src_caps(stream.caps.clone());
    let hour = gst::ClockTime::from_seconds(3600);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(hour);
    segment.set_time(hour);
    h.push_event(gst::event::Segment::new(&segment));
    for mut unit in stream.units.iter().cloned() {
        let pts = unit.pts().unwrap() + hour;
        unit.make_mut().set_pts(pts);
        push(&mut h, &[unit]);
    }
    assert_eq!(drained(h), ((0..30).collect(), vec![0, 10, 20]));
}

#[test]
fn times_that_are_missing_double_or_of_long_before_are_errors_that_name_the_packet() {
    let stream = jpeg(60);
    let told = |change: &dyn Fn(&mut gst::BufferRef)| {
        let mut stream = stream.clone();
        change(stream.units[40].make_mut());
        let (mut h, bus) = taking(&stream, X264, 10);
        assert!(stream.units.iter().any(|unit| h.push(unit.clone()).is_err()));
        error_text(&bus)
    };
    assert!(told(&|unit| unit.set_pts(gst::ClockTime::NONE)).contains("packet 40 has no presentation time"));
    assert!(told(&|unit| unit.set_pts(FRAME * 39)).contains("packet 40 has the time of another"));
    assert!(told(&|unit| unit.set_pts(FRAME)).contains("packet 40 has a time of long before"));
}

#[test]
fn reverse_segments_are_refused() {
    let stream = h264(10);
    let (mut h, bus) = taking(&stream, X264, 10);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    h.push_event(gst::event::Segment::new(&segment));
    assert!(error_text(&bus).contains("forward"));
}

#[test]
fn one_frame_is_a_stream() {
    for stream in [h264(1), jpeg(1)] {
        let (mut h, _) = taking(&stream, X264, 250);
        push(&mut h, &stream.units);
        assert_eq!(drained(h).0, [0]);
    }
}

#[test]
fn where_decoding_starts_the_flags_of_the_unit_do_not_matter() {
    let mut stream = coded(30, SMALL, "vp8enc keyframe-max-dist=10 deadline=1 cpu-used=8");
    let starts = stream.units.iter().filter(|unit| is_key(unit)).count();
    assert_eq!(starts, 3);
    stream.units.iter_mut().for_each(|unit| unit.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT));
    let (mut h, bus) = taking(&stream, X264, 10);
    push(&mut h, &stream.units);
    assert_eq!(drained(h), ((0..30).collect(), vec![0, 10, 20]));
    assert_eq!(warnings(&bus), Vec::<String>::new());
}

#[test]
fn the_latency_has_room_for_the_frames_that_a_cut_waits_for() {
    let stream = h264(40);
    let caps = |framerate: bool| {
        let mut caps = stream.caps.clone();
        if !framerate {
            caps.make_mut().iter_mut().for_each(|s| s.remove_field("framerate"));
        }
        caps
    };
    for framerate in [true, false] {
        let (mut h, _) = unset(X264, 10);
        h.set_src_caps(caps(framerate));
        push(&mut h, &stream.units[..4]);
        // Four chunks of up to 15 frames, and 16 frames that may be reordered.
        assert_eq!(h.query_latency(), Some(FRAME * (4 * 15 + 16)), "{framerate}");
        let begun =
            |h: &Harness| h.element().unwrap().property::<gst::Structure>("stats").get::<u64>("frames-in") != Ok(0);
        let needed = stream.units.iter().skip(4).position(|unit| {
            push(&mut h, std::slice::from_ref(unit));
            begun(&h)
        });
        assert!(needed.is_some_and(|more| 4 + more < 15 + 16), "{needed:?}");
    }
}

/// What may happen to a stream on its way.
#[derive(Debug, Clone)]
enum Act {
    Units(usize),
    Lose(usize),
    Damage,
    Key(Option<u64>),
    Gap(u64),
    Mark,
    Segment(u64),
    Stream,
    Caps(usize),
    Flush,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (1usize..25).prop_map(Act::Units),
        1 => (1usize..15).prop_map(Act::Lose),
        1 => Just(Act::Damage),
        2 => proptest::option::of(0u64..120).prop_map(Act::Key),
        1 => (0u64..60).prop_map(Act::Gap),
        2 => Just(Act::Mark),
        1 => (0u64..80).prop_map(Act::Segment),
        1 => Just(Act::Stream),
        2 => (0usize..3).prop_map(Act::Caps),
        1 => Just(Act::Flush),
    ];
    proptest::collection::vec(act, 1..25)
}

/// Puts streams through an element as the acts say. Returns what left, and the error if there was one.
fn through(streams: &[Stream], chunk_frames: u32, acts: &[Act]) -> (Vec<gst::Buffer>, bool) {
    let (mut h, bus) = taking(&streams[0], "jpegenc", chunk_frames);
    let (mut at, mut which) = (0usize, 0usize);
    for act in acts {
        let next = |at: usize| {
            let stream = &streams[which];
            let mut unit = stream.units[at % stream.units.len()].clone();
            let pts = unit.pts().unwrap() + FRAME * (at / stream.units.len() * stream.units.len()) as u64;
            unit.make_mut().set_pts(pts);
            unit
        };
        match act {
            // A refused unit has an error that is looked for at the end.
            Act::Units(n) => (0..*n).for_each(|_| {
                let _ = h.push(next(at));
                at += 1;
            }),
            Act::Lose(n) => at += n,
            Act::Damage => {
                let _ = h.push(damaged(&next(at)));
                at += 1;
            }
            Act::Key(time) => {
                let time = time.map(|n| FRAME * n);
                h.push_upstream_event(gst_video::UpstreamForceKeyUnitEvent::builder().running_time(time).build());
            }
            Act::Gap(frames) => {
                h.push_event(gst::event::Gap::builder(FRAME * at as u64).duration(FRAME * *frames).build());
            }
            Act::Mark => {
                h.push_event(gst::event::CustomDownstream::new(gst::Structure::new_empty("mine")));
            }
            Act::Segment(from) => {
                let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
                segment.set_start(FRAME * *from);
                h.push_event(gst::event::Segment::new(&segment));
            }
            Act::Stream => {
                h.push_event(gst::event::StreamStart::new("another"));
                h.push_event(gst::event::Caps::new(&streams[which].caps));
                h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
            }
            Act::Caps(n) => {
                which = n % streams.len();
                h.push_event(gst::event::Caps::new(&streams[which].caps));
            }
            Act::Flush => {
                h.push_event(gst::event::FlushStart::new());
                h.push_event(gst::event::FlushStop::new(true));
                h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
            }
        }
    }
    let units = drain(&mut h);
    let failed = bus.pop_filtered(&[gst::MessageType::Error]).is_some();
    (units, failed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_units_and_events_is_a_panic_or_a_hang(acts in acts(), chunk_frames in 1u32..30) {
        let streams = [h264(40), jpeg(40), h264(30)];
        let (units, failed) = through(&streams, chunk_frames, &acts);
        prop_assert!(failed || units.iter().all(|unit| unit.pts().is_some()));
    }

    /// Without losses and new starts every frame comes out once and in its order.
    #[test]
    fn no_order_of_events_costs_a_frame(acts in acts(), chunk_frames in 1u32..30) {
        let is_harmless = |act: &Act| matches!(act, Act::Units(_) | Act::Key(_) | Act::Mark);
        let acts: Vec<Act> = acts.into_iter().filter(is_harmless).collect();
        let (units, failed) = through(&[h264(40)], chunk_frames, &acts);
        let pushed: usize = acts.iter().map(|act| if let Act::Units(n) = act { *n } else { 0 }).sum();
        prop_assert!(!failed);
        let times: Vec<_> = units.iter().map(|unit| unit.pts().unwrap()).collect();
        prop_assert_eq!(times.len(), pushed);
        prop_assert!(times.is_sorted_by(|a, b| a < b));
    }
}
