//! Playout delay: bounds on how long the receiver may hold pictures back.

use crate::units::Duration;

const UNIT_MS: u16 = 10;
const LARGEST: u16 = 0xfff;

/// Least and most delay from capture to screen, in steps of 10 ms up to 40.95 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    min: u16,
    max: u16,
}

impl PlayoutDelay {
    /// Bounds, rounded down to what travels and cut at its limit; `max` is at least `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let steps =
            |d: Duration| u16::try_from(d.as_millis() / u128::from(UNIT_MS)).unwrap_or(LARGEST).min(LARGEST);
        let min = steps(min);
        Self { min, max: steps(max).max(min) }
    }

    /// The least delay.
    pub fn min(self) -> Duration {
        Duration::from_millis(u64::from(self.min) * u64::from(UNIT_MS))
    }

    /// The most delay.
    pub fn max(self) -> Duration {
        Duration::from_millis(u64::from(self.max) * u64::from(UNIT_MS))
    }

    /// Reads the value of an element; bounds that contradict each other are none.
    pub const fn read(value: &[u8]) -> Option<Self> {
        let [a, b, c] = *value else { return None };
        let min = (a as u16) << 4 | (b as u16) >> 4;
        let max = (b as u16 & 0xf) << 8 | c as u16;
        if min > max {
            return None;
        }
        Some(Self { min, max })
    }

    /// The value to write.
    pub const fn bytes(self) -> [u8; 3] {
        [(self.min >> 4) as u8, (self.min << 4) as u8 | (self.max >> 8) as u8, self.max as u8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_travel_in_steps_and_are_cut() {
        let delay = PlayoutDelay::new(Duration::from_millis(123), Duration::from_secs(100));
        assert_eq!((delay.min(), delay.max()), (Duration::from_millis(120), Duration::from_millis(40_950)));
        assert_eq!(delay.bytes(), [0x00, 0xcf, 0xff]);
        assert_eq!(PlayoutDelay::read(&delay.bytes()), Some(delay));
    }

    #[test]
    fn contradicting_bounds_are_none() {
        assert_eq!(PlayoutDelay::read(&[0xff, 0xf0, 0x00]), None);
        assert_eq!(PlayoutDelay::read(&[0, 0]), None);
    }
}
