//! AV1 in containers: no temporal delimiters, and a configuration record made from the sequence header.

use super::bits::Bits;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// The OBUs of a low-overhead stream: type and all bytes, header and size included, and where the payload starts.
fn obus(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8], usize)> {
    std::iter::from_fn(move || {
        let header = *data.first()?;
        let kind = (header >> 3) & 15;
        let mut at = if header & 4 != 0 { 2 } else { 1 };
        let mut size = data.len().saturating_sub(at);
        if header & 2 != 0 {
            size = 0;
            for i in 0..8 {
                let byte = *data.get(at)?;
                at += 1;
                size |= usize::from(byte & 0x7F) << (7 * i);
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let end = at.checked_add(size).filter(|e| *e <= data.len()).unwrap_or(data.len());
        let (whole, rest) = data.split_at(end);
        data = rest;
        Some((kind, whole, at))
    })
}

/// A temporal unit as MP4 and Matroska keep it.
pub(crate) fn without_delimiters(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    for (kind, bytes, _) in obus(unit) {
        if kind != TEMPORAL_DELIMITER {
            out.extend_from_slice(bytes);
        }
    }
    out
}

/// The `av1C` record for a stream that starts with this temporal unit.
pub(crate) fn configuration(unit: &[u8]) -> Option<Vec<u8>> {
    let (_, whole, start) = obus(unit).find(|(kind, ..)| *kind == SEQUENCE_HEADER)?;
    let mut r = Bits::new(whole.get(start..)?);
    let profile = r.take(3);
    r.take(1);
    let reduced = r.take(1) == 1;
    let (mut level, mut tier) = (0, 0);
    if reduced {
        level = r.take(5);
    } else {
        let mut decoder_model = None;
        if r.take(1) == 1 {
            r.take(32);
            r.take(32);
            if r.take(1) == 1 {
                let zeros = (0..32).take_while(|_| r.take(1) == 0).count() as u32;
                r.take(zeros);
            }
            if r.take(1) == 1 {
                decoder_model = Some(r.take(5) + 1);
                r.take(32 + 5 + 5);
            }
        }
        let initial_delay = r.take(1) == 1;
        for point in 0..=r.take(5) {
            r.take(12);
            let (l, t) = (r.take(5), 0);
            let t = if l > 7 { r.take(1) } else { t };
            if point == 0 {
                (level, tier) = (l, t);
            }
            if let Some(length) = decoder_model
                && r.take(1) == 1
            {
                r.take(length);
                r.take(length);
                r.take(1);
            }
            if initial_delay && r.take(1) == 1 {
                r.take(4);
            }
        }
    }
    let (width_bits, height_bits) = (r.take(4) + 1, r.take(4) + 1);
    r.take(width_bits);
    r.take(height_bits);
    if !reduced && r.take(1) == 1 {
        r.take(4 + 3);
    }
    r.take(3);
    if !reduced {
        r.take(4);
        let order_hint = r.take(1) == 1;
        if order_hint {
            r.take(2);
        }
        let screen = if r.take(1) == 1 { 2 } else { r.take(1) };
        if screen > 0 && r.take(1) == 0 {
            r.take(1);
        }
        if order_hint {
            r.take(3);
        }
    }
    r.take(3);
    let high = r.take(1);
    let twelve = if profile == 2 && high == 1 { r.take(1) } else { 0 };
    let mono = if profile == 1 { 0 } else { r.take(1) };
    let mut described = (2, 2, 2);
    if r.take(1) == 1 {
        described = (r.take(8), r.take(8), r.take(8));
    }
    let (x, y);
    let mut position = 0;
    if mono == 1 {
        (x, y) = (1, 1);
    } else if described == (1, 13, 0) {
        (x, y) = (0, 0);
    } else {
        r.take(1);
        (x, y) = match profile {
            0 => (1, 1),
            1 => (0, 0),
            _ if twelve == 1 => {
                let x = r.take(1);
                (x, if x == 1 { r.take(1) } else { 0 })
            }
            _ => (1, 0),
        };
        if (x, y) == (1, 1) {
            position = r.take(2);
        }
    }
    if r.ran_out() {
        return None;
    }
    let mut out = vec![
        0x81,
        (profile << 5 | level) as u8,
        (tier << 7 | high << 6 | twelve << 5 | mono << 4 | x << 3 | y << 2 | position) as u8,
        0,
    ];
    out.extend_from_slice(whole);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_delimiters_are_taken_out() {
        let unit = [0x12, 0, 0x0A, 1, 0xAA, 0x32, 2, 1, 2];
        assert_eq!(without_delimiters(&unit), [0x0A, 1, 0xAA, 0x32, 2, 1, 2]);
        assert_eq!(without_delimiters(&[0x0A, 0xFF]), Vec::<u8>::new());
    }

    #[test]
    fn a_cut_sequence_header_gives_no_configuration() {
        assert_eq!(configuration(&[0x0A, 2, 0, 0]), None);
        assert_eq!(configuration(&[0x32, 1, 0]), None);
    }
}
