//! Where decoding may start, by a codec's own signs.
//!
//! A unit *starts* where a decoder that has seen nothing before it decodes all that is shown at or after it. Some of what
//! follows it may be shown before it and need what came earlier: leading pictures of open GOPs, which belong to what was
//! before. Containers and parsers mark more units than these as key frames, so the signs are read from the units
//! themselves.

use crate::chunk::bytes::{Annex, annex_b, by_length};

/// How units are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// H.264 (ISO/IEC 14496-10, 7.3.1); NAL units with so many bytes of length before them, or with start codes.
    H264(Framing),
    /// HEVC (ISO/IEC 23008-2, 7.3.1).
    H265(Framing),
    /// AV1's temporal units (AV1 bitstream specification, 5.3).
    Av1,
    /// VP8 (RFC 6386, 9.1).
    Vp8,
    /// VP9, superframes in one piece (VP9 bitstream specification, 6.2 and annex B).
    Vp9,
    /// MPEG-1 and MPEG-2 video (ISO/IEC 13818-2, 6.2).
    Mpeg12,
    /// MPEG-4 part 2 (ISO/IEC 14496-2, 6.2).
    Mpeg4,
    /// Theora (Theora specification, 7.1).
    Theora,
    /// Every picture stands for itself: Motion JPEG, ProRes, DNxHD.
    Intra,
    /// FFV1 (RFC 9043, 4.3).
    Ffv1,
}

/// How NAL units are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Start codes (annex B).
    StartCodes,
    /// A length of so many bytes before each.
    Lengths(usize),
}

/// How decoding starts at a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The decoder knows by itself that nothing before is needed.
    Clean,
    /// It takes pictures for lost that were before, and shows the right ones all the same: H.264's recovery points.
    Recovers,
}

/// What a unit tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// Decoding may start here.
    pub start: Option<Start>,
    /// So many frames are shown.
    pub shown: u8,
    /// Frames before it that are not shown yet never will be.
    pub drops: bool,
}

/// Of a unit that holds no picture, as far as can be read.
const NOTHING: Signs = Signs { start: None, shown: 0, drops: false };

impl Syntax {
    /// Whether decoding may start at a unit.
    pub fn starts(self, unit: &[u8]) -> bool {
        self.signs(unit).is_some_and(|signs| signs.start.is_some())
    }

    /// Whether nothing from this unit on, leading pictures included, needs what was before it.
    pub fn begins_anew(self, unit: &[u8]) -> bool {
        match self {
            Self::H265(framing) => {
                let mut kinds = nal_units(framing, unit).filter_map(|nal| Some(nal.first()? >> 1 & 0x3f));
                kinds.find(|kind| *kind < 32).is_some_and(|kind| IDR.contains(&kind))
            }
            _ => self.signs(unit).is_some_and(|signs| signs.start == Some(Start::Clean)),
        }
    }

    /// Reads a unit. `None` where that cannot be done.
    pub fn signs(self, unit: &[u8]) -> Option<Signs> {
        match self {
            Self::Theora => Some(theora(unit)),
            _ if unit.is_empty() => Some(NOTHING),
            Self::H264(framing) => h264(nal_units(framing, unit)),
            Self::H265(framing) => h265(nal_units(framing, unit)),
            Self::Av1 => av1(unit),
            Self::Vp8 => unit.first().map(|tag| Signs { start: clean(tag & 1 == 0), shown: tag >> 4 & 1, ..NOTHING }),
            Self::Vp9 => vp9(unit),
            Self::Mpeg12 => mpeg12(unit),
            Self::Mpeg4 => mpeg4(unit),
            Self::Intra => Some(one(true)),
            Self::Ffv1 => unit.first_chunk().map(|bytes| one(u16::from_be_bytes(*bytes) >= FFV1_KEY)),
        }
    }

    /// True where the decoder lays film grain over the pictures (AV1). libaom 3.6 does so with variables that all its
    /// decoders in a process share: several at once lay it otherwise in every run.
    pub(super) fn has_grain(self, unit: &[u8]) -> bool {
        let tells = |obu: Option<(u8, &[u8])>| obu.is_some_and(|(kind, data)| kind == SEQUENCE && tells_of_grain(data));
        self == Self::Av1 && obus(unit).any(tells)
    }
}

fn one(starts: bool) -> Signs {
    Signs { start: clean(starts), shown: 1, ..NOTHING }
}

/// The bit `keyframe` comes first, range coded: it is 1 where the first two bytes reach the middle of the coder's initial
/// range, 0xFF00 (RFC 9043, 3.8.1.1 and 4.3).
const FFV1_KEY: u16 = 0x7f80;

fn clean(starts: bool) -> Option<Start> {
    starts.then_some(Start::Clean)
}

pub(super) fn nal_units(framing: Framing, unit: &[u8]) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    match framing {
        Framing::StartCodes => Box::new(annex_b(unit).map(|a| a.whole())),
        Framing::Lengths(size) => Box::new(by_length(unit, size)),
    }
}

fn h264<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Option<Signs> {
    let (mut recovers, mut signs) = (false, None);
    for nal in nals {
        match nal.first().map(|head| head & 0x1f) {
            Some(5) => return Some(one(true)),
            // Data partitions, 2 to 4, are of no profile that anything here decodes.
            Some(1) => return Some(Signs { start: recovers.then_some(Start::Recovers), ..one(false) }),
            Some(6) => {
                recovers |= nal.get(1..).is_some_and(recovery_point);
                signs = Some(NOTHING);
            }
            Some(7..=19) => signs = Some(NOTHING),
            _ => {}
        }
    }
    signs
}

/// Pictures of HEVC after which nothing refers to what was before them (7.4.2.2).
const IDR: std::ops::RangeInclusive<u8> = 19..=20;

/// The one kind of random access point before which nothing ends.
pub(super) const CRA: u8 = 21;

/// `no_output_of_prior_pics_flag` (7.4.7.1), in the first slice of a picture.
fn drops(slice: &[u8]) -> bool {
    slice.get(2).is_some_and(|flags| flags & 0xc0 == 0xc0)
}

fn h265<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Option<Signs> {
    let mut signs = None;
    for nal in nals {
        match nal.first().map(|head| head >> 1 & 0x3f) {
            Some(kind @ (0..=9 | 16..=21)) => {
                let drops = (16..CRA).contains(&kind) && drops(nal);
                return Some(Signs { drops, ..one(kind >= 16) });
            }
            Some(32..=40) => signs = Some(NOTHING),
            _ => {}
        }
    }
    signs
}

/// True for a recovery point from which on all pictures are right, and not nearly so (SEI, D.2.8): its
/// `recovery_frame_cnt` is 0 and `exact_match_flag` is set.
fn recovery_point(mut messages: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    loop {
        let Some((kind, rest)) = sei_number(messages) else { return false };
        let Some((size, rest)) = sei_number(rest) else { return false };
        let Some((message, next)) = rest.split_at_checked(size) else { return false };
        if kind == RECOVERY_POINT {
            // A number in Golomb's code that is 0 is one bit.
            return message.first().is_some_and(|byte| byte & 0xc0 == 0xc0);
        }
        messages = next;
    }
}

fn sei_number(data: &[u8]) -> Option<(usize, &[u8])> {
    let full = data.iter().take_while(|byte| **byte == 0xff).count();
    let last = usize::from(*data.get(full)?);
    Some((full * 255 + last, data.get(full + 1..)?))
}

const SEQUENCE: u8 = 1;

/// The OBUs of a temporal unit, type and payload; `None` for what cannot be read.
fn obus(unit: &[u8]) -> impl Iterator<Item = Option<(u8, &[u8])>> {
    let mut left = unit;
    std::iter::from_fn(move || {
        let (first, rest) = left.split_first()?;
        left = &[];
        let (kind, has_extension, has_size) = (first >> 3 & 0xf, first & 4 != 0, first & 2 != 0);
        let payload = || {
            let rest = rest.get(usize::from(has_extension)..)?;
            let (size, rest) = if has_size { leb128(rest)? } else { (rest.len(), rest) };
            rest.split_at_checked(size)
        };
        Some(payload().map(|(data, next)| {
            left = next;
            (kind, data)
        }))
    })
}

/// The last bit of a sequence header, `film_grain_params_present`, before the one that ends it (5.5.1).
fn tells_of_grain(header: &[u8]) -> bool {
    let Some(end) = header.iter().rposition(|byte| *byte != 0) else { return false };
    let bits = header.get(end.saturating_sub(1)..=end).unwrap_or_default();
    let bits = bits.iter().fold(0u16, |bits, byte| bits << 8 | u16::from(*byte));
    bits >> bits.trailing_zeros() >> 1 & 1 == 1
}

/// A key frame that is shown, behind a sequence header: those that are shown later leave what is before them in use.
fn av1(unit: &[u8]) -> Option<Signs> {
    const HEADER: u8 = 3;
    const FRAME: u8 = 6;
    let (mut still, mut has_sequence, mut signs) = (false, false, None);
    for obu in obus(unit) {
        let (kind, data) = obu?;
        match kind {
            SEQUENCE => {
                (has_sequence, signs) = (true, Some(NOTHING));
                // seq_profile (3 bits), still_picture, reduced_still_picture_header
                still = data.first()? & 0x08 != 0;
            }
            HEADER | FRAME if still => return Some(one(has_sequence)),
            HEADER | FRAME => {
                // show_existing_frame, frame_type (2 bits), show_frame
                let bits = data.first()? >> 4;
                return Some(one(has_sequence && bits == 0b0001));
            }
            // Temporal delimiter, metadata, padding.
            2 | 5 | 15 => signs = Some(NOTHING),
            _ => {}
        }
    }
    signs
}

fn leb128(data: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (i, byte) in data.iter().take(8).enumerate() {
        value |= usize::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, data.get(i + 1..)?));
        }
    }
    None
}

fn vp9(unit: &[u8]) -> Option<Signs> {
    let frames = superframe(unit).unwrap_or_else(|| vec![unit]);
    let all: Vec<(bool, bool)> = frames.into_iter().filter(|f| !f.is_empty()).map(vp9_frame).collect::<Option<_>>()?;
    let shown = all.iter().filter(|(_, shown)| *shown).count();
    Some(Signs { start: clean(all.first()?.0), shown: u8::try_from(shown).ok()?, ..NOTHING })
}

/// Whether a frame is a key frame, and whether it is shown.
fn vp9_frame(frame: &[u8]) -> Option<(bool, bool)> {
    let bit = |n: usize| Some(frame.get(n / 8)? >> (7 - n % 8) & 1 != 0);
    if !bit(0)? || bit(1)? {
        return None;
    }
    // Profile 3 has a reserved bit.
    let at = if bit(2)? && bit(3)? { 5 } else { 4 };
    let shows_another = bit(at)?;
    Some((!shows_another && !bit(at + 1)?, shows_another || bit(at + 2)?))
}

fn superframe(unit: &[u8]) -> Option<Vec<&[u8]>> {
    let marker = *unit.last()?;
    let (bytes, count) = (usize::from(marker >> 3 & 3) + 1, usize::from(marker & 7) + 1);
    let index = unit.len().checked_sub(2 + bytes * count).filter(|_| marker >> 5 == 0b110)?;
    let sizes = unit.get(index..)?;
    if sizes.first() != Some(&marker) {
        return None;
    }
    let mut left = unit.get(..index)?;
    let mut frames = Vec::new();
    for size in sizes.get(1..1 + bytes * count)?.chunks(bytes) {
        let size = size.iter().rev().fold(0usize, |n, byte| n << 8 | usize::from(*byte));
        let (frame, next) = left.split_at_checked(size)?;
        frames.push(frame);
        left = next;
    }
    Some(frames)
}

/// An I picture behind a sequence header, which sets the quantizers' matrices.
fn mpeg12(unit: &[u8]) -> Option<Signs> {
    let (mut has_sequence, mut signs) = (false, None);
    for Annex { code, data, .. } in annex_b(unit) {
        match code {
            // temporal_reference (10 bits), picture_coding_type (3 bits)
            0x00 => return Some(one(has_sequence && data.get(1)? >> 3 & 7 == 1)),
            // Slices of a picture whose header is lost.
            0x01..=0xaf => return None,
            _ => {
                has_sequence |= code == 0xb3;
                signs = Some(NOTHING);
            }
        }
    }
    signs
}

fn mpeg4(unit: &[u8]) -> Option<Signs> {
    let mut signs = None;
    for Annex { code, data, .. } in annex_b(unit) {
        match code {
            // vop_coding_type (2 bits)
            0xb6 => return Some(one(data.first()? >> 6 == 0)),
            0x00..=0x2f | 0xb0..=0xb5 => signs = Some(NOTHING),
            _ => {}
        }
    }
    signs
}

/// Headers show nothing. An empty packet shows the frame before once more.
fn theora(unit: &[u8]) -> Signs {
    match unit.first() {
        Some(first) if first & 0x80 != 0 => NOTHING,
        first => one(first.is_some_and(|first| first & 0x40 == 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(syntax: Syntax, unit: &[u8]) -> Option<bool> {
        syntax.signs(unit).map(|s| s.start.is_some())
    }

    #[test]
    fn idr_pictures_and_recovery_points_of_h264_start() {
        let codes = Syntax::H264(Framing::StartCodes);
        assert_eq!(starts(codes, &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1]), Some(true));
        let start = |unit: &[u8]| codes.signs(unit).unwrap().start;
        assert_eq!(start(&[0, 0, 1, 0x65, 1]), Some(Start::Clean));
        assert_eq!(start(&[0, 0, 1, 6, 6, 1, 0xc4, 0x80, 0, 0, 1, 0x41, 1]), Some(Start::Recovers));
        // Some pictures later, not exactly, another kind of SEI, none.
        for sei in [&[6, 6, 1, 0x44, 0x80][..], &[6, 6, 1, 0x84, 0x80], &[6, 5, 1, 0xc4, 0x80], &[6, 6], &[9, 0x10]] {
            assert_eq!(start(&[&[0, 0, 1], sei, &[0, 0, 1, 0x41, 1]].concat()), None, "{sei:?}");
        }
        let lengths = Syntax::H264(Framing::Lengths(2));
        assert_eq!(starts(lengths, &[0, 2, 0x67, 1, 0, 2, 0x65, 1]), Some(true));
        assert_eq!(starts(lengths, &[0, 0, 0, 2, 0x65, 1]), Some(true));
        assert_eq!(starts(lengths, &[0, 9, 0x65]), None);
    }

    #[test]
    fn nothing_behind_an_idr_picture_needs_what_was_before_it() {
        let (h264, h265) = (Syntax::H264(Framing::StartCodes), Syntax::H265(Framing::StartCodes));
        let h265_anew = |kind: u8| h265.begins_anew(&[0, 0, 1, 0x44, 1, 0, 0, 1, kind << 1, 1]);
        assert!(h265_anew(19) && h265_anew(20));
        // A CRA picture has leading pictures, a BLA picture may; a trailing one starts nothing.
        assert!(!h265_anew(21) && !h265_anew(16) && !h265_anew(1));
        assert!(h264.begins_anew(&[0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 1]));
        assert!(!h264.begins_anew(&[0, 0, 1, 6, 6, 1, 0xc4, 0x80, 0, 0, 1, 0x41, 1]));
        assert!(Syntax::Vp8.begins_anew(&[0x10]) && !Syntax::Vp8.begins_anew(&[0x11]) && !Syntax::Vp9.begins_anew(&[]));
    }

    #[test]
    fn what_holds_no_picture_is_told_from_what_cannot_be_read() {
        let shown = |syntax: Syntax, unit: &[u8]| syntax.signs(unit).map(|signs| signs.shown);
        let (h264, h265) = (Syntax::H264(Framing::StartCodes), Syntax::H265(Framing::StartCodes));
        assert_eq!([shown(h264, &[0, 0, 1, 9, 0x10]), shown(h265, &[0, 0, 1, 35 << 1, 1])], [Some(0), Some(0)]);
        assert_eq!([shown(h264, &[0, 0, 1, 31, 1]), shown(h265, &[0, 0, 1, 23 << 1, 1])], [None, None]);
        assert_eq!([shown(Syntax::Av1, &[0x12, 0]), shown(Syntax::Av1, &[0x32, 9])], [Some(0), None]);
        assert_eq!([shown(Syntax::Mpeg12, &[0, 0, 1, 0xb7]), shown(Syntax::Mpeg12, &[0, 0, 1, 1, 9])], [Some(0), None]);
        assert_eq!(
            [shown(Syntax::Mpeg4, &[0, 0, 1, 0xb0, 1]), shown(Syntax::Mpeg4, &[0, 0, 1, 0xff])],
            [Some(0), None]
        );
        assert_eq!([shown(Syntax::Theora, &[0x80]), shown(Syntax::Theora, &[])], [Some(0), Some(1)]);
        assert_eq!([shown(Syntax::Vp8, &[]), shown(Syntax::Intra, &[])], [Some(0), Some(0)]);
        for syntax in
            [h264, h265, Syntax::H264(Framing::Lengths(4)), Syntax::Mpeg12, Syntax::Mpeg4, Syntax::Vp9, Syntax::Av1]
        {
            assert_eq!(shown(syntax, &[0; 20]), None, "{syntax:?}");
        }
    }

    #[test]
    fn all_random_access_points_of_hevc_start() {
        let codes = Syntax::H265(Framing::StartCodes);
        let unit = |kind: u8| [0, 0, 1, 64, 1, 7, 0, 0, 1, kind << 1, 1, 7];
        for (kind, is_start) in [(0, false), (1, false), (8, false), (16, true), (19, true), (20, true), (21, true)] {
            assert_eq!(starts(codes, &unit(kind)), Some(is_start), "{kind}");
        }
        let drops = |kind: u8, flags| codes.signs(&[0, 0, 1, kind << 1, 1, flags]).unwrap().drops;
        assert_eq!([drops(19, 0xc0), drops(19, 0x80), drops(21, 0xc0), drops(1, 0xc0)], [true, false, false, false]);
    }

    #[test]
    fn shown_key_frames_of_av1_start_behind_a_sequence_header() {
        let (sequence, key, forward, inter, existing) =
            ([0x0a, 1, 0], [0x32, 1, 0x10], [0x32, 1, 0x00], [0x32, 1, 0x30], [0x1a, 1, 0x80]);
        let unit = |parts: &[&[u8]]| [&[0x12, 0], parts.concat().as_slice()].concat();
        assert_eq!(starts(Syntax::Av1, &unit(&[&sequence, &key])), Some(true));
        for other in [forward, inter, existing] {
            assert_eq!(starts(Syntax::Av1, &unit(&[&sequence, &other])), Some(false));
        }
        assert_eq!(starts(Syntax::Av1, &unit(&[&key])), Some(false));
        assert_eq!(starts(Syntax::Av1, &unit(&[&[0x32, 200, 0x10]])), None);
    }

    #[test]
    fn film_grain_is_told_by_the_sequence_headers_last_bit() {
        let told = |header: &[u8]| {
            Syntax::Av1.has_grain(&[&[0x12, 0, 0x0a, header.len() as u8], header, &[0x32, 1, 0x10]].concat())
        };
        assert!(told(&[0, 0b0000_1100]) && told(&[1, 0b1000_0000]) && told(&[3, 0x80, 0]));
        assert!(!told(&[0xff, 0b0011_0100]) && !told(&[0, 0x80]) && !told(&[0, 0]) && !told(&[]));
        assert!(!Syntax::Vp9.has_grain(&[0x12, 0, 0x0a, 1, 3]));
    }

    #[test]
    fn hidden_frames_and_superframes_are_counted() {
        let signs = |syntax: Syntax, unit: &[u8]| syntax.signs(unit).map(|s| (s.start.is_some(), s.shown));
        assert_eq!(signs(Syntax::Vp8, &[0x10]), Some((true, 1)));
        assert_eq!(signs(Syntax::Vp8, &[0x01]), Some((false, 0)));
        let (key, hidden, shown, again) = (0b1000_0010, 0b1000_0100, 0b1000_0110, 0b1000_1000);
        assert_eq!(signs(Syntax::Vp9, &[key]), Some((true, 1)));
        assert_eq!(signs(Syntax::Vp9, &[hidden]), Some((false, 0)));
        assert_eq!(signs(Syntax::Vp9, &[again]), Some((false, 1)));
        assert_eq!(signs(Syntax::Vp9, &[hidden, 9, shown, 0xc1, 2, 1, 0xc1]), Some((false, 1)));
        assert_eq!(signs(Syntax::Vp9, &[key, shown, 7, 0xc1, 1, 2, 0xc1]), Some((true, 2)));
        assert_eq!(signs(Syntax::Vp9, &[0]), None);
    }

    #[test]
    fn intra_pictures_of_mpeg_start_where_the_sequence_is_told() {
        let (sequence, intra, bidirectional) = ([0, 0, 1, 0xb3, 1], [0, 0, 1, 0, 0, 8], [0, 0, 1, 0, 0, 24]);
        assert_eq!(starts(Syntax::Mpeg12, &[&sequence[..], &intra].concat()), Some(true));
        assert_eq!(starts(Syntax::Mpeg12, &intra), Some(false));
        assert_eq!(starts(Syntax::Mpeg12, &[&sequence[..], &bidirectional].concat()), Some(false));
        assert_eq!(starts(Syntax::Mpeg4, &[0, 0, 1, 0xb6, 0x10]), Some(true));
        assert_eq!(starts(Syntax::Mpeg4, &[0, 0, 1, 0xb6, 0x50]), Some(false));
    }
}
