//! The command line: one table of options drives the parser, the help and the docs.

mod error;
mod help;
mod job;
mod not_yet;
mod parse;
mod remote;
mod same;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod worker;

use std::ffi::OsString;

pub use error::UsageError;
pub use help::{docs, encoders, help, version};
pub use job::*;
pub use worker::{LogFormat, RollArgs, WorkerArgs};

/// What the user wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Encode a video.
    Encode(Box<Job>),
    /// `divien worker`, `divien client`: encode for other machines.
    Worker(Box<WorkerArgs>),
    /// `divien workers`: ask workers what they can do.
    Roll(RollArgs),
    /// `divien token new`
    NewToken,
    /// What lanes start as processes of their own, of this version; nobody types it.
    Lane(String),
    /// `-h`
    Help(Topic),
    /// `-encoders`
    Encoders,
    /// `-version`
    Version,
}

/// What `-h` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// `-h`: the options most runs need.
    Basic,
    /// `-h full`: every option.
    Full,
    /// `-h encoder=NAME`: one encoder's options.
    Encoder(String),
    /// `-h docs`: the page of the docs, as Markdown.
    Docs,
    /// `divien worker -h`
    Worker,
    /// `divien workers -h`
    Roll,
    /// `divien token -h`
    Token,
}

/// Reads a command line, without the program's own name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    parse::parse(args.into_iter().collect())
}

pub(crate) use error::{nearest, nearest_names};
pub(crate) use value::{number, rate};
