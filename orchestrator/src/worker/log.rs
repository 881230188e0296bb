//! What a worker says: a line for people on standard error, or a JSON object on standard output, for each event.

use std::io::{self, Write};
use std::time::Duration;

use gstdivien::remote::worker::Report;
use serde::Serialize;

use crate::cli::LogFormat;
use crate::error::{EXIT_OK, Error};
use crate::report::{clock, counted, size, tell};

/// Where a worker's events go. A reader that goes away ends the lines, never the work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log(LogFormat);

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// RFC 3339, in UTC.
    time: String,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Listening {
        address: String,
    },
    Met {
        peer: String,
    },
    NotMet {
        reason: &'a str,
    },
    Chunk {
        peer: String,
        chunk: u64,
        frames: u64,
        bytes: u64,
        seconds: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<&'a str>,
    },
    Refused {
        peer: String,
        reason: &'a str,
    },
    Draining,
    Left {
        peer: String,
        reason: &'a str,
    },
    Ended {
        code: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl Log {
    pub(super) fn new(format: LogFormat) -> Self {
        Self(format)
    }

    /// One event.
    pub(super) fn report(self, told: &Report) {
        match self.0 {
            LogFormat::Text => tell(text(told)),
            LogFormat::Json => print(event(told)),
        }
    }

    /// The last one. Errors are told on standard error in either format, by whoever gets them.
    pub(super) fn ended(self, error: Option<&Error>) {
        match (self.0, error) {
            (LogFormat::Json, error) => {
                print(Event::Ended { code: error.map_or(EXIT_OK, Error::code), reason: error.map(Error::to_string) });
            }
            (LogFormat::Text, None) => tell("all is done"),
            (LogFormat::Text, Some(_)) => {}
        }
    }
}

fn print(event: Event<'_>) {
    let time = glib::DateTime::now_utc().and_then(|now| now.format("%Y-%m-%dT%H:%M:%SZ"));
    let line = Line { time: time.map(String::from).unwrap_or_default(), event };
    if let Ok(line) = serde_json::to_string(&line) {
        let _ = writeln!(io::stdout(), "{line}");
    }
}

fn text(told: &Report) -> String {
    match told {
        Report::Listening(address) => format!("listening on {address}"),
        Report::Met(peer) => format!("{peer}: works for it"),
        Report::NotMet(why) => format!("warning: {why}"),
        Report::Chunk { peer, chunk, frames, bytes, time, failed: None } => {
            let frames = counted(*frames, "frame");
            format!("{peer}: chunk {chunk}: {frames}, {} in {}", size(*bytes), clock(*time))
        }
        Report::Chunk { peer, chunk, time, failed: Some(why), .. } => {
            format!("warning: {peer}: chunk {chunk}: failed after {}: {why}", clock(*time))
        }
        Report::Refused(peer, why) => format!("warning: {peer}: refused: {why}"),
        Report::Draining => "draining: no more chunks are taken".into(),
        Report::Left(peer, why) => format!("{peer}: left: {why}"),
    }
}

fn event(told: &Report) -> Event<'_> {
    match told {
        Report::Listening(address) => Event::Listening { address: address.to_string() },
        Report::Met(peer) => Event::Met { peer: peer.to_string() },
        Report::NotMet(reason) => Event::NotMet { reason },
        Report::Chunk { peer, chunk, frames, bytes, time, failed } => Event::Chunk {
            peer: peer.to_string(),
            chunk: *chunk,
            frames: *frames,
            bytes: *bytes,
            seconds: rounded(*time),
            failed: failed.as_deref(),
        },
        Report::Refused(peer, reason) => Event::Refused { peer: peer.to_string(), reason },
        Report::Draining => Event::Draining,
        Report::Left(peer, reason) => Event::Left { peer: peer.to_string(), reason },
    }
}

/// To the millisecond.
fn rounded(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(failed: Option<&str>) -> Report {
        Report::Chunk {
            peer: "[::1]:9".parse().unwrap(),
            chunk: 3,
            frames: 250,
            bytes: 1_500_000,
            time: Duration::from_micros(2_500_400),
            failed: failed.map(str::to_owned),
        }
    }

    fn all() -> Vec<(Report, &'static str, &'static str)> {
        let peer = "[::1]:9".parse().unwrap();
        vec![
            (
                Report::Listening("[::]:7171".parse().unwrap()),
                "listening on [::]:7171",
                r#"{"event":"listening","address":"[::]:7171"}"#,
            ),
            (Report::Met(peer), "[::1]:9: works for it", r#"{"event":"met","peer":"[::1]:9"}"#),
            (Report::NotMet("a \"b\"".into()), "warning: a \"b\"", r#"{"event":"not-met","reason":"a \"b\""}"#),
            (
                chunk(None),
                "[::1]:9: chunk 3: 250 frames, 1.5 MB in 2.5 s",
                r#"{"event":"chunk","peer":"[::1]:9","chunk":3,"frames":250,"bytes":1500000,"seconds":2.5}"#,
            ),
            (
                chunk(Some("why")),
                "warning: [::1]:9: chunk 3: failed after 2.5 s: why",
                r#"{"event":"chunk","peer":"[::1]:9","chunk":3,"frames":250,"bytes":1500000,"seconds":2.5,"failed":"why"}"#,
            ),
            (
                Report::Refused(peer, "a shell".into()),
                "warning: [::1]:9: refused: a shell",
                r#"{"event":"refused","peer":"[::1]:9","reason":"a shell"}"#,
            ),
            (Report::Draining, "draining: no more chunks are taken", r#"{"event":"draining"}"#),
            (
                Report::Left(peer, "all done".into()),
                "[::1]:9: left: all done",
                r#"{"event":"left","peer":"[::1]:9","reason":"all done"}"#,
            ),
        ]
    }

    #[test]
    fn every_event_is_one_line_for_people_and_one_object_for_programs() {
        for (told, line, object) in all() {
            assert_eq!(text(&told), line);
            assert_eq!(serde_json::to_string(&event(&told)).unwrap(), object);
        }
    }

    #[test]
    fn a_line_of_json_has_its_time() {
        let line = Line { time: "2026-01-02T03:04:05Z".into(), event: Event::Ended { code: 0, reason: None } };
        let object = r#"{"time":"2026-01-02T03:04:05Z","event":"ended","code":0}"#;
        assert_eq!(serde_json::to_string(&line).unwrap(), object);
    }
}
