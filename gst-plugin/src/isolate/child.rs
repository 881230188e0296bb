//! The process' side: chunks come, results go.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gst_video::VideoInfo;

use super::pictures::Shared;
use crate::lane::{Attempt, Budget, ChunkInput, Encoded, Format, Lane as _, LaneError, LocalLane, Made, Outlet};
use crate::remote::convert::{end_to_wire, format_from_wire, from_wire, to_wire};
use crate::wire::Tally;
use crate::wire::frame::Decoder;
use crate::wire::message::{self, Begin, Blame, Failed, Head, Message};

/// How often the other side hears how far an attempt is.
const TELLING: Duration = Duration::from_millis(200);
/// So many bytes of units wait here for the decoder.
const WAITING: u64 = 16 << 20;
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Encodes what comes over standard input, which is a socket, until its other end is gone.
///
/// # Errors
/// What comes is not what should, or standard input is no socket.
pub fn serve() -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let shared = Shared::take(&socket)?;
    shared.end_with_lane()?;
    let out =
        Arc::new(Out(Mutex::new(Leaving { socket: socket.try_clone()?, tally: Tally::default(), is_first: true })));
    let mut incoming = Incoming { socket, decoder: Decoder::default(), shared };
    let mut format = Err("no format came".to_owned());
    while let Some(message) = incoming.next()? {
        match message {
            Message::Format(wire) => format = format_from_wire(&wire).map(Arc::new).map_err(|error| error.to_string()),
            Message::Begin(begin) => incoming = attempt(incoming, &out, format.clone(), begin)?,
            other => return Err(invalid(format!("{} came, which does not belong there", other.name()))),
        }
    }
    Ok(())
}

/// Messages as they come.
struct Incoming {
    socket: UnixStream,
    decoder: Decoder,
    shared: Shared,
}

impl Incoming {
    /// The next one; `None` where the other end is gone.
    fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            while let Some(frame) = self.decoder.next_frame().map_err(invalid)? {
                if let Some(message) = Message::read(frame).map_err(invalid)? {
                    return Ok(Some(message));
                }
            }
            let mut piece = BytesMut::zeroed(PIECE);
            match self.socket.read(&mut piece)? {
                0 => return Ok(None),
                length => piece.truncate(length),
            }
            self.decoder.push(piece.freeze());
        }
    }
}

impl Incoming {
    /// A unit that came, and what says that it was let in, where that is waited for.
    fn unit(
        &mut self,
        unit: message::Unit,
        media: Bytes,
        pictures: Option<&VideoInfo>,
    ) -> io::Result<(gst::Buffer, Option<impl FnOnce() + use<>>)> {
        let (media, let_in) = match pictures {
            None => (media, None),
            Some(_) => {
                let picture = self.shared.read(&media)?;
                let let_in = picture.let_in();
                (Bytes::from_owner(picture), Some(let_in))
            }
        };
        Ok((from_wire(unit, media, pictures).map_err(invalid)?, let_in))
    }
}

/// What leaves.
struct Out(Mutex<Leaving>);

struct Leaving {
    socket: UnixStream,
    tally: Tally,
    is_first: bool,
}

impl Out {
    fn lock(&self) -> MutexGuard<'_, Leaving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &Message) -> io::Result<()> {
        self.lock().send(message).map(drop)
    }

    fn unit(&self, made: Made) -> io::Result<()> {
        let mut leaving = self.lock();
        if std::mem::take(&mut leaving.is_first) {
            leaving.send(&Message::Head(Head { caps: made.caps.to_string(), segment_start: made.segment_start }))?;
        }
        let (unit, media) = to_wire(made.unit).map_err(invalid)?;
        let pieces = leaving.send(&Message::Unit(unit, media))?;
        leaving.tally.add(&pieces);
        Ok(())
    }

    fn done(&self, frames: u64, encoded: &Encoded) -> io::Result<()> {
        let mut leaving = self.lock();
        end_to_wire(encoded, frames, &leaving.tally).try_for_each(|message| leaving.send(&message).map(drop))
    }
}

impl Leaving {
    fn send(&mut self, message: &Message) -> io::Result<Vec<Bytes>> {
        let pieces = message.write().map_err(invalid)?;
        pieces.iter().try_for_each(|piece| self.socket.write_all(piece))?;
        Ok(pieces)
    }
}

/// Makes one attempt; gives back what the next one comes from.
fn attempt(
    incoming: Incoming,
    out: &Arc<Out>,
    format: Result<Arc<Format>, String>,
    begin: Begin,
) -> io::Result<Incoming> {
    let failed = |reason: String| out.send(&Message::Failed(Failed { blame: Blame::Chunk, reason }));
    let pictures = format.as_ref().ok().filter(|_| begin.wanted.is_none()).map(|f| VideoInfo::from_caps(&f.input));
    let (format, pictures) = match (format, pictures.transpose()) {
        (Ok(format), Ok(pictures)) => (format, pictures),
        (Err(reason), _) => return failed(reason).map(|()| incoming),
        (_, Err(error)) => return failed(error.to_string()).map(|()| incoming),
    };
    let (input, budget) = (Arc::<ChunkInput>::default(), Budget::new(WAITING));
    {
        let mut leaving = out.lock();
        (leaving.tally, leaving.is_first) = (Tally::default(), true);
    }
    let result = Outlet::Leave(Arc::new({
        let out = out.clone();
        move |made| out.unit(made).is_ok()
    }));
    let wanted = begin.wanted.map(|wanted| Arc::new(wanted.into()));
    let attempt = Attempt { is_first: begin.is_first, ..Attempt::new(format, input.clone(), wanted, result) };
    let progress = &attempt.progress;
    let feeding = {
        let (out, budget) = (out.clone(), budget.clone());
        thread::spawn(move || feed(incoming, &out, &input, &budget, pictures.as_ref()))
    };
    let (over, waits) = mpsc::channel::<()>();
    let telling = {
        let (out, progress) = (out.clone(), progress.clone());
        thread::spawn(move || {
            let mut told = 0;
            while waits.recv_timeout(TELLING) == Err(RecvTimeoutError::Timeout) {
                let frames = progress.frames();
                if std::mem::replace(&mut told, frames) < frames {
                    // Whoever is gone is noticed where units come from.
                    let _ = out.send(&Message::Progress(message::Progress { frames }));
                }
            }
        })
    };
    let outcome = LocalLane.encode(&attempt);
    drop(over);
    // It ends by itself.
    let _ = telling.join();
    match outcome {
        Ok(encoded) if progress.has_ended() => out.done(progress.frames(), &encoded)?,
        Ok(_) => failed(LaneError::Early(progress.frames()).to_string())?,
        Err(error) => failed(error.to_string())?,
    }
    budget.cancel();
    feeding.join().unwrap_or_else(|_| Err(io::Error::other("the input panicked")))
}

/// Takes an attempt's units as they come. Nobody is left to work for where the other end is gone.
fn feed(
    mut incoming: Incoming,
    out: &Out,
    input: &ChunkInput,
    budget: &Arc<Budget>,
    pictures: Option<&VideoInfo>,
) -> io::Result<Incoming> {
    loop {
        let taken = match incoming.next() {
            Ok(Some(Message::Unit(unit, media))) => incoming.unit(unit, media, pictures),
            Ok(Some(Message::End(_))) => {
                input.end();
                return Ok(incoming);
            }
            Ok(Some(other)) => Err(invalid(format!("{} came, which does not belong there", other.name()))),
            Ok(None) => std::process::exit(0),
            Err(error) => Err(error),
        };
        match taken {
            // What nobody wants any more is passed over.
            Ok((unit, let_in)) => {
                if let Ok(share) = budget.reserve(unit.size() as u64) {
                    input.push(unit, share);
                }
                if let Some(say) = let_in {
                    say();
                }
            }
            // An encoder that waits for more would wait for ever.
            Err(error) => {
                // Nobody may be there to hear it.
                let _ = out.send(&Message::Failed(Failed { blame: Blame::Chunk, reason: error.to_string() }));
                std::process::exit(1);
            }
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
