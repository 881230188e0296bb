//! Pictures that are coded field by field. Where each field has a unit of its own, two units make one frame.

use std::collections::{BTreeMap, BTreeSet};

use h264_reader::avcc::AvcDecoderConfigurationRecord;
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::{BitRead as _, BitReader, ByteReader};

use super::Syntax;
use super::bytes::{Annex, annex_b};
use super::random_access::nal_units;

/// Finds single fields. Those of HEVC are shown as frames, and other codecs have none.
#[derive(Debug, Default)]
pub struct Fields {
    /// H.264's sequence parameter sets by their number.
    sequences: BTreeMap<u32, Sequence>,
    /// To which of them each picture parameter set belongs.
    pictures: BTreeMap<u32, u32>,
}

/// Finds the second of two units that make a frame.
#[derive(Debug, Default)]
pub struct Pairs {
    open: bool,
}

impl Pairs {
    /// Takes a unit, which may hold a single field; true where that makes a frame with the one before.
    pub fn closes(&mut self, is_field: bool) -> bool {
        let closes = is_field && self.open;
        self.open = is_field && !closes;
        closes
    }
}

/// What has to be known to find `field_pic_flag` in the header of a slice (ISO/IEC 14496-10, 7.3.3).
#[derive(Debug, Clone, Copy)]
struct Sequence {
    frame_num_bits: u32,
    has_planes: bool,
    has_fields: bool,
}

impl Fields {
    /// For a stream whose caps hold this configuration.
    pub fn new(config: Option<&[u8]>) -> Self {
        let mut fields = Self::default();
        let Some(record) = config.and_then(|config| AvcDecoderConfigurationRecord::try_from(config).ok()) else {
            return fields;
        };
        for set in record.sequence_parameter_sets().chain(record.picture_parameter_sets()).flatten() {
            // A set that cannot be read is of no slice that can.
            let _ = fields.h264(set);
        }
        fields
    }

    /// Takes a unit; true where a single field is all that it holds.
    pub fn pass(&mut self, syntax: Syntax, unit: &[u8]) -> bool {
        let fields: BTreeSet<Field> = match syntax {
            Syntax::H264(framing) => nal_units(framing, unit).filter_map(|nal| self.h264(nal)).collect(),
            Syntax::Mpeg12 => annex_b(unit).filter_map(mpeg2).collect(),
            _ => return false,
        };
        fields.len() == 1
    }

    fn h264(&mut self, nal: &[u8]) -> Option<Field> {
        match nal.first()? & 0x1f {
            1 | 5 => return self.slice(nal),
            7 => self.sequence(nal)?,
            8 => self.picture(nal)?,
            _ => {}
        }
        None
    }

    fn sequence(&mut self, nal: &[u8]) -> Option<()> {
        let set = SeqParameterSet::from_bits(bits(nal)).ok()?;
        let sequence = Sequence {
            frame_num_bits: set.log2_max_frame_num().into(),
            has_planes: matches!(
                (set.chroma_info.chroma_format, set.chroma_info.separate_colour_plane_flag),
                (ChromaFormat::YUV444, true)
            ),
            has_fields: matches!(set.frame_mbs_flags, FrameMbsFlags::Fields { .. }),
        };
        self.sequences.insert(set.id().id().into(), sequence);
        Some(())
    }

    fn picture(&mut self, nal: &[u8]) -> Option<()> {
        let mut bits = bits(nal);
        let number = bits.read_ue("pic_parameter_set_id").ok()?;
        self.pictures.insert(number, bits.read_ue("seq_parameter_set_id").ok()?);
        Some(())
    }

    fn slice(&self, nal: &[u8]) -> Option<Field> {
        if !self.sequences.values().any(|sequence| sequence.has_fields) {
            return None;
        }
        let mut bits = bits(nal);
        bits.read_ue("first_mb_in_slice").ok()?;
        bits.read_ue("slice_type").ok()?;
        let picture = bits.read_ue("pic_parameter_set_id").ok()?;
        let sequence = self.sequences.get(self.pictures.get(&picture)?)?;
        let planes = if sequence.has_planes { 2 } else { 0 };
        bits.skip(planes + sequence.frame_num_bits, "colour_plane_id, frame_num").ok()?;
        if !sequence.has_fields || !bits.read_bit("field_pic_flag").ok()? {
            return None;
        }
        Some(if bits.read_bit("bottom_field_flag").ok()? { Field::Bottom } else { Field::Top })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Top,
    Bottom,
}

fn bits(nal: &[u8]) -> BitReader<ByteReader<&[u8]>> {
    BitReader::new(ByteReader::skipping_h264_header(nal))
}

/// What a picture coding extension says (ISO/IEC 13818-2, 6.3.10).
fn mpeg2(part: Annex<'_>) -> Option<Field> {
    let [head, _, structure] = part.data.first_chunk()?;
    match structure & 3 {
        1 if part.code == 0xb5 && head >> 4 == 8 => Some(Field::Top),
        2 if part.code == 0xb5 && head >> 4 == 8 => Some(Field::Bottom),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Framing;

    /// Of x264 with `interlaced`: frame_mbs_only_flag 0, frame_num of 4 bits.
    const SEQUENCE: &[u8] = &[
        0x67, 0x64, 0x00, 0x15, 0xac, 0xd9, 0x42, 0x88, 0xd8, 0x08, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00,
        0x19, 0x0f, 0x8a, 0x14, 0xcb,
    ];
    const PICTURE: &[u8] = &[0x68, 0xfb, 0xa3, 0xcb, 0x22, 0xc0];

    fn annexed(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 1], *unit].concat()).collect()
    }

    #[test]
    fn a_slice_says_whether_it_is_of_a_field() {
        let syntax = Syntax::H264(Framing::StartCodes);
        // first_mb 0, slice_type 7 (ue 0001000), pps 0, frame_num 0 (4 bits), field_pic_flag, bottom_field_flag
        let slice = |field: u8| [0x65, 0b1000_1000, 0b1000_0000 | field << 1, 0x80];
        let mut fields = Fields::default();
        let (frame, top, bottom) = (slice(0), slice(2), slice(3));
        assert!(!fields.pass(syntax, &annexed(&[&top])), "nothing is known yet");
        assert!(fields.pass(syntax, &annexed(&[SEQUENCE, PICTURE, &top])));
        assert!(fields.pass(syntax, &annexed(&[&bottom, &bottom])));
        assert!(!fields.pass(syntax, &annexed(&[&frame])));
        assert!(!fields.pass(syntax, &annexed(&[&top, &bottom])), "both make a frame");
    }

    #[test]
    fn an_extension_says_whether_a_picture_of_mpeg_2_is_a_field() {
        let picture =
            |structure: u8| annexed(&[&[0, 0, 0x0f, 0xff, 0xf8], &[0xb5, 0x8f, 0xff, 0xf0 | structure, 0x41, 0x80]]);
        let found = |structure: u8| Fields::default().pass(Syntax::Mpeg12, &picture(structure));
        assert_eq!([1, 2, 3].map(found), [true, true, false]);
        let both = [picture(1), picture(2)].concat();
        assert!(!Fields::default().pass(Syntax::Mpeg12, &both));
        // A sequence extension.
        assert!(!Fields::default().pass(Syntax::Mpeg12, &annexed(&[&[0xb5, 0x14, 0x8a, 0x00, 0x01]])));
    }

    #[test]
    fn every_other_single_field_closes_a_frame() {
        let closes = |fields: &[bool]| {
            let mut pairs = Pairs::default();
            fields.iter().map(|is_field| pairs.closes(*is_field)).collect::<Vec<_>>()
        };
        assert_eq!(closes(&[true; 4]), [false, true, false, true]);
        assert_eq!(closes(&[true, false, true, true]), [false, false, false, true]);
    }
}
