//! `divien`: encode a video with many encoders at once.

use std::process::ExitCode;

use divien::cli::{self, Command, LogLevel};
use divien::{error, report, run, worker};

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(usage) => return report::usage(&usage),
    };
    match command {
        Command::Encode(job) => match run::run(&job) {
            Ok(_) => ExitCode::from(error::EXIT_OK),
            Err(failure) => report::failure(job.report.level, &failure),
        },
        Command::Worker(args) => match worker::run(&args) {
            Ok(()) => ExitCode::from(error::EXIT_OK),
            Err(failure) => report::failure(LogLevel::Info, &failure),
        },
        Command::Roll(args) => match worker::roll(&args) {
            Ok(()) => ExitCode::from(error::EXIT_OK),
            Err(failure) => report::failure(LogLevel::Info, &failure),
        },
        Command::Lane(version) => match worker::lane(&version) {
            Ok(()) => ExitCode::from(error::EXIT_OK),
            Err(failure) => report::failure(LogLevel::Info, &failure),
        },
        Command::NewToken => report::token(),
        Command::Help(topic) => report::page(cli::help(&topic)),
        Command::Encoders => report::page(Ok(cli::encoders())),
        Command::Version => report::page(Ok(cli::version())),
    }
}
