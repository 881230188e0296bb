//! GStreamer with the plugin just built, and nothing of the user's touched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::place;
use crate::run::{LIMIT, Outcome, Running, run};

/// A command that sees the plugin just built and has a registry of its own.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    surround(&mut command);
    command
}

/// The same command within a limit of the system's, in the words of `prlimit`: `--fsize=1000`. Its own surroundings are those of
/// [`command`].
#[must_use]
pub fn limited(command: &Command, limit: &str) -> Command {
    let mut limited = self::command("prlimit");
    limited.arg(limit).arg(command.get_program()).args(command.get_args());
    limited
}

/// Gives a command the surroundings of [`command`].
pub fn surround(command: &mut Command) {
    command
        .env("GST_PLUGIN_PATH", plugin_folder())
        .env("GST_REGISTRY", place::cache("gstreamer").join("registry.bin"))
        .env("LC_ALL", "C.UTF-8")
        .env_remove("GST_DEBUG")
        .env_remove("GST_PLUGIN_SYSTEM_PATH")
        .env_remove("GST_PLUGIN_FEATURE_RANK");
}

/// A `gst-launch-1.0` line, quoted as in a shell; element messages are printed.
pub fn launch_command(line: &str) -> Command {
    let mut command = command("sh");
    command.arg("-c").arg(format!("exec gst-launch-1.0 -m {line}"));
    command
}

/// Runs a `gst-launch-1.0` line to its end.
#[track_caller]
pub fn launch(line: &str) -> Outcome {
    launch_within(line, LIMIT)
}

/// Runs a `gst-launch-1.0` line that may take as long as this.
#[track_caller]
pub fn launch_within(line: &str, limit: Duration) -> Outcome {
    outcome(&mut launch_command(line), limit)
}

/// Runs a command that is `gst-launch-1.0` in the end.
///
/// An error that comes before gst-launch-1.0 (1.22) runs its loop quits a loop that does not run yet, and the program
/// stays; `fakesrc ! identity error-after=1 ! fakesink` does so, too. It is interrupted, which helps it alone: an element
/// that hangs still does.
#[track_caller]
pub fn outcome(command: &mut Command, limit: Duration) -> Outcome {
    Running::start_watching(command, Some("ERROR:")).wait_or_interrupt(limit, Duration::from_secs(10))
}

/// Is this element installed?
#[track_caller]
pub fn has(element: &str) -> bool {
    run(command("gst-inspect-1.0").args(["--exists", element])).status.success()
}

/// A path as a property's value in a line for the shell.
pub fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// A folder with the plugin alone in it: GStreamer opens every library it finds, and cargo's folders are full of them.
fn plugin_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let built = place::profile().join("deps").join("libgstdivien.so");
        assert!(built.is_file(), "the plugin is not built: {} is missing; run the tests by cargo", built.display());
        let folder = place::cache("plugin");
        let link = folder.join("libgstdivien.so");
        if std::fs::read_link(&link).ok().as_deref() != Some(&built) {
            let new = folder.join(format!("new-{}", std::process::id()));
            std::os::unix::fs::symlink(&built, &new).expect("the cache is writable");
            std::fs::rename(&new, &link).expect("the cache is writable");
        }
        folder
    })
}
