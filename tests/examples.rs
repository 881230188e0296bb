//! What the project shows people works: the scripts in `pipelines/` and the commands in the README.

#![cfg(test)]

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use divien_testbed::run::LIMIT;
use divien_testbed::{Clip, Fidelity, Running, divien, gst, place, probe, run};

/// The README's commands build the plugin, which no other program may be loading then.
static PLUGIN: Mutex<()> = Mutex::new(());

/// A script with its arguments, in a folder that has `clip.mp4`.
#[track_caller]
fn script(name: &str, arguments: &[&str], folder: &Path) {
    let mut command = gst::command(place::repository().join("pipelines").join(name));
    run(command.args(arguments).current_dir(folder)).success();
}

#[test]
fn every_pipeline_gives_the_video_it_promises() {
    let _held = PLUGIN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = place::temporary();
    let at = |name: &str| folder.path().join(name);
    let clip = Clip::film(90).path();
    symlink(&clip, at("clip.mp4")).unwrap();

    script("test-pattern.sh", &["pattern.mp4"], folder.path());
    assert_eq!(probe::frame_times(&at("pattern.mp4")).len(), 400);
    // Left to itself, the source agrees with x264enc on 4:4:4, which few players show.
    assert_eq!(probe::video(&at("pattern.mp4"), "pix_fmt"), "yuv420p");

    script("live.sh", &["live.ts"], folder.path());
    assert_eq!(probe::frame_times(&at("live.ts")).len(), 150);
    assert_eq!(probe::video(&at("live.ts"), "pix_fmt"), "yuv420p");

    script("mp4-with-sound.sh", &["clip.mp4", "sound.mp4"], folder.path());
    Fidelity::of(at("sound.mp4"), &clip).streams().assert();

    script("hevc-10-bit.sh", &["clip.mp4", "hevc.mkv"], folder.path());
    assert_eq!(probe::video(&at("hevc.mkv"), "pix_fmt"), "yuv420p10le");
    Fidelity::of(at("hevc.mkv"), &clip).assert();

    script("webm.sh", &["clip.mp4", "vp9.webm"], folder.path());
    assert_eq!(probe::codecs(&at("vp9.webm")), ["video vp9", "audio opus"]);
    Fidelity::of(at("vp9.webm"), &clip).assert();

    let (token, address) = (at("token"), UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string());
    std::fs::write(&token, run(&mut divien!("token", "new")).success().stdout).unwrap();
    let worker = Running::start(&mut divien!("worker", "--once", "--token-file", &token, "--listen", &address));
    script("workers.sh", &[&address, "token", "workers.mp4"], folder.path());
    worker.wait(LIMIT).success().says(&["chunk 4", "all is done"]);
    assert_eq!(probe::frame_times(&at("workers.mp4")).len(), 150);

    let silent = at("silent.mp4");
    let mut strip = Command::new("ffmpeg");
    run(strip.args(["-v", "error", "-i"]).arg(&clip).args(["-an", "-c", "copy"]).arg(&silent)).success();
    for name in ["mp4-with-sound.sh", "webm.sh"] {
        let mut command = gst::command(place::repository().join("pipelines").join(name));
        let outcome = gst::outcome(command.arg(&silent).arg(at("none")), LIMIT).failure();
        outcome.says(&[name, "sound could be read from", "silent.mp4"]);
        assert!(!at("none").exists(), "{name}");
    }

    script("lossless.sh", &["clip.mp4", "lossless.mkv"], folder.path());
    Fidelity::of(at("lossless.mkv"), &clip).lossless().assert();

    let scripts = std::fs::read_dir(place::repository().join("pipelines")).unwrap();
    let scripts: BTreeSet<_> = scripts.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let tested = ["hevc-10-bit", "live", "lossless", "mp4-with-sound", "test-pattern", "webm", "workers"];
    assert_eq!(
        scripts,
        tested.map(|name| format!("{name}.sh")).into(),
        "a pipeline that no test runs, or one that is gone"
    );
}

/// A fenced block of shell commands.
struct Block {
    commands: String,
    /// Why no test runs it.
    skipped: Option<String>,
}

/// The shell blocks of a Markdown text. One that starts with "```sh not run by the tests: REASON" is skipped.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let commands: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        let Some(note) = kind.strip_prefix("sh") else {
            continue;
        };
        let skipped = note.strip_prefix(" not run by the tests: ").map(str::to_owned);
        assert!(skipped.is_some() || note.is_empty(), "neither run nor skipped for a reason: {line}");
        blocks.push(Block { commands: commands.join("\n"), skipped });
    }
    blocks
}

/// The name of each encoder in the table of them, and its command.
fn encoders(text: &str) -> Vec<(&str, &str)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | `target/release/divien "));
    rows.filter_map(|(name, rest)| Some((name, rest.split_once("` |")?.0))).collect()
}

#[test]
fn every_encoder_in_the_readme_encodes_as_it_says() {
    let _held = PLUGIN.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(place::repository().join("README.md")).unwrap();
    let folder = place::temporary();
    let clip = Clip::film(30).path();
    symlink(&clip, folder.path().join("clip.mp4")).unwrap();
    let mut made = Vec::new();
    for (name, arguments) in encoders(&text) {
        let (_, output) = arguments.rsplit_once(' ').unwrap();
        let mut command = divien!("-v", "warning");
        run(command.args(arguments.split(' ')).current_dir(folder.path())).success();
        let output = folder.path().join(output);
        let codec = probe::video(&output, "codec_name");
        assert_eq!(probe::frame_times(&output).len(), 30, "{name}");
        made.push(format!("{name} {codec}"));
    }
    let all = [
        "libx264 h264",
        "libx265 hevc",
        "libvpx-vp9 vp9",
        "libvpx vp8",
        "libaom-av1 av1",
        "mpeg4 mpeg4",
        "mjpeg mjpeg",
        "ffv1 ffv1",
        "prores_ks prores",
        "libtheora theora",
        "libopenh264 h264",
    ];
    assert_eq!(made, all);
}

#[test]
fn commands_elsewhere_in_the_docs_say_why_no_test_runs_them() {
    for page in std::fs::read_dir(place::repository().join("docs")).unwrap().map(|entry| entry.unwrap().path()) {
        if page.extension().is_some_and(|extension| extension == "md") {
            let blocks = blocks(&std::fs::read_to_string(&page).unwrap());
            assert!(blocks.iter().all(|block| block.skipped.is_some()), "{}", page.display());
        }
    }
}

#[test]
fn every_command_in_the_readme_works() {
    let _held = PLUGIN.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(place::repository().join("README.md")).unwrap();
    let (skipped, run): (Vec<_>, Vec<_>) = blocks(&text).into_iter().partition(|block| block.skipped.is_some());
    assert!(skipped.len() <= 3, "too many blocks that no test runs");
    assert!(run.len() >= 4, "{} blocks", run.len());

    // A checkout in all but name: links to what is there, and the profile under test in place of the release.
    let folder = place::temporary();
    for name in ["Makefile", "Cargo.toml", "scripts", "pipelines"] {
        symlink(place::repository().join(name), folder.path().join(name)).unwrap();
    }
    std::fs::create_dir(folder.path().join("target")).unwrap();
    symlink(place::profile(), folder.path().join("target/release")).unwrap();
    symlink(Clip::film(90).path(), folder.path().join("clip.mp4")).unwrap();

    let (profile, flag) = match place::profile().ends_with("debug") {
        true => ("dev", "--profile=dev"),
        false => ("release", "--release"),
    };
    // A link to Cargo.toml is a workspace of its own to cargo, and the release would be built anew.
    let cargo = format!(
        "cargo() {{ command cargo \"$1\" --manifest-path '{}/Cargo.toml' \"${{@:2}}\"; }}",
        place::repository().display(),
    );
    for block in run {
        let commands = block.commands.replace("--release", flag);
        let mut command = gst::command("bash");
        command.arg("-euc").arg(format!("{cargo}\n{commands}"));
        command.current_dir(folder.path()).env("PROFILE", profile);
        command.env("GST_REGISTRY", folder.path().join("registry.bin"));
        Running::start(&mut command).wait(Duration::from_secs(600)).success();
    }
    for (name, frames) in
        [("out.mp4", 90), ("crf23.mp4", 90), ("hevc.mkv", 90), ("chunks.mkv", 90), ("pattern.mp4", 300)]
    {
        assert_eq!(probe::frame_times(&folder.path().join(name)).len(), frames, "{name}");
    }
}
