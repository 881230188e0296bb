//! Outputs that are decoded once more before they get their names.

use std::fs;
use std::process::Command;

use divien_testbed::{Clip, divien, place, probe, run};

use crate::{ffmpeg, made_film, preloaded};

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

/// A library before GStreamer's, with which the fifth frame of VP9 that an encoder makes is none.
const SPOILS: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <gst/video/video.h>
    GstFlowReturn gst_video_encoder_finish_frame(GstVideoEncoder *encoder, GstVideoCodecFrame *frame) {
        static int frames;
        if (++frames == 5) {
            frame->output_buffer = gst_buffer_make_writable(frame->output_buffer);
            gst_buffer_memset(frame->output_buffer, 0, 0, 1);
        }
        GstFlowReturn (*real)(GstVideoEncoder *, GstVideoCodecFrame *) = dlsym(RTLD_NEXT, __func__);
        return real(encoder, frame);
    }
"#;

#[test]
fn an_output_that_a_decoder_loses_pictures_of_is_told_and_gets_no_name() {
    let folder = place::temporary();
    let library = preloaded(folder.path(), SPOILS);
    let film = Clip::film(60).path();
    let output = folder.path().join("out.webm");
    let options = ["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "500k", "-cpu-used", "8", "-bsize", "30"];
    let encode = |asked: &[&str]| {
        let mut command = divien!("-i", &film);
        run(command.args(asked).env("LD_PRELOAD", &library).args(options).arg(&output))
    };
    let outcome = encode(&["-verify"]).failure().says(&["is not what it should be", "60 were encoded", "anew"]);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(!output.exists());
    // Nobody looks without it.
    encode(&["-y"]).success();
    assert!(output.exists());
}

#[test]
fn what_cannot_be_read_again_is_refused_before_the_run() {
    let film = Clip::film(30).path();
    let outcome = run(&mut divien!("-verify", "-i", &film, "-f", "matroska", "-")).failure();
    outcome.says(&["-verify", "standard output", "cannot be read again"]);
    let folder = place::temporary();
    let pipe = folder.path().join("pipe.ts");
    run(Command::new("mkfifo").arg(&pipe)).success();
    let outcome = run(&mut divien!("-y", "-verify", "-i", &film, &pipe)).failure();
    outcome.says(&["-verify", "pipe.ts cannot be read again"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
