//! What the libraries write about their settings into the stream must be what they write for ffmpeg.
#![expect(clippy::expect_used, reason = "a test may stop")]

#[path = "settings_common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{Source, make, resolve};

/// Threads are an option of divien's own, and `stitchable` is what lets chunks be joined.
const X264_EXCEPTED: &[&str] = &["threads", "lookahead_threads", "sliced_threads", "stitchable"];

/// Threads and joining, and what describes the input and not the settings.
const X265_EXCEPTED: &[&str] = &[
    "cpuid",
    "frame-threads",
    "numa-pools",
    "log-level",
    "repeat-headers",
    "open-gop",
    "sar",
    "sar-width",
    "sar-height",
    ":",
    "colorprim",
    "transfer",
    "colormatrix",
];

const X264: &[&str] = &[
    "",
    "-crf 23",
    "-crf 18",
    "-crf 0",
    "-qp 20",
    "-qp 0",
    "-b:v 2M",
    "-b:v 800k -preset fast",
    "-preset ultrafast",
    "-preset superfast",
    "-preset veryfast",
    "-preset faster",
    "-preset fast",
    "-preset slow",
    "-preset slower",
    "-preset veryslow",
    "-preset placebo",
    "-preset 3",
    "-tune film",
    "-tune animation",
    "-tune grain",
    "-tune stillimage",
    "-tune psnr",
    "-tune ssim",
    "-tune fastdecode",
    "-tune zerolatency",
    "-tune film,fastdecode",
    "-preset slow -tune animation",
    "-profile:v baseline",
    "-profile:v main",
    "-profile:v high",
    "-profile:v baseline -bf 3 -coder 1",
    "-profile:v high444 -qp 0",
    "-level 4.1",
    "-level 31 -preset veryslow",
    "-g 48",
    "-g 1",
    "-g 0",
    "-g 600 -keyint_min 40",
    "-g 48 -keyint_min 48 -sc_threshold 0",
    "-bf 0",
    "-bf 5",
    "-bf 16 -b_strategy 2",
    "-refs 6",
    "-refs 1",
    "-trellis 0",
    "-trellis 2",
    "-subq 9",
    "-subq 0",
    "-me_method umh -me_range 24",
    "-motion-est tesa",
    "-aq-mode 3",
    "-aq-mode none",
    "-aq-strength 0.7",
    "-psy-rd 0.8:0.2",
    "-psy 0",
    "-rc-lookahead 20",
    "-mbtree 0",
    "-weightp 0 -weightb 0",
    "-wpredp 1",
    "-b-pyramid none",
    "-b-pyramid strict",
    "-mixed-refs 0",
    "-8x8dct 0",
    "-fast-pskip 0",
    "-coder vlc",
    "-direct-pred temporal",
    "-deblock -1:-1",
    "-partitions p8x8,i4x4",
    "-partitions none",
    "-cplxblur 10",
    "-qmin 10 -qmax 40 -qdiff 6",
    "-qcomp 0.7",
    "-qblur 0.3",
    "-i_qfactor 0.8",
    "-b_qfactor 1.2",
    "-chromaoffset -2",
    "-noise_reduction 100",
    "-slices 4",
    "-intra-refresh 1",
    "-bluray-compat 1",
    "-x264-params keyint=60:min-keyint=30:ref=4:bframes=2",
    "-x264-params crf=20:me=umh:deblock=1,1",
    "-x264-params qp=30",
    "-x264-params bitrate=1500:ratetol=2.0",
    "-x264-params no-mbtree=1:psy-rd=0.5,0.1:cqm=jvt",
    "-x264-params min-keyint=300",
    "-x264-params keyint=infinite",
    "-x264opts no-cabac:ref=5",
    "-crf 20 -b:v 1M",
    "-qp 22 -crf 19",
    "-preset veryslow -crf 17 -tune film -g 240 -bf 8",
    "-preset ultrafast -profile:v main -refs 3",
    "-x264-params me=esa:direct=auto:b-pyramid=strict",
    "-x264-params ratetol=inf:bitrate=500:partitions=all:no-cabac=1",
];

/// ffmpeg limits the reference frames by level and size of the picture.
const X264_LEVELS: &[&str] =
    &["-level 1b -preset placebo", "-level 4.1 -preset veryslow", "-level 1.1 -tune animation", "-level 1 -refs 5"];

const X264_FORMATS: &[(&str, &str, &str)] = &[
    ("yuv422p", "Y42B", "-crf 20"),
    ("yuv444p", "Y444", "-profile:v high444 -qp 0"),
    ("yuv420p10le", "I420_10LE", "-crf 20 -preset slow"),
    ("yuv420p10le", "I420_10LE", "-crf 0"),
    ("yuv422p10le", "I422_10LE", "-profile:v high422 -b:v 900k"),
];

const X265: &[&str] = &[
    "-c:v libx265",
    "-c:v libx265 -crf 22",
    "-c:v libx265 -crf 23.5",
    "-c:v libx265 -qp 30",
    "-c:v libx265 -b:v 1M",
    "-c:v libx265 -preset ultrafast",
    "-c:v libx265 -preset superfast",
    "-c:v libx265 -preset veryfast",
    "-c:v libx265 -preset faster",
    "-c:v libx265 -preset fast",
    "-c:v libx265 -preset medium",
    "-c:v libx265 -preset slow",
    "-c:v libx265 -preset slower",
    "-c:v libx265 -preset veryslow",
    "-c:v libx265 -preset 4",
    "-c:v libx265 -tune psnr",
    "-c:v libx265 -tune ssim",
    "-c:v libx265 -tune grain",
    "-c:v libx265 -tune zerolatency",
    "-c:v libx265 -tune fastdecode",
    "-c:v libx265 -tune animation",
    "-c:v libx265 -preset slow -tune animation",
    "-c:v libx265 -profile:v main",
    "-c:v libx265 -g 48",
    "-c:v libx265 -g 1",
    "-c:v libx265 -g 48 -keyint_min 24",
    "-c:v libx265 -bf 0",
    "-c:v libx265 -bf 8",
    "-c:v libx265 -refs 5",
    "-c:v libx265 -qmin 10 -qmax 40 -qdiff 6",
    "-c:v libx265 -qcomp 0.7 -qblur 0.4",
    "-c:v libx265 -i_qfactor 1.3 -b_qfactor 1.2",
    "-c:v libx265 -x265-params crf=20:aq-mode=3:rd=4",
    "-c:v libx265 -x265-params keyint=60:min-keyint=30:bframes=2:ref=2",
    "-c:v libx265 -x265-params lossless=1",
    "-c:v libx265 -x265-params no-sao=1:psy-rd=1.5:deblock=-1,-1",
    "-c:v libx265 -x265-params bitrate=900",
    "-c:v libx265 -crf 20 -b:v 1M",
    "-c:v libx265 -b:v 1M -qp 20",
];

const X265_FORMATS: &[(&str, &str, &str)] = &[
    ("yuv422p", "Y42B", "-c:v libx265 -crf 20"),
    ("yuv444p", "Y444", "-c:v libx265 -profile:v main444-8"),
    ("yuv420p10le", "I420_10LE", "-c:v libx265 -crf 20 -preset fast -profile:v main10"),
    ("yuv420p12le", "I420_12LE", "-c:v libx265 -b:v 900k -preset ultrafast"),
];

fn three_frames(folder: &tempfile::TempDir, format: (&'static str, &'static str)) -> Source {
    make(folder.path(), "testsrc=size=320x240:rate=25", (320, 240), (25, 1), 3, format)
}

fn x264_differences(source: &Source, args: &str) -> Vec<String> {
    let spec = resolve(args).spec_for(source.width, source.height);
    let element = source.with_element(&spec, "", "video/x-h264,stream-format=byte-stream", "e.h264");
    let encoder = if args.contains("-c:v") { "" } else { "-c:v libx264 " };
    let ffmpeg = source.with_ffmpeg(&format!("{encoder}{args}"), "f.h264");
    differences(&element, &ffmpeg, X264_EXCEPTED)
}

fn x265_differences(source: &Source, args: &str) -> Vec<String> {
    let spec = resolve(args).spec_for(source.width, source.height);
    let element = source.with_element(&spec, "", "video/x-h265,stream-format=byte-stream", "e.hevc");
    let ffmpeg = source.with_ffmpeg(args, "f.hevc");
    differences(&element, &ffmpeg, X265_EXCEPTED)
}

/// All that differ, so that one run tells everything.
fn check<'a>(cases: impl Iterator<Item = &'a str>, differences: impl Fn(&str) -> Vec<String>) {
    let wrong: Vec<String> = cases
        .map(|args| (args, differences(args)))
        .filter(|(_, d)| !d.is_empty())
        .map(|(args, d)| format!("{args}: {d:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn x264_gets_the_settings_that_ffmpeg_gives_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = three_frames(&folder, ("yuv420p", "I420"));
    check(X264.iter().chain(X264_LEVELS).copied(), |args| x264_differences(&source, args));
}

#[test]
fn x264_gets_them_for_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    for (ffmpeg, gst, args) in X264_FORMATS {
        let source = three_frames(&folder, (ffmpeg, gst));
        let typed = format!("{args} -pix_fmt {ffmpeg}");
        check(std::iter::once(typed.as_str()), |args| x264_differences(&source, args));
        assert_eq!(resolve(&typed).raw_formats, [*gst]);
    }
}

#[test]
fn a_fractional_crf_differs_in_nothing_but_the_zone_that_makes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = three_frames(&folder, ("yuv420p", "I420"));
    for args in ["-crf 23.5", "-crf 17.25 -preset slow", "-crf 51"] {
        let differences = x264_differences(&source, args);
        let keys: Vec<&str> = differences.iter().filter_map(|d| d.split(':').next()).collect();
        assert_eq!(keys, ["crf", "zones"], "{args}: {differences:?}");
    }
}

#[test]
fn x265_gets_the_settings_that_ffmpeg_gives_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = three_frames(&folder, ("yuv420p", "I420"));
    check(X265.iter().copied(), |args| x265_differences(&source, args));
}

#[test]
fn x265_gets_them_for_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    for (ffmpeg, gst, args) in X265_FORMATS {
        let source = three_frames(&folder, (ffmpeg, gst));
        let typed = format!("{args} -pix_fmt {ffmpeg}");
        check(std::iter::once(typed.as_str()), |args| x265_differences(&source, args));
    }
}

/// The settings that x264 and x265 write into their SEI.
fn options_of(stream: &Path) -> BTreeMap<String, String> {
    let bytes = std::fs::read(stream).unwrap_or_else(|e| panic!("{stream:?}: {e}"));
    let mark = b"options: ";
    let start =
        bytes.windows(mark.len()).position(|w| w == mark).unwrap_or_else(|| panic!("{stream:?}: no options in it"));
    let text: Vec<u8> = bytes[start + mark.len()..].iter().copied().take_while(|b| (0x20..0x7f).contains(b)).collect();
    let text = String::from_utf8(text).expect("ASCII");
    text.split(' ')
        .filter(|item| !item.is_empty())
        .map(|item| match (item.split_once('='), item.strip_prefix("no-")) {
            (Some((key, value)), _) => (key.to_owned(), value.to_owned()),
            (None, Some(key)) => (key.to_owned(), "0".to_owned()),
            (None, None) => (item.to_owned(), "1".to_owned()),
        })
        .collect()
}

/// The keys whose values differ, with both values.
fn differences(element: &Path, ffmpeg: &Path, excepted: &[&str]) -> Vec<String> {
    let (ours, theirs) = (options_of(element), options_of(ffmpeg));
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    keys.into_iter()
        .filter(|key| !excepted.contains(&key.as_str()) && ours.get(*key) != theirs.get(*key))
        .map(|key| format!("{key}: {:?}, ffmpeg {:?}", ours.get(key), theirs.get(key)))
        .collect()
}
