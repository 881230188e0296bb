//! Files: containers, sound, pipes, metadata, and what other tools say of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use divien_testbed::run::LIMIT;
use divien_testbed::{Clip, Fidelity, Running, divien, place, probe, run};

use crate::encode;

#[test]
fn a_film_is_whole_in_every_container() {
    let folder = place::temporary();
    let film = Clip::film(90).path();
    for name in ["out.mp4", "out.mov", "out.mkv", "out.ts"] {
        let output = encode(&film, &["-preset", "ultrafast"], folder.path(), name);
        Fidelity::of(&output, &film).assert();
        assert_eq!(probe::codecs(&output).len(), 2, "{name}: {:?}", probe::codecs(&output));
    }
    let webm =
        encode(&film, &["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "2M", "-cpu-used", "5"], folder.path(), "out.webm");
    assert_eq!(probe::codecs(&webm), ["video vp9", "audio opus"]);
    Fidelity::of(&webm, &film).assert();
}

#[test]
fn a_pipe_that_stalls_holds_up_no_encoder_that_has_work() {
    const CHUNK: u64 = 50;
    let folder = place::temporary();
    let film = encode(&Clip::film(400).path(), &["-preset", "ultrafast", "-g", "10"], folder.path(), "film.mkv");
    let bytes = std::fs::read(&film).unwrap();
    let (progress, output) = (folder.path().join("progress"), folder.path().join("out.mkv"));
    let mut command = divien!("-y", "-i", "-", "-preset", "ultrafast", "-w", "2", "-bsize", CHUNK.to_string());
    command.args(["-stats_period", "0.25", "-progress"]).arg(&progress).arg(&output);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let running = Running::start(command.stdin(reader));
    let (first, rest) = bytes.split_at(bytes.len() * 3 / 4);
    writer.write_all(first).unwrap();
    // Of what has come all chunks that are whole are encoded; those behind them are not known to be.
    let whole = 400 * 3 / 4 / CHUNK - 2;
    let encoded = |text: String| text.lines().filter_map(|line| line.strip_prefix("frame=")?.trim().parse().ok()).max();
    let patience = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(&progress).ok().and_then(encoded).unwrap_or(0u64) < whole * CHUNK {
        assert!(Instant::now() < patience, "{:?}", std::fs::read_to_string(&progress));
        std::thread::yield_now();
    }
    writer.write_all(rest).unwrap();
    drop(writer);
    running.wait(LIMIT).success();
    Fidelity::of(&output, &film).assert();
}

#[test]
fn sound_is_copied_where_the_container_takes_it() {
    let folder = place::temporary();
    let film = Clip::film(90).path();
    for (name, tolerance) in [("out.mkv", 1.0), ("out.mp4", 22.0)] {
        let output = encode(&film, &["-preset", "ultrafast"], folder.path(), name);
        Fidelity::of(&output, &film).streams().sound_tolerance_ms(tolerance).assert();
    }
    for silent in [["-an"].as_slice(), &["-c:a", "none"]] {
        let options = [&["-preset", "ultrafast"], silent].concat();
        let output = encode(&film, &options, folder.path(), "silent.mp4");
        assert_eq!(probe::codecs(&output), ["video h264"]);
    }
}

#[test]
fn bare_streams_are_written_by_their_extension() {
    let folder = place::temporary();
    let clip = Clip::raw(50).path();
    let cases: [(&str, &[&str], &str); 5] = [
        ("out.h264", &["-c:v", "libx264", "-preset", "ultrafast"], "h264"),
        ("out.h265", &["-c:v", "libx265", "-preset", "ultrafast"], "hevc"),
        ("out.ivf", &["-c:v", "libvpx", "-b:v", "1M", "-cpu-used", "4"], "vp8"),
        ("vp9.ivf", &["-c:v", "libvpx-vp9", "-crf", "30", "-b:v", "2M", "-cpu-used", "5"], "vp9"),
        (
            "out.obu",
            &[
                "-c:v",
                "libaom-av1",
                "-b:v",
                "1M",
                "-cpu-used",
                "8",
                "-lag-in-frames",
                "0",
                "-error-resilience",
                "default",
            ],
            "av1",
        ),
    ];
    for (name, options, codec) in cases {
        let output = encode(&clip, &[options, &["-bsize", "20"]].concat(), folder.path(), name);
        assert_eq!(probe::codecs(&output), [format!("video {codec}")], "{name}");
        let decoded = probe::rows(&output, "frame", Some("v:0"), "width").len();
        assert_eq!(decoded, 50, "{name}");
    }
}

#[test]
fn a_file_is_known_by_its_content_not_its_name() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let disguised = folder.path().join("film.txt");
    std::fs::copy(&film, &disguised).unwrap();
    let output = encode(&disguised, &["-preset", "ultrafast"], folder.path(), "out.mp4");
    Fidelity::of(&output, &film).assert();
}

#[test]
fn standard_input_and_output_are_files_like_any_other() {
    let folder = place::temporary();
    let film = Clip::film(60).path();
    // A pipe is decoded in order, and chunks of raw frames are always of the same length.
    let options = ["-preset", "ultrafast", "-bsize", "20", "-cut", "fixed"];
    let file = encode(&film, &options, folder.path(), "file.mkv");
    let mut command = divien!("-i", "-", "-preset", "ultrafast", "-bsize", "20", "-f", "matroska", "-");
    let outcome = run(command.stdin(File::open(&film).unwrap())).success();
    let piped = folder.path().join("piped.mkv");
    std::fs::write(&piped, &outcome.stdout).unwrap();
    Fidelity::of(&piped, &film).assert();
    Fidelity::of(&piped, &file).lossless().assert();
}

#[test]
fn y4m_is_read_from_standard_input() {
    let folder = place::temporary();
    let clip = Clip::raw(40).path();
    let y4m = folder.path().join("clip.y4m");
    let mut ffmpeg = Command::new("ffmpeg");
    run(ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(&clip).args(["-pix_fmt", "yuv420p"]).arg(&y4m)).success();
    let output = folder.path().join("out.mkv");
    let mut command = divien!("-i", "-", "-c:v", "ffv1", "-bsize", "15", &output);
    run(command.stdin(File::open(&y4m).unwrap())).success();
    Fidelity::of(&output, &clip).lossless().assert();
}

#[test]
fn fast_start_puts_the_index_first() {
    let folder = place::temporary();
    let film = Clip::film(60).path();
    let output = encode(&film, &["-preset", "ultrafast", "-movflags", "+faststart"], folder.path(), "out.mp4");
    let bytes = std::fs::read(&output).unwrap();
    let position = |name: &[u8]| bytes.windows(4).position(|window| window == name);
    assert!(position(b"moov").unwrap() < position(b"mdat").unwrap());
    Fidelity::of(&output, &film).streams().sound_tolerance_ms(22.0).assert();
}

#[test]
fn metadata_reaches_the_file() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    for name in ["out.mp4", "out.mkv"] {
        let options = ["-preset", "ultrafast", "-metadata", "title=Wide water"];
        let output = encode(&film, &options, folder.path(), name);
        let tags = probe::rows(&output, "format", None, "filename:format_tags=title");
        assert_eq!(tags[0].text("tag:title"), Some("Wide water"), "{name}");
    }
}

#[test]
fn progress_is_told_as_ffmpeg_tells_it() {
    let folder = place::temporary();
    let film = Clip::film(90).path();
    let output = folder.path().join("out.mp4");
    let outcome = run(&mut divien!("-y", "-i", &film, "-preset", "ultrafast", "-progress", "-", &output)).success();
    let text = String::from_utf8(outcome.stdout).unwrap();
    let value = |key: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned()).next_back()
    };
    assert_eq!(value("frame").as_deref(), Some("90"), "{text}");
    assert_eq!(value("progress").as_deref(), Some("end"), "{text}");
    for key in ["fps", "out_time_us", "total_size", "speed"] {
        assert!(value(key).is_some(), "no {key} in {text}");
    }
}

#[test]
fn files_please_the_checkers_debian_has() {
    let folder = place::temporary();
    let film = Clip::film(90).path();
    for (name, options) in [
        ("x264.mp4", ["-c:v", "libx264", "-preset", "veryfast"]),
        ("x264.mkv", ["-c:v", "libx264", "-preset", "veryfast"]),
        ("x265.mkv", ["-c:v", "libx265", "-preset", "ultrafast"]),
        ("vp9.webm", ["-c:v", "libvpx-vp9", "-b:v", "1M"]),
        ("x264.ts", ["-c:v", "libx264", "-preset", "veryfast"]),
    ] {
        let output = encode(&film, &[options.as_slice(), &["-bsize", "30"]].concat(), folder.path(), name);
        let file: &OsStr = output.as_ref();
        let tool = |program: &str, arguments: &[&str]| run(Command::new(program).args(arguments).arg(file)).success();
        assert_eq!(tool("ffprobe", &["-v", "warning", "-show_packets", "-show_streams"]).stderr, "", "{name}");
        let identified = tool("mkvmerge", &["-J"]).said();
        assert!(identified.contains("\"supported\": true"), "{identified}");
        assert!(identified.contains("\"warnings\": []") && identified.contains("\"errors\": []"), "{identified}");
        let described = tool("mediainfo", &["-f"]).said();
        assert!(!described.contains("IsTruncated") && !described.contains("Conformance errors"), "{described}");
    }
}

#[test]
fn texts_keep_their_languages_in_every_run() {
    let folder = place::temporary();
    let texts = folder.path().join("texts.srt");
    std::fs::write(&texts, "1\n00:00:00,500 --> 00:00:01,000\nsaid\n").unwrap();
    let film = folder.path().join("film.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(Clip::film(40).path());
    for _ in 0..6 {
        ffmpeg.arg("-i").arg(&texts);
    }
    ffmpeg.args(["-map", "0:v", "-c:v", "copy", "-c:s", "mov_text"]);
    for track in 0..6 {
        ffmpeg.args(["-map".into(), format!("{}", track + 1)]);
        ffmpeg.args([format!("-metadata:s:s:{track}"), "language=deu".into()]);
    }
    run(ffmpeg.arg(&film)).success();
    ::gst::init().unwrap();
    for round in 0..60 {
        let source = divien::probe::open(&divien::cli::Input::File(film.clone())).unwrap();
        let languages: Vec<_> = source.facts.streams.iter().skip(1).map(|s| s.language.clone()).collect();
        divien::probe::close(&source.pipeline);
        assert_eq!(languages, vec![Some("deu".to_owned()); 6], "round {round}");
    }
}

/// Range, matrix, transfer and primaries of the first picture, as ffprobe names them.
fn colours(file: &Path) -> Vec<Option<String>> {
    let keys = ["color_range", "color_space", "color_transfer", "color_primaries"];
    let rows = probe::rows(file, "stream", Some("v:0"), &keys.join(","));
    keys.map(|key| rows[0].text(key).filter(|value| *value != "unknown").map(str::to_owned)).to_vec()
}

#[test]
fn colours_are_written_as_the_input_says_them_and_no_others() {
    let folder = place::temporary();
    let made = |name: &str, options: &[&str]| {
        let file = folder.path().join(name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:duration=0.4"]);
        run(ffmpeg.args(["-pix_fmt", "yuv420p", "-c:v", "libx264"]).args(options).arg(&file)).success();
        file
    };
    let silent = made("silent.mkv", &[]);
    let colours_of_ntsc = "fullrange=on:colorprim=bt470m:transfer=smpte240m:colormatrix=fcc";
    let telling = made("telling.mkv", &["-color_range", "pc", "-x264-params", colours_of_ntsc]);
    let said = ["pc", "fcc", "smpte240m", "bt470m"].map(|value| Some(value.to_owned()));
    assert_eq!(colours(&telling), said);
    for (encoder, name) in [("libx264", "x264.mkv"), ("libx264", "x264.mp4"), ("libx265", "x265.mp4")] {
        let options = ["-c:v", encoder, "-preset", "ultrafast"];
        assert_eq!(colours(&encode(&telling, &options, folder.path(), name)), said, "{name}");
        let unsaid = colours(&encode(&silent, &options, folder.path(), name));
        assert_eq!(unsaid[1..], [None, None, None], "{name}");
    }
    let bare = encode(&silent, &["-c:v", "libvpx-vp9", "-b:v", "1M", "-cpu-used", "5"], folder.path(), "vp9.webm");
    assert_eq!(colours(&bare)[1..], [None, None, None]);
}

/// How near two videos are as a player shows them, in dB of RGB.
fn likeness_on_a_screen(a: &Path, b: &Path) -> f64 {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-i"]).arg(a).arg("-i").arg(b);
    let both = "[0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr";
    let said = run(ffmpeg.args(["-lavfi", both, "-f", "null", "-"])).success().stderr;
    let (_, average) = said.rsplit_once("average:").unwrap();
    average.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn grey_and_full_range_pictures_are_as_bright_as_they_were() {
    let folder = place::temporary();
    let cases = [
        ("ffv1.mkv", "ffv1", "gray"),
        ("ffv16.mkv", "ffv1", "gray16le"),
        ("aom.mp4", "libaom-av1", "gray"),
        ("hevc.mp4", "libx265", "gray"),
        ("still.mov", "png", "gray"),
        ("full.mp4", "libx264", "yuvj420p"),
    ];
    for (name, codec, format) in cases {
        let input = folder.path().join(name);
        let mut make = Command::new("ffmpeg");
        make.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:duration=0.4"]);
        run(make.args(["-pix_fmt", format, "-c:v", codec]).arg(&input)).success();
        for options in [&["-preset", "ultrafast", "-crf", "5"][..], &["-c:v", "mjpeg", "-q:v", "2"]] {
            let likeness = likeness_on_a_screen(&input, &encode(&input, options, folder.path(), "out.mkv"));
            assert!(likeness > 40.0, "{name} {options:?}: {likeness} dB");
        }
    }
    let full = folder.path().join("full.mp4");
    let prores = ["-c:v", "prores_ks"];
    run(divien!("-i", &full).args(prores).arg(folder.path().join("out.mov")))
        .success()
        .says(&["full range", "avenc_prores_ks"]);
    let grey = |input: &Path| {
        let mut command = divien!("-y", "-i", input, "-c:v", "ffv1", "-pix_fmt", "gray", folder.path().join("out.mkv"));
        run(&mut command).success()
    };
    grey(&Clip::film(10).path()).says(&["grey pictures keep the limited range"]);
    let of_full = grey(&full);
    assert!(!of_full.stderr.contains("limited range"), "{of_full}");
}

#[test]
fn a_stream_says_a_constant_rate_only_where_there_is_one() {
    let folder = place::temporary();
    let rate = |input: &Path, encoder: &str, name: &str| {
        let output = encode(input, &["-c:v", encoder, "-preset", "ultrafast", "-an"], folder.path(), name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-i"]).arg(&output);
        let trace = run(ffmpeg.args(["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"])).success().stderr;
        let value = |field: &str| {
            let line = trace.lines().find(|line| line.contains(field))?;
            line.rsplit('=').next()?.trim().parse::<u64>().ok()
        };
        let named = run(Command::new("mkvmerge").arg("-J").arg(&output)).success().said().contains("default_duration");
        (value("fixed_frame_rate_flag"), value("num_units_in_tick"), value("time_scale"), named)
    };
    let uneven = Clip::film(60).variable_rate().path();
    let steady = Clip::film(60).rate(30_000, 1001).path();
    assert_eq!(rate(&steady, "libx264", "steady.mkv"), (Some(1), Some(1001), Some(60_000), true));
    assert_eq!(rate(&uneven, "libx264", "uneven.mkv"), (Some(0), Some(1), Some(2_000_000_000), false));
    assert_eq!(rate(&steady, "libx265", "steady265.mkv"), (None, Some(1001), Some(30_000), true));
    Fidelity::of(folder.path().join("uneven.mkv"), &uneven).assert();
}

#[test]
fn named_pipes_and_numbered_ones_are_read() {
    let folder = place::temporary();
    let film = Clip::film(30).path();
    let fifo = folder.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo)).success();
    let divien = divien!();
    for (line, name) in
        [("cat \"$1\" > \"$2\" & \"$0\" -i \"$2\"", "fifo.mp4"), ("\"$0\" -i pipe:3 3< \"$1\"", "three.mp4")]
    {
        let output = folder.path().join(name);
        let mut shell = divien_testbed::gst::command("sh");
        shell.arg("-c").arg(format!("{line} -preset ultrafast \"$3\"")).arg(divien.get_program());
        run(shell.arg(&film).arg(&fifo).arg(&output)).success();
        Fidelity::of(&output, &film).assert();
    }
}

#[test]
fn a_pipe_that_pauses_before_a_stream_speaks_changes_no_byte() {
    let folder = place::temporary();
    let film = folder.path().join("film.ts");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(Clip::film(60).path());
    run(ffmpeg.args(["-c", "copy"]).arg(&film)).success();
    let sound = probe::rows(&film, "packet", Some("a:0"), "pos")[0].text("pos").unwrap().parse::<u64>().unwrap();
    let written = |pause: &str, name: &str| {
        let output = folder.path().join(name);
        let line =
            "{ head -c $0 \"$1\"; sleep $2; tail -c +$(($0 + 1)) \"$1\"; } | \"$3\" -i - -preset ultrafast \"$4\"";
        let mut shell = divien_testbed::gst::command("sh");
        shell.args(["-c", line]).arg(sound.to_string()).arg(&film).arg(pause);
        run(shell.arg(divien!().get_program()).arg(&output)).success();
        std::fs::read(&output).unwrap()
    };
    let at_once = written("0", "at-once.mkv");
    assert!(written("7", "paused.mkv") == at_once);
    assert_eq!(probe::codecs(&folder.path().join("paused.mkv")).len(), 2);
}

#[test]
fn pictures_that_are_never_shown_leave_the_rate_as_it_is() {
    let folder = place::temporary();
    let input = folder.path().join("hidden.webm");
    for pass in ["1", "2"] {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(Clip::film(90).path()).args(["-an", "-c:v", "libvpx"]);
        ffmpeg.args(["-b:v", "300k", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-cpu-used", "4", "-pass", pass]);
        run(ffmpeg.arg("-passlogfile").arg(folder.path().join("log")).arg(&input)).success();
    }
    assert!(probe::rows(&input, "packet", Some("v:0"), "pts").len() > 90, "every packet is shown");
    let output = encode(&input, &["-preset", "ultrafast"], folder.path(), "out.mkv");
    assert!(run(Command::new("mkvmerge").arg("-J").arg(&output)).success().said().contains("default_duration"));
}
