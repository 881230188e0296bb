//! The bench measures what it says, on a clip so small that its figures say nothing.

#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use divien_testbed::bench::Bench;
use divien_testbed::cost::Round;
use divien_testbed::quality::Quality;
use divien_testbed::{Clip, gst, place};

fn bench(clip: PathBuf, contests: &[&str], into: PathBuf) -> Bench {
    Bench {
        divien: env!("CARGO_BIN_EXE_divien").into(),
        av1an: "no-such-av1an".into(),
        clip: Some(clip),
        contests: contests.iter().map(|&name| name.to_owned()).collect(),
        workers: vec![2],
        rounds: 1,
        into,
        readme: None,
        surround: gst::surround,
    }
}

/// A program that does as the others do, by ffmpeg.
fn impostor(path: &Path, script: &str) -> PathBuf {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    path.to_path_buf()
}

#[test]
fn every_way_is_run_checked_and_reported() {
    let folder = place::temporary();
    let readme = folder.path().join("README.md");
    std::fs::copy(place::repository().join("README.md"), &readme).unwrap();
    let clip = Clip::film(60).path();
    // It tells its arguments, and does what they ask for with ffmpeg.
    let asked = folder.path().join("asked");
    let script = format!(
        "[ \"$1\" = --version ] && {{ echo av1an 9.9; exit; }}\n\
         echo \"$*\" >>'{}'\n\
         case \"$*\" in *'-m ffms2'*) exit 1;; esac\n\
         while [ $# -gt 0 ]; do case $1 in -i) input=$2 ;; -o) output=$2 ;; esac; shift; done\n\
         exec ffmpeg -nostdin -v error -y -i \"$input\" -c:v libx264 \"$output\"",
        asked.display(),
    );
    let av1an = impostor(&folder.path().join("av1an"), &script);
    for contest in ["x264", "vp9"] {
        let mut bench = bench(clip.clone(), &[contest], folder.path().join("into"));
        bench.readme = Some(readme.clone());
        if contest == "x264" {
            bench.av1an.clone_from(&av1an);
        }
        bench.run().unwrap();
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join("into").join(name)).unwrap();
    let (runs, page, plot) = (read("bench.tsv"), read("bench.md"), read("bench.svg"));
    let ways = |id: &str| {
        let (_, rest) = runs.split_once(&format!("contest\t{id}\t")).unwrap();
        let runs = rest.lines().skip(1).take_while(|line| line.starts_with("run\t"));
        runs.map(|line| line.split('\t').nth(2).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = ["one thread", "ffmpeg", "x264enc in gst-launch-1.0", "divien", "divien -w 2", "av1an"];
    assert_eq!(ways("x264"), all);
    assert_eq!(ways("vp9"), ["one thread", "ffmpeg", "divien", "divien -w 2"]);
    // Once by each way to the frames, one of which fails, once more with each other setting, and in the round with the best.
    let asked = std::fs::read_to_string(asked).unwrap();
    assert_eq!(asked.lines().count(), 4 + 2 + 1, "{asked}");
    assert_eq!(asked.lines().filter(|line| line.contains("-m ffms2 --cache-mode temp")).count(), 1, "{asked}");
    for words in ["--split-method none", "-x 250", "-w 1 -e x264", "-v --preset medium --crf 23 --threads 1 --temp"] {
        assert!(asked.contains(words), "{words}\n{asked}");
    }
    for words in [
        "x264 medium, CRF 23\n",
        "av1an 9.9, 1 round",
        "| av1an | ",
        "VP9 good",
        "| divien -w 2 | ",
        "each encoder had a chunk",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert!(plot.contains("VP9 good"), "{plot}");
    let shown = std::fs::read_to_string(&readme).unwrap();
    assert!(shown.contains("60 frames, x264 medium, CRF 23 | ") && shown.contains("docs/bench.svg"), "{shown}");
}

#[test]
fn a_way_that_writes_another_video_ends_the_bench() {
    let folder = place::temporary();
    // It takes what divien takes, and leaves out the last frame.
    let script = "while [ $# -gt 1 ]; do [ \"$1\" = -i ] && input=$2; shift; done\n\
                  exec ffmpeg -nostdin -v error -y -i \"$input\" -frames:v 59 -c:v libx264 \"$1\"";
    let impostor = impostor(&folder.path().join("impostor"), script);
    let mut bench = bench(Clip::film(60).path(), &["x264"], folder.path().join("into"));
    bench.divien = impostor;
    let error = bench.run().unwrap_err();
    assert!(error.contains("the output of divien") && error.contains("59 of 60"), "{error}");
    assert!(!folder.path().join("into/bench.md").exists());
}

#[test]
fn what_interruption_costs_is_measured_with_the_same_encode_in_both_ways() {
    let (folder, clip) = (place::temporary(), Clip::film(60).path());
    let options = ["-preset", "ultrafast", "-bsize", "20"];
    let divien = env!("CARGO_BIN_EXE_divien").as_ref();
    let round = Round::measure(divien, &clip, &options, folder.path()).unwrap();
    let (wall, cpu) = round.ratios();
    assert!(wall > 0.0 && cpu > 0.0, "{round:?}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["out.mkv"]);
}

#[test]
fn every_way_to_cut_is_measured_against_one_encoder_and_once() {
    let folder = place::temporary();
    // libvmaf's log, of PSNR alone.
    let script = "out=$6 clip=$9 log=$(echo \"$*\" | sed 's/.*log_path=\\([^:]*\\):.*/\\1/')\n\
                  ffmpeg -nostdin -v error -i \"$out\" -i \"$clip\" -lavfi \
                  \"[0:v]setpts=N/(25*TB)[a];[1:v]setpts=N/(25*TB)[b];[a][b]psnr=stats_file=$log.txt\" -f null - || exit 1\n\
                  { echo 'Frame,psnr_y,vmaf,'; sed 's/^n:\\([0-9]*\\) .*psnr_y:\\([0-9.]*\\) .*/\\1,\\2,\\2,/' \"$log.txt\"; } >\"$log\"";
    let quality = |divien: PathBuf, ways: &str| Quality {
        divien,
        vmaf: impostor(&folder.path().join("vmaf"), script),
        clips: vec![Clip::film(60).path().display().to_string()],
        encoders: vec!["x264".into()],
        ways: ways.split(',').map(|way| way.parse().unwrap()).collect(),
        into: folder.path().join("into"),
        jobs: 2,
        surround: gst::surround,
    };
    let program = PathBuf::from(env!("CARGO_BIN_EXE_divien"));
    quality(program.clone(), "fixed:0:20,fixed:2:20").run().unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join("into").join(name)).unwrap();
    let (figures, page) = (read("quality.tsv"), read("quality.md"));
    assert_eq!(figures.lines().filter(|line| line.starts_with("x264\t")).count(), 3 * 4, "{figures}");
    for way in ["fixed, 0, 20", "fixed, 2, 20"] {
        let row = page.lines().find(|line| line.starts_with(&format!("| {way} |"))).unwrap();
        // Three chunks cost something, and it is no mistake of ten times.
        let percent: f64 = row.split(['|', '/', '%']).nth(2).unwrap().trim().parse().unwrap();
        assert!(percent > 0.0 && percent < 100.0, "{row}");
    }
    // What is there is not measured again, and a program that loses pictures is found out.
    quality("no-such-divien".into(), "fixed:0:20").run().unwrap();
    let loses = "for last; do :; done\nwhile [ $# -gt 0 ]; do [ \"$1\" = -i ] && input=$2; shift; done\n\
                 exec ffmpeg -nostdin -v error -y -i \"$input\" -frames:v 59 -c:v libx264 -f matroska \"$last\"";
    let lossy = impostor(&folder.path().join("loses"), loses);
    let outcome = quality(lossy, "fixed:0:30").run();
    assert!(outcome.as_ref().is_err_and(|why| why.contains("60 pictures became 59")), "{outcome:?}");
}
