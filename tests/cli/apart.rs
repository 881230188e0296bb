//! Chunks that are cut before they are decoded, and inputs that cannot be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::coded::{CODED, coded};
use divien_testbed::fidelity::Source;
use divien_testbed::{Clip, Fidelity, divien, place, probe, run};

use crate::{encode, made_film};

/// What is said where an input cannot be cut.
const IN_ORDER: &str = "one decoder gives all pictures in their order";

fn made(folder: &Path, name: &str) -> PathBuf {
    let (name, options) = CODED.into_iter().find(|(n, _)| *n == name).unwrap();
    coded(folder, name, options)
}

/// Numbers of the pictures that are key frames.
fn keys(path: &Path) -> Vec<usize> {
    let frames = probe::rows(path, "frame", Some("v:0"), "key_frame");
    frames.iter().enumerate().filter(|(_, row)| row.text("key_frame") == Some("1")).map(|(i, _)| i).collect()
}

#[test]
fn every_codec_keeps_its_pictures_however_it_is_cut() {
    let folder = place::temporary();
    for (name, options) in CODED {
        let input = coded(folder.path(), name, options);
        let source = Source::new(&input);
        for cut in ["keyframe", "fixed"] {
            let output = folder.path().join("out.mkv");
            let mut command = divien!("-y", "-i", &input, "-c:v", "ffv1", "-bsize", "60", "-cut", cut, &output);
            let outcome = run(&mut command).success();
            // It has a single key frame.
            assert_eq!(outcome.stderr.contains(IN_ORDER), name == "refresh.mkv", "{name}: {outcome}");
            Fidelity::of_measured(&output, &source).lossless().assert();
        }
    }
}

#[test]
fn chunks_begin_at_the_inputs_key_frames_or_after_just_so_many_pictures() {
    let folder = place::temporary();
    let input = made(folder.path(), "closed.mp4");
    let cut = |mode: &[&str]| {
        let options = [&["-preset", "ultrafast", "-bsize", "40"], mode].concat();
        keys(&encode(&input, &options, folder.path(), "out.mp4"))
    };
    assert_eq!(cut(&[]), [0, 50, 100, 125]);
    assert_eq!(cut(&["-cut", "keyframe"]), [0, 50, 100, 125]);
    assert_eq!(cut(&["-cut", "fixed"]), [0, 40, 80, 120]);
}

#[test]
fn what_cannot_be_cut_is_decoded_in_order_and_the_reason_is_told() {
    let folder = place::temporary();
    let avi = folder.path().join("in.avi");
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-i"]).arg(made(folder.path(), "asp.mp4"));
    run(make.args(["-c", "copy"]).arg(&avi)).success();
    let late = made(folder.path(), "refresh.mkv");
    for (input, why) in [(avi, "does not tell when"), (late, "key frames are too far apart")] {
        let output = folder.path().join("out.mkv");
        let mut command = divien!("-y", "-i", &input, "-preset", "ultrafast", "-bsize", "30", &output);
        run(&mut command).success().says(&[IN_ORDER, why]);
        // ffmpeg itself loses one of the pictures in the AVI.
        assert_eq!(probe::frame_times(&output).len(), 150);
        assert_eq!(keys(&output)[..2], [0, 30]);
    }
    // One that can says nothing.
    let mut command = divien!("-y", "-i", Clip::film(60).path(), "-preset", "ultrafast", folder.path().join("out.mkv"));
    assert!(!run(&mut command).success().stderr.contains(IN_ORDER));
}

/// Motion JPEG of which three pictures are gone.
fn spoilt(folder: &Path) -> PathBuf {
    let (input, spoilt) = (folder.join("whole.mov"), folder.join("spoilt.mov"));
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-i"]).arg(made(folder, "mjpeg.mov"));
    run(make.args(["-c", "copy", "-movflags", "+faststart"]).arg(&input)).success();
    let packets = probe::rows(&input, "packet", Some("v:0"), "pos,size");
    let mut bytes = fs::read(&input).unwrap();
    for packet in [60, 61, 99] {
        let number = |key| packets[packet].number(key).unwrap() as usize;
        bytes[number("pos")..][..number("size")].fill(0);
    }
    fs::write(&spoilt, bytes).unwrap();
    spoilt
}

#[test]
fn with_xerror_the_first_picture_that_is_lost_ends_the_run_and_nothing_is_left() {
    let folder = place::temporary();
    let spoilt = spoilt(folder.path());
    let outputs = folder.path().join("outputs");
    fs::create_dir(&outputs).unwrap();
    let attempt = |input: &str, options: &[&str]| {
        let mut command = divien!("-y", "-xerror", "-i", input, "-preset", "ultrafast", "-bsize", "25");
        run(command.args(options).arg(outputs.join("out.mkv")).stdin(fs::File::open(&spoilt).unwrap()))
    };
    // Before it is decoded, and one after the other.
    for input in [spoilt.to_str().unwrap(), "-"] {
        let outcome = attempt(input, &[]).failure().says(&["missing: 60 at 2.400 s", "-xerror"]);
        assert_eq!(outcome.status.code(), Some(65), "{outcome}");
        let names: Vec<_> = fs::read_dir(&outputs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        // What was finished is kept of a file, and not of what comes once.
        assert!(names.iter().all(|name| input != "-" && name == "out.mkv.divien"), "{names:?}\n{outcome}");
        // What is not encoded is not missed.
        attempt(input, &["-t", "2.2"]).success();
        fs::remove_file(outputs.join("out.mkv")).unwrap();
    }
    // One that ends before its header says so.
    let whole = fs::read(made(folder.path(), "open.mkv")).unwrap();
    let short = folder.path().join("short.mkv");
    fs::write(&short, &whole[..whole.len() * 2 / 3]).unwrap();
    for (options, code) in [(&[][..], 75), (&["-xerror"], 65)] {
        let mut command = divien!("-i", &short, "-preset", "ultrafast", outputs.join("out.mkv"));
        let outcome = run(command.args(options)).failure();
        assert_eq!(outcome.status.code(), Some(code), "{outcome}");
        assert_eq!(outputs.join("out.mkv").exists(), code == 75, "{outcome}");
        let _ = fs::remove_file(outputs.join("out.mkv"));
    }
}

#[test]
fn pictures_that_no_chunk_could_decode_are_told_by_number_and_time_in_every_run() {
    let folder = place::temporary();
    let spoilt = spoilt(folder.path());
    let output = folder.path().join("out.mkv");
    let attempt = |workers: &str| {
        let options = ["-preset", "ultrafast", "-bsize", "25", "-w", workers];
        let outcome = run(divien!("-y", "-i", &spoilt).args(options).arg(&output));
        assert_eq!(outcome.status.code(), Some(75), "{outcome}");
        assert!(!outcome.stderr.contains(IN_ORDER), "{outcome}");
        let told = "3 frames missing: 60 at 2.400 s, 61 at 2.440 s, 99 at 3.960 s";
        assert!(outcome.stderr.contains(told), "{outcome}");
        fs::read(&output).unwrap()
    };
    let first = attempt("1");
    let times = probe::frame_times(&output);
    assert_eq!(times.len(), 147);
    assert!(times.iter().all(|time| [2.4, 2.44, 3.96].iter().all(|gone| (time - gone).abs() > 0.01)), "{times:?}");
    assert!(["2", "5"].iter().all(|workers| attempt(workers) == first));
}

#[test]
fn a_part_of_a_file_is_the_part_that_one_decoder_gives() {
    let folder = place::temporary();
    let film = folder.path().join("film.mkv");
    let options = ["-c:v", "libx264", "-g", "25", "-x264-params", "open-gop=1", "-c:a", "aac"];
    made_film("160x120", 6, &options, &film);
    let packets = |path: &Path| {
        let mut packets: Vec<(String, String)> = probe::rows(path, "packet", None, "stream_index,pts_time,size")
            .iter()
            .map(|row| {
                (row.text("stream_index").unwrap().into(), format!("{:?} {:?}", row.text("pts_time"), row.text("size")))
            })
            .collect();
        packets.sort();
        packets
    };
    let ranges: [&[&str]; 6] = [
        &["-ss", "1.3", "-t", "2"],
        &["-ss", "3.98"],
        &["-to", "0.5"],
        &["-frames:v", "61"],
        &["-ss", "0.5", "-frames:v", "20"],
        &["-ss", "2", "-frames:v", "500"],
    ];
    for range in ranges {
        let options = [&["-preset", "ultrafast", "-bsize", "60", "-cut", "fixed"], range].concat();
        let apart = encode(&film, &options, folder.path(), "apart.mkv");
        let ordered = folder.path().join("ordered.mkv");
        let mut command = divien!("-y", "-i", "-");
        run(command.args(&options).arg(&ordered).stdin(fs::File::open(&film).unwrap())).success();
        assert_eq!(packets(&apart), packets(&ordered), "{range:?}");
        Fidelity::of(&apart, &ordered).lossless().assert();
    }
}
