//! What ffmpeg's command lines carry that asks for no more than divien does anyway: taken, without effect.

use super::{UsageError, not_yet, value};

/// One of them: the values it may have, and why it changes nothing.
pub(super) struct Same {
    pub(super) names: &'static [&'static str],
    values: Values,
    pub(super) why: &'static str,
}

/// The values that change nothing.
enum Values {
    /// It has none.
    Flag,
    /// Any number.
    Number,
    /// These words.
    Words(&'static [&'static str]),
    /// These flags, switched on.
    On(&'static [&'static str]),
}

const fn same(names: &'static [&'static str], values: Values, why: &'static str) -> Same {
    Same { names, values, why }
}

pub(super) const SAME: &[Same] = &[
    same(&["dn"], Values::Flag, "streams of data are left out anyway"),
    same(&["ignore_unknown"], Values::Flag, "streams of an unknown kind are left out, and named"),
    same(&["bitexact"], Values::Flag, "equal runs give equal files anyway"),
    same(&["accurate_seek"], Values::Flag, "-ss is exact to the frame"),
    same(&["find_stream_info"], Values::Flag, "the input is looked at before the run"),
    same(
        &["strict", "strict:v", "strict:a"],
        Values::Words(&["very", "strict", "normal", "unofficial", "experimental", "2", "1", "0", "-1", "-2"]),
        "the encoders that divien names need no leave",
    ),
    same(
        &["fflags"],
        Values::On(&["bitexact", "genpts"]),
        "equal runs give equal files; missing times are made where decode times tell them, else reported",
    ),
    same(
        &["flags", "flags:v", "flags:a"],
        Values::On(&["bitexact", "cgop", "global_header", "loop"]),
        "groups of pictures are closed, headers stand where the container wants them, the loop filter is on",
    ),
    same(
        &["vsync", "fps_mode", "fps_mode:v"],
        Values::Words(&["passthrough", "vfr", "auto", "0", "2", "-1"]),
        "every frame keeps its own time",
    ),
    same(
        &["max_muxing_queue_size", "muxing_queue_data_threshold", "thread_queue_size"],
        Values::Number,
        "divien's queues bound themselves",
    ),
    same(&["probesize", "analyzeduration"], Values::Number, "as much is read as the input needs"),
    same(
        &["filter_threads", "filter_complex_threads"],
        Values::Number,
        "every encoder filters its own pictures, in one thread",
    ),
    same(&["avoid_negative_ts"], Values::Words(&["auto", "-1"]), "the times are as the container wants them"),
    same(&["hwaccel"], Values::Words(&["none", "auto"]), "decoding is divien's choice"),
    same(&["autorotate", "autoscale"], Values::Words(&["1"]), "pictures stand upright, by a note or by turning"),
    same(&["stream_loop"], Values::Words(&["0"]), "the input is read once"),
    same(&["write_tmcd"], Values::Words(&["0"]), "there is no track of time codes"),
];

/// The option of this name.
pub(super) fn find(name: &str) -> Option<&'static Same> {
    SAME.iter().find(|same| same.names.contains(&name))
}

impl Same {
    /// Whether a value follows it.
    pub(super) fn has_value(&self) -> bool {
        !matches!(self.values, Values::Flag)
    }

    /// An error where the value asks for something else.
    pub(super) fn check(&self, name: &str, value: Option<&str>) -> Result<(), UsageError> {
        let Some(text) = value.filter(|_| self.has_value()) else {
            return match self.has_value() {
                true => Err(UsageError::NoValue { name: name.into(), metavar: "VALUE".into() }),
                false => Ok(()),
            };
        };
        let fits = match self.values {
            Values::Flag => true,
            Values::Number => value::number(text).is_some_and(|n| n >= 0.0),
            Values::Words(words) => words.contains(&text),
            Values::On(flags) => !text.is_empty() && all_on(text, flags),
        };
        if fits {
            return Ok(());
        }
        if matches!(self.values, Values::Number) {
            let wanted = "a number is wanted, 0 or more".into();
            return Err(UsageError::BadValue { name: name.into(), value: text.into(), wanted });
        }
        Err(not_yet::refusal(name, Some(text)).unwrap_or_else(|| UsageError::NotTaken {
            name: format!("{name} {text}"),
            reason: format!("only {} can be had: {}", self.shown(), self.why),
        }))
    }

    /// The values, for messages and the help.
    pub(super) fn shown(&self) -> String {
        match self.values {
            Values::Flag => String::new(),
            Values::Number => "N".into(),
            Values::Words(words) => words.join(", "),
            Values::On(flags) => flags.iter().map(|f| format!("+{f}")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// `+a+b` or `a`, as ffmpeg writes flags.
fn all_on(text: &str, flags: &[&str]) -> bool {
    text.strip_prefix('+').unwrap_or(text).split('+').all(|flag| flags.contains(&flag))
}
