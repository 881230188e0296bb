//! What `divienenc` refuses: by an error that names the cause, never by a hang, a crash or a file that looks finished.

#![cfg(test)]

use divien_testbed::gst::launch;
use divien_testbed::{Clip, Outcome, place};

/// A line with this encoder must end in an error.
#[track_caller]
fn refused(properties: &str) -> Outcome {
    let source = Clip::raw(12).source();
    launch(&format!("{source} ! divienenc {properties} ! fakesink")).failure()
}

/// A line with this source must end in an error.
#[track_caller]
fn refused_input(source: &str) -> Outcome {
    let line = format!("{source} ! divienenc encoder=\"x264enc speed-preset=ultrafast\" chunk-frames=4 ! fakesink");
    launch(&line).failure()
}

#[test]
fn an_unknown_encoder_is_named() {
    refused("encoder=\"x246enc\"").says(&["x246enc", "x264enc"]);
}

#[test]
fn an_unknown_property_is_named_with_its_neighbours() {
    refused("encoder=\"x264enc bitrat=300\"").says(&["bitrat", "bitrate"]);
}

#[test]
fn a_value_out_of_range_is_named_with_the_range() {
    refused("encoder=\"x264enc quantizer=99\"").says(&["quantizer", "99", "50"]);
}

#[test]
fn a_value_of_the_wrong_kind_is_named() {
    refused("encoder=\"x264enc quantizer=fine\"").says(&["quantizer", "fine"]);
    refused("encoder=\"x264enc speed-preset=quick\"").says(&["speed-preset", "quick"]);
}

#[test]
fn an_encoder_may_write_no_file() {
    let folder = place::temporary();
    for key in ["dump-yuv", "stats", "qpfile"] {
        let file = folder.path().join(key);
        let spec = format!("encoder=\"x264enc option-string=\\\"{key}={}\\\"\"", file.display());
        refused(&spec).says(&[key]);
        assert!(!file.exists(), "{key} was written");
    }
    // A matrix by its name is no file, another name is one.
    for (factory, key) in [("x264enc", "cqm"), ("x265enc", "scaling-list")] {
        refused(&format!("encoder=\"{factory} option-string={key}=/dev/null\"")).says(&[key, "file"]);
    }
    let file = folder.path().join("multipass");
    refused(&format!("encoder=\"x264enc multipass-cache-file={}\"", file.display())).says(&["multipass-cache-file"]);
}

#[test]
fn an_element_that_is_no_video_encoder_is_refused() {
    refused("encoder=\"vorbisenc\"").says(&["vorbisenc"]);
    refused("encoder=\"filesink location=/dev/null\"").says(&["filesink"]);
    refused("encoder=\"x264enc ! identity\"").says(&["!"]);
    refused("encoder=\"\"").says(&["encoder"]);
}

#[test]
fn an_encoder_that_measures_time_is_refused() {
    // libvpx's VP8 chooses its speed by the clock then.
    refused("encoder=\"vp8enc deadline=1\"").says(&["deadline"]);
}

#[test]
fn an_encoder_that_fails_is_named_with_its_chunk() {
    // Its smallest picture is 16 by 16.
    let source = "videotestsrc num-buffers=12 ! video/x-raw,format=I420,width=8,height=8,framerate=25/1";
    launch(&format!("{source} ! divienenc encoder=\"openh264enc\" chunk-frames=4 ! fakesink"))
        .failure()
        .says(&["openh264enc", "chunk"]);
}

#[test]
fn frames_without_a_time_are_refused() {
    refused_input(
        "fakesrc format=time num-buffers=12 sizetype=fixed sizemax=28800 ! \
         video/x-raw,format=I420,width=160,height=120,framerate=25/1",
    )
    .says(&["frame 0", "time"]);
}

#[test]
fn frames_that_go_back_in_time_are_refused() {
    let scene = "videotestsrc num-buffers=7 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1";
    refused_input(&format!(
        "{scene} ! times. {scene} ! times. concat name=times adjust-base=false ! \
         identity single-segment=true"
    ))
    .says(&["frame 7", "time"]);
}

#[test]
fn other_than_raw_video_is_not_taken() {
    let clip = Clip::elementary(12).path();
    launch(&format!("filesrc location='{}' ! h264parse ! divienenc ! fakesink", clip.display())).failure();
}
