//! The file being written: beside its name until it is complete, so that nothing that looks
//! finished ever is not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where a run's bytes go.
#[derive(Debug)]
pub struct Output {
    /// The name it will have; `None` is standard output.
    target: Option<PathBuf>,
    part: Option<PathBuf>,
}

impl Output {
    /// Makes the partial file (`.NAME.part` in the same folder), or one without a name for standard output.
    pub fn create(target: Option<&Path>) -> Result<(Self, Sink), Error> {
        let Some(target) = target else {
            let file = tempfile::tempfile().map_err(|source| Error::Create { path: std::env::temp_dir(), source })?;
            return Ok((Self { target: None, part: None }, Sink::new(file)));
        };
        let name = target.file_name().ok_or_else(|| Error::Create {
            path: target.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "names no file"),
        })?;
        if target.is_dir() {
            return Err(Error::Create {
                path: target.to_owned(),
                source: io::Error::new(io::ErrorKind::IsADirectory, "is a folder"),
            });
        }
        let mut part_name = std::ffi::OsString::from(".");
        part_name.push(name);
        part_name.push(".part");
        let part = target.with_file_name(part_name);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&part)
            .map_err(|source| Error::Create { path: target.to_owned(), source })?;
        Ok((Self { target: Some(target.to_owned()), part: Some(part) }, Sink::new(file)))
    }

    /// The name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.target.as_deref().map_or_else(|| "standard output".into(), |p| p.display().to_string())
    }

    /// The partial file, to be removed by whoever ends the process in a hurry.
    #[must_use]
    pub fn part(&self) -> Option<&Path> {
        self.part.as_deref()
    }

    /// Gives the complete file its name, safely on the disk, or sends it to standard output.
    pub fn commit(mut self, sink: Sink) -> Result<u64, Error> {
        let failed = |source| Error::Write { path: self.target.clone().unwrap_or_default(), source };
        let mut file = sink.into_file().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let (Some(target), Some(part)) = (&self.target, &self.part) else {
            let mut out = io::stdout().lock();
            file.seek(SeekFrom::Start(0))
                .and_then(|_| io::copy(&mut file, &mut out))
                .and_then(|_| out.flush())
                .map_err(|source| Error::Write { path: "standard output".into(), source })?;
            return Ok(size);
        };
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
#[expect(clippy::unwrap_used, reason = "tests")]
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
