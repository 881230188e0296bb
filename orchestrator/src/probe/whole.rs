//! Whether a file is as long as it says: demuxers read a cut one to its end without a word. MPEG's program and transport
//! streams and Ogg say nothing of it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How many bytes the header promises beyond the file's end.
pub(super) fn missing(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(|m| m.is_file())?.len();
    let head = &bytes(&mut file, 0, 64)?;
    let end = if head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        segment_end(&mut file, head, length)?
    } else if head.get(4..8)? == b"ftyp" {
        boxes_end(&mut file, length)?
    } else if head.starts_with(b"RIFF") && head.get(8..12)? == b"AVI " {
        riffs_end(&mut file, length)?
    } else if head.starts_with(b"FLV\x01") {
        tags_end(&mut file, u32::from_be_bytes(array(head, 5)?).into(), length)?
    } else if head.starts_with(&[0x06, 0x0E, 0x2B, 0x34, 0x02, 0x05, 0x01, 0x01, 0x0D, 0x01, 0x02, 0x01, 0x01, 0x02]) {
        footer(head)?
    } else if head.starts_with(&ASF_HEADER) {
        asf_end(&mut file, head)?
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

/// The bytes at a place, as many as there are of those wanted.
pub(super) fn bytes(file: &mut File, at: u64, wanted: u64) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut data = Vec::new();
    file.take(wanted).read_to_end(&mut data).ok()?;
    Some(data)
}

fn array<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Where an AVI's last RIFF ends, of which long ones have several.
fn riffs_end(file: &mut File, length: u64) -> Option<u64> {
    // Some writers count the head of the RIFF as part of it.
    const HEAD: u64 = 8;
    let mut at = 0u64;
    loop {
        let head = bytes(file, at, HEAD)?;
        if !head.starts_with(b"RIFF") {
            return Some(at);
        }
        let size = match u32::from_le_bytes(array(&head, 4)?) {
            // Written to where nothing could be filled in later.
            0 | u32::MAX => return None,
            size => u64::from(size),
        };
        let end = at.checked_add(HEAD)?.checked_add(size)?;
        if end > length {
            return Some(end).filter(|end| end - length > HEAD);
        }
        at = end + size % 2;
    }
}

/// Where an FLV ends: its own number where it has one and its last tag is cut, else the end of that tag.
fn tags_end(file: &mut File, first: u64, length: u64) -> Option<u64> {
    const HEAD: u64 = 11;
    const TRAILER: u64 = 4;
    let mut at = first.checked_add(TRAILER)?;
    while at < length {
        let head = bytes(file, at, HEAD)?;
        if !head.first().is_some_and(|kind| matches!(kind & 0x1F, 8 | 9 | 18)) {
            return None;
        }
        let size = array::<3>(&head, 1).map_or(0, |[a, b, c]| u32::from_be_bytes([0, a, b, c]));
        let end = at.checked_add(HEAD)?.checked_add(u64::from(size))?;
        if end > length {
            let told = bytes(file, 0, 1 << 12).and_then(|data| flv_size(&data));
            return Some(told.map_or(end, |told| told.max(end)));
        }
        at = end.checked_add(TRAILER)?;
    }
    Some(length)
}

/// The size an FLV's metadata name.
fn flv_size(data: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\0\x08filesize\0";
    let at = data.windows(NAME.len()).position(|w| w == NAME)?;
    let value = f64::from_be_bytes(array(data, at + NAME.len())?);
    (value > 0.0 && value < u64::MAX as f64).then_some(value as u64)
}

/// Where an MXF's footer is, by its first partition. One that is still growing names none.
fn footer(head: &[u8]) -> Option<u64> {
    const SIZE_AT: usize = 16;
    const FOOTER_AT: usize = 24;
    let value = past_ber(head, SIZE_AT)?;
    match u64::from_be_bytes(array(head, value.checked_add(FOOTER_AT)?)?) {
        0 => None,
        at => at.checked_add(SIZE_AT as u64),
    }
}

/// Where a length as MXF writes it ends.
fn past_ber(data: &[u8], at: usize) -> Option<usize> {
    let first = *data.get(at)?;
    Some(at + 1 + if first < 0x80 { 0 } else { usize::from(first & 0x7F) })
}

const ASF_HEADER: [u8; 16] = 0x3026_B275_8E66_CF11_A6D9_00AA_0062_CE6C_u128.to_be_bytes();
const ASF_DATA: [u8; 16] = 0x3626_B275_8E66_CF11_A6D9_00AA_0062_CE6C_u128.to_be_bytes();

/// Where the packets of an ASF end.
fn asf_end(file: &mut File, head: &[u8]) -> Option<u64> {
    let at = u64::from_le_bytes(array(head, 16)?);
    let data = bytes(file, at, 24)?;
    // Sent live it has no size, or that of its head alone.
    let size = Some(u64::from_le_bytes(array(&data, 16)?)).filter(|_| data.starts_with(&ASF_DATA))?;
    at.checked_add(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_file_is_known_by_its_own_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let cases: [(&[u8], Option<u64>); 14] = [
            (b"\0\0\0\x0Cftypisom\0\0\0\x10mdat\0\0\0\0", Some(4)),
            (b"\0\0\0\x0Cftypisom\0\0\0\x0Cmdat\0\0\0\0", None),
            (b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\x8A1234567", Some(3)),
            (b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\xFF\xEC\x82ab", None),
            (b"\x1A\x45\xDF\xA3\x80\x18\x53\x80\x67\xFF\xEC\x82ab\xEC\x83c", Some(2)),
            (b"RIFF\x40\0\0\0AVI 12345678", Some(52)),
            (b"RIFF\x0C\0\0\0AVI 12345678RIFF\x20\0\0\0AVIX", Some(28)),
            (b"RIFF\x0C\0\0\0AVI 12345678", None),
            // With its head counted, and written to a pipe.
            (b"RIFF\x14\0\0\0AVI 12345678", None),
            (b"RIFF\0\0\0\0AVI 12345678", None),
            (b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x09\0\0\x05\0\0\0\0\0\0\0ab", Some(3)),
            (b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x09\0\0\x05\0\0\0\0\0\0\0abcde", None),
            (b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x55\0\0\x05\0\0\0\0\0\0\0ab", None),
            (b"not a container at all", None),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(missing(&path), expected, "{bytes:?}");
        }
    }
}
