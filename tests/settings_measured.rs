//! Where the settings cannot be compared one by one: sizes and quality beside ffmpeg's, for the same arguments.
#![expect(clippy::expect_used, reason = "a test may stop")]

#[path = "settings_common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Source, ffmpeg, make, resolve, run};

/// What an encode came to.
#[derive(Debug, Clone, Copy)]
struct Measured {
    bytes: u64,
    psnr: f64,
}

/// Bytes of the video stream's packets, and the PSNR against the source.
fn measure(source: &Source, encoded: &Path) -> Measured {
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0"])
        .arg(encoded)
        .output()
        .expect("ffprobe runs");
    let sizes = String::from_utf8_lossy(&probe.stdout);
    let bytes = sizes.lines().filter_map(|l| l.trim().trim_end_matches(',').parse::<u64>().ok()).sum();
    let graph = "[1:v]settb=1/25,setpts=N[a];[0:v]settb=1/25,setpts=N[b];[a][b]psnr=eof_action=endall";
    let told = run(ffmpeg().args(source.as_input()).arg("-i").arg(encoded).args(["-lavfi", graph, "-f", "null", "-"]));
    let psnr = told.split("average:").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok());
    Measured { bytes, psnr: psnr.unwrap_or_else(|| panic!("no PSNR in {told}")) }
}

/// Natural pictures where there are any, else drawn ones with motion and noise.
fn source(folder: &Path, frames: u32) -> Source {
    match std::env::var_os("DIVIEN_MEDIA").map(|m| PathBuf::from(m).join("traffic_960x540p5994.mp4")) {
        Some(clip) => {
            let path = folder.join("clip.yuv");
            run(ffmpeg()
                .args(["-ss", "3", "-i"])
                .arg(clip)
                .args(["-vf", "scale=480:270,fps=25", "-frames:v", &frames.to_string()])
                .args(["-pix_fmt", "yuv420p", "-f", "rawvideo"])
                .arg(&path));
            Source { path, width: 480, height: 270, rate: (25, 1), format: ("yuv420p", "I420") }
        }
        None => {
            eprintln!("DIVIEN_MEDIA is not set: drawn pictures in place of traffic_960x540p5994.mp4");
            let drawn = "testsrc2=size=480x270:rate=25,noise=alls=6:allf=t+u:all_seed=7";
            make(folder, drawn, (480, 270), (25, 1), frames, ("yuv420p", "I420"))
        }
    }
}

/// One comparison: ffmpeg's arguments, what divien adds for threads, the parser behind the element.
struct Case {
    args: &'static str,
    threads: &'static str,
    parser: &'static str,
    name: &'static str,
    /// Where ffmpeg would convert the picture first.
    ffmpeg_only: &'static str,
}

fn compare(source: &Source, case: &Case) -> (Measured, Measured) {
    let spec = resolve(case.args).spec_for(source.width, source.height);
    let after = format!("{} ! matroskamux", case.parser);
    let element = source.with_element(&spec, case.threads, &after, &format!("{}.mkv", case.name));
    let theirs =
        source.with_ffmpeg(&format!("-threads 1 {} {}", case.args, case.ffmpeg_only), &format!("{}.mkv", case.name));
    let (ours, theirs) = (measure(source, &element), measure(source, &theirs));
    eprintln!(
        "{}: {} bytes {:.3} dB, ffmpeg {} bytes {:.3} dB: {:+.2}% {:+.3} dB",
        case.args,
        ours.bytes,
        ours.psnr,
        theirs.bytes,
        theirs.psnr,
        (ours.bytes as f64 / theirs.bytes as f64 - 1.0) * 100.0,
        ours.psnr - theirs.psnr
    );
    (ours, theirs)
}

fn check(source: &Source, case: &Case, size: f64, quality: f64) -> Option<String> {
    let (ours, theirs) = compare(source, case);
    let ratio = ours.bytes as f64 / theirs.bytes as f64;
    let near = (ratio - 1.0).abs() <= size
        && ((ours.psnr - theirs.psnr).abs() <= quality || (ours.psnr.is_infinite() && theirs.psnr.is_infinite()));
    (!near).then(|| format!("{}: {ours:?}, ffmpeg {theirs:?}, ratio {ratio:.4}", case.args))
}

fn check_all(source: &Source, cases: &[Case], size: f64, quality: f64) {
    let wrong: Vec<String> = cases.iter().filter_map(|case| check(source, case, size, quality)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const fn x264(args: &'static str) -> Case {
    Case { args, threads: "threads=1", parser: "h264parse", name: "x264", ffmpeg_only: "" }
}

const fn vpx(args: &'static str) -> Case {
    Case { args, threads: "threads=1", parser: "identity", name: "vpx", ffmpeg_only: "" }
}

const fn aom(args: &'static str) -> Case {
    Case { args, threads: "threads=1", parser: "av1parse", name: "aom", ffmpeg_only: "" }
}

const fn libav(args: &'static str) -> Case {
    Case { args, threads: "", parser: "identity", name: "libav", ffmpeg_only: "" }
}

#[test]
fn a_fractional_crf_costs_and_looks_as_ffmpegs() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(folder.path(), 100);
    let cases = [
        x264("-c:v libx264 -crf 23"),
        x264("-c:v libx264 -crf 23.5"),
        x264("-c:v libx264 -crf 18.75 -preset veryfast"),
        x264("-c:v libx264 -crf 31.9 -bf 0"),
    ];
    check_all(&source, &cases, 0.005, 0.02);
}

#[test]
fn an_average_rate_of_x264_is_ffmpegs_within_two_percent() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(folder.path(), 100);
    let cases = [x264("-c:v libx264 -b:v 400k"), x264("-c:v libx264 -b:v 1.5M -preset veryfast")];
    check_all(&source, &cases, 0.02, 0.2);
}

#[test]
fn vp9_is_within_three_percent_and_a_fifth_of_a_decibel() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(folder.path(), 50);
    let cases = [
        vpx("-c:v libvpx-vp9 -crf 33 -b:v 700k -cpu-used 4"),
        vpx("-c:v libvpx-vp9 -crf 40 -b:v 2M -cpu-used 4"),
        vpx("-c:v libvpx-vp9 -b:v 400k -cpu-used 4"),
        vpx("-c:v libvpx-vp9 -b:v 400k -cpu-used 4 -aq-mode variance -tune ssim -g 50"),
        vpx(
            "-c:v libvpx-vp9 -b:v 400k -cpu-used 4 -row-mt 1 -tile-columns 1 -frame-parallel 0 -profile:v 0 -keyint_min 5",
        ),
    ];
    check_all(&source, &cases, 0.03, 0.2);
}

#[test]
fn vp8_is_within_three_percent_and_a_fifth_of_a_decibel() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(folder.path(), 50);
    let cases = [
        vpx("-c:v libvpx -crf 20 -b:v 900k -cpu-used 4"),
        vpx("-c:v libvpx -b:v 500k -cpu-used 4"),
        vpx("-c:v libvpx"),
    ];
    check_all(&source, &cases, 0.03, 0.2);
}

#[test]
fn av1_is_within_three_percent_and_a_fifth_of_a_decibel() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(folder.path(), 20);
    let cases = [
        aom("-c:v libaom-av1 -b:v 400k -cpu-used 8 -lag-in-frames 0 -error-resilience default"),
        aom("-c:v libaom-av1 -crf 10 -b:v 500k -cpu-used 8 -lag-in-frames 0 -error-resilience default -g 25"),
        aom("-c:v libaom-av1 -crf 10 -cpu-used 8 -lag-in-frames 18 -error-resilience default"),
    ];
    check_all(&source, &cases, 0.03, 0.2);
}

#[test]
fn libavcodecs_encoders_are_ffmpegs() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(folder.path(), 25);
    let cases = [
        libav("-c:v mpeg4 -q:v 5"),
        libav("-c:v mpeg4 -q:v 3 -g 25 -bf 2"),
        libav("-c:v mpeg4 -q:v 31"),
        libav("-c:v mpeg4 -q:v 3.5 -mbd rd"),
        libav("-c:v mpeg4 -q:v 4 -trellis 1 -g 100"),
        Case { ffmpeg_only: "-pix_fmt yuv420p -strict -1", ..libav("-c:v mjpeg -q:v 4") },
        Case { ffmpeg_only: "-pix_fmt yuv420p -strict -1", ..libav("-c:v mjpeg -q:v 4.7 -huffman default") },
        libav("-c:v ffv1"),
        libav("-c:v ffv1 -level 3"),
        libav("-c:v ffv1 -level 3 -slices 9 -g 1 -coder ac"),
        libav("-c:v ffv1 -coder range_tab -context 1"),
    ];
    check_all(&source, &cases, 0.05, 0.2);
}

#[test]
fn prores_is_ffmpegs() {
    let folder = tempfile::tempdir().expect("a folder");
    let drawn = "testsrc2=size=480x270:rate=25,noise=alls=6:allf=t+u:all_seed=7";
    let source = make(folder.path(), drawn, (480, 270), (25, 1), 10, ("yuv422p10le", "I422_10LE"));
    let cases = [
        libav("-c:v prores_ks -profile:v hq"),
        libav("-c:v prores_ks -profile:v proxy"),
        libav("-c:v prores_ks -profile:v lt -q:v 8 -vendor apl0"),
        libav("-c:v prores_ks -profile:v standard -mbs_per_slice 4 -bits_per_mb 4000 -quant_mat hq"),
    ];
    check_all(&source, &cases, 0.01, 0.1);
}
