//! H.264 that is coded field by field, which no encoder here makes: fields of I_PCM macroblocks, and such as skip all.

use std::path::Path;

/// Frames in a group of pictures.
const GOP: u32 = 10;

/// Writes `frames` of 32x32, each field an access unit of its own.
///
/// # Panics
/// Where the file cannot be written.
#[track_caller]
pub fn coded_by_fields(path: &Path, frames: u32) {
    let mut stream = Vec::new();
    for n in 0..frames {
        if n % GOP == 0 {
            stream.extend(nal(0x67, &sequence()));
            stream.extend(nal(0x68, &picture()));
        }
        stream.extend([false, true].iter().flat_map(|bottom| field(n, *bottom)));
    }
    std::fs::write(path, stream).unwrap();
}

#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    /// Numbers of so many bits.
    fn put(&mut self, fields: &[(u32, u32)]) {
        for (length, value) in fields {
            self.0.extend((0..*length).rev().map(|i| value >> i & 1 == 1));
        }
    }

    /// Numbers in Golomb's code.
    fn golomb(&mut self, values: &[u32]) {
        for value in values {
            let length = (value + 1).ilog2();
            self.put(&[(length, 0), (length + 1, value + 1)]);
        }
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(8), false);
    }

    fn done(mut self) -> Vec<u8> {
        self.0.push(true);
        self.align();
        self.0.chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | u8::from(*bit))).collect()
    }
}

/// A start code, the header, and the payload with its emulation prevention bytes.
fn nal(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1, header];
    for byte in payload {
        if bytes.len() > 6 && bytes.ends_with(&[0, 0]) && *byte <= 3 {
            bytes.push(3);
        }
        bytes.push(*byte);
    }
    bytes
}

/// Main profile, frame_num and picture order count of 8 bits, frame_mbs_only_flag 0, 25 frames a second.
fn sequence() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(&[(8, 77), (8, 0), (8, 30)]);
    bits.golomb(&[0, 4, 0, 4, 2]);
    bits.put(&[(1, 0)]);
    bits.golomb(&[1, 0]);
    bits.put(&[(3, 0b001), (1, 0), (1, 1), (4, 0), (1, 1), (32, 1), (32, 50), (1, 1), (4, 0)]);
    bits.done()
}

fn picture() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.golomb(&[0, 0]);
    bits.put(&[(2, 0)]);
    bits.golomb(&[0, 0, 0]);
    bits.put(&[(3, 0)]);
    bits.golomb(&[0, 0, 0]);
    bits.put(&[(3, 0b100)]);
    bits.done()
}

/// The first field of a group is intra coded, the others show it again.
fn field(n: u32, bottom: bool) -> Vec<u8> {
    let place = n % GOP;
    let is_intra = place == 0 && !bottom;
    let mut bits = Bits::default();
    bits.golomb(&[0, if is_intra { 7 } else { 5 }, 0]);
    bits.put(&[(8, place), (1, 1), (1, bottom.into())]);
    if is_intra {
        bits.golomb(&[n / GOP % 2]);
    }
    bits.put(&[(8, 2 * place + u32::from(bottom)), (2, 0)]);
    bits.put(if is_intra { &[] } else { &[(1, 0)] });
    bits.golomb(&[0, 1]);
    if !is_intra {
        bits.golomb(&[2]);
        return nal(0x61, &bits.done());
    }
    for _ in 0..2 {
        bits.golomb(&[25]);
        bits.align();
        (0..384).for_each(|i| bits.put(&[(8, 16 + (n + i) % 200)]));
    }
    nal(0x65, &bits.done())
}
