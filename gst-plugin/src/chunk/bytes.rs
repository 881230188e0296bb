//! Taking coded units apart at their start codes or lengths.

/// What follows a start code, up to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Annex<'a> {
    /// The byte behind 00 00 01.
    pub(crate) code: u8,
    /// What comes after it.
    pub(crate) data: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Annex<'a> {
    /// The code and what comes after it: a NAL unit.
    pub(crate) fn whole(self) -> &'a [u8] {
        self.whole
    }
}

/// The parts of a byte stream (ISO/IEC 14496-10, annex B; ISO/IEC 13818-2, 5.2.3).
pub(crate) fn annex_b(data: &[u8]) -> impl Iterator<Item = Annex<'_>> {
    let mut next = after_code(data);
    std::iter::from_fn(move || {
        let whole = next?;
        next = after_code(whole);
        let length = next.map_or(whole.len(), |next| whole.len().saturating_sub(next.len() + CODE.len()));
        let whole = whole.get(..length)?;
        let (code, data) = whole.split_first()?;
        Some(Annex { code: *code, data, whole })
    })
}

const CODE: [u8; 3] = [0, 0, 1];

fn after_code(data: &[u8]) -> Option<&[u8]> {
    let at = data.windows(CODE.len()).position(|w| w == CODE)?;
    data.get(at + CODE.len()..)
}

/// The parts of a unit in which each has its length before it, in `size` bytes.
pub(crate) fn by_length(mut data: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_at_checked(size).filter(|(length, _)| !length.is_empty())?;
        let length = length.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
        let (part, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let parts = |data: &[u8]| annex_b(data).map(|a| a.whole().to_vec()).collect::<Vec<_>>();
        assert_eq!(parts(&[9, 0, 0, 1, 7, 1, 0, 0, 0, 1, 8, 0, 0, 1, 9]), [vec![7, 1, 0], vec![8], vec![9]]);
        assert!(parts(&[0, 0, 1]).is_empty() && parts(&[1, 2, 3]).is_empty());
        let lengths = |data: &[u8], size| by_length(data, size).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(lengths(&[0, 1, 5, 0, 2, 6, 7], 2), [vec![5], vec![6, 7]]);
        assert_eq!(lengths(&[0, 1, 5, 0, 9, 6], 2), [vec![5]]);
        assert!(lengths(&[1, 2], 0).is_empty());
    }
}
