//! Outputs that are decoded once more before they get their names.

use std::fs;

use divien_testbed::{Clip, divien, place, probe, run};

use crate::{ffmpeg, made_film};

const AV1: &[&str] =
    &["-c:v", "libaom-av1", "-cpu-used", "8", "-b:v", "300k", "-lag-in-frames", "0", "-error-resilience", "default"];

#[test]
fn what_every_encoder_and_container_made_is_decoded_and_compared() {
    let folder = place::temporary();
    let film = folder.path().join("in.mkv");
    made_film(
        "160x120",
        3,
        &["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "2", "-c:a", "flac"],
        &film,
    );
    for (name, options) in [
        ("x264.mp4", &["-c:v", "libx264", "-preset", "veryfast"][..]),
        ("x264.mkv", &["-c:v", "libx264", "-preset", "veryfast"]),
        ("x264.ts", &["-c:v", "libx264", "-preset", "veryfast"]),
        ("x264.h264", &["-c:v", "libx264", "-preset", "veryfast"]),
        ("x265.mkv", &["-c:v", "libx265", "-preset", "ultrafast"]),
        ("x265.mp4", &["-c:v", "libx265", "-preset", "ultrafast"]),
        ("x265.h265", &["-c:v", "libx265", "-preset", "ultrafast"]),
        ("vp9.webm", &["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "500k", "-cpu-used", "8"]),
        ("vp8.webm", &["-c:v", "libvpx", "-b:v", "500k", "-cpu-used", "8"]),
        ("vp9.ivf", &["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "500k", "-cpu-used", "8"]),
        ("av1.mp4", AV1),
        ("av1.mkv", AV1),
        ("av1.obu", AV1),
        ("mpeg4.mp4", &["-c:v", "mpeg4", "-q:v", "5"]),
        ("jpeg.mov", &["-c:v", "mjpeg", "-q:v", "3"]),
        ("ffv1.mkv", &["-c:v", "ffv1"]),
        ("prores.mov", &["-c:v", "prores_ks"]),
        ("part.mp4", &["-c:v", "libx264", "-preset", "veryfast", "-ss", "0.7", "-t", "1.3"]),
        ("slow.mkv", &["-c:v", "libx264", "-preset", "veryfast", "-r", "12.5"]),
    ] {
        let output = folder.path().join(name);
        let mut command = divien!("-verify", "-i", &film);
        let outcome = run(command.args(options).args(["-bsize", "20"]).arg(&output)).success();
        let pictures = probe::packet_times(&output, "v:0").len();
        let said = format!("verified: {pictures} pictures decoded, each at its time");
        assert!(outcome.stderr.contains(&said), "{name}: {said}: {outcome}");
    }
}

#[test]
fn a_video_that_gstreamer_does_not_show_is_not_said_to_be_wrong() {
    let folder = place::temporary();
    let film = folder.path().join("in.mkv");
    let inputs = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2", "-f", "lavfi", "-i", "sine=d=30"];
    ffmpeg(&[&inputs[..], &["-c:v", "libx264", "-c:a", "aac"]].concat(), &film);
    let output = folder.path().join("out.mp4");
    run(&mut divien!("-verify", "-i", &film, &output)).says(&["not verified"]);
    assert_eq!(probe::frame_times(&output).len(), 50);
}

#[test]
fn pictures_at_uneven_times_are_compared_as_well() {
    let folder = place::temporary();
    let uneven = folder.path().join("uneven.mkv");
    let times = "setpts='if(lt(N,20),N,N*2.5)/25/TB'";
    ffmpeg(
        &["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=3", "-vf", times, "-fps_mode", "vfr"],
        &uneven,
    );
    for name in ["out.mp4", "out.mkv", "out.ts"] {
        let output = folder.path().join(name);
        let mut command = divien!("-verify", "-i", &uneven, "-bsize", "16", "-preset", "ultrafast");
        run(command.arg(&output)).success().says(&["verified: 75 pictures decoded, each at its time"]);
    }
}

#[test]
fn what_cannot_be_read_again_is_refused_before_the_run() {
    let film = Clip::film(30).path();
    let outcome = run(&mut divien!("-verify", "-i", &film, "-f", "matroska", "-")).failure();
    outcome.says(&["-verify", "standard output", "cannot be read again"]);
    let folder = place::temporary();
    let pipe = folder.path().join("pipe.ts");
    run(std::process::Command::new("mkfifo").arg(&pipe)).success();
    let outcome = run(&mut divien!("-y", "-verify", "-i", &film, &pipe)).failure();
    outcome.says(&["-verify", "pipe.ts cannot be read again"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
