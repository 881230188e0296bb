//! The encoding element, started when the form of the pictures is known.

use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use gst::prelude::*;
use gst_video::VideoColorimetry;
use gstdivien::budget::Setting;
use gstdivien::chunk::Mode;
use gstdivien::divienenc::{self, DivienEnc, Goal};
use gstdivien::lane::{EncoderSpec, FilterSpec};

use super::colour::Said;
use super::video::named_format;
use super::{Means, lock};
use crate::cli::{Isolate, Remote};
use crate::codec::WholeRate;
use crate::error::Error;
use crate::plan::VideoPlan;
use crate::probe::Pace;

/// The name the encoding element goes by in messages.
pub(crate) const ENCODER: &str = "encoder";
/// Encoders whose streams say limited range whatever they are given; what they say goes before what a container does.
const LIMITED: &[&str] = &["av1enc", "avenc_prores_ks"];
/// Encoders that make something of frames' own durations once their caps name no rate.
const TIMED: &[&str] = &["x264enc"];

/// The element and what it is still to be told.
#[derive(Debug)]
pub(super) struct Encoder {
    element: gst::Element,
    factory: String,
    spec: String,
    /// A bit rate for the whole file, and by how much it may be missed.
    rate: Option<(WholeRate, f64)>,
    threads: u32,
    coded: gst::Caps,
    honest: bool,
    pace: Option<Pace>,
    /// The raw format was chosen: by the user, or by the plan, which has said so.
    chosen: bool,
    /// Pictures pass filters before they are encoded.
    filtered: bool,
    decoded: Mutex<Option<gst_video::VideoFormat>>,
    said: Mutex<Option<Said>>,
    begun: Once,
}

impl Encoder {
    /// Makes the element, which waits for [`Self::begin`]. `honest` decoders guess no colours.
    pub(super) fn new(
        video: &VideoPlan,
        (coded, honest): (&gst::Caps, bool),
        Means { shelf, isolation, .. }: Means,
    ) -> Result<Self, Error> {
        let spec = EncoderSpec::parse(&video.encoder.spec, video.threads).map_err(|e| Error::Plan {
            what: e.to_string(),
            hint: "`divien -h encoder=NAME` lists what an encoder takes".into(),
        })?;
        spec.lead_in(video.lead_in, video.chunk_frames).map_err(|e| Error::Plan {
            what: e.to_string(),
            hint: "leave -lead-in out, or choose another encoder with -c:v".into(),
        })?;
        let element = gst::ElementFactory::make("divienenc")
            .name(ENCODER)
            .build()
            .map_err(|e| Error::Fault { what: format!("divienenc cannot be made: {e}") })?;
        // The elements after it are linked by what this encoder gives; [`Self::begin`] adds what the pictures need.
        element.set_property("encoder", &video.encoder.spec);
        match video.workers {
            Some(0) => element.set_property("local", false),
            Some(workers) => element.set_property("workers", workers),
            None => {}
        }
        if let Some(remote) = &video.remote {
            remote_properties(&element, remote);
        }
        if let (Some(element), Some(shelf)) = (element.downcast_ref::<DivienEnc>(), shelf) {
            element.set_shelf(shelf);
        }
        let is_isolated = match video.isolate {
            Isolate::Packets => video.cut.is_some(),
            Isolate::All => true,
            Isolate::None => false,
        };
        let isolation = isolation.filter(|_| is_isolated);
        if let (Some(element), Some(isolation)) = (element.downcast_ref::<DivienEnc>(), isolation) {
            element.set_isolation(isolation);
        }
        element.set_property("lane-timeout", u32::try_from(video.lane_timeout.as_secs()).unwrap_or(u32::MAX));
        element.set_property("threads", video.threads);
        element.set_property("chunk-frames", video.chunk_frames);
        if let Some(cuts) = &video.cuts {
            // The first frame is among them where there is no other.
            let numbers = std::iter::once(0).chain(cuts.numbers().iter().copied());
            element.set_property("cuts", gst::Array::new(numbers));
        }
        element.set_property("lead-in-frames", video.lead_in.and_then(|n| i32::try_from(n).ok()).unwrap_or(-1));
        element.set_locked_state(true);
        Ok(Self {
            element,
            factory: video.encoder.factory.clone(),
            spec: video.encoder.spec.clone(),
            rate: video.encoder.rate.clone().map(|rate| (rate, video.tolerance)),
            threads: video.threads,
            coded: coded.clone(),
            honest,
            pace: video.pace,
            filtered: !video.filters.elements.is_empty() || video.filters.turn.is_some(),
            chosen: !video.encoder.raw_formats.is_empty() || video.filters.names_format,
            decoded: Mutex::new(None),
            said: Mutex::new(None),
            begun: Once::new(),
        })
    }

    /// The element.
    pub(super) fn element(&self) -> &gst::Element {
        &self.element
    }

    /// Starts the element, with what pictures in the form `decoded` need; later calls change nothing, and give false.
    pub(super) fn begin(&self, decoded: Option<&gst::CapsRef>) -> bool {
        let begins = !self.begun.is_completed();
        self.begun.call_once(|| {
            self.learn(decoded);
            self.start();
        });
        begins
    }

    /// Starts the element for compressed pictures that come out of their decoder in the form `decoded`, and pass `filter`.
    /// Gives the caps that they reach the encoder with.
    pub(super) fn begin_coded(&self, decoded: &gst::Caps, filter: &str, mode: Mode) -> Result<gst::Caps, Error> {
        let fault = |what: String| Error::Fault { what };
        let (spec, more) = self.learn(Some(decoded.as_ref()));
        let spec = EncoderSpec::parse(&spec, self.threads).map_err(|e| fault(e.to_string()))?;
        let leads = FilterSpec::parse(filter).and_then(|filter| filter.leads(&spec, decoded));
        let leads = leads.map_err(|e| fault(e.to_string()))?;
        let Some(raw) = leads else {
            let (who, hint) = if self.filtered && self.takes(decoded) {
                ("a filter of -vf", "leave the filters out, or choose a format with -pix_fmt")
            } else {
                (self.factory.as_str(), "choose another encoder with -c:v")
            };
            return Err(Error::Plan {
                what: format!("{who} takes no pictures like these: {decoded}"),
                hint: hint.into(),
            });
        };
        let told = self.caps(&raw);
        // The first pictures tell the form of all, as in ffmpeg: decoders tell it by the pictures of each chunk.
        if let Some(fields) = told.structure(0).map(form) {
            self.element.set_property("frame-caps", gst::Caps::builder_full().structure(fields).build());
        }
        let format = named_format(&raw).map_or_else(String::new, |format| format!(" ! video/x-raw,format={format}"));
        let filter = format!("{filter}{format}");
        self.element.set_property("filter", &filter);
        self.set_goal(more, filter, &raw);
        let cut = match mode {
            Mode::Fixed => "fixed",
            Mode::Keyframe => "keyframe",
            Mode::Scene => "scene",
        };
        self.element.set_property_from_str("cut", cut);
        // Packets wait in files beyond a little memory, and no more chunks of them than encoders soon take.
        self.element.set_property("max-buffered-bytes", u64::MAX);
        self.begun.call_once(|| self.start());
        Ok(told)
    }

    /// Has the whole file's bit rate looked for, where it is to have one, with this told to the encoder as well, for pictures
    /// that come out of the filter in this form.
    fn set_goal(&self, more: Vec<String>, filter: String, raw: &gst::CapsRef) {
        let Some((rate, tolerance)) = self.rate.clone() else { return };
        let (Some(element), Some(target)) = (self.element.downcast_ref::<DivienEnc>(), rate.target(tolerance)) else {
            return;
        };
        let (threads, smaller) = (self.threads, smaller(raw));
        let means = move |setting, quality| {
            let told = |error: &dyn std::fmt::Display| error.to_string();
            let spec = rate.with(setting, quality).map_err(|error| told(&error))?;
            let encoder = EncoderSpec::parse(&with(&spec, &more), threads).map_err(|error| told(&error))?;
            let smaller = smaller.as_deref().filter(|_| setting == Setting::Analysis).unwrap_or_default();
            let filter = FilterSpec::parse(&format!("{filter}{smaller}")).map_err(|error| told(&error))?;
            Ok(divienenc::Means { encoder, filter })
        };
        element.set_goal(Goal { target, means: Arc::new(means) });
    }

    /// Takes in what form pictures are decoded; gives what the encoder is told with it, and the part of that which comes of
    /// their form.
    fn learn(&self, decoded: Option<&gst::CapsRef>) -> (String, Vec<String>) {
        let said = decoded.and_then(|caps| Said::of(&self.coded, caps, self.honest));
        *lock(&self.decoded) = decoded.and_then(format);
        let told = said.as_ref().map(|s| s.properties(&self.factory)).unwrap_or_default();
        *lock(&self.said) = said;
        let more = vec![told, self.frame_rate()];
        let spec = with(&self.spec, &more);
        self.element.set_property("encoder", &spec);
        (spec, more)
    }

    fn start(&self) {
        self.element.set_locked_state(false);
        // Why it does not start is told by its own message.
        let _ = self.element.sync_state_with_parent();
    }

    /// The caps of the frames, as the encoder is to read them.
    pub(super) fn caps(&self, raw: &gst::CapsRef) -> gst::Caps {
        let mut caps = raw.to_owned();
        if let Some(said) = &*lock(&self.said) {
            said.in_caps(&mut caps, &self.factory);
        }
        let named = raw.structure(0).and_then(|s| s.get::<gst::Fraction>("framerate").ok());
        let rate = match self.pace {
            Some(Pace::Uneven(..)) if self.is_timed() => Some((0, 1)),
            Some(Pace::Constant(n, d)) if !is_by_fields(named, (n, d)) => Some((n, d)),
            _ => None,
        };
        if let Some((Ok(n), Ok(d))) = rate.map(|(n, d)| (i32::try_from(n), i32::try_from(d))) {
            caps.make_mut().set("framerate", gst::Fraction::new(n, d));
        }
        caps
    }

    /// What is to be said of pictures that reach the encoder in another form than they were decoded in, once.
    pub(super) fn conversion(&self, raw: &gst::CapsRef) -> Option<String> {
        let (from, to) = (lock(&self.decoded).take()?, format(raw)?);
        if keeps_the_limited_range(from, to) && !lock(&self.said).as_ref().is_some_and(Said::is_full_range) {
            return Some("video: the grey pictures keep the limited range of those in colour (black is 16 of 255, white 235), and most players take grey for the full one: they show less contrast".into());
        }
        let differs = !self.chosen && holds(from) != holds(to);
        let who = if self.filtered && self.takes(&of_format(from)) { "a filter" } else { self.factory.as_str() };
        differs.then(|| format!("video: pictures are converted from {from} to {to}: {who} takes no {from}"))
    }

    /// Whether the encoder takes some pictures of these caps.
    fn takes(&self, caps: &gst::Caps) -> bool {
        gst::ElementFactory::find(&self.factory).is_some_and(|factory| factory.can_sink_any_caps(caps))
    }

    /// What is to be said where the stream will not tell the range of its pictures.
    pub(super) fn untold_range(&self) -> Option<String> {
        let full = lock(&self.said).as_ref().is_some_and(Said::is_full_range);
        (full && LIMITED.contains(&self.factory.as_str())).then(|| {
            let factory = &self.factory;
            format!("video: the pictures have the full range, which {factory} cannot say: players show them with more contrast; libx264, libx265 and libvpx-vp9 say it")
        })
    }

    /// The colours the container is told: those the input says, or those its conversion to `raw` made.
    pub(super) fn colours(&self, raw: Option<&gst::CapsRef>) -> Option<VideoColorimetry> {
        match &*lock(&self.said) {
            Some(said) => said.told(),
            None => raw.and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()).map(|info| info.colorimetry()),
        }
    }

    /// True where HDR10's data are in the stream itself, whatever the container.
    pub(super) fn writes_hdr10(&self) -> bool {
        match self.factory.as_str() {
            "x264enc" => lock(&self.said).is_some(),
            factory => factory == "x265enc",
        }
    }

    /// True where frames come at uneven times.
    pub(super) fn is_uneven(&self) -> bool {
        matches!(self.pace, Some(Pace::Uneven(..)))
    }

    fn is_timed(&self) -> bool {
        self.is_uneven() && TIMED.contains(&self.factory.as_str())
    }

    /// Without a rate in its caps x264enc would reckon with 25 frames a second.
    fn frame_rate(&self) -> String {
        match self.pace {
            Some(Pace::Uneven(n, d)) if self.is_timed() => format!("option-string=\"fps={n}/{d}\""),
            _ => String::new(),
        }
    }
}

/// What makes pictures half as wide and half as high, and no smaller than encoders take them. Interlaced ones want a
/// multiple of 4.
fn smaller(raw: &gst::CapsRef) -> Option<String> {
    const LEAST: u32 = 64;
    let info = gst_video::VideoInfo::from_caps(raw).ok()?;
    let half = |pixels: u32| (pixels / 8 * 4).max(LEAST).min(pixels);
    Some(format!(" ! videoscale ! video/x-raw,width={},height={}", half(info.width()), half(info.height())))
}

/// Tells the element of workers elsewhere.
fn remote_properties(element: &gst::Element, remote: &Remote) {
    element.set_property("remote-workers", remote.workers.join(","));
    element.set_property("listen-address", remote.listen.map(|address| address.to_string()));
    element.set_property("token-file", remote.token_file.as_ref().map(|path| path.display().to_string()));
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    element.set_property("worker-timeout", seconds(remote.timeout));
}

/// What caps say beside the layout of the pictures.
fn form(told: &gst::StructureRef) -> gst::Structure {
    let mut fields = told.to_owned();
    fields.remove_fields(["format", "width", "height"]);
    fields
}

fn format(caps: &gst::CapsRef) -> Option<gst_video::VideoFormat> {
    gst_video::VideoInfo::from_caps(caps).ok().map(|info| info.format())
}

fn of_format(format: gst_video::VideoFormat) -> gst::Caps {
    gst_video::VideoCapsBuilder::new().format(format).build()
}

/// What a format can hold, however it is laid out in memory: bits, chroma, and kinds of samples.
fn holds(format: gst_video::VideoFormat) -> (u32, Vec<(u32, u32)>, gst_video::VideoFormatFlags) {
    use gst_video::VideoFormatFlags as F;
    let info = gst_video::VideoFormatInfo::from_format(format);
    let chroma = info.w_sub().iter().zip(info.h_sub()).map(|(w, h)| (*w, *h)).collect();
    let bits = info.depth().first().copied().unwrap_or_default();
    (bits, chroma, info.flags() & (F::YUV | F::RGB | F::GRAY | F::ALPHA))
}

/// videoconvert of 1.22 takes the luma for the grey as it is, which ffmpeg stretches to the full range.
fn keeps_the_limited_range(from: gst_video::VideoFormat, to: gst_video::VideoFormat) -> bool {
    gst_video::VideoFormatInfo::from_format(from).is_yuv() && gst_video::VideoFormatInfo::from_format(to).is_gray()
}

/// Packets of single fields come twice as often as frames.
fn is_by_fields(named: Option<gst::Fraction>, (n, d): (u32, u32)) -> bool {
    let Some(named) = named.filter(|f| f.numer() > 0 && f.denom() > 0) else { return false };
    let ratio = f64::from(n) / f64::from(d) * f64::from(named.denom()) / f64::from(named.numer());
    (ratio - 2.0).abs() < 0.01
}

/// Puts more properties before those of a spec, so that what was typed has the last word.
fn with(spec: &str, more: &[String]) -> String {
    let (factory, properties) = spec.split_once(' ').unwrap_or((spec, ""));
    let words = std::iter::once(factory).chain(more.iter().map(String::as_str)).chain([properties]);
    words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_conversion_that_changes_what_pictures_can_hold_is_told() {
        gst::init().unwrap();
        use gst_video::VideoFormat as F;
        assert_eq!(holds(F::I420), holds(F::Nv12));
        assert_eq!(holds(F::Bgra), holds(F::Rgba));
        for (from, to) in [(F::I42012le, F::I42010le), (F::Y42b, F::I420), (F::Rgb, F::Y444), (F::Rgba, F::Rgb)] {
            assert_ne!(holds(from), holds(to), "{from} {to}");
        }
    }

    #[test]
    fn what_was_typed_has_the_last_word() {
        let more = ["option-string=\"a=1\"".to_owned(), String::new()];
        assert_eq!(with("x264enc option-string=\"a=2\"", &more), "x264enc option-string=\"a=1\" option-string=\"a=2\"");
        assert_eq!(with("x264enc", &[String::new()]), "x264enc");
    }
}
