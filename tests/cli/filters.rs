//! `-vf`, `-s` and `-r`: what ffmpeg makes of the same chain, whichever way the input is decoded.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::fidelity::timed_hashes;
use divien_testbed::{Clip, divien, media, place, probe, run};

use crate::encode;

/// In one process, which takes less time: where a chunk is encoded has tests of its own.
const LOSSLESS: [&str; 10] = ["-c:v", "ffv1", "-an", "-sn", "-bsize", "17", "-cut", "fixed", "-isolate", "none"];

/// A file's pictures, decoded once.
#[derive(Debug)]
struct Seen {
    file: PathBuf,
    /// In milliseconds.
    times: Vec<i64>,
    hashes: Vec<String>,
}

impl Seen {
    #[track_caller]
    fn of(file: PathBuf) -> Self {
        let (times, hashes) = timed_hashes(&file).into_iter().unzip();
        Self { file, times, hashes }
    }

    fn form(&self) -> [String; 4] {
        form(&self.file)
    }
}

/// What ffmpeg makes of it.
#[track_caller]
fn by_ffmpeg(input: &Path, options: &[&str], folder: &Path) -> Seen {
    let output = folder.join("ffmpeg.mkv");
    let mut make = Command::new("ffmpeg");
    // Its yadif of deep samples gives other pictures each time where several threads share a frame.
    make.args(["-nostdin", "-v", "error", "-y", "-filter_threads", "1", "-i"]).arg(input).args(options);
    run(make.args(["-c:v", "ffv1", "-an", "-sn", "-fps_mode", "passthrough"]).arg(&output)).success();
    Seen::of(output)
}

/// The same, once with a decoder for each chunk and once with one for all. Both give the same file.
#[track_caller]
fn by_divien(input: &Path, options: &[&str], folder: &Path) -> Seen {
    let options = [&LOSSLESS, options].concat();
    let apart = Seen::of(encode(input, &options, folder, "apart.mkv"));
    let ordered = folder.join("ordered.mkv");
    let mut command = divien!("-y", "-i", "-");
    run(command.args(&options).arg(&ordered).stdin(File::open(input).unwrap())).success();
    let ordered = Seen::of(ordered);
    let is_same = (&apart.times, &apart.hashes) == (&ordered.times, &ordered.hashes);
    assert!(
        is_same && !apart.hashes.is_empty(),
        "{options:?}: cut before it is decoded the input gives other pictures"
    );
    apart
}

/// Size, form of a pixel, format.
fn form(file: &Path) -> [String; 4] {
    const KEYS: [&str; 4] = ["width", "height", "sample_aspect_ratio", "pix_fmt"];
    let streams = probe::rows(file, "stream", Some("v:0"), &KEYS.join(","));
    KEYS.map(|key| streams[0].text(key).unwrap_or_default().to_owned())
}

fn film(folder: &Path, name: &str, source: &str, options: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source]).args(options);
    run(make.arg(&file)).success();
    file
}

const X264: [&str; 8] = ["-c:v", "libx264", "-g", "12", "-preset", "veryfast", "-bf", "2"];

#[test]
fn pictures_are_cut_framed_turned_and_mirrored_as_ffmpeg_does_it() {
    let folder = place::temporary();
    let options = [&X264[..], &["-pix_fmt", "yuv420p"]].concat();
    let input = film(folder.path(), "in.mp4", "testsrc2=s=160x120:r=25:d=2,setsar=16/11", &options);
    for chain in [
        "crop=100:60",
        "crop=101:51:3:5",
        "crop='min(iw,90)':ih/2:x=iw-out_w:y=0",
        "pad=200:160:20:20",
        "pad=iw+40:ih+40:(ow-iw)/2:(oh-ih)/2:white",
        "pad=201:161:3:5",
        "hflip",
        "vflip,hflip",
        "transpose",
        "transpose=clock",
        "transpose=2",
        "transpose=clock_flip",
        "setsar=4/3",
        "setdar=16/9,crop=80:80",
        "format=yuv444p",
        "null",
    ] {
        let (ours, theirs) =
            (by_divien(&input, &["-vf", chain], folder.path()), by_ffmpeg(&input, &["-vf", chain], folder.path()));
        assert_eq!(ours.form(), theirs.form(), "{chain}");
        assert_eq!(ours.times, theirs.times, "{chain}");
        // To other chroma each has ways of its own.
        assert!(chain.starts_with("format") || ours.hashes == theirs.hashes, "{chain}");
    }
}

#[test]
fn pictures_with_finer_chroma_are_mirrored_as_ffmpeg_does_it() {
    let folder = place::temporary();
    for format in ["yuv422p", "yuv422p10le", "yuv444p"] {
        let options = [&X264[..], &["-pix_fmt", format]].concat();
        let input = film(folder.path(), "in.mp4", "testsrc2=s=160x120:r=25:d=1", &options);
        for chain in ["hflip", "vflip"] {
            let options = ["-vf", chain];
            let (ours, theirs) =
                (by_divien(&input, &options, folder.path()), by_ffmpeg(&input, &options, folder.path()));
            assert_eq!(ours.form(), theirs.form(), "{chain} of {format}");
            assert!(ours.hashes == theirs.hashes, "{chain} of {format}");
        }
    }
}

#[test]
fn a_format_that_a_filter_names_is_no_fault_of_the_encoder() {
    let folder = place::temporary();
    let input = film(folder.path(), "in.mp4", "testsrc2=s=160x120:r=25:d=1", &X264);
    let mut command = divien!("-y", "-i", &input, "-preset", "ultrafast", "-vf", "format=yuv444p");
    let output = folder.path().join("out.mkv");
    let said = run(command.arg(&output)).success().stderr;
    assert!(!said.contains("converted"), "{said}");
    assert_eq!(probe::video(&output, "pix_fmt"), "yuv444p");
}

#[test]
fn borders_that_would_not_be_black_are_refused() {
    let folder = place::temporary();
    let input = film(folder.path(), "in.mp4", "testsrc2=s=160x120:r=25:d=1,format=yuvj420p", &X264);
    let mut command = divien!("-y", "-i", &input, "-vf", "pad=200:160");
    run(command.arg(folder.path().join("out.mkv"))).failure().says(&["pad", "full range"]);
}

/// The mean PSNR of the luma.
fn psnr(ours: &Path, theirs: &Path) -> f64 {
    let mut compare = Command::new("ffmpeg");
    compare.args(["-nostdin", "-i"]).arg(ours).arg("-i").arg(theirs);
    let said = run(compare.args(["-lavfi", "psnr", "-f", "null", "-"])).success().stderr;
    let value = said.rsplit_once(" y:").and_then(|(_, rest)| rest.split_whitespace().next());
    match value {
        Some("inf") => f64::INFINITY,
        value => value.and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{said}")),
    }
}

#[test]
fn pictures_are_scaled_as_ffmpeg_does_it() {
    let folder = place::temporary();
    let (input, least) = match media("traffic_960x540p5994.mp4") {
        Some(film) => (film, 50.0),
        None => (Clip::film(60).size(320, 180).path(), 38.0),
    };
    for chain in [
        "scale=480:-2",
        "scale=iw/3:ih/3:flags=bilinear",
        "scale=480:-2:flags=lanczos",
        "scale=iw*1.5:-2:flags=bicubic+accurate_rnd",
        "scale=w=200:h=200:force_original_aspect_ratio=decrease",
        "scale=320:240:flags=neighbor",
    ] {
        let options = ["-t", "0.5", "-vf", chain];
        let (ours, theirs) = (by_divien(&input, &options, folder.path()), by_ffmpeg(&input, &options, folder.path()));
        assert_eq!(ours.form(), theirs.form(), "{chain}");
        assert_eq!(ours.times, theirs.times, "{chain}");
        let found = psnr(&ours.file, &theirs.file);
        println!("{chain}: {found:.2} dB");
        assert!(found >= least, "{chain}: {found} dB");
    }
    let sized = encode(&input, &["-t", "0.2", "-c:v", "ffv1", "-s", "qvga"], folder.path(), "sized.mkv");
    assert_eq!(form(&sized)[..2], ["320", "240"]);
}

#[test]
fn a_constant_rate_has_the_pictures_and_times_that_ffmpeg_gives_it() {
    let folder = place::temporary();
    let thirty = film(folder.path(), "30.mp4", "testsrc2=s=96x64:r=30:d=3", &X264);
    let late = film(folder.path(), "late.ts", "testsrc2=s=96x64:r=24000/1001:d=3", &["-c:v", "mpeg2video", "-bf", "2"]);
    let uneven = Clip::raw(90).variable_rate().path();
    let all: [(&Path, &[&str]); 3] =
        [(&thirty, &["15", "25", "60", "ntsc", "1"]), (&late, &["12", "30"]), (&uneven, &["10", "29.97"])];
    for (input, rates) in all {
        for rate in rates {
            let chain = format!("fps={rate}");
            let options = ["-vf", chain.as_str()];
            let (ours, theirs) = (by_divien(input, &options, folder.path()), by_ffmpeg(input, &options, folder.path()));
            assert_eq!(ours.hashes, theirs.hashes, "{chain} of {}", input.display());
            let from_first = |seen: &Seen| seen.times.iter().map(|time| time - seen.times[0]).collect::<Vec<_>>();
            let (ours, theirs) = (from_first(&ours), from_first(&theirs));
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= 1), "{chain}: {ours:?} {theirs:?}");
        }
    }
    for (rate, length) in [("60", "1.01"), ("60", "1"), ("25", "0.93"), ("10", "1.04")] {
        let chain = format!("fps={rate}");
        let options = ["-vf", chain.as_str(), "-t", length];
        let (ours, theirs) = (by_divien(&thirty, &options, folder.path()), by_ffmpeg(&thirty, &options, folder.path()));
        assert_eq!(ours.times, theirs.times, "{length} s of {chain}");
    }
    let sized = by_divien(&thirty, &["-r", "10", "-ss", "1"], folder.path());
    assert_eq!(sized.times, (0..20).map(|n| n * 100).collect::<Vec<i64>>());
    assert_eq!(probe::video(&sized.file, "avg_frame_rate"), "10/1");
}

/// Interlaced clips, each field of its own moment.
fn interlaced(folder: &Path) -> Vec<PathBuf> {
    let fields = |mode: &str| format!("testsrc2=s=160x128:r=50:d=2,tinterlace=mode={mode}");
    let top = fields("interleave_top");
    let mpeg2 = ["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-g", "12", "-bf", "2", "-q:v", "3"];
    let h264 = ["-c:v", "libx264", "-g", "12", "-preset", "veryfast", "-x264-params"];
    vec![
        film(folder, "top.ts", &format!("{top},setfield=tff"), &[&mpeg2[..], &["-top", "1"]].concat()),
        film(
            folder,
            "bottom.mp4",
            &format!("{},setfield=bff", fields("interleave_bottom")),
            &[&h264[..], &["bff=1"]].concat(),
        ),
        film(folder, "deep.mp4", &format!("{top},setfield=tff,format=yuv422p10le"), &[&h264[..], &["tff=1"]].concat()),
        film(folder, "whole.mp4", "testsrc2=s=160x128:r=25:d=2", &X264),
    ]
}

#[test]
fn interlaced_frames_become_whole_pictures_as_ffmpeg_makes_them() {
    let folder = place::temporary();
    for input in interlaced(folder.path()) {
        for chain in ["yadif", "yadif=deint=interlaced,hflip", "yadif=parity=bff,fps=10"] {
            let options = ["-vf", chain];
            let (ours, theirs) =
                (by_divien(&input, &options, folder.path()), by_ffmpeg(&input, &options, folder.path()));
            assert!(ours.hashes == theirs.hashes, "{chain} of {}", input.display());
            assert_eq!(probe::video(&ours.file, "field_order"), "progressive");
        }
        let part = by_divien(&input, &["-ss", "0.7", "-t", "1", "-vf", "yadif,fps=50"], folder.path());
        assert_eq!(part.times, (0..50).map(|n| n * 20).collect::<Vec<i64>>());
    }
}

#[test]
fn chunks_of_every_length_have_the_pictures_that_one_run_has() {
    let folder = place::temporary();
    let part = |clip: PathBuf| {
        let short = folder.path().join("short.ts");
        let mut cut = Command::new("ffmpeg");
        cut.args(["-nostdin", "-v", "error", "-i"]).arg(&clip).args(["-map", "0:v:0", "-c", "copy", "-t", "2"]);
        run(cut.arg(&short)).success();
        short
    };
    let real = media("interlaced_tff.ts").map(part);
    for input in real.into_iter().chain(interlaced(folder.path()).into_iter().take(2)) {
        let made = |size: &str, pipe: bool| {
            let output = folder.path().join("out.mkv");
            let options = ["-c:v", "ffv1", "-an", "-vf", "yadif", "-bsize", size, "-cut", "fixed", "-isolate", "none"];
            let mut command = divien!("-y", "-i");
            if pipe {
                command.arg("-").stdin(File::open(&input).unwrap());
            } else {
                command.arg(&input);
            }
            run(command.args(options).arg(&output)).success();
            Seen::of(output).hashes
        };
        let whole = made("250", true);
        for size in ["1", "7", "40", "250"] {
            assert!(made(size, false) == whole, "{} in chunks of {size}", input.display());
        }
        let theirs = by_ffmpeg(&input, &["-vf", "yadif"], folder.path());
        assert!(theirs.hashes == whole, "{}", input.display());
    }
}

#[test]
fn what_stands_upright_is_filtered_upright() {
    let folder = place::temporary();
    let flat = film(folder.path(), "flat.mp4", "testsrc2=s=160x120:r=25:d=1", &X264);
    let turned = folder.path().join("turned.mp4");
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-i"]).arg(&flat).args(["-c", "copy", "-metadata:s:v", "rotate=90"]);
    run(make.arg(&turned)).success();
    let options = ["-vf", "crop=60:100:0:0"];
    let (ours, theirs) = (by_divien(&turned, &options, folder.path()), by_ffmpeg(&turned, &options, folder.path()));
    assert!(ours.form() == theirs.form() && ours.hashes == theirs.hashes);
    // A container that could note it must not.
    let noted = encode(&turned, &["-preset", "ultrafast", "-vf", "crop=60:100:0:0"], folder.path(), "noted.mp4");
    assert_eq!(form(&noted)[..2], ["60", "100"]);
    assert!(probe::rows(&noted, "stream_side_data", Some("v:0"), "rotation").is_empty());
}

#[test]
fn an_odd_size_that_a_filter_makes_is_taken_with_finer_chroma() {
    let folder = place::temporary();
    let input = Clip::film(30).path();
    let mut command = divien!("-y", "-i", &input, "-preset", "ultrafast", "-vf", "scale=161:91");
    let output = folder.path().join("odd.mkv");
    run(command.arg(&output)).success().says(&["161x91 is odd"]);
    assert_eq!(form(&output)[..2], ["161", "91"]);
}

#[test]
fn a_filter_that_cannot_take_the_pictures_is_the_one_that_is_named() {
    let folder = place::temporary();
    let made = |name: &str, format: &str| {
        let options = ["-c:v", "ffv1", "-level", "3", "-pix_fmt", format];
        film(folder.path(), name, "testsrc2=s=64x48:r=25:d=1", &options)
    };
    let (packed, with_alpha) = (made("packed.mkv", "bgr0"), made("alpha.mkv", "yuva420p"));
    let output = folder.path().join("out.mkv");
    for from_a_pipe in [false, true] {
        let mut command = if from_a_pipe { divien!("-i", "-") } else { divien!("-i", &packed) };
        let outcome = run(command.args(["-vf", "yadif"]).arg(&output).stdin(File::open(&packed).unwrap()));
        assert_eq!(outcome.status.code(), Some(64), "{outcome}");
        outcome.says(&["yadif takes planar pictures"]);
        assert!(!output.exists());
    }
    let mut command = divien!("-i", &with_alpha, "-vf", "hflip", "-c:v", "ffv1");
    run(command.arg(&output)).success().says(&["a filter takes no A420"]);
}
