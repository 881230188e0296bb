//! The workers of a run, and what befalls them: real processes.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use gstdivien::net::Token;

use super::Faults;
use super::case::{Case, Fault, Member, Step, Way};
use crate::meddler::Meddler;
use crate::process::{Process, new_token};
use crate::relay::Relay;
use crate::run::{Signal, signal};

/// Where processes listen that are reached from this machine alone.
const HERE: &str = "127.0.0.1:0";
/// Relays listen there.
const RELAYS: &str = "127.0.0.2:0";

/// All workers of a run.
pub(super) struct Fleet<'a> {
    faults: &'a Faults,
    folder: &'a Path,
    token: Token,
    pub(super) token_file: PathBuf,
    places: Vec<Place>,
    /// Where workers may join, once it is known.
    joined: Option<SocketAddr>,
    /// What ends by itself, and when.
    passing: Vec<(Instant, usize, Fault)>,
    logs: Vec<PathBuf>,
}

/// One of them, whatever process it is at present.
struct Place {
    way: Way,
    process: Option<Process>,
    /// Where it listens itself.
    address: Option<SocketAddr>,
    relay: Option<Relay>,
    meddler: Option<Meddler>,
}

impl<'a> Fleet<'a> {
    /// Those who are there from the start and do not join.
    pub(super) fn start(faults: &'a Faults, case: &Case, folder: &'a Path) -> Result<Self, String> {
        let (token, token_file) = new_token(folder)?;
        let mut fleet = Self {
            faults,
            folder,
            token,
            token_file,
            places: Vec::new(),
            joined: None,
            passing: Vec::new(),
            logs: Vec::new(),
        };
        for (n, Member { way, comes }) in case.members.iter().enumerate() {
            let relay = match way {
                Way::Relayed(line) | Way::JoinsRelayed(line) => {
                    let at = RELAYS.parse().expect("this is an address");
                    let seed = case.seed.wrapping_add(n as u64);
                    Some(Relay::start(at, *line, seed).map_err(|error| format!("{at}: {error}"))?)
                }
                _ => None,
            };
            fleet.places.push(Place { way: *way, process: None, address: None, relay, meddler: None });
            if *comes == 0 && !way.joins() {
                fleet.come(n)?;
            }
        }
        Ok(fleet)
    }

    /// Where the coordinator dials them.
    pub(super) fn dialled(&self) -> Vec<SocketAddr> {
        let dialled = self.places.iter().filter(|place| !place.way.joins());
        dialled
            .filter_map(|place| match (&place.relay, &place.meddler) {
                (Some(relay), _) => Some(relay.address()),
                (_, Some(meddler)) => Some(meddler.address()),
                _ => place.address,
            })
            .collect()
    }

    /// From now on workers may join there.
    pub(super) fn join(&mut self, case: &Case, at: SocketAddr) -> Result<(), String> {
        self.joined = Some(at);
        for (n, member) in case.members.iter().enumerate() {
            if member.way.joins() {
                if let Some(relay) = &self.places[n].relay {
                    relay.lead_to(at);
                }
                if member.comes == 0 {
                    self.come(n)?;
                }
            }
        }
        Ok(())
    }

    /// A worker is started, at the same port as before unless it has a relay.
    pub(super) fn come(&mut self, n: usize) -> Result<(), String> {
        let log = self.folder.join(format!("worker-{n}-{}.log", self.logs.len()));
        self.logs.push(log.clone());
        let mut command = self.faults.command();
        command.args(["worker", "--slots", "1", "--name", &n.to_string(), "--token-file"]).arg(&self.token_file);
        let place = &mut self.places[n];
        if place.way.joins() {
            let to = place.relay.as_ref().map(Relay::address).or(self.joined).ok_or("nobody can be joined yet")?;
            place.process = Some(Process::start(command.args(["--join", &to.to_string()]), log)?);
            return Ok(());
        }
        let again = place.address.filter(|_| place.relay.is_none());
        command.arg("--listen").arg(again.map_or_else(|| HERE.to_owned(), |address| address.to_string()));
        let (process, address) = Process::listening(&mut command, log)?;
        (place.process, place.address) = (Some(process), Some(address));
        if let Some(relay) = &place.relay {
            relay.lead_to(address);
        }
        if let Way::Meddled(mischief) = place.way {
            let meddler = Meddler::start(address, &self.token, mischief).map_err(|error| error.to_string())?;
            place.meddler = Some(meddler);
        }
        Ok(())
    }

    /// Has something befall a worker; false if it has ended before.
    pub(super) fn befall(&mut self, step: Step) -> Result<bool, String> {
        let place = &mut self.places[step.member];
        let Some(process) = place.process.as_mut() else { return Ok(false) };
        if !process.runs() {
            return Ok(false);
        }
        match step.fault {
            Fault::Kill => place.process = None,
            Fault::Leave => signal(&process.child, Signal::TERM),
            Fault::Stop(time) => {
                signal(&process.child, Signal::STOP);
                self.passing.push((Instant::now() + time, step.member, step.fault));
            }
            Fault::Cut(time) => {
                place.relay.as_ref().ok_or("there is nothing to cut")?.cut();
                self.passing.extend(time.map(|time| (Instant::now() + time, step.member, step.fault)));
            }
            Fault::Restart { kill } => {
                if !kill {
                    signal(&process.child, Signal::TERM);
                    process.ends()?;
                }
                place.process = None;
                self.come(step.member)?;
            }
        }
        Ok(true)
    }

    /// Ends what is over by now.
    pub(super) fn relieve(&mut self) {
        let now = Instant::now();
        for (_, n, fault) in self.passing.extract_if(.., |(until, ..)| *until <= now) {
            let place = &mut self.places[n];
            match (fault, &mut place.process, &place.relay) {
                (Fault::Stop(_), Some(process), _) => process.go_on(),
                (Fault::Cut(_), _, Some(relay)) => relay.mend(),
                _ => {}
            }
        }
    }

    /// The chunks that workers have done.
    pub(super) fn chunks(&self) -> u32 {
        let done = |line: &&str| line.contains(": chunk ") && !line.contains("failed after");
        let of = |log: &PathBuf| std::fs::read_to_string(log).map_or(0, |said| said.lines().filter(done).count());
        self.logs.iter().map(|log| u32::try_from(of(log)).unwrap_or(u32::MAX)).sum()
    }

    /// What no worker should do.
    pub(super) fn fault(&mut self) -> Option<String> {
        let mut processes = self.places.iter_mut().filter_map(|place| place.process.as_mut());
        let crashed = processes.find_map(|process| {
            // One that is told to go before it listens to that just ends.
            let is_crash = |ended: &ExitStatus| ended.signal().is_some_and(|signal| signal != Signal::TERM.as_raw());
            let ended = process.child.try_wait().ok().flatten().filter(is_crash);
            ended.map(|ended| format!("a worker crashed: {ended}: {}", process.said()))
        });
        let mut all = self.logs.iter().filter_map(|log| std::fs::read_to_string(log).ok());
        crashed.or_else(|| all.find(|said| said.contains("panicked")).map(|said| format!("a worker panicked: {said}")))
    }

    /// Results that were spoiled.
    pub(super) fn spoiled(&self) -> u64 {
        self.places.iter().filter_map(|place| place.meddler.as_ref()).map(Meddler::spoiled).sum()
    }
}
