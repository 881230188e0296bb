//! How the cost of a run grows with its workers, see [`divien_testbed::scale`].
//!
//! ```text
//! scale DIVIEN PLUGINS [--chunks 2000] [--workers 1,4,16,64]
//! ```
//!
//! PLUGINS is the folder with divien's plugin; the encoder that waits is in its `examples`.

use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::scale::{Installed, Scale};

const USAGE: &str = "scale DIVIEN PLUGINS [--chunks N] [--workers N,N,...]";

fn main() -> ExitCode {
    match scale() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("scale: {message}");
            ExitCode::FAILURE
        }
    }
}

fn scale() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let mut path = || arguments.next().map(PathBuf::from).ok_or(USAGE);
    let installed = Installed { divien: path()?, plugins: path()? };
    let (mut chunks, mut workers) = (2000u64, vec![1u64, 4, 16, 64]);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().and_then(|value| value.into_string().ok()).ok_or(USAGE)?;
        match argument.to_str() {
            Some("--chunks") => chunks = value.parse().map_err(|_| USAGE)?,
            Some("--workers") => {
                workers = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| USAGE)?;
            }
            _ => return Err(USAGE.into()),
        }
    }
    println!(
        "| workers | chunks | of the ideal time | cores of the coordinator | memory of it |\n| --- | --- | --- | --- | --- |"
    );
    for workers in workers {
        // Each of them has as many chunks as with the most workers, at least.
        println!("| {workers} | {}", Scale { workers, chunks: chunks.min(workers * 40) }.measured(&installed)?);
    }
    Ok(())
}
