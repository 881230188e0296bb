//! What `divienenc` says of its stream is what its encoder says on its own.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not tests to clippy")]

mod element_common;

use gst::prelude::*;
use gst_check::Harness;

use element_common::*;

const HDR: &str = "video/x-raw,format=I420_10LE,width=64,height=48,framerate=25/1,colorimetry=bt2100-pq,\
    chroma-site=top-left,pixel-aspect-ratio=4/3,interlace-mode=progressive,\
    mastering-display-info=(string)35399:14600:8500:39850:6550:2300:15635:16450:10000000:50,\
    content-light-level=(string)1000:400";
const BOTTOM_FIRST: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1,colorimetry=bt601,\
    interlace-mode=interleaved,field-order=bottom-field-first";
const MIXED: &str = "video/x-raw,format=I420,width=64,height=48,framerate=25/1,interlace-mode=mixed";
const NO_RATE: &str = "video/x-raw,format=I420,width=64,height=48,framerate=0/1,max-framerate=60/1,colorimetry=bt709";

/// What comes out for frames of these caps, and the caps it has; nothing where they are refused.
fn encode(element: &gst::Element, caps: &str) -> Option<(gst::Caps, Vec<gst::Buffer>)> {
    let mut h = Harness::with_element(element, Some("sink"), Some("src"));
    let caps: gst::Caps = caps.parse().unwrap();
    if !element.static_pad("sink").unwrap().query_caps(None).can_intersect(&caps) {
        return None;
    }
    h.set_src_caps(caps.clone());
    let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
    let flags = match info.field_order() {
        _ if !info.is_interlaced() => gst_video::VideoBufferFlags::empty(),
        gst_video::VideoFieldOrder::BottomFieldFirst => gst_video::VideoBufferFlags::INTERLACED,
        _ => gst_video::VideoBufferFlags::INTERLACED | gst_video::VideoBufferFlags::TFF,
    };
    for n in 0..12 {
        let mut buffer = sized_frame(n, info.size());
        buffer.make_mut().set_flags(gst::BufferFlags::from_bits_retain(flags.bits()));
        h.push(buffer).unwrap();
    }
    let units = drain(&mut h);
    Some((h.sinkpad().unwrap().current_caps()?, units))
}

#[test]
fn the_caps_are_those_of_the_encoder_alone() {
    init();
    let mut compared = 0;
    for (name, properties) in [
        ("x264enc", "threads=1"),
        ("x264enc", "threads=1 interlaced=true"),
        ("x265enc", "speed-preset=ultrafast"),
        ("vp8enc", ""),
        ("vp9enc", "cpu-used=5"),
        ("av1enc", "cpu-used=8"),
        ("theoraenc", ""),
        ("jpegenc", ""),
        ("avenc_ffv1", ""),
        ("avenc_prores_ks", ""),
        ("avenc_mpeg4", ""),
    ] {
        for caps in [HDR, BOTTOM_FIRST, MIXED, NO_RATE] {
            let alone = gst::parse::launch(&format!("{name} {properties}")).unwrap();
            let Some((alone, units)) = encode(&alone, caps) else { continue };
            let chunked = gst::ElementFactory::make("divienenc")
                .property("encoder", format!("{name} {}", properties.trim_start_matches("threads=1")))
                .property("chunk-frames", 5u32)
                .build()
                .unwrap();
            let (chunked, chunks) = encode(&chunked, caps).unwrap();
            // Parameter sets that can be joined are others.
            let plain = |mut caps: gst::Caps| {
                caps.make_mut().structure_mut(0).unwrap().remove_field("codec_data");
                caps
            };
            assert_eq!(plain(chunked).to_string(), plain(alone).to_string(), "{name} {properties} of {caps}");
            let video = |units: &[gst::Buffer]| -> Vec<_> {
                let all = gst_video::VideoBufferFlags::INTERLACED
                    | gst_video::VideoBufferFlags::TFF
                    | gst_video::VideoBufferFlags::ONEFIELD;
                units.iter().map(|u| u.flags().bits() & all.bits()).collect()
            };
            assert_eq!(video(&chunks), video(&units), "{name} {properties} of {caps}");
            compared += 1;
        }
    }
    assert!(compared > 25, "only {compared} were compared");
}

#[test]
fn whoever_asks_for_caps_gets_none_beside_the_filter() {
    let (mut h, _bus) = element("x264enc", 5);
    push_frames(&mut h, 0..12);
    drain(&mut h);
    let src = h.element().unwrap().static_pad("src").unwrap();
    let filter: gst::Caps = "video/x-vp9".parse().unwrap();
    assert!(src.current_caps().is_some());
    assert!(src.query_caps(Some(&filter)).is_empty());
    assert_eq!(src.query_caps(None), src.current_caps().unwrap());
}
