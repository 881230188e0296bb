//! What people type for ffmpeg: done with ffmpeg's meaning, or refused with the reason.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use divien_testbed::fidelity::picture_hashes;
use divien_testbed::run::{LIMIT, Running};
use divien_testbed::{Clip, Fidelity, divien, gst, place, probe, run};

use crate::encode;

fn sound(file: &Path) -> Option<String> {
    let rows = probe::rows(file, "stream", Some("a:0"), "codec_name");
    rows.first().and_then(|row| row.text("codec_name").map(str::to_owned))
}

#[test]
fn a_line_full_of_ffmpegs_habits_encodes_as_the_plain_line_does() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let plain = encode(&film, &["-preset", "ultrafast"], folder.path(), "plain.mp4");
    let habits = folder.path().join("habits.mp4");
    let mut line = divien!("-hide_banner", "-nostdin", "-y", "-loglevel", "level+info", "-hwaccel", "auto");
    line.args(["-thread_queue_size", "512", "-threads", "4", "-i"]).arg(&film);
    line.args(["-preset", "ultrafast", "-vsync", "vfr", "-strict", "-2", "-bitexact", "-dn", "-threads", "auto"]);
    line.args(["-max_muxing_queue_size", "1024", "-map_metadata", "0", "-map_chapters", "0", "-tag:v", "avc1"]);
    run(line.args(["-flags", "+cgop", "-fflags", "+bitexact", "-movflags", "+write_colr"]).arg(&habits)).success();
    assert!(std::fs::read(&plain).unwrap() == std::fs::read(&habits).unwrap());
}

#[test]
fn what_each_encoder_did_is_told_to_who_asks_for_more() {
    let folder = place::temporary();
    let chunks = |level: &str| {
        let output = folder.path().join("out.mp4");
        let mut line = divien!("-y", "-loglevel", level, "-i", Clip::film(60).path(), "-preset", "ultrafast");
        line.args(["-cut", "fixed", "-bsize", "20", "-w", "2"]).arg(&output);
        let told = run(&mut line).success().said();
        let chunks =
            |line: &str| line.strip_prefix("encoder ")?.split_once(": ")?.1.split_once(" chunk")?.0.parse().ok();
        told.lines().filter_map(chunks).collect::<Vec<u32>>()
    };
    assert_eq!(chunks("verbose").iter().sum::<u32>(), 3);
    assert_eq!(chunks("info"), [0; 0]);
}

#[test]
fn a_bit_rate_for_the_sound_has_it_encoded() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let copied = encode(&film, &["-preset", "ultrafast"], folder.path(), "copied.mkv");
    let before = sound(&copied);
    assert_ne!(before.as_deref(), Some("opus"), "the clip's sound must not be what is asked for");
    let encoded = encode(&film, &["-preset", "ultrafast", "-b:a", "64k"], folder.path(), "encoded.mkv");
    assert_eq!(sound(&encoded).as_deref(), Some("opus"));
    let mut line = divien!("-y", "-i", &film, "-preset", "ultrafast", "-c:a", "copy", "-b:a", "64k", &encoded);
    run(&mut line).success().says(&["-b:a, -ac and -ar have no effect"]);
    assert_eq!(sound(&encoded), before);
}

#[test]
fn channels_and_sample_rate_are_the_ones_asked_for() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    for (codec, name) in [("aac", "out.mp4"), ("pcm_s16le", "out.mov"), ("flac", "out.mkv")] {
        let options = ["-preset", "ultrafast", "-c:a", codec, "-ac", "1", "-ar", "32000"];
        let output = encode(&film, &options, folder.path(), name);
        let rows = probe::rows(&output, "stream", Some("a:0"), "channels,sample_rate");
        let sound = rows.first().map(|row| (row.number("channels"), row.number("sample_rate")));
        assert_eq!(sound, Some((Some(1.0), Some(32000.0))), "{name}");
    }
    let refused = folder.path().join("refused.mkv");
    run(&mut divien!("-i", &film, "-c:a", "libopus", "-ar", "44100", &refused)).failure().says(&["opusenc", "-ar"]);
}

#[test]
fn plain_samples_are_named_as_ffmpeg_names_them() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    for (codec, name) in [("pcm_s16le", "out.mov"), ("pcm_s16be", "out.mov"), ("pcm_s24le", "out.mkv")] {
        let output = encode(&film, &["-preset", "ultrafast", "-c:a", codec], folder.path(), name);
        assert_eq!(sound(&output).as_deref(), Some(codec), "{name}");
    }
    let refused = folder.path().join("refused.mp4");
    run(&mut divien!("-i", &film, "-c:a", "pcm_s16le", &refused)).failure().says(&["MP4 does not hold PCM"]);
}

#[test]
fn a_librarys_name_is_never_another_library() {
    if gst::has("fdkaacenc") {
        return place::skipped("libfdk_aac where it is not installed (it is)");
    }
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let output = folder.path().join("out.mp4");
    let outcome = run(&mut divien!("-i", &film, "-c:a", "libfdk_aac", &output)).failure();
    assert_eq!(outcome.says(&["fdkaacenc", "-c:a aac"]).status.code(), Some(69));
}

#[test]
fn the_sample_entry_is_the_one_asked_for_or_the_run_is_refused() {
    let folder = place::temporary();
    let clip = Clip::raw(10).path();
    for (encoder, tag) in [("libx264", "avc1"), ("libx265", "hvc1"), ("mpeg4", "mp4v")] {
        let quality = if encoder == "mpeg4" { ["-q:v", "4"] } else { ["-preset", "ultrafast"] };
        let options = [&["-c:v", encoder, "-tag:v", tag], quality.as_slice()].concat();
        let output = encode(&clip, &options, folder.path(), "out.mp4");
        assert_eq!(probe::video(&output, "codec_tag_string"), tag);
    }
    let output = folder.path().join("refused.mp4");
    run(&mut divien!("-i", &clip, "-c:v", "libx265", "-tag:v", "hev1", &output)).failure().says(&["hvc1"]);
}

#[test]
fn metadata_that_is_not_wanted_stays_out() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let named = encode(&film, &["-preset", "ultrafast", "-metadata", "title=A film"], folder.path(), "named.mkv");
    let tags = |file: &Path| {
        let rows = probe::rows(file, "format", None, "filename:format_tags=title");
        rows.first().and_then(|row| row.text("tag:title").map(str::to_owned))
    };
    let kept = encode(&named, &["-preset", "ultrafast", "-map_metadata", "0"], folder.path(), "kept.mkv");
    assert_eq!(tags(&kept).as_deref(), Some("A film"));
    let without = encode(&named, &["-preset", "ultrafast", "-map_metadata", "-1"], folder.path(), "without.mkv");
    assert_eq!(tags(&without), None);
    let other = ["-preset", "ultrafast", "-map_metadata", "-1", "-metadata", "title=Another"];
    let other = encode(&named, &other, folder.path(), "other.mkv");
    assert_eq!(tags(&other).as_deref(), Some("Another"));
}

#[test]
fn an_existing_output_is_explained_by_what_was_typed() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let output = folder.path().join("out.mp4");
    std::fs::write(&output, "precious").unwrap();
    run(&mut divien!("-n", "-i", &film, &output)).failure().says(&["-n keeps it"]);
    run(&mut divien!("-nostdin", "-i", &film, &output)).failure().says(&["-y replaces it"]);
    run(&mut divien!("-y", "-n", "-i", &film, &output)).failure().says(&["contradict"]);
    assert_eq!(std::fs::read(&output).unwrap(), b"precious");
    // Replaced it is called what was typed too, wherever that leads.
    let mut line = divien!("-y", "-i", &film, "-preset", "ultrafast", "-frames:v", "3", "./out.mp4");
    let replaced = run(line.current_dir(&folder)).success();
    assert!(replaced.stderr.starts_with("./out.mp4: 3 frames"), "{replaced}");
}

#[test]
fn motion_jpeg_shows_the_pictures_that_ffmpeg_shows() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let cases =
        [("yuvj420p", "avi"), ("yuvj422p", "avi"), ("yuvj444p", "avi"), ("yuvj420p", "mkv"), ("yuvj420p", "mov")];
    for (format, container) in cases {
        let input = folder.path().join(format!("{format}_in.{container}"));
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-i"]).arg(&film).args(["-an", "-c:v", "mjpeg", "-pix_fmt", format]);
        run(make.arg(&input)).success();
        let output = encode(&input, &["-c:v", "ffv1"], folder.path(), &format!("{format}.mkv"));
        Fidelity::of(&output, &input).lossless().assert();
        assert_eq!(probe::video(&output, "color_range"), "pc", "{format}");
    }
}

#[test]
fn jpeg_without_a_container_is_not_called_a_decoder_that_is_missing() {
    let folder = place::temporary();
    let input = folder.path().join("in.mjpeg");
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(Clip::film(10).path()).args(["-an", "-c:v", "mjpeg"]);
    run(make.arg(&input)).success();
    let outcome = run(&mut divien!("-i", &input, folder.path().join("out.mkv"))).failure();
    assert_eq!(outcome.status.code(), Some(65), "{outcome}");
    assert!(!outcome.stderr.contains("apt install"), "{outcome}");
    outcome.says(&["without a container", "-c copy"]);
}

#[test]
fn motion_jpeg_is_not_decoded_otherwise_where_ffmpegs_decoder_is_missing() {
    let folder = place::temporary();
    let (input, output) = (folder.path().join("in.avi"), folder.path().join("out.mkv"));
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(Clip::film(30).path()).args(["-an", "-c:v", "mjpeg"]);
    run(make.arg(&input)).success();
    let mut command = divien!("-i", &input, "-c:v", "ffv1", &output);
    let outcome = run(command.env("GST_PLUGIN_FEATURE_RANK", "avdec_mjpeg:NONE")).failure();
    assert_eq!(outcome.status.code(), Some(69), "{outcome}");
    outcome.says(&["JPEG", "gstreamer1.0-libav"]);
    assert!(!output.exists());
}

#[test]
fn a_format_that_only_libav_takes_apart_is_read_to_its_end_and_refused_from_a_pipe_where_that_has_none() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let input = folder.path().join("in.nut");
    run(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&film).args(["-an", "-c:v", "copy"]).arg(&input))
        .success();
    let output = encode(&input, &["-preset", "ultrafast"], folder.path(), "out.mp4");
    Fidelity::of(&output, &film).assert();
    let piped = folder.path().join("piped.mp4");
    let mut command = divien!("-i", "-", &piped);
    let outcome = run(command.stdin(std::fs::File::open(&input).unwrap())).failure().says(&["NUT", "Matroska"]);
    assert_eq!(outcome.status.code(), Some(65), "{outcome}");
    assert!(!piped.exists());
}

#[test]
fn an_encoder_of_still_pictures_is_refused_with_what_to_take() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let output = folder.path().join("out.mkv");
    run(&mut divien!("-i", &film, "-c:v", "pngenc", &output)).failure().says(&["pngenc", "no container", "ffv1"]);
    run(&mut divien!("-h", "encoder=libx246")).failure().says(&["did you mean libx264"]);
}

#[test]
fn the_summary_and_the_last_report_of_progress_are_the_files_own_figures() {
    let folder = place::temporary();
    let film = Clip::film(60).path();
    for (name, encoder) in [("o.mp4", "libx264"), ("o.mkv", "libx264"), ("o.ts", "libx264"), ("o.webm", "libvpx")] {
        let output = folder.path().join(name);
        let mut line = divien!("-y", "-i", &film, "-c:v", encoder, "-stats_period", "0.1", "-progress", "-");
        line.args(if encoder == "libx264" { ["-preset", "ultrafast"] } else { ["-b:v", "500k"] });
        let outcome = run(line.arg(&output)).success();
        let text = String::from_utf8(outcome.stdout).unwrap();
        let last = |key: &str| {
            let mut values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            let value = values.next_back().map(|value| value.trim_end_matches("kbits/s"));
            value.and_then(|value| value.parse::<f64>().ok()).unwrap_or(f64::NAN)
        };
        let size = std::fs::metadata(&output).unwrap().len() as f64;
        assert_eq!((last("total_size"), last("frame")), (size, 60.0), "{name}: {text}");
        let length = probe::rows(&output, "format", None, "duration").first().and_then(|row| row.number("duration"));
        let length = length.unwrap_or(f64::NAN);
        // A container may count the last packet of sound whole.
        let told = last("out_time_us") / 1e6;
        assert!((length - told).abs() < 0.022, "{name}: {told} s, file {length} s");
        let rate = size * 8.0 / length / 1000.0;
        assert!((last("bitrate") / rate - 1.0).abs() < 0.015, "{name}: {} kbit/s, file {rate}", last("bitrate"));
        let summary = outcome.stderr.lines().next_back().unwrap_or_default();
        let figure = |unit: &str| {
            let (before, _) = summary.split_once(unit).unwrap_or_default();
            before.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(f64::NAN)
        };
        assert_eq!(figure(" frames"), 60.0, "{summary}");
        assert!((figure(" kB") * 1000.0 - size).abs() <= 50.0, "{name}: {size}, {summary}");
        assert!((figure(" kbit/s") / rate - 1.0).abs() < 0.015, "{name}: {rate} kbit/s, {summary}");
    }
}

#[test]
fn a_run_that_fails_ends_its_progress_too() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let output = folder.path().join("out.webm");
    let outcome = run(&mut divien!("-i", &film, "-progress", "-", "-c:v", "libx264", &output)).failure();
    let text = String::from_utf8(outcome.stdout).unwrap();
    assert!(text.ends_with("progress=end\n"), "{text}");
}

#[test]
fn a_part_of_the_input_is_the_part_that_ffmpeg_takes() {
    let folder = place::temporary();
    let film = Clip::film(150).size(96, 64).path();
    let cases = [
        ("-ss 1 -to 2", ""),
        ("-ss 1", "-to 2"),
        ("", "-ss 1 -to 2"),
        ("-t 3", "-ss 1"),
        ("-ss 1", "-ss 1.5 -t 1"),
        ("-ss 1 -t 3", "-ss 2"),
        ("-ss 1", "-ss 1 -to 2"),
        ("-t 3", "-ss 1 -t 1"),
        ("-ss 1 -t 1", "-t 2"),
        ("-ss 1 -to 4", "-to 1"),
        ("-ss 1 -t 3", "-ss 1 -to 2 -frames:v 9"),
    ];
    for (before, after) in cases {
        let [theirs, ours] = ["ffmpeg.mkv", "divien.mkv"].map(|name| folder.path().join(name));
        for (mut command, output) in [(Command::new("ffmpeg"), &theirs), (divien!(), &ours)] {
            command.args(["-y", "-nostdin", "-v", "error"]).args(before.split_whitespace()).arg("-i").arg(&film);
            run(command.args(after.split_whitespace()).args(["-an", "-c:v", "ffv1"]).arg(output)).success();
        }
        let [theirs, ours] = [theirs, ours].map(|file| (picture_hashes(&file, "yuv420p"), probe::frame_times(&file)));
        assert_eq!(ours, theirs, "{before} -i … {after}");
    }
}

#[test]
fn a_few_frames_are_not_waited_for_until_the_input_ends() {
    let folder = place::temporary();
    let (cues, input, output) = (folder.path().join("c.srt"), folder.path().join("i.mkv"), folder.path().join("o.mkv"));
    // Between the two nothing is said of the texts.
    std::fs::write(&cues, "1\n00:00:00,100 --> 00:00:00,200\na\n\n2\n00:01:00,000 --> 00:01:01,000\nb\n").unwrap();
    let mut add = Command::new("ffmpeg");
    add.args(["-v", "error", "-i"]).arg(Clip::film(300).path()).arg("-i").arg(&cues);
    run(add.args(["-map", "0", "-map", "1", "-c", "copy"]).arg(&input)).success();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut line = divien!("-v", "warning", "-i", "-", "-preset", "ultrafast", "-frames:v", "10", &output);
    let running = Running::start(line.stdin(reader));
    drop(line);
    let bytes = std::fs::read(&input).unwrap();
    // Without its last packets and its index, and the pipe stays open.
    let fed = std::thread::spawn(move || {
        let most = bytes.len() * 9 / 10;
        let _ = writer.write_all(&bytes[..most]);
        writer
    });
    let outcome = running.wait(LIMIT).success();
    assert_eq!(outcome.stderr, "");
    drop(fed.join().unwrap());
    assert_eq!(probe::codecs(&output), ["video h264", "audio aac", "subtitle subrip"]);
    assert_eq!(probe::frame_times(&output).len(), 10);
}

#[test]
fn a_quiet_run_says_nothing_whatever_the_encoder() {
    let folder = place::temporary();
    let film = Clip::film(60).path();
    let cases: [(&str, &[&str]); 4] = [
        ("libopenh264", &["-b:v", "1M"]),
        ("libx264", &["-preset", "ultrafast"]),
        ("libx265", &["-preset", "ultrafast"]),
        ("libvpx", &["-b:v", "1M", "-cpu-used", "8"]),
    ];
    for (encoder, options) in cases {
        let output = folder.path().join("o.mkv");
        let mut line = divien!("-y", "-loglevel", "quiet", "-i", &film, "-bsize", "20", "-c:v", encoder);
        let outcome = run(line.args(options).arg(&output)).success();
        assert_eq!(outcome.said(), "", "{encoder}");
        assert_eq!(probe::packet_times(&output, "v:0").len(), 60, "{encoder}");
    }
}
