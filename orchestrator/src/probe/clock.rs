//! The clock of an MPEG transport stream, given references where it has too few.
//!
//! tsdemux of GStreamer 1.22 takes two program clock references (PCR) over 0.5 s apart for a jump of the clock, and sets
//! its times anew. The standard allows 0.1 s at most (ISO/IEC 13818-1, 2.7.2), yet a film of one picture a second has one a
//! second, and a recording with a hole has a step there. Before such a reference, packets are put that hold nothing but
//! the ones that are missing, and the demuxer sees time go on. What ffmpeg takes for a jump is one here too and stays:
//! steps over 10 s (its `dts_delta_threshold`), those back, and those that the stream itself declares.
//!
//! tsdemux also lets a picture go of which a packet is missing, and says nothing. So packets are counted on their way.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::transport::{HEAD, LAYOUT, Layout, PACKET, SYNC, Transport, declares_a_jump, pid, reference};

/// tsdemux takes more between two references for a jump. In units of 90 kHz, as all here.
const FAR: u64 = 45_000;
/// ffmpeg takes more for a jump.
const JUMP: u64 = 900_000;
/// As close as references are put.
const CLOSE: u64 = 22_500;
/// The PID of packets that carry nothing.
const NOTHING: u16 = 0x1fff;
/// References count up to this, and begin anew.
const WRAP: u64 = 1 << 33;
/// A file is looked through in blocks of so many bytes.
const BLOCK: usize = 1 << 20;

/// A transport stream on its way from its first byte to its last.
#[derive(Debug)]
pub(super) struct Clock {
    layout: Layout,
    /// The stream up to its first packet is yet to come.
    is_new: bool,
    /// Bytes that are no whole packet yet.
    rest: Vec<u8>,
    /// Each clock's last reference, by the PID it comes with.
    last: BTreeMap<u16, u64>,
    /// The first bytes, for those who look for tables.
    head: Vec<u8>,
    /// Steps that references were put into.
    pub(super) gaps: u64,
    /// Jumps that remain.
    pub(super) jumps: u64,
    /// Each stream's last counter, and whether its packet may come once more, by PID.
    counters: BTreeMap<u16, (u8, bool)>,
    breaks: BTreeMap<u16, Breaks>,
    /// The packets of streams (PES) that have begun, by PID.
    begun: BTreeMap<u16, u64>,
    /// Bytes that have passed.
    at: u64,
}

/// Where packets of a stream are missing or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaks {
    /// In so many places.
    pub places: u64,
    /// The first of them, in bytes from the start.
    pub first: u64,
}

impl Clock {
    /// `None` where what begins like this is something else.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let layout = Layout::of(head)?;
        Some(Self {
            layout,
            is_new: true,
            rest: Vec::new(),
            last: BTreeMap::new(),
            head: Vec::new(),
            gaps: 0,
            jumps: 0,
            counters: BTreeMap::new(),
            breaks: BTreeMap::new(),
            begun: BTreeMap::new(),
            at: 0,
        })
    }

    /// What the stream says of itself, as far as it has come.
    pub(super) fn transport(&self) -> Option<Transport> {
        super::transport::of(&self.head)
    }

    /// The bytes that come after those so far, with what was missing among them. The last ones may be held back until
    /// the next call, or [`rest`](Self::rest).
    pub(super) fn fill(&mut self, data: &[u8]) -> Vec<u8> {
        let room = HEAD.saturating_sub(self.head.len()).min(data.len());
        self.head.extend(data.iter().take(room));
        let held = std::mem::take(&mut self.rest);
        let data = [held.as_slice(), data].concat();
        let mut out = Vec::with_capacity(data.len());
        let mut left = data.as_slice();
        if self.is_new {
            let Some((before, packets)) = left.split_at_checked(self.layout.start) else {
                self.rest = data;
                return out;
            };
            out.extend_from_slice(before);
            self.at += before.len() as u64;
            left = packets;
            self.is_new = false;
        }
        while let Some((unit, next)) = left.split_at_checked(self.layout.step) {
            if unit.first() == Some(&SYNC) {
                self.count(unit);
                self.look(unit, &mut out);
                out.extend_from_slice(unit);
                self.at += unit.len() as u64;
                left = next;
            } else if let Some((byte, next)) = left.split_first() {
                // Damage: the next packet begins somewhere.
                out.push(*byte);
                self.at += 1;
                left = next;
            }
        }
        self.rest = left.to_vec();
        out
    }

    /// What is held back once the stream has ended.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    /// Where packets of the stream with this PID are missing or damaged, so far.
    pub(super) fn breaks(&self, pid: u16) -> Option<Breaks> {
        self.breaks.get(&pid).copied()
    }

    /// So many packets (PES) of the stream with this PID have begun so far.
    pub(super) fn begun(&self, pid: u16) -> u64 {
        self.begun.get(&pid).copied().unwrap_or_default()
    }

    /// Takes down where packets are missing: each that has a payload counts one up, and may be sent twice (2.4.3.3).
    fn count(&mut self, unit: &[u8]) {
        let (Some(pid), Some(flags)) = (pid(unit), unit.get(3)) else { return };
        let (counter, has_payload) = (flags & 0xf, flags & 0x10 != 0);
        if !has_payload || pid == NOTHING {
            return;
        }
        let is_marked = |mark: u8| unit.get(1).is_some_and(|flags| flags & mark != 0);
        let (is_damaged, begins) = (is_marked(0x80), is_marked(0x40));
        let last = self.counters.entry(pid).or_insert((counter.wrapping_sub(1) & 0xf, false));
        let is_again = *last == (counter, true);
        let goes_on = is_again || counter == (last.0 + 1) & 0xf || declares_a_jump(unit);
        *last = (counter, !is_again);
        if begins && !is_again {
            *self.begun.entry(pid).or_default() += 1;
        }
        if is_damaged || !goes_on {
            let here = Breaks { places: 0, first: self.at };
            self.breaks.entry(pid).or_insert(here).places += 1;
        }
    }

    /// Puts what is missing before a packet.
    fn look(&mut self, unit: &[u8], out: &mut Vec<u8>) {
        let (Some(pid), Some(now)) = (pid(unit), reference(unit)) else { return };
        let Some(last) = self.last.insert(pid, now) else { return };
        let step = now.wrapping_sub(last) % WRAP;
        if step <= FAR {
            return;
        }
        if step > JUMP || declares_a_jump(unit) {
            self.jumps += 1;
            return;
        }
        self.gaps += 1;
        let parts = step.div_ceil(CLOSE);
        for part in 1..parts {
            out.extend(only_a_reference(unit, (last + step * part / parts) % WRAP));
            // What a Blu-ray has before each packet, or an error correction behind it.
            out.extend(unit.iter().skip(PACKET));
        }
    }
}

/// A packet like the one that follows it, without a payload (2.4.3.4 of the standard).
fn only_a_reference(before: &[u8], time: u64) -> [u8; PACKET] {
    let mut packet = [0xff; PACKET];
    let head = before.first_chunk::<4>().copied().unwrap_or_default();
    let [_, high, low, flags] = head;
    // The counter counts payloads.
    let counter = if flags & 0x10 == 0 { flags } else { flags.wrapping_sub(1) } & 0xf;
    let [.., a, b, c, d, e] = (time << 7 | 0x7e).to_be_bytes();
    let start = [SYNC, high & 0x1f, low, 0x20 | counter, (PACKET - 5) as u8, 0x10, a, b, c, d, e, 0];
    packet.iter_mut().zip(start).for_each(|(to, from)| *to = from);
    packet
}

/// Looks through a whole file; `None` where it is no transport stream.
pub(super) fn of_file(path: &Path) -> Option<Clock> {
    let mut file = File::open(path).ok()?;
    let mut block = vec![0; BLOCK];
    let mut clock: Option<Clock> = None;
    loop {
        let read = match file.read(&mut block) {
            Ok(0) => return clock,
            Ok(read) => block.get(..read)?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            // The run itself will tell.
            Err(_) => return None,
        };
        match &mut clock {
            Some(clock) => clock.fill(read),
            None => clock.insert(Clock::of(read.get(..LAYOUT.min(read.len()))?)?).fill(read),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, counter: u8, time: Option<u64>) -> Vec<u8> {
        let mut packet = vec![SYNC, (pid >> 8) as u8, pid as u8, 0x30 | counter];
        match time {
            Some(time) => packet.extend([&[7, 0x10][..], &(time << 7 | 0x7e).to_be_bytes()[3..], &[0]].concat()),
            None => packet.extend([1, 0]),
        }
        packet.resize(PACKET, 0x11);
        packet
    }

    fn stream(times: &[u64]) -> Vec<Vec<u8>> {
        let with_data =
            |(i, time): (usize, &u64)| [packet(0x100, i as u8 & 0xf, Some(*time)), packet(0x101, i as u8 & 0xf, None)];
        times.iter().enumerate().flat_map(with_data).collect()
    }

    fn times(stream: &[u8]) -> Vec<u64> {
        stream.chunks(PACKET).filter(|p| pid(p) == Some(0x100)).filter_map(reference).collect()
    }

    /// In blocks of `block` bytes.
    fn filled(stream: &[u8], block: usize) -> (Vec<u8>, Clock) {
        let mut clock = Clock::of(stream).unwrap();
        let mut out: Vec<u8> = stream.chunks(block).flat_map(|b| clock.fill(b)).collect();
        out.extend(clock.rest());
        (out, clock)
    }

    #[test]
    fn a_slow_clock_gets_what_it_lacks_and_keeps_what_it_has() {
        let packets = stream(&[0, 90_000, 95_000, 95_000 + JUMP]);
        let whole = packets.concat();
        for block in [1, 187, 188, 1000, whole.len()] {
            let (out, seen) = filled(&whole, block);
            let found = times(&out);
            assert!(found.windows(2).all(|w| w[0] < w[1] && w[1] - w[0] <= CLOSE), "{found:?}");
            assert_eq!((seen.gaps, seen.jumps), (2, 0));
            let kept: Vec<&[u8]> = out.chunks(PACKET).filter(|p| packets.iter().any(|o| o == p)).collect();
            assert_eq!(kept.concat(), whole);
            // A counter that does not go on is a loss to a demuxer.
            let counters = out.chunks(PACKET).filter(|p| pid(p) == Some(0x100)).map(|p| (p[3] & 0x10 != 0, p[3] & 0xf));
            let mut last = 15;
            for (has_payload, counter) in counters {
                last = if has_payload { (last + 1) & 0xf } else { last };
                assert_eq!(counter, last);
            }
        }
    }

    #[test]
    fn jumps_stay() {
        let same = |packets: Vec<Vec<u8>>, jumps: u64| {
            let whole = packets.concat();
            let (out, seen) = filled(&whole, 500);
            assert_eq!((out == whole, seen.gaps, seen.jumps), (true, 0, jumps));
        };
        same(stream(&[0, 45_000, 90_000, 45_000, 90_000]), 1);
        same(stream(&[0, JUMP + 1, JUMP + 45_001]), 1);
        same(stream(&[0, 45_000, 46_000, 46_000]), 0);
        let mut declared = stream(&[0, 90_000, 91_000]);
        declared[2][5] |= 0x80;
        same(declared, 1);
        let (out, seen) = filled(&stream(&[WRAP - 45_000, 22_500, 30_000]).concat(), 500);
        assert_eq!((times(&out).len(), seen.gaps, seen.jumps), (5, 1, 0), "{:?}", times(&out));
    }

    #[test]
    fn packets_that_are_missing_or_damaged_are_counted() {
        let breaks = |packets: Vec<Vec<u8>>| filled(&packets.concat(), 500).1.breaks(0x101);
        let whole = || stream(&[0; 40]);
        assert_eq!(breaks(whole()), None);
        let mut short = whole();
        short.remove(21);
        assert_eq!(breaks(short), Some(Breaks { places: 1, first: 22 * PACKET as u64 }));
        // Once more is allowed, twice is not; a packet may say that the count begins anew, or that it is damaged.
        let repeated = |times: usize| {
            let mut packets = whole();
            let again = vec![packets[21].clone(); times];
            packets.splice(22..22, again);
            breaks(packets)
        };
        assert_eq!([repeated(1), repeated(2)].map(|b| b.map(|b| b.places)), [None, Some(1)]);
        let mut declared = whole();
        declared.remove(21);
        declared[22][5] |= 0x80;
        assert_eq!(breaks(declared), None);
        let mut damaged = whole();
        damaged[5][1] |= 0x80;
        assert_eq!(breaks(damaged).map(|b| b.first), Some(5 * PACKET as u64));
    }

    #[test]
    fn bytes_around_and_within_the_packets_stay() {
        let disc: Vec<u8> =
            stream(&[0, 90_000, 180_000]).into_iter().flat_map(|p| [vec![1, 2, 3, 4], p].concat()).collect();
        let (out, seen) = filled(&disc, 100);
        assert_eq!((seen.gaps, out.len() % 192), (2, 0));
        assert!(out.chunks(192).all(|p| p[..5] == [1, 2, 3, 4, SYNC]));
        let mut broken = stream(&[0; 20]).concat();
        broken.splice(10 * PACKET..10 * PACKET, [9; 77]);
        broken.extend([SYNC, 1, 2]);
        assert_eq!(filled(&broken, 333).0, broken);
        assert!(Clock::of(&[SYNC; 100]).is_none() && Clock::of(&[0; 4096]).is_none());
    }
}
