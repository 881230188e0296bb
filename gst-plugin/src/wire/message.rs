//! The messages, their tags and their bodies.
//!
//! A body is never changed once a version with it is out: what is new gets a message of its own, with an optional tag where
//! the other side can do without. Enums grow at their end.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::frame::{self, Frame, FrameError, OPTIONAL};

/// The most frames in a list: those of six hours, where chunks have thousands. They take 8 to 40 bytes of memory each, and
/// not before as many have come.
pub const MOST_FRAMES: usize = 1 << 19;

/// All tags.
pub mod tag {
    /// [`Hello`](super::Hello).
    pub const HELLO: u8 = 0x01;
    /// [`Welcome`](super::Welcome).
    pub const WELCOME: u8 = 0x02;
    /// [`Format`](super::Format).
    pub const FORMAT: u8 = 0x03;
    /// [`Fit`](super::Fit).
    pub const FIT: u8 = 0x04;
    /// [`Unfit`](super::Unfit).
    pub const UNFIT: u8 = 0x05;
    /// No body.
    pub const DRAIN: u8 = 0x06;
    /// [`Goodbye`](super::Goodbye).
    pub const GOODBYE: u8 = 0x07;
    /// [`Begin`](super::Begin).
    pub const BEGIN: u8 = 0x10;
    /// [`Unit`](super::Unit), and its bytes behind it.
    pub const UNIT: u8 = 0x11;
    /// [`End`](super::End).
    pub const END: u8 = 0x12;
    /// [`Head`](super::Head).
    pub const HEAD: u8 = 0x20;
    /// [`Progress`](super::Progress).
    pub const PROGRESS: u8 = 0x21;
    /// [`Done`](super::Done).
    pub const DONE: u8 = 0x22;
    /// [`Failed`](super::Failed).
    pub const FAILED: u8 = 0x23;
    /// [`Complaints`](super::Complaints). Optional, as all from 0x80 on.
    pub const COMPLAINTS: u8 = 0x80;
}

/// Something that is installed on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Software {
    /// What it is called, as `x264enc`.
    pub name: String,
    /// The build it is of.
    pub version: String,
}

/// A worker says who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The latest minor version it knows.
    pub minor: u16,
    /// The same in all its sessions, and nobody else's: a machine may be met by several addresses.
    pub instance: [u8; 16],
    /// What people call it.
    pub name: String,
    /// So many attempts it makes at once.
    pub slots: u32,
    /// The cores it has for them.
    pub cores: u32,
    /// The bytes that inputs and results may take there, all together.
    pub memory: u64,
    /// What it encodes and decodes with.
    pub software: Vec<Software>,
}

/// The coordinator takes a worker in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The minor version that both keep to.
    pub minor: u16,
}

/// How the chunks of a section are encoded. Caps and structures are in GStreamer's notation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// What attempts call it.
    pub id: u32,
    /// The encoder and its properties, as the element's `encoder`.
    pub encoder: String,
    /// The encoder's threads; 0 is its default.
    pub threads: u32,
    /// The caps of what comes in.
    pub input: String,
    /// The decoder's factory, of coded units.
    pub decoder: Option<String>,
    /// The filter, as the element's `filter`.
    pub filter: String,
    /// Fields that the encoder reads in place of those of the frames' own caps.
    pub frame_caps: Option<String>,
    /// What the encoder's output may be.
    pub output: String,
    /// Frames that each encoder but the stream's first gets before its chunk.
    pub lead_in: u32,
}

/// A worker can do a format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// Which.
    pub format: u32,
    /// The libraries that take part in it.
    pub software: Vec<Software>,
    /// The hash of what a short clip became with them.
    pub digest: [u8; 32],
}

/// A worker cannot do a format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// Which.
    pub format: u32,
    /// Why.
    pub reason: String,
}

/// The coordinator leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goodbye {
    /// All chunks are done.
    Done,
    /// The run ends without.
    Ended(String),
    /// This worker is not wanted.
    Refused(String),
}

/// How the units of a chunk begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// The decoder knows by itself that nothing before is needed.
    Clean,
    /// It takes pictures for lost that were before.
    Recovers,
}

/// One of the frames that a chunk's units are to make. Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedFrame {
    /// The time of its unit.
    pub pts: u64,
    /// When it is shown.
    pub shown: u64,
    /// For how long, where that is not what its unit says.
    pub length: Option<u64>,
}

/// The frames that a chunk's units are to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// How decoding starts, if it is known to.
    pub start: Option<Start>,
    /// The frames, in the order they are shown.
    #[serde(with = "list")]
    pub frames: Vec<WantedFrame>,
    /// The times of units whose frames only the filters need.
    #[serde(with = "list")]
    pub context: Vec<u64>,
}

/// An attempt at a chunk begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The chunk's number, for people to read.
    pub chunk: u64,
    /// How it is encoded.
    pub format: u32,
    /// The stream begins with it: without lead-in.
    pub is_first: bool,
    /// What units are to make; `None` where frames follow.
    pub wanted: Option<Wanted>,
}

/// Where a plane of a picture lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plane {
    /// Bytes before it.
    pub offset: u64,
    /// Bytes from one line to the next.
    pub stride: i32,
}

/// How a picture lies in its bytes, where its caps do not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its format, by GStreamer's name.
    pub format: String,
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// What is known of its fields, GStreamer's bits.
    pub flags: u32,
    /// Its planes.
    pub planes: Vec<Plane>,
}

/// Captions that come with a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caption {
    /// GStreamer's number of their kind.
    pub kind: i32,
    /// The captions.
    pub data: Vec<u8>,
}

/// What is known of a frame, or of a coded unit. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// When it is shown.
    pub pts: Option<u64>,
    /// When it is decoded.
    pub dts: Option<u64>,
    /// For how long it is shown.
    pub duration: Option<u64>,
    /// GStreamer's bits.
    pub flags: u32,
    /// How its picture lies.
    pub layout: Option<Layout>,
    /// Its captions.
    pub captions: Vec<Caption>,
}

/// Nothing follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// What was sent.
    pub tally: Count,
}

/// What units were sent, to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many.
    pub units: u64,
    /// Their BLAKE3, as [`Tally`](super::Tally) makes it.
    pub hash: [u8; 32],
}

/// What the result's units are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Their caps, in GStreamer's notation.
    pub caps: String,
    /// Where the encoder's output segment starts, in nanoseconds.
    pub segment_start: u64,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Frames that the encoder has had.
    pub frames: u64,
}

/// Frames that could not be decoded as they should, by the times of their units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// They never came.
    #[serde(with = "list")]
    pub missing: Vec<u64>,
    /// What they refer to is not in the stream.
    #[serde(with = "list")]
    pub unreachable: Vec<u64>,
    /// They are there, and partly made up.
    #[serde(with = "list")]
    pub damaged: Vec<u64>,
    /// Frames with times that none should have.
    pub strange: u64,
}

/// What the decoder found wrong, and hid in its pictures. Comes before [`Done`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaints {
    /// How often it said so.
    pub count: u64,
    /// The time of the unit of which it said so first, in nanoseconds, and what it said.
    pub first: Option<(u64, String)>,
}

/// The result is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its units.
    pub tally: Count,
    /// The frames that were encoded.
    pub frames: u64,
    /// What the encoder says of itself, in GStreamer's notation.
    pub tags: Option<String>,
    /// What could not be decoded.
    pub lost: Lost,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blame {
    /// The chunk's, for all that the worker can tell.
    Chunk,
    /// The worker's own.
    Worker,
}

/// There is no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Whose fault it is.
    pub blame: Blame,
    /// What happened.
    pub reason: String,
}

/// All that can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they hold")]
pub enum Message {
    Hello(Hello),
    Welcome(Welcome),
    Format(Format),
    Fit(Fit),
    Unfit(Unfit),
    /// The worker takes no more attempts.
    Drain,
    Goodbye(Goodbye),
    Begin(Begin),
    Unit(Unit, Bytes),
    End(End),
    Head(Head),
    Progress(Progress),
    Complaints(Complaints),
    Done(Done),
    Failed(Failed),
}

/// Why a frame is no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// This version knows no such message, and may not pass it over.
    #[error("a message with the unknown tag {0:#04x}")]
    Unknown(u8),
    /// Its body is not one of its kind.
    #[error("the body of a message with tag {0:#04x} cannot be read")]
    Body(u8),
    /// Its body goes on behind its end.
    #[error("the body of a message with tag {0:#04x} has {1} bytes too many")]
    Rest(u8, usize),
    /// It cannot be written, with so many frames in it.
    #[error("a message with tag {0:#04x} lists more than {MOST_FRAMES} frames")]
    Long(u8),
    /// It is not even a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Message {
    /// Reads a frame. `None` is one to pass over.
    ///
    /// # Errors
    /// The frame cannot be read, or is of a version that should not be spoken here.
    pub fn read(frame: Frame) -> Result<Option<Self>, MessageError> {
        let Frame { tag, body } = frame;
        Ok(Some(match tag {
            tag::HELLO => Self::Hello(all(tag, &body)?),
            tag::WELCOME => Self::Welcome(all(tag, &body)?),
            tag::FORMAT => Self::Format(all(tag, &body)?),
            tag::FIT => Self::Fit(all(tag, &body)?),
            tag::UNFIT => Self::Unfit(all(tag, &body)?),
            tag::DRAIN => all(tag, &body).map(|()| Self::Drain)?,
            tag::GOODBYE => Self::Goodbye(all(tag, &body)?),
            tag::BEGIN => Self::Begin(all(tag, &body)?),
            tag::UNIT => {
                let head = body.get(..MOST_HEAD).unwrap_or(&body);
                let (unit, rest) = part(tag, head)?;
                let begins = head.len() - rest;
                Self::Unit(unit, body.slice(begins..))
            }
            tag::END => Self::End(all(tag, &body)?),
            tag::HEAD => Self::Head(all(tag, &body)?),
            tag::PROGRESS => Self::Progress(all(tag, &body)?),
            tag::DONE => Self::Done(all(tag, &body)?),
            tag::FAILED => Self::Failed(all(tag, &body)?),
            tag::COMPLAINTS => Self::Complaints(all(tag, &body)?),
            _ if tag >= OPTIONAL => return Ok(None),
            _ => return Err(MessageError::Unknown(tag)),
        }))
    }

    /// The bytes of its frame, in the pieces that a stream takes: media follows the rest without being copied.
    ///
    /// # Errors
    /// It is too long to be sent.
    pub fn write(&self) -> Result<Vec<Bytes>, MessageError> {
        match self {
            Self::Hello(body) => whole(tag::HELLO, body),
            Self::Welcome(body) => whole(tag::WELCOME, body),
            Self::Format(body) => whole(tag::FORMAT, body),
            Self::Fit(body) => whole(tag::FIT, body),
            Self::Unfit(body) => whole(tag::UNFIT, body),
            Self::Drain => whole(tag::DRAIN, &()),
            Self::Goodbye(body) => whole(tag::GOODBYE, body),
            Self::Begin(body) => whole(tag::BEGIN, body),
            Self::Unit(unit, media) => {
                let mut pieces = written(tag::UNIT, unit, media.len())?;
                let length = pieces.iter().map(Bytes::len).sum::<usize>() - frame::HEAD;
                if length > MOST_HEAD {
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    return Err(FrameError::TooLong { tag: tag::UNIT, length, most: frame::MOST_CONTROL }.into());
                }
                pieces.push(media.clone());
                Ok(pieces)
            }
            Self::End(body) => whole(tag::END, body),
            Self::Head(body) => whole(tag::HEAD, body),
            Self::Progress(body) => whole(tag::PROGRESS, body),
            Self::Complaints(body) => whole(tag::COMPLAINTS, body),
            Self::Done(body) => whole(tag::DONE, body),
            Self::Failed(body) => whole(tag::FAILED, body),
        }
    }

    /// What it is called where it is not expected.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Welcome(_) => "Welcome",
            Self::Format(_) => "Format",
            Self::Fit(_) => "Fit",
            Self::Unfit(_) => "Unfit",
            Self::Drain => "Drain",
            Self::Goodbye(_) => "Goodbye",
            Self::Begin(_) => "Begin",
            Self::Unit(..) => "Unit",
            Self::End(_) => "End",
            Self::Head(_) => "Head",
            Self::Progress(_) => "Progress",
            Self::Complaints(_) => "Complaints",
            Self::Done(_) => "Done",
            Self::Failed(_) => "Failed",
        }
    }
}

/// What stands before media, at most.
const MOST_HEAD: usize = frame::MOST_CONTROL as usize;

/// Lists whose items take more memory than bytes on a stream.
mod list {
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
    use serde::ser::{Error as _, Serialize, Serializer};

    use super::MOST_FRAMES;

    pub(super) fn serialize<T: Serialize, S: Serializer>(list: &[T], to: S) -> Result<S::Ok, S::Error> {
        if list.len() > MOST_FRAMES {
            return Err(S::Error::custom("too many"));
        }
        list.serialize(to)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_seq(Items(PhantomData))
    }

    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MOST_FRAMES} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == MOST_FRAMES {
                    return Err(A::Error::invalid_length(list.len() + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }
}

fn part<T: DeserializeOwned>(tag: u8, body: &[u8]) -> Result<(T, usize), MessageError> {
    let (message, rest) = postcard::take_from_bytes(body).map_err(|_| MessageError::Body(tag))?;
    Ok((message, rest.len()))
}

fn all<T: DeserializeOwned>(tag: u8, body: &[u8]) -> Result<T, MessageError> {
    match part(tag, body)? {
        (message, 0) => Ok(message),
        (_, rest) => Err(MessageError::Rest(tag, rest)),
    }
}

fn whole<T: Serialize>(tag: u8, body: &T) -> Result<Vec<Bytes>, MessageError> {
    written(tag, body, 0)
}

/// The frame's bytes but for so many that follow.
fn written<T: Serialize>(tag: u8, body: &T, follow: usize) -> Result<Vec<Bytes>, MessageError> {
    // Nothing else can be wrong with it.
    let body = postcard::to_stdvec(body).map_err(|_| MessageError::Long(tag))?;
    let mut out = BytesMut::with_capacity(frame::HEAD + body.len());
    frame::put_head(&mut out, tag, body.len().saturating_add(follow))?;
    out.extend_from_slice(&body);
    Ok(vec![out.freeze()])
}

#[cfg(test)]
mod tests;
