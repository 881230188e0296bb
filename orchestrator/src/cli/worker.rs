//! The words of a fleet: `divien worker`, `divien client`, `divien workers`, `divien token`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use gstdivien::net::address;
use gstdivien::remote::worker::Place;

use super::{Command, Topic, UsageError, not_yet, value};

const BELOW: &str = "\
The token comes from --token-file, else from the variable DIVIEN_TOKEN; `divien token new` makes one.
The first SIGTERM or SIGINT drains: no more chunks are taken, those begun are done. The second ends at once.
`divien client HOST:PORT` is `divien worker --join HOST:PORT`.

Exit codes:
    0  all is done, says the coordinator
   64  the command line cannot be understood
   69  nobody could be reached
   75  drained, or the run ended before all was done
   77  the other side holds another token
   78  there is no token, no address to listen on, or this worker is not what the coordinator needs
  255  ended at once by a second signal";

/// What `divien worker` is told.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(about = "encodes chunks for divien on other machines", after_help = BELOW)]
pub struct WorkerArgs {
    /// wait there for those who have chunks
    #[arg(long, value_name = "ADDR", default_value_t = address::EVERYWHERE, value_parser = listen, conflicts_with = "join")]
    pub listen: SocketAddr,
    /// go to one who has chunks, as behind a firewall
    #[arg(long, value_name = "HOST:PORT", value_parser = join)]
    pub join: Option<String>,
    /// file with the fleet's token, - for standard input [default: the variable DIVIEN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// chunks that are encoded at once [default: one for each core]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// memory for chunks that wait for their encoders: 512M, 2G, 1Gi
    #[arg(long, value_name = "SIZE", default_value = "1G", allow_negative_numbers = true, value_parser = memory)]
    pub max_memory: u64,
    /// what it is called in reports [default: the name of this machine]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// encode in this process, and not in one for each chunk at work: an encoder that crashes takes the worker with it
    #[arg(long)]
    pub no_isolate: bool,
    /// end with the first who had chunks
    #[arg(long)]
    pub once: bool,
    /// time for chunks that are begun, once it drains
    #[arg(long, value_name = "SECONDS", default_value = "30", allow_negative_numbers = true, value_parser = seconds)]
    pub drain_timeout: Duration,
    /// give up with --join when nobody has answered for so long; 0 tries once
    #[arg(long, value_name = "SECONDS", default_value = "60", allow_negative_numbers = true, value_parser = seconds)]
    pub join_timeout: Duration,
    /// text: lines on standard error; json: objects on standard output, a line each
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = log_format)]
    pub log_format: LogFormat,
}

impl WorkerArgs {
    /// Where it meets those who have chunks.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.join {
            Some(host) => Place::Join(host.clone(), self.join_timeout),
            None => Place::Listen(self.listen),
        }
    }
}

const ROLL_BELOW: &str = "\
The token comes from --token-file, else from the variable DIVIEN_TOKEN. Asked for are x264enc, x265enc, vp8enc, vp9enc,
av1enc and svtav1enc, as far as they are installed here; decoders and filters are asked for with the first chunk.

Exit codes:
    0  each of them would encode as this machine does
    1  one of them did not answer as workers do
   64  the command line cannot be understood
   69  one of them could not be reached
   77  one of them holds another token
   78  there is no token, or one of them would not encode as this machine does";

/// What `divien workers` is told.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(about = "asks workers what they are, and whether they encode as this machine does", after_help = ROLL_BELOW)]
pub struct RollArgs {
    /// the workers, commas between several
    #[arg(value_name = "HOST:PORT,…", required = true, value_parser = peers)]
    pub workers: Peers,
    /// file with the fleet's token, - for standard input [default: the variable DIVIEN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// The `host:port` of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers(pub Vec<String>);

/// How a worker tells what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object a line.
    Json,
}

#[derive(Debug, Parser)]
#[command(name = "divien", disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    word: Word,
}

#[derive(Debug, Subcommand)]
enum Word {
    Worker(Box<WorkerArgs>),
    Workers(RollArgs),
    #[command(about = "the secret that all machines of a fleet hold")]
    Token {
        #[command(subcommand)]
        what: TokenWord,
    },
}

#[derive(Debug, Subcommand)]
enum TokenWord {
    /// print a new token: divien token new > FILE; chmod 600 FILE
    New,
}

/// Reads a line that begins with one of the words, which is not among `args`; `None` for any other word.
pub(super) fn parse(word: &str, args: &[OsString]) -> Option<Result<Command, UsageError>> {
    let topic = match word {
        "worker" | "client" => Topic::Worker,
        "workers" => Topic::Roll,
        "token" => Topic::Token,
        _ => return None,
    };
    Some(match word {
        "client" => joining(args).and_then(|args| line(&topic, &args)),
        _ => line(&topic, args),
    })
}

/// `HOST:PORT …` of a client is `--join HOST:PORT …` of a worker.
fn joining(args: &[OsString]) -> Result<Vec<OsString>, UsageError> {
    match args.first() {
        Some(first) if first == "-h" || first == "--help" => Ok(args.to_vec()),
        Some(first) if !first.as_encoded_bytes().starts_with(b"-") => {
            Ok(std::iter::once("--join".into()).chain(args.iter().cloned()).collect())
        }
        _ => Err(UsageError::Word {
            what: "client: HOST:PORT of the one who has chunks is to follow it, before any option".into(),
            hint: "divien client HOST:PORT [options], which is divien worker --join HOST:PORT [options]".into(),
        }),
    }
}

fn line(topic: &Topic, args: &[OsString]) -> Result<Command, UsageError> {
    let is_token = |arg: &OsString| {
        let name = arg.to_str().and_then(|text| text.strip_prefix("--").or(text.strip_prefix('-')));
        name.is_some_and(|name| name == "token" || name.starts_with("token="))
    };
    if args.iter().any(is_token) {
        return Err(UsageError::NotTaken { name: "-token".into(), reason: not_yet::SECRET.into() });
    }
    let words = ["divien", name(topic)].map(OsString::from);
    match Line::try_parse_from(words.iter().chain(args)) {
        Ok(Line { word: Word::Worker(args) }) => Ok(Command::Worker(args)),
        Ok(Line { word: Word::Workers(args) }) => Ok(Command::Roll(args)),
        Ok(Line { word: Word::Token { what: TokenWord::New } }) => Ok(Command::NewToken),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Command::Help(topic.clone())),
        Err(_) if *topic == Topic::Token => Err(UsageError::Word {
            what: "token: the word new is missing after it, or something else is there".into(),
            hint: "divien token new prints a new token".into(),
        }),
        Err(error) => Err(refused(name(topic), &error)),
    }
}

/// The word.
pub(super) fn name(topic: &Topic) -> &'static str {
    match topic {
        Topic::Token => "token",
        Topic::Roll => "workers",
        _ => "worker",
    }
}

/// clap's words, as the other errors are told.
fn refused(word: &str, error: &clap::Error) -> UsageError {
    let text = error.render().to_string();
    let paragraphs: Vec<String> =
        text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let said = paragraphs.first().map_or("", String::as_str);
    let tip = paragraphs.iter().find_map(|part| part.strip_prefix("tip: ")).map(str::to_owned);
    UsageError::Word {
        what: format!("{word}: {}", said.strip_prefix("error: ").unwrap_or(said)),
        hint: tip.unwrap_or_else(|| format!("divien {word} -h lists its options")),
    }
}

/// The text of `divien WORD -h`.
pub(super) fn help(topic: &Topic) -> String {
    let mut command = Line::command();
    command.build();
    command.find_subcommand_mut(name(topic)).map(|word| word.render_help().to_string()).unwrap_or_default()
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    address::local(text).ok_or(address::LOCAL)
}

fn join(text: &str) -> Result<String, &'static str> {
    address::peer(text).ok_or(address::PEER)
}

fn peers(text: &str) -> Result<Peers, String> {
    address::peers(text).map(Peers)
}

fn memory(text: &str) -> Result<u64, &'static str> {
    value::size(text).filter(|size| *size >= 1_000_000).ok_or("a size is wanted, 1M or more: 512M, 2G, 1Gi")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    value::time(text).ok_or("a time is wanted: seconds (12.5), m:s (1:30) or 250ms, not negative")
}

fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json is wanted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, UsageError> {
        crate::cli::parse(line.split(' ').map(OsString::from))
    }

    fn args(line: &str) -> WorkerArgs {
        match read(line) {
            Ok(Command::Worker(args)) => *args,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn error(line: &str) -> String {
        match read(line) {
            Err(error) => format!("{error}; {}", error.hint().unwrap_or_default()),
            Ok(command) => panic!("{line}: {command:?}"),
        }
    }

    #[test]
    fn a_bare_worker_listens_everywhere_with_what_the_help_says() {
        let bare = args("worker");
        assert_eq!(bare.place(), Place::Listen("[::]:7171".parse().unwrap()));
        assert_eq!((bare.slots, bare.max_memory, bare.once), (None, 1_000_000_000, false));
        assert_eq!((bare.drain_timeout, bare.join_timeout), (Duration::from_secs(30), Duration::from_secs(60)));
        assert_eq!((bare.token_file, bare.name, bare.log_format), (None, None, LogFormat::Text));
    }

    #[test]
    fn every_option_of_a_worker_is_read() {
        let line = "worker --join node1:80 --token-file - --slots 3 --max-memory 2Gi --name a --once \
                    --drain-timeout 1:30 --join-timeout 250ms --log-format json";
        let all = args(line);
        assert_eq!(all.place(), Place::Join("node1:80".into(), Duration::from_millis(250)));
        assert_eq!((all.slots, all.max_memory, all.once), (Some(3), 2 << 30, true));
        assert_eq!((all.token_file, all.name), (Some("-".into()), Some("a".into())));
        assert_eq!((all.drain_timeout, all.log_format), (Duration::from_secs(90), LogFormat::Json));
        assert_eq!(args("worker --listen :80").place(), Place::Listen("[::]:80".parse().unwrap()));
    }

    #[test]
    fn a_client_is_a_worker_that_joins() {
        assert_eq!(args("client node1 --once"), args("worker --join node1:7171 --once"));
        assert_eq!(read("client -h"), Ok(Command::Help(Topic::Worker)));
        for line in ["client", "client --once"] {
            assert!(error(line).contains("divien client HOST:PORT [options]"), "{line}");
        }
    }

    #[test]
    fn what_a_worker_does_not_know_is_told_in_one_line_with_a_hint() {
        for (line, says) in [
            ("worker --slot 3", "--slots"),
            ("worker --slots 0", "1..=1024"),
            ("worker --slots many", "invalid digit"),
            ("worker --max-memory 3", "1M or more"),
            ("worker --max-memory much", "1M or more"),
            ("worker --listen nowhere:x", "[::]:7171"),
            ("worker --join :7171", "HOST:PORT is wanted"),
            ("worker --join a --listen :1", "cannot be used with"),
            ("worker --log-format xml", "text or json"),
            ("worker --drain-timeout soon", "a time is wanted"),
            ("worker --name", "value is required"),
            ("worker -i a o.mp4", "divien worker -h"),
            ("worker here", "divien worker -h"),
        ] {
            let told = error(line);
            assert!(told.contains(says) && told.starts_with("worker: "), "{line}: {told}");
            assert!(!told.contains('\n') && !told.contains("error:"), "{line}: {told}");
        }
    }

    #[test]
    fn workers_are_asked_by_their_names() {
        let asked = |line| match read(line) {
            Ok(Command::Roll(args)) => (args.workers.0, args.token_file),
            other => panic!("{line}: {other:?}"),
        };
        let both = vec!["a:7171".to_owned(), "[::1]:5".to_owned()];
        assert_eq!(asked("workers a,[::1]:5 --token-file t"), (both, Some("t".into())));
        assert_eq!(read("workers -h"), Ok(Command::Help(Topic::Roll)));
        assert!(help(&Topic::Roll).contains("78  there is no token"));
        for (line, says) in
            [("workers", "divien workers -h"), ("workers a,a", "named twice"), ("workers :1", "HOST:PORT is wanted")]
        {
            let told = error(line);
            assert!(told.contains(says) && told.starts_with("workers: "), "{line}: {told}");
        }
    }

    #[test]
    fn a_token_is_no_argument() {
        for line in [
            "workers a --token x1y2",
            "worker --token x1y2",
            "worker --token=x1y2",
            "worker -token x1y2",
            "client a --token x1y2",
        ] {
            let told = error(line);
            assert!(told.contains("ps") && told.contains("DIVIEN_TOKEN") && !told.contains("x1y2"), "{line}: {told}");
        }
    }

    #[test]
    fn the_one_thing_that_is_done_with_tokens_is_named() {
        assert_eq!(read("token new"), Ok(Command::NewToken));
        assert_eq!(read("token -h"), Ok(Command::Help(Topic::Token)));
        for line in ["token", "token old", "token new more", "token --new"] {
            assert!(error(line).contains("divien token new"), "{line}");
        }
    }

    #[test]
    fn the_help_tells_options_defaults_and_exit_codes() {
        assert_eq!(read("worker -h"), Ok(Command::Help(Topic::Worker)));
        assert_eq!(read("worker --slots 2 --help"), Ok(Command::Help(Topic::Worker)));
        let text = help(&Topic::Worker);
        for says in ["divien worker", "--listen <ADDR>", "[::]:7171", "one for each core", "[default: 1G]", "77  "] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(help(&Topic::Token).contains("chmod 600"));
    }
}
