//! Runs with workers to which things happen, see [`divien_testbed::faults`].
//!
//! ```text
//! faults DIVIEN [--runs 50] [--seed S] [--first N] [--keep FOLDER]
//! ```
//!
//! The runs are those of the seeds from S + N on; a line tells of each. What was said in one with a fault is kept.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::faults::{Case, Faults};

const USAGE: &str = "faults DIVIEN [--runs N] [--seed S] [--first N] [--keep FOLDER]";

fn main() -> ExitCode {
    match faults() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("faults: {message}");
            ExitCode::FAILURE
        }
    }
}

fn faults() -> Result<bool, String> {
    let mut arguments = std::env::args_os().skip(1);
    let divien = PathBuf::from(arguments.next().ok_or(USAGE)?);
    let (mut runs, mut seed, mut first, mut keep) = (50u64, 1u64, 0u64, PathBuf::from("faults"));
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.to_str()?.parse::<u64>().ok()).ok_or(USAGE);
        match argument.to_str() {
            Some("--runs") => runs = number()?,
            Some("--seed") => seed = number()?,
            Some("--first") => first = number()?,
            Some("--keep") => keep = PathBuf::from(arguments.next().ok_or(USAGE)?),
            _ => return Err(USAGE.into()),
        }
    }
    let faults = Faults::new(divien, keep, |_| {});
    let mut found = 0;
    for run in first..first + runs {
        let case = Case::of(seed.wrapping_add(run));
        print!("{case} -> ");
        let _ = std::io::stdout().flush();
        let verdict = faults.run(&case)?;
        println!("{verdict}");
        found += u64::from(verdict.fault.is_some());
    }
    println!("{runs} runs, {found} faults");
    Ok(found == 0)
}
