//! The file system as the journal needs it: what was written is safe when it was synced, and not before.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

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
        let folder = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(path)?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the system knows of it.
    pub(super) fn about(&self) -> io::Result<fs::Metadata> {
        self.folder.metadata()
    }

    /// Opens a plain file. What a link leads to is not, and a pipe is not waited for.
    pub(super) fn plain(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        let file = File::from(openat(&self.folder, name, flags, mode).map_err(|error| named(name, error))?);
        let about = file.metadata()?;
        // What has another name as well is not written to: that may be somebody else's.
        let is_shared = about.nlink() > 1 && flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        if !about.is_file() || is_shared {
            let why = if is_shared { "has another name as well" } else { "is no file" };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {why}")));
        }
        Ok(file)
    }
}

fn named(name: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

impl Disk for Folder {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        match self.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.plain(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    fn append(&self, name: &str) -> io::Result<File> {
        self.plain(name, OFlags::WRONLY | OFlags::APPEND)
    }

    fn cut(&self, file: &mut File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let rename = || renameat(&self.folder, from, &self.folder, to);
        match rename() {
            // Only another file makes way by itself.
            Err(Errno::ISDIR) => {
                self.remove(to)?;
                rename()
            }
            renamed => renamed,
        }
        .map_err(|error| named(to, error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            // An empty folder holds nothing of anybody's.
            Err(Errno::ISDIR) => unlinkat(&self.folder, name, AtFlags::REMOVEDIR),
            removed => removed,
        }
        .map_err(|error| named(name, error))
    }

    fn sync_names(&self) -> io::Result<()> {
        match self.folder.sync_all() {
            // Some file systems of other machines sync no folders: names are as safe there as they get.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            synced => synced,
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn io::Read>> {
        Ok(Box::new(self.plain(name, OFlags::RDONLY)?))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
        fs::read_dir(&self.path)?.map(name).collect()
    }
}
