//! What passes the pads of `divienenc`: frames, events, queries, errors.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use gst::prelude::*;
use gst_check::Harness;

use element_common::*;

#[test]
fn every_frame_comes_out_once_with_its_own_time() {
    for chunk in [1, 2, 7, 10, 100] {
        let (mut h, _) = element("x264enc", chunk);
        push_frames(&mut h, 0..23);
        let units = drain(&mut h);
        assert_eq!(frames_of(&units, segment_start(&h)), (0..23).collect::<Vec<_>>(), "chunks of {chunk}");
        let dts: Vec<_> = units.iter().map(|u| u.dts().unwrap()).collect();
        assert!(dts.windows(2).all(|w| w[0] < w[1]));
        assert!(units.iter().all(|u| u.dts() <= u.pts()));
    }
}

#[test]
fn a_stream_starts_with_one_discont_and_has_no_other() {
    let (mut h, _) = element("vp8enc", 5);
    push_frames(&mut h, 0..20);
    let units = drain(&mut h);
    let disconts: Vec<_> = units.iter().map(|u| u.flags().contains(gst::BufferFlags::DISCONT)).collect();
    assert!(disconts[0] && disconts[1..].iter().all(|d| !d));
}

#[test]
fn one_frame_is_a_stream() {
    for encoder in ["x264enc", "x265enc", "vp9enc", "jpegenc"] {
        let (mut h, _) = element(encoder, 250);
        push_frames(&mut h, 0..1);
        let units = drain(&mut h);
        assert_eq!(frames_of(&units, segment_start(&h)), [0], "{encoder}");
    }
}

#[test]
fn no_frame_is_no_error() {
    let (mut h, bus) = element("x264enc", 10);
    assert!(drain(&mut h).is_empty());
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn variable_frame_times_survive() {
    let (mut h, _) = element("x264enc bframes=2", 8);
    let times: Vec<u64> = (0..40)
        .scan(0, |t, n| {
            *t += 1_000_003 * (n % 7 + 1);
            Some(*t)
        })
        .collect();
    for &pts in &times {
        let mut buffer = frame(0);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_nseconds(pts));
        buffer.get_mut().unwrap().set_duration(gst::ClockTime::NONE);
        h.push(buffer).unwrap();
    }
    let units = drain(&mut h);
    let start = segment_start(&h);
    let mut out: Vec<_> = units.iter().map(|u| (u.pts().unwrap() - start).nseconds()).collect();
    out.sort_unstable();
    assert_eq!(out, times);
}

#[test]
fn a_key_frame_asked_for_from_either_side_starts_a_chunk_at_its_frame() {
    for encoder in ["x264enc", "vp9enc", "av1enc usage-profile=realtime cpu-used=8", "vp8enc"] {
        let (mut h, _) = element(encoder, 100);
        push_frames(&mut h, 0..5);
        h.push_event(gst_video::DownstreamForceKeyUnitEvent::builder().all_headers(true).count(3).build());
        push_frames(&mut h, 5..9);
        let at = FRAME * 12;
        h.push_upstream_event(
            gst_video::UpstreamForceKeyUnitEvent::builder().running_time(at).all_headers(false).build(),
        );
        push_frames(&mut h, 9..15);
        let units = drain(&mut h);
        let start = segment_start(&h);
        let keys: Vec<_> = units.iter().filter(|u| is_key(u)).map(|u| (u.pts().unwrap() - start) / FRAME).collect();
        assert_eq!(keys, [0, 5, 12], "{encoder}");
        let mut asked = Vec::new();
        while let Some(event) = h.try_pull_event() {
            if let Ok(key) = gst_video::DownstreamForceKeyUnitEvent::parse(&event) {
                asked.push((key.running_time.unwrap(), key.all_headers, key.count));
            }
        }
        assert_eq!(asked, [(FRAME * 5, true, 3), (at, false, 0)], "{encoder}");
    }
}

#[test]
fn events_keep_their_place_among_the_frames() {
    let (mut h, _) = element("vp8enc", 4);
    let order = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
    let seen = order.clone();
    h.sinkpad().unwrap().add_probe(gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER, move |_, info| {
        let what = match &info.data {
            Some(gst::PadProbeData::Buffer(b)) => (b.pts().unwrap() / FRAME).to_string(),
            Some(gst::PadProbeData::Event(e)) => e.type_().to_string(),
            _ => String::new(),
        };
        seen.lock().unwrap().push(what);
        gst::PadProbeReturn::Ok
    });
    push_frames(&mut h, 0..3);
    h.push_event(gst::event::CustomDownstream::builder(gst::Structure::new_empty("mine")).build());
    push_frames(&mut h, 3..6);
    h.push_event(gst::event::Gap::builder(FRAME * 6).duration(FRAME).build());
    push_frames(&mut h, 7..9);
    h.push_event(gst::event::CustomDownstream::builder(gst::Structure::new_empty("last")).build());
    drain(&mut h);
    let order: Vec<_> = order.lock().unwrap().iter().filter(|s| *s != "tag").cloned().collect();
    let expected = [
        "caps",
        "segment",
        "0",
        "1",
        "2",
        "custom-downstream",
        "3",
        "4",
        "5",
        "gap",
        "7",
        "8",
        "custom-downstream",
        "eos",
    ];
    assert_eq!(order.iter().skip_while(|s| *s != "caps").map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn segments_may_start_anywhere() {
    let (mut h, _) = element("x264enc bframes=2 b-adapt=false", 6);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(FRAME * 1000);
    segment.set_time(FRAME * 1000);
    h.push_event(gst::event::Segment::new(&segment));
    push_frames(&mut h, 1000..1020);
    let units = drain(&mut h);
    let event = h.sinkpad().unwrap().sticky_event::<gst::event::Segment>(0).unwrap();
    let out = event.segment().downcast_ref::<gst::ClockTime>().unwrap();
    let mut running: Vec<_> = units.iter().map(|u| out.to_running_time(u.pts()).unwrap() / FRAME).collect();
    running.sort_unstable();
    assert_eq!(running, (0..20).collect::<Vec<_>>());
}

#[test]
fn frames_outside_the_segment_are_not_encoded() {
    let (mut h, _) = element("vp8enc", 6);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(FRAME * 4);
    segment.set_stop(FRAME * 12);
    h.push_event(gst::event::Segment::new(&segment));
    push_frames(&mut h, 0..20);
    assert_eq!(frames_of(&drain(&mut h), gst::ClockTime::ZERO), (4..12).collect::<Vec<_>>());
}

#[test]
fn a_new_segment_may_start_over() {
    let (mut h, _) = element("vp8enc", 6);
    push_frames(&mut h, 0..8);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(FRAME * 8);
    h.push_event(gst::event::Segment::new(&segment));
    push_frames(&mut h, 0..8);
    let units = drain(&mut h);
    assert_eq!(units.len(), 16);
    assert_eq!(units[8].pts(), Some(gst::ClockTime::ZERO));
    assert!(is_key(&units[8]));
}

#[test]
fn a_stream_may_follow_a_stream() {
    let (mut h, _) = element("x264enc", 6);
    push_frames(&mut h, 0..8);
    assert_eq!(drain(&mut h).len(), 8);
    h.push_event(gst::event::StreamStart::new("second"));
    h.push_event(gst::event::Caps::new(&CAPS.parse().unwrap()));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push_frames(&mut h, 0..40);
    h.push_event(gst::event::Eos::new());
    assert!((0..40).all(|_| h.pull().is_ok()));
}

#[test]
fn a_flush_stop_alone_is_a_flush() {
    let (mut h, _) = element("x264enc", 6);
    push_frames(&mut h, 0..8);
    h.push_event(gst::event::FlushStop::new(true));
    while h.try_pull().is_some() {}
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push_frames(&mut h, 20..25);
    assert_eq!(frames_of(&drain(&mut h), segment_start(&h)), (20..25).collect::<Vec<_>>());
}

#[test]
fn neighbouring_idr_pictures_differ_and_the_encoder_names_itself_once() {
    let (mut h, _) = element("x264enc pass=quant quantizer=20 key-int-max=9", 1);
    push_frames(&mut h, 0..2);
    // Neither a new segment nor new caps begins another stream.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_base(FRAME * 2);
    h.push_event(gst::event::Segment::new(&segment));
    push_frames(&mut h, 0..2);
    h.push_event(gst::event::Caps::new(&CAPS.replace("25/1", "50/1").parse().unwrap()));
    push_frames(&mut h, 2..4);
    let units = drain(&mut h);
    let bytes: Vec<_> = units.iter().map(|u| u.map_readable().unwrap().to_vec()).collect();
    let names = bytes.iter().filter(|b| b.windows(8).any(|w| w == b"x264 - c")).count();
    assert_eq!(names, 1);
    // The pictures are flat, so the slices differ in their headers alone.
    let slices: Vec<_> = bytes.iter().map(|b| idr_slice(b)).collect();
    assert!(slices.windows(2).all(|w| w[0] != w[1]), "{slices:02x?}");
}

/// The first bytes of a unit's IDR slice, in either framing.
fn idr_slice(unit: &[u8]) -> Vec<u8> {
    let mut at = 0;
    if unit[..4] == [0, 0, 0, 1] {
        at = unit.windows(4).position(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 5).unwrap() + 3;
    } else {
        while unit[at + 4] & 0x1f != 5 {
            at += 4 + u32::from_be_bytes(unit[at..at + 4].try_into().unwrap()) as usize;
        }
        at += 4;
    }
    unit[at..at + 4].to_vec()
}

#[test]
fn the_encoders_tags_join_those_of_the_input_and_survive_a_flush() {
    let (mut h, _) = element("x264enc", 4);
    let mut tags = gst::TagList::new();
    tags.make_mut().add::<gst::tags::Title>(&"mine", gst::TagMergeMode::Append);
    h.push_event(gst::event::Tag::new(tags));
    push_frames(&mut h, 0..12);
    let tags_of = |h: &Harness| h.sinkpad().unwrap().sticky_event::<gst::event::Tag>(0).unwrap().tag_owned();
    drain(&mut h);
    assert_eq!(tags_of(&h).get::<gst::tags::Title>().unwrap().get(), "mine");
    assert_eq!(tags_of(&h).get::<gst::tags::Encoder>().unwrap().get(), "x264");
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push_frames(&mut h, 0..5);
    drain(&mut h);
    assert_eq!(tags_of(&h).get::<gst::tags::Title>().unwrap().get(), "mine");
    assert_eq!(tags_of(&h).get::<gst::tags::Encoder>().unwrap().get(), "x264");
}

#[test]
fn tags_that_a_flush_overtakes_are_not_lost() {
    let (mut h, _) = element("x264enc", 4);
    let titled = |title: &str, scope| {
        let mut tags = gst::TagList::new();
        tags.make_mut().set_scope(scope);
        tags.make_mut().add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
        gst::event::Tag::new(tags)
    };
    h.push_event(titled("album", gst::TagScope::Global));
    h.push_event(titled("old", gst::TagScope::Stream));
    push_frames(&mut h, 0..12);
    assert!(h.pull().is_ok());
    // Neither can leave before the flush: the chunk that is open has frames before them.
    h.push_event(titled("new album", gst::TagScope::Global));
    h.push_event(titled("new", gst::TagScope::Stream));
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push_frames(&mut h, 0..5);
    drain(&mut h);
    let pad = h.sinkpad().unwrap();
    let title = |n| {
        pad.sticky_event::<gst::event::Tag>(n).and_then(|e| Some(e.tag().get::<gst::tags::Title>()?.get().to_owned()))
    };
    let mut titles = [title(0), title(1)].map(Option::unwrap_or_default);
    titles.sort();
    assert_eq!(titles, ["new", "new album"]);
}

#[test]
fn a_short_first_chunk_leaves_room_for_later_b_pictures() {
    let (mut h, bus) = element("avenc_mpeg4 max-bframes=2 gop-size=50", 2);
    push_frames(&mut h, 0..5);
    let units = drain(&mut h);
    assert_eq!(frames_of(&units, segment_start(&h)), (0..5).collect::<Vec<_>>());
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn odd_times_are_no_overflow() {
    for (pts, duration) in [(1u64, u64::MAX - 2), (u64::MAX / 2 - 10, 1 << 50), (5, 0)] {
        let (mut h, bus) = element("x264enc", 4);
        let mut buffer = frame(0);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_nseconds(pts));
        buffer.get_mut().unwrap().set_duration(gst::ClockTime::from_nseconds(duration));
        let _ = h.push(buffer);
        h.push_event(gst::event::Eos::new());
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(1), &[gst::MessageType::Error]);
        let text = format!("{message:?}");
        assert!(!text.contains("anick"), "{pts} {duration}: {text}");
    }
}

#[test]
fn what_is_downstream_may_end_first() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=60 ! video/x-raw,format=I420,width=64,height=48 ! divienenc chunk-frames=10 \
         ! identity eos-after=30 ! fakesink",
    )
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(20), &ends);
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
}

#[test]
fn a_segment_said_again_cuts_nothing() {
    let (mut h, _) = element("x264enc", 10);
    push_frames(&mut h, 0..3);
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push_frames(&mut h, 3..10);
    assert_eq!(drain(&mut h).iter().filter(|u| is_key(u)).count(), 1);
}

#[test]
fn new_caps_start_a_new_section() {
    for encoder in ["x264enc", "vp9enc", "jpegenc"] {
        let (mut h, bus) = element(encoder, 6);
        push_frames(&mut h, 0..8);
        let caps: gst::Caps = "video/x-raw,format=I420,width=32,height=32,framerate=50/1".parse().unwrap();
        h.push_event(gst::event::Caps::new(&caps));
        for n in 8..16 {
            h.push(sized_frame(n, 32 * 32 * 3 / 2)).unwrap();
        }
        let units = drain(&mut h);
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none(), "{encoder}");
        assert_eq!(frames_of(&units, segment_start(&h)), (0..16).collect::<Vec<_>>(), "{encoder}");
        let caps = h.sinkpad().unwrap().current_caps().unwrap();
        assert_eq!(caps.structure(0).unwrap().get::<i32>("width"), Ok(32), "{encoder}");
        assert!(is_key(&units[8]));
    }
}

#[test]
fn a_flush_leaves_a_clean_element() {
    let (mut h, bus) = element("x264enc", 5);
    push_frames(&mut h, 0..12);
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    while h.try_pull().is_some() {}
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push_frames(&mut h, 100..107);
    let units = drain(&mut h);
    assert_eq!(frames_of(&units, segment_start(&h)), (100..107).collect::<Vec<_>>());
    assert!(units[0].flags().contains(gst::BufferFlags::DISCONT));
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn a_frame_without_a_rising_time_is_an_error_that_names_it() {
    for (pts, what) in [(None, "no presentation time"), (Some(FRAME * 2), "same"), (Some(FRAME), "before")] {
        let (mut h, bus) = element("x264enc", 5);
        push_frames(&mut h, 0..3);
        let mut bad = frame(3);
        bad.get_mut().unwrap().set_pts(pts);
        assert_eq!(h.push(bad), Err(gst::FlowError::Error));
        let text = error_text(&bus);
        assert!(text.contains("frame 3") && text.contains(what), "{text}");
    }
}

#[test]
fn the_number_of_a_bad_frame_is_its_place_among_those_encoded() {
    let (mut h, bus) = element("x264enc", 5);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(FRAME * 4);
    h.push_event(gst::event::Segment::new(&segment));
    push_frames(&mut h, 0..7);
    assert_eq!(h.push(frame(5)), Err(gst::FlowError::Error));
    let text = error_text(&bus);
    assert!(text.contains("frame 3 ") && text.contains("before"), "{text}");
}

#[test]
fn a_frame_that_is_not_whole_is_an_error_that_names_it() {
    for size in [0, 64 * 48] {
        let (mut h, bus) = element("x264enc", 5);
        push_frames(&mut h, 0..3);
        assert_eq!(h.push(sized_frame(3, size)), Err(gst::FlowError::Error));
        let text = error_text(&bus);
        assert!(text.contains(&format!("frame 3 has {size} bytes")) && text.contains("4608"), "{text}");
    }
}

#[test]
fn reverse_segments_are_refused() {
    let (mut h, bus) = element("x264enc", 5);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(FRAME * 10);
    h.push_event(gst::event::Segment::new(&segment));
    assert_eq!(h.push(frame(0)), Err(gst::FlowError::Error));
    assert!(error_text(&bus).contains("forward"));
}

#[test]
fn an_encoder_that_fails_names_chunk_frames_and_lane() {
    // x264 itself refuses this level, once it is opened.
    let (mut h, bus) = element("x264enc option-string=level=99", 5000);
    let mut flow = Ok(gst::FlowSuccess::Ok);
    for n in 0..2000 {
        flow = h.push(frame(n));
        if flow.is_err() {
            break;
        }
    }
    assert!(flow.is_err());
    let text = error_text(&bus);
    assert!(text.contains("chunk 0") && text.contains("lane") && text.contains("frames 0 to"), "{text}");
}

#[test]
fn the_latency_is_that_of_all_lanes_chunks_and_one_more() {
    let (mut h, _) = element("vp8enc", 10);
    push_frames(&mut h, 0..1);
    let mut query = gst::query::Latency::new();
    assert!(h.element().unwrap().static_pad("src").unwrap().query(&mut query));
    let (_, min, max) = query.result();
    assert!(min >= FRAME * 10 * 4, "{min}");
    assert_eq!(max, None);
}

#[test]
fn decoders_may_hand_frames_over_without_a_copy() {
    let (h, _) = element("x264enc", 10);
    let caps: gst::Caps = CAPS.parse().unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(h.element().unwrap().static_pad("sink").unwrap().query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    let pools: Vec<_> = query.allocation_pools().map(|(_, size, min, max)| (size, min, max)).collect();
    assert_eq!(pools, [(64 * 48 * 3 / 2, 0, 0)]);
}

#[test]
fn what_is_downstream_restricts_what_is_upstream() {
    init();
    let pipeline = gst::parse::launch(
        "appsrc name=a ! divienenc name=d encoder=x264enc ! capsfilter caps=video/x-h264,profile=main ! fakesink",
    )
    .unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    let divien = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("d").unwrap();
    let caps = divien.static_pad("sink").unwrap().query_caps(None);
    assert!(caps.can_intersect(&CAPS.parse::<gst::Caps>().unwrap()));
    let full: gst::Caps = "video/x-raw,format=Y444,width=64,height=48,framerate=25/1".parse().unwrap();
    assert!(!caps.can_intersect(&full), "{caps}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn caps_fields_reach_the_other_side() {
    init();
    let caps = "video/x-raw,format=I420_10LE,width=64,height=48,framerate=25/1,colorimetry=bt2100-pq,\
                chroma-site=top-left,pixel-aspect-ratio=4/3,interlace-mode=progressive,\
                content-light-level=(string)1000:400";
    let (mut h, _) = element("x264enc", 5);
    h.set_src_caps_str(caps);
    for n in 0..3 {
        h.push(sized_frame(n, 64 * 48 * 3)).unwrap();
    }
    drain(&mut h);
    let out = h.sinkpad().unwrap().current_caps().unwrap();
    let s = out.structure(0).unwrap();
    assert_eq!(s.get::<&str>("colorimetry"), Ok("bt2100-pq"));
    assert_eq!(s.get::<&str>("content-light-level"), Ok("1000:400"));
    assert_eq!(s.get::<gst::Fraction>("pixel-aspect-ratio"), Ok(gst::Fraction::new(4, 3)));
}

#[test]
fn a_message_tells_of_every_chunk() {
    let (mut h, bus) = element("vp8enc", 10);
    push_frames(&mut h, 0..32);
    drain(&mut h);
    let mut frames = 0;
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Element]) {
        let s = message.structure().unwrap();
        assert_eq!(s.name(), "divien-chunk-done");
        frames += s.get::<u64>("frames").unwrap();
        assert!(s.get::<u64>("bytes").unwrap() > 0 && s.get::<f64>("seconds").unwrap() > 0.0);
        assert!(s.get::<u32>("lane").unwrap() < 6 && s.get::<u64>("id").unwrap() < 4);
    }
    assert_eq!(frames, 32);
    let stats = h.element().unwrap().property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames-in"), Ok(32));
    assert_eq!(stats.get::<u64>("frames-out"), Ok(32));
}
