//! What `-vf`, `-s` and `-r` make of the pictures of this input.

use gstdivien::chunk::{Fps, Needs};

use super::{Window, window};
use crate::cli::Job;
use crate::error::Error;
use crate::filter::{self, Filter, Form, Yadif};
use crate::mux::Container;
use crate::probe::{Cutting, Facts, Orientation, Stream};

/// What is done to the pictures between decoder and encoder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    /// `videoflip`'s method, where the pictures themselves are turned.
    pub turn: Option<&'static str>,
    /// After that: elements in the words of a launch line, each after ` ! `.
    pub elements: String,
    /// Before that: what is done to the fields of frames.
    pub yadif: Option<Yadif>,
    /// The rate that frames are brought to.
    pub fps: Option<Fps>,
    /// Width and height of what leaves them, where that is known.
    pub size: Option<(u32, u32)>,
    /// They name the format of pixels that is wanted.
    pub names_format: bool,
}

impl Filters {
    /// What concerns more than one frame, in the words of `divienenc`'s property `filter`, each with ` ! ` behind it.
    #[must_use]
    pub fn of_several_frames(&self) -> String {
        let parity = |yadif: &Yadif| match yadif.top_first {
            None => "auto",
            Some(true) => "tff",
            Some(false) => "bff",
        };
        let deint = |yadif: &Yadif| if yadif.marked_alone { "interlaced" } else { "all" };
        let yadif = self.yadif.map(|y| format!("yadif parity={} deint={} ! ", parity(&y), deint(&y)));
        let fps = self.fps.map(|fps| {
            let (n, d) = fps.rate();
            let length = fps.length().map(|length| format!(" length={length}")).unwrap_or_default();
            format!("fps rate={n}/{d} origin={}{length} ! ", fps.origin())
        });
        yadif.unwrap_or_default() + &fps.unwrap_or_default()
    }

    /// What chunks need for it.
    pub(super) fn needs(&self) -> Needs {
        Needs::around(usize::from(self.yadif.is_some()), self.fps)
    }
}

/// Decides on them. `noted` says whether the container tells players how to turn pictures.
pub(super) fn decide(job: &Job, facts: &Facts, stream: &Stream, container: Container) -> Result<Filters, Error> {
    let upright = stream.orientation == Orientation::default();
    // Filters see pictures as they are shown.
    let sees = |filter: &Filter| !matches!(filter, Filter::Yadif(_) | Filter::Fps(_) | Filter::Format(_));
    let noted = container.notes_rotation() && !stream.orientation.flipped && !job.filters.iter().any(sees);
    let turn = if upright || noted { None } else { stream.orientation.flip_method() };
    let form = form(stream).map(|form| if turns_over(turn) { form.turned() } else { form });
    let Some(form) = form else {
        if job.filters.is_empty() {
            return Ok(Filters { turn, ..Filters::default() });
        }
        return Err(Error::Plan {
            what: "the size of the pictures is not known before they are decoded, and filters have to know it".into(),
            hint: "ffmpeg -i IN -c copy OUT.mkv writes it down, where it is known at all".into(),
        });
    };
    let resolved = filter::resolve(&job.filters, form).map_err(|e| Error::Plan {
        what: format!("-vf: {e}"),
        hint: "divien -h docs tells what each filter takes".into(),
    })?;
    if resolved.yadif.is_some() {
        may_deinterlace(pictures(stream))?;
    }
    let range = window(job)?;
    if resolved.fps.is_some() && range.frames.is_some() {
        return Err(Error::Plan {
            what: "-frames:v counts frames as they come, before fps or -r leaves out and repeats some".into(),
            hint: "say with -t how long the output is to be".into(),
        });
    }
    Ok(Filters {
        turn,
        elements: resolved.elements,
        yadif: resolved.yadif,
        fps: resolved.fps.map(|fps| {
            // Behind a start the first frame may come at a later tick, and ffmpeg counts from there.
            let length = range.end.filter(|_| range.start == 0);
            fps.from(origin(facts, &range)).lasting(length)
        }),
        size: Some(resolved.form.size),
        names_format: resolved.names_format,
    })
}

/// An error if yadif cannot take pictures of these caps.
pub(crate) fn may_deinterlace(caps: &gst::CapsRef) -> Result<(), Error> {
    match raw(caps).filter(|info| !gstdivien::lane::Yadif::takes(info)) {
        None => Ok(()),
        Some(info) => Err(Error::Plan {
            what: format!("-vf: yadif takes planar pictures of 8 to 16 bit, and these are {}", info.format()),
            hint: "leave yadif out, or make the input planar first (ffmpeg -pix_fmt yuv444p)".into(),
        }),
    }
}

/// The size of the pictures that reach the encoder, where it is known.
#[must_use]
pub fn size(job: &Job, facts: &Facts) -> Option<(u32, u32)> {
    let stream = facts.video().and_then(|i| facts.streams.get(i))?;
    let filters = super::container(job).and_then(|container| decide(job, facts, stream, container));
    filters.ok().and_then(|filters| filters.size).or_else(|| stream.size())
}

/// Where the output's time begins.
fn origin(facts: &Facts, range: &Window) -> i64 {
    facts.first().saturating_add(i64::try_from(range.start).unwrap_or(i64::MAX))
}

/// The caps of its pictures once they are decoded, where those are known before the run; else those of its packets.
fn pictures(stream: &Stream) -> &gst::Caps {
    match &stream.cutting {
        Cutting::Apart(units) => &units.pictures,
        _ => &stream.caps,
    }
}

/// What raw pictures of these caps are; `None` for coded ones.
fn raw(caps: &gst::CapsRef) -> Option<gst_video::VideoInfo> {
    let info = gst_video::VideoInfo::from_caps(caps).ok();
    info.filter(|info| info.format() != gst_video::VideoFormat::Encoded)
}

fn form(stream: &Stream) -> Option<Form> {
    let pictures = pictures(stream);
    let caps = pictures.structure(0)?;
    let side = |name| caps.get::<i32>(name).ok().and_then(|v| u32::try_from(v).ok()).filter(|side| *side > 0);
    let aspect = caps.get::<gst::Fraction>("pixel-aspect-ratio").ok();
    let aspect = aspect.and_then(|a| Some((u32::try_from(a.numer()).ok()?, u32::try_from(a.denom()).ok()?)));
    let by_name = || match caps.get::<&str>("chroma-format").ok()? {
        "4:2:0" => Some((2, 2)),
        "4:2:2" => Some((2, 1)),
        "4:4:4" => Some((1, 1)),
        _ => None,
    };
    let raw = raw(pictures);
    let of_format = raw.as_ref().map(|info| filter::chroma(&info.format_info()));
    // Decoders do not hand on what the stream says of colours they do not know; RGB has no other range.
    let is_full = |caps: &gst::Caps| {
        let told = caps.structure(0).and_then(|s| s.get::<&str>("colorimetry").ok()?.parse().ok());
        told.is_some_and(|told: gst_video::VideoColorimetry| told.range() == gst_video::VideoColorRange::Range0_255)
    };
    let is_rgb = raw.as_ref().is_some_and(|info| info.format_info().is_rgb());
    let is_full_range = !is_rgb && [&stream.caps, pictures].into_iter().any(is_full);
    let depth = raw.as_ref().and_then(|info| info.format_info().depth().first().copied());
    let depth = depth.or_else(|| caps.get::<u32>("bit-depth-luma").ok());
    Some(Form {
        size: (side("width")?, side("height")?),
        aspect: aspect.filter(|(n, d)| *n > 0 && *d > 0).unwrap_or((1, 1)),
        chroma: of_format.or_else(by_name),
        is_deep: depth.is_some_and(|depth| depth > 8),
        is_full_range,
    })
}

/// True where rows become columns.
fn turns_over(turn: Option<&str>) -> bool {
    turn.is_some_and(|turn| !["rotate-180", "horizontal-flip", "vertical-flip"].contains(&turn))
}
