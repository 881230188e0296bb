//! Elements in memory, before they have a place in the file.

use std::io;

use webm_iterable::errors::TagWriterError;
use webm_iterable::matroska_spec::MatroskaSpec;
use webm_iterable::{WebmWriter, WriteOptions};

/// Elements one after the other, inside of masters that stay open.
pub(super) struct Elements {
    writer: WebmWriter<Vec<u8>>,
    opening: Vec<u8>,
}

fn fault(e: TagWriterError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this does not fit Matroska: {e}"))
}

impl Elements {
    /// Nothing yet, in masters of unknown size.
    pub(super) fn within(masters: &[MatroskaSpec]) -> io::Result<Self> {
        let mut writer = WebmWriter::new(Vec::new());
        for master in masters {
            writer.write_advanced(master, WriteOptions::is_unknown_sized_element()).map_err(fault)?;
        }
        // The writer keeps the masters' own heads back until something follows.
        writer.write(&MatroskaSpec::Void(Vec::new())).map_err(fault)?;
        let mut opening = std::mem::take(writer.get_mut());
        opening.truncate(opening.len().saturating_sub(2));
        Ok(Self { writer, opening })
    }

    /// The heads of the open masters.
    pub(super) fn opening(&self) -> &[u8] {
        &self.opening
    }

    /// Appends.
    pub(super) fn put(&mut self, element: &MatroskaSpec) -> io::Result<()> {
        self.writer.write(element).map_err(fault)
    }

    /// Appends an element whose content is there already.
    pub(super) fn put_raw(&mut self, id: u32, content: &[u8]) -> io::Result<()> {
        self.writer.write_raw(id.into(), content).map_err(fault)
    }

    /// What has been put, the open masters' heads left out.
    pub(super) fn bytes(&self) -> &[u8] {
        self.writer.get_ref()
    }
}

/// An element that stands by itself.
pub(super) fn alone(element: &MatroskaSpec) -> io::Result<Vec<u8>> {
    let mut writer = WebmWriter::new(Vec::new());
    writer.write(element).map_err(fault)?;
    writer.into_inner().map_err(fault)
}

/// Several packets in one, as `CodecPrivate` holds the headers of Vorbis and Theora.
pub(crate) fn xiph_lace(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![packets.len().saturating_sub(1) as u8];
    for packet in packets.iter().take(packets.len().saturating_sub(1)) {
        out.extend(std::iter::repeat_n(255, packet.len() / 255));
        out.push((packet.len() % 255) as u8);
    }
    packets.iter().for_each(|p| out.extend_from_slice(p));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use webm_iterable::matroska_spec::Master;

    #[test]
    fn elements_are_counted_without_the_masters_they_are_in() {
        let mut elements = Elements::within(&[MatroskaSpec::Segment(Master::Start)]).unwrap();
        assert_eq!(elements.opening(), [0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(elements.bytes(), b"");
        elements.put_raw(0x1F43_B675, &[7; 127]).unwrap();
        assert_eq!(elements.bytes()[..6], [0x1F, 0x43, 0xB6, 0x75, 0x40, 127], "127 in one byte would mean unknown");
    }

    #[test]
    fn laced_headers_tell_their_lengths() {
        assert_eq!(xiph_lace(&[vec![7; 256], vec![8], vec![9]])[..4], [2, 255, 1, 1]);
    }
}
