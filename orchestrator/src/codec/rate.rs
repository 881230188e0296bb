//! `-b:v` for a whole file: the quality of each chunk is looked for, and this says what quality is to an encoder.

use gstdivien::budget::{Quality, Scale, Setting, Target};

use super::{Error, find, resolve};
use crate::cli::VideoArgs;

/// What a quality is called where encoders have one.
const CRF: &str = "crf";
/// `-b:v`
const RATE: &str = "b";

/// How an encoder spends the bits of a whole file.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scales {
    encoder: &'static str,
    scale: Scale,
    /// The quality that usually takes so many bits for each pixel.
    usual: (f64, f64),
    /// The preset that tells soon how the parts of a film compare, of pictures half as wide and half as high.
    fast: &'static str,
}

/// Of x264 a step of 6 doubles the quantizer's step size; with x265 as well. Sizes fall by 0.11 to 0.17 with one.
const SCALES: &[Scales] = &[
    Scales {
        encoder: "libx264",
        scale: Scale { best: 1.0, worst: 51.0, step: 0.13, analysis: 2.45 },
        usual: (23.0, 0.05),
        fast: "superfast",
    },
    Scales {
        encoder: "libx265",
        scale: Scale { best: 1.0, worst: 51.0, step: 0.13, analysis: 2.45 },
        usual: (28.0, 0.03),
        fast: "superfast",
    },
];

/// A bit rate that a whole file is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeRate {
    bits_per_second: u64,
    video: VideoArgs,
    threads: Option<u32>,
    /// The pictures, in pixels.
    size: Option<(u32, u32)>,
    /// Hundredths.
    guess: i32,
}

impl WholeRate {
    /// `None` where none is asked for, or the encoder has no quality that its options say.
    pub(super) fn of(video: &VideoArgs, threads: Option<u32>, bits_per_second: Option<u64>) -> Option<Self> {
        let bits_per_second = bits_per_second?;
        scales(video)?;
        Some(Self { bits_per_second, video: video.clone(), threads, size: None, guess: 0 })
    }

    /// The same for pictures of this size, of which so many come a second.
    #[must_use]
    pub fn of_pictures(self, size: Option<(u32, u32)>, rate: Option<(u32, u32)>) -> Self {
        let Some(Scales { scale, usual: (quality, bits), .. }) = scales(&self.video) else { return self };
        let (width, height) = size.unwrap_or((1280, 720));
        let rate = rate.map_or(25.0, |(n, d)| f64::from(n) / f64::from(d.max(1))).max(1.0);
        let each = self.bits_per_second as f64 / (f64::from(width) * f64::from(height) * rate).max(1.0);
        let guess = quality - (each / bits).ln() / scale.step;
        let guess = (guess.clamp(quality - 12.0, quality + 14.0) * 100.0).round() as i32;
        Self { size, guess, ..self }
    }

    /// What is looked for, by at most so large a part of it.
    pub(crate) fn target(&self, tolerance: f64) -> Option<Target> {
        let scale = scales(&self.video)?.scale;
        Some(Target { bits_per_second: self.bits_per_second, tolerance, guess: f64::from(self.guess) / 100.0, scale })
    }

    /// The text of `divienenc`'s property `encoder` with which the search begins.
    pub fn first(&self) -> Result<String, Error> {
        self.spec(Setting::Wanted, f64::from(self.guess) / 100.0)
    }

    /// The same with a setting and a quality.
    pub(crate) fn with(&self, setting: Setting, quality: Quality) -> Result<String, Error> {
        self.spec(setting, quality.value())
    }

    fn spec(&self, setting: Setting, quality: f64) -> Result<String, Error> {
        let mut video = self.video.clone();
        video.options.retain(|(name, _)| name != RATE);
        if setting == Setting::Analysis
            && let Some(scales) = scales(&video)
        {
            video.options.retain(|(name, _)| name != "preset");
            video.options.push(("preset".into(), scales.fast.into()));
        }
        video.options.push((CRF.into(), format!("{quality:.2}")));
        let choice = resolve(&video, self.threads)?;
        Ok(self.size.map_or_else(|| choice.spec.clone(), |(width, height)| choice.spec_for(width, height)))
    }
}

fn scales(video: &VideoArgs) -> Option<&'static Scales> {
    let encoder = find(&video.encoder)?.name;
    SCALES.iter().find(|scales| scales.encoder == encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(encoder: &str, options: &[(&str, &str)]) -> (Option<WholeRate>, bool) {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let choice = resolve(&VideoArgs { encoder: encoder.into(), options, pix_fmt: None }, None).unwrap();
        (choice.rate, choice.notes.iter().any(|note| note.contains("of each chunk")))
    }

    #[test]
    fn a_rate_is_that_of_the_whole_file_where_nothing_else_is_said_of_bits() {
        for encoder in ["libx264", "libx265"] {
            assert!(matches!(rate(encoder, &[("b", "1M")]), (Some(_), false)), "{encoder}");
            assert!(matches!(rate(encoder, &[("crf", "30"), ("b", "1M")]), (None, false)), "{encoder}");
            assert!(matches!(rate(encoder, &[("crf", "30")]), (None, false)), "{encoder}");
            let params = format!("{}-params", encoder.trim_start_matches("lib"));
            for own in ["bitrate=500", "bitrate=1000"] {
                assert!(matches!(rate(encoder, &[("b", "1M"), (&params, own)]), (None, true)), "{encoder} {own}");
            }
        }
        assert!(matches!(rate("libvpx-vp9", &[("b", "1M")]), (None, true)));
    }

    #[test]
    fn the_search_begins_near_what_such_pictures_usually_take() {
        let guess = |bits, size| {
            let rate =
                rate("libx264", &[("b", bits), ("preset", "slow")]).0.unwrap().of_pictures(Some(size), Some((25, 1)));
            let target = rate.target(0.01).unwrap();
            assert!(rate.first().unwrap().contains("speed-preset=slow"));
            assert!(rate.with(Setting::Analysis, Quality::default()).unwrap().contains("speed-preset=superfast"));
            target.guess
        };
        assert!(guess("2M", (1280, 720)) > guess("4M", (1280, 720)));
        assert!(guess("2M", (1280, 720)) < guess("2M", (1920, 1080)));
        assert!((11.0..=37.0).contains(&guess("1", (1920, 1080))) && (11.0..=37.0).contains(&guess("900M", (64, 64))));
    }
}
