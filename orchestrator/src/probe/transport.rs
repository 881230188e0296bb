//! What an MPEG transport stream says of itself and tsdemux of GStreamer 1.22 keeps to itself: streams of types that it
//! does not know in a Blu-ray's stream.

use std::collections::{BTreeMap, BTreeSet};

use mpeg2ts::es::StreamType;
use mpeg2ts::ts::{Pid, ReadTsPacket as _, TsPacket, TsPacketReader, TsPayload};

/// Of a stream, so many bytes are looked at.
pub(super) const HEAD: usize = 8 << 20;
/// The length of a packet, in bytes.
pub(super) const PACKET: usize = TsPacket::SIZE;
/// The byte each begins with.
pub(super) const SYNC: u8 = TsPacket::SYNC_BYTE;
/// From packet to packet: as they are, with a Blu-ray's four bytes before each, with an error correction behind.
const STEPS: [usize; 3] = [PACKET, PACKET + 4, PACKET + 16];
/// So many in a row make a transport stream, as for tsdemux, and more of them where what comes before is long.
const IN_A_ROW: usize = 4;
const BEHIND_MUCH: usize = 8;
/// Before them there may be so much that is damaged, in packets: little, and as much as GStreamer looks through.
const LITTLE: usize = 3;
const MOST: usize = 40;
/// The bytes that tell how packets lie.
pub(super) const LAYOUT: usize = (PACKET + 16) * (BEHIND_MUCH + MOST);

/// How the packets lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Where the first begins.
    pub(super) start: usize,
    /// From one to the next.
    pub(super) step: usize,
}

impl Layout {
    /// Told by the first bytes, [`LAYOUT`] of them if there are so many; `None` where they are something else.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let is_sync = |at: usize| head.get(at) == Some(&SYNC);
        let lies = |start: usize, step: usize, count: usize| (0..count).all(|i| is_sync(start + i * step));
        let all = |from: usize, to: usize, count: usize| {
            let starts = move |step: usize| (step * from..step * to).map(move |start| Self { start, step });
            STEPS.into_iter().flat_map(starts).find(|l| lies(l.start, l.step, count))
        };
        let packets = |l: &Self| {
            let heads =
                (0..BEHIND_MUCH).map(|i| head.get(l.start + i * l.step..).and_then(|packet| packet.first_chunk()));
            heads.flatten().copied().collect::<Vec<_>>()
        };
        all(0, LITTLE, IN_A_ROW).or_else(|| all(LITTLE, MOST, BEHIND_MUCH).filter(|l| count_up(&packets(l))))
    }
}

/// Whether packets that begin like this are of streams that go on: each that has a payload counts one up (2.4.3.3).
fn count_up(packets: &[[u8; 4]]) -> bool {
    let mut last = BTreeMap::new();
    packets.iter().all(|[_, high, low, flags]| {
        let has_payload = flags & 0x10 != 0;
        let before = if has_payload { last.insert((high & 0x1f, *low), flags & 0xf) } else { None };
        flags & 0x30 != 0 && before.is_none_or(|before| flags & 0xf == (before + 1) & 0xf)
    })
}

/// What is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Transport {
    /// Each stream of which packets came, by its PID.
    pub(super) streams: BTreeMap<u16, StreamType>,
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

/// Reads the head of a transport stream; `None` where it is something else.
pub(super) fn of(head: &[u8]) -> Option<Transport> {
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
    let mut streams = BTreeMap::new();
    for payload in tables(&|pid| pid == Pid::PAT || maps.contains(&pid)) {
        if let TsPayload::Pmt(pmt) = payload {
            let all = pmt.es_info.iter().map(|es| (es.elementary_pid.as_u16(), es.stream_type));
            streams.extend(all.filter(|(pid, _)| seen.contains(pid)));
        }
    }
    Some(Transport { streams })
}

/// The packets, without what lies between them.
fn packets(head: &[u8]) -> Option<Vec<&[u8]>> {
    let Layout { start, step } = Layout::of(head)?;
    Some(head.get(start..)?.chunks(step).filter_map(|p| p.get(..PACKET)).collect())
}

/// The PID of a packet.
pub(super) fn pid(packet: &[u8]) -> Option<u16> {
    let number = packet.get(1..3)?.try_into().ok()?;
    (packet.first() == Some(&SYNC)).then(|| u16::from_be_bytes(number) & Pid::MAX)
}

/// True where a table or a packet of a stream begins.
fn starts(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|flags| flags & 0x40 != 0)
}

/// The program clock reference in units of 90 kHz (ISO/IEC 13818-1, 2.4.3.5).
pub(super) fn reference(packet: &[u8]) -> Option<u64> {
    let has_field = packet.get(3)? & 0x20 != 0 && *packet.get(4)? > 0 && packet.get(5)? & 0x10 != 0;
    let high = u32::from_be_bytes(packet.get(6..10)?.try_into().ok()?);
    has_field.then_some(u64::from(high) << 1 | u64::from(packet.get(10)? >> 7))
}

/// True where a packet's adaptation field says that a new clock begins (`discontinuity_indicator`).
pub(super) fn declares_a_jump(packet: &[u8]) -> bool {
    let has_field = packet.get(3).is_some_and(|flags| flags & 0x20 != 0) && packet.get(4).is_some_and(|size| *size > 0);
    has_field && packet.get(5).is_some_and(|flags| flags & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reference_is_read_as_the_standard_lays_it_out() {
        let mut packet = [0; PACKET];
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

    #[test]
    fn packets_behind_a_damaged_start_are_found_where_they_are_many() {
        let stream = |damage: usize, count: usize| {
            let packet = |n: usize| [&[SYNC, 1, 0, 0x10 | (n % 16) as u8][..], &[0; PACKET - 4]].concat();
            [vec![1; damage], (0..count).flat_map(packet).collect()].concat()
        };
        let start = |damage, count| Layout::of(&stream(damage, count)).map(|layout| layout.start);
        assert_eq!([start(0, 4), start(400, 4), start(400, 3)], [Some(0), Some(400), None]);
        // Grey pictures are none.
        assert_eq!(Layout::of(&[vec![1; 1913], vec![SYNC; 9000]].concat()), None);
        assert_eq!([start(1913, 8), start(1913, 7), start(PACKET * MOST, 8)], [Some(1913), None, None]);
    }
}
