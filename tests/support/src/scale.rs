//! Runs with many workers whose encoder waits instead of computing: what they cost the one that has the chunks.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bench::measured;
use crate::process::{Process, new_token};

/// What the encoder takes for a frame, and the frames of a chunk: four seconds for each chunk, beside which the start of a
/// run is short.
const FRAME: Duration = Duration::from_millis(40);
const CHUNK: u64 = 100;
const CAPS: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1";

/// A run.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Machines elsewhere, of one slot each.
    pub workers: u64,
    /// Chunks, four seconds each.
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
    /// Runs it with the plugins of this folder.
    ///
    /// # Errors
    /// Something of it does not work.
    pub fn measured(self, divien: &Path, plugins: &Path) -> Result<Cost, String> {
        let failed = |what: &dyn fmt::Display| what.to_string();
        let folder = tempfile::tempdir().map_err(|e| failed(&e))?;
        let path = std::env::join_paths([plugins.to_owned(), plugins.join("examples")]).map_err(|e| failed(&e))?;
        let registry = folder.path().join("registry.bin");
        let within = |command: &mut Command| {
            command.env("GST_PLUGIN_PATH", &path).env("GST_REGISTRY", &registry);
        };
        let (_, token) = new_token(folder.path())?;
        let mut workers = Vec::new();
        for number in 0..self.workers {
            let mut worker = Command::new(divien);
            worker.args(["worker", "--listen", "127.0.0.1:0", "--slots", "1", "--once", "--token-file"]).arg(&token);
            within(&mut worker);
            // The first makes the registry for all.
            let (worker, address) = Process::listening(&mut worker, folder.path().join(format!("{number}.log")))?;
            workers.push((worker, address.to_string()));
        }
        let addresses: Vec<_> = workers.iter().map(|(_, address)| address.as_str()).collect();
        let mut launch = Command::new("gst-launch-1.0");
        launch.args(["-q", "videotestsrc"]).arg(format!("num-buffers={}", self.chunks * CHUNK)).args(["!", CAPS, "!"]);
        launch.args(["divienenc", "local=false"]).arg(format!("chunk-frames={CHUNK}"));
        launch.arg(format!("encoder=waitenc time={}", FRAME.as_micros()));
        launch.arg(format!("token-file={}", token.display())).arg(format!("remote-workers={}", addresses.join(",")));
        launch.args(["!", "fakesink"]);
        within(&mut launch);
        let (usage, _) = measured(&mut launch)?;
        let ideal = FRAME.as_secs_f64() * (CHUNK * self.chunks.div_ceil(self.workers)) as f64;
        Ok(Cost {
            chunks: self.chunks,
            time: usage.seconds / ideal,
            cores: usage.cpu / usage.seconds,
            peak: usage.peak,
        })
    }
}
