//! What cutting a video into chunks costs in quality, or gains: BD-rates against one encoder for all of it.
//!
//! A *subject* is one clip and one encoder with its settings. It is encoded at four qualities by ffmpeg, whose one encoder has
//! one thread as each of divien's has, and by divien in several *ways*: where chunks are cut, and how many frames go before
//! each. What counts of an output is the bytes of its video's packets. It is decoded and compared with the
//! clip, picture by picture, by an ffmpeg that has libvmaf. The [BD-rate](bd) of a way says how many more bytes it takes than
//! the one encoder for the same quality: by VMAF's mean, and by that of PSNR-Y.
//!
//! What is measured is kept in a file, line by line, so that a long run may be stopped, and other ways added to it.

pub mod bd;
mod clip;
mod compare;
mod record;
mod way;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use record::{Measured, Record};
pub use way::Way;
use way::{ENCODERS, Encoder};

/// What to measure.
#[derive(Debug)]
pub struct Quality {
    /// The command under test.
    pub divien: PathBuf,
    /// An ffmpeg with libvmaf.
    pub vmaf: PathBuf,
    /// Names of clips; all there are if it is empty.
    pub clips: Vec<String>,
    /// Names of encoders; all there are if it is empty.
    pub encoders: Vec<String>,
    /// divien's ways.
    pub ways: Vec<Way>,
    /// Where `quality.tsv` and `quality.md` go; what was measured there before stays.
    pub into: PathBuf,
    /// Encodes at once.
    pub jobs: usize,
    /// What else a command gets before it runs.
    pub surround: fn(&mut Command),
}

/// One encode and its comparison.
struct Job<'a> {
    clip: &'a clip::Clip,
    encoder: &'static Encoder,
    quality: &'static str,
    /// `None` is one encoder for all.
    way: Option<&'a Way>,
}

impl Quality {
    /// Measures what is missing, prints and writes the table.
    ///
    /// # Errors
    /// A clip or a program is missing, or an output is not the clip's video.
    pub fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let clips = clip::chosen(&self.clips, folder.path())?;
        let encoders = chosen(&self.encoders)?;
        let ways: Vec<Option<&Way>> = [None].into_iter().chain(self.ways.iter().map(Some)).collect();
        std::fs::create_dir_all(&self.into).map_err(|error| format!("{}: {error}", self.into.display()))?;
        let record = Mutex::new(Record::open(&self.into.join("quality.tsv"))?);
        let lock = || record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = VecDeque::new();
        for clip in &clips {
            for encoder in &encoders {
                for way in &ways {
                    jobs.extend(encoder.qualities.iter().map(|quality| Job { clip, encoder, quality, way: *way }));
                }
            }
        }
        jobs.retain(|job| !lock().has(&job.key()));
        let (left, jobs, failure) = (jobs.len(), Mutex::new(jobs), Mutex::new(None::<String>));
        println!("{left} to measure");
        std::thread::scope(|scope| {
            for worker in 0..self.jobs.max(1) {
                let (jobs, failure, lock, folder) = (&jobs, &failure, &lock, folder.path().join(worker.to_string()));
                scope.spawn(move || {
                    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    while let Some(job) = next() {
                        match self.measure(&job, &folder).and_then(|measured| lock().add(job.key(), measured)) {
                            Ok(()) => {}
                            Err(why) => {
                                jobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
                                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                            }
                        }
                    }
                });
            }
        });
        if let Some(why) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(why);
        }
        let page = lock().page();
        print!("{page}");
        std::fs::write(self.into.join("quality.md"), page).map_err(|error| error.to_string())
    }

    fn measure(&self, job: &Job<'_>, folder: &std::path::Path) -> Result<Measured, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let output = folder.join("out.mkv");
        let mut command = match job.way {
            None => job.encoder.alone(&job.clip.path, job.quality, &output),
            Some(way) => way.command(&self.divien, job.encoder, &job.clip.path, job.quality, &output),
        };
        (self.surround)(&mut command);
        let (usage, _) = crate::bench::measured(&mut command)?;
        let (bytes, scores) = compare::scores(&self.vmaf, &output, (&job.clip.path, job.clip.frames), folder)?;
        println!(
            "{}: {bytes} bytes, VMAF {:.3}, PSNR-Y {:.3} dB, {:.1} s of CPU",
            job.key(),
            scores.vmaf,
            scores.psnr,
            usage.cpu
        );
        Ok(Measured { bytes, vmaf: scores.vmaf, psnr: scores.psnr, cpu: usage.cpu })
    }
}

impl Job<'_> {
    fn key(&self) -> record::Key {
        record::Key {
            clip: self.clip.name.clone(),
            encoder: self.encoder.name.into(),
            way: self.way.map_or_else(|| record::ALONE.into(), ToString::to_string),
            quality: self.quality.into(),
        }
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Encoder>, String> {
    if names.is_empty() {
        return Ok(ENCODERS.iter().collect());
    }
    let named = |name: &String| {
        let known = || ENCODERS.iter().map(|encoder| encoder.name).collect::<Vec<_>>().join(", ");
        let found = ENCODERS.iter().find(|encoder| encoder.name == name);
        found.ok_or_else(|| format!("there is no encoder '{name}'; there are: {}", known()))
    };
    names.iter().map(named).collect()
}
