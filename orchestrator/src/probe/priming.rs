//! Packets of sound that an MP4's edit list puts before the start.
//!
//! A decoder needs them to begin cleanly, and a copy of the track has to hold them; qtdemux of 1.22
//! leaves them out. They are read here, straight from the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::mux::Sample;

/// More than any real index; what claims more is not read.
const MOST_INDEX: u64 = 256 << 20;
/// More than any packet of sound.
const MOST_PACKET: u32 = 1 << 20;

/// For each track's id, its packets before the start, with negative times. Empty for anything that is no MP4.
pub(super) fn read(path: &Path) -> BTreeMap<u32, Vec<Sample>> {
    File::open(path).ok().and_then(|mut file| tracks(&mut file)).unwrap_or_default()
}

fn tracks(file: &mut File) -> Option<BTreeMap<u32, Vec<Sample>>> {
    let index = index(file)?;
    let scale = u32_at(child(&index, b"mvhd")?, if index_version(&index)? == 1 { 20 } else { 12 })?;
    let mut out = BTreeMap::new();
    for trak in children(&index).filter(|(k, _)| k == b"trak").map(|(_, b)| b) {
        if let Some((id, packets)) = packets(file, trak, scale) {
            out.insert(id, packets);
        }
    }
    Some(out)
}

fn index_version(index: &[u8]) -> Option<u8> {
    child(index, b"mvhd")?.first().copied()
}

/// The content of `moov`, when the file is made of boxes.
pub(super) fn index(file: &mut File) -> Option<Vec<u8>> {
    let length = file.metadata().ok()?.len();
    let mut at = 0;
    while at + 8 <= length {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(head.get_mut(..8)?).ok()?;
        let kind: [u8; 4] = head.get(4..8)?.try_into().ok()?;
        if !kind.iter().all(|b| b.is_ascii_graphic() || *b == b' ' || *b == 0xA9) {
            return None;
        }
        let (header, size) = match u32_at(&head, 0)? {
            0 => (8, length - at),
            1 => {
                file.read_exact(head.get_mut(8..)?).ok()?;
                (16, u64::from(u32_at(&head, 8)?) << 32 | u64::from(u32_at(&head, 12)?))
            }
            size => (8, u64::from(size)),
        };
        if size < header {
            return None;
        }
        if &kind == b"moov" {
            let inner = size.min(length - at) - header;
            let mut body = vec![0; usize::try_from(inner.min(MOST_INDEX)).ok()?];
            file.seek(SeekFrom::Start(at + header)).ok()?;
            file.read_exact(&mut body).ok()?;
            return Some(body);
        }
        at = at.checked_add(size)?;
    }
    None
}

/// A track's id and its packets before the start, if it is sound and has any.
fn packets(file: &mut File, trak: &[u8], movie_scale: u32) -> Option<(u32, Vec<Sample>)> {
    let tkhd = child(trak, b"tkhd")?;
    let id = u32_at(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
    let media = child(trak, b"mdia")?;
    if child(media, b"hdlr")?.get(8..12)? != b"soun" {
        return None;
    }
    let mdhd = child(media, b"mdhd")?;
    let scale = u32_at(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 }).filter(|s| *s > 0)?;
    let (delay, start) = edit(child(child(trak, b"edts")?, b"elst")?, movie_scale)?;
    let table = child(child(media, b"minf")?, b"stbl")?;
    let early = before(child(table, b"stts")?, start)?;
    let from = early.iter().position(|(time, _)| time + u64::from(scale) >= start)?;
    let sizes = child(table, b"stsz")?;
    let mut out = Vec::new();
    let ns = |units: u64| i64::try_from(u128::from(units) * 1_000_000_000 / u128::from(scale)).ok();
    for (number, (time, length)) in early.iter().enumerate().skip(from) {
        let size = size_of(sizes, number)?;
        let at = place(table, sizes, number)?;
        if size > MOST_PACKET {
            return None;
        }
        let mut data = vec![0; usize::try_from(size).ok()?];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut data).ok()?;
        let pts = delay - ns(start - time)?;
        out.push(Sample { pts, dts: pts, duration: ns(*length)?.unsigned_abs(), key: true, data });
    }
    (!out.is_empty()).then_some((id, out))
}

/// The delay before the track in ns, and the media time it starts with.
fn edit(elst: &[u8], movie_scale: u32) -> Option<(i64, u64)> {
    let long = elst.first() == Some(&1);
    let entry = if long { 20 } else { 12 };
    let mut delay = 0u64;
    for body in elst.get(8..)?.chunks_exact(entry).take(usize::try_from(u32_at(elst, 4)?).ok()?) {
        let (length, start) = if long {
            let wide = |at| Some(u64::from(u32_at(body, at)?) << 32 | u64::from(u32_at(body, at + 4)?));
            (wide(0)?, wide(8)?.cast_signed())
        } else {
            (u64::from(u32_at(body, 0)?), i64::from(u32_at(body, 4)?.cast_signed()))
        };
        if let Ok(start) = u64::try_from(start) {
            let ns = u128::from(delay) * 1_000_000_000 / u128::from(movie_scale.max(1));
            return Some((i64::try_from(ns).ok()?, start));
        }
        delay = delay.checked_add(length)?;
    }
    None
}

/// Time and length of the samples that end at or before `start`.
fn before(stts: &[u8], start: u64) -> Option<Vec<(u64, u64)>> {
    let mut out = Vec::new();
    let mut time = 0u64;
    for run in stts.get(8..)?.chunks_exact(8) {
        let (count, length) = (u32_at(run, 0)?, u64::from(u32_at(run, 4)?));
        for _ in 0..count {
            if time + length > start || length == 0 || out.len() > 100_000 {
                return Some(out);
            }
            out.push((time, length));
            time += length;
        }
    }
    Some(out)
}

fn size_of(stsz: &[u8], number: usize) -> Option<u32> {
    match u32_at(stsz, 4)? {
        0 => u32_at(stsz, 12 + 4 * number),
        size => Some(size),
    }
}

/// Where in the file a sample lies: its chunk's place and the sizes of those before it in the chunk.
fn place(table: &[u8], stsz: &[u8], number: usize) -> Option<u64> {
    let runs: Vec<(usize, usize)> = child(table, b"stsc")?
        .get(8..)?
        .chunks_exact(12)
        .map(|e| Some((u32_at(e, 0)? as usize, u32_at(e, 4)? as usize)))
        .collect::<Option<_>>()?;
    let (mut first, mut chunk) = (0usize, 1usize);
    let length = loop {
        let length = runs.iter().rev().find(|(from, _)| *from <= chunk).map(|(_, n)| *n).filter(|n| *n > 0)?;
        if number < first + length {
            break number - first;
        }
        first += length;
        chunk += 1;
    };
    let start = match child(table, b"stco") {
        Some(stco) => u64::from(u32_at(stco, 8 + 4 * (chunk - 1))?),
        None => {
            let co64 = child(table, b"co64")?;
            let at = 8 + 8 * (chunk - 1);
            u64::from(u32_at(co64, at)?) << 32 | u64::from(u32_at(co64, at + 4)?)
        }
    };
    (0..length).try_fold(start, |at, i| at.checked_add(u64::from(size_of(stsz, first + i)?)))
}

pub(super) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn children(mut data: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = usize::try_from(u32_at(data, 0)?).ok()?;
        let kind = data.get(4..8)?.try_into().ok()?;
        let body = data.get(8..size.max(8))?;
        data = data.get(size.max(8)..)?;
        Some((kind, body))
    })
}

pub(super) fn child<'a>(data: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(data).find(|(k, _)| k == kind).map(|(_, b)| b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_list_with_a_delay_tells_both_times() {
        let mut elst = vec![0, 0, 0, 0, 0, 0, 0, 2];
        for value in [500u32, u32::MAX, 0x0001_0000, 9000, 1024, 0x0001_0000] {
            elst.extend(value.to_be_bytes());
        }
        assert_eq!(edit(&elst, 1000), Some((500_000_000, 1024)));
    }

    #[test]
    fn only_whole_packets_before_the_start_are_early() {
        let stts = [0u32, 1, 10, 1024].iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<_>>();
        assert_eq!(before(&stts, 1024).unwrap(), [(0, 1024)]);
        assert_eq!(before(&stts, 2100).unwrap().len(), 2);
        assert_eq!(before(&stts, 0).unwrap(), []);
    }

    #[test]
    fn a_file_that_is_no_mp4_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, [0, 0, 0, 20, b'm', b'o', b'o', b'v', 0, 0]).unwrap();
        assert!(read(&path).is_empty());
        std::fs::write(&path, b"\x1A\x45\xDF\xA3 not boxes").unwrap();
        assert!(read(&path).is_empty());
    }
}
