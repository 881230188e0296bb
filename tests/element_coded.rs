//! `divienenc` with compressed video on its sink pad.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use divien_testbed::coded::{CODED, coded};
use divien_testbed::{media, media_clips, place};
use gst::prelude::*;

/// No machine is as slow.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(120);
const X264: &str = "encoder=\"x264enc speed-preset=ultrafast pass=qual quantizer=20\"";

/// What comes out of an encode.
#[derive(Debug, Default, PartialEq)]
struct Encoded {
    /// Times in ms, in the order they are shown, key frames marked.
    times: Vec<(u64, bool)>,
    units: Vec<Vec<u8>>,
    warnings: Vec<String>,
    error: Option<String>,
}

impl Encoded {
    fn keys(&self) -> Vec<u64> {
        self.times.iter().filter(|(_, key)| *key).map(|(time, _)| *time).collect()
    }

    #[track_caller]
    fn whole(self) -> Self {
        assert_eq!((self.error.as_deref(), self.warnings.as_slice()), (None, [].as_slice()));
        self
    }
}

fn init() {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
}

/// Runs `line`, whose last element is named `last`.
fn run(line: &str, prepare: impl FnOnce(&gst::Pipeline)) -> Encoded {
    init();
    let line = format!("{line} ! appsink name=sink sync=false");
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let units = Arc::<Mutex<Vec<_>>>::default();
    let seen = units.clone();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let take = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().unwrap();
        let (buffer, segment) = (sample.buffer().unwrap(), sample.segment().unwrap());
        let segment = segment.downcast_ref::<gst::ClockTime>().unwrap();
        let time = segment.to_running_time(buffer.pts()).map_or(u64::MAX, gst::ClockTime::mseconds);
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        seen.lock().unwrap().push((time, is_key, buffer.map_readable().unwrap().to_vec()));
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(take.build());
    prepare(&pipeline);
    let mut encoded = Encoded::default();
    // A failure has a message.
    let _ = pipeline.set_state(gst::State::Playing);
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    loop {
        let message = pipeline.bus().unwrap().timed_pop_filtered(LIMIT, &kinds).expect("nothing ended in time");
        match message.view() {
            gst::MessageView::Warning(warning) => encoded.warnings.push(warning.error().message().to_owned()),
            gst::MessageView::Error(error) => {
                encoded.error = Some(error.error().message().to_owned());
                break;
            }
            _ => break,
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let mut units = std::mem::take(&mut *units.lock().unwrap());
    encoded.units = units.iter().map(|(_, _, bytes)| bytes.clone()).collect();
    units.sort_by_key(|(time, ..)| *time);
    encoded.times = units.iter().map(|(time, key, _)| (*time, *key)).collect();
    encoded
}

/// As the value of a property in a launch line.
fn place_of(clip: &Path) -> String {
    format!("\"{}\"", clip.display())
}

fn line(clip: &Path, way: &str, properties: &str) -> String {
    format!("filesrc location={} ! {way} ! divienenc name=enc {properties}", place_of(clip))
}

/// Each lane decodes its own chunks.
fn coded_way(clip: &Path, properties: &str) -> Encoded {
    run(&line(clip, parsed(clip), properties), |_| {})
}

/// parsebin takes Matroska's Motion JPEG for parsed, which matroskademux does not promise.
fn parsed(clip: &Path) -> &'static str {
    if clip.file_stem().is_some_and(|name| name == "mjpeg") { "parsebin ! jpegparse" } else { "parsebin" }
}

/// One decoder for all: libav's for Motion JPEG, as in the lanes.
fn raw_way(clip: &Path, properties: &str) -> Encoded {
    let decode = match parsed(clip) {
        "parsebin" => "decodebin".to_owned(),
        parsed => format!("{parsed} ! avdec_mjpeg"),
    };
    run(&line(clip, &format!("{decode} ! videoconvert"), properties), |_| {})
}

fn made(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = place::temporary();
    let (name, options) = CODED.into_iter().find(|(n, _)| *n == name).unwrap();
    let clip = coded(folder.path(), name, options);
    (folder, clip)
}

#[test]
fn chunks_decoded_by_their_lanes_give_the_bytes_that_one_decoder_gives() {
    let folder = place::temporary();
    for (name, options) in CODED {
        let clip = coded(folder.path(), name, options);
        for (frames, workers, lead_in) in [(7, 1, 3), (40, 3, 0), (1000, 2, 5)] {
            let properties =
                format!("{X264} cut=fixed chunk-frames={frames} workers={workers} lead-in-frames={lead_in}");
            let coded = coded_way(&clip, &properties).whole();
            assert_eq!(coded.times.len(), 150, "{name}");
            assert!(coded.units == raw_way(&clip, &properties).units, "{name} in chunks of {frames}");
        }
    }
}

#[test]
fn what_waits_on_the_disk_comes_back_as_it_was() {
    let (_folder, clip) = made("mjpeg.mov");
    let large = "encoder=\"jpegenc quality=100\" chunk-frames=10 workers=2";
    let whole = coded_way(&clip, large).whole();
    // Less than the results of two chunks.
    assert!(whole.units.iter().take(20).map(Vec::len).sum::<usize>() > 250_000);
    let short = coded_way(&clip, &format!("{large} max-buffered-bytes=250000")).whole();
    assert!(short == whole);
}

#[test]
fn chunks_that_begin_at_key_frames_have_every_picture_as_it_was() {
    let folder = place::temporary();
    // Each picture is coded by itself, so its bytes tell it wherever chunks begin.
    let jpeg = "encoder=\"jpegenc quality=100\"";
    for (name, options) in CODED {
        let clip = coded(folder.path(), name, options);
        let whole = raw_way(&clip, jpeg).whole();
        for frames in [1, 30, 60] {
            let coded = coded_way(&clip, &format!("{jpeg} chunk-frames={frames}")).whole();
            assert!(coded.times == whole.times && coded.units == whole.units, "{name} in chunks of {frames}");
        }
    }
}

/// The first seconds of a clip, its packets as they are.
fn beginning(clip: &Path, folder: &Path) -> PathBuf {
    let short = folder.join(clip.file_name().unwrap());
    let mut cut = std::process::Command::new("ffmpeg");
    cut.args(["-nostdin", "-v", "error", "-i"]).arg(clip).args(["-map", "0", "-c", "copy", "-t", "8"]);
    divien_testbed::run(cut.arg(&short)).success();
    short
}

#[test]
fn real_clips_give_the_bytes_that_one_decoder_gives() {
    let properties = format!("{X264} cut=fixed chunk-frames=100");
    // What takes long is cut to its first seconds.
    let folder = place::temporary();
    let long = ["hand-drawing_1080p25.mp4", "multi.mkv", "sintel_trailer_720p24.mp4", "traffic_960x540p5994.mp4"];
    for clip in media_clips() {
        let clip = if long.iter().any(|name| clip.ends_with(name)) { beginning(&clip, folder.path()) } else { clip };
        let name = clip.file_name().unwrap().to_string_lossy().into_owned();
        // Those that cannot be linked, or cut, end in an error; broken ones in other ways one way and the other.
        let is_broken = ["trunc", "invalid", "missing"].iter().any(|word| name.contains(word));
        if is_broken || ["mp4", "mkv", "webm", "ts"].iter().all(|kind| !name.ends_with(kind)) {
            continue;
        }
        let coded = run(&line(&clip, "parsebin", &properties), |_| {});
        if coded.error.is_none() {
            let raw = raw_way(&clip, &properties);
            assert_eq!(coded.warnings, Vec::<String>::new(), "{name}");
            assert!(!coded.units.is_empty() && coded.units == raw.units, "{name}");
        }
    }
}

#[test]
fn chunks_begin_at_key_frames_of_the_input() {
    let (_folder, clip) = made("closed.mp4");
    // Every 25 frames of 40 ms there is one.
    assert_eq!(coded_way(&clip, &format!("{X264} chunk-frames=40")).keys(), [0, 2000, 4000, 5000]);
    assert_eq!(coded_way(&clip, &format!("{X264} chunk-frames=40 cut=fixed")).keys(), [0, 1600, 3200, 4800]);
}

#[test]
fn a_small_budget_cuts_by_scenes_the_same_however_many_look() {
    let (_folder, clip) = made("closed.mp4");
    let properties = format!("{X264} chunk-frames=60 cut=scene");
    let free = coded_way(&clip, &properties).whole();
    assert_eq!(free.times.len(), 150);
    let largest = std::fs::metadata(&clip).unwrap().len();
    for bytes in [largest / 2, largest / 3] {
        // That fewer work at once is said where they would.
        let [one, three] = ["1", "3"]
            .map(|workers| coded_way(&clip, &format!("{properties} workers={workers} max-buffered-bytes={bytes}")));
        let times: Vec<_> = one.times.iter().map(|(time, _)| *time).collect();
        assert_eq!((&one.error, times), (&None, (0..150).map(|n| n * 40).collect()));
        assert!(one.units == three.units, "{bytes}");
    }
}

#[test]
fn a_key_frame_that_is_asked_for_comes_in_the_middle_of_a_group_too() {
    let (_folder, clip) = made("open.mkv");
    let ask = |pipeline: &gst::Pipeline| {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().running_time(gst::ClockTime::from_mseconds(1330));
        let pad = pipeline.by_name("enc").unwrap().static_pad("src").unwrap();
        let event = Mutex::new(Some(event.build()));
        let entry = pipeline.by_name("enc").unwrap().static_pad("sink").unwrap();
        entry.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(event) = event.lock().unwrap().take() {
                pad.send_event(event);
            }
            gst::PadProbeReturn::Ok
        });
    };
    let encoded = run(&line(&clip, "parsebin", &format!("{X264} chunk-frames=100")), ask).whole();
    // The first frame of 1.33 s or later.
    assert_eq!(encoded.keys()[..2], [0, 1360]);
    assert_eq!(encoded.times.len(), 150);
}

#[test]
fn what_a_lane_does_to_each_frame_is_the_same_both_ways() {
    let (_folder, clip) = made("open.ts");
    let filter = "filter=\"videoflip video-direction=90r ! videoscale ! video/x-raw,width=64,height=96\"";
    let properties = format!("{X264} cut=fixed chunk-frames=40 {filter} frame-caps=\"video/x-raw,framerate=0/1\"");
    let (coded, raw) = (coded_way(&clip, &properties).whole(), raw_way(&clip, &properties).whole());
    assert!(coded.units == raw.units);
    let plain = coded_way(&clip, &format!("{X264} cut=fixed chunk-frames=40"));
    assert_ne!(coded.units[0], plain.units[0]);
}

#[test]
fn what_is_done_to_several_frames_is_the_same_both_ways_and_in_every_chunk() {
    let folder = place::temporary();
    let options = ["-flags", "+ildct+ilme", "-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-q:v", "3"];
    let clip = coded(folder.path(), "fields.ts", &options);
    // Each picture is coded by itself, so its bytes tell it wherever chunks begin.
    let jpeg = "encoder=\"jpegenc quality=100\"";
    for filter in ["yadif parity=tff", "fps rate=15", "yadif ! fps rate=60000/1001 ! videoflip video-direction=horiz"] {
        let whole = raw_way(&clip, &format!("{jpeg} filter=\"{filter}\" chunk-frames=1000")).whole();
        for frames in [1, 7, 40, 250] {
            let properties = format!("{jpeg} filter=\"{filter}\" cut=fixed chunk-frames={frames}");
            let (coded, raw) = (coded_way(&clip, &properties).whole(), raw_way(&clip, &properties).whole());
            assert!(coded.times == whole.times && coded.units == whole.units, "{filter} in chunks of {frames}");
            assert!(raw.times == whole.times && raw.units == whole.units, "{filter} in raw chunks of {frames}");
        }
        let properties = format!("{X264} filter=\"{filter}\" cut=fixed chunk-frames=40");
        let (coded, raw) = (coded_way(&clip, &properties).whole(), raw_way(&clip, &properties).whole());
        assert!(coded.keys() == raw.keys() && coded.units == raw.units, "{filter}");
    }
}

#[test]
fn a_filter_or_form_that_cannot_be_is_refused_with_the_reason() {
    let (_folder, clip) = made("closed.mp4");
    let told = |property: &str| {
        init();
        let line = line(&clip, "parsebin", property);
        let pipeline = gst::parse::launch(&format!("{line} ! fakesink")).unwrap();
        let _ = pipeline.set_state(gst::State::Playing);
        let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        let gst::MessageView::Error(error) = error.view() else { unreachable!() };
        error.error().message().to_owned()
    };
    assert!(told("filter=videorate").contains("each frame from one frame"));
    assert!(told("filter=\"videoscale ! yadif\"").contains("stands first"));
    assert!(told("filter=\"videoscale meth=1\"").contains("did you mean method"));
    // Frames would be read as what they are not.
    assert!(told("frame-caps=\"video/x-raw,width=4096\"").contains("width is what the frames have"));
    assert!(told("frame-caps=\"image/jpeg\"").contains("not one kind of video/x-raw"));
}

#[test]
fn what_cannot_be_cut_names_the_packet_and_the_remedy() {
    let (_folder, clip) = made("closed.mp4");
    let forget = |pipeline: &gst::Pipeline| {
        let mut number = 0;
        let entry = pipeline.by_name("enc").unwrap().static_pad("sink").unwrap();
        let count = Mutex::new(());
        let counter = Mutex::new(std::mem::take(&mut number));
        entry.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let _guard = count.lock().unwrap();
            let mut n = counter.lock().unwrap();
            *n += 1;
            if *n == 31
                && let Some(gst::PadProbeData::Buffer(unit)) = &mut info.data
            {
                unit.make_mut().set_pts(gst::ClockTime::NONE);
            }
            gst::PadProbeReturn::Ok
        });
    };
    let encoded = run(&line(&clip, "parsebin", X264), forget);
    let error = encoded.error.unwrap();
    assert!(error.contains("packet 30 has no presentation time") && error.contains("decodebin"), "{error}");
}

/// Changes units on their way in, by their number.
fn change(pipeline: &gst::Pipeline, changed: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static) {
    let number = Mutex::new(0);
    let entry = pipeline.by_name("enc").unwrap().static_pad("sink").unwrap();
    entry.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(unit)) = &mut info.data {
            let mut bytes = unit.map_readable().unwrap().to_vec();
            changed(*number.lock().unwrap(), &mut bytes);
            let mut new = gst::Buffer::from_mut_slice(bytes);
            let all = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
            unit.copy_into(new.get_mut().unwrap(), all, ..).unwrap();
            *unit = new;
            *number.lock().unwrap() += 1;
        }
        gst::PadProbeReturn::Ok
    });
}

#[test]
fn pictures_that_cannot_be_decoded_are_told_and_the_rest_is_encoded() {
    let (_folder, clip) = made("mjpeg.mov");
    let spoil = |spoilt: std::ops::Range<u64>| {
        let line = line(&clip, "parsebin", &format!("{X264} chunk-frames=50"));
        run(&line, move |pipeline| {
            change(pipeline, move |n, bytes| {
                if spoilt.contains(&n) {
                    bytes.fill(0);
                }
            });
        })
    };
    let encoded = spoil(60..62);
    assert_eq!(encoded.error, None);
    assert_eq!(encoded.times.len(), 148);
    assert!(encoded.times.iter().all(|(time, _)| *time != 2400 && *time != 2440));
    let warning = "frames of chunk 1 could not be decoded as they were: 2 missing: 60 at 2.400 s, 61 at 2.440 s";
    assert_eq!(encoded.warnings, [warning]);
    // A whole chunk.
    let encoded = spoil(50..100);
    assert_eq!((encoded.error, encoded.times.len(), encoded.warnings.len()), (None, 100, 1));
    assert!(encoded.warnings[0].contains("50 missing"), "{:?}", encoded.warnings);
    // The beginning and the end.
    assert_eq!((spoil(0..3).times.len(), spoil(147..150).times.len()), (147, 147));
}

#[test]
fn what_a_stream_tells_once_reaches_every_chunk() {
    let folder = place::temporary();
    // For a version as old as that libav's decoder reads 4:4:4 another way, by the message in the first unit.
    let options = ["-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv444p", "-preset", "medium", "-crf", "18"];
    let clip = coded(folder.path(), "new.mp4", &options);
    let mut bytes = std::fs::read(&clip).unwrap();
    let mark = b"x264 - core ";
    let at = bytes.windows(mark.len()).position(|w| w == mark).unwrap() + mark.len();
    bytes[at..at + 3].copy_from_slice(b"148");
    let old = folder.path().join("old.mp4");
    std::fs::write(&old, bytes).unwrap();
    // Each picture is coded by itself, so that every one tells how it was decoded.
    let properties = "encoder=\"jpegenc quality=100\" cut=fixed chunk-frames=40";
    let (old, new) = (coded_way(&old, properties).whole(), coded_way(&clip, properties).whole());
    for chunk in [0..40, 40..80, 80..120, 120..150] {
        assert!(old.units[chunk.clone()] != new.units[chunk.clone()], "frames {chunk:?} do not know the version");
    }
}

#[test]
fn parameter_sets_that_come_once_reach_every_chunk() {
    let folder = place::temporary();
    let options = ["-c:v", "libx264", "-g", "25", "-preset", "veryfast"];
    let clip = coded(folder.path(), "once.ts", &options);
    // Later key frames without them.
    let parse = "tsdemux ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au";
    let line = line(&clip, parse, &format!("{X264} cut=fixed chunk-frames=40"));
    let encoded = run(&line, |pipeline| {
        change(pipeline, |n, bytes| {
            if n > 0 {
                let starts = (0..bytes.len()).filter(|i| bytes[*i..].starts_with(&[0, 0, 1])).collect::<Vec<_>>();
                let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
                let units = starts.iter().zip(ends).map(|(start, end)| &bytes[*start..end]);
                let others = units.filter(|unit| ![7, 8].contains(&(unit[3] & 0x1f)));
                *bytes = others.flatten().copied().collect();
            }
        });
    });
    assert_eq!(encoded.whole().times.len(), 150);
}

#[test]
fn frames_outside_of_the_segment_are_decoded_and_not_shown() {
    let (_folder, clip) = made("open.mkv");
    let narrow = |pipeline: &gst::Pipeline| {
        let entry = pipeline.by_name("enc").unwrap().static_pad("sink").unwrap();
        entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::EventView::Segment(segment)) = info.event().map(|event| event.view()) {
                let mut time = segment.segment().downcast_ref::<gst::ClockTime>().unwrap().clone();
                time.set_start(gst::ClockTime::from_mseconds(1300));
                time.set_stop(gst::ClockTime::from_mseconds(4000));
                info.data = Some(gst::PadProbeData::Event(gst::event::Segment::new(&time)));
            }
            gst::PadProbeReturn::Ok
        });
    };
    let properties = format!("{X264} cut=fixed chunk-frames=20");
    let coded = run(&line(&clip, "parsebin", &properties), narrow).whole();
    let times: Vec<u64> = coded.times.iter().map(|(time, _)| *time).collect();
    // The frame of 1.28 s is still shown when the segment starts.
    let expected: Vec<u64> = [0].into_iter().chain((33..100).map(|n| n * 40 - 1300)).collect();
    assert_eq!(times, expected);
    let raw = run(&line(&clip, "decodebin ! videoconvert", &properties), narrow).whole();
    assert!(coded.units == raw.units);
}

#[test]
fn a_seek_leaves_a_clean_element() {
    seek("keyframe");
    seek("scene");
}

#[track_caller]
fn seek(cut: &str) {
    let (_folder, clip) = made("open.mkv");
    init();
    let line = line(&clip, "parsebin", &format!("{X264} chunk-frames=20 cut={cut}"));
    let pipeline = gst::parse::launch(&format!("{line} ! appsink name=sink sync=false max-buffers=30")).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..25 {
        sink.try_pull_sample(LIMIT).unwrap();
    }
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT;
    pipeline.seek_simple(flags, gst::ClockTime::from_seconds(3)).unwrap();
    let mut times = Vec::new();
    while let Some(sample) = sink.try_pull_sample(LIMIT) {
        let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap();
        times.push(segment.to_stream_time(sample.buffer().unwrap().pts()).unwrap().mseconds());
    }
    pipeline.set_state(gst::State::Null).unwrap();
    times.sort_unstable();
    assert_eq!(times, (75..150).map(|n| n * 40).collect::<Vec<u64>>());
}

#[test]
fn a_stop_in_the_middle_ends_at_once() {
    let (_folder, clip) = made("closed.mp4");
    init();
    for (wait, cut) in [(0, "keyframe"), (5, "scene"), (20, "keyframe"), (60, "scene"), (150, "scene")] {
        let properties = format!("encoder=\"x264enc speed-preset=medium\" chunk-frames=20 cut={cut}");
        let line = line(&clip, "parsebin", &properties);
        let pipeline = gst::parse::launch(&format!("{line} ! fakesink")).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_new_size_begins_a_new_section() {
    let folder = place::temporary();
    let options = ["-c:v", "libx264", "-g", "25", "-preset", "veryfast"];
    let small = coded(folder.path(), "small.mp4", &options);
    let larger: Vec<&str> = options.into_iter().chain(["-s", "320x240"]).collect();
    let large = coded(folder.path(), "large.mp4", &larger);
    let widths: Arc<Mutex<Vec<i32>>> = Arc::default();
    let seen = widths.clone();
    let watch = move |pipeline: &gst::Pipeline| {
        let exit = pipeline.by_name("enc").unwrap().static_pad("src").unwrap();
        exit.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
                seen.lock().unwrap().push(caps.caps().structure(0).unwrap().get("width").unwrap());
            }
            gst::PadProbeReturn::Ok
        });
    };
    // The queues have the pads of concat there before any data, of which the last one's end would be that of all.
    let line = format!(
        "concat name=both ! divienenc name=enc {X264} chunk-frames=40 \
         filesrc location={} ! parsebin ! queue ! both. filesrc location={} ! parsebin ! queue ! both. enc.",
        place_of(&small),
        place_of(&large)
    );
    let encoded = run(&line, watch).whole();
    assert_eq!(encoded.times.len(), 300);
    assert_eq!(*widths.lock().unwrap(), [160, 320]);
}

#[test]
fn a_real_film_is_whole() {
    let Some(clip) = media("hand-drawing_1080p25.mp4") else { return };
    let (coded, raw) = (coded_way(&clip, X264).whole(), raw_way(&clip, X264).whole());
    let times = |encoded: &Encoded| encoded.times.iter().map(|(time, _)| *time).collect::<Vec<_>>();
    assert_eq!(times(&coded), times(&raw));
}
