//! Times divien against the other ways to encode a clip, see [`divien_testbed::bench`].
//!
//! ```text
//! bench DIVIEN [--rounds N] [--contests NAME,NAME] [--workers N,N] [--into FOLDER] [--readme FILE] [CLIP]
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::bench::Bench;

const USAGE: &str =
    "bench DIVIEN [--rounds N] [--contests NAME,NAME] [--workers N,N] [--into FOLDER] [--readme FILE] [CLIP]";

fn main() -> ExitCode {
    match bench().and_then(|bench| bench.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<Bench, String> {
    let mut arguments = std::env::args_os().skip(1);
    let mut bench = Bench {
        divien: PathBuf::from(arguments.next().ok_or(USAGE)?),
        av1an: "av1an".into(),
        clip: None,
        contests: Vec::new(),
        workers: vec![2],
        rounds: 5,
        into: "bench".into(),
        readme: None,
        surround: |_| {},
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.to_str() {
            Some("--rounds") => bench.rounds = value()?.to_str().and_then(|n| n.parse().ok()).ok_or(USAGE)?,
            Some("--contests") => {
                bench.contests = value()?.to_str().ok_or(USAGE)?.split(',').map(str::to_owned).collect();
            }
            Some("--workers") => {
                let numbers = value()?;
                let numbers = numbers.to_str().ok_or(USAGE)?.split(',').map(str::parse);
                bench.workers = numbers.collect::<Result<_, _>>().map_err(|_| USAGE)?;
            }
            Some("--into") => bench.into = value()?.into(),
            Some("--readme") => bench.readme = Some(value()?.into()),
            Some(option) if option.starts_with('-') => return Err(format!("unknown option {option}\n{USAGE}")),
            _ => bench.clip = Some(argument.into()),
        }
    }
    Ok(bench)
}
