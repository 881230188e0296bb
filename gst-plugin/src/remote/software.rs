//! What takes part in a format on this machine, and its versions.

use std::collections::BTreeSet;
use std::path::Path;

use goblin::elf::Elf;
use gst::prelude::*;

use crate::wire::message::Software;

/// What GStreamer itself needs, and every program: it has versions of its own, or none that tells anything.
const USUAL: [&str; 10] = [
    "libgst",
    "libglib-",
    "libgobject-",
    "libgmodule-",
    "libgio-",
    "liborc-",
    "libc.",
    "libm.",
    "libgcc_s.",
    "libstdc++.",
];

/// What is installed of these elements, each with its plugin's version and with the libraries that it is made of: they
/// decode and encode, whichever version the plugin has.
pub(super) fn software<'a>(elements: impl IntoIterator<Item = &'a str>) -> Vec<Software> {
    elements.into_iter().filter_map(of).collect()
}

fn of(name: &str) -> Option<Software> {
    let factory = gst::ElementFactory::find(name)?;
    let plugin = factory.plugin()?;
    let mut version = format!("{} {}", plugin.plugin_name(), plugin.version());
    // Its libraries are known once they are loaded; one that does not load has none.
    let _ = factory.load();
    let libraries = plugin.filename().map(|file| libraries(&file)).unwrap_or_default();
    if !libraries.is_empty() {
        version += &format!(" with {}", libraries.join(", "));
    }
    Some(Software { name: name.to_owned(), version })
}

/// The files of the libraries that a plugin needs, whose names end with their versions.
fn libraries(plugin: &Path) -> Vec<String> {
    let Ok(bytes) = std::fs::read(plugin) else { return Vec::new() };
    let Ok(elf) = Elf::parse(&bytes) else { return Vec::new() };
    let loaded = loaded();
    let needed = elf.libraries.iter().filter(|name| !USUAL.iter().any(|usual| name.starts_with(usual)));
    let file = |name: &&str| {
        // One name may begin another.
        let version =
            |file: &str| file.strip_prefix(*name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        loaded.iter().find(|file| version(file)).cloned().unwrap_or_else(|| (*name).to_owned())
    };
    needed.map(file).collect()
}

/// Names of all files of which this process has parts in its memory.
fn loaded() -> BTreeSet<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files = maps.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, name)| name.to_owned());
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_named_with_the_library_that_encodes() {
        gst::init().unwrap();
        let told = software(["x264enc", "avdec_h264", "identity", "nosuchelement"]);
        let version = |name: &str| told.iter().find(|software| software.name == name).map(|s| s.version.as_str());
        assert!(version("x264enc").unwrap().contains(" with libx264.so."), "{told:?}");
        let libav = version("avdec_h264").unwrap();
        // All three numbers of it, which its file alone has.
        let avcodec = libav.split(", ").find(|library| library.contains("libavcodec.so.")).unwrap();
        assert!(avcodec.matches('.').count() >= 4, "{libav}");
        assert!(!version("identity").unwrap().contains("with"), "{told:?}");
        assert_eq!(told.len(), 3);
    }
}
