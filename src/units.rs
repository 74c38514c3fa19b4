//! Time, rates and sizes that cannot be confused and cannot panic.
//!
//! The core never reads a clock: whoever turns a loop reads it once and hands an [`Instant`] down.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};
pub use std::time::Duration;

/// A point in monotonic time, in microseconds since an epoch of the caller's choice.
///
/// Subtraction saturates: a late packet or a clock that stands still never panics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Instant(u64);

impl Instant {
    /// The epoch.
    pub const ZERO: Self = Self(0);
    /// Later than every other instant: "no timer".
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `us` microseconds after the epoch.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// The instant `ms` milliseconds after the epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time since `earlier`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A rate in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bitrate(u64);

impl Bitrate {
    /// No bits at all.
    pub const ZERO: Self = Self(0);
    /// No limit.
    pub const MAX: Self = Self(u64::MAX);

    /// A rate of `bps` bits per second.
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// A rate of `kbps` thousand bits per second.
    pub const fn from_kbps(kbps: u64) -> Self {
        Self(kbps.saturating_mul(1000))
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// The rate at which `bytes` pass in `over`; zero when `over` is zero.
    pub fn of(bytes: u64, over: Duration) -> Self {
        let us = over.as_micros();
        if us == 0 {
            return Self::ZERO;
        }
        let bps = u128::from(bytes).saturating_mul(8_000_000) / us;
        Self(u64::try_from(bps).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kbit/s", self.0 / 1000)
    }
}

/// Width and height of a picture or of a tile, in device pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PictureSize {
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
}

impl PictureSize {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u16, height: u16) -> Self {
        Self { width, height }
    }

    /// Whether it is no larger than `most`, lying or standing.
    pub const fn is_within(self, most: Self) -> bool {
        let (long, short) = self.sides();
        let (most_long, most_short) = most.sides();
        long <= most_long && short <= most_short
    }

    const fn sides(self) -> (u16, u16) {
        if self.width > self.height { (self.width, self.height) } else { (self.height, self.width) }
    }

    /// Number of pixels.
    pub const fn area(self) -> u32 {
        self.width as u32 * self.height as u32
    }
}

impl fmt::Display for PictureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtraction_saturates() {
        let early = Instant::from_millis(1);
        let late = Instant::from_millis(3);
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
    }

    #[test]
    fn a_rate_is_bytes_over_time() {
        assert_eq!(Bitrate::of(125_000, Duration::from_secs(1)), Bitrate::from_kbps(1000));
        assert_eq!(Bitrate::of(1, Duration::ZERO), Bitrate::ZERO);
    }
}
