//! Runs that are killed at any moment, and others that go on from there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::gst;

/// An encode that is run again and again.
#[derive(Debug)]
pub struct Encode<'a> {
    /// The program.
    pub divien: &'a Path,
    /// What it reads.
    pub input: &'a Path,
    /// What it is told.
    pub options: &'a [&'a str],
    /// What its output is called.
    pub name: &'a str,
}

/// What killed runs and the last one came to.
#[derive(Debug)]
pub struct Came {
    /// The output.
    pub output: Vec<u8>,
    /// How often each chunk was finished.
    pub finished: BTreeMap<u64, usize>,
    /// Chunks that were finished before the last run.
    pub before: usize,
    /// Names of all that is left beside the output and its folder.
    pub left: Vec<String>,
}

impl Encode<'_> {
    /// The command for an output in this folder.
    #[must_use]
    pub fn command(&self, folder: &Path, more: &[&str]) -> Command {
        let mut command = gst::command(self.divien);
        command.args(more).arg("-i").arg(self.input).args(self.options).arg(folder.join(self.name));
        command
    }

    /// Where the run keeps what it has finished.
    #[must_use]
    pub fn kept(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.divien", self.name))
    }

    /// What an output is that nobody stops, and how long it takes.
    ///
    /// # Errors
    /// It does not come to its end.
    pub fn whole(&self, folder: &Path) -> Result<(Vec<u8>, Duration), String> {
        let started = Instant::now();
        ended(&mut self.command(folder, &["-y"]))?;
        let output = fs::read(folder.join(self.name)).map_err(|error| error.to_string())?;
        Ok((output, started.elapsed()))
    }

    /// Starts a run that goes on from what is there, and kills it after this time.
    ///
    /// # Errors
    /// It fails before that.
    pub fn kill(&self, folder: &Path, after: Duration) -> Result<(), String> {
        let mut command = self.command(folder, &["-resume", "-keep"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        std::thread::sleep(after);
        // It may have ended before.
        let _ = child.kill();
        let status = child.wait().map_err(|error| error.to_string())?;
        match status.code() {
            None | Some(0) => Ok(()),
            Some(code) => Err(format!("ended with {code}: {command:?}")),
        }
    }

    /// Kills runs after these times, and lets a last one come to its end.
    ///
    /// # Errors
    /// One of them fails by itself.
    pub fn killed(&self, folder: &Path, times: &[Duration]) -> Result<Came, String> {
        times.iter().try_for_each(|after| self.kill(folder, *after))?;
        let before = self.finished(folder).len();
        ended(&mut self.command(folder, &["-resume", "-keep"]))?;
        let output = fs::read(folder.join(self.name)).map_err(|error| error.to_string())?;
        let finished = self.finished(folder);
        let names = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let left = names.filter(|name| *name != self.name && *name != format!("{}.divien", self.name)).collect();
        Ok(Came { output, finished, before, left })
    }

    /// How often each chunk was finished, by the journal there.
    #[must_use]
    pub fn finished(&self, folder: &Path) -> BTreeMap<u64, usize> {
        let journal = fs::read_to_string(self.kept(folder).join("journal")).unwrap_or_default();
        let mut finished = BTreeMap::new();
        for line in journal.lines() {
            let number = line.split_once("{\"chunk\":{\"number\":").and_then(|(_, rest)| rest.split_once(','));
            if let Some(number) = number.and_then(|(number, _)| number.parse().ok()) {
                *finished.entry(number).or_default() += 1;
            }
        }
        finished
    }
}

impl Came {
    /// What is wrong with it, where this is what it should be.
    ///
    /// # Errors
    /// Something is.
    pub fn check(&self, whole: &[u8]) -> Result<(), String> {
        self.check_damaged(whole, &BTreeMap::new())
    }

    /// The same where files of these chunks were damaged so often, each of which may be done once more for that.
    ///
    /// # Errors
    /// Something is wrong.
    pub fn check_damaged(&self, whole: &[u8], damaged: &BTreeMap<u64, usize>) -> Result<(), String> {
        if self.output != whole {
            return Err("the output is another one".into());
        }
        let most = |chunk| 1 + damaged.get(chunk).copied().unwrap_or(0);
        if let Some((chunk, times)) = self.finished.iter().find(|(chunk, times)| **times > most(chunk)) {
            return Err(format!("chunk {chunk} was finished {times} times"));
        }
        if !self.left.is_empty() {
            return Err(format!("left behind: {:?}", self.left));
        }
        Ok(())
    }
}

fn ended(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
