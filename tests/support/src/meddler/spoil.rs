//! What is done to a result on its way. Pure: frames in, bytes out.

use bytes::Bytes;
use gstdivien::wire::message::{Done, Unit};
use gstdivien::wire::{Frame, Message, MessageError, Tally};

/// GStreamer's flag of a unit that is no key frame.
const DELTA_UNIT: u32 = 1 << 13;

/// How results are spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// Bytes of the units are others than the worker sent and counted.
    Garbled,
    /// The worker seems to have sent one unit more.
    Miscounted,
    /// The worker seems to have sent other units.
    WrongHash,
    /// The first unit is no key frame, and the count is right.
    NoKeyFrame,
    /// The first unit comes again and again.
    Endless,
    /// Nothing comes.
    Silent,
}

impl Mischief {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Garbled, Self::Miscounted, Self::WrongHash, Self::NoKeyFrame, Self::Endless, Self::Silent];
}

/// What goes on to the coordinator in place of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instead {
    Bytes(Vec<Bytes>),
    /// These, as long as they are taken.
    Forever(Vec<Bytes>),
    Nothing,
}

/// Spoils one result.
#[derive(Debug)]
pub(super) struct Spoiler {
    mischief: Mischief,
    tally: Tally,
    has_unit: bool,
}

impl Spoiler {
    pub(super) fn new(mischief: Mischief) -> Self {
        Self { mischief, tally: Tally::default(), has_unit: false }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.mischief == Mischief::Silent
    }

    pub(super) fn spoil(&mut self, frame: Frame) -> Result<Instead, MessageError> {
        if self.is_silent() {
            return Ok(Instead::Nothing);
        }
        let as_it_came = vec![Bytes::copy_from_slice(&frame.head()), frame.body.clone()];
        let pieces = match Message::read(frame)? {
            Some(Message::Unit(unit, media)) => {
                let pieces = self.unit(unit, media, as_it_came)?;
                self.tally.add(&pieces);
                if self.mischief == Mischief::Endless {
                    return Ok(Instead::Forever(pieces));
                }
                pieces
            }
            Some(Message::Done(done)) => self.done(done).write()?,
            _ => as_it_came,
        };
        Ok(Instead::Bytes(pieces))
    }

    fn unit(&mut self, mut unit: Unit, media: Bytes, as_it_came: Vec<Bytes>) -> Result<Vec<Bytes>, MessageError> {
        let is_first = !std::mem::replace(&mut self.has_unit, true);
        match self.mischief {
            Mischief::Garbled => {
                let mut media = media.to_vec();
                media.iter_mut().rev().take(8).for_each(|byte| *byte ^= 0x5a);
                Message::Unit(unit, media.into()).write()
            }
            Mischief::NoKeyFrame if is_first => {
                unit.flags |= DELTA_UNIT;
                Message::Unit(unit, media).write()
            }
            _ => Ok(as_it_came),
        }
    }

    fn done(&self, mut done: Done) -> Message {
        match self.mischief {
            Mischief::Miscounted => done.tally.units += 1,
            Mischief::WrongHash => done.tally.hash[0] ^= 1,
            Mischief::NoKeyFrame => done.tally = self.tally.count(),
            Mischief::Garbled | Mischief::Endless | Mischief::Silent => {}
        }
        Message::Done(done)
    }
}

#[cfg(test)]
mod tests {
    use gstdivien::wire::message::{Head, Lost};
    use gstdivien::wire::{Decoder, Output, ProtocolError, Results};

    use super::*;

    fn result() -> Vec<Frame> {
        let unit = |flags| Message::Unit(Unit { flags, ..Unit::default() }, Bytes::from_static(b"some media"));
        let units = [unit(0), unit(DELTA_UNIT)];
        let mut tally = Tally::default();
        units.iter().for_each(|unit| tally.add(&unit.write().unwrap()));
        let head = Message::Head(Head { caps: "video/x-h264".into(), segment_start: 0 });
        let done = Done { tally: tally.count(), frames: 2, tags: None, lost: Lost::default() };
        let mut decoder = Decoder::default();
        for message in [&[head], &units[..], &[Message::Done(done)]].concat() {
            message.write().unwrap().into_iter().for_each(|piece| decoder.push(piece));
        }
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    /// What the coordinator reads of it.
    fn read(mischief: Mischief) -> Result<Vec<Output>, ProtocolError> {
        let (mut spoiler, mut results) = (Spoiler::new(mischief), Results::default());
        for frame in result() {
            match spoiler.spoil(frame).unwrap() {
                Instead::Bytes(pieces) | Instead::Forever(pieces) => pieces.into_iter().for_each(|p| results.push(p)),
                Instead::Nothing => {}
            }
        }
        std::iter::from_fn(|| results.next_message().transpose()).collect()
    }

    #[test]
    fn each_mischief_is_one_that_the_coordinator_can_see() {
        for mischief in [Mischief::Garbled, Mischief::Miscounted, Mischief::WrongHash] {
            assert!(matches!(read(mischief), Err(ProtocolError::Tally { came: 2, .. })), "{mischief:?}");
        }
        let outputs = read(Mischief::NoKeyFrame).unwrap();
        assert!(matches!(&outputs[1], Output::Unit(first, _) if first.flags == DELTA_UNIT), "{outputs:?}");
        assert!(matches!(&outputs[3], Output::Done(_)), "{outputs:?}");
        assert!(read(Mischief::Silent).unwrap().is_empty());
        let mut endless = Spoiler::new(Mischief::Endless);
        let forever = result().into_iter().map(|frame| endless.spoil(frame).unwrap()).nth(1);
        assert!(matches!(forever, Some(Instead::Forever(_))));
    }
}
