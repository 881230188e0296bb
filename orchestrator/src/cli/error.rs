use std::fmt::Write;

use super::table::Group;

/// A command line that cannot be run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UsageError {
    /// Nothing to read.
    #[error("no input: -i INPUT is missing")]
    NoInput,
    /// Nothing to write.
    #[error("no output: the output's name is missing after the options")]
    NoOutput,
    /// No option of this name.
    #[error("unknown option '-{name}'{}", nearest(.near))]
    Unknown {
        /// The name without its dash.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// An option that the chosen encoder does not have.
    #[error("{encoder} has no option '-{name}'{}", nearest(.near))]
    NotTheEncoders {
        /// The encoder as typed.
        encoder: String,
        /// The name without its dash.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// The last argument wants a value.
    #[error("'-{name}' wants a value ({metavar}) and is the last argument")]
    NoValue {
        /// The option without its dash.
        name: String,
        /// What its value is.
        metavar: String,
    },
    /// A value that is none.
    #[error("'{value}' is no value for -{name}: {wanted}")]
    BadValue {
        /// The option without its dash.
        name: String,
        /// The value as typed.
        value: String,
        /// What it should look like.
        wanted: String,
    },
    /// A value outside its range.
    #[error("-{name} {value} is out of range: {range}")]
    OutOfRange {
        /// The option without its dash.
        name: String,
        /// The value as typed.
        value: String,
        /// The values it can have.
        range: String,
    },
    /// One of ffmpeg's options that divien does not have yet.
    #[error("'-{name}' is not supported yet: {reason}")]
    NotYet {
        /// The option without its dash.
        name: String,
        /// Why, or what to do instead.
        reason: &'static str,
    },
    /// One of ffmpeg's options that asks for what divien is not for.
    #[error("'-{name}' is not taken: {reason}")]
    NotTaken {
        /// The option without its dash.
        name: String,
        /// Why, or what to do instead.
        reason: String,
    },
    /// A chain of filters that cannot be had.
    #[error("-{name}: {error}")]
    Filter {
        /// The option without its dash.
        name: String,
        /// What is wrong with it.
        error: crate::filter::FilterError,
    },
    /// ffmpeg refuses them together too.
    #[error("'-y' and '-n' contradict each other: give one of them")]
    YesAndNo,
    /// A name after `-h encoder=` that is no encoder's.
    #[error(transparent)]
    Encoder(#[from] crate::codec::Error),
    /// A subcommand of a later version.
    #[error("'divien {word}' is not built yet: {reason}")]
    NotBuilt {
        /// The subcommand.
        word: String,
        /// What it will do, or what to do instead.
        reason: &'static str,
    },
    /// A line that begins with a word of its own.
    #[error("{what}")]
    Word {
        /// The word, and what is wrong with the line.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A second input or output.
    #[error("'{extra}' is a second {what}: several are not supported yet, run divien once for each")]
    Second {
        /// "input" or "output"
        what: &'static str,
        /// The argument.
        extra: String,
    },
    /// An option on the wrong side of `-i`.
    #[error("'-{name}' stands before -i, where ffmpeg would apply it to the input: put it after -i INPUT ({})", .group.title())]
    BeforeInput {
        /// The option without its dash.
        name: String,
        /// Where it belongs.
        group: Group,
    },
    /// Text that is not Unicode where text is needed.
    #[error("'{shown}' is not valid Unicode text: only names of files may be anything else")]
    NotUnicode {
        /// The argument, as far as it can be shown.
        shown: String,
    },
    /// `-h` about something that there is no help for.
    #[error("no help about '{topic}': there are -h, -h full, -h encoder=NAME and -h docs")]
    NoSuchTopic {
        /// What was asked for.
        topic: String,
    },
}

impl UsageError {
    /// What to do next, where the message does not already say it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoInput | Self::NoOutput | Self::NoValue { .. } => {
                Some("divien [options] -i INPUT [output options] OUTPUT; divien -h shows them".into())
            }
            Self::Unknown { .. } => {
                Some("divien -h full lists the options, divien -h encoder=NAME an encoder's".into())
            }
            Self::Encoder(error) => error.hint(),
            Self::Word { hint, .. } => Some(hint.clone()),
            Self::NotTheEncoders { encoder, .. } => {
                Some(format!("divien -h encoder={encoder} lists the options it has"))
            }
            Self::Second { what: "output", .. } => Some(
                "an argument without a dash is the output's name; put quotation marks around a name with spaces".into(),
            ),
            _ => None,
        }
    }
}

pub(crate) fn nearest(near: &[String]) -> String {
    let mut text = String::new();
    for (i, name) in near.iter().enumerate() {
        let lead = match i {
            0 => ": did you mean ",
            _ if i + 1 == near.len() => " or ",
            _ => ", ",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{lead}-{name}");
    }
    if !near.is_empty() {
        text.push('?');
    }
    text
}

/// From 0 to 1: by the letters that are in about the same place. A slip at the start, which that weighs heavily, is
/// one slip all the same: a letter swapped with the next, wrong, missing or too many.
fn likeness(typed: &str, name: &str) -> f64 {
    let is_a_slip = typed.len() > 2 && strsim::damerau_levenshtein(typed, name) == 1;
    let likeness = strsim::jaro_winkler(typed, name);
    if is_a_slip { likeness.max(0.95) } else { likeness }
}

/// The names most like `typed`, the best first; none if none is like it.
pub(crate) fn nearest_names<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let typed = typed.to_ascii_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| (likeness(&typed, &name.to_ascii_lowercase()), name))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    scored.retain(|(score, _)| *score > best - 0.08);
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}
