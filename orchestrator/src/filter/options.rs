//! The filters that are there, and what they may be told.

use gstdivien::chunk::Fps;

use super::expr;
use super::grammar::{self, Typed};
use super::{Crop, Filter, FilterError, Fit, Pad, Scale, Upright, Yadif, sizes};
use crate::cli::number;
use crate::codec;

/// A filter: its name, what the help says, its options in ffmpeg's order with their other names.
struct Def {
    name: &'static str,
    help: &'static str,
    /// So many of the options may stand without their names, as in ffmpeg.
    places: usize,
    options: &'static [&'static [&'static str]],
    read: fn(&Args) -> Result<Option<Filter>, FilterError>,
}

const FILTERS: &[Def] = &[
    Def {
        name: "scale",
        help: "another size; -1 and -2 (-n: a multiple of n) follow the other side; w=iw/2, 640x360 and hd720 too; flags bicubic (the default), bilinear, lanczos, neighbor by videoscale's nearest methods; pictures keep the form in which they are shown",
        places: 3,
        options: &[
            &["w", "width"],
            &["h", "height"],
            &["flags"],
            &["size", "s"],
            &["force_original_aspect_ratio"],
            &["force_divisible_by"],
        ],
        read: scale,
    },
    Def {
        name: "crop",
        help: "a part, in the middle unless x and y are given; sides and places are rounded down to whole samples of chroma unless exact=1",
        places: 4,
        options: &[&["w", "out_w"], &["h", "out_h"], &["x"], &["y"], &["exact"]],
        read: crop,
    },
    Def {
        name: "pad",
        help: "a larger picture with this one at x:y, in the middle where those do not fit; color black or white; of 8 bit",
        places: 5,
        options: &[&["w", "width"], &["h", "height"], &["x"], &["y"], &["color"]],
        read: pad,
    },
    Def {
        name: "transpose",
        help: "dir 0 to 3 or cclock_flip, clock, cclock, clock_flip; passthrough none, portrait, landscape",
        places: 2,
        options: &[&["dir"], &["passthrough"]],
        read: transpose,
    },
    Def {
        name: "hflip",
        help: "mirrored, left to right",
        places: 0,
        options: &[],
        read: |_| Ok(Some(Filter::Flip("horiz"))),
    },
    Def {
        name: "vflip",
        help: "mirrored, upside down",
        places: 0,
        options: &[],
        read: |_| Ok(Some(Filter::Flip("vert"))),
    },
    Def {
        name: "setsar",
        help: "the form of a pixel: 64/45, 1.5",
        places: 2,
        options: &[&["sar", "ratio", "r"], &["max"]],
        read: setsar,
    },
    Def {
        name: "setdar",
        help: "the form of the picture: 16/9",
        places: 2,
        options: &[&["dar", "ratio", "r"], &["max"]],
        read: setdar,
    },
    Def {
        name: "format",
        help: "pixel formats, the wanted one first: yuv420p|yuv422p10le",
        places: 1,
        options: &[&["pix_fmts"]],
        read: format,
    },
    Def {
        name: "yadif",
        help: "whole pictures of interlaced frames, one of each: mode send_frame; parity auto, tff, bff; deint all, interlaced; stands first, as frames are decoded",
        places: 3,
        options: &[&["mode"], &["parity"], &["deint"]],
        read: yadif,
    },
    Def {
        name: "fps",
        help: "a constant rate: frames are left out and repeated by their times alone, round=near; once in a chain",
        places: 1,
        options: &[&["fps"], &["round"]],
        read: fps,
    },
    Def { name: "null", help: "nothing", places: 0, options: &[], read: |_| Ok(None) },
];

/// Their names, for messages.
pub(super) fn names() -> String {
    FILTERS.iter().map(|def| def.name).collect::<Vec<_>>().join(", ")
}

/// Each as it is written, and what it does, for the help.
pub(crate) fn known() -> impl Iterator<Item = (String, &'static str)> {
    let typed = |def: &Def| {
        let options: Vec<&str> = def.options.iter().filter_map(|names| names.first()).copied().collect();
        if options.is_empty() { def.name.to_owned() } else { format!("{}={}", def.name, options.join(":")) }
    };
    FILTERS.iter().map(move |def| (typed(def), def.help))
}

/// Reads and checks a chain.
pub(crate) fn parse(text: &str) -> Result<Vec<Filter>, FilterError> {
    let mut filters = Vec::new();
    for typed in grammar::chain(text)? {
        let unknown = || FilterError::Unknown { name: typed.name.clone() };
        let def = FILTERS.iter().find(|def| def.name == typed.name).ok_or_else(unknown)?;
        filters.extend((def.read)(&Args::of(def, typed)?)?);
    }
    Ok(filters)
}

impl Def {
    fn takes(&self) -> String {
        self.options.iter().filter_map(|names| names.first()).copied().collect::<Vec<_>>().join(", ")
    }
}

/// The options of one filter.
struct Args {
    filter: &'static str,
    given: Vec<(&'static str, String)>,
}

impl Args {
    fn of(def: &'static Def, typed: Typed) -> Result<Self, FilterError> {
        let mut given: Vec<(&'static str, String)> = Vec::new();
        for (place, (key, value)) in typed.values.into_iter().enumerate() {
            let named = |key: &str| def.options.iter().find(|names| names.contains(&key));
            let placed = || def.options.get(place).filter(|_| place < def.places);
            let option = key.as_deref().map_or_else(placed, named).and_then(|names| names.first());
            let Some(option) = option else {
                let takes = if def.options.is_empty() { "none".into() } else { def.takes() };
                return Err(FilterError::Option { filter: def.name, name: key.unwrap_or(value), takes });
            };
            given.retain(|(known, _)| known != option);
            given.push((*option, value));
        }
        Ok(Self { filter: def.name, given })
    }

    fn text(&self, option: &str) -> Option<&str> {
        self.given.iter().find(|(name, _)| *name == option).map(|(_, value)| value.as_str())
    }

    fn bad(&self, option: &str, wanted: &str) -> FilterError {
        let value = self.text(option).unwrap_or_default().to_owned();
        FilterError::Value { filter: self.filter, name: option.into(), value, wanted: wanted.into() }
    }

    /// An expression, whose names are checked here and whose value is known when the pictures' size is.
    fn expression(&self, option: &str, default: &str) -> Result<String, FilterError> {
        let text = self.text(option).unwrap_or(default);
        let known = |name: &str| super::resolve::NAMES.contains(&name).then_some(1.0);
        match expr::value(text, &known) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(self.bad(option, &error.to_string())),
        }
    }

    /// One of these words, or the number that stands for it.
    fn word(&self, option: &str, words: &[&str]) -> Result<Option<usize>, FilterError> {
        let Some(text) = self.text(option) else { return Ok(None) };
        let found = words.iter().position(|word| *word == text).or_else(|| text.parse().ok());
        let found = found.filter(|n| *n < words.len());
        found.map(Some).ok_or_else(|| self.bad(option, &format!("one of {} is wanted", words.join(", "))))
    }

    fn ratio(&self, option: &str) -> Result<(u32, u32), FilterError> {
        let max = match self.text("max") {
            Some(text) => text.parse().ok().filter(|max| *max > 0).ok_or_else(|| self.bad("max", "a whole number"))?,
            None => 100,
        };
        let text = self.text(option).unwrap_or_default();
        let part = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0);
        let exact = text.split_once(['/', ':']).and_then(|(n, d)| part(n).zip(part(d)));
        let near = || number(text).filter(|value| *value > 0.0).and_then(|value| nearest(value, max));
        exact.or_else(near).ok_or_else(|| self.bad(option, "a ratio above 0 is wanted: 16/9, or 1.25"))
    }
}

/// The fraction nearest to `value` whose parts are no larger than `max`.
fn nearest(value: f64, max: u32) -> Option<(u32, u32)> {
    let of = |d: u32| ((value * f64::from(d)).round(), d);
    let fits = |(n, _): &(f64, u32)| (1.0..=f64::from(max)).contains(n);
    let distance = |(n, d): &(f64, u32)| (n / f64::from(*d) - value).abs();
    let all = (1..=max.min(10_000)).map(of).filter(fits);
    all.min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|(n, d)| (n as u32, d))
}

/// swscale's methods, and what is nearest to each among videoscale's.
const METHODS: &[(&str, &str)] = &[
    ("bicubic", "method=catrom"),
    ("bilinear", "method=bilinear2"),
    ("fast_bilinear", "method=bilinear2"),
    ("neighbor", "method=nearest-neighbour"),
    ("lanczos", "method=lanczos envelope=3"),
];
/// That of `scale` where none is named.
pub(super) const METHOD: &str = "method=catrom";
/// What videoscale does anyway.
const EXACT: &[&str] = &["accurate_rnd", "full_chroma_int", "full_chroma_inp", "bitexact"];

fn scale(args: &Args) -> Result<Option<Filter>, FilterError> {
    let mut method = None;
    for flag in args.text("flags").unwrap_or_default().split(['+', '|']).filter(|flag| !flag.is_empty()) {
        let known = METHODS.iter().find(|(name, _)| *name == flag);
        if known.is_none() && !EXACT.contains(&flag) {
            let takes = METHODS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(args.bad("flags", &format!("there are {takes}, and without effect {}", EXACT.join(", "))));
        }
        method = known.map(|(_, method)| *method).or(method);
    }
    // A single value is a size with an x, or its name.
    let whole = args.text("size").or_else(|| args.text("w").filter(|_| args.text("h").is_none()));
    let size = match whole {
        Some(text) if args.text("h").is_some() || args.text("size").zip(args.text("w")).is_some() => {
            return Err(args.bad("size", &format!("either size={text} or w and h are wanted")));
        }
        Some(text) => {
            let (w, h) = sizes::size(text).ok_or_else(|| {
                let option = if args.text("size").is_some() { "size" } else { "w" };
                args.bad(option, "W:H is wanted, or a size as 640x360 or hd720")
            })?;
            (w.to_string(), h.to_string())
        }
        None => (args.expression("w", "iw")?, args.expression("h", "ih")?),
    };
    let keeps = args.word("force_original_aspect_ratio", &["disable", "decrease", "increase"])?;
    let keeps = keeps.and_then(|n| [None, Some(Fit::Decrease), Some(Fit::Increase)].get(n).copied().flatten());
    let divisible_by = match args.text("force_divisible_by") {
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=256).contains(n))
            .ok_or_else(|| args.bad("force_divisible_by", "1 to 256"))?,
        None => 1,
    };
    Ok(Some(Filter::Scale(Scale { size, method: method.unwrap_or(METHOD), keeps, divisible_by })))
}

fn crop(args: &Args) -> Result<Option<Filter>, FilterError> {
    Ok(Some(Filter::Crop(Crop {
        size: (args.expression("w", "iw")?, args.expression("h", "ih")?),
        place: (args.expression("x", "(in_w-out_w)/2")?, args.expression("y", "(in_h-out_h)/2")?),
        exact: args.word("exact", &["0", "1"])? == Some(1),
    })))
}

/// Of videobox's colours those that ffmpeg's are equal to.
const FILLS: &[(&str, &str)] = &[("black", "black"), ("white", "white")];

fn pad(args: &Args) -> Result<Option<Filter>, FilterError> {
    let color = args.text("color").unwrap_or("black").to_ascii_lowercase();
    let fill = FILLS.iter().find(|(name, _)| *name == color).map(|(_, fill)| *fill);
    let takes = FILLS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Ok(Some(Filter::Pad(Pad {
        size: (args.expression("w", "iw")?, args.expression("h", "ih")?),
        place: (args.expression("x", "0")?, args.expression("y", "0")?),
        fill: fill.ok_or_else(|| args.bad("color", &format!("one of {takes} is wanted")))?,
    })))
}

fn transpose(args: &Args) -> Result<Option<Filter>, FilterError> {
    let direction = args.word("dir", &["cclock_flip", "clock", "cclock", "clock_flip"])?.unwrap_or(0);
    let keeps = args.word("passthrough", &["none", "portrait", "landscape"])?;
    Ok(Some(Filter::Transpose {
        direction: ["ul-lr", "90r", "90l", "ur-ll"].get(direction).copied().unwrap_or("ul-lr"),
        keeps: keeps.and_then(|n| [None, Some(Upright::Portrait), Some(Upright::Landscape)].get(n).copied().flatten()),
    }))
}

fn setsar(args: &Args) -> Result<Option<Filter>, FilterError> {
    args.ratio("sar").map(|(n, d)| Some(Filter::PixelAspect(n, d)))
}

fn setdar(args: &Args) -> Result<Option<Filter>, FilterError> {
    args.ratio("dar").map(|(n, d)| Some(Filter::Aspect(n, d)))
}

fn format(args: &Args) -> Result<Option<Filter>, FilterError> {
    let text = args.text("pix_fmts").unwrap_or_default();
    let all: Option<Vec<&'static str>> = text.split('|').map(codec::raw_format).collect();
    let unknown = || args.bad("pix_fmts", "pixel formats are wanted, as yuv420p, yuv422p10le or yuv420p|nv12");
    all.map(|all| Some(Filter::Format(all))).ok_or_else(unknown)
}

fn yadif(args: &Args) -> Result<Option<Filter>, FilterError> {
    const MODES: &[&str] = &["send_frame", "send_field", "send_frame_nospatial", "send_field_nospatial"];
    if args.word("mode", MODES)?.unwrap_or(0) != 0 {
        return Err(args.bad("mode", "only send_frame is there, which makes one picture of each frame"));
    }
    let top_first = match args.text("parity") {
        None | Some("auto" | "-1") => None,
        Some("tff" | "0") => Some(true),
        Some("bff" | "1") => Some(false),
        Some(_) => return Err(args.bad("parity", "one of tff, bff, auto is wanted")),
    };
    let marked_alone = args.word("deint", &["all", "interlaced"])? == Some(1);
    Ok(Some(Filter::Yadif(Yadif { top_first, marked_alone })))
}

fn fps(args: &Args) -> Result<Option<Filter>, FilterError> {
    if !matches!(args.text("round"), None | Some("near")) {
        return Err(args.bad("round", "only near is there"));
    }
    let text = args.text("fps").unwrap_or("25");
    let fps = rate(text).ok_or_else(|| args.bad("fps", "a rate is wanted: 25, 30000/1001, 23.976 or ntsc"))?;
    Ok(Some(Filter::Fps(fps)))
}

/// Frames a second: a number, a fraction, or ffmpeg's name of one.
pub(crate) fn rate(text: &str) -> Option<Fps> {
    let named = match text {
        "ntsc" => Some((30_000, 1001)),
        "pal" => Some((25, 1)),
        "film" => Some((24, 1)),
        "ntsc_film" | "ntsc-film" => Some((24_000, 1001)),
        _ => None,
    };
    let part = |text: &str| text.parse::<u32>().ok();
    let exact = || text.split_once(['/', ':']).and_then(|(n, d)| part(n).zip(part(d)));
    let (n, d) = named.or_else(exact).or_else(|| decimal(text))?;
    Fps::new(n, d)
}

/// As ffmpeg reads a decimal rate: the nearest fraction with a numerator of up to 1001000.
fn decimal(text: &str) -> Option<(u32, u32)> {
    let value = number(text).filter(|value| (0.001..=1_001_000.0).contains(value))?;
    let of = |d: u32| ((value * f64::from(d)).round(), d);
    let distance = |(n, d): &(f64, u32)| (n / f64::from(*d) - value).abs();
    let all = (1..=1_001_000).map(of).take_while(|(n, _)| *n <= 1_001_000.0).filter(|(n, _)| *n >= 1.0);
    all.min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|(n, d)| (n as u32, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_what_can() {
        for (chain, says) in [
            ("scal=2:2", "there are scale, crop, pad"),
            ("bwdif", "yadif is there"),
            ("tblend=all_mode=average", "depend on many before them"),
            ("yadif=1", "only send_frame"),
            ("yadif=mode=send_field", "only send_frame"),
            ("fps=25:round=up", "only near"),
            ("fps=fast", "a rate is wanted"),
            ("scale=2:2:flags=spline", "bicubic, bilinear"),
            ("scale=640", "W:H is wanted"),
            ("scale=foo:2", "'foo' is no number"),
            ("crop=iw:ih:t*10:0", "changes with time"),
            ("scale=2:2:interl=1", "it takes w, h, flags"),
            ("hflip=1", "it takes none"),
            ("crop=10:10:0:0:1", "no option '1'"),
            ("fps=25:near", "no option 'near'"),
            ("pad=10:10:0:0:mauve", "one of black, white"),
            ("format=yuv999p", "pixel formats are wanted"),
            ("transpose=7", "one of cclock_flip"),
            ("setsar=0", "above 0"),
            ("[a]hflip", "one chain"),
        ] {
            let told = error(chain);
            assert!(told.contains(says), "{chain}: {told}");
        }
    }

    #[test]
    fn rates_are_those_of_ffmpeg() {
        for (text, n, d) in [
            ("25", 25, 1),
            ("30000/1001", 30_000, 1001),
            ("ntsc", 30_000, 1001),
            ("12.5", 25, 2),
            ("29.97", 2997, 100),
            ("0.5", 1, 2),
        ] {
            assert_eq!(rate(text), Fps::new(n, d), "{text}");
        }
        assert!(["0", "-1", "x", "1/0"].iter().all(|text| rate(text).is_none()));
    }

    #[test]
    fn ratios_are_exact_or_the_nearest() {
        assert_eq!(parse("setsar=64/45").unwrap(), [Filter::PixelAspect(64, 45)]);
        assert_eq!(parse("setsar=1.3333").unwrap(), [Filter::PixelAspect(4, 3)]);
        assert_eq!(parse("setdar=dar=16/9,null").unwrap(), [Filter::Aspect(16, 9)]);
    }
}
