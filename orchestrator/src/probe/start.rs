//! How a stream of H.264 begins.

/// The NAL unit type of a picture that nothing before is needed for, and of one that may need what was before.
const IDR: u8 = 5;
const PICTURE: u8 = 1;

/// True when the access unit `data` is an IDR picture; `private` is the decoder configuration of the form with lengths.
pub(super) fn is_idr(data: &[u8], private: Option<&[u8]>) -> bool {
    let kind = |nal: &[u8]| nal.first().map(|byte| byte & 0x1F);
    let first = match private.and_then(|p| p.get(4)) {
        Some(sizes) => lengths(data, usize::from(sizes & 3) + 1).filter_map(kind).find(|k| (PICTURE..=IDR).contains(k)),
        None => data
            .windows(4)
            .filter(|w| w.starts_with(&[0, 0, 1]))
            .filter_map(|w| kind(w.get(3..)?))
            .find(|k| (PICTURE..=IDR).contains(k)),
    };
    first == Some(IDR)
}

fn lengths(mut data: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = data.get(..size)?.iter().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
        let end = size.checked_add(length)?;
        let nal = data.get(size..end)?;
        data = data.get(end..)?;
        Some(nal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idr_is_told_from_a_recovery_point_in_both_forms() {
        let four = [1, 100, 0, 31, 0xFF, 0xE1];
        assert!(is_idr(&[0, 0, 0, 2, 6, 5, 0, 0, 0, 2, 0x65, 1], Some(&four)));
        assert!(!is_idr(&[0, 0, 0, 2, 6, 5, 0, 0, 0, 2, 0x41, 1], Some(&four)));
        assert!(is_idr(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1], None));
        assert!(!is_idr(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x41, 1], None));
        assert!(!is_idr(&[0, 0, 0, 200, 0x65], Some(&four)));
        assert!(!is_idr(&[], None));
    }
}
