//! Every video encoder that is installed, in `divienenc` and on its own.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

use gst::prelude::*;

const FRAMES: usize = 16;
const SOURCE: &str = "video/x-raw,width=176,height=144,framerate=25/1";

/// A decoded frame: its time in milliseconds and its luma.
type Frame = (u64, Vec<u8>);

/// Runs a clip through this part of a line and a decoder; the first error where one comes.
fn through(part: &str) -> Result<Vec<Frame>, String> {
    let line = format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball ! {SOURCE} ! videoconvert ! {part} ! decodebin ! videoconvert ! \
         video/x-raw,format=GRAY8 ! appsink name=s sync=false"
    );
    let pipeline = gst::parse::launch(&line).map_err(|e| e.to_string())?.downcast::<gst::Pipeline>().unwrap();
    let bus = pipeline.bus().unwrap();
    let sink = pipeline.by_name("s").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let started = pipeline.set_state(gst::State::Playing);
    let mut frames = Vec::new();
    let error = loop {
        if let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(20)) {
            let buffer = sample.buffer().unwrap();
            let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap();
            let time = segment.to_running_time(buffer.pts()).unwrap_or_default();
            frames.push((time.mseconds(), buffer.map_readable().unwrap().to_vec()));
        } else if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]) {
            break match message.view() {
                gst::MessageView::Error(error) => Some(error.error().to_string()),
                _ => None,
            };
        }
        if started.is_err() && frames.is_empty() && bus.peek().is_none() {
            break Some("it did not start".to_owned());
        }
    };
    pipeline.set_state(gst::State::Null).unwrap();
    error.map_or(Ok(frames), Err)
}

/// The largest mean difference of a frame's samples.
fn worst(frames: &[Frame], source: &[Frame]) -> f64 {
    let of = |(a, b): (&Frame, &Frame)| {
        let sum: u64 = a.1.iter().zip(&b.1).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
        sum as f64 / a.1.len() as f64
    };
    frames.iter().zip(source).map(of).fold(0.0, f64::max)
}

#[test]
fn whatever_encodes_alone_encodes_in_chunks_or_is_refused_with_the_reason() {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
    let source = through("identity").unwrap();
    let encoders = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::VIDEO_ENCODER, gst::Rank::NONE);
    let (mut done, mut refused) = (0, Vec::new());
    for encoder in &encoders {
        let name = encoder.name();
        // Slow by default, and at home in other tests.
        if ["divienenc", "av1enc", "x265enc", "vp9enc", "y4menc"].contains(&name.as_str()) {
            continue;
        }
        let Ok(alone) = through(&name) else { continue };
        if alone.len() != FRAMES {
            continue;
        }
        for chunk in [1, 7] {
            match through(&format!("divienenc encoder={name} workers=2 chunk-frames={chunk}")) {
                Ok(frames) => {
                    let times: Vec<_> = frames.iter().map(|(time, _)| *time).collect();
                    assert_eq!(
                        times,
                        (0..FRAMES as u64).map(|n| n * 40).collect::<Vec<_>>(),
                        "{name}, chunks of {chunk}"
                    );
                    let (ours, its) = (worst(&frames, &source), worst(&alone, &source));
                    assert!(ours <= its * 1.2 + 1.0, "{name}, chunks of {chunk}: {ours:.2} off, alone {its:.2}");
                    done += 1;
                }
                Err(error) => {
                    assert!(error.contains("cannot encode in chunks"), "{name}, chunks of {chunk}: {error}");
                    refused.push(name.to_string());
                }
            }
        }
    }
    eprintln!("{done} clips, refused: {refused:?}");
    assert!(done > 20, "only {done} clips");
}

#[test]
fn a_muxer_takes_in_chunks_what_it_takes_of_the_encoder_alone() {
    gst::init().unwrap();
    gstdivien::plugin_register_static().unwrap();
    for (encoder, muxer) in [
        // avimux lists its pad for sound first. DV has one size for each frame rate, which has to reach the source.
        ("avenc_dvvideo", "avimux"),
        ("x264enc", "avimux"),
        ("jpegenc", "avimux"),
        ("avenc_huffyuv", "avimux"),
        // Its caps lack fields that its template has, or that the muxer's have.
        ("openjpegenc", "avimux"),
        ("vp9enc cpu-used=8", "vp9parse ! mp4mux"),
        ("x265enc speed-preset=ultrafast", "mpegtsmux"),
        ("avenc_prores_ks", "qtmux"),
        ("avenc_flv", "flvmux"),
        ("theoraenc", "oggmux"),
        ("vp8enc", "webmmux"),
    ] {
        let line = format!(
            "videotestsrc num-buffers=5 ! videoconvert ! divienenc encoder=\"{encoder}\" workers=1 chunk-frames=2 name=d \
             ! {muxer} ! fakesink"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let peer = pipeline.by_name("d").unwrap().static_pad("src").unwrap().peer().unwrap();
        assert!(!peer.name().starts_with("audio"), "{encoder} ! {muxer}: {}", peer.name());
        pipeline.set_state(gst::State::Playing).unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(30), &ends);
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(end.as_ref().map(|message| message.type_()), Some(gst::MessageType::Eos), "{encoder}: {end:?}");
    }
}
