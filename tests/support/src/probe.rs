//! What ffprobe says of a file.

use std::path::Path;
use std::process::Command;

use crate::run::run;

/// One row of ffprobe's, by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<(String, String)>);

impl Row {
    /// A value, unless ffprobe has none.
    pub fn text(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value.as_str()).filter(|value| !matches!(*value, "N/A" | ""))
    }

    /// A value that is a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse().ok()
    }
}

/// Rows of one kind (`packet`, `frame`, `stream`, `chapter`), with the values named.
#[track_caller]
pub fn rows(path: &Path, kind: &str, stream: Option<&str>, entries: &str) -> Vec<Row> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "compact=escape=none", "-show_entries"]).arg(format!("{kind}={entries}"));
    if let Some(stream) = stream {
        command.args(["-select_streams", stream]);
    }
    let outcome = run(command.arg(path));
    let text = String::from_utf8_lossy(&outcome.stdout);
    // A transport stream's programs list their streams before the streams themselves, and end with an empty line.
    let text = match text.rsplit_once("program|") {
        Some((_, last)) => last.split_once("\n\n").map_or("", |(_, streams)| streams),
        None => &text,
    };
    text.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix('|')).map(row).collect()
}

fn row(line: &str) -> Row {
    let pairs = line.split('|').filter_map(|field| field.split_once('='));
    Row(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// The presentation time of every decoded frame of the first video stream, in seconds.
#[track_caller]
pub fn frame_times(path: &Path) -> Vec<f64> {
    let key = "best_effort_timestamp_time";
    rows(path, "frame", Some("v:0"), key).iter().filter_map(|frame| frame.number(key)).collect()
}

/// Presentation and decode time of every packet of a stream.
#[track_caller]
pub fn packet_times(path: &Path, stream: &str) -> Vec<(Option<f64>, Option<f64>)> {
    let packets = rows(path, "packet", Some(stream), "pts_time,dts_time");
    packets.iter().map(|packet| (packet.number("pts_time"), packet.number("dts_time"))).collect()
}

/// One value of the first video stream (`pix_fmt`, `width`, `color_transfer`).
#[track_caller]
pub fn video(path: &Path, key: &str) -> String {
    let streams = rows(path, "stream", Some("v:0"), key);
    streams.first().and_then(|stream| stream.text(key)).unwrap_or_default().to_owned()
}

/// The streams' types and codecs, in order: `video h264`.
#[track_caller]
pub fn codecs(path: &Path) -> Vec<String> {
    let streams = rows(path, "stream", None, "codec_type,codec_name");
    let of = |stream: &Row, key| stream.text(key).unwrap_or("unknown").to_owned();
    streams.iter().map(|stream| format!("{} {}", of(stream, "codec_type"), of(stream, "codec_name"))).collect()
}
