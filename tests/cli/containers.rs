//! Containers as other programs read them.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use divien_testbed::run::{LIMIT, Signal};
use divien_testbed::{Clip, divien, gst, place, probe, run};

use crate::encode;

/// How many NAL units of a byte stream have this first byte, whatever its other bits.
fn units(stream: &[u8], mask: u8, kind: u8) -> usize {
    stream.windows(4).filter(|w| w[..3] == [0, 0, 1] && w[3] & mask == kind).count()
}

/// The first video stream's packets, joined.
fn packets(file: &Path, form: &str) -> Vec<u8> {
    let copy = ["-map", "0:v", "-c", "copy", "-bsf:v", "null", "-f", form, "-"];
    run(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(file).args(copy)).success().stdout
}

#[test]
fn a_transport_stream_is_read_without_a_warning_and_each_picture_has_one_delimiter() {
    let folder = place::temporary();
    let film = Clip::film(60).path();
    let cases: [(&str, &[&str]); 4] = [
        ("a.ts", &["-preset", "veryfast", "-bsize", "25"]),
        ("b.ts", &["-preset", "ultrafast", "-x264-params", "aud=1"]),
        ("c.ts", &["-c:v", "libx265", "-preset", "ultrafast", "-bsize", "25"]),
        ("d.ts", &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "aud=1"]),
    ];
    for (name, options) in cases {
        let (form, mask, kind) = if options.contains(&"libx265") { ("hevc", 0x7E, 0x46) } else { ("h264", 0x1F, 9) };
        let output = encode(&film, options, folder.path(), name);
        assert_eq!(units(&packets(&output, form), mask, kind), 60, "{name}");
        for program in [&["ffprobe", "-v", "warning", "-show_packets"][..], &["ffmpeg", "-v", "warning", "-i"]] {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).arg(&output);
            if program[0] == "ffmpeg" {
                command.args(["-f", "null", "-"]);
            }
            assert_eq!(run(&mut command).success().stderr, "", "{name}: {command:?}");
        }
        let line = format!("filesrc location={} ! tsdemux ! queue ! parsebin ! fakesink", gst::quoted(&output));
        let read = run(gst::launch_command(&line).env("GST_DEBUG", "2,basesrc:1,structure:1")).success();
        assert!(!read.stderr.contains("WARN") && !read.stderr.contains("ERROR"), "{name}: {}", read.stderr);
        let times = probe::packet_times(&output, "v:0");
        assert!(times.iter().all(|(pts, dts)| pts >= dts && *dts >= Some(0.0)), "{name}: {times:?}");
    }
}

#[test]
fn chapters_keep_their_times_and_names_in_mp4_even_when_the_first_starts_late() {
    let folder = place::temporary();
    let film = Clip::film(120).path();
    let (list, input) = (folder.path().join("list.txt"), folder.path().join("in.mkv"));
    let chapter = |start, end, title| format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n");
    let both = [";FFMETADATA1\n".to_owned(), chapter(1000, 2500, "Früh"), chapter(2500, 3500, "spät")].concat();
    std::fs::write(&list, both).unwrap();
    let mut add = Command::new("ffmpeg");
    add.args(["-v", "error", "-i"]).arg(&film).arg("-i").arg(&list);
    run(add.args(["-map_metadata", "1", "-c", "copy"]).arg(&input)).success();
    for name in ["out.mp4", "out.mov", "out.mkv"] {
        let output = encode(&input, &["-preset", "ultrafast"], folder.path(), name);
        let chapters = probe::rows(&output, "chapter", None, "start_time,end_time:chapter_tags=title");
        let said: Vec<_> = chapters
            .iter()
            .map(|c| (c.number("start_time"), c.number("end_time"), c.text("tag:title").unwrap_or_default()))
            .collect();
        let expected = [(Some(1.0), Some(2.5), "Früh"), (Some(2.5), Some(3.5), "spät")];
        assert_eq!(said, expected, "{name}");
        let read = run(Command::new("ffprobe").args(["-v", "warning"]).arg(&output)).success();
        assert!(!read.stderr.contains("chapters"), "{name}: {}", read.stderr);
    }
    // As in ffmpeg the times are kept, and no name is not an empty one.
    let nameless = encode(&input, &["-preset", "ultrafast", "-map_metadata", "-1"], folder.path(), "nameless.mkv");
    let info = run(Command::new("mkvinfo").arg(&nameless)).success();
    assert!(!info.said().contains("Chapter display"), "{info}");
    let nameless = probe::rows(&nameless, "chapter", None, "start_time");
    assert_eq!(nameless.iter().map(|c| c.number("start_time")).collect::<Vec<_>>(), [Some(1.0), Some(2.5)]);
}

#[test]
fn a_transport_stream_holds_a_dozen_tracks_of_sound() {
    let folder = place::temporary();
    let (film, many) = (Clip::film(30).path(), folder.path().join("many.mkv"));
    let mut copy = Command::new("ffmpeg");
    copy.args(["-v", "error", "-i"]).arg(&film).args(["-map", "0:v"]).args(["-map", "0:a"].repeat(12));
    run(copy.args(["-c", "copy", "-metadata:s:a", "language=deu"]).arg(&many)).success();
    let output = encode(&many, &["-preset", "ultrafast"], folder.path(), "o.ts");
    let read = run(Command::new("ffprobe").args(["-v", "warning", "-show_packets"]).arg(&output)).success();
    assert_eq!(read.stderr, "");
    let languages = probe::rows(&output, "stream", Some("a"), "index:stream_tags=language");
    assert_eq!(languages.iter().filter(|row| row.text("tag:language") == Some("deu")).count(), 12);
    for track in 0..12 {
        assert!(probe::packet_times(&output, &format!("a:{track}")).len() > 40, "track {track}");
    }
}

#[test]
fn short_tracks_of_an_mp4_and_its_last_packet_of_sound_are_kept() {
    let folder = place::temporary();
    let picture = |seconds: u32| format!("testsrc2=size=64x48:rate=25:duration={seconds}");
    let sound = |seconds: u32| format!("sine=duration={seconds}");
    // Pictures and sound in seconds. Of 6 s the last packet starts within what an edit list has not moved.
    for (pictures, tones) in [(30, 4), (2, 15), (6, 6)] {
        let input = folder.path().join("in.mp4");
        let mut make = Command::new("ffmpeg");
        make.args(["-v", "error", "-y", "-f", "lavfi", "-i", &picture(pictures), "-f", "lavfi", "-i", &sound(tones)]);
        make.args(["-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart"]).arg(&input);
        run(&mut make).success();
        let count = |file: &Path| ["v:0", "a:0"].map(|stream| probe::packet_times(file, stream).len());
        let all = count(&input);
        let output = encode(&input, &["-preset", "ultrafast"], folder.path(), "out.mp4");
        assert_eq!(count(&output), all, "{pictures} s of pictures, {tones} s of sound");
        let mut piped = divien!("-y", "-i", "-", "-preset", "ultrafast", &output);
        run(piped.stdin(Stdio::from(std::fs::File::open(&input).unwrap()))).success();
        // From a pipe the packets at a track's ends may be missing: an edit list puts the first before the start.
        let piped = count(&output);
        let message = format!("{piped:?} of {all:?} from a pipe");
        assert!(piped[0] == all[0] && piped[1] < all[1] && piped[1] + 3 >= all[1], "{message}");
    }
}

#[test]
fn opus_keeps_its_lead_in_and_its_place_from_copy_to_copy() {
    let folder = place::temporary();
    let made = encode(&Clip::film(60).path(), &["-preset", "ultrafast", "-c:a", "libopus"], folder.path(), "1.mkv");
    let copied = encode(&made, &["-preset", "ultrafast"], folder.path(), "2.mkv");
    let in_mp4 = encode(&copied, &["-preset", "ultrafast"], folder.path(), "3.mp4");
    let times = |file: &Path, stream| {
        let packets = probe::packet_times(file, stream);
        packets.iter().take(20).filter_map(|(pts, _)| *pts).collect::<Vec<_>>()
    };
    let sound = times(&made, "a:0");
    assert_eq!(sound[0], -0.007, "the decoder swallows 6.5 ms");
    for file in [&made, &copied, &in_mp4] {
        assert_eq!(times(file, "v:0").iter().fold(f64::MAX, |a, b| a.min(*b)), 0.0, "{}", file.display());
        for (i, (a, b)) in sound.iter().zip(times(file, "a:0")).enumerate() {
            assert!((a - b).abs() <= 0.001, "{}: packet {i}: {a} {b}", file.display());
        }
    }
}

/// A film with a French and a German track of sound, the second the default, Dutch subtitles that are forced, and a font.
fn with_everything(folder: &Path) -> PathBuf {
    let (texts, font, film) = (folder.join("in.srt"), folder.join("Fänzy.ttf"), folder.join("in.mkv"));
    std::fs::write(&texts, "1\n00:00:00,200 --> 00:00:00,900\n<i>Tom</i> & Jerry, 1 < 2\n").unwrap();
    std::fs::write(&font, [7, 0, 255, 8].repeat(40_000)).unwrap();
    let sound = Clip::film(50).path();
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(&sound).arg("-i").arg(&texts).args(["-map", "0:v", "-map", "0:a"]);
    make.args(["-map", "0:a", "-map", "1:s", "-c", "copy", "-c:s", "srt", "-metadata:s:a:0", "language=fre"]);
    make.args(["-metadata:s:a:1", "language=ger", "-metadata:s:s:0", "language=dut", "-disposition:a:0", "0"]);
    make.args(["-disposition:a:1", "default", "-disposition:s:0", "forced", "-attach"]).arg(&font);
    run(make.args(["-metadata:s:t", "mimetype=font/ttf"]).arg(&film)).success();
    film
}

/// Language, default flag and forced flag of each track of sound and text.
fn said_of_tracks(file: &Path) -> Vec<String> {
    let fields = "index:stream_tags=language:stream_disposition=default,forced";
    let rows = ["a", "s"].map(|kind| probe::rows(file, "stream", Some(kind), fields));
    let word = |row: &probe::Row, key| row.text(key).unwrap_or("-").to_owned();
    let keys = ["tag:language", "disposition:default", "disposition:forced"];
    rows.iter().flatten().map(|row| keys.map(|key| word(row, key)).join(" ")).collect()
}

#[test]
fn tracks_keep_their_languages_letters_and_what_is_shown_first() {
    let folder = place::temporary();
    let film = with_everything(folder.path());
    let options = ["-preset", "ultrafast"];
    let mkv = encode(&film, &options, folder.path(), "out.mkv");
    assert_eq!(said_of_tracks(&mkv), ["fre 0 0", "ger 1 0", "dut 0 1"]);
    let none = folder.path().join("none.mkv");
    let mut copy = Command::new("ffmpeg");
    copy.args(["-v", "error", "-i"]).arg(&mkv).args(["-map", "0:v", "-map", "0:a", "-c", "copy", "-disposition", "0"]);
    run(copy.arg(&none)).success();
    assert_eq!(said_of_tracks(&encode(&none, &options, folder.path(), "still.mkv")), ["fre 0 0", "ger 0 0"]);
    // The letters are the source's, whichever of the two forms of ISO 639-2 they are.
    let mp4 = encode(&film, &options, folder.path(), "out.mp4");
    assert_eq!(said_of_tracks(&mp4), ["fre 0 0", "ger 1 0", "dut 0 0"]);
    let terminological = folder.path().join("t.mp4");
    let mut copy = Command::new("ffmpeg");
    copy.args(["-v", "error", "-i"]).arg(&mp4).args(["-map", "0:v", "-map", "0:a", "-c", "copy"]);
    run(copy.args(["-metadata:s:a:0", "language=fra", "-metadata:s:a:1", "language=deu"]).arg(&terminological))
        .success();
    let again = encode(&terminological, &options, folder.path(), "again.mp4");
    assert_eq!(said_of_tracks(&again), ["fra 0 0", "deu 1 0"]);
    let again = encode(&terminological, &options, folder.path(), "again.mkv");
    assert_eq!(said_of_tracks(&again), ["fra 0 0", "deu 1 0"]);
}

#[test]
fn fonts_stay_in_matroska_and_are_named_where_they_are_dropped() {
    let folder = place::temporary();
    let film = with_everything(folder.path());
    let mkv = encode(&film, &["-preset", "ultrafast"], folder.path(), "out.mkv");
    let font = folder.path().join("font");
    run(Command::new("mkvextract").arg(&mkv).arg("attachments").arg(format!("1:{}", font.display()))).success();
    assert_eq!(std::fs::read(&font).unwrap(), [7, 0, 255, 8].repeat(40_000));
    let kept = probe::rows(&mkv, "stream", Some("t"), "index:stream_tags=filename,mimetype");
    let words: Vec<_> = kept.iter().map(|r| (r.text("tag:filename"), r.text("tag:mimetype"))).collect();
    assert_eq!(words, [(Some("Fänzy.ttf"), Some("font/ttf"))]);
    let again = encode(&film, &["-preset", "ultrafast"], folder.path(), "again.mkv");
    assert!(std::fs::read(&mkv).unwrap() == std::fs::read(&again).unwrap());
    let mp4 = run(&mut divien!("-y", "-i", &film, "-preset", "ultrafast", folder.path().join("out.mp4"))).success();
    assert!(mp4.stderr.contains("attachment Fänzy.ttf: dropped, MP4"), "{mp4}");
}

#[test]
fn what_the_demuxer_of_mp4_passes_over_is_told() {
    let folder = place::temporary();
    let film = with_everything(folder.path());
    let mp4 = encode(&film, &["-preset", "ultrafast"], folder.path(), "out.mp4");
    let texts = |file: &Path| {
        let read =
            run(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(file).args(["-map", "0:s", "-f", "srt", "-"]));
        String::from_utf8(read.success().stdout).unwrap()
    };
    assert!(texts(&mp4).contains("<i>Tom</i> & Jerry, 1 < 2"), "{}", texts(&mp4));
    let literal = folder.path().join("literal.srt");
    std::fs::write(&literal, "1\n00:00:00,200 --> 00:00:00,900\na &amp; b <c d> e\n").unwrap();
    let coded = folder.path().join("in.mov");
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-i"]).arg(Clip::film(50).path()).arg("-i").arg(&literal);
    make.args(["-map", "0:v", "-map", "1:s", "-c", "copy", "-c:s", "mov_text", "-timecode", "01:00:00:00"]);
    run(make.arg(&coded)).success();
    let output = folder.path().join("out.mkv");
    let said = run(&mut divien!("-y", "-i", &coded, "-preset", "ultrafast", &output)).success();
    for line in ["time codes (tmcd): dropped", "its text is kept; bold, italic"] {
        assert!(said.stderr.contains(line), "{line}: {said}");
    }
    assert_eq!(texts(&output).lines().nth(2), texts(&coded).lines().nth(2), "no character is taken for a mark");
}

#[test]
fn pictures_an_encoder_does_not_take_are_told_to_be_converted() {
    let folder = place::temporary();
    let (deep, output) = (folder.path().join("in.mkv"), folder.path().join("out.mkv"));
    let mut make = Command::new("ffmpeg");
    make.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-pix_fmt", "yuv420p12le"]);
    run(make.args(["-c:v", "ffv1"]).arg(&deep)).success();
    let encode = |options: &[&str]| {
        let mut command = divien!("-y", "-i", &deep, "-preset", "ultrafast");
        run(command.args(options).arg(&output)).success().stderr
    };
    let said = encode(&[]);
    assert!(said.contains("converted from I420_12LE to I420_10LE: x264enc takes no I420_12LE"), "{said}");
    let asked = encode(&["-pix_fmt", "yuv420p"]);
    assert!(!asked.contains("converted"), "{asked}");
}

/// Runs a command whose first bytes of output are waited for; a run that gives none is ended.
fn first_bytes(command: &mut Command, feed: impl FnOnce(&mut Child)) -> (Child, Vec<u8>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    feed(&mut child);
    let mut out = child.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut first = vec![0; 1000];
        let came = out.read_exact(&mut first).is_ok();
        let _ = sender.send((came, first, out));
    });
    match receiver.recv_timeout(LIMIT) {
        Ok((true, first, out)) => {
            child.stdout = Some(out);
            (child, first)
        }
        other => {
            child.kill().unwrap();
            panic!("no output came: {:?}", other.map(|(came, ..)| came));
        }
    }
}

#[test]
fn bytes_leave_by_standard_output_before_the_input_has_ended() {
    let folder = place::temporary();
    let input = std::fs::read(Clip::raw(200).path()).unwrap();
    let (half, rest) = input.split_at(input.len() / 2);
    for form in ["mpegts", "matroska", "h264"] {
        let mut command = divien!("-i", "-", "-preset", "ultrafast", "-bsize", "10", "-f", form, "-");
        let (mut child, mut all) = first_bytes(command.stdin(Stdio::piped()), |child| {
            let (mut stdin, half) = (child.stdin.as_ref().unwrap(), half.to_vec());
            stdin.write_all(&half).unwrap();
        });
        let mut stdin = child.stdin.take().unwrap();
        let rest = rest.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&rest));
        child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
        feeder.join().unwrap().unwrap();
        assert!(child.wait().unwrap().success(), "{form}");
        let output = folder.path().join(form);
        std::fs::write(&output, all).unwrap();
        assert_eq!(probe::rows(&output, "frame", Some("v:0"), "width").len(), 200, "{form}");
    }
}

#[test]
fn a_reader_that_has_stopped_reading_does_not_keep_a_signal_out() {
    let film = Clip::film(120).path();
    // MPEG-TS flows from the start; of MP4 nothing comes before the last frame is in it.
    for form in ["mpegts", "mp4"] {
        let mut command = divien!("-i", &film, "-preset", "ultrafast", "-qp", "1", "-f", form, "-");
        let (mut child, _) = first_bytes(command.stdin(Stdio::null()), |_| {});
        run::signal(&child, Signal::INT);
        let (sender, ended) = mpsc::channel();
        let stdout = child.stdout.take();
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || sender.send(child.wait().unwrap()));
        let status = ended.recv_timeout(LIMIT).expect("a signal ends the run");
        drop(stdout);
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(255), "{form}: {said}");
        assert!(said.contains("did not get all of it"), "{form}: {said}");
    }
}
