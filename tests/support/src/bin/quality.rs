//! What cutting a video into chunks costs in quality, see [`divien_testbed::quality`].
//!
//! ```text
//! quality DIVIEN FFMPEG [--clips NAME,NAME] [--encoders NAME,NAME] [--ways CUT:LEAD-IN,…] [--into FOLDER] [--jobs N]
//! ```
//!
//! FFMPEG has libvmaf.

use std::path::PathBuf;
use std::process::ExitCode;

use divien_testbed::quality::{Quality, Way};

const USAGE: &str = "quality DIVIEN FFMPEG [--clips NAME,NAME] [--encoders NAME,NAME] [--ways CUT:LEAD-IN[:FRAMES],…] [--into FOLDER] [--jobs N]";
/// With lead-in and without, wherever chunks may begin.
const WAYS: &str = "fixed:0,fixed:auto,keyframe:0,keyframe:auto";

fn main() -> ExitCode {
    match quality().and_then(|quality| quality.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("quality: {message}");
            ExitCode::FAILURE
        }
    }
}

fn quality() -> Result<Quality, String> {
    let mut arguments = std::env::args().skip(1);
    let mut program = || arguments.next().map(PathBuf::from).ok_or(USAGE);
    let (divien, vmaf) = (program()?, program()?);
    let mut quality = Quality {
        divien,
        vmaf,
        clips: Vec::new(),
        encoders: Vec::new(),
        ways: ways(WAYS)?,
        into: "quality".into(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        surround: |_| {},
    };
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        let names = || value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match option.as_str() {
            "--clips" => quality.clips = names(),
            "--encoders" => quality.encoders = names(),
            "--ways" => quality.ways = ways(&value)?,
            "--into" => quality.into = value.into(),
            "--jobs" => quality.jobs = value.parse().map_err(|_| USAGE)?,
            _ => return Err(format!("unknown option {option}\n{USAGE}")),
        }
    }
    Ok(quality)
}

fn ways(text: &str) -> Result<Vec<Way>, String> {
    text.split(',').map(str::parse).collect()
}
