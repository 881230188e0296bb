//! ffmpeg's grammar: options with one dash, each with its own value, the output wherever no option is.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use gstdivien::isolate::{LANE, PATIENCE};
use gstdivien::net::address;

use super::error::{UsageError, nearest_names};
use super::table::{self, Group, Id, Kind, OptionDef};
use super::{
    AudioArgs, AudioCodec, Carry, Command, Cut, Input, Isolate, Job, LogLevel, Output, Overwrite, Range, Report,
    Resume, SubtitleCodec, Topic, VideoArgs, not_yet, remote, same, value, worker,
};
use crate::codec;
use crate::filter::{self, Filter};

const DEFAULT_ENCODER: &str = "libx264";

/// ffmpeg's names of demuxers for what is recognised by its content anyway.
const RECOGNISED: &[&str] = &[
    "yuv4mpegpipe",
    "matroska",
    "webm",
    "mov",
    "mp4",
    "m4a",
    "3gp",
    "3g2",
    "mj2",
    "mpegts",
    "mpeg",
    "mpegvideo",
    "avi",
    "flv",
    "ogg",
    "asf",
    "ivf",
    "h264",
    "hevc",
    "m4v",
    "obu",
];

pub(super) fn parse(mut args: VecDeque<OsString>) -> Result<Command, UsageError> {
    let mut typed = Typed::default();
    let all = args.make_contiguous();
    if let Some((word, rest)) = all.split_first().and_then(|(word, rest)| Some((word.to_str()?, rest))) {
        if let Some(reason) = not_yet::word(word) {
            return Err(UsageError::NotBuilt { word: word.into(), reason });
        }
        if word == LANE {
            let version = rest.first().map(|version| version.to_string_lossy().into_owned());
            return Ok(Command::Lane(version.unwrap_or_default()));
        }
        if let Some(command) = worker::parse(word, rest) {
            return command;
        }
        typed.remote.is_server = word == "server";
    }
    if typed.remote.is_server {
        args.pop_front();
    }
    let mut parser = Parser { args, typed };
    while let Some(arg) = parser.args.pop_front() {
        if let Some(command) = parser.argument(&arg)? {
            return Ok(command);
        }
    }
    parser.typed.into_job().map(|job| Command::Encode(Box::new(job)))
}

struct Parser {
    args: VecDeque<OsString>,
    typed: Typed,
}

/// What was read so far.
#[derive(Default)]
struct Typed {
    input: Option<Input>,
    output: Option<Output>,
    /// An error, but an unknown option before it is the likelier cause.
    extra_output: Option<String>,
    format: Option<String>,
    yes: bool,
    no: bool,
    no_stdin: bool,
    workers: Option<u32>,
    remote: remote::Typed,
    threads: Option<u32>,
    chunk_frames: Option<u32>,
    lead_in: Option<u32>,
    pass: Option<String>,
    cut: Cut,
    scenes: Option<PathBuf>,
    strict: bool,
    lane_timeout: Option<Duration>,
    isolate: Isolate,
    verifies: bool,
    resume: Resume,
    encoder: Option<String>,
    /// Options that may be the encoder's, in order; whether they are is known when all is read.
    options: Vec<EncoderOption>,
    pix_fmt: Option<String>,
    filters: Vec<Filter>,
    size: Option<Filter>,
    rate: Option<Filter>,
    audio: AudioArgs,
    no_audio: bool,
    no_subtitles: bool,
    carry: Carry,
    input_side: Times,
    output_side: Times,
    frames: Option<u64>,
    faststart: bool,
    metadata: Vec<(String, String)>,
    report: Report,
}

struct EncoderOption {
    name: String,
    value: Option<String>,
    /// In the table, so known whatever the encoder.
    listed: bool,
    before_input: bool,
}

/// `-ss`, `-t` and `-to` of one side of `-i`.
#[derive(Default, Clone, Copy)]
struct Times {
    start: Option<Duration>,
    duration: Option<Duration>,
    until: Option<Duration>,
}

impl Times {
    /// Where this side ends, in the input's time, if it starts at `start` and its own time begins at `origin`. `-t` wins
    /// over `-to`.
    fn end(&self, start: Duration, origin: Duration) -> Result<Option<Duration>, UsageError> {
        if let Some(length) = self.duration {
            return Ok(Some(start.saturating_add(length)));
        }
        let end = self.until.map(|until| (until, origin.saturating_add(until)));
        if let (Some(from), Some((until, _))) = (self.start, end.filter(|(_, end)| *end <= start)) {
            return Err(UsageError::OutOfRange {
                name: "to".into(),
                value: format!("{}", until.as_secs_f64()),
                range: format!("after -ss {}", from.as_secs_f64()),
            });
        }
        Ok(end.map(|(_, end)| end))
    }
}

impl Parser {
    fn argument(&mut self, arg: &OsStr) -> Result<Option<Command>, UsageError> {
        let name = match arg.to_str() {
            Some("--") => {
                let output = self.args.pop_front().ok_or(UsageError::NoOutput)?;
                return self.typed.output(&output).map(|()| None);
            }
            Some(text) => text.strip_prefix('-').filter(|name| !name.is_empty()),
            None if arg.as_encoded_bytes().starts_with(b"-") => return Err(not_unicode(arg)),
            None => None,
        };
        let Some(name) = name else {
            return self.typed.output(arg).map(|()| None);
        };
        match table::find(name) {
            Some(option) => self.listed(option, name),
            None => self.unlisted(name).map(|()| None),
        }
    }

    fn listed(&mut self, option: &'static OptionDef, name: &str) -> Result<Option<Command>, UsageError> {
        match option.id {
            Id::Help => return self.help().map(|topic| Some(Command::Help(topic))),
            Id::Encoders => return Ok(Some(Command::Encoders)),
            Id::Version => return Ok(Some(Command::Version)),
            _ => {}
        }
        let before_input = self.typed.input.is_none();
        // ffmpeg has these for its inputs too: streams left out, and threads of the decoder.
        let both = matches!(option.id, Id::NoAudio | Id::NoSubtitles | Id::Threads);
        let misplaced = before_input && !both && !matches!(option.group, Group::Global | Group::Input);
        // Encoder options wait for their check until the encoder is known.
        if misplaced && !matches!(option.id, Id::Encoder(_) | Id::Format) {
            return Err(UsageError::BeforeInput { name: name.into(), group: option.group });
        }
        let value = match option.kind {
            Kind::Flag => OsString::new(),
            kind => self
                .args
                .pop_front()
                .ok_or_else(|| UsageError::NoValue { name: name.into(), metavar: kind.metavar().into() })?,
        };
        if option.id == Id::Input {
            return self.typed.input(value).map(|()| None);
        }
        let text = value.to_str().ok_or_else(|| not_unicode(&value))?;
        self.typed.apply(option, &Said { name, text, before_input })?;
        Ok(None)
    }

    fn unlisted(&mut self, name: &str) -> Result<(), UsageError> {
        // Some of ffmpeg's options have no value: the next option is not swallowed by them.
        let is_option = |arg: &OsString| {
            let name = arg.to_str().and_then(|text| text.strip_prefix('-'));
            name.is_some_and(|name| table::find(name).is_some() || same::find(name).is_some())
        };
        let has_value = same::find(name).is_none_or(same::Same::has_value);
        let next = match self.args.front() {
            Some(arg) if has_value && !is_option(arg) => self.args.pop_front(),
            _ => None,
        };
        let value = match next {
            Some(value) => Some(value.to_str().map(str::to_owned).ok_or_else(|| not_unicode(&value))?),
            None => None,
        };
        let before_input = self.typed.input.is_none();
        self.typed.options.push(EncoderOption { name: name.into(), value, listed: false, before_input });
        Ok(())
    }

    fn help(&mut self) -> Result<Topic, UsageError> {
        let Some(topic) = self.args.front() else {
            return Ok(Topic::Basic);
        };
        let topic = topic.to_str().ok_or_else(|| not_unicode(topic))?;
        match topic {
            "full" | "long" => Ok(Topic::Full),
            "docs" => Ok(Topic::Docs),
            _ if topic.starts_with('-') => Ok(Topic::Basic),
            _ => match topic.strip_prefix("encoder=").filter(|name| !name.is_empty()) {
                Some(name) => Ok(Topic::Encoder(name.into())),
                None => Err(UsageError::NoSuchTopic { topic: topic.into() }),
            },
        }
    }
}

/// An option as it was typed.
struct Said<'a> {
    name: &'a str,
    text: &'a str,
    before_input: bool,
}

impl Said<'_> {
    fn bad(&self, wanted: &str) -> UsageError {
        UsageError::BadValue { name: self.name.into(), value: self.text.into(), wanted: wanted.into() }
    }

    fn out_of_range(&self, kind: Kind) -> UsageError {
        let range = kind.range().unwrap_or_default();
        UsageError::OutOfRange { name: self.name.into(), value: self.text.into(), range }
    }

    fn count(&self, kind: Kind) -> Result<u64, UsageError> {
        let Kind::Count { min, max, .. } = kind else {
            return Err(self.bad("not a number"));
        };
        let number = value::number(self.text).ok_or_else(|| self.bad("a whole number is wanted"))?;
        if number.fract() != 0.0 {
            return Err(self.bad("a whole number is wanted"));
        }
        // Saturating: anything beyond u64 is out of every range but that of -frames:v, where it is as good as no limit.
        let whole = number as u64;
        if number < 0.0 || !(min..=max).contains(&whole) {
            return Err(self.out_of_range(kind));
        }
        Ok(whole)
    }

    fn small(&self, kind: Kind) -> Result<u32, UsageError> {
        u32::try_from(self.count(kind)?).map_err(|_| self.out_of_range(kind))
    }

    /// `None` is the encoder's default, for `auto` and 0.
    fn threads(&self, kind: Kind) -> Result<Option<u32>, UsageError> {
        Ok(self.count_or_auto(kind)?.filter(|threads| *threads > 0))
    }

    /// `None` is `auto`.
    fn count_or_auto(&self, kind: Kind) -> Result<Option<u32>, UsageError> {
        let Kind::CountOrAuto { max, .. } = kind else {
            return Err(self.bad("not a number"));
        };
        if self.text == "auto" {
            return Ok(None);
        }
        let number = value::number(self.text).filter(|n| n.fract() == 0.0);
        let number = number.ok_or_else(|| self.bad("a whole number or auto is wanted"))?;
        let fits = (0.0..=max as f64).contains(&number);
        fits.then_some(Some(number as u32)).ok_or_else(|| self.out_of_range(kind))
    }

    fn time(&self) -> Result<Duration, UsageError> {
        value::time(self.text)
            .ok_or_else(|| self.bad("a time is wanted: seconds (12.5), h:m:s (1:02:03.5), 250ms or 40us, not negative"))
    }
}

impl Typed {
    fn input(&mut self, value: OsString) -> Result<(), UsageError> {
        if self.input.is_some() {
            return Err(UsageError::Second { what: "input", extra: value.to_string_lossy().into_owned() });
        }
        let stdin = value == "-" || value == "pipe:" || value == "pipe:0";
        self.input = Some(if stdin { Input::Stdin } else { Input::File(path(value)) });
        Ok(())
    }

    fn output(&mut self, value: &OsStr) -> Result<(), UsageError> {
        if self.output.is_some() {
            let extra = value.to_string_lossy().into_owned();
            self.extra_output.get_or_insert(extra);
            return Ok(());
        }
        let stdout = value == "-" || value == "pipe:" || value == "pipe:1";
        self.output = Some(if stdout { Output::Stdout } else { Output::File(path(value.to_owned())) });
        Ok(())
    }

    fn apply(&mut self, option: &OptionDef, said: &Said) -> Result<(), UsageError> {
        let text = || said.text.to_owned();
        match option.id {
            Id::Yes => self.yes = true,
            Id::No => self.no = true,
            Id::Stdin => self.no_stdin = false,
            Id::NoStdin => self.no_stdin = true,
            Id::Resume => self.resume.resumes = true,
            Id::WorkDir => self.resume.folder = Some(text().into()),
            Id::Keep => self.resume.stays = true,
            Id::Isolate => {
                self.isolate = match said.text {
                    "packets" => Isolate::Packets,
                    "all" => Isolate::All,
                    "none" => Isolate::None,
                    _ => return Err(said.bad("packets, all or none is wanted")),
                }
            }
            Id::Verify => self.verifies = true,
            Id::FinishChunks => self.resume.finishes = true,
            Id::Workers => self.workers = Some(said.small(option.kind)?),
            Id::RemoteWorkers => self.remote.workers = address::peers(said.text).map_err(|wanted| said.bad(&wanted))?,
            Id::TokenFile => self.remote.token_file = Some(path(said.text.into())),
            Id::WorkerTimeout => self.remote.timeout = Some(Duration::from_secs(said.count(option.kind)?)),
            Id::LaneTimeout => self.lane_timeout = Some(Duration::from_secs(said.count(option.kind)?)),
            Id::Listen if self.remote.is_server => {
                self.remote.listen = Some(address::local(said.text).ok_or_else(|| said.bad(address::LOCAL))?);
            }
            Id::Listen => {
                return Err(UsageError::NotTaken {
                    name: said.name.into(),
                    reason: "it comes after the word server: divien server -listen ADDR -i INPUT OUTPUT".into(),
                });
            }
            Id::Threads => {
                let threads = said.threads(option.kind)?;
                if !said.before_input {
                    self.threads = threads;
                }
            }
            Id::ChunkFrames => self.chunk_frames = Some(said.small(option.kind)?),
            Id::Cut => {
                self.cut = match said.text {
                    "fixed" => Cut::Fixed,
                    "keyframe" => Cut::Keyframe,
                    "scene" => Cut::Scene,
                    _ => return Err(said.bad("keyframe, scene or fixed is wanted")),
                }
            }
            Id::Pass => self.pass = Some(text()),
            Id::Scenes => self.scenes = Some(said.text.into()),
            Id::LeadIn => self.lead_in = said.count_or_auto(option.kind)?,
            Id::Strict => self.strict = true,
            Id::VideoEncoder if said.text == "copy" => {
                return Err(UsageError::NotTaken {
                    name: format!("{} copy", said.name),
                    reason: "divien encodes the video; to copy it use ffmpeg".into(),
                });
            }
            Id::VideoEncoder => self.encoder = Some(text()),
            Id::Encoder(name) => self.options.push(EncoderOption {
                name: name.into(),
                value: Some(text()),
                listed: true,
                before_input: said.before_input,
            }),
            Id::PixFmt => self.pix_fmt = Some(text()),
            Id::Filter => {
                self.filters =
                    filter::parse(said.text).map_err(|error| UsageError::Filter { name: said.name.into(), error })?;
            }
            Id::Size => {
                let size = filter::size(said.text);
                let (w, h) = size.ok_or_else(|| said.bad("WxH is wanted, as 640x360, or a name as hd720"))?;
                self.size = Some(Filter::scale_to(w, h));
            }
            Id::FrameRate => {
                let rate = filter::rate(said.text);
                let rate = rate.ok_or_else(|| said.bad("frames a second are wanted: 25, 30000/1001 or ntsc"))?;
                self.rate = Some(Filter::Fps(rate));
            }
            Id::AudioEncoder => {
                self.audio.codec = match said.text {
                    "copy" => AudioCodec::Copy,
                    "none" => AudioCodec::None,
                    name => AudioCodec::Encoder(name.into()),
                }
            }
            Id::AudioRate => self.audio.bit_rate = Some(audio_rate(option.kind, said)?),
            Id::Channels => self.audio.channels = Some(said.small(option.kind)?),
            Id::SampleRate => self.audio.rate = Some(said.small(option.kind)?),
            Id::NoAudio => self.no_audio = true,
            Id::NoSubtitles => self.no_subtitles = true,
            Id::Format if said.before_input => input_format(said.text)?,
            Id::Format => self.format = Some(text()),
            Id::Start => self.side(said).start = Some(said.time()?),
            Id::Duration => self.side(said).duration = Some(said.time()?),
            Id::Until => self.side(said).until = Some(said.time()?),
            Id::Frames => self.frames = Some(said.count(option.kind)?),
            Id::MovFlags => self.movflags(said)?,
            Id::Metadata => {
                let (key, value) = said
                    .text
                    .split_once('=')
                    .filter(|(key, _)| !key.is_empty())
                    .ok_or_else(|| said.bad("KEY=VALUE is wanted"))?;
                self.metadata.push((key.into(), value.into()));
            }
            Id::SubtitleEncoder => {
                self.carry.subtitles = match said.text {
                    "copy" => SubtitleCodec::Copy,
                    "mov_text" => SubtitleCodec::MovText,
                    "srt" | "subrip" | "text" => SubtitleCodec::Text,
                    "ass" | "ssa" => SubtitleCodec::Ass,
                    _ => return Err(said.bad("copy, mov_text, srt or ass is wanted; -sn leaves subtitles out")),
                }
            }
            Id::Tag => self.carry.video_tag = Some(text()),
            Id::MapMetadata => self.carry.metadata = of_the_input(said)?,
            Id::MapChapters => self.carry.chapters = of_the_input(said)?,
            Id::StatsPeriod => self.report.period = Some(said.time()?).filter(|period| !period.is_zero()),
            Id::Progress => self.report.progress = Some(text()),
            Id::Stats => self.report.stats = Some(true),
            Id::NoStats => self.report.stats = Some(false),
            Id::LogLevel => self.report.level = log_level(said, self.report.level)?,
            Id::HideBanner => self.report.hide_banner = true,
            Id::Input | Id::Help | Id::Encoders | Id::Version => {}
        }
        Ok(())
    }

    fn side(&mut self, said: &Said) -> &mut Times {
        if said.before_input { &mut self.input_side } else { &mut self.output_side }
    }

    fn movflags(&mut self, said: &Said) -> Result<(), UsageError> {
        let mut rest = said.text;
        while !rest.is_empty() {
            let on = !rest.starts_with('-');
            let flag = rest.trim_start_matches(['+', '-']);
            let end = flag.find(['+', '-']).unwrap_or(flag.len());
            let (flag, next) = flag.split_at(end);
            match flag {
                "faststart" => self.faststart = on,
                "" => return Err(said.bad("+faststart is wanted")),
                // ffmpeg's default, and divien's.
                "write_colr" if on => {}
                _ => {
                    let name = format!("movflags {}{flag}", if on { "+" } else { "-" });
                    return Err(UsageError::NotYet { name, reason: "of the flags only +faststart is there" });
                }
            }
            rest = next;
        }
        Ok(())
    }

    fn into_job(self) -> Result<Job, UsageError> {
        let encoder = self.encoder.unwrap_or_else(|| DEFAULT_ENCODER.into());
        let mut options = encoder_options(&encoder, self.options, self.input.is_some())?;
        let exact_rate = match self.pass {
            None => false,
            // Elements have a property of this name.
            Some(pass) if codec::find(&encoder).is_none() => {
                options.push(("pass".into(), pass));
                false
            }
            Some(pass) if pass == "2" || pass == "3" => true,
            Some(pass) => {
                let reason =
                    "one run looks at the whole file and encodes it: -b:v RATE, with -pass 2 where it must be exact";
                return Err(UsageError::NotTaken { name: format!("pass {pass}"), reason: reason.into() });
            }
        };
        // Two names and no -i: it is the -i that was forgotten.
        if let Some(extra) = self.extra_output.filter(|_| self.input.is_some()) {
            return Err(UsageError::Second { what: "output", extra });
        }
        let overwrite = match (self.yes, self.no) {
            (true, true) => return Err(UsageError::YesAndNo),
            (true, false) => Overwrite::Always,
            (false, true) => Overwrite::Never,
            (false, false) if self.no_stdin => Overwrite::Unasked,
            (false, false) => Overwrite::Ask,
        };
        // As ffmpeg puts them behind the chain.
        let filters: Vec<Filter> = self.filters.into_iter().chain(self.size).chain(self.rate).collect();
        filter::check(&filters).map_err(|error| UsageError::Filter { name: "vf".into(), error })?;
        let input = self.input.ok_or(UsageError::NoInput)?;
        let output = self.output.ok_or(UsageError::NoOutput)?;
        let remote = self.remote.resolve(self.workers, &input)?;
        Ok(Job {
            input,
            output,
            format: self.format,
            overwrite,
            workers: self.workers,
            remote,
            threads: self.threads,
            chunk_frames: self.chunk_frames,
            lead_in: self.lead_in,
            exact_rate,
            cut: self.cut,
            scenes: self.scenes,
            strict: self.strict,
            lane_timeout: self.lane_timeout.unwrap_or(PATIENCE),
            isolate: self.isolate,
            verifies: self.verifies,
            video: VideoArgs { encoder, options, pix_fmt: self.pix_fmt },
            filters,
            audio: if self.no_audio { AudioArgs { codec: AudioCodec::None, ..self.audio } } else { self.audio },
            subtitles: !self.no_subtitles,
            carry: self.carry,
            range: range(self.input_side, self.output_side, self.frames)?,
            faststart: self.faststart,
            metadata: self.metadata,
            resume: self.resume,
            report: self.report,
        })
    }
}

/// Keeps what the encoder knows; the rest is an error that says which kind.
fn encoder_options(
    encoder: &str,
    typed: Vec<EncoderOption>,
    has_input: bool,
) -> Result<Vec<(String, String)>, UsageError> {
    let mut options: Vec<(String, String)> = Vec::new();
    for option in typed {
        let plain = table::plain(&option.name);
        let name = match plain.as_ref() {
            name if option.listed => name,
            name => name.strip_suffix(":v").unwrap_or(name),
        };
        if !option.listed && !codec::accepts(encoder, name) {
            match same::find(&option.name) {
                Some(same) => same.check(&option.name, option.value.as_deref())?,
                None => return Err(refusal(encoder, &option, name)),
            }
            continue;
        }
        if option.before_input && has_input {
            return Err(UsageError::BeforeInput { name: option.name, group: Group::Video });
        }
        let Some(value) = option.value else {
            return Err(UsageError::NoValue { name: option.name, metavar: "VALUE".into() });
        };
        options.retain(|(known, _)| known != name);
        options.push((name.to_owned(), value));
    }
    Ok(options)
}

fn refusal(encoder: &str, option: &EncoderOption, name: &str) -> UsageError {
    let typed = option.name.as_str();
    let value = option.value.as_deref();
    if let Some(error) = not_yet::refusal(typed, None).or_else(|| not_yet::refusal(name, None)) {
        // Only what is said of -c turns on its value.
        let by_value = || not_yet::refusal(typed, value);
        return if matches!(typed, "c" | "codec") { by_value().unwrap_or(error) } else { error };
    }
    let of_encoder = codec::option_names(encoder);
    if codec::of_some_encoder(name) {
        return UsageError::NotTheEncoders {
            encoder: encoder.into(),
            name: typed.into(),
            near: nearest_names(name, of_encoder.iter().map(String::as_str)),
        };
    }
    let mut all = of_encoder;
    all.extend(table::OPTIONS.iter().flat_map(OptionDef::names).map(str::to_owned));
    let near = nearest_names(name, all.iter().map(String::as_str));
    UsageError::Unknown { name: typed.into(), near }
}

/// ffmpeg's rules: before `-i` they limit what is read, after it what is written, whose time begins where reading does.
fn range(input: Times, output: Times, frames: Option<u64>) -> Result<Range, UsageError> {
    let read_from = input.start.unwrap_or_default();
    let from = |time: Duration| read_from.saturating_add(time);
    let written_from = from(output.start.unwrap_or_default());
    let read_to = input.end(read_from, Duration::ZERO)?;
    let written_to = output.end(written_from, read_from)?;
    let end = read_to.into_iter().chain(written_to).min();
    let start = (input.start.is_some() || output.start.is_some()).then_some(written_from);
    Ok(Range { start, end, frames })
}

fn audio_rate(kind: Kind, said: &Said) -> Result<u64, UsageError> {
    let Kind::Rate { min, max } = kind else {
        return Err(said.bad("not a rate"));
    };
    let rate = value::rate(said.text).ok_or_else(|| said.bad("a bit rate is wanted: 128k, 1.5M, 96000"))?;
    if !(min..=max).contains(&rate) {
        return Err(said.out_of_range(kind));
    }
    Ok(rate)
}

/// `0` is the input; `-1` is ffmpeg's for none.
fn of_the_input(said: &Said) -> Result<bool, UsageError> {
    match said.text {
        "0" | "0:g" => Ok(true),
        "-1" => Ok(false),
        _ => Err(said.bad("0 (the input, the default) or -1 (nothing) is wanted; there is one input")),
    }
}

/// Named formats are believed where the content tells them too; others are what divien cannot read.
fn input_format(text: &str) -> Result<(), UsageError> {
    if text.split(',').all(|name| RECOGNISED.contains(&name)) {
        return Ok(());
    }
    let reason = match text {
        "rawvideo" => "raw pictures do not tell their size and rate; pipe them as yuv4mpegpipe",
        "lavfi" | "concat" | "image2" | "image2pipe" => "the input is one file or stream; make it with ffmpeg first",
        _ => "the input is recognised by its content; leave -f out",
    };
    Err(UsageError::NotTaken { name: format!("f {text}, before -i,"), reason: reason.into() })
}

/// ffmpeg's grammar: flags, which only it has a use for, then a name or a number. Flags alone leave the level.
fn log_level(said: &Said, before: LogLevel) -> Result<LogLevel, UsageError> {
    const LEVELS: [(&str, i64, LogLevel); 9] = [
        ("quiet", -8, LogLevel::Quiet),
        ("panic", 0, LogLevel::Panic),
        ("fatal", 8, LogLevel::Fatal),
        ("error", 16, LogLevel::Error),
        ("warning", 24, LogLevel::Warning),
        ("info", 32, LogLevel::Info),
        ("verbose", 40, LogLevel::Verbose),
        ("debug", 48, LogLevel::Debug),
        ("trace", 56, LogLevel::Trace),
    ];
    let mut rest = said.text;
    while let Some(next) = {
        let flag = rest.trim_start_matches(['+', '-']);
        flag.strip_prefix("repeat").or_else(|| flag.strip_prefix("level"))
    } {
        rest = next;
        if rest.is_empty() {
            return Ok(before);
        }
    }
    let rest = rest.strip_prefix('+').unwrap_or(rest);
    if let Some((.., level)) = LEVELS.iter().find(|(name, ..)| *name == rest) {
        return Ok(*level);
    }
    let number: i64 = rest.parse().map_err(|_| {
        said.bad("quiet, panic, fatal, error, warning, info, verbose, debug, trace or their number is wanted")
    })?;
    // Between two levels, what is less than said is shown.
    let level = LEVELS.iter().rev().find(|(_, least, _)| number >= *least);
    Ok(level.map_or(LogLevel::Quiet, |(.., level)| *level))
}

fn path(value: OsString) -> PathBuf {
    match value.to_str().and_then(|text| text.strip_prefix("file:")) {
        Some(name) => PathBuf::from(name),
        None => PathBuf::from(value),
    }
}

fn not_unicode(arg: &OsStr) -> UsageError {
    UsageError::NotUnicode { shown: arg.to_string_lossy().into_owned() }
}
