//! What was measured, in a file with a line for each encode, and the table that is made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::bd::{self, Point};

/// The way that the others are compared with.
pub(super) const ALONE: &str = "one encoder";

/// What was encoded, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) encoder: String,
    pub(super) way: String,
    pub(super) clip: String,
    pub(super) quality: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} {}, {}", self.clip, self.encoder, self.quality, self.way)
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    pub(super) vmaf: f64,
    pub(super) psnr: f64,
    /// Seconds.
    pub(super) cpu: f64,
}

#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    all: BTreeMap<Key, Measured>,
}

const HEAD: &str = "# encoder, way, clip, quality, bytes, VMAF, PSNR-Y dB, CPU s\n";

impl Record {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::write(path, HEAD).map_err(failed)?;
                String::new()
            }
            Err(error) => return Err(failed(error)),
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let all = lines.map(|line| parsed(line).ok_or_else(|| format!("{}: what is '{line}'?", path.display())));
        Ok(Self { path: path.into(), all: all.collect::<Result<_, _>>()? })
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.all.contains_key(key)
    }

    /// Takes it down at once.
    pub(super) fn add(&mut self, key: Key, measured: Measured) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut file = std::fs::OpenOptions::new().append(true).open(&self.path).map_err(failed)?;
        file.write_all(line(&key, &measured).as_bytes()).map_err(failed)?;
        self.all.insert(key, measured);
        Ok(())
    }

    /// A table for each encoder: ways down, clips across.
    pub(super) fn page(&self) -> String {
        let mut page = String::from(INTRODUCTION);
        let encoders = names(self.all.keys().map(|key| &key.encoder));
        for encoder in encoders {
            let of = || self.all.keys().filter(|key| key.encoder == encoder);
            let clips = names(of().map(|key| &key.clip));
            page += &format!("\n## {encoder}\n\n| cut, lead-in | {} | mean |\n", clips.join(" | "));
            page += &format!("| --- |{}\n", " --- |".repeat(clips.len() + 1));
            for way in names(of().map(|key| &key.way)).into_iter().filter(|way| way != ALONE) {
                let rates: Vec<_> = clips.iter().map(|clip| self.rates(&encoder, &way, clip)).collect();
                let there: Vec<_> = rates.iter().flatten().copied().collect();
                let mean = |of: fn(&(f64, f64)) -> f64| there.iter().map(of).sum::<f64>() / there.len().max(1) as f64;
                let mean = (!there.is_empty()).then(|| (mean(|rate| rate.0), mean(|rate| rate.1)));
                let cells: Vec<_> = rates.into_iter().chain([mean]).map(cell).collect();
                page += &format!("| {} | {} |\n", way.replace(':', ", "), cells.join(" | "));
            }
        }
        page
    }

    /// By VMAF and by PSNR-Y.
    fn rates(&self, encoder: &str, way: &str, clip: &str) -> Option<(f64, f64)> {
        let points = |way: &str, of: fn(&Measured) -> f64| -> Vec<Point> {
            let keys =
                self.all.iter().filter(|(key, _)| (&*key.encoder, &*key.way, &*key.clip) == (encoder, way, clip));
            keys.map(|(_, measured)| (measured.bytes, of(measured))).collect()
        };
        let rate = |of: fn(&Measured) -> f64| bd::rate(&points(ALONE, of), &points(way, of));
        Some((rate(|measured| measured.vmaf)?, rate(|measured| measured.psnr)?))
    }
}

const INTRODUCTION: &str = "\
# What chunks cost, or gain

BD-rate against one encoder of the same settings, in ffmpeg and with one thread: how many more bytes, or fewer, the same quality
takes; by VMAF / by PSNR-Y. Less is better. `make quality` measures it, and docs/quality.tsv has each figure.
";

fn cell(rates: Option<(f64, f64)>) -> String {
    rates.map_or_else(|| "-".into(), |(vmaf, psnr)| format!("{:+.1}% / {:+.1}%", vmaf * 100.0, psnr * 100.0))
}

fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn line(key: &Key, measured: &Measured) -> String {
    let Key { encoder, way, clip, quality } = key;
    let Measured { bytes, vmaf, psnr, cpu } = measured;
    format!("{encoder}\t{way}\t{clip}\t{quality}\t{bytes}\t{vmaf:.4}\t{psnr:.4}\t{cpu:.1}\n")
}

fn parsed(line: &str) -> Option<(Key, Measured)> {
    let fields: [&str; 8] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let [encoder, way, clip, quality, bytes, vmaf, psnr, cpu] = fields;
    let key = Key { encoder: encoder.into(), way: way.into(), clip: clip.into(), quality: quality.into() };
    let measured = Measured {
        bytes: bytes.parse().ok()?,
        vmaf: vmaf.parse().ok()?,
        psnr: psnr.parse().ok()?,
        cpu: cpu.parse().ok()?,
    };
    Some((key, measured))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(way: &str, quality: &str) -> Key {
        Key { encoder: "x264".into(), way: way.into(), clip: "ocean".into(), quality: quality.into() }
    }

    #[test]
    fn what_was_measured_is_read_again_and_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quality.tsv");
        let mut record = Record::open(&path).unwrap();
        for (n, quality) in (1u32..).zip(["32", "28", "24", "20"]) {
            let measured = |bytes| Measured { bytes, vmaf: f64::from(n) * 10.0, psnr: f64::from(n) + 30.0, cpu: 1.0 };
            let bytes = 1_000_000 * u64::from(n * n);
            record.add(key(ALONE, quality), measured(bytes)).unwrap();
            record.add(key("fixed:0", quality), measured(bytes * 21 / 20)).unwrap();
        }
        let again = Record::open(&path).unwrap();
        assert_eq!(again.all, record.all);
        assert!(again.has(&key("fixed:0", "20")) && !again.has(&key("fixed:5", "20")));
        let page = again.page();
        assert!(page.contains("| fixed, 0 | +5.0% / +5.0% | +5.0% / +5.0% |"), "{page}");
        std::fs::write(&path, "x264\tfixed\n").unwrap();
        assert!(Record::open(&path).is_err_and(|why| why.contains("what is")));
    }
}
