//! What journal and processes for encoders cost, see [`divien_testbed::cost`].
//!
//! ```text
//! cost DIVIEN CLIP [--rounds 5] [OPTION ...]
//! ```
//!
//! OPTIONs go to divien.

use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::bench::spread;
use divien_testbed::cost::Round;

const USAGE: &str = "cost DIVIEN CLIP [--rounds N] [OPTION ...]";

fn main() -> ExitCode {
    match cost() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cost: {message}");
            ExitCode::FAILURE
        }
    }
}

fn cost() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let mut path = || arguments.next().map(PathBuf::from).ok_or(USAGE);
    let (divien, clip) = (path()?, path()?);
    let (mut rounds, mut options) = (5usize, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.to_str().ok_or(USAGE)? {
            "--rounds" => rounds = arguments.next().and_then(|n| n.to_str()?.parse().ok()).ok_or(USAGE)?,
            option => options.push(option.to_owned()),
        }
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let one = |_| Round::measure(&divien, &clip, &options, folder.path()).map(|round| round.ratios());
    let rounds = (0..rounds.max(1)).map(one).collect::<Result<Vec<_>, _>>()?;
    let (wall, cpu): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    println!("with journal and processes, of the same without, {} rounds:", wall.len());
    println!("wall time {}, CPU time {}", spread(wall, 3), spread(cpu, 3));
    Ok(())
}
