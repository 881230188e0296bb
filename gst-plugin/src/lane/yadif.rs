//! Whole pictures of interlaced frames: of each frame the first field stays, and the rows of the other are made from what
//! is around them in the picture and in time ("yet another deinterlacing filter", as ffmpeg's `yadif=mode=send_frame`).
//!
//! A picture is a function of its frame, the one before and the one after, so that chunks with one frame more at each end
//! make the same pictures as the whole stream. GStreamer's own `deinterlace` keeps a history, from which its first pictures
//! get each other's times and other rows.

use gst_video::prelude::*;
use gst_video::{VideoBufferFlags, VideoFieldOrder, VideoFrameRef, VideoInfo, VideoInterlaceMode};

/// What is done to the fields of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Yadif {
    /// The order of the fields; `None` is each frame's own.
    pub top_first: Option<bool>,
    /// Frames that are not marked as interlaced stay as they are.
    pub marked_alone: bool,
}

impl Yadif {
    /// Whether pictures are such as it takes: planar, of 8 to 16 bit.
    pub fn takes(info: &VideoInfo) -> bool {
        let form = info.format_info();
        let is_planar = (0..form.n_components()).all(|c| {
            let (depth, stride) = (form.depth().get(c as usize), form.pixel_stride().get(c as usize));
            depth.zip(stride).is_some_and(|(depth, stride)| *stride == if *depth > 8 { 2 } else { 1 })
        });
        is_planar && !form.flags().contains(gst_video::VideoFormatFlags::COMPLEX)
    }
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum YadifError {
    #[error("yadif takes planar pictures of 8 to 16 bit, not {0}")]
    Format(String),
    #[error("yadif got a frame without caps, or one that is not as its caps say")]
    Frame,
}

/// Frames of caps that have passed a [`Yadif`] are whole pictures.
pub(super) fn whole(caps: &gst::CapsRef) -> gst::Caps {
    let mut caps = caps.to_owned();
    for structure in caps.make_mut().iter_mut() {
        structure.remove_field("field-order");
        structure.set("interlace-mode", "progressive");
    }
    caps
}

/// Frames on their way, each with what is to be done with it; nothing for those that only others need.
#[derive(Debug)]
pub(super) struct Fields<T> {
    spec: Yadif,
    info: Option<VideoInfo>,
    before: Option<gst::Buffer>,
    held: Option<(gst::Buffer, Option<T>)>,
}

impl<T> Fields<T> {
    pub(super) fn new(spec: Yadif) -> Self {
        Self { spec, info: None, before: None, held: None }
    }

    /// Forgets the frames that it holds.
    pub(super) fn flush(&mut self) {
        (self.before, self.held) = (None, None);
    }

    /// Frames that follow are so; all before them come out.
    pub(super) fn becomes(&mut self, caps: &gst::CapsRef) -> Result<Option<(gst::Buffer, T)>, YadifError> {
        let info = VideoInfo::from_caps(caps).map_err(|_| YadifError::Frame)?;
        let last = if self.info.as_ref().is_some_and(|old| !looks_alike(old, &info)) { self.finish()? } else { None };
        if !Yadif::takes(&info) {
            return Err(YadifError::Format(info.format().to_string()));
        }
        self.info = Some(info);
        Ok(last)
    }

    /// Takes a frame. Returns the one before it, whole.
    pub(super) fn push(&mut self, frame: gst::Buffer, what: Option<T>) -> Result<Option<(gst::Buffer, T)>, YadifError> {
        let Some((held, of_held)) = self.held.replace((frame.clone(), what)) else { return Ok(None) };
        let made = of_held.map(|what| Ok((self.picture(&held, Some(&frame))?, what))).transpose();
        self.before = Some(held);
        made
    }

    /// Nothing follows: the last one.
    pub(super) fn finish(&mut self) -> Result<Option<(gst::Buffer, T)>, YadifError> {
        let Some((held, of_held)) = self.held.take() else { return Ok(None) };
        let made = of_held.map(|what| Ok((self.picture(&held, None)?, what))).transpose();
        self.before = None;
        made
    }

    fn picture(&self, frame: &gst::Buffer, after: Option<&gst::Buffer>) -> Result<gst::Buffer, YadifError> {
        let info = self.info.as_ref().ok_or(YadifError::Frame)?;
        let flags = frame.video_flags();
        let is_interlaced =
            info.interlace_mode() == VideoInterlaceMode::Interleaved || flags.contains(VideoBufferFlags::INTERLACED);
        if self.spec.marked_alone && !is_interlaced {
            return Ok(frame.clone());
        }
        let is_top_first =
            info.field_order() == VideoFieldOrder::TopFieldFirst || flags.contains(VideoBufferFlags::TFF);
        let top_first = self.spec.top_first.unwrap_or(is_top_first || !is_interlaced);
        let mut out = gst::Buffer::with_size(info.size()).map_err(|_| YadifError::Frame)?;
        {
            let read = |buffer| VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| YadifError::Frame);
            let (now, before) = (read(frame)?, read(self.before.as_ref().unwrap_or(frame))?);
            let after = read(after.unwrap_or(frame))?;
            let out = out.get_mut().ok_or(YadifError::Frame)?;
            let mut made = VideoFrameRef::from_buffer_ref_writable(out, info).map_err(|_| YadifError::Frame)?;
            for component in 0..now.n_components() {
                let planes =
                    (Plane::of(&before, component)?, Plane::of(&now, component)?, Plane::of(&after, component)?);
                let plane = now.format_info().plane().get(component as usize).copied().ok_or(YadifError::Frame)?;
                let stride = made.plane_stride().get(plane as usize).copied().ok_or(YadifError::Frame)?;
                let data = made.plane_data_mut(plane).map_err(|_| YadifError::Frame)?;
                let stride = usize::try_from(stride).map_err(|_| YadifError::Frame)?;
                for (y, row) in data.chunks_mut(stride.max(1)).take(planes.1.height).enumerate() {
                    let row = row.get_mut(..planes.1.width).ok_or(YadifError::Frame)?;
                    if (y % 2 == 0) == top_first {
                        row.copy_from_slice(planes.1.row(y)?);
                    } else {
                        planes.1.make(row, y, (&planes.0, &planes.2))?;
                    }
                }
            }
        }
        let copied = gst::BufferCopyFlags::TIMESTAMPS | gst::BufferCopyFlags::FLAGS;
        frame.copy_into(out.get_mut().ok_or(YadifError::Frame)?, copied, ..).map_err(|_| YadifError::Frame)?;
        let fields = VideoBufferFlags::INTERLACED | VideoBufferFlags::TFF | VideoBufferFlags::RFF;
        out.make_mut().unset_video_flags(fields);
        Ok(out)
    }
}

/// True where frames differ in nothing but how their fields are marked.
fn looks_alike(a: &VideoInfo, b: &VideoInfo) -> bool {
    (a.format(), a.width(), a.height()) == (b.format(), b.width(), b.height())
}

/// The samples of one component.
#[derive(Clone, Copy)]
struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
    /// In bytes.
    width: usize,
    height: usize,
    is_wide: bool,
}

impl<'a> Plane<'a> {
    fn of(frame: &'a VideoFrameRef<&'a gst::BufferRef>, component: u32) -> Result<Self, YadifError> {
        let at = component as usize;
        let form = frame.format_info();
        let plane = form.plane().get(at).copied().ok_or(YadifError::Frame)?;
        let stride = frame.plane_stride().get(plane as usize).copied().unwrap_or_default();
        let bytes = form.pixel_stride().get(at).copied().unwrap_or_default();
        Ok(Self {
            data: frame.plane_data(plane).map_err(|_| YadifError::Frame)?,
            stride: usize::try_from(stride).map_err(|_| YadifError::Frame)?,
            width: frame.comp_width(component) as usize * usize::try_from(bytes).unwrap_or_default(),
            height: frame.comp_height(component) as usize,
            is_wide: bytes == 2,
        })
    }

    fn row(&self, y: usize) -> Result<&'a [u8], YadifError> {
        let from = y.checked_mul(self.stride).ok_or(YadifError::Frame)?;
        self.data.get(from..from.saturating_add(self.width)).ok_or(YadifError::Frame)
    }

    /// Makes row `y` of the frame between these two.
    fn make(&self, out: &mut [u8], y: usize, (before, after): (&Self, &Self)) -> Result<(), YadifError> {
        let up = if y > 0 { y - 1 } else { y + 1 };
        let down = if y + 1 < self.height { y + 1 } else { y.saturating_sub(1) };
        if self.height < 2 {
            out.copy_from_slice(self.row(y)?);
            return Ok(());
        }
        let (far_up, far_down) = (2 * up, 2 * down);
        let near_edge = y == 1 || y + 2 == self.height;
        let far = match (far_up.checked_sub(y), far_down.checked_sub(y)) {
            (Some(up), Some(down)) if !near_edge && up.max(down) < self.height => {
                Some([before.row(up)?, self.row(up)?, before.row(down)?, self.row(down)?])
            }
            _ => None,
        };
        let rows = Rows {
            up: self.row(up)?,
            down: self.row(down)?,
            earlier: before.row(y)?,
            later: self.row(y)?,
            before: [before.row(up)?, before.row(down)?],
            after: [after.row(up)?, after.row(down)?],
            far,
        };
        if self.is_wide {
            let wide = |row: &[u8]| -> Vec<u16> {
                row.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
            };
            let mut made = vec![0u16; out.len() / 2];
            let [u, d, e, l] = [rows.up, rows.down, rows.earlier, rows.later].map(wide);
            let ([bu, bd], [au, ad]) = (rows.before.map(wide), rows.after.map(wide));
            let far = rows.far.map(|rows| rows.map(wide));
            let far = far.as_ref().map(|[a, b, c, d]| [a, b, c, d].map(Vec::as_slice));
            let rows =
                Rows { up: u.as_slice(), down: &d, earlier: &e, later: &l, before: [&bu, &bd], after: [&au, &ad], far };
            rows.fill(&mut made);
            out.chunks_exact_mut(2).zip(made).for_each(|(out, sample)| out.copy_from_slice(&sample.to_le_bytes()));
        } else {
            rows.fill(out);
        }
        Ok(())
    }
}

/// A sample of a picture.
trait Sample: Copy + Into<i32> {
    fn of(value: i32) -> Self;

    #[inline(always)]
    fn get(self) -> i32 {
        self.into()
    }
}

impl Sample for u8 {
    #[inline(always)]
    fn of(value: i32) -> Self {
        value as Self
    }
}

impl Sample for u16 {
    #[inline(always)]
    fn of(value: i32) -> Self {
        value as Self
    }
}

/// The rows around one that is made, all as long as it is.
struct Rows<'a, T> {
    /// Of the field that stays.
    up: &'a [T],
    down: &'a [T],
    /// The row itself, in the other field before that one and after it.
    earlier: &'a [T],
    later: &'a [T],
    /// The rows above and below, a frame before and a frame after.
    before: [&'a [T]; 2],
    after: [&'a [T]; 2],
    /// The next rows of the other field, above and then below, before and after; not at the picture's edge.
    far: Option<[&'a [T]; 4]>,
}

/// So far to the side edges are looked for.
const REACH: usize = 3;

#[inline(always)]
fn apart(a: i32, b: i32) -> i32 {
    if a > b { a - b } else { b - a }
}

#[inline(always)]
fn most(a: i32, b: i32) -> i32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn least(a: i32, b: i32) -> i32 {
    if a < b { a } else { b }
}

// Plain loops over rows of one length, for the compiler to see through.
#[expect(clippy::needless_range_loop, reason = "many rows are read at the same place")]
impl<T: Sample> Rows<'_, T> {
    fn fill(&self, out: &mut [T]) {
        let width = out.len();
        let rows = [self.up, self.down, self.earlier, self.later];
        let around = [self.before[0], self.before[1], self.after[0], self.after[1]];
        if rows.iter().chain(&around).chain(self.far.iter().flatten()).any(|row| row.len() != width) {
            return;
        }
        let mut guess = vec![0i32; width];
        for x in 0..width {
            guess[x] = (self.up[x].get() + self.down[x].get()) >> 1;
        }
        along_edges(self.up, self.down, &mut guess);
        // How far from the rows before and after it in time a sample may be.
        let mut range = vec![0i32; width];
        for x in 0..width {
            let (up, down) = (self.up[x].get(), self.down[x].get());
            let before = (apart(self.before[0][x].get(), up) + apart(self.before[1][x].get(), down)) >> 1;
            let after = (apart(self.after[0][x].get(), up) + apart(self.after[1][x].get(), down)) >> 1;
            range[x] = most(apart(self.earlier[x].get(), self.later[x].get()) >> 1, most(before, after));
        }
        if let Some([up_before, up_after, down_before, down_after]) = self.far {
            for x in 0..width {
                let (up, down) = (self.up[x].get(), self.down[x].get());
                let middle = (self.earlier[x].get() + self.later[x].get()) >> 1;
                let above = ((up_before[x].get() + up_after[x].get()) >> 1) - up;
                let below = ((down_before[x].get() + down_after[x].get()) >> 1) - down;
                let high = most(most(middle - down, middle - up), least(above, below));
                let low = least(least(middle - down, middle - up), most(above, below));
                range[x] = most(range[x], most(low, -high));
            }
        }
        for x in 0..width {
            let middle = (self.earlier[x].get() + self.later[x].get()) >> 1;
            out[x] = T::of(most(middle - range[x], least(middle + range[x], guess[x])));
        }
    }
}

/// Samples between two rows, each along the direction in which they are most alike; those at the sides stay.
fn along_edges<T: Sample>(up: &[T], down: &[T], guess: &mut [i32]) {
    let width = least_len(up, down, guess);
    for x in REACH..width.saturating_sub(REACH) {
        let near = apart(up[x - 1].get(), down[x - 1].get())
            + apart(up[x].get(), down[x].get())
            + apart(up[x + 1].get(), down[x + 1].get())
            - 1;
        let mut best = near;
        // Up to the left and down to the right, then the other way; further where the nearer one was better.
        for right in [false, true] {
            for step in 1..REACH {
                let (a, b) = if right { (x + step, x - step) } else { (x - step, x + step) };
                let score = apart(up[a - 1].get(), down[b - 1].get())
                    + apart(up[a].get(), down[b].get())
                    + apart(up[a + 1].get(), down[b + 1].get());
                if score >= best {
                    break;
                }
                best = score;
                guess[x] = (up[a].get() + down[b].get()) >> 1;
            }
        }
    }
}

fn least_len<T>(up: &[T], down: &[T], guess: &[i32]) -> usize {
    up.len().min(down.len()).min(guess.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: &str = "video/x-raw,format=GRAY8,width=16,height=8,framerate=25/1,interlace-mode=interleaved,\
                        field-order=top-field-first";

    fn frame(rows: [u8; 2]) -> gst::Buffer {
        gst::init().unwrap();
        let row = |y: usize| [rows[y % 2]; 16];
        gst::Buffer::from_slice((0..8).flat_map(row).collect::<Vec<_>>())
    }

    fn rows(frame: &gst::BufferRef) -> Vec<u8> {
        frame.map_readable().unwrap().chunks(16).map(|row| row[7]).collect()
    }

    fn through(spec: Yadif, frames: &[gst::Buffer]) -> Vec<Vec<u8>> {
        let mut fields = Fields::new(spec);
        fields.becomes(&CAPS.parse::<gst::Caps>().unwrap()).unwrap();
        let mut made: Vec<_> = frames.iter().filter_map(|f| fields.push(f.clone(), Some(())).unwrap()).collect();
        made.extend(fields.finish().unwrap());
        made.iter().map(|(frame, ())| rows(frame)).collect()
    }

    #[test]
    fn the_first_field_stays_and_the_other_follows_it_where_the_picture_moves() {
        let frames = [frame([10, 200]), frame([90, 60]), frame([10, 200])];
        let top = through(Yadif::default(), &frames);
        assert_eq!(top.len(), 3);
        assert_eq!(top[1], [90; 8]);
        let bottom = through(Yadif { top_first: Some(false), ..Yadif::default() }, &frames);
        assert_eq!(bottom[1], [60; 8]);
    }

    #[test]
    fn pictures_that_stand_still_stay_as_they_are() {
        gst::init().unwrap();
        let slope: Vec<u8> = (0..8).flat_map(|y| [y * 9; 16]).collect();
        let still = || gst::Buffer::from_slice(slope.clone());
        let made = through(Yadif::default(), &[still(), still(), still()]);
        assert!(made.iter().all(|rows| rows[..7] == [0, 9, 18, 27, 36, 45, 54]), "{made:?}");
    }

    #[test]
    fn frames_for_others_alone_do_not_come_out() {
        gst::init().unwrap();
        let mut fields = Fields::new(Yadif::default());
        fields.becomes(&CAPS.parse::<gst::Caps>().unwrap()).unwrap();
        assert!(fields.push(frame([1, 2]), None).unwrap().is_none());
        assert!(fields.push(frame([3, 4]), Some(7)).unwrap().is_none());
        assert_eq!(fields.push(frame([5, 6]), None).unwrap().unwrap().1, 7);
        assert!(fields.finish().unwrap().is_none());
    }

    #[test]
    fn what_is_not_planar_is_refused() {
        gst::init().unwrap();
        let caps: gst::Caps = "video/x-raw,format=YUY2,width=16,height=8,framerate=25/1".parse().unwrap();
        let told = Fields::<()>::new(Yadif::default()).becomes(&caps).unwrap_err();
        assert_eq!(told, YadifError::Format("YUY2".into()));
    }
}
