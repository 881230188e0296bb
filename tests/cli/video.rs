//! The video: every frame, every time, whatever the encoder, the chunks and the workers.

use std::path::Path;
use std::process::Command;

use divien_testbed::fidelity::{Source, picture_hashes};
use divien_testbed::{Clip, Fidelity, divien, gst, place, probe, run, stream};

use crate::encode;

/// Arguments for x264 that show every difference and take no time.
const EXACT: [&str; 6] = ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"];

#[test]
fn every_encoder_gives_back_the_same_video() {
    let folder = place::temporary();
    let clip = Clip::raw(60).path();
    let source = Source::new(&clip);
    let cases: [(&str, &[&str]); 10] = [
        ("libx264", &["-preset", "veryfast", "-crf", "20"]),
        ("libx265", &["-preset", "ultrafast", "-crf", "20"]),
        ("libvpx", &["-b:v", "1M", "-cpu-used", "4"]),
        ("libvpx-vp9", &["-crf", "25", "-b:v", "2M", "-cpu-used", "5"]),
        ("libaom-av1", &["-b:v", "2M", "-cpu-used", "8", "-lag-in-frames", "0", "-error-resilience", "default"]),
        ("libopenh264", &["-b:v", "1M"]),
        ("mpeg4", &["-q:v", "3"]),
        ("ffv1", &[]),
        ("x264enc", &["-speed-preset", "veryfast", "-pass", "qual", "-quantizer", "20"]),
        ("theoraenc", &["-quality", "50"]),
    ];
    for (encoder, options) in cases {
        let options = [&["-c:v", encoder, "-bsize", "25", "-w", "2"], options].concat();
        let output = encode(&clip, &options, folder.path(), &format!("{encoder}.mkv"));
        eprintln!("{encoder}");
        match encoder {
            "ffv1" => Fidelity::of_measured(&output, &source).lossless().assert(),
            _ => Fidelity::of_measured(&output, &source).assert(),
        }
    }
}

#[test]
fn the_number_of_workers_changes_no_byte_of_a_file() {
    let folder = place::temporary();
    let film = Clip::film(100).size(160, 120).path();
    let cases: [(&str, &[&str]); 8] = [
        ("mp4", &["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]),
        ("mkv", &["-c:v", "libx264", "-preset", "veryfast", "-b:v", "400k"]),
        ("ts", &["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]),
        ("mkv", &["-c:v", "libx265", "-preset", "ultrafast", "-crf", "28"]),
        ("mp4", &["-c:v", "libx265", "-preset", "ultrafast", "-b:v", "400k"]),
        (
            "mkv",
            &[
                "-c:v",
                "x264enc",
                "-speed-preset",
                "veryfast",
                "-pass",
                "cbr",
                "-bitrate",
                "400",
                "-vbv-buf-capacity",
                "900",
            ],
        ),
        ("webm", &["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "2M", "-cpu-used", "5"]),
        ("mp4", &["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "2M", "-cpu-used", "5"]),
    ];
    for (extension, options) in cases {
        let files = ["1", "2", "5"].map(|workers| {
            let options = [options, &["-bsize", "20", "-w", workers]].concat();
            std::fs::read(encode(&film, &options, folder.path(), &format!("w{workers}.{extension}"))).unwrap()
        });
        assert!(files[0] == files[1], "{extension} {options:?}: 1 and 2 workers differ");
        assert!(files[0] == files[2], "{extension} {options:?}: 1 and 5 workers differ");
    }
}

#[test]
fn chunks_of_any_size_are_exact() {
    let folder = place::temporary();
    let clip = Clip::raw(120).path();
    let source = Source::new(&clip);
    for size in ["1", "2", "7", "100", "250", "10000"] {
        for extension in ["mp4", "mkv"] {
            let options = [EXACT.as_slice(), &["-bsize", size]].concat();
            let output = encode(&clip, &options, folder.path(), &format!("{size}.{extension}"));
            Fidelity::of_measured(&output, &source).lossless().assert();
        }
    }
}

#[test]
fn sound_that_goes_on_long_after_the_pictures_cuts_no_chunk() {
    let folder = place::temporary();
    let input = folder.path().join("in.mkv");
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=2", "-f", "lavfi", "-i", "sine=d=30"]);
    run(make.args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac"]).arg(&input)).success();
    let output = encode(&input, &["-preset", "ultrafast"], folder.path(), "out.mkv");
    let keys = probe::rows(&output, "packet", Some("v"), "flags")
        .iter()
        .filter(|p| p.text("flags").is_some_and(|f| f.contains('K')))
        .count();
    assert_eq!(keys, 1, "key frames in 50 frames of one chunk");
}

#[test]
fn the_shortest_videos_and_tails_are_exact() {
    let folder = place::temporary();
    for (frames, size) in [(1, "250"), (2, "250"), (42, "40"), (12, "5"), (41, "20")] {
        let clip = Clip::raw(frames).path();
        let source = Source::new(&clip);
        for (name, options) in [("x264.mp4", EXACT.as_slice()), ("ffv1.mkv", &["-c:v", "ffv1"])] {
            let output = encode(&clip, &[options, &["-bsize", size]].concat(), folder.path(), name);
            Fidelity::of_measured(&output, &source).lossless().assert();
        }
    }
}

/// The settings that x264 and x265 write into the stream.
fn settings(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(9).position(|w| w == b"options: ").expect("settings in the stream");
    bytes[at..].iter().take_while(|b| (0x20..0x7F).contains(*b)).map(|b| char::from(*b)).collect()
}

#[test]
fn a_fraction_of_crf_reaches_the_encoder_beside_all_else_that_it_is_told() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let x264 = ["-preset", "ultrafast", "-crf", "23.5", "-x264-params", "aq-mode=2"];
    let told = settings(&encode(&film, &x264, folder.path(), "x264.mp4"));
    // 2^(-0.5/6) of the bits is half a step of the quantizer.
    for word in [" crf=23.0 ", " zones=0,2147483647,b=0.94387", " aq=2:"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let x265 = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "23.5", "-x265-params", "rd=1"];
    let told = settings(&encode(&film, &x265, folder.path(), "x265.mp4"));
    for word in [" crf=23.5 ", " rd=1 "] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[test]
fn all_intra_video_is_exact_and_numbered() {
    let folder = place::temporary();
    let clip = Clip::raw(30).path();
    let output = encode(&clip, &[EXACT.as_slice(), &["-g", "1", "-bsize", "10"]].concat(), folder.path(), "out.mp4");
    Fidelity::of(&output, &clip).lossless().assert();
    let numbers = stream::header_values(&output, "idr_pic_id");
    assert!(numbers.len() >= 30);
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{numbers:?}");
}

#[test]
fn every_form_of_picture_is_kept() {
    let folder = place::temporary();
    let clips = [
        Clip::raw(40).size(161, 121),
        Clip::raw(40).format("I420_10LE"),
        Clip::raw(40).format("I420_12LE"),
        Clip::raw(40).format("Y42B"),
        Clip::raw(40).format("I422_10LE"),
        Clip::raw(40).format("Y444"),
        Clip::raw(40).format("GRAY8"),
        Clip::raw(40).rate(30000, 1001),
        Clip::raw(60).variable_rate(),
    ];
    for clip in clips {
        let source = clip.path();
        let output = encode(&source, &["-c:v", "ffv1", "-bsize", "15"], folder.path(), "out.mkv");
        assert_eq!(probe::video(&output, "pix_fmt"), probe::video(&source, "pix_fmt"), "{clip:?}");
        Fidelity::of(&output, &source).lossless().assert();
    }
}

#[test]
fn a_variable_rate_keeps_its_last_frame_in_every_container() {
    let folder = place::temporary();
    let clip = Clip::raw(60).variable_rate().path();
    for name in ["out.mp4", "out.mov", "out.mkv", "out.ts"] {
        let output = encode(&clip, &["-preset", "veryfast", "-bsize", "20"], folder.path(), name);
        Fidelity::of(&output, &clip).assert();
    }
}

#[test]
fn interlaced_video_stays_interlaced() {
    let folder = place::temporary();
    let clip = Clip::interlaced(50).path();
    const INTERLACED: [&str; 8] =
        ["-c:v", "x264enc", "-speed-preset", "veryfast", "-interlaced", "true", "-bsize", "20"];
    for name in ["out.mp4", "out.mkv"] {
        let output = encode(&clip, &INTERLACED, folder.path(), name);
        let interlaced = |path: &Path| -> Vec<_> {
            let frames = probe::rows(path, "frame", Some("v:0"), "interlaced_frame");
            frames.iter().map(|frame| frame.number("interlaced_frame")).collect()
        };
        assert_eq!(interlaced(&output), interlaced(&clip), "{name}");
        assert_eq!(interlaced(&clip), vec![Some(1.0); 50]);
    }
}

#[test]
fn a_stream_without_time_stamps_gets_even_ones() {
    let folder = place::temporary();
    let clip = Clip::elementary(50).path();
    let output = encode(&clip, &["-preset", "ultrafast", "-bsize", "20"], folder.path(), "out.mp4");
    let times = probe::frame_times(&output);
    assert_eq!(times.len(), 50);
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.04).abs() < 0.0011), "{times:?}");
}

#[test]
fn a_range_takes_just_its_frames() {
    let folder = place::temporary();
    let clip = Clip::raw(100).path();
    // 25 frames a second; how many frames, and which is the first.
    let cases: [(&[&str], usize, usize); 5] = [
        (&["-frames:v", "33"], 33, 0),
        (&["-t", "2"], 50, 0),
        (&["-ss", "1"], 75, 25),
        (&["-ss", "1", "-t", "2"], 50, 25),
        (&["-ss", "00:00:01", "-to", "3"], 50, 25),
    ];
    let all = picture_hashes(&clip, "yuv420p");
    for (range, frames, first) in cases {
        let options = [&["-c:v", "ffv1", "-bsize", "20"], range].concat();
        let output = encode(&clip, &options, folder.path(), "out.mkv");
        let pictures = picture_hashes(&output, "yuv420p");
        assert_eq!(pictures.len(), frames, "{range:?}");
        assert_eq!(pictures.first(), all.get(first), "{range:?}");
    }
}

#[test]
fn pictures_that_change_their_size_are_all_made_the_size_of_the_first() {
    let folder = place::temporary();
    let joined = folder.path().join("joined.h264");
    let [large, small] = [(320, 240), (160, 120)].map(|(w, h)| Clip::elementary(40).size(w, h).path());
    std::fs::write(&joined, [std::fs::read(large).unwrap(), std::fs::read(small).unwrap()].concat()).unwrap();
    let mut command = divien!("-y", "-i", &joined, "-preset", "ultrafast", "-bsize", "15");
    let output = folder.path().join("o.mp4");
    run(command.arg(&output)).success().says(&["160x120", "320x240"]);
    assert_eq!(probe::rows(&output, "frame", Some("v:0"), "width").len(), 80);
    assert_eq!((probe::video(&output, "width"), probe::video(&output, "height")), ("320".into(), "240".into()));
}

#[test]
fn a_still_picture_is_shown_for_a_frames_time() {
    let folder = place::temporary();
    let still = folder.path().join("still.png");
    let made = "videotestsrc num-buffers=1 ! video/x-raw,width=160,height=120 ! pngenc snapshot=true";
    gst::launch(&format!("{made} ! filesink location={}", gst::quoted(&still))).success();
    for name in ["o.mp4", "o.mkv"] {
        let output = encode(&still, &["-preset", "ultrafast"], folder.path(), name);
        let format = probe::rows(&output, "format", None, "duration");
        assert_eq!(format[0].number("duration"), Some(0.04), "{name}");
    }
}

#[test]
fn an_mxf_with_b_pictures_keeps_every_picture_in_its_order() {
    let folder = place::temporary();
    let clip = folder.path().join("in.mxf");
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-i"])
        .arg(Clip::film(50).rate(25, 1).path())
        .args(["-an", "-c:v", "libx264"]);
    run(make.args(["-bf", "2"]).arg(&clip)).success();
    let output = encode(&clip, &["-c:v", "ffv1"], folder.path(), "o.mkv");
    assert_eq!(picture_hashes(&output, "yuv420p"), picture_hashes(&clip, "yuv420p"));
    // ffmpeg's times of such a file go up and down.
    let times = probe::frame_times(&output);
    assert!(times.iter().zip(&times[1..]).all(|(a, b)| (b - a - 0.040).abs() < 0.002), "{times:?}");
}

#[test]
fn an_avi_with_b_pictures_keeps_every_picture_in_its_order() {
    let folder = place::temporary();
    for (coder, b_pictures) in [("mpeg4", "2"), ("mpeg4", "0"), ("mpeg2video", "2"), ("mpeg2video", "0")] {
        let clip = folder.path().join(format!("{coder}{b_pictures}.avi"));
        let mut make = Command::new("ffmpeg");
        make.args(["-nostdin", "-v", "error", "-i"])
            .arg(Clip::film(100).path())
            .args(["-an", "-c:v", coder, "-q:v", "2"]);
        run(make.args(["-bf", b_pictures]).arg(&clip)).success();
        let output = encode(&clip, &["-c:v", "ffv1", "-bsize", "13"], folder.path(), "o.mkv");
        assert_eq!(picture_hashes(&output, "yuv420p"), picture_hashes(&clip, "yuv420p"), "{coder} {b_pictures}");
        // ffmpeg has no time for the last one.
        let (ours, theirs) = (probe::frame_times(&output), probe::frame_times(&clip));
        let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - ours[0] - b + theirs[0]).abs()).fold(0.0, f64::max);
        assert!(theirs.len() >= 99 && apart < 0.001, "{coder} {b_pictures}: {ours:?} {theirs:?}");
    }
}
