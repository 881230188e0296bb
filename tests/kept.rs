//! What of the real clips' tracks and data each container keeps, against the page that says so.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use divien_testbed::{Running, divien, media, place, run};

/// Set to write the page anew instead of comparing it.
const BLESS: &str = "DIVIEN_BLESS";

/// Made of the one before it: its second sound is in French and the default, and there is a font.
const MADE: &str = "multi_fre.mkv";

/// A clip, and how many seconds of it are encoded.
const CLIPS: [(&str, &str); 10] = [
    ("bigbuckbunny_720p25_51.mp4", "1.6"),
    ("multi.mkv", "1.6"),
    (MADE, "1.6"),
    ("tc_nasa_13013.mp4", "1.6"),
    ("ax_sample_with_chapters.mkv", "6"),
    ("ax_sample_with_ass_subtitles.mkv", "1.6"),
    ("ax_sample_with_pgs_subtitles.mkv", "1.6"),
    ("ax_hdr10-av1.mp4", "1.6"),
    ("rot90.mp4", "1.6"),
    ("mb_sar_2x1.mp4", "1.6"),
];

/// A container by its extension, and the video encoder it is tried with.
const CONTAINERS: [(&str, &[&str]); 4] = [
    ("mp4", &["-c:v", "libx264", "-preset", "ultrafast"]),
    ("mkv", &["-c:v", "libx264", "-preset", "ultrafast"]),
    ("webm", &["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "1M", "-cpu-used", "8"]),
    ("ts", &["-c:v", "libx264", "-preset", "ultrafast"]),
];

/// Every field ffprobe shows, by its path.
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn of(path: &Path) -> Self {
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-of", "flat", "-show_streams", "-show_chapters", "-show_format"]);
        ffprobe.args(["-show_frames", "-read_intervals", "%+#40"]).arg(path);
        let fields = run(&mut ffprobe).success().stdout;
        let fields = String::from_utf8_lossy(&fields);
        let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.trim_matches('"').to_owned()));
        Self(fields.lines().filter_map(pair).collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|v| !matches!(*v, "unknown" | "N/A" | "und"))
    }

    fn streams(&self, kind: &str) -> Vec<usize> {
        (0..32).filter(|i| self.get(&format!("streams.stream.{i}.codec_type")) == Some(kind)).collect()
    }

    fn of_streams(&self, kind: &str, field: &str) -> String {
        let value = |i| self.get(&format!("streams.stream.{i}.{field}")).unwrap_or("-").to_owned();
        let all: Vec<_> = self.streams(kind).into_iter().map(value).collect();
        if all.iter().all(|v| v == "-") { String::new() } else { all.join(" ") }
    }

    fn video(&self, field: &str) -> String {
        let first = self.streams("video").first().copied().unwrap_or_default();
        self.get(&format!("streams.stream.{first}.{field}")).unwrap_or_default().to_owned()
    }

    fn has(&self, words: &str) -> bool {
        self.0.values().any(|v| v == words)
    }
}

type Row = (&'static str, fn(&Facts) -> String);

const DATA: [Row; 11] = [
    ("sound", |f| f.of_streams("audio", "codec_name")),
    ("subtitles", |f| f.of_streams("subtitle", "codec_name")),
    ("languages", |f| {
        let both = [f.of_streams("audio", "tags.language"), f.of_streams("subtitle", "tags.language")];
        both.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
    }),
    ("default", |f| {
        let kinds = [f.of_streams("audio", "disposition.default"), f.of_streams("subtitle", "disposition.default")];
        kinds.into_iter().filter(|d| !d.is_empty()).collect::<Vec<_>>().join(" ")
    }),
    ("attachments", |f| f.of_streams("attachment", "tags.filename")),
    ("chapters", |f| {
        let chapters = f.0.keys().filter(|k| k.starts_with("chapters.") && k.ends_with(".start_time")).count();
        if chapters == 0 { String::new() } else { chapters.to_string() }
    }),
    ("title", |f| f.get("format.tags.title").unwrap_or_default().to_owned()),
    ("rotation data", |f| {
        let rotation = f.0.iter().find(|(k, _)| k.starts_with("streams.") && k.ends_with(".rotation"));
        rotation.map(|(_, v)| v.clone()).unwrap_or_default()
    }),
    ("aspect of pixels", |f| f.video("sample_aspect_ratio").replace("1:1", "")),
    ("colour", |f| {
        let fields = ["color_range", "color_space", "color_transfer", "color_primaries"];
        fields.map(|c| f.video(c)).into_iter().filter(|c| !c.is_empty()).collect::<Vec<_>>().join(" ")
    }),
    ("HDR10", |f| {
        let data = ["Mastering display metadata", "Content light level metadata"];
        data.into_iter().filter(|d| f.has(d)).collect::<Vec<_>>().join(", ")
    }),
];

fn verdict(was: &str, is: &str) -> String {
    match (was, is) {
        (was, is) if was == is => "kept".into(),
        (_, "") => "dropped".into(),
        ("", is) => format!("as {is}"),
        (_, is) => format!("now {is}"),
    }
}

fn made(folder: &Path) -> Option<PathBuf> {
    let (font, clip) = (folder.join("font.ttf"), folder.join(MADE));
    std::fs::write(&font, [7; 1000]).unwrap();
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(media("multi.mkv")?).args(["-map", "0", "-c", "copy", "-attach"]).arg(&font);
    make.args(["-metadata:s:t", "mimetype=font/ttf", "-metadata:s:a:1", "language=fre"]);
    run(make.args(["-disposition:a:0", "0", "-disposition:a:1", "default"]).arg(&clip)).success();
    Some(clip)
}

fn page() -> Option<String> {
    let folder = place::temporary();
    let mut page = String::from(
        "# What is kept\n\nClips of the test suite, and what is left of their data in each container. The first column \
         of each table is the clip's own, as ffprobe shows it. The clips are encoded for 1.6 seconds, the one with \
         chapters whole. A picture is turned where a container has no rotation. divien says in a line what it converts or drops. Made by `DIVIEN_BLESS=1 \
         cargo test --test kept`.\n",
    );
    for (name, seconds) in CLIPS {
        let clip = if name == MADE { made(folder.path())? } else { media(name)? };
        let source = Facts::of(&clip);
        let outputs: Vec<_> = CONTAINERS
            .iter()
            .map(|(extension, options)| {
                let output = folder.path().join(format!("out.{extension}"));
                let mut command = divien!("-y", "-loglevel", "error", "-i", &clip);
                command.args(*options).args(["-t", seconds]).arg(&output);
                Running::start(&mut command).wait(Duration::from_secs(240)).success();
                Facts::of(&output)
            })
            .collect();
        let heads: Vec<_> = CONTAINERS.iter().map(|(extension, _)| *extension).collect();
        let _ =
            write!(page, "\n## {name}\n\n| | clip | {} |\n| --- | --- {}|\n", heads.join(" | "), "| --- ".repeat(4));
        for (what, field) in DATA {
            let was = field(&source);
            let is: Vec<_> = outputs.iter().map(field).collect();
            if !was.is_empty() || is.iter().any(|is| !is.is_empty()) {
                let cells: Vec<_> = is.iter().map(|is| verdict(&was, is)).collect();
                let _ = writeln!(page, "| {what} | {was} | {} |", cells.join(" | "));
            }
        }
    }
    Some(page)
}

#[test]
fn the_page_of_what_is_kept_is_true() {
    let Some(page) = page() else { return };
    let path = place::repository().join("docs/kept.md");
    if std::env::var_os(BLESS).is_some() {
        return std::fs::write(path, page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page);
}
