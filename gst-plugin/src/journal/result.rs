//! A chunk's result as a file: what a worker elsewhere would send of it.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::BytesMut;

use crate::lane::Encoded;
use crate::remote::convert::{caps, end_to_wire, from_wire, tags, to_wire};
use crate::store::Store;
use crate::wire::message::{Head, Message};
use crate::wire::{Output, Results, Tally};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Writes it.
pub(super) fn write(encoded: &Encoded, frames: u64, out: &mut impl Write) -> io::Result<()> {
    let mut put = |message: &Message| {
        let pieces = message.write().map_err(io::Error::other)?;
        pieces.iter().try_for_each(|piece| out.write_all(piece)).map(|()| pieces)
    };
    let mut tally = Tally::default();
    if !encoded.units.is_empty() {
        put(&Message::Head(Head { caps: encoded.caps.to_string(), segment_start: encoded.segment_start }))?;
    }
    for unit in &encoded.units {
        let (unit, media) = to_wire(unit.unit()?).map_err(io::Error::other)?;
        tally.add(&put(&Message::Unit(unit, media))?);
    }
    end_to_wire(encoded, frames, &tally).try_for_each(|message| put(&message).map(drop))
}

/// Why a result is not there.
#[derive(Debug)]
pub(super) enum Unread {
    /// Its file is gone, damaged or cannot be read.
    File(io::Error),
    /// There is no place for it to wait.
    Store(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Reads it; the units wait in `store`.
pub(super) fn read(mut file: impl Read, store: &Arc<Store>) -> Result<Encoded, Unread> {
    let mut results = Results::default();
    let mut encoded = Encoded::empty();
    loop {
        match results.next_message().map_err(invalid)? {
            Some(Output::Head(head)) => {
                (encoded.caps, encoded.segment_start) = (caps(&head.caps).map_err(invalid)?, head.segment_start);
            }
            Some(Output::Unit(unit, media)) => {
                let unit = from_wire(unit, media, None).map_err(invalid)?;
                encoded.units.push(store.keep(unit).map_err(Unread::Store)?);
            }
            Some(Output::Complaints(complaints)) => encoded.complaints = complaints.into(),
            Some(Output::Done(done)) => {
                let read = |text: String| tags(&text).ok_or_else(|| invalid("its tags make no sense"));
                (encoded.tags, encoded.lost) = (done.tags.map(read).transpose()?, done.lost.into());
                return Ok(encoded);
            }
            Some(Output::Progress(_) | Output::Failed(_)) => return Err(invalid("it holds no result").into()),
            None => {
                let mut piece = BytesMut::zeroed(PIECE);
                let length = file.read(&mut piece)?;
                if length == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                piece.truncate(length);
                results.push(piece.freeze());
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
