//! Whether the clusters of a Matroska file are made of elements, as far as their headers tell. matroskademux of GStreamer
//! 1.22 goes on behind damage at the next cluster, and where there is none it ends without a word.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1F43_B675;
/// What a cluster holds (RFC 9559, 5.1.3): its times, places and sizes, blocks, a sum, and what fills a hole.
const WITHIN: [u32; 10] = [0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0x5854, 0xBF, 0xEC, 0x58D7];

/// The first byte that is no element where one has to be; `None` for a file without such a place, one that is cut, and one
/// that is no Matroska.
pub(crate) fn damage(path: &Path) -> Option<u64> {
    // Opening a named pipe would wait for whoever writes into it.
    let length = path.metadata().ok().filter(|m| m.is_file())?.len();
    let file = File::open(path).ok()?;
    let mut walk = Walk { file: BufReader::with_capacity(AT_ONCE, file), at: 0 };
    let head = walk.header()?;
    if head.id != 0x1A45_DFA3 {
        return None;
    }
    walk.pass(head.size?)?;
    let segment = walk.header().filter(|segment| segment.id == SEGMENT)?;
    let end = segment.size.and_then(|size| walk.at.checked_add(size)).unwrap_or(length).min(length);
    while walk.at < end {
        let at = walk.at;
        let Some(element) = walk.header() else { return damaged(&mut walk, at, end) };
        // Written while nobody knew how long it would be: what ends it is the next one.
        let size = element.size?;
        let last = walk.at.checked_add(size).filter(|last| *last <= end)?;
        if element.id == CLUSTER {
            while walk.at < last {
                let at = walk.at;
                let Some(part) = walk.header() else { return damaged(&mut walk, at, last) };
                let fits = part.size.is_some_and(|size| walk.at.checked_add(size).is_some_and(|part| part <= last));
                if !fits || !WITHIN.contains(&part.id) {
                    return Some(at);
                }
                walk.pass(part.size?)?;
            }
        } else {
            walk.pass(size)?;
        }
    }
    None
}

/// What cannot be read at a place is damage unless the file ends there.
fn damaged(walk: &mut Walk, at: u64, end: u64) -> Option<u64> {
    walk.file.seek(SeekFrom::Start(at)).ok()?;
    let has_more = walk.file.fill_buf().is_ok_and(|left| left.len() >= HEADER || at + left.len() as u64 >= end);
    has_more.then_some(at)
}

/// Little more than a header: what is between them is not looked at.
const AT_ONCE: usize = 32;
/// The longest: 4 bytes of an id, 8 of a size.
const HEADER: usize = 12;

struct Walk {
    file: BufReader<File>,
    at: u64,
}

struct Header {
    id: u32,
    /// `None` for one that is not known.
    size: Option<u64>,
}

impl Walk {
    /// `None` for what is no header.
    fn header(&mut self) -> Option<Header> {
        let id = self.number(4)?;
        let size = self.number(8)?;
        let bits = size.length * 7;
        let value = size.bytes & ((1 << bits) - 1);
        let is_known = value != (1 << bits) - 1;
        Some(Header { id: u32::try_from(id.bytes).ok()?, size: is_known.then_some(value) })
    }

    /// A number whose first byte tells how many there are.
    fn number(&mut self, longest: u32) -> Option<Number> {
        let mut bytes = [0; 8];
        self.file.read_exact(bytes.get_mut(..1)?).ok()?;
        let length = bytes.first()?.leading_zeros() + 1;
        let rest = bytes.get_mut(1..usize::try_from(length).ok()?).filter(|_| length <= longest)?;
        self.file.read_exact(rest).ok()?;
        self.at += u64::from(length);
        let bytes = bytes.iter().take(usize::try_from(length).ok()?).fold(0, |n, byte| n << 8 | u64::from(*byte));
        Some(Number { bytes, length })
    }

    fn pass(&mut self, size: u64) -> Option<()> {
        self.file.seek_relative(i64::try_from(size).ok()?).ok()?;
        self.at += size;
        Some(())
    }
}

struct Number {
    bytes: u64,
    length: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
    const BLOCKS: &[u8] = b"\x1F\x43\xB6\x75\x8A\xE7\x81\x01\xA3\x85abcde";

    #[test]
    fn what_is_no_element_in_a_cluster_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let at = (HEAD.len() + BLOCKS.len()) as u64;
        let with = |change: usize, byte: u8| {
            let mut blocks = BLOCKS.to_vec();
            blocks[change] = byte;
            [HEAD, BLOCKS, &blocks].concat()
        };
        let cases = [
            ([HEAD, BLOCKS, BLOCKS].concat(), None),
            // An id that is too long, one that is none of a cluster's, a size beyond the cluster.
            (with(8, 0x03), Some(at + 8)),
            (with(8, 0xA2), Some(at + 8)),
            (with(9, 0x86), Some(at + 8)),
            (with(0, 0x00), Some(at)),
            // Cut, of unknown length, something else.
            ([HEAD, BLOCKS, &BLOCKS[..9]].concat(), None),
            ([HEAD, b"\x1F\x43\xB6\x75\xFF\x03\x03"].concat(), None),
            (b"not a container at all".to_vec(), None),
            (Vec::new(), None),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(damage(&path), expected, "{bytes:?}");
        }
    }
}
