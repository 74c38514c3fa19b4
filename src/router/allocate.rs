//! What each stream of one viewer may cost, so that together they fit what its link carries.
//!
//! Sound is paid first. Then two passes over the pictures: everyone something, by rank; then upgrades, by rank, and
//! among equals one step each in turn. What a slot sends already it keeps as long as the budget of this moment pays
//! for it. More than that it gets only when what was there at the least of late leaves some room beyond, and, where
//! bandwidth was what held it back, not too soon after something had to be taken back: how soon grows with each
//! upgrade that did not last.
//!
//! Who would get no picture at all gets the benefit of the doubt: what is not sent teaches the estimate nothing.

use serde::{Deserialize, Serialize};

use super::event::Why;
use super::target::Rungs;
use crate::units::{Bitrate, Duration, Instant};

/// An upgrade must leave one in so many of what is used then.
const HEADROOM: u64 = 10;
/// Where one in so many is left besides, nothing has to be proven first.
const AMPLE: u64 = 2;
/// The only picture may cost so much of the budget more than there is, while nothing on the way speaks against it.
const DOUBT: u64 = 4;
/// A keyframe that takes longer freezes the picture that it is to improve.
const OPENS_WITHIN_MS: u64 = 150;
/// How long after something was taken back nothing more is given: at first, ...
const HOLD: Duration = Duration::from_secs(2);
/// ... and at the most, after upgrades that did not last.
const MAX_HOLD: Duration = Duration::from_secs(32);
/// A budget counts for upgrades by its least in the last of these parts of the hold, and in the one before.
const PROVEN_PARTS: u32 = 4;
/// Between two upgrades: the estimate shall show what the first one does.
const BETWEEN: Duration = Duration::from_millis(500);
/// An upgrade that is taken back within this time did not last; one that does halves the hold.
const LASTS: Duration = Duration::from_secs(10);
/// A budget that moved by less than one in so many is not worth the work, unless it no longer pays what is sent.
const WORTH: u64 = 32;
/// How often the budget is given out in any case: rates change, and holds end.
const OLD: Duration = Duration::from_millis(900);

/// What one slot would like, and what it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// Which slot.
    pub(crate) slot: u16,
    /// Higher ones are served first ...
    pub(crate) priority: u8,
    /// ... of these whose people talk ...
    pub(crate) talking: bool,
    /// ... and of these the larger tiles.
    pub(crate) area: u32,
    pub(crate) rungs: Rungs,
    /// The best rung for it, of `rungs`.
    pub(crate) wanted: usize,
    /// Why no better one.
    pub(crate) why: Why,
    /// The rung it has now.
    pub(crate) now: Option<usize>,
    /// Whether bandwidth kept it from more at the last time.
    pub(crate) limited: bool,
    /// The rung it gets.
    pub(crate) given: Option<usize>,
}

impl Ask {
    fn rate(&self, rung: Option<usize>) -> u64 {
        rung.and_then(|at| self.rungs.get(at)).map_or(0, |rung| rung.rate.as_bps())
    }

    /// The best of its cheapest rungs, up to one.
    fn least(&self, most: usize) -> usize {
        (0..=most).rev().min_by_key(|at| self.rate(Some(*at))).unwrap_or(0)
    }

    /// The rung that it has and still wants.
    fn kept(&self) -> Option<usize> {
        self.now.map(|now| now.min(self.wanted))
    }

    fn class(&self) -> (u8, bool) {
        (self.priority, self.talking)
    }

    fn rank(&self) -> impl Ord + use<> {
        let Self { priority, talking, area, slot, .. } = *self;
        (u8::MAX - priority, !talking, u32::MAX - area, slot)
    }
}

/// What can be spent in one round.
struct Purse {
    used: u64,
    /// For what is sent already.
    keep: u64,
    /// For more than that.
    more: u64,
    /// For the only picture.
    only: u64,
    /// Whether those that bandwidth held back may have more now: of what is proven, or where there is ample.
    released: bool,
    rested: bool,
}

impl Purse {
    /// Whether a slot may go from one rung to another.
    fn pays(&self, ask: &Ask, from: Option<usize>, to: usize) -> bool {
        let after = self.used.saturating_sub(ask.rate(from)).saturating_add(ask.rate(Some(to)));
        if ask.now.is_some_and(|now| to <= now) {
            return after <= self.keep;
        }
        if !self.opens(ask, to, after) {
            return false;
        }
        let leaves = |part: u64| after.saturating_add(after / part);
        let proven = leaves(HEADROOM) <= self.more;
        if ask.limited {
            self.released && proven || self.rested && leaves(AMPLE) <= self.keep
        } else {
            proven
        }
    }

    /// Whether a slot may go from nothing to a rung: if no other has a picture, it is given the benefit of the doubt, but not
    /// while it lately failed to last.
    fn begins(&self, ask: &Ask, to: usize, alone: bool) -> bool {
        let tried = ask.now.is_some() || !ask.limited || self.released;
        let after = self.used.saturating_add(ask.rate(Some(to)));
        self.pays(ask, None, to) || alone && tried && after <= self.only
    }

    /// Whether the keyframe with which a better picture begins is through, beside the others, before anybody sees that the
    /// one before stands still.
    fn opens(&self, ask: &Ask, to: usize, after: u64) -> bool {
        let layer = |at: usize| ask.rungs.get(at).map(|rung| rung.target.layer);
        let opening = ask.rungs.get(to).map_or(0, |rung| u64::from(rung.opening) * 8);
        let goes_over = ask.now.is_some_and(|now| layer(now) != layer(to));
        let others = after.saturating_sub(ask.rate(Some(to)));
        !goes_over || opening <= self.keep.saturating_sub(others) / 1000 * OPENS_WITHIN_MS
    }

    fn give(&mut self, ask: &mut Ask, rung: usize) {
        if ask.limited && ask.now.is_some_and(|now| rung > now) {
            // One at a time: what it does shall be seen first.
            (self.released, self.rested) = (false, false);
        }
        self.used = self.used.saturating_sub(ask.rate(ask.given)).saturating_add(ask.rate(Some(rung)));
        ask.given = Some(rung);
    }

    /// One step up for a slot, to no rung beyond `most`.
    fn step(&mut self, ask: &mut Ask, most: usize) -> bool {
        let Some(from) = ask.given else { return false };
        let next = (from + 1..=most).find(|to| self.pays(ask, ask.given, *to));
        next.is_some_and(|to| {
            self.give(ask, to);
            true
        })
    }
}

/// What is remembered of one viewer from one time to the next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Allocation {
    /// The least budget since `since`, and in the stretch before.
    least: u64,
    least_before: u64,
    since: Instant,
    /// No upgrade of what bandwidth held back before this.
    up_after: Instant,
    /// Nor, where there is ample, before this.
    rest_until: Instant,
    hold: Duration,
    upgraded: Option<Instant>,
    /// When, and what budget, was given out last.
    given: Instant,
    budget: Option<Bitrate>,
    /// What is sent of it.
    used: Bitrate,
    /// Whether the way shows neither queue nor losses.
    clear: bool,
}

impl Allocation {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            least: u64::MAX,
            least_before: u64::MAX,
            since: now,
            up_after: Instant::ZERO,
            rest_until: Instant::ZERO,
            hold: HOLD,
            upgraded: None,
            given: Instant::ZERO,
            budget: None,
            used: Bitrate::ZERO,
            clear: false,
        }
    }

    /// Whether the way shows neither queue nor losses, so that the budget may be less than it carries.
    pub(crate) const fn way_is(&mut self, clear: bool) {
        self.clear = clear;
    }

    /// Whether the budget changed by enough to give it out anew.
    pub(crate) fn is_due(&self, budget: Option<Bitrate>) -> bool {
        match (self.budget, budget) {
            (Some(before), Some(now)) => {
                now < self.used || before.as_bps().abs_diff(now.as_bps()) * WORTH > before.as_bps()
            }
            (before, now) => before != now,
        }
    }

    /// Whether rates may have changed by enough to look again.
    pub(crate) fn is_old(&self, now: Instant) -> bool {
        now.since(self.given) >= OLD
    }

    /// Gives each slot its rung. Returns the budget of which each would get what it wants.
    pub(crate) fn give_out(
        &mut self,
        now: Instant,
        budget: Option<Bitrate>,
        sound: Bitrate,
        asks: &mut [Ask],
    ) -> Bitrate {
        asks.sort_unstable_by_key(Ask::rank);
        let wanted = |ask: &Ask| ask.rate(Some(ask.wanted));
        let all = asks.iter().map(wanted).fold(sound.as_bps(), u64::saturating_add);
        let keep = budget.map_or(u64::MAX, Bitrate::as_bps);
        let more = self.proven(now, keep);
        let released = now >= self.up_after;
        let rested = now >= self.rest_until;
        let only = if self.clear { keep.saturating_add(keep / DOUBT) } else { keep };
        let mut purse = Purse { used: sound.as_bps(), keep, more, only, released, rested };
        asks.iter_mut().for_each(|ask| ask.given = None);
        share(&mut purse, asks);
        self.remember(now, asks);
        (self.given, self.budget) = (now, budget);
        // What is sent beyond the budget, in doubt, is not to be looked at again for that.
        self.used = Bitrate::from_bps(if self.clear { purse.used.min(keep) } else { purse.used });
        Bitrate::from_bps(all.saturating_add(all / HEADROOM).saturating_add(all / WORTH))
    }

    /// The least budget of late.
    fn proven(&mut self, now: Instant, budget: u64) -> u64 {
        if now.since(self.since) >= self.hold / PROVEN_PARTS {
            self.least_before = std::mem::replace(&mut self.least, budget);
            self.since = now;
        }
        self.least = self.least.min(budget);
        self.least.min(self.least_before)
    }

    fn remember(&mut self, now: Instant, asks: &[Ask]) {
        let lowered = asks.iter().any(|ask| ask.given < ask.kept());
        let raised = asks.iter().any(|ask| ask.limited && ask.given > ask.now);
        if self.upgraded.is_some_and(|at| now.since(at) >= LASTS) {
            self.upgraded = None;
            self.hold = (self.hold / 2).max(HOLD);
        }
        if raised {
            self.upgraded = Some(now);
            self.up_after = self.up_after.max(now + BETWEEN);
            self.rest_until = now + BETWEEN;
        } else if lowered {
            if self.upgraded.take().is_some() {
                self.hold = (self.hold * 2).min(MAX_HOLD);
            }
            self.up_after = now + self.hold;
            self.rest_until = now + HOLD;
        }
    }
}

/// The two passes, over slots in the order of their rank.
fn share(purse: &mut Purse, asks: &mut [Ask]) {
    let mut alone = true;
    for ask in &mut *asks {
        let least = [Some(ask.wanted), ask.kept()].into_iter().flatten().map(|most| ask.least(most));
        if let Some(least) = least.into_iter().find(|least| purse.begins(ask, *least, alone)) {
            purse.give(ask, least);
            alone = false;
        }
    }
    for class in asks.chunk_by_mut(|a, b| a.class() == b.class()) {
        // What they have comes before more.
        while one_each(purse, class, |ask| ask.kept().unwrap_or(0)) {}
        while one_each(purse, class, |ask| ask.wanted) {}
    }
}

/// One step for each that can have one, up to the rung that `most` says. False: none could.
fn one_each(purse: &mut Purse, asks: &mut [Ask], most: impl Fn(&Ask) -> usize) -> bool {
    asks.iter_mut().filter(|ask| ask.given.is_some()).fold(false, |any, ask| {
        let most = most(ask);
        purse.step(ask, most) || any
    })
}

#[cfg(test)]
mod tests;
