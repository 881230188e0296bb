//! Where scenes begin, as an encoder sees it: `divienscenes` takes small grey pictures and gives back one byte for each.
//!
//! SECTION:element-divienscenes
//!
//! It has the form of an encoder so that a chunk can be looked through as a chunk is encoded: by the same lanes, here, in
//! processes of their own or elsewhere. The detection is av-scenechange's, rav1e's own, which compares what the blocks of a
//! picture cost when they are predicted from the picture before and when they are not.

mod imp;

use gst::prelude::*;

glib::wrapper! {
    /// The element.
    pub struct DivienScenes(ObjectSubclass<imp::DivienScenes>) @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}

/// Its name.
pub const FACTORY: &str = "divienscenes";
/// The most pictures behind one that say whether a scene begins with it.
pub const AHEAD: usize = imp::AHEAD + 1;
/// What it gives for a picture with which a scene begins.
pub const SCENE: u8 = 1;

/// Registers the element with a plugin.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), FACTORY, gst::Rank::NONE, DivienScenes::static_type())
}

/// The filter that makes pictures of this size small and grey: as a launch line.
pub fn filter(size: Option<(u32, u32)>) -> String {
    let (width, height) = size.unwrap_or(USUAL);
    let by = (width.min(height) / SMALL).max(1);
    // The detector's blocks are whole.
    let side = |side: u32| (side / by / BLOCK).max(1) * BLOCK;
    let form = format!("format=GRAY8,pixel-aspect-ratio=1/1,width={},height={}", side(width), side(height));
    format!("videoconvertscale method=bilinear add-borders=false ! video/x-raw,{form}")
}

/// The shorter side is so long, and less than twice.
const SMALL: u32 = 180;
/// The size that those of no known one are taken for.
const USUAL: (u32, u32) = (1920, 1080);
/// The sides are multiples of this.
const BLOCK: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_small_and_keep_whole_blocks() {
        let sized = |width, height| filter(Some((width, height))).rsplit_once("1/1,").map(|(_, size)| size.to_owned());
        assert_eq!(sized(1920, 1080).unwrap(), "width=320,height=176");
        assert_eq!(sized(960, 540).unwrap(), "width=320,height=176");
        assert_eq!(sized(161, 121).unwrap(), "width=160,height=112");
        assert_eq!(sized(8, 4000).unwrap(), "width=16,height=4000");
        assert!(filter(None).ends_with(",width=320,height=176"));
    }

    /// Pictures of stripes that move slowly, with another pattern from these on.
    fn scenes(cuts: &[u64], frames: u64) -> Vec<u64> {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        let mut harness = gst_check::Harness::new(FACTORY);
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=160,height=96,framerate=25/1");
        for n in 0..frames {
            let scene = cuts.iter().filter(|cut| **cut <= n).count() as u64;
            let sample =
                |i: u64| ((i % 160 + n) / (8 + scene * 9) * (97 + 31 * scene) + i / 160 * (scene * 3 + 1)) as u8;
            let mut frame = gst::Buffer::from_mut_slice((0..160 * 96).map(sample).collect::<Vec<u8>>());
            frame.make_mut().set_pts(gst::ClockTime::from_mseconds(40 * n));
            harness.push(frame).unwrap();
        }
        harness.push_event(gst::event::Eos::new());
        let mut found = Vec::new();
        for n in 0..frames {
            let unit = harness.pull().unwrap();
            assert_eq!(unit.pts(), Some(gst::ClockTime::from_mseconds(40 * n)));
            if unit.map_readable().unwrap().as_slice() == [SCENE] {
                found.push(n);
            }
        }
        found
    }

    #[test]
    fn pictures_of_any_size_are_looked_at() {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        for (width, height) in (1..20).map(|n| (n * 16, 320 - n * 16)).chain([(1, 1), (7, 33), (65, 130), (1920, 16)]) {
            let mut harness = gst_check::Harness::new(FACTORY);
            harness.set_src_caps_str(&format!("video/x-raw,format=GRAY8,width={width},height={height},framerate=25/1"));
            let stride = usize::div_ceil(width, 4) * 4;
            for n in 0..9u8 {
                let frame = gst::Buffer::from_mut_slice(vec![n * 28; stride * height]);
                harness.push(frame).unwrap_or_else(|error| panic!("{width}x{height}: {error}"));
            }
            harness.push_event(gst::event::Eos::new());
            assert_eq!((0..9).filter(|_| harness.pull().is_ok()).count(), 9, "{width}x{height}");
        }
    }

    #[test]
    fn a_scene_begins_where_the_pictures_change() {
        assert_eq!(scenes(&[23, 60], 80), [23, 60]);
        assert_eq!(scenes(&[], 40), [0u64; 0]);
        assert_eq!(scenes(&[], 1), [0u64; 0]);
    }
}
