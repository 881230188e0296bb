//! How long divien takes, against the same encoder in ffmpeg and in a plain GStreamer pipeline.
//!
//! ```text
//! bench DIVIEN [--rounds N] [CLIP]
//! ```
//!
//! Each round runs every command once, so that all meet the same load; what is told is the median, and the median of
//! the ratios to ffmpeg's run of the same round with their spread. Without a clip it takes the two that the README's
//! table is about from the folder `DIVIEN_MEDIA`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use divien_testbed::gst;

const USAGE: &str = "bench DIVIEN [--rounds N] [CLIP]";

/// One way to encode a clip.
struct Way {
    name: &'static str,
    command: Command,
    output: PathBuf,
    seconds: Vec<f64>,
}

/// Ways whose results can be compared; the first is what the others are measured by.
struct Contest {
    title: String,
    ways: Vec<Way>,
}

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let divien = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let (mut rounds, mut clip) = (5, None);
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            let number = arguments.next().and_then(|n| n.to_str().and_then(|n| n.parse::<u32>().ok()));
            rounds = number.filter(|n| *n > 0).ok_or(USAGE)?;
        } else {
            clip = Some(PathBuf::from(argument));
        }
    }
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let contests = match clip {
        Some(clip) => vec![x264(&divien, &clip, folder.path()), vp9(&divien, &clip, folder.path())],
        None => {
            let media = std::env::var_os("DIVIEN_MEDIA").map(PathBuf::from);
            let media = media.ok_or("name a clip, or set DIVIEN_MEDIA to the folder of the real ones")?;
            let clip = |name: &str| media.join(name);
            vec![
                x264(&divien, &clip("traffic_960x540p5994.mp4"), folder.path()),
                vp9(&divien, &clip("sintel_trailer_720p24.mp4"), folder.path()),
            ]
        }
    };
    for contest in contests {
        contest.run(rounds)?;
    }
    Ok(())
}

fn file_name(clip: &Path) -> String {
    clip.file_name().unwrap_or(clip.as_os_str()).to_string_lossy().into_owned()
}

fn ffmpeg(clip: &Path, options: &str, output: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(clip);
    command.args(options.split(' ')).arg(output);
    command
}

fn divien_at(divien: &Path, clip: &Path, options: &str, output: &Path) -> Command {
    let mut command = Command::new(divien);
    command.args(["-y", "-nostats", "-loglevel", "error", "-i"]).arg(clip);
    command.args(options.split(' ')).arg(output);
    command
}

fn x264(divien: &Path, clip: &Path, folder: &Path) -> Contest {
    let options = "-an -c:v libx264 -preset medium -crf 23";
    let output = |name: &str| folder.join(format!("{name}.mp4"));
    let plain = format!(
        "filesrc location={} ! decodebin ! videoconvert ! x264enc pass=qual quantizer=23 \
         speed-preset=medium key-int-max=250 vbv-buf-capacity=0 ! h264parse ! mp4mux ! filesink location={}",
        gst::quoted(clip),
        gst::quoted(&output("gstreamer")),
    );
    let mut launch = Command::new("sh");
    launch.args(["-c", &format!("exec gst-launch-1.0 -q {plain}")]);
    Contest {
        title: format!("{}, x264 medium, CRF 23", file_name(clip)),
        ways: vec![
            Way::new("ffmpeg", ffmpeg(clip, options, &output("ffmpeg")), output("ffmpeg")),
            Way::new("x264enc in gst-launch-1.0", launch, output("gstreamer")),
            Way::new("divien", divien_at(divien, clip, options, &output("divien")), output("divien")),
            Way::new("divien -w 2", divien_at(divien, clip, &format!("{options} -w 2"), &output("two")), output("two")),
        ],
    }
}

fn vp9(divien: &Path, clip: &Path, folder: &Path) -> Contest {
    let options = "-t 40 -an -c:v libvpx-vp9 -deadline good -cpu-used 4 -crf 31 -b:v 2M";
    let output = |name: &str| folder.join(format!("{name}.webm"));
    // With these ffmpeg's libvpx was at its fastest on two cores.
    let threads = "-threads 2 -row-mt 1 -tile-columns 1";
    let alone = ffmpeg(clip, &format!("{options} {threads}"), &output("ffmpeg"));
    Contest {
        title: format!("40 s of {}, VP9 good, cpu-used 4, constrained quality 31, 2 Mbit/s", file_name(clip)),
        ways: vec![
            Way::new("ffmpeg", alone, output("ffmpeg")),
            Way::new("divien", divien_at(divien, clip, options, &output("divien")), output("divien")),
            Way::new("divien -w 2", divien_at(divien, clip, &format!("{options} -w 2"), &output("two")), output("two")),
        ],
    }
}

impl Way {
    fn new(name: &'static str, command: Command, output: PathBuf) -> Self {
        Self { name, command, output, seconds: Vec::new() }
    }

    fn run(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let status = self.command.status().map_err(|error| format!("{:?}: {error}", self.command))?;
        self.seconds.push(started.elapsed().as_secs_f64());
        status.success().then_some(()).ok_or_else(|| format!("{:?}: {status}", self.command))
    }
}

impl Contest {
    fn run(mut self, rounds: u32) -> Result<(), String> {
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", self.title);
            self.ways.iter_mut().try_for_each(Way::run)?;
        }
        println!("\n{}, rounds: {rounds}\n", self.title);
        println!("| | wall time, s | of ffmpeg's | size, MB |\n| --- | --- | --- | --- |");
        let standard = self.ways[0].seconds.clone();
        for way in &self.ways {
            let size = std::fs::metadata(&way.output).map_err(|error| format!("{}: {error}", way.output.display()))?;
            let ratios: Vec<f64> = way.seconds.iter().zip(&standard).map(|(own, other)| own / other).collect();
            let (low, middle, high) = spread(&ratios);
            println!(
                "| {} | {:.1} | {middle:.2} ({low:.2} to {high:.2}) | {:.2} |",
                way.name,
                spread(&way.seconds).1,
                size.len() as f64 / 1e6,
            );
        }
        Ok(())
    }
}

/// Least, median, greatest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    (sorted[0], middle, sorted[sorted.len() - 1])
}
