//! What a file says of its pictures: how they are turned, what display they were made on, which of them are shown, and
//! when the sound begins.

use std::path::{Path, PathBuf};
use std::process::Command;

use divien_testbed::fidelity::Source;
use divien_testbed::{Clip, Fidelity, divien, media, place, probe, run, stream};

use crate::encode;

/// Arguments for x264 that show every difference and take no time.
const EXACT: [&str; 4] = ["-qp", "0", "-preset", "ultrafast"];

#[track_caller]
fn ffmpeg(input: &Path, options: &[&str], output: &Path) {
    let mut command = Command::new("ffmpeg");
    run(command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(input).args(options).arg(output)).success();
}

/// A hash of each picture as players show it: turned as the container says.
#[track_caller]
fn shown(file: &Path) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(file).args(["-map", "0:v", "-fps_mode", "passthrough"]);
    let hashes = run(command.args(["-pix_fmt", "yuv420p", "-f", "framehash", "-hash", "md5", "-"])).success().stdout;
    let hashes = String::from_utf8_lossy(&hashes).into_owned();
    let rows = hashes.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| line.rsplit(',').next()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn rotation(file: &Path) -> Option<f64> {
    let rows = probe::rows(file, "stream", Some("v:0"), "index:stream_side_data=rotation");
    rows.first().and_then(|row| row.number("rotation")).map(f64::abs)
}

#[test]
fn a_turned_picture_is_shown_turned_by_a_matrix_in_mp4_and_by_its_pixels_elsewhere() {
    let folder = place::temporary();
    let upright = Clip::film(20).path();
    for degrees in ["90", "180", "270"] {
        let input = folder.path().join("in.mp4");
        ffmpeg(&upright, &["-an", "-c", "copy", "-metadata:s:v", &format!("rotate={degrees}")], &input);
        let (angle, pictures) = (rotation(&input), shown(&input));
        assert!(angle.is_some());
        assert_ne!(pictures, shown(&upright), "{degrees}: the clip itself is not turned");
        for (name, expected) in [("o.mp4", angle), ("o.mov", angle), ("o.mkv", None), ("o.ts", None)] {
            let output = encode(&input, &EXACT, folder.path(), name);
            assert_eq!(rotation(&output), expected, "{degrees} in {name}");
            assert!(shown(&output) == pictures, "{degrees} in {name}: other pictures");
        }
    }
}

const DISPLAY: &str = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)";

/// HEVC in 10 bit that tells of the display it was made on.
fn hdr10(folder: &Path) -> PathBuf {
    let input = folder.join("hdr.mkv");
    let params =
        format!("log-level=none:colorprim=9:transfer=16:colormatrix=9:master-display={DISPLAY}:max-cll=1000,400");
    let options =
        ["-an", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", &params];
    ffmpeg(&Clip::film(12).path(), &options, &input);
    input
}

/// What the container's header says of the display and the light.
#[track_caller]
fn display(file: &Path) -> Vec<f64> {
    let keys = ["red_x", "red_y", "green_x", "green_y", "blue_x", "blue_y", "white_point_x", "white_point_y"];
    let keys = keys.into_iter().chain(["min_luminance", "max_luminance", "max_content", "max_average"]);
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "flat", "-select_streams", "v:0", "-show_streams"]).arg(file);
    let said = String::from_utf8_lossy(&run(&mut command).success().stdout).into_owned();
    let value = |key: &str| {
        let line = said.lines().find_map(|line| line.split_once(&format!(".{key}="))?.1.trim_matches('"').into())?;
        let (n, d) = line.split_once('/').unwrap_or((line, "1"));
        Some(n.parse::<f64>().ok()? / d.parse::<f64>().ok()?)
    };
    keys.filter_map(value).collect()
}

#[test]
fn hdr10_data_is_in_the_header_of_mp4_and_mkv_and_in_the_stream_of_x264_and_x265() {
    let folder = place::temporary();
    let input = hdr10(folder.path());
    let told = [0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329, 0.005, 1000.0, 1000.0, 400.0];
    let vp9 = ["-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "1M", "-cpu-used", "8"];
    let x264 = ["-preset", "ultrafast", "-bsize", "5"];
    for (name, options) in [("o.mp4", &x264[..]), ("o.mov", &x264), ("o.mkv", &x264), ("o.webm", &vp9)] {
        assert_eq!(display(&encode(&input, options, folder.path(), name)), told, "{name}");
    }
    for encoder in ["libx264", "libx265"] {
        let options = ["-c:v", encoder, "-preset", "ultrafast", "-bsize", "4", "-cut", "fixed"];
        let output = encode(&input, &options, folder.path(), "o.ts");
        for (element, value) in [
            ("display_primaries_x[0]", 8500),
            ("white_point_y", 16450),
            ("min_display_mastering_luminance", 50),
            ("max_content_light_level", 1000),
            ("max_pic_average_light_level", 400),
        ] {
            let values = stream::header_values(&output, element);
            assert!(values.len() >= 3 && values.iter().all(|v| *v == value), "{encoder}: {element}: {values:?}");
        }
        Fidelity::of(&output, &input).assert();
    }
    let mut command = divien!("-y", "-i", &input);
    let dropped = run(command.args(vp9).arg(folder.path().join("o.ivf"))).success();
    assert!(dropped.stderr.contains("HDR10 data: dropped, IVF has no room for it"), "{dropped}");
}

/// The video's edit list with another duration and start, both in frames at 30 a second, tenths included.
fn edited(film: &Path, start: f64, duration: f64, output: &Path) {
    ffmpeg(film, &["-an", "-c", "copy", "-movie_timescale", "30000", "-video_track_timescale", "30000"], output);
    let mut bytes = std::fs::read(output).unwrap();
    let at = bytes.windows(4).position(|w| w == b"elst").expect("an edit list") + 4;
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((word(&bytes, at), word(&bytes, at + 4)), (0, 1), "one entry of 32 bits");
    let first = word(&bytes, at + 12);
    bytes[at + 8..at + 12].copy_from_slice(&((duration * 1000.0) as u32).to_be_bytes());
    bytes[at + 12..at + 16].copy_from_slice(&(first + (start * 1000.0) as u32).to_be_bytes());
    std::fs::write(output, bytes).unwrap();
}

#[test]
fn the_frames_that_an_edit_list_shows_are_all_and_only_those_encoded() {
    let folder = place::temporary();
    let film = Clip::film(60).path();
    // Where it starts, how long it lasts, and how many frames that shows: one of which a part is shown is shown.
    for (start, duration, frames) in
        [(0.0, 59.4, 60), (0.0, 30.0, 30), (0.0, 30.5, 31), (15.0, 45.0, 45), (15.0, 20.3, 21)]
    {
        let input = folder.path().join("in.mp4");
        edited(&film, start, duration, &input);
        let pictures = shown(&input);
        for name in ["o.mp4", "o.mkv"] {
            let output = encode(&input, &[EXACT.as_slice(), &["-bsize", "16"]].concat(), folder.path(), name);
            let case = format!("{duration} frames from {start} on in {name}");
            let times = probe::frame_times(&output);
            assert_eq!((times.len(), times.first()), (frames, Some(&0.0)), "{case}");
            assert!(shown(&output) == pictures, "{case}: other pictures");
        }
    }
}

/// Sound first, which begins late, and pictures at uneven times.
fn late_sound(folder: &Path) -> PathBuf {
    let (pictures, input) = (Clip::raw(90).variable_rate().path(), folder.join("in.mov"));
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-i"]).arg(&pictures);
    make.args(["-itsoffset", "1.234", "-f", "lavfi", "-i", "sine=duration=1", "-map", "1:a", "-map", "0:v"]);
    make.args(["-c:a", "aac", "-c:v", "libx264", "-bf", "3", "-fps_mode", "passthrough"]);
    run(make.args(["-enc_time_base", "1:10000"]).arg(&input)).success();
    input
}

#[test]
fn late_sound_keeps_its_distance_to_the_pictures() {
    let folder = place::temporary();
    let made = late_sound(folder.path());
    for input in [Some(made), media("face_noface.mov")].into_iter().flatten() {
        let source = Source::new(&input);
        for name in ["o.mp4", "o.mov", "o.mkv"] {
            let output = encode(&input, &["-preset", "ultrafast", "-bsize", "40"], folder.path(), name);
            Fidelity::of_measured(&output, &source).streams().sound_tolerance_ms(1.0).assert();
        }
    }
}

#[test]
fn sound_that_changes_its_form_goes_on_as_it_began() {
    let folder = place::temporary();
    let at = |name: &str| folder.path().join(name);
    for (name, channels) in [("one.aac", "1"), ("two.aac", "2")] {
        let mut make = Command::new("ffmpeg");
        make.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=d=2", "-ac", channels, "-c:a", "aac"]);
        run(make.arg(at(name))).success();
    }
    let both = [std::fs::read(at("one.aac")).unwrap(), std::fs::read(at("two.aac")).unwrap()].concat();
    std::fs::write(at("both.aac"), both).unwrap();
    let mut make = Command::new("ffmpeg");
    make.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=4", "-i"])
        .arg(at("both.aac"));
    run(make.args(["-c:v", "libx264", "-c:a", "copy"]).arg(at("in.ts"))).success();
    for name in ["out.mkv", "out.mp4"] {
        let mut command = divien!("-y", "-i", at("in.ts"), "-preset", "ultrafast", at(name));
        run(&mut command).success().says(&["sound changes its form"]);
        let count = |path: &Path| probe::rows(path, "packet", Some("a:0"), "size").len();
        assert_eq!(count(&at(name)), count(&at("in.ts")), "{name}");
    }
}
