//! The same arguments given to ffmpeg and, mapped, to the GStreamer element.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use divien::cli;
use divien::codec::{self, Choice};
use gst::prelude::*;

/// Raw video in a file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rate: (u32, u32),
    /// ffmpeg's name and GStreamer's.
    pub(crate) format: (&'static str, &'static str),
}

/// What the mapping makes of arguments.
pub(crate) fn resolve(args: &str) -> Choice {
    let typed = ["-i", "in.mkv"].into_iter().chain(args.split(' ').filter(|a| !a.is_empty())).chain(["out.mkv"]);
    let job = match cli::parse(typed.map(OsString::from)) {
        Ok(cli::Command::Encode(job)) => job,
        other => panic!("{args}: {other:?}"),
    };
    let choice = codec::resolve(&job.video, job.threads).unwrap_or_else(|e| panic!("{args}: {e}"));
    if let Err(e) = gstdivien::lane::EncoderSpec::parse(&choice.spec, 0) {
        panic!("{args}: {}: {e}", choice.spec);
    }
    choice
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; apt install ffmpeg"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    told
}

pub(crate) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-y"]);
    command
}

/// Makes raw video from a lavfi description.
pub(crate) fn make(
    folder: &Path,
    lavfi: &str,
    size: (u32, u32),
    rate: (u32, u32),
    frames: u32,
    format: (&'static str, &'static str),
) -> Source {
    let path = folder.join(format!("{}x{}-{}.yuv", size.0, size.1, format.0));
    run(ffmpeg()
        .args(["-f", "lavfi", "-i", lavfi, "-frames:v", &frames.to_string(), "-pix_fmt", format.0, "-f", "rawvideo"])
        .arg(&path));
    Source { path, width: size.0, height: size.1, rate, format }
}

impl Source {
    pub(crate) fn as_input(&self) -> [String; 10] {
        let (num, den) = self.rate;
        let text = |s: &str| s.to_owned();
        [
            text("-f"),
            text("rawvideo"),
            text("-pix_fmt"),
            text(self.format.0),
            text("-s"),
            format!("{}x{}", self.width, self.height),
            text("-r"),
            format!("{num}/{den}"),
            text("-i"),
            self.path.to_string_lossy().into_owned(),
        ]
    }

    /// ffmpeg's output for the arguments, as Matroska or a raw stream by `name`.
    pub(crate) fn with_ffmpeg(&self, args: &str, name: &str) -> PathBuf {
        let output = self.path.with_file_name(format!("ffmpeg-{name}"));
        run(ffmpeg().args(self.as_input()).args(args.split(' ').filter(|a| !a.is_empty())).arg(&output));
        output
    }

    /// The element's output: `spec` is `divienenc`'s text, `more` what divien adds.
    pub(crate) fn with_element(&self, spec: &str, more: &str, after: &str, name: &str) -> PathBuf {
        gst::init().expect("GStreamer starts");
        let output = self.path.with_file_name(format!("element-{name}"));
        let (num, den) = self.rate;
        let line = format!(
            "filesrc location={:?} ! rawvideoparse format={} width={} height={} framerate={num}/{den} ! {spec} {more} ! {after} ! filesink location={:?}",
            self.path,
            self.format.1.to_lowercase().replace('_', "-"),
            self.width,
            self.height,
            output
        );
        let pipeline = gst::parse::launch(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let bus = pipeline.bus().expect("a pipeline has a bus");
        pipeline.set_state(gst::State::Playing).unwrap_or_else(|e| panic!("{line}: {e}"));
        let end = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(300), &[gst::MessageType::Eos, gst::MessageType::Error]);
        pipeline.set_state(gst::State::Null).expect("a pipeline stops");
        match end.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Eos(_)) => output,
            Some(gst::MessageView::Error(e)) => panic!("{line}: {} {:?}", e.error(), e.debug()),
            _ => panic!("{line}: no end after 300 s"),
        }
    }
}
