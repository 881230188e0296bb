//! What may come when, on each kind of stream. What comes out of here keeps the order that the [module](super) shows, and
//! every unit is counted.

use std::collections::BTreeSet;

use bytes::Bytes;
use thiserror::Error;

use super::MINOR;
use super::frame::{Decoder, FrameError};
use super::message::{
    Begin, Complaints, Count, Done, Failed, Fit, Format, Goodbye, Head, Hello, Message, MessageError, Progress, Unfit,
    Unit, tag,
};
use super::tally::Tally;

/// The other side does not keep to the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// It sent something that cannot be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// It sent something that does not belong there.
    #[error("{0} came, which does not belong there")]
    Unexpected(&'static str),
    /// It says that it sent other units than came.
    #[error("{came} units came, and {said} were sent, or others")]
    Tally {
        /// Those that came.
        came: u64,
        /// Those that it says it sent.
        said: u64,
    },
    /// It stopped midway.
    #[error("the stream ended too early")]
    Early,
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> Self {
        Self::Message(error.into())
    }
}

/// Messages as they come, and the units among them counted.
#[derive(Debug, Default)]
struct Incoming {
    decoder: Decoder,
    tally: Tally,
    stage: Stage,
    /// Why nothing that follows is taken.
    broken: Option<ProtocolError>,
}

/// How far the stream of an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Before,
    Within,
    After,
}

impl Incoming {
    fn end(&self) -> Result<(), ProtocolError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.decoder.end()?;
        if self.stage == Stage::After { Ok(()) } else { Err(ProtocolError::Early) }
    }

    fn next(&mut self) -> Result<Option<Message>, ProtocolError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.read().map_err(|error| self.refuse(error))
    }

    /// Nothing is taken any more.
    fn refuse(&mut self, error: ProtocolError) -> ProtocolError {
        self.broken.insert(error).clone()
    }

    fn read(&mut self) -> Result<Option<Message>, ProtocolError> {
        while let Some(frame) = self.decoder.next_frame()? {
            if frame.tag == tag::UNIT {
                self.tally.add_frame(&frame);
            }
            if let Some(message) = Message::read(frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn compare(&mut self, said: Count) -> Result<(), ProtocolError> {
        let came = self.tally.count();
        if came == said {
            return Ok(());
        }
        Err(self.refuse(ProtocolError::Tally { came: came.units, said: said.units }))
    }
}

/// Who reads a control stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Coordinator,
    Worker,
}

/// What comes on a control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The worker is there; both keep to this minor version.
    Hello(Hello, u16),
    /// The coordinator is there; both keep to this minor version.
    Welcome(u16),
    /// How chunks are encoded.
    Format(Format),
    /// The worker can do a format.
    Fit(Fit),
    /// It cannot.
    Unfit(Unfit),
    /// It takes no more attempts.
    Drain,
    /// The coordinator leaves.
    Goodbye(Goodbye),
}

/// A control stream, as the one who reads it sees it.
#[derive(Debug)]
pub struct Control {
    incoming: Incoming,
    reader: Reader,
    greeted: bool,
    draining: bool,
    left: bool,
    /// Formats that came, or that were sent and are not answered.
    formats: BTreeSet<u32>,
}

impl Control {
    /// That of the one who has chunks.
    pub fn of_coordinator() -> Self {
        Self::new(Reader::Coordinator)
    }

    /// That of the one who encodes them.
    pub fn of_worker() -> Self {
        Self::new(Reader::Worker)
    }

    fn new(reader: Reader) -> Self {
        Self {
            incoming: Incoming::default(),
            reader,
            greeted: false,
            draining: false,
            left: false,
            formats: BTreeSet::new(),
        }
    }

    /// Adds what came next.
    pub fn push(&mut self, bytes: Bytes) {
        self.incoming.decoder.push(bytes);
    }

    /// The coordinator sent this format, and waits to hear whether it can be done.
    pub fn ask(&mut self, format: u32) {
        self.formats.insert(format);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// The other side does not keep to the protocol; the connection is of no use any more.
    pub fn next_message(&mut self) -> Result<Option<Received>, ProtocolError> {
        let Some(message) = self.incoming.next()? else { return Ok(None) };
        let name = message.name();
        let accepted = self.accept(message);
        accepted.map(Some).ok_or_else(|| self.incoming.refuse(ProtocolError::Unexpected(name)))
    }

    fn accept(&mut self, message: Message) -> Option<Received> {
        if self.left {
            return None;
        }
        match (self.reader, message) {
            (Reader::Coordinator, Message::Hello(hello)) if !self.greeted => {
                self.greeted = true;
                let minor = hello.minor.min(MINOR);
                Some(Received::Hello(hello, minor))
            }
            // It never answers with one that it was not told of.
            (Reader::Worker, Message::Welcome(welcome)) if !self.greeted && welcome.minor <= MINOR => {
                self.greeted = true;
                Some(Received::Welcome(welcome.minor))
            }
            (Reader::Worker, Message::Goodbye(goodbye)) => {
                self.left = true;
                Some(Received::Goodbye(goodbye))
            }
            _ if !self.greeted => None,
            (Reader::Worker, Message::Format(format)) => {
                self.formats.insert(format.id).then_some(Received::Format(format))
            }
            (Reader::Coordinator, Message::Fit(fit)) => self.formats.remove(&fit.format).then_some(Received::Fit(fit)),
            (Reader::Coordinator, Message::Unfit(unfit)) => {
                self.formats.remove(&unfit.format).then_some(Received::Unfit(unfit))
            }
            (Reader::Coordinator, Message::Drain) if !self.draining => {
                self.draining = true;
                Some(Received::Drain)
            }
            _ => None,
        }
    }
}

/// What a worker is to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// What to make.
    Begin(Begin),
    /// Of this.
    Unit(Unit, Bytes),
    /// All units were there.
    End,
}

/// The stream of an attempt, as the worker reads it.
#[derive(Debug, Default)]
pub struct Inputs(Incoming);

impl Inputs {
    /// Adds what came next.
    pub fn push(&mut self, bytes: Bytes) {
        self.0.decoder.push(bytes);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// The attempt is of no use.
    pub fn next_message(&mut self) -> Result<Option<Work>, ProtocolError> {
        let Some(message) = self.0.next()? else { return Ok(None) };
        match (self.0.stage, message) {
            (Stage::Before, Message::Begin(begin)) => {
                self.0.stage = Stage::Within;
                Ok(Some(Work::Begin(begin)))
            }
            (Stage::Within, Message::Unit(unit, media)) => Ok(Some(Work::Unit(unit, media))),
            (Stage::Within, Message::End(end)) => {
                self.0.compare(end.tally)?;
                self.0.stage = Stage::After;
                Ok(Some(Work::End))
            }
            (_, message) => Err(self.0.refuse(ProtocolError::Unexpected(message.name()))),
        }
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// Something should.
    pub fn end(&self) -> Result<(), ProtocolError> {
        self.0.end()
    }
}

/// What a worker made of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// What its units are.
    Head(Head),
    /// One of them.
    Unit(Unit, Bytes),
    /// How far it is.
    Progress(Progress),
    /// What its decoder complained of.
    Complaints(Complaints),
    /// All of them were there.
    Done(Done),
    /// There is no result.
    Failed(Failed),
}

/// The stream of an attempt, as the coordinator reads it.
#[derive(Debug, Default)]
pub struct Results(Incoming);

impl Results {
    /// Adds what came next.
    pub fn push(&mut self, bytes: Bytes) {
        self.0.decoder.push(bytes);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// The attempt is of no use.
    pub fn next_message(&mut self) -> Result<Option<Output>, ProtocolError> {
        let Some(message) = self.0.next()? else { return Ok(None) };
        match (self.0.stage, message) {
            (Stage::Before, Message::Head(head)) => {
                self.0.stage = Stage::Within;
                Ok(Some(Output::Head(head)))
            }
            (Stage::Before | Stage::Within, Message::Progress(progress)) => Ok(Some(Output::Progress(progress))),
            (Stage::Within, Message::Unit(unit, media)) => Ok(Some(Output::Unit(unit, media))),
            (Stage::Before | Stage::Within, Message::Complaints(complaints)) => {
                Ok(Some(Output::Complaints(complaints)))
            }
            // Of a chunk without a frame that can be decoded nothing comes, not even what it would be.
            (Stage::Before | Stage::Within, Message::Done(done)) => {
                self.0.compare(done.tally)?;
                self.0.stage = Stage::After;
                Ok(Some(Output::Done(done)))
            }
            (Stage::Before | Stage::Within, Message::Failed(failed)) => {
                self.0.stage = Stage::After;
                Ok(Some(Output::Failed(failed)))
            }
            (_, message) => Err(self.0.refuse(ProtocolError::Unexpected(message.name()))),
        }
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// Something should.
    pub fn end(&self) -> Result<(), ProtocolError> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests;
