//! Runs that end before their time, and others that go on from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use divien_testbed::interrupted::Encode;
use divien_testbed::run::{LIMIT, Outcome, Signal};
use divien_testbed::{Running, divien, gst, place, run};
use tempfile::TempDir;

use crate::{made_film, may_mount, namespaced};

/// Runs that are killed, of each kind of input.
const KILLED: u32 = 4;

const OPTIONS: &[&str] = &["-preset", "slow", "-bsize", "25", "-lead-in", "3", "-w", "2"];

/// A clip that takes some seconds to encode, with a key frame each second; made once for all tests.
fn film(folder: &Path) -> PathBuf {
    static FILM: OnceLock<Vec<u8>> = OnceLock::new();
    let input = folder.join("in.mkv");
    let bytes = FILM.get_or_init(|| {
        let options = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "flac"];
        made_film("480x270", 10, &options, &input);
        fs::read(&input).unwrap()
    });
    fs::write(&input, bytes).unwrap();
    input
}

/// What becomes of it with [`OPTIONS`] when nobody stops the run, and how long that takes; done once for all tests.
fn whole() -> &'static (Vec<u8>, Duration) {
    static WHOLE: OnceLock<(Vec<u8>, Duration)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = place::temporary();
        encode(&film(folder.path()), OPTIONS).whole(folder.path()).unwrap()
    })
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_divien"))
}

fn encode<'a>(input: &'a Path, options: &'a [&'a str]) -> Encode<'a> {
    Encode { divien: program(), input, options, name: "out.mp4" }
}

/// A run that is killed once it has finished its first chunks, but not all; gives how many.
#[track_caller]
fn stopped(encode: &Encode<'_>, folder: &Path) -> usize {
    let running = Running::start(&mut encode.command(folder, &["-keep"]));
    while !(0..3).all(|chunk| encode.finished(folder).contains_key(&chunk)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal(Signal::KILL);
    let outcome = running.wait(LIMIT);
    assert!(outcome.status.code().is_none(), "it came to its end before it was killed\n{outcome}");
    encode.finished(folder).len()
}

#[test]
fn whenever_a_run_is_killed_the_next_goes_on_and_no_byte_is_another() {
    let folder = place::temporary();
    let film = film(folder.path());
    // Chunks of packets, and those of pictures that one decoder gives.
    for more in [&[][..], &["-c:v", "ffv1", "-f", "matroska"]] {
        let options: Vec<&str> = if more.is_empty() { OPTIONS.to_vec() } else { [more, &["-bsize", "20"]].concat() };
        let input = if more.is_empty() { film.clone() } else { in_order(folder.path(), &film) };
        let encode = encode(&input, &options);
        let place = place::temporary();
        let (whole, took) = if more.is_empty() { whole().clone() } else { encode.whole(place.path()).unwrap() };
        let mut before = Vec::new();
        for n in 0..KILLED {
            let place = place::temporary();
            // From the start to the end, and a second time within what is left.
            let first = took.mul_f64(0.1) + took.mul_f64(0.9) * n / (KILLED - 1);
            let came = encode.killed(place.path(), &[first, took.mul_f64(0.4)]).unwrap();
            came.check(&whole).unwrap_or_else(|wrong| panic!("{more:?} {first:?}: {wrong}"));
            before.push(came.before);
        }
        assert!(before.iter().any(|finished| *finished > 0), "{before:?}");
    }
}

/// A clip whose chunks cannot be cut before they are decoded.
fn in_order(folder: &Path, film: &Path) -> PathBuf {
    let avi = folder.join("in.avi");
    crate::ffmpeg(&["-i", film.to_str().unwrap(), "-c:v", "mpeg4", "-bf", "2", "-q:v", "3", "-c:a", "pcm_s16le"], &avi);
    avi
}

/// A run that gets a signal once it has finished some chunks; a busy machine may have it end before.
#[track_caller]
fn told_to_end(encode: &Encode<'_>, (signal, times): (Signal, usize)) -> (TempDir, Outcome) {
    for _ in 0..5 {
        let place = place::temporary();
        let running = Running::start(&mut encode.command(place.path(), &[]));
        while encode.finished(place.path()).len() < 2 && !place.path().join(encode.name).exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        (0..times).for_each(|_| running.signal(signal));
        let outcome = running.wait(LIMIT);
        if !outcome.status.success() {
            return (place, outcome);
        }
    }
    panic!("it always ends before it is told to");
}

/// The command that a stopped run said goes on.
fn said(outcome: &Outcome) -> String {
    let line = outcome.stderr.lines().find_map(|line| line.split_once("to go on: "));
    line.unwrap_or_else(|| panic!("no command was told\n{outcome}")).1.to_owned()
}

#[test]
fn every_signal_leaves_what_is_finished_and_the_command_that_goes_on() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let (whole, _) = whole();
    for (signal, times) in [(Signal::INT, 1), (Signal::INT, 2), (Signal::TERM, 1), (Signal::HUP, 1)] {
        let (place, outcome) = told_to_end(&encode, (signal, times));
        assert_eq!(outcome.status.code(), Some(255), "{outcome}");
        let (outcome, finished) =
            (outcome.says(&["interrupted", "nothing was left"]), encode.finished(place.path()).len());
        assert!(finished >= 2);
        let told = format!("{finished} finished chunks");
        let outcome = outcome.says(&[&told]);
        run(std::process::Command::new("sh").args(["-c", &said(&outcome)])).success().says(&["done already"]);
        assert!(fs::read(place.path().join("out.mp4")).unwrap() == *whole);
        // The folder is gone with its use.
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_is_kept_is_told_and_neither_mixed_nor_lost() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let (whole, _) = whole();
    let place = place::temporary();
    let at = |name: &str| place.path().join(name);
    let finished = stopped(&encode, place.path());
    let journal = || fs::read(encode.kept(place.path()).join("journal")).unwrap();
    let before = journal();

    // Without -resume.
    let outcome = run(&mut encode.command(place.path(), &[])).failure();
    let told = format!("finished {finished} chunks");
    let outcome = outcome.says(&[&told, "-resume", "-y starts over"]);
    assert_eq!(outcome.status.code(), Some(73), "{outcome}");
    assert_eq!(journal(), before);

    // With other options.
    let others: [(&[&str], &str); 12] = [
        (&["-crf", "30"], "-crf was not given and is '30'"),
        (&["-preset", "fast"], "-preset was 'slow' and is"),
        (&["-bsize", "50"], "-bsize was '25' and is '50'"),
        (&["-threads", "2"], "-threads was '0' and is '2'"),
        (&["-cut", "fixed"], "-cut was 'keyframe'"),
        (&["-c:v", "libx265"], "-c:v was 'libx264' and is 'libx265'"),
        (&["-pix_fmt", "yuv444p"], "-pix_fmt was not given"),
        (&["-vf", "hflip"], "-vf, -s and -r was not given"),
        (&["-an"], "-c:a was 'chosen' and is 'none'"),
        (&["-t", "5"], "-t or -to was not given and is '5.000000000'"),
        (&["-movflags", "+faststart"], "-movflags was not given"),
        (&["-metadata", "title=a"], "-metadata title was not given"),
    ];
    for (options, what) in others {
        let mut command = divien!("-resume", "-i", &input);
        let outcome =
            run(command.args(OPTIONS).args(options).arg(at("out.mp4"))).failure().says(&["another job", what]);
        assert_eq!(outcome.status.code(), Some(73), "{outcome}");
        assert_eq!(journal(), before, "{what}");
    }

    // With another input: one of another time, and one that lost a byte in its middle and looks the same otherwise.
    let times = fs::metadata(&input).unwrap().modified().unwrap();
    let set = |time| fs::File::options().write(true).open(&input).unwrap().set_modified(time).unwrap();
    set(times + Duration::from_secs(1));
    run(&mut encode.command(place.path(), &["-resume"])).failure().says(&["the input's time was"]);
    let bytes = fs::read(&input).unwrap();
    let mut longer = bytes.clone();
    longer.push(0);
    fs::write(&input, &longer).unwrap();
    set(times);
    run(&mut encode.command(place.path(), &["-resume"])).failure().says(&["the input's size was"]);
    fs::write(&input, &bytes).unwrap();
    set(times);
    assert_eq!(journal(), before);

    // It is still there for the run that it is of.
    run(&mut encode.command(place.path(), &["-resume"])).success();
    assert!(fs::read(at("out.mp4")).unwrap() == *whole);
}

#[test]
fn a_file_that_was_changed_within_is_not_mixed_in() {
    let folder = place::temporary();
    // Larger than what is compared of its ends.
    let input = folder.path().join("in.mkv");
    made_film("640x360", 12, &["-c:v", "libx264", "-qp", "4", "-preset", "ultrafast", "-g", "25"], &input);
    let encode = encode(&input, OPTIONS);
    let place = place::temporary();
    stopped(&encode, place.path());
    let times = fs::metadata(&input).unwrap().modified().unwrap();
    let mut bytes = fs::read(&input).unwrap();
    assert!(bytes.len() > 5 << 20, "{}", bytes.len());
    // Within the pictures of the first chunks, behind what is compared.
    assert!(bytes.len() < 14 << 20, "{}", bytes.len());
    let at = (1 << 20) + 5000;
    bytes[at] ^= 1;
    fs::write(&input, &bytes).unwrap();
    fs::File::options().write(true).open(&input).unwrap().set_modified(times).unwrap();
    let outcome = run(&mut encode.command(place.path(), &["-resume"])).failure();
    outcome.says(&["the input has changed", "chunk"]);
    assert!(!place.path().join("out.mp4").exists());
}

#[test]
fn what_is_damaged_is_done_again_and_nothing_else() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let (whole, _) = whole();
    let place = place::temporary();
    let finished = stopped(&encode, place.path());
    let kept = encode.kept(place.path());
    let mut bytes = fs::read(kept.join("00000001.chunk")).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x10;
    fs::write(kept.join("00000001.chunk"), bytes).unwrap();
    // The line that was written last is torn.
    let journal = fs::read(kept.join("journal")).unwrap();
    fs::write(kept.join("journal"), &journal[..journal.len() - 9]).unwrap();
    let outcome = run(&mut encode.command(place.path(), &["-resume", "-keep"])).success();
    let told = format!("{} chunks", finished - 1);
    outcome.says(&[&told, "chunk 1", "encoded again"]);
    assert!(fs::read(place.path().join("out.mp4")).unwrap() == *whole);
    let again: usize = encode.finished(place.path()).values().map(|times| times - 1).sum();
    assert_eq!(again, 1);

    // All is there, and the output as well.
    let mut other = divien!("-resume", "-i", &input);
    let outcome = run(other.args(OPTIONS).args(["-crf", "9"]).arg(place.path().join("out.mp4"))).failure();
    outcome.says(&["another job", "-crf was not given and is '9'"]);
    run(&mut encode.command(place.path(), &["-resume"])).success().says(&["was complete already"]);
    assert!(!kept.exists() && fs::read(place.path().join("out.mp4")).unwrap() == *whole);
}

#[test]
fn a_run_that_starts_over_leaves_nothing_of_the_one_before() {
    let folder = place::temporary();
    let input = film(folder.path());
    let place = place::temporary();
    stopped(&encode(&input, OPTIONS), place.path());
    let other = [OPTIONS, &["-crf", "35"]].concat();
    let encode = encode(&input, &other);
    let (whole, _) = encode.whole(folder.path()).unwrap();
    run(&mut encode.command(place.path(), &["-y"])).success();
    assert!(fs::read(place.path().join("out.mp4")).unwrap() == whole);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn one_run_at_a_time_and_who_it_is() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let place = place::temporary();
    let running = Running::start(&mut encode.command(place.path(), &[]));
    while encode.finished(place.path()).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal(Signal::STOP);
    for more in ["-y", "-resume", "-n"] {
        let outcome = run(&mut encode.command(place.path(), &[more])).failure().says(&["process ", "works on it"]);
        assert_eq!(outcome.status.code(), Some(73), "{outcome}");
    }
    running.signal(Signal::CONT);
    running.wait(LIMIT).success();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_elsewhere_and_what_cannot_be_resumed() {
    let folder = place::temporary();
    let input = film(folder.path());
    let (place, elsewhere) = (place::temporary(), place::temporary());
    let other = elsewhere.path().to_str().unwrap();
    let options = ["-preset", "ultrafast", "-bsize", "25", "-workdir", other];
    let mut command = divien!("-i", &input);
    command.args(options).args(["-keep"]).arg(place.path().join("out.mp4"));
    run(&mut command).success();
    let mut kept = fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(kept.next().unwrap().join("journal").exists() && kept.next().is_none());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    // Somebody's own folder of that name.
    let own = place.path().join("other.mp4.divien");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("letter.txt"), "mine").unwrap();
    let outcome = run(&mut divien!("-y", "-i", &input, place.path().join("other.mp4"))).failure();
    outcome.says(&["something else in it", "letter.txt"]);
    assert!(own.join("letter.txt").exists());

    for (option, value) in [("-resume", None), ("-keep", None), ("-workdir", Some(other))] {
        let mut command = divien!("-i", "-", "-f", "matroska", option);
        let outcome = run(command.args(value).arg(place.path().join("piped.mkv"))).failure();
        assert_eq!(outcome.says(&[option, "standard input"]).status.code(), Some(64));
        let mut command = divien!("-i", &input, "-f", "matroska", option);
        let outcome = run(command.args(value).arg("-")).failure();
        assert_eq!(outcome.says(&[option, "standard output"]).status.code(), Some(64));
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}

#[test]
fn a_disk_without_room_keeps_what_is_finished() {
    let folder = place::temporary();
    let input = film(folder.path());
    let options = ["-c:v", "ffv1", "-bsize", "25", "-w", "1", "-an"];
    let encode = Encode { divien: program(), input: &input, options: &options, name: "out.mkv" };
    let (whole, _) = encode.whole(folder.path()).unwrap();
    let place = place::temporary();
    // The output gets too large, its chunks do not.
    let limit = format!("--fsize={}", whole.len() / 2);
    let outcome = run(&mut gst::limited(&encode.command(place.path(), &[]), &limit)).failure();
    assert_eq!(outcome.status.code(), Some(74), "{outcome}");
    let outcome = outcome.says(&["too large", "finished chunk", "the rest takes about"]);
    assert!(!encode.finished(place.path()).is_empty());
    run(std::process::Command::new("sh").args(["-c", &said(&outcome)])).success();
    assert!(fs::read(place.path().join("out.mkv")).unwrap() == whole);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn chunks_that_are_begun_can_be_finished_first() {
    let folder = place::temporary();
    let film = film(folder.path());
    // Where pictures come from one decoder the last chunk may lack some of its own, for which its encoder waits.
    let slow = &["-vf", "scale=1600:-2,scale=320:-2", "-preset", "ultrafast", "-bsize", "25", "-w", "2"];
    let ordered = in_order(folder.path(), &film);
    for (input, options, has_begun) in [(&film, OPTIONS, true), (&ordered, OPTIONS, false), (&ordered, slow, false)] {
        let encode = encode(input, options);
        let whole = if has_begun { whole().0.clone() } else { encode.whole(folder.path()).unwrap().0 };
        let place = place::temporary();
        let running = Running::start(&mut encode.command(place.path(), &["-finish-chunks"]));
        while encode.finished(place.path()).len() < 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let before = encode.finished(place.path()).len();
        running.signal(Signal::INT);
        let outcome = running.wait(LIMIT).says(&["finishing the chunks", "interrupted"]);
        assert_eq!(outcome.status.code(), Some(255), "{outcome}");
        let finished = encode.finished(place.path()).len();
        assert!((finished > before || !has_begun) && finished < 9, "{before} {finished}\n{outcome}");
        run(std::process::Command::new("sh").args(["-c", &said(&outcome)])).success();
        assert!(fs::read(place.path().join("out.mp4")).unwrap() == whole);
    }
}

#[test]
fn a_folder_that_may_not_be_written_to_is_told_before_the_run() {
    if !may_mount() {
        return;
    }
    let folder = place::temporary();
    let input = film(folder.path());
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    // To root nothing is closed but what is mounted so.
    let script = "mount -t tmpfs -o size=1m tmpfs \"$1\" && mount -o remount,ro \"$1\" && shift && exec \"$@\"";
    for (more, output) in
        [(&[][..], closed.join("out.mp4")), (&["-workdir", closed.to_str().unwrap()], folder.path().join("out.mp4"))]
    {
        let mut command = namespaced(script, &closed);
        let outcome = run(command.arg(program()).args(more).arg("-i").arg(&input).args(OPTIONS).arg(&output)).failure();
        let outcome = outcome.says(&["Read-only file system"]);
        assert!([73, 74].contains(&outcome.status.code().unwrap()), "{outcome}");
        assert!(!output.exists());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_file_system_that_fills_up_keeps_what_is_finished_and_the_run_goes_on_when_there_is_room() {
    if !may_mount() {
        return;
    }
    let folder = place::temporary();
    let input = film(folder.path());
    let options = ["-c:v", "ffv1", "-bsize", "25", "-w", "1", "-an"];
    let encode = Encode { divien: program(), input: &input, options: &options, name: "out.mkv" };
    let (whole, _) = encode.whole(folder.path()).unwrap();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    // Chunks and output have room for a part of it, and for all of it when the file system has become larger.
    let script = format!(
        "mount -t tmpfs -o size={}k tmpfs \"$1\" && small=$1 && shift && \"$@\"; echo \"code $?\" >&2; ls -A $small >&2
         mount -o remount,size=1g $small && first=$1 && shift && \"$first\" -resume \"$@\" && cp $small/out.mkv $small/..",
        whole.len() / 1024
    );
    let mut command = namespaced(&script, &small);
    let words = encode.command(&small, &[]);
    let outcome = run(command.arg(words.get_program()).args(words.get_args())).success();
    let outcome = outcome.says(&[
        "No space left",
        "finished chunk",
        "the rest takes about",
        "code 74",
        "out.mkv.divien",
        "done already",
    ]);
    assert!(!outcome.stderr.contains(".part"), "{outcome}");
    assert!(fs::read(folder.path().join("out.mkv")).unwrap() == whole);
}

#[test]
fn an_output_that_appears_meanwhile_is_kept_and_what_was_encoded_as_well() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let (whole, _) = encode.whole(folder.path()).unwrap();
    let place = place::temporary();
    let output = place.path().join(encode.name);
    let running = Running::start(&mut encode.command(place.path(), &[]));
    while encode.finished(place.path()).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::File::create_new(&output).unwrap();
    let outcome = running.wait(LIMIT).failure().says(&["out.mp4: something else has got this name", "-resume and -y"]);
    assert_eq!(outcome.status.code(), Some(73), "{outcome}");
    assert_eq!(fs::metadata(&output).unwrap().len(), 0);
    let command = said(&outcome);
    run(std::process::Command::new("sh").args(["-c", &command])).failure().says(&["exists already"]);
    run(std::process::Command::new("sh").args(["-c", &format!("{command} -y")])).success().says(&["done already: 10"]);
    assert!(fs::read(&output).unwrap() == whole);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);

    // Without a folder there is the file itself.
    let mut command = divien!("-i", "-", "-an", "-f", "matroska");
    command.args(["-c:v", "ffv1"]).arg(place.path().join("piped.mkv"));
    let (reads, mut writes) = std::io::pipe().unwrap();
    let running = Running::start(command.stdin(reads));
    let part = || {
        let mut names = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.extension().is_some_and(|end| end == "part"))
    };
    drop(command);
    let bytes = fs::read(&input).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() - 1000);
    std::io::Write::write_all(&mut writes, first).unwrap();
    while part().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::File::create_new(place.path().join("piped.mkv")).unwrap();
    std::io::Write::write_all(&mut writes, rest).unwrap();
    drop(writes);
    let outcome = running.wait(LIMIT).failure();
    let part = part().unwrap_or_else(|| panic!("{outcome}"));
    outcome.says(&["something else has got this name", "what was encoded is in", part.to_str().unwrap()]);
    assert!(fs::metadata(&part).unwrap().len() > 1 << 20);
    assert_eq!(fs::metadata(place.path().join("piped.mkv")).unwrap().len(), 0);
}

#[test]
fn a_link_and_what_it_leads_to_are_one_output() {
    let folder = place::temporary();
    let input = film(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink("real.mp4", folder.path().join("link.mp4")).unwrap();
    for more in [&[][..], &["-workdir", elsewhere.to_str().unwrap()]] {
        let options = [OPTIONS, more, &["-keep", "-t", "2"]].concat();
        let run = |name: &str, first: &str| {
            let mut command = divien!(first, "-i", &input);
            run(command.args(&options).arg(folder.path().join(name)))
        };
        run("link.mp4", "-y").success();
        run("real.mp4", "-resume").success().says(&["was complete already"]);
        run("link.mp4", "-resume").success().says(&["was complete already"]);
        let kept = if more.is_empty() { folder.path() } else { elsewhere.as_path() };
        let kept = fs::read_dir(kept)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "divien"));
        assert_eq!(kept.count(), 1);
    }
}

#[test]
fn what_is_no_file_in_the_place_of_a_chunk_costs_that_chunk() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let (whole, _) = encode.whole(folder.path()).unwrap();
    let place = place::temporary();
    stopped(&encode, place.path());
    let chunk = |number: u32| encode.kept(place.path()).join(format!("{number:08}.chunk"));
    (0..3).for_each(|number| fs::remove_file(chunk(number)).unwrap());
    fs::create_dir(chunk(0)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, chunk(1), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("/dev/zero", chunk(2)).unwrap();
    let outcome = run(&mut encode.command(place.path(), &["-resume", "-keep"])).success();
    outcome.says(&["chunk 0 is encoded again", "chunk 1 is encoded again", "chunk 2 is encoded again"]);
    assert!(fs::read(place.path().join("out.mp4")).unwrap() == whole);

    fs::remove_file(chunk(1)).unwrap();
    fs::create_dir_all(chunk(1).join("within")).unwrap();
    run(&mut encode.command(place.path(), &["-y"])).failure().says(&["out.mp4.divien", "00000001.chunk"]);
    fs::remove_dir(chunk(1).join("within")).unwrap();
    run(&mut encode.command(place.path(), &["-y"])).success();
    assert!(!encode.kept(place.path()).exists());
}

#[test]
fn the_command_that_goes_on_names_outputs_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = place::temporary();
    let input = film(folder.path());
    let (whole, _) = encode(&input, OPTIONS).whole(folder.path()).unwrap();
    for name in [&b"\xff.mp4"[..], b"it's \x1b[31m\n.mp4"] {
        let place = place::temporary();
        let output = place.path().join(std::ffi::OsStr::from_bytes(name));
        let kept = place.path().join(std::ffi::OsStr::from_bytes(&[name, b".divien"].concat()));
        let mut command = divien!("-i", &input);
        let running = Running::start(command.args(OPTIONS).arg(&output));
        while !kept.join("00000001.chunk").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        running.signal(Signal::INT);
        let outcome = running.wait(LIMIT).failure();
        assert!(!outcome.stderr.contains('\x1b'), "{outcome}");
        let mut again = std::process::Command::new("bash");
        run(again.args(["-c", &said(&outcome)])).success().says(&["done already"]);
        assert!(fs::read(output).unwrap() == whole);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_run_that_starts_over_tells_nothing_of_what_it_replaces() {
    let folder = place::temporary();
    let input = film(folder.path());
    let encode = encode(&input, OPTIONS);
    let place = place::temporary();
    stopped(&encode, place.path());
    let lock = encode.kept(place.path()).join("lock");
    let before = fs::read_to_string(&lock).unwrap();
    run(&mut encode.command(place.path(), &[])).failure().says(&["-y starts over"]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), before, "one that does not go on leaves it");
    let running = Running::start(&mut encode.command(place.path(), &["-y"]));
    let own = format!("process {} ", running.id());
    while !fs::read_to_string(&lock).is_ok_and(|who| who.starts_with(&own)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    running.signal(Signal::INT);
    let outcome = running.wait(LIMIT).failure();
    assert!(!outcome.says(&["interrupted"]).stderr.contains("to go on"));
}

#[test]
fn an_output_that_is_complete_already_is_verified_all_the_same() {
    let folder = place::temporary();
    let input = film(folder.path());
    let options = ["-preset", "ultrafast", "-bsize", "25", "-keep"];
    let encode = encode(&input, &options);
    encode.whole(folder.path()).unwrap();
    let outcome = run(&mut encode.command(folder.path(), &["-resume", "-verify"])).success();
    outcome.says(&["verified: 250 pictures decoded", "was complete already"]);
    // Its middle is damaged, which its size and its time do not tell.
    let output = folder.path().join(encode.name);
    let time = fs::metadata(&output).unwrap().modified().unwrap();
    let mut bytes = fs::read(&output).unwrap();
    let middle = bytes.len() / 4..bytes.len() / 2;
    bytes[middle].fill(0xff);
    fs::write(&output, bytes).unwrap();
    fs::File::options().write(true).open(&output).unwrap().set_modified(time).unwrap();
    run(&mut encode.command(folder.path(), &["-resume", "-verify"])).failure().says(&["is not what it should be"]);
    assert!(encode.kept(folder.path()).exists());
}

#[test]
fn a_part_of_an_input_can_be_resumed() {
    let folder = place::temporary();
    let input = film(folder.path());
    let options = [OPTIONS, &["-ss", "1.5", "-t", "7"]].concat();
    let encode = encode(&input, &options);
    let (whole, _) = encode.whole(folder.path()).unwrap();
    let place = place::temporary();
    let finished = stopped(&encode, place.path());
    let told = format!("done already: {finished} chunks");
    run(&mut encode.command(place.path(), &["-resume"])).success().says(&[&told]);
    assert!(fs::read(place.path().join("out.mp4")).unwrap() == whole);
}

#[test]
fn every_option_that_has_changed_is_named() {
    let folder = place::temporary();
    let input = film(folder.path());
    let options = [OPTIONS, &["-c:a", "aac", "-b:a", "96k"]].concat();
    let encode = encode(&input, &options);
    let place = place::temporary();
    stopped(&encode, place.path());
    let journal = || fs::read(encode.kept(place.path()).join("journal")).unwrap();
    let before = journal();
    let others: [(&[&str], &str); 17] = [
        (&["-f", "mov"], "-f was 'MP4' and is 'QuickTime'"),
        (&["-ss", "1"], "-ss was not given and is '1.000000000'"),
        (&["-frames:v", "50"], "-frames:v was not given and is '50'"),
        (&["-b:v", "1M"], "-b was not given"),
        (&["-b:v", "1M", "-pass", "2"], "-pass was not given and is '2'"),
        (&["-b:a", "64k"], "-b:a was '96000' and is '64000'"),
        (&["-ac", "2"], "-ac was not given and is '2'"),
        (&["-ar", "48000"], "-ar was not given and is '48000'"),
        (&["-c:a", "copy"], "-c:a was 'aac' and is 'copy'"),
        (&["-c:s", "mov_text"], "-c:s was"),
        (&["-sn"], "-c:s was"),
        (&["-map_metadata", "-1"], "-map_metadata was '0' and is '-1'"),
        (&["-map_chapters", "-1"], "-map_chapters was '0' and is '-1'"),
        (&["-tag:v", "avc1"], "-tag:v was not given and is 'avc1'"),
        (&["-r", "20"], "-vf, -s and -r was not given"),
        (&["-g", "10"], "-g was not given and is '10'"),
        (&["-profile:v", "baseline"], "-profile was not given and is 'baseline'"),
    ];
    for (changed, what) in others {
        let mut command = divien!("-resume", "-i", &input);
        let outcome = run(command.args(&options).args(changed).arg(place.path().join("out.mp4")));
        let outcome = outcome.failure().says(&["another job", what]);
        assert_eq!(outcome.status.code(), Some(73), "{outcome}");
        assert_eq!(journal(), before, "{what}");
    }
}
