//! Layers that nobody watches rest at the source, and are there again soon after somebody wants them.
//!
//! 1. Open: the publisher sends the layer, or would if it could.
//! 2. Unwatched for a while, it is told to rest. It falls silent, and can be had on demand: who would choose it wishes for
//!    it, and gets what arrives meanwhile.
//! 3. Waking: the publisher is told to send it again. Once it arrives it is open and chosen like any other; if it does
//!    not, nobody waits for it any longer.

use crate::units::{Duration, Instant};

/// Unwatched for so long a layer rests: encoders that start and stop all the time serve nobody.
const REST_AFTER: Duration = Duration::from_secs(4);
/// A publisher that could not bring a layer back in this time has no bandwidth or no time for it.
const WAKE_WITHIN: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Resting,
    Waking(Instant),
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    state: State,
    unwatched: Option<Instant>,
    wished: bool,
}

impl Demand {
    /// Whether it can be had though it does not arrive.
    pub(crate) fn can_be_had(&self) -> bool {
        self.state != State::Open
    }

    /// Somebody would choose it.
    pub(crate) const fn wish(&mut self) {
        self.wished = true;
    }

    pub(crate) const fn wished(&self) -> bool {
        self.wished
    }

    /// Whether the publisher shall send it.
    pub(crate) fn active(&self) -> bool {
        self.state != State::Resting
    }

    /// Lets time pass where the publisher is. `watched`: by anybody, on any shard; `live`: it arrives. True if whether it
    /// can be had changed.
    pub(crate) fn tend(&mut self, now: Instant, watched: bool, live: bool) -> bool {
        let before = self.can_be_had();
        let needed = watched || self.wished;
        match self.state {
            State::Open if needed || !live => self.unwatched = None,
            State::Open => {
                let unwatched = *self.unwatched.get_or_insert(now);
                if now.since(unwatched) >= REST_AFTER {
                    self.state = State::Resting;
                }
            }
            State::Resting if needed => self.state = State::Waking(now),
            State::Resting => {}
            State::Waking(since) if live || now.since(since) >= WAKE_WITHIN => *self = Self::default(),
            State::Waking(_) => {}
        }
        before != self.can_be_had()
    }

    /// What the publisher's shard says of it.
    pub(crate) fn told(&mut self, can_be_had: bool, live: bool) {
        self.state = if can_be_had { State::Resting } else { State::Open };
        self.wished &= can_be_had && !live;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwatched_it_rests_and_wakes_when_wished_for() {
        let at = Instant::from_millis;
        let mut demand = Demand::default();
        assert!(!demand.tend(at(0), true, true) && !demand.tend(at(100), false, true));
        assert!(!demand.tend(at(4000), false, true) && demand.active());
        assert!(demand.tend(at(4100), false, true) && !demand.active());
        assert!(!demand.tend(at(9000), false, false));
        demand.wish();
        assert!(!demand.tend(at(9100), false, false) && demand.active() && demand.can_be_had());
        assert!(demand.tend(at(9600), false, true) && !demand.can_be_had() && !demand.wished());
    }

    #[test]
    fn what_does_not_wake_is_not_waited_for() {
        let at = Instant::from_millis;
        let mut demand = Demand::default();
        demand.tend(at(0), false, true);
        demand.tend(at(4000), false, true);
        demand.wish();
        demand.tend(at(5000), false, false);
        assert!(!demand.tend(at(7900), false, false) && demand.tend(at(8000), false, false));
        assert!(demand.active() && !demand.can_be_had() && !demand.wished());
        // Before it arrived once more it is not put to rest.
        demand.tend(at(9000), false, false);
        demand.tend(at(60_000), false, false);
        assert!(!demand.can_be_had());
    }
}
