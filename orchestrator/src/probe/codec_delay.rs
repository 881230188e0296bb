//! Matroska's `CodecDelay`: what a track's times have to be moved back by. matroskademux of 1.22 does that for Opus and
//! leaves the rest to others, so that other sound would come late by it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The tracks stand near the start of any file that can be played while it loads.
const MOST: u64 = 4 << 20;

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_AE6B;
const ENTRY: u64 = 0xAE;
const NUMBER: u64 = 0xD7;
const DELAY: u64 = 0x56AA;

/// For each track's number, its delay in ns. Empty for anything that is no Matroska.
pub(super) fn read(path: &Path) -> BTreeMap<u32, u64> {
    matroska(path).map(|head| delays(&head)).unwrap_or_default()
}

/// The start of a Matroska file.
pub(super) fn matroska(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut head)).ok()?;
    head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]).then_some(head)
}

/// What is in its segment, as far as it goes.
pub(super) fn segment(head: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    elements(head).filter(|(id, _)| *id == SEGMENT).flat_map(|(_, body)| elements(body))
}

/// What is said of each track.
pub(super) fn track_entries(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tracks = segment(head).filter(|(id, _)| *id == TRACKS).flat_map(|(_, body)| elements(body));
    tracks.filter(|(id, _)| *id == ENTRY).map(|(_, body)| body)
}

fn delays(head: &[u8]) -> BTreeMap<u32, u64> {
    let mut out = BTreeMap::new();
    for entry in track_entries(head) {
        let field = |wanted| elements(entry).find(|(id, _)| *id == wanted).map(|(_, body)| number(body));
        if let (Some(track), Some(delay)) = (field(NUMBER), field(DELAY))
            && let Ok(track) = u32::try_from(track)
        {
            out.insert(track, delay);
        }
    }
    out
}

pub(super) fn number(body: &[u8]) -> u64 {
    body.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The elements of a master; the last may be cut short, or of unknown size: it has what is left.
pub(super) fn elements(mut data: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (id, id_length) = variable(data, true)?;
        let (size, size_length) = variable(data.get(id_length..)?, false)?;
        let body = data.get(id_length + size_length..)?;
        let unknown = size == (1u64 << (7 * size_length)) - 1;
        let size = usize::try_from(size).ok().filter(|s| !unknown && *s <= body.len()).unwrap_or(body.len());
        let (body, rest) = body.split_at(size);
        data = rest;
        Some((id, body))
    })
}

pub(super) fn variable(data: &[u8], keep_mark: bool) -> Option<(u64, usize)> {
    let first = *data.first()?;
    let length = first.leading_zeros() as usize + 1;
    let value = number(data.get(..length).filter(|_| length <= 8)?);
    Some((if keep_mark { value } else { value & !(1u64 << (7 * length)) }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_found_in_a_segment_of_unknown_size() {
        let entry = [0xAE, 0x88, 0xD7, 0x81, 2, 0x56, 0xAA, 0x82, 0x01, 0x00];
        let mut file = vec![0x1A, 0x45, 0xDF, 0xA3, 0x80];
        file.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        file.extend([0x16, 0x54, 0xAE, 0x6B, 0x80 | entry.len() as u8]);
        file.extend(entry);
        assert_eq!(delays(&file), BTreeMap::from([(2, 256)]));
    }

    #[test]
    fn a_cut_file_is_no_panic() {
        for n in 0..4 {
            assert!(delays(&[0x18, 0x53, 0x80, 0x67, 0x40][..n + 1]).is_empty());
        }
    }
}
