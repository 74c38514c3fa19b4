//! Absolute capture time: when the first picture or sound of a packet was captured, by the clock of who captured it, so
//! that both can be put in step behind systems that end RTCP.

/// What an element says, as it travels: an NTP time, and how far the capturing clock is ahead of the sender's, in 2^-32 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureTime {
    /// When it was captured, by the capturing clock.
    pub ntp: u64,
    /// The capturing clock less the sender's; `None` in the short form, where the sender does not know.
    pub clock_offset: Option<i64>,
}

impl CaptureTime {
    /// Reads the value of an element.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (ntp, rest) = value.split_first_chunk()?;
        let clock_offset = match rest {
            [] => None,
            _ => Some(i64::from_be_bytes(*rest.as_array()?)),
        };
        Some(Self { ntp: u64::from_be_bytes(*ntp), clock_offset })
    }

    /// What a system says that passes it on, and whose clock is ahead of the sender's by so many microseconds: the
    /// sender's own offset, taken against our clock. A sender that tells none is the one that captured.
    pub const fn passed_on(self, ahead_us: i64) -> Self {
        let ahead = ((ahead_us as i128) << 32) / 1_000_000;
        let before = match self.clock_offset {
            Some(offset) => offset,
            None => 0,
        };
        Self { clock_offset: Some(before.wrapping_sub(ahead as i64)), ..self }
    }

    /// The value to write, in the long form.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (ntp, offset) = bytes.split_at_mut(8);
        ntp.copy_from_slice(&self.ntp.to_be_bytes());
        offset.copy_from_slice(&self.clock_offset.unwrap_or(0).to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_passes_it_on_tells_the_offset_from_its_own_clock() {
        let captured = CaptureTime::read(&[0, 0, 0, 9, 0x80, 0, 0, 0]).expect("the short form");
        assert_eq!(captured, CaptureTime { ntp: 9 << 32 | 1 << 31, clock_offset: None });
        // Our clock is 1.5 s ahead of the capturing one, so that one is 1.5 s behind ours.
        let passed = captured.passed_on(1_500_000);
        assert_eq!(passed.clock_offset, Some(-(3 << 31)));
        assert_eq!(CaptureTime::read(&passed.bytes()), Some(passed));
        // Another system, half a second behind us.
        assert_eq!(passed.passed_on(-500_000).clock_offset, Some(-(1 << 32)));
        assert_eq!(CaptureTime::read(&[0; 9]), None);
        assert_eq!(CaptureTime::read(&[0; 7]), None);
    }
}
