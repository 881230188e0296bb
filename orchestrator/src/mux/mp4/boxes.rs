//! Writing boxes.

/// Boxes being put together in memory.
#[derive(Debug, Default)]
pub(super) struct Boxes(pub(super) Vec<u8>);

impl Boxes {
    pub(super) fn boxed(&mut self, kind: &[u8; 4], fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.u32(0);
        self.0.extend_from_slice(kind);
        fill(self);
        let size = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = self.0.get_mut(start..start + 4) {
            place.copy_from_slice(&size);
        }
    }

    pub(super) fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, fill: impl FnOnce(&mut Self)) {
        self.boxed(kind, |b| {
            b.u32(u32::from(version) << 24 | flags);
            fill(b);
        });
    }

    /// An MPEG-4 descriptor.
    pub(super) fn descriptor(&mut self, tag: u8, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        let size = inner.0.len();
        self.u8(tag);
        for shift in [21, 14, 7] {
            self.u8(((size >> shift) & 0x7F) as u8 | 0x80);
        }
        self.u8((size & 0x7F) as u8);
        self.0.extend(inner.0);
    }

    pub(super) fn bytes(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u24(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes().iter().skip(1));
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }
}
