//! The `moov` box: where every sample is and when it is shown.

use super::boxes::Boxes;
use super::entries::stsd;
use super::timing::{Timing, scale};
use super::{Mp4, TrackState};
use crate::mux::codec::Kind;
use crate::mux::container::Container;
use crate::mux::track::{Header, Track, Video};

/// Everything about one track that the header boxes need.
struct Laid<'a> {
    track: &'a Track,
    state: &'a TrackState,
    timing: Timing,
}

/// The whole box, with chunk offsets moved by `shift`.
pub(super) fn moov(mp4: &Mp4, shift: u64, wide: bool) -> Vec<u8> {
    let header = &mp4.header;
    let scale_of_movie = movie_scale(mp4);
    let laid: Vec<Laid<'_>> = header
        .tracks
        .iter()
        .zip(&mp4.tracks)
        .filter(|(_, s)| !s.samples.is_empty())
        .map(|(track, state)| Laid { track, state, timing: Timing::new(track, state, header.base) })
        .collect();
    let end = laid.iter().map(|l| l.timing.total(scale_of_movie)).max().unwrap_or(0);
    let mut b = Boxes::default();
    b.boxed(b"moov", |b| {
        b.full(b"mvhd", 1, 0, |b| {
            b.u64(0);
            b.u64(0);
            b.u32(scale_of_movie);
            b.u64(end);
            b.u32(0x0001_0000);
            b.u16(0x0100);
            b.zeros(10);
            matrix(b, 0, (0, 0));
            b.zeros(24);
            b.u32(laid.len() as u32 + 1);
        });
        for (i, l) in laid.iter().enumerate() {
            let alone = |k| laid.iter().position(|o| o.track.codec.kind() == k) == Some(i);
            let enabled = match l.track.codec.kind() {
                Kind::Subtitle => false,
                kind => alone(kind),
            };
            trak(b, mp4, l, i as u32 + 1, enabled, scale_of_movie, shift, wide);
        }
        user_data(b, header);
    });
    b.0
}

/// A clock on which video and sound both start where they should.
fn movie_scale(mp4: &Mp4) -> u32 {
    mp4.tracks.iter().zip(&mp4.header.tracks).find(|(_, t)| t.video.is_some()).map_or(1000, |(s, _)| s.scale)
}

#[expect(clippy::too_many_arguments, reason = "a box's fields")]
fn trak(b: &mut Boxes, mp4: &Mp4, l: &Laid<'_>, id: u32, enabled: bool, movie: u32, shift: u64, wide: bool) {
    let kind = l.track.codec.kind();
    b.boxed(b"trak", |b| {
        b.full(b"tkhd", 1, if enabled { 3 } else { 2 }, |b| {
            b.u64(0);
            b.u64(0);
            b.u32(id);
            b.u32(0);
            b.u64(l.timing.total(movie));
            b.zeros(8);
            b.u16(0);
            // One alternate group a kind: players show one of its tracks at a time.
            b.u16(match kind {
                Kind::Audio => 1,
                Kind::Subtitle => 2,
                _ => 0,
            });
            b.u16(if kind == Kind::Audio { 0x0100 } else { 0 });
            b.u16(0);
            let video = l.track.video.as_ref();
            let size = video.map_or((0, 0), displayed);
            matrix(b, video.map_or(0, |v| v.rotation), size);
            b.u32(size.0 << 16);
            b.u32(size.1 << 16);
        });
        edits(b, &l.timing, movie);
        b.boxed(b"mdia", |b| {
            b.full(b"mdhd", 1, 0, |b| {
                b.u64(0);
                b.u64(0);
                b.u32(l.state.scale);
                b.u64(l.timing.media_duration);
                b.u16(packed_language(l.track.language.as_deref()));
                b.u16(0);
            });
            let (handler, name): (&[u8; 4], &str) = match kind {
                Kind::Video => (b"vide", "VideoHandler"),
                Kind::Audio => (b"soun", "SoundHandler"),
                _ => (b"sbtl", "SubtitleHandler"),
            };
            b.full(b"hdlr", 0, 0, |b| {
                b.bytes(if mp4.container == Container::Mov { b"mhlr" } else { &[0; 4] });
                b.bytes(handler);
                b.zeros(12);
                let name = l.track.title.as_deref().unwrap_or(name);
                if mp4.container == Container::Mov {
                    let name = name.get(..name.len().min(255)).unwrap_or_default();
                    b.u8(name.len() as u8);
                    b.bytes(name.as_bytes());
                } else {
                    b.bytes(name.as_bytes());
                    b.u8(0);
                }
            });
            b.boxed(b"minf", |b| {
                match kind {
                    Kind::Video => b.full(b"vmhd", 0, 1, |b| b.zeros(8)),
                    Kind::Audio => b.full(b"smhd", 0, 0, |b| b.zeros(4)),
                    _ => b.full(b"nmhd", 0, 0, |_| {}),
                }
                b.boxed(b"dinf", |b| {
                    b.full(b"dref", 0, 0, |b| {
                        b.u32(1);
                        b.full(b"url ", 0, 1, |_| {});
                    });
                });
                b.boxed(b"stbl", |b| {
                    stsd(b, mp4.container, l.track, &l.state.first);
                    tables(b, l, shift, wide);
                });
            });
        });
    });
}

fn edits(b: &mut Boxes, timing: &Timing, movie: u32) {
    let delay = timing.delay(movie);
    if delay == 0 && timing.media_start == 0 && !timing.trims {
        return;
    }
    b.boxed(b"edts", |b| {
        b.full(b"elst", 1, 0, |b| {
            b.u32(if delay > 0 { 2 } else { 1 });
            if delay > 0 {
                b.u64(delay);
                b.i64(-1);
                b.u32(0x0001_0000);
            }
            b.u64(timing.shown(movie));
            b.i64(timing.media_start);
            b.u32(0x0001_0000);
        });
    });
}

fn tables(b: &mut Boxes, l: &Laid<'_>, shift: u64, wide: bool) {
    let runs = |values: &[i64]| {
        let mut runs: Vec<(u32, i64)> = Vec::new();
        for v in values {
            match runs.last_mut() {
                Some((n, last)) if last == v => *n += 1,
                _ => runs.push((1, *v)),
            }
        }
        runs
    };
    let frame = l.state.pcm_frame;
    let counts: Vec<u32> = l.state.samples.iter().map(|s| frame.map_or(1, |f| s.size / f)).collect();
    let total: u32 = counts.iter().sum();
    let deltas = if frame.is_some() { vec![(total, 1)] } else { runs(&l.timing.deltas) };
    b.full(b"stts", 0, 0, |b| {
        b.u32(deltas.len() as u32);
        for (n, delta) in deltas {
            b.u32(n);
            b.u32(u32::try_from(delta).unwrap_or(0));
        }
    });
    if l.timing.offsets.iter().any(|o| *o != 0) {
        let version = u8::from(l.timing.offsets.iter().any(|o| *o < 0));
        let runs = runs(&l.timing.offsets);
        b.full(b"ctts", version, 0, |b| {
            b.u32(runs.len() as u32);
            for (n, offset) in runs {
                b.u32(n);
                b.i32(i32::try_from(offset).unwrap_or(i32::MAX));
            }
        });
    }
    if l.state.samples.iter().any(|s| !s.key) {
        let keys: Vec<u32> = l.state.samples.iter().zip(1..).filter(|(s, _)| s.key).map(|(_, n)| n).collect();
        b.full(b"stss", 0, 0, |b| {
            b.u32(keys.len() as u32);
            keys.iter().for_each(|k| b.u32(*k));
        });
    }
    let chunks = &l.state.chunks;
    let ends = chunks.iter().skip(1).map(|(_, first)| *first).chain([counts.len()]);
    let lengths = chunks
        .iter()
        .zip(ends)
        .map(|((_, first), end)| i64::from(counts.get(*first..end).unwrap_or_default().iter().sum::<u32>()));
    let lengths = runs(&lengths.collect::<Vec<_>>());
    b.full(b"stsc", 0, 0, |b| {
        b.u32(lengths.len() as u32);
        let mut first = 1;
        for (n, length) in lengths {
            b.u32(first);
            b.u32(u32::try_from(length).unwrap_or(0));
            b.u32(1);
            first += n;
        }
    });
    b.full(b"stsz", 0, 0, |b| {
        b.u32(frame.unwrap_or(0));
        b.u32(total);
        if frame.is_none() {
            l.state.samples.iter().for_each(|s| b.u32(s.size));
        }
    });
    b.full(if wide { b"co64" } else { b"stco" }, 0, 0, |b| {
        b.u32(chunks.len() as u32);
        for (offset, _) in chunks {
            let at = offset + shift;
            if wide { b.u64(at) } else { b.u32(at as u32) }
        }
    });
}

fn user_data(b: &mut Boxes, header: &Header) {
    if header.chapters.is_empty() && header.tags.is_empty() {
        return;
    }
    b.boxed(b"udta", |b| {
        if !header.tags.is_empty() {
            b.full(b"meta", 0, 0, |b| {
                b.full(b"hdlr", 0, 0, |b| {
                    b.u32(0);
                    b.bytes(b"mdirappl");
                    b.zeros(9);
                });
                b.boxed(b"ilst", |b| {
                    for (name, value) in &header.tags {
                        let Some(kind) = tag_box(name) else { continue };
                        b.boxed(kind, |b| {
                            b.boxed(b"data", |b| {
                                b.u32(1);
                                b.u32(0);
                                b.bytes(value.as_bytes());
                            });
                        });
                    }
                });
            });
        }
        if !header.chapters.is_empty() {
            let listed = header.chapters.get(..header.chapters.len().min(255)).unwrap_or_default();
            b.full(b"chpl", 1, 0, |b| {
                b.u32(0);
                b.u8(listed.len() as u8);
                for chapter in listed {
                    b.u64(chapter.start / 100);
                    let cut = chapter.title.floor_char_boundary(255);
                    let title = chapter.title.get(..cut).unwrap_or_default();
                    b.u8(title.len() as u8);
                    b.bytes(title.as_bytes());
                }
            });
        }
    });
}

/// The tags that have a box of their own.
pub(crate) fn tag_box(name: &str) -> Option<&'static [u8; 4]> {
    Some(match name.to_ascii_lowercase().as_str() {
        "title" => b"\xA9nam",
        "artist" => b"\xA9ART",
        "album_artist" => b"aART",
        "album" => b"\xA9alb",
        "comment" => b"\xA9cmt",
        "date" | "year" => b"\xA9day",
        "genre" => b"\xA9gen",
        "composer" => b"\xA9wrt",
        "description" => b"desc",
        "synopsis" => b"ldes",
        "copyright" => b"cprt",
        "lyrics" => b"\xA9lyr",
        "show" => b"tvsh",
        _ => return None,
    })
}

/// A picture's size as shown before it is turned.
fn displayed(video: &Video) -> (u32, u32) {
    let (n, d) = video.aspect;
    let width = if n > 0 && d > 0 { scale(i64::from(video.width), n, d).clamp(1, 0xFFFF) as u32 } else { video.width };
    (width.min(0xFFFF), video.height.min(0xFFFF))
}

/// The matrix that turns a picture clockwise and moves it back to where it was.
fn matrix(b: &mut Boxes, rotation: u16, (width, height): (u32, u32)) {
    const ONE: i32 = 0x0001_0000;
    let (w, h) = ((width << 16) as i32, (height << 16) as i32);
    let [a, bb, c, d, x, y] = match rotation {
        90 => [0, ONE, -ONE, 0, h, 0],
        180 => [-ONE, 0, 0, -ONE, w, h],
        270 => [0, -ONE, ONE, 0, 0, w],
        _ => [ONE, 0, 0, ONE, 0, 0],
    };
    for value in [a, bb, 0, c, d, 0, x, y, 0x4000_0000] {
        b.i32(value);
    }
}

fn packed_language(language: Option<&str>) -> u16 {
    let code = language.filter(|l| l.len() == 3 && l.bytes().all(|b| b.is_ascii_lowercase()));
    code.unwrap_or("und").bytes().fold(0, |packed, b| packed << 5 | u16::from(b & 0x1F))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_packed_as_iso_says() {
        assert_eq!(packed_language(None), 0x55C4);
        assert_eq!(packed_language(Some("eng")), 0x15C7);
        assert_eq!(packed_language(Some("e")), 0x55C4);
    }
}
