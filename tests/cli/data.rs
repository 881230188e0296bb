//! What belongs to the pictures beside themselves: which way is up, HDR data, how far they are from the sound.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use divien_testbed::fidelity::picture_hashes;
use divien_testbed::{Clip, place, probe, run};

use crate::encode;

/// What the container says beside the video's own fields; what is in the stream itself is not among it.
fn beside(file: &Path) -> BTreeMap<String, String> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "flat"]).arg(file);
    let text = String::from_utf8(run(&mut ffprobe).success().stdout).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once("side_data.")?.1.split_once('='));
    fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn ffmpeg(input: &Path, options: &[&str], output: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(input);
    run(command.args(options).arg(output)).success();
}

#[test]
fn a_turned_picture_stays_turned_by_a_matrix_or_by_itself() {
    let folder = place::temporary();
    let film = folder.path().join("film.mp4");
    ffmpeg(&Clip::film(5).size(160, 96).path(), &["-an", "-c:v", "libx264"], &film);
    for degrees in ["90", "180", "270"] {
        let turned = folder.path().join("turned.mp4");
        let rotate = format!("rotate={degrees}");
        ffmpeg(&film, &["-c", "copy", "-metadata:s:v:0", &rotate], &turned);
        let rotation = beside(&turned).remove("0.rotation");
        assert!(rotation.is_some());
        let mp4 = encode(&turned, &["-preset", "ultrafast"], folder.path(), "out.mp4");
        assert_eq!(beside(&mp4).remove("0.rotation"), rotation, "{degrees}");
        assert_eq!((probe::video(&mp4, "width"), probe::video(&mp4, "height")), ("160".into(), "96".into()));
        let mkv = encode(&turned, &["-c:v", "ffv1"], folder.path(), "out.mkv");
        assert_eq!(beside(&mkv), BTreeMap::new());
        let upright = folder.path().join("upright.mkv");
        ffmpeg(&turned, &["-c:v", "ffv1"], &upright);
        assert_eq!(picture_hashes(&mkv, "yuv420p"), picture_hashes(&upright, "yuv420p"), "{degrees}");
    }
}

#[test]
fn hdr10_data_is_in_the_container_as_in_the_stream() {
    let folder = place::temporary();
    let film = Clip::film(10).path();
    let source = folder.path().join("hdr.mkv");
    let data = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400:\
                colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=error";
    let options = ["-an", "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", data];
    ffmpeg(&film, &options, &source);
    for (encoder, name) in
        [("libx265", "out.mp4"), ("libx264", "out264.mp4"), ("libx265", "out.mov"), ("libx265", "out.mkv")]
    {
        let output = encode(&source, &["-c:v", encoder, "-preset", "ultrafast"], folder.path(), name);
        let told = beside(&output);
        let said = |wanted: &str| told.iter().find(|(key, _)| key.ends_with(wanted)).map(|(_, value)| value.as_str());
        let rational = |wanted: &str| {
            let (n, d) = said(wanted)?.trim_matches('"').split_once('/')?;
            Some(n.parse::<f64>().ok()? / d.parse::<f64>().ok()?)
        };
        let wanted = [("red_x", 0.68), ("red_y", 0.32), ("green_x", 0.265), ("green_y", 0.69), ("blue_x", 0.15)];
        let more = [("blue_y", 0.06), ("white_point_x", 0.3127), ("white_point_y", 0.329)];
        let light = [("max_luminance", 1000.0), ("min_luminance", 0.005)];
        for (key, value) in wanted.into_iter().chain(more).chain(light) {
            let found = rational(key);
            assert!(found.is_some_and(|f| (f / value - 1.0).abs() < 1e-3), "{name}: {key} is {found:?}: {told:?}");
        }
        assert_eq!((said("max_content"), said("max_average")), (Some("1000"), Some("400")), "{name}: {told:?}");
    }
}

#[test]
fn sound_stays_as_far_from_the_pictures_as_it_was() {
    let folder = place::temporary();
    let film = Clip::film(50).path();
    let first = |file: &Path, stream: &str| {
        let times = probe::packet_times(file, stream);
        times.into_iter().filter_map(|(pts, _)| pts).fold(f64::INFINITY, f64::min)
    };
    let distance = |file: &Path| first(file, "a:0") - first(file, "v:0");
    for late in ["0.046", "0.5", "-0.25"] {
        let moved = folder.path().join("moved.mkv");
        let film = film.to_str().unwrap();
        let options = ["-itsoffset", late, "-i", film, "-map", "0:v", "-map", "1:a", "-c", "copy"];
        ffmpeg(Path::new(film), &options, &moved);
        let was = distance(&moved);
        assert!(was.abs() > 0.02, "the clip is to have a distance, not {was}");
        for (name, tolerance) in [("out.mp4", 0.0015), ("out.mkv", 0.001)] {
            let output = encode(&moved, &["-preset", "ultrafast"], folder.path(), name);
            let is = distance(&output);
            assert!((is - was).abs() <= tolerance, "{late}: {is} s in {name}, {was} s before");
        }
    }
}
