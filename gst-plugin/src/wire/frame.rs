//! Frames: a tag of one byte, the body's length in four (little endian), the body.
//!
//! A length is checked against the most that its tag allows before anything is kept for it, and no memory is written before
//! the bytes are there.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use thiserror::Error;

/// Tag and length.
pub const HEAD: usize = 5;

/// Tags from here on are of messages that whoever does not know them passes over.
pub const OPTIONAL: u8 = 0x80;

/// The most bytes in the body of a message that is no media, and in what stands before media. Names with versions take the
/// most memory once they are read: 25 MB.
pub const MOST_CONTROL: u32 = 1 << 20;
/// The same of one with a list of [`MOST_FRAMES`](super::message::MOST_FRAMES), each of which takes 31 bytes at most and
/// mostly 20. With what becomes of it that is no more than 64 MB of memory.
pub const MOST_LIST: u32 = 16 << 20;
/// The same of media: a picture of 8192x8192 in 4:4:4 of 16 bit has 400 MB.
pub const MOST_MEDIA: u32 = 512 << 20;

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What its body is.
    pub tag: u8,
    /// Its body.
    pub body: Bytes,
}

impl Frame {
    /// What stood before its body.
    pub fn head(&self) -> [u8; HEAD] {
        let [a, b, c, d] = u32::try_from(self.body.len()).unwrap_or(u32::MAX).to_le_bytes();
        [self.tag, a, b, c, d]
    }
}

/// Why bytes are no frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The body is longer than any of its kind.
    #[error("a frame with tag {tag:#04x} says that it has {length} bytes; {most} are the most")]
    TooLong {
        /// Its tag.
        tag: u8,
        /// What it says.
        length: u32,
        /// What it may say.
        most: u32,
    },
    /// The stream ended within one.
    #[error("the stream ended within a frame")]
    Torn,
}

/// Whether a body with this tag may have so many bytes.
fn check(tag: u8, length: u32) -> Result<(), FrameError> {
    use super::message::tag;
    let most = match tag {
        tag::UNIT => MOST_MEDIA,
        tag::BEGIN | tag::DONE => MOST_LIST,
        _ => MOST_CONTROL,
    };
    if length > most { Err(FrameError::TooLong { tag, length, most }) } else { Ok(()) }
}

/// Appends the head of a frame whose body has so many bytes.
///
/// # Errors
/// The body is too long for its tag.
pub fn put_head(out: &mut BytesMut, tag: u8, length: usize) -> Result<(), FrameError> {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    check(tag, length)?;
    out.put_u8(tag);
    out.put_u32_le(length);
    Ok(())
}

/// A body that is put together ends at such an address: that of a picture of full lines begins at one then, where those who
/// read it want it.
pub const ALIGNMENT: usize = 64;
/// A body that is no longer, as most pictures are, is given all its memory at once. The system gives that as it is written.
const AT_ONCE: usize = 32 << 20;

/// Makes frames of bytes, however these are cut. Each body is copied once, to where it is put together: a piece is a slice of
/// what a socket gave at once, all of which it would hold in memory.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Pieces that are of no body yet.
    waiting: VecDeque<Bytes>,
    body: Option<Body>,
    size: usize,
}

/// A body that is put together.
#[derive(Debug)]
struct Body {
    tag: u8,
    length: usize,
    whole: BytesMut,
    /// What stands before it, so that it ends where it should.
    before: usize,
}

impl Decoder {
    /// Adds what came next.
    pub fn push(&mut self, mut bytes: Bytes) {
        self.size += bytes.len();
        if let Some(body) = &mut self.body {
            body.take(&mut bytes);
        }
        if !bytes.is_empty() {
            self.waiting.push_back(bytes);
        }
    }

    /// The bytes that wait for the rest of their frame.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The next frame that is whole.
    ///
    /// # Errors
    /// Its length is not allowed; nothing that follows can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.body.is_none() {
            let Some([tag, length @ ..]) = self.peek() else { return Ok(None) };
            let length = u32::from_le_bytes(length);
            check(tag, length)?;
            self.skip_head();
            // What may come is less than any address.
            self.body = Some(Body::new(tag, usize::try_from(length).unwrap_or(usize::MAX)));
        }
        if let Some(body) = &mut self.body {
            while let Some(piece) = self.waiting.front_mut().filter(|_| !body.is_whole()) {
                body.take(piece);
                if piece.is_empty() {
                    self.waiting.pop_front();
                }
            }
        }
        let Some(body) = self.body.take_if(|body| body.is_whole()) else { return Ok(None) };
        self.size -= HEAD + body.length;
        Ok(Some(Frame { tag: body.tag, body: body.whole.freeze().slice(body.before..) }))
    }

    /// Says that nothing comes after what was pushed.
    ///
    /// # Errors
    /// A frame is not whole.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.size == 0 { Ok(()) } else { Err(FrameError::Torn) }
    }

    fn peek(&self) -> Option<[u8; HEAD]> {
        let mut bytes = self.waiting.iter().flat_map(|piece| piece.iter().copied());
        let mut head = [0; HEAD];
        for byte in &mut head {
            *byte = bytes.next()?;
        }
        Some(head)
    }

    fn skip_head(&mut self) {
        let mut rest = HEAD;
        while let Some(piece) = self.waiting.front_mut().filter(|_| rest > 0) {
            let part = rest.min(piece.len());
            piece.advance(part);
            rest -= part;
            if piece.is_empty() {
                self.waiting.pop_front();
            }
        }
    }
}

impl Body {
    fn new(tag: u8, length: usize) -> Self {
        let mut whole = BytesMut::with_capacity(length.min(AT_ONCE) + ALIGNMENT);
        let before = ALIGNMENT - whole.as_ptr().addr().wrapping_add(length) % ALIGNMENT;
        whole.put_bytes(0, before);
        Self { tag, length, whole, before }
    }

    fn is_whole(&self) -> bool {
        self.missing() == 0
    }

    fn missing(&self) -> usize {
        self.before + self.length - self.whole.len()
    }

    /// Takes what is of it.
    fn take(&mut self, bytes: &mut Bytes) {
        let part = bytes.split_to(bytes.len().min(self.missing()));
        self.whole.extend_from_slice(&part);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::super::message::tag;
    use super::*;

    fn written(frames: &[(u8, Vec<u8>)]) -> Bytes {
        let mut out = BytesMut::new();
        for (tag, body) in frames {
            put_head(&mut out, *tag, body.len()).unwrap();
            out.extend_from_slice(body);
        }
        out.freeze()
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_bytes_are_cut(
            frames in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in proptest::collection::vec(1usize..23, 1..40),
        ) {
            let mut bytes = written(&frames);
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            for cut in cuts.into_iter().cycle() {
                while let Some(frame) = decoder.next_frame().unwrap() {
                    out.push((frame.tag, frame.body.to_vec()));
                }
                if bytes.is_empty() {
                    break;
                }
                decoder.push(bytes.split_to(cut.min(bytes.len())));
            }
            prop_assert_eq!(out, frames);
            prop_assert_eq!(decoder.end(), Ok(()));
        }

        #[test]
        fn no_bytes_make_it_panic_or_keep_more_than_came(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::default();
            decoder.push(bytes.clone().into());
            let mut out = 0;
            while let Ok(Some(frame)) = decoder.next_frame() {
                out += HEAD + frame.body.len();
            }
            prop_assert_eq!(decoder.size() + out, bytes.len());
        }
    }

    #[test]
    fn a_length_beyond_its_tags_is_refused_before_the_body_comes() {
        for (tag, length) in [(tag::UNIT, u32::MAX), (tag::HELLO, MOST_CONTROL + 1), (0xff, u32::MAX)] {
            let mut decoder = Decoder::default();
            let mut head = vec![tag];
            head.extend(length.to_le_bytes());
            decoder.push(head.into());
            assert!(matches!(decoder.next_frame(), Err(FrameError::TooLong { .. })), "{tag:#x}");
        }
    }

    #[test]
    fn a_stream_that_ends_within_a_frame_is_torn() {
        let whole = written(&[(tag::END, vec![1, 2, 3])]);
        for cut in 1..whole.len() {
            let mut decoder = Decoder::default();
            decoder.push(whole.slice(..cut));
            assert_eq!(decoder.next_frame(), Ok(None));
            assert_eq!(decoder.end(), Err(FrameError::Torn));
        }
    }

    /// One that says how many of its like there are.
    struct Datagram(Arc<AtomicUsize>);

    impl AsRef<[u8]> for Datagram {
        fn as_ref(&self) -> &[u8] {
            &[0; 1200]
        }
    }

    impl Drop for Datagram {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn small_pieces_hold_no_datagrams() {
        let (datagrams, mut decoder) = (Arc::<AtomicUsize>::default(), Decoder::default());
        // It says that 256 MB are to come.
        decoder.push(Bytes::from_static(&[tag::UNIT, 0, 0, 0, 16]));
        for _ in 0..10_000 {
            datagrams.fetch_add(1, Ordering::Relaxed);
            decoder.push(Bytes::from_owner(Datagram(datagrams.clone())).split_to(1));
            assert_eq!(decoder.next_frame(), Ok(None));
        }
        assert_eq!((decoder.size(), datagrams.load(Ordering::Relaxed)), (10_005, 0));
    }

    #[test]
    fn a_body_holds_nothing_beside_and_ends_where_a_picture_would() {
        let frames = [1_000_000, 300, 5, 1].map(|length| (tag::UNIT, vec![7; length]));
        let whole = written(&frames);
        for cut in [1, 63, 1300, 2_000_000] {
            let (mut decoder, mut bodies) = (Decoder::default(), Vec::new());
            for piece in whole.chunks(cut) {
                decoder.push(Bytes::copy_from_slice(piece));
                while let Some(frame) = decoder.next_frame().unwrap() {
                    assert_eq!(frame.body.as_ptr_range().end.addr() % ALIGNMENT, 0);
                    bodies.push(frame.body);
                }
            }
            assert!(bodies.iter().zip(&frames).all(|(body, (_, sent))| body == sent));
            assert_eq!(bodies.len(), frames.len());
            for body in bodies {
                let length = body.len();
                assert!(body.try_into_mut().unwrap().capacity() <= length + 2 * ALIGNMENT);
            }
        }
    }

    #[test]
    fn memory_for_a_long_body_is_not_taken_before_it_comes() {
        let mut decoder = Decoder::default();
        decoder.push(Bytes::from_static(&[tag::UNIT, 0, 0, 0, 16]));
        assert_eq!(decoder.next_frame(), Ok(None));
        let first = decoder.body.as_ref().unwrap().whole.capacity();
        assert!(first <= AT_ONCE + ALIGNMENT);
        decoder.push(vec![0; AT_ONCE + 1].into());
        assert!(decoder.body.unwrap().whole.capacity() <= 2 * first);
    }
}
