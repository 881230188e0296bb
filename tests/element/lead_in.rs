//! Frames that go before chunks: no output has them, every chunk begins anew, and nothing else depends on them.

use std::path::Path;

use divien_testbed::gst::{launch, quoted};
use divien_testbed::{Clip, Fidelity, place, probe, stream};

use super::{ENCODERS, EXACT, Encoder, encode, encode_bare, workers_change_no_byte};

/// Encoders that begin anew where they are told to.
const RESTARTING: [&str; 5] = ["x264enc", "x265enc", "vp8enc", "vp9enc", "openh264enc"];

fn restarting() -> impl Iterator<Item = &'static Encoder> {
    ENCODERS.iter().filter(|encoder| RESTARTING.contains(&factory(encoder)))
}

fn factory(encoder: &Encoder) -> &'static str {
    encoder.spec.split(' ').next().unwrap()
}

#[test]
fn frames_before_a_chunk_are_in_no_output() {
    let folder = place::temporary();
    let clip = Clip::raw(75);
    assert_eq!(restarting().count(), RESTARTING.len());
    for encoder in restarting() {
        // More than a chunk has, as many, and less.
        for frames in [3, 20, 48] {
            let properties = format!("chunk-frames=20 workers=3 lead-in-frames={frames}");
            let output = encode(&clip, encoder.spec, &properties, encoder.parser, folder.path());
            encoder.compare(&output, &clip);
        }
    }
}

#[test]
fn every_frame_is_exact_whatever_goes_before_its_chunk() {
    let folder = place::temporary();
    for clip in [Clip::raw(60), Clip::raw(60).variable_rate()] {
        for (frames, lead_in) in [(1, 1), (1, 5), (2, 1), (7, 7), (20, 5), (25, 48)] {
            let properties = format!("chunk-frames={frames} workers=3 lead-in-frames={lead_in}");
            let output = encode(&clip, EXACT, &properties, "h264parse", folder.path());
            Fidelity::of(&output, clip.path()).lossless().assert();
        }
    }
}

#[test]
fn the_number_of_workers_changes_no_byte_with_lead_in() {
    workers_change_no_byte("lead-in-frames=5");
}

#[test]
fn what_comes_of_a_chunk_in_parts_comes_behind_its_lead_in() {
    let folder = place::temporary();
    let output = folder.path().join("snow.mkv");
    // All of a chunk and of what goes before it is in libvpx's look-ahead when the chunk ends, and comes a few frames at a
    // time: the first few are the lead-in's alone.
    launch(&format!(
        "videotestsrc pattern=snow num-buffers=48 ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! \
         divienenc encoder=\"vp9enc cpu-used=8 target-bitrate=500000000 min-quantizer=0 max-quantizer=0 lag-in-frames=25\" \
         chunk-frames=12 lead-in-frames=12 workers=2 ! vp9parse ! matroskamux ! filesink location={}",
        quoted(&output),
    ))
    .success();
    assert_eq!(probe::frame_times(&output).len(), 48);
}

/// The bytes of each packet of a file.
fn sizes(file: &Path) -> Vec<u64> {
    let packets = probe::rows(file, "packet", Some("v:0"), "size");
    packets.iter().map(|packet| packet.text("size").unwrap().parse().unwrap()).collect()
}

#[test]
fn the_first_chunk_is_a_single_encoders_and_the_others_begin_warm() {
    let folder = place::temporary();
    let clip = Clip::raw(60);
    for spec in ["x264enc speed-preset=veryfast pass=qual quantizer=23", "x265enc speed-preset=ultrafast bitrate=300"] {
        let parser = if spec.starts_with("x264") { "h264parse" } else { "h265parse" };
        let [cold, warm] = [0, 5].map(|frames| {
            let properties = format!("chunk-frames=30 lead-in-frames={frames}");
            sizes(&encode(&clip, spec, &properties, parser, folder.path()))
        });
        assert_eq!((cold.len(), warm.len()), (60, 60), "{spec}");
        assert_eq!(cold[..30], warm[..30], "{spec}");
        assert_ne!(cold[30..], warm[30..], "{spec}");
    }
}

#[test]
fn as_many_frames_as_are_worth_it_is_one_of_fifty() {
    let folder = place::temporary();
    let clip = Clip::raw(220);
    let spec = "x264enc speed-preset=ultrafast pass=qual quantizer=23";
    let written = |properties: &str| std::fs::read(encode_bare(&clip, spec, properties, folder.path())).unwrap();
    assert!(written("chunk-frames=100") == written("chunk-frames=100 lead-in-frames=2"));
    assert!(written("chunk-frames=100") != written("chunk-frames=100 lead-in-frames=0"));
    assert!(written("chunk-frames=49") == written("chunk-frames=49 lead-in-frames=0"));
}

#[test]
fn every_chunk_has_the_headers_of_the_first() {
    let folder = place::temporary();
    let clip = Clip::raw(40);
    // x265 writes its parameter sets into an encode's first unit only, which is none of the chunk's.
    let spec = "x265enc speed-preset=ultrafast option-string=aud=1";
    let [cold, warm] = [0, 3].map(|frames| {
        let output = encode_bare(&clip, spec, &format!("chunk-frames=10 lead-in-frames={frames}"), folder.path());
        let kinds = stream::header_values(&output, "nal_unit_type").into_iter();
        kinds.filter(|kind| (16..40).contains(kind)).collect::<Vec<i64>>()
    });
    let without_delimiters = |kinds: &[i64]| kinds.iter().copied().filter(|kind| *kind != 35).collect::<Vec<_>>();
    assert_eq!(without_delimiters(&warm), without_delimiters(&cold));
    // The first unit of an encode has no delimiter. The others do, and it comes before all else.
    assert_eq!(warm.windows(5).filter(|kinds| **kinds == [35, 32, 33, 34, 20]).count(), 3, "{warm:?}");
    let clip_of_x264 = "x264enc speed-preset=veryfast pass=qual quantizer=23";
    let output = encode_bare(&clip, clip_of_x264, "chunk-frames=10 lead-in-frames=3", folder.path());
    assert_eq!(stream::occurrences(&output, b"x264 - core"), 1);
}

#[test]
fn who_cannot_begin_anew_gets_no_lead_in_and_an_error_where_it_is_asked_for() {
    let folder = place::temporary();
    let clip = Clip::raw(30);
    for encoder in ENCODERS.iter().filter(|encoder| !RESTARTING.contains(&factory(encoder))) {
        let [auto, none] = ["", " lead-in-frames=0"].map(|more| {
            std::fs::read(encode_bare(&clip, encoder.spec, &format!("chunk-frames=10{more}"), folder.path())).unwrap()
        });
        assert!(auto == none, "{}", encoder.spec);
    }
    let line = "videotestsrc num-buffers=5 ! divienenc encoder=\"av1enc\" lead-in-frames=2 ! fakesink";
    let outcome = launch(line);
    assert!(!outcome.status.success());
    assert!(outcome.stderr.contains("av1enc does not begin anew"), "{outcome}");
}
