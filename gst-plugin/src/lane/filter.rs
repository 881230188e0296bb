//! What is done to each frame between decoder and encoder, checked as the encoder is.

use gst::prelude::*;

use super::encoder::{EncoderSpec, SpecError, nearest, parse_value};
use super::yadif::{Yadif, whole};
use crate::chunk::{Fps, Needs};

/// Elements that make each frame from one frame, whatever came before it: chunks need no frame of their neighbours.
const PER_FRAME: &[&str] =
    &["gamma", "videobalance", "videobox", "videoconvert", "videoconvertscale", "videocrop", "videoflip", "videoscale"];
/// Those that bring frames into the form the next element takes.
const CONVERTERS: &[&str] = &["videoconvert", "videoconvertscale"];

#[derive(Debug, Clone)]
enum Stage {
    Element { factory: gst::ElementFactory, properties: Vec<(String, String)> },
    Caps(gst::Caps),
}

/// Elements in a row, each of them checked. What concerns more than one frame is done before them.
#[derive(Debug, Clone, Default)]
pub struct FilterSpec {
    yadif: Option<Yadif>,
    fps: Option<Fps>,
    stages: Vec<Stage>,
    /// What it was read from.
    source: String,
}

impl FilterSpec {
    /// Reads `yadif ! fps rate=25/1 ! videoscale ! video/x-raw,width=640`, as in a launch line; an empty text is no filter.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let words = shell_words::split(text).map_err(|_| SpecError::Quotes(text.into()))?;
        let mut filter = Self { source: text.to_owned(), ..Self::default() };
        if words.is_empty() {
            return Ok(filter);
        }
        for (place, words) in words.split(|word| word == "!").enumerate() {
            match words.split_first() {
                Some((name, _)) if name == "yadif" && place > 0 => return Err(SpecError::NotFirst),
                Some((name, settings)) if name == "yadif" => filter.yadif = Some(yadif(settings)?),
                Some((name, settings)) if name == "fps" => {
                    if filter.fps.replace(fps(settings)?).is_some() {
                        return Err(SpecError::Twice);
                    }
                }
                _ => filter.stages.push(stage(words)?),
            }
        }
        Ok(filter)
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True where frames stay as they are.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.yadif.is_none() && self.fps.is_none()
    }

    /// What is done to the fields of frames.
    pub fn yadif(&self) -> Option<Yadif> {
        self.yadif
    }

    /// The rate that frames are brought to.
    pub fn fps(&self) -> Option<Fps> {
        self.fps
    }

    /// True where more is done than to each frame by itself.
    pub fn is_of_several_frames(&self) -> bool {
        self.yadif.is_some() || self.fps.is_some()
    }

    /// What frames of these caps are after what is done to several of them.
    pub(super) fn passed(&self, caps: &gst::CapsRef) -> gst::Caps {
        let mut caps = if self.yadif.is_some() { whole(caps) } else { caps.to_owned() };
        let rate = self.fps.map(Fps::rate).and_then(|(n, d)| Some((i32::try_from(n).ok()?, i32::try_from(d).ok()?)));
        if let Some((n, d)) = rate {
            caps.make_mut().set("framerate", gst::Fraction::new(n, d));
        }
        caps
    }

    /// What a chunk needs beside its own frames.
    pub fn needs(&self) -> Needs {
        Needs::around(usize::from(self.yadif.is_some()), self.fps)
    }

    /// True where one of the elements brings frames into the form the encoder takes.
    fn converts(&self) -> bool {
        let converts = |stage: &Stage| matches!(stage, Stage::Element { factory, .. } if CONVERTERS.contains(&factory.name().as_str()));
        self.stages.iter().any(converts)
    }

    /// The caps of decoded frames when they reach the encoder; `raw` are those of the decoder. `None` where they cannot.
    pub fn leads(&self, encoder: &EncoderSpec, raw: &gst::Caps) -> Result<Option<gst::Caps>, SpecError> {
        let encoder = encoder.build()?;
        let taken = encoder.static_pad("sink").map(|pad| pad.query_caps(None));
        let end = made("capsfilter")?;
        end.set_property("caps", taken.unwrap_or_else(gst::Caps::new_any));
        let mut chain = self.build(true)?;
        chain.extend([end.clone(), made("fakesink")?]);
        let failed = |e: glib::BoolError| SpecError::Build("the filter".into(), e.to_string());
        let bin = gst::Bin::new();
        bin.add_many(&chain).and_then(|()| gst::Element::link_many(&chain)).map_err(failed)?;
        let state = bin.set_state(gst::State::Paused);
        if let (Ok(_), Some(entry)) = (state, chain.first().and_then(|first| first.static_pad("sink"))) {
            entry.send_event(gst::event::StreamStart::new("frames"));
            entry.send_event(gst::event::Caps::new(&self.passed(raw)));
        }
        let caps = end.static_pad("src").and_then(|pad| pad.current_caps());
        // Always succeeds on the way down.
        let _ = bin.set_state(gst::State::Null);
        Ok(caps)
    }

    /// New elements, in their order: just those that are named.
    pub fn elements(&self) -> Result<Vec<gst::Element>, SpecError> {
        self.stages.iter().map(Stage::build).collect()
    }

    /// New elements, in their order. Frames that were `decoded`, or filtered, are converted where the encoder needs it.
    pub(crate) fn build(&self, decoded: bool) -> Result<Vec<gst::Element>, SpecError> {
        let mut elements = self.elements()?;
        if (decoded || !self.stages.is_empty()) && !self.converts() {
            elements.push(made("videoconvert")?);
        }
        Ok(elements)
    }
}

fn made(factory: &str) -> Result<gst::Element, SpecError> {
    let failed = |e: glib::BoolError| SpecError::Build(factory.to_owned(), e.to_string());
    gst::ElementFactory::make(factory).build().map_err(failed)
}

fn wrong(factory: &str, (name, value): (&str, &str), expected: String) -> SpecError {
    SpecError::Value { factory: factory.into(), name: name.into(), value: value.into(), expected }
}

/// The settings of one of our own filters: a value for each name, of those it has.
fn settings<'a>(factory: &str, settings: &'a [String], names: &[&str]) -> Result<Vec<(&'a str, &'a str)>, SpecError> {
    let one = |setting: &'a String| {
        let (name, value) = setting.split_once('=').ok_or_else(|| SpecError::NoValue(setting.clone()))?;
        if names.contains(&name) {
            return Ok((name, value));
        }
        let nearest = names.iter().map(|name| (*name).to_owned()).collect();
        Err(SpecError::NoProperty { factory: factory.into(), name: name.into(), nearest })
    };
    settings.iter().map(one).collect()
}

fn yadif(words: &[String]) -> Result<Yadif, SpecError> {
    let mut yadif = Yadif::default();
    for (name, value) in settings("yadif", words, &["parity", "deint"])? {
        let expected = |expected: &str| wrong("yadif", (name, value), expected.into());
        match (name, value) {
            ("parity", "auto") => yadif.top_first = None,
            ("parity", "tff") => yadif.top_first = Some(true),
            ("parity", "bff") => yadif.top_first = Some(false),
            ("parity", _) => return Err(expected("auto, tff or bff")),
            (_, "all") => yadif.marked_alone = false,
            (_, "interlaced") => yadif.marked_alone = true,
            _ => return Err(expected("all or interlaced")),
        }
    }
    Ok(yadif)
}

fn fps(words: &[String]) -> Result<Fps, SpecError> {
    let (mut rate, mut origin, mut length) = (None, 0, None);
    for (name, value) in settings("fps", words, &["rate", "origin", "length"])? {
        let expected = |expected: &str| wrong("fps", (name, value), expected.into());
        match name {
            "origin" => origin = value.parse().map_err(|_| expected("nanoseconds of running time"))?,
            "length" => length = Some(value.parse().map_err(|_| expected("nanoseconds"))?),
            _ => {
                let (n, d) = value.split_once('/').unwrap_or((value, "1"));
                let fps = n.parse().ok().zip(d.parse().ok()).and_then(|(n, d)| Fps::new(n, d));
                rate = Some(fps.ok_or_else(|| expected("frames a second, as 25 or 30000/1001"))?);
            }
        }
    }
    let rate = rate.ok_or_else(|| SpecError::NoValue("fps".into()))?;
    Ok(rate.from(origin).lasting(length))
}

fn stage(words: &[String]) -> Result<Stage, SpecError> {
    let Some((name, settings)) = words.split_first() else { return Err(SpecError::NoFilter) };
    if name.contains('/') {
        let text = words.join(" ");
        return text.parse().map(Stage::Caps).map_err(|_| SpecError::NotCaps(text));
    }
    if !PER_FRAME.contains(&name.as_str()) {
        let takes = ["yadif", "fps"].iter().chain(PER_FRAME).copied().collect::<Vec<_>>().join(", ");
        return Err(SpecError::NotPerFrame { name: name.clone(), takes });
    }
    let element = made(name)?;
    let factory = element.factory().ok_or_else(|| SpecError::Build(name.clone(), "it has no factory".into()))?;
    let properties = settings.iter().map(|setting| property(&element, name, setting)).collect::<Result<_, _>>()?;
    Ok(Stage::Element { factory, properties })
}

fn property(element: &gst::Element, factory: &str, setting: &str) -> Result<(String, String), SpecError> {
    let (name, value) = setting.split_once('=').ok_or_else(|| SpecError::NoValue(setting.to_owned()))?;
    let own = element.list_properties();
    let is_own = |spec: &&glib::ParamSpec| {
        spec.flags().contains(glib::ParamFlags::WRITABLE) && !["name", "parent", "qos"].contains(&spec.name())
    };
    let Some(spec) = own.iter().filter(is_own).find(|spec| spec.name() == name) else {
        let names = own.iter().filter(is_own).map(|spec| spec.name());
        return Err(SpecError::NoProperty {
            factory: factory.into(),
            name: name.into(),
            nearest: nearest(name, names),
        });
    };
    // It would follow a tag, which is told once a stream and not to every chunk.
    if factory == "videoflip" && value == "auto" {
        return Err(SpecError::Refused {
            factory: factory.into(),
            name: name.into(),
            value: value.into(),
            why: "name the direction".into(),
        });
    }
    let expected = |expected| wrong(factory, (name, value), expected);
    parse_value(spec, value).map(|_| (name.to_owned(), value.to_owned())).map_err(expected)
}

impl Stage {
    fn build(&self) -> Result<gst::Element, SpecError> {
        match self {
            Self::Caps(caps) => {
                let filter = made("capsfilter")?;
                filter.set_property("caps", caps);
                Ok(filter)
            }
            Self::Element { factory, properties } => {
                let element = made(&factory.name())?;
                for (name, value) in properties {
                    element.set_property_from_str(name, value);
                }
                Ok(element)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(text: &str, decoded: bool) -> Vec<String> {
        gst::init().unwrap();
        let elements = FilterSpec::parse(text).unwrap().build(decoded).unwrap();
        elements.iter().map(|e| e.factory().unwrap().name().to_string()).collect()
    }

    fn error(text: &str) -> String {
        gst::init().unwrap();
        FilterSpec::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn frames_are_converted_where_nothing_else_does_it() {
        assert!(built("", false).is_empty());
        assert_eq!(built("", true), ["videoconvert"]);
        assert_eq!(
            built("videoscale method=lanczos ! video/x-raw, width=64", false),
            ["videoscale", "capsfilter", "videoconvert"]
        );
        assert_eq!(built("videoconvert matrix-mode=none ! videoflip method=1", true), ["videoconvert", "videoflip"]);
    }

    #[test]
    fn the_form_in_which_frames_reach_the_encoder_is_known_before_any_does() {
        gst::init().unwrap();
        let leads = |filter: &str, raw: &str| {
            let encoder = EncoderSpec::parse("x264enc", 0).unwrap();
            let caps = FilterSpec::parse(filter).unwrap().leads(&encoder, &raw.parse().unwrap()).unwrap();
            caps.map(|caps| caps.structure(0).unwrap().to_owned())
        };
        let raw = "video/x-raw,format=RGB,width=64,height=48,framerate=25/1";
        let turned =
            leads("videoconvert ! videoflip video-direction=90r ! video/x-raw,format={I420,Y444}", raw).unwrap();
        assert_eq!((turned.get("width"), turned.get("height")), (Ok(48), Ok(64)));
        assert_eq!(turned.get::<&str>("format"), Ok("Y444"));
        assert_eq!(leads("video/x-raw,width=32", raw), None);
    }

    #[test]
    fn only_what_makes_each_frame_from_one_is_taken() {
        assert!(error("deinterlace").contains("takes caps and yadif, fps"), "{}", error("deinterlace"));
        assert!(error("videoscale ! yadif").contains("first"));
        assert!(error("fps rate=25 ! fps rate=5").contains("once"));
        assert!(error("yadif mode=1").contains("no property 'mode'"));
        assert!(error("yadif deint=no").contains("all or interlaced"));
        assert!(error("fps rate=0").contains("30000/1001"));
        assert!(error("fps").contains("name=value"));
        assert!(error("filesink location=x").contains("videoscale"));
        assert!(error("videoscale ! ! videoscale").contains("nothing"));
        assert!(error("videoscale meth=1").contains("did you mean method"));
        assert!(error("videoscale method=best").contains("one of"));
        assert!(error("videoflip video-direction=auto").contains("name the direction"));
        assert!(error("video/x-raw,width=(").contains("no caps"));
        assert!(error("videoscale name=x").contains("no property"));
    }
}
