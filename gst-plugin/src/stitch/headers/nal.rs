//! NAL units in an access unit: found, and put together again.

use std::io;

use bitstream_io::{BigEndian, BitRead as _, BitReader};

use super::HeaderError;

/// How the NAL units of an access unit are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Start codes (`byte-stream`).
    AnnexB,
    /// A length of so many bytes, 1 to 4, before each (`avc`, `hvc1`, `hev1`).
    Length(u8),
}

/// One NAL unit: the start code or length before it, and its bytes from the NAL header on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nal<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) body: &'a [u8],
}

pub(super) fn split(framing: Framing, unit: &[u8]) -> Result<Vec<Nal<'_>>, HeaderError> {
    match framing {
        Framing::AnnexB => Ok(split_annex_b(unit)),
        Framing::Length(size) => split_lengths(usize::from(size), unit),
    }
}

pub(super) fn assemble<'a>(framing: Framing, nals: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut unit = Vec::new();
    for (prefix, body) in nals {
        match framing {
            Framing::AnnexB => unit.extend_from_slice(prefix),
            Framing::Length(size) => {
                let length = (body.len() as u32).to_be_bytes();
                unit.extend_from_slice(length.get(4 - usize::from(size.clamp(1, 4))..).unwrap_or_default());
            }
        }
        unit.extend_from_slice(body);
    }
    unit
}

/// Zero bytes before a start code belong to it, so that a unit comes back byte for byte.
fn split_annex_b(unit: &[u8]) -> Vec<Nal<'_>> {
    let starts: Vec<usize> = unit.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(i, _)| i + 3).collect();
    let mut nals = Vec::with_capacity(starts.len());
    let mut from = 0;
    for (k, &start) in starts.iter().enumerate() {
        let next = starts.get(k + 1).map_or(unit.len(), |&s| s - 3);
        let mut end = next;
        if k + 1 < starts.len() {
            while end > start && unit.get(end - 1) == Some(&0) {
                end -= 1;
            }
        }
        if let (Some(prefix), Some(body)) = (unit.get(from..start), unit.get(start..end)) {
            nals.push(Nal { prefix, body });
        }
        from = end;
    }
    nals
}

fn split_lengths(size: usize, unit: &[u8]) -> Result<Vec<Nal<'_>>, HeaderError> {
    const CUT: HeaderError = HeaderError::Broken("a NAL unit longer than its access unit");
    let mut nals = Vec::new();
    let mut rest = unit;
    while !rest.is_empty() {
        let (prefix, tail) = rest.split_at_checked(size).ok_or(CUT)?;
        let length = prefix.iter().fold(0usize, |n, &b| n << 8 | usize::from(b));
        let (body, tail) = tail.split_at_checked(length).ok_or(CUT)?;
        nals.push(Nal { prefix, body });
        rest = tail;
    }
    Ok(nals)
}

/// Exp-Golomb, unsigned. A signed value has the same length, so this skips those too.
pub(super) fn ue<R: io::Read>(r: &mut BitReader<R, BigEndian>) -> io::Result<u32> {
    let zeros = r.read_unary::<1>()?;
    if zeros > 31 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((1u32 << zeros) - 1 + r.read_var::<u32>(zeros)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_split_comes_back_byte_for_byte(unit in proptest::collection::vec(0u8..3, 0..64)) {
            let nals = split(Framing::AnnexB, &unit).unwrap();
            let again = assemble(Framing::AnnexB, nals.iter().map(|n| (n.prefix, n.body)));
            prop_assert!(nals.is_empty() || again == unit);
            if let Ok(nals) = split(Framing::Length(2), &unit) {
                prop_assert_eq!(assemble(Framing::Length(2), nals.iter().map(|n| (n.prefix, n.body))), unit);
            }
        }
    }
}
