//! MPEG transport streams (ISO 13818-1): packets of 188 bytes, a clock reference with every picture.

use std::io;

use super::Writer;
use super::codec::Codec;
use super::output::Sink;
use super::track::{Header, Sample, Track};

const PACKET: usize = 188;
const PMT_PID: u16 = 0x1000;
const FIRST_PID: u16 = 0x100;
/// Decoders get each unit this long before it is decoded, in ticks of 90 kHz.
const LEAD: i64 = 63_000;
/// The tables come again this often.
const TABLES_EVERY: i64 = 9_000;
/// A clock reference comes at least this often (the standard's limit is 100 ms).
const CLOCK_EVERY: i64 = 7_200;

/// The writer.
pub(crate) struct Ts {
    header: Header,
    counters: Vec<u8>,
    table_counters: [u8; 2],
    clock_track: usize,
    last_tables: Option<i64>,
    last_clock: Option<i64>,
}

impl Ts {
    pub(crate) fn begin(header: Header) -> Self {
        let clock_track = header.tracks.iter().position(|t| t.video.is_some()).unwrap_or(0);
        Self {
            counters: vec![0; header.tracks.len()],
            table_counters: [0; 2],
            clock_track,
            last_tables: None,
            last_clock: None,
            header,
        }
    }

    fn pid(index: usize) -> u16 {
        FIRST_PID + index as u16
    }

    fn tables(&mut self, sink: &mut Sink) -> io::Result<()> {
        let mut pat = vec![0, 1, 0xC1, 0, 0, 0, 1];
        pat.extend((0xE000 | PMT_PID).to_be_bytes());
        let mut pmt = vec![0, 1, 0xC1, 0, 0];
        pmt.extend((0xE000 | Self::pid(self.clock_track)).to_be_bytes());
        pmt.extend([0xF0, 0]);
        for (i, track) in self.header.tracks.iter().enumerate() {
            let (kind, descriptors) = stream(track);
            pmt.push(kind);
            pmt.extend((0xE000 | Self::pid(i)).to_be_bytes());
            pmt.extend((0xF000 | descriptors.len() as u16).to_be_bytes());
            pmt.extend(descriptors);
        }
        for (i, (pid, table, body)) in [(0, 0, pat), (PMT_PID, 2, pmt)].into_iter().enumerate() {
            let mut section = vec![table];
            section.extend((0xB000 | (body.len() as u16 + 4)).to_be_bytes());
            section.extend(body);
            section.extend(crc32(&section).to_be_bytes());
            let Some(counter) = self.table_counters.get_mut(i) else { continue };
            let mut packet = vec![0x47];
            packet.extend((0x4000 | pid).to_be_bytes());
            packet.extend([0x10 | *counter, 0]);
            *counter = (*counter + 1) & 15;
            packet.extend(section);
            if packet.len() > PACKET {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "too many tracks for a transport stream's table",
                ));
            }
            packet.resize(PACKET, 0xFF);
            sink.write(&packet)?;
        }
        Ok(())
    }

    /// One packet; gives how much of `payload` it took.
    fn packet(
        &mut self,
        sink: &mut Sink,
        index: usize,
        start: bool,
        key: bool,
        clock: Option<i64>,
        payload: &[u8],
    ) -> io::Result<usize> {
        let mut adaptation = Vec::new();
        if clock.is_some() || (start && key) {
            adaptation.push(if start && key { 0x40 } else { 0 } | if clock.is_some() { 0x10 } else { 0 });
            if let Some(clock) = clock {
                let base = clock.max(0).unsigned_abs() & 0x1_FFFF_FFFF;
                adaptation.extend((base >> 1).to_be_bytes().iter().skip(4));
                adaptation.extend([((base & 1) << 7) as u8 | 0x7E, 0]);
            }
        }
        let mut room = PACKET - 4 - if adaptation.is_empty() { 0 } else { adaptation.len() + 1 };
        let mut has_adaptation = !adaptation.is_empty();
        if payload.len() < room {
            // The adaptation field fills what the payload leaves: one byte of length, one of flags, then stuffing.
            if !has_adaptation {
                has_adaptation = true;
                room -= 1;
                if payload.len() < room {
                    adaptation.push(0);
                    room -= 1;
                }
            }
            adaptation.resize(adaptation.len() + room.saturating_sub(payload.len()), 0xFF);
            room = payload.len();
        }
        let taken = payload.len().min(room);
        let counter = self.counters.get_mut(index).map_or(0, |c| {
            // A packet without payload repeats the number of the one before it.
            let now = if taken > 0 { *c } else { c.wrapping_sub(1) & 15 };
            if taken > 0 {
                *c = (*c + 1) & 15;
            }
            now
        });
        let mut packet = Vec::with_capacity(PACKET);
        packet.push(0x47);
        packet.extend((Self::pid(index) | if start { 0x4000 } else { 0 }).to_be_bytes());
        let flags = if has_adaptation { 0x20 } else { 0 } | if taken > 0 { 0x10 } else { 0 };
        packet.push(flags | counter);
        if has_adaptation {
            packet.push(adaptation.len() as u8);
            packet.extend(adaptation);
        }
        packet.extend_from_slice(payload.get(..taken).unwrap_or_default());
        sink.write(&packet)?;
        Ok(taken)
    }
}

impl Writer for Ts {
    fn sample(&mut self, sink: &mut Sink, index: usize, sample: &Sample) -> io::Result<()> {
        let Some(track) = self.header.tracks.get(index) else { return Ok(()) };
        let ticks = |ns: i64| super::mp4::scale(ns - self.header.base, 90_000, 1_000_000_000) + 2 * LEAD;
        let (pts, dts) = (ticks(sample.pts), ticks(sample.dts));
        let pes = pes(track, sample, pts, dts);
        if self.last_tables.is_none_or(|last| dts - last >= TABLES_EVERY) {
            self.tables(sink)?;
            self.last_tables = Some(dts);
        }
        let clock = dts - LEAD;
        let due = self.last_clock.is_none_or(|last| clock - last >= CLOCK_EVERY);
        if index != self.clock_track && due && self.last_clock.is_some() {
            self.packet(sink, self.clock_track, false, false, Some(clock), &[])?;
            self.last_clock = Some(clock);
        }
        let mut with_clock = (index == self.clock_track).then_some(clock);
        if with_clock.is_some() {
            self.last_clock = with_clock;
        }
        let mut rest = pes.as_slice();
        let mut start = true;
        while !rest.is_empty() {
            let taken = self.packet(sink, index, start, sample.key, with_clock.take(), rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            start = false;
        }
        Ok(())
    }

    fn finish(&mut self, _sink: &mut Sink) -> io::Result<()> {
        Ok(())
    }
}

fn pes(track: &Track, sample: &Sample, pts: i64, dts: i64) -> Vec<u8> {
    let delimiter: &[u8] = match track.codec {
        Codec::H264 if !sample.data.starts_with(&[0, 0, 0, 1, 9]) && !sample.data.starts_with(&[0, 0, 1, 9]) => {
            &[0, 0, 0, 1, 9, 0xF0]
        }
        Codec::H265 if !sample.data.starts_with(&[0, 0, 0, 1, 0x46]) && !sample.data.starts_with(&[0, 0, 1, 0x46]) => {
            &[0, 0, 0, 1, 0x46, 1, 0x50]
        }
        _ => &[],
    };
    let id = match track.codec {
        _ if track.video.is_some() => 0xE0,
        Codec::Ac3 | Codec::Eac3 => 0xBD,
        _ => 0xC0,
    };
    let both = dts != pts;
    let header_length: u8 = if both { 10 } else { 5 };
    let length = 3 + usize::from(header_length) + delimiter.len() + sample.data.len();
    let mut out = vec![0, 0, 1, id];
    out.extend((if id == 0xE0 { 0 } else { u16::try_from(length).unwrap_or(0) }).to_be_bytes());
    out.extend([0x84, if both { 0xC0 } else { 0x80 }, header_length]);
    time(&mut out, if both { 3 } else { 2 }, pts);
    if both {
        time(&mut out, 1, dts);
    }
    out.extend_from_slice(delimiter);
    out.extend_from_slice(&sample.data);
    out
}

fn time(out: &mut Vec<u8>, mark: u8, ticks: i64) {
    let t = ticks.max(0).unsigned_abs() & 0x1_FFFF_FFFF;
    out.push(mark << 4 | ((t >> 30) as u8) << 1 | 1);
    out.extend((((t >> 15) as u16) << 1 | 1).to_be_bytes());
    out.extend(((t as u16) << 1 | 1).to_be_bytes());
}

fn stream(track: &Track) -> (u8, Vec<u8>) {
    let registration = |name: &[u8; 4]| {
        let mut d = vec![5, 4];
        d.extend_from_slice(name);
        d
    };
    let (kind, mut descriptors) = match track.codec {
        Codec::H264 => (0x1B, Vec::new()),
        Codec::H265 => (0x24, registration(b"HEVC")),
        Codec::MpegVideo(1) => (0x01, Vec::new()),
        Codec::MpegVideo(_) => (0x02, Vec::new()),
        Codec::Mpeg4 => (0x10, Vec::new()),
        Codec::Ac3 => (0x81, registration(b"AC-3")),
        Codec::Eac3 => (0x87, registration(b"EAC3")),
        Codec::MpegAudio(_) => (0x03, Vec::new()),
        _ => (0x0F, Vec::new()),
    };
    if let Some(language) = track.language.as_deref().filter(|l| l.len() == 3 && *l != "und") {
        descriptors.extend([10, 4]);
        descriptors.extend_from_slice(language.as_bytes());
        descriptors.push(0);
    }
    (kind, descriptors)
}

fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04C1_1DB7 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::unwrap_used, reason = "tests")]
    fn packets_are_numbered_without_a_gap_whether_or_not_they_carry_anything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.ts");
        let (output, mut sink) = crate::mux::Output::create(Some(&path)).unwrap();
        let track = Track {
            codec: Codec::H264,
            private: Vec::new(),
            language: None,
            title: None,
            video: Some(crate::mux::Video::default()),
            audio: None,
        };
        let header = Header { tracks: vec![track], ..Header::default() };
        let mut ts = Ts::begin(header);
        for size in [1, 150, 165, 166, 167, 168, 169, 170, 400, 5000] {
            let sample =
                Sample { pts: size * 40_000_000, dts: 0, duration: 0, key: size == 1, data: vec![7; size as usize] };
            ts.sample(&mut sink, 0, &sample).unwrap();
            ts.packet(&mut sink, 0, false, false, Some(9), &[]).unwrap();
        }
        output.commit(sink).unwrap();
        let data = std::fs::read(&path).unwrap();
        assert_eq!(data.len() % PACKET, 0);
        let mut last = None;
        for packet in data.chunks(PACKET).filter(|p| u16::from_be_bytes([p[1] & 0x1F, p[2]]) == FIRST_PID) {
            let (carries, number) = (packet[3] & 0x10 != 0, packet[3] & 15);
            let expected = last.map_or(number, |l: u8| if carries { (l + 1) & 15 } else { l });
            assert_eq!((packet[0], number), (0x47, expected));
            last = Some(number);
        }
    }

    #[test]
    fn the_checksum_is_the_standards() {
        // The check value of CRC-32/MPEG-2.
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7);
    }
}
