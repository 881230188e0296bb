//! H.264 parameter sets and IDR slice headers (ITU-T H.264, 7.3.2 and 7.3.3).

use std::borrow::Cow;
use std::io::{self, Cursor, Write};

use bitstream_io::{BigEndian, BitRead as _, BitReader, BitWrite as _, BitWriter};
use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{self, ByteWriter};

use super::nal::ue;

const SLICE_IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const SPS_EXTENSION: u8 = 13;
const USER_DATA_UNREGISTERED: u8 = 5;

fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|b| b & 0x1f)
}

pub(super) fn is_parameter_set(nal: &[u8]) -> bool {
    matches!(nal_type(nal), Some(SPS | PPS | SPS_EXTENSION))
}

pub(super) fn is_delimiter(nal: &[u8]) -> bool {
    nal_type(nal) == Some(DELIMITER)
}

pub(super) fn is_user_data(nal: &[u8]) -> bool {
    nal_type(nal) == Some(SEI) && nal.get(1) == Some(&USER_DATA_UNREGISTERED)
}

pub(super) fn is_idr_slice(nal: &[u8]) -> bool {
    nal_type(nal) == Some(SLICE_IDR)
}

/// The bytes behind the header, without emulation prevention. None of what is read here is as short as two bytes.
fn payload(nal: &[u8]) -> Option<Cow<'_, [u8]>> {
    if nal.len() < 3 { None } else { rbsp::decode_nal(nal).ok() }
}

/// The parameter sets seen so far.
#[derive(Default)]
pub(super) struct Sets(Context);

impl std::fmt::Debug for Sets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sets({} SPS, {} PPS)", self.0.sps().count(), self.0.pps().count())
    }
}

impl Sets {
    pub(super) fn from_config(config: &[u8]) -> Self {
        let record = h264_reader::avcc::AvcDecoderConfigurationRecord::try_from(config);
        Self(record.ok().and_then(|r| r.create_context().ok()).unwrap_or_default())
    }

    pub(super) fn learn(&mut self, nal: &[u8]) {
        let Some(payload) = payload(nal) else { return };
        let bits = rbsp::BitReader::new(&payload[..]);
        match nal_type(nal) {
            Some(SPS) => {
                if let Ok(sps) = SeqParameterSet::from_bits(bits) {
                    self.0.put_seq_param_set(sps);
                }
            }
            Some(PPS) => {
                if let Ok(pps) = PicParameterSet::from_bits(&self.0, bits) {
                    self.0.put_pic_param_set(pps);
                }
            }
            _ => {}
        }
    }

    /// `max_num_reorder_frames` of the VUI, the largest where there are several SPS.
    pub(super) fn reorder_depth(&self) -> Option<usize> {
        let of = |sps: &SeqParameterSet| {
            let restrictions = sps.vui_parameters.as_ref()?.bitstream_restrictions.as_ref()?;
            usize::try_from(restrictions.max_num_reorder_frames).ok()
        };
        self.0.sps().filter_map(of).max()
    }

    pub(super) fn idr_slice(&self, nal: &[u8]) -> Option<IdrSlice> {
        let header = *nal.first()?;
        let payload = payload(nal)?.into_owned();
        let layout = self.layout(header, &payload).ok()??;
        Some(IdrSlice { header, payload, layout })
    }

    /// Walks `slice_header()` of an I slice in an IDR picture.
    fn layout(&self, header: u8, payload: &[u8]) -> io::Result<Option<Layout>> {
        let mut r = BitReader::endian(Cursor::new(payload), BigEndian);
        ue(&mut r)?; // first_mb_in_slice
        let slice_type = ue(&mut r)? % 5;
        let pps_id = ue(&mut r)?;
        let pps = self.0.pps().find(|p| u32::from(p.pic_parameter_set_id.id()) == pps_id);
        let Some(pps) = pps else { return Ok(None) };
        let Some(sps) = self.0.sps_by_id(pps.seq_parameter_set_id) else { return Ok(None) };
        if slice_type != 2 {
            return Ok(None);
        }
        if sps.chroma_info.separate_colour_plane_flag && sps.chroma_info.chroma_format == ChromaFormat::YUV444 {
            r.skip(2)?;
        }
        r.skip(u32::from(sps.log2_max_frame_num()))?;
        let mut field = false;
        if matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }) {
            field = r.read_bit()?;
            if field {
                r.skip(1)?; // bottom_field_flag
            }
        }
        let id_from = r.position_in_bits()?;
        let idr_pic_id = ue(&mut r)?;
        let id_to = r.position_in_bits()?;
        match &sps.pic_order_cnt {
            PicOrderCntType::TypeZero { log2_max_pic_order_cnt_lsb_minus4: log2 } => {
                r.skip(u32::from(*log2) + 4)?;
                if pps.bottom_field_pic_order_in_frame_present_flag && !field {
                    ue(&mut r)?;
                }
            }
            PicOrderCntType::TypeOne { delta_pic_order_always_zero_flag: false, .. } => {
                ue(&mut r)?;
                if pps.bottom_field_pic_order_in_frame_present_flag && !field {
                    ue(&mut r)?;
                }
            }
            PicOrderCntType::TypeOne { .. } | PicOrderCntType::TypeTwo => {}
        }
        if pps.redundant_pic_cnt_present_flag {
            ue(&mut r)?;
        }
        if header & 0x60 != 0 {
            r.skip(2)?; // no_output_of_prior_pics_flag, long_term_reference_flag
        }
        ue(&mut r)?; // slice_qp_delta
        if pps.deblocking_filter_control_present_flag && ue(&mut r)? != 1 {
            ue(&mut r)?;
            ue(&mut r)?;
        }
        let end = r.position_in_bits()?;
        Ok(Some(Layout { id_from, id_to, idr_pic_id, end, cabac: pps.entropy_coding_mode_flag }))
    }
}

#[derive(Debug)]
struct Layout {
    id_from: u64,
    id_to: u64,
    idr_pic_id: u32,
    /// First bit after the slice header.
    end: u64,
    cabac: bool,
}

/// An I slice of an IDR picture.
#[derive(Debug)]
pub(super) struct IdrSlice {
    header: u8,
    payload: Vec<u8>,
    layout: Layout,
}

impl IdrSlice {
    pub(super) fn idr_pic_id(&self) -> u32 {
        self.layout.idr_pic_id
    }

    /// The NAL unit with another `idr_pic_id`; slice data keeps its bits, moved as far as the new length asks.
    pub(super) fn with_idr_pic_id(&self, id: u32) -> Option<Vec<u8>> {
        let payload = self.rewritten(id).ok()?;
        let mut nal = vec![self.header];
        ByteWriter::new(&mut nal).write_all(&payload).ok()?;
        Some(nal)
    }

    fn rewritten(&self, id: u32) -> io::Result<Vec<u8>> {
        let Layout { id_from, id_to, end, cabac, .. } = self.layout;
        let mut w = BitWriter::endian(Vec::with_capacity(self.payload.len() + 2), BigEndian);
        self.copy(&mut w, 0, id_from)?;
        let coded = id.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
        let zeros = coded.ilog2();
        w.write_var(zeros, 0u32)?;
        w.write_var(zeros + 1, coded)?;
        self.copy(&mut w, id_to, end)?;
        if cabac {
            // Slice data begins at a byte, after cabac_alignment_one_bits.
            while !w.byte_aligned() {
                w.write_bit(true)?;
            }
            let data = usize::try_from(end.div_ceil(8)).map_err(|_| io::ErrorKind::InvalidData)?;
            w.write_bytes(self.payload.get(data..).unwrap_or_default())?;
        } else {
            let last = self.payload.iter().rposition(|&b| b != 0).ok_or(io::ErrorKind::InvalidData)?;
            let byte = self.payload.get(last).copied().unwrap_or_default();
            let stop = last as u64 * 8 + 7 - u64::from(byte.trailing_zeros());
            self.copy(&mut w, end, stop)?;
            w.write_bit(true)?;
            w.byte_align()?;
        }
        Ok(w.into_writer())
    }

    fn copy(&self, w: &mut BitWriter<Vec<u8>, BigEndian>, from: u64, to: u64) -> io::Result<()> {
        let byte = usize::try_from(from / 8).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut r = BitReader::endian(self.payload.get(byte..).unwrap_or_default(), BigEndian);
        r.skip((from % 8) as u32)?;
        let mut left = to.saturating_sub(from);
        while left > 0 {
            let bits = left.min(32) as u32;
            w.write_var(bits, r.read_var::<u32>(bits)?)?;
            left -= u64::from(bits);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(bits: &str, id_at: (u64, u64), end: u64, cabac: bool) -> IdrSlice {
        let payload = bits
            .replace(' ', "")
            .as_bytes()
            .chunks(8)
            .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
            .collect();
        let layout = Layout { id_from: id_at.0, id_to: id_at.1, idr_pic_id: 0, end, cabac };
        IdrSlice { header: 0x65, payload, layout }
    }

    #[test]
    fn cabac_data_keeps_its_bytes_behind_a_longer_header() {
        // Header of 7 bits with the id '1' at bit 5; one alignment bit; then two bytes of data.
        let s = slice("00000111 10101010 11001100", (5, 6), 7, true);
        assert_eq!(s.with_idr_pic_id(1).unwrap(), [0x65, 0b0000_0010, 0b1111_1111, 0b1010_1010, 0b1100_1100]);
    }

    #[test]
    fn cavlc_data_moves_bit_by_bit() {
        let s = slice("00000110 10101010 11001000", (5, 6), 7, false);
        assert_eq!(s.with_idr_pic_id(1).unwrap(), [0x65, 0b0000_0010, 0b1010_1010, 0b1011_0010]);
    }

    #[test]
    fn a_new_zero_run_gets_its_emulation_prevention() {
        let s = slice("00000110 00000000 00000000 00000011 10000000", (5, 6), 7, true);
        let nal = s.with_idr_pic_id(0).unwrap();
        assert_eq!(nal, [0x65, 0b0000_0111, 0, 0, 3, 3, 0x80]);
    }
}
