//! Reading and writing big-endian numbers without a way to fail loudly.

/// The byte at `at`.
pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// `N` bytes from `at` on.
pub(super) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Two bytes from `at` on.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_be_bytes)
}

/// Three bytes from `at` on.
pub(super) fn u24_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
}

/// Four bytes from `at` on.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_be_bytes)
}

/// Eight bytes from `at` on.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_be_bytes)
}

/// A buffer that is filled from the front; whatever does not fit is `None`.
#[derive(Debug)]
pub(super) struct Out<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> Out<'a> {
    /// Fills `buf` from `len` on.
    pub(super) const fn new(buf: &'a mut [u8], len: usize) -> Self {
        Self { buf, len }
    }

    /// Bytes written, with those before the start.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What was written, with what was before the start.
    pub(super) fn written(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }

    /// Appends `bytes`.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.buf.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// Appends one byte.
    pub(super) fn u8(&mut self, value: u8) -> Option<()> {
        self.put(&[value])
    }

    /// Appends two bytes.
    pub(super) fn u16(&mut self, value: u16) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    /// Appends four bytes.
    pub(super) fn u32(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    /// Appends zeros up to a multiple of four bytes since `start`.
    pub(super) fn align(&mut self, start: usize) -> Option<()> {
        while !self.len.wrapping_sub(start).is_multiple_of(4) {
            self.u8(0)?;
        }
        Some(())
    }

    /// Overwrites two bytes that were written before.
    pub(super) fn set_u16(&mut self, at: usize, value: u16) -> Option<()> {
        self.buf.get_mut(at..at.checked_add(2)?)?.copy_from_slice(&value.to_be_bytes());
        Some(())
    }
}
