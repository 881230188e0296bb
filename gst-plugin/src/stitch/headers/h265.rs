//! H.265 parameter sets (ITU-T H.265, 7.3.2.1).

use std::io;

use bitstream_io::{BigEndian, BitRead as _, BitReader};
use h264_reader::rbsp::ByteReader;

use super::nal::ue;

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const PREFIX_SEI: u8 = 39;
const USER_DATA_UNREGISTERED: u8 = 5;
const HEADER_LEN: usize = 2;

fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| b >> 1 & 0x3f)
}

pub(super) fn is_parameter_set(nal: &[u8]) -> bool {
    matches!(nal_type(nal), Some(VPS | SPS | PPS))
}

pub(super) fn is_delimiter(nal: &[u8]) -> bool {
    nal_type(nal) == Some(DELIMITER)
}

pub(super) fn is_user_data(nal: &[u8]) -> bool {
    nal_type(nal) == Some(PREFIX_SEI) && nal.get(HEADER_LEN) == Some(&USER_DATA_UNREGISTERED)
}

/// `vps_max_num_reorder_pics` of the highest sub-layer.
pub(super) fn reorder_depth(nal: &[u8]) -> Option<usize> {
    (nal_type(nal) == Some(VPS)).then(|| parse_vps(nal.get(HEADER_LEN..)?).ok())?
}

/// The same from an `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 8.3.3.1).
pub(super) fn reorder_depth_of_config(config: &[u8]) -> Option<usize> {
    let mut rest = config.get(22..)?;
    let (&arrays, tail) = rest.split_first()?;
    rest = tail;
    for _ in 0..arrays {
        let count = u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?]);
        rest = rest.get(3..)?;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
            let nal = rest.get(2..2 + length)?;
            if let Some(depth) = reorder_depth(nal) {
                return Some(depth);
            }
            rest = rest.get(2 + length..)?;
        }
    }
    None
}

fn parse_vps(payload: &[u8]) -> io::Result<usize> {
    let mut r = BitReader::endian(ByteReader::without_skip(payload), BigEndian);
    r.skip(12)?; // vps_video_parameter_set_id .. vps_max_layers_minus1
    let sub_layers = r.read::<3, u32>()? + 1;
    r.skip(1 + 16)?; // vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits
    r.skip(88 + 8)?; // general profile, tier and level
    if sub_layers > 1 {
        let mut present = Vec::new();
        for _ in 0..8 {
            present.push((r.read_bit()?, r.read_bit()?));
        }
        for (profile, level) in present {
            r.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
        }
    }
    let each = r.read_bit()?;
    let mut depth = 0;
    for _ in 0..if each { sub_layers } else { 1 } {
        ue(&mut r)?;
        depth = ue(&mut r)?;
        ue(&mut r)?;
    }
    Ok(depth as usize)
}
