//! What holds for x264's and x265's own options alike: names, and which divien decides.

use super::Error;
use super::options::Args;
use crate::cli::nearest_names;

pub(super) const VBV: &str =
    "it needs rate control over the whole file, which a later version builds; -crf and -b:v work";
pub(super) const UNPROVEN: &str = "whether chunks can be joined with it is not proven";
pub(super) const FILES: &str = "it reads or writes a file of its own";
pub(super) const THREADS: &str = "use -threads, which keeps the output the same on every machine";
pub(super) const ZONES: &str = "its frames would be counted from the start of each chunk";
pub(super) const JOIN: &str = "divien sets it so that chunks can be joined";

/// A library behind an element.
pub(super) struct Library {
    pub(super) name: &'static str,
    pub(super) factory: &'static str,
    /// Other names that it has for its options.
    pub(super) aliases: &'static [(&'static str, &'static str)],
    /// What may not be given, and why. The rest of what the lanes take may.
    pub(super) refuse: &'static [(&'static [&'static str], &'static str)],
    /// What it allows before the name of a switch to turn it off, the longest first.
    pub(super) negations: &'static [&'static str],
}

/// Whether an option may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Passes,
    Refused(&'static str),
    Unknown,
}

impl Library {
    fn refusal(&self, key: &str) -> Option<&'static str> {
        self.refuse.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, reason)| *reason)
    }

    fn alias(&self, key: &str) -> Option<&'static str> {
        self.aliases.iter().find(|(alias, _)| *alias == key).map(|(_, name)| *name)
    }

    fn taken(&self) -> impl Iterator<Item = &'static str> {
        gstdivien::lane::option_keys(self.factory).iter().copied()
    }

    /// The option without what turns it off.
    pub(super) fn base<'a>(&self, key: &'a str) -> &'a str {
        let known = self.alias(key).is_some() || self.refusal(key).is_some() || self.taken().any(|k| k == key);
        if known { key } else { self.negations.iter().find_map(|no| key.strip_prefix(no)).unwrap_or(key) }
    }

    /// The library's first name of an option, with `no-` before it where it is turned off by an alias.
    pub(super) fn canonical(&self, key: &str) -> String {
        let base = self.base(key);
        match self.alias(base) {
            Some(name) if base == key => name.to_owned(),
            Some(name) => format!("no-{name}"),
            None => key.to_owned(),
        }
    }

    pub(super) fn standing(&self, key: &str) -> Standing {
        let base = self.base(key);
        match self.refusal(base) {
            Some(reason) => Standing::Refused(reason),
            None if self.taken().any(|k| k == self.alias(base).unwrap_or(base)) => Standing::Passes,
            None => Standing::Unknown,
        }
    }

    /// The error for a key in `-option` that the library does not have.
    pub(super) fn unknown(&self, args: &Args, option: &str, key: &str) -> Error {
        let near = nearest_names(key, self.taken().filter(|k| self.refusal(k).is_none()));
        let near = if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) };
        args.bad(option, key, format!("{} has no such option{near}", self.name))
    }
}
