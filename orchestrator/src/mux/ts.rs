//! MPEG transport streams (ISO 13818-1): packets of 188 bytes, a clock reference with every picture.

use std::io;

use mpeg2ts::es::{StreamId, StreamType};
use mpeg2ts::pes::PesHeader;
use mpeg2ts::time::{ClockReference, Timestamp};
use mpeg2ts::ts::payload::{Bytes, Pat, Pes, Section};
use mpeg2ts::ts::{
    AdaptationField, ContinuityCounter, Descriptor, EsInfo, Pid, ProgramAssociation, TransportScramblingControl,
    TsHeader, TsPacket, TsPacketWriter, TsPayload, VersionNumber, WriteTsPacket as _,
};

use super::Writer;
use super::codec::Codec;
use super::output::Sink;
use super::track::{Header, Sample, Track};

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
    counters: Vec<ContinuityCounter>,
    table_counters: [ContinuityCounter; 2],
    clock_track: usize,
    last_tables: Option<i64>,
    last_clock: Option<i64>,
    /// How far before 0 the first packet would be decoded.
    early: Option<i64>,
}

/// What one access unit is sent with.
struct Unit<'a> {
    pes: PesHeader,
    /// The packet's length as its header says it; 0 for video, which may leave it out.
    length: u16,
    key: bool,
    data: &'a [u8],
}

fn fault(e: mpeg2ts::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this does not fit a transport stream: {}", e.reason))
}

impl Ts {
    pub(crate) fn begin(header: Header) -> Self {
        let clock_track = header.tracks.iter().position(|t| t.video.is_some()).unwrap_or(0);
        Self {
            counters: vec![ContinuityCounter::new(); header.tracks.len()],
            table_counters: [ContinuityCounter::new(); 2],
            clock_track,
            last_tables: None,
            last_clock: None,
            early: None,
            header,
        }
    }

    fn pid(index: usize) -> io::Result<Pid> {
        let pid = u16::try_from(index).ok().and_then(|i| i.checked_add(FIRST_PID)).filter(|p| *p < PMT_PID);
        Pid::new(pid.unwrap_or(u16::MAX)).map_err(fault)
    }

    fn tables(&mut self, sink: &mut Sink) -> io::Result<()> {
        let map = Pid::new(PMT_PID).map_err(fault)?;
        let pat = Pat {
            transport_stream_id: 1,
            version_number: VersionNumber::new(),
            table: vec![ProgramAssociation { program_num: 1, program_map_pid: map }],
        };
        let streams = self.header.tracks.iter().enumerate();
        let streams = streams.map(|(i, t)| Ok(stream(t, Self::pid(i)?))).collect::<io::Result<Vec<_>>>()?;
        let [of_pat, of_map] = &mut self.table_counters;
        write(sink, Pid::from(0), *of_pat, None, Some(TsPayload::Pat(pat)))?;
        of_pat.increment();
        let section = program_map(Self::pid(self.clock_track)?, &streams)?;
        let (start, rest) = section.split_at(section.len().min(Bytes::MAX_SIZE - 1));
        let start = Section { pointer_field: 0, data: Bytes::new(start).map_err(fault)? };
        let rest = rest.chunks(Bytes::MAX_SIZE).map(|piece| Bytes::new(piece).map(TsPayload::Raw).map_err(fault));
        for payload in std::iter::once(Ok(TsPayload::Section(start))).chain(rest) {
            write(sink, map, *of_map, None, Some(payload?))?;
            of_map.increment();
        }
        Ok(())
    }

    /// A packet that carries the clock and nothing else: it has the number of the packet before it.
    fn clock_alone(&self, sink: &mut Sink, clock: i64) -> io::Result<()> {
        let counter = self.counters.get(self.clock_track).copied().unwrap_or_default();
        let last = ContinuityCounter::from_u8(counter.as_u8().wrapping_sub(1) & ContinuityCounter::MAX);
        let field = adaptation(false, Some(clock))?;
        write(sink, Self::pid(self.clock_track)?, last.map_err(fault)?, field, None)
    }

    /// One access unit in as many packets as it takes.
    fn unit(&mut self, sink: &mut Sink, index: usize, unit: &Unit<'_>, clock: Option<i64>) -> io::Result<()> {
        let pid = Self::pid(index)?;
        let Some(counter) = self.counters.get_mut(index) else { return Ok(()) };
        let field = adaptation(unit.key, clock)?;
        let times = if unit.pes.dts.is_some() { 10 } else { 5 };
        let taken = match (&field, clock) {
            (Some(_), Some(_)) => 8,
            (Some(_), None) => 2,
            (None, _) => 0,
        };
        let room = Bytes::MAX_SIZE - taken - 9 - times;
        let (first, rest) = unit.data.split_at(room.min(unit.data.len()));
        let start =
            Pes { header: unit.pes.clone(), pes_packet_len: unit.length, data: Bytes::new(first).map_err(fault)? };
        write(sink, pid, *counter, field, Some(TsPayload::PesStart(start)))?;
        counter.increment();
        for piece in rest.chunks(Bytes::MAX_SIZE) {
            let piece = TsPayload::PesContinuation(Bytes::new(piece).map_err(fault)?);
            write(sink, pid, *counter, None, Some(piece))?;
            counter.increment();
        }
        Ok(())
    }
}

impl Writer for Ts {
    fn sample(&mut self, sink: &mut Sink, index: usize, sample: &Sample) -> io::Result<()> {
        let Some(track) = self.header.tracks.get(index) else { return Ok(()) };
        let ticks = |ns: i64| super::mp4::scale(ns - self.header.base, 90_000, 1_000_000_000) + 2 * LEAD;
        // The first packet is decoded first of all; times do not begin before 0.
        let early = *self.early.get_or_insert_with(|| (-ticks(sample.dts)).max(0));
        let ticks = |ns: i64| ticks(ns) + early;
        let (pts, dts) = (ticks(sample.pts), ticks(sample.dts));
        let mut data = delimiter(&track.codec, &sample.data).to_vec();
        data.extend_from_slice(&sample.data);
        let pes = pes(track, pts, dts)?;
        let length = match track.video {
            Some(_) => 0,
            None => u16::try_from(data.len() + if pes.dts.is_some() { 13 } else { 8 })
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a packet of sound of more than 64 KiB"))?,
        };
        if self.last_tables.is_none_or(|last| dts - last >= TABLES_EVERY) {
            self.tables(sink)?;
            self.last_tables = Some(dts);
        }
        let clock = self.last_clock.map_or(dts - LEAD, |last| last.max(dts - LEAD));
        while let Some(last) = self.last_clock.filter(|last| clock - last > CLOCK_EVERY) {
            self.clock_alone(sink, last + CLOCK_EVERY)?;
            self.last_clock = Some(last + CLOCK_EVERY);
        }
        let with_clock = (index == self.clock_track).then_some(clock);
        self.last_clock = with_clock.or(self.last_clock);
        self.unit(sink, index, &Unit { pes, length, key: sample.key, data: &data }, with_clock)
    }

    fn finish(&mut self, _sink: &mut Sink) -> io::Result<()> {
        Ok(())
    }
}

/// The program's table (2.4.4.9). The crate's own ends with a packet: at nine tracks of sound.
fn program_map(clock: Pid, streams: &[EsInfo]) -> io::Result<Vec<u8>> {
    const VERSION_0_NOW: u8 = 0xC1;
    let of = |pid: Pid| (0xE000 | pid.as_u16()).to_be_bytes();
    let sized = |mark: u16, length: usize| {
        let length = u16::try_from(length).ok().filter(|length| *length <= 1021);
        let what = "the table of a transport stream has no room for so many tracks";
        length.map(|n| (mark | n).to_be_bytes()).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, what))
    };
    let mut body = vec![0, 1, VERSION_0_NOW, 0, 0];
    body.extend(of(clock));
    body.extend(sized(0xF000, 0)?);
    for stream in streams {
        let mut descriptors = Vec::new();
        for descriptor in &stream.descriptors {
            descriptors.extend([descriptor.tag, u8::try_from(descriptor.data.len()).unwrap_or(u8::MAX)]);
            descriptors.extend(descriptor.data.iter().take(u8::MAX.into()));
        }
        body.push(stream.stream_type as u8);
        body.extend(of(stream.elementary_pid));
        body.extend(sized(0xF000, descriptors.len())?);
        body.extend(descriptors);
    }
    let mut section = vec![2];
    section.extend(sized(0xB000, body.len() + 4)?);
    section.extend(body);
    let check = checksum(&section);
    section.extend(check.to_be_bytes());
    Ok(section)
}

/// CRC-32 as tables have it (annex A).
fn checksum(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte) << 24,
            |crc, _| {
                if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 }
            },
        )
    })
}

fn write(
    sink: &mut Sink,
    pid: Pid,
    continuity_counter: ContinuityCounter,
    adaptation_field: Option<AdaptationField>,
    payload: Option<TsPayload>,
) -> io::Result<()> {
    let has_clock = adaptation_field.as_ref().is_some_and(|a| a.pcr.is_some());
    let header = TsHeader {
        transport_error_indicator: false,
        transport_priority: false,
        pid,
        transport_scrambling_control: TransportScramblingControl::NotScrambled,
        continuity_counter,
    };
    let mut writer = TsPacketWriter::new(Vec::with_capacity(TsPacket::SIZE));
    writer.write_ts_packet(&TsPacket { header, adaptation_field, payload }).map_err(fault)?;
    let mut packet = writer.into_stream();
    // The standard wants the six reserved bits of a clock reference set; the crate leaves them at 0.
    if let Some(byte) = packet.get_mut(10).filter(|_| has_clock) {
        *byte |= 0x7E;
    }
    sink.write(&packet)
}

fn adaptation(random_access_indicator: bool, clock: Option<i64>) -> io::Result<Option<AdaptationField>> {
    let reference = |c: i64| ClockReference::new(wrapped(c) * 300).map_err(fault);
    let pcr = clock.map(reference).transpose()?;
    Ok((random_access_indicator || pcr.is_some()).then(|| AdaptationField {
        discontinuity_indicator: false,
        random_access_indicator,
        es_priority_indicator: false,
        pcr,
        opcr: None,
        splice_countdown: None,
        transport_private_data: Vec::new(),
        extension: None,
    }))
}

/// Times count in 33 bits and start again at 0.
fn wrapped(ticks: i64) -> u64 {
    ticks.max(0).unsigned_abs() & Timestamp::MAX
}

/// What has to stand before an access unit: the standard wants a delimiter in each (2.14.1, 2.17.1).
fn delimiter(codec: &Codec, data: &[u8]) -> &'static [u8] {
    let unit = data.iter().position(|b| *b != 0).and_then(|one| data.get(one + 1..)).unwrap_or_default();
    match (codec, unit.first()) {
        (Codec::H264, Some(first)) if first & 0x1F != 9 => &[0, 0, 0, 1, 9, 0xF0],
        (Codec::H265, Some(first)) if (first >> 1) & 0x3F != 35 => &[0, 0, 0, 1, 0x46, 1, 0x50],
        _ => &[],
    }
}

fn pes(track: &Track, pts: i64, dts: i64) -> io::Result<PesHeader> {
    let stream_id = match track.codec {
        _ if track.video.is_some() => StreamId::VIDEO_MIN,
        Codec::Ac3 | Codec::Eac3 => StreamId::PRIVATE_STREAM_1,
        _ => StreamId::AUDIO_MIN,
    };
    let time = |t: i64| Timestamp::new(wrapped(t)).map_err(fault);
    Ok(PesHeader {
        stream_id: StreamId::new(stream_id),
        priority: false,
        data_alignment_indicator: true,
        copyright: false,
        original_or_copy: false,
        pts: Some(time(pts)?),
        dts: if dts == pts { None } else { Some(time(dts)?) },
        escr: None,
    })
}

fn stream(track: &Track, elementary_pid: Pid) -> EsInfo {
    let registration = |name: &[u8; 4]| vec![Descriptor { tag: 5, data: name.to_vec() }];
    let (stream_type, mut descriptors) = match track.codec {
        Codec::H264 => (StreamType::H264, Vec::new()),
        Codec::H265 => (StreamType::H265, registration(b"HEVC")),
        Codec::MpegVideo(1) => (StreamType::Mpeg1Video, Vec::new()),
        Codec::MpegVideo(_) => (StreamType::Mpeg2Video, Vec::new()),
        Codec::Mpeg4 => (StreamType::Mpeg4H263BasedVideo, Vec::new()),
        Codec::Ac3 => (StreamType::DolbyDigitalUpToSixChannelAudio, registration(b"AC-3")),
        Codec::Eac3 => (StreamType::DolbyDigitalPlusUpTo16ChannelAudioForAtsc, registration(b"EAC3")),
        Codec::MpegAudio(_) => (StreamType::Mpeg1Audio, Vec::new()),
        _ => (StreamType::AdtsAac, Vec::new()),
    };
    if let Some(language) = track.language.as_deref().filter(|l| l.len() == 3 && *l != "und") {
        descriptors.push(Descriptor { tag: 10, data: [language.as_bytes(), &[0]].concat() });
    }
    EsInfo { stream_type, elementary_pid, descriptors }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video() -> Track {
        Track {
            codec: Codec::H264,
            private: Vec::new(),
            language: None,
            title: None,
            flags: crate::mux::Flags::default(),
            video: Some(crate::mux::Video::default()),
            audio: None,
        }
    }

    #[test]
    fn packets_are_numbered_without_a_gap_whether_or_not_they_carry_anything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.ts");
        let (output, mut sink) = crate::mux::Output::create(Some(&path), false).unwrap();
        let header = Header { tracks: vec![video()], ..Header::default() };
        let mut ts = Ts::begin(header);
        for size in [1, 150, 165, 166, 167, 168, 169, 170, 400, 5000] {
            let sample =
                Sample { pts: size * 40_000_000, dts: 0, duration: 0, key: size == 1, data: vec![7; size as usize] };
            ts.sample(&mut sink, 0, &sample).unwrap();
            ts.clock_alone(&mut sink, 9).unwrap();
        }
        output.commit(sink);
        let data = std::fs::read(&path).unwrap();
        assert_eq!(data.len() % TsPacket::SIZE, 0);
        let mut last = None;
        for packet in data.chunks(TsPacket::SIZE).filter(|p| u16::from_be_bytes([p[1] & 0x1F, p[2]]) == FIRST_PID) {
            let (carries, number) = (packet[3] & 0x10 != 0, packet[3] & 15);
            let expected = last.map_or(number, |l: u8| if carries { (l + 1) & 15 } else { l });
            assert_eq!((packet[0], number), (0x47, expected));
            last = Some(number);
        }
    }

    #[test]
    fn the_table_names_every_track_however_many_packets_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.ts");
        let (output, mut sink) = crate::mux::Output::create(Some(&path), false).unwrap();
        let tracks = ["deu", "und", "fra"].map(|l| Track { language: Some(l.into()), ..video() });
        let named: Vec<_> = tracks.iter().enumerate().map(|(i, t)| stream(t, Ts::pid(i).unwrap())).collect();
        Ts::begin(Header { tracks: tracks.into(), ..Header::default() }).tables(&mut sink).unwrap();
        output.commit(sink);
        let mut reader = mpeg2ts::ts::TsPacketReader::new(std::fs::File::open(&path).unwrap());
        let mut read = || mpeg2ts::ts::ReadTsPacket::read_ts_packet(&mut reader).unwrap().and_then(|p| p.payload);
        assert!(matches!(read(), Some(TsPayload::Pat(_))));
        assert!(matches!(read(), Some(TsPayload::Pmt(map)) if map.es_info == named));
        let section = |count| program_map(Ts::pid(0).unwrap(), &vec![named[0].clone(); count]);
        assert!(section(60).is_ok_and(|section| section.len() > 3 * TsPacket::SIZE));
        assert!(section(100).is_err_and(|e| e.to_string().contains("so many tracks")));
    }

    #[test]
    fn an_access_unit_gets_a_delimiter_unless_it_brings_one() {
        for own in [&[0, 0, 0, 1, 9, 0x10][..], &[0, 0, 1, 9, 0x10], &[0, 0, 0, 0, 1, 0x29, 0x10]] {
            assert_eq!(delimiter(&Codec::H264, own), b"", "{own:?}");
        }
        assert_eq!(delimiter(&Codec::H264, &[0, 0, 0, 1, 0x67, 9]), [0, 0, 0, 1, 9, 0xF0]);
        assert_eq!(delimiter(&Codec::H265, &[0, 0, 1, 0x46, 1]), b"");
        assert_eq!(delimiter(&Codec::H265, &[0, 0, 1, 0x40, 1]), [0, 0, 0, 1, 0x46, 1, 0x50]);
        assert_eq!(delimiter(&Codec::MpegVideo(2), &[0, 0, 1, 0xB3]), b"");
    }

    #[test]
    fn decode_times_rise_however_early_the_first_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.ts");
        let (output, mut sink) = crate::mux::Output::create(Some(&path), false).unwrap();
        let mut ts = Ts::begin(Header { tracks: vec![video()], ..Header::default() });
        for (pts, dts) in [(0, -4000), (4000, -2000), (2000, 0)] {
            let (pts, dts) = (pts * 1_000_000, dts * 1_000_000);
            ts.sample(&mut sink, 0, &Sample { pts, dts, duration: 0, key: true, data: vec![0, 0, 1, 9] }).unwrap();
        }
        output.commit(sink);
        let mut reader = mpeg2ts::ts::TsPacketReader::new(std::fs::File::open(&path).unwrap());
        let mut times = Vec::new();
        while let Some(packet) = mpeg2ts::ts::ReadTsPacket::read_ts_packet(&mut reader).unwrap() {
            if let Some(TsPayload::PesStart(pes)) = packet.payload {
                times.push((pes.header.pts.unwrap().as_u64(), pes.header.dts.map(|t| t.as_u64())));
            }
        }
        assert_eq!(times, [(360_000, Some(0)), (720_000, Some(180_000)), (540_000, Some(360_000))]);
    }

    #[test]
    fn the_clock_never_pauses_for_longer_than_the_standard_allows_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("o.ts");
        let (output, mut sink) = crate::mux::Output::create(Some(&path), false).unwrap();
        let mut ts = Ts::begin(Header { tracks: vec![video()], ..Header::default() });
        for ms in [0, 1000, 900, 1040, 4040] {
            let t = ms * 1_000_000;
            ts.sample(&mut sink, 0, &Sample { pts: t, dts: t, duration: 0, key: true, data: vec![0, 0, 1, 9] })
                .unwrap();
        }
        output.commit(sink);
        let data = std::fs::read(&path).unwrap();
        let clocks = data.chunks(TsPacket::SIZE).filter(|p| p[3] & 0x20 != 0 && p[4] > 0 && p[5] & 0x10 != 0);
        let clocks: Vec<u64> = clocks
            .map(|p| {
                assert_eq!((p[10] & 0x7E, p[11]), (0x7E, 0), "reserved bits are set");
                u64::from(u32::from_be_bytes([p[6], p[7], p[8], p[9]])) << 1 | u64::from(p[10] >> 7)
            })
            .collect();
        assert!(clocks.windows(2).all(|w| w[0] <= w[1] && w[1] - w[0] <= 9_000), "{clocks:?}");
        assert_eq!(clocks.last().copied(), Some(LEAD as u64 + 4_040 * 90));
    }
}
