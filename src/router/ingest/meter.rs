//! How much a layer costs of late: its bytes on the wire, smoothed over about a second.

use crate::units::{Bitrate, Duration, Instant};

/// What sealing adds to a packet.
const TAG: usize = 16;
/// How long bytes are gathered before they count.
const WINDOW: Duration = Duration::from_millis(250);
/// A first measurement takes longer: a stream begins with a keyframe.
const FIRST_WINDOW: Duration = Duration::from_millis(750);
/// A window's share of the smoothed rate is one in so many.
const WEIGHT: u64 = 4;
/// Others are told when the rate changed by more than one in so many.
const TOLD_APART: u64 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: u64,
    since: Option<Instant>,
    rate: Option<Bitrate>,
    told: Bitrate,
}

impl Meter {
    /// A packet of so many bytes came, unsealed.
    pub(crate) fn count(&mut self, now: Instant, bytes: usize) {
        self.since.get_or_insert(now);
        self.bytes += (bytes + TAG) as u64;
    }

    /// Nothing comes for now: the gap shall not count.
    pub(crate) const fn pause(&mut self) {
        (self.bytes, self.since) = (0, None);
    }

    /// Another shard measured.
    pub(crate) const fn set(&mut self, rate: Option<Bitrate>) {
        self.rate = rate;
    }

    pub(crate) const fn rate(&self) -> Option<Bitrate> {
        self.rate
    }

    /// Closes the window if it is over. True if the rate is far from what was last told.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        let Some(since) = self.since else { return false };
        let passed = now.since(since);
        if passed < if self.rate.is_some() { WINDOW } else { FIRST_WINDOW } {
            return false;
        }
        let sample = Bitrate::of(std::mem::take(&mut self.bytes), passed).as_bps();
        self.since = Some(now);
        let rate = self.rate.map_or(sample, |rate| (rate.as_bps() * (WEIGHT - 1) + sample) / WEIGHT);
        self.rate = Some(Bitrate::from_bps(rate));
        let far = rate.abs_diff(self.told.as_bps()) * TOLD_APART > self.told.as_bps();
        if far {
            self.told = Bitrate::from_bps(rate);
        }
        far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of so many bytes, 25 a second, for a second; how often the change was to be told.
    fn second(meter: &mut Meter, from_ms: u64, bytes: usize) -> usize {
        let frames = (0..25).map(|n| Instant::from_millis(from_ms + n * 40));
        frames.filter(|now| (meter.count(*now, bytes - TAG), meter.tick(*now)).1).count()
    }

    #[test]
    fn a_rate_is_known_within_a_second_and_followed_within_three() {
        let mut meter = Meter::default();
        assert_eq!(second(&mut meter, 0, 5000), 1);
        let near = |meter: &Meter, kbps: u64| {
            meter.rate().is_some_and(|rate| rate.as_bps().abs_diff(kbps * 1000) < kbps * 80)
        };
        assert!(near(&meter, 1000), "{:?}", meter.rate());
        assert_eq!(second(&mut meter, 1000, 5000), 0, "nothing changed");
        (0..3).for_each(|n| _ = second(&mut meter, 2000 + n * 1000, 2500));
        assert!(meter.rate().is_some_and(|rate| rate.as_bps() < 640_000), "{:?}", meter.rate());
    }

    #[test]
    fn a_pause_does_not_count() {
        let mut meter = Meter::default();
        (0..3).for_each(|n| _ = second(&mut meter, n * 1000, 5000));
        let before = meter.rate();
        meter.pause();
        assert!(!meter.tick(Instant::from_millis(9000)));
        assert_eq!(meter.rate(), before);
    }
}
