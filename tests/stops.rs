//! How long `divienenc` takes to stop, against as many plain encoders that are stopped at once.
//!
//! ```text
//! cargo bench -p gst-plugin-divien --bench stops -- CLIP [ENCODER [WORKERS [MOMENTS]]]
//! ```
//!
//! Encoders encode what they have looked ahead to before they stop, so a stop is as slow as they are. Both sides work for
//! 4 s a worker, which is enough to look ahead as far as they do, and some more, and are stopped at the same moments in
//! turns. What is told of each is the median, and the median and the greatest of what divienenc took longer.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

const USAGE: &str = "stops CLIP [ENCODER [WORKERS [MOMENTS]]]";

fn main() -> ExitCode {
    // Cargo adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("stops: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<(), String> {
    let Some(clip) = arguments.first() else {
        println!("{USAGE}");
        return Ok(());
    };
    let encoder = arguments.get(1).map_or("x264enc", String::as_str);
    let number = |n: usize, default: u32| arguments.get(n).map_or(Ok(default), |a| a.parse().map_err(|_| USAGE));
    let (workers, moments) = (number(2, 2)?, number(3, 10)?);
    gst::init().map_err(|error| error.to_string())?;
    gstdivien::plugin_register_static().map_err(|error| error.to_string())?;
    let source = format!("filesrc location=\"{clip}\" ! decodebin ! videoconvert ! video/x-raw,format=I420");
    let parallel = format!("{source} ! divienenc workers={workers} encoder=\"{encoder}\" ! fakesink");
    // As many threads as divienenc gives each of its own.
    let name = encoder.split_whitespace().next().unwrap_or_default();
    let made = gst::ElementFactory::make(name).build().map_err(|error| error.to_string())?;
    let threads = if made.has_property("threads") { " threads=1" } else { "" };
    let plain = format!("{source} ! {encoder}{threads} ! fakesink");
    let (mut own, mut other, mut longer) = (Vec::new(), Vec::new(), Vec::new());
    for moment in 0..moments {
        let after = Duration::from_millis(u64::from(4000 * workers) + u64::from(moment) * 370);
        let mine = stopped(&[&parallel], after)?;
        let theirs = stopped(&vec![plain.as_str(); workers as usize], after)?;
        println!("after {:.2} s: divienenc {mine:.3} s, {workers} encoders {theirs:.3} s", after.as_secs_f64());
        own.push(mine);
        other.push(theirs);
        longer.push(mine - theirs);
    }
    for list in [&mut own, &mut other, &mut longer] {
        list.sort_by(f64::total_cmp);
    }
    let middle = |list: &[f64]| (list[(list.len() - 1) / 2] + list[list.len() / 2]) / 2.0;
    println!("divienenc {:.3} s, {workers} encoders {:.3} s", middle(&own), middle(&other));
    println!("longer by {:.3} s, at most {:.3} s", middle(&longer), longer.last().copied().unwrap_or_default());
    Ok(())
}

/// Seconds until all of these pipelines, stopped at once after a time at work, have stopped.
fn stopped(lines: &[&str], after: Duration) -> Result<f64, String> {
    let pipelines = lines.iter().map(|line| gst::parse::launch(line).map_err(|error| error.to_string()));
    let pipelines = pipelines.collect::<Result<Vec<_>, _>>()?;
    for pipeline in &pipelines {
        let started = pipeline.set_state(gst::State::Playing);
        started.map_err(|error| format!("{error}; gst-launch-1.0 tells why"))?;
    }
    thread::sleep(after);
    let since = Instant::now();
    thread::scope(|scope| {
        for pipeline in &pipelines {
            scope.spawn(|| pipeline.set_state(gst::State::Null));
        }
    });
    Ok(since.elapsed().as_secs_f64())
}
