//! What raw pictures for a worker take, see [`divien_testbed::raw`].
//!
//! ```text
//! raw DIVIEN PLUGINS [--frames 2000] [--rounds 3]
//! ```
//!
//! PLUGINS is the folder with divien's plugin; the encoder that waits is in its `examples`.

use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::bench::spread;
use divien_testbed::raw::{Moved, Pictures, copied, give, take};
use divien_testbed::scale::Installed;

const USAGE: &str = "raw DIVIEN PLUGINS [--frames N] [--rounds N]";
/// Frames of a chunk and GiB of memory: the defaults, of which most goes through files, and such that all stays in memory.
const WAYS: [(u64, u64); 3] = [(250, 1), (250, 8), (50, 1)];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let texts: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let done = match texts[..] {
        ["take", folder] => take(folder.as_ref()).map_err(|error| error.to_string()),
        ["give", folder, address, count] => match (address.parse(), count.parse()) {
            (Ok(address), Ok(count)) => give(folder.as_ref(), address, count).map_err(|error| error.to_string()),
            _ => Err(USAGE.into()),
        },
        _ => raw(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("raw: {message}");
            ExitCode::FAILURE
        }
    }
}

fn raw() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let mut path = || arguments.next().map(PathBuf::from).ok_or(USAGE);
    let installed = Installed { divien: path()?, plugins: path()? };
    let (mut count, mut rounds) = (2000u64, 3usize);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().and_then(|n| n.to_str()?.parse().ok()).ok_or(USAGE)?;
        match argument.to_str() {
            Some("--frames") => count = number,
            Some("--rounds") => rounds = usize::try_from(number).map_err(|_| USAGE)?.max(1),
            _ => return Err(USAGE.into()),
        }
    }
    let mut all: Vec<(String, Vec<Moved>)> = vec![("plain QUIC".into(), Vec::new())];
    all.extend(WAYS.map(|(chunk, memory)| (format!("divien, chunks of {chunk} frames, {memory} GiB"), Vec::new())));
    for _ in 0..rounds {
        all[0].1.push(copied(count)?);
        for ((chunk, buffered), (_, runs)) in WAYS.into_iter().zip(&mut all[1..]) {
            runs.push(Pictures { count, chunk, buffered }.moved(&installed, None)?);
        }
    }
    println!("| | GB/s | CPU of the sender, s/GB | of the other side | of both |\n| --- | --- | --- | --- | --- |");
    for (name, runs) in &all {
        let told = |figure: fn(&Moved) -> f64| spread(runs.iter().map(figure).collect(), 2);
        let (rate, sending, taking) = (told(|r| r.rate()), told(|r| r.cpu().0), told(|r| r.cpu().1));
        println!("| {name} | {rate} | {sending} | {taking} | {} |", told(|r| r.cpu().0 + r.cpu().1));
    }
    Ok(())
}
