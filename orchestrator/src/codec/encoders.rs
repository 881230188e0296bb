//! ffmpeg's encoders and the elements that stand for them.

use super::options::{Args, Opt};
use super::{Error, Mapped, aom, libav, openh264, vpx, x264, x264_options, x265};
use crate::cli::nearest_names;

/// One of ffmpeg's encoders.
pub(crate) struct EncoderDef {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) factory: &'static str,
    pub(crate) title: &'static str,
    /// The Debian 12 package of the element; empty where there is none.
    pub(crate) package: &'static str,
    pub(crate) options: &'static [Opt],
    pub(super) map: fn(&Args) -> Result<Mapped, Error>,
    pub(crate) max_threads: u32,
    /// How it differs from ffmpeg's, for the help.
    pub(crate) remark: &'static str,
}

const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

pub(crate) const ENCODERS: &[EncoderDef] = &[
    EncoderDef {
        name: "libx264",
        aliases: &["h264", "x264"],
        factory: "x264enc",
        title: "H.264 by x264",
        package: UGLY,
        options: x264_options::OPTIONS,
        map: x264::map,
        max_threads: 128,
        remark: "x264 gets the settings that ffmpeg gives it for the same arguments. A fractional -crf is reached through x264's zones.",
    },
    EncoderDef {
        name: "libx265",
        aliases: &["hevc", "h265", "x265"],
        factory: "x265enc",
        title: "H.265 by x265",
        package: BAD,
        options: x265::OPTIONS,
        map: x265::map,
        max_threads: 16,
        remark: "x265 gets the settings that ffmpeg gives it for the same arguments, but that groups of pictures are closed.",
    },
    EncoderDef {
        name: "libvpx-vp9",
        aliases: &["vp9"],
        factory: "vp9enc",
        title: "VP9 by libvpx",
        package: GOOD,
        options: vpx::VP9_OPTIONS,
        map: vpx::map_vp9,
        max_threads: 64,
        remark: "-crf needs -b:v as the upper limit (constrained quality): GStreamer 1.22's element has no constant quality without one.",
    },
    EncoderDef {
        name: "libvpx",
        aliases: &["vp8"],
        factory: "vp8enc",
        title: "VP8 by libvpx",
        package: GOOD,
        options: vpx::VP8_OPTIONS,
        map: vpx::map_vp8,
        max_threads: 64,
        remark: "",
    },
    EncoderDef {
        name: "libaom-av1",
        aliases: &["av1"],
        factory: "av1enc",
        title: "AV1 by libaom",
        package: BAD,
        options: aom::OPTIONS,
        map: aom::map,
        max_threads: 64,
        remark: "8 bit only. GStreamer 1.22's element cannot set the level of -crf, is always error-resilient and has no look-ahead in its rate control, so that -b:v wants -lag-in-frames 0 -error-resilience default beside it; the file is then ffmpeg's for these arguments, and larger than without them.",
    },
    EncoderDef {
        name: "libsvtav1",
        aliases: &[],
        factory: "svtav1enc",
        title: "AV1 by SVT-AV1",
        package: "",
        options: aom::SVT_OPTIONS,
        map: aom::map_svt,
        max_threads: 64,
        remark: "",
    },
    EncoderDef {
        name: "librav1e",
        aliases: &[],
        factory: "rav1enc",
        title: "AV1 by rav1e",
        package: "",
        options: aom::RAV1E_OPTIONS,
        map: aom::map_rav1e,
        max_threads: 64,
        remark: "",
    },
    EncoderDef {
        name: "libopenh264",
        aliases: &[],
        factory: "openh264enc",
        title: "H.264 by OpenH264",
        package: BAD,
        options: openh264::OPTIONS,
        map: openh264::map,
        max_threads: 4,
        remark: "",
    },
    EncoderDef {
        name: "mpeg4",
        aliases: &[],
        factory: "avenc_mpeg4",
        title: "MPEG-4 part 2 by libavcodec",
        package: LIBAV,
        options: libav::MPEG_OPTIONS,
        map: libav::map_mpeg,
        max_threads: 64,
        remark: "With -q:v the file is a little smaller than ffmpeg's for the same quality. -b:v only from GStreamer 1.24 on, because before the element's rate control counts nanoseconds as frames.",
    },
    EncoderDef {
        name: "mpeg2video",
        aliases: &[],
        factory: "avenc_mpeg2video",
        title: "MPEG-2 by libavcodec",
        package: LIBAV,
        options: libav::MPEG_OPTIONS,
        map: libav::map_mpeg2,
        max_threads: 64,
        remark: "Not to be had from GStreamer before 1.24, whose element counts time in nanoseconds, which is no frame rate of MPEG-2.",
    },
    EncoderDef {
        name: "prores_ks",
        aliases: &["prores"],
        factory: "avenc_prores_ks",
        title: "ProRes by libavcodec",
        package: LIBAV,
        options: libav::PRORES_OPTIONS,
        map: libav::map_prores,
        max_threads: 64,
        remark: "",
    },
    EncoderDef {
        name: "ffv1",
        aliases: &[],
        factory: "avenc_ffv1",
        title: "FFV1, lossless, by libavcodec",
        package: LIBAV,
        options: libav::FFV1_OPTIONS,
        map: libav::map_ffv1,
        max_threads: 64,
        remark: "Always version 3 of the format, with check sums unless -slicecrc 0; ffmpeg takes version 0 for pictures up to 720x576 where no -level is given.",
    },
    EncoderDef {
        name: "mjpeg",
        aliases: &[],
        factory: "avenc_mjpeg",
        title: "Motion JPEG by libavcodec",
        package: LIBAV,
        options: libav::MJPEG_OPTIONS,
        map: libav::map_mjpeg,
        max_threads: 64,
        remark: "-b:v only from GStreamer 1.24 on. The range of the input is kept, where ffmpeg makes it full.",
    },
];

/// Encoders of ffmpeg's that have no element here, and what to do instead.
const WITHOUT: &[(&str, &str)] = &[
    ("copy", "divien encodes the video; to copy streams use ffmpeg"),
    ("libxvid", "use mpeg4"),
    ("libtheora", "use GStreamer's theoraenc with its own properties"),
    ("theora", "use GStreamer's theoraenc with its own properties"),
    ("libx264rgb", "x264enc takes no RGB; use libx264 with -pix_fmt yuv444p"),
    ("prores_aw", "use prores_ks"),
    ("mpeg1video", "use mpeg2video"),
    ("png", "pictures are not a video stream that can be joined here; use ffv1 for lossless video"),
    ("rawvideo", "divien encodes; there is nothing to gain for raw video"),
    ("gif", "use a video codec"),
];

/// How ffmpeg's names of hardware encoders end.
const HARDWARE: &[&str] = &["_nvenc", "_vaapi", "_qsv", "_amf", "_videotoolbox", "_v4l2m2m", "_omx", "_mf"];

/// Package of elements that are not among ffmpeg's encoders but may be named.
const FACTORY_PACKAGES: &[(&str, &str)] = &[("theoraenc", "gstreamer1.0-plugins-base"), ("jpegenc", GOOD)];

pub(crate) fn find(name: &str) -> Option<&'static EncoderDef> {
    ENCODERS.iter().find(|def| def.name == name || def.aliases.contains(&name))
}

/// Whether the element is there.
pub(crate) fn installed(factory: &str) -> bool {
    gst::init().is_ok() && gst::ElementFactory::find(factory).is_some()
}

pub(super) fn require(def: &EncoderDef) -> Result<(), Error> {
    if installed(def.factory) { Ok(()) } else { Err(missing(def)) }
}

fn missing(def: &EncoderDef) -> Error {
    let remedy = match def.package {
        "" => "Debian 12 has no package of it; libaom-av1 is its AV1 encoder".into(),
        package => format!("apt install {package}"),
    };
    Error::NotInstalled { name: def.name.into(), factory: def.factory.into(), remedy }
}

pub(super) fn check_threads(def: &EncoderDef, threads: Option<u32>) -> Result<(), Error> {
    match threads {
        Some(n) if n > def.max_threads => Err(Error::OutOfRange {
            encoder: def.name.into(),
            name: "threads".into(),
            value: n.to_string(),
            range: format!("0 to {}", def.max_threads),
        }),
        _ => Ok(()),
    }
}

/// The error for a name that is neither an encoder of ffmpeg's nor an element that is installed.
pub(crate) fn unknown(name: &str) -> Error {
    if let Some((_, reason)) = WITHOUT.iter().find(|(known, _)| *known == name) {
        return Error::NotSupported { name: name.into(), reason };
    }
    if HARDWARE.iter().any(|suffix| name.ends_with(suffix)) {
        let reason = "name GStreamer's element for it (nvh264enc, vah264enc …), with its own properties";
        return Error::NotSupported { name: name.into(), reason };
    }
    if let Some(def) = ENCODERS.iter().find(|def| def.factory == name) {
        return missing(def);
    }
    let package = FACTORY_PACKAGES.iter().find(|(factory, _)| *factory == name).map(|(_, package)| *package);
    let package = package.or_else(|| name.starts_with("avenc_").then_some(LIBAV));
    if let Some(package) = package {
        let remedy = format!("apt install {package}");
        return Error::NotInstalled { name: name.into(), factory: name.into(), remedy };
    }
    let names = ENCODERS.iter().flat_map(|def| std::iter::once(def.name).chain(std::iter::once(def.factory)));
    Error::UnknownEncoder { name: name.into(), near: nearest_names(name, names) }
}
