//! Whether a file is as long as it says: demuxers read a cut one to its end without a word.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How many bytes the header promises beyond the file's end.
pub(super) fn missing(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(|m| m.is_file())?.len();
    let mut head = [0; 64];
    let read = file.read(&mut head).ok()?;
    let head = head.get(..read)?;
    let end = if head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        segment_end(&mut file, head, length)?
    } else if head.get(4..8)? == b"ftyp" {
        boxes_end(&mut file, length)?
    } else {
        return None;
    };
    end.checked_sub(length).filter(|m| *m > 0)
}

/// Where a Matroska file's segment ends, by its own size, else by that of the last element in it.
fn segment_end(file: &mut File, head: &[u8], length: u64) -> Option<u64> {
    let (header, at) = size(head, 4)?;
    let start = at.checked_add(usize::try_from(header).ok()?)?;
    if head.get(start..start + 4)? != [0x18, 0x53, 0x80, 0x67] {
        return None;
    }
    if let Some((size, at)) = size(head, start + 4) {
        return u64::try_from(at).ok()?.checked_add(size);
    }
    let marked = head.get(start + 4)?.leading_zeros() as usize + 1;
    let mut at = u64::try_from(start + 4 + marked).ok()?;
    while at < length {
        let mut element = [0; 12];
        file.seek(SeekFrom::Start(at)).ok()?;
        let read = file.read(&mut element).ok()?;
        let element = element.get(..read)?;
        let id = element.first()?.leading_zeros() as usize + 1;
        let (size, body) = size(element, id)?;
        at = at.checked_add(u64::try_from(body).ok()?)?.checked_add(size)?;
    }
    Some(at)
}

/// A size and where it ends; `None` for an unknown one.
fn size(data: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *data.get(at)?;
    let length = first.leading_zeros() as usize + 1;
    let bytes = data.get(at..at + length).filter(|_| length <= 8)?;
    let value = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) & !(1u64 << (7 * length));
    (value != (1u64 << (7 * length)) - 1).then_some((value, at + length))
}

/// Where the last box ends that starts within the file.
fn boxes_end(file: &mut File, length: u64) -> Option<u64> {
    let mut at = 0u64;
    while at.checked_add(8)? <= length {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(head.get_mut(..8)?).ok()?;
        let short = u32::from_be_bytes(head.get(..4)?.try_into().ok()?);
        let size = match short {
            0 => length - at,
            1 => {
                file.read_exact(head.get_mut(8..)?).ok()?;
                u64::from_be_bytes(head.get(8..)?.try_into().ok()?)
            }
            size => u64::from(size),
        };
        if size < 8 {
            return None;
        }
        at = at.checked_add(size)?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_file_is_known_by_its_own_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let cases: [(&[u8], Option<u64>); 6] = [
            (b"\0\0\0\x0Cftypisom\0\0\0\x10mdat\0\0\0\0", Some(4)),
            (b"\0\0\0\x0Cftypisom\0\0\0\x0Cmdat\0\0\0\0", None),
            (b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\x8A1234567", Some(3)),
            (b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\xFF\xEC\x82ab", None),
            (b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\xFF\xEC\x82ab\xEC\x83c", Some(2)),
            (b"not a container at all", None),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(missing(&path), expected, "{bytes:?}");
        }
    }
}
