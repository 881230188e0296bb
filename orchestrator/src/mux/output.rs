//! The file being written: beside its name until it is complete, so that nothing that looks
//! finished ever is not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where a run's bytes go.
#[derive(Debug)]
pub struct Output {
    target: Target,
    part: Option<PathBuf>,
}

#[derive(Debug)]
enum Target {
    /// Standard output, which gets the complete file.
    Stdout,
    /// A device or a pipe, which gets the complete file as well: it must not be replaced by one.
    Special(PathBuf),
    /// A regular file, under the name it will have, links followed.
    File(PathBuf),
}

impl Output {
    /// Makes the partial file (`.NAME.….part` in the same folder, under a name of this run's own), or one without a name
    /// where the output is no regular file.
    pub fn create(target: Option<&Path>) -> Result<(Self, Sink), Error> {
        let unnamed = |target| {
            let file = tempfile::tempfile().map_err(|source| Error::Create { path: std::env::temp_dir(), source })?;
            Ok((Self { target, part: None }, Sink::new(file)))
        };
        let Some(typed) = target else { return unnamed(Target::Stdout) };
        let failed = |source| Error::Create { path: typed.to_owned(), source };
        let target = typed.canonicalize().unwrap_or_else(|_| typed.to_owned());
        let existing = fs::metadata(&target).ok();
        match &existing {
            Some(m) if m.is_dir() => return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"))),
            Some(m) if !m.is_file() => return unnamed(Target::Special(target)),
            _ => {}
        }
        let names_none = || failed(io::Error::new(io::ErrorKind::InvalidInput, "names no file"));
        let name: String = target.file_name().ok_or_else(names_none)?.to_string_lossy().chars().take(40).collect();
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let permissions = existing.map_or_else(|| fs::Permissions::from_mode(0o666), |m| m.permissions());
        let part = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".part")
            .permissions(permissions)
            .tempfile_in(folder)
            .map_err(failed)?;
        let (file, part) = part.keep().map_err(|e| failed(e.error))?;
        Ok((Self { target: Target::File(target), part: Some(part) }, Sink::new(file)))
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.target {
            Target::Stdout => "standard output".into(),
            Target::Special(path) | Target::File(path) => path.display().to_string(),
        }
    }

    /// The partial file, to be removed by whoever ends the process in a hurry.
    #[must_use]
    pub fn part(&self) -> Option<&Path> {
        self.part.as_deref()
    }

    /// Gives the complete file its name, safely on the disk, or sends it to standard output.
    pub fn commit(mut self, sink: Sink) -> Result<u64, Error> {
        let name = PathBuf::from(self.name());
        let failed = |source| Error::Write { path: name.clone(), source };
        let mut file = sink.into_file().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let target = match &self.target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                io::copy(&mut file, &mut out).and_then(|_| out.flush()).map_err(failed)?;
                return Ok(size);
            }
            Target::Special(path) => {
                let mut out = File::options().write(true).open(path).map_err(failed)?;
                io::copy(&mut file, &mut out).and_then(|_| out.flush()).map_err(failed)?;
                return Ok(size);
            }
            Target::File(path) => path,
        };
        let Some(part) = &self.part else { return Ok(size) };
        file.sync_all().map_err(failed)?;
        fs::rename(part, target).map_err(failed)?;
        let folder = target.parent().filter(|p| !p.as_os_str().is_empty());
        // Some file systems refuse to sync a folder; the file itself is safe by then.
        let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all());
        self.part = None;
        Ok(size)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(part) = self.part.take() {
            let _ = fs::remove_file(part);
        }
    }
}

/// A buffered file that knows where it is.
#[derive(Debug)]
pub struct Sink {
    file: io::BufWriter<File>,
    position: u64,
}

impl Sink {
    fn new(file: File) -> Self {
        Self { file: io::BufWriter::with_capacity(1 << 18, file), position: 0 }
    }

    /// How much has been written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Appends.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.position += data.len() as u64;
        Ok(())
    }

    /// Writes over what was written before, and returns to the end.
    pub fn patch(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(data)?;
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(())
    }

    /// Puts `data` at `at` and moves what followed behind it.
    pub fn insert(&mut self, at: u64, data: &[u8]) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        let shift = data.len() as u64;
        let mut block = vec![0; 1 << 20];
        let mut end = self.position;
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
        self.position += shift;
        file.seek(SeekFrom::Start(self.position))?;
        Ok(())
    }

    fn into_file(self) -> io::Result<File> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_the_outputs_name_before_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.mp4");
        let (output, mut sink) = Output::create(Some(&target)).unwrap();
        sink.write(b"half").unwrap();
        assert!(!target.exists());
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "an abandoned run leaves nothing");

        let (output, mut sink) = Output::create(Some(&target)).unwrap();
        sink.write(b"whole").unwrap();
        output.commit(sink).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn devices_and_links_are_written_to_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (output, mut sink) = Output::create(Some(Path::new("/dev/null"))).unwrap();
        sink.write(b"gone").unwrap();
        output.commit(sink).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, b"old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (output, mut sink) = Output::create(Some(&link)).unwrap();
        sink.write(b"new").unwrap();
        output.commit(sink).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn two_runs_to_one_name_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let (first, mut a) = Output::create(Some(&target)).unwrap();
        let (second, mut b) = Output::create(Some(&target)).unwrap();
        a.write(b"first").unwrap();
        b.write(b"second").unwrap();
        first.commit(a).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"first");
        second.commit(b).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"second");
    }

    #[test]
    fn inserting_moves_what_follows_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let (output, mut sink) = Output::create(Some(&target)).unwrap();
        let body: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
        sink.write(b"head").unwrap();
        sink.write(&body).unwrap();
        sink.insert(4, b"index").unwrap();
        sink.write(b"tail").unwrap();
        output.commit(sink).unwrap();
        let expected = [b"headindex", body.as_slice(), b"tail"].concat();
        assert!(fs::read(&target).unwrap() == expected);
    }
}
