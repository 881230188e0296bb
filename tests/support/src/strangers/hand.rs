//! A member of the fleet by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gstdivien::net::{Token, dial};
use gstdivien::wire::message::{Format, Welcome};
use gstdivien::wire::{Control, Message, Output, Received, Results};
use quinn::{Connection, RecvStream, SendStream};

/// The most that is taken off a stream at once.
const PIECE: usize = 1 << 20;
/// Who dribbles sends a byte this often.
const DRIP: Duration = Duration::from_millis(200);

/// A coordinator that a worker has met.
#[derive(Debug)]
pub struct Hand {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    control: Control,
}

impl Hand {
    /// Dials a worker and greets it.
    ///
    /// # Errors
    /// It does not answer as workers do.
    pub async fn dial(address: SocketAddr, token: &Token) -> Result<Self, String> {
        let mut hand = Self::dial_only(address, token).await?;
        match hand.hear().await? {
            Received::Hello(_, minor) => hand.say(Message::Welcome(Welcome { minor })).await?,
            other => return Err(format!("{other:?}")),
        }
        Ok(hand)
    }

    /// Dials a worker; gives what it may say to it, byte by byte.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn dial_silently(address: SocketAddr, token: &Token) -> Result<(Connection, SendStream), String> {
        let Self { connection, send, .. } = Self::dial_only(address, token).await?;
        Ok((connection, send))
    }

    async fn dial_only(address: SocketAddr, token: &Token) -> Result<Self, String> {
        let connection = dial(address, token).await.map_err(|e| e.to_string())?;
        let (send, receive) = connection.accept_bi().await.map_err(|e| e.to_string())?;
        Ok(Self { connection, send, receive, control: Control::of_coordinator() })
    }

    async fn say(&mut self, message: Message) -> Result<(), String> {
        let mut pieces = message.write().map_err(|e| e.to_string())?;
        self.send.write_all_chunks(&mut pieces).await.map_err(|e| e.to_string())
    }

    async fn hear(&mut self) -> Result<Received, String> {
        loop {
            match self.control.next_message().map_err(|e| e.to_string())? {
                Some(received) => return Ok(received),
                None => self.control.push(piece(&mut self.receive).await?),
            }
        }
    }

    /// Why it would not encode this; `None` if it would.
    ///
    /// # Errors
    /// It left.
    pub async fn refuses(&mut self, format: Format) -> Result<Option<String>, String> {
        self.control.ask(format.id);
        self.say(Message::Format(format)).await?;
        match self.hear().await? {
            Received::Fit(_) => Ok(None),
            Received::Unfit(unfit) => Ok(Some(unfit.reason)),
            other => Err(format!("{other:?}")),
        }
    }

    /// Opens a stream for an attempt at a chunk.
    ///
    /// # Errors
    /// It left.
    pub async fn open(&self) -> Result<(SendStream, RecvStream), String> {
        self.connection.open_bi().await.map_err(|e| e.to_string())
    }

    /// Sends these bytes as an attempt; gives its last message.
    ///
    /// # Errors
    /// It ended the stream without one.
    pub async fn attempt(&self, bytes: impl Into<Bytes>) -> Result<Output, String> {
        let (mut send, mut receive) = self.open().await?;
        // It may be stopped meanwhile.
        let _ = send.write_chunk(bytes.into()).await;
        let _ = send.finish();
        let mut results = Results::default();
        loop {
            match results.next_message().map_err(|e| e.to_string())? {
                Some(last @ (Output::Done(_) | Output::Failed(_))) => return Ok(last),
                Some(_) => {}
                None => results.push(piece(&mut receive).await?),
            }
        }
    }
}

async fn piece(stream: &mut RecvStream) -> Result<Bytes, String> {
    let piece = stream.read_chunk(PIECE, true).await.map_err(|e| e.to_string())?;
    piece.map(|piece| piece.bytes).ok_or_else(|| "it ended".into())
}

/// Joins a coordinator; gives what it may say to it, byte by byte.
///
/// # Errors
/// It does not answer.
pub async fn joined(address: SocketAddr, token: &Token) -> Result<(Connection, SendStream), String> {
    let connection = dial(address, token).await.map_err(|e| e.to_string())?;
    let (send, _) = connection.open_bi().await.map_err(|e| e.to_string())?;
    Ok((connection, send))
}

/// Says that this message has a million bytes, and sends one of them now and then until the other side takes no more.
pub async fn dribble(mut send: SendStream, tag: u8) {
    let mut next: &[u8] = &[tag, 0, 0, 0x0f, 0];
    while send.write_all(next).await.is_ok() {
        next = &[0];
        // Whoever is given up need not be told before it sends more.
        tokio::time::sleep(DRIP).await;
    }
}
