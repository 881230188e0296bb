//! The `moov` box: where every sample is and when it is shown.

use mp4_atom::{
    BufMut as _, Chpl, ChplEntry, Co64, Ctts, CttsEntry, Dinf, Dref, Edts, Elst, ElstEntry, Encode as _, FixedPoint,
    FourCC, Hdlr, Matrix, Mdhd, Mvhd, Nmhd, Smhd, Stco, Stsc, StscEntry, Stss, Stsz, StszSamples, Stts, SttsEntry,
    Tkhd, TrackReferenceTypeBox, Tref, Url, Vmhd,
};

use super::entries::stsd;
use super::timing::{Timing, scale};
use super::{Mp4, TrackState};
use crate::mux::codec::Kind;
use crate::mux::container::Container;
use crate::mux::track::{Header, Track, Video};

type Result = mp4_atom::Result<()>;

/// Everything about one track that the header boxes need.
struct Laid<'a> {
    track: &'a Track,
    state: &'a TrackState,
    timing: Timing,
    id: u32,
    enabled: bool,
}

/// What holds for the whole movie.
struct Movie {
    container: Container,
    scale: u32,
    /// Chunk offsets are moved by so much.
    shift: u64,
    /// Chunk offsets take 64 bits.
    wide: bool,
    /// The track of chapters, if there is one.
    chapters: Option<u32>,
}

/// The whole box, with chunk offsets moved by `shift`.
pub(super) fn moov(mp4: &Mp4, shift: u64, wide: bool) -> mp4_atom::Result<Vec<u8>> {
    let header = &mp4.header;
    let mut laid: Vec<Laid<'_>> = Vec::new();
    for (track, state) in header.tracks.iter().zip(&mp4.tracks).filter(|(_, s)| !s.samples.is_empty()) {
        let kind = track.codec.kind();
        let enabled = enabled(header, &mp4.tracks, track);
        let id = laid.len() as u32 + 1;
        let mut timing = Timing::new(track, state, header.base);
        if kind == Kind::Other {
            timing.outlast();
        }
        laid.push(Laid { track, state, timing, id, enabled });
    }
    let chapters = laid.iter().find(|l| l.track.codec.kind() == Kind::Other).map(|l| l.id);
    let movie = Movie { container: mp4.container, scale: movie_scale(mp4), shift, wide, chapters };
    let mvhd = Mvhd {
        timescale: movie.scale,
        duration: laid.iter().map(|l| l.timing.total(movie.scale)).max().unwrap_or(0),
        rate: 1.into(),
        volume: 1.into(),
        next_track_id: laid.len() as u32 + 1,
        ..Mvhd::default()
    };
    let mut out = Vec::new();
    out.encode_atom(b"moov", |b| {
        mvhd.encode(b)?;
        laid.iter().try_for_each(|l| trak(b, &movie, l))?;
        user_data(b, header)
    })?;
    Ok(out)
}

/// One track of a kind: the first that is a default, else the first; subtitles only when they are told to be.
fn enabled(header: &Header, states: &[TrackState], track: &Track) -> bool {
    let kind = track.codec.kind();
    let written = header.tracks.iter().zip(states).filter(|(_, s)| !s.samples.is_empty()).map(|(t, _)| t);
    let mut alike = written.filter(|t| t.codec.kind() == kind);
    let first = alike.clone().next().filter(|_| matches!(kind, Kind::Video | Kind::Audio));
    alike.find(|t| t.flags.default == Some(true)).or(first).is_some_and(|chosen| std::ptr::eq(chosen, track))
}

/// A clock on which video and sound both start where they should.
fn movie_scale(mp4: &Mp4) -> u32 {
    mp4.tracks.iter().zip(&mp4.header.tracks).find(|(_, t)| t.video.is_some()).map_or(1000, |(s, _)| s.scale)
}

fn trak(b: &mut Vec<u8>, movie: &Movie, l: &Laid<'_>) -> Result {
    let kind = l.track.codec.kind();
    let video = l.track.video.as_ref();
    let size = video.map_or((0, 0), displayed);
    let tkhd = Tkhd {
        track_id: l.id,
        duration: l.timing.total(movie.scale),
        // One alternate group a kind: players show one of its tracks at a time.
        alternate_group: match kind {
            Kind::Audio => 1,
            Kind::Subtitle => 2,
            Kind::Video | Kind::Other => 0,
        },
        enabled: l.enabled,
        in_movie: true,
        volume: u8::from(kind == Kind::Audio).into(),
        matrix: matrix(video.map_or(0, |v| v.rotation), size),
        width: size.0.into(),
        height: size.1.into(),
        ..Tkhd::default()
    };
    let mdhd = Mdhd {
        timescale: l.state.scale,
        duration: l.timing.media_duration,
        language: language(l.track.language.as_deref()),
        ..Mdhd::default()
    };
    let (handler_type, name) = match kind {
        Kind::Video => (b"vide", "VideoHandler"),
        Kind::Audio => (b"soun", "SoundHandler"),
        Kind::Subtitle => (b"sbtl", "SubtitleHandler"),
        Kind::Other => (b"text", "ChapterHandler"),
    };
    b.encode_atom(b"trak", |b| {
        tkhd.encode(b)?;
        edits(&l.timing, movie.scale)?.encode(b)?;
        if let Some(chapters) = movie.chapters.filter(|_| matches!(kind, Kind::Video | Kind::Audio)) {
            let reference = TrackReferenceTypeBox { reference_type: FourCC::new(b"chap"), track_ids: vec![chapters] };
            Tref { track_reference_type_boxes: vec![reference] }.encode(b)?;
        }
        b.encode_atom(b"mdia", |b| {
            mdhd.encode(b)?;
            handler(b, movie.container, handler_type, l.track.title.as_deref().unwrap_or(name))?;
            b.encode_atom(b"minf", |b| {
                match kind {
                    Kind::Video => Vmhd::default().encode(b)?,
                    Kind::Audio => Smhd::default().encode(b)?,
                    Kind::Subtitle => Nmhd::default().encode(b)?,
                    Kind::Other => generic(b)?,
                }
                Dinf { dref: Dref { entries: vec![Url::default().into()] } }.encode(b)?;
                b.encode_atom(b"stbl", |b| {
                    stsd(b, movie.container, l.track, &l.state.first)?;
                    tables(b, movie, l)
                })
            })
        })
    })
}

/// The handler. The crate's is ISO's; QuickTime's names what it is part of, and counts its name's bytes.
fn handler(b: &mut Vec<u8>, container: Container, kind: &[u8; 4], name: &str) -> Result {
    if container != Container::Mov {
        return Hdlr { handler: FourCC::new(kind), name: name.into() }.encode(b);
    }
    b.encode_atom(b"hdlr", |b| {
        0u32.encode(b)?;
        b"mhlr".encode(b)?;
        kind.encode(b)?;
        [0u8; 12].encode(b)?;
        let name = name.get(..name.floor_char_boundary(255)).unwrap_or_default();
        (name.len() as u8).encode(b)?;
        name.as_bytes().encode(b)
    })
}

/// The media header of QuickTime's text, which the crate does not have.
fn generic(b: &mut Vec<u8>) -> Result {
    b.encode_atom(b"gmhd", |b| {
        b.encode_atom(b"gmin", |b| {
            0u32.encode(b)?;
            // Copied with dithering, grey, as QuickTime itself writes it.
            [0x40u16, 0x8000, 0x8000, 0x8000, 0, 0].iter().try_for_each(|v| v.encode(b))
        })?;
        b.encode_atom(b"text", |b| {
            let (one, last) = (0x0001_0000i32, 0x4000_0000i32);
            [one, 0, 0, 0, one, 0, 0, 0, last].iter().try_for_each(|v| v.encode(b))
        })
    })
}

fn edits(timing: &Timing, movie: u32) -> mp4_atom::Result<Option<Edts>> {
    let delay = timing.delay(movie);
    if delay == 0 && timing.media_start == 0 && !timing.trims {
        return Ok(None);
    }
    let start = u64::try_from(timing.media_start)
        .map_err(|_| mp4_atom::Error::Unsupported("a track that is shown before it is decoded"))?;
    let rate = FixedPoint::from(1);
    let mut entries = Vec::new();
    if delay > 0 {
        entries.push(ElstEntry { segment_duration: delay, media_time: None, media_rate: rate });
    }
    entries.push(ElstEntry { segment_duration: timing.shown(movie), media_time: Some(start), media_rate: rate });
    Ok(Some(Edts { elst: Some(Elst { entries }) }))
}

/// Equal values in a row, counted.
fn runs(values: &[i64]) -> Vec<(u32, i64)> {
    let mut runs: Vec<(u32, i64)> = Vec::new();
    for v in values {
        match runs.last_mut() {
            Some((n, last)) if last == v => *n += 1,
            _ => runs.push((1, *v)),
        }
    }
    runs
}

fn unsigned(value: i64) -> mp4_atom::Result<u32> {
    u32::try_from(value).map_err(|_| mp4_atom::Error::InvalidSize)
}

fn tables(b: &mut Vec<u8>, movie: &Movie, l: &Laid<'_>) -> Result {
    let (state, timing) = (l.state, &l.timing);
    let frame = state.pcm_frame;
    let counts: Vec<u32> = state.samples.iter().map(|s| frame.map_or(1, |f| s.size / f)).collect();
    let total =
        counts.iter().try_fold(0u32, |sum, count| sum.checked_add(*count)).ok_or(mp4_atom::Error::InvalidSize)?;
    let deltas = if frame.is_some() { vec![(total, 1)] } else { runs(&timing.deltas) };
    let entry = |(sample_count, delta)| Ok(SttsEntry { sample_count, sample_delta: unsigned(delta)? });
    Stts { entries: deltas.into_iter().map(entry).collect::<mp4_atom::Result<_>>()? }.encode(b)?;
    if timing.offsets.iter().any(|o| *o != 0) {
        let entry = |(sample_count, sample_offset)| CttsEntry { sample_count, sample_offset };
        Ctts { entries: runs(&timing.offsets).into_iter().map(entry).collect() }.encode(b)?;
    }
    if state.samples.iter().any(|s| !s.key) {
        let keys = state.samples.iter().zip(1..).filter(|(s, _)| s.key).map(|(_, n)| n);
        Stss { entries: keys.collect() }.encode(b)?;
    }
    let ends = state.chunks.iter().skip(1).map(|(_, first)| *first).chain([counts.len()]);
    let lengths = state.chunks.iter().zip(ends).map(|((_, first), end)| {
        counts.get(*first..end).unwrap_or_default().iter().map(|count| i64::from(*count)).sum()
    });
    let mut entries = Vec::new();
    let mut first_chunk = 1;
    for (n, length) in runs(&lengths.collect::<Vec<_>>()) {
        entries.push(StscEntry { first_chunk, samples_per_chunk: unsigned(length)?, sample_description_index: 1 });
        first_chunk += n;
    }
    Stsc { entries }.encode(b)?;
    let samples = match frame {
        Some(size) => StszSamples::Identical { count: total, size },
        None => StszSamples::Different { sizes: state.samples.iter().map(|s| s.size).collect() },
    };
    Stsz { samples }.encode(b)?;
    let offsets = state.chunks.iter().map(|(offset, _)| offset + movie.shift);
    if movie.wide {
        return Co64 { entries: offsets.collect() }.encode(b);
    }
    let narrow = |o: u64| u32::try_from(o).map_err(|_| mp4_atom::Error::InvalidSize);
    Stco { entries: offsets.map(narrow).collect::<mp4_atom::Result<_>>()? }.encode(b)
}

fn user_data(b: &mut Vec<u8>, header: &Header) -> Result {
    if header.chapters.is_empty() && header.tags.is_empty() {
        return Ok(());
    }
    b.encode_atom(b"udta", |b| {
        if !header.tags.is_empty() {
            tags(b, header)?;
        }
        if header.chapters.is_empty() {
            return Ok(());
        }
        // This list has room for 255; the track of chapters has them all.
        let listed = header.chapters.iter().take(255).map(|chapter| ChplEntry {
            start: chapter.start / 100,
            title: chapter.title.get(..chapter.title.floor_char_boundary(255)).unwrap_or_default().into(),
        });
        Chpl { entries: listed.collect() }.encode(b)
    })
}

/// Tags as iTunes has them. The crate knows six of them, and a handler without the maker players look for.
fn tags(b: &mut Vec<u8>, header: &Header) -> Result {
    b.encode_atom(b"meta", |b| {
        0u32.encode(b)?;
        b.encode_atom(b"hdlr", |b| {
            [0u32; 2].iter().try_for_each(|v| v.encode(b))?;
            b"mdirappl".encode(b)?;
            [0u8; 9].encode(b)
        })?;
        b.encode_atom(b"ilst", |b| {
            let known = header.tags.iter().filter_map(|(name, value)| Some((tag_box(name)?, value)));
            known.into_iter().try_for_each(|(kind, value)| {
                b.encode_atom(kind, |b| {
                    b.encode_atom(b"data", |b| {
                        [1u32, 0].iter().try_for_each(|v| v.encode(b))?;
                        value.as_bytes().encode(b)
                    })
                })
            })
        })
    })
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
fn displayed(video: &Video) -> (u16, u16) {
    let (n, d) = video.aspect;
    let width = if n > 0 && d > 0 { scale(video.width.into(), n, d).max(1) } else { video.width.into() };
    (u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(video.height).unwrap_or(u16::MAX))
}

/// The matrix that turns a picture clockwise and moves it back to where it was.
fn matrix(rotation: u16, (width, height): (u16, u16)) -> Matrix {
    const ONE: i32 = 0x0001_0000;
    let (w, h) = ((u32::from(width) << 16).cast_signed(), (u32::from(height) << 16).cast_signed());
    let [a, b, c, d, x, y] = match rotation {
        90 => [0, ONE, -ONE, 0, h, 0],
        180 => [-ONE, 0, 0, -ONE, w, h],
        270 => [0, -ONE, ONE, 0, 0, w],
        _ => [ONE, 0, 0, ONE, 0, 0],
    };
    Matrix { a, b, c, d, x, y, ..Matrix::default() }
}

/// What ISO 639-2 can say.
fn language(language: Option<&str>) -> String {
    language.filter(|l| l.len() == 3 && l.bytes().all(|b| b.is_ascii_lowercase())).unwrap_or("und").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::codec::Codec;
    use crate::mux::mp4::Entry;
    use crate::mux::track::Flags;

    #[test]
    fn samples_beyond_4_gib_are_found_by_64_bits_and_never_by_fewer() {
        let video = Video { rate: Some((25, 1)), ..Video::default() };
        let (codec, private) = (Codec::H264, vec![1]);
        let track = Track {
            codec,
            private,
            language: None,
            title: None,
            flags: Flags::default(),
            video: Some(video),
            audio: None,
        };
        let header = Header { tracks: vec![track], ..Header::default() };
        let sample =
            |i: i64| Entry { pts: i * 40_000_000, dts: i * 40_000_000, duration: 40_000_000, size: 1, key: true };
        let state = TrackState {
            scale: 12_800,
            samples: vec![sample(0), sample(1)],
            chunks: vec![(48, 0), (5 << 30, 1)],
            first: Vec::new(),
            pcm_frame: None,
            text_end: 0,
        };
        let mp4 = Mp4 { container: Container::Mp4, header, tracks: vec![state], mdat: 32, open_chunk: None };
        let index = moov(&mp4, 16, true).unwrap();
        let at = index.windows(4).position(|w| w == b"co64").expect("64 bits") + 12;
        assert_eq!(index[at..at + 8], 64u64.to_be_bytes());
        assert_eq!(index[at + 8..at + 16], ((5u64 << 30) + 16).to_be_bytes());
        assert!(moov(&mp4, 16, false).is_err());
    }

    #[test]
    fn a_language_is_three_small_letters_or_not_told() {
        assert_eq!(language(None), "und");
        assert_eq!(language(Some("eng")), "eng");
        assert_eq!(language(Some("e")), "und");
        assert_eq!(language(Some("EN1")), "und");
    }
}
