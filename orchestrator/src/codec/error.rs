use crate::cli::nearest;

/// What to give in place of an option that the encoder lacks, by the option and the start of the encoder's name.
const INSTEAD: &[(&str, &str, &str)] = &[
    ("level", "libx265", "ffmpeg's libx265 takes no notice of -level; -x265-params level-idc=4.1 sets it"),
    ("q", "libx26", "-crf sets the quality of this encoder, -qp its quantizer"),
    ("q", "libvpx", "-crf and -b:v set the quality of this encoder"),
    ("preset", "libvpx", "-deadline good or best and -cpu-used 0 to 8 set the speed of this encoder"),
    ("preset", "libaom", "-cpu-used 0 to 8 sets the speed of this encoder"),
    ("crf", "libopenh264", "-b:v and -qmin, -qmax set the quality of this encoder; libx264 has -crf"),
    ("crf", "m", "-q:v 1 to 31 sets the quality of this encoder"),
    ("crf", "prores", "-profile:v and -q:v set the quality of this encoder"),
    ("crf", "ffv1", "FFV1 is lossless: there is no quality to set"),
];

/// An encoder or a setting that cannot be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {0}")]
    NoGstreamer(String),
    /// No encoder of this name, here or anywhere we know of.
    #[error("no video encoder '{name}'{}", nearest_encoders(.near))]
    UnknownEncoder {
        /// As typed.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// An encoder of ffmpeg's that no GStreamer element stands for.
    #[error("encoder '{name}' is not supported yet: {reason}")]
    NotSupported {
        /// As typed.
        name: String,
        /// Why, or what to use.
        reason: &'static str,
    },
    /// The element exists but not on this machine.
    #[error("encoder '{name}' is not installed: its GStreamer element {factory} is missing; {remedy}")]
    NotInstalled {
        /// As typed.
        name: String,
        /// The element.
        factory: String,
        /// The package that has it.
        remedy: String,
    },
    /// An element that is no video encoder.
    #[error("'{name}' is a GStreamer element but no video encoder ({class})")]
    NotAnEncoder {
        /// As typed.
        name: String,
        /// What it is.
        class: String,
    },
    /// The encoder has no such option.
    #[error("{encoder} has no option '-{name}'{}", nearest(.near))]
    UnknownOption {
        /// As typed.
        encoder: String,
        /// The option without its dash.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// A value of the wrong kind.
    #[error("'{value}' is no value for -{name} of {encoder}: {wanted}")]
    BadValue {
        /// As typed.
        encoder: String,
        /// The option without its dash.
        name: String,
        /// As typed.
        value: String,
        /// What it should look like.
        wanted: String,
    },
    /// A value outside its range.
    #[error("-{name} {value} is out of range for {encoder}: {range}")]
    OutOfRange {
        /// As typed.
        encoder: String,
        /// The option without its dash.
        name: String,
        /// As typed.
        value: String,
        /// The values it can have.
        range: String,
    },
    /// ffmpeg's meaning of the arguments cannot be had from the element.
    #[error("{encoder}: {what} cannot be had from GStreamer's {factory}: {instead}")]
    CannotExpress {
        /// As typed.
        encoder: String,
        /// The element.
        factory: String,
        /// The argument.
        what: String,
        /// Why, and what can.
        instead: String,
    },
    /// An argument that would break a rule of the parallel encode.
    #[error("{encoder}: {what} is refused: {reason}")]
    Refused {
        /// As typed.
        encoder: String,
        /// The argument.
        what: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The pixel format is not one of the encoder's.
    #[error("{encoder} does not take -pix_fmt {pix_fmt}: it takes {takes}")]
    PixelFormat {
        /// As typed.
        encoder: String,
        /// As typed.
        pix_fmt: String,
        /// What it takes, by ffmpeg's names.
        takes: String,
    },
}

impl Error {
    /// What to do next, where the message does not already say it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownEncoder { .. } | Self::NotAnEncoder { .. } => {
                Some("divien -encoders lists the encoders; any GStreamer video encoder can be named too".into())
            }
            Self::UnknownOption { encoder, name, .. } => {
                if let Some((_, _, instead)) = INSTEAD.iter().find(|(n, of, _)| n == name && encoder.starts_with(of)) {
                    return Some((*instead).into());
                }
                Some(format!("divien -h encoder={encoder} lists the options it has"))
            }
            _ => None,
        }
    }
}

fn nearest_encoders(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(": did you mean {}?", near.join(" or ")) }
}
