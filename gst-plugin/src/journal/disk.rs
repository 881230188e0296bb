//! The file system as the journal needs it: what was written is safe when it was synced, and not before.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A folder with files in it, and no other folders.
///
/// After a crash of the machine a file holds what it held when it was synced last, and of what was written since as much as
/// chance has it; names are those of the last [`Self::sync_names`], with or without what was changed since.
pub trait Disk: fmt::Debug + Send + Sync {
    /// A file that is written to.
    type File: io::Write + fmt::Debug + Send;

    /// Makes a file, in place of one that has its name.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that there is, to write behind its end.
    fn append(&self, name: &str) -> io::Result<Self::File>;

    /// Shortens it to so many bytes.
    fn cut(&self, file: &mut Self::File, length: u64) -> io::Result<()>;

    /// Has what was written to it safely on the disk.
    fn sync(&self, file: &mut Self::File) -> io::Result<()>;

    /// Gives a file another name, which another one may have had before.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Has the names of all files safely on the disk.
    fn sync_names(&self) -> io::Result<()>;

    /// Reads a file from its start.
    fn open(&self, name: &str) -> io::Result<Box<dyn io::Read>>;

    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;
}

/// A folder that there is.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    folder: File,
}

impl Folder {
    /// Opens it.
    ///
    /// # Errors
    /// It is not there, or is no folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(path)?, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Disk for Folder {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        File::create(self.at(name))
    }

    fn append(&self, name: &str) -> io::Result<File> {
        File::options().append(true).open(self.at(name))
    }

    fn cut(&self, file: &mut File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        match self.folder.sync_all() {
            // Some file systems of other machines sync no folders: names are as safe there as they get.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn io::Read>> {
        Ok(Box::new(File::open(self.at(name))?))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
        fs::read_dir(&self.path)?.map(name).collect()
    }
}
