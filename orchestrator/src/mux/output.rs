//! The file being written: beside its name until it is complete, so that nothing that looks
//! finished ever is not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gstdivien::journal::part_of;
use rustix::fs::{Access, CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::forward::{self, Forward};
use crate::error::Error;

/// Where a run's bytes go.
#[derive(Debug)]
pub struct Output {
    name: String,
    target: Target,
    /// Whatever has its name by the end may go.
    may_replace: bool,
}

#[derive(Debug)]
enum Target {
    /// Standard output, a device or a pipe: it cannot be replaced.
    Forward(Forward),
    /// A regular file, under the name it will have, links followed.
    File { path: PathBuf, part: Option<PathBuf>, replaces: bool },
}

impl Output {
    /// Makes the partial file (`.NAME.….part` in the same folder, under a name of this run's own), or one without a name
    /// where the output is no regular file: from there its bytes flow on while it is written if the container allows
    /// that (`flows`), else at the end.
    pub fn create(target: Option<&Path>, flows: bool) -> Result<(Self, Sink), Error> {
        let unnamed = |path: Option<PathBuf>| {
            let folder = std::env::temp_dir();
            let failed = |source| Error::Create { path: folder.clone(), source };
            let name = path.as_ref().map_or_else(|| "standard output".into(), |p| p.display().to_string());
            let file = tempfile::tempfile().map_err(failed)?;
            let forward = Forward::start(file.try_clone().map_err(failed)?, path).map_err(failed)?;
            let forwarded = flows.then(|| forward.shared());
            let sink = Sink { forward: forwarded, is_spool: true, ..Sink::new(file, folder.clone()) };
            Ok((Self { name, target: Target::Forward(forward), may_replace: true }, sink))
        };
        let Some(typed) = target else { return unnamed(None) };
        let failed = |source| Error::Create { path: typed.to_owned(), source };
        let path = followed(typed).map_err(failed)?;
        let existing = fs::metadata(&path).ok();
        match &existing {
            Some(m) if m.is_dir() => return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"))),
            Some(m) if !m.is_file() => return unnamed(Some(typed.to_owned())),
            // A file that must not be written to must not be replaced either.
            Some(_) => drop(File::options().write(true).open(&path).map_err(failed)?),
            None => {}
        }
        let names_none = || failed(io::Error::new(io::ErrorKind::InvalidInput, "names no file"));
        path.file_name().ok_or_else(names_none)?;
        let (begin, end) = part_of(&path);
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        // Told here it is told without the partial file's name, which nobody typed.
        rustix::fs::access(&folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| failed(e.into()))?;
        let mode = existing.as_ref().map_or(0o666, |m| m.permissions().mode() & 0o777);
        let part = tempfile::Builder::new()
            .prefix(&begin)
            .suffix(end)
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(&folder)
            .map_err(failed)?;
        let (file, part) = part.keep().map_err(|e| failed(e.error))?;
        let name = typed.display().to_string();
        let target = Target::File { path, part: Some(part), replaces: existing.is_some() };
        let output = Self { name, target, may_replace: true };
        if let Some(existing) = existing {
            // Only root may give files away; anybody else's stays their own, as a new file would be.
            let _ = fchown(&file, Some(existing.uid()), Some(existing.gid()));
            // The umask had its say when the file was made the first time.
            file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok((output, Sink::new(file, folder)))
    }

    /// Has it keep what has got its name since the run began, of which nobody was asked whether it may go.
    pub fn replaces_nothing(&mut self) -> Result<(), Error> {
        self.may_replace = false;
        match &self.target {
            Target::File { path, replaces: true, .. } => Err(Error::Exists { path: path.clone(), kept: false }),
            _ => Ok(()),
        }
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// What a run that is stopped leaves of it, in words.
    #[must_use]
    pub fn if_stopped(&self) -> String {
        match &self.target {
            Target::Forward(_) => format!("{} did not get all of it", self.name),
            Target::File { replaces: true, .. } => format!("{} is what it was before", self.name),
            Target::File { replaces: false, .. } => format!("nothing was left at {}", self.name),
        }
    }

    /// The partial file, to be removed by whoever ends the process in a hurry.
    #[must_use]
    pub fn part(&self) -> Option<&Path> {
        match &self.target {
            Target::Forward(_) => None,
            Target::File { part, .. } => part.as_deref(),
        }
    }

    /// Has the complete file safely on the disk, or sent on; it still lacks its name.
    pub fn complete(&mut self, sink: Sink) -> Result<u64, Error> {
        let Self { name, target, .. } = self;
        let failed = |source| Error::Write { path: PathBuf::from(&*name), source };
        let file = sink.into_file().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        match target {
            Target::Forward(forward) => forward.finish(size),
            Target::File { .. } => file.sync_all(),
        }
        .map_err(failed)?;
        Ok(size)
    }

    /// Gives the complete file its name.
    pub fn rename(&mut self) -> Result<(), Error> {
        let Target::File { path, part, .. } = &mut self.target else { return Ok(()) };
        let Some(from) = part.as_ref() else { return Ok(()) };
        let renamed = if self.may_replace { fs::rename(from, &*path) } else { rename_to_new(from, path) };
        renamed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Appeared { path: path.clone(), part: None },
            _ => Error::Write { path: path.clone(), source },
        })?;
        *part = None;
        Ok(())
    }

    /// Leaves the partial file to the user, and tells where it is.
    pub fn keep_part(&mut self) -> Option<PathBuf> {
        match &mut self.target {
            Target::Forward(_) => None,
            Target::File { part, .. } => part.take(),
        }
    }

    #[cfg(test)]
    pub(super) fn commit(mut self, sink: Sink) -> u64 {
        let size = self.complete(sink).unwrap();
        self.rename().unwrap();
        size
    }

    /// Has the name safely on the disk as well.
    pub fn sync_folder(&self) {
        let Target::File { path, .. } = &self.target else { return };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        // Some file systems refuse to sync a folder; the file itself is safe by then.
        let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all());
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Target::File { part, .. } = &mut self.target
            && let Some(part) = part.take()
        {
            let _ = fs::remove_file(part);
        }
    }
}

/// Gives a file a name that nothing has yet.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        renamed => return Ok(renamed?),
    }
    // Some file systems, NFS among them, cannot do that, and others have no links.
    match fs::hard_link(from, to) {
        Ok(()) => {
            // It has its name; another one takes no room.
            let _ = fs::remove_file(from);
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    // Whoever comes later finds the name taken, by an empty file for a moment.
    File::create_new(to)?;
    fs::rename(from, to)
}

/// As many links as Linux itself follows.
const MOST_LINKS: usize = 40;

/// Where the links lead, to a file that is yet to be made as well: [`Path::canonicalize`] knows only what is there.
pub(crate) fn followed(typed: &Path) -> io::Result<PathBuf> {
    let mut path = typed.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::metadata(&path) {
            // A pipe that standard output is has no path of its own.
            Ok(_) => return Ok(path.canonicalize().unwrap_or(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let Ok(next) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("too many links, one to the next"))
}

/// A buffered file that knows where it is.
#[derive(Debug)]
pub struct Sink {
    file: io::BufWriter<File>,
    position: u64,
    /// Where the file is.
    folder: PathBuf,
    /// It is not the output but goes there from a folder that the user has not named.
    is_spool: bool,
    /// Set where bytes leave as they are written, and cannot be changed afterwards.
    forward: Option<Arc<forward::Shared>>,
}

impl Sink {
    fn new(file: File, folder: PathBuf) -> Self {
        let file = io::BufWriter::with_capacity(1 << 18, file);
        Self { file, position: 0, folder, is_spool: false, forward: None }
    }

    /// How much has been written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where there is room for what has to wait.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.on_disk(|file| file.write_all(data))?;
        self.position += data.len() as u64;
        Ok(())
    }

    /// True where what is written cannot be patched: its reader may have it already.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.forward.is_some()
    }

    /// Lets go of what has been written, where that leaves at once.
    pub fn publish(&mut self) -> io::Result<()> {
        if self.forward.is_some() {
            self.on_disk(Write::flush)?;
        }
        self.forward.as_ref().map_or(Ok(()), |forward| forward.publish(self.position))
    }

    /// Writes over what was written before, and returns to the end.
    pub fn patch(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        let end = self.position;
        self.on_disk(|file| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(data)?;
            file.seek(SeekFrom::Start(end)).map(drop)
        })
    }

    /// Puts `data` at `at` and moves what followed behind it.
    pub fn insert(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        let (shift, mut end) = (data.len() as u64, self.position);
        self.position += shift;
        let position = self.position;
        self.on_disk(|buffered| {
            buffered.flush()?;
            let file = buffered.get_mut();
            let mut block = vec![0; 1 << 20];
            while end > at {
                let take = (end - at).min(block.len() as u64);
                let piece = block.get_mut(..usize::try_from(take).unwrap_or(0)).unwrap_or_default();
                file.seek(SeekFrom::Start(end - take))?;
                file.read_exact(piece)?;
                file.seek(SeekFrom::Start(end - take + shift))?;
                file.write_all(piece)?;
                end -= take;
            }
            file.seek(SeekFrom::Start(at))?;
            file.write_all(data)?;
            file.seek(SeekFrom::Start(position)).map(drop)
        })
    }

    fn into_file(mut self) -> io::Result<File> {
        self.on_disk(Write::flush)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn on_disk<T>(&mut self, work: impl FnOnce(&mut io::BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
        work(&mut self.file).map_err(|error| match self.is_spool {
            true => in_folder(&self.folder, &error),
            false => error,
        })
    }
}

/// An error on the disk where something waits for its turn, which is not what the user wrote to.
pub(super) fn in_folder(folder: &Path, error: &io::Error) -> io::Error {
    let text = format!("in {}, where it waits (TMPDIR names another folder): {error}", folder.display());
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_the_outputs_name_before_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.mp4");
        let (output, mut sink) = Output::create(Some(&target), true).unwrap();
        sink.write(b"half").unwrap();
        assert!(!target.exists());
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "an abandoned run leaves nothing");

        let (output, mut sink) = Output::create(Some(&target), true).unwrap();
        sink.write(b"whole").unwrap();
        output.commit(sink);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn devices_and_links_are_written_to_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (output, mut sink) = Output::create(Some(Path::new("/dev/null")), true).unwrap();
        sink.write(b"gone").unwrap();
        output.commit(sink);
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (output, mut sink) = Output::create(Some(&link), true).unwrap();
        sink.write(b"new").unwrap();
        output.commit(sink);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn a_link_to_what_is_not_there_yet_has_it_made() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        symlink("elsewhere/second", at("first")).unwrap();
        symlink("real", at("elsewhere/second")).unwrap();
        let (output, mut sink) = Output::create(Some(&at("first")), true).unwrap();
        sink.write(b"new").unwrap();
        output.commit(sink);
        assert_eq!(fs::read(at("elsewhere/real")).unwrap(), b"new");
        assert!(fs::symlink_metadata(at("first")).unwrap().is_symlink());

        symlink("nowhere/real", at("astray")).unwrap();
        symlink("ring", at("ring")).unwrap();
        for name in ["astray", "ring"] {
            assert!(Output::create(Some(&at(name)), true).is_err(), "{name}");
        }
    }

    #[test]
    fn what_a_stopped_run_leaves_is_told_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, b"precious").unwrap();
        let told = |path: &Path| Output::create(Some(path), true).unwrap().0.if_stopped();
        assert!(told(&old).ends_with("old is what it was before"));
        assert!(told(&new).starts_with("nothing was left at"));
        assert!(told(Path::new("/dev/null")).contains("did not get all"));
    }

    #[test]
    fn a_new_file_is_open_to_whom_the_umask_says_and_a_replaced_one_to_the_same_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let write = |path: &Path| {
            let (output, mut sink) = Output::create(Some(path), false).unwrap();
            sink.write(b"new").unwrap();
            output.commit(sink);
            mode(path)
        };
        let plain = folder.path().join("plain");
        File::create(&plain).unwrap();
        assert_eq!(write(&folder.path().join("new")), mode(&plain));
        for before in [0o666, 0o604, 0o660, 0o755, 0o600] {
            let path = folder.path().join(format!("{before:o}"));
            File::create(&path).unwrap().set_permissions(fs::Permissions::from_mode(before)).unwrap();
            assert_eq!(write(&path), before, "{before:o}");
        }
    }

    #[test]
    fn what_flows_reaches_its_reader_before_it_is_complete_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        let (output, mut sink) = Output::create(Some(&path), true).unwrap();
        let (early, seen) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut pipe = File::open(path).unwrap();
            let mut all = vec![0; 1_000_000];
            pipe.read_exact(&mut all).unwrap();
            early.send(()).unwrap();
            pipe.read_to_end(&mut all).unwrap();
            all
        });
        let (first, rest) = body.split_at(1_500_000);
        sink.write(first).unwrap();
        sink.publish().unwrap();
        seen.recv_timeout(std::time::Duration::from_secs(60)).expect("bytes arrive before the file is complete");
        sink.write(rest).unwrap();
        assert_eq!(output.commit(sink), 3_000_000);
        assert!(reader.join().unwrap() == body);
    }

    #[test]
    fn what_has_got_the_name_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let made = || {
            let (mut output, mut sink) = Output::create(Some(&target), true).unwrap();
            output.replaces_nothing().unwrap();
            sink.write(b"new").unwrap();
            output.complete(sink).unwrap();
            output
        };
        let (mut late, mut first) = (made(), made());
        first.rename().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        fs::write(&target, b"precious").unwrap();
        assert!(matches!(late.rename(), Err(Error::Appeared { path, .. }) if path == target.canonicalize().unwrap()));
        let part = late.keep_part().unwrap();
        drop(late);
        assert_eq!(
            (fs::read(&target).unwrap().as_slice(), fs::read(part).unwrap().as_slice()),
            (&b"precious"[..], &b"new"[..])
        );
        assert!(Output::create(Some(&target), true).unwrap().0.replaces_nothing().is_err());
    }

    #[test]
    fn two_runs_to_one_name_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let (first, mut a) = Output::create(Some(&target), true).unwrap();
        let (second, mut b) = Output::create(Some(&target), true).unwrap();
        a.write(b"first").unwrap();
        b.write(b"second").unwrap();
        first.commit(a);
        assert_eq!(fs::read(&target).unwrap(), b"first");
        second.commit(b);
        assert_eq!(fs::read(&target).unwrap(), b"second");
    }

    #[test]
    fn inserting_moves_what_follows_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let (output, mut sink) = Output::create(Some(&target), true).unwrap();
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        sink.write(b"head").unwrap();
        sink.write(&body).unwrap();
        sink.insert(4, b"index").unwrap();
        sink.write(b"tail").unwrap();
        output.commit(sink);
        let expected = [b"headindex", body.as_slice(), b"tail"].concat();
        assert!(fs::read(&target).unwrap() == expected);
    }
}
