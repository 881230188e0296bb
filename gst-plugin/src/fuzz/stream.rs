//! Bytes as they come on a stream.

use std::collections::BTreeSet;
use std::fmt::Debug;

use bytes::{Bytes, BytesMut};

use crate::lane;
use crate::wire::frame::{self, Decoder, Frame, FrameError};
use crate::wire::message::{self, Blame, Done, End, Failed, Lost, tag};
use crate::wire::{Control, Inputs, Message, Output, ProtocolError, Received, Results, Tally, Work};

/// Cuts a stream where its own bytes say.
fn pieces(stream: &[u8]) -> impl Iterator<Item = Bytes> {
    let mut rest = Bytes::copy_from_slice(stream);
    std::iter::from_fn(move || {
        let size = 1 + usize::from(*rest.first()?) % 23;
        Some(rest.split_to(size.min(rest.len())))
    })
}

/// All frames, and the error that ends them or how many bytes wait for the rest of theirs.
fn cut(pieces: impl Iterator<Item = Bytes>) -> (Vec<Frame>, Result<usize, FrameError>) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    let (mut came, mut taken) = (0, 0);
    for piece in pieces {
        came += piece.len();
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    taken += frame::HEAD + frame.body.len();
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => {
                    decoder.push(Bytes::from_static(&[0; frame::HEAD]));
                    assert_eq!(decoder.next_frame(), Err(error));
                    return (frames, Err(error));
                }
            }
            assert_eq!(decoder.size() + taken, came);
        }
    }
    assert_eq!(decoder.end().is_ok(), came == taken);
    (frames, Ok(decoder.size()))
}

/// Frames are the same however their bytes are cut, nothing is kept that did not come, and they are written as they came.
pub fn frames(stream: &[u8]) {
    let (frames, rest) = cut(std::iter::once(Bytes::copy_from_slice(stream)));
    assert_eq!(cut(pieces(stream)), (frames.clone(), rest));
    let mut written = BytesMut::new();
    for frame in &frames {
        assert_eq!(frame::put_head(&mut written, frame.tag, frame.body.len()), Ok(()));
        assert!(written.ends_with(&frame.head()));
        written.extend_from_slice(&frame.body);
    }
    assert!(stream.starts_with(&written));
    if let Ok(rest) = rest {
        assert_eq!(written.len() + rest, stream.len());
    }
}

/// What can be read is read the same once it is written anew.
fn survives(frame: Frame) {
    let Ok(Some(message)) = Message::read(frame) else { return };
    let Ok(written) = message.write() else { panic!("{message:?} cannot be written") };
    let (mut again, _) = cut(written.into_iter());
    assert_eq!(again.len(), 1, "{message:?}");
    assert_eq!(again.pop().map(Message::read), Some(Ok(Some(message))));
}

/// Something that reads a stream.
trait Reads {
    type Read: Debug + PartialEq;
    fn push(&mut self, bytes: Bytes);
    fn next(&mut self) -> Result<Option<Self::Read>, ProtocolError>;
}

macro_rules! reads {
    ($($reader:ty: $read:ty),*) => {$(
        impl Reads for $reader {
            type Read = $read;

            fn push(&mut self, bytes: Bytes) {
                self.push(bytes);
            }

            fn next(&mut self) -> Result<Option<$read>, ProtocolError> {
                self.next_message()
            }
        }
    )*};
}

reads!(Control: Received, Inputs: Work, Results: Output);

/// All that is read, and the error that ends it. Nothing is read after one.
fn read<R: Reads>(reader: &mut R, pieces: impl Iterator<Item = Bytes>) -> (Vec<R::Read>, Option<ProtocolError>) {
    let mut read = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(next)) => read.push(next),
                Ok(None) => break,
                Err(error) => {
                    for message in
                        [Message::Drain, Message::Failed(Failed { blame: Blame::Chunk, reason: String::new() })]
                    {
                        message.write().into_iter().flatten().for_each(|bytes| reader.push(bytes));
                        assert_eq!(reader.next(), Err(error.clone()));
                    }
                    return (read, Some(error));
                }
            }
        }
    }
    (read, None)
}

/// What a new reader makes of a stream, which is the same however it is cut.
fn all<R: Reads>(new: impl Fn() -> R, stream: &[u8]) -> (R, Vec<R::Read>, Option<ProtocolError>) {
    let (frames, _) = cut(std::iter::once(Bytes::copy_from_slice(stream)));
    frames.into_iter().for_each(survives);
    let whole = read(&mut new(), std::iter::once(Bytes::copy_from_slice(stream)));
    let mut reader = new();
    let (all, error) = read(&mut reader, pieces(stream));
    assert_eq!((&whole.0, &whole.1), (&all, &error));
    assert!(all.len() * frame::HEAD <= stream.len());
    (reader, all, error)
}

/// Formats that a coordinator has sent.
const ASKED: u32 = 4;

/// What a worker says on its control stream.
pub fn control_of_coordinator(stream: &[u8]) {
    let new = || {
        let mut control = Control::of_coordinator();
        (0..ASKED).for_each(|format| control.ask(format));
        control
    };
    let (_, all, _) = all(new, stream);
    let mut open: BTreeSet<u32> = (0..ASKED).collect();
    let mut drains = 0;
    for (place, received) in all.into_iter().enumerate() {
        assert_eq!(place == 0, matches!(received, Received::Hello(..)));
        match received {
            Received::Hello(hello, minor) => assert!(minor <= hello.minor && minor <= crate::wire::MINOR),
            Received::Fit(message::Fit { format, .. }) | Received::Unfit(message::Unfit { format, .. }) => {
                assert!(open.remove(&format));
            }
            Received::Drain => drains += 1,
            other => panic!("{other:?} is no worker's to say"),
        }
    }
    assert!(drains <= 1);
}

/// What a coordinator says on its control stream.
pub fn control_of_worker(stream: &[u8]) {
    let (_, all, _) = all(Control::of_worker, stream);
    let (mut formats, mut left) = (BTreeSet::new(), false);
    for (place, received) in all.into_iter().enumerate() {
        assert!(!left);
        assert_eq!(
            place == 0,
            matches!(received, Received::Welcome(_)) || (place == 0 && matches!(received, Received::Goodbye(_)))
        );
        match received {
            Received::Welcome(minor) => assert!(minor <= crate::wire::MINOR),
            Received::Format(format) => assert!(formats.insert(format.id)),
            Received::Goodbye(_) => left = true,
            other => panic!("{other:?} is no coordinator's to say"),
        }
    }
}

/// The tally of a stream's units, where it ends with a whole frame.
fn tally(stream: &[u8]) -> Option<Tally> {
    let (frames, rest) = cut(std::iter::once(Bytes::copy_from_slice(stream)));
    let mut tally = Tally::default();
    frames.iter().filter(|frame| frame.tag == tag::UNIT).for_each(|unit| tally.add_frame(unit));
    (rest == Ok(0)).then_some(tally)
}

/// What a coordinator sends of an attempt.
pub fn inputs(stream: &[u8]) {
    let (mut inputs, all, error) = all(Inputs::default, stream);
    for (place, work) in all.iter().enumerate() {
        assert_eq!(place == 0, matches!(work, Work::Begin(_)));
        assert!(*work != Work::End || place + 1 == all.len());
        if let Work::Begin(message::Begin { wanted: Some(wanted), .. }) = work {
            let taken = lane::Wanted::from(wanted.clone());
            assert!(taken.times().all(|pts| taken.number(pts).is_none_or(|number| number == 0)));
            assert_eq!(message::Wanted::from(&taken), *wanted);
        }
    }
    // It ends where it says so.
    let is_open = error.is_none() && !all.is_empty() && all.last() != Some(&Work::End);
    assert!(error.is_none() || inputs.end().is_err());
    if let Some(tally) = tally(stream).filter(|_| is_open) {
        assert_eq!(inputs.end(), Err(ProtocolError::Early));
        let end = Message::End(End { tally: tally.count() });
        let read = read(&mut inputs, end.write().into_iter().flatten());
        assert_eq!((read, inputs.end()), ((vec![Work::End], None), Ok(())));
    }
}

/// What a worker sends of an attempt.
pub fn results(stream: &[u8]) {
    let (mut results, all, error) = all(Results::default, stream);
    let mut has_head = false;
    for (place, output) in all.iter().enumerate() {
        match output {
            Output::Head(_) => assert!(!std::mem::replace(&mut has_head, true)),
            Output::Unit(..) => assert!(has_head),
            Output::Progress(_) | Output::Complaints(_) => {}
            Output::Done(_) | Output::Failed(_) => assert_eq!(place + 1, all.len()),
        }
        if let Output::Done(done) = output {
            assert_eq!(Lost::from(lane::Lost::from(done.lost.clone())), done.lost);
        }
    }
    assert!(error.is_none() || results.end().is_err());
    let is_open = error.is_none() && !matches!(all.last(), Some(Output::Done(_) | Output::Failed(_)));
    if let Some(tally) = tally(stream).filter(|_| is_open) {
        assert_eq!(results.end(), Err(ProtocolError::Early));
        let done = Done { tally: tally.count(), frames: 1, tags: None, lost: Lost::default() };
        let read = read(&mut results, Message::Done(done.clone()).write().into_iter().flatten());
        assert_eq!((read, results.end()), ((vec![Output::Done(done)], None), Ok(())));
    }
}
