//! Chunks that begin where scenes do.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::run::{LIMIT, Signal};
use divien_testbed::{Fidelity, Running, divien, gst, media, place, probe, run};

/// The frames with which scenes begin in [`film`], which has a key frame every 25 and none at scenes, and 300 frames.
const SCENES: [u64; 3] = [70, 170, 231];
/// Encoded in chunks of about so many, those begin.
const CHUNK: &str = "80";
const FAST: [&str; 5] = ["-preset", "ultrafast", "-sc_threshold", "0", "-an"];

/// Four patterns, one after another.
fn film(folder: &Path) -> PathBuf {
    let output = folder.join("scenes.mkv");
    let part = |source: &str, frames: u64| format!("{source}=s=320x240:r=25,trim=end_frame={frames},format=yuv420p");
    let parts = [
        part("testsrc2", SCENES[0]),
        format!("{},hue=h=120", part("mandelbrot", SCENES[1] - SCENES[0])),
        format!("{},hue=h=60,negate", part("testsrc2", SCENES[2] - SCENES[1])),
        part("gradients", 300 - SCENES[2]),
    ];
    let labelled: String = parts.iter().enumerate().map(|(n, part)| format!("{part}[p{n}];")).collect();
    let graph = format!("{labelled}[p0][p1][p2][p3]concat=n=4:v=1[v]");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-filter_complex", &graph, "-map", "[v]"]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-sc_threshold", "0"]);
    run(command.arg(&output)).success();
    output
}

/// Which of its frames are key frames.
fn keys(file: &Path) -> Vec<u64> {
    let mut packets: Vec<_> = probe::rows(file, "packet", Some("v:0"), "pts_time,flags")
        .iter()
        .map(|packet| (packet.number("pts_time").unwrap(), packet.text("flags").unwrap().contains('K')))
        .collect();
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    (0..).zip(packets).filter(|(_, (_, key))| *key).map(|(n, _)| n).collect()
}

fn by_scenes(input: &Path, output: &Path, more: &[&str]) -> Command {
    let mut command = divien!("-y", "-cut", "scene", "-bsize", CHUNK, "-i", input);
    command.args(FAST).args(more).arg(output);
    command
}

#[test]
fn chunks_begin_where_scenes_do_and_no_byte_depends_on_who_looks() {
    let folder = place::temporary();
    let film = film(folder.path());
    let output = folder.path().join("out.mp4");
    let written = |more: &[&str]| {
        run(&mut by_scenes(&film, &output, more)).success();
        std::fs::read(&output).unwrap()
    };
    let one = written(&["-w", "1"]);
    assert_eq!(keys(&output), [&[0], &SCENES[..]].concat());
    Fidelity::of(&output, &film).assert();
    for more in [&["-w", "2"][..], &["-w", "5"], &["-w", "2", "-isolate", "none"], &["-w", "1", "-isolate", "all"]] {
        assert!(written(more) == one, "{more:?}");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_with_the_same_chunks() {
    let folder = place::temporary();
    let film = film(folder.path());
    let (whole, stopped) = (folder.path().join("whole.mp4"), folder.path().join("stopped.mp4"));
    let slow = ["-preset", "veryslow", "-w", "1"];
    run(&mut by_scenes(&film, &whole, &slow)).success();
    let running = Running::start(&mut by_scenes(&film, &stopped, &slow));
    let finished = || {
        let files = std::fs::read_dir(folder.path()).unwrap().flatten();
        let jobs = files.map(|entry| entry.path()).filter(|path| path.is_dir());
        jobs.flat_map(|job| std::fs::read_dir(job).unwrap().flatten())
            .any(|f| f.path().extension().is_some_and(|e| e == "chunk"))
    };
    while !finished() && !stopped.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.signal(Signal::KILL);
    running.wait(LIMIT);
    let outcome = run(by_scenes(&film, &stopped, &slow).arg("-resume"));
    outcome.success();
    assert!(std::fs::read(&stopped).unwrap() == std::fs::read(&whole).unwrap());
}

#[test]
fn the_element_cuts_by_scenes_as_well() {
    let folder = place::temporary();
    let film = film(folder.path());
    let output = folder.path().join("out.mkv");
    let line = format!(
        "filesrc location={} ! parsebin ! divienenc cut=scene chunk-frames={CHUNK} \
         encoder=\"x264enc speed-preset=ultrafast key-int-max=250 option-string=scenecut=0\" ! h264parse ! matroskamux ! \
         filesink location={}",
        gst::quoted(&film),
        gst::quoted(&output),
    );
    gst::launch(&line).success();
    assert_eq!(keys(&output), [&[0], &SCENES[..]].concat());
    Fidelity::of(&output, &film).assert();
}

/// The frames with which the chunks in a file begin.
fn listed(file: &Path) -> Vec<u64> {
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let scenes = list["scenes"].as_array().unwrap();
    let number = |scene: &serde_json::Value, name: &str| scene[name].as_u64().unwrap();
    assert_eq!(list["frames"], scenes.last().unwrap()["end_frame"]);
    assert!(scenes.windows(2).all(|pair| pair[0]["end_frame"] == pair[1]["start_frame"]));
    scenes.iter().map(|scene| number(scene, "start_frame")).collect()
}

#[test]
fn where_chunks_began_is_written_and_read_again() {
    let folder = place::temporary();
    let film = film(folder.path());
    let (output, list) = (folder.path().join("out.mp4"), folder.path().join("scenes.json"));
    let scenes = ["-scenes", list.to_str().unwrap(), "-lead-in", "1"];
    run(&mut by_scenes(&film, &output, &scenes)).success();
    let first = std::fs::read(&output).unwrap();
    assert_eq!(listed(&list), [&[0], &SCENES[..]].concat());
    // Whatever else is said of cuts, and whether the frames are decoded one after another.
    let again = |command: &mut Command| {
        let outcome = run(command.args(scenes).args(FAST).arg(&output)).success();
        outcome.says(&["4 chunks of 61 to 100 frames"]);
        assert!(std::fs::read(&output).unwrap() == first);
    };
    again(&mut divien!("-y", "-i", &film, "-w", "1"));
    again(&mut divien!("-y", "-i", &film, "-w", "5", "-cut", "fixed", "-bsize", "10"));
    let mut command = divien!("-y", "-i", "-", "-map_metadata", "-1");
    command.stdin(std::fs::File::open(&film).unwrap()).args(scenes).args(FAST).arg(&output);
    run(&mut command).success().says(&["4 chunks of 61 to 100 frames"]);
    assert_eq!(keys(&output), [&[0], &SCENES[..]].concat());
}

#[test]
fn a_list_of_another_tool_is_followed_frame_by_frame() {
    let folder = place::temporary();
    let film = film(folder.path());
    let (output, list) = (folder.path().join("out.mp4"), folder.path().join("scenes.json"));
    // Its third cut is far behind a key frame; its scenes are not where it says that chunks are.
    let scenes = r#"{"frames":300,"scenes":[{"start_frame":0,"end_frame":300,"zone_overrides":null}],"split_scenes":[
        {"start_frame":0,"end_frame":25,"zone_overrides":null},{"start_frame":25,"end_frame":100,"zone_overrides":null},
        {"start_frame":100,"end_frame":124,"zone_overrides":null},{"start_frame":124,"end_frame":300,"zone_overrides":null}]}"#;
    std::fs::write(&list, scenes).unwrap();
    let files = ["1", "5"].map(|workers| {
        let mut command = divien!("-y", "-i", &film, "-w", workers, "-scenes", &list);
        run(command.args(FAST).arg(&output)).success();
        assert_eq!(keys(&output), [0, 25, 100, 124]);
        Fidelity::of(&output, &film).assert();
        std::fs::read(&output).unwrap()
    });
    assert!(files[0] == files[1]);
    // One scene is a list as well.
    let one = folder.path().join("one.json");
    std::fs::write(&one, r#"{"frames":300,"scenes":[{"start_frame":0,"end_frame":300}]}"#).unwrap();
    run(divien!("-y", "-i", &film, "-bsize", "100", "-scenes", &one).args(FAST).arg(&output)).success();
    assert_eq!(keys(&output), [0, 250]);
    // No other video has so many frames.
    let part = run(divien!("-y", "-i", &film, "-frames:v", "200", "-scenes", &list).args(FAST).arg(&output));
    part.failure().says(&["it is of a video of 300 frames, and this one has 200"]);
    let line = format!(
        "filesrc location={} ! parsebin ! avdec_h264 ! divienenc cuts=\"<25,100,124>\" \
         encoder=\"x264enc speed-preset=ultrafast key-int-max=250 option-string=scenecut=0\" ! h264parse ! matroskamux ! \
         filesink location={}",
        gst::quoted(&film),
        gst::quoted(&output.with_extension("mkv")),
    );
    gst::launch(&line).success();
    assert_eq!(keys(&output.with_extension("mkv")), [0, 25, 100, 124]);
}

#[test]
fn what_one_decoder_gives_is_cut_exactly_and_that_is_said() {
    let folder = place::temporary();
    let film = film(folder.path());
    let output = folder.path().join("out.mp4");
    let mut command = by_scenes(Path::new("-"), &output, &[]);
    command.stdin(std::fs::File::open(&film).unwrap());
    let outcome = run(&mut command);
    outcome.says(&["exactly 80 frames"]);
    assert_eq!(keys(&output), [0, 80, 160, 240]);
}

#[test]
fn real_clips_are_whole_wherever_their_scenes_begin() {
    let folder = place::temporary();
    for name in ["h264_opengop.mp4", "hevc10_opengop.mkv", "interlaced_tff.ts", "vfr.mp4", "ocean.webm"] {
        let Some(clip) = media(name) else { return };
        let files = ["1", "3"].map(|workers| {
            let output = folder.path().join(format!("{workers}.mkv"));
            let mut command = divien!("-y", "-cut", "scene", "-bsize", "60", "-w", workers, "-i", &clip, "-an", "-sn");
            run(command.args(["-preset", "ultrafast", "-map_chapters", "-1"]).arg(&output)).success();
            std::fs::read(&output).unwrap()
        });
        assert!(files[0] == files[1], "{name}");
        Fidelity::of(folder.path().join("3.mkv"), &clip).assert();
    }
}
