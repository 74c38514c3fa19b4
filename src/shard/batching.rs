//! Letting batches grow while a shard is busy.
//!
//! What a send costs hardly depends on how many packets of one viewer it carries, so a busy shard saves by waiting a little for
//! more to come. Ordinarily it waits for nothing. Only while it works for more than [`BUSY`] of its time does it leave
//! what comes in the sockets, at most until [`MOST`] have passed since the first of it came.

use crate::units::{Duration, Instant};

/// How often it is measured how busy the shard is.
const EVERY: Duration = Duration::from_millis(100);
/// Above this many percent it waits longer than before ...
const BUSY: u128 = 70;
/// ... and below this many less, so that it waits no longer than brings it here.
const EASED: u128 = 60;
/// By this much.
const STEP: Duration = Duration::from_micros(500);
/// The longest that any packet waits for others.
const MOST: Duration = Duration::from_millis(2);
/// Who waited for longer than this for something to come was idle: nothing had come before.
const IDLE: Duration = Duration::from_micros(50);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Batching {
    measured: Instant,
    /// Processor time that the shard had used then.
    worked: Duration,
    delay: Duration,
}

impl Batching {
    /// Whether [`Batching::measure`] is to be called.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.since(self.measured) >= EVERY
    }

    /// The shard has used so much processor time since it began.
    pub(super) fn measure(&mut self, now: Instant, worked: Duration) {
        let passed = now.since(self.measured).as_micros().max(1);
        let share = worked.saturating_sub(self.worked).as_micros() * 100 / passed;
        (self.measured, self.worked) = (now, worked);
        if share > BUSY {
            self.delay = (self.delay + STEP).min(MOST);
        } else if share < EASED {
            self.delay = self.delay.saturating_sub(STEP);
        }
    }

    /// Whether anything waits at all.
    pub(super) const fn is_on(&self) -> bool {
        !self.delay.is_zero()
    }

    /// How long to leave in the sockets what has come. They were emptied at `emptied`; the shard began to wait at `began` and
    /// something was there at `came`. Whatever is to be done by `due` does not wait.
    pub(super) fn hold(&self, emptied: Instant, began: Instant, came: Instant, due: Instant) -> Duration {
        let first = if came.since(began) > IDLE { came } else { emptied };
        (first + self.delay).min(due).since(came)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// A shard with so many percent of work for `seconds`; what it then lets wait.
    fn after(batching: &mut Batching, percent: u64, seconds: u64) -> Duration {
        for _ in 0..seconds * 10 {
            let (now, worked) = (batching.measured + EVERY, batching.worked);
            assert!(batching.is_due(now) && !batching.is_due(now - STEP));
            batching.measure(now, worked + Duration::from_millis(percent));
        }
        batching.hold(ms(0), ms(1000), ms(2000), Instant::NEVER)
    }

    #[test]
    fn nothing_waits_until_the_shard_is_busy_and_then_two_milliseconds_at_most() {
        let mut batching = Batching::default();
        assert_eq!(after(&mut batching, 70, 60), Duration::ZERO);
        assert!(!batching.is_on());
        assert!(after(&mut batching, 71, 1) > Duration::ZERO);
        assert_eq!(after(&mut batching, 100, 60), MOST);
        assert_eq!(after(&mut batching, 65, 60), MOST, "it is what keeps the shard there");
        assert_eq!(after(&mut batching, 59, 1), Duration::ZERO);
    }

    #[test]
    fn what_came_while_the_shard_worked_has_waited_already() {
        let mut batching = Batching::default();
        after(&mut batching, 100, 1);
        // The sockets were empty when it began to wait: what ended the wait came just then.
        assert_eq!(batching.hold(ms(10), ms(11), ms(20), Instant::NEVER), MOST);
        // It did not have to wait: the first of it may have come any time since they were emptied.
        assert_eq!(batching.hold(ms(10), ms(11), ms(11), Instant::NEVER), Duration::from_millis(1));
        assert_eq!(batching.hold(ms(10), ms(15), ms(15), Instant::NEVER), Duration::ZERO);
        // Deadlines are kept.
        assert_eq!(batching.hold(ms(10), ms(11), ms(20), ms(21)), Duration::from_millis(1));
        assert_eq!(batching.hold(ms(10), ms(11), ms(20), ms(20)), Duration::ZERO);
    }
}
