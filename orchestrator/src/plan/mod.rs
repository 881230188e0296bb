//! What was typed and what the input is, put together: everything decided, nothing started.

mod carry;
mod filters;
mod sound;

use std::path::PathBuf;
use std::time::Duration;

use gstdivien::chunk::{self, Cuts, Mode, Needs, Ranges};

use crate::cli::{AudioCodec, Cut, Input, Isolate, Job, Output, Remote};
use crate::codec::WholeRate;
use crate::error::Error;
use crate::mux::{Attachment, Chapter, Codec, Container, Flags, Kind};
use crate::probe::{Cutting, Facts, Pace, Pause, Stream};
use crate::report::counted;
use crate::scenes::Scenes;
pub(crate) use filters::may_deinterlace;
pub use filters::{Filters, size};
pub use sound::SoundEncoder;

/// The video encoder that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoder {
    /// The GStreamer element.
    pub factory: String,
    /// The text for `divienenc`'s property `encoder`.
    pub spec: String,
    /// What its pictures are compressed to.
    pub codec: Option<Codec>,
    /// The bit rate that the whole file is to have, if that can be.
    pub rate: Option<WholeRate>,
    /// The distance of key frames, when one was asked for.
    pub gop: Option<u32>,
    /// The frames of a chunk unless another length is asked for.
    pub chunk_frames: u32,
    /// The raw formats that were asked for, the wanted one first; empty where anything goes.
    pub raw_formats: Vec<String>,
}

/// A run, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The input's name, for messages.
    pub input: String,
    /// The output; `None` is standard output.
    pub output: Option<PathBuf>,
    /// Its container.
    pub container: Container,
    /// The picture.
    pub video: VideoPlan,
    /// The other streams, in the input's order.
    pub others: Vec<TrackPlan>,
    /// What is encoded of the input.
    pub range: Window,
    /// The table of contents.
    pub chapters: Vec<Chapter>,
    /// Title and the like.
    pub tags: Vec<(String, String)>,
    /// Files within the file.
    pub attachments: Vec<Attachment>,
    /// What the input has lost ends the run.
    pub strict: bool,
    /// The index goes to the front.
    pub faststart: bool,
    /// How many frames there will be, about.
    pub frames: Option<u64>,
    /// What the ids in the file are made from.
    pub seed: [u8; 32],
    /// What is said before the run: a line each.
    pub notes: Vec<String>,
}

/// What happens to the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoPlan {
    /// Which of the input's streams.
    pub stream: usize,
    /// How it is encoded.
    pub encoder: Encoder,
    /// What it is compressed to.
    pub codec: Codec,
    /// Lanes on this machine; `None` is the element's default.
    pub workers: Option<u32>,
    /// Workers elsewhere.
    pub remote: Option<Remote>,
    /// Threads of each encoder; 0 is its constant default.
    pub threads: u32,
    /// Which chunks are encoded in processes of their own.
    pub isolate: Isolate,
    /// How long one may stand still; 0 is for ever.
    pub lane_timeout: Duration,
    /// Frames in a chunk.
    pub chunk_frames: u32,
    /// Frames that go before each chunk; `None` is as many as are worth it.
    pub lead_in: Option<u32>,
    /// How the input is cut before it is decoded; `None` where one decoder gives all pictures in their order.
    pub cut: Option<Mode>,
    /// The frames with which chunks begin, where a file says them.
    pub cuts: Option<Cuts>,
    /// How frames follow one another, where their times were read.
    pub pace: Option<Pace>,
    /// Degrees noted in the container's header.
    pub noted_rotation: u16,
    /// By how much the bit rate may be missed, where the whole file is to have one: 0.01 is a hundredth.
    pub tolerance: f64,
    /// What is done to pictures before they are encoded.
    pub filters: Filters,
    /// ISO 639-2 code.
    pub language: Option<String>,
    /// The stream's title.
    pub title: Option<String>,
}

/// What happens to one of the other streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackPlan {
    /// Which of the input's streams.
    pub stream: usize,
    /// What it carries.
    pub kind: Kind,
    /// What it is in the output.
    pub codec: Codec,
    /// How it gets there.
    pub action: Action,
    /// ISO 639-2 code.
    pub language: Option<String>,
    /// The stream's title.
    pub title: Option<String>,
    /// What players are told of it.
    pub flags: Flags,
}

/// How a stream gets into the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Packet by packet.
    Copy,
    /// Decoded and encoded again.
    Encode(SoundEncoder),
    /// A subtitle's text without its markup.
    Text,
}

/// The part of the input that is encoded, in ns from its first time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Frames before are not shown.
    pub start: u64,
    /// Frames from here on are not shown.
    pub end: Option<u64>,
    /// At most so many frames.
    pub frames: Option<u64>,
}

impl Window {
    /// True when the whole input is encoded.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// True where no sound is encoded anew: the packets of that which is follow from all sound before them.
    #[must_use]
    pub fn keeps_its_sound(&self) -> bool {
        !self.others.iter().any(|track| matches!(track.action, Action::Encode(_)))
    }
}

/// Decides everything. `installed` tells whether a GStreamer element is there; `scenes`, if there are any, where chunks begin.
pub fn make(
    job: &Job,
    (facts, scenes): (&Facts, Option<&Scenes>),
    encoder: Encoder,
    installed: &dyn Fn(&str) -> bool,
) -> Result<Plan, Error> {
    let container = container(job)?;
    let mut notes = Vec::new();
    let mut video = video(job, (facts, scenes), container, encoder, &mut notes)?;
    carry::video_tag(&job.carry, container, &video.codec)?;
    let mut others = others(job, facts, container, video.stream, installed, &mut notes)?;
    if !job.carry.metadata {
        (video.language, video.title) = (None, None);
        carry::forget(&mut others);
    }
    let range = window(job)?;
    let (chapters, tags) = described(job, facts, container, &range, &mut notes);
    let attachments = carry::attachments(&facts.attachments, container, &mut notes);
    let frames = expected(facts, &video, &range);
    let output = match &job.output {
        Output::File(path) => Some(path.clone()),
        Output::Stdout => None,
    };
    let mut plan = Plan {
        input: facts.name.clone(),
        output,
        container,
        video,
        others,
        range,
        chapters,
        tags,
        attachments,
        strict: job.strict,
        faststart: job.faststart,
        frames,
        seed: [0; 32],
        notes,
    };
    plan.seed = seed(&plan, facts);
    Ok(plan)
}

/// The output's container by `-f`, else by the name's end.
pub fn container(job: &Job) -> Result<Container, Error> {
    let refused = |what: String| Error::Plan { what, hint: format!("-f takes: {}", Container::names()) };
    if let Some(name) = &job.format {
        if name == "null" {
            let (what, hint) =
                ("there is no output without a container", "-f matroska /dev/null encodes all and keeps nothing");
            return Err(Error::Plan { what: what.into(), hint: hint.into() });
        }
        return Container::by_name(name).ok_or_else(|| refused(format!("no container '{name}'")));
    }
    match &job.output {
        Output::Stdout => Err(refused("standard output has no name to tell its container".into())),
        Output::File(path) => Container::by_path(path)
            .ok_or_else(|| refused(format!("{}: the name does not tell the container", path.display()))),
    }
}

fn video(
    job: &Job,
    (facts, scenes): (&Facts, Option<&Scenes>),
    container: Container,
    mut encoder: Encoder,
    notes: &mut Vec<String>,
) -> Result<VideoPlan, Error> {
    let Some((index, stream)) = facts.video().and_then(|i| facts.streams.get(i).map(|s| (i, s))) else {
        return Err(Error::NoVideo { input: facts.name.clone(), found: facts.listed() });
    };
    let codec = encoder.codec.clone().ok_or_else(|| Error::Plan {
        what: format!("'{}' makes nothing a container here holds", encoder.factory),
        hint: "choose another encoder with -c:v; divien -encoders lists them".into(),
    })?;
    if ![Container::Matroska, Container::Mov, Container::Mp4].iter().any(|c| c.takes(&codec)) {
        return Err(Error::Plan {
            what: format!("{} makes {}, which no container here holds as video", encoder.factory, codec.name()),
            hint: "choose another encoder with -c:v; ffv1 is lossless, mjpeg makes single pictures".into(),
        });
    }
    if !container.takes(&codec) {
        return Err(Error::Plan {
            what: format!("{} does not hold {}", container.name(), codec.name()),
            hint: "choose another container (Matroska holds all), or another encoder with -c:v".into(),
        });
    }
    notes.extend(paused(&stream.pauses));
    let filters = filters::decide(job, facts, stream, container)?;
    let size = filters.size.or_else(|| stream.size());
    if let Some((formats, name)) = size.and_then(|size| odd(&encoder, size)) {
        encoder.raw_formats = formats.iter().map(|f| (*f).to_owned()).collect();
        let (w, h) = size.unwrap_or_default();
        notes.push(format!("video: {w}x{h} is odd, and {} takes that in {name} only: converted", codec.name()));
    }
    let chunk = job.chunk_frames.unwrap_or(encoder.chunk_frames).max(1);
    let chunk_frames = match encoder.gop.filter(|g| *g > 1) {
        Some(gop) => {
            let rounded = chunk.div_ceil(gop).saturating_mul(gop);
            if rounded != chunk && scenes.is_none() {
                notes.push(format!("chunks of {rounded} frames: {chunk} is no multiple of -g {gop}"));
            }
            rounded
        }
        None => chunk,
    };
    let cut = cut(job, (stream, scenes), (chunk_frames, filters.needs()), notes)?;
    notes.extend(scenes.map(Scenes::told));
    whole_rate(job, &mut encoder, cut, notes)?;
    if filters.turn.is_some() {
        let why = if job.filters.is_empty() { " has no note for it" } else { ": filters see them upright" };
        notes.push(format!("video: pictures are turned ({}{why})", container.name()));
    }
    let pace = match filters.fps.map(chunk::Fps::rate) {
        Some((n, d)) => Some(Pace::Constant(n, d)),
        None => stream.pace,
    };
    Ok(VideoPlan {
        stream: index,
        codec,
        workers: job.workers,
        remote: job.remote.clone(),
        threads: job.threads.unwrap_or(0),
        isolate: job.isolate,
        lane_timeout: job.lane_timeout,
        chunk_frames,
        lead_in: job.lead_in,
        cut,
        cuts: scenes.map(Scenes::cuts),
        pace,
        tolerance: if job.exact_rate { EXACT } else { USUAL },
        noted_rotation: if filters.turn.is_none() { stream.orientation.degrees } else { 0 },
        filters,
        language: stream.language.clone(),
        title: stream.title.clone(),
        encoder,
    })
}

/// By how much a bit rate may be missed.
const USUAL: f64 = 0.01;
const EXACT: f64 = 0.005;

/// A bit rate is that of the whole file where chunks can be encoded more than once.
fn whole_rate(job: &Job, encoder: &mut Encoder, cut: Option<Mode>, notes: &mut Vec<String>) -> Result<(), Error> {
    let refused = |what: &str, hint: &str| Error::Plan { what: format!("-pass 2: {what}"), hint: hint.into() };
    match (&encoder.rate, cut) {
        (Some(rate), Some(_)) => encoder.spec = rate.first()?,
        (Some(_), None) if job.exact_rate => {
            let why = "the input is decoded once, from its begin to its end, and cannot be looked at before";
            return Err(refused(why, "leave it out: -b:v is then that of each chunk"));
        }
        (Some(_), None) => {
            encoder.rate = None;
            notes.push(
                "-b:v is the average of each chunk: the input is decoded once; the whole file comes within 5%".into(),
            );
        }
        (None, _) if job.exact_rate => {
            return Err(refused(
                "there is no bit rate that the whole file could have",
                "-b:v RATE with libx264 or libx265 is one",
            ));
        }
        (None, _) => {}
    }
    Ok(())
}

/// A list of scenes has to be that of a video with so many frames.
fn has_frames(scenes: Option<&Scenes>, frames: u64) -> Result<(), Error> {
    match scenes.and_then(|scenes| scenes.differs(frames)) {
        Some(what) => Err(Error::Plan { what, hint: "leave -scenes out, or name another file".into() }),
        None => Ok(()),
    }
}

/// Whether each chunk is decoded by itself, and where chunks then begin.
fn cut(
    job: &Job,
    (stream, scenes): (&Stream, Option<&Scenes>),
    (chunk_frames, needs): (u32, Needs),
    notes: &mut Vec<String>,
) -> Result<Option<Mode>, Error> {
    let mode = match job.cut {
        Cut::Fixed => Mode::Fixed,
        Cut::Keyframe => Mode::Keyframe,
        Cut::Scene => Mode::Scene,
    };
    let by_scenes = (mode == Mode::Scene && scenes.is_none()).then(|| {
        format!(
            "video: chunks have exactly {chunk_frames} frames each: scenes are looked for in files whose packets can be cut"
        )
    });
    let why = match &stream.cutting {
        Cutting::Whole => {
            notes.extend(by_scenes);
            return Ok(None);
        }
        Cutting::Refused(why) => why.clone(),
        // That there is nothing is told in the end.
        Cutting::Apart(units) if units.wanted().is_empty() => return Ok(None),
        Cutting::Apart(units) => {
            // Most scenes begin with key frames, so that what holds of these is near enough.
            let known = if mode == Mode::Scene { Mode::Keyframe } else { mode };
            let ranges = Ranges::new(chunk_frames.into(), known).needing(needs).at(scenes.map(Scenes::cuts));
            match chunk::cut_as(ranges, &units.all) {
                Ok(pieces) => {
                    has_frames(scenes, pieces.iter().map(|piece| piece.frames.len() as u64).sum())?;
                    return Ok(Some(mode));
                }
                Err(why) => {
                    let frames = units.all.iter().filter(|unit| unit.wanted).map(|unit| u64::from(unit.shown)).sum();
                    has_frames(scenes.filter(|_| needs.fps.is_none()), frames)?;
                    why.to_string()
                }
            }
        }
    };
    notes.push(format!("video: one decoder gives all pictures in their order: {why}"));
    notes.extend(by_scenes);
    Ok(None)
}

/// x264 and x265 take no odd sizes where chroma is subsampled: the nearest form that they take.
fn odd(encoder: &Encoder, (width, height): (u32, u32)) -> Option<(&'static [&'static str], &'static str)> {
    if !["x264enc", "x265enc"].contains(&encoder.factory.as_str()) || !encoder.raw_formats.is_empty() {
        return None;
    }
    match (width % 2, height % 2) {
        (0, 0) => None,
        (0, _) => Some((&["Y42B", "I422_10LE", "Y444", "Y444_10LE"], "4:2:2")),
        _ => Some((&["Y444", "Y444_10LE"], "4:4:4")),
    }
}

fn others(
    job: &Job,
    facts: &Facts,
    container: Container,
    video: usize,
    installed: &dyn Fn(&str) -> bool,
    notes: &mut Vec<String>,
) -> Result<Vec<TrackPlan>, Error> {
    let mut out = Vec::new();
    for (index, stream) in facts.streams.iter().enumerate().filter(|(i, _)| *i != video) {
        let decided = match stream.kind {
            Kind::Audio => sound::decide(job, stream, container, installed)?,
            Kind::Subtitle if !job.subtitles => sound::Decision::Unwanted,
            Kind::Subtitle => {
                let decided = subtitle(stream, container);
                let kept = match &decided {
                    sound::Decision::Keep(codec, action) => Some((codec, action)),
                    _ => None,
                };
                carry::subtitle(&job.carry, container, stream, kept)?;
                decided
            }
            Kind::Video if stream.still => sound::Decision::Dropped("a still picture".into()),
            Kind::Video => sound::Decision::Dropped("one video is encoded, the first".into()),
            Kind::Other => sound::Decision::Dropped("not video, sound or subtitles".into()),
        };
        let (codec, action) = match decided {
            sound::Decision::Keep(codec, action) => (codec, action),
            sound::Decision::Unwanted => continue,
            sound::Decision::Dropped(reason) => {
                notes.push(format!("stream {index} ({}): dropped, {reason}", stream.named()));
                continue;
            }
        };
        match &action {
            Action::Encode(encoder) => notes.push(format!(
                "stream {index} ({}): encoded to {} with {}",
                stream.named(),
                codec.name(),
                encoder.factory
            )),
            Action::Text if stream.codec == Codec::Ass => {
                notes.push(format!("stream {index} ({}): its text is kept, its styles are not", stream.named()));
            }
            Action::Text | Action::Copy => {}
        }
        if stream.codec == Codec::Text && !stream.has_marks() {
            let lost = "bold, italic and the like, if it has any, are not: the demuxer passes them over";
            notes.push(format!("stream {index} ({}): its text is kept; {lost}", stream.named()));
        }
        out.push(TrackPlan {
            stream: index,
            kind: stream.kind,
            codec,
            action,
            language: stream.language.clone(),
            title: stream.title.clone(),
            flags: stream.flags,
        });
    }
    for name in &facts.unknown {
        notes.push(format!("a stream of {name}: dropped, it cannot be read here"));
    }
    if job.audio.codec == AudioCodec::Copy && sound::needs_encoder(&job.audio) {
        notes.push("-b:a, -ac and -ar have no effect: the sound is copied".into());
    }
    if matches!(job.audio.codec, AudioCodec::Copy | AudioCodec::Encoder(_))
        && !facts.streams.iter().any(|s| s.kind == Kind::Audio)
    {
        notes.push("the input has no sound".into());
    }
    Ok(out)
}

fn subtitle(stream: &Stream, container: Container) -> sound::Decision {
    match container.subtitle(&stream.codec) {
        Some(Codec::Text) => sound::Decision::Keep(Codec::Text, Action::Text),
        Some(codec) => sound::Decision::Keep(codec, Action::Copy),
        None => sound::Decision::Dropped(format!("{} does not hold it", container.name())),
    }
}

/// The part of the input that is asked for.
pub fn window(job: &Job) -> Result<Window, Error> {
    let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    let start = job.range.start.map_or(0, ns);
    let end = job.range.end.map(ns);
    if end.is_some_and(|end| end <= start) {
        return Err(Error::Plan {
            what: "the part that was asked for is empty: it ends where it starts, or before".into(),
            hint: "before -i, -ss, -t and -to name the part that is read; after it, a part of that".into(),
        });
    }
    if job.range.frames == Some(0) {
        return Err(Error::Plan { what: "-frames:v 0 leaves nothing to encode".into(), hint: "give 1 or more".into() });
    }
    Ok(Window { start, end, frames: job.range.frames })
}

fn described(
    job: &Job,
    facts: &Facts,
    container: Container,
    range: &Window,
    notes: &mut Vec<String>,
) -> (Vec<Chapter>, Vec<(String, String)>) {
    let mut chapters = if job.carry.chapters { facts.chapters.clone() } else { Vec::new() };
    if !chapters.is_empty() && !container.has_chapters() {
        notes.push(format!(
            "{}: dropped, {} has no room for chapters",
            counted(chapters.len() as u64, "chapter"),
            container.name()
        ));
        chapters.clear();
    }
    chapters.retain_mut(|c| {
        let end = range.end.unwrap_or(u64::MAX);
        c.end = c.end.min(end).saturating_sub(range.start);
        let inside = c.start < end && c.end > 0;
        c.start = c.start.saturating_sub(range.start);
        inside
    });
    let mut tags = facts.tags.clone();
    if !job.carry.metadata {
        tags.clear();
        chapters.iter_mut().for_each(|c| c.title = Default::default());
    }
    for (name, value) in &job.metadata {
        tags.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            tags.push((name.clone(), value.clone()));
        }
    }
    if !tags.is_empty() && !container.has_tags() {
        let names: Vec<&str> = tags.iter().map(|(n, _)| n.as_str()).collect();
        notes.push(format!("tags ({}): dropped, {} has no room for them", names.join(", "), container.name()));
        tags.clear();
    }
    tags.retain(|(name, _)| {
        let held = container.holds_tag(name);
        if !held {
            notes.push(format!("tag '{name}': dropped, {} has no place for it", container.name()));
        }
        held
    });
    (chapters, tags)
}

/// What a demuxer has left out of a damaged file looks like a pause in the pictures, and only there.
fn paused(pauses: &[Pause]) -> Option<String> {
    const NAMED: usize = 3;
    let seconds = |ns: i64| ns as f64 / 1e9;
    let named = pauses.iter().take(NAMED).map(|p| format!("{:.3} to {:.3} s", seconds(p.start), seconds(p.end)));
    let named: Vec<String> = named.collect();
    let more = if pauses.len() > NAMED { format!(" and {} more", pauses.len() - NAMED) } else { String::new() };
    let what = format!("video: no pictures from {}{more}", named.join(", "));
    (!pauses.is_empty()).then(|| format!("{what}: the input pauses there, or has lost them"))
}

fn expected(facts: &Facts, video: &VideoPlan, range: &Window) -> Option<u64> {
    let stream = facts.streams.get(video.stream)?;
    let changed = video.filters.fps.map(chunk::Fps::rate);
    if let Some(frames) = stream.frames {
        let Some(((n, d), (by, of))) = changed.zip(stream.rate()) else { return Some(frames) };
        let (up, down) = (u128::from(n) * u128::from(of), u128::from(d) * u128::from(by));
        return u64::try_from(u128::from(frames) * up / down.max(1)).ok();
    }
    let (n, d) = changed.or_else(|| stream.rate())?;
    let whole = facts.duration?;
    let end = range.end.unwrap_or(whole).min(whole);
    let length = u128::from(end.saturating_sub(range.start));
    let by_time = length * u128::from(n) / (u128::from(d) * 1_000_000_000);
    let by_time = u64::try_from(by_time).ok()?;
    Some(range.frames.map_or(by_time, |f| f.min(by_time.max(1))))
}

/// The hash all ids are made from: of what is encoded and how, not of names, times or workers.
fn seed(plan: &Plan, facts: &Facts) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    let mut add = |text: &str| {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(&format!("{:?}", plan.container));
    add(&plan.video.encoder.spec);
    add(&format!("{} {} {:?}", plan.video.chunk_frames, plan.video.threads, plan.video.lead_in));
    add(&format!("{:?} {:?}", plan.range, plan.video.filters));
    plan.video.encoder.rate.iter().for_each(|rate| add(&format!("{rate:?} {}", plan.video.tolerance)));
    plan.video.cuts.iter().for_each(|cuts| add(&format!("{cuts:?}")));
    add(&format!("{:?} {:?}", plan.others, plan.tags));
    for file in &plan.attachments {
        add(&format!("{} {}", file.name, blake3::hash(&file.data)));
    }
    for stream in &facts.streams {
        add(&stream.caps.to_string());
    }
    *hash.finalize().as_bytes()
}

/// The name an input goes by in messages.
#[must_use]
pub fn input_name(input: &Input) -> String {
    match input {
        Input::File(path) => path.display().to_string(),
        Input::Stdin => "standard input".into(),
    }
}

#[cfg(test)]
mod tests;
