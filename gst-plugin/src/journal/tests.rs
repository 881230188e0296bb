use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::disk::{Disk as _, Folder};
use super::folder::empty;
use super::model::{CRASHES, Crash, Model};
use super::records::{Journal, NAME, Record};
use super::shelf::Shelf;
use super::{Facts, FileId, Found, Hash, Job, JobError, Label};
use crate::chunk::ChunkId;
use crate::lane::{Complaints, Encoded, Lost};
use crate::store::{Kept, Store};

fn facts() -> Facts {
    BTreeMap::from([("-crf".into(), "23".into()), ("input".into(), "a.mkv".into())])
}

fn unit(chunk: u64, number: u64) -> gst::Buffer {
    let mut unit = gst::Buffer::from_mut_slice(vec![(chunk * 7 + number) as u8; 40 + number as usize]);
    let fields = unit.get_mut().unwrap();
    fields.set_pts(gst::ClockTime::from_nseconds(number * 40));
    fields.set_dts(gst::ClockTime::from_nseconds(number * 39));
    if number > 0 {
        fields.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    unit
}

fn encoded(chunk: u64) -> Encoded {
    let mut tags = gst::TagList::new();
    tags.make_mut().add::<gst::tags::Encoder>(&"x264", gst::TagMergeMode::Append);
    Encoded {
        caps: "video/x-h264, stream-format=avc".parse().unwrap(),
        units: (0..3).map(|number| Kept::whole(unit(chunk, number))).collect(),
        segment_start: 9,
        tags: Some(tags),
        lost: Lost { damaged: vec![chunk], ..Lost::default() },
        complaints: Complaints { count: 2, first: Some((3, "what".into())) },
    }
}

fn key(chunk: u64) -> Hash {
    Hash(blake3::hash(&chunk.to_le_bytes()))
}

fn label(chunk: u64) -> Label {
    Label { number: ChunkId(chunk), first: chunk * 3, frames: 3, key: key(chunk) }
}

fn is_same(a: &Encoded, b: &Encoded) -> bool {
    let bytes = |encoded: &Encoded| -> Vec<_> {
        let all = encoded.units.iter().map(|kept| kept.unit().unwrap());
        all.map(|u| (u.map_readable().unwrap().to_vec(), u.pts(), u.dts(), u.flags())).collect()
    };
    bytes(a) == bytes(b)
        && (&a.caps, a.segment_start, &a.lost, &a.complaints) == (&b.caps, b.segment_start, &b.lost, &b.complaints)
        && a.tags.as_ref().map(ToString::to_string) == b.tags.as_ref().map(ToString::to_string)
}

fn taken<D: super::Disk>(shelf: &Shelf<D>, chunk: u64) -> Found<Encoded> {
    shelf.take(ChunkId(chunk), &key(chunk), &Store::new(1 << 20))
}

fn again(disk: &Model) -> Option<Shelf<Model>> {
    let (before, records, end) = Journal::read(disk).unwrap()?;
    assert_eq!(before, facts());
    Some(Shelf::again(disk.clone(), (records, end)).unwrap())
}

#[test]
fn a_result_comes_back_as_it_was() {
    gst::init().unwrap();
    let disk = Model::default();
    let shelf = Shelf::new(disk.clone(), facts()).unwrap();
    shelf.keep(label(4), &encoded(4)).unwrap();
    let nothing = Encoded { units: Vec::new(), caps: gst::Caps::new_empty(), segment_start: 0, ..encoded(5) };
    shelf.keep(label(5), &nothing).unwrap();
    drop(shelf);
    let shelf = again(&disk).unwrap();
    assert_eq!(shelf.finished(), (2, 6));
    for (chunk, was) in [(4, encoded(4)), (5, nothing)] {
        assert!(matches!(shelf.has(ChunkId(chunk)), Found::There(())));
        let Found::There(back) = taken(&shelf, chunk) else { panic!("{:?}", taken(&shelf, chunk)) };
        assert!(is_same(&back, &was));
    }
    assert!(matches!(shelf.has(ChunkId(6)), Found::Nothing));
    assert!(matches!(taken(&shelf, 6), Found::Nothing));
    assert!(matches!(shelf.take(ChunkId(4), &key(5), &Store::new(0)), Found::Another));
    assert_eq!(shelf.taken(), 2);
}

/// Three chunks, the disk gone after so many steps; gives those that were said to be kept.
fn run(disk: &Model) -> Vec<u64> {
    let Ok(shelf) = Shelf::new(disk.clone(), facts()) else { return Vec::new() };
    (0..3).filter(|chunk| shelf.keep(label(*chunk), &encoded(*chunk)).is_ok()).collect()
}

#[test]
fn whenever_the_machine_stops_what_was_kept_is_there_and_nothing_else_is_said_to_be() {
    gst::init().unwrap();
    let whole = Model::default();
    assert_eq!(run(&whole), [0, 1, 2]);
    let mut seen = [0; 4];
    for steps in 0..=whole.steps() {
        let disk = Model::default().failing(steps);
        let kept = run(&disk);
        seen[kept.len()] += 1;
        for crash in CRASHES {
            let disk = disk.after(crash);
            let Some(shelf) = again(&disk) else {
                assert!(kept.is_empty(), "{steps} {crash:?}");
                continue;
            };
            for chunk in 0..3 {
                let found = taken(&shelf, chunk);
                match &found {
                    Found::There(back) => assert!(is_same(back, &encoded(chunk)), "{steps} {crash:?}"),
                    Found::Nothing => assert!(!kept.contains(&chunk), "{steps} {crash:?} {chunk}"),
                    // The journal names nothing that is not there.
                    Found::Spoilt(_) | Found::Another | Found::Failed(_) => {
                        panic!("{steps} {crash:?} {chunk} {found:?}")
                    }
                }
            }
            // The next run ends what is left, and another one finds all of it.
            (0..3).for_each(|chunk| assert!(shelf.keep(label(chunk), &encoded(chunk)).is_ok()));
            drop(shelf);
            let shelf = again(&disk).unwrap();
            assert!((0..3).all(|chunk| matches!(taken(&shelf, chunk), Found::There(_))), "{steps} {crash:?}");
        }
    }
    assert!(seen[..3].iter().all(|count| *count > 9), "the disk went at each stage: {seen:?}");
}

/// How a job's folder is found.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// With no job in it.
    Empty,
    /// With one that has finished so many chunks.
    Finished(u64),
    /// With one that says that its output is whole.
    Over,
}

/// How it is found there; what it says that there is, is there.
fn state(disk: &Model) -> State {
    let Some((_, records, end)) = Journal::read(disk).unwrap() else { return State::Empty };
    if records.iter().any(|record| matches!(record, Record::Output(_))) {
        return State::Over;
    }
    let shelf = Shelf::again(disk.clone(), (records, end)).unwrap();
    let (finished, _) = shelf.finished();
    let there = (0..3).filter(|chunk| matches!(taken(&shelf, *chunk), Found::There(_))).count();
    assert_eq!(there as u64, finished);
    State::Finished(finished)
}

/// Does this with a disk that has a job of three chunks, and the same where the disk goes at each step; gives how that is
/// found after each kind of crash.
fn found(is_whole: bool, work: impl Fn(&Model) -> std::io::Result<()>) -> Vec<(u64, State)> {
    let with_a_job = || {
        let disk = Model::default();
        assert_eq!(run(&disk), [0, 1, 2]);
        if is_whole {
            let id = FileId { path: "out.mp4".into(), inode: 1, size: 2, time: (3, 4) };
            again(&disk).unwrap().completes(id).unwrap();
        }
        disk.after(Crash::All)
    };
    let whole = with_a_job();
    work(&whole).unwrap();
    let mut all = Vec::new();
    for steps in 0..=whole.steps() {
        let disk = with_a_job().failing(steps);
        assert_eq!(work(&disk).is_ok(), steps == whole.steps());
        for crash in CRASHES {
            let disk = disk.after(crash);
            let found = state(&disk);
            // Without the journal of a job that is over, chunks would be those of one that is not.
            let chunks = disk.names().unwrap().iter().filter(|name| name.ends_with(".chunk")).count();
            assert!(!is_whole || found != State::Empty || chunks == 0, "{steps} {crash:?}");
            all.push((steps, found));
            // Whatever is left keeps nobody from beginning anew.
            empty(&disk, false).unwrap();
            assert_eq!(run(&disk), [0, 1, 2], "{steps} {crash:?}");
            assert_eq!(state(&disk), State::Finished(3), "{steps} {crash:?}");
        }
    }
    all.sort();
    all
}

#[test]
fn whenever_the_machine_stops_a_job_that_is_removed_is_there_or_gone_and_one_that_is_over_never_seems_unfinished() {
    gst::init().unwrap();
    let end = |all: &[(u64, State)]| all.last().unwrap().0;
    let begun_anew = found(false, |disk| {
        empty(disk, false)?;
        Shelf::new(disk.clone(), facts()).map(drop)
    });
    // The old job as it was, none, or the new one, which is there once it has begun.
    let states = [State::Finished(3), State::Empty, State::Finished(0)];
    assert!(begun_anew.iter().all(|(_, state)| states.contains(state)), "{begun_anew:?}");
    assert!(states.iter().all(|state| begun_anew.iter().any(|(_, found)| found == state)), "{begun_anew:?}");
    let last = end(&begun_anew);
    assert!(begun_anew.iter().all(|(steps, state)| *steps < last || *state == State::Finished(0)), "{begun_anew:?}");

    let removed = found(true, |disk| empty(disk, true));
    assert!(removed.iter().all(|(_, state)| [State::Over, State::Empty].contains(state)), "{removed:?}");
    let gone = removed.iter().filter(|(steps, state)| *steps < end(&removed) && *state == State::Empty);
    assert_eq!(gone.count(), 0, "the journal goes last: {removed:?}");
}

#[test]
fn a_result_that_changes_while_it_waits_is_noticed() {
    gst::init().unwrap();
    let disk = Model::default();
    let shelf = Shelf::new(disk.clone(), facts()).unwrap();
    assert!(shelf.is_still(ChunkId(4), &encoded(4)).unwrap(), "what is not kept is not compared");
    assert!(shelf.keep(label(4), &encoded(4)).unwrap());
    assert!(!shelf.keep(label(4), &encoded(5)).unwrap(), "the first one is kept");
    assert!(shelf.is_still(ChunkId(4), &encoded(4)).unwrap());
    assert!(!shelf.is_still(ChunkId(4), &encoded(5)).unwrap());
    let Found::There(taken) = taken(&again(&disk).unwrap(), 4) else { panic!("it is there") };
    assert!(shelf.is_still(ChunkId(4), &taken).unwrap(), "one that was read is the one that was written");
    let mut fewer = encoded(4);
    fewer.units.pop();
    assert!(!shelf.is_still(ChunkId(4), &fewer).unwrap());
}

#[test]
fn a_journal_that_is_cut_anywhere_loses_no_line_before() {
    gst::init().unwrap();
    let disk = Model::default();
    run(&disk);
    let text = disk.with(NAME, |bytes| bytes.clone());
    let lines: Vec<usize> = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(lines.len(), 4);
    for length in lines[1]..=text.len() {
        disk.with(NAME, |bytes| *bytes = text[..length].to_vec());
        let shelf = again(&disk).unwrap();
        let whole = lines.iter().filter(|end| **end <= length).count() as u64 - 1;
        assert_eq!(shelf.finished().0, whole, "{length}");
        (0..3).for_each(|chunk| assert!(shelf.keep(label(chunk), &encoded(chunk)).is_ok()));
        drop(shelf);
        assert_eq!(again(&disk).unwrap().finished().0, 3, "{length}");
    }
    for length in 0..lines[0] {
        disk.with(NAME, |bytes| *bytes = text[..length].to_vec());
        assert!(Journal::read(&disk).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn a_bit_that_turns_costs_the_chunk_that_it_is_in(chunk in 0u64..3, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        gst::init().unwrap();
        let disk = Model::default();
        run(&disk);
        disk.with(&format!("{chunk:08}.chunk"), |bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        });
        let shelf = again(&disk).unwrap();
        for other in 0..3 {
            let is_spoilt = matches!(taken(&shelf, other), Found::Spoilt(_));
            prop_assert_eq!(is_spoilt, other == chunk);
        }
        // It is done again, and is there then.
        shelf.keep(label(chunk), &encoded(chunk)).unwrap();
        prop_assert!(matches!(taken(&shelf, chunk), Found::There(_)));
    }

    #[test]
    fn a_bit_that_turns_in_the_journal_costs_its_line(line in 0usize..4, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        gst::init().unwrap();
        let disk = Model::default();
        run(&disk);
        disk.with(NAME, |bytes| {
            let ends: Vec<usize> = std::iter::once(0).chain((0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1)).collect();
            let at = ends[line] + at.index(ends[line + 1] - ends[line]);
            bytes[at] ^= 1 << bit;
        });
        match Journal::read(&disk) {
            Err(_) => prop_assert_eq!(line, 0),
            // Without its end a line takes the next one with it.
            Ok(read) => prop_assert!((1..=2).contains(&(3 - read.unwrap().1.len()))),
        }
    }
}

#[test]
fn a_file_that_is_cut_or_gone_or_too_long_is_spoilt() {
    gst::init().unwrap();
    let disk = Model::default();
    run(&disk);
    disk.with("00000000.chunk", |bytes| bytes.truncate(bytes.len() - 1));
    disk.with("00000001.chunk", |bytes| bytes.push(0));
    disk.remove("00000002.chunk").unwrap();
    let shelf = again(&disk).unwrap();
    for chunk in 0..3 {
        assert!(matches!(shelf.has(ChunkId(chunk)), Found::Spoilt(_)), "{chunk}");
        assert!(matches!(shelf.has(ChunkId(chunk)), Found::Nothing), "said once");
    }
}

#[test]
fn a_disk_without_room_leaves_no_part_of_a_line_behind() {
    gst::init().unwrap();
    let disk = Model::default();
    let mut journal = Journal::create(&disk, facts()).unwrap();
    let part = |n| Record::Part(FileId { path: "a".into(), inode: n, size: 0, time: (0, 0) });
    journal.add(&disk, &part(1)).unwrap();
    let steps = disk.steps();
    // Half of the line is written, the rest is not, and there is room again.
    let full = disk.clone().failing(1);
    assert!(journal.add(&full, &part(2)).is_err());
    assert!(disk.steps() > steps);
    let disk = disk.failing(1000);
    assert!(journal.add(&disk, &part(3)).is_err(), "what could not be taken back is not written behind");
    let (_, records, _) = Journal::read(&disk).unwrap().unwrap();
    assert_eq!(records, [part(1)]);
}

#[test]
fn one_run_at_a_time_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.mp4.divien");
    let output = folder.path().join("out.mp4");
    let first = Job::lock(&path, &output).unwrap();
    first.sign("process 1").unwrap();
    assert!(matches!(Job::lock(&path, &output), Err(JobError::Held(who)) if who == "process 1"));
    assert!(first.held().unwrap().is_none());
    let shelf = first.begin(facts()).unwrap();
    drop(shelf);
    assert_eq!(first.held().unwrap().unwrap().finished(), (0, 0));
    drop(first);
    let second = Job::lock(&path, &output).unwrap();
    let other = Facts::from([("-crf".into(), "24".into()), ("-preset".into(), "slow".into())]);
    let refused = second.go_on(second.held().unwrap().unwrap(), &other).unwrap_err();
    let JobError::Differs(what) = refused else { panic!("{refused}") };
    assert_eq!(
        what,
        ["-crf was '23' and is '24'", "-preset was not given and is 'slow'", "input was 'a.mkv' and is not given"]
    );
    second.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn what_stopped_runs_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = at("out.mp4.divien");
    let job = Job::lock(&path, &at("out.mp4")).unwrap();
    let shelf = job.begin(facts()).unwrap();
    for name in [".out.mp4.left.part", ".out.mp4.other.part"] {
        std::fs::write(at(name), "part").unwrap();
        shelf.writes_to(FileId::of(&at(name)).unwrap()).unwrap();
    }
    std::fs::write(at("whole"), "whole").unwrap();
    shelf.completes(FileId::of(&at("whole")).unwrap()).unwrap();
    // Another file has its name by now.
    std::fs::write(at("new"), "new").unwrap();
    std::fs::rename(at("new"), at(".out.mp4.other.part")).unwrap();
    drop(shelf);
    std::fs::rename(at("whole"), at("out.mp4")).unwrap();
    let held = job.held().unwrap().unwrap();
    assert!(held.came_to(&at("out.mp4")) && !held.came_to(&at(".out.mp4.other.part")) && !held.came_to(&at("none")));
    let shelf = job.go_on(held, &facts()).unwrap();
    assert!(!at(".out.mp4.left.part").exists() && at(".out.mp4.other.part").exists());
    drop(shelf);
    job.remove().unwrap();
    assert!(!path.exists() && at("out.mp4").exists());

    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("letter.txt"), "mine").unwrap();
    assert!(matches!(Job::lock(&path, &at("out.mp4")), Err(JobError::Strange(name)) if name == "letter.txt"));
    let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["letter.txt"]);
}

#[test]
fn a_folder_is_a_disk_as_the_model_is() {
    gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = || Folder::open(folder.path()).unwrap();
    let shelf = Arc::new(Shelf::new(open(), facts()).unwrap());
    // Two lanes bring the same one.
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| shelf.keep(label(1), &encoded(1)).unwrap())));
    });
    let (_, records, end) = Journal::read(&open()).unwrap().unwrap();
    assert_eq!(records.len(), 1);
    let shelf = Shelf::again(open(), (records, end)).unwrap();
    assert!(matches!(taken(&shelf, 1), Found::There(back) if is_same(&back, &encoded(1))));
    let mut names = open().names().unwrap();
    names.sort();
    assert_eq!(names, ["00000001.chunk", NAME]);
}

/// A job in this folder whose first three chunks are finished, and the shelf of the run that goes on with it.
fn kept_in(folder: &std::path::Path) -> (Job, Shelf) {
    gst::init().unwrap();
    let job = Job::lock(&folder.join("out.mp4.divien"), &folder.join("out.mp4")).unwrap();
    let shelf = job.begin(facts()).unwrap();
    (0..3).for_each(|chunk| assert!(shelf.keep(label(chunk), &encoded(chunk)).unwrap()));
    (job, shelf)
}

#[test]
fn whatever_is_in_the_place_of_a_chunk_costs_that_chunk() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (job, shelf) = kept_in(folder.path());
    let at = |chunk: u64| job.path().join(format!("{chunk:08}.chunk"));
    (0..3).for_each(|chunk| std::fs::remove_file(at(chunk)).unwrap());
    std::fs::create_dir(at(0)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at(1), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    symlink("/dev/zero", at(2)).unwrap();
    for chunk in 0..3 {
        assert!(matches!(taken(&shelf, chunk), Found::Spoilt(_)), "{chunk}");
        assert!(shelf.keep(label(chunk), &encoded(chunk)).unwrap());
        assert!(matches!(taken(&shelf, chunk), Found::There(back) if is_same(&back, &encoded(chunk))), "{chunk}");
    }
    // What is written to goes behind no link either.
    std::fs::write(folder.path().join("letter.txt"), "mine").unwrap();
    symlink("../letter.txt", job.path().join("00000003.new")).unwrap();
    assert!(shelf.keep(label(3), &encoded(3)).unwrap());
    assert_eq!(std::fs::read(folder.path().join("letter.txt")).unwrap(), b"mine");

    // Somebody's own things stay, and are named.
    drop(shelf);
    std::fs::remove_file(at(1)).unwrap();
    std::fs::create_dir_all(at(1).join("within")).unwrap();
    assert!(job.begin(facts()).unwrap_err().to_string().contains("00000001.chunk: "));
    std::fs::remove_dir(at(1).join("within")).unwrap();
    drop(job.begin(facts()).unwrap());
    job.remove().unwrap();
}

#[test]
fn what_others_put_into_a_folder_is_neither_followed_nor_written_to() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (path, output) = (folder.path().join("out.mp4.divien"), folder.path().join("out.mp4"));
    let letter = folder.path().join("letter.txt");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(&letter, "mine").unwrap();
    for name in ["lock", "journal"] {
        for is_link in [true, false] {
            let link = if is_link { symlink::<_, &std::path::Path> } else { std::fs::hard_link };
            link(&letter, &path.join(name)).unwrap();
            let begun = Job::lock(&path, &output).and_then(|job| {
                job.sign("process 1")?;
                job.held().map(drop)
            });
            assert!(
                begun.is_err_and(|error| error.to_string().contains("journal")) || name == "lock",
                "{name} {is_link}"
            );
            assert_eq!(std::fs::read(&letter).unwrap(), b"mine", "{name} {is_link}");
            std::fs::remove_file(path.join(name)).unwrap();
        }
    }

    // A journal may say what it likes.
    let job = Job::lock(&path, &output).unwrap();
    let shelf = job.begin(facts()).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for other in [letter.clone(), elsewhere.join(".out.mp4.abc.part"), folder.path().join(".in.mp4.abc.part")] {
        std::fs::write(&other, "mine").unwrap();
        shelf.writes_to(FileId::of(&other).unwrap()).unwrap();
        drop(job.go_on(job.held().unwrap().unwrap(), &facts()).unwrap());
        assert!(other.exists(), "{other:?}");
    }
    drop(shelf);
    job.remove().unwrap();

    // Only root can make a folder somebody else's.
    std::fs::create_dir(&path).unwrap();
    if std::os::unix::fs::chown(&path, Some(4711), None).is_ok() {
        let own = rustix::process::geteuid().as_raw();
        let refused = Job::lock(&path, &output).unwrap_err();
        assert!(matches!(refused, JobError::Others { own: told, there: 4711 } if told == own), "{refused}");
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }
}

#[test]
fn a_job_that_is_over_has_its_journal_to_the_last_and_one_that_starts_over_has_not() {
    for is_whole in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (job, shelf) = kept_in(folder.path());
        let output = folder.path().join("out.mp4");
        std::fs::write(&output, "whole").unwrap();
        if is_whole {
            shelf.completes(FileId::of(&output).unwrap()).unwrap();
        }
        // It comes no further than this.
        let last = job.path().join("00000003.chunk");
        std::fs::create_dir_all(last.join("within")).unwrap();
        job.remove().unwrap_err();
        assert!(!job.path().join("00000000.chunk").exists() || !is_whole);
        let held = job.held().unwrap();
        assert_eq!(held.is_some_and(|held| held.came_to(&output)), is_whole);
        std::fs::remove_dir(last.join("within")).unwrap();
        job.remove().unwrap();
        assert!(!job.path().exists());
    }
}

#[test]
fn nothing_is_open_that_is_removed_and_what_is_not_quite_gone_is_not_strange() {
    let folder = tempfile::tempdir().unwrap();
    let (job, shelf) = kept_in(folder.path());
    let open = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let all = all.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        all.filter(|to| to.starts_with(job.path()) && to.extension().is_none()).count()
    };
    assert_eq!(open(), 2, "its journal and its lock");
    assert!(shelf.close());
    assert_eq!(open(), 1);
    assert!(shelf.completes(FileId::of(folder.path()).unwrap()).is_err());
    std::fs::write(job.path().join(".nfs0000000000d3c5"), "").unwrap();
    let path = job.path().to_owned();
    drop(job);
    let job = Job::lock(&path, &folder.path().join("out.mp4")).unwrap();
    assert_eq!(job.held().unwrap().unwrap().finished(), (3, 9));
    job.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_path_that_is_no_text_is_written_down_whole_and_any_other_as_it_reads() {
    use std::os::unix::ffi::OsStrExt as _;
    let disk = Model::default();
    let mut journal = Journal::create(&disk, facts()).unwrap();
    let part = |path: &[u8]| {
        Record::Part(FileId { path: std::ffi::OsStr::from_bytes(path).into(), inode: 1, size: 0, time: (0, 0) })
    };
    let parts = [part(b"/films/\xc3\xa9t\xc3\xa9.mp4"), part(b"/films/\xff.mp4")];
    parts.iter().for_each(|part| journal.add(&disk, part).unwrap());
    let (_, records, _) = Journal::read(&disk).unwrap().unwrap();
    assert_eq!(records, parts);
    let text = disk.with(NAME, |bytes| String::from_utf8(bytes.clone()).unwrap());
    assert!(text.contains("\"path\":\"/films/été.mp4\"") && !text.contains('\u{fffd}'), "{text}");
}
