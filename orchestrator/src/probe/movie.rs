//! The length that an MP4's header gives for the whole movie, and that qtdemux of 1.22 believes too much.
//!
//! It skips tracks shorter than a fifth of it without a word, and ends at it by times that an edit list has not yet
//! moved, so that the last packet of sound stays behind. A length of 0 stands for an unknown one, by which it does neither:
//! that is what it gets to read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::sync::lock;

/// What is needed of a box's start: sizes, kind, and the version of those that have one.
const HEAD: usize = 17;

/// Hides the length from the demuxer, and remembers it.
#[derive(Debug, Default)]
pub(super) struct Movie {
    search: Search,
    /// From a pipe: the bytes that have come of the box's start.
    head: Vec<u8>,
    /// Where the time scale and the length are.
    field: Option<Range<u64>>,
    /// What they were.
    was: Vec<u8>,
}

/// The way to `mvhd`, from one box to the next.
#[derive(Debug, Default)]
struct Search {
    /// Where the box starts that is looked at.
    at: u64,
    in_moov: bool,
    over: bool,
}

impl Search {
    /// Looks at the start of a box, and goes on to the next one or finds the field.
    fn step(&mut self, head: &[u8]) -> Option<Range<u64>> {
        let next = self.next(head);
        self.over = !matches!(next, Some(None));
        next.flatten()
    }

    /// `None` where there is no next box.
    fn next(&mut self, head: &[u8]) -> Option<Option<Range<u64>>> {
        let number = |at: Range<usize>| head.get(at)?.iter().try_fold(0u64, |n, b| Some(n << 8 | u64::from(*b)));
        let kind = head.get(4..8)?;
        let (header, size) = match number(0..4)? {
            1 => (16, number(8..16)?),
            size => (8, size),
        };
        if size < header {
            return None;
        }
        match (self.in_moov, kind) {
            (false, b"moov") => {
                self.in_moov = true;
                self.at += header;
            }
            (true, b"mvhd") => {
                let body = self.at.checked_add(header)?;
                return Some(Some(match head.get(usize::try_from(header).ok()?)? {
                    0 => body + 12..body + 20,
                    1 => body + 20..body + 32,
                    _ => return None,
                }));
            }
            _ => self.at = self.at.checked_add(size)?,
        }
        Some(None)
    }
}

impl Movie {
    /// For a file, which may be read in any order.
    fn of_file(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok().filter(|_| path.is_file())?;
        let mut movie = Self::default();
        while !movie.search.over {
            let mut head = Vec::new();
            file.seek(SeekFrom::Start(movie.search.at)).ok()?;
            file.by_ref().take(HEAD as u64).read_to_end(&mut head).ok()?;
            movie.field = movie.search.step(&head);
        }
        Some(movie)
    }

    /// Whether these bytes may hold anything of interest.
    fn concerns(&self, offset: u64, length: u64) -> bool {
        let end = offset.saturating_add(length);
        match &self.field {
            Some(field) => field.start < end && offset < field.end,
            None => !self.search.over && self.search.at < end,
        }
    }

    /// Looks for the field in what comes from a pipe, in order.
    fn follow(&mut self, offset: u64, data: &[u8]) {
        while !self.search.over {
            let from = self.search.at.saturating_add(self.head.len() as u64);
            let Some(from) = from.checked_sub(offset).and_then(|n| usize::try_from(n).ok()) else {
                self.search.over = true;
                return;
            };
            let missing = HEAD - self.head.len();
            let Some(more) = data.get(from..).map(|rest| rest.get(..missing).unwrap_or(rest)) else { return };
            self.head.extend_from_slice(more);
            if more.len() < missing {
                return;
            }
            let before = self.search.at;
            self.field = self.search.step(&self.head);
            let gone = usize::try_from(self.search.at - before).unwrap_or(usize::MAX);
            self.head.drain(..gone.min(HEAD));
        }
    }

    /// Sees the bytes at `offset` on their way to the demuxer. True if some were changed.
    fn pass(&mut self, offset: u64, data: &mut [u8]) -> bool {
        self.follow(offset, data);
        let Some(field) = &self.field else { return false };
        let mut changed = false;
        for at in field.clone() {
            let index = at.checked_sub(offset).and_then(|n| usize::try_from(n).ok());
            let Some(byte) = index.and_then(|n| data.get_mut(n)) else { continue };
            let number = at - field.start;
            if self.was.len() as u64 == number {
                self.was.push(*byte);
            }
            // The time scale stands before the length, and stays.
            if number >= 4 {
                changed |= *byte != 0;
                *byte = 0;
            }
        }
        changed
    }

    /// The movie's length in ns as its header has it, once that has been read.
    pub(super) fn duration(&self) -> Option<u64> {
        let (scale, length) = self.was.split_at_checked(4)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let is_known = matches!(length.len(), 4 | 8) && length.iter().any(|b| *b != 0xFF);
        let length = Some(number(length)).filter(|n| is_known && *n > 0)?;
        let ns = u128::from(length) * 1_000_000_000;
        ns.checked_div(number(scale).into()).and_then(|ns| u64::try_from(ns).ok())
    }
}

/// Puts `movie` between a source and the demuxer, if it is the one that needs it.
pub(super) fn hide(parse: &gst::Element, path: Option<&Path>) -> Arc<Mutex<Movie>> {
    let movie = Arc::new(Mutex::new(path.and_then(Movie::of_file).unwrap_or_default()));
    let Some(bin) = parse.downcast_ref::<gst::Bin>() else { return movie };
    let seen = Arc::clone(&movie);
    bin.connect_element_added(move |_, element| {
        let is_mp4 = element.factory().is_some_and(|f| f.name() == "qtdemux");
        let Some(sink) = element.static_pad("sink").filter(|_| is_mp4) else { return };
        let (seen, pushed) = (Arc::clone(&seen), AtomicU64::new(0));
        sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                // What is pushed comes in order and tells no place.
                let offset = match pad.mode() {
                    gst::PadMode::Pull => buffer.offset(),
                    _ => pushed.fetch_add(buffer.size() as u64, Ordering::Relaxed),
                };
                if let Some(changed) = changed(&mut lock(&seen), buffer, offset) {
                    *buffer = changed;
                }
            }
            gst::PadProbeReturn::Ok
        });
    });
    movie
}

/// What the demuxer is to read in place of `buffer`, if that is to be changed.
fn changed(movie: &mut Movie, buffer: &gst::BufferRef, offset: u64) -> Option<gst::Buffer> {
    // Few buffers hold anything of the header, so the others are not copied.
    if !movie.concerns(offset, buffer.size() as u64) {
        return None;
    }
    let mut data = buffer.map_readable().ok()?.to_vec();
    movie.pass(offset, &mut data).then(|| {
        let mut changed = gst::Buffer::from_mut_slice(data);
        if let Some(new) = changed.get_mut() {
            new.set_offset(buffer.offset());
        }
        changed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    /// A file with its header at the end, and where the length stands in it.
    fn file(version: u8) -> (Vec<u8>, Range<usize>) {
        let mut mvhd = vec![version, 0, 0, 0];
        mvhd.extend(vec![7; if version == 0 { 8 } else { 16 }]);
        mvhd.extend(1000u32.to_be_bytes());
        let long = 6500u64.to_be_bytes();
        mvhd.extend(if version == 0 { &long[4..] } else { &long });
        let before = [boxed(b"ftyp", b"isom"), boxed(b"free", b""), boxed(b"mdat", &[9; 40])].concat();
        let moov = boxed(b"moov", &[boxed(b"udta", &[1; 3]), boxed(b"mvhd", &mvhd), boxed(b"trak", &[2; 50])].concat());
        let end = before.len() + 8 + 11 + 8 + mvhd.len();
        let length = end - if version == 0 { 4 } else { 8 }..end;
        ([before, moov].concat(), length)
    }

    #[test]
    fn the_length_is_hidden_and_known_however_a_pipe_cuts_it() {
        for version in [0, 1] {
            let (bytes, length) = file(version);
            let mut hidden = bytes.clone();
            hidden[length].fill(0);
            for piece in 1..=bytes.len() {
                let (mut movie, mut passed) = (Movie::default(), bytes.clone());
                let mut offset = 0;
                for part in passed.chunks_mut(piece) {
                    if movie.concerns(offset, part.len() as u64) {
                        movie.pass(offset, part);
                    }
                    offset += part.len() as u64;
                }
                assert_eq!(passed, hidden, "version {version} in pieces of {piece}");
                assert_eq!(movie.duration(), Some(6_500_000_000), "version {version} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_file_is_read_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let (bytes, length) = file(0);
        std::fs::write(&path, &bytes).unwrap();
        let mut movie = Movie::of_file(&path).unwrap();
        let mut hidden = bytes.clone();
        hidden[length.clone()].fill(0);
        for start in [length.start - 20, 0, length.start - 20] {
            let mut data = bytes[start..].to_vec();
            movie.pass(start as u64, &mut data);
            assert_eq!(data, hidden[start..]);
        }
        assert_eq!(movie.duration(), Some(6_500_000_000));
        std::fs::write(&path, b"\x1A\x45\xDF\xA3 not boxes").unwrap();
        assert_eq!(Movie::of_file(&path).unwrap().duration(), None);
    }

    #[test]
    fn bytes_that_are_no_boxes_are_left_alone() {
        for junk in [vec![0; 64], vec![0xFF; 64], b"\0\0\0\x04ftyp".to_vec(), Vec::new()] {
            let (mut movie, mut data) = (Movie::default(), junk.clone());
            movie.pass(0, &mut data);
            assert_eq!((data, movie.duration()), (junk, None));
        }
    }
}
