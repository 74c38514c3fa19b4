//! The rate that the delay allows: up while it does not grow, down to what arrives when it does
//! (draft-ietf-rmcat-gcc-02 section 5.5).

use serde::{Deserialize, Serialize};

use super::LEAST;
use super::trend::Usage;
use crate::units::{Duration, Instant};

/// What is left of the rate that arrives when a queue builds up, so that it drains.
const BACK_OFF: f64 = 0.85;
/// Growth in a second far from the capacity of the link.
const GROWTH: f64 = 1.08;
/// The rate grows no further beyond what arrives: nothing shows that there is more room.
const BEYOND: f64 = 1.5;
const BEYOND_BPS: f64 = 50_000.0;
const BEYOND_CROWDED_BPS: f64 = 300_000.0;
/// Near the capacity it grows by a packet in a response time, but at least by so much in a second.
const PACKET_BITS: f64 = 9_600.0;
/// Beside another flow it grows by a packet in each round trip, as that does, and a loss leaves this share: what was lost
/// within so long, or two round trips, is one loss.
const LEAST_ROUND_TRIP: f64 = 0.1;
const SHARE: f64 = 0.7;
const SHARED_FOR: Duration = Duration::from_millis(500);
const LEAST_GROWTH_BPS: f64 = 4_000.0;
/// Less than this share of the rate is sent: what little arrives does not tell what the link carries ...
const LIMITED: f64 = 0.6;
/// ... unless the delay grows by so much of the time, or the queue is so long.
const STEEP: f32 = 0.1;
const LONG_MS: f32 = 80.0;
const FULL_MS: f32 = 100.0;
/// A queue no longer than this is none.
const CLEAR_MS: f32 = 25.0;
/// Who sends less than this share on the whole overused the link in a burst, which passes: what of it arrived, less a
/// little, is what the link carries.
const BURSTY: f64 = 0.8;
const ROOM: f64 = 0.95;

/// What is seen of the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) usage: Usage,
    /// By how much the delay grows with time, and how much it is now beyond the least.
    pub(super) slope: f32,
    pub(super) queue_ms: f32,
    /// What arrives on the whole, in bit/s, and what arrived just now.
    pub(super) arrives: Option<f64>,
    pub(super) recent: f64,
    pub(super) round_trip: Duration,
    /// Whether the queue is another's, and whether a packet was lost.
    pub(super) crowded: bool,
    pub(super) lost: bool,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Aimd {
    rate: Option<f64>,
    capacity: Capacity,
    /// The queue drains: wait.
    holds: bool,
    changed: Instant,
    shared: Instant,
}

impl Aimd {
    /// In bit/s; `None` until something is known.
    pub(super) const fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Something better than the rules tells: a probe, or the first rate that arrived.
    pub(super) fn set(&mut self, now: Instant, rate: f64) {
        self.rate = Some(rate.max(floor()));
        self.changed = now;
    }

    /// So much arrives, which is all that is known: unless there is a queue nothing shows that there is not more room.
    pub(super) fn begin(&mut self, now: Instant, arrives: f64, queue_ms: f32) {
        self.set(now, if queue_ms < CLEAR_MS { BEYOND * arrives + BEYOND_BPS } else { arrives });
    }

    /// A probe went through at this rate. The first one is what there was to send: unless it filled the link nothing shows
    /// that there is not more room, up to what is wanted.
    pub(super) fn probed(&mut self, now: Instant, rate: f64, wanted: f64, full: bool) {
        self.capacity.probed(rate);
        let first = self.rate.is_none() && !full;
        self.set(now, if first { rate.max(wanted.min(BEYOND * rate + BEYOND_BPS)) } else { rate });
    }

    /// Takes in what the delay does and how much arrives. True if the rate fell.
    pub(super) fn update(&mut self, now: Instant, seen: &Seen) -> bool {
        match (seen.usage, self.rate) {
            (_, Some(rate)) if seen.crowded && seen.lost => return self.share(now, rate, seen),
            (Usage::Over, _) => return self.decrease(now, seen),
            (Usage::Under, _) => self.holds = true,
            (Usage::Normal, None) => {}
            (Usage::Normal, Some(_)) if self.holds => (self.holds, self.changed) = (false, now),
            (Usage::Normal, Some(rate)) => self.increase(now, rate, seen),
        }
        false
    }

    /// Gives way to another flow as that does to this one.
    fn share(&mut self, now: Instant, rate: f64, seen: &Seen) -> bool {
        if now.since(self.shared) < (seen.round_trip * 2).max(SHARED_FOR) {
            return false;
        }
        (self.shared, self.changed) = (now, now);
        self.rate = Some((rate * SHARE).max(floor()));
        true
    }

    fn increase(&mut self, now: Instant, rate: f64, seen: &Seen) {
        let Some(arrives) = seen.arrives else { return };
        if self.capacity.is_below(arrives) {
            self.capacity = Capacity::default();
        }
        let beyond = if seen.crowded { BEYOND_CROWDED_BPS } else { BEYOND_BPS };
        let most = BEYOND * arrives + beyond;
        let passed = now.since(self.changed).as_secs_f64().min(1.0);
        self.changed = now;
        if rate >= most {
            return;
        }
        // What arrives without a queue is carried.
        let rate = if seen.queue_ms < CLEAR_MS { rate.max(arrives) } else { rate };
        let by = if seen.crowded {
            let round_trip = seen.round_trip.as_secs_f64().max(LEAST_ROUND_TRIP);
            PACKET_BITS / (round_trip * round_trip) * passed
        } else if self.capacity.is_known() {
            let response = (seen.round_trip.as_secs_f64() + 0.1) * 2.0;
            (PACKET_BITS / response).max(LEAST_GROWTH_BPS) * passed
        } else {
            rate * (GROWTH.powf(passed) - 1.0)
        };
        self.rate = Some((rate + by.max(1000.0 * passed)).min(most));
    }

    fn decrease(&mut self, now: Instant, seen: &Seen) -> bool {
        let Some(rate) = self.rate.or(seen.arrives) else { return false };
        let arrives = seen.arrives.unwrap_or(rate / 2.0);
        // Behind a queue this long the link was busy all the time.
        let full = seen.queue_ms >= FULL_MS && seen.recent > 0.0;
        let busy = if full { seen.recent } else { arrives.max(seen.recent) };
        // What was lowered takes a round trip to show.
        let wait = seen.round_trip.clamp(Duration::from_millis(10), Duration::from_millis(200));
        if self.rate.is_some() && now.since(self.changed) < wait && busy >= rate / 2.0 {
            return false;
        }
        let mut lowered = BACK_OFF * busy;
        if arrives < BURSTY * rate && seen.recent >= BACK_OFF * rate {
            lowered = ROOM * seen.recent;
        } else if busy < LIMITED * rate && seen.slope < STEEP && seen.queue_ms < LONG_MS {
            lowered = BACK_OFF * rate;
        }
        if lowered > rate
            && let Some(capacity) = self.capacity.estimate()
        {
            lowered = lowered.min(ROOM * rate).max(BACK_OFF * capacity);
        }
        if self.capacity.is_above(busy) {
            self.capacity = Capacity::default();
        }
        self.capacity.overused(busy);
        (self.holds, self.changed) = (true, now);
        let fell = lowered < rate;
        self.rate = Some(lowered.min(rate).max(floor()));
        fell
    }
}

const fn floor() -> f64 {
    LEAST.as_bps() as f64
}

/// What the link carries, learned from where it was overused: in kbit/s, and how far the samples lie apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Capacity {
    kbps: Option<f64>,
    deviation: f64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { kbps: None, deviation: 0.4 }
    }
}

impl Capacity {
    const fn is_known(&self) -> bool {
        self.kbps.is_some()
    }

    fn estimate(&self) -> Option<f64> {
        self.kbps.map(|kbps| kbps * 1000.0)
    }

    fn overused(&mut self, rate: f64) {
        self.take(rate / 1000.0, 0.05);
    }

    fn probed(&mut self, rate: f64) {
        self.take(rate / 1000.0, 0.5);
    }

    fn take(&mut self, sample: f64, weight: f64) {
        let before = self.kbps.unwrap_or(sample);
        let kbps = before + weight * (sample - before);
        self.kbps = Some(kbps);
        // Normalised, so that it serves at all rates.
        let error = (kbps - sample) * (kbps - sample) / kbps.max(1.0);
        self.deviation = (self.deviation + weight * (error - self.deviation)).clamp(0.4, 2.5);
    }

    /// Three standard deviations.
    fn reach(&self, kbps: f64) -> f64 {
        3.0 * (self.deviation * kbps).sqrt()
    }

    /// Whether so much arrived that the link carries more than was thought.
    fn is_below(&self, rate: f64) -> bool {
        self.kbps.is_some_and(|kbps| rate / 1000.0 > kbps + self.reach(kbps))
    }

    /// Whether it was overused at a rate so low that it carries less than was thought.
    fn is_above(&self, rate: f64) -> bool {
        self.kbps.is_some_and(|kbps| rate / 1000.0 < kbps - self.reach(kbps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(80);

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn seen(usage: Usage, slope: f32, arrives: f64) -> Seen {
        Seen {
            usage,
            slope,
            queue_ms: 30.0,
            arrives: Some(arrives),
            recent: 0.0,
            round_trip: RTT,
            crowded: false,
            lost: false,
        }
    }

    fn set(rate: f64) -> Aimd {
        let mut aimd = Aimd::default();
        aimd.set(at(0), rate);
        aimd
    }

    #[test]
    fn it_grows_by_some_percent_a_second_and_not_far_beyond_what_arrives() {
        let mut aimd = set(1e6);
        for n in 1..=20 {
            aimd.update(at(n * 50), &seen(Usage::Normal, 0.0, 1e6));
        }
        let after = aimd.rate().expect("set");
        assert!((1.07e6..1.09e6).contains(&after), "{after}");
        for n in 21..=2000 {
            aimd.update(at(n * 50), &seen(Usage::Normal, 0.0, 1e6));
        }
        assert_eq!(aimd.rate(), Some(1.55e6));
    }

    #[test]
    fn sending_little_does_not_lower_it() {
        let mut aimd = set(4e6);
        for n in 1..=2000 {
            aimd.update(at(n * 50), &seen(Usage::Normal, 0.0, 1e5));
        }
        assert_eq!(aimd.rate(), Some(4e6));
    }

    #[test]
    fn overuse_lowers_it_to_less_than_arrives_and_then_it_grows_slowly() {
        let mut aimd = set(3e6);
        assert!(aimd.update(at(1000), &seen(Usage::Over, 1.0, 6e5)));
        assert_eq!(aimd.rate(), Some(5.1e5));
        aimd.update(at(1500), &seen(Usage::Under, 0.0, 6e5));
        assert_eq!(aimd.rate(), Some(5.1e5));
        for n in 0..=20 {
            aimd.update(at(2000 + n * 50), &seen(Usage::Normal, 0.0, 5.2e5));
        }
        let after = aimd.rate().expect("set");
        assert!((5.2e5..5.5e5).contains(&after), "{after}");
    }

    #[test]
    fn a_slight_delay_under_little_load_lowers_it_slightly() {
        let mut aimd = set(4e6);
        assert!(aimd.update(at(1000), &seen(Usage::Over, 0.06, 4e4)));
        assert_eq!(aimd.rate(), Some(3.4e6));
    }

    #[test]
    fn a_burst_that_fills_the_link_shows_what_it_carries() {
        let mut aimd = set(3e6);
        let burst = Seen { recent: 2.9e6, ..seen(Usage::Over, 0.2, 6e5) };
        assert!(aimd.update(at(1000), &burst));
        assert_eq!(aimd.rate(), Some(0.95 * 2.9e6));
    }
}
