//! What the user sees while a run goes on, and after it. All of it goes to standard error; standard
//! output belongs to the video.

mod keyvalue;
mod line;
mod text;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gstdivien::net::Token;

use crate::cli::{LogLevel, UsageError};
use crate::error::{EXIT_OK, EXIT_USAGE, Error};
use keyvalue::KeyValue;
use line::Line;
pub(crate) use text::{clock, counted, size};

/// How often plain lines come when nobody watches a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// How often the line on a terminal changes, and how often `-progress` says something: ffmpeg's own.
const EVERY: Duration = Duration::from_millis(500);

/// How a run stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Which pass over the video it is, where several look for its bit rate; frames, bytes and times are then this one's.
    pub pass: Option<u64>,
    /// Frames in the file.
    pub frames: u64,
    /// Frames the whole will have, about.
    pub total: Option<u64>,
    /// Frames that went into the encoders.
    pub started: u64,
    /// Bytes of all streams so far.
    pub bytes: u64,
    /// The time of the frame written last, ns.
    pub time: u64,
    /// Since the start.
    pub elapsed: Duration,
    /// For each lane of this machine, how much of its chunk is done, 0 to 1; `None` while it idles.
    pub lanes: Vec<Option<f64>>,
    /// The machines elsewhere.
    pub machines: Vec<Machine>,
}

/// A machine elsewhere that encodes, or did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machine {
    /// What people call it.
    pub name: String,
    /// Chunks that it encodes at once; 0 while it is not there.
    pub slots: u32,
    /// Those it has at present.
    pub at_work: u32,
    /// Frames that its encoders gave back.
    pub frames: u64,
    /// Chunks encoded.
    pub chunks: u64,
    /// How long it has been there.
    pub time: Duration,
    /// How often it was lost.
    pub times_lost: u32,
}

impl Snapshot {
    /// Frames encoded a second of wall time.
    #[must_use]
    pub fn fps(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.frames as f64 / seconds } else { 0.0 }
    }

    /// Seconds of video a second of wall time.
    #[must_use]
    pub fn speed(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.time as f64 / 1e9 / seconds } else { 0.0 }
    }

    /// Bits a second of video.
    #[must_use]
    pub fn bit_rate(&self) -> f64 {
        if self.time > 0 { self.bytes as f64 * 8e9 / self.time as f64 } else { 0.0 }
    }

    /// How long it will go on at this pace.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let total = self.total.filter(|t| *t > self.frames && self.frames > 0)?;
        let seconds = (total - self.frames) as f64 / self.fps();
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Machine {
    /// Frames a second of the time it has been there.
    #[must_use]
    pub fn fps(&self) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { self.frames as f64 / seconds } else { 0.0 }
    }
}

/// A finished run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The output's name.
    pub output: String,
    /// Its size.
    pub size: u64,
    /// Video frames.
    pub frames: u64,
    /// Length in ns.
    pub duration: u64,
    /// The end of whatever ends last, ns from the file's start.
    pub end: u64,
    /// Wall time.
    pub elapsed: Duration,
    /// The share of the time in which lanes encoded, 0 to 1, and how many there were.
    pub busy: Option<(f64, u32)>,
    /// Chunks encoded.
    pub chunks: u64,
    /// What each encoder of this machine did.
    pub lanes: Vec<Lane>,
    /// What machines elsewhere did.
    pub machines: Vec<Machine>,
}

/// One encoder's share of a finished run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lane {
    /// Chunks encoded.
    pub chunks: u64,
    /// How long it had one.
    pub busy: Duration,
}

/// The reporter of one run.
pub struct Report {
    level: LogLevel,
    line: Option<Line>,
    plain: bool,
    shown: Pace,
    keyvalue: Option<KeyValue>,
    sent: Pace,
}

/// Lets one through every so often.
struct Pace {
    every: Duration,
    last: Instant,
}

impl Pace {
    fn new(every: Duration) -> Self {
        Self { every, last: Instant::now() }
    }

    fn due(&mut self) -> bool {
        let due = self.last.elapsed() >= self.every;
        if due {
            self.last = Instant::now();
        }
        due
    }
}

impl Report {
    /// As the options ask.
    pub fn new(options: &crate::cli::Report) -> Result<Self, Error> {
        let shown = options.stats.unwrap_or(options.level >= LogLevel::Info);
        let terminal = io::stderr().is_terminal();
        let keyvalue = options.progress.as_deref().map(KeyValue::open).transpose()?;
        Ok(Self {
            level: options.level,
            line: (shown && terminal).then(Line::new),
            plain: shown && !terminal,
            shown: Pace::new(options.period.unwrap_or(if terminal { EVERY } else { PLAIN_EVERY })),
            keyvalue,
            sent: Pace::new(options.period.unwrap_or(EVERY)),
        })
    }

    /// One line about what is done.
    pub fn note(&self, text: &str) {
        self.say(LogLevel::Info, text);
    }

    /// One line about something that may not be as wanted.
    pub fn warn(&self, text: &str) {
        self.say(LogLevel::Warning, &format!("warning: {text}"));
    }

    fn say(&self, level: LogLevel, text: &str) {
        if self.level < level {
            return;
        }
        match &self.line {
            Some(line) => line.above(&harmless(text)),
            None => tell(text),
        }
    }

    /// How it stands: called a few times a second.
    pub fn update(&mut self, now: &Snapshot) {
        if self.shown.due() {
            if let Some(line) = &self.line {
                line.show(now);
            } else if self.plain {
                tell(format_args!("{}{}", text::line(now), text::aside(now)));
            }
        }
        if self.sent.due()
            && let Some(keyvalue) = &mut self.keyvalue
        {
            keyvalue.write(now);
        }
    }

    /// The end of the progress, however it came.
    pub fn stop(&mut self, now: &Snapshot) {
        if let Some(line) = self.line.take() {
            line.clear();
        }
        if let Some(keyvalue) = &mut self.keyvalue {
            keyvalue.remember(now);
        }
    }

    /// The last word of a run that did what it should.
    pub fn summary(&mut self, summary: &Summary) {
        if let Some(mut keyvalue) = self.keyvalue.take() {
            keyvalue.remember(&Snapshot {
                frames: summary.frames,
                bytes: summary.size,
                time: summary.end,
                elapsed: summary.elapsed,
                ..Snapshot::default()
            });
        }
        if self.level >= LogLevel::Verbose {
            text::encoders(summary).for_each(tell);
        }
        if self.level >= LogLevel::Info {
            summary.machines.iter().map(text::share).for_each(tell);
            tell(text::summary(summary));
        }
    }
}

/// A line on standard error. Where nobody reads that any more, the run goes on and ends as it would.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "{}", harmless(&line.to_string()));
}

/// Names of files may hold what does something to a terminal.
fn harmless(text: &str) -> String {
    let is_kept = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars()
        .map(|letter| if is_kept(letter) { letter.into() } else { letter.escape_default().to_string() })
        .collect()
}

/// An error, its hint, each on a line of its own.
pub fn failure(level: LogLevel, error: &Error) -> ExitCode {
    if level >= LogLevel::Error {
        complain(&error.to_string(), error.hint());
    }
    ExitCode::from(error)
}

/// What is wrong with a command line.
pub fn usage(error: &UsageError) -> ExitCode {
    complain(&error.to_string(), error.hint());
    ExitCode::from(EXIT_USAGE)
}

/// A page of text that was asked for, on standard output.
pub fn page(text: Result<String, UsageError>) -> ExitCode {
    match text {
        Ok(text) => {
            // A reader that has seen enough (`| head`) is no failure.
            let _ = io::stdout().write_all(text.trim_end().as_bytes()).and_then(|()| io::stdout().write_all(b"\n"));
            ExitCode::from(EXIT_OK)
        }
        Err(error) => usage(&error),
    }
}

/// A new token, on standard output.
pub fn token() -> ExitCode {
    let told = Token::random().map_err(Error::Token).and_then(|token| {
        let fault = |e: io::Error| Error::Fault { what: format!("the token cannot be written: {e}") };
        writeln!(io::stdout(), "{}", *token.text()).map_err(fault)
    });
    told.map_or_else(|error| failure(LogLevel::Error, &error), |()| ExitCode::from(EXIT_OK))
}

fn complain(what: &str, hint: Option<String>) {
    tell(format_args!("divien: {what}"));
    if let Some(hint) = hint {
        tell(format_args!("  {hint}"));
    }
}
