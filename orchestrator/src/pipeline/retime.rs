//! MPEG-1, MPEG-2 and MPEG-4 packets without presentation times, as program streams and AVI have them.
//!
//! A program stream times one packet in a few; the parser counts decode times on, and the decoder would guess
//! the rest wrong where pictures are reordered. AVI has decode times alone, and GStreamer's demuxer calls those of key
//! frames presentation times as well. But the order itself tells: a B picture is shown when it is decoded, and any other
//! when the next one that is no B picture is decoded.

use std::collections::VecDeque;
use std::sync::Mutex;

use gst::prelude::*;

use super::lock;
use crate::error::Error;
use crate::mux::Bits;
use crate::probe::make;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet {
    pts: Option<u64>,
    dts: Option<u64>,
    is_b: bool,
}

/// True in a stream without reordering: pictures others refer to are shown when they are decoded.
fn is_in_order(packet: &Packet) -> bool {
    !packet.is_b && packet.pts.is_some() && packet.pts == packet.dts
}

/// The presentation time of `packet`; `next` is the decode time of the next picture that is no B picture.
fn time(packet: &Packet, next: Option<u64>, in_order: bool) -> Option<u64> {
    packet.pts.or(if packet.is_b || in_order { packet.dts } else { next })
}

/// What is coded, and with it how its headers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// MPEG-1 and MPEG-2 video.
    Mpeg12,
    /// MPEG-4 part 2.
    Mpeg4,
}

impl Form {
    /// Whether the picture that starts in these bytes is a B picture.
    fn is_b(self, data: &[u8]) -> bool {
        match self {
            Self::Mpeg12 => {
                let header = after_start(data, |code| code == 0);
                header.and_then(|h| h.get(1)).map(|b| (b >> 3) & 7) == Some(3)
            }
            Self::Mpeg4 => {
                let header = after_start(data, |code| code == 0xB6);
                header.and_then(<[u8]>::first).map(|b| b >> 6) == Some(2)
            }
        }
    }

    /// Whether the stream says that its pictures are shown in the order of decoding, if these bytes have a header of it.
    fn is_low_delay(self, data: &[u8]) -> Option<bool> {
        match self {
            // The sequence extension, of MPEG-2 alone.
            Self::Mpeg12 => {
                let extension =
                    after_start(data, |code| code == 0xB5).filter(|e| e.first().is_some_and(|b| b >> 4 == 1))?;
                extension.get(5).map(|b| b >> 7 == 1)
            }
            Self::Mpeg4 => {
                let mut bits = Bits::new(after_start(data, |code| (0x20..0x30).contains(&code))?);
                bits.take(1);
                let simple = bits.take(8) == 1;
                if bits.take(1) == 1 {
                    bits.take(7);
                }
                if bits.take(4) == 15 {
                    bits.take(16);
                }
                let said = (bits.take(1) == 1).then(|| bits.take(3) & 1 == 1);
                // The simple profile has no B pictures.
                (!bits.ran_out()).then(|| said.unwrap_or(simple))
            }
        }
    }
}

/// What follows the first start code that fits.
fn after_start(data: &[u8], fits: impl Fn(u8) -> bool) -> Option<&[u8]> {
    let at = data.windows(4).position(|w| matches!(w, [0, 0, 1, code] if fits(*code)))?;
    data.get(at + 4..)
}

/// A picture that says no more than that there is none is no longer (as in ffmpeg's mpeg4_unpack_bframes).
const NOT_CODED: usize = 19;

/// Gives every picture a packet's time where some packets hold two and others none but a note that there is none, as DivX
/// and Xvid write B pictures into AVI.
#[derive(Default)]
struct Slots {
    /// Times that no picture has taken yet.
    free: VecDeque<u64>,
    pictures: VecDeque<gst::Buffer>,
    last: Option<u64>,
}

impl Slots {
    fn take(&mut self, picture: gst::Buffer) -> Vec<gst::Buffer> {
        let Some(dts) = picture.dts().map(gst::ClockTime::nseconds) else { return vec![picture] };
        let is_new = self.last.is_none_or(|last| dts > last);
        if is_new {
            // What the parser counted on to for the second picture in a packet.
            self.free.clear();
            self.free.push_back(dts);
            self.last = Some(dts);
        }
        if !(is_not_coded(&picture) && (!is_new || !self.pictures.is_empty())) {
            self.pictures.push_back(picture);
        }
        let mut ready = Vec::new();
        while !self.pictures.is_empty()
            && let Some(slot) = self.free.pop_front()
        {
            ready.extend(self.pictures.pop_front().map(|picture| at(picture, slot)));
        }
        ready
    }

    /// Those that are left.
    fn release(&mut self) -> Vec<gst::Buffer> {
        let mut last = self.last.unwrap_or_default();
        let next = |picture: gst::Buffer| {
            last = last.saturating_add(picture.duration().map_or(0, gst::ClockTime::nseconds));
            at(picture, last)
        };
        std::mem::take(&mut self.pictures).into_iter().map(next).collect()
    }
}

fn at(mut picture: gst::Buffer, dts: u64) -> gst::Buffer {
    picture.make_mut().set_dts(gst::ClockTime::from_nseconds(dts));
    picture
}

/// A P picture with nothing in it.
fn is_not_coded(picture: &gst::BufferRef) -> bool {
    let Ok(data) = picture.map_readable() else { return false };
    let header = after_start(&data, |code| code == 0xB6).and_then(<[u8]>::first);
    data.len() <= NOT_CODED && header.is_some_and(|byte| byte >> 6 == 1)
}

/// More B pictures in a row than encoders make: their reference then waits no longer, and is shown after them.
const MOST_WAITING: usize = 64;

/// Packets that wait for the next picture's time, in decode order.
#[derive(Default)]
struct Waiting {
    packets: Vec<(gst::Buffer, Packet)>,
    in_order: bool,
}

impl Waiting {
    /// Takes a packet and returns those whose times are known now.
    fn take(&mut self, buffer: gst::Buffer, packet: Packet) -> Vec<gst::Buffer> {
        let mut ready = if packet.is_b { Vec::new() } else { self.release(packet.dts) };
        self.in_order |= is_in_order(&packet);
        self.packets.push((buffer, packet));
        // A B picture waits for none but the picture before it.
        let waits = self.packets.first().is_some_and(|(_, first)| !first.is_b);
        if !waits || self.packets.len() >= MOST_WAITING {
            ready.extend(self.release(None));
        }
        ready
    }

    /// All that wait, with the decode time of the picture they wait for, if one follows.
    fn release(&mut self, next: Option<u64>) -> Vec<gst::Buffer> {
        let after = |(buffer, packet): &(gst::Buffer, Packet)| {
            packet.dts?.checked_add(buffer.duration().map_or(0, gst::ClockTime::nseconds))
        };
        let next = next.or_else(|| self.packets.last().and_then(after));
        let in_order = self.in_order;
        let timed = |(mut buffer, packet): (gst::Buffer, Packet)| {
            if let Some(pts) = time(&packet, next, in_order) {
                buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(pts));
            }
            buffer
        };
        std::mem::take(&mut self.packets).into_iter().map(timed).collect()
    }
}

/// An element that gives every packet a presentation time; those that are there count for nothing where `order_alone`
/// tells.
pub(super) fn element(form: Form, order_alone: bool) -> Result<gst::Element, Error> {
    let element = make("identity")?;
    let (Some(sink), Some(out)) = (element.static_pad("sink"), element.static_pad("src")) else {
        return Err(Error::Fault { what: "identity without pads".into() });
    };
    let out = out.downgrade();
    let taken = move |waiting: &mut Waiting, buffer: gst::Buffer| {
        let (is_b, low_delay) = buffer.map_readable().map_or((false, None), |m| (form.is_b(&m), form.is_low_delay(&m)));
        let packet = Packet {
            pts: buffer.pts().filter(|_| !order_alone).map(gst::ClockTime::nseconds),
            dts: buffer.dts().map(gst::ClockTime::nseconds),
            is_b,
        };
        waiting.in_order |= order_alone && low_delay == Some(true);
        waiting.take(buffer, packet)
    };
    let waiting = Mutex::new((Slots::default(), Waiting::default()));
    let packed = form == Form::Mpeg4 && order_alone;
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.add_probe(mask, move |_, info| {
        let Some(out) = out.upgrade() else { return gst::PadProbeReturn::Ok };
        if let Some(event) = info.event() {
            if event.type_() == gst::EventType::Eos {
                // What a refused packet means is told by the element that refused it.
                let last = {
                    let (slots, waiting) = &mut *lock(&waiting);
                    let left = slots.release();
                    let mut last: Vec<_> = left.into_iter().flat_map(|buffer| taken(waiting, buffer)).collect();
                    last.extend(waiting.release(None));
                    last
                };
                let _ = push(&out, last);
            }
            return gst::PadProbeReturn::Ok;
        }
        let Some(buffer) = info.buffer().map(ToOwned::to_owned) else { return gst::PadProbeReturn::Ok };
        let ready: Vec<_> = {
            let (slots, waiting) = &mut *lock(&waiting);
            let timed = if packed { slots.take(buffer) } else { vec![buffer] };
            timed.into_iter().flat_map(|buffer| taken(waiting, buffer)).collect()
        };
        info.data = None;
        info.flow_res = push(&out, ready);
        gst::PadProbeReturn::Handled
    });
    Ok(element)
}

/// An element that leaves packets but key frames their decode time alone, from which decoders know the other: they follow
/// the order that the pictures themselves tell.
pub(super) fn untimed() -> Result<gst::Element, Error> {
    let element = make("identity")?;
    let sink = element.static_pad("sink").ok_or_else(|| Error::Fault { what: "identity without pads".into() })?;
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut().filter(|b| b.flags().contains(gst::BufferFlags::DELTA_UNIT)) {
            buffer.make_mut().set_pts(None);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(element)
}

fn push(out: &gst::Pad, buffers: Vec<gst::Buffer>) -> Result<gst::FlowSuccess, gst::FlowError> {
    buffers.into_iter().try_fold(gst::FlowSuccess::Ok, |_, buffer| out.push(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reordered_picture_is_shown_when_the_next_one_is_decoded() {
        let reference = Packet { pts: None, dts: Some(40), is_b: false };
        assert_eq!(time(&reference, Some(160), false), Some(160));
        assert_eq!(time(&reference, Some(80), true), Some(40));
        let between = Packet { is_b: true, ..reference };
        assert_eq!(time(&between, Some(160), false), Some(40));
        let told = Packet { pts: Some(7), ..reference };
        assert_eq!(time(&told, Some(160), false), Some(7));
    }

    fn taken(waiting: &mut Waiting, dts: u64, is_b: bool) -> Vec<Option<u64>> {
        let ready = waiting.take(gst::Buffer::new(), Packet { pts: None, dts: Some(dts), is_b });
        ready.iter().map(|buffer| buffer.pts().map(gst::ClockTime::nseconds)).collect()
    }

    #[test]
    fn only_what_follows_a_reference_waits_and_never_without_end() {
        gst::init().unwrap();
        let mut waiting = Waiting::default();
        for dts in 0..1000 {
            assert_eq!(taken(&mut waiting, dts, true), [Some(dts)]);
        }
        assert_eq!(taken(&mut waiting, 1000, false), []);
        assert_eq!(taken(&mut waiting, 1001, true), []);
        assert_eq!(taken(&mut waiting, 1002, false), [Some(1002), Some(1001)]);
        let most = (1003..9000).map(|dts| {
            let _ = taken(&mut waiting, dts, true);
            waiting.packets.len()
        });
        assert!(most.max() < Some(MOST_WAITING));
    }

    #[test]
    fn pictures_that_share_a_packet_take_the_times_of_those_that_hold_none() {
        gst::init().unwrap();
        let picture = |kind: u8, length: usize, dts: u64| {
            let bytes = [&[0, 0, 1, 0xB6, kind << 6][..], &vec![1; length]].concat();
            at(gst::Buffer::from_slice(bytes), dts)
        };
        let timed = |all: Vec<gst::Buffer>| {
            let mut slots = Slots::default();
            let mut times: Vec<_> = all.into_iter().flat_map(|picture| slots.take(picture)).collect();
            times.extend(slots.release());
            times.iter().map(|b| b.dts().unwrap().nseconds()).collect::<Vec<_>>()
        };
        const LONG: usize = 100;
        let plain = vec![picture(0, LONG, 0), picture(1, LONG, 4), picture(2, LONG, 8), picture(1, 2, 12)];
        assert_eq!(timed(plain), [0, 4, 8, 12]);
        // P and B in one packet, another B, none; the parser counts on to the time of the second of two.
        let packed =
            |at: u64| [picture(1, LONG, at), picture(2, LONG, at + 4), picture(2, LONG, at + 4), picture(1, 1, at + 8)];
        let two: Vec<_> = [picture(0, LONG, 0)].into_iter().chain(packed(4)).chain(packed(16)).collect();
        assert_eq!(timed(two), [0, 4, 8, 12, 16, 20, 24]);
        let one = vec![picture(1, LONG, 4), picture(2, LONG, 8), picture(1, 1, 8), picture(1, LONG, 12)];
        assert_eq!(timed(one), [4, 8, 12]);
        // The stream ends before the packet that holds none.
        assert_eq!(timed(vec![picture(1, LONG, 4), picture(2, LONG, 8), picture(2, LONG, 8)]), [4, 8, 8]);
    }

    #[test]
    fn a_time_past_all_times_is_none() {
        gst::init().unwrap();
        let mut waiting = Waiting::default();
        let mut buffer = gst::Buffer::new();
        buffer.make_mut().set_duration(gst::ClockTime::SECOND);
        let late = Packet { pts: None, dts: Some(u64::MAX - 1), is_b: false };
        assert!(waiting.take(buffer, late).is_empty());
        assert_eq!(waiting.release(None).iter().map(|b| b.pts()).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn the_kind_of_a_picture_is_read_off_its_header() {
        assert!(Form::Mpeg12.is_b(&[0, 0, 1, 0, 0x12, 0b0001_1011]));
        assert!(!Form::Mpeg12.is_b(&[0, 0, 1, 0xB3, 1, 2, 0, 0, 1, 0, 0x12, 0b0000_1011]));
        assert!(!Form::Mpeg12.is_b(&[0, 0, 1, 0]));
        assert!(Form::Mpeg4.is_b(&[0, 0, 1, 0xB6, 0b1000_0000]));
        assert!(!Form::Mpeg4.is_b(&[0, 0, 1, 0xB6, 0b0100_0000]));
        assert!(!Form::Mpeg4.is_b(&[0, 0, 1, 0xB6]));
    }

    #[test]
    fn a_stream_says_itself_whether_it_is_reordered() {
        let extension = |low| [0, 0, 1, 0xB5, 0x14, 0x8A, 0, 1, 0, low];
        assert_eq!(Form::Mpeg12.is_low_delay(&extension(0x80)), Some(true));
        assert_eq!(Form::Mpeg12.is_low_delay(&extension(0)), Some(false));
        assert_eq!(Form::Mpeg12.is_low_delay(&[0, 0, 1, 0xB3, 1, 2]), None);
        // As ffmpeg 5.1 writes it, without and with B pictures.
        assert_eq!(Form::Mpeg4.is_low_delay(&[0, 0, 1, 0x20, 0x00, 0xC4, 0x8D, 0x88]), Some(true));
        assert_eq!(Form::Mpeg4.is_low_delay(&[0, 0, 1, 0x20, 0x08, 0xD4, 0x8D, 0x08]), Some(false));
        assert_eq!(Form::Mpeg4.is_low_delay(&[0, 0, 1, 0x20]), None);
    }
}
