//! The rate that losses allow. Some ways lose packets whatever is sent, others because too much is: the rate is sought
//! that explains best what was lost at which rate, given a share that is lost anyhow (in the spirit of libwebrtc's second
//! loss-based estimator).
//!
//! Of what is sent at `rate` over a link of `capacity`, `inherent + (1 - inherent) * (rate - capacity) / rate` is lost.

use serde::{Deserialize, Serialize};

/// An observation covers so much time of sending, and enough packets for a share.
const OBSERVE_US: i64 = 250_000;
const OBSERVE_PACKETS: u32 = 8;
/// So that what was sent too fast does not outweigh for long what was sent after it.
const COUNTS_AT_MOST: f32 = 30.0;
/// A longer one began before a pause.
const TOO_LONG_US: i64 = 3_000_000;
const WINDOW: usize = 15;
/// What each observation weighs less than the one after it.
const AGEING: f32 = 0.8;
/// The same for what decides whether more may be tried.
const FAST_AGEING: f32 = 0.5;
/// Shares of inherent loss that are believed: the more the less the link carries.
const LEAST_INHERENT: f32 = 0.001;
const MOST_INHERENT: f32 = 0.05;
const BALANCE_BPS: f64 = 100_000.0;
/// Among rates that explain as well, the higher one: for each packet, by the logarithm.
const HIGHER: f32 = 0.02;
/// The more is lost the less that counts, down to half.
const NO_PREFERENCE: f32 = 0.15;
const LEAST_PREFERENCE: f32 = 0.5;
/// Steps that are tried after each observation.
const STEPS: [f64; 4] = [1.2, 1.02, 1.0, 0.95];
/// Loss so many times the inherent one is not explained by it.
const UNEXPLAINED: f32 = 1.5;
/// A step down goes no lower than this share of what arrives.
const ENOUGH: f64 = 0.95;
/// Less loss than this bounds nothing.
const HARMLESS: f32 = 0.02;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Observation {
    packets: f32,
    lost: f32,
    /// In kbit/s.
    rate: f32,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Loss {
    window: [Observation; WINDOW],
    next: u8,
    // The observation in progress.
    packets: u32,
    lost: u32,
    bytes: u64,
    first_us: i64,
    last_us: i64,
    /// What losses allow; `None` while they bound nothing.
    limit: Option<f64>,
    fraction: f32,
}

impl Loss {
    /// In bit/s; `None` while losses bound nothing.
    pub(super) const fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// The share that was lost of late.
    pub(super) const fn fraction(&self) -> f32 {
        self.fraction
    }

    /// A packet arrived or was lost.
    #[inline]
    pub(super) fn note(&mut self, sent_us: i64, bytes: u16, lost: bool) {
        if self.packets == 0 {
            (self.first_us, self.last_us) = (sent_us, sent_us);
        } else {
            self.last_us = self.last_us.max(sent_us);
            self.bytes += u64::from(bytes);
        }
        self.packets += 1;
        self.lost += u32::from(lost);
    }

    /// What was taken for lost arrived.
    pub(super) const fn arrived_after_all(&mut self) {
        self.lost = self.lost.saturating_sub(1);
    }

    /// Ends the observation in progress if it is long enough, and judges. `delay_based`: what the delay allows.
    pub(super) fn update(&mut self, delay_based: f64, acknowledged: Option<f64>) {
        let passed = self.last_us - self.first_us;
        if passed < OBSERVE_US || self.packets < OBSERVE_PACKETS {
            if passed > TOO_LONG_US {
                self.begin();
            }
            return;
        }
        if let Some(place) = self.window.get_mut(usize::from(self.next)) {
            let packets = self.packets as f32;
            let counts = packets.min(COUNTS_AT_MOST);
            *place = Observation {
                packets: counts,
                lost: self.lost as f32 * counts / packets,
                rate: (self.bytes as f64 * 8000.0 / passed as f64) as f32,
            };
        }
        self.next = (self.next + 1) % WINDOW as u8;
        self.begin();
        self.judge(delay_based, acknowledged);
    }

    /// What was lost in an outage says nothing of rates.
    pub(super) const fn begin(&mut self) {
        (self.packets, self.lost, self.bytes) = (0, 0, 0);
    }

    /// Observations from the newest, each with its weight.
    fn weighed(&self, ageing: f32) -> impl Iterator<Item = (f32, Observation)> + '_ {
        let (after, before) = self.window.split_at(usize::from(self.next).min(WINDOW));
        let newest_first = after.iter().rev().chain(before.iter().rev());
        let weights = std::iter::successors(Some(1.0f32), move |weight| Some(weight * ageing));
        weights.zip(newest_first.copied()).filter(|(_, o)| o.packets > 0.0)
    }

    /// The share that was lost.
    fn share(&self, ageing: f32) -> f32 {
        let sum = |(packets, lost), (w, o): (f32, Observation)| (packets + w * o.packets, lost + w * o.lost);
        let (packets, lost) = self.weighed(ageing).fold((0.0, 0.0), sum);
        if packets > 0.0 { lost / packets } else { 0.0 }
    }

    /// What arrived in the newest observation, in bit/s.
    fn through(&self) -> f64 {
        let newest = self.weighed(AGEING).next();
        newest.map_or(0.0, |(_, o)| f64::from(o.rate * (1.0 - o.lost / o.packets.max(1.0))) * 1000.0)
    }

    fn judge(&mut self, delay_based: f64, acknowledged: Option<f64>) {
        self.fraction = self.share(AGEING);
        if self.limit.is_none() && self.fraction < HARMLESS {
            return;
        }
        let base = self.limit.unwrap_or(delay_based).min(delay_based);
        let arrives = acknowledged.unwrap_or(base).min(base);
        let mut best = (f32::MIN, base, 0.0);
        for capacity in STEPS.map(|step| base * step).into_iter().chain([arrives]) {
            let (likely, inherent) = self.likelihood(capacity.max(1.0));
            if likely > best.0 {
                best = (likely, capacity, inherent);
            }
        }
        let (_, mut limit, inherent) = best;
        // More is lost than the link loses anyhow: this is not the time to try more.
        if self.share(FAST_AGEING) > HARMLESS.max(inherent * UNEXPLAINED) {
            limit = limit.min(base);
        }
        if self.fraction > MOST_INHERENT {
            limit = limit.min(BALANCE_BPS / f64::from(self.fraction - MOST_INHERENT));
        }
        // What got through, gets through.
        limit = limit.max(self.through().min(base) * ENOUGH);
        self.limit = (limit < delay_based).then_some(limit);
    }

    /// How well a capacity explains the observations, and the share that is then lost anyhow.
    fn likelihood(&self, capacity: f64) -> (f32, f32) {
        let kbps = (capacity / 1000.0) as f32;
        let excess = |o: &Observation| ((o.rate - kbps) / o.rate.max(1.0)).max(0.0);
        let (lost, room) = self.weighed(AGEING).fold((0.0, 0.0), |(lost, room), (w, o)| {
            let over = excess(&o);
            (lost + w * (o.lost - o.packets * over), room + w * o.packets * (1.0 - over))
        });
        let most = MOST_INHERENT + (BALANCE_BPS / capacity.max(1.0)) as f32;
        let inherent = (lost / room.max(1.0)).clamp(LEAST_INHERENT, most.min(0.9));
        let preference = ((NO_PREFERENCE - self.fraction) / NO_PREFERENCE).clamp(LEAST_PREFERENCE, 1.0);
        let bias = preference * HIGHER * (1.0 + kbps).ln();
        let likely = self.weighed(AGEING).map(|(w, o)| {
            let p = (inherent + (1.0 - inherent) * excess(&o)).clamp(0.0001, 0.9999);
            w * (o.lost * p.ln() + (o.packets - o.lost).max(0.0) * (1.0 - p).ln() + o.packets * bias)
        });
        (likely.sum(), inherent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends for some seconds at what is allowed, and at most at `most`, over a link that loses `inherent` and what is
    /// beyond `capacity`; what is allowed at last.
    fn run(loss: &mut Loss, secs: u64, most: f64, inherent: f64, capacity: f64) -> f64 {
        let mut random = 1u64;
        let mut chance = move |p: f64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((random >> 33) as f64) < p * (1u64 << 31) as f64
        };
        let begin = loss.last_us;
        let mut now = begin;
        let mut arrived = most;
        while now < begin + secs as i64 * 1_000_000 {
            let rate = loss.limit().unwrap_or(most).min(most);
            let over = ((rate - capacity) / rate).max(0.0);
            let end = now + 50_000;
            let mut count = (0.0, 0.0);
            while now < end {
                now += (9_600.0 * 1e6 / rate) as i64;
                let lost = chance(inherent) || chance(over);
                loss.note(now, 1200, lost);
                count = (count.0 + 1.0, count.1 + f64::from(u8::from(!lost)));
            }
            arrived = arrived * 0.7 + 0.3 * rate * count.1 / count.0;
            loss.update(most, Some(arrived));
        }
        loss.limit().unwrap_or(most)
    }

    #[test]
    fn random_loss_is_tolerated() {
        let mut loss = Loss::default();
        let left = run(&mut loss, 30, 2e6, 0.05, 1e9);
        assert!(left > 1.5e6, "{left}");
    }

    #[test]
    fn loss_by_congestion_is_heeded_and_forgiven() {
        let mut loss = Loss::default();
        assert_eq!(run(&mut loss, 5, 2e6, 0.0, 1e9), 2e6);
        let left = run(&mut loss, 5, 2e6, 0.0, 1e6);
        assert!((0.6e6..1.15e6).contains(&left), "{left}");
        let left = run(&mut loss, 15, 2e6, 0.0, 1e9);
        assert!(left > 1.9e6, "{left}");
    }

    #[test]
    fn heavy_random_loss_leaves_something() {
        let mut loss = Loss::default();
        let left = run(&mut loss, 30, 2e6, 0.2, 1e9);
        assert!((0.5e6..1.2e6).contains(&left), "{left}");
    }
}
