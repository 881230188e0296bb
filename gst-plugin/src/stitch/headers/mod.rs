//! What the chunks' bytes must agree on, and what a joint must not repeat.
//!
//! Every chunk's parameter sets equal its section's first, byte for byte. An encoder announces itself once. Two IDR
//! pictures in a row differ in `idr_pic_id` (H.264, 7.4.3). GOP time codes run on (MPEG-2, 6.3.8).

mod h264;
mod h265;
mod mpeg2;
mod nal;
mod obu;

use thiserror::Error;

pub use nal::Framing;

/// How to read the joined stream's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// H.264, with the parameter sets that came outside the units (`codec_data`).
    H264 {
        /// How NAL units are told apart.
        framing: Framing,
        /// The `AVCDecoderConfigurationRecord`, where there is one.
        config: Option<Vec<u8>>,
    },
    /// H.265.
    H265 {
        /// How NAL units are told apart.
        framing: Framing,
        /// The `HEVCDecoderConfigurationRecord`, where there is one.
        config: Option<Vec<u8>>,
    },
    /// AV1 in the low-overhead format.
    Av1,
    /// MPEG-1 and MPEG-2 video.
    Mpeg2,
    /// MPEG-4 part 2.
    Mpeg4,
    /// VP8.
    Vp8,
    /// Units that carry nothing to compare or mend.
    Other,
}

impl Codec {
    /// The place of each unit in presentation order, where the units' own coding types tell it.
    ///
    /// libav's MPEG encoders hand presentation times over in decode order when they use B-pictures. There a B-picture is
    /// shown at once, any other when the next one that is no B-picture has been decoded (ITU-T H.262, 6.1.1.11).
    pub fn ranks(&self, units: &[&[u8]]) -> Option<Vec<u64>> {
        let is_b: fn(&[u8]) -> Option<bool> = match self {
            Self::Mpeg2 => mpeg2::is_b_picture,
            Self::Mpeg4 => mpeg4_is_b_vop,
            _ => return None,
        };
        let mut ranks = vec![0; units.len()];
        let (mut waiting, mut next) = (None, 0..);
        for (i, unit) in units.iter().enumerate() {
            let shown = if is_b(unit)? { Some(i) } else { waiting.replace(i) };
            if let Some(slot) = shown.and_then(|i| ranks.get_mut(i)) {
                *slot = next.next()?;
            }
        }
        if let Some(slot) = waiting.and_then(|i| ranks.get_mut(i)) {
            *slot = next.next()?;
        }
        Some(ranks)
    }

    /// Does this unit show a frame? VP8's alternate reference frames do not (RFC 6386, 9.1: `show_frame`).
    pub fn shows(&self, unit: &[u8]) -> bool {
        !matches!(self, Self::Vp8) || unit.first().is_none_or(|tag| tag & 0x10 != 0)
    }
}

/// Whether a NAL unit is of some kind.
type Kind = fn(&[u8]) -> bool;

impl Codec {
    /// A unit at which an encoder began anew, with the parameter sets that it wrote in its very first only; `None` where
    /// the unit has its own, or needs none.
    pub fn with_sets_of(&self, first: &[u8], unit: &[u8]) -> Option<Vec<u8>> {
        let (framing, is_set, is_delimiter): (_, Kind, Kind) = match self {
            Self::H264 { framing, .. } => (*framing, h264::is_parameter_set, h264::is_delimiter),
            Self::H265 { framing, .. } => (*framing, h265::is_parameter_set, h265::is_delimiter),
            _ => return None,
        };
        let (first, own) = (nal::split(framing, first).ok()?, nal::split(framing, unit).ok()?);
        let sets: Vec<_> = first.iter().filter(|nal| is_set(nal.body)).collect();
        if sets.is_empty() || own.iter().any(|nal| is_set(nal.body)) {
            return None;
        }
        // A delimiter comes before all else (ITU-T H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
        let head = own.iter().take_while(|nal| is_delimiter(nal.body)).count();
        let (head, rest) = own.split_at_checked(head)?;
        let all = head.iter().chain(sets).chain(rest);
        Some(nal::assemble(framing, all.map(|nal| (nal.prefix, nal.body))))
    }
}

/// Why a chunk's bytes do not fit the stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The parameter sets differ from the first chunk's.
    #[error("its {0} differ from the first chunk's, so the two cannot share a stream")]
    Differ(&'static str),
    /// The unit cannot be parsed.
    #[error("its first unit cannot be read: {0}")]
    Broken(&'static str),
}

/// Where a unit stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// It is its chunk's first unit.
    pub start: bool,
    /// Its encoder marked it as a key frame.
    pub key: bool,
    /// Frames of the section before its chunk.
    pub frames_before: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IdrId {
    Known(u32),
    /// Its slice header could not be read, which matters only beside another IDR picture.
    Unknown,
}

/// Joins the units of one section.
#[derive(Debug)]
pub struct Joiner {
    codec: Codec,
    /// The parameter sets of the section's first unit.
    sets: Option<Vec<Vec<u8>>>,
    /// What encoders have said of themselves in the stream so far.
    said: Vec<Vec<u8>>,
    /// The last picture's `idr_pic_id`, where it was an IDR picture.
    last_idr: Option<IdrId>,
    h264: h264::Sets,
}

impl Joiner {
    /// A joiner for one section of the stream.
    pub fn new(codec: Codec) -> Self {
        let h264 = match &codec {
            Codec::H264 { config: Some(config), .. } => h264::Sets::from_config(config),
            _ => h264::Sets::default(),
        };
        Self { codec, sets: None, said: Vec::new(), last_idr: None, h264 }
    }

    /// A joiner for the section that follows this one in the same stream.
    pub fn followed_by(self, codec: Codec) -> Self {
        Self { said: self.said, last_idr: self.last_idr, ..Self::new(codec) }
    }

    /// The bytes of `unit` that are pictures, in a stream that says its parameter sets elsewhere and has no delimiters: NAL
    /// units, each with 4 bytes before it. Who made it counts where the stream says it. A unit of another codec is all that.
    pub fn payload(&self, unit: &[u8], says: bool) -> usize {
        type Is = fn(&[u8]) -> bool;
        let is_repeated = if says { |_: &[u8]| false } else { says_who };
        let (framing, others): (_, [Is; 3]) = match &self.codec {
            Codec::H264 { framing, .. } => (*framing, [h264::is_parameter_set, h264::is_delimiter, is_repeated]),
            Codec::H265 { framing, .. } => (*framing, [h265::is_parameter_set, h265::is_delimiter, is_repeated]),
            _ => return unit.len(),
        };
        let Ok(nals) = nal::split(framing, unit) else { return unit.len() };
        let bodies = nals.iter().map(|nal| nal.body).filter(|body| !others.iter().any(|is| is(body)));
        bodies.map(|body| body.len() + 4).sum()
    }

    /// The reorder depth that the parameter sets of `unit`, a chunk's first, announce; `None` where they don't.
    pub fn declared_depth(&mut self, unit: &[u8]) -> Option<usize> {
        match &self.codec {
            Codec::H264 { framing, .. } => {
                for nal in nal::split(*framing, unit).ok()? {
                    self.h264.learn(nal.body);
                }
                self.h264.reorder_depth()
            }
            Codec::H265 { framing, config } => {
                let in_unit = nal::split(*framing, unit).ok()?.into_iter().find_map(|n| h265::reorder_depth(n.body));
                in_unit.or_else(|| h265::reorder_depth_of_config(config.as_deref()?))
            }
            Codec::Av1 | Codec::Mpeg2 | Codec::Mpeg4 | Codec::Vp8 | Codec::Other => None,
        }
    }

    /// The unit as it stands in the joined stream, or `None` where it stays as it is.
    pub fn join(&mut self, unit: &[u8], at: Position) -> Result<Option<Vec<u8>>, HeaderError> {
        match self.codec {
            Codec::H264 { framing, .. } => self.join_h264(unit, framing, at),
            Codec::H265 { framing, .. } if at.start => {
                let nals = nal::split(framing, unit)?;
                self.compare(&nals, h265::is_parameter_set, h265::is_user_data, at)
                    .map(|repeated| without(&nals, &repeated, framing))
            }
            Codec::Av1 if at.start => {
                let header = obu::sequence_header(unit).ok_or(HeaderError::Broken("no AV1 sequence header"))?;
                self.same_sets(vec![header.to_vec()], "AV1 sequence headers").map(|()| None)
            }
            Codec::Mpeg2 if at.key || at.start => {
                if at.start {
                    let header = mpeg2::sequence_header(unit).ok_or(HeaderError::Broken("no sequence header"))?;
                    self.same_sets(vec![header.to_vec()], "MPEG-2 sequence headers")?;
                }
                Ok(mpeg2::move_time_code(unit, at.frames_before))
            }
            _ => Ok(None),
        }
    }

    fn join_h264(&mut self, unit: &[u8], framing: Framing, at: Position) -> Result<Option<Vec<u8>>, HeaderError> {
        if !at.start && !at.key {
            self.last_idr = None;
            return Ok(None);
        }
        let nals = nal::split(framing, unit)?;
        let mut changed = false;
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let mut repeated = Vec::new();
        if at.start {
            repeated = self.compare(&nals, h264::is_parameter_set, h264::is_user_data, at)?;
            changed = !repeated.is_empty();
            nals.iter().for_each(|n| self.h264.learn(n.body));
        }
        let mut idr = None;
        for (i, nal) in nals.iter().enumerate() {
            if repeated.contains(&i) {
                kept.push(Vec::new());
                continue;
            }
            if !h264::is_idr_slice(nal.body) {
                kept.push(nal.body.to_vec());
                continue;
            }
            let slice = match (self.h264.idr_slice(nal.body), self.last_idr) {
                (Some(slice), None | Some(IdrId::Known(_))) => slice,
                (None, None) => {
                    idr = Some(IdrId::Unknown);
                    kept.push(nal.body.to_vec());
                    continue;
                }
                _ => return Err(HeaderError::Broken("an IDR slice header beside another IDR picture")),
            };
            let own = slice.idr_pic_id();
            let id = match (idr, self.last_idr) {
                (Some(IdrId::Known(id)), _) => id,
                (_, Some(IdrId::Known(last))) if last == own => u32::from(last == 0),
                _ => own,
            };
            idr = Some(IdrId::Known(id));
            if id == own {
                kept.push(nal.body.to_vec());
            } else {
                changed = true;
                kept.push(slice.with_idr_pic_id(id).ok_or(HeaderError::Broken("an IDR slice"))?);
            }
        }
        self.last_idr = idr;
        let pairs = nals.iter().zip(&kept).enumerate().filter(|(i, _)| !repeated.contains(i));
        Ok(changed.then(|| nal::assemble(framing, pairs.map(|(_, (nal, body))| (nal.prefix, body.as_slice())))))
    }

    /// Compares a chunk's first unit with the section's; returns which NAL units only say again who encoded this.
    fn compare(
        &mut self,
        nals: &[nal::Nal<'_>],
        is_set: Kind,
        is_announcement: Kind,
        at: Position,
    ) -> Result<Vec<usize>, HeaderError> {
        debug_assert!(at.start);
        let sets = nals.iter().map(|n| n.body).filter(|b| is_set(b)).map(<[u8]>::to_vec).collect();
        self.same_sets(sets, "parameter sets")?;
        let (mut repeated, mut new) = (Vec::new(), Vec::new());
        for (i, nal) in nals.iter().enumerate().filter(|(_, n)| is_announcement(n.body)) {
            if self.said.iter().any(|said| said == nal.body || is_of_one_encoder(said, nal.body)) {
                repeated.push(i);
            } else {
                new.push(nal.body.to_vec());
            }
        }
        self.said.extend(new);
        Ok(repeated)
    }

    fn same_sets(&mut self, sets: Vec<Vec<u8>>, what: &'static str) -> Result<(), HeaderError> {
        match &self.sets {
            Some(first) if *first != sets => Err(HeaderError::Differ(what)),
            Some(_) => Ok(()),
            None => {
                self.sets = Some(sets);
                Ok(())
            }
        }
    }
}

/// The UUIDs by which x264 and x265 begin to say who they are, and with which settings.
const WHO: [[u8; 16]; 2] = [
    [0xdc, 0x45, 0xe9, 0xbd, 0xe6, 0xd9, 0x48, 0xb7, 0x96, 0x2c, 0xd8, 0x20, 0xd9, 0x23, 0xee, 0xef],
    [0x2c, 0xa2, 0xde, 0x09, 0xb5, 0x17, 0x47, 0xdb, 0xbb, 0x55, 0xa4, 0xfe, 0x7f, 0xc2, 0xfc, 0x4e],
];

/// The same encoder says who it is, if with other settings: chunks may differ in their quality.
fn is_of_one_encoder(a: &[u8], b: &[u8]) -> bool {
    WHO.iter().any(|who| says(a, who) && says(b, who))
}

fn says_who(nal: &[u8]) -> bool {
    WHO.iter().any(|who| says(nal, who))
}

fn says(nal: &[u8], who: &[u8; 16]) -> bool {
    nal.windows(who.len()).take(16).any(|bytes| bytes == who)
}

/// `vop_coding_type` (ISO/IEC 14496-2, 6.2.5).
fn mpeg4_is_b_vop(unit: &[u8]) -> Option<bool> {
    let at = unit.windows(4).position(|w| w == [0, 0, 1, 0xb6])?;
    Some(unit.get(at + 4)? >> 6 == 2)
}

fn without(nals: &[nal::Nal<'_>], dropped: &[usize], framing: Framing) -> Option<Vec<u8>> {
    let kept = nals.iter().enumerate().filter(|(i, _)| !dropped.contains(i)).map(|(_, n)| (n.prefix, n.body));
    (!dropped.is_empty()).then(|| nal::assemble(framing, kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_START: Position = Position { start: true, key: true, frames_before: 0 };

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|n| [&[0, 0, 0, 1], *n].concat()).collect()
    }

    #[test]
    fn an_announcement_stands_in_the_stream_once() {
        let sei = [&[0x06u8, 0x05, 0x11][..], &[7; 17], &[0x80]].concat();
        let first = annex_b(&[&[0x40, 1, 1], &[0x42, 1, 2], &[0x4e, 1, 5, 16, 9], &[0x26, 1, 3]]);
        let mut joiner = Joiner::new(Codec::H265 { framing: Framing::AnnexB, config: None });
        assert_eq!(joiner.join(&first, AT_START), Ok(None));
        let second = joiner.join(&first, AT_START).unwrap().unwrap();
        assert_eq!(second, annex_b(&[&[0x40, 1, 1], &[0x42, 1, 2], &[0x26, 1, 3]]));
        let other = annex_b(&[&[0x40, 1, 1], &[0x42, 1, 9], &sei]);
        assert_eq!(joiner.join(&other, AT_START), Err(HeaderError::Differ("parameter sets")));
    }

    #[test]
    fn an_encoder_says_once_who_it_is_whatever_its_settings() {
        let says = |who: &[u8], what: &[u8]| [&[0x4e, 1, 5, 40][..], who, what, &[0x80]].concat();
        let unit = |sei: &[u8]| annex_b(&[&[0x40, 1, 1], &[0x42, 1, 2], sei, &[0x26, 1, 3]]);
        let mut joiner = Joiner::new(Codec::H265 { framing: Framing::AnnexB, config: None });
        assert_eq!(joiner.join(&unit(&says(&WHO[1], b"crf=23")), AT_START), Ok(None));
        let other = joiner.join(&unit(&says(&WHO[1], b"crf=24")), AT_START).unwrap();
        assert_eq!(other, Some(annex_b(&[&[0x40, 1, 1], &[0x42, 1, 2], &[0x26, 1, 3]])));
        assert_eq!(joiner.join(&unit(&says(&[9; 16], b"crf=24")), AT_START), Ok(None));
        // Of all that only the slice is a picture.
        assert_eq!(
            joiner.payload(&annex_b(&[&[0x46, 1], &[0x40, 1, 1], &says(&WHO[1], b"crf"), &[0x26, 1, 3]]), false),
            7
        );
    }

    #[test]
    fn a_key_frame_within_an_encode_gets_the_sets_that_came_once() {
        let (vps, sps, pps) = (&[0x40u8, 1, 1][..], &[0x42u8, 1, 2][..], &[0x44u8, 1, 3][..]);
        let (delimiter, idr) = (&[0x46u8, 1, 4][..], &[0x26u8, 1, 5][..]);
        let h265 = Codec::H265 { framing: Framing::AnnexB, config: None };
        let first = annex_b(&[vps, sps, pps, &[0x4e, 1, 5, 16, 9], idr]);
        assert_eq!(h265.with_sets_of(&first, &annex_b(&[idr])), Some(annex_b(&[vps, sps, pps, idr])));
        let behind_a_delimiter = annex_b(&[delimiter, vps, sps, pps, idr]);
        assert_eq!(h265.with_sets_of(&first, &annex_b(&[delimiter, idr])), Some(behind_a_delimiter));
        assert_eq!(h265.with_sets_of(&first, &first), None);
        assert_eq!(h265.with_sets_of(&annex_b(&[idr]), &annex_b(&[idr])), None);
        let h264 = Codec::H264 { framing: Framing::Length(2), config: None };
        assert_eq!(h264.with_sets_of(&[0, 1, 0x67, 0, 1, 0x65], &[0, 1, 0x65]), Some(vec![0, 1, 0x67, 0, 1, 0x65]));
        assert_eq!(Codec::Vp8.with_sets_of(&first, &first), None);
    }

    #[test]
    fn b_pictures_are_shown_before_the_picture_they_wait_for() {
        let vop = |kind: u8| vec![0, 0, 1, 0xb6, kind << 6];
        let units: Vec<_> = [0, 1, 2, 2, 1, 1].into_iter().map(vop).collect();
        let units: Vec<_> = units.iter().map(Vec::as_slice).collect();
        assert_eq!(Codec::Mpeg4.ranks(&units), Some(vec![0, 3, 1, 2, 4, 5]));
        assert_eq!(Codec::Av1.ranks(&units), None);
    }

    #[test]
    fn only_vp8_has_units_that_show_nothing() {
        // The lowest bits of a frame tag: inter or key, three of version, show_frame.
        let (shown, hidden) = ([0b1_0001], [0b0_0001]);
        assert!(Codec::Vp8.shows(&shown));
        assert!(!Codec::Vp8.shows(&hidden));
        assert!(Codec::Other.shows(&hidden));
    }

    #[test]
    fn sequence_headers_must_agree() {
        let mut joiner = Joiner::new(Codec::Av1);
        let unit = |byte| vec![0x12, 0x00, 0x0a, 0x02, byte, 0x00, 0x32, 0x01, 0xff];
        assert_eq!(joiner.join(&unit(1), AT_START), Ok(None));
        assert_eq!(joiner.join(&unit(1), AT_START), Ok(None));
        assert_eq!(joiner.join(&unit(2), AT_START), Err(HeaderError::Differ("AV1 sequence headers")));
    }
}
