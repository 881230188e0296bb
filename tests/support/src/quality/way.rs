//! The ways to encode a clip, as commands.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

/// An encoder, and the settings that all have in common.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) name: &'static str,
    /// For ffmpeg and divien alike.
    settings: &'static str,
    /// Of ffmpeg's alone: what divien's encoders have anyway.
    one_thread: &'static str,
    /// The option that says how good it is to be, and its values.
    quality: &'static str,
    pub(super) qualities: &'static [&'static str],
}

pub(super) const ENCODERS: &[Encoder] = &[
    Encoder {
        name: "x264",
        settings: "-c:v libx264 -preset medium",
        one_thread: "-threads 1",
        quality: "-crf",
        qualities: &["20", "24", "28", "32"],
    },
    Encoder {
        name: "x265",
        settings: "-c:v libx265 -preset fast",
        // With no pool x265 writes no wavefronts, which ffmpeg's defaults do: some 7% less at low rates.
        one_thread: "-x265-params pools=1:frame-threads=1:log-level=none",
        quality: "-crf",
        qualities: &["20", "24", "28", "32"],
    },
    // Constant quality within a rate that it never reaches, which is as near as GStreamer's element comes to it.
    Encoder {
        name: "vp9",
        settings: "-c:v libvpx-vp9 -deadline good -cpu-used 4 -b:v 40M",
        one_thread: "-threads 1 -row-mt 0",
        quality: "-crf",
        qualities: &["28", "36", "44", "52"],
    },
];

/// Of every output. Only the packets of its video count.
const FORMAT: &str = "matroska";

impl Encoder {
    /// One encoder for all, by ffmpeg.
    pub(super) fn alone(&self, clip: &Path, quality: &str, output: &Path) -> Command {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-noautorotate", "-i"]).arg(clip);
        command.args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
        command.args(words(self.settings)).args(words(self.one_thread)).args([self.quality, quality]);
        command.args(["-f", FORMAT]).arg(output);
        command
    }
}

/// How divien makes chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// `-cut`.
    pub cut: String,
    /// `-lead-in`.
    pub lead_in: String,
    /// `-bsize`; the encoder's default without.
    pub chunk: Option<u32>,
}

impl Way {
    pub(super) fn command(
        &self,
        divien: &Path,
        encoder: &Encoder,
        clip: &Path,
        quality: &str,
        output: &Path,
    ) -> Command {
        let mut command = Command::new(divien);
        command.args(["-y", "-nostats", "-v", "error", "-w", "1", "-i"]).arg(clip).arg("-an").arg("-sn");
        command.args(words(encoder.settings)).args([encoder.quality, quality]);
        command.args(["-cut", &self.cut, "-lead-in", &self.lead_in]);
        if let Some(frames) = self.chunk {
            command.args(["-bsize", &frames.to_string()]);
        }
        command.args(["-f", FORMAT]).arg(output);
        command
    }
}

/// `keyframe:auto`, or with the frames of a chunk `keyframe:auto:120`.
impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no way: CUT:LEAD-IN or CUT:LEAD-IN:FRAMES, as in fixed:5:120");
        let mut parts = text.split(':').map(str::to_owned);
        let (Some(cut), Some(lead_in)) = (parts.next(), parts.next()) else { return Err(wrong()) };
        let chunk = parts.next().map(|frames| frames.parse()).transpose().map_err(|_| wrong())?;
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self { cut, lead_in, chunk }) }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.cut, self.lead_in)?;
        self.chunk.map_or(Ok(()), |frames| write!(f, ":{frames}"))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_read_as_they_are_written() {
        for text in ["fixed:0", "keyframe:auto", "scene:5:120"] {
            assert_eq!(text.parse::<Way>().unwrap().to_string(), text);
        }
        for text in ["", "fixed", "fixed:0:many", "fixed:0:1:2"] {
            assert!(text.parse::<Way>().is_err(), "{text}");
        }
    }
}
