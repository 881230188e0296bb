//! The command line: one table of options drives the parser, the help and the docs.

mod job;

pub use job::*;
