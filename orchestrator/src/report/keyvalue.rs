//! ffmpeg's `-progress`: blocks of `key=value`, each ended by `progress=continue` or `progress=end`.

use std::fs::File;
use std::io::{self, Write};

use super::Snapshot;
use crate::error::Error;

/// Where the blocks go. A reader that goes away ends the reports, never the run.
pub(super) struct KeyValue {
    target: Option<Box<dyn Write>>,
    last: Snapshot,
}

/// However a run ends, its reader is told that there will be no more.
impl Drop for KeyValue {
    fn drop(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.send(&last, true);
    }
}

impl KeyValue {
    pub(super) fn open(url: &str) -> Result<Self, Error> {
        let target: Box<dyn Write> = match url {
            "-" | "pipe:" | "pipe:1" => Box::new(io::stdout()),
            "pipe:2" => Box::new(io::stderr()),
            other if other.contains("://") && !other.starts_with("file://") => {
                return Err(Error::Plan {
                    what: format!("-progress {other}: only files and pipes are supported"),
                    hint: "-progress - writes to standard output, -progress FILE to a file".into(),
                });
            }
            other => {
                let path = other.strip_prefix("file://").or(other.strip_prefix("file:")).unwrap_or(other);
                let file = File::create(path).map_err(|source| Error::Create { path: path.into(), source })?;
                Box::new(file)
            }
        };
        Ok(Self { target: Some(target), last: Snapshot::default() })
    }

    /// How it stands; kept for the end too.
    pub(super) fn write(&mut self, now: &Snapshot) {
        self.send(now, false);
        self.remember(now);
    }

    /// What the last block will say, if nothing later does.
    pub(super) fn remember(&mut self, now: &Snapshot) {
        self.last = now.clone();
    }

    fn send(&mut self, now: &Snapshot, last: bool) {
        let Some(target) = self.target.as_mut() else { return };
        let sent = target.write_all(block(now, last).as_bytes()).and_then(|()| target.flush());
        if sent.is_err() {
            self.target = None;
        }
    }
}

/// ffmpeg's keys in its order; the quantizer is its -1 for one that is not known.
fn block(now: &Snapshot, last: bool) -> String {
    let us = now.time / 1000;
    let (s, rest) = (us / 1_000_000, us % 1_000_000);
    let pass = now.pass.map_or_else(String::new, |pass| format!("pass={pass}\n"));
    format!(
        "{pass}frame={}\nfps={:.2}\nstream_0_0_q=-1.0\nbitrate={:.1}kbits/s\ntotal_size={}\nout_time_us={us}\nout_time_ms={us}\n\
         out_time={:02}:{:02}:{:02}.{rest:06}\ndup_frames=0\ndrop_frames=0\nspeed={:.3}x\nprogress={}\n",
        now.frames,
        now.fps(),
        now.bit_rate() / 1000.0,
        now.bytes,
        s / 3600,
        s / 60 % 60,
        s % 60,
        now.speed(),
        if last { "end" } else { "continue" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_reads_like_ffmpegs() {
        let now = Snapshot { frames: 3, time: 3_723_000_004_000, ..Snapshot::default() };
        let block = block(&now, true);
        assert!(block.starts_with("frame=3\n") && block.ends_with("progress=end\n"));
        assert!(block.contains("out_time=01:02:03.000004\n"), "{block}");
        assert!(block.lines().all(|l| l.split_once('=').is_some()));
    }
}
