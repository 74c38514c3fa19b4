//! How fast packets arrive at the peer: rates over short windows, weighed by how surprising they are (as libwebrtc's
//! acknowledged bitrate estimator does).

use serde::{Deserialize, Serialize};

/// The first window, and the others.
const FIRST_US: i64 = 500_000;
const WINDOW_US: i64 = 150_000;
/// Stretches of arrivals: as long as a keyframe takes, about.
const STRETCH_US: i64 = 60_000;
/// A gap of this is the end of a stretch, not a rate of zero.
const GAP_US: i64 = 1_000_000;
/// How far a sample is doubted for each part by which it differs; more where little is sent, as that is bursty.
const DOUBT: f64 = 4.0;
const DOUBT_LIMITED: f64 = 12.0;

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Acknowledged {
    window_from: Option<i64>,
    last: i64,
    bytes: u64,
    /// In kbit/s, once the first window is over, and its variance.
    rate: Option<f64>,
    variance: f64,
    /// The stretch of arrivals in progress and the one before it: where they began, and their bytes.
    stretch: (i64, u64),
    before: (i64, u64),
}

impl Acknowledged {
    /// In bit/s.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate.map(|kbps| kbps * 1000.0)
    }

    /// What arrived just now, in bit/s: while the link is busy, what it carries.
    pub(super) fn recent(&self) -> f64 {
        let passed = self.last - self.before.0;
        if !(STRETCH_US..4 * STRETCH_US).contains(&passed) {
            return 0.0;
        }
        (self.before.1 + self.stretch.1) as f64 * 8e6 / passed as f64
    }

    /// Takes in a packet. `limited`: less is sent than could be.
    #[inline]
    pub(super) fn note(&mut self, arrival: i64, bytes: u16, limited: bool) {
        if !(0..STRETCH_US).contains(&(arrival - self.stretch.0)) {
            self.before = self.stretch;
            self.stretch = (arrival, 0);
        }
        self.stretch.1 += u64::from(bytes);
        let Some(from) = self.window_from else {
            (self.window_from, self.last, self.bytes) = (Some(arrival), arrival, 0);
            return;
        };
        if (arrival - self.last).abs() > GAP_US {
            (self.window_from, self.last, self.bytes) = (Some(arrival), arrival, 0);
            return;
        }
        self.last = self.last.max(arrival);
        self.bytes += u64::from(bytes);
        let passed = arrival - from;
        if passed >= if self.rate.is_some() { WINDOW_US } else { FIRST_US } {
            let sample = self.bytes as f64 * 8000.0 / passed as f64;
            (self.window_from, self.bytes) = (Some(arrival), 0);
            self.take(sample, limited);
        }
    }

    fn take(&mut self, sample: f64, limited: bool) {
        let Some(rate) = self.rate else {
            (self.rate, self.variance) = (Some(sample), 50.0);
            return;
        };
        let doubt = if limited && sample < rate { DOUBT_LIMITED } else { DOUBT };
        let uncertainty = doubt * (rate - sample).abs() / rate.max(1.0);
        let sample_variance = uncertainty * uncertainty;
        let prior = self.variance + 5.0;
        self.rate = Some((sample_variance * rate + prior * sample) / (sample_variance + prior));
        self.variance = sample_variance * prior / (sample_variance + prior);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_a_change_within_half_a_second() {
        let mut acknowledged = Acknowledged::default();
        for n in 0..1000 {
            acknowledged.note(n * 4000, 1000, false);
        }
        let before = acknowledged.rate().expect("known");
        assert!((1_900_000.0..2_100_000.0).contains(&before), "{before}");
        for n in 0..32 {
            acknowledged.note(4_000_000 + n * 16_000, 1000, false);
        }
        let after = acknowledged.rate().expect("known");
        assert!((450_000.0..750_000.0).contains(&after), "{after}");
    }

    #[test]
    fn silence_is_not_a_rate() {
        let mut acknowledged = Acknowledged::default();
        for n in 0..500 {
            acknowledged.note(n * 4000, 1000, false);
        }
        acknowledged.note(20_000_000, 1000, false);
        acknowledged.note(20_200_000, 1000, false);
        let rate = acknowledged.rate().expect("known");
        assert!(rate > 1_000_000.0, "{rate}");
    }
}
