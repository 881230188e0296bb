//! What `divien` says when it cannot: one clear line, a hint, an exit code of its own, and no file that looks finished.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use divien_testbed::run::Signal;
use divien_testbed::{Clip, Outcome, Running, divien, gst, place, probe, run};

use crate::encode;

/// Runs `divien -i INPUT OPTIONS OUTPUT`, which must fail and leave nothing behind in the output's folder.
#[track_caller]
fn refused(input: &Path, options: &[&str], name: &str) -> Outcome {
    let folder = place::temporary();
    let mut command = divien!("-i", input);
    let outcome = run(command.args(options).arg(folder.path().join(name))).failure();
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new(), "{outcome}");
    outcome
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // What is finished is kept, see `resume`.
    all.filter(|path| path.extension().is_none_or(|end| end != "divien")).collect()
}

#[test]
fn pictures_before_0_are_the_inputs_fault_and_never_moved() {
    let folder = place::temporary();
    let (early, output) = (folder.path().join("in.mkv"), folder.path().join("out.mkv"));
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", "-pix_fmt", "yuv420p"]);
    make.args(["-c:v", "libx264", "-output_ts_offset", "-0.5", "-avoid_negative_ts", "disabled"]);
    run(make.arg(&early)).success();
    let outcome = run(&mut divien!("-y", "-i", &early, "-preset", "ultrafast", &output));
    assert_eq!(outcome.status.code(), Some(65), "{outcome}");
    assert!(outcome.stderr.contains("before the time 0") && outcome.stderr.contains("mkvmerge"), "{outcome}");
    assert!(!output.exists());
    let mended = folder.path().join("mended.mkv");
    run(Command::new("mkvmerge").arg("-q").arg("-o").arg(&mended).arg(&early)).success();
    run(&mut divien!("-y", "-i", &mended, "-preset", "ultrafast", &output)).success();
    assert_eq!(probe::rows(&output, "packet", Some("v:0"), "pts_time").len(), 50);
}

#[test]
fn each_cause_has_its_own_exit_code() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let sound = folder.path().join("sound.mka");
    gst::launch(&format!(
        "audiotestsrc num-buffers=20 ! opusenc ! matroskamux ! filesink location={}",
        gst::quoted(&sound)
    ))
    .success();
    let text = folder.path().join("text.mp4");
    fs::write(&text, "This is no video. ".repeat(100)).unwrap();
    let output = folder.path().join("out.mp4");
    fs::write(&output, "precious").unwrap();

    let code = |outcome: Outcome| outcome.status.code().unwrap();
    let usage = code(refused(&film, &["-crff", "23"], "out.mp4").says(&["-crff", "-crf"]));
    let range = code(refused(&film, &["-crf", "99"], "out.mp4").says(&["crf", "99", "51"]));
    let unknown = refused(&film, &["-c:v", "libx246"], "out.mp4").says(&["libx246", "libx264"]);
    assert_ne!(code(unknown), 0);
    let missing = code(refused(&folder.path().join("none.mp4"), &[], "out.mp4").says(&["none.mp4"]));
    let no_video = code(refused(&sound, &[], "out.mp4").says(&["no video"]));
    let not_media = code(refused(&text, &[], "out.mp4").says(&["text.mp4"]));
    let exists = code(run(&mut divien!("-i", &film, &output)).failure().says(&["out.mp4", "exists", "-y"]));
    assert_eq!(usage, range);
    assert_eq!(no_video, not_media);
    let codes: BTreeSet<_> = [usage, missing, no_video, exists].into();
    assert_eq!(codes.len(), 4, "usage {usage}, missing {missing}, no video {no_video}, exists {exists}");
}

#[test]
fn an_output_that_exists_is_kept_unless_y_is_given() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let output = folder.path().join("out.mp4");
    fs::write(&output, "precious").unwrap();
    for options in [["-hide_banner"], ["-n"]] {
        let mut command = divien!(options[0], "-i", &film, "-preset", "ultrafast", &output);
        run(&mut command).failure();
        assert_eq!(fs::read(&output).unwrap(), b"precious");
    }
    run(&mut divien!("-y", "-i", &film, "-preset", "ultrafast", &output)).success();
    assert_ne!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(entries(folder.path()), [output]);
}

#[test]
fn a_failure_keeps_the_file_that_was_to_be_replaced() {
    let folder = place::temporary();
    let output = folder.path().join("out.mp4");
    fs::write(&output, "precious").unwrap();
    run(&mut divien!("-y", "-i", folder.path().join("none.mp4"), &output)).failure();
    assert_eq!(fs::read(&output).unwrap(), b"precious");
}

#[test]
fn a_video_without_frames_is_an_error_not_a_wait() {
    let folder = place::temporary();
    let empty = folder.path().join("empty.y4m");
    fs::write(&empty, "YUV4MPEG2 W64 H64 F25:1\n").unwrap();
    refused(&empty, &[], "out.mp4").says(&["empty.y4m", "no frame"]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let output = folder.path().join("nowhere/out.mp4");
    let outcome = run(&mut divien!("-i", &film, &output)).failure().says(&["nowhere/out.mp4: No such file"]);
    assert!(!outcome.stderr.contains(".part"), "{outcome}");
    run(&mut divien!("-i", &film, "-t", "0", &output)).failure().says(&["is empty"]);
    run(&mut divien!("-y", "-i", &film, folder.path())).failure();
}

#[test]
fn options_of_ffmpeg_that_are_not_there_yet_are_never_taken_for_others() {
    let film = Clip::film(30).path();
    let cases: [&[&str]; 5] = [
        &["-map", "0:v"],
        &["-filter_complex", "null"],
        &["-maxrate", "1M"],
        &["-bufsize", "1M"],
        &["-passlogfile", "a"],
    ];
    for options in cases {
        refused(&film, options, "out.mp4").says(&[options[0], "not supported yet"]);
    }
}

#[test]
fn a_filter_that_does_not_fit_the_pictures_is_refused_before_the_encode() {
    let film = Clip::film(30).path();
    refused(&film, &["-vf", "crop=400:100"], "out.mp4").says(&["crop", "no part of pictures of 320x180"]);
    refused(&film, &["-r", "5", "-frames:v", "2"], "out.mp4").says(&["-frames:v", "-t"]);
    refused(&film, &["-vf", "boxblur"], "out.mp4").says(&["boxblur", "there are scale, crop"]);
}

#[test]
fn an_unknown_container_is_named() {
    let film = Clip::film(30).path();
    refused(&film, &[], "out.xyz").says(&["xyz"]);
    refused(&film, &["-f", "xyz"], "out.mp4").says(&["xyz"]);
    refused(&film, &["-f", "null"], "out.mp4").says(&["-f matroska /dev/null"]);
}

#[test]
fn a_codec_the_container_cannot_hold_is_refused_before_the_encode() {
    let film = Clip::film(30).path();
    refused(&film, &["-c:v", "libx264"], "out.webm").says(&["webm"]);
}

#[test]
fn an_encoder_may_write_no_file() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let file = folder.path().join("file");
    let x264 = ["dump-yuv", "dump_yuv", "stats", "cqmfile", "opencl-clbin", "qpfile", "log-file"];
    let x265 = ["stats", "csv", "recon", "qpfile", "zonefile", "lambda-file", "analysis-save", "nalu-file"];
    let x264 = ["x264-params", "x264opts"].into_iter().flat_map(|option| x264.map(|key| ("libx264", option, key)));
    for (encoder, option, key) in x264.chain(x265.map(|key| ("libx265", "x265-params", key))) {
        let (parameters, option) = (format!("{key}={}", file.display()), format!("-{option}"));
        let outcome = refused(&film, &["-c:v", encoder, &option, &parameters], "out.mp4");
        // Before anything is read, by the name that was typed.
        outcome.says(&[&option, &key.replace('_', "-"), "a file of its own"]);
        assert!(!file.exists(), "{encoder}: {key}");
    }
}

#[test]
fn an_interrupt_ends_the_run_within_two_seconds_and_leaves_nothing() {
    let folder = place::temporary();
    // Long enough to be still at work when the signal comes.
    let film = Clip::film(600).path();
    let progress = folder.path().join("progress");
    let output = folder.path().join("out.mp4");
    let mut command = divien!("-i", &film, "-preset", "veryslow", "-bsize", "50", "-progress", &progress, &output);
    let running = Running::start(&mut command);
    let patience = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(&progress).is_ok_and(|text| text.contains("frame=")) {
        assert!(Instant::now() < patience, "nothing was reported in a minute");
        std::thread::yield_now();
    }
    let begun = Instant::now();
    running.signal(Signal::INT);
    let outcome = running.wait(Duration::from_secs(60)).failure();
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:.1?}\n{outcome}", begun.elapsed());
    assert_eq!(outcome.status.code(), Some(255), "{outcome}");
    assert!(!output.exists());
    assert_eq!(entries(folder.path()), [progress], "{outcome}");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let Some(outcome) = on_a_small_disk(&["'SMALL/out.mp4'"], "ls -A 'SMALL' | sed 's/^/left: /'") else { return };
    assert!(!outcome.failure().says(&["space"]).said().contains("left:"));
}

#[test]
fn a_full_temporary_folder_is_not_taken_for_a_full_output() {
    for container in ["mp4", "matroska"] {
        let line = ["-f", container, "-", "| sleep 3"];
        let Some(outcome) = on_a_small_disk(&line, "true") else { return };
        outcome.failure().says(&["standard output", "TMPDIR", "space", "make room"]);
    }
}

#[test]
fn results_that_cannot_wait_are_not_taken_for_an_encoder_that_failed() {
    // More than what waits in memory.
    let folder = place::temporary();
    let output = folder.path().join("out.mkv").display().to_string();
    let line = ["-vf", "scale=3840:2160:flags=neighbor", "-qp", "0", &output];
    let Some(outcome) = on_a_small_disk(&line, "true") else { return };
    assert_eq!(outcome.status.code(), Some(74), "{outcome}");
    assert!(!outcome.says(&["the result cannot be kept", "TMPDIR", "space"]).said().contains("appsink"));
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new());
}

/// Encodes with these arguments, then says what this line says; both may name `SMALL`, a file system of 64 kB where
/// temporary files go as well. `None` where the system does not let one make it.
fn on_a_small_disk(arguments: &[&str], then: &str) -> Option<Outcome> {
    let folder = place::temporary();
    // A file system of one's own needs user namespaces, which some systems do not grant.
    let mount = format!("mount -t tmpfs -o size=64k none '{}'", folder.path().display());
    let mut trial = Command::new("unshare");
    if !run(trial.args(["-rm", "sh", "-c", &mount])).status.success() {
        place::skipped("a file system of 64 kB (unshare is not granted)");
        return None;
    }
    let film = Clip::film(120).path();
    let divien = divien!();
    let line = format!(
        "{mount} && export TMPDIR='SMALL' && '{}' -i '{}' -preset ultrafast {}; code=$?; {then}; exit $code",
        divien.get_program().display(),
        film.display(),
        arguments.join(" "),
    );
    let line = line.replace("SMALL", &folder.path().display().to_string());
    let mut command = gst::command("unshare");
    Some(run(command.args(["-rm", "bash", "-o", "pipefail", "-c", &line])))
}

#[test]
fn a_full_device_is_said_and_no_file_is_told_of_that_never_was() {
    let film = Clip::film(30).path();
    let line = ["-preset", "ultrafast", "-f", "matroska", "/dev/full"];
    let outcome = run(divien!("-y", "-i", &film).args(line)).failure().says(&["/dev/full", "space", "make room"]);
    assert!(!outcome.said().contains("removed"), "{outcome}");
}

#[test]
fn a_faulty_command_line_is_an_error_with_a_hint() {
    run(&mut divien!()).failure().says(&["-i"]);
    run(&mut divien!("-i")).failure().says(&["-i"]);
    let film = Clip::film(30).path();
    run(&mut divien!("-i", &film)).failure().says(&["output"]);
}

#[test]
fn help_lists_what_there_is() {
    run(&mut divien!("--help")).success().says(&["-crf", "-c:v", "-h full"]);
    run(&mut divien!("-h", "full")).success().says(&["-crf", "-bsize", "-movflags"]);
    run(&mut divien!("-version")).success().says(&[env!("CARGO_PKG_VERSION")]);
    run(&mut divien!("-encoders")).success().says(&["libx264", "libx265", "libvpx-vp9", "ffv1"]);
    run(&mut divien!("-h", "encoder=libx264")).success().says(&["crf", "preset", "51"]);
}

#[test]
fn a_signal_at_any_moment_ends_the_run_and_leaves_no_part_of_a_file() {
    let film = Clip::film(600).path();
    let signals = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
    for round in 0..24u32 {
        let folder = place::temporary();
        let (progress, output) = (folder.path().join("progress"), folder.path().join("out.mp4"));
        let options = ["-preset", "medium", "-bsize", "100", "-progress"];
        // The tests may run under nohup, and what that has ignored stays ignored.
        let mut command = gst::command("env");
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_divien"), "-i"]).arg(&film);
        let running = Running::start(command.args(options).args([&progress, &output]));
        // The file is there as soon as the command does anything at all.
        while !progress.exists() {
            std::thread::yield_now();
        }
        let (signal, moment) = (signals[round as usize % 4], Duration::from_millis(u64::from(round * round)));
        std::thread::sleep(moment);
        let begun = Instant::now();
        running.signal(signal);
        let outcome = running.wait(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(2), "round {round}: took {:.1?}\n{outcome}", begun.elapsed());
        let left: BTreeSet<_> = entries(folder.path()).into_iter().collect();
        match outcome.status.code() {
            Some(255) => assert_eq!(left, [progress].into(), "{signal:?} after {moment:?}\n{outcome}"),
            Some(0) => assert_eq!(left, [progress, output].into(), "{signal:?} after {moment:?}\n{outcome}"),
            _ => panic!("{signal:?} after {moment:?}\n{outcome}"),
        }
    }
}

#[test]
fn nohup_keeps_a_run_alive() {
    let folder = place::temporary();
    let (progress, output) = (folder.path().join("progress"), folder.path().join("out.mp4"));
    let divien = divien!();
    let mut command = gst::command("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(divien.get_program()).arg("-i");
    command.arg(Clip::film(300).path()).args(["-preset", "ultrafast", "-progress"]).args([&progress, &output]);
    let running = Running::start(&mut command);
    while !progress.exists() {
        std::thread::yield_now();
    }
    running.signal(Signal::HUP);
    running.wait(Duration::from_secs(60)).success();
    assert!(output.exists());
}

#[test]
fn a_stderr_that_nobody_can_write_to_changes_no_run_and_no_end() {
    let unheard = |input: &Path, progress: &Path, output: &Path| {
        let mut command = gst::command("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"]).arg(divien!().get_program()).arg("-i");
        command.arg(input).args(["-preset", "ultrafast", "-progress"]).args([progress, output]);
        Running::start(&mut command)
    };
    let folder = place::temporary();
    let (progress, output) = (folder.path().join("progress"), folder.path().join("out.mp4"));
    unheard(&Clip::film(30).path(), &progress, &output).wait(Duration::from_secs(60)).success();
    assert!(output.exists());

    let (silent, progress) = (folder.path().join("pipe"), folder.path().join("progress of another"));
    run(gst::command("mkfifo").arg(&silent)).success();
    let running = unheard(&silent, &progress, &folder.path().join("another.mp4"));
    while !progress.exists() {
        std::thread::yield_now();
    }
    running.signal(Signal::TERM);
    let outcome = running.wait(Duration::from_secs(20));
    assert_eq!(outcome.status.code(), Some(255), "{outcome}");
}

#[test]
fn pictures_that_the_input_has_spoilt_are_told() {
    let folder = place::temporary();
    let mut bytes = fs::read(Clip::film(120).path()).unwrap();
    for spot in 2..8 {
        let at = bytes.len() * spot / 10;
        bytes[at..at + 1500].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * i * 7 + spot) as u8);
    }
    let spoilt = folder.path().join("spoilt.mp4");
    fs::write(&spoilt, bytes).unwrap();
    let output = folder.path().join("out.mp4");
    // Every frame is there, so it is no failure; what the decoder has hidden in them is said all the same.
    run(&mut divien!("-i", &spoilt, "-preset", "ultrafast", "-an", &output)).success().says(&[
        "spoilt.mp4",
        "errors were found",
        "(near ",
    ]);
    assert_eq!(probe::rows(&output, "frame", Some("v:0"), "width").len(), 120);
}

#[test]
fn inputs_that_are_not_there_yet_and_empty_parts_are_told_as_such() {
    let film = Clip::film(30).path();
    refused(Path::new("http://localhost/film.mp4"), &[], "out.mp4").says(&["network", "not supported yet"]);
    refused(Path::new("picture%03d.png"), &[], "out.mp4").says(&["series of pictures", "not supported yet"]);
    refused(&film, &["-ss", "100"], "out.mp4").says(&["no frame lies", "1.0", "-ss"]);
}

#[test]
fn a_broken_input_gives_the_same_bytes_in_every_run() {
    let folder = place::temporary();
    for kind in ["mp4", "mkv", "flv", "ts", "avi"] {
        let whole = folder.path().join(format!("whole.{kind}"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(Clip::film(120).path());
        run(ffmpeg.args(["-c", "copy"]).arg(&whole)).success();
        let whole = fs::read(&whole).unwrap();
        let third = whole.len() / 3;
        let mut spoilt = whole.clone();
        for spot in 1..9 {
            let at = whole.len() * spot / 10;
            spoilt[at..at + 700].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * i * 7 + spot) as u8);
        }
        let gap = [&whole[..third], &whole[third + 5000..]].concat();
        for (damage, bytes) in [("spoilt", spoilt), ("gap", gap), ("cut", whole[..2 * third].to_vec())] {
            let input = folder.path().join(format!("{damage}.{kind}"));
            fs::write(&input, bytes).unwrap();
            let output = folder.path().join("out.mkv");
            let attempt = |workers: &str| {
                let options = ["-preset", "ultrafast", "-bsize", "30", "-w", workers];
                let outcome = run(divien!("-y", "-i", &input).args(options).arg(&output));
                (outcome.status.code(), fs::read(&output).ok(), outcome.to_string())
            };
            let first = attempt("1");
            // Whatever is wrong, no option is to blame for it.
            assert!([Some(0), Some(65), Some(75)].contains(&first.0), "{}", first.2);
            for workers in ["2", "5"] {
                let next = attempt(workers);
                assert!(first.0 == next.0 && first.1 == next.1, "{damage}.{kind}:\n{}\n{}", first.2, next.2);
            }
            let _ = fs::remove_file(&output);
        }
    }
}

#[test]
fn pictures_that_a_demuxer_passes_over_in_a_damaged_file_are_told_by_their_times() {
    const PACKET: usize = 188;
    let folder = place::temporary();
    let film = Clip::film(75).rate(25, 1).path();
    let whole = encode(&film, &["-preset", "ultrafast", "-an"], folder.path(), "whole.ts");
    let at = |name: &str| folder.path().join(name);
    let plain = run(&mut divien!("-y", "-i", &whole, "-preset", "ultrafast", at("plain.mkv"))).success();
    assert!(!plain.stderr.contains("no pictures"), "{plain}");
    let mut bytes = fs::read(&whole).unwrap();
    let middle = bytes.len() / 2 / PACKET * PACKET;
    bytes.drain(middle..middle + 40 * PACKET);
    fs::write(at("holed.ts"), bytes).unwrap();
    let holed = run(&mut divien!("-y", "-i", at("holed.ts"), "-preset", "ultrafast", at("holed.mkv")));
    let times = probe::frame_times(&at("holed.mkv"));
    let (before, after) = times.iter().zip(&times[1..]).max_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap();
    let frame = 0.040;
    assert!(times.len() < 75 && after - before > 1.5 * frame, "{} frames\n{holed}", times.len());
    let pause = format!("no pictures from {:.3} to {:.3} s:", before + frame - times[0], after - times[0]);
    assert!(holed.stderr.contains(&pause), "{pause}\n{holed}");
}

#[test]
fn a_pause_is_told_where_sound_comes_long_before_the_first_picture() {
    let folder = place::temporary();
    let input = folder.path().join("late.flv");
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-f", "lavfi", "-i", "sine=d=6", "-itsoffset", "2", "-f", "lavfi"]);
    make.args(["-i", "testsrc2=s=64x48:d=4", "-map", "0", "-map", "1", "-vf", "select='not(between(n,40,59))'"]);
    run(make.args(["-vsync", "passthrough", "-c:v", "libx264", "-c:a", "aac"]).arg(&input)).success();
    let output = folder.path().join("out.mkv");
    let told = "no pictures from 1.600 to 2.400 s:";
    run(&mut divien!("-i", &input, "-preset", "ultrafast", &output)).success().says(&[told]);
}

#[test]
fn pictures_that_a_decoder_refuses_are_told_where_the_sound_goes_on() {
    let folder = place::temporary();
    let input = folder.path().join("in.webm");
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:d=4", "-f", "lavfi", "-i", "sine=d=4"]);
    run(make.args(["-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"]).arg(&input)).success();
    let packets = probe::rows(&input, "packet", Some("v:0"), "pos");
    let at = packets.get(20).and_then(|row| row.number("pos")).unwrap() as usize;
    let mut bytes = fs::read(&input).unwrap();
    bytes[at + 12..at + 40].fill(0xFF);
    fs::write(&input, bytes).unwrap();
    let output = folder.path().join("out.mkv");
    let outcome = run(&mut divien!("-i", &input, "-preset", "ultrafast", &output)).failure();
    let shown = probe::frame_times(&output).len();
    assert!(shown < 100, "{shown} frames\n{outcome}");
    assert_eq!(outcome.status.code(), Some(75), "{outcome}");
    outcome.says(&[&format!("{} frame", 100 - shown), "missing"]);
}

#[test]
fn streams_that_begin_midway_are_told() {
    let folder = place::temporary();
    let made = |name: &str, codec: &str| {
        let file = folder.path().join(name);
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=2", "-c:v", codec]);
        run(make.arg(&file)).success();
        fs::read(file).unwrap()
    };
    let joined = folder.path().join("joined.ts");
    fs::write(&joined, [made("a.ts", "libx264"), made("b.ts", "mpeg2video")].concat()).unwrap();
    for name in [joined.as_path(), Path::new("-")] {
        let mut command = divien!("-y", "-i", name, "-preset", "ultrafast", folder.path().join("out.mkv"));
        command.stdin(File::open(&joined).unwrap());
        let outcome = run(&mut command).failure();
        assert_eq!(outcome.status.code(), Some(75), "{outcome}");
        outcome.says(&["other streams begin midway", "50 frames"]);
    }
}

#[test]
fn an_input_that_ends_a_little_before_it_says_is_told() {
    let folder = place::temporary();
    let (whole, claims) = (folder.path().join("whole.flv"), folder.path().join("claims.flv"));
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(Clip::film(50).path()).args(["-f", "lavfi", "-i", "sine=d=2"]);
    run(make.args(["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-ar", "44100"]).arg(&whole)).success();
    let mut bytes = fs::read(&whole).unwrap();
    // A number of AMF: its name, a 0, and eight bytes.
    let at = bytes.windows(8).position(|w| w == b"duration").unwrap() + 9;
    let length = f64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    bytes[at..at + 8].copy_from_slice(&(length + 1.0).to_be_bytes());
    fs::write(&claims, bytes).unwrap();
    for (input, is_told) in [(&whole, false), (&claims, true)] {
        let mut command = divien!("-y", "-i", input, "-preset", "ultrafast", folder.path().join("out.mkv"));
        let outcome = run(&mut command).success();
        assert_eq!(outcome.stderr.contains("it says that it is"), is_told, "{outcome}");
    }
}

#[test]
fn a_file_is_not_called_short_for_a_stream_that_is_left_out() {
    let folder = place::temporary();
    for name in ["in.mp4", "in.mkv", "in.ts"] {
        let input = folder.path().join(name);
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-i"]).arg(Clip::film(50).path()).args(["-f", "lavfi", "-i", "sine=d=20"]);
        run(make.args(["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"]).arg(&input)).success();
        for options in [&["-an"][..], &["-an", "-t", "15"], &[]] {
            let output = folder.path().join("out.mkv");
            let mut command = divien!("-y", "-i", &input, "-preset", "ultrafast");
            run(command.args(options).arg(&output)).success();
            assert_eq!(probe::frame_times(&output).len(), 50, "{name} {options:?}");
        }
    }
}

/// The times of all packets of a stream, from the first one's, in ms.
fn packet_times(file: &Path, stream: &str) -> Vec<i64> {
    let ms = |time: Option<f64>| (time.unwrap_or_else(|| panic!("{file:?}: no time")) * 1000.0).round() as i64;
    let mut times: Vec<i64> = probe::packet_times(file, stream).into_iter().map(|(pts, _)| ms(pts)).collect();
    times.sort_unstable();
    let first = times[0];
    times.into_iter().map(|t| t - first).collect()
}

#[test]
fn transport_streams_with_a_slow_clock_keep_their_times_and_jumps_and_sound_that_is_not_read_are_told() {
    let folder = place::temporary();
    let made = |name: &str, start: &str, pictures: &str, seconds: &str| {
        let file = folder.path().join(name);
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-f", "lavfi", "-i", &pictures.replace("DUR", seconds), "-f", "lavfi", "-i"]);
        make.arg(format!("sine=d={seconds}")).args(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]);
        run(make.args(["-vsync", "vfr", "-output_ts_offset", start]).arg(&file)).success();
        file
    };
    let joined = |name: &str, parts: [&Path; 2]| {
        let file = folder.path().join(name);
        let whole = parts.map(|part| fs::read(part).unwrap()).concat();
        fs::write(&file, whole).unwrap();
        file
    };
    let (usual, one) = ("testsrc2=s=64x48:r=25:d=DUR", "testsrc2=s=64x48:r=25:d=DUR,select=not(mod(n\\,25))");
    let first = made("usual.ts", "0", usual, "4");
    let slow = made("slow.ts", "0", one, "8");
    let late = made("late.ts", "60", usual, "4");
    let in_part = joined("part.ts", [&first, &made("then.ts", "4", one, "8")]);
    let hole = joined("hole.ts", [&first, &made("on.ts", "6.5", usual, "4")]);
    let jump = joined("jump.ts", [&first, &late]);
    let back = joined("back.ts", [&late, &first]);
    let two = made("two.ts", "0", "testsrc2=s=64x48:r=2:d=DUR", "4");
    for (input, jumps) in [
        (&slow, false),
        (&in_part, false),
        (&hole, false),
        (&jump, true),
        (&back, true),
        (&two, false),
        (&first, false),
    ] {
        for piped in [false, true] {
            let output = folder.path().join("out.mkv");
            let name = if piped { Path::new("-") } else { input.as_path() };
            let mut command = divien!("-y", "-i", name, "-preset", "ultrafast", &output);
            command.stdin(File::open(input).unwrap());
            let outcome = run(&mut command).success();
            assert_eq!(outcome.stderr.contains("clock (PCR) jumps once"), jumps, "{input:?}\n{outcome}");
            assert!(!outcome.stderr.contains("dropped"), "{outcome}");
            for stream in ["v", "a"] {
                let (ours, source) = (packet_times(&output, stream), packet_times(input, stream));
                assert_eq!(ours.len(), source.len(), "{input:?}: {stream}");
                let off = |(a, b): (&i64, &i64)| (a - b).abs() > 1;
                assert!(jumps || !ours.iter().zip(&source).any(off), "{input:?}: {ours:?} for {source:?}");
            }
        }
    }
    let mut command = divien!("-y", "-i", &hole, "-preset", "ultrafast", folder.path().join("out.mkv"));
    run(&mut command).success().says(&["no pictures from 4.000 to 6.4"]);
    let disc = made("disc.m2ts", "0", usual, "4");
    for name in [disc.as_path(), Path::new("-")] {
        let mut command = divien!("-y", "-i", name, "-preset", "ultrafast", folder.path().join("disc.mkv"));
        command.stdin(File::open(&disc).unwrap());
        run(&mut command).success().says(&["private data (PID 0x1100): dropped"]);
    }
}

#[test]
fn pictures_of_a_form_without_a_name_are_an_error_and_no_crash() {
    for format in ["gray10le", "yuv440p", "yuv420p16le"] {
        let folder = place::temporary();
        let input = folder.path().join("in.mkv");
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-c:v", "ffv1", "-pix_fmt", format]);
        run(make.arg(&input)).success();
        let outcome = refused(&input, &[], "out.mkv").says(&["GStreamer has no name", "-pix_fmt"]);
        assert_eq!(outcome.status.code(), Some(65), "{outcome}");
    }
}

#[test]
fn a_file_that_may_not_grow_further_is_an_error_that_leaves_nothing() {
    let folder = place::temporary();
    let divien = divien!();
    let (film, output) = (Clip::film(120).path(), folder.path().join("out.mkv"));
    let line = format!(
        "ulimit -f 16; '{}' -i '{}' -c:v mjpeg -q:v 2 '{}'",
        divien.get_program().display(),
        film.display(),
        output.display()
    );
    let outcome = run(gst::command("bash").args(["-c", &line])).failure().says(&["out.mkv", "too large"]);
    assert_eq!(outcome.status.code(), Some(74), "{outcome}");
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_format_that_gstreamer_does_not_know_is_not_called_a_package_that_is_missing() {
    let folder = place::temporary();
    for (name, codec, called) in [("in.mkv", "ffvhuff", "FFVH"), ("in.avi", "utvideo", "ULY0")] {
        let input = folder.path().join(name);
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-pix_fmt", "yuv420p", "-c:v", codec]);
        run(make.arg(&input)).success();
        let outcome = refused(&input, &[], "out.mkv").says(&["GStreamer does not know", called]);
        assert_eq!(outcome.status.code(), Some(65), "{outcome}");
        assert!(!outcome.stderr.contains("apt install"), "{outcome}");
    }
}

#[test]
fn a_run_whose_words_nobody_reads_still_ends_when_it_is_told_to() {
    use std::io::{ErrorKind, Write as _};
    let film = Clip::film(30).path();
    for (signal, times) in [(Signal::INT, 1), (Signal::INT, 2), (Signal::TERM, 1)] {
        let folder = place::temporary();
        let (_unread, mut full) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&full).unwrap();
        rustix::fs::fcntl_setfl(&full, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        for piece in [&[b'.'; 4096][..], b"."] {
            let full_at = loop {
                if let Err(error) = full.write(piece) {
                    break error.kind();
                }
            };
            assert_eq!(full_at, ErrorKind::WouldBlock);
        }
        rustix::fs::fcntl_setfl(&full, flags).unwrap();
        let mut command = divien!("-y", "-i", &film, "-preset", "veryslow", folder.path().join("out.mp4"));
        let mut running = command.stderr(full).spawn().unwrap();
        drop(command);
        // It listens by then.
        while !folder.path().join("out.mp4.divien").exists() {
            assert!(running.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        for _ in 0..times {
            run::signal(&running, signal);
            std::thread::sleep(Duration::from_millis(20));
        }
        let until = Instant::now() + run::LIMIT;
        while running.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        // It may have ended.
        let _ = running.kill();
        assert_eq!(running.wait().unwrap().code(), Some(255), "{signal:?}");
    }
}

#[test]
fn a_run_that_may_open_few_files_says_so_at_once() {
    let folder = place::temporary();
    let encode = divien!("-i", Clip::film(50).path(), "-preset", "ultrafast", folder.path().join("out.mp4"));
    let outcome = run(&mut gst::limited(&encode, "--nofile=40")).failure();
    let outcome = outcome.says(&["only 40 files may be open at once", "ulimit -Hn"]);
    assert!(outcome.status.code() == Some(1) && outcome.stderr.lines().count() == 1, "{outcome}");
    assert_eq!(entries(folder.path()), Vec::<PathBuf>::new());
    // What may be raised is.
    run(&mut gst::limited(&encode, "--nofile=40:4096")).success();
}
