//! Streams that are not of one piece, or that decoders and demuxers here read otherwise than ffmpeg does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::fields::coded_by_fields;
use divien_testbed::{Fidelity, divien, place, probe, run};

use crate::ffmpeg;

/// What is said where an input cannot be cut.
const IN_ORDER: &str = "one decoder gives all pictures in their order";

const SOURCE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=160x128:rate=25:duration=3"];

/// Clips of these options one behind the other.
fn joined(folder: &Path, parts: &[&[&str]], (between, name): (&str, &str)) -> PathBuf {
    let mut list = String::new();
    for (i, options) in parts.iter().enumerate() {
        let part = folder.join(format!("{i}.{between}"));
        ffmpeg(&[SOURCE.as_slice(), options].concat(), &part);
        list += &format!("file {}\n", part.display());
    }
    let (text, output) = (folder.join("list"), folder.join(name));
    fs::write(&text, list).unwrap();
    ffmpeg(&["-f", "concat", "-safe", "0", "-i", text.to_str().unwrap(), "-c", "copy"], &output);
    output
}

#[test]
fn what_an_encoder_is_told_of_the_pictures_is_what_the_first_say() {
    let folder = place::temporary();
    let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-x264-params"];
    let (frames, fields) = ([&h264[..], &["fake-interlaced=1"]].concat(), [&h264[..], &["interlaced=1"]].concat());
    let jpeg = |form| ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", form];
    let (subsampled, less) = (jpeg("yuvj420p"), jpeg("yuvj422p"));
    let inputs = [
        joined(folder.path(), &[&frames, &fields], ("ts", "fields.ts")),
        joined(folder.path(), &[&subsampled, &less], ("mkv", "forms.mkv")),
    ];
    for input in inputs {
        for encoder in [["-c:v", "ffv1"], ["-preset", "ultrafast"]] {
            let output = folder.path().join("out.mkv");
            let mut command = divien!("-y", "-i", &input, "-bsize", "60");
            let outcome = run(command.args(encoder).arg(&output)).success();
            assert!(!outcome.stderr.contains(IN_ORDER), "{outcome}");
            assert_eq!(probe::frame_times(&output).len(), 150);
            // One decoder for all.
            let mut command = divien!("-y", "-i", "-", "-bsize", "60");
            command.args(encoder).arg(&output).stdin(fs::File::open(&input).unwrap());
            run(&mut command).success();
            assert_eq!(probe::frame_times(&output).len(), 150);
        }
    }
}

#[test]
fn film_grain_is_laid_by_one_decoder_at_a_time() {
    let folder = place::temporary();
    let input = folder.path().join("grain.webm");
    let options = ["-c:v", "libaom-av1", "-g", "25", "-usage", "realtime", "-cpu-used", "8"];
    ffmpeg(&[&SOURCE[..], &options, &["-denoise-noise-level", "20"]].concat(), &input);
    let output = folder.path().join("out.mkv");
    let mut command = divien!("-y", "-i", &input, "-c:v", "ffv1", "-bsize", "25", "-w", "3", &output);
    run(&mut command).success().says(&[IN_ORDER, "film grain"]);
    Fidelity::of(&output, &input).lossless().assert();
}

#[test]
fn an_mp4_without_an_edit_list_keeps_its_last_pictures() {
    let folder = place::temporary();
    let input = folder.path().join("in.mp4");
    let options = ["-c:v", "libx264", "-bf", "3", "-g", "25", "-preset", "veryfast", "-use_editlist", "0"];
    ffmpeg(&[&SOURCE[..], &options].concat(), &input);
    for cut in ["keyframe", "fixed"] {
        let output = folder.path().join("out.mp4");
        run(&mut divien!("-y", "-i", &input, "-qp", "0", "-preset", "ultrafast", "-cut", cut, "-bsize", "25", &output))
            .success();
        Fidelity::of(&output, &input).lossless().assert();
    }
}

#[test]
fn pictures_coded_field_by_field_are_whole_and_none_is_called_missing() {
    let folder = place::temporary();
    let (raw, input) = (folder.path().join("raw.h264"), folder.path().join("in.mkv"));
    coded_by_fields(&raw, 40);
    // mkvmerge leaves each field in a packet of its own.
    let mut merge = Command::new("mkvmerge");
    run(merge.args(["-q", "--default-duration", "0:25p", "-o"]).args([&input, &raw])).success();
    assert_eq!(probe::packet_times(&input, "v:0").len(), 80);
    let output = folder.path().join("out.mkv");
    let mut command = divien!("-y", "-i", &input, "-c:v", "ffv1", "-bsize", "10", &output);
    run(&mut command).success().says(&[IN_ORDER, "single field"]);
    assert_eq!(probe::frame_times(&output).len(), 40);
}

#[test]
fn hevc_coded_field_by_field_is_refused_as_such() {
    let folder = place::temporary();
    for name in ["in.mkv", "in.ts"] {
        let input = folder.path().join(name);
        ffmpeg(&[&SOURCE[..], &["-c:v", "libx265", "-x265-params", "interlace=tff:log-level=error"]].concat(), &input);
        let outcome = run(&mut divien!("-y", "-i", &input, folder.path().join("out.mkv")));
        assert_eq!(outcome.status.code(), Some(65), "{outcome}");
        outcome.says(&["field by field"]);
    }
}

#[test]
fn an_avi_that_packs_two_pictures_into_one_packet_keeps_them_all() {
    let folder = place::temporary();
    let (input, output) = (folder.path().join("in.avi"), folder.path().join("out.mkv"));
    ffmpeg(&[&SOURCE[..], &["-c:v", "libxvid", "-q:v", "3", "-g", "25", "-bf", "2"]].concat(), &input);
    run(&mut divien!("-y", "-i", &input, "-c:v", "ffv1", "-bsize", "20", &output)).success();
    let times = probe::frame_times(&output);
    // ffmpeg itself leaves out the last.
    assert!(times.len() >= probe::frame_times(&input).len(), "{}", times.len());
    assert!(times.windows(2).skip(1).all(|pair| (pair[1] - pair[0] - 0.04).abs() < 0.002), "{times:?}");
}

#[test]
fn a_transport_stream_from_a_pipe_is_not_called_short_of_a_length_that_nobody_knows() {
    let folder = place::temporary();
    let input = folder.path().join("in.ts");
    ffmpeg(&[&SOURCE[..], &["-c:v", "libx264", "-preset", "veryfast"]].concat(), &input);
    let mut command = divien!("-y", "-i", "-", "-t", "12", "-preset", "ultrafast", folder.path().join("out.mkv"));
    run(command.stdin(fs::File::open(&input).unwrap())).success();
}

#[test]
fn nothing_is_said_of_how_a_part_without_frames_would_be_cut() {
    let folder = place::temporary();
    let input = folder.path().join("in.mp4");
    ffmpeg(&[&SOURCE[..], &["-c:v", "libx264", "-preset", "veryfast"]].concat(), &input);
    let outcome = run(&mut divien!("-y", "-i", &input, "-ss", "99", folder.path().join("out.mkv"))).failure();
    assert!(outcome.stderr.contains("3.000 s long") && !outcome.stderr.contains(IN_ORDER), "{outcome}");
}

#[test]
fn damage_that_a_demuxer_passes_over_is_told() {
    let folder = place::temporary();
    let output = folder.path().join("out.mkv");
    let coded = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25"];
    // The last cluster's second block is no element any more: nothing behind it would say that pictures are missing.
    let matroska = folder.path().join("whole.mkv");
    ffmpeg(&[SOURCE.as_slice(), &coded, &["-cluster_time_limit", "1000"]].concat(), &matroska);
    let mut bytes = fs::read(&matroska).unwrap();
    let cluster = bytes.windows(4).rposition(|w| w == [0x1f, 0x43, 0xb6, 0x75]).unwrap();
    let block = cluster + 60 + bytes[cluster + 60..].windows(4).position(|w| w[0] == 0xa3 && w[3] == 0x81).unwrap();
    bytes[block] = 0x03;
    fs::write(&matroska, bytes).unwrap();
    let outcome = run(divien!("-y", "-i", &matroska, "-preset", "ultrafast").arg(&output)).failure();
    assert_eq!(outcome.status.code(), Some(75), "{outcome}");
    outcome.says(&[&format!("damaged at byte {block}")]);
    let part = run(divien!("-y", "-t", "1", "-i", &matroska, "-preset", "ultrafast").arg(&output)).success();
    assert!(!part.stderr.contains("damaged"), "{part}");

    // A packet of the first picture belongs to nobody now.
    let transport = folder.path().join("whole.ts");
    ffmpeg(&[SOURCE.as_slice(), &coded].concat(), &transport);
    let whole = fs::read(&transport).unwrap();
    let is_video = |p: &&[u8]| p[1] & 0x1f == 1 && p[2] == 0 && p[3] & 0x10 != 0;
    let second = whole.chunks(188).enumerate().filter(|(_, p)| is_video(p)).nth(1).unwrap().0;
    let mut bytes = whole.clone();
    bytes[second * 188 + 1] |= 0x14;
    fs::write(&transport, bytes).unwrap();
    for input in ["file", "pipe"] {
        let mut command = divien!("-y", "-i", if input == "file" { transport.to_str().unwrap() } else { "-" });
        command.args(["-preset", "ultrafast"]).arg(&output).stdin(fs::File::open(&transport).unwrap());
        run(&mut command).says(&["missing or damaged in 1 place"]);
    }
    // Without its parameter sets a parser makes nothing of the first group of pictures.
    let mut bytes = whole.clone();
    let set = bytes.windows(5).position(|w| w == [0, 0, 0, 1, 0x67]).unwrap();
    bytes[set + 4] = 0x60;
    // Nor is the stream known by its first packet any more.
    bytes[0] = 0;
    fs::write(&transport, bytes).unwrap();
    let outcome = run(divien!("-y", "-i", &transport, "-preset", "ultrafast").arg(&output)).success();
    outcome.says(&["nothing could be made of 25 packets"]);
    fs::write(&transport, whole).unwrap();
    let outcome = run(divien!("-y", "-i", &transport, "-preset", "ultrafast").arg(&output)).success();
    assert!(!outcome.stderr.contains("damaged") && !outcome.stderr.contains("made of"), "{outcome}");
}
