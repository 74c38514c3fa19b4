//! How long a publisher takes to answer: what is asked for is asked for again when the answer is overdue (RFC 6298
//! section 2, with less caution, as asking too soon costs one packet).

use crate::units::{Duration, Instant};

/// Assumed before one was measured.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(1);
/// Asking again sooner than this would only ask twice.
const MIN_AGAIN: Duration = Duration::from_millis(20);
/// An answer waits for the next turn, here and there.
const SLACK: Duration = Duration::from_millis(4);

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    /// Mean and mean deviation.
    smooth: Option<(Duration, Duration)>,
}

impl RoundTrip {
    /// What was asked for then came now.
    pub(crate) fn note(&mut self, asked: Instant, now: Instant) {
        let sample = now.since(asked).min(MOST);
        self.smooth = Some(match self.smooth {
            None => (sample, sample / 4),
            Some((mean, deviation)) => ((mean * 7 + sample) / 8, (deviation * 3 + mean.abs_diff(sample)) / 4),
        });
    }

    /// When to ask again.
    pub(crate) fn again(&self) -> Duration {
        let (mean, deviation) = self.smooth.unwrap_or((FIRST, Duration::ZERO));
        (mean + SLACK + deviation * 2).max(MIN_AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_steady_is_waited_for_no_longer_than_needed() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.again(), Duration::from_millis(104));
        for n in 0..50 {
            let asked = Instant::from_millis(n * 1000);
            round_trip.note(asked, asked + Duration::from_millis(80));
        }
        assert!((84..=86).contains(&round_trip.again().as_millis()), "{:?}", round_trip.again());
        for n in 50..100 {
            let asked = Instant::from_millis(n * 1000);
            round_trip.note(asked, asked + Duration::from_millis(60 + n % 2 * 40));
        }
        assert!((110..=130).contains(&round_trip.again().as_millis()), "{:?}", round_trip.again());
    }
}
