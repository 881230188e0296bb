use std::path::PathBuf;

use gstdivien::chunk::{Start, Unit};

use super::*;
use crate::cli::{AudioArgs, Carry, Cut, Overwrite, Range, Report, VideoArgs};
use crate::mux::Flags;
use crate::probe::{Orientation, Units};

fn job(output: &str) -> Job {
    Job {
        input: Input::File("in.mkv".into()),
        output: Output::File(PathBuf::from(output)),
        format: None,
        overwrite: Overwrite::Ask,
        workers: None,
        remote: None,
        threads: None,
        chunk_frames: None,
        lead_in: None,
        cut: Cut::Keyframe,
        scenes: None,
        exact_rate: false,
        strict: false,
        video: VideoArgs { encoder: "libx264".into(), options: Vec::new(), pix_fmt: None },
        filters: Vec::new(),
        audio: AudioArgs::default(),
        subtitles: true,
        carry: Carry::default(),
        range: Range::default(),
        faststart: false,
        metadata: Vec::new(),
        resume: Default::default(),
        isolate: Default::default(),
        verifies: false,
        lane_timeout: Duration::ZERO,
        report: Report::default(),
    }
}

fn stream(caps: &str) -> Stream {
    gst::init().unwrap();
    let caps: gst::Caps = caps.parse().unwrap();
    let codec = Codec::from_caps(caps.structure(0).unwrap());
    Stream {
        kind: codec.kind(),
        codec,
        caps,
        language: None,
        title: None,
        orientation: Orientation::default(),
        still: false,
        early: Vec::new(),
        delay: 0,
        pace: None,
        frames: None,
        pauses: Vec::new(),
        cutting: Cutting::Whole,
        flags: Flags::default(),
    }
}

fn facts() -> Facts {
    Facts {
        name: "in.mkv".into(),
        duration: Some(10_000_000_000),
        streams: vec![
            stream("video/x-h264,width=640,height=360,framerate=25/1"),
            stream("audio/x-vorbis,rate=48000,channels=2"),
            stream("application/x-ass"),
            stream("subpicture/x-pgs"),
        ],
        ..Facts::default()
    }
}

fn x264() -> Encoder {
    Encoder {
        factory: "x264enc".into(),
        spec: "x264enc".into(),
        codec: Some(Codec::H264),
        chunk_frames: 250,
        ..Encoder::default()
    }
}

fn plan(job: &Job) -> Result<Plan, Error> {
    make(job, (&facts(), None), x264(), &|_| true)
}

#[test]
fn matroska_takes_every_stream_as_it_is() {
    let plan = plan(&job("o.mkv")).unwrap();
    assert!(plan.others.iter().all(|t| t.action == Action::Copy), "{:?}", plan.others);
    assert_eq!((plan.others.len(), plan.notes.len(), plan.frames), (3, 0, Some(250)));
}

#[test]
fn pictures_that_were_counted_are_not_guessed_and_their_pauses_are_told() {
    let mut facts = facts();
    let video = facts.video().unwrap();
    facts.streams[video].frames = Some(1769);
    facts.streams[video].pauses = (1..=5).map(|s| Pause { start: s * 1_000_000_000, end: s * 1_500_000_000 }).collect();
    let plan = make(&job("o.mkv"), (&facts, None), x264(), &|_| true).unwrap();
    assert_eq!(plan.frames, Some(1769));
    let [note] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
    assert!(note.contains("from 1.000 to 1.500 s, 2.000 to 3.000 s, 3.000 to 4.500 s and 2 more"), "{note}");
}

#[test]
fn what_mp4_does_not_hold_is_encoded_or_dropped_and_said() {
    let plan = plan(&job("o.mp4")).unwrap();
    let actions: Vec<_> = plan.others.iter().map(|t| (t.codec.clone(), t.action.clone())).collect();
    let encoder = SoundEncoder { factory: "fdkaacenc".into(), ..SoundEncoder::default() };
    assert_eq!(actions, [(Codec::Aac, Action::Encode(encoder)), (Codec::Text, Action::Text)]);
    assert_eq!(plan.notes.len(), 3, "{:?}", plan.notes);
}

#[test]
fn copying_sound_that_does_not_fit_is_refused() {
    let mut job = job("o.mp4");
    job.audio.codec = AudioCodec::Copy;
    assert!(matches!(plan(&job), Err(Error::Plan { .. })));
}

#[test]
fn a_container_that_cannot_hold_the_codec_is_refused_before_the_run() {
    assert!(matches!(plan(&job("o.webm")), Err(Error::Plan { .. })));
    assert!(matches!(plan(&job("o.xyz")), Err(Error::Plan { .. })));
}

#[test]
fn chunks_are_rounded_up_to_whole_groups_of_pictures() {
    let encoder = Encoder { gop: Some(48), ..x264() };
    let plan = make(&job("o.mkv"), (&facts(), None), encoder, &|_| true).unwrap();
    assert_eq!(plan.video.chunk_frames, 288);
    assert!(plan.notes.iter().any(|n| n.contains("288")));
}

#[test]
fn chunks_are_as_long_as_the_encoders_own_groups_unless_told_otherwise() {
    gst::init().unwrap();
    for (encoder, frames) in [("libx264", 250), ("libvpx-vp9", 128), ("libvpx", 128)] {
        let options = vec![("b".to_owned(), "1M".to_owned())];
        let video = VideoArgs { encoder: encoder.into(), options, pix_fmt: None };
        let choice = crate::codec::resolve(&video, None).unwrap();
        let encoder = Encoder { chunk_frames: choice.chunk_frames, ..x264() };
        let planned = |job: &Job| make(job, (&facts(), None), encoder.clone(), &|_| true).unwrap().video.chunk_frames;
        assert_eq!(planned(&job("o.mkv")), frames);
        assert_eq!(planned(&Job { chunk_frames: Some(40), ..job("o.mkv") }), 40);
    }
}

#[test]
fn neither_workers_nor_names_change_the_ids_in_the_file() {
    let one = plan(&job("a.mkv")).unwrap();
    let other = plan(&Job { workers: Some(7), ..job("b.mkv") }).unwrap();
    assert_eq!(one.seed, other.seed);
    let shorter = plan(&Job { chunk_frames: Some(100), ..job("a.mkv") }).unwrap();
    assert_ne!(one.seed, shorter.seed);
}

#[test]
fn an_empty_range_is_refused() {
    let mut job = job("o.mkv");
    job.range.start = Some(Duration::from_secs(5));
    job.range.end = Some(Duration::from_secs(5));
    assert!(matches!(plan(&job), Err(Error::Plan { .. })));
    job.range.end = Some(Duration::from_secs(6));
    assert_eq!(plan(&job).unwrap().range.end, Some(6_000_000_000));
}

#[test]
fn pictures_are_turned_only_where_the_container_cannot_say_it() {
    let mut facts = facts();
    facts.streams[0].orientation = Orientation { degrees: 90, flipped: false };
    let mp4 = make(&job("o.mp4"), (&facts, None), x264(), &|_| true).unwrap();
    assert_eq!((mp4.video.noted_rotation, mp4.video.filters.turn), (90, None));
    let mkv = make(&job("o.mkv"), (&facts, None), x264(), &|_| true).unwrap();
    assert_eq!((mkv.video.noted_rotation, mkv.video.filters.turn), (0, Some("clockwise")));
}

#[test]
fn an_odd_height_is_kept_by_finer_chroma() {
    let mut facts = facts();
    facts.streams[0] = stream("video/mpeg,mpegversion=2,width=720,height=405,framerate=25/1");
    let plan = make(&job("o.mkv"), (&facts, None), x264(), &|_| true).unwrap();
    assert!(plan.video.encoder.raw_formats.contains(&"Y42B".to_owned()) && plan.notes.len() == 1);
}

/// What was read of 100 pictures of 40 ms, of which each `distance`-th can be decoded first.
fn read(distance: usize) -> Cutting {
    let unit = |i: usize| Unit {
        start: i.is_multiple_of(distance).then_some(Start::Clean),
        ..Unit::new(Some(i as u64 * 40_000_000), None, None)
    };
    Cutting::Apart(Units {
        all: (0..100).map(unit).collect(),
        pictures: "video/x-raw".parse().unwrap(),
        end: None,
        skip: None,
    })
}

#[test]
fn chunks_are_decoded_apart_where_that_can_be_and_the_reason_is_told_where_not() {
    gst::init().unwrap();
    let planned = |cutting: Cutting, job: &Job| {
        let mut facts = facts();
        facts.streams[0].cutting = cutting;
        let plan = make(job, (&facts, None), x264(), &|_| true).unwrap();
        (plan.video.cut, plan.notes.into_iter().find(|note| note.contains("one decoder")))
    };
    let short = Job { chunk_frames: Some(20), ..job("a.mkv") };
    assert_eq!(planned(read(10), &short), (Some(Mode::Keyframe), None));
    assert_eq!(planned(read(10), &Job { cut: Cut::Fixed, ..short.clone() }), (Some(Mode::Fixed), None));
    // Pipes and raw pictures have no other way.
    assert_eq!(planned(Cutting::Whole, &short), (None, None));
    let (cut, told) = planned(Cutting::Refused("it is odd".into()), &short);
    assert_eq!((cut, told.as_deref()), (None, Some("video: one decoder gives all pictures in their order: it is odd")));
    let (cut, told) = planned(read(100), &short);
    assert!(cut.is_none() && told.unwrap().ends_with("key frames are too far apart: a chunk would have 100 frames"));
}
