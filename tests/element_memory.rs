//! The memory that raw frames take on their way through `divienenc`, measured in processes of their own.
#![cfg(test)]

use std::process::Command;

use gst::prelude::*;

const LINE: &str = "DIVIEN_TEST_MEMORY";
const SOURCE: &str = "video/x-raw,format=I420,width=1920,height=1080,framerate=25/1";
const ENCODER: &str = "x264enc speed-preset=ultrafast";
const FRAME: u64 = 1920 * 1080 * 3 / 2;
const WORKERS: u64 = 2;
/// The last chunks are begun together.
const LANES: u64 = 2 * WORKERS;

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn run(line: &str) {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
    let pipeline = gst::parse::launch(line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::NONE, &ends).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    println!("peak {}", peak());
}

/// The most memory that a process took that ran this line.
fn peak_of(line: &str) -> u64 {
    let name = "the_length_of_a_run_changes_no_need_of_memory";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(LINE, line)
        // glibc keeps blocks of this size for itself once it has seen them freed, some 30 MiB of no use to anyone here.
        .env("MALLOC_MMAP_THRESHOLD_", "1000000")
        // As divien has it: what is handed out is written at once, and counts as used.
        .env("MALLOC_PERTURB_", "255")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let peak = said.lines().find_map(|line| line.split_once("peak ")?.1.parse().ok());
    peak.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&child.stderr)))
}

fn chunked(frames: u32, chunk: u32, most: u64) -> u64 {
    peak_of(&format!(
        "videotestsrc pattern=black num-buffers={frames} ! {SOURCE} ! divienenc encoder=\"{ENCODER}\" \
         workers={WORKERS} chunk-frames={chunk} max-buffered-bytes={most} ! fakesink"
    ))
}

#[test]
fn the_length_of_a_run_changes_no_need_of_memory() {
    if let Ok(line) = std::env::var(LINE) {
        return run(&line);
    }
    let encoder = format!("videotestsrc pattern=black num-buffers=60 ! {SOURCE} ! {ENCODER} threads=1 ! fakesink");
    let encoders = peak_of(&[encoder.as_str()].repeat(LANES as usize).join(" "));
    // A frame or two are on their way into each encoder, and one stands at the pad.
    let bound = |most: u64| encoders + most.max(FRAME) + (2 * LANES + 2) * FRAME;
    let most = 40 * FRAME;
    let [short, long] = [300, 1500].map(|frames| chunked(frames, 20, most));
    eprintln!("{most} bytes for frames: {short} and {long}; the encoders alone: {encoders}");
    assert!(long <= bound(most), "{long} is more than {} with {most} bytes for frames", bound(most));
    // Whether an encoder's memory is free before the next one begins is chance.
    assert!(long <= short + encoders / LANES + 4 * FRAME, "{short} for 300 frames, {long} for 1500");
    // Less than a chunk, and less than a frame.
    for most in [12 * FRAME, FRAME / 2] {
        let taken = chunked(200, 50, most);
        assert!(taken <= bound(most), "{taken} is more than {} with {most} bytes for frames", bound(most));
    }
}
