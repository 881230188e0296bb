//! Pixel formats by ffmpeg's names and by GStreamer's.

use super::Error;
use super::gst_element::sink_formats;

const FORMATS: &[(&str, &str)] = &[
    ("yuv420p", "I420"),
    ("yuv422p", "Y42B"),
    ("yuv444p", "Y444"),
    ("yuv420p10le", "I420_10LE"),
    ("yuv422p10le", "I422_10LE"),
    ("yuv444p10le", "Y444_10LE"),
    ("yuv420p12le", "I420_12LE"),
    ("yuv422p12le", "I422_12LE"),
    ("yuv444p12le", "Y444_12LE"),
    ("nv12", "NV12"),
    ("nv21", "NV21"),
    ("p010le", "P010_10LE"),
    ("yuv410p", "YUV9"),
    ("yuv411p", "Y41B"),
    ("yuyv422", "YUY2"),
    ("uyvy422", "UYVY"),
    ("yuva420p", "A420"),
    ("yuva420p10le", "A420_10LE"),
    ("yuva422p10le", "A422_10LE"),
    ("yuva444p10le", "A444_10LE"),
    ("gray", "GRAY8"),
    ("gray16le", "GRAY16_LE"),
    ("gbrp", "GBR"),
    ("gbrp10le", "GBR_10LE"),
    ("gbrp12le", "GBR_12LE"),
    ("gbrap10le", "GBRA_10LE"),
    ("gbrap12le", "GBRA_12LE"),
    ("rgb24", "RGB"),
    ("bgr24", "BGR"),
    ("bgra", "BGRA"),
    ("bgr0", "BGRx"),
];

/// GStreamer's name; ffmpeg's names without `le` are the machine's order, little-endian on every machine we build for.
pub(crate) fn to_gst(ffmpeg: &str) -> Option<&'static str> {
    let find = |name: &str| FORMATS.iter().find(|(f, _)| *f == name).map(|(_, gst)| *gst);
    find(ffmpeg).or_else(|| find(&format!("{ffmpeg}le")))
}

fn to_ffmpeg(gst: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(_, g)| *g == gst).map(|(f, _)| *f)
}

/// The formats that `-pix_fmt` and the profile leave, checked against the element.
pub(super) fn allowed(
    encoder: &str,
    factory: &str,
    pix_fmt: Option<&str>,
    profile: &[&str],
) -> Result<Vec<String>, Error> {
    let of_element = sink_formats(factory);
    let takes = |gst: &str| of_element.is_empty() || of_element.iter().any(|f| f == gst);
    let of_profile: Vec<&str> = profile.iter().filter_map(|f| to_gst(f)).filter(|f| takes(f)).collect();
    if of_profile.is_empty() && !profile.is_empty() {
        let takes = of_element.iter().filter_map(|f| to_ffmpeg(f)).collect::<Vec<_>>().join(", ");
        return Err(Error::PixelFormat { encoder: encoder.into(), pix_fmt: profile.join(", "), takes });
    }
    let Some(wanted) = pix_fmt else {
        return Ok(of_profile.into_iter().map(str::to_owned).collect());
    };
    let refusal = |takes: String| Error::PixelFormat { encoder: encoder.into(), pix_fmt: wanted.into(), takes };
    if let Some(base) = wanted.strip_prefix("yuvj") {
        return Err(refusal(format!("-pix_fmt yuv{base}; whether the range is full is taken from the input")));
    }
    match to_gst(wanted) {
        Some(gst) if takes(gst) && (profile.is_empty() || of_profile.contains(&gst)) => Ok(vec![gst.to_owned()]),
        _ if !profile.is_empty() => {
            let names: Vec<&str> = of_profile.iter().filter_map(|f| to_ffmpeg(f)).collect();
            Err(refusal(format!("{} with this profile", names.join(", "))))
        }
        _ => {
            let names: Vec<&str> = of_element.iter().filter_map(|f| to_ffmpeg(f)).collect();
            Err(refusal(names.join(", ")))
        }
    }
}
