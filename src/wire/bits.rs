//! Readers for headers that are not made of whole bytes.

use crate::wire::Malformed;

/// Reads bytes from the front of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Bytes<'a> {
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, len: payload.len() }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// AV1 specification section 4.10.5, at most 32 bits.
    pub(super) fn leb128(&mut self) -> Result<usize, Malformed> {
        let mut value = 0u64;
        for shift in (0..56).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map(|v| v as usize).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    /// How many bytes were read.
    pub(super) const fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Reads bits from the highest of the first byte on.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    bit: u8,
    /// H.264 section 7.4.1.1: the third byte of `00 00 03` is no data.
    escaped: bool,
    zeros: u8,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bit: 0, escaped: false, zeros: 0 }
    }

    /// For a NAL unit, with emulation prevention bytes left out.
    pub(super) const fn of_nal(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bit: 0, escaped: true, zeros: 0 }
    }

    /// How many bits were read.
    pub(super) const fn position(&self) -> usize {
        self.at * 8 + self.bit as usize
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        let mut byte = *self.bytes.get(self.at).ok_or(Malformed)?;
        if self.bit == 0 && self.escaped {
            if self.zeros >= 2 && byte == 3 {
                self.at += 1;
                self.zeros = 0;
                byte = *self.bytes.get(self.at).ok_or(Malformed)?;
            }
            self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        }
        let set = byte & (0x80 >> self.bit) != 0;
        self.bit += 1;
        if self.bit == 8 {
            self.bit = 0;
            self.at += 1;
        }
        Ok(set)
    }

    /// An unsigned number of `count` bits, at most 32.
    pub(super) fn u(&mut self, count: u32) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    pub(super) fn skip(&mut self, count: u32) -> Result<(), Malformed> {
        for _ in 0..count {
            self.flag()?;
        }
        Ok(())
    }

    /// `ue(v)` of H.264 section 9.1, the same as `uvlc()` of AV1 section 4.10.3; at most 2^32 - 2.
    pub(super) fn ue(&mut self) -> Result<u32, Malformed> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(Malformed);
            }
        }
        let offset = self.u(zeros)?;
        Ok(((1u64 << zeros) - 1 + u64::from(offset)) as u32)
    }

    /// `se(v)` of H.264 section 9.1.1.
    pub(super) fn se(&mut self) -> Result<i32, Malformed> {
        let k = i64::from(self.ue()?);
        let value = if k % 2 == 0 { -(k / 2) } else { k / 2 + 1 };
        i32::try_from(value).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes() {
        // 1 | 010 | 011 | 00100 | 00101, then padding: 0 1 2 3 4.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([bits.ue(), bits.ue(), bits.ue(), bits.ue(), bits.ue()], [0, 1, 2, 3, 4].map(Ok));
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([bits.se(), bits.se(), bits.se(), bits.se(), bits.se()], [0, 1, -1, 2, -2].map(Ok));
        assert_eq!(Bits::new(&[0; 16]).ue(), Err(Malformed));
    }

    #[test]
    fn emulation_prevention_is_left_out() {
        let mut bits = Bits::of_nal(&[0, 0, 3, 1, 0, 0, 3]);
        assert_eq!(bits.u(24), Ok(1));
        assert_eq!(bits.u(16), Ok(0));
        assert_eq!(bits.u(8), Err(Malformed));
    }

    #[test]
    fn leb128_is_bounded() {
        assert_eq!(Bytes::new(&[0xe5, 0x8e, 0x26]).leb128(), Ok(624_485));
        assert_eq!(Bytes::new(&[0xff; 12]).leb128(), Err(Malformed));
        assert_eq!(Bytes::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).leb128(), Err(Malformed));
        assert_eq!(Bytes::new(&[0x80]).leb128(), Err(Malformed));
    }
}
