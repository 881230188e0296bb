//! Runs with workers whose encoder waits instead of computing: what many of them cost the one that has the chunks, and what
//! a slow one costs the others.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bench::{Usage, measured};
use crate::process::{Process, new_token};

const CAPS: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1";

/// What is under test.
#[derive(Debug)]
pub struct Installed {
    /// The command.
    pub divien: PathBuf,
    /// The folder with the plugin; the encoder that waits is in its `examples`.
    pub plugins: PathBuf,
}

/// Chunks for an encoder that waits.
#[derive(Debug, Clone, Copy)]
struct Work {
    chunks: u64,
    /// Frames of each.
    length: u64,
    /// What the encoder takes for one.
    frame: Duration,
}

impl Work {
    fn chunk(self) -> f64 {
        self.frame.as_secs_f64() * self.length as f64
    }
}

impl Installed {
    /// Gives a command all it needs.
    pub(crate) fn surround(&self, command: &mut Command, folder: &Path) -> Result<(), String> {
        let path = std::env::join_paths([self.plugins.clone(), self.plugins.join("examples")]);
        let path = path.map_err(|error| error.to_string())?;
        command.env("GST_PLUGIN_PATH", &path).env("GST_REGISTRY", folder.join("registry.bin"));
        Ok(())
    }

    /// Starts a worker with one slot, and what else it is told; gives where it listens as well.
    pub(crate) fn worker(
        &self,
        folder: &Path,
        token: &Path,
        name: &str,
        tell: impl FnOnce(&mut Command),
    ) -> Result<(Process, String), String> {
        let mut worker = Command::new(&self.divien);
        worker.args(["worker", "--listen", "127.0.0.1:0", "--slots", "1", "--once", "--token-file"]).arg(token);
        tell(&mut worker);
        self.surround(&mut worker, folder)?;
        // The first makes the registry for all.
        let (worker, address) = Process::listening(&mut worker, folder.join(format!("{name}.log")))?;
        Ok((worker, address.to_string()))
    }

    /// Has workers do it, each so many times slower than it should be; tells what the one with the chunks took.
    fn run(&self, work: Work, workers: impl IntoIterator<Item = u32>) -> Result<Usage, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (_, token) = new_token(folder.path())?;
        let workers = workers.into_iter().enumerate();
        let workers = workers.map(|(n, slower)| {
            self.worker(folder.path(), &token, &n.to_string(), |worker| {
                // As many processes more would be started at once on one machine, where each worker has one of its own.
                worker.arg("--no-isolate").env("WAITENC_SLOWER", slower.to_string());
            })
        });
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<_> = workers.iter().map(|(_, address)| address.as_str()).collect();
        let mut launch = Command::new("gst-launch-1.0");
        launch.args(["-q", "videotestsrc"]).arg(format!("num-buffers={}", work.chunks * work.length));
        launch.args(["!", CAPS, "!", "divienenc", "local=false"]).arg(format!("chunk-frames={}", work.length));
        launch.arg(format!("encoder=waitenc time={}", work.frame.as_micros()));
        launch.arg(format!("token-file={}", token.display())).arg(format!("remote-workers={}", addresses.join(",")));
        launch.args(["!", "fakesink"]);
        self.surround(&mut launch, folder.path())?;
        Ok(measured(&mut launch)?.0)
    }
}

/// A run with many workers: chunks of four seconds each, beside which the start of a run is short.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Machines elsewhere, of one slot each.
    pub workers: u64,
    /// Chunks.
    pub chunks: u64,
}

/// What it took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    chunks: u64,
    /// Wall time, of the time that workers without a pause would need.
    pub time: f64,
    /// Cores in use by the coordinator.
    pub cores: f64,
    /// The most bytes resident there.
    pub peak: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peak = self.peak >> 20;
        write!(f, "{} | {:.3} | {:.2} | {peak} MiB |", self.chunks, self.time, self.cores)
    }
}

impl Scale {
    /// Runs it.
    ///
    /// # Errors
    /// Something of it does not work.
    pub fn measured(self, installed: &Installed) -> Result<Cost, String> {
        let work = Work { chunks: self.chunks, length: 100, frame: Duration::from_millis(40) };
        let usage = installed.run(work, (0..self.workers).map(|_| 1))?;
        let ideal = work.chunk() * self.chunks.div_ceil(self.workers) as f64;
        Ok(Cost {
            chunks: self.chunks,
            time: usage.seconds / ideal,
            cores: usage.cpu / usage.seconds,
            peak: usage.peak,
        })
    }
}

/// What the slow one of four takes, of what the others do.
const SLOWER: u32 = 10;

/// A run with four workers of which one is ten times slower, against one with the other three: chunks of 0.8 s, which are
/// long beside what it takes to hand one out.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    /// Chunks.
    pub chunks: u64,
}

/// Wall times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Of the three, s.
    pub three: f64,
    /// Of all four, s.
    pub four: f64,
}

impl Times {
    /// Of all four against that of the three.
    pub fn ratio(self) -> f64 {
        self.four / self.three
    }
}

impl Slow {
    /// Runs both, one after the other.
    ///
    /// # Errors
    /// Something of it does not work.
    pub fn measured(self, installed: &Installed) -> Result<Times, String> {
        // The shorter a frame, the shorter the clip with which workers are tried before they get chunks.
        let work = Work { chunks: self.chunks, length: 160, frame: Duration::from_millis(5) };
        let three = installed.run(work, [1; 3])?.seconds;
        let four = installed.run(work, [SLOWER, 1, 1, 1])?.seconds;
        Ok(Times { three, four })
    }
}
