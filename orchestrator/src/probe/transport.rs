//! What an MPEG transport stream says of itself and tsdemux of GStreamer 1.22 keeps to itself or takes otherwise: streams
//! of types it does not know in a Blu-ray's stream, and clock references so far apart that it takes each for a jump.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use mpeg2ts::es::StreamType;
use mpeg2ts::ts::{Pid, ReadTsPacket as _, TsPacket, TsPacketReader, TsPayload};

/// What is looked at.
const HEAD: u64 = 8 << 20;
/// Blu-ray's packets have four bytes before each.
const PREFIX: usize = 4;
/// tsdemux takes more between two clock references for a jump. In units of 90 kHz.
const JUMP: u64 = 45_000;

/// What is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Transport {
    /// Each stream of which packets came, by its PID.
    pub(super) streams: BTreeMap<u16, StreamType>,
    /// Most clock references are further apart than tsdemux takes.
    pub(super) is_slow: bool,
}

impl Transport {
    /// The streams that are not among those of these PIDs, in words; not those that carry no sound, pictures or texts.
    pub(super) fn without(&self, shown: &[u16]) -> Vec<String> {
        let hidden = self.streams.iter().filter(|(pid, _)| !shown.contains(pid));
        hidden.filter_map(|(pid, kind)| Some(format!("{} (PID {pid:#06x})", named(*kind)?))).collect()
    }
}

/// The PID of a stream of tsdemux, from the end of its id.
pub(super) fn pid_of(stream_id: &str) -> Option<u16> {
    u16::from_str_radix(stream_id.rsplit('/').next()?.split(':').next()?, 16).ok()
}

fn named(kind: StreamType) -> Option<&'static str> {
    Some(match kind {
        StreamType::Mpeg1Video | StreamType::Mpeg2Video => "MPEG video",
        StreamType::Mpeg4H263BasedVideo => "MPEG-4 video",
        StreamType::H264 => "H.264",
        StreamType::H265 => "H.265",
        StreamType::Mpeg1Audio | StreamType::Mpeg2HalvedSampleRateAudio => "MPEG audio",
        StreamType::AdtsAac | StreamType::Mpeg4LoasMultiFormatFramedAudio => "AAC",
        StreamType::DolbyDigitalUpToSixChannelAudio => "AC-3",
        StreamType::DolbyDigitalPlusUpTo16ChannelAudio => "E-AC-3",
        StreamType::Dts6ChannelAudio | StreamType::Dts8ChannelAudio => "DTS",
        StreamType::Dts8ChannelLosslessAudio => "DTS-HD",
        StreamType::DolbyTrueHdLosslessAudio => "TrueHD",
        StreamType::Mpeg2PacketizedData => "private data",
        StreamType::PcmAudio => "PCM",
        StreamType::PresentationGraphicStream => "PGS subtitles",
        _ => return None,
    })
}

/// Reads the head of a transport stream; `None` where the file is something else.
pub(super) fn read(path: &Path) -> Option<Transport> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    of(&head)
}

fn of(head: &[u8]) -> Option<Transport> {
    let packets = packets(head)?;
    let tables = |wanted: &dyn Fn(u16) -> bool| {
        let chosen: Vec<u8> =
            packets.iter().filter(|p| pid(p).is_some_and(wanted)).flat_map(|p| p.iter().copied()).collect();
        let mut reader = TsPacketReader::new(std::io::Cursor::new(chosen));
        // A damaged table ends the look: what it would have told stays untold.
        std::iter::from_fn(move || reader.read_ts_packet().ok().flatten()).filter_map(|p| p.payload).collect::<Vec<_>>()
    };
    let mut maps = BTreeSet::new();
    for payload in tables(&|pid| pid == Pid::PAT) {
        if let TsPayload::Pat(pat) = payload {
            maps.extend(pat.table.iter().map(|program| program.program_map_pid.as_u16()));
        }
    }
    let seen: BTreeSet<u16> = packets.iter().filter(|p| starts(p)).filter_map(|p| pid(p)).collect();
    let (mut streams, mut clock) = (BTreeMap::new(), None);
    for payload in tables(&|pid| pid == Pid::PAT || maps.contains(&pid)) {
        if let TsPayload::Pmt(pmt) = payload {
            clock = clock.or(pmt.pcr_pid.map(|pid| pid.as_u16()));
            let all = pmt.es_info.iter().map(|es| (es.elementary_pid.as_u16(), es.stream_type));
            streams.extend(all.filter(|(pid, _)| seen.contains(pid)));
        }
    }
    let clock = packets.iter().filter(|p| pid(p) == clock).filter_map(|p| reference(p));
    Some(Transport { streams, is_slow: is_slow(&clock.collect::<Vec<_>>()) })
}

/// The packets, without what a Blu-ray has before each.
fn packets(head: &[u8]) -> Option<Vec<&[u8]>> {
    let is_sync = |at: usize| head.get(at) == Some(&TsPacket::SYNC_BYTE);
    let (start, step) = [(0, TsPacket::SIZE), (PREFIX, PREFIX + TsPacket::SIZE)]
        .into_iter()
        .find(|(start, step)| (0..3).all(|i| is_sync(start + i * step)))?;
    Some(head.get(start..)?.chunks(step).filter_map(|p| p.get(..TsPacket::SIZE)).collect())
}

fn pid(packet: &[u8]) -> Option<u16> {
    let number = packet.get(1..3)?.try_into().ok()?;
    (packet.first() == Some(&TsPacket::SYNC_BYTE)).then(|| u16::from_be_bytes(number) & Pid::MAX)
}

/// True where a table or a packet of a stream begins.
fn starts(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|flags| flags & 0x40 != 0)
}

/// The program clock reference in units of 90 kHz (ISO/IEC 13818-1, 2.4.3.5).
fn reference(packet: &[u8]) -> Option<u64> {
    let has_field = packet.get(3)? & 0x20 != 0 && *packet.get(4)? > 0 && packet.get(5)? & 0x10 != 0;
    let high = u32::from_be_bytes(packet.get(6..10)?.try_into().ok()?);
    has_field.then_some(u64::from(high) << 1 | u64::from(packet.get(10)? >> 7))
}

fn is_slow(clock: &[u64]) -> bool {
    let steps = || clock.iter().zip(clock.iter().skip(1)).filter_map(|(a, b)| b.checked_sub(*a));
    let far = steps().filter(|step| *step > JUMP).count();
    far > 1 && far * 2 > steps().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_slow_that_mostly_jump() {
        let every = |step: u64, n: u64| (0..n).map(|i| i * step).collect::<Vec<_>>();
        assert!(is_slow(&every(90_000, 8)) && is_slow(&every(450_000, 4)));
        assert!(!is_slow(&every(45_000, 8)) && !is_slow(&every(3_600, 100)) && !is_slow(&[]) && !is_slow(&[1, 90_001]));
        let joined = [every(3_600, 50), every(3_600, 50).iter().map(|t| t + 900_000).collect()].concat();
        assert!(!is_slow(&joined));
    }

    #[test]
    fn a_clock_reference_is_read_as_the_standard_lays_it_out() {
        let mut packet = [0; TsPacket::SIZE];
        packet[..12].copy_from_slice(&[0x47, 1, 0, 0x20, 7, 0x10, 0x80, 0, 0, 1, 0x80, 0]);
        assert_eq!((pid(&packet), reference(&packet)), (Some(0x100), Some(0x1_0000_0003)));
        packet[5] = 0;
        assert_eq!(reference(&packet), None);
    }

    #[test]
    fn what_is_no_transport_stream_tells_nothing() {
        assert_eq!(of(&[0x47; 100]), None);
        assert_eq!(of(&vec![0; 4096]), None);
    }
}
