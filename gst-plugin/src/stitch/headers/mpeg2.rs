//! MPEG-1/2 sequence headers and GOP time codes (ITU-T H.262, 6.2.2.1 and 6.2.2.6).

const PICTURE: u8 = 0;
const SEQUENCE: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;
const GROUP: u8 = 0xb8;

/// `picture_coding_type` (table 6-12).
pub(super) fn is_b_picture(unit: &[u8]) -> Option<bool> {
    let at = starts(unit).find(|&i| unit.get(i) == Some(&PICTURE))?;
    Some(unit.get(at + 2)? >> 3 & 7 == 3)
}

/// Offsets just behind each start code prefix.
fn starts(unit: &[u8]) -> impl Iterator<Item = usize> {
    unit.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(i, _)| i + 3)
}

/// The sequence header with its extensions.
pub(super) fn sequence_header(unit: &[u8]) -> Option<&[u8]> {
    let from = starts(unit).find(|&i| unit.get(i) == Some(&SEQUENCE))?;
    let to = starts(unit).find(|&i| i > from && unit.get(i) != Some(&EXTENSION)).map_or(unit.len(), |i| i - 3);
    unit.get(from..to)
}

/// The unit with its GOP's time code `frames` later, or `None` where there is nothing to move.
///
/// Drop-frame time codes, and units that do not carry the frame rate they count in, stay as they are.
pub(super) fn move_time_code(unit: &[u8], frames: u64) -> Option<Vec<u8>> {
    if frames == 0 {
        return None;
    }
    let sequence = sequence_header(unit)?;
    let fps = frames_per_second(*sequence.get(4)? & 0x0f)?;
    let at = starts(unit).find(|&i| unit.get(i) == Some(&GROUP))? + 1;
    let code = u32::from_be_bytes(unit.get(at..at + 4)?.try_into().ok()?);
    let (drop, hours, minutes, seconds, pictures) =
        (code >> 31, code >> 26 & 0x1f, code >> 20 & 0x3f, code >> 13 & 0x3f, code >> 7 & 0x3f);
    if drop != 0 {
        return None;
    }
    let total =
        u64::from((hours * 60 + minutes) * 60 + seconds) * fps + u64::from(pictures) + frames % (24 * 3600 * fps);
    let (pictures, seconds) = ((total % fps) as u32, total / fps);
    let (hours, minutes, seconds) = ((seconds / 3600 % 24) as u32, (seconds / 60 % 60) as u32, (seconds % 60) as u32);
    let marker = 1 << 19;
    let moved = hours << 26 | minutes << 20 | marker | seconds << 13 | pictures << 7 | code & 0x7f;
    let mut unit = unit.to_vec();
    unit.get_mut(at..at + 4)?.copy_from_slice(&moved.to_be_bytes());
    Some(unit)
}

/// Frames counted in a second of time code, by `frame_rate_code` (table 6-4).
fn frames_per_second(code: u8) -> Option<u64> {
    [24, 24, 25, 30, 30, 50, 60, 60].get(usize::from(code).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(group: u32) -> Vec<u8> {
        let sequence = [0, 0, 1, SEQUENCE, 0x16, 0x01, 0x20, 0x33, 0xff, 0xff, 0xe0, 0x18];
        let extension = [0, 0, 1, EXTENSION, 0x14, 0x82];
        [&sequence[..], &extension, &[0, 0, 1, GROUP], &group.to_be_bytes(), &[0, 0, 1, 0, 0x12]].concat()
    }

    #[test]
    fn a_time_code_runs_on() {
        let closed = 1 << 6;
        let moved = move_time_code(&unit(1 << 19 | 24 << 7 | closed), 25 * 61).unwrap();
        assert_eq!(moved, unit(1 << 20 | 1 << 19 | 1 << 13 | 24 << 7 | closed));
        assert_eq!(move_time_code(&unit(1 << 19), 0), None);
    }

    #[test]
    fn a_sequence_header_ends_before_the_group() {
        assert_eq!(sequence_header(&unit(0)).unwrap().len(), 9 + 3 + 3);
        assert_eq!(sequence_header(&[0, 0, 1, 0]), None);
    }
}
