//! AV1's open bitstream units in the low-overhead format (AV1 specification, 5.3).

const SEQUENCE_HEADER: u8 = 1;

/// The temporal unit's first sequence header, without its OBU header.
pub(super) fn sequence_header(mut unit: &[u8]) -> Option<&[u8]> {
    loop {
        let header = *unit.first()?;
        let extended = header & 0b100 != 0;
        unit = unit.get(if extended { 2 } else { 1 }..)?;
        let size = if header & 0b10 != 0 {
            let (size, rest) = leb128(unit)?;
            unit = rest;
            size
        } else {
            unit.len()
        };
        let (body, rest) = unit.split_at_checked(size)?;
        if header >> 3 & 0x0f == SEQUENCE_HEADER {
            return Some(body);
        }
        unit = rest;
    }
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (i, &byte) in bytes.iter().take(8).enumerate() {
        value |= usize::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}
