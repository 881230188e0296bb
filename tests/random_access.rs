//! Chunks of compressed video: each decodes alone to the very pictures that one decoder makes of the whole stream.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use divien_testbed::coded::{CODED, HARD, coded};
use divien_testbed::{media_clips, place};
use gst::prelude::*;
use gst_video::prelude::*;
use gstdivien::chunk::{Mode, Piece, Preface, Ranges, Start, Told, Unit, cut};
use gstdivien::lane::{DecoderSpec, fields_of};

/// Units of a real clip that are looked at.
const BEGINNING: usize = 400;

/// No machine is as slow.
const LIMIT: Duration = Duration::from_secs(120);

/// The first video stream of a file, as its parser gives it.
struct Stream {
    caps: gst::Caps,
    units: Vec<gst::Buffer>,
}

impl Stream {
    /// `None` where there is none.
    fn of(path: &Path) -> Option<Self> {
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("filesrc").property("location", path).build().unwrap();
        let parse = gst::ElementFactory::make("parsebin").build().unwrap();
        pipeline.add_many([&source, &parse]).unwrap();
        source.link(&parse).unwrap();
        let seen: Arc<Mutex<Option<Self>>> = Arc::default();
        let (weak, store) = (pipeline.downgrade(), Arc::clone(&seen));
        parse.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
            pipeline.add(&sink).unwrap();
            sink.sync_state_with_parent().unwrap();
            let entry = sink.static_pad("sink").unwrap();
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let is_video = ["video/", "image/jpeg"].iter().any(|kind| caps.to_string().starts_with(kind));
            if is_video && store.lock().unwrap().is_none() {
                *store.lock().unwrap() = Some(Self { caps, units: Vec::new() });
                let store = Arc::clone(&store);
                entry.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                    let mut stream = store.lock().unwrap();
                    let stream = stream.as_mut().unwrap();
                    stream.caps = pad.current_caps().unwrap();
                    stream.units.push(info.buffer().unwrap().to_owned());
                    gst::PadProbeReturn::Ok
                });
            }
            pad.link(&entry).unwrap();
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        wait(&pipeline);
        let stream = seen.lock().unwrap().take();
        stream.filter(|stream| !stream.units.is_empty())
    }

    fn decoder(&self) -> Option<DecoderSpec> {
        DecoderSpec::of(&self.caps).filter(|decoder| decoder.syntax().is_some())
    }

    /// What is told before anything is decoded, and what goes before each unit with which decoding starts.
    fn units(&self, decoder: &DecoderSpec) -> (Vec<Unit>, Vec<Option<Told>>) {
        let syntax = decoder.syntax().unwrap();
        let (mut preface, mut fields) = (Preface::default(), fields_of(&self.caps));
        let unit = |buffer: &gst::Buffer| {
            let bytes = buffer.map_readable().unwrap();
            let signs = syntax.signs(&bytes);
            let unit = Unit::new(buffer.pts().map(gst::ClockTime::nseconds), None, signs);
            let told = preface.pass(syntax, &bytes, unit.start.is_some());
            (Unit { is_field: fields.pass(syntax, &bytes), ..unit }, told)
        };
        self.units.iter().map(unit).unzip()
    }

    /// The units of a chunk, as a lane gets them.
    fn chunk(&self, units: &[usize], told: &[Option<Told>]) -> Vec<gst::Buffer> {
        let mut chunk: Vec<gst::Buffer> = units.iter().map(|i| self.units[*i].clone()).collect();
        match units.first().and_then(|first| told[*first].clone()) {
            Some(Told::Within(bytes)) => chunk[0].make_mut().prepend_memory(gst::Memory::from_slice(bytes)),
            Some(Told::Before(headers)) => {
                chunk.splice(0..0, headers.into_iter().map(gst::Buffer::from_slice)).for_each(drop);
            }
            None => {}
        }
        chunk
    }

    fn decode(&self, decoder: &DecoderSpec, start: Option<Start>, units: Vec<gst::Buffer>) -> Pictures {
        let pipeline = gst::Pipeline::new();
        let units = Mutex::new(units.into_iter());
        let feed = gst_app::AppSrcCallbacks::builder().need_data(move |source, _| {
            let next = units.lock().unwrap().next();
            let _ = match next {
                Some(unit) => source.push_buffer(unit),
                None => source.end_of_stream(),
            };
        });
        let source =
            gst_app::AppSrc::builder().caps(&self.caps).format(gst::Format::Time).callbacks(feed.build()).build();
        let (sender, pictures) = mpsc::channel();
        let take = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().unwrap();
            let buffer = sample.buffer().unwrap();
            sender.send((buffer.pts().unwrap().nseconds(), hash(sample.caps().unwrap(), buffer))).unwrap();
            Ok(gst::FlowSuccess::Ok)
        });
        let sink = gst_app::AppSink::builder().sync(false).callbacks(take.build()).build();
        let decoder = decoder.build_of_many(start).unwrap();
        let elements = [source.upcast_ref(), &decoder, sink.upcast_ref()];
        pipeline.add_many(elements).unwrap();
        gst::Element::link_many(elements).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        wait(&pipeline);
        drop((sink, source));
        pictures.try_iter().collect()
    }
}

/// Pictures by their times.
type Pictures = BTreeMap<u64, String>;

/// Waits for the end, or for the moment when nothing works any more: parsebin keeps an error to itself that comes while
/// it connects a demuxer.
fn wait(pipeline: &gst::Pipeline) {
    const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(200);
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let (bus, begun, mut rested) = (pipeline.bus().unwrap(), Instant::now(), 0);
    while bus.timed_pop_filtered(GLANCE, &ends).is_none() && rested < 5 {
        rested = if works(pipeline) { 0 } else { rested + 1 };
        assert!(begun.elapsed() < LIMIT, "nothing ended within {LIMIT:?}");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// True while a thread carries data.
fn works(pipeline: &gst::Pipeline) -> bool {
    let carries = |pad: &gst::Pad| pad.task_state() == gst::TaskState::Started;
    let elements = pipeline.iterate_recurse().into_iter();
    // Elements that come and go are work.
    elements.map(|element| element.is_ok_and(|e| !e.pads().iter().any(carries))).any(|rests| !rests)
}

/// Of what is seen, not of what lies between the rows.
fn hash(caps: &gst::CapsRef, buffer: &gst::BufferRef) -> String {
    let info = gst_video::VideoInfo::from_caps(caps).unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).unwrap();
    let mut sum = glib::Checksum::new(glib::ChecksumType::Md5).unwrap();
    for component in 0..frame.n_components() {
        let plane = frame.format_info().plane()[component as usize];
        let width = frame.comp_width(component) as usize * frame.comp_pstride(component) as usize;
        let rows = frame.plane_data(plane).unwrap().chunks(frame.plane_stride()[plane as usize] as usize);
        rows.take(frame.comp_height(component) as usize).for_each(|row| sum.update(&row[..width]));
    }
    sum.string().unwrap()
}

/// Chunks that cost what they may.
fn pieces(units: &[Unit], target: u64, mode: Mode) -> Vec<Piece<usize>> {
    let mut ranges = Ranges::new(target, mode);
    let mut pieces = Vec::new();
    for (i, unit) in units.iter().enumerate() {
        match ranges.push(i, *unit) {
            Ok(more) => pieces.extend(more),
            Err(_) => return Vec::new(),
        }
    }
    pieces.extend(ranges.finish());
    pieces
}

/// Decodes a clip in chunks of many sizes, and where that is to be `thorough`, from every place where it may start. One
/// line of the report: what it is, and what became of it.
fn compared(path: &Path, thorough: bool) -> String {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let Some(mut stream) = Stream::of(path) else { return format!("{name}: no video\n") };
    let Some(decoder) = stream.decoder() else { return format!("{name}: {} is not cut\n", stream.caps) };
    if !thorough {
        stream.units.truncate(BEGINNING);
    }
    let (units, told) = stream.units(&decoder);
    let whole = stream.decode(&decoder, units[0].start, stream.units.clone());
    let mut report = format!(
        "{name}: {}: {} units, {} starts, {} pictures\n",
        decoder.name(),
        units.len(),
        units.iter().filter(|unit| unit.start.is_some()).count(),
        whole.len()
    );
    let mut plans: Vec<Piece<usize>> = Vec::new();
    for mode in [Mode::Fixed, Mode::Keyframe] {
        for target in [1, 7, 40, 250] {
            let plan = cut(&units, target, mode);
            let told = plan.as_ref().map_or_else(ToString::to_string, |plan| format!("{} chunks, equal", plan.len()));
            writeln!(report, "    {mode:?} {target}: {told}").unwrap();
            plans.extend(plan.unwrap_or_default());
        }
    }
    if thorough {
        plans.extend(
            [(7, Mode::Fixed), (1, Mode::Keyframe)].map(|(target, mode)| pieces(&units, target, mode)).concat(),
        );
    }
    let mut done = BTreeSet::new();
    for piece in plans {
        let times: Vec<u64> = piece.frames.iter().map(|frame| frame.pts).collect();
        if !done.insert((piece.units.clone(), times.clone())) {
            continue;
        }
        let alone = stream.decode(&decoder, piece.start, stream.chunk(&piece.units, &told));
        for time in times {
            assert_eq!(
                alone.get(&time),
                whole.get(&time),
                "{name}: the picture of {time} ns in {:?}\n{report}",
                piece.units
            );
        }
    }
    report
}

#[test]
fn chunks_of_real_clips_decode_alone_as_the_whole_does() {
    gst::init().unwrap();
    let report: String = media_clips().iter().map(|clip| compared(clip, false)).collect();
    println!("{report}");
}

#[test]
fn chunks_of_every_codec_decode_alone_as_the_whole_does() {
    gst::init().unwrap();
    let folder = place::temporary();
    // Motion JPEG in Matroska is the stream of the other, without a word that it is parsed.
    for (name, options) in CODED.into_iter().filter(|(name, _)| *name != "mjpeg.mkv") {
        let report = compared(&coded(folder.path(), name, options), true);
        println!("{report}");
        // The coarsest cuts work for all but the stream that has a single key frame.
        assert_eq!(report.contains("Keyframe 40: 4 chunks, equal"), name != "refresh.mkv", "{report}");
    }
}

#[test]
fn chunks_of_what_is_hard_to_cut_decode_alone_as_the_whole_does() {
    gst::init().unwrap();
    let folder = place::temporary();
    for (name, options) in HARD {
        let short: Vec<&str> = options.iter().copied().chain(["-t", "3"]).collect();
        println!("{}", compared(&coded(folder.path(), name, &short), true));
    }
}

#[test]
fn pictures_that_a_key_frame_drops_are_dropped_in_chunks_too() {
    gst::init().unwrap();
    let folder = place::temporary();
    let options = ["-c:v", "libx265", "-x265-params", "keyint=25:open-gop=0:bframes=4:log-level=error"];
    let clip = coded(folder.path(), "kept.mkv", &options);
    let mut bytes = std::fs::read(&clip).unwrap();
    // IDR_W_RADL, the first slice of its picture: the next bit is no_output_of_prior_pics_flag.
    let keys: Vec<usize> =
        (0..bytes.len() - 7).filter(|i| matches!(bytes[*i..], [0, 0, _, _, 0x26 | 0x28, 1, 0x80..=0xbf, ..])).collect();
    assert_eq!(keys.len(), 6);
    keys.iter().skip(1).for_each(|key| bytes[key + 6] |= 0x40);
    let dropping = folder.path().join("dropping.mkv");
    std::fs::write(&dropping, bytes).unwrap();
    let report = compared(&dropping, true);
    assert!(report.contains("150 units, 6 starts, 140 pictures"), "{report}");
}
