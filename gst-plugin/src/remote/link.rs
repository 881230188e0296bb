//! Messages on streams of QUIC.

use bytes::Bytes;
use quinn::{RecvStream, SendStream, VarInt};
use thiserror::Error;

use crate::wire::{Message, MessageError, ProtocolError};

/// The most that is taken off a stream at once.
const PIECE: usize = 1 << 20;
/// So many packets' worth of it, where more than one may be taken.
const PIECES: usize = 64;
/// What streams and connections are ended with that nobody needs any more.
pub(crate) const OVER: VarInt = VarInt::from_u32(0);
/// The same where the other side did not keep to the protocol.
pub(crate) const BROKEN: VarInt = VarInt::from_u32(1);

/// Why nothing comes any more.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("{0}")]
    Read(#[from] quinn::ReadError),
    #[error("{0}")]
    Write(#[from] quinn::WriteError),
    #[error("{0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("nothing was heard in time")]
    Late,
    #[error("it left")]
    Left,
}

/// Sends a message; waits while the other side is slow.
pub(crate) async fn send(stream: &mut SendStream, message: &Message) -> Result<(), LinkError> {
    write(stream, message.write()?).await
}

/// The same for one whose bytes are there already.
pub(crate) async fn write(stream: &mut SendStream, mut pieces: Vec<Bytes>) -> Result<(), LinkError> {
    Ok(stream.write_all_chunks(&mut pieces).await?)
}

/// The same for media, of which one message may take long; tells of each part of it that has been taken.
pub(crate) async fn write_media(
    stream: &mut SendStream,
    mut pieces: Vec<Bytes>,
    taken: impl Fn(),
) -> Result<(), LinkError> {
    let mut rest = &mut pieces[..];
    while !rest.is_empty() {
        let written = stream.write_chunks(rest).await?;
        taken();
        rest = &mut rest[written.chunks..];
    }
    Ok(())
}

/// What comes next; `None` at the end.
pub(crate) async fn piece(stream: &mut RecvStream) -> Result<Option<Bytes>, LinkError> {
    Ok(stream.read_chunk(PIECE, true).await?.map(|chunk| chunk.bytes))
}

/// The same for media: all that is there, piece by piece; false at the end. Each call takes the connection from those who
/// receive for it, which for every packet would be dear.
pub(crate) async fn pieces(stream: &mut RecvStream, each: impl FnMut(Bytes)) -> Result<bool, LinkError> {
    let mut pieces = [const { Bytes::new() }; PIECES];
    let Some(count) = stream.read_chunks(&mut pieces).await? else { return Ok(false) };
    pieces.into_iter().take(count).for_each(each);
    Ok(true)
}
