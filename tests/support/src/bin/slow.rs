//! What one slow worker of four costs, see [`divien_testbed::scale`].
//!
//! ```text
//! slow DIVIEN PLUGINS [--chunks 40,100,400] [--rounds 3]
//! ```
//!
//! PLUGINS is the folder with divien's plugin; the encoder that waits is in its `examples`.

use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::scale::{Installed, Slow, Times};

const USAGE: &str = "slow DIVIEN PLUGINS [--chunks N,N,...] [--rounds N]";

fn main() -> ExitCode {
    match slow() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("slow: {message}");
            ExitCode::FAILURE
        }
    }
}

fn slow() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let mut path = || arguments.next().map(PathBuf::from).ok_or(USAGE);
    let installed = Installed { divien: path()?, plugins: path()? };
    let (mut chunks, mut rounds) = (vec![40u64, 100, 400], 3usize);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|value| value.into_string().ok()).ok_or(USAGE)?;
        match argument.to_str() {
            Some("--rounds") => rounds = value.parse().map_err(|_| USAGE)?,
            Some("--chunks") => {
                chunks = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| USAGE)?;
            }
            _ => return Err(USAGE.into()),
        }
    }
    println!("| chunks | three workers, s | and a slow one, s | of the three's time |\n| --- | --- | --- | --- |");
    for chunks in chunks {
        let runs = (0..rounds.max(1)).map(|_| Slow { chunks }.measured(&installed));
        let mut runs = runs.collect::<Result<Vec<Times>, _>>()?;
        runs.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let (least, median, most) = (runs[0], runs[runs.len() / 2], runs[runs.len() - 1]);
        println!(
            "| {chunks} | {:.1} | {:.1} | {:.3} ({:.3} to {:.3}) |",
            median.three,
            median.four,
            median.ratio(),
            least.ratio(),
            most.ratio(),
        );
    }
    Ok(())
}
