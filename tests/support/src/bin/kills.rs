//! Runs that are stopped at random moments and gone on with, see [`divien_testbed::kills`].
//!
//! ```text
//! kills DIVIEN [--runs 200] [--minutes M] [--seed S]
//! ```
//!
//! The outputs have to be those of runs that nobody stopped, with no chunk finished twice that was not damaged, and nothing left behind. With
//! `--minutes` it goes on for so long.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use divien_testbed::kills::Kills;

const USAGE: &str = "kills DIVIEN [--runs N] [--minutes M] [--seed S]";

fn main() -> ExitCode {
    match kills() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("kills: {message}");
            ExitCode::FAILURE
        }
    }
}

fn kills() -> Result<bool, String> {
    let mut arguments = std::env::args_os().skip(1);
    let divien = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let (mut runs, mut seed, mut minutes) = (200u64, 1u64, None);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.to_str()?.parse::<u64>().ok()).ok_or(USAGE);
        match argument.to_str() {
            Some("--runs") => runs = number()?,
            Some("--seed") => seed = number()?,
            Some("--minutes") => minutes = Some(Duration::from_secs(60 * number()?)),
            _ => return Err(USAGE.into()),
        }
    }
    let mut kills = Kills::new(divien)?;
    let started = Instant::now();
    let (mut done, mut faults) = (0, 0);
    let goes_on = |done| minutes.map_or(done < runs, |minutes| started.elapsed() < minutes);
    while goes_on(done) {
        let number = seed.wrapping_add(done);
        if let Err(wrong) = kills.run(number) {
            faults += 1;
            println!("seed {number}: {wrong}");
        }
        done += 1;
        if done % 20 == 0 {
            println!("{done} runs, {faults} faults; {kills}");
        }
    }
    if let Err(wrong) = kills.stays() {
        faults += 1;
        println!("{wrong}");
    }
    println!("{done} runs, {faults} faults; {kills}");
    Ok(faults == 0)
}
