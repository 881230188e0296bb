//! Writing EBML.

/// An element being put together in memory.
#[derive(Debug, Default)]
pub(crate) struct Ebml(pub(crate) Vec<u8>);

impl Ebml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn id(&mut self, id: u32) {
        let bytes = id.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        self.0.extend(bytes.iter().skip(skip));
    }

    pub(crate) fn size(&mut self, size: usize) {
        let size = size as u64;
        let length = (1..8).find(|n| size < (1 << (7 * n)) - 1).unwrap_or(8);
        let marked = size | (1 << (7 * length));
        self.0.extend(marked.to_be_bytes().iter().skip(8 - length as usize));
    }

    pub(crate) fn binary(&mut self, id: u32, data: &[u8]) {
        self.id(id);
        self.size(data.len());
        self.0.extend_from_slice(data);
    }

    pub(crate) fn text(&mut self, id: u32, text: &str) {
        self.binary(id, text.as_bytes());
    }

    pub(crate) fn uint(&mut self, id: u32, value: u64) {
        let bytes = value.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count().min(7);
        self.binary(id, bytes.get(skip..).unwrap_or_default());
    }

    /// Eight bytes whatever the value, to be patched later.
    pub(crate) fn uint8(&mut self, id: u32, value: u64) {
        self.binary(id, &value.to_be_bytes());
    }

    pub(crate) fn float(&mut self, id: u32, value: f64) {
        self.binary(id, &value.to_be_bytes());
    }

    pub(crate) fn master(&mut self, id: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::new();
        fill(&mut inner);
        self.binary(id, &inner.0);
    }

    /// Empty space of exactly `total` bytes, at least 2.
    pub(crate) fn void(&mut self, total: usize) {
        self.0.push(0xEC);
        if total < 10 {
            self.0.push(0x80 | (total.saturating_sub(2) as u8));
            self.0.resize(self.0.len() + total.saturating_sub(2), 0);
        } else {
            let inner = (total - 9) as u64;
            self.0.extend((inner | (1 << 56)).to_be_bytes());
            self.0.resize(self.0.len() + total - 9, 0);
        }
    }
}

/// Several packets in one, as `CodecPrivate` holds the headers of Vorbis and Theora.
pub(crate) fn xiph_lace(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![packets.len().saturating_sub(1) as u8];
    for packet in packets.iter().take(packets.len().saturating_sub(1)) {
        out.extend(std::iter::repeat_n(255, packet.len() / 255));
        out.push((packet.len() % 255) as u8);
    }
    packets.iter().for_each(|p| out.extend_from_slice(p));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_as_few_bytes_as_they_can_and_never_mean_unknown() {
        for (size, bytes) in [(0, &[0x80][..]), (126, &[0xFE]), (127, &[0x40, 127]), (500, &[0x41, 0xF4])] {
            let mut e = Ebml::new();
            e.size(size);
            assert_eq!(e.0, bytes, "{size}");
        }
    }

    #[test]
    fn empty_space_is_as_long_as_asked() {
        for total in [2, 9, 10, 12, 300] {
            let mut e = Ebml::new();
            e.void(total);
            assert_eq!(e.0.len(), total);
        }
    }

    #[test]
    fn laced_headers_tell_their_lengths() {
        assert_eq!(xiph_lace(&[vec![7; 256], vec![8], vec![9]])[..4], [2, 255, 1, 1]);
    }
}
