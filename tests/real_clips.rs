//! `divien` on real clips, where `DIVIEN_MEDIA` names a folder of them.

#![cfg(test)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use divien_testbed::fidelity::Source;
use divien_testbed::{Fidelity, Running, divien, gst, media, media_clips, place, run};

/// Clips that are broken on purpose: an error, or all that can be read.
const BROKEN: [&str; 6] = [
    "ax_sample_fragmented.mp4",
    "ax_sample_missing_stsd.mp4",
    "ax_sample_with_invalid_nalu.mp4",
    "trunc.mkv",
    "trunc_no_moov.mp4",
    "hachoir_breakdance.flv",
];

/// Clips whose sound, subtitles and chapters are compared as well, whole and in Matroska.
const WITH_MORE: [&str; 4] =
    ["multi.mkv", "ax_sample_with_chapters.mkv", "ax_sample_with_ass_subtitles.mkv", "ocean_720p24.mp4"];

/// Clips that take long are whole in one container, and this many seconds of them are in the other.
const PART: &str = "8";
const LONG: [&str; 4] =
    ["h264_opengop.mp4", "hand-drawing_1080p25.mp4", "sintel_trailer_720p24.mp4", "traffic_960x540p5994.mp4"];

/// No encode of a test clip takes as long.
const LIMIT: Duration = Duration::from_secs(300);

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What the output is compared with, where that is not the clip as ffmpeg decodes it.
fn reference(clip: &Path, extension: &str, folder: &Path) -> Option<Arc<Source>> {
    match (name(clip), extension) {
        // Empty packets repeat the frame before them; GStreamer shows it again at its time, ffmpeg skips one of them.
        ("ocean.ogv", _) => {
            let decoded = folder.join("ocean.mkv");
            let from = gst::quoted(clip);
            gst::launch(&format!(
                "filesrc location={from} ! oggdemux ! theoradec ! avenc_ffv1 ! matroskamux ! filesink location={}",
                gst::quoted(&decoded),
            ))
            .success();
            Some(Source::new(decoded))
        }
        // Matroska has no matrix, so the picture itself is turned.
        ("rot90.mp4", "mkv") => {
            let turned = folder.join("turned.mkv");
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(["-nostdin", "-y", "-v", "error", "-i"]).arg(clip);
            run(ffmpeg.args(["-map", "0:v:0", "-c:v", "ffv1", "-fps_mode", "passthrough"]).arg(&turned)).success();
            Some(Source::new(turned))
        }
        _ => None,
    }
}

/// The first seconds of a clip's pictures, as ffmpeg decodes them.
#[track_caller]
fn part(clip: &Path, folder: &Path) -> Arc<Source> {
    let part = folder.join("part.mkv");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-y", "-v", "error", "-i"]).arg(clip).args(["-t", PART, "-map", "0:v:0"]);
    run(ffmpeg.args(["-c:v", "ffv1", "-fps_mode", "passthrough"]).arg(&part)).success();
    Source::new(part)
}

/// Every second clip that is whole, to each container; all that is wrong is told at the end.
#[track_caller]
fn clips_are_faithful(parity: usize) {
    let folder = place::temporary();
    let mut faults = Vec::new();
    let whole = media_clips().into_iter().filter(|clip| !BROKEN.contains(&name(clip)));
    for clip in whole.skip(parity).step_by(2) {
        let source = Source::new(&clip);
        let long = LONG.iter().position(|long| *long == name(&clip));
        for (number, extension) in ["mp4", "mkv"].into_iter().enumerate() {
            // Another test has it whole there.
            if extension == "mkv" && WITH_MORE.contains(&name(&clip)) {
                continue;
            }
            let output = folder.path().join(format!("output.{extension}"));
            let is_part = long.is_some_and(|long| long % 2 == number);
            let mut command = divien!("-y", "-i", &clip, "-preset", "ultrafast", "-crf", "18");
            let outcome =
                Running::start(command.args(is_part.then_some(["-t", PART]).iter().flatten()).arg(&output)).wait(LIMIT);
            if !outcome.status.success() {
                faults.push(format!("{}\n{outcome}", name(&clip)));
                continue;
            }
            let reference = match is_part {
                true => Some(part(&clip, folder.path())),
                false => reference(&clip, extension, folder.path()),
            };
            let fidelity = Fidelity::of_measured(&output, reference.as_ref().unwrap_or(&source));
            let wrong = fidelity.findings().into_iter().filter(|finding| !finding.holds);
            faults.extend(wrong.map(|finding| format!("{} in {extension}: {finding}", name(&clip))));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

// Two tests, so that two run at once.
#[test]
fn every_clip_is_whole_in_mp4_and_mkv() {
    clips_are_faithful(0);
}

#[test]
fn every_other_clip_is_whole_in_mp4_and_mkv() {
    clips_are_faithful(1);
}

#[test]
fn sound_subtitles_and_chapters_are_kept_in_mkv() {
    let folder = place::temporary();
    for clip in WITH_MORE {
        let Some(clip) = media(clip) else { continue };
        let output = folder.path().join("out.mkv");
        let mut command = divien!("-y", "-i", &clip, "-preset", "ultrafast", &output);
        Running::start(&mut command).wait(LIMIT).success();
        Fidelity::of(&output, &clip).streams().sound_tolerance_ms(1.0).assert();
    }
}

#[test]
fn a_lossless_encoder_loses_nothing() {
    let folder = place::temporary();
    let exact: [&[&str]; 2] = [&["-c:v", "ffv1"], &["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"]];
    for clip in ["tc_h264_10bits.mp4", "ax_bear-vp9-odd-dimensions.webm", "carphone_pristine.mp4", "h264_opengop.mp4"] {
        let Some(clip) = media(clip) else { continue };
        // x264 takes no odd size in 4:2:0; in 4:4:4 its chroma is another.
        let odd = name(&clip).contains("odd-dimensions");
        for options in exact.into_iter().take(if odd { 1 } else { 2 }) {
            let output = folder.path().join("out.mkv");
            let mut command = divien!("-y", "-i", &clip);
            command.args(options).args(["-bsize", "50"]).arg(&output);
            Running::start(&mut command).wait(LIMIT).success();
            Fidelity::of(&output, &clip).lossless().assert();
        }
    }
}

#[test]
fn other_encoders_take_real_film() {
    let folder = place::temporary();
    let encoders: [(&str, &[&str]); 5] = [
        ("libx265", &["-preset", "ultrafast"]),
        ("libvpx-vp9", &["-crf", "30", "-b:v", "2M", "-cpu-used", "5"]),
        ("libvpx", &["-b:v", "2M", "-cpu-used", "5"]),
        ("libaom-av1", &["-b:v", "1M", "-cpu-used", "8", "-lag-in-frames", "0", "-error-resilience", "default"]),
        ("mpeg4", &["-q:v", "3"]),
    ];
    for clip in ["h264_opengop.mp4", "carphone_pristine.mp4"] {
        let Some(clip) = media(clip) else { continue };
        let part = part(&clip, folder.path());
        for (encoder, options) in encoders {
            let output = folder.path().join("out.mkv");
            let mut command = divien!("-y", "-i", &clip, "-c:v", encoder);
            command.args(options).args(["-bsize", "100", "-t", PART]).arg(&output);
            Running::start(&mut command).wait(LIMIT).success();
            eprintln!("{encoder}");
            Fidelity::of_measured(&output, &part).assert();
        }
    }
}

#[test]
fn broken_clips_give_an_error_or_all_that_is_readable() {
    let folder = place::temporary();
    for broken in BROKEN {
        let Some(clip) = media(broken) else { continue };
        let output = folder.path().join(broken).with_extension("mkv");
        let mut command = divien!("-i", &clip, "-preset", "ultrafast", &output);
        let outcome = Running::start(&mut command).wait(Duration::from_secs(60));
        assert!(outcome.status.code().is_some(), "a crash\n{outcome}");
        if output.exists() {
            let complaints = Fidelity::of(&output, &clip).findings();
            let decodes = complaints.iter().find(|finding| finding.name == "decode").unwrap();
            assert!(decodes.holds, "{broken}: {decodes}\n{outcome}");
        } else {
            assert!(!outcome.status.success(), "a silent success\n{outcome}");
            assert!(!outcome.stderr.trim().is_empty(), "a silent failure\n{outcome}");
        }
    }
}

#[test]
fn neither_workers_nor_the_day_change_a_byte() {
    let folder = place::temporary();
    let encoders: [(&str, &[&str], &[&str]); 6] = [
        ("x264, CRF", &["-c:v", "libx264", "-preset", "veryfast"], &["mp4", "mkv", "ts"]),
        ("x264, average rate", &["-c:v", "libx264", "-preset", "veryfast", "-b:v", "900k"], &["mkv"]),
        ("x265, CRF", &["-c:v", "libx265", "-preset", "ultrafast"], &["mp4", "ts"]),
        ("x265, average rate", &["-c:v", "libx265", "-preset", "ultrafast", "-b:v", "900k"], &["mkv"]),
        (
            "x265, VBV",
            &[
                "-c:v",
                "x265enc",
                "-speed-preset",
                "ultrafast",
                "-bitrate",
                "900",
                "-option-string",
                "vbv-maxrate=1000:vbv-bufsize=800",
            ],
            &["mp4"],
        ),
        ("vp9", &["-c:v", "libvpx-vp9", "-crf", "33", "-b:v", "2M", "-cpu-used", "8"], &["webm", "mkv"]),
    ];
    // Where it starts, and the length of a chunk that gives four.
    let clips = [
        ("traffic_960x540p5994.mp4", "0", "30"),
        ("sintel_trailer_720p24.mp4", "5", "12"),
        ("ocean_720p24.mp4", "0", "12"),
    ];
    let each =
        encoders.iter().flat_map(|(what, options, extensions)| extensions.iter().map(move |e| (what, options, e)));
    for (turn, (what, options, extension)) in each.enumerate() {
        // The clips take turns; a rate that is to be met depends on the pictures more than all else.
        let is_rated = what.ends_with("rate") || what.ends_with("VBV");
        for (_, (clip, start, size)) in clips.into_iter().enumerate().filter(|(i, _)| is_rated || *i == turn % 3) {
            let Some(clip) = media(clip) else { continue };
            let file = |workers: &str, days: &str| {
                let output = folder.path().join(format!("{workers}.{extension}"));
                let mut command = divien!("-y", "-ss", start, "-t", "2", "-i", &clip, "-bsize", size, "-w", workers);
                command.args(*options);
                let mut other_day = gst::command("faketime");
                other_day.args(["-m", "-f", days]).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                other_day.arg(command.arg(&output).get_program()).args(command.get_args());
                Running::start(&mut other_day).wait(LIMIT).success();
                std::fs::read(&output).unwrap()
            };
            let one = file("1", "+0d");
            for (workers, days) in [("2", "+1d"), ("5", "-400d")] {
                let same = file(workers, days) == one;
                assert!(same, "{what}: {}, {extension}: {workers} workers, {days}: other bytes", name(&clip));
            }
        }
    }
}
