//! Files that say with which frames chunks begin: JSON as av1an writes it, and reads it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gstdivien::chunk::Cuts;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::report::counted;

/// The most bytes of a list: a million scenes.
const MOST: u64 = 100 << 20;

/// The chunks of a video, as a file says them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    path: PathBuf,
    /// How many frames each has.
    lengths: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    frames: u64,
    /// Where the picture changes.
    scenes: Option<Vec<Scene>>,
    /// What is encoded: those, the long ones in parts.
    #[serde(default)]
    split_scenes: Option<Vec<Scene>>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Scene {
    start_frame: u64,
    /// The one behind its last.
    end_frame: u64,
    /// Settings of its own.
    #[serde(default)]
    zone_overrides: Option<serde_json::Value>,
}

impl Scenes {
    /// What the file says; `None` where there is none, and one can be written.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = folder(path);
                if folder.is_dir() {
                    return Ok(None);
                }
                return Err(Error::Create { path: folder.to_owned(), source: error });
            }
            Err(source) => return Err(Error::Input { path: path.to_owned(), source }),
        };
        let lengths = lengths(&text).map_err(|what| Error::Plan {
            what: format!("-scenes {}: {what}", path.display()),
            hint: "without the file one is written; it is JSON, as av1an's scene files are".into(),
        })?;
        Ok(Some(Self { path: path.to_owned(), lengths }))
    }

    /// The frames with which chunks begin.
    pub(crate) fn cuts(&self) -> Cuts {
        let mut next = 0;
        Cuts::new(self.lengths.iter().map(|length| {
            next += length;
            next - length
        }))
    }

    /// What is to be said if its chunks are others than these.
    pub(crate) fn was_not_followed(&self, chunks: &[u64]) -> Option<String> {
        let path = self.path.display();
        (self.lengths != chunks).then(|| format!("{path}: chunks begin elsewhere than it says"))
    }

    /// What is wrong if the video has so many frames.
    pub(crate) fn differs(&self, frames: u64) -> Option<String> {
        let own = self.lengths.iter().sum::<u64>();
        let path = self.path.display();
        (own != frames)
            .then(|| format!("{path}: it is of a video of {}, and this one has {frames}", counted(own, "frame")))
    }

    /// In words.
    pub(crate) fn told(&self) -> String {
        let (least, most) = (self.lengths.iter().min().unwrap_or(&0), self.lengths.iter().max().unwrap_or(&0));
        let chunks = counted(self.lengths.len() as u64, "chunk");
        let each = if least == most { counted(*most, "frame") } else { format!("{least} to {most} frames") };
        format!("{chunks} of {each}, as {} says", self.path.display())
    }
}

/// Writes a file of chunks with so many frames each, where there is none.
pub(crate) fn write(path: &Path, lengths: &[u64]) -> io::Result<()> {
    let mut next = 0;
    let scenes = lengths.iter().map(|length| {
        let start_frame = next;
        next += length;
        Scene { start_frame, end_frame: next, zone_overrides: None }
    });
    let scenes: Vec<Scene> = scenes.collect();
    let written = Written { frames: next, scenes: Some(scenes.clone()), split_scenes: Some(scenes) };
    let permissions = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder(path))?;
    file.write_all(&serde_json::to_vec(&written)?)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// All of a file, which is no film.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(MOST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("more than {} MB are no list of scenes", MOST >> 20),
        ));
    }
    Ok(text)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn lengths(text: &[u8]) -> Result<Vec<u64>, String> {
    let written: Written = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut lists = [written.split_scenes, written.scenes].into_iter().flatten();
    let scenes = lists.find(|scenes| !scenes.is_empty()).ok_or("it has no scenes")?;
    let (mut next, mut lengths) = (0, Vec::new());
    for (number, scene) in (1..).zip(&scenes) {
        if scene.start_frame != next {
            return Err(format!("scene {number} begins with frame {}, and not with {next}", scene.start_frame));
        }
        if scene.end_frame <= scene.start_frame {
            return Err(format!("scene {number} has no frames"));
        }
        if scene.zone_overrides.is_some() {
            return Err(format!(
                "scene {number} has settings of its own (zone_overrides), which no chunk can have here"
            ));
        }
        lengths.push(scene.end_frame - next);
        next = scene.end_frame;
    }
    if written.frames != next {
        return Err(format!("its scenes have {next} frames, and it says {}", written.frames));
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u64>, String> {
        lengths(text.as_bytes())
    }

    #[test]
    fn files_of_av1an_are_read() {
        let old = r#"{"scenes":[{"start_frame":0,"end_frame":24},{"start_frame":24,"end_frame":100}],"frames":100}"#;
        assert_eq!(read(old).unwrap(), [24, 76]);
        let new = r#"{"frames":100,"scenes":[{"start_frame":0,"end_frame":100,"zone_overrides":null}],"split_scenes":
            [{"start_frame":0,"end_frame":60,"zone_overrides":null},{"start_frame":60,"end_frame":100,"zone_overrides":null}]}"#;
        assert_eq!(read(new).unwrap(), [60, 40]);
        let early = r#"{"frames":9,"scenes":[{"start_frame":0,"end_frame":9}],"split_scenes":null}"#;
        assert_eq!(read(early).unwrap(), [9]);
        let none = r#"{"frames":9,"scenes":[{"start_frame":0,"end_frame":9}],"split_scenes":[]}"#;
        assert_eq!(read(none).unwrap(), [9]);
    }

    #[test]
    fn what_no_run_can_follow_is_refused_with_the_reason() {
        let scenes = |scenes: &str| format!(r#"{{"frames":100,"scenes":[{scenes}]}}"#);
        for (text, why) in [
            ("{".to_owned(), "EOF"),
            (r#"{"frames":-1,"scenes":[]}"#.to_owned(), "invalid value"),
            (r#"{"frames":0,"scenes":null}"#.to_owned(), "no scenes"),
            (scenes(""), "no scenes"),
            (scenes(r#"{"start_frame":1,"end_frame":100}"#), "scene 1 begins with frame 1, and not with 0"),
            (scenes(r#"{"start_frame":0,"end_frame":0}"#), "scene 1 has no frames"),
            (scenes(r#"{"start_frame":0,"end_frame":99}"#), "its scenes have 99 frames, and it says 100"),
            (
                scenes(r#"{"start_frame":0,"end_frame":60},{"start_frame":61,"end_frame":100}"#),
                "scene 2 begins with frame 61",
            ),
            (scenes(r#"{"start_frame":0,"end_frame":100,"zone_overrides":{"passes":1}}"#), "settings of its own"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenes.json");
        assert_eq!(Scenes::read(&path).unwrap(), None);
        write(&path, &[250, 131, 9]).unwrap();
        let scenes = Scenes::read(&path).unwrap().unwrap();
        assert_eq!(scenes.cuts(), Cuts::new([250, 381]));
        assert_eq!((scenes.differs(390), scenes.differs(389).is_some()), (None, true));
        assert!(scenes.told().starts_with("3 chunks of 9 to 250 frames, as "), "{}", scenes.told());
        assert_eq!(write(&path, &[1]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(matches!(Scenes::read(&folder.path().join("none/scenes.json")), Err(Error::Create { .. })));
        assert!(matches!(Scenes::read(folder.path()), Err(Error::Input { .. })));
        assert!(matches!(Scenes::read(Path::new("/dev/zero")), Err(Error::Input { .. })));
        assert!(scenes.was_not_followed(&[250, 140]).is_some() && scenes.was_not_followed(&[250, 131, 9]).is_none());
    }
}
