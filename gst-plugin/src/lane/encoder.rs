//! The only way an encoder is named: a factory and its properties, checked against the element itself.

use glib::prelude::*;
use gst::prelude::*;
use thiserror::Error;

use super::known::{Ending, KNOWN, Known, OptionString, Restart, Threads, UNJOINABLE, UNKNOWN};

/// Why an encoder cannot be used as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum SpecError {
    #[error("no encoder is named; write encoder=\"x264enc speed-preset=slow\", for example")]
    Empty,
    #[error("the quotes in '{0}' do not match")]
    Quotes(String),
    #[error("'{0}' is no property: write name=value")]
    NoValue(String),
    #[error("there is no element '{name}'{}; gst-inspect-1.0 lists what is installed", near(.nearest))]
    NoFactory { name: String, nearest: Vec<String> },
    #[error("'{0}' is no video encoder: its class is {1}")]
    NotAnEncoder(String, String),
    #[error("{0} cannot encode in chunks: {1}")]
    Unjoinable(String, String),
    #[error("{0} cannot be used: GStreamer has no caps for what it makes, so nothing could take it")]
    Unnamed(String),
    #[error("{factory} has no property '{name}'{}; gst-inspect-1.0 {factory} lists them", near(.nearest))]
    NoProperty { factory: String, name: String, nearest: Vec<String> },
    #[error("{factory} {name}={value}: {why}")]
    Refused { factory: String, name: String, value: String, why: String },
    #[error("{factory} {name}={value}: expected {expected}")]
    Value { factory: String, name: String, value: String, expected: String },
    #[error("{factory} {property}: key '{key}' is not allowed{}: it is unknown, or names a file", near(.nearest))]
    OptionKey { factory: String, property: String, key: String, nearest: Vec<String> },
    #[error("{factory} always uses {threads} thread(s), threads={asked} cannot be had")]
    Threads { factory: String, threads: u32, asked: u32 },
    #[error(
        "{0} does not begin anew where it is told to, so it can be given no frames before a chunk: the lead-in has to be 0"
    )]
    NoLeadIn(String),
    #[error("{0} could not be made: {1}")]
    Build(String, String),
    #[error("the filter has nothing between two '!'")]
    NoFilter,
    #[error("yadif stands first: it reads the fields of frames as they were decoded")]
    NotFirst,
    #[error("fps stands once in a filter")]
    Twice,
    #[error("'{0}' are no caps")]
    NotCaps(String),
    #[error(
        "'{name}' cannot filter chunks, as only elements can that make each frame from one frame; filter takes caps and {takes}"
    )]
    NotPerFrame { name: String, takes: String },
}

fn near(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", did you mean {}?", names.join(" or ")) }
}

/// The names of `all` that look most like `name`, at most three.
pub(super) fn nearest<'a>(name: &str, all: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<_> = all
        .into_iter()
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// An encoder with its properties, each of them checked.
#[derive(Debug, Clone)]
pub struct EncoderSpec {
    factory: gst::ElementFactory,
    ending: Ending,
    restart: Restart,
    /// Name and value as text, already checked.
    properties: Vec<(String, String)>,
    /// What it was read from.
    source: (String, u32),
}

impl EncoderSpec {
    /// Reads `x264enc speed-preset=slow option-string="aq-mode=2"`: a factory, then properties, quoted as in a shell.
    ///
    /// `threads` is for this one encoder; 0 is its constant default, which never follows the machine's cores.
    pub fn parse(text: &str, threads: u32) -> Result<Self, SpecError> {
        let words = shell_words::split(text).map_err(|_| SpecError::Quotes(text.into()))?;
        let (name, settings) = words.split_first().ok_or(SpecError::Empty)?;
        let factory = encoder_factory(name)?;
        let known = KNOWN.iter().find(|k| k.factory == name).unwrap_or(&UNKNOWN);
        let element = factory.create().build().map_err(|e| SpecError::Build(name.clone(), e.to_string()))?;
        let checker = Checker { element: &element, factory: name, known };

        let mut properties = Vec::new();
        let mut options = Vec::new();
        for (name, value) in known.defaults {
            properties.push(checker.property(name, value)?);
        }
        for setting in settings {
            let (key, value) = setting.split_once('=').ok_or_else(|| SpecError::NoValue(setting.clone()))?;
            match &known.options {
                Some(o) if o.property == key => options.extend(checker.options(o, value)?),
                _ => properties.push(checker.property(key, value)?),
            }
        }
        let count = if threads == 0 { known.default_threads } else { threads };
        match (known.threads, threads) {
            (Threads::Property(name), _) => properties.push(checker.value(name, &count.to_string())?),
            (Threads::X265, _) => {
                options.push(("pools".into(), count.to_string()));
                options.push(("frame-threads".into(), "1".into()));
            }
            (Threads::Always(own), asked) if asked != 0 && asked != own => {
                return Err(SpecError::Threads { factory: name.clone(), threads: own.max(1), asked });
            }
            (Threads::Always(_), _) => {}
        }
        if let Some(o) = &known.options {
            options.extend(o.forced.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())));
            let text = options.iter().map(|(k, v)| if v.is_empty() { k.clone() } else { format!("{k}={v}") });
            properties.push(checker.value(o.property, &text.collect::<Vec<_>>().join(":"))?);
        }
        let (ending, restart) = (known.ending, known.restart);
        Ok(Self { factory, ending, restart, properties, source: (text.to_owned(), threads) })
    }

    /// The text and the threads that it was read from.
    pub fn source(&self) -> (&str, u32) {
        (&self.source.0, self.source.1)
    }

    /// A property that was set, as text.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// So many frames go before each chunk of `chunk_frames`: as many as were `asked` for, else as many as are worth it.
    ///
    /// # Errors
    /// It cannot be given any.
    pub fn lead_in(&self, asked: Option<u32>, chunk_frames: u32) -> Result<u32, SpecError> {
        match (asked, self.restart) {
            (Some(0), _) | (None, Restart::No) => Ok(0),
            (Some(_), Restart::No) => Err(SpecError::NoLeadIn(self.factory.name().to_string())),
            (Some(frames), Restart::Exact) => Ok(frames),
            // It would make the same of the chunk.
            (None, Restart::Exact) if self.has_one_quantizer() => Ok(0),
            // The encoder's time for one frame of fifty.
            (None, Restart::Exact) => Ok(chunk_frames / 50),
        }
    }

    /// Nothing that it makes depends on the frames it has had: it has no rate control.
    fn has_one_quantizer(&self) -> bool {
        let is = |name: &str, values: &[&str]| self.property(name).is_some_and(|value| values.contains(&value));
        let mut options = self.property("option-string").unwrap_or_default().split(':');
        match self.factory.name().as_str() {
            "x264enc" => is("pass", &["quant", "4"]) || options.any(|option| option.starts_with("qp=")),
            "x265enc" => {
                let is_set = self.property("qp").is_some_and(|qp| !qp.starts_with('-'));
                is_set
                    || options.any(|option| option.starts_with("qp=") || option == "lossless" || option == "lossless=1")
            }
            "openh264enc" => is("rate-control", &["off", "-1"]),
            _ => false,
        }
    }

    /// What it does when it is told that there are no more frames.
    pub(super) fn ending(&self) -> Ending {
        self.ending
    }

    /// The factory's name.
    pub fn factory_name(&self) -> glib::GString {
        self.factory.name()
    }

    /// What the encoder can give, before anything is known of its input.
    pub fn output_caps(&self) -> gst::Caps {
        let templates = self.factory.static_pad_templates();
        templates.iter().find(|t| t.direction() == gst::PadDirection::Src).map_or_else(gst::Caps::new_any, |t| t.caps())
    }

    /// A new encoder with these properties.
    pub fn build(&self) -> Result<gst::Element, SpecError> {
        let failed = |e: glib::BoolError| SpecError::Build(self.factory.name().to_string(), e.to_string());
        let element = self.factory.create().build().map_err(failed)?;
        for (name, text) in &self.properties {
            let value = element.find_property(name).and_then(|spec| parse_value(&spec, text).ok());
            let value =
                value.ok_or_else(|| SpecError::Build(self.factory.name().to_string(), format!("{name}={text}")))?;
            element.set_property_from_value(name, &value);
        }
        Ok(element)
    }
}

fn encoder_factory(name: &str) -> Result<gst::ElementFactory, SpecError> {
    if let Some((_, why)) = UNJOINABLE.iter().find(|(n, _)| *n == name) {
        return Err(SpecError::Unjoinable(name.into(), (*why).into()));
    }
    let encoders = || gst::ElementFactory::factories_with_type(gst::ElementFactoryType::VIDEO_ENCODER, gst::Rank::NONE);
    let Some(factory) = gst::ElementFactory::find(name) else {
        let names: Vec<_> = encoders().iter().map(|f| f.name()).collect();
        return Err(SpecError::NoFactory {
            name: name.into(),
            nearest: nearest(name, names.iter().map(|n| n.as_str())),
        });
    };
    let class = factory.metadata("klass").unwrap_or_default();
    let words: Vec<_> = class.split('/').collect();
    let is_encoder = words.contains(&"Encoder") && (words.contains(&"Video") || words.contains(&"Image"));
    if !is_encoder || words.contains(&"Bin") {
        return Err(SpecError::NotAnEncoder(name.into(), class.to_owned()));
    }
    let mut templates = factory.static_pad_templates().into_iter().filter(|t| t.direction() == gst::PadDirection::Src);
    if templates.any(|t| t.caps().structure(0).is_some_and(|s| s.name() == "unknown/unknown")) {
        return Err(SpecError::Unnamed(name.into()));
    }
    Ok(factory)
}

/// The keys that the option string of an encoding element may have; none where it has no option string.
pub fn option_keys(factory: &str) -> &'static [&'static str] {
    let known = KNOWN.iter().find(|known| known.factory == factory);
    known.and_then(|known| known.options.as_ref()).map_or(&[], |options| options.allowed)
}

/// Properties of every element that say nothing of the encode.
const NOT_THE_ENCODE: &[&str] = &["name", "parent", "qos", "min-force-key-unit-interval"];

struct Checker<'a> {
    element: &'a gst::Element,
    factory: &'a str,
    known: &'a Known,
}

impl Checker<'_> {
    /// A property as the user gave it.
    fn property(&self, name: &str, value: &str) -> Result<(String, String), SpecError> {
        if matches!(self.known.threads, Threads::Property(own) if own == name) {
            return Err(self.refused(name, value, "set threads on divienenc (divien: -threads)"));
        }
        if let Some(r) = self.known.refused.iter().find(|r| r.property == name)
            && !r.unless.contains(&value)
        {
            return Err(self.refused(name, value, r.why));
        }
        if NOT_THE_ENCODE.contains(&name) {
            return Err(self.refused(name, value, "it is divienenc's to set"));
        }
        if let Some(spec) = self.element.find_property(name)
            && spec.value_type() == glib::Type::STRING
            && !(name == "vendor" && value.len() == 4 && value.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            return Err(self.refused(name, value, "a text property may name a file, so only known ones are allowed"));
        }
        self.value(name, value)
    }

    /// A property's value, of the right type and in range.
    fn value(&self, name: &str, value: &str) -> Result<(String, String), SpecError> {
        let Some(spec) = self.element.find_property(name) else {
            let all = self.element.list_properties();
            return Err(SpecError::NoProperty {
                factory: self.factory.into(),
                name: name.into(),
                nearest: nearest(name, all.iter().map(|p| p.name())),
            });
        };
        if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
            return Err(self.refused(name, value, "it can only be read"));
        }
        parse_value(&spec, value).map(|_| (name.to_owned(), value.to_owned())).map_err(|expected| SpecError::Value {
            factory: self.factory.into(),
            name: name.into(),
            value: value.into(),
            expected,
        })
    }

    fn options(&self, options: &OptionString, text: &str) -> Result<Vec<(String, String)>, SpecError> {
        let mut all = Vec::new();
        for option in text.split(':').filter(|o| !o.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let plain = key.replace('_', "-");
            let plain = plain.strip_prefix("no-").unwrap_or(&plain);
            if options.forced.iter().any(|(forced, _)| *forced == plain) {
                return Err(self.refused(options.property, option, "joining the chunks needs its own value of it"));
            }
            if !options.allowed.contains(&plain) {
                return Err(SpecError::OptionKey {
                    factory: self.factory.into(),
                    property: options.property.into(),
                    key: key.into(),
                    nearest: nearest(plain, options.allowed.iter().copied()),
                });
            }
            let (names_a_file, words) = options.words;
            if plain == names_a_file && !words.contains(&value) {
                let why = format!("it is {} here; other values name a file to read", words.join(" or "));
                return Err(self.refused(options.property, option, &why));
            }
            all.push((key.to_owned(), value.to_owned()));
        }
        Ok(all)
    }

    fn refused(&self, name: &str, value: &str, why: &str) -> SpecError {
        SpecError::Refused { factory: self.factory.into(), name: name.into(), value: value.into(), why: why.into() }
    }
}

/// A property's value from text, or what was expected instead.
pub(super) fn parse_value(spec: &glib::ParamSpec, text: &str) -> Result<glib::Value, String> {
    let type_ = spec.value_type();
    if type_ == glib::Type::STRING {
        return Ok(text.to_value());
    }
    let parsed = glib::Value::deserialize_with_pspec(text, spec).ok();
    macro_rules! number {
        ($($spec:ty: $value:ty),*) => {$(
            if let Some(spec) = spec.downcast_ref::<$spec>() {
                let (low, high) = (spec.minimum(), spec.maximum());
                let expected = format!("a number from {low} to {high}");
                let in_range = |v: &glib::Value| v.get::<$value>().is_ok_and(|v| (low..=high).contains(&v));
                return parsed.filter(in_range).ok_or(expected);
            }
        )*};
    }
    number!(
        glib::ParamSpecInt: i32, glib::ParamSpecUInt: u32, glib::ParamSpecInt64: i64, glib::ParamSpecUInt64: u64,
        glib::ParamSpecFloat: f32, glib::ParamSpecDouble: f64
    );
    parsed.ok_or_else(|| {
        if let Some(class) = glib::EnumClass::with_type(type_) {
            one_of("one of", class.values().iter().map(|v| v.nick()))
        } else if let Some(class) = glib::FlagsClass::with_type(type_) {
            one_of("any of, joined by +,", class.values().iter().map(|v| v.nick()))
        } else if type_ == glib::Type::BOOL {
            "true or false".into()
        } else {
            format!("a {type_}")
        }
    })
}

fn one_of<'a>(how: &str, nicks: impl Iterator<Item = &'a str>) -> String {
    format!("{how} {}", nicks.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EncoderSpec, SpecError> {
        gst::init().unwrap();
        EncoderSpec::parse(text, 0)
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    fn string_of(text: &str, property: &str) -> String {
        parse(text).unwrap().build().unwrap().property::<String>(property)
    }

    #[test]
    fn properties_reach_the_element_and_joining_adds_its_own() {
        let element = parse("x264enc speed-preset=slow quantizer=23 option-string='aq-mode=2:no-mbtree'").unwrap();
        let element = element.build().unwrap();
        assert_eq!(element.property::<u32>("quantizer"), 23);
        assert_eq!(element.property::<u32>("threads"), 1);
        assert_eq!(element.property::<String>("option-string"), "aq-mode=2:no-mbtree:stitchable=1");
        assert!(string_of("x265enc", "option-string").contains("const-vbv=1"));
    }

    #[test]
    fn mistakes_name_what_is_near_and_what_is_allowed() {
        assert!(error("x246enc").contains("did you mean x264enc"));
        assert!(error("x264enc speed-presset=slow").contains("did you mean speed-preset"));
        assert!(error("x264enc quantizer=99").contains("a number from 0 to 50"));
        assert!(error("x264enc speed-preset=slowest").contains("one of None, ultrafast"));
        assert!(error("x264enc cabac=maybe").contains("true or false"));
        assert!(error("x264enc option-string=aq-mod=2").contains("did you mean aq-mode"));
        assert!(error("").contains("no encoder is named"));
        assert!(error("x264enc slow").contains("name=value"));
        assert!(error("avenc_hap").contains("no caps"));
        assert!(error("x264enc option-string='a").contains("quotes"));
    }

    #[test]
    fn no_property_and_no_key_reaches_a_file() {
        for text in [
            "x264enc option-string=dump-yuv=/tmp/x",
            "x264enc option-string=stats=/tmp/x",
            "x264enc option-string=cqmfile=/tmp/x",
            "x264enc option-string=qpfile=/tmp/x",
            "x264enc option-string=opencl-clbin=/tmp/x",
            "x264enc option-string=cqm=/tmp/x",
            "x264enc option-string=aq-mode=2:dump_yuv=/tmp/x",
            "x264enc multipass-cache-file=/tmp/x",
            "x264enc pass=pass1",
            "x265enc option-string=csv=/tmp/x",
            "x265enc option-string=analysis-save=/tmp/x",
            "x265enc option-string=analysis-load=/tmp/x",
            "x265enc option-string=zonefile=/tmp/x",
            "x265enc option-string=qpfile=/tmp/x",
            "x265enc option-string=recon=/tmp/x",
            "x265enc option-string=lambda-file=/tmp/x",
            "x265enc option-string=stats=/tmp/x",
            "x265enc option-string=scaling-list=/tmp/x",
            "vp9enc multipass-mode=first-pass",
            "theoraenc multipass-cache-file=/tmp/x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_joining_needs_cannot_be_turned_off() {
        assert!(error("x264enc option-string=stitchable=0").contains("joining"));
        assert!(error("x265enc option-string=open-gop=1").contains("joining"));
        assert!(error("x265enc option-string=no-const-vbv").contains("joining"));
        assert!(error("x264enc threads=4").contains("threads on divienenc"));
    }

    #[test]
    fn no_encoder_may_drop_a_frame_or_need_a_pass_over_the_whole_file() {
        for text in [
            "vp8enc dropframe-threshold=30",
            "vp9enc dropframe-threshold=30",
            "av1enc drop-frame=30",
            "openh264enc enable-frame-skip=true",
            "theoraenc drop-frames=true",
        ] {
            assert!(error(text).contains("drop frames"), "{text}");
        }
        for text in ["x264enc pass=pass1", "vp8enc multipass-mode=first-pass", "theoraenc multipass-mode=first-pass"] {
            assert!(error(text).contains("a pass over the whole file"), "{text}");
        }
        // Its own default is to drop.
        assert!(!parse("theoraenc").unwrap().build().unwrap().property::<bool>("drop-frames"));
    }

    #[test]
    fn lead_in_is_for_those_that_begin_anew() {
        let lead_in = |text: &str, asked| parse(text).unwrap().lead_in(asked, 250);
        assert_eq!(lead_in("x264enc", None), Ok(5));
        assert_eq!(lead_in("x264enc", Some(0)), Ok(0));
        assert_eq!(lead_in("vp9enc", Some(12)), Ok(12));
        for fixed in ["x264enc pass=quant quantizer=20", "x265enc qp=30", "x265enc option-string=lossless=1"] {
            assert_eq!((lead_in(fixed, None), lead_in(fixed, Some(3))), (Ok(0), Ok(3)), "{fixed}");
        }
        assert_eq!((lead_in("av1enc", None), lead_in("av1enc", Some(0))), (Ok(0), Ok(0)));
        assert!(lead_in("av1enc", Some(1)).is_err_and(|e| e.to_string().contains("has to be 0")));
    }

    #[test]
    fn no_look_ahead_that_aborts_the_process_is_taken() {
        assert!(error("av1enc end-usage=q lag-in-frames=19").contains("at most 18"));
        assert!(parse("av1enc end-usage=q lag-in-frames=18").is_ok());
    }

    #[test]
    fn only_video_encoders_whose_chunks_join_are_taken() {
        assert!(error("y4menc").contains("file header"));
        assert!(error("lamemp3enc").contains("no video encoder"));
        assert!(error("fakesink").contains("no video encoder"));
        assert!(error("encodebin").contains("no video encoder"));
    }
}
