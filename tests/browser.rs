//! Outputs in a browser: every place can be sought, every frame is decoded.

#![cfg(test)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use divien_testbed::run::told;
use divien_testbed::{Clip, Running, divien, media, place, probe, run};

/// A clip of half a minute plays at four times its speed, on a machine with other work.
const LIMIT: Duration = Duration::from_secs(150);

/// What `browser/page.html` says.
struct Seen {
    /// Where was sought, and the time of the frame shown there.
    seeks: Vec<(f64, f64)>,
    frames: usize,
    corrupted: usize,
    size: String,
}

#[track_caller]
fn seen(file: &Path) -> Seen {
    let page = place::repository().join("tests/browser/page.html");
    let profile = place::temporary();
    let mut command = Command::new("chromium");
    // Its sandbox refuses to run as root, and the page is our own.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]);
    command.args(["--enable-logging=stderr", "--v=0", "--disable-dev-shm-usage", "--mute-audio"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("file://{}?file=file://{}", page.display(), file.display()));
    let said = told(&mut command, "\"SEEN ", LIMIT);
    let said = said.split(" END").next().unwrap_or_default();
    let numbers: Result<Vec<f64>, _> = said.split(' ').map(str::parse).collect();
    let Ok(numbers) = numbers else { panic!("{}: the browser says '{said}'", file.display()) };
    let [seeks @ .., frames, corrupted, width, height] = numbers.as_slice() else {
        panic!("{}: the browser says '{said}'", file.display());
    };
    Seen {
        seeks: seeks.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(),
        frames: *frames as usize,
        corrupted: *corrupted as usize,
        size: format!("{width}x{height}"),
    }
}

/// Encodes, and compares what the browser shows with what ffprobe reads.
#[track_caller]
fn plays(input: &Path, options: &[&str], name: &str) {
    let folder = place::temporary();
    let output = folder.path().join(name);
    let mut command = divien!("-y", "-i", input);
    Running::start(command.args(options).arg(&output)).wait(run::LIMIT).success();
    let times = probe::frame_times(&output);
    let seen = seen(&output);
    let what = format!("{} as {name}", input.display());
    assert_eq!((seen.frames, seen.corrupted), (times.len(), 0), "{what}: frames decoded, and corrupted ones");
    let (width, height) = (probe::video(&output, "width"), probe::video(&output, "height"));
    // The matrix of this one turns it by a quarter.
    let (width, height) = if input.ends_with("rot90.mp4") { (height, width) } else { (width, height) };
    assert_eq!(seen.size, format!("{width}x{height}"), "{what}");
    assert_eq!(seen.seeks.len(), 5, "{what}");
    for (place, shown) in seen.seeks {
        let due = times.iter().rposition(|time| *time <= place + 1e-4).unwrap_or(0);
        // Where frames are unevenly apart the browser guesses which one is due, in ffmpeg's files as well.
        let near = if name == "variable.mp4" { due.saturating_sub(2)..due + 3 } else { due..due + 1 };
        let due = &times[near.start..near.end.min(times.len())];
        let right = due.iter().any(|time| (shown - time).abs() < 1.5e-3);
        assert!(right, "{what}: at {place} s a frame of {due:?} s is due, {shown} s is shown");
    }
}

#[test]
fn a_browser_seeks_and_decodes_every_frame_of_made_clips() {
    let film = Clip::film(120).path();
    let x264 = ["-c:v", "libx264", "-preset", "veryfast", "-bsize", "30"];
    plays(&film, &x264, "film.mp4");
    plays(&film, &x264, "film.mkv");
    plays(&film, &["-c:v", "libvpx-vp9", "-b:v", "500k", "-cpu-used", "6", "-bsize", "30"], "film.webm");
    plays(&Clip::raw(120).variable_rate().path(), &x264, "variable.mp4");
}

#[test]
fn a_browser_seeks_and_decodes_every_frame_of_real_clips() {
    let x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bsize", "100"];
    let vp9 = ["-c:v", "libvpx-vp9", "-b:v", "1M", "-cpu-used", "8", "-bsize", "100"];
    let cases: [(&str, &[&str], &str); 4] = [
        ("traffic_960x540p5994.mp4", &x264, "clip.mp4"),
        ("sintel_trailer_720p24.mp4", &x264, "clip.mkv"),
        ("ocean_720p24.mp4", &vp9, "clip.webm"),
        ("rot90.mp4", &x264, "clip.mp4"),
    ];
    for (clip, options, name) in cases {
        let Some(clip) = media(clip) else { continue };
        plays(&clip, &[options, &["-t", "9"]].concat(), name);
    }
}
