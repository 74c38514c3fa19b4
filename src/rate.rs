//! How often something may be done: so many times at once, and again as time passes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many at once, and one more each time that this has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) every: Duration,
}

impl Rate {
    /// The most that is ever owed.
    fn most(self) -> Duration {
        self.every * (self.burst + 1)
    }
}

/// When all that was let through will have been paid for: a token bucket in one number. Times count from any moment,
/// as long as it is always the same.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bucket(Duration);

impl Bucket {
    /// Whether one more may be let through. What nobody can owe is the work of a clock that was set back.
    pub(crate) fn may(self, now: Duration, rate: Rate) -> bool {
        let owed = self.0.saturating_sub(now);
        owed + rate.every <= rate.every * rate.burst || owed > rate.most()
    }

    /// Notes that one was let through.
    pub(crate) fn pay(&mut self, now: Duration, rate: Rate) {
        self.0 = (self.0.max(now) + rate.every).min(now + rate.most());
    }

    /// Whether nothing is owed any more.
    pub(crate) fn is_clean(self, now: Duration) -> bool {
        self.0 <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let rate = Rate { burst: 3, every: Duration::from_secs(10) };
        let (mut bucket, now) = (Bucket::default(), Duration::from_secs(1_000));
        for _ in 0..3 {
            assert!(bucket.may(now, rate));
            bucket.pay(now, rate);
        }
        assert!(!bucket.may(now, rate));
        assert!(!bucket.may(now + Duration::from_secs(9), rate));
        assert!(bucket.may(now + Duration::from_secs(10), rate));
        assert!(!bucket.is_clean(now + Duration::from_secs(29)));
        assert!(bucket.is_clean(now + Duration::from_secs(30)));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let rate = Rate { burst: 3, every: Duration::from_secs(10) };
        let (mut bucket, now) = (Bucket::default(), Duration::from_secs(100_000));
        for _ in 0..100 {
            bucket.pay(now, rate);
        }
        assert!(!bucket.may(now + Duration::from_secs(10), rate), "what was too much is owed, up to a bound");
        assert!(bucket.may(now + Duration::from_secs(20), rate));
        let back = now - Duration::from_secs(3600);
        assert!(bucket.may(back, rate));
        bucket.pay(back, rate);
        assert!(!bucket.may(back, rate), "and counting goes on from there");
        assert!(bucket.may(back + Duration::from_secs(20), rate));
    }
}
