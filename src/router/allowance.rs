//! How many reports are taken from a peer. A browser sends some twenty a second, and some hundred where much is lost; each may
//! report on hundreds of packets, so a peer that sends as many as it can would cost more than all others together.

use crate::units::{Duration, Instant};

/// One more is taken each time that this has passed ...
const EVERY: Duration = Duration::from_millis(2);
/// ... and so many at once.
const BURST: u32 = 200;

/// See the module. When all that was taken will have been paid for.
#[derive(Debug, Default)]
pub(crate) struct Allowance(Instant);

impl Allowance {
    /// Whether one more is taken; it is then.
    pub(crate) fn takes(&mut self, now: Instant) -> bool {
        let owed = self.0.max(now);
        let takes = owed.since(now) < EVERY * BURST;
        if takes {
            self.0 = owed + EVERY;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_at_once_and_five_hundred_a_second() {
        let mut allowance = Allowance::default();
        let now = Instant::from_millis(1000);
        assert_eq!((0..1000).filter(|_| allowance.takes(now)).count(), 200);
        let later = (1000..6000).filter(|ms| (0..20).any(|_| allowance.takes(Instant::from_millis(*ms))));
        assert_eq!(later.count(), 2500);
        assert_eq!((0..1000).filter(|_| allowance.takes(Instant::from_millis(60_000))).count(), 200);
    }
}
