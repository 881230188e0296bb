//! The GObject side of `divienenc`.
//!
//! Lock order: `settings`, then `state`, then `writer`. None of them is held over a pad push, a posted message, a query
//! to a peer, an encoder's state change, or the engine's own waiting.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use glib::subclass::prelude::*;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::coded::{self, Coded};
use super::engine::Engine;
use super::key_requests::KeyRequests;
use super::model::{Config, Goal, Notice, Stats};
use super::negotiation::Negotiation;
use super::output::Writer;
use super::settings::{PROPERTIES, Settings};
use super::sites::{News, Nobody, Sites};
use crate::chunk::Mode;
use crate::dispatch::{Dispatch, Site};
use crate::isolate::{Isolation, ProcessLane};
use crate::journal::Shelf;
use crate::lane::{EncoderSpec, FilterSpec, Format, InOrder, Lane, LaneError, LocalLane};
use crate::net::Token;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("divienenc", gst::DebugColorFlags::empty(), Some("divien chunked encoder"))
});

/// The program in whose processes encoders run.
const PROGRAM: &str = "divien";

/// The element message that says that nothing is encoded any more, see [`super::DivienEnc::wind_down`].
pub(super) const WOUND_DOWN: &str = "divien-wound-down";

/// Everything between start and stop.
pub(super) struct Run {
    pub(super) engine: Arc<Engine>,
    /// Machines elsewhere, where there may be any.
    pub(super) sites: Option<Sites>,
    pub(super) encoder: EncoderSpec,
    pub(super) filter: FilterSpec,
    pub(super) frame_caps: Option<gst::Structure>,
    /// Frames that go before chunks.
    pub(super) lead_in: u32,
    /// What is done to raw frames before they are cut.
    pub(super) in_order: Option<InOrder>,
    /// While compressed video comes in.
    pub(super) coded: Option<Coded>,
    /// How they are looked through for scenes, where that is done.
    pub(super) survey: Option<Arc<Format>>,
    /// Caps that are not in force yet: they begin where decoding may start.
    pub(super) next_caps: Option<gst::Caps>,
    pub(super) negotiation: Arc<Negotiation>,
    pub(super) segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// A stream has started and its segment has not come yet.
    pub(super) new_stream: bool,
    pub(super) last_pts: Option<gst::ClockTime>,
    /// Frames taken since start or flush.
    pub(super) frames: u64,
    /// Bytes of a frame, as the caps have it.
    pub(super) frame_bytes: u64,
    pub(super) key_requests: KeyRequests,
    pub(super) frame_duration: Option<gst::ClockTime>,
    /// Set on the way to READY: nothing may be started any more.
    pub(super) stopping: bool,
}

/// The element's private side.
pub struct DivienEnc {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) settings: Mutex<Settings>,
    pub(super) state: Mutex<Option<Run>>,
    pub(super) writer: Mutex<Writer>,
    pub(super) shelf: Mutex<Option<Arc<Shelf>>>,
    pub(super) isolation: Mutex<Option<Arc<Isolation>>>,
    pub(super) goal: Mutex<Option<Goal>>,
    /// What `token-file` holds, which may be readable once only, from the start to the end.
    pub(super) token: Mutex<Option<Token>>,
}

impl DivienEnc {
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Option<Run>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.state().as_ref().map(|run| run.engine.clone())
    }

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings().clone();
        let encoder = EncoderSpec::parse(&settings.encoder, settings.threads)
            .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("encoder: {e}")))?;
        let filter = FilterSpec::parse(&settings.filter)
            .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("filter: {e}")))?;
        let frame_caps =
            settings.frame_fields().map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("frame-caps: {e}")))?;
        let lead_in = encoder
            .lead_in(settings.lead_in(), settings.chunk_frames)
            .map_err(|e| gst::error_msg!(gst::LibraryError::Settings, ("lead-in-frames: {e}")))?;
        let negotiation = Negotiation::new(&encoder, &filter, &self.srcpad)
            .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("{e}")))?;
        let (engine, sites) = self.start_engine(&settings)?;
        *self.writer() = Writer::default();
        *self.state() = Some(Run {
            engine,
            sites,
            encoder,
            in_order: filter.is_of_several_frames().then(|| InOrder::new(&filter)),
            filter,
            frame_caps,
            lead_in,
            coded: None,
            survey: None,
            next_caps: None,
            negotiation: Arc::new(negotiation),
            segment: None,
            new_stream: false,
            last_pts: None,
            frames: 0,
            frame_bytes: 0,
            key_requests: KeyRequests::default(),
            frame_duration: None,
            stopping: false,
        });
        Ok(())
    }

    pub(super) fn start_engine(&self, settings: &Settings) -> Result<(Arc<Engine>, Option<Sites>), gst::ErrorMessage> {
        let meeting = {
            let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            settings.meeting(&mut token).map_err(|e| gst::error_msg!(gst::ResourceError::Settings, ("{e}")))?
        };
        let set = self.isolation.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if set.is_none() && settings.isolate && glib::find_program_in_path(PROGRAM).is_none() {
            let why = "isolate: encoders run in processes of the program 'divien', which PATH does not lead to";
            return Err(gst::error_msg!(gst::ResourceError::NotFound, ("{why}")));
        }
        let patience = Duration::from_secs(settings.lane_timeout.into());
        let patience = Some(patience).filter(|patience| !patience.is_zero());
        let isolation = set.or_else(|| settings.isolate.then(|| Isolation::of(PROGRAM, patience)));
        let config = Config {
            workers: settings.workers(),
            has_elsewhere: meeting.is_some(),
            may_lose: meeting.is_some() || isolation.is_some(),
            chunk_frames: settings.chunk_frames.into(),
            max_buffered_bytes: settings.max_buffered_bytes,
            cuts: settings.cuts.clone(),
        };
        // Two encoders a core leave none of it idle at the end; more would only take memory.
        let cores = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
        let lanes = Dispatch::lanes(config.workers).min(config.workers.max(cores.saturating_mul(2)));
        let lane = |_| match &isolation {
            Some(isolation) => Box::new(ProcessLane::new(isolation.clone())) as Box<dyn Lane>,
            None => Box::new(LocalLane),
        };
        let seeks_scenes = settings.cuts.is_none() && Mode::from(settings.cut) == Mode::Scene;
        let scouts = if seeks_scenes { config.workers.clamp(1, cores) } else { 0 };
        let lanes = ((0..lanes).map(lane).collect(), (0..scouts).map(lane).collect());
        let element = self.obj().downgrade();
        // Chunks of another run, after a flush, would have the same numbers.
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
        let goal = self.goal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let engine = Engine::start((config, goal), lanes, shelf, isolation.clone(), move |notice| {
            if let Some(element) = element.upgrade() {
                element.imp().notice(notice);
            }
        })
        .map_err(|e| gst::error_msg!(gst::LibraryError::Init, ("the lanes' threads could not be started: {e}")))?;
        let engine = Arc::new(engine);
        let element = self.obj().downgrade();
        let tell = move |news| {
            if let Some(element) = element.upgrade() {
                element.imp().news(news);
            }
        };
        let sites = meeting.map(|meeting| Sites::start(engine.clone(), meeting, isolation, Arc::new(tell))).transpose();
        let sites = sites.map_err(|e| gst::error_msg!(gst::ResourceError::OpenRead, ("{e}")))?;
        Ok((engine, sites))
    }

    /// Tells what becomes of machines elsewhere: an element message `divien-worker`.
    fn news(&self, news: News) {
        let (event, name, detail) = match news {
            News::Listening(address) => ("listening", String::new(), address.to_string()),
            News::Joined { name, address, slots } => ("joined", name, format!("{address}, {slots} at once")),
            News::Lost { name, why } => ("lost", name, why),
            News::Refused { name, why } => ("refused", name, why),
            News::NotMet(why) => ("not-met", String::new(), why),
            News::Left { name, gives_back: false } => {
                ("left", name, "it takes no more, and has done what it had".into())
            }
            News::Left { name, gives_back: true } => ("left", name, "what it had not done is done again".into()),
            News::Nobody(nobody) => {
                const ALONE: &str = "and this machine does not encode; start one with 'divien worker', or let this machine encode as well";
                match nobody {
                    Nobody::InTime(timeout, awaited) => gst::element_imp_error!(
                        self,
                        gst::ResourceError::Busy,
                        ("no worker was there for {} s ({awaited}), {ALONE}", timeout.as_secs())
                    ),
                    Nobody::Refuses(why) => gst::element_imp_error!(
                        self,
                        gst::ResourceError::NotAuthorized,
                        ("{why}; no other worker was named, {ALONE}")
                    ),
                    Nobody::Differs(why) => gst::element_imp_error!(
                        self,
                        gst::ResourceError::Settings,
                        ("{why}; no other worker was named, {ALONE}")
                    ),
                }
                if let Some(engine) = self.engine() {
                    engine.stop(gst::FlowError::Error);
                }
                return;
            }
        };
        self.post_worker(event, name, detail);
    }

    fn name_of(&self, site: Site) -> String {
        let state = self.state();
        let sites = state.as_ref().and_then(|run| run.sites.as_ref());
        sites.and_then(|sites| sites.name(site)).unwrap_or_else(|| "this machine".into())
    }

    fn post_worker(&self, event: &str, name: String, detail: String) {
        gst::info!(CAT, imp = self, "worker {name} {event}: {detail}");
        let said =
            gst::Structure::builder("divien-worker").field("event", event).field("name", name).field("detail", detail);
        self.post(gst::message::Element::builder(said.build()).src(&*self.obj()).build());
    }

    fn stop(&self) {
        let run = self.state().take();
        if let Some(run) = run {
            run.engine.stop(gst::FlowError::Flushing);
            let _ = self.srcpad.stop_task();
            run.engine.join();
            drop(run.sites);
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.writer() = Writer::default();
    }

    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Short { most } => {
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::NoSpaceLeft,
                    ("frames fill max-buffered-bytes ({most}), so fewer encoders work at once; a larger value or fewer chunk-frames let all of them work")
                );
            }
            Notice::Again { id, site, error } => {
                let name = self.name_of(site);
                self.post_worker("failed", name, format!("{id}: {error}; it is tried again"));
            }
            Notice::PutAside { site } => {
                let name = self.name_of(site);
                self.post_worker("put-aside", name, "it failed three chunks in a row and gets no more".into());
            }
            Notice::Spoilt { id, why } => {
                gst::element_imp_warning!(
                    self,
                    gst::ResourceError::Read,
                    ("{id} is encoded again: what there was of it is damaged ({why})")
                );
            }
            Notice::WoundDown => self.wound_down(),
            Notice::Misses { wanted, off, is_at_the_end } => {
                let (off, side) = (100.0 * off.abs(), if off > 0.0 { "more" } else { "less" });
                let why =
                    if is_at_the_end { ": the encoder has no other quality that would bring it nearer" } else { "" };
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Encode,
                    ("the video has {off:.1}% {side} than the {wanted} bytes that its bit rate comes to{why}")
                );
            }
            Notice::Job { why } => gst::element_imp_error!(self, gst::ResourceError::Failed, ("{why}")),
            Notice::Failed { id, error: error @ LaneError::Unkept { .. }, .. } => {
                self.cannot_keep(&format_args!("{id}: {error}"));
            }
            Notice::Failed { id, first_frame, frames, lane, times, error } => {
                let last = (first_frame + frames).saturating_sub(1);
                let times = if times > 1 { format!(" {times} times, at last") } else { String::new() };
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Encode,
                    ("{id} (frames {first_frame} to {last}) failed{times} on lane {}: {error}", lane.0)
                );
            }
        }
    }

    pub(super) fn wound_down(&self) {
        let told = gst::Structure::new_empty(WOUND_DOWN);
        self.post(gst::message::Element::builder(told).src(&*self.obj()).build());
    }

    /// Something has no room where it waits.
    pub(super) fn cannot_keep(&self, what: &dyn std::fmt::Display) {
        gst::element_imp_error!(
            self,
            gst::ResourceError::NoSpaceLeft,
            ("{what}; TMPDIR names another folder for what has no room in memory")
        );
    }

    pub(super) fn post(&self, message: gst::Message) {
        // Fails only without a bus, and then nobody listens.
        let _ = self.obj().post_message(message);
    }

    fn stats(&self) -> gst::Structure {
        let stats = self.engine().map_or_else(Stats::default, |engine| engine.stats());
        let lanes = stats.lanes.iter().map(|lane| {
            let busy = lane.busy.as_secs_f64();
            gst::Structure::builder("lane")
                .field("chunks", lane.chunks)
                .field("frames", lane.frames)
                .field("bytes", lane.bytes)
                .field("busy", busy)
                .field("fps", if busy > 0.0 { lane.frames as f64 / busy } else { 0.0 })
                .field("current", or_minus_one(lane.current))
                .field("length", or_minus_one(lane.length))
                .field("machine", or_minus_one(lane.machine.map(|number| number as u64)))
                .build()
        });
        let machines = stats.machines.iter().map(|machine| {
            gst::Structure::builder("machine")
                .field("name", &machine.name)
                .field("slots", machine.slots)
                .field("seconds", machine.time.as_secs_f64())
                .field("times-lost", machine.times_lost)
                .build()
        });
        gst::Structure::builder("divienenc-stats")
            .field("chunks-done", stats.chunks_done)
            .field("chunks-in-flight", stats.chunks_in_flight)
            .field("frames-in", stats.frames_in)
            .field("frames-out", stats.frames_out)
            .field("bytes-out", stats.bytes_out)
            .field("bytes-buffered", stats.bytes_buffered)
            .field("workers", stats.workers)
            .field("round", stats.round.number)
            .field("round-frames", stats.round.frames)
            .field("round-before", stats.round.before)
            .field("busy", stats.worked.as_secs_f64())
            .field("lanes", gst::Array::new(lanes))
            .field("machines", gst::Array::new(machines))
            .build()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for DivienEnc {
    const NAME: &'static str = "DivienEnc";
    type Type = super::DivienEnc;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).unwrap_or_else(|| unreachable!("template {name} is static"));
        Self {
            sinkpad: Self::build_sinkpad(&template("sink")),
            srcpad: Self::build_srcpad(&template("src")),
            settings: Mutex::default(),
            state: Mutex::default(),
            writer: Mutex::default(),
            shelf: Mutex::default(),
            isolation: Mutex::default(),
            goal: Mutex::default(),
            token: Mutex::default(),
        }
    }
}

impl ObjectImpl for DivienEnc {
    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            name => self.settings().value(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        // Fails only for pads that have a parent or a name that is taken.
        let _ = obj.add_pad(&self.sinkpad);
        let _ = obj.add_pad(&self.srcpad);
    }
}

impl GstObjectImpl for DivienEnc {}

impl ElementImpl for DivienEnc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Chunked video encoder",
                "Codec/Encoder/Video",
                "Encodes a video in chunks with many encoders at once and joins them into one stream",
                "The divien developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let mut takes = gst::Caps::new_empty_simple("video/x-raw");
            takes.merge(coded::caps());
            [
                gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &takes),
                gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &gst::Caps::new_any()),
            ]
            .into_iter()
            .filter_map(Result::ok)
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start().map_err(|error| {
                self.post_error_message(error);
                gst::StateChangeError
            })?,
            gst::StateChange::PausedToReady => {
                // Wakes both pads' threads, so that they can be deactivated.
                let engine = self.state().as_mut().map(|run| {
                    run.stopping = true;
                    run.engine.clone()
                });
                if let Some(engine) = engine {
                    engine.stop(gst::FlowError::Flushing);
                }
            }
            _ => {}
        }
        let success = self.parent_change_state(transition).inspect_err(|_| {
            if transition == gst::StateChange::ReadyToPaused {
                self.stop();
            }
        })?;
        if transition == gst::StateChange::PausedToReady {
            self.stop();
        }
        Ok(success)
    }
}

/// A count in a field that has no room for none.
fn or_minus_one(count: Option<u64>) -> i64 {
    count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX))
}
