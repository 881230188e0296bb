//! Every error that is expected, with what to do about it and the exit code it ends the run with.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use gstdivien::journal::JobError;
use gstdivien::net::{NetError, TokenError};
use gstdivien::remote::worker::Ended;

use crate::report::counted;

/// The run did what it was asked.
pub const EXIT_OK: u8 = 0;
/// Anything that has no code of its own, a fault of the program among them.
pub const EXIT_FAILED: u8 = 1;
/// The command line cannot be understood (as in sysexits.h: `EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// The input is not a video, or is broken (`EX_DATAERR`).
pub const EXIT_BAD_INPUT: u8 = 65;
/// The input cannot be opened (`EX_NOINPUT`).
pub const EXIT_NO_INPUT: u8 = 66;
/// An encoder, decoder or other element is not installed (`EX_UNAVAILABLE`).
pub const EXIT_NOT_INSTALLED: u8 = 69;
/// An encoder failed while it ran (`EX_SOFTWARE`).
pub const EXIT_ENCODER: u8 = 70;
/// The output exists and was not to be replaced, or its folder cannot be written (`EX_CANTCREAT`).
pub const EXIT_CANNOT_CREATE: u8 = 73;
/// Writing the output failed, a full disk among the reasons (`EX_IOERR`).
pub const EXIT_WRITE: u8 = 74;
/// The output is there and holds what could be read, but the input ended early or lost frames.
pub const EXIT_INCOMPLETE: u8 = 75;
/// No worker or no coordinator could be reached (`EX_UNAVAILABLE`).
pub const EXIT_UNREACHED: u8 = 69;
/// A worker was told to drain, or its coordinator left before all was done: it may be started again (`EX_TEMPFAIL`).
pub const EXIT_NOT_DONE: u8 = 75;
/// The other machine holds another token (`EX_NOPERM`).
pub const EXIT_REFUSED: u8 = 77;
/// There is no token, no address to listen on, or a worker that is not what its coordinator needs (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;
/// Ended by Ctrl-C or a signal to end (ffmpeg's own code).
pub const EXIT_INTERRUPTED: u8 = 255;

/// What is wrong with machines elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// None was there in time.
    Nobody,
    /// All hold another token.
    OtherToken,
    /// There is no token, no address to listen on, or all speak another version.
    Settings,
}

/// What can go wrong between a job and its output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The video encoder or its options.
    #[error(transparent)]
    Codec(#[from] crate::codec::Error),
    /// The input file is not there or may not be read.
    #[error("{path}: {source}", path = path.display())]
    Input {
        /// As typed.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The input is there and makes no sense as a video.
    #[error("{input}: {reason}")]
    NotAVideo {
        /// Name of the input.
        input: String,
        /// What was found instead.
        reason: String,
    },
    /// The input has no video that could be encoded.
    #[error("{input}: no video stream ({found})")]
    NoVideo {
        /// Name of the input.
        input: String,
        /// The streams that are there.
        found: String,
    },
    /// Nothing installed reads this format.
    #[error("{input}: no decoder for {format} is installed")]
    NoDecoder {
        /// Name of the input.
        input: String,
        /// The format, in words.
        format: String,
        /// The Debian packages that usually hold one.
        package: &'static str,
    },
    /// A GStreamer element is missing.
    #[error("the GStreamer element '{element}' is not installed")]
    NoElement {
        /// Its factory's name.
        element: String,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// What was asked for does not fit together.
    #[error("{what}")]
    Plan {
        /// What does not fit.
        what: String,
        /// What would.
        hint: String,
    },
    /// The output exists.
    #[error("{path}: exists already", path = path.display())]
    Exists {
        /// The output.
        path: PathBuf,
        /// `-n` was given.
        kept: bool,
    },
    /// The output was not there when the run began, and is there now.
    #[error("{path}: something else has got this name during the run, and was kept", path = path.display())]
    Appeared {
        /// The output.
        path: PathBuf,
        /// Where what was encoded is, if no later run can go on with it.
        part: Option<PathBuf>,
    },
    /// An earlier run has finished a part of the output.
    #[error("{path}: an earlier run has finished {} of this output ({})", counted(*.chunks, "chunk"), counted(*.frames, "frame"), path = path.display())]
    Unfinished {
        /// Its folder.
        path: PathBuf,
        /// Chunks that are done.
        chunks: u64,
        /// The frames in them.
        frames: u64,
        /// The command that goes on with it.
        resume: String,
    },
    /// What is kept of a run, or of an earlier one.
    #[error("{path}: {error}", path = path.display())]
    Job {
        /// Its folder.
        path: PathBuf,
        /// What is wrong with it.
        error: JobError,
    },
    /// The output cannot be made.
    #[error("{path}: {source}", path = path.display())]
    Create {
        /// The output, or its folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The output was opened but cannot be written further.
    #[error("{path}: {source}", path = path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A stream cannot be written into the container.
    #[error("{what}")]
    Mux {
        /// Which stream, and why.
        what: String,
    },
    /// The encoder, or the element around it, reported an error.
    #[error("{element}: {message}")]
    Encoder {
        /// The element that failed.
        element: String,
        /// Its own words.
        message: String,
    },
    /// Machines elsewhere cannot be met, or none of them is there while this one does not encode.
    #[error("{message}")]
    Elsewhere {
        /// The element's own words.
        message: String,
        /// What is wrong.
        trouble: Trouble,
    },
    /// No process can be started for an encoder.
    #[error("no process can be started for encoders: {why}")]
    NoProcess {
        /// The system's answer.
        why: String,
    },
    /// The demuxer or the decoder reported an error before anything could be encoded.
    #[error("{input}: {message}")]
    Broken {
        /// Name of the input.
        input: String,
        /// The element's own words.
        message: String,
        /// It came by a pipe.
        piped: bool,
    },
    /// Pictures before the time 0, of which GStreamer's demuxer does not tell the times.
    #[error("{input}: its first pictures are before the time 0, and GStreamer's demuxer loses the times of those")]
    EarlyPictures {
        /// Name of the input.
        input: String,
    },
    /// The output is there, but the input was not whole.
    #[error("{input}: {reason}; the output holds what could be read ({})", counted(*.frames, "frame"))]
    Incomplete {
        /// Name of the input.
        input: String,
        /// What was lost.
        reason: String,
        /// The frames written.
        frames: u64,
    },
    /// The input was not whole, which was not to be.
    #[error("{input}: {reason}; -xerror ends the run over it")]
    Lossy {
        /// Name of the input.
        input: String,
        /// What was lost.
        reason: String,
    },
    /// The secret of a fleet.
    #[error("no token: {0}")]
    Token(#[from] TokenError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A worker has ended, and not because all is done.
    #[error("{}", ended(.0))]
    Worker(Ended),
    /// Workers that were asked would not encode as this machine does.
    #[error("{workers} would not encode as this machine does")]
    Differ {
        /// How many.
        workers: String,
    },
    /// Ctrl-C.
    #[error("interrupted; {left}")]
    Interrupted {
        /// What has become of the output.
        left: String,
    },
    /// What was written is not what was encoded.
    #[error("{output} is not what it should be: {what}")]
    Unverified {
        /// Name of the output.
        output: String,
        /// What is wrong with it.
        what: String,
    },
    /// GStreamer or the system refused something that should always work.
    #[error("{what}")]
    Fault {
        /// What was tried.
        what: String,
    },
}

impl Error {
    /// What is kept of an earlier run is of no use to this one.
    #[must_use]
    pub fn is_about_another_job(&self) -> bool {
        matches!(self, Self::Job { error, .. } if !matches!(error, JobError::Io(_) | JobError::Changed(_)))
    }

    /// A disk is full, or a file may not grow further.
    #[must_use]
    pub fn is_for_want_of_room(&self) -> bool {
        let (Self::Create { source, .. } | Self::Write { source, .. } | Self::Job { error: JobError::Io(source), .. }) =
            self
        else {
            return false;
        };
        use io::ErrorKind as K;
        matches!(source.kind(), K::StorageFull | K::QuotaExceeded | K::FileTooLarge)
    }

    /// The exit code that tells a script what happened.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Input { .. } => EXIT_NO_INPUT,
            Self::NotAVideo { .. }
            | Self::NoVideo { .. }
            | Self::Broken { .. }
            | Self::EarlyPictures { .. }
            | Self::Lossy { .. } => EXIT_BAD_INPUT,
            Self::NoDecoder { .. } | Self::NoElement { .. } => EXIT_NOT_INSTALLED,
            Self::Codec(crate::codec::Error::NotInstalled { .. }) => EXIT_NOT_INSTALLED,
            Self::Plan { .. } | Self::Codec(_) => EXIT_USAGE,
            Self::Exists { .. } | Self::Appeared { .. } | Self::Create { .. } | Self::Unfinished { .. } => {
                EXIT_CANNOT_CREATE
            }
            Self::Job { error: JobError::Io(_) | JobError::Changed(_), .. } => EXIT_WRITE,
            Self::Job { .. } => EXIT_CANNOT_CREATE,
            Self::Write { .. } => EXIT_WRITE,
            Self::Encoder { .. } => EXIT_ENCODER,
            Self::Elsewhere { trouble, .. } => match trouble {
                Trouble::Nobody => EXIT_UNREACHED,
                Trouble::OtherToken => EXIT_REFUSED,
                Trouble::Settings => EXIT_CONFIG,
            },
            Self::Incomplete { .. } => EXIT_INCOMPLETE,
            Self::Worker(ended) => match ended {
                Ended::Done => EXIT_OK,
                Ended::Unfinished(_) | Ended::Drained => EXIT_NOT_DONE,
                Ended::NoCoordinator(_) => EXIT_UNREACHED,
                Ended::Refused(_) => EXIT_REFUSED,
                Ended::Unfit(_) => EXIT_CONFIG,
            },
            Self::Net(error) if error.is_refusal() => EXIT_REFUSED,
            Self::Net(error) if error.is_other_protocol() => EXIT_CONFIG,
            Self::Net(NetError::Name { .. } | NetError::Dial { .. } | NetError::Handshake { .. }) => EXIT_UNREACHED,
            Self::Token(TokenError::Random) | Self::Net(NetError::Random) => EXIT_FAILED,
            Self::Net(NetError::Socket { .. }) | Self::Token(_) | Self::Differ { .. } => EXIT_CONFIG,
            Self::Interrupted { .. } => EXIT_INTERRUPTED,
            Self::Mux { .. }
            | Self::NoProcess { .. }
            | Self::Fault { .. }
            | Self::Unverified { .. }
            | Self::Net(NetError::Key(_) | NetError::Cipher(_)) => EXIT_FAILED,
        }
    }

    /// What to do about it, in one line.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Codec(error) => return error.hint(),
            Self::Input { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "give yourself the right to read it".into()
            }
            Self::Input { .. } => "check the name after -i".into(),
            Self::NotAVideo { .. } => "ffprobe or gst-typefind-1.0 tell what the file is".into(),
            Self::NoDecoder { package, .. } | Self::NoElement { package, .. } => {
                format!("apt install {package}")
            }
            Self::Plan { hint, .. } => hint.clone(),
            Self::Exists { kept: true, .. } => "-n keeps it; -y in its place replaces it".into(),
            Self::Exists { .. } => "-y replaces it".into(),
            Self::Appeared { part: Some(part), .. } => format!("what was encoded is in {}", part.display()),
            Self::Appeared { part: None, .. } => {
                "move it and go on with -resume, or replace it with -resume and -y: nothing is encoded twice".into()
            }
            Self::Unfinished { resume, .. } => format!("{resume} goes on from there; -y starts over"),
            Self::Job { error, .. } => match error {
                JobError::Io(_) if self.is_for_want_of_room() => {
                    "make room, or let files grow (ulimit -f), and go on with -resume; or choose another folder with -workdir".into()
                }
                JobError::Io(_) => "choose a folder that you may write to, with -workdir".into(),
                JobError::Changed(_) => "go on with -resume, which takes what is on the disk; it may be time for a test of the memory".into(),
                JobError::Held(_) => "wait until it has ended, or write to another name".into(),
                JobError::Strange(_) | JobError::Others { .. } => "give the folder another name, or choose another one with -workdir".into(),
                JobError::Unreadable(_) | JobError::Differs(_) | JobError::Encoder(_) | JobError::Input(_) => {
                    "run it as it was to go on with it, or with -y and without -resume to start over".into()
                }
            },
            Self::Create { source, .. } | Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room, or write elsewhere".into()
            }
            Self::Create { .. } => "choose a folder that exists and that you may write to".into(),
            Self::Broken { piped: true, .. } => {
                "it is damaged, or of a kind that can be read from a file alone: write it to one first".into()
            }
            Self::Broken { .. } => "the file is damaged; a copy from its origin may help".into(),
            Self::Lossy { .. } => "without -xerror the rest is encoded, with exit code 75".into(),
            Self::EarlyPictures { .. } => "mkvmerge -o NEW.mkv OLD.mkv writes it anew from 0 on".into(),
            Self::Encoder { .. } => {
                "the encoder's options are the likeliest cause: divien -h encoder=NAME lists them".into()
            }
            Self::Elsewhere { trouble, .. } => match trouble {
                Trouble::Nobody => "divien workers HOST:PORT,... tells what each of them answers".into(),
                Trouble::OtherToken => SAME_TOKEN.into(),
                Trouble::Settings => return None,
            },
            Self::NoProcess { .. } => "-isolate none needs no processes".into(),
            Self::Unverified { .. } => {
                "a new one is not given its name; -y without -resume encodes all of it anew; where it was not the disk, the memory \
                 or the encoder, this is a bug in divien: please tell"
                    .into()
            }
            Self::Token(TokenError::Random) | Self::Net(NetError::Random) => return None,
            Self::Token(_) => MAKE_A_TOKEN.into(),
            Self::Net(NetError::Socket { .. }) => "choose another address or port with --listen".into(),
            Self::Net(error) if error.is_refusal() => SAME_TOKEN.into(),
            Self::Net(error) if error.is_other_protocol() => SAME_VERSION.into(),
            Self::Worker(Ended::Refused(_)) => SAME_TOKEN.into(),
            Self::Worker(Ended::Unfit(_)) | Self::Differ { .. } => SAME_VERSION.into(),
            Self::Worker(Ended::NoCoordinator(_)) => {
                "check the address after --join; --join-timeout gives whoever has chunks more time to begin".into()
            }
            Self::Net(NetError::Name { .. } | NetError::Dial { .. } | NetError::Handshake { .. }) => {
                "check the address, and that UDP gets through to it".into()
            }
            Self::Net(NetError::Key(_) | NetError::Cipher(_))
            | Self::Worker(Ended::Done | Ended::Drained | Ended::Unfinished(_))
            | Self::NoVideo { .. }
            | Self::Write { .. }
            | Self::Mux { .. }
            | Self::Incomplete { .. }
            | Self::Interrupted { .. }
            | Self::Fault { .. } => return None,
        })
    }
}

const MAKE_A_TOKEN: &str = "divien token new > FILE; chmod 600 FILE makes one, of which every machine gets a copy: --token-file FILE with a worker, -token-file FILE with an encode, or its text in DIVIEN_TOKEN";
const SAME_TOKEN: &str = "give all machines the same token: --token-file, -token-file or DIVIEN_TOKEN";
const SAME_VERSION: &str = "install the same versions of divien and of the encoders on all machines";

/// How a worker has ended, in words.
fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Done => "all is done".into(),
        Ended::Unfinished(why) => format!("the run has ended before all was done: {why}"),
        Ended::Drained => "drained, as it was told to".into(),
        Ended::NoCoordinator(why) => format!("nobody has chunks: {why}"),
        Ended::Refused(why) => format!("refused: {why}"),
        Ended::Unfit(why) => format!("this worker is of no use there: {why}"),
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        Self::from(error.code())
    }
}
