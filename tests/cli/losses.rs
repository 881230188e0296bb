//! Pictures that the input does not have, or has damaged: what is said of them.

use std::fs;
use std::path::Path;

use divien_testbed::{divien, place, probe, run};

use crate::ffmpeg;

pub(crate) const SOURCE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4"];

#[test]
fn pictures_before_the_first_that_can_be_decoded_are_told() {
    let folder = place::temporary();
    // One begins between two key frames, one with pictures that are shown before its first key frame.
    for (codec, first) in [(&["libvpx"][..], 15), (&["mpeg2video", "-bf", "2"][..], 25)] {
        let (whole, input) = (folder.path().join("whole.mkv"), folder.path().join("input.mkv"));
        ffmpeg(&[&SOURCE[..], &["-g", "25", "-b:v", "1M", "-c:v"], codec].concat(), &whole);
        let drop = format!("noise=amount=0:drop='lt(n,{first})'");
        ffmpeg(&["-i", whole.to_str().unwrap(), "-c", "copy", "-bsf:v", &drop], &input);
        let packets = probe::packet_times(&input, "v:0").len();
        let output = folder.path().join("out.mkv");
        let mut command = divien!("-y", "-i", &input, "-preset", "ultrafast", "-bsize", "25", &output);
        let outcome = run(&mut command).success();
        assert!(!outcome.stderr.contains("one decoder gives all"), "{outcome}");
        let written = probe::frame_times(&output).len();
        assert!((70..packets).contains(&written), "{written} of {packets}: {outcome}");
        outcome.says(&[&format!("{} pictures before the first that can be decoded", packets - written)]);
    }
}

/// Spoils the middle of each of these packets. What comes of one may pass for a picture.
pub(crate) fn spoil(clip: &Path, packets: std::ops::Range<usize>) {
    let rows = probe::rows(clip, "packet", Some("v:0"), "pos,size");
    let number = |row: &probe::Row, name| row.number(name).unwrap() as usize;
    let mut bytes = fs::read(clip).unwrap();
    for row in &rows[packets] {
        let (at, size) = (number(row, "pos"), number(row, "size"));
        bytes[at + size / 4..][..size / 2].iter_mut().for_each(|byte| *byte ^= 0x5a);
    }
    fs::write(clip, bytes).unwrap();
}

#[test]
fn damage_is_told_in_a_file_of_open_gops_as_well_and_without_damage_nothing_is() {
    let folder = place::temporary();
    let input = folder.path().join("open.mp4");
    let x264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25"];
    ffmpeg(&[&SOURCE[..], &x264, &["-x264-params", "scenecut=0:open-gop=1"]].concat(), &input);
    for is_damaged in [false, true] {
        if is_damaged {
            spoil(&input, 30..45);
        }
        for chunk in ["25", "50"] {
            let output = folder.path().join("out.mkv");
            let outcome = run(&mut divien!("-y", "-i", &input, "-preset", "ultrafast", "-bsize", chunk, &output));
            assert!(!outcome.stderr.contains("one decoder gives all"), "{outcome}");
            let said = ["found: ", "missing: ", "damaged: ", "the first: "].map(|words| outcome.stderr.contains(words));
            assert_eq!(said.contains(&true), is_damaged, "{outcome}");
        }
    }
}
