//! Where things are: what cargo built, where tests may write, real clips.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Cargo's folder of the running profile, `target/debug`.
pub fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its own path");
    let folder = program.parent().expect("a program lies in a folder");
    // Tests are in `deps` there, and other programs beside it.
    let deps = folder.parent().filter(|_| folder.ends_with("deps"));
    deps.unwrap_or(folder).to_path_buf()
}

/// A folder that outlives the tests: what is costly to make and never changes is kept here.
pub fn cache(name: &str) -> PathBuf {
    let folder = profile().parent().expect("the profile lies in target").join("testbed").join(name);
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{} cannot be made: {error}", folder.display()));
    folder
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package is tests/support").to_path_buf()
}

/// A folder for one test's files, gone with the value.
pub fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("divien-test-").tempdir().expect("the temporary folder is writable")
}

/// A real clip by name, or `None` with a line that names the test and the clip where `DIVIEN_MEDIA` is not set.
#[track_caller]
pub fn media(name: &str) -> Option<PathBuf> {
    let Some(folder) = media_folder() else {
        skipped(&format!("{name} (DIVIEN_MEDIA is not set)"));
        return None;
    };
    let clip = folder.join(name);
    assert!(clip.is_file(), "DIVIEN_MEDIA is set to {}, but {name} is not there", folder.display());
    Some(clip)
}

/// Every real clip, in order of name; empty, with a line that names the test, where `DIVIEN_MEDIA` is not set.
#[track_caller]
pub fn media_clips() -> Vec<PathBuf> {
    let Some(folder) = media_folder() else {
        skipped("every real clip (DIVIEN_MEDIA is not set)");
        return Vec::new();
    };
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut clips: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "md"))
        .collect();
    clips.sort();
    clips
}

fn media_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("DIVIEN_MEDIA").filter(|value| !value.is_empty())?;
    let folder = PathBuf::from(folder);
    assert!(folder.is_absolute(), "DIVIEN_MEDIA must be absolute, not {}", folder.display());
    Some(folder)
}

/// Says which test skips what, and why.
pub fn skipped(what: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not eprintln: the test harness hides what a passing test prints with it.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {what}");
}
