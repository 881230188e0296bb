//! Where the frames that `divienenc` keeps are: in whose buffers, and in how much memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

use std::sync::Once;

use gst::prelude::*;
use gst_video::prelude::*;

const CAPS: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1";
const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstdivien::plugin_register_static().unwrap();
    });
}

/// A pool of this many buffers, of any number when 0, with lines longer than the picture is wide.
fn pool(most: u32) -> gst_video::VideoBufferPool {
    init();
    let caps: gst::Caps = CAPS.parse().unwrap();
    let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
    let pool = gst_video::VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps), info.size() as u32, 0, most);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_META);
    config.add_option(gst_video::BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
    config.set_video_alignment(&gst_video::VideoAlignment::new(0, 3, 0, 40, &[0; 4]));
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    pool
}

fn fill(buffer: &mut gst::Buffer, n: u64) {
    let caps: gst::Caps = CAPS.parse().unwrap();
    let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
    let writable = buffer.make_mut();
    writable.set_pts(FRAME * n);
    writable.set_duration(FRAME);
    let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(writable, &info).unwrap();
    for plane in 0..3 {
        let stride = frame.plane_stride()[plane as usize] as usize;
        for (y, line) in frame.plane_data_mut(plane).unwrap().chunks_mut(stride).enumerate() {
            line.fill((n * 3 + y as u64 + u64::from(plane) * 40) as u8);
        }
    }
}

/// Pushes frames of this pool through the element and returns what `sink` sees of the decoded ones.
fn through(pool: &gst_video::VideoBufferPool, frames: u64, properties: &str, decoder: &str) -> Vec<gst::Sample> {
    let line = format!(
        "appsrc name=a format=time max-bytes=1 block=true ! divienenc {properties} ! {decoder} ! appsink name=s sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Bin>().unwrap();
    let src = pipeline.by_name("a").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("s").unwrap().downcast::<gst_app::AppSink>().unwrap();
    src.set_caps(Some(&CAPS.parse().unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();
    let feeder = std::thread::spawn({
        let (src, pool) = (src.clone(), pool.clone());
        move || {
            for n in 0..frames {
                let Ok(mut buffer) = pool.acquire_buffer(None) else { return };
                fill(&mut buffer, n);
                // Elements that wrap a frame keep the one they wrap.
                if n % 2 == 1 {
                    let mut wrapped = buffer.copy();
                    gst::meta::ParentBufferMeta::add(wrapped.make_mut(), &buffer);
                    buffer = wrapped;
                }
                if src.push_buffer(buffer).is_err() {
                    return;
                }
            }
            let _ = src.end_of_stream();
        }
    });
    let mut samples = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        samples.push(sample);
    }
    let ended = sink.is_eos();
    pipeline.set_state(gst::State::Null).unwrap();
    pool.set_flushing(true);
    feeder.join().unwrap();
    assert!(ended, "no more came after {} frames", samples.len());
    samples
}

#[test]
fn a_source_with_few_buffers_never_runs_dry() {
    for spec in ["x264enc speed-preset=ultrafast rc-lookahead=40 mb-tree=true", "jpegenc"] {
        let properties = format!("workers=3 chunk-frames=100 encoder=\"{spec}\"");
        assert_eq!(through(&pool(12), 600, &properties, "identity").len(), 600, "{spec}");
    }
}

#[test]
fn frames_of_a_small_pool_are_the_same_pictures() {
    let spec = "workers=2 chunk-frames=10 encoder=\"avenc_ffv1\"";
    for most in [0, 4] {
        let samples = through(&pool(most), 35, spec, "avdec_ffv1 max-threads=1");
        assert_eq!(samples.len(), 35);
        for (n, sample) in (0..).zip(&samples) {
            let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info).unwrap();
            for plane in 0..3u32 {
                let stride = frame.plane_stride()[plane as usize] as usize;
                let width = if plane == 0 { 64 } else { 32 };
                for (y, line) in frame.plane_data(plane).unwrap().chunks(stride).enumerate().take(width * 3 / 4) {
                    let expected = (n * 3 + y as u64 + u64::from(plane) * 40) as u8;
                    assert!(
                        line[..width].iter().all(|&b| b == expected),
                        "pool of {most}, frame {n}, plane {plane}, line {y}"
                    );
                }
            }
        }
    }
}

#[test]
fn frames_of_a_pool_without_end_are_not_copied() {
    let pool = pool(0);
    let element = gst::ElementFactory::make("divienenc")
        .property("encoder", "jpegenc")
        .property("workers", 1u32)
        .property("chunk-frames", 100u32)
        .build()
        .unwrap();
    let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_src_caps_str(CAPS);
    let address = |buffer: &gst::Buffer| buffer.peek_memory(0).as_ptr() as usize;
    // The frames after a full chunk wait for those that follow.
    let mut waiting = Vec::new();
    for n in 0..110 {
        let mut buffer = pool.acquire_buffer(None).unwrap();
        fill(&mut buffer, n);
        if n >= 100 {
            waiting.push(address(&buffer));
        }
        h.push(buffer).unwrap();
    }
    let free: Vec<_> = (0..200).map(|_| pool.acquire_buffer(None).unwrap()).collect();
    assert!(
        free.iter().all(|buffer| !waiting.contains(&address(buffer))),
        "the pool has a waiting frame's memory back"
    );
}
