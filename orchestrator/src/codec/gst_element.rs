//! GStreamer elements named as such, with their own properties.

use gst::prelude::*;

use super::keys::Standing;
use super::spec::Spec;
use super::x264_keys::{self, X264};
use super::x265_keys::{self, X265};
use super::{Error, Mapped, encoders};
use crate::cli::{VideoArgs, nearest_names};

/// A property that can be set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Property {
    pub(crate) name: String,
    /// Its values, as text.
    pub(crate) range: String,
    pub(crate) default: String,
    pub(crate) help: String,
}

/// Properties that divien sets itself, or that would write files.
const REFUSED: &[(&str, &str)] = &[
    ("threads", "use -threads, which also keeps the output the same on every machine"),
    ("multi-thread", "use -threads, which also keeps the output the same on every machine"),
    ("multipass-cache-file", "it writes a file; rate control over the whole file is a later version's"),
    ("multipass-mode", "rate control over the whole file is a later version's"),
    ("enc-pass", "rate control over the whole file is a later version's"),
    ("name", "divien names its elements"),
    ("parent", "divien builds its own pipelines"),
    ("qos", "every frame is encoded"),
    ("min-force-key-unit-interval", "divien places the key frames at which chunks start"),
];

/// Names of properties for the distance of key frames.
const GOP: &[&str] =
    &["key-int-max", "keyframe-max-dist", "gop-size", "max-keyframe-interval", "keyframe-force", "intra-period-length"];

fn factory(name: &str) -> Option<gst::ElementFactory> {
    gst::init().ok()?;
    gst::ElementFactory::find(name)
}

/// The version of the plugin that the element is from.
pub(super) fn plugin_version(name: &str) -> Option<(u32, u32, u32)> {
    let version = factory(name)?.plugin()?.version();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    Some((parts.next()?, parts.next()?, parts.next().unwrap_or(0)))
}

fn specs(name: &str) -> Vec<glib::ParamSpec> {
    let Some(element) = factory(name).and_then(|f| f.create().build().ok()) else {
        return Vec::new();
    };
    let writable = |p: &glib::ParamSpec| p.flags().contains(glib::ParamFlags::WRITABLE);
    element.list_properties().iter().filter(|p| writable(p)).cloned().collect()
}

/// The properties of an element that can be set from the command line.
pub(crate) fn properties(name: &str) -> Vec<Property> {
    let refused = |p: &glib::ParamSpec| REFUSED.iter().any(|(known, _)| *known == p.name());
    let mut properties: Vec<Property> = specs(name).iter().filter(|p| !refused(p)).map(describe).collect();
    properties.sort_by(|a, b| a.name.cmp(&b.name));
    properties
}

fn describe(spec: &glib::ParamSpec) -> Property {
    let default = spec.default_value();
    let shown = match default.transform::<String>() {
        Ok(text) => text.get::<Option<String>>().ok().flatten().unwrap_or_default(),
        Err(_) => String::new(),
    };
    Property {
        name: spec.name().into(),
        range: range(spec),
        default: shown,
        help: spec.blurb().unwrap_or_default().into(),
    }
}

fn range(spec: &glib::ParamSpec) -> String {
    macro_rules! numeric {
        ($($kind:ty),*) => { $( if let Some(s) = spec.downcast_ref::<$kind>() { return format!("{} to {}", s.minimum(), s.maximum()); } )* };
    }
    numeric!(
        glib::ParamSpecInt,
        glib::ParamSpecUInt,
        glib::ParamSpecInt64,
        glib::ParamSpecUInt64,
        glib::ParamSpecFloat,
        glib::ParamSpecDouble
    );
    if spec.downcast_ref::<glib::ParamSpecBoolean>().is_some() {
        return "true or false".into();
    }
    if let Some(enumeration) = glib::EnumClass::with_type(spec.value_type()) {
        return enumeration.values().iter().map(|v| v.nick().to_owned()).collect::<Vec<_>>().join(", ");
    }
    if let Some(flags) = glib::FlagsClass::with_type(spec.value_type()) {
        return flags.values().iter().map(|v| v.nick().to_owned()).collect::<Vec<_>>().join("+");
    }
    spec.value_type().name().to_owned()
}

/// The formats of the element's sink pads, without any special memory; empty where they are not listed.
pub(super) fn sink_formats(name: &str) -> Vec<String> {
    let Some(factory) = factory(name) else {
        return Vec::new();
    };
    let mut formats = Vec::new();
    for template in factory.static_pad_templates().iter().filter(|t| t.direction() == gst::PadDirection::Sink) {
        for structure in template.caps().iter().filter(|s| s.name() == "video/x-raw") {
            if let Ok(one) = structure.get::<String>("format") {
                formats.push(one);
            } else if let Ok(list) = structure.get::<gst::List>("format") {
                formats.extend(list.iter().filter_map(|v| v.get::<String>().ok()));
            }
        }
    }
    formats
}

/// Whether the element has the property; of an element that is not there anything is believed, so that
/// the error is about the element.
pub(super) fn accepts(encoder: &str, name: &str) -> bool {
    factory(encoder).is_none() || specs(encoder).iter().any(|p| p.name() == name)
}

pub(super) fn map(video: &VideoArgs) -> Result<Mapped, Error> {
    let name = video.encoder.as_str();
    let factory = factory(name).ok_or_else(|| encoders::unknown(name))?;
    let class = factory.metadata("klass").unwrap_or_default().to_owned();
    let parts: Vec<&str> = class.split('/').collect();
    if !(parts.contains(&"Encoder") && (parts.contains(&"Video") || parts.contains(&"Image"))) {
        return Err(Error::NotAnEncoder { name: name.into(), class });
    }
    let known = specs(name);
    let mut mapped = Mapped::new(Spec::new(name));
    for (option, text) in &video.options {
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| refused == option) {
            return Err(Error::Refused { encoder: name.into(), what: format!("-{option}"), reason: (*reason).into() });
        }
        let spec = known.iter().find(|p| p.name() == option).ok_or_else(|| Error::UnknownOption {
            encoder: name.into(),
            name: option.clone(),
            near: nearest_names(option, known.iter().map(|p| p.name())),
        })?;
        check(name, spec, text)?;
        refuse_files(name, option, text)?;
        if option.starts_with("vbv-") || (option == "option-string" && text.contains("vbv-")) {
            mapped.notes.push(format!("-{option}: every chunk keeps to the buffer by itself; joined they may not"));
        }
        if GOP.contains(&option.as_str()) {
            mapped.gop = text.parse().ok().filter(|n| *n > 0);
        }
        mapped.spec.set(option, text);
    }
    Ok(mapped)
}

/// The buffer model's keys, which an element's own name makes plain are for one encoder, which sees one chunk.
const BUFFER: [&str; 3] = ["vbv-maxrate", "vbv-bufsize", "vbv-init"];

/// Values by which a harmless property writes files, or takes over what divien sets.
fn refuse_files(encoder: &str, option: &str, text: &str) -> Result<(), Error> {
    let refused =
        |what: String, reason: &str| Err(Error::Refused { encoder: encoder.into(), what, reason: reason.into() });
    if option == "pass" && matches!(text, "pass1" | "pass2" | "pass3" | "17" | "18" | "19" | "512" | "1024") {
        return refused(
            format!("-pass {text}"),
            "it keeps a file between passes; rate control over the whole file is a later version's",
        );
    }
    if option != "option-string" {
        return Ok(());
    }
    for item in text.split(':').filter(|item| !item.is_empty()) {
        let (key, value) = item.split_once('=').unwrap_or((item, "1"));
        let key = key.replace('_', "-");
        if BUFFER.contains(&key.as_str()) {
            continue;
        }
        let reason = match encoder {
            "x264enc" => match x264_keys::usage(&key) {
                Some(x264_keys::Use::Refuse(reason)) => Some(reason.to_owned()),
                Some(_) => x264_keys::check(&X264.canonical(&key), value).err(),
                None => Some("x264 has no such option".into()),
            },
            "x265enc" => match X265.standing(&key) {
                Standing::Refused(reason) => Some(reason.to_owned()),
                Standing::Passes => x265_keys::check(&X265.canonical(&key), value).err(),
                Standing::Unknown => Some("x265 has no such option".into()),
            },
            _ => None,
        };
        if let Some(reason) = reason {
            return refused(format!("-option-string {key}"), &reason);
        }
    }
    Ok(())
}

fn check(encoder: &str, spec: &glib::ParamSpec, text: &str) -> Result<(), Error> {
    let bad = || Error::BadValue {
        encoder: encoder.into(),
        name: spec.name().into(),
        value: text.into(),
        wanted: range(spec),
    };
    if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\' | '$' | '`')) {
        return Err(bad());
    }
    let value = glib::Value::deserialize_with_pspec(text, spec).map_err(|_| bad())?;
    if outside(spec, &value) {
        return Err(Error::OutOfRange {
            encoder: encoder.into(),
            name: spec.name().into(),
            value: text.into(),
            range: range(spec),
        });
    }
    Ok(())
}

fn outside(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    macro_rules! limits {
        ($($kind:ty => $of:ty),*) => { $( if let (Some(s), Ok(v)) = (spec.downcast_ref::<$kind>(), value.get::<$of>()) { return v < s.minimum() || v > s.maximum(); } )* };
    }
    limits!(
        glib::ParamSpecInt => i32, glib::ParamSpecUInt => u32, glib::ParamSpecInt64 => i64,
        glib::ParamSpecUInt64 => u64, glib::ParamSpecFloat => f32, glib::ParamSpecDouble => f64
    );
    false
}
