//! Frames: a tag of one byte, the body's length in four (little endian), the body.
//!
//! A length is checked against the most that its tag allows before anything is kept for it, and no memory is taken before
//! the bytes are there.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use thiserror::Error;

/// Tag and length.
pub const HEAD: usize = 5;

/// Tags from here on are of messages that whoever does not know them passes over.
pub const OPTIONAL: u8 = 0x80;

/// The most bytes in the body of a message that is no media.
pub const MOST_CONTROL: u32 = 1 << 20;
/// The same of one with a list of frames.
pub const MOST_LIST: u32 = 64 << 20;
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

/// Makes frames of bytes, however these are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    waiting: VecDeque<Bytes>,
    size: usize,
}

impl Decoder {
    /// Adds what came next.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.size += bytes.len();
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
        let Some([tag, length @ ..]) = self.peek() else { return Ok(None) };
        let length = u32::from_le_bytes(length);
        check(tag, length)?;
        // What may come is less than any address.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.size - HEAD < length {
            return Ok(None);
        }
        self.take(HEAD);
        Ok(Some(Frame { tag, body: self.take(length) }))
    }

    /// Says that nothing comes after what was pushed.
    ///
    /// # Errors
    /// A frame is not whole.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.size == 0 { Ok(()) } else { Err(FrameError::Torn) }
    }

    fn peek(&self) -> Option<[u8; HEAD]> {
        if self.size < HEAD {
            return None;
        }
        let mut head = [0; HEAD];
        let bytes = self.waiting.iter().flat_map(|part| part.iter());
        head.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Some(head)
    }

    /// Takes so many bytes out, which are there: without a copy if they came in one piece.
    fn take(&mut self, count: usize) -> Bytes {
        self.size -= count;
        let front = self.waiting.front_mut();
        if let Some(front) = front.filter(|front| front.len() >= count) {
            let taken = front.split_to(count);
            if front.is_empty() {
                self.waiting.pop_front();
            }
            return taken;
        }
        let mut whole = BytesMut::with_capacity(count);
        while let Some(front) = self.waiting.front_mut().filter(|_| whole.len() < count) {
            let part = front.split_to(front.len().min(count - whole.len()));
            whole.extend_from_slice(&part);
            if front.is_empty() {
                self.waiting.pop_front();
            }
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_body_that_came_in_one_piece_is_not_copied() {
        let whole = written(&[(tag::UNIT, vec![7; 1000])]);
        let at = whole[HEAD..].as_ptr();
        let mut decoder = Decoder::default();
        decoder.push(whole);
        assert_eq!(decoder.next_frame().unwrap().unwrap().body.as_ptr(), at);
    }
}
