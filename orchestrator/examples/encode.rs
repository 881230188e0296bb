//! Private harness: encode INPUT OUTPUT "SPEC" [key=value …].
use std::path::PathBuf;
use std::time::Duration;

use divien::cli::*;

fn main() -> std::process::ExitCode {
    gst::init().unwrap();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let spec = args[2].clone();
    let mut job = Job {
        input: if args[0] == "-" { Input::Stdin } else { Input::File(PathBuf::from(&args[0])) },
        output: if args[1] == "-" { Output::Stdout } else { Output::File(PathBuf::from(&args[1])) },
        format: None,
        overwrite: Overwrite::Always,
        workers: None,
        threads: None,
        chunk_frames: 250,
        video: VideoArgs { encoder: String::new(), options: Vec::new(), pix_fmt: None },
        audio: AudioArgs::default(),
        subtitles: true,
        range: Range::default(),
        faststart: false,
        metadata: Vec::new(),
        report: Report::default(),
    };
    for arg in &args[3..] {
        let (k, v) = arg.split_once('=').unwrap();
        let secs = || Duration::from_secs_f64(v.parse().unwrap());
        match k {
            "f" => job.format = Some(v.into()),
            "ss" => job.range.start = Some(secs()),
            "t" => job.range.end = Some(End::After(secs())),
            "to" => job.range.end = Some(End::At(secs())),
            "frames" => job.range.frames = Some(v.parse().unwrap()),
            "faststart" => job.faststart = true,
            "ca" => job.audio.codec = match v { "copy" => AudioCodec::Copy, "none" => AudioCodec::None, o => AudioCodec::Encoder(o.into()) },
            "w" => job.workers = Some(v.parse().unwrap()),
            "bsize" => job.chunk_frames = v.parse().unwrap(),
            "progress" => job.report.progress = Some(v.into()),
            "y" => job.overwrite = Overwrite::Ask,
            o => panic!("{o}"),
        }
    }
    let factory = spec.split(' ').next().unwrap().to_owned();
    let result = divien::run::run(&job, |_| Ok(divien::plan::Encoder { factory, spec, ..Default::default() }));
    match result {
        Ok(_) => 0.into(),
        Err(e) => {
            divien::report::error(LogLevel::Info, &e);
            e.code().into()
        }
    }
}
