//! Reading bit by bit, for the headers of compressed streams.

/// A reader over bytes, highest bit first. Past the end it gives zeros and says so.
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    pub(crate) fn take(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.position / 8).copied().unwrap_or(0);
            value = (value << 1) | u32::from((byte >> (7 - self.position % 8)) & 1);
            self.position += 1;
        }
        value
    }

    /// Up to eight bits.
    pub(crate) fn byte(&mut self, count: u32) -> u8 {
        self.take(count.min(8)) as u8
    }

    pub(crate) fn ran_out(&self) -> bool {
        self.position > self.data.len() * 8
    }
}
