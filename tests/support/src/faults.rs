//! Runs with workers that are killed, stopped, cut off, restarted, late, behind bad lines, or lied about.
//!
//! What befalls whom is made of a seed ([`Case::of`]). A run that is left anybody to work has to end with the bytes of one
//! without workers; one that is not, soon, with an error that says so, without an output, and so that another run goes on
//! from what is finished.

mod case;
mod film;
mod fleet;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

pub use case::{Case, Fault, Member, Step, Way};
pub use film::Recipe;
use film::{Reference, References};
use fleet::Fleet;

use crate::process::{LOOK, Process};

/// A run that takes longer hangs.
const HANGS: Duration = Duration::from_secs(180);
/// A step for which not so many chunks are done by then is taken all the same.
const LATEST: Duration = Duration::from_secs(20);
/// Within this time a machine that says nothing any more is taken for lost: QUIC's 15 s, and the 5 s after which it is
/// spoken to.
const SILENCE: Duration = Duration::from_secs(20);
/// How much later than it should a run may end where nobody is left.
const MARGIN: Duration = Duration::from_secs(10);

/// The exit code of a run that is left nobody.
const NOBODY: i32 = 69;

/// How cases are run.
#[derive(Debug)]
pub struct Faults {
    divien: PathBuf,
    folder: PathBuf,
    surround: fn(&mut Command),
    references: References,
}

/// How a case ended.
#[derive(Debug)]
pub struct Verdict {
    /// In a few words.
    pub ended: String,
    /// So many of the case's steps were taken.
    pub taken: usize,
    /// What is wrong with how it ended.
    pub fault: Option<String>,
    /// So many results were spoiled on their way.
    pub spoiled: u64,
    /// What the run took.
    pub took: Duration,
    /// Where all that was said is kept if there is a fault.
    pub logs: PathBuf,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:.1} s", self.ended, self.took.as_secs_f64())?;
        match &self.fault {
            Some(fault) => write!(f, "; FAULT, see {}: {fault}", self.logs.display()),
            None => Ok(()),
        }
    }
}

impl Faults {
    /// With this program, in this folder; `surround` gives commands what they need.
    pub fn new(divien: PathBuf, folder: PathBuf, surround: fn(&mut Command)) -> Self {
        Self { divien, folder, surround, references: References::default() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.divien);
        (self.surround)(&mut command);
        command
    }

    /// Runs a case.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn run(&self, case: &Case) -> Result<Verdict, String> {
        let reference = self.references.of(self, case.recipe)?;
        let logs = self.folder.join(format!("seed-{}", case.seed));
        let output = logs.join("output");
        // What an earlier run has left there is not of this one.
        let _ = std::fs::remove_dir_all(&logs);
        std::fs::create_dir_all(&output).map_err(|error| format!("{}: {error}", output.display()))?;
        let verdict = Run::start(self, case, &reference, &logs)?.follow()?;
        if verdict.fault.is_none() {
            std::fs::remove_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        }
        Ok(verdict)
    }
}

struct Run<'a> {
    faults: &'a Faults,
    case: &'a Case,
    reference: &'a Reference,
    logs: &'a Path,
    coordinator: Process,
    fleet: Fleet<'a>,
    started: Instant,
    /// When the last step was taken, and how many were.
    last: Instant,
    taken: usize,
}

impl<'a> Run<'a> {
    fn start(faults: &'a Faults, case: &'a Case, reference: &'a Reference, logs: &'a Path) -> Result<Self, String> {
        let mut fleet = Fleet::start(faults, case, logs)?;
        let mut command = faults.command();
        let are_joined = case.members.iter().any(|member| member.way.joins());
        if are_joined {
            command.args(["server", "-listen", "127.0.0.1:0"]);
        }
        command.args(["-y", "-w", &case.here.to_string(), "-token-file"]).arg(&fleet.token_file);
        command.args(["-worker-timeout", &case.worker_timeout.as_secs().to_string()]);
        if let Some(timeout) = case.lane_timeout {
            command.args(["-lane-timeout", &timeout.as_secs().to_string()]);
        }
        let dialled: Vec<_> = fleet.dialled().iter().map(ToString::to_string).collect();
        if !dialled.is_empty() {
            command.args(["-workers", &dialled.join(",")]);
        }
        case.recipe.ask(&mut command, reference.film(), &output(logs))?;
        let started = Instant::now();
        let mut coordinator = Process::start(&mut command, logs.join("coordinator.log"))?;
        // It holds the other end of the pipe by which the film comes.
        drop(command);
        if are_joined {
            fleet.join(case, coordinator.address("workers may join at ")?)?;
        }
        Ok(Self { faults, case, reference, logs, coordinator, fleet, started, last: started, taken: 0 })
    }

    fn follow(mut self) -> Result<Verdict, String> {
        let mut comers: Vec<_> = self.case.members.iter().enumerate().filter(|(_, member)| member.comes > 0).collect();
        let ended = loop {
            match self.coordinator.child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break Some(status),
                Err(error) => return Err(error.to_string()),
            }
            if self.started.elapsed() > HANGS {
                break None;
            }
            let done = self.fleet.chunks();
            let is_late = self.started.elapsed() > LATEST;
            for (n, _) in comers.extract_if(.., |(_, member)| is_late || member.comes <= done) {
                self.fleet.come(n)?;
            }
            while let Some(step) = self.case.steps.get(self.taken).filter(|step| is_late || step.after <= done) {
                if !self.fleet.befall(*step)? {
                    break;
                }
                self.taken += 1;
                self.last = Instant::now();
            }
            self.fleet.relieve();
            std::thread::sleep(LOOK);
        };
        let took = self.started.elapsed();
        let fault = self.fault(ended);
        Ok(Verdict {
            ended: self.told(ended),
            taken: self.taken,
            fault,
            spoiled: self.fleet.spoiled(),
            took,
            logs: self.logs.to_owned(),
        })
    }

    fn told(&self, ended: Option<ExitStatus>) -> String {
        let how = match ended {
            Some(status) if status.success() => "whole".to_owned(),
            Some(status) => status.to_string(),
            None => "hangs".to_owned(),
        };
        let steps = self.case.steps.len();
        let mut told = format!("{how}, {} chunks elsewhere", self.fleet.chunks());
        if self.taken < steps {
            told += &format!(", {} of {steps} steps", self.taken);
        }
        match self.fleet.spoiled() {
            0 => told,
            spoiled => format!("{told}, {spoiled} spoiled"),
        }
    }

    fn fault(&mut self, ended: Option<ExitStatus>) -> Option<String> {
        let said = self.coordinator.said();
        let fault = match ended {
            None => Some(format!("it did not end within {} s", HANGS.as_secs())),
            // Where all go, they may have done all before.
            Some(status) if status.success() => self.differs(),
            Some(status) if self.case.all_go && self.taken == self.case.steps.len() => {
                self.unlike_nobody(status, &said).or_else(|| self.goes_on())
            }
            Some(status) => Some(format!("{status}, though somebody was left")),
        };
        let panicked = said.contains("panicked").then(|| "the coordinator panicked".to_owned());
        fault.or(panicked).or_else(|| self.fleet.fault())
    }

    fn differs(&self) -> Option<String> {
        match std::fs::read(output(self.logs)) {
            Ok(bytes) if bytes == self.reference.bytes => None,
            Ok(bytes) => Some(format!("{} bytes are not the {} of one alone", bytes.len(), self.reference.bytes.len())),
            Err(error) => Some(format!("the output: {error}")),
        }
    }

    /// It has to end soon, say why, and leave nothing that looks like an output.
    fn unlike_nobody(&self, status: ExitStatus, said: &str) -> Option<String> {
        let leave = |step: &Step| step.fault == Fault::Leave;
        let silence = if self.case.steps.iter().all(leave) { Duration::ZERO } else { SILENCE };
        let (took, most) = (self.last.elapsed(), self.case.worker_timeout + silence + MARGIN);
        if took > most {
            return Some(format!(
                "it ended {} s after the last worker; {} are the most",
                took.as_secs(),
                most.as_secs()
            ));
        }
        let why = format!("no worker was there for {} s", self.case.worker_timeout.as_secs());
        if !said.contains(&why) {
            return Some(format!("it does not say that {why}"));
        }
        if status.code() != Some(NOBODY) {
            return Some(format!("it ended with {status}, not with {NOBODY}"));
        }
        let kept = kept(self.logs);
        let left = std::fs::read_dir(self.logs.join("output")).into_iter().flatten();
        let left = left.filter_map(|entry| Some(entry.ok()?.path()).filter(|path| *path != kept));
        left.map(|path| format!("{} is left", path.display())).next()
    }

    /// What is finished is taken by a run of this machine.
    fn goes_on(&self) -> Option<String> {
        if !kept(self.logs).exists() {
            return None;
        }
        let mut command = self.faults.command();
        command.args(["-resume", "-w", "2"]);
        let asked = self.case.recipe.ask(&mut command, self.reference.film(), &output(self.logs));
        let ended = asked.and_then(|()| command.output().map_err(|error| error.to_string()));
        match ended {
            Ok(ended) if ended.status.success() => self.differs(),
            Ok(ended) => Some(format!("-resume: {}\n{}", ended.status, String::from_utf8_lossy(&ended.stderr))),
            Err(error) => Some(format!("-resume: {error}")),
        }
    }
}

/// Where finished chunks are kept.
fn kept(logs: &Path) -> PathBuf {
    output(logs).with_extension("mkv.divien")
}

fn output(logs: &Path) -> PathBuf {
    logs.join("output").join("output.mkv")
}
