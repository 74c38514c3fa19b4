//! Absolute send time: seconds in 24 bits, 6 of them before the point, so it wraps every 64 s.

use crate::units::{Duration, Instant};

/// When a packet left its sender, by the sender's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsSendTime(u32);

impl AbsSendTime {
    /// The time stamp of a packet that leaves `now`.
    pub const fn at(now: Instant) -> Self {
        // Whole seconds beyond 64 do not show, and without them the shift cannot overflow.
        let us = now.as_micros() % 64_000_000;
        Self((((us << 18) / 1_000_000) & 0xff_ffff) as u32)
    }

    /// Reads the value of an element.
    pub const fn read(value: &[u8]) -> Option<Self> {
        match value {
            [a, b, c] => Some(Self(u32::from_be_bytes([0, *a, *b, *c]))),
            _ => None,
        }
    }

    /// The value to write.
    pub const fn bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// Time from `earlier` to here, if that is less than 32 s; else it is zero, since `earlier` came later.
    pub const fn since(self, earlier: Self) -> Duration {
        let ahead = self.0.wrapping_sub(earlier.0) & 0xff_ffff;
        if ahead >= 1 << 23 {
            return Duration::ZERO;
        }
        Duration::from_micros((ahead as u64 * 1_000_000) >> 18)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_two_to_the_eighteen() {
        assert_eq!(AbsSendTime::at(Instant::from_millis(1000)).bytes(), [4, 0, 0]);
        assert_eq!(AbsSendTime::at(Instant::from_millis(64_500)).bytes(), [2, 0, 0]);
    }

    #[test]
    fn differences_pass_the_wrap() {
        let before = AbsSendTime::at(Instant::from_millis(63_900));
        let after = AbsSendTime::at(Instant::from_millis(64_100));
        let gap = after.since(before);
        assert!(gap.abs_diff(Duration::from_millis(200)) < Duration::from_micros(10), "{gap:?}");
        assert_eq!(before.since(after), Duration::ZERO);
    }

    #[test]
    fn what_is_written_is_read() {
        let at = AbsSendTime::at(Instant::from_micros(12_345_678));
        assert_eq!(AbsSendTime::read(&at.bytes()), Some(at));
        assert_eq!(AbsSendTime::read(&[1, 2]), None);
    }
}
