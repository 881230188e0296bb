//! The element's properties.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use gst::prelude::*;

use super::sites::Meeting;
use crate::chunk::{Cuts, Mode};
use crate::lane::{EncoderSpec, MOST_LEAD_IN};
use crate::net::{Token, address};

/// Frames in a chunk: x264's default key-frame distance.
pub(super) const DEFAULT_CHUNK_FRAMES: u32 = 250;
/// Raw frames waiting for an encoder.
pub(super) const DEFAULT_MAX_BUFFERED_BYTES: u64 = 1 << 30;
/// Seconds that chunks wait for a machine that encodes them.
pub(super) const DEFAULT_WORKER_TIMEOUT: u32 = 30;
/// Seconds that an attempt elsewhere may stand still.
pub(super) const DEFAULT_LANE_TIMEOUT: u32 = 120;
/// As many frames before each chunk as are worth it.
const AUTO: i32 = -1;
/// The encoder when none is named.
pub(super) const DEFAULT_ENCODER: &str = "x264enc";

/// What the properties say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) encoder: String,
    pub(super) workers: u32,
    pub(super) threads: u32,
    pub(super) chunk_frames: u32,
    pub(super) max_buffered_bytes: u64,
    pub(super) cut: Cut,
    pub(super) cuts: Option<Cuts>,
    pub(super) lead_in_frames: i32,
    pub(super) filter: String,
    pub(super) frame_caps: Option<gst::Caps>,
    pub(super) local: bool,
    pub(super) isolate: bool,
    pub(super) remote_workers: String,
    pub(super) listen_address: String,
    pub(super) token_file: String,
    pub(super) worker_timeout: u32,
    pub(super) lane_timeout: u32,
}

/// Where chunks of compressed video begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "DivienEncCut")]
#[repr(i32)]
pub(super) enum Cut {
    /// After so many frames, wherever that is.
    #[enum_value(name = "After exactly chunk-frames frames", nick = "fixed")]
    Fixed,
    /// At a key frame near by.
    #[default]
    #[enum_value(name = "At the input's key frame nearest to that, within half a chunk", nick = "keyframe")]
    Keyframe,
    /// At a new scene near by.
    #[enum_value(name = "Where a scene begins nearest to that, within half a chunk, else as keyframe", nick = "scene")]
    Scene,
}

impl From<Cut> for Mode {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Fixed => Self::Fixed,
            Cut::Keyframe => Self::Keyframe,
            Cut::Scene => Self::Scene,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            encoder: DEFAULT_ENCODER.into(),
            workers: 0,
            threads: 0,
            chunk_frames: DEFAULT_CHUNK_FRAMES,
            max_buffered_bytes: DEFAULT_MAX_BUFFERED_BYTES,
            cut: Cut::default(),
            cuts: None,
            lead_in_frames: AUTO,
            filter: String::new(),
            frame_caps: None,
            local: true,
            isolate: false,
            remote_workers: String::new(),
            listen_address: String::new(),
            token_file: String::new(),
            worker_timeout: DEFAULT_WORKER_TIMEOUT,
            lane_timeout: DEFAULT_LANE_TIMEOUT,
        }
    }
}

impl Settings {
    /// How many chunks are encoded at once. It changes no byte, so it may follow the machine.
    pub(super) fn workers(&self) -> u32 {
        match self.workers {
            _ if !self.local => 0,
            0 => default_workers(),
            workers => workers,
        }
    }

    /// Frames that go before each chunk; `None` for as many as are worth it.
    pub(super) fn lead_in(&self) -> Option<u32> {
        u32::try_from(self.lead_in_frames).ok()
    }

    /// Other machines encode as well.
    pub(super) fn has_elsewhere(&self) -> bool {
        !self.remote_workers.is_empty() || !self.listen_address.is_empty()
    }

    /// Where other machines are met; `None` where this one is alone. The token is read where it is not known yet.
    pub(super) fn meeting(&self, known: &mut Option<Token>) -> Result<Option<Meeting>, String> {
        if !self.has_elsewhere() {
            return if self.local {
                Ok(None)
            } else {
                Err("local=false needs remote-workers or listen-address: nobody would encode".into())
            };
        }
        let read = || match self.token_file.as_str() {
            "" => Token::from_environment(),
            file => Token::from_file(Path::new(file)),
        };
        let token = known.take().map_or_else(read, Ok).map_err(|error| {
            format!("token-file: {error}; 'divien token new' makes one, and every machine of the fleet needs the same")
        })?;
        *known = Some(token.clone());
        let hosts = match self.remote_workers.as_str() {
            "" => Vec::new(),
            named => address::peers(named).map_err(|why| format!("remote-workers: '{named}': {why}"))?,
        };
        let listen = match self.listen_address.as_str() {
            "" => None,
            own => Some(address::local(own).ok_or_else(|| format!("listen-address: '{own}': {}", address::LOCAL))?),
        };
        Ok(Some(Meeting {
            hosts,
            listen,
            token,
            timeout: Duration::from_secs(self.worker_timeout.into()),
            are_alone: !self.local,
            lane_timeout: (self.lane_timeout > 0).then(|| Duration::from_secs(self.lane_timeout.into())),
        }))
    }

    /// The fields of `frame-caps`; an error says which of them no encoder can read in place of the frames' own.
    pub(super) fn frame_fields(&self) -> Result<Option<gst::Structure>, String> {
        let Some(caps) = &self.frame_caps else { return Ok(None) };
        let fields = match (caps.structure(0), caps.size()) {
            (Some(fields), 1) if fields.name() == "video/x-raw" => fields,
            _ => return Err(format!("{caps} is not one kind of video/x-raw")),
        };
        match ["format", "width", "height"].iter().find(|name| fields.has_field(**name)) {
            Some(name) => Err(format!("{name} is what the frames have; filter changes it")),
            None => Ok(Some(fields.to_owned())),
        }
    }

    /// What the encoder can give; any caps where it cannot be used, which is an error when the element starts.
    pub(super) fn output_caps(&self) -> gst::Caps {
        let spec = EncoderSpec::parse(&self.encoder, self.threads);
        spec.map_or_else(|_| gst::Caps::new_any(), |spec| spec.output_caps())
    }

    pub(super) fn set(&mut self, name: &str, value: &glib::Value) {
        // GObject has checked the type and the range against the ParamSpec.
        match name {
            "encoder" => self.encoder = text(value),
            "workers" => self.workers = value.get().unwrap_or(self.workers),
            "threads" => self.threads = value.get().unwrap_or(self.threads),
            "chunk-frames" => self.chunk_frames = value.get().unwrap_or(self.chunk_frames),
            "max-buffered-bytes" => self.max_buffered_bytes = value.get().unwrap_or(self.max_buffered_bytes),
            "lead-in-frames" => self.lead_in_frames = value.get().unwrap_or(self.lead_in_frames),
            "cut" => self.cut = value.get().unwrap_or(self.cut),
            "cuts" => self.cuts = numbers(value).map(Cuts::new),
            "filter" => self.filter = text(value),
            "local" => self.local = value.get().unwrap_or(self.local),
            "isolate" => self.isolate = value.get().unwrap_or(self.isolate),
            "remote-workers" => self.remote_workers = text(value),
            "listen-address" => self.listen_address = text(value),
            "token-file" => self.token_file = text(value),
            "worker-timeout" => self.worker_timeout = value.get().unwrap_or(self.worker_timeout),
            "lane-timeout" => self.lane_timeout = value.get().unwrap_or(self.lane_timeout),
            "frame-caps" => self.frame_caps = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    pub(super) fn value(&self, name: &str) -> glib::Value {
        match name {
            "encoder" => self.encoder.to_value(),
            "workers" => self.workers.to_value(),
            "threads" => self.threads.to_value(),
            "chunk-frames" => self.chunk_frames.to_value(),
            "cut" => self.cut.to_value(),
            "cuts" => gst::Array::new(self.cuts.iter().flat_map(Cuts::numbers).copied()).to_value(),
            "lead-in-frames" => self.lead_in_frames.to_value(),
            "filter" => self.filter.to_value(),
            "frame-caps" => self.frame_caps.to_value(),
            "local" => self.local.to_value(),
            "isolate" => self.isolate.to_value(),
            "remote-workers" => self.remote_workers.to_value(),
            "listen-address" => self.listen_address.to_value(),
            "token-file" => self.token_file.to_value(),
            "worker-timeout" => self.worker_timeout.to_value(),
            "lane-timeout" => self.lane_timeout.to_value(),
            _ => self.max_buffered_bytes.to_value(),
        }
    }
}

/// Those of an array; `None` where there are none.
fn numbers(value: &glib::Value) -> Option<Vec<u64>> {
    let numbers = value.get::<gst::Array>().ok()?;
    let numbers: Vec<u64> = numbers.iter().filter_map(|number| number.get().ok()).collect();
    (!numbers.is_empty()).then_some(numbers)
}

/// A text, empty where there is none.
fn text(value: &glib::Value) -> String {
    value.get::<Option<String>>().ok().flatten().unwrap_or_default()
}

/// One for each core: more of them only share its caches, until the last chunks.
fn default_workers() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(MOST_WORKERS).clamp(1, MOST_WORKERS)
}

const MOST_WORKERS: u32 = 1024;

/// All properties, as `gst-inspect-1.0` shows them.
pub(super) static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let defaults = Settings::default();
    vec![
        // The encoder, written like an element in a launch line. Text values are quoted as in a shell. Set before linking:
        // it decides which pad of a muxer fits.
        glib::ParamSpecString::builder("encoder")
            .nick("Encoder")
            .blurb("Encoder element and its properties: x264enc speed-preset=slow pass=qual quantizer=23")
            .default_value(Some(defaults.encoder.as_str()))
            .mutable_ready()
            .build(),
        // How many chunks are encoded at once. Changes no byte of the output. When fewer than twice as many are left, all
        // of them are started, so that no worker is without work while another still has a whole chunk to do.
        glib::ParamSpecUInt::builder("workers")
            .nick("Workers")
            .blurb("Encoders that work at once, but for the last chunks, which are all started together (0 = one for each core)")
            .maximum(MOST_WORKERS)
            .default_value(defaults.workers)
            .mutable_ready()
            .build(),
        // Threads of each encoder. Many encoders write other bytes for other thread counts.
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Threads of each encoder (0 = the encoder's constant default); changes the output's bytes with some encoders")
            .maximum(MOST_WORKERS)
            .default_value(defaults.threads)
            .mutable_ready()
            .build(),
        // Every chunk begins with a key frame.
        glib::ParamSpecUInt::builder("chunk-frames")
            .nick("Chunk frames")
            .blurb("Frames in a chunk; a tail shorter than a quarter of that joins the chunk before it")
            .minimum(1)
            .default_value(defaults.chunk_frames)
            .mutable_ready()
            .build(),
        // Raw frames are always cut after exactly so many.
        glib::ParamSpecEnum::builder_with_default("cut", defaults.cut)
            .nick("Cut")
            .blurb("Where chunks of compressed video begin; raw video is always cut after chunk-frames frames")
            .mutable_ready()
            .build(),
        // By their numbers, counted from 0 in the order the frames are shown: cuts="<100,250>" (quoted, for the shell). The first frame need not be named.
        gst::ParamSpecArray::builder("cuts")
            .nick("Cuts")
            .blurb("Numbers of the frames with which chunks begin, in place of what cut and chunk-frames say; empty for those")
            .element_spec(
                &glib::ParamSpecUInt64::builder("number")
                    .nick("Number")
                    .blurb("A frame's number, counted from 0")
                    .build(),
            )
            .mutable_ready()
            .build(),
        // A chunk's own first frames, encoded once more before it and thrown away: the encoder's rate control then knows such
        // pictures when the chunk begins. The first chunk has none, as a single encoder has none.
        glib::ParamSpecInt::builder("lead-in-frames")
            .nick("Lead-in frames")
            .blurb("Frames that each encoder but the first gets before its chunk, so that it begins as well as it goes on (-1 = as many as are worth it, 0 = none)")
            .minimum(AUTO)
            .maximum(i32::try_from(MOST_LEAD_IN).unwrap_or(i32::MAX))
            .default_value(defaults.lead_in_frames)
            .mutable_ready()
            .build(),
        // Elements that make each frame from one frame, and caps, in the words of a launch line. Of what needs more frames
        // there are yadif, first of all, and fps.
        glib::ParamSpecString::builder("filter")
            .nick("Filter")
            .blurb("What is done to each frame before it is encoded: yadif ! fps rate=25 ! videoscale ! video/x-raw,width=640,height=360")
            .default_value(Some(""))
            .mutable_ready()
            .build(),
        // What a decoder guesses, a rate or colours, can be put right here; not how the frames lie in memory.
        glib::ParamSpecBoxed::builder::<gst::Caps>("frame-caps")
            .nick("Frame caps")
            .blurb("Fields that the encoders read in place of those of the frames: video/x-raw,framerate=0/1")
            .mutable_ready()
            .build(),
        // Frames an encoder has taken for its lookahead are the encoder's own and not counted.
        glib::ParamSpecUInt64::builder("max-buffered-bytes")
            .nick("Maximum buffered bytes")
            .blurb("Bytes of raw frames that may wait for an encoder; when short, fewer encoders work at once")
            .minimum(1)
            .default_value(defaults.max_buffered_bytes)
            .mutable_ready()
            .build(),
        // Machines that run `divien worker`. A name with several addresses is several of them. They change no byte of the
        // output: one whose encoder would is refused.
        glib::ParamSpecString::builder("remote-workers")
            .nick("Remote workers")
            .blurb("Machines that encode as well: host:port,host:port; without a port it is 7171")
            .default_value(Some(""))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("listen-address")
            .nick("Listen address")
            .blurb("Where machines that encode as well may join, at any time: [::]:7171, host:port, or a port alone")
            .default_value(Some(""))
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("token-file")
            .nick("Token file")
            .blurb("File with the secret that all machines share, - for standard input; empty for the variable DIVIEN_TOKEN")
            .default_value(Some(""))
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("local")
            .nick("Local")
            .blurb("Encode on this machine as well")
            .default_value(defaults.local)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("isolate")
            .nick("Isolate")
            .blurb("Encode in processes of their own, so that an encoder that crashes costs an attempt and not this process; needs the program divien")
            .default_value(defaults.isolate)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("worker-timeout")
            .nick("Worker timeout")
            .blurb("Seconds that chunks wait for a machine that encodes them, where this one does not")
            .default_value(defaults.worker_timeout)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("lane-timeout")
            .nick("Lane timeout")
            .blurb("Seconds without progress after which a chunk that another machine has is given to the next (0 = wait)")
            .default_value(defaults.lane_timeout)
            .mutable_ready()
            .build(),
        // chunks-done, chunks-in-flight, frames-in, frames-out, bytes-out, bytes-buffered (all uint64), workers (uint), their
        // busy time all together (double, seconds), the passes over the video where a bit rate is looked for: round, its
        // number, round-frames, the frames of it, round-before, those of the ones before it (uint64), and lanes: an array with a structure for each encoder that may be at
        // work, the last chunks included, so they are more than the workers, and one for all those of a machine elsewhere
        // that are gone. Its chunks, frames and bytes (uint64) are what it has given back, that
        // of its present chunk included; busy (double) is the seconds it has had a chunk, fps (double) the frames in each
        // of them; current (int64) is the frames of its present chunk that are done, length (int64) all that chunk has,
        // machine (int64) its place in machines; -1 stands for none, not known, or this machine. machines is an array with a
        // structure for each machine elsewhere: its name (string), its slots (uint), 0 while it is not there, the seconds
        // (double) it has been there, and times-lost (uint).
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Chunks done and in flight, frames in and out, bytes, and for each lane (encoder at work): chunks, frames, bytes, busy seconds, fps, frames of the current chunk; machines elsewhere: name, slots, seconds there, times lost")
            .read_only()
            .build(),
    ]
});
