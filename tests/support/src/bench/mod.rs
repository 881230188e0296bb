//! How long divien takes, against the same encoder in ffmpeg, in a plain GStreamer pipeline and in av1an.
//!
//! A *contest* is one clip and one encoder with the same settings for all; a *way* is who encodes. The ways run in rounds,
//! one at a time, in an order that changes so that nobody always follows the same one, and what is told is the median of
//! the ratios of one round: a machine that is slow for an hour is slow for all. Everyone reads the same file, without
//! sound, and writes a file. Each output is compared with the source (frames, times, pictures) before its time counts, and
//! a way whose output is not the same video ends the bench.
//!
//! **The baseline** is what the work itself costs: in each round one ffmpeg decodes and encodes the same frames with one
//! thread each and writes nothing (`-threads 1 -i CLIP … -threads 1 -f null -`), and its CPU time is taken, user and
//! system. In one process the frames go from the decoder to the encoder without a copy, so nothing that any of the ways
//! could save is in it but ffmpeg's own start (some 30 ms) and its demuxer. Raw frames from a file would be: they would
//! have to be read, and what the reading costs be measured apart and taken off again, which is no less than the noise. The
//! encoder does without the help of its threads, so VP9 has no rows or tiles and x265 no wavefronts, which is also how
//! each of divien's encoders works. *Efficiency* is the baseline over wall time × cores. It would be 1 if all cores did
//! nothing but this, as fast as one core that has the machine for itself: where cores share memory, caches or, as hardware
//! threads, arithmetic, less can be had.
//!
//! CPU time and memory are what the kernel tells of a program and all it waited for (`wait4`); memory is that of the
//! largest process alone, and no less than the bench's own, some tens of MB.
//!
//! Where `av1an` is installed it cuts chunks of the same length as divien, without its scene detection, with the encoder's
//! program at the same settings; of its ways to read chunks and to share the cores, as `way.rs` lists them, it gets those
//! that were fastest in a run beforehand.

mod check;
mod contest;
mod figures;
mod measure;
mod plot;
mod record;
mod rounds;
mod table;
mod way;

pub use figures::spread;
pub(crate) use measure::{Usage, measured};
use std::path::{Path, PathBuf};
use std::process::Command;

use way::{Workshop, version};

/// What to measure.
#[derive(Debug)]
pub struct Bench {
    /// The command under test.
    pub divien: PathBuf,
    /// av1an's program, left out where it does not run.
    pub av1an: PathBuf,
    /// A clip for all encoders; without one the bench clips in `DIVIEN_MEDIA`, each with its own.
    pub clip: Option<PathBuf>,
    /// Names of contests; all there are if it is empty.
    pub contests: Vec<String>,
    /// Numbers of encoders at once that divien is run with besides its default.
    pub workers: Vec<u32>,
    /// How often everyone runs.
    pub rounds: usize,
    /// Where `bench.tsv`, `bench.md` and `bench.svg` go; what was measured there of other contests stays.
    pub into: PathBuf,
    /// The README whose part of the report is brought up to date.
    pub readme: Option<PathBuf>,
    /// What else a command gets before it runs.
    pub surround: fn(&mut Command),
}

impl Bench {
    /// Measures, prints and writes contest by contest, so that what was measured before an error stays.
    pub fn run(&self) -> Result<(), String> {
        if self.rounds == 0 {
            return Err("at least one round is needed".into());
        }
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (divien, av1an) = (&self.divien, &self.av1an);
        let workshop = Workshop { divien, av1an, folder: folder.path(), cores, surround: self.surround };
        let machine = self.machine(cores);
        let contests = contest::chosen(self.clip.as_deref(), &self.contests, folder.path())?;
        workshop.warm_up()?;
        for contest in contests {
            let measured = rounds::run(&workshop, &contest, &self.workers, self.rounds, &machine)?;
            println!("\n{}\n\n{}", measured.title, table::section(&measured));
            self.keep(measured)?;
        }
        println!("all figures: {}", self.into.join("bench.md").display());
        Ok(())
    }

    fn keep(&self, measured: record::Measured) -> Result<(), String> {
        std::fs::create_dir_all(&self.into).map_err(|error| format!("{}: {error}", self.into.display()))?;
        let path = |name: &str| self.into.join(name);
        let mut all = record::read(&path("bench.tsv"))?;
        record::replace(&mut all, measured);
        write(&path("bench.tsv"), &record::text(&all))?;
        write(&path("bench.md"), &table::page(&all))?;
        write(&path("bench.svg"), &plot::svg(&all)?)?;
        let Some(readme) = &self.readme else { return Ok(()) };
        let text = std::fs::read_to_string(readme).map_err(|error| format!("{}: {error}", readme.display()))?;
        let shown = table::shown(&text, &all).map_err(|error| format!("{}: {error}", readme.display()))?;
        write(readme, &shown)
    }

    /// What it runs on, and who competes.
    fn machine(&self, cores: usize) -> String {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown CPU", |(_, model)| model.trim());
        let programs: [(&Path, &str); 3] =
            [("ffmpeg".as_ref(), "-version"), ("gst-launch-1.0".as_ref(), "--version"), (&self.av1an, "--version")];
        let versions = programs.iter().filter_map(|(program, argument)| version(program, argument));
        let counted = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        [model.to_owned(), counted].into_iter().chain(versions).collect::<Vec<_>>().join(", ")
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
