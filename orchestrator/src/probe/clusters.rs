//! Whether the clusters of a Matroska file are made of elements, as far as their headers tell. matroskademux of GStreamer
//! 1.22 goes on behind damage at the next cluster, and where there is none it ends without a word.

use std::fs::File;
use std::path::Path;

use super::codec_delay::variable;
use super::whole::bytes;

const EBML: u64 = 0x1A45_DFA3;
const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1F43_B675;
/// What a cluster holds (RFC 9559, 5.1.3): its times, places and sizes, blocks, a sum, and what fills a hole.
const WITHIN: [u64; 10] = [0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0x5854, 0xBF, 0xEC, 0x58D7];
/// The longest header: 4 bytes of an id, 8 of a size.
const LONGEST: usize = 12;

/// The first byte that is no element where one has to be; `None` for a file without such a place, one that is cut, and one
/// that is no Matroska.
pub(crate) fn damage(path: &Path) -> Option<u64> {
    // Opening a named pipe would wait for whoever writes into it.
    let length = path.metadata().ok().filter(|m| m.is_file())?.len();
    let mut file = File::open(path).ok()?;
    let head = header(&bytes(&mut file, 0, LONGEST as u64)?, 0).filter(|head| head.id == EBML)?;
    let at = head.end()?;
    let segment = header(&bytes(&mut file, at, LONGEST as u64)?, at).filter(|segment| segment.id == SEGMENT)?;
    let end = segment.end().unwrap_or(length).min(length);
    let mut at = segment.body;
    while at < end {
        let data = bytes(&mut file, at, LONGEST as u64)?;
        let Some(element) = header(&data, at) else { return is_there(&data, at, end).then_some(at) };
        // Written while nobody knew how long it would be: what ends it is the next one.
        let last = element.end().filter(|last| *last <= end)?;
        at = if element.id == CLUSTER { element.body } else { last };
        while at < last {
            let data = bytes(&mut file, at, LONGEST as u64)?;
            let Some(part) = header(&data, at) else { return is_there(&data, at, last).then_some(at) };
            match part.end().filter(|end| *end <= last && WITHIN.contains(&part.id)) {
                Some(end) => at = end,
                None => return Some(at),
            }
        }
    }
    None
}

/// False where the file ends within what would be a header.
fn is_there(data: &[u8], at: u64, end: u64) -> bool {
    data.len() == LONGEST || at + data.len() as u64 >= end
}

struct Header {
    id: u64,
    /// `None` for one that is not known.
    size: Option<u64>,
    /// Where what it holds begins.
    body: u64,
}

impl Header {
    fn end(&self) -> Option<u64> {
        self.body.checked_add(self.size?)
    }
}

/// `None` for what is no header.
fn header(data: &[u8], at: u64) -> Option<Header> {
    let (id, id_length) = variable(data, true).filter(|(_, length)| *length <= 4)?;
    let (size, size_length) = variable(data.get(id_length..)?, false)?;
    let size = Some(size).filter(|size| *size != (1u64 << (7 * size_length)) - 1);
    Some(Header { id, size, body: at + (id_length + size_length) as u64 })
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
