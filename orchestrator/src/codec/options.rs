//! What an encoder's options are: names, ranges, and what they become.

use super::Error;
use crate::cli::{VideoArgs, nearest_names, number, rate};

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Int(i64, i64),
    Float(f64, f64),
    /// 0 or 1.
    Bool,
    /// Bits a second, with suffix.
    Rate(u64, u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number of the range, or a word that stands for one.
    Named(&'static [(&'static str, i64)], i64, i64),
    /// Checked by the encoder's own code.
    Text(&'static str),
}

impl Kind {
    /// For the help and for errors.
    pub(crate) fn range(self) -> String {
        match self {
            Self::Int(min, max) => format!("{min} to {}", limit(max)),
            Self::Float(min, max) if max == f64::MAX => format!("{min} or more"),
            Self::Float(min, max) => format!("{min} to {max}"),
            Self::Bool => "0 or 1".into(),
            Self::Rate(min, max) => format!("{min} to {max} bits a second"),
            Self::Word(words) => words.join(", "),
            Self::Named(words, ..) => {
                words.iter().map(|(word, value)| format!("{word} ({value})")).collect::<Vec<_>>().join(", ")
            }
            Self::Text(shape) => shape.into(),
        }
    }
}

fn limit(max: i64) -> String {
    if max >= i64::from(i32::MAX) { "2147483647".into() } else { max.to_string() }
}

/// One option of one encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) kind: Kind,
    /// The library's key or the element's property it becomes as it is; empty: the encoder's code decides.
    pub(crate) key: &'static str,
    pub(crate) help: &'static str,
}

/// An option whose value goes on unchanged under `key`.
pub(crate) const fn pass(name: &'static str, kind: Kind, key: &'static str, help: &'static str) -> Opt {
    Opt { name, aliases: &[], kind, key, help }
}

/// An option that the encoder's code acts on.
pub(crate) const fn own(name: &'static str, kind: Kind, help: &'static str) -> Opt {
    Opt { name, aliases: &[], kind, key: "", help }
}

impl Opt {
    pub(crate) const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) fn named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Int(i64),
    Float(f64),
    Rate(u64),
    Text(String),
}

impl Value {
    /// As the libraries' own option parsers take it.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Int(n) => n.to_string(),
            Self::Float(x) => format!("{x}"),
            Self::Rate(bits) => bits.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// The options given for one encoder, read and in range.
#[derive(Debug)]
pub(crate) struct Args<'a> {
    pub(crate) encoder: &'a str,
    pub(crate) factory: &'static str,
    given: Vec<(&'static Opt, Value)>,
}

impl<'a> Args<'a> {
    pub(crate) fn read(video: &'a VideoArgs, factory: &'static str, known: &'static [Opt]) -> Result<Self, Error> {
        let encoder = video.encoder.as_str();
        let mut given: Vec<(&'static Opt, Value)> = Vec::new();
        for (name, text) in &video.options {
            let opt = known.iter().find(|o| o.named(name)).ok_or_else(|| Error::UnknownOption {
                encoder: encoder.into(),
                name: name.clone(),
                near: nearest_names(name, known.iter().map(|o| o.name)),
            })?;
            let value = read_value(encoder, name, opt.kind, text)?;
            given.retain(|(before, _)| before.name != opt.name);
            given.push((opt, value));
        }
        Ok(Self { encoder, factory, given })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.given.iter().find(|(opt, _)| opt.name == name).map(|(_, value)| value)
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    pub(crate) fn float(&self, name: &str) -> Option<f64> {
        match self.get(name) {
            Some(Value::Float(x)) => Some(*x),
            Some(Value::Int(n)) => Some(*n as f64),
            _ => None,
        }
    }

    /// A rate of 0 is none, as in ffmpeg.
    pub(crate) fn rate(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            Some(Value::Rate(bits)) => Some(*bits).filter(|bits| *bits > 0),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Those that go on unchanged, with their key.
    pub(crate) fn passed(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.given.iter().filter(|(opt, _)| !opt.key.is_empty()).map(|(opt, value)| (opt.key, value))
    }

    pub(crate) fn bad(&self, name: &str, value: &str, wanted: impl Into<String>) -> Error {
        Error::BadValue { encoder: self.encoder.into(), name: name.into(), value: value.into(), wanted: wanted.into() }
    }

    pub(crate) fn out_of_range(&self, name: &str, value: impl ToString, range: impl Into<String>) -> Error {
        Error::OutOfRange {
            encoder: self.encoder.into(),
            name: name.into(),
            value: value.to_string(),
            range: range.into(),
        }
    }

    pub(crate) fn cannot(&self, what: impl Into<String>, instead: impl Into<String>) -> Error {
        Error::CannotExpress {
            encoder: self.encoder.into(),
            factory: self.factory.into(),
            what: what.into(),
            instead: instead.into(),
        }
    }

    pub(crate) fn refused(&self, what: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Refused { encoder: self.encoder.into(), what: what.into(), reason: reason.into() }
    }
}

fn read_value(encoder: &str, name: &str, kind: Kind, text: &str) -> Result<Value, Error> {
    let bad =
        |wanted: String| Error::BadValue { encoder: encoder.into(), name: name.into(), value: text.into(), wanted };
    let out =
        || Error::OutOfRange { encoder: encoder.into(), name: name.into(), value: text.into(), range: kind.range() };
    let whole = |min: i64, max: i64| -> Result<Value, Error> {
        let number = number(text)
            .filter(|n| n.fract() == 0.0)
            .ok_or_else(|| bad(format!("a whole number is wanted, {}", kind.range())))?;
        let whole = number as i64;
        (min..=max).contains(&whole).then_some(Value::Int(whole)).ok_or_else(out)
    };
    match kind {
        Kind::Int(min, max) => whole(min, max),
        Kind::Float(min, max) => {
            let number = number(text).ok_or_else(|| bad(format!("a number is wanted, {}", kind.range())))?;
            (min..=max).contains(&number).then_some(Value::Float(number)).ok_or_else(out)
        }
        Kind::Bool => match text {
            "1" | "true" | "yes" | "on" | "y" => Ok(Value::Int(1)),
            "0" | "false" | "no" | "off" | "n" => Ok(Value::Int(0)),
            _ => Err(bad("0 or 1 is wanted".into())),
        },
        Kind::Rate(min, max) => {
            let bits = rate(text).ok_or_else(|| bad("a bit rate is wanted: 2M, 800k, 96000".into()))?;
            (min..=max).contains(&bits).then_some(Value::Rate(bits)).ok_or_else(out)
        }
        Kind::Word(words) => {
            let known = words.contains(&text);
            known.then(|| Value::Text(text.into())).ok_or_else(|| bad(format!("one of {} is wanted", kind.range())))
        }
        Kind::Named(words, min, max) => match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Value::Int(*value)),
            None if number(text).is_some() => whole(min, max),
            None => Err(bad(format!("one of {} is wanted", kind.range()))),
        },
        Kind::Text(_) => {
            let plain = !text.chars().any(|c| c.is_control() || matches!(c, '"' | '$' | '`'));
            plain
                .then(|| Value::Text(text.into()))
                .ok_or_else(|| bad("no quotation marks or control characters are wanted".into()))
        }
    }
}
