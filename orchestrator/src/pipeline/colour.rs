//! What the input says of its colours, and no more, is what encoders are told.
//!
//! GStreamer's raw caps cannot leave a matrix unsaid: where none is given every element guesses one by the picture's
//! height, and encoders write that guess into the stream. Pictures are never changed here.

use gst_video::{
    VideoChromaSite, VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoTransferFunction,
};

use super::track;
use crate::mux::{LightLevel, Mastering};

/// x264's names by the numbers of ISO/IEC 23091-2; it takes no numbers.
const PRIMARIES: &[(u32, &str)] = &[
    (1, "bt709"),
    (4, "bt470m"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (7, "smpte240m"),
    (8, "film"),
    (9, "bt2020"),
    (10, "smpte428"),
    (11, "smpte431"),
    (12, "smpte432"),
];
const TRANSFERS: &[(u32, &str)] = &[
    (1, "bt709"),
    (4, "bt470m"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (7, "smpte240m"),
    (8, "linear"),
    (9, "log100"),
    (10, "log316"),
    (13, "iec61966-2-1"),
    (14, "bt2020-10"),
    (15, "bt2020-12"),
    (16, "smpte2084"),
    (18, "arib-std-b67"),
];
const MATRICES: &[(u32, &str)] = &[(1, "bt709"), (4, "fcc"), (6, "smpte170m"), (7, "smpte240m"), (9, "bt2020nc")];

/// The colours of an input, as far as it tells them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    range: VideoColorRange,
    matrix: VideoColorMatrix,
    transfer: VideoTransferFunction,
    primaries: VideoColorPrimaries,
    /// Where chroma lies, by x264's numbers.
    site: u32,
    mastering: Option<Mastering>,
    light: Option<LightLevel>,
}

impl Said {
    /// Reads the caps of the coded stream, then those of its decoder where `honest` decoders write nothing of their
    /// own. `None` where pictures are to be converted from RGB: then the conversion decides, and raw caps tell it.
    pub(super) fn of(coded: &gst::CapsRef, decoded: &gst::CapsRef, honest: bool) -> Option<Self> {
        let info = gst_video::VideoInfo::from_caps(decoded).ok()?;
        if info.is_rgb() {
            return None;
        }
        let (first, then) = (colorimetry(coded), colorimetry(decoded).filter(|_| honest));
        let site = match info.chroma_site() {
            VideoChromaSite::JPEG => 1,
            VideoChromaSite::DV => 2,
            VideoChromaSite::V_COSITED => 3,
            _ => 0,
        };
        let (mastering, light) = track::hdr10(decoded, coded);
        // As ffmpeg takes it, and players do.
        let unsaid = if info.format_info().is_gray() { VideoColorRange::Range0_255 } else { VideoColorRange::Unknown };
        let range = known(&first, &then, VideoColorimetry::range, VideoColorRange::Unknown);
        Some(Self {
            range: if range == VideoColorRange::Unknown { unsaid } else { range },
            matrix: known(&first, &then, VideoColorimetry::matrix, VideoColorMatrix::Unknown),
            transfer: known(&first, &then, VideoColorimetry::transfer, VideoTransferFunction::Unknown),
            primaries: known(&first, &then, VideoColorimetry::primaries, VideoColorPrimaries::Unknown),
            site,
            mastering,
            light,
        })
    }

    /// Properties that have the encoder write just this; empty where raw caps are all it goes by.
    pub(super) fn properties(&self, factory: &str) -> String {
        let full = self.is_full_range();
        let (primaries, transfer, matrix) = self.numbers();
        match factory {
            "x264enc" => format!(
                "insert-vui=false option-string=\"colorprim={}:transfer={}:colormatrix={}:fullrange={}:chromaloc={}{}\"",
                name(PRIMARIES, primaries),
                name(TRANSFERS, transfer),
                name(MATRICES, matrix),
                if full { "on" } else { "off" },
                self.site,
                self.hdr10(),
            ),
            "x265enc" => format!(
                "option-string=\"colorprim={primaries}:transfer={transfer}:colormatrix={matrix}:range={}\"",
                if full { "full" } else { "limited" },
            ),
            _ => String::new(),
        }
    }

    /// HDR10's data in x264's words, which x264enc leaves out; x265enc writes them by itself.
    fn hdr10(&self) -> String {
        let mastering = self.mastering.map(|Mastering { primaries: [red, green, blue], white, max, min }| {
            let point = |(x, y): (u16, u16)| format!("({x},{y})");
            let [r, g, b, w] = [red, green, blue, white].map(point);
            format!(":mastering-display=G{g}B{b}R{r}WP{w}L({max},{min})")
        });
        let light = self.light.map(|l| format!(":cll={},{}", l.max_content, l.max_frame_average));
        [mastering, light].into_iter().flatten().collect()
    }

    /// True where black is 0 and white the largest value.
    pub(super) fn is_full_range(&self) -> bool {
        self.range == VideoColorRange::Range0_255
    }

    /// For the container; `None` where nothing was said.
    pub(super) fn told(&self) -> Option<VideoColorimetry> {
        let told = VideoColorimetry::new(self.range, self.matrix, self.transfer, self.primaries);
        let silent = self.range == VideoColorRange::Unknown && self.numbers() == (2, 2, 2);
        (!silent).then_some(told)
    }

    /// The raw caps without guesses, as far as raw caps can be, in the form `factory` understands.
    pub(super) fn in_caps(&self, raw: &mut gst::Caps, factory: &str) {
        let Ok(info) = gst_video::VideoInfo::from_caps(raw) else { return };
        if info.is_rgb() || info.format_info().is_gray() {
            return;
        }
        let guessed = info.colorimetry();
        let matrix = if self.matrix == VideoColorMatrix::Unknown { guessed.matrix() } else { self.matrix };
        let range = if self.range == VideoColorRange::Unknown { guessed.range() } else { self.range };
        let (mut transfer, mut primaries) = (self.transfer, self.primaries);
        // It knows matrices by the whole sets they are usual in, and has no room for the rest.
        if factory == "vp9enc"
            && let Some(set) = usual(self.matrix)
        {
            (transfer, primaries) = (set.transfer(), set.primaries());
        }
        let told = VideoColorimetry::new(range, matrix, transfer, primaries);
        raw.make_mut().set("colorimetry", told.to_string());
    }

    fn numbers(&self) -> (u32, u32, u32) {
        (self.primaries.to_iso(), self.transfer.to_iso(), self.matrix.to_iso())
    }
}

/// A field of the first that knows it: a container may say the range, and the stream in it the rest.
fn known<T: PartialEq + Copy>(
    first: &Option<VideoColorimetry>,
    then: &Option<VideoColorimetry>,
    field: impl Fn(&VideoColorimetry) -> T,
    unknown: T,
) -> T {
    let mut told = [first, then].into_iter().flatten().map(field);
    told.find(|value| *value != unknown).unwrap_or(unknown)
}

fn usual(matrix: VideoColorMatrix) -> Option<VideoColorimetry> {
    let name = match matrix {
        VideoColorMatrix::Bt601 => "bt601",
        VideoColorMatrix::Bt709 => "bt709",
        VideoColorMatrix::Smpte240m => "smpte240m",
        VideoColorMatrix::Bt2020 => "bt2020",
        _ => return None,
    };
    name.parse().ok()
}

fn colorimetry(caps: &gst::CapsRef) -> Option<VideoColorimetry> {
    caps.structure(0)?.get::<&str>("colorimetry").ok()?.parse().ok()
}

fn name(names: &[(u32, &'static str)], number: u32) -> &'static str {
    names.iter().find(|(n, _)| *n == number).map_or("undef", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(coded: &str, decoded: &str) -> Option<Said> {
        gst::init().unwrap();
        let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
        Said::of(&caps(coded), &caps(decoded), true)
    }

    const RAW: &str = "video/x-raw,format=I420,width=64,height=64,framerate=25/1";

    #[test]
    fn what_the_input_leaves_unsaid_stays_unsaid() {
        let none = said("video/x-h264", RAW).unwrap();
        assert!(none.properties("x264enc").contains("colorprim=undef:transfer=undef:colormatrix=undef:fullrange=off"));
        assert!(none.properties("x265enc").contains("colorprim=2:transfer=2:colormatrix=2:range=limited"));
        assert!(!none.properties("x264enc").contains("mastering") && !none.properties("x264enc").contains("cll"));
        let range = said("video/x-h264,colorimetry=(string)1:0:0:0", RAW).unwrap();
        assert!(range.properties("x264enc").contains("colormatrix=undef:fullrange=on"));
        let mut caps: gst::Caps = format!("{RAW},colorimetry=bt601").parse().unwrap();
        none.in_caps(&mut caps, "vp9enc");
        let left = colorimetry(&caps).unwrap();
        assert_eq!(left.primaries(), VideoColorPrimaries::Unknown);
        assert_eq!(left.transfer(), VideoTransferFunction::Unknown);
        assert!(gst_video::VideoInfo::from_caps(&caps).unwrap().colorimetry() == left, "elements take it as it is");
    }

    #[test]
    fn what_it_says_is_written_in_the_encoders_words() {
        let hdr = said("video/x-h265,colorimetry=bt2100-pq", RAW).unwrap();
        assert!(hdr.properties("x264enc").contains("colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"));
        assert!(hdr.properties("x265enc").contains("colorprim=9:transfer=16:colormatrix=9"));
        let decoder = said("video/mpeg", &format!("{RAW},colorimetry=bt709")).unwrap();
        assert!(decoder.properties("x265enc").contains("colorprim=1:transfer=1:colormatrix=1"));
        let mut caps: gst::Caps = RAW.parse().unwrap();
        hdr.in_caps(&mut caps, "vp9enc");
        assert_eq!(colorimetry(&caps), "bt2020".parse().ok());
    }

    #[test]
    fn converted_pictures_have_the_colours_of_the_conversion() {
        assert_eq!(said("image/png", "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"), None);
    }
}
