//! Raw pictures for one worker on this machine whose encoder does nothing, with or without a line between: how fast they get
//! there and what that takes, against the same bytes over plain QUIC.

mod plain;

use std::process::Command;

use wait4::Wait4 as _;

pub use plain::{copied, give, take};

use crate::bench::measured;
use crate::process::new_token;
use crate::relay::{HERE, Line, Relay};
use crate::scale::Installed;

/// Bytes of a picture of 1920x1080, I420.
pub const PICTURE: u64 = 1920 * 1080 * 3 / 2;
const CAPS: &str = "video/x-raw,format=I420,width=1920,height=1080,framerate=25/1";

/// What it takes to get raw pictures elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    /// Bytes.
    pub bytes: f64,
    /// Wall time, s.
    pub seconds: f64,
    /// CPU time of the one who sends, s.
    pub sending: f64,
    /// CPU time of the one who takes, s.
    pub taking: f64,
}

impl Moved {
    /// GB a second.
    pub fn rate(self) -> f64 {
        self.bytes / 1e9 / self.seconds
    }

    /// CPU seconds a GB of sender and taker.
    pub fn cpu(self) -> (f64, f64) {
        (self.sending * 1e9 / self.bytes, self.taking * 1e9 / self.bytes)
    }

    /// Without what a shorter run takes as well.
    fn beyond(self, other: Self) -> Self {
        Self {
            bytes: self.bytes - other.bytes,
            seconds: self.seconds - other.seconds,
            sending: self.sending - other.sending,
            taking: self.taking - other.taking,
        }
    }
}

/// Pictures in chunks.
#[derive(Debug, Clone, Copy)]
pub struct Pictures {
    /// All of them.
    pub count: u64,
    /// Those of a chunk.
    pub chunk: u64,
    /// `max-buffered-bytes`, in GiB. A quarter of it is for pictures that were sent and may be asked for again.
    pub buffered: u64,
}

impl Pictures {
    /// Sends them to a worker, over a line if there is one; the start and the end of a run, in which no pictures are sent, are
    /// left out.
    ///
    /// # Errors
    /// Something of it does not work.
    pub fn moved(self, installed: &Installed, line: Option<Line>) -> Result<Moved, String> {
        let short = Self { count: self.chunk, ..self };
        let long = Self { count: self.count + self.chunk, ..self };
        Ok(long.run(installed, line)?.beyond(short.run(installed, line)?))
    }

    fn run(self, installed: &Installed, line: Option<Line>) -> Result<Moved, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (_, token) = new_token(folder.path())?;
        let (mut worker, mut address) = installed.worker(folder.path(), &token, "worker", |_| {})?;
        let relay = line.map(|line| Relay::start(HERE, line, 1)).transpose().map_err(|error| error.to_string())?;
        if let Some(relay) = &relay {
            relay.lead_to(address.parse().map_err(|_| format!("{address} is no address"))?);
            address = relay.address().to_string();
        }
        let mut launch = Command::new("gst-launch-1.0");
        // The same picture again and again costs nothing to make.
        launch.args(["-q", "videotestsrc", "num-buffers=1", "!", CAPS, "!", "imagefreeze"]);
        launch.arg(format!("num-buffers={}", self.count)).args(["!", "divienenc", "local=false"]);
        launch.arg(format!("max-buffered-bytes={}", self.buffered << 30));
        launch.arg(format!("chunk-frames={}", self.chunk)).arg("encoder=waitenc time=0");
        launch.arg(format!("token-file={}", token.display())).arg(format!("remote-workers={address}"));
        launch.args(["!", "fakesink"]);
        installed.surround(&mut launch, folder.path())?;
        let (usage, _) = measured(&mut launch)?;
        let there = worker.child.wait4().map_err(|error| error.to_string())?.rusage;
        Ok(Moved {
            bytes: (self.count * PICTURE) as f64,
            seconds: usage.seconds,
            sending: usage.cpu,
            taking: (there.utime + there.stime).as_secs_f64(),
        })
    }
}
