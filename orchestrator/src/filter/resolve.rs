//! From a chain and the form of the pictures that enter it to the elements that do it, and the form of those that leave.

use gst_video::{VideoFormat, VideoFormatInfo};
use gstdivien::chunk::Fps;
use num_integer::gcd;

use super::expr;
use super::{Crop, Filter, FilterError, Fit, Pad, Scale, Upright, Yadif};

/// The largest side.
pub(super) const MOST: u32 = 32_767;

/// The names that expressions may have.
pub(super) const NAMES: &[&str] =
    &["iw", "in_w", "ih", "in_h", "ow", "out_w", "oh", "out_h", "a", "sar", "dar", "hsub", "vsub", "x", "y"];

/// The form of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Width and height.
    pub size: (u32, u32),
    /// The form of a pixel.
    pub aspect: (u32, u32),
    /// So many samples of luma share one of chroma, across and down, where that is known.
    pub chroma: Option<(u32, u32)>,
    /// Samples are known to have more than 8 bit.
    pub is_deep: bool,
    /// Luma is known to go from 0 to 255, and not from 16 to 235.
    pub is_full_range: bool,
}

impl Form {
    /// The form once rows have become columns.
    #[must_use]
    pub fn turned(self) -> Self {
        let ((w, h), (n, d)) = (self.size, self.aspect);
        // Chroma that is finer one way is made the same both ways first.
        let chroma = self.chroma.filter(|(across, down)| across == down);
        Self { size: (h, w), aspect: (d, n), chroma, ..self }
    }
}

/// A chain, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Elements in the words of a launch line, each after ` ! `; empty where none is needed.
    pub elements: String,
    /// What leaves them.
    pub form: Form,
    /// What is done to the fields of frames, before all else.
    pub yadif: Option<Yadif>,
    /// The rate of frames, changed.
    pub fps: Option<Fps>,
    /// Filters name the format of pixels that is wanted.
    pub names_format: bool,
}

/// Whether filters go together, whatever the pictures.
pub fn check(chain: &[Filter]) -> Result<(), FilterError> {
    let is_fps = |filter: &Filter| matches!(filter, Filter::Fps(_));
    if chain.iter().filter(|filter| is_fps(filter)).count() > 1 {
        return Err(FilterError::Order("the rate is changed once: by one fps, or by -r"));
    }
    let yadif = chain.iter().rposition(|filter| matches!(filter, Filter::Yadif(_))).unwrap_or(0);
    if chain.iter().take(yadif).any(is_fps) {
        return Err(FilterError::Order(
            "yadif stands before fps: frames that fps leaves out or repeats are no neighbours to it",
        ));
    }
    if yadif > 0 {
        return Err(FilterError::Order(
            "yadif stands first, and once: it reads the fields of frames as they were decoded",
        ));
    }
    Ok(())
}

/// Decides on a chain for pictures of this form. What changes none of them is left out.
pub fn resolve(chain: &[Filter], form: Form) -> Result<Resolved, FilterError> {
    check(chain)?;
    let mut resolved = Resolved { elements: String::new(), form, yadif: None, fps: None, names_format: false };
    for filter in chain {
        let form = resolved.form;
        let (elements, next) = match filter {
            Filter::Scale(scale) => scaled(scale, form)?,
            Filter::Crop(crop) => cropped(crop, form)?,
            Filter::Pad(pad) => padded(pad, form)?,
            Filter::Transpose { direction, keeps } => transposed(direction, *keeps, form),
            Filter::Flip(direction) => (flipped(direction, form), form),
            Filter::PixelAspect(n, d) => reshaped(form, (u64::from(*n), u64::from(*d))),
            Filter::Aspect(n, d) => {
                let (w, h) = form.size;
                reshaped(form, (u64::from(*n) * u64::from(h), u64::from(*d) * u64::from(w)))
            }
            Filter::Format(formats) => {
                resolved.names_format = true;
                (format!("videoconvert ! video/x-raw,format={{{}}}", formats.join(",")), formatted(formats, form))
            }
            Filter::Yadif(yadif) => {
                resolved.yadif = Some(*yadif);
                continue;
            }
            Filter::Fps(fps) => {
                resolved.fps = Some(*fps);
                continue;
            }
        };
        if !elements.is_empty() {
            resolved.elements.push_str(" ! ");
            resolved.elements.push_str(&elements);
        }
        resolved.form = next;
    }
    if resolved.names_format {
        // For encoders that do not take the format.
        resolved.elements.push_str(" ! videoconvert");
    }
    Ok(resolved)
}

/// What expressions know.
#[derive(Clone, Copy)]
struct Names {
    form: Form,
    out: (Option<f64>, Option<f64>),
    place: (Option<f64>, Option<f64>),
}

impl Names {
    fn of(form: Form) -> Self {
        Self { form, out: (None, None), place: (None, None) }
    }

    fn get(&self, name: &str) -> Option<f64> {
        let (w, h) = (f64::from(self.form.size.0), f64::from(self.form.size.1));
        let sar = f64::from(self.form.aspect.0) / f64::from(self.form.aspect.1);
        match name {
            "iw" | "in_w" => Some(w),
            "ih" | "in_h" => Some(h),
            "ow" | "out_w" => self.out.0,
            "oh" | "out_h" => self.out.1,
            "a" => Some(w / h),
            "sar" => Some(sar),
            "dar" => Some(w / h * sar),
            "hsub" => self.form.chroma.map(|c| f64::from(c.0)),
            "vsub" => self.form.chroma.map(|c| f64::from(c.1)),
            "x" => self.place.0,
            "y" => self.place.1,
            _ => None,
        }
    }

    fn value(&self, filter: &'static str, text: &str) -> Result<f64, FilterError> {
        let value = expr::value(text, &|name| self.get(name));
        let value = value.map_err(|error| FilterError::Fit { filter, what: error.to_string() })?;
        if value.abs() <= f64::from(i32::MAX) {
            return Ok(value);
        }
        Err(FilterError::Fit { filter, what: format!("'{text}' is {value}") })
    }

    /// Width and height, of which one may be told by the other.
    fn sizes(&mut self, filter: &'static str, (w, h): &(String, String)) -> Result<(f64, f64), FilterError> {
        if let Ok(width) = self.value(filter, w) {
            self.out.0 = Some(width);
        }
        let height = self.value(filter, h)?;
        self.out.1 = Some(height);
        let width = self.value(filter, w)?;
        self.out.0 = Some(width);
        Ok((width, height))
    }
}

fn side(filter: &'static str, value: i64) -> Result<u32, FilterError> {
    let fits = u32::try_from(value).ok().filter(|side| (1..=MOST).contains(side));
    fits.ok_or_else(|| FilterError::Fit { filter, what: format!("a side of {value} pixels; there are 1 to {MOST}") })
}

/// `a * b / c`, rounded to the nearest.
fn rescaled(a: i64, b: i64, c: i64) -> i64 {
    let (product, c) = (i128::from(a) * i128::from(b), i128::from(c.max(1)));
    i64::try_from((product + c / 2).div_euclid(c)).unwrap_or(i64::MAX)
}

fn scaled(scale: &Scale, form: Form) -> Result<(String, Form), FilterError> {
    const NAME: &str = "scale";
    let (w, h) = Names::of(form).sizes(NAME, &scale.size)?;
    let (iw, ih) = (i64::from(form.size.0), i64::from(form.size.1));
    let whole = |value: f64, own: i64| if value as i64 == 0 { own } else { value as i64 };
    let (mut w, mut h) = (whole(w, iw), whole(h, ih));
    let factor = |side: i64| if side < -1 { -side } else { 1 };
    let (by_w, by_h) = (factor(w), factor(h));
    if w < 0 && h < 0 {
        (w, h) = (iw, ih);
    }
    if w < 0 {
        w = rescaled(h, iw, ih * by_w) * by_w;
    }
    if h < 0 {
        h = rescaled(w, ih, iw * by_h) * by_h;
    }
    if let Some(fit) = scale.keeps {
        let by = i64::from(scale.divisible_by.max(1));
        let (own_w, own_h) = (rescaled(h, iw, ih * by) * by, rescaled(w, ih, iw * by) * by);
        (w, h) = match fit {
            Fit::Decrease => (own_w.min(w) / by * by, own_h.min(h) / by * by),
            Fit::Increase => ((own_w.max(w) + by - 1) / by * by, (own_h.max(h) + by - 1) / by * by),
        };
    }
    let size = (side(NAME, w)?, side(NAME, h)?);
    if size == form.size {
        return Ok((String::new(), form));
    }
    let part = |side: u32, other: u32, aspect: u32| u64::from(side) * u64::from(other) * u64::from(aspect);
    let aspect = (part(size.1, form.size.0, form.aspect.0), part(size.0, form.size.1, form.aspect.1));
    let aspect = reduced(aspect);
    let form = Form { size, aspect, ..form };
    Ok((format!("videoscale {} add-borders=false ! {}", scale.method, caps(form)), form))
}

fn caps(form: Form) -> String {
    let ((w, h), (n, d)) = (form.size, form.aspect);
    format!("video/x-raw,width={w},height={h},pixel-aspect-ratio={n}/{d}")
}

/// A fraction whose parts caps can hold.
fn reduced((n, d): (u64, u64)) -> (u32, u32) {
    let divisor = gcd(n, d).max(1);
    let (mut n, mut d) = (n / divisor, d / divisor);
    while n > 0x7fff_ffff || d > 0x7fff_ffff {
        (n, d) = (n / 2, d / 2);
    }
    let part = |value: u64| u32::try_from(value.max(1)).unwrap_or(1);
    (part(n), part(d))
}

/// Down to a whole number of chroma's samples.
fn on_grid(filter: &'static str, value: i64, grid: Option<u32>) -> Result<i64, FilterError> {
    match grid {
        Some(grid) => Ok(value - value.rem_euclid(i64::from(grid.max(1)))),
        None if value % 2 == 0 => Ok(value),
        None => Err(FilterError::Fit {
            filter,
            what: format!(
                "{value} is odd, and how finely chroma is sampled is not known before the pictures are: give even numbers"
            ),
        }),
    }
}

fn cropped(crop: &Crop, form: Form) -> Result<(String, Form), FilterError> {
    const NAME: &str = "crop";
    let mut names = Names::of(form);
    let (w, h) = names.sizes(NAME, &crop.size)?;
    let (across, down) = (form.chroma.map(|c| c.0), form.chroma.map(|c| c.1));
    let snapped = |value: i64, grid: Option<u32>| if crop.exact { Ok(value) } else { on_grid(NAME, value, grid) };
    let (iw, ih) = (i64::from(form.size.0), i64::from(form.size.1));
    let nearest = |value: f64| value.round_ties_even() as i64;
    let (w, h) = (nearest(w), nearest(h));
    if w > iw || h > ih || w < 1 || h < 1 {
        return Err(FilterError::Fit { filter: NAME, what: format!("{w}x{h} is no part of pictures of {iw}x{ih}") });
    }
    let (w, h) = (snapped(w, across)?, snapped(h, down)?);
    names.place = (names.value(NAME, &crop.place.0).ok(), names.value(NAME, &crop.place.1).ok());
    let (x, y) = (names.value(NAME, &crop.place.0)?, names.value(NAME, &crop.place.1)?);
    let x = snapped(nearest(x).clamp(0, iw - w), across)?;
    let y = snapped(nearest(y).clamp(0, ih - h), down)?;
    let next = Form { size: (side(NAME, w)?, side(NAME, h)?), ..form };
    if next == form {
        return Ok((String::new(), form));
    }
    Ok((format!("videocrop left={x} right={} top={y} bottom={}", iw - w - x, ih - h - y), next))
}

fn padded(pad: &Pad, form: Form) -> Result<(String, Form), FilterError> {
    const NAME: &str = "pad";
    if form.is_deep {
        let what = "pictures of more than 8 bit cannot be had; format=yuv420p before it makes them of 8".into();
        return Err(FilterError::Fit { filter: NAME, what });
    }
    if form.is_full_range {
        let what = "pictures of the full range (0 to 255) cannot be had: black borders would be grey (16)".into();
        return Err(FilterError::Fit { filter: NAME, what });
    }
    let mut names = Names::of(form);
    let (w, h) = names.sizes(NAME, &pad.size)?;
    let (iw, ih) = (i64::from(form.size.0), i64::from(form.size.1));
    let whole = |value: f64, own: i64| if value as i64 == 0 { own } else { value as i64 };
    let (w, h) = (whole(w, iw), whole(h, ih));
    names.out = (Some(w as f64), Some(h as f64));
    names.place = (names.value(NAME, &pad.place.0).ok(), names.value(NAME, &pad.place.1).ok());
    let (x, y) = (names.value(NAME, &pad.place.0)? as i64, names.value(NAME, &pad.place.1)? as i64);
    let inside = |at: i64, own: i64, all: i64| if at < 0 || at + own > all { (all - own) / 2 } else { at };
    if w < iw || h < ih {
        return Err(FilterError::Fit {
            filter: NAME,
            what: format!("{w}x{h} is smaller than the pictures, {iw}x{ih}"),
        });
    }
    let (across, down) = (form.chroma.map(|c| c.0), form.chroma.map(|c| c.1));
    if on_grid(NAME, iw, across)? != iw || on_grid(NAME, ih, down)? != ih {
        let what = format!("pictures of {iw}x{ih} do not end with a whole sample of chroma; crop them first");
        return Err(FilterError::Fit { filter: NAME, what });
    }
    let (x, y) = (on_grid(NAME, inside(x, iw, w), across)?, on_grid(NAME, inside(y, ih, h), down)?);
    let (w, h) = (on_grid(NAME, w, across)?, on_grid(NAME, h, down)?);
    let next = Form { size: (side(NAME, w)?, side(NAME, h)?), ..form };
    if next == form {
        return Ok((String::new(), form));
    }
    let (right, bottom) = (w - iw - x, h - ih - y);
    Ok((format!("videobox fill={} left={} right={} top={} bottom={}", pad.fill, -x, -right, -y, -bottom), next))
}

fn transposed(direction: &str, keeps: Option<Upright>, form: Form) -> (String, Form) {
    let (w, h) = form.size;
    let stays = match keeps {
        Some(Upright::Portrait) => h >= w,
        Some(Upright::Landscape) => w >= h,
        None => false,
    };
    if stays {
        return (String::new(), form);
    }
    (format!("videoflip video-direction={direction}"), form.turned())
}

/// videoflip of 1.22 takes the chroma of every second column in 8 bit in this order alone, and would get 10 bit otherwise.
fn flipped(direction: &str, form: Form) -> String {
    let flip = format!("videoflip video-direction={direction}");
    if form.chroma == Some((2, 1)) && !form.is_deep {
        return format!("videoconvert ! video/x-raw,format=UYVY ! {flip} ! videoconvert");
    }
    flip
}

/// What is known of pictures that have one of these formats.
fn formatted(formats: &[&str], form: Form) -> Form {
    let infos = || formats.iter().map(|f| VideoFormatInfo::from_format(VideoFormat::from_string(f)));
    let mut chroma = infos().map(|info| chroma(&info));
    let first = chroma.next();
    Form {
        chroma: first.filter(|first| chroma.all(|other| other == *first)),
        is_deep: infos().all(|info| info.depth().first().is_some_and(|depth| *depth > 8)),
        ..form
    }
}

/// So many samples of luma share one of chroma, across and down.
pub(crate) fn chroma(info: &VideoFormatInfo) -> (u32, u32) {
    let coarsest = |shifts: &[u32]| shifts.iter().max().map_or(1, |shift| 1u32 << shift.min(&4));
    (coarsest(info.w_sub()), coarsest(info.h_sub()))
}

fn reshaped(form: Form, aspect: (u64, u64)) -> (String, Form) {
    let next = Form { aspect: reduced(aspect), ..form };
    if next == form {
        return (String::new(), form);
    }
    (format!("videoscale add-borders=false ! {}", caps(next)), next)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn form(w: u32, h: u32) -> Form {
        Form { size: (w, h), aspect: (1, 1), chroma: Some((2, 2)), is_deep: false, is_full_range: false }
    }

    fn to(chain: &str, from: Form) -> Result<Resolved, FilterError> {
        gst::init().unwrap();
        resolve(&parse(chain).unwrap(), from)
    }

    #[test]
    fn sizes_are_those_that_ffmpeg_makes() {
        for (chain, size) in [
            ("scale=640:-1", (640, 273)),
            ("scale=640:-2", (640, 272)),
            ("scale=-2:480", (1126, 480)),
            ("scale=iw/2:ih/2", (960, 409)),
            ("scale=640:640:force_original_aspect_ratio=decrease", (640, 273)),
            ("scale=640:640:force_original_aspect_ratio=decrease:force_divisible_by=4", (640, 272)),
            ("scale=hd720", (1280, 720)),
            ("scale=0:0", (1920, 818)),
            ("crop=iw-3:ih/2", (1916, 408)),
            ("pad=iw:1080:-1:-1", (1920, 1080)),
            ("transpose=1,scale=-2:400", (170, 400)),
            ("transpose=1:passthrough=landscape", (1920, 818)),
            ("scale=w=oh*2:h=100", (200, 100)),
        ] {
            assert_eq!(to(chain, form(1920, 818)).unwrap().form.size, size, "{chain}");
        }
    }

    #[test]
    fn pictures_keep_the_form_in_which_they_are_shown() {
        let from = Form { aspect: (64, 45), ..form(720, 576) };
        assert_eq!(to("scale=1024:576", from).unwrap().form.aspect, (1, 1));
        assert_eq!(to("transpose", from).unwrap().form.aspect, (45, 64));
        assert_eq!(to("crop=360:576", from).unwrap().form.aspect, (64, 45));
        assert_eq!(to("setdar=16/9", from).unwrap().form.aspect, (64, 45));
        assert_eq!(to("setsar=1", from).unwrap().form.aspect, (1, 1));
    }

    #[test]
    fn places_are_on_the_grid_of_chroma_where_there_is_one() {
        let crop = |chroma| to("crop=101:51:3:5", Form { chroma, ..form(320, 240) }).map(|r| r.elements);
        assert_eq!(crop(Some((2, 2))).unwrap(), " ! videocrop left=2 right=218 top=4 bottom=186");
        assert_eq!(crop(Some((1, 1))).unwrap(), " ! videocrop left=3 right=216 top=5 bottom=184");
        assert!(crop(None).unwrap_err().to_string().contains("give even numbers"));
        let after = |format: &str| to(&format!("format={format},crop=101:51:3:5"), form(320, 240)).map(|r| r.form.size);
        assert_eq!(after("yuv444p"), Ok((101, 51)));
        assert_eq!(after("yuv420p|nv12"), Ok((100, 50)));
        assert!(after("yuv420p|yuv444p").is_err());
        let pad = to("pad=330:250:3:5", form(320, 240)).unwrap().elements;
        assert_eq!(pad, " ! videobox fill=black left=-2 right=-8 top=-4 bottom=-6");
    }

    #[test]
    fn what_does_not_fit_the_pictures_or_together_is_refused() {
        let told = |chain: &str| to(chain, form(320, 240)).unwrap_err().to_string();
        assert!(told("crop=400:100").contains("no part of pictures of 320x240"));
        assert!(told("pad=100:100").contains("smaller than"));
        assert!(told("format=yuv420p10le,pad=400:400").contains("more than 8 bit"));
        assert!(told("scale=32768:2").contains("1 to 32767"));
        let full = Form { is_full_range: true, ..form(320, 240) };
        assert!(to("pad=400:400", full).unwrap_err().to_string().contains("full range"));
        assert!(told("scale=iw/0:2").contains("'iw/0' is inf"));
        assert!(told("hflip,yadif").contains("yadif stands first"));
        assert!(told("fps=5,yadif").contains("before fps"));
        assert!(told("fps=5,fps=10").contains("once"));
    }

    #[test]
    fn flipped_pictures_keep_the_depth_of_their_samples() {
        let flip = |chroma, is_deep| to("hflip", Form { chroma, is_deep, ..form(320, 240) }).unwrap().elements;
        assert!(flip(Some((2, 1)), false).contains("format=UYVY ! videoflip"));
        assert!(!flip(Some((2, 1)), true).contains("UYVY"));
        assert!(!flip(Some((2, 2)), false).contains("UYVY"));
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        assert_eq!(to("scale=320:240,crop=320:240,setsar=1,null", form(320, 240)).unwrap().elements, "");
        let rate = to("yadif,fps=50", form(320, 240)).unwrap();
        assert_eq!((rate.elements.as_str(), rate.yadif, rate.fps), ("", Some(Yadif::default()), Fps::new(50, 1)));
    }
}
