//! One run: one loop over the pipeline's messages, the user's signals and the clock.

use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdivien::divienenc::DivienEnc;
use gstdivien::isolate::Isolation;

use crate::cli::{Input, Isolate, Job, LogLevel, Output as Target, Overwrite};
use crate::codec;
use crate::error::{Error, Trouble};
use crate::mux::{Codec, Output, Written};
use crate::open_files;
use crate::pipeline::{self, Means, Running};
use crate::plan::{self, Encoder, Plan};
use crate::probe::{self, Breaks, Facts, Messages, Stream, said};
use crate::report::{Lane, Machine, Report, Snapshot, Summary, counted, tell};
use crate::resume::{Kept, Opening};
use crate::scenes::{self, Scenes};
use crate::signals::Signals;
use crate::verify::{verify, verify_count};
use crate::worker;

/// How often the report is brought up to date.
const TICK: Duration = Duration::from_millis(250);
/// How long nothing may move before a line says so; waiting itself is no error, a pipe may be silent.
const LONG: Duration = Duration::from_secs(10);

/// A short input has no use for more.
const MOST_PREPARED: usize = 4;

/// What is said of a stream that an element can give no form that another has a name for.
const NOT_NEGOTIATED: &str = "not-negotiated";
/// What that is where packets come and no decoder ever tells the form of a picture.
const NAMELESS: &str =
    "its pictures are of a form that GStreamer has no name for; ffmpeg can turn them into another (-pix_fmt)";

/// Encodes what `job` asks for. `None` where an earlier run has done it.
pub fn run(job: &Job) -> Result<Option<Summary>, Error> {
    let signals = Signals::listen(job.report.level < LogLevel::Error)?;
    open_files::allow()?;
    gst::init().map_err(|e| Error::Fault { what: format!("GStreamer does not start: {e}") })?;
    gstdivien::plugin_register_static()
        .map_err(|e| Error::Fault { what: format!("divienenc cannot be registered: {e}") })?;
    let mut report = Report::new(&job.report)?;
    plan::container(job)?;
    plan::window(job)?;
    let choice = codec::resolve(&job.video, job.threads)?;
    is_another_file(job)?;
    let scenes = job.scenes.as_deref().map(Scenes::read).transpose()?.flatten();
    may_join(job)?;
    may_verify(job)?;
    let opening = Opening::of(job)?;
    let isolation = processes(job);
    signals.keeps(opening.clone());
    let may_be_complete = opening.kept().is_some_and(Kept::may_be_complete);
    let replaces = if may_be_complete { Ok(false) } else { may_replace(job) };
    let encoded = replaces.and_then(|replaces| {
        let means = (choice, opening.kept(), isolation.clone(), replaces);
        encode((job, scenes.as_ref()), means, &signals, &mut report)
    });
    isolation.iter().for_each(|isolation| isolation.end());
    match encoded {
        Ok(summary) => Ok(summary),
        // The output is there.
        Err(error @ Error::Incomplete { .. }) => Err(error),
        Err(error) => {
            signals.give_way();
            let is_told = match &error {
                Error::Interrupted { .. } => true,
                // What failed before it began says nothing of what is kept.
                error => opening.kept().and_then(Kept::shelf).is_some() && !error.is_about_another_job(),
            };
            if error.is_for_want_of_room() && !waits_in(&error) {
                opening.kept().and_then(Kept::needs).iter().for_each(|needs| report.note(needs));
            }
            opening.left().iter().filter(|_| is_told).for_each(|left| report.note(left));
            Err(error)
        }
    }
}

fn encode(
    (job, scenes): (&Job, Option<&Scenes>),
    (choice, kept, isolation, replaces): (codec::Choice, Option<&Kept>, Option<Arc<Isolation>>, bool),
    signals: &Signals,
    report: &mut Report,
) -> Result<Option<Summary>, Error> {
    let name = plan::input_name(&job.input);
    let waiting = Waiting::start(job.report.level, format!("{name}: nothing comes yet; waiting"));
    let mut source = probe::open(&job.input)?;
    drop(waiting);
    let waiting = Waiting::start(job.report.level, format!("{name}: reading the times of all pictures first"));
    probe::measure(&mut source, &job.input, &job.range);
    drop(waiting);
    let rate = source.facts.streams.iter().find_map(Stream::rate);
    let encoder = chosen(choice, (plan::size(job, &source.facts), rate), report);
    let decided = plan::make(job, (&source.facts, scenes), encoder, &|name| gst::ElementFactory::find(name).is_some());
    let plan = decided.inspect_err(|_| probe::close(&source.pipeline))?;
    plan.notes.iter().for_each(|n| report.note(n));
    let is_complete = kept.map_or(Ok(false), |kept| kept.is_complete(job, (&plan, &source.facts)));
    if is_complete.inspect_err(|_| probe::close(&source.pipeline))? {
        probe::close(&source.pipeline);
        let name = output_name(job);
        if let (true, Target::File(path), Some((_, frames))) = (job.verifies, &job.output, kept.map(Kept::before)) {
            let is_seen = verify_count(path, frames, plan.container)
                .map_err(|what| Error::Unverified { output: name.clone(), what })?;
            verified(report, (&name, is_seen), &format!("{} decoded", counted(frames, "picture")));
        }
        report.note(&format!("{name} was complete already"));
        if let Some(path) = job.scenes.as_ref().filter(|_| scenes.is_none()) {
            report.warn(&format!("{}: not written: nothing was encoded", path.display()));
        }
        kept.and_then(Kept::is_over).iter().for_each(|left| report.warn(left));
        return Ok(None);
    }
    let before = kept.map_or(Ok((0, 0)), |kept| kept.begin(job, (&plan, &source.facts)));
    let before = before.inspect_err(|_| probe::close(&source.pipeline))?;
    if before.0 > 0 {
        report.note(&format!("done already: {} ({})", counted(before.0, "chunk"), counted(before.1, "frame")));
    }
    let (output, sink) = signals
        .make_output(|| {
            let (mut output, sink) = Output::create(plan.output.as_deref(), plan.container.flows())?;
            if !replaces {
                output.replaces_nothing()?;
            }
            Ok((output, sink))
        })
        .inspect_err(|_| probe::close(&source.pipeline))?;
    let noted = kept.zip(output.part()).map_or(Ok(()), |(kept, part)| kept.writes_to(part));
    let means = Means { shelf: kept.and_then(Kept::shelf), isolation: isolation.clone(), verifies: job.verifies };
    let running = noted.and_then(|()| pipeline::build(&source, &plan, sink, means));
    let running = running.inspect_err(|_| probe::close(&source.pipeline))?;
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::Fault { what: format!("no runtime: {e}") })?;
    let mut watch = Watch {
        total: plan.frames,
        chunk_frames: plan.video.chunk_frames,
        frame_time: source.facts.streams.iter().find_map(Stream::rate).map(|(n, d)| f64::from(d) * 1e9 / f64::from(n)),
        started,
        lost: source.facts.complaint.clone(),
        moved: Movement { at: started, mark: (0, 0), said: false },
        chunks: Vec::new(),
        shown: (0, 0),
        pass: Pass { number: 0, at: started, bytes: 0, is_over: false },
        finishes: job.resume.finishes,
        has_wound_down: false,
    };
    if watch.finishes {
        signals.give_time();
    }
    signals.follow(true);
    let begun = running.start().map_err(|error| watch.refused(&running, &mut source.messages).unwrap_or(error));
    let outcome = begun.and_then(|()| {
        runtime.block_on(watch.follow(&running, &mut source.messages, report, signals, &output.if_stopped()))
    });
    let (last, work) = (watch.snapshot(&running), Work::of(&running.encoder, plan.video.chunk_frames));
    let busy = work.busy(started.elapsed());
    report.stop(&last);
    let reached = if outcome.is_ok() && !running.is_cut() { source.reached() } else { None };
    if outcome.is_ok() && !running.is_cut() {
        watch.lost = watch.lost.or_else(|| probe::stopped(&source.pipeline));
    }
    probe::close(&source.pipeline);
    let no_process = || isolation.and_then(|isolation| isolation.failure()).map(|why| Error::NoProcess { why });
    outcome.map_err(|error| kept.and_then(Kept::failure).or_else(no_process).unwrap_or(error))?;
    signals.follow(false);
    let written = running.written();
    if written.shown.count == 0 {
        if watch.lost.is_none() && !plan.range.is_all() {
            return Err(nothing_inside(&plan, &source.facts));
        }
        let message = watch.lost.unwrap_or_else(|| "no frame could be decoded".into());
        if message.contains(NOT_NEGOTIATED) && !running.has_pictures() {
            return Err(Error::NotAVideo { input: plan.input, reason: NAMELESS.into() });
        }
        let piped = !matches!(&job.input, Input::File(path) if path.is_file());
        return Err(Error::Broken { input: plan.input, message, piped });
    }
    let name = output.name();
    let Some(sink) = running.finish()? else {
        return Err(Error::Fault { what: "the file was finished twice".into() });
    };
    let unverified = |what| Error::Unverified { output: name.clone(), what };
    running.miswritten().map_or(Ok(()), |what| Err(unverified(what)))?;
    let written = running.written();
    let changed = source.changed().then(|| "other streams begin midway, which are not read".to_owned());
    let lost = watch.lost.or(changed).or_else(|| short(&plan, &source.facts, &written, &running, reached));
    let lost = lost.or_else(|| damaged(&job.input, &running));
    if let Some(reason) = lost.as_ref().filter(|_| plan.strict) {
        return Err(Error::Lossy { input: plan.input, reason: reason.clone() });
    }
    let size = signals.complete(output, sink, |part| {
        if let Some(mut times) = running.times() {
            let pictures = counted(times.len() as u64, "picture");
            let is_seen = verify(part, &mut times, plan.container).map_err(&unverified)?;
            verified(report, (&name, is_seen), &format!("{pictures} decoded, each at its time"));
        }
        match kept {
            Some(kept) if lost.is_none() => kept.completes(part),
            _ => Ok(()),
        }
    })?;
    kept.and_then(Kept::is_over).iter().for_each(|left| report.warn(left));
    if let Some(path) = &job.scenes {
        let is_whole = lost.is_none() && running.too_early().is_none();
        let told = list_scenes((path, scenes), &watch.chunks, (written.shown.count, is_whole));
        told.iter().for_each(|told| report.warn(told));
    }
    let summary = Summary {
        output: name,
        size,
        frames: written.shown.count,
        duration: written.duration,
        end: written.end,
        elapsed: started.elapsed(),
        busy,
        chunks: watch.chunks.len() as u64,
        lanes: work.done,
        machines: work.machines,
    };
    for told in [running.too_early(), running.unaccounted(), running.complaint()].into_iter().flatten() {
        report.warn(&format!("{}: {told}", plan.input));
    }
    match source.jumps() {
        0 => {}
        n => report.warn(&format!(
            "{}: its clock (PCR) jumps {}; what comes after a jump is joined to what came before",
            plan.input,
            if n == 1 { "once".to_owned() } else { format!("{n} times") }
        )),
    }
    if let Some(Breaks { places, first }) = source.breaks() {
        report.warn(&format!(
            "{}: packets of its video are missing or damaged in {}, first near byte {first}: pictures may be missing there",
            plan.input,
            counted(places, "place")
        ));
    }
    if let Some(unread) = source.unread().filter(|_| !running.is_cut()) {
        report.warn(&format!(
            "{}: nothing could be made of {} of its video: pictures may be missing at the start, or where it pauses",
            plan.input,
            counted(unread, "packet")
        ));
    }
    if lost.is_none()
        && let Some(early) = somewhat_short(&plan, &source.facts, &written, reached)
    {
        report.warn(&early);
    }
    report.summary(&summary);
    match lost {
        Some(reason) => Err(Error::Incomplete { input: plan.input, reason, frames: summary.frames }),
        None => Ok(Some(summary)),
    }
}

fn verified(report: &Report, (name, is_seen): (&str, bool), what: &str) {
    if is_seen {
        report.note(&format!("verified: {what}"));
    } else {
        report.warn(&format!("{name}: not verified: GStreamer shows no video that is so much shorter than the sound"));
    }
}

/// Processes for encoders, where any are wanted. Those that will be are started at once, while the input is looked at.
fn processes(job: &Job) -> Option<Arc<Isolation>> {
    if job.isolate == Isolate::None || job.workers == Some(0) {
        return None;
    }
    let isolation = worker::processes(Some(job.lane_timeout).filter(|patience| !patience.is_zero()));
    // What comes by a pipe is decoded here.
    if job.isolate == Isolate::All || matches!(&job.input, Input::File(path) if path.is_file()) {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = job.workers.map_or(cores, |workers| usize::try_from(workers).unwrap_or(usize::MAX));
        isolation.prepare(workers.min(MOST_PREPARED));
    }
    Some(isolation)
}

/// Says a line should something take long, and nothing if it does not.
struct Waiting {
    over: std::sync::mpsc::Sender<()>,
}

impl Waiting {
    fn start(level: LogLevel, line: String) -> Self {
        let (over, done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let late = done.recv_timeout(LONG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if late && level >= LogLevel::Info {
                tell(line);
            }
        });
        Self { over }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It has ended by itself if the line was said.
        let _ = self.over.send(());
    }
}

/// Writes where chunks begin, or compares with what was read. Gives what is to be said of it.
fn list_scenes(
    (path, read): (&Path, Option<&Scenes>),
    chunks: &[u64],
    (frames, is_whole): (u64, bool),
) -> Option<String> {
    let unwritten = |why: &dyn std::fmt::Display| format!("{}: not written: {why}", path.display());
    match read {
        Some(_) if !is_whole => None,
        Some(read) => read.differs(frames).or_else(|| read.was_not_followed(chunks)),
        // What is listed are the input's frames, of which some did not come out.
        None if !is_whole || chunks.iter().sum::<u64>() != frames => Some(unwritten(&"frames are missing")),
        None => scenes::write(path, chunks).err().map(|error| unwritten(&error)),
    }
}

/// Whether what has no room is no part of the job, but waits for its turn elsewhere.
fn waits_in(error: &Error) -> bool {
    matches!(error, Error::Write { path, .. } if *path == std::env::temp_dir())
}

fn output_name(job: &Job) -> String {
    match &job.output {
        Target::File(path) => path.display().to_string(),
        Target::Stdout => "standard output".into(),
    }
}

/// Whether the output is not the input, asked before anything is opened.
fn is_another_file(job: &Job) -> Result<(), Error> {
    let Target::File(path) = &job.output else { return Ok(()) };
    if job.scenes.as_ref() == Some(path) {
        return Err(Error::Plan {
            what: format!("{}: -scenes and output are the same file", path.display()),
            hint: "give each a name of its own".into(),
        });
    }
    if let (Some(scenes), Input::File(input)) = (&job.scenes, &job.input)
        && let (Ok(a), Ok(b)) = (scenes.canonicalize(), input.canonicalize())
        && a == b
    {
        return Err(Error::Plan {
            what: format!("{}: -scenes and input are the same file", scenes.display()),
            hint: "-scenes FILE is a list of frames, which is written where there is none".into(),
        });
    }
    if let Input::File(input) = &job.input
        && let (Ok(a), Ok(b)) = (input.canonicalize(), path.canonicalize())
        && a == b
    {
        return Err(Error::Plan {
            what: format!("{}: input and output are the same file", path.display()),
            hint: "write to another name".into(),
        });
    }
    Ok(())
}

/// Whether the output may replace a file; it must not be made where that is not wanted. Asked before the input is opened.
fn may_replace(job: &Job) -> Result<bool, Error> {
    let Target::File(path) = &job.output else { return Ok(true) };
    if job.overwrite == Overwrite::Always {
        return Ok(true);
    }
    if !path.exists() {
        return Ok(false);
    }
    let asks = job.overwrite == Overwrite::Ask && io::stdin().is_terminal() && io::stderr().is_terminal();
    if asks && confirmed(path) {
        return Ok(true);
    }
    Err(Error::Exists { path: path.clone(), kept: job.overwrite == Overwrite::Never })
}

/// Whether there is a token for workers elsewhere, asked before anything is opened. What can be read once only, as standard
/// input and other pipes, is the encoder's to read.
fn may_join(job: &Job) -> Result<(), Error> {
    match job.remote.as_ref().map(|remote| remote.token_file.as_deref()) {
        None => Ok(()),
        Some(Some(file)) if file == Path::new("-") || is_pipe(file) => Ok(()),
        Some(file) => Ok(worker::token(file).map(drop)?),
    }
}

/// Whether the output can be read once it is there.
fn may_verify(job: &Job) -> Result<(), Error> {
    let is_file = match &job.output {
        Target::File(path) => path.metadata().map_or(true, |about| about.is_file()),
        Target::Stdout => false,
    };
    if is_file || !job.verifies {
        return Ok(());
    }
    Err(Error::Plan {
        what: format!("-verify: {} cannot be read again", output_name(job)),
        hint: "write to a file, or leave the option out".into(),
    })
}

fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.file_type().is_fifo() || about.file_type().is_char_device())
}

fn confirmed(path: &Path) -> bool {
    let _ = write!(io::stderr(), "{} exists already. Replace it? [y/N] ", path.display());
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Width and height, or a fraction.
type Pair = (u32, u32);

/// The encoder's settings for pictures of this size, of which so many come a second.
fn chosen(choice: codec::Choice, (size, rate): (Option<Pair>, Option<Pair>), report: &Report) -> Encoder {
    choice.notes.iter().for_each(|n| report.note(n));
    Encoder {
        spec: size.map_or_else(|| choice.spec.clone(), |(w, h)| choice.spec_for(w, h)),
        codec: made_by(&choice.factory),
        rate: choice.rate.map(|whole| whole.of_pictures(size, rate)),
        factory: choice.factory,
        gop: choice.gop,
        chunk_frames: choice.chunk_frames,
        raw_formats: choice.raw_formats,
    }
}

/// The codec an encoding element makes, by its own pad template.
fn made_by(factory: &str) -> Option<Codec> {
    let factory = gst::ElementFactory::find(factory)?;
    let templates = factory.static_pad_templates();
    let out = templates.iter().find(|t| t.direction() == gst::PadDirection::Src)?;
    let caps = out.caps();
    caps.structure(0).map(Codec::from_caps)
}

/// `-ss`, `-t` and their like name a part of the input without a frame.
fn nothing_inside(plan: &Plan, facts: &Facts) -> Error {
    let hint = match facts.duration {
        Some(length) => format!("it is {:.3} s long: choose -ss, -t and -to within", length as f64 / 1e9),
        None => "choose an earlier -ss".into(),
    };
    Error::Plan { what: format!("{}: no frame lies in the part that was asked for", plan.input), hint }
}

/// The frames that should have come and did not, in words.
fn short(plan: &Plan, facts: &Facts, written: &Written, running: &Running, reached: Option<i64>) -> Option<String> {
    if let Some(lost) = running.losses() {
        return Some(lost);
    }
    if running.untimed() > 0 {
        return Some(format!("{} packets had no time stamp and were left out", running.untimed()));
    }
    if let Some(missing) = facts.cut {
        return Some(format!("the file is cut short: {missing} bytes that its header promises are missing"));
    }
    let End { at, claimed } = End::of(plan, facts, written, reached)?;
    (claimed.saturating_sub(at) > 2_000_000_000 + claimed / 50)
        .then(|| format!("the input ends after {:.1} s of {:.1} s", at as f64 / 1e9, claimed as f64 / 1e9))
}

/// What a demuxer has passed over without a word, in words. A file of which a part is encoded is not read for that.
fn damaged(input: &Input, running: &Running) -> Option<String> {
    let Input::File(path) = input else { return None };
    let at = if running.is_cut() { None } else { probe::damage(path) };
    at.map(|at| format!("the file is damaged at byte {at}: what stood there is lost"))
}

/// What is to be said of an input that ends a little earlier than it says: it may have lost its end, or round.
fn somewhat_short(plan: &Plan, facts: &Facts, written: &Written, reached: Option<i64>) -> Option<String> {
    let End { at, claimed } = End::of(plan, facts, written, reached)?;
    let seconds = |ns: u64| ns as f64 / 1e9;
    (claimed.saturating_sub(at) > ROUNDED).then(|| {
        format!(
            "{}: it says that it is {:.3} s long, and ends after {:.3} s",
            plan.input,
            seconds(claimed),
            seconds(at)
        )
    })
}

/// Lengths that containers tell are this far from the truth, in ns: a frame of a slow film, a packet of sound.
const ROUNDED: u64 = 300_000_000;

/// Where the input, or the part of it that is encoded, ends, in ns from its start.
struct End {
    at: u64,
    /// By its container's word.
    claimed: u64,
}

impl End {
    /// `None` where the container says nothing, or nothing that can be, and where all the frames asked for came.
    fn of(plan: &Plan, facts: &Facts, written: &Written, reached: Option<i64>) -> Option<Self> {
        let range = &plan.range;
        if range.frames.is_some_and(|frames| written.shown.count >= frames) {
            return None;
        }
        let claimed = facts.duration?.min(range.end.unwrap_or(u64::MAX)).saturating_sub(range.start);
        // A length at which the file would hold less than 1 kbit/s was never true (fragmented files say such things).
        let believable = written.bytes.saturating_mul(8) / 1000 >= claimed / 1_000_000_000;
        let first = facts.start.map_or(0, |s| s.max(0).unsigned_abs());
        let late = if range.start == 0 { first } else { 0 };
        // Streams that are left out may be what makes the input as long as it says.
        let reached = u64::try_from(reached?).unwrap_or(0).saturating_sub(first.saturating_add(range.start));
        believable.then_some(Self { at: written.end.max(reached) + late, claimed })
    }
}

/// The loop and what it remembers.
struct Watch {
    total: Option<u64>,
    chunk_frames: u32,
    /// ns, where the input says.
    frame_time: Option<f64>,
    started: Instant,
    lost: Option<String>,
    moved: Movement,
    /// Frames of each.
    chunks: Vec<u64>,
    /// The most frames and bytes that were shown.
    shown: (u64, u64),
    pass: Pass,
    /// A run that is told to end ends the chunks that it has begun.
    finishes: bool,
    has_wound_down: bool,
}

/// A pass of several over the video.
struct Pass {
    number: u64,
    /// When it began, and what there was by then.
    at: Instant,
    bytes: u64,
    /// All are over, and the file is written.
    is_over: bool,
}

/// When something last moved.
struct Movement {
    at: Instant,
    /// Frames decoded and frames encoded.
    mark: (u64, u64),
    said: bool,
}

impl Movement {
    /// True once when nothing has moved for long.
    fn stands(&mut self, mark: (u64, u64)) -> bool {
        if mark != self.mark {
            *self = Self { at: Instant::now(), mark, said: false };
        }
        let stands = !self.said && self.at.elapsed() >= LONG;
        self.said |= stands;
        stands
    }
}

impl Watch {
    async fn follow(
        &mut self,
        running: &Running,
        messages: &mut Messages,
        report: &mut Report,
        signals: &Signals,
        left: &str,
    ) -> Result<(), Error> {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else {
                        return Err(Error::Fault { what: "the pipeline's bus is gone".into() });
                    };
                    let is_over = self.hear(running, &message, report)?;
                    if self.has_wound_down {
                        return Err(Error::Interrupted { left: left.to_owned() });
                    }
                    if is_over {
                        // The last chunk's message may still be on its way behind it.
                        while let Ok(message) = messages.try_recv() {
                            self.hear(running, &message, report)?;
                        }
                        return Ok(());
                    }
                }
                () = signals.told() => {
                    if !self.finishes {
                        return Err(Error::Interrupted { left: left.to_owned() });
                    }
                    report.note("finishing the chunks that are begun; a second signal ends the run at once");
                    running.wind_down();
                }
                _ = tick.tick() => {
                    let now = self.snapshot(running);
                    if self.moved.stands((now.started, now.frames)) {
                        let who = if running.input_waits() { "the encoders" } else { "the input" };
                        // After an error the input's end comes by itself, unless what carries it hangs.
                        let hangs = self.lost.is_some() && !running.input_waits();
                        let then = if hangs { "the input ends here" } else { "waiting" };
                        report.note(&format!("nothing has come from {who} for {} s; {then}", LONG.as_secs()));
                        if hangs {
                            running.end_input();
                        }
                    }
                    report.update(&now);
                }
            }
        }
    }

    /// True when the run is over.
    fn hear(&mut self, running: &Running, message: &gst::Message, report: &Report) -> Result<bool, Error> {
        match message.view() {
            gst::MessageView::Application(a) => {
                let name = a.structure().map(|s| s.name().to_string());
                if name.as_deref() == Some(pipeline::NOTE)
                    && let Some(text) = a.structure().and_then(|s| s.get::<&str>("text").ok())
                {
                    report.note(text);
                }
                if name.as_deref() == Some(pipeline::FAILED)
                    && let Some(error) = running.failure()
                {
                    return Err(error);
                }
                Ok(name.as_deref() == Some(pipeline::DONE))
            }
            gst::MessageView::Element(e) => {
                match e.structure().map(|told| (told.name().as_str(), told)) {
                    Some(("divien-chunk-done", told)) => self.chunks.extend(told.get::<u64>("frames")),
                    Some(("divien-worker", told)) => of_worker(told, report),
                    Some((DivienEnc::WOUND_DOWN, _)) => self.has_wound_down = true,
                    Some(("divien-complaints", told)) => drop(running.lost(told)),
                    _ => {}
                }
                Ok(false)
            }
            gst::MessageView::Info(i) => {
                if let Some(early) = i.details() {
                    running.lost(early);
                }
                Ok(false)
            }
            gst::MessageView::Warning(w) if w.details().is_some_and(|lost| running.lost(lost)) => Ok(false),
            gst::MessageView::Warning(w) => {
                report.warn(&format!("{}: {}", of(message), said(&w.error(), w.debug().as_deref())));
                Ok(false)
            }
            gst::MessageView::Error(e) => self.failed(running, message, e).map_or(Ok(false), Err),
            _ => Ok(false),
        }
    }

    /// What an element's error means for the run; none where it is the input that ends with it.
    fn failed(&mut self, running: &Running, message: &gst::Message, e: &gst::message::Error) -> Option<Error> {
        if let Some(error) = running.failure() {
            return Some(error);
        }
        let (of, kind, text) = (of(message), e.error(), said(&e.error(), e.debug().as_deref()));
        let source = message.src();
        let is_divienenc = source.is_some_and(|src| src == running.encoder.upcast_ref::<gst::Object>());
        let troubles = [
            (gst::ResourceError::Busy, Trouble::Nobody),
            (gst::ResourceError::NotAuthorized, Trouble::OtherToken),
            (gst::ResourceError::Settings, Trouble::Settings),
            (gst::ResourceError::OpenRead, Trouble::Settings),
        ];
        if let Some((_, trouble)) = troubles.into_iter().find(|(code, _)| is_divienenc && kind.matches(*code)) {
            return Some(Error::Elsewhere { message: text, trouble });
        }
        if is_divienenc || source.is_some_and(|src| src.has_as_ancestor(&running.encoder)) {
            return Some(if kind.matches(gst::ResourceError::NoSpaceLeft) {
                let source = io::Error::new(io::ErrorKind::StorageFull, text);
                Error::Write { path: std::env::temp_dir(), source }
            } else {
                Error::Encoder { element: of, message: text }
            });
        }
        self.lost.get_or_insert(text);
        None
    }

    /// Why the pipeline does not start: elements say so before they refuse to.
    fn refused(&mut self, running: &Running, messages: &mut Messages) -> Option<Error> {
        while let Ok(message) = messages.try_recv() {
            if let gst::MessageView::Error(e) = message.view()
                && let Some(error) = self.failed(running, &message, e)
            {
                return Some(error);
            }
        }
        None
    }

    /// Frames count as done when an encoder has given them back, long before their chunk is whole and in the file.
    fn snapshot(&mut self, running: &Running) -> Snapshot {
        let written = running.written();
        let work = Work::of(&running.encoder, self.chunk_frames);
        if work.pass.number != self.pass.number {
            self.pass = Pass { number: work.pass.number, at: Instant::now(), bytes: work.bytes, is_over: false };
            self.shown = (0, 0);
        }
        if let Some(pass) = Some(&work.pass).filter(|pass| pass.number > 0 && written.shown.count == 0) {
            self.shown.0 = self.shown.0.max(work.frames.saturating_sub(pass.before).min(pass.frames));
            self.shown.1 = self.shown.1.max(work.bytes.saturating_sub(self.pass.bytes));
            let (frames, bytes) = self.shown;
            return Snapshot {
                pass: Some(pass.number),
                frames,
                total: Some(pass.frames),
                started: work.started,
                bytes,
                time: (self.frame_time.unwrap_or(0.0) * frames as f64) as u64,
                elapsed: self.pass.at.elapsed(),
                lanes: work.lanes,
                machines: work.machines,
            };
        }
        if work.pass.number > 0 && !std::mem::replace(&mut self.pass.is_over, true) {
            self.shown = (0, 0);
        }
        let (made, bytes) = if work.pass.number > 0 { (0, 0) } else { (work.frames, work.bytes) };
        // What an encoder had of a chunk that another finished is gone again.
        let bytes = bytes.max(written.video_bytes) + (written.bytes - written.video_bytes);
        self.shown = (self.shown.0.max(made).max(written.shown.count), self.shown.1.max(bytes));
        let (frames, bytes) = self.shown;
        let frame_time = match written.shown.count {
            0 => self.frame_time.unwrap_or(0.0),
            done => written.duration as f64 / done as f64,
        };
        Snapshot {
            pass: None,
            frames,
            total: self.total,
            started: work.started,
            bytes,
            time: (frame_time * frames as f64) as u64,
            elapsed: self.started.elapsed(),
            lanes: work.lanes,
            machines: work.machines,
        }
    }
}

/// A line about a machine elsewhere.
fn of_worker(told: &gst::StructureRef, report: &Report) {
    let field = |name: &str| told.get::<&str>(name).unwrap_or_default();
    let (name, detail) = (field("name"), field("detail"));
    match field("event") {
        "listening" => report.note(&format!("workers may join at {detail}")),
        "joined" => report.note(&format!("worker {name} joined ({detail})")),
        "lost" => report.warn(&format!("worker {name} is lost: {detail}; what it had is done again")),
        "left" => report.note(&format!("worker {name} has left: {detail}")),
        "refused" => report.warn(&format!("worker {name} is not used: {detail}")),
        "put-aside" => report.warn(&format!("worker {name} is not used any more: {detail}")),
        "failed" => report.warn(&format!("{name}: {detail}")),
        _ => report.warn(&format!("no worker: {detail}")),
    }
}

/// The element a message is from, by its kind.
fn of(message: &gst::Message) -> String {
    let src = message.src().and_then(|s| s.downcast_ref::<gst::Element>());
    let factory = src.and_then(|e| e.factory()).map(|f| f.name().to_string());
    factory.or_else(|| message.src().map(|s| s.name().to_string())).unwrap_or_else(|| "GStreamer".into())
}

/// What the encoders have done so far, from the element's `stats`.
#[derive(Default)]
struct Work {
    started: u64,
    frames: u64,
    bytes: u64,
    /// How much of its chunk each lane of this machine has done, 0 to 1; `None` while it idles. Those that are only there
    /// for the last chunks are told of while they work.
    lanes: Vec<Option<f64>>,
    /// What each of them has done.
    done: Vec<Lane>,
    machines: Vec<Machine>,
    workers: u32,
    /// Seconds of all workers.
    busy: f64,
    pass: Frames,
}

/// The frames of a pass over the video, and of those before it; its number is 0 where there are none.
#[derive(Default)]
struct Frames {
    number: u64,
    frames: u64,
    before: u64,
}

impl Work {
    fn of(encoder: &gst::Element, chunk_frames: u32) -> Self {
        let mut work = Self::default();
        let Ok(Some(stats)) = encoder.property_value("stats").get::<Option<gst::Structure>>() else { return work };
        work.started = stats.get::<u64>("frames-in").unwrap_or(0);
        work.workers = stats.get::<u32>("workers").unwrap_or(0);
        work.busy = stats.get::<f64>("busy").unwrap_or(0.0);
        let count = |name: &str| stats.get::<u64>(name).unwrap_or(0);
        work.pass = Frames { number: count("round"), frames: count("round-frames"), before: count("round-before") };
        let list = |name: &str| {
            let list = stats.get::<gst::ArrayRef<'_>>(name).ok();
            list.map(|list| list.iter().filter_map(|v| v.get::<gst::Structure>().ok()).collect()).unwrap_or_default()
        };
        let duration =
            |seconds: Result<f64, _>| Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
        let machines: Vec<gst::Structure> = list("machines");
        work.machines.extend(machines.iter().map(|machine| Machine {
            name: machine.get("name").unwrap_or_default(),
            slots: machine.get("slots").unwrap_or(0),
            time: duration(machine.get("seconds")),
            times_lost: machine.get("times-lost").unwrap_or(0),
            ..Machine::default()
        }));
        let here = work.workers.saturating_sub(work.machines.iter().map(|machine| machine.slots).sum());
        let lanes: Vec<gst::Structure> = list("lanes");
        for lane in lanes {
            let frames = lane.get::<u64>("frames").unwrap_or(0);
            work.frames += frames;
            work.bytes += lane.get::<u64>("bytes").unwrap_or(0);
            let chunks = lane.get("chunks").unwrap_or(0);
            let current = lane.get::<i64>("current").ok().filter(|frames| *frames >= 0);
            let machine = lane.get::<i64>("machine").ok().and_then(|number| usize::try_from(number).ok());
            if let Some(machine) = machine.and_then(|number| work.machines.get_mut(number)) {
                machine.frames += frames;
                machine.chunks += chunks;
                machine.at_work += u32::from(current.is_some());
                continue;
            }
            work.done.push(Lane { chunks, busy: duration(lane.get("busy")) });
            let length = lane.get::<i64>("length").ok().filter(|frames| *frames > 0);
            let length = length.map_or(f64::from(chunk_frames.max(1)), |frames| frames as f64);
            let is_extra = work.lanes.len() >= usize::try_from(here).unwrap_or(usize::MAX);
            if current.is_some() || !is_extra {
                work.lanes.push(current.map(|frames| frames as f64 / length));
            }
        }
        work
    }

    /// The share of the time in which the workers had something to do, and how many there are.
    fn busy(&self, elapsed: Duration) -> Option<(f64, u32)> {
        let whole = elapsed.as_secs_f64() * f64::from(self.workers);
        (whole > 0.0 && self.busy > 0.0).then(|| ((self.busy / whole).min(1.0), self.workers))
    }
}
