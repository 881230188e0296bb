//! Clips made by GStreamer: moving, partly noise, with a scene change, small enough for a debug build.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use crate::{gst, place};

const FIRST_SCENE: &str = "pattern=smpte horizontal-speed=6";
const SECOND_SCENE: &str = "pattern=zone-plate kx2=4 ky2=4 kt=10";

/// A clip to make, or made by an earlier test.
#[derive(Debug, Clone, Hash)]
pub struct Clip {
    frames: u32,
    width: u32,
    height: u32,
    format: &'static str,
    rate: (u32, u32),
    variable: bool,
    form: Form,
}

#[derive(Debug, Clone, Copy, Hash)]
enum Form {
    /// FFV1 in Matroska.
    Lossless,
    /// H.264 with B-frames and AAC in MP4.
    Film,
    /// H.264 as fields, top first, in Matroska.
    Interlaced,
    /// H.264 without a container.
    Elementary,
}

impl Clip {
    /// Frames kept as they are (FFV1 in Matroska): 160x120, 4:2:0 in 8 bit, 25 frames a second.
    pub fn raw(frames: u32) -> Self {
        let rate = (25, 1);
        Self { frames, width: 160, height: 120, format: "I420", rate, variable: false, form: Form::Lossless }
    }

    /// H.264 with B-frames and AAC sound in MP4, 320x180, 30 frames a second.
    pub fn film(frames: u32) -> Self {
        Self { width: 320, height: 180, rate: (30, 1), form: Form::Film, ..Self::raw(frames) }
    }

    /// H.264 coded as fields, top field first, in Matroska.
    pub fn interlaced(frames: u32) -> Self {
        Self { form: Form::Interlaced, ..Self::raw(frames) }
    }

    /// An H.264 elementary stream: no container, no time stamps.
    pub fn elementary(frames: u32) -> Self {
        Self { form: Form::Elementary, ..Self::raw(frames) }
    }

    /// Another size.
    pub fn size(self, width: u32, height: u32) -> Self {
        Self { width, height, ..self }
    }

    /// Another pixel format, by GStreamer's name.
    pub fn format(self, format: &'static str) -> Self {
        Self { format, ..self }
    }

    /// Another frame rate.
    pub fn rate(self, numerator: u32, denominator: u32) -> Self {
        Self { rate: (numerator, denominator), ..self }
    }

    /// Frames at uneven distances: bursts and pauses. The rate is not used then.
    pub fn variable_rate(self) -> Self {
        Self { variable: true, ..self }
    }

    /// How many frames it has.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// The file, made now if it was never made before.
    #[track_caller]
    pub fn path(&self) -> PathBuf {
        let extension = match self.form {
            Form::Lossless | Form::Interlaced => "mkv",
            Form::Film => "mp4",
            Form::Elementary => "h264",
        };
        let folder = place::cache("clips");
        let path = folder.join(format!("{:?}-{:016x}.{extension}", self.form, self.fingerprint()));
        if !path.exists() {
            let part = tempfile::Builder::new().suffix(".part").tempfile_in(&folder).expect("the cache is writable");
            gst::launch(&format!("{} filesink location={}", self.recipe(), gst::quoted(part.path()))).success();
            part.persist(&path).expect("a file can be renamed within its folder");
        }
        path
    }

    /// The start of a gst-launch line that gives the decoded frames.
    #[track_caller]
    pub fn source(&self) -> String {
        assert!(matches!(self.form, Form::Lossless), "only a lossless clip gives its frames to a line");
        format!("filesrc location={} ! matroskademux ! avdec_ffv1", gst::quoted(&self.path()))
    }

    /// A clip is known by how it is made, so that a changed recipe never meets an old file.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.recipe().hash(&mut hasher);
        hasher.finish()
    }

    fn recipe(&self) -> String {
        let scenes = self.scenes();
        match self.form {
            Form::Lossless => format!("{scenes} ! avenc_ffv1 ! matroskamux name=mux !"),
            Form::Interlaced => format!(
                "{scenes} ! capssetter caps=video/x-raw,interlace-mode=interleaved,field-order=top-field-first ! \
                 x264enc speed-preset=veryfast interlaced=true pass=quant quantizer=12 ! h264parse ! matroskamux name=mux !"
            ),
            Form::Elementary => format!(
                "{scenes} ! x264enc speed-preset=veryfast pass=quant quantizer=12 key-int-max=30 ! \
                 video/x-h264,stream-format=byte-stream,profile=high !"
            ),
            Form::Film => {
                let samples = u64::from(self.frames) * 48_000 * u64::from(self.rate.1) / u64::from(self.rate.0);
                format!(
                    "audiotestsrc wave=ticks samplesperbuffer=480 num-buffers={} ! audio/x-raw,rate=48000,channels=2 ! \
                     audioconvert ! avenc_aac ! aacparse ! queue ! mux. \
                     {scenes} ! x264enc speed-preset=veryfast pass=quant quantizer=12 key-int-max=30 ! \
                     video/x-h264,profile=high ! h264parse ! queue ! mp4mux name=mux !",
                    samples.div_ceil(480),
                )
            }
        }
    }

    /// The frames, from a `concat` of scenes.
    fn scenes(&self) -> String {
        let mut line = String::new();
        for (index, (frames, (numerator, denominator))) in self.parts().into_iter().enumerate() {
            // The last scene is the shorter one's successor: the cut lies in the middle, wherever the rate changes.
            let pattern = if index * 2 < self.parts().len() { FIRST_SCENE } else { SECOND_SCENE };
            line += &format!(
                "videotestsrc num-buffers={frames} {pattern} ! \
                 video/x-raw,format={},width={},height={},framerate={numerator}/{denominator} ! queue ! scenes. ",
                self.format, self.width, self.height,
            );
        }
        // Encoders with a lookahead put frames of one segment into the next, so there is but one.
        // A variable rate has no number.
        let uneven = if self.variable { "! capssetter caps=video/x-raw,framerate=0/1" } else { "" };
        format!("{line} concat name=scenes ! identity single-segment=true {uneven}")
    }

    /// Runs of frames at one rate each.
    fn parts(&self) -> Vec<(u32, (u32, u32))> {
        let rates = match self.variable {
            true => vec![(60, 1), (10, 1), (30, 1), (24, 1), (50, 1), (7, 1)],
            false => vec![self.rate; 2],
        };
        let (count, mut left) = (rates.len() as u32, self.frames);
        let mut parts = Vec::new();
        for rate in rates {
            let frames = self.frames.div_ceil(count).min(left);
            left -= frames;
            parts.extend((frames > 0).then_some((frames, rate)));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe;

    #[test]
    fn clips_have_the_frames_they_were_asked_for() {
        for frames in [1, 2, 31] {
            for clip in [Clip::raw(frames), Clip::film(frames), Clip::interlaced(frames), Clip::elementary(frames)] {
                assert_eq!(probe::packet_times(&clip.path(), "v:0").len(), frames as usize, "{clip:?}");
            }
        }
    }

    #[test]
    fn a_variable_rate_is_uneven() {
        let times = probe::frame_times(&Clip::raw(60).variable_rate().path());
        let mut gaps: Vec<_> = times.windows(2).map(|pair| ((pair[1] - pair[0]) * 1e3).round() as i64).collect();
        assert_eq!(times.len(), 60);
        gaps.dedup();
        assert!(gaps.len() > 5, "{gaps:?}");
    }
}
