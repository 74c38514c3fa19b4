//! How long datagrams stay in the server: a histogram of a few buckets, two to an octave.

use crate::units::Duration;

/// Upper bounds of the buckets, in microseconds; what is above the last counts only in the total.
pub const BOUNDS_US: [u64; 16] =
    [25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1_200, 1_600, 3_200, 6_400, 12_800, 25_600];

/// Turns that forwarded something, by the time from the arrival of the first datagram until all was handed to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many took at most the bound of this place, and more than that of the one before.
    pub buckets: [u64; BOUNDS_US.len()],
    /// How many there were.
    pub count: u64,
    /// What they took in all.
    pub sum_us: u64,
}

impl Latency {
    /// Notes one.
    pub(super) fn note(&mut self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.iter().position(|bound| took_us <= *bound);
        if let Some(bucket) = at.and_then(|at| self.buckets.get_mut(at)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(took_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_in_the_first_bucket_that_holds_it() {
        let mut latency = Latency::default();
        for us in [0, 25, 26, 25_600, 25_601] {
            latency.note(Duration::from_micros(us));
        }
        assert_eq!((latency.buckets[0], latency.buckets[1], latency.buckets[15]), (2, 1, 1));
        assert_eq!((latency.count, latency.sum_us), (5, 51_252));
        assert!(BOUNDS_US.is_sorted());
    }
}
