//! MPEG-1 and MPEG-2 packets without presentation times, as program streams have them.
//!
//! Such a stream times one packet in a few; the parser counts decode times on, and the decoder would guess
//! the rest wrong where pictures are reordered. But the order itself tells: a B picture is shown when it is
//! decoded, and any other when the next one that is no B picture is decoded.

use std::sync::Mutex;

use gst::prelude::*;

use super::lock;
use crate::error::Error;
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

/// Whether the picture that starts in these bytes is a B picture.
fn is_b(data: &[u8]) -> bool {
    let start = data.windows(4).position(|w| w == [0, 0, 1, 0]);
    let kind = start.and_then(|at| data.get(at + 5)).map(|b| (b >> 3) & 7);
    kind == Some(3)
}

#[derive(Default)]
struct State {
    held: Vec<(gst::Buffer, Packet)>,
    in_order: bool,
}

/// An element that gives every packet a presentation time.
pub(super) fn element() -> Result<gst::Element, Error> {
    let element = make("identity")?;
    let (Some(sink), Some(out)) = (element.static_pad("sink"), element.static_pad("src")) else {
        return Err(Error::Fault { what: "identity without pads".into() });
    };
    let out = out.downgrade();
    let state = Mutex::new(State::default());
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.add_probe(mask, move |_, info| {
        let Some(out) = out.upgrade() else { return gst::PadProbeReturn::Ok };
        if let Some(event) = info.event() {
            if event.type_() == gst::EventType::Eos {
                // What a refused packet means is told by the element that refused it.
                let _ = send(&out, &mut lock(&state), None);
            }
            return gst::PadProbeReturn::Ok;
        }
        let Some(buffer) = info.buffer().map(ToOwned::to_owned) else { return gst::PadProbeReturn::Ok };
        let packet = Packet {
            pts: buffer.pts().map(gst::ClockTime::nseconds),
            dts: buffer.dts().map(gst::ClockTime::nseconds),
            is_b: buffer.map_readable().is_ok_and(|m| is_b(&m)),
        };
        let mut state = lock(&state);
        let result = if packet.is_b { Ok(gst::FlowSuccess::Ok) } else { send(&out, &mut state, packet.dts) };
        state.in_order |= is_in_order(&packet);
        state.held.push((buffer, packet));
        info.data = None;
        info.flow_res = result;
        gst::PadProbeReturn::Handled
    });
    Ok(element)
}

/// Sends on what waited for the next picture's time. One thread only comes here, so its lock holds nobody up.
fn send(out: &gst::Pad, state: &mut State, next: Option<u64>) -> Result<gst::FlowSuccess, gst::FlowError> {
    let after = |(buffer, packet): &(gst::Buffer, Packet)| {
        packet.dts.map(|dts| dts + buffer.duration().map_or(0, gst::ClockTime::nseconds))
    };
    let next = next.or_else(|| state.held.last().and_then(after));
    for (mut buffer, packet) in std::mem::take(&mut state.held) {
        if let Some(pts) = time(&packet, next, state.in_order) {
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(pts));
        }
        out.push(buffer)?;
    }
    Ok(gst::FlowSuccess::Ok)
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

    #[test]
    fn the_kind_of_a_picture_is_read_off_its_header() {
        assert!(is_b(&[0, 0, 1, 0, 0x12, 0b0001_1011]));
        assert!(!is_b(&[0, 0, 1, 0xB3, 1, 2, 0, 0, 1, 0, 0x12, 0b0000_1011]));
        assert!(!is_b(&[0, 0, 1, 0]));
    }
}
