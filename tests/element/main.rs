//! `divienenc` in gst-launch lines: what comes out is the video that went in, whatever the encoder, the chunks and the
//! workers.

#![cfg(test)]

mod lead_in;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use divien_testbed::gst::{launch, quoted};
use divien_testbed::{Clip, Fidelity, place, probe, stream};

/// An encoder, quick enough for a test, and what stands between it and the muxer.
struct Encoder {
    spec: &'static str,
    parser: &'static str,
    lossless: bool,
    largest_error: f64,
}

impl Encoder {
    /// The output must be the clip, as closely as this encoder can.
    #[track_caller]
    fn compare(&self, output: &Path, clip: &Clip) {
        eprintln!("{}", self.spec);
        let fidelity = Fidelity::of(output, clip.path()).largest_error(self.largest_error);
        match self.lossless {
            true => fidelity.lossless().assert(),
            false => fidelity.assert(),
        }
    }
}

const ENCODERS: [Encoder; 11] = [
    lossy("x264enc speed-preset=veryfast pass=qual quantizer=20", "h264parse"),
    lossy("x265enc speed-preset=ultrafast bitrate=1000", "h265parse"),
    lossy("av1enc cpu-used=8 target-bitrate=1000", "av1parse"),
    lossy("vp8enc cpu-used=4 target-bitrate=1000000", "queue"),
    lossy("vp9enc cpu-used=5 end-usage=cq cq-level=20", "vp9parse"),
    lossy("openh264enc bitrate=1000000", "h264parse"),
    lossy("theoraenc quality=50", "queue"),
    // It takes limited range for JPEG's full range, which moves black and white by 16 and 20.
    Encoder { largest_error: 16.0, ..lossy("jpegenc quality=85", "jpegparse") },
    Encoder { lossless: true, ..lossy("avenc_ffv1", "queue") },
    lossy("avenc_prores_ks", "queue"),
    // Not avenc_mpeg2video: as Debian 12 builds it, it takes no frame rate at all.
    lossy("avenc_mpeg4 bitrate=2000000", "queue"),
];

/// Shows every difference: no frame can be lost, moved or doubled unseen. With B-frames, so that order is tested too.
const EXACT: &str = "x264enc speed-preset=veryfast pass=quant quantizer=0";

const fn lossy(spec: &'static str, parser: &'static str) -> Encoder {
    Encoder { spec, parser, lossless: false, largest_error: 6.0 }
}

/// Encodes a clip into a Matroska file in this folder.
#[track_caller]
fn encode(clip: &Clip, spec: &str, properties: &str, parser: &str, folder: &Path) -> PathBuf {
    let output = folder.join(format!("{}.mkv", properties.replace(' ', "-")));
    launch(&format!(
        "{} ! divienenc encoder=\"{spec}\" {properties} ! {parser} ! matroskamux ! filesink location={}",
        source_for(clip, spec),
        quoted(&output),
    ))
    .success();
    output
}

/// Encodes a clip into an elementary stream in this folder.
#[track_caller]
fn encode_bare(clip: &Clip, spec: &str, properties: &str, folder: &Path) -> PathBuf {
    let output = folder.join(format!("{}.bin", properties.replace(' ', "-")));
    let form = match spec {
        spec if spec.starts_with("x264enc") => "video/x-h264,stream-format=byte-stream !",
        spec if spec.starts_with("x265enc") => "video/x-h265,stream-format=byte-stream !",
        _ => "",
    };
    launch(&format!(
        "{} ! divienenc encoder=\"{spec}\" {properties} ! {form} filesink location={}",
        source_for(clip, spec),
        quoted(&output),
    ))
    .success();
    output
}

/// ProRes has no 4:2:0.
fn source_for(clip: &Clip, spec: &str) -> String {
    let convert = match spec.starts_with("avenc_prores") {
        true => " ! videoconvert ! video/x-raw,format=I422_10LE",
        false => "",
    };
    format!("{}{convert}", clip.source())
}

#[test]
fn the_line_of_the_manual_gives_every_frame() {
    let folder = place::temporary();
    let output = folder.path().join("o.mp4");
    launch(&format!(
        "videotestsrc num-buffers=1000 ! video/x-raw,format=I420,width=1280,height=720 ! \
         divienenc encoder=\"x264enc speed-preset=ultrafast pass=qual quantizer=23\" workers=4 chunk-frames=100 ! \
         h264parse ! mp4mux ! filesink location={}",
        quoted(&output),
    ))
    .success();
    let packets = probe::packet_times(&output, "v:0");
    assert_eq!(packets.len(), 1000);
    let mut shown: Vec<_> = packets.iter().filter_map(|(pts, _)| *pts).collect();
    shown.sort_by(f64::total_cmp);
    let uneven = shown.windows(2).position(|pair| (pair[1] - pair[0] - 1.0 / 30.0).abs() > 0.0005);
    assert_eq!(uneven, None, "the distance of two frames is not 1/30 s");
}

#[test]
fn every_encoder_gives_back_the_same_video() {
    let folder = place::temporary();
    let clip = Clip::raw(75);
    for encoder in &ENCODERS {
        let output = encode(&clip, encoder.spec, "chunk-frames=20 workers=3", encoder.parser, folder.path());
        encoder.compare(&output, &clip);
    }
}

#[test]
fn every_pixel_format_keeps_its_samples() {
    let folder = place::temporary();
    let formats = ["I420", "I420_10LE", "I420_12LE", "Y42B", "I422_10LE", "I422_12LE", "Y444", "Y444_10LE", "GRAY8"];
    for format in formats {
        let clip = Clip::raw(12).size(161, 121).format(format);
        let output = encode(&clip, "avenc_ffv1", "chunk-frames=5", "queue", folder.path());
        assert_eq!(probe::video(&output, "pix_fmt"), probe::video(&clip.path(), "pix_fmt"), "{format}");
        Fidelity::of(&output, clip.path()).lossless().assert();
    }
}

#[test]
fn ten_bits_stay_ten_bits() {
    let folder = place::temporary();
    let clip = Clip::raw(30).size(162, 122).format("I420_10LE");
    for (spec, parser) in
        [(EXACT, "h264parse"), ("x265enc speed-preset=ultrafast option-string=lossless=1", "h265parse")]
    {
        let output = encode(&clip, spec, "chunk-frames=8 workers=2", parser, folder.path());
        assert_eq!(probe::video(&output, "pix_fmt"), "yuv420p10le", "{spec}");
        Fidelity::of(&output, clip.path()).lossless().assert();
    }
}

#[test]
fn chunks_of_any_size_are_exact() {
    let folder = place::temporary();
    let clip = Clip::raw(120);
    for frames in [1, 2, 7, 100, 250, 10_000] {
        let properties = format!("chunk-frames={frames} workers=3");
        let output = encode(&clip, EXACT, &properties, "h264parse", folder.path());
        Fidelity::of(&output, clip.path()).lossless().assert();
    }
}

#[test]
fn uneven_frame_times_are_kept() {
    let folder = place::temporary();
    let clip = Clip::raw(120).variable_rate();
    for frames in [7, 50] {
        let properties = format!("chunk-frames={frames} workers=2");
        let output = encode(&clip, EXACT, &properties, "h264parse", folder.path());
        Fidelity::of(&output, clip.path()).lossless().assert();
    }
}

#[test]
fn one_frame_is_a_video_for_every_encoder() {
    let folder = place::temporary();
    let clip = Clip::raw(1);
    for encoder in &ENCODERS {
        let output = encode(&clip, encoder.spec, "workers=2", encoder.parser, folder.path());
        encoder.compare(&output, &clip);
    }
}

#[test]
fn chunks_of_one_frame_are_a_video_for_every_encoder() {
    let folder = place::temporary();
    let clip = Clip::raw(5);
    for encoder in &ENCODERS {
        let output = encode(&clip, encoder.spec, "chunk-frames=1 workers=2", encoder.parser, folder.path());
        encoder.compare(&output, &clip);
    }
}

#[test]
fn a_tail_of_two_frames_is_not_lost() {
    let folder = place::temporary();
    for (frames, chunk) in [(42, 40), (12, 5)] {
        let clip = Clip::raw(frames);
        let output = encode(&clip, EXACT, &format!("chunk-frames={chunk}"), "h264parse", folder.path());
        Fidelity::of(&output, clip.path()).lossless().assert();
    }
}

#[test]
fn frames_that_vp9_holds_to_the_end_are_not_lost() {
    let folder = place::temporary();
    let clip = Clip::raw(60);
    // vp9enc 1.22 asks libvpx only once for what its lookahead holds; at many bits a frame it keeps the rest.
    let spec = "vp9enc cpu-used=5 target-bitrate=4000000";
    let output = encode(&clip, spec, "chunk-frames=30", "vp9parse", folder.path());
    Fidelity::of(&output, clip.path()).assert();
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    workers_change_no_byte("");
}

/// With these properties besides.
#[track_caller]
fn workers_change_no_byte(more: &str) {
    let folder = place::temporary();
    let clip = Clip::raw(120);
    for spec in [
        "x264enc speed-preset=veryfast pass=qual quantizer=23",
        "x264enc speed-preset=veryfast pass=cbr bitrate=300",
        "x265enc speed-preset=ultrafast bitrate=300",
        "vp9enc cpu-used=5 target-bitrate=300000",
    ] {
        let outputs = ["workers=1", "workers=2", "workers=5"].map(|workers| {
            let properties = format!("chunk-frames=25 {more} {workers}");
            let output = encode_bare(&clip, spec, &properties, folder.path());
            std::fs::read(output).unwrap()
        });
        assert!(outputs[0].len() > 1000, "{spec} gave {} bytes", outputs[0].len());
        assert!(outputs[0] == outputs[1], "{spec}: 1 and 2 workers differ");
        assert!(outputs[0] == outputs[2], "{spec}: 1 and 5 workers differ");
    }
}

#[test]
fn two_equal_runs_write_equal_bytes() {
    let folder = place::temporary();
    let clip = Clip::raw(60);
    let spec = "x264enc speed-preset=veryfast pass=qual quantizer=23";
    let outputs = [1, 2].map(|run| {
        let properties = format!("chunk-frames=17 workers=3 name=run{run}");
        std::fs::read(encode_bare(&clip, spec, &properties, folder.path())).unwrap()
    });
    assert!(outputs[0] == outputs[1]);
}

#[test]
fn threads_of_x265_under_a_strict_rate_change_no_byte_from_run_to_run() {
    let folder = place::temporary();
    // Enough rows of blocks, and so few bits, that without `const-vbv` each row's quantizer follows how far the others are.
    let clip = Clip::raw(40).size(960, 544);
    let spec = "x265enc speed-preset=ultrafast bitrate=500 option-string=vbv-maxrate=500:vbv-bufsize=100";
    let outputs = [1, 2, 3].map(|run| {
        let properties = format!("threads=4 workers=1 chunk-frames=100 name=run{run}");
        std::fs::read(encode_bare(&clip, spec, &properties, folder.path())).unwrap()
    });
    assert!(outputs[0].len() > 1000);
    assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
}

#[test]
fn neighbouring_idr_pictures_have_different_numbers() {
    let folder = place::temporary();
    let clip = Clip::raw(20);
    let spec = "x264enc speed-preset=veryfast key-int-max=1 pass=qual quantizer=23";
    for frames in [1, 5] {
        let output = encode_bare(&clip, spec, &format!("chunk-frames={frames}"), folder.path());
        let numbers = stream::header_values(&output, "idr_pic_id");
        assert!(numbers.len() >= 20, "20 frames, each an IDR picture: {numbers:?}");
        let equal = numbers.windows(2).position(|pair| pair[0] == pair[1]);
        assert_eq!(equal, None, "chunks of {frames}: {numbers:?}");
    }
}

#[test]
fn the_encoder_names_itself_once() {
    let folder = place::temporary();
    let clip = Clip::raw(60);
    let spec = "x264enc speed-preset=veryfast pass=qual quantizer=23";
    let output = encode_bare(&clip, spec, "chunk-frames=10 workers=2", folder.path());
    assert_eq!(stream::occurrences(&output, b"x264 - core"), 1);
}

#[test]
fn parameter_sets_follow_no_rate_control() {
    let folder = place::temporary();
    let clip = Clip::raw(60);
    // Without `stitchable` the PPS has the quantizer, or whatever the rate control starts with.
    for rate in ["pass=cbr bitrate=300", "pass=quant quantizer=20", "pass=qual quantizer=30"] {
        let spec = format!("x264enc speed-preset=veryfast {rate}");
        let output = encode_bare(&clip, &spec, "chunk-frames=10 workers=2", folder.path());
        let quantizers = stream::header_values(&output, "pic_init_qp_minus26");
        assert!(!quantizers.is_empty());
        assert!(quantizers.iter().all(|value| *value == 0), "{rate}: {quantizers:?}");
    }
}

#[test]
fn a_change_of_size_starts_a_new_section() {
    let folder = place::temporary();
    let output = folder.path().join("o.h264");
    let (small, large) = (Clip::raw(33), Clip::raw(21).size(320, 240));
    launch(&format!(
        "{} ! queue ! sizes. {} ! queue ! sizes. concat name=sizes ! identity single-segment=true ! \
         divienenc encoder=\"{EXACT}\" chunk-frames=10 workers=2 ! video/x-h264,stream-format=byte-stream ! \
         filesink location={}",
        small.source(),
        large.source(),
        quoted(&output),
    ))
    .success();
    let widths: Vec<_> =
        probe::rows(&output, "frame", Some("v:0"), "width").iter().filter_map(|frame| frame.number("width")).collect();
    let expected = [vec![160.0; 33], vec![320.0; 21]].concat();
    assert_eq!(widths, expected);
}

#[test]
fn interlaced_frames_stay_interlaced() {
    let folder = place::temporary();
    let output = folder.path().join("o.mkv");
    for (spec, parser) in [("x264enc speed-preset=veryfast interlaced=true", "h264parse"), ("avenc_ffv1", "queue")] {
        for (top, expected) in [(true, "1"), (false, "0")] {
            launch(&format!(
                "videotestsrc num-buffers=80 pattern=smpte horizontal-speed=6 ! \
                 video/x-raw,format=I420,width=160,height=128,framerate=50/1 ! \
                 interlace field-pattern=1:1 top-field-first={top} ! \
                 divienenc encoder=\"{spec}\" chunk-frames=15 ! {parser} ! matroskamux ! filesink location={}",
                quoted(&output),
            ))
            .success();
            let frames = probe::rows(&output, "frame", Some("v:0"), "interlaced_frame,top_field_first");
            assert_eq!(frames.len(), 40, "{spec}");
            for frame in frames {
                let told = (frame.text("interlaced_frame"), frame.text("top_field_first"));
                assert_eq!(told, (Some("1"), Some(expected)), "{spec}");
            }
        }
    }
}

#[test]
fn colours_are_told_as_they_were() {
    let folder = place::temporary();
    let output = folder.path().join("o.mkv");
    launch(&format!(
        "videotestsrc num-buffers=20 ! \
         video/x-raw,format=I420_10LE,width=160,height=120,framerate=25/1,colorimetry=bt2100-pq,pixel-aspect-ratio=2/1 ! \
         divienenc encoder=\"x265enc speed-preset=ultrafast\" chunk-frames=8 ! h265parse ! matroskamux ! \
         filesink location={}",
        quoted(&output),
    ))
    .success();
    let told = ["color_space", "color_transfer", "color_primaries", "sample_aspect_ratio"];
    let told = told.map(|key| probe::video(&output, key));
    assert_eq!(told, ["bt2020nc", "smpte2084", "bt2020", "2:1"]);
}

#[test]
fn a_message_tells_of_each_chunk() {
    let clip = Clip::raw(60);
    let spec = "x264enc speed-preset=ultrafast";
    let said = launch(&format!("{} ! divienenc encoder=\"{spec}\" chunk-frames=20 ! fakesink", clip.source()))
        .success()
        .said();
    let told: Vec<_> = said.lines().filter(|line| line.contains("divien-chunk-done")).collect();
    assert_eq!(told.len(), 3, "{said}");
    for field in ["id=", "frames=(guint64)20", "bytes=", "lane=(uint)", "seconds="] {
        assert!(told.iter().all(|line| line.contains(field)), "no {field} in {told:?}");
    }
}

#[test]
fn a_small_budget_slows_but_never_stops() {
    let folder = place::temporary();
    let clip = Clip::raw(90);
    // A frame has 28,800 bytes, and more in the decoder's buffers: room for all, for three frames, for less than one.
    for budget in [16_000_000, 90_000, 1000] {
        let output = folder.path().join("o.mkv");
        let said = launch(&format!(
            "{} ! divienenc encoder=\"{EXACT}\" chunk-frames=30 workers=4 max-buffered-bytes={budget} ! h264parse ! \
             matroskamux ! filesink location={}",
            clip.source(),
            quoted(&output),
        ))
        .success()
        .said();
        let lines = said.lines().filter(|line| line.contains("frames fill max-buffered-bytes")).count();
        assert_eq!(lines, usize::from(budget < 16_000_000), "{budget}: {said}");
        Fidelity::of(&output, clip.path()).lossless().assert();
    }
}

#[test]
fn times_start_where_the_input_starts() {
    let folder = place::temporary();
    let output = folder.path().join("o.mkv");
    let film = "videotestsrc num-buffers=40 timestamp-offset=5000000000 ! \
                video/x-raw,format=I420,width=160,height=120,framerate=25/1";
    // The first two move their times by a thousand hours.
    for (spec, parser) in [
        ("x264enc speed-preset=veryfast", "h264parse"),
        ("x265enc speed-preset=ultrafast", "h265parse"),
        ("vp9enc cpu-used=5", "vp9parse"),
    ] {
        launch(&format!(
            "{film} ! divienenc encoder=\"{spec}\" chunk-frames=15 ! {parser} ! matroskamux ! filesink location={}",
            quoted(&output),
        ))
        .success();
        let times = probe::frame_times(&output);
        assert_eq!((times.len(), times.first()), (40, Some(&5.0)), "{spec}");
    }
}

#[test]
fn what_is_marked_as_a_key_frame_is_one() {
    let folder = place::temporary();
    let clip = Clip::raw(60);
    for encoder in ENCODERS.iter().filter(|encoder| !encoder.spec.starts_with("jpegenc")) {
        let output = encode(&clip, encoder.spec, "chunk-frames=20 workers=2", encoder.parser, folder.path());
        let packets = probe::rows(&output, "packet", Some("v:0"), "pts,flags");
        let marked: BTreeSet<_> = packets
            .iter()
            .filter(|packet| packet.text("flags").is_some_and(|flags| flags.contains('K')))
            .filter_map(|packet| packet.text("pts"))
            .collect();
        let frames = probe::rows(&output, "frame", Some("v:0"), "pts,key_frame");
        let keys: BTreeSet<_> = frames
            .iter()
            .filter(|frame| frame.text("key_frame") == Some("1"))
            .filter_map(|frame| frame.text("pts"))
            .collect();
        assert_eq!(marked, keys, "{}", encoder.spec);
        for start in ["0", "800", "1600"] {
            assert!(keys.contains(start), "{}: the chunk at {start} ms has no key frame", encoder.spec);
        }
    }
}
