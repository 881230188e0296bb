//! Whether a file that was written can be decoded, with all its pictures, each at its time.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::mux::Container;
use crate::probe::{make, running_time, said};
use crate::report::counted;
use crate::sync::lock;

/// Containers count in units up to this long, ns: Matroska in milliseconds.
const UNIT: i64 = 1_000_000;
/// What the types of sound and texts begin with.
const OTHERS: [&str; 6] =
    ["audio/", "text/", "subpicture/", "closedcaption/", "application/x-ass", "application/x-ssa"];

/// Decodes all pictures of a file and compares when they are shown with `times` (ns, in any order, from any 0); where the
/// container has no times, how many there are. What is wrong is told in words. False where GStreamer shows no video of the file:
/// of an MP4 it passes one over that is far shorter than the sound.
pub(crate) fn verify(file: &Path, times: &mut [i64], container: Container) -> Result<bool, String> {
    times.sort_unstable();
    let Some(decoded) = decoded(file, container)? else { return Ok(false) };
    if decoded.len() != times.len() {
        let (there, wanted) = (counted(decoded.len() as u64, "picture"), times.len());
        return Err(format!("{there} can be decoded of it, and {wanted} were encoded"));
    }
    if !container.has_times() {
        return Ok(true);
    }
    let (Some(first), Some(start)) = (times.first(), decoded.first().copied()) else { return Ok(true) };
    let start = start.ok_or("its first picture has no time")?;
    for (number, (time, wanted)) in decoded.iter().zip(times.iter()).enumerate() {
        let time = time.ok_or_else(|| format!("picture {number} has no time"))?.saturating_sub(start);
        let wanted = wanted.saturating_sub(*first);
        if time.abs_diff(wanted) > UNIT.unsigned_abs() {
            let [time, wanted] = [time, wanted].map(|time| time as f64 / 1e9);
            return Err(format!("picture {number} is shown at {time:.6} s, and should be at {wanted:.6} s"));
        }
    }
    Ok(true)
}

/// Decodes all pictures of a file, of which an earlier run has told how many there are. Otherwise as [`verify`].
pub(crate) fn verify_count(file: &Path, wanted: u64, container: Container) -> Result<bool, String> {
    let Some(decoded) = decoded(file, container)? else { return Ok(false) };
    let there = decoded.len() as u64;
    if there != wanted {
        return Err(format!("{} can be decoded of it, and {wanted} were encoded", counted(there, "picture")));
    }
    Ok(true)
}

/// When the pictures are shown that a decoder makes of a file, one after the other, if there is a video.
fn decoded(file: &Path, container: Container) -> Result<Option<Vec<Option<i64>>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("it cannot be decoded: {error}");
    let [source, decoder] = ["filesrc", "decodebin"].map(make).map(|made| made.map_err(|error| fault(&error)));
    let (source, decoder) = (source?, decoder?);
    source.set_property("location", file);
    if container == Container::Obu {
        // It has no mark by which it could be recognised.
        let caps = gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream").build();
        decoder.set_property("sink-caps", caps);
    }
    // Sound and texts stay as they are.
    decoder.connect("autoplug-continue", false, |values| {
        let caps = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let name = caps.as_ref().and_then(|caps| caps.structure(0)).map(|fields| fields.name().as_str());
        let is_other = name.is_some_and(|name| OTHERS.iter().any(|other| name.starts_with(other)));
        Some((!is_other).to_value())
    });
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &decoder]).map_err(|error| fault(&error))?;
    source.link(&decoder).map_err(|error| fault(&error))?;
    let times = Arc::<Mutex<Option<Vec<Option<i64>>>>>::default();
    let (whole, seen) = (pipeline.downgrade(), times.clone());
    decoder.connect_pad_added(move |_, pad| {
        let Some(pipeline) = whole.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if caps.structure(0).is_some_and(|fields| fields.name() == "video/x-raw") {
            lock(&seen).get_or_insert_default();
            let seen = seen.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                let time = info.buffer().and_then(|buffer| buffer.pts()).and_then(|pts| running_time(pad, pts));
                lock(&seen).get_or_insert_default().push(time);
                gst::PadProbeReturn::Ok
            });
        }
        let Ok(sink) = make("fakesink") else { return };
        sink.set_property("sync", false);
        // A stream that begins late keeps no other one waiting.
        sink.set_property("async", false);
        // What fails here leaves the pad unlinked, which the source tells.
        let _ = pipeline.add(&sink);
        let _ = sink.sync_state_with_parent();
        let _ = sink.static_pad("sink").map(|sink| pad.link(&sink));
    });
    let bus = pipeline.bus().ok_or_else(|| fault(&"a pipeline without a bus"))?;
    let ended = pipeline.set_state(gst::State::Playing).map_err(|error| fault(&error)).and_then(|_| {
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        match bus.timed_pop_filtered(gst::ClockTime::NONE, &ends).as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => Err(fault(&said(&error.error(), error.debug().as_deref()))),
            _ => Ok(()),
        }
    });
    // Always succeeds on the way down.
    let _ = pipeline.set_state(gst::State::Null);
    ended?;
    Ok(std::mem::take(&mut *lock(&times)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 40_000_000;

    fn made(file: &Path) -> Vec<i64> {
        gst::init().unwrap();
        let line = format!(
            "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=48,framerate=25/1 ! x264enc ! matroskamux ! \
             filesink location={}",
            file.display()
        );
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::NONE, &ends).unwrap();
        assert_eq!(end.type_(), gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).unwrap();
        // In the order in which they are decoded, and from another 0.
        (0..20).rev().map(|number| number * FRAME + 7 * FRAME).collect()
    }

    #[test]
    fn each_picture_has_to_be_there_at_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("film.mkv");
        let times = made(&file);
        let told = |times: &[i64], container| verify(&file, &mut times.to_vec(), container).unwrap_err();
        verify(&file, &mut times.clone(), Container::Matroska).unwrap();
        assert!(verify_count(&file, 20, Container::Matroska).unwrap());
        assert!(verify_count(&file, 21, Container::Matroska).unwrap_err().starts_with("20 pictures"));
        for count in [18, 19] {
            let told = told(&times[..count], Container::H264);
            assert_eq!(told, format!("20 pictures can be decoded of it, and {count} were encoded"));
        }
        let mut late = times.clone();
        late[3] += 2 * UNIT;
        let wanted = "picture 16 is shown at 0.640000 s, and should be at 0.642000 s";
        assert_eq!(told(&late, Container::Matroska), wanted);
        verify(&file, &mut late, Container::H264).unwrap();
        let moved: Vec<i64> = times.iter().map(|time| time + UNIT).collect();
        verify(&file, &mut moved.clone(), Container::Matroska).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_decoded_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("film.mkv");
        let times = made(&file);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(verify(&file, &mut times.clone(), Container::Matroska).is_err());
        std::fs::write(&file, "no film").unwrap();
        assert!(verify_count(&file, 20, Container::Matroska).is_err());
        let told = verify(&file, &mut times.clone(), Container::Matroska).unwrap_err();
        assert!(told.starts_with("it cannot be decoded: "), "{told}");
    }
}
