//! What lines between machines do to QUIC and to divien, see [`divien_testbed::lines`].
//!
//! ```text
//! lines DIVIEN PLUGINS CLIP [--seconds 10]
//! ```
//!
//! PLUGINS is the folder with divien's plugin; the encoder that waits is in its `examples`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use divien_testbed::lines::{Congestion, all, carried, encoded, measured, shared};
use divien_testbed::raw::Pictures;
use divien_testbed::scale::Installed;

const HEAD: &str = "| line | congestion controller | Mbit/s | sent in vain |";
const USAGE: &str = "lines DIVIEN PLUGINS CLIP [--seconds N]";
/// Of 1920x1080, 3 MB each: half a minute and more of 200 Mbit/s.
const PICTURES: Pictures = Pictures { count: 250, chunk: 50, buffered: 1 };

fn main() -> ExitCode {
    match lines() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("lines: {message}");
            ExitCode::FAILURE
        }
    }
}

fn lines() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let mut path = || arguments.next().map(PathBuf::from).ok_or(USAGE);
    let installed = Installed { divien: path()?, plugins: path()? };
    let clip = path()?;
    let mut time = Duration::from_secs(10);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|n| n.to_str()?.parse().ok()).ok_or(USAGE)?;
        match argument.to_str() {
            Some("--seconds") => time = Duration::from_secs(number),
            _ => return Err(USAGE.into()),
        }
    }
    let names: String = Congestion::ALL.iter().map(|congestion| format!(" {congestion:?} |")).collect();
    println!(
        "In virtual time, Mbit/s and what was sent in vain:\n\n| line |{names}\n{}",
        ruled(1 + Congestion::ALL.len())
    );
    for line in all() {
        // That a connection is lost is a figure too.
        let one = |congestion| match shared(line, &[congestion], time) {
            Ok(carried) => format!(" {:.1} ({:.1}%) |", carried[0].rate / 1e6, carried[0].in_vain * 100.0),
            Err(why) => format!(" {why} |"),
        };
        println!("| {line} |{}", Congestion::ALL.map(one).concat());
    }
    println!("\nOn this machine:\n\n{HEAD}\n{}", ruled(4));
    for line in measured() {
        for congestion in [Congestion::Cubic, Congestion::Divien] {
            match carried(line, congestion, time) {
                Ok(carried) => println!("| {line} | {congestion:?} | {carried} |"),
                Err(why) => println!("| {line} | {congestion:?} | {why} | |"),
            }
        }
    }
    println!("\n| line | worker's CPU busy | on the wire of input and output |\n{}", ruled(3));
    for line in measured() {
        println!("| {line} | {} |", encoded(&installed.divien, &clip, line)?);
    }
    println!("\n| line | plain QUIC, Mbit/s | raw pictures, Mbit/s | of plain QUIC |\n{}", ruled(4));
    for line in measured() {
        let plain = carried(line, Congestion::Divien, time)?.rate / 1e6;
        let pictures = PICTURES.moved(&installed, Some(line))?.rate() * 8e3;
        println!("| {line} | {plain:.0} | {pictures:.0} | {:.0}% |", 100.0 * pictures / plain);
    }
    Ok(())
}

fn ruled(columns: usize) -> String {
    "| --- ".repeat(columns) + "|"
}
