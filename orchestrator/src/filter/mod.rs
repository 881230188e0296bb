//! ffmpeg's video filters: what may be typed, what it means, and the GStreamer elements that do it.

mod expr;
mod grammar;
mod options;
mod resolve;
mod sizes;

pub(crate) use options::{known, parse, rate};
pub(crate) use resolve::chroma;
pub use resolve::{Form, Resolved, check, resolve};
pub(crate) use sizes::size;

use gstdivien::chunk::Fps;

/// One filter of a chain, with what was asked of it. Texts are expressions whose names have been checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Another size, by interpolation.
    Scale(Scale),
    /// A part of the picture.
    Crop(Crop),
    /// The picture on a larger ground.
    Pad(Pad),
    /// Rows become columns.
    Transpose {
        /// `videoflip`'s direction.
        direction: &'static str,
        /// The form of pictures that stay as they are.
        keeps: Option<Upright>,
    },
    /// Mirrored, by `videoflip`'s direction.
    Flip(&'static str),
    /// Another form of the pixels.
    PixelAspect(u32, u32),
    /// Another form of the pixels, such that pictures have this form.
    Aspect(u32, u32),
    /// One of these raw formats, by GStreamer's names.
    Format(Vec<&'static str>),
    /// Whole pictures of each frame's first field.
    Yadif(Yadif),
    /// Frames at a constant rate.
    Fps(Fps),
}

impl Filter {
    /// `-s`
    pub(crate) fn scale_to(width: u32, height: u32) -> Self {
        let size = (width.to_string(), height.to_string());
        Self::Scale(Scale { size, method: options::METHOD, keeps: None, divisible_by: 1 })
    }
}

/// `scale`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scale {
    /// Width and height.
    pub size: (String, String),
    /// `videoscale`'s method.
    pub method: &'static str,
    /// The pictures keep their form: within that size, or around it.
    pub keeps: Option<Fit>,
    /// With `keeps`, both sides are multiples of this.
    pub divisible_by: u32,
}

/// `force_original_aspect_ratio`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "ffmpeg's names")]
pub enum Fit {
    Decrease,
    Increase,
}

/// `crop`
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Crop {
    pub size: (String, String),
    pub place: (String, String),
    /// Sizes and places are not rounded to whole samples of chroma.
    pub exact: bool,
}

/// `pad`
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Pad {
    pub size: (String, String),
    pub place: (String, String),
    /// `videobox`'s fill.
    pub fill: &'static str,
}

/// Which pictures `transpose` leaves as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "ffmpeg's names")]
pub enum Upright {
    Portrait,
    Landscape,
}

/// `yadif`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Yadif {
    /// The order of the fields; `None` is each frame's own.
    pub top_first: Option<bool>,
    /// Frames that are marked as interlaced alone.
    pub marked_alone: bool,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Labels, or several chains.
    #[error("this is a graph: divien takes one chain, filter,filter,…")]
    Graph,
    /// Two commas, or none behind a comma.
    #[error("there is no filter where one should be, between commas or at the end")]
    Empty,
    /// An open quote.
    #[error("a quote is not closed, or there is nothing behind the last \\")]
    Quotes,
    /// A filter that is not there.
    #[error("there is no filter '{name}' here{}; there are {}", super::filter::because(.name), options::names())]
    Unknown {
        /// As typed.
        name: String,
    },
    /// One of its options that is not there.
    #[error("{filter} has no option '{name}' here, or not without its name; it takes {takes}")]
    Option {
        /// The filter.
        filter: &'static str,
        /// The option.
        name: String,
        /// Those that are there.
        takes: String,
    },
    /// A value that is none.
    #[error("{filter} {name}={value}: {wanted}")]
    Value {
        /// The filter.
        filter: &'static str,
        /// The option.
        name: String,
        /// As typed.
        value: String,
        /// What would be one.
        wanted: String,
    },
    /// Filters that do not go together.
    #[error("{0}")]
    Order(&'static str),
    /// What was asked for does not fit the pictures.
    #[error("{filter}: {what}")]
    Fit {
        /// The filter.
        filter: &'static str,
        /// What does not fit.
        what: String,
    },
}

/// Why some filters of ffmpeg cannot be had.
fn because(name: &str) -> &'static str {
    match name {
        "bwdif" | "w3fdif" | "kerndeint" | "estdif" | "nnedi" => " (yadif is there)",
        "tblend" | "tinterlace" | "tmix" | "minterpolate" | "framerate" | "decimate" | "mpdecimate" | "fieldmatch"
        | "pullup" | "detelecine" | "telecine" | "select" | "framestep" | "thumbnail" | "reverse" | "loop"
        | "setpts" | "hqdn3d" | "nlmeans" | "deshake" | "deflicker" | "fade" | "xfade" | "tpad" => {
            " (its pictures depend on many before them, which no chunk has)"
        }
        _ => "",
    }
}
