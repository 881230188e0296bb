//! Records the version and commit for the plugin's registry entry, and a hash of the sources, by which builds of one version
//! are told apart.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    gst_plugin_version_helper::info();
    for part in ["src", "build.rs", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={part}");
    }
    let mut sources = blake3::Hasher::new();
    hash(Path::new("src"), &mut sources)?;
    println!("cargo::rustc-env=SOURCES={}", &sources.finalize().to_hex()[..16]);
    Ok(())
}

/// All files of a folder, by their names.
fn hash(folder: &Path, into: &mut blake3::Hasher) -> io::Result<()> {
    let entries = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut entries = entries?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            hash(&entry, into)?;
            continue;
        }
        let bytes = std::fs::read(&entry)?;
        into.update(entry.as_os_str().as_encoded_bytes()).update(&[0]);
        into.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    Ok(())
}
