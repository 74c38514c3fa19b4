//! Finding out whether the way carries more: a short burst at a higher rate, a cluster, and how fast it arrives.

use serde::{Deserialize, Serialize};

use super::sent::Packet;
use crate::units::{Duration, Instant};

/// A cluster lasts so long, and has so many packets at least.
const LASTS: Duration = Duration::from_millis(25);
const LEAST_PACKETS: u16 = 6;
/// A cluster is sent in steps of this.
const GRID: Duration = Duration::from_millis(5);
/// A cluster that cannot be sent in this time is given up.
const GIVE_UP: Duration = Duration::from_millis(250);
/// Feedback of a cluster comes in this time or not at all.
const ANSWER_WITHIN: Duration = Duration::from_millis(1000);
/// The first cluster.
const FIRST_BPS: f64 = 1_500_000.0;
/// What is sent first of all is a cluster, too, whatever its rate; it shows no more than this.
const FIRST: u8 = 1;
const FIRST_AT_MOST_BPS: f64 = 6_000_000.0;
/// Others try so many times what is known.
const FACTOR: f64 = 2.0;
/// What arrives this well may be tried further at once.
const GOES_THROUGH: f64 = 0.7;
/// After a cluster that did not go through: the next not before this, doubled each time up to that.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_secs(5);
/// An estimate this near to the goal needs no cluster.
const NEAR: f64 = 0.97;
/// Share of a cluster that must have arrived.
const ARRIVED: f64 = 0.8;
/// Arrival so many times as fast as the sending is not believed: something on the way held the packets together.
const COMPRESSED: f64 = 2.0;
/// A cluster that arrived slower than this share of its sending filled the link; a little less leaves room.
const FILLED: f64 = 0.9;
const ROOM: f64 = 0.95;
/// More than this share of a cluster in its last step: whoever sends was late.
const LATE: f64 = 0.5;
/// Media may make a cluster faster than meant; what it shows beyond this is not believed.
const BEYOND: f64 = 1.5;

/// A cluster: what was sent of it, and what arrived.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cluster {
    name: u8,
    rate: f64,
    began: Instant,
    /// When the last packet was sent; `None` while there are more to come.
    ended: Option<Instant>,
    packets: u16,
    bytes: u32,
    arrived: u16,
    arrived_bytes: u32,
    /// Of the packets that arrived, by the times of sending: the first, the last, and the bytes of all the last ones.
    first_sent: i64,
    last_sent: i64,
    last_bytes: u32,
    /// By the times of arrival: the first, the last, and the bytes of the first one.
    first_arrival: i64,
    last_arrival: i64,
    first_bytes: u32,
}

/// What a cluster showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shown {
    /// In bit/s.
    pub(super) rate: f64,
    /// Whether the link was full.
    pub(super) full: bool,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Prober {
    name: u8,
    cluster: Option<Cluster>,
    next_at: Instant,
    again: Option<Duration>,
}

impl Prober {
    /// The name of the cluster being sent; 0 is none.
    pub(super) fn cluster(&self) -> u8 {
        self.cluster.filter(|c| c.ended.is_none()).map_or(0, |c| c.name)
    }

    /// Begins a cluster if one is due: `estimate` is what is known, in bit/s, `goal` what is worth knowing.
    pub(super) fn begin(&mut self, now: Instant, estimate: Option<f64>, goal: f64) {
        if let Some(ended) = self.cluster.and_then(|c| c.ended)
            && now.since(ended) >= ANSWER_WITHIN
        {
            self.fail(now);
        }
        let enough = estimate.is_some_and(|estimate| estimate >= goal * NEAR);
        if self.cluster.is_some() || now < self.next_at || enough || goal <= 0.0 {
            return;
        }
        self.name = self.name.wrapping_add(1).max(1);
        self.cluster = Some(Cluster {
            name: self.name,
            rate: match estimate {
                Some(estimate) => (estimate * FACTOR).min(goal),
                None if self.name == FIRST => FIRST_AT_MOST_BPS,
                None => FIRST_BPS.min(goal),
            },
            began: now,
            ended: None,
            packets: 0,
            bytes: 0,
            arrived: 0,
            arrived_bytes: 0,
            first_sent: i64::MAX,
            last_sent: i64::MIN,
            last_bytes: 0,
            first_arrival: i64::MAX,
            last_arrival: i64::MIN,
            first_bytes: 0,
        });
    }

    /// Begins a cluster of whatever is sent first: nothing is known yet, not even whether there will be feedback.
    pub(super) fn begin_at_first(&mut self, now: Instant) {
        if self.name == 0 {
            self.begin(now, None, f64::INFINITY);
        }
    }

    /// A packet was sent, whatever it is: while a cluster is sent it is part of it.
    #[inline]
    pub(super) const fn sent(&mut self, bytes: usize) {
        if let Some(cluster) = self.cluster.as_mut()
            && cluster.ended.is_none()
        {
            cluster.bytes = cluster.bytes.saturating_add(bytes as u32);
            cluster.packets = cluster.packets.saturating_add(1);
        }
    }

    /// Bytes that are missing for the cluster's rate; 0 if there are none.
    pub(super) fn due(&mut self, now: Instant) -> usize {
        let Some(cluster) = self.cluster.as_mut().filter(|c| c.ended.is_none()) else { return 0 };
        let passed = now.since(cluster.began);
        let whole = cluster.rate * LASTS.as_secs_f64() / 8.0;
        let enough = cluster.packets >= LEAST_PACKETS && f64::from(cluster.bytes) >= whole;
        if (enough && passed >= LASTS / 2) || passed >= GIVE_UP {
            cluster.ended = Some(now);
            if cluster.packets < LEAST_PACKETS {
                self.fail(now);
            }
            return 0;
        }
        // Up to the next time that this is asked.
        let should = cluster.rate * (passed + GRID).as_secs_f64() / 8.0;
        (should - f64::from(cluster.bytes)).max(0.0) as usize
    }

    /// A packet arrived.
    #[inline]
    pub(super) fn note(&mut self, packet: &Packet, arrival: i64) {
        let Some(cluster) = self.cluster.as_mut().filter(|c| c.name == packet.cluster) else { return };
        let bytes = u32::from(packet.bytes);
        cluster.arrived = cluster.arrived.saturating_add(1);
        cluster.arrived_bytes = cluster.arrived_bytes.saturating_add(bytes);
        cluster.first_sent = cluster.first_sent.min(packet.sent_us);
        if packet.sent_us > cluster.last_sent {
            (cluster.last_sent, cluster.last_bytes) = (packet.sent_us, 0);
        }
        if packet.sent_us == cluster.last_sent {
            cluster.last_bytes += bytes;
        }
        if arrival < cluster.first_arrival {
            (cluster.first_arrival, cluster.first_bytes) = (arrival, bytes);
        }
        cluster.last_arrival = cluster.last_arrival.max(arrival);
    }

    /// What the cluster showed, once enough of it arrived. `newest_us`: when the newest packet that feedback speaks of was
    /// sent.
    pub(super) fn result(&mut self, now: Instant, newest_us: i64) -> Option<Shown> {
        let cluster = self.cluster?;
        let ended = cluster.ended?;
        let passed = newest_us > ended.as_micros() as i64;
        if cluster.arrived < cluster.packets && !passed {
            return None;
        }
        let shown = cluster.shown();
        match shown {
            Some(shown) if shown.rate >= GOES_THROUGH * cluster.rate => {
                (self.cluster, self.again) = (None, None);
                self.next_at = now;
            }
            _ => self.fail(now),
        }
        shown
    }

    fn fail(&mut self, now: Instant) {
        self.cluster = None;
        if self.name == FIRST {
            return;
        }
        let again = self.again.unwrap_or(AGAIN);
        self.next_at = now + again;
        self.again = Some((again * 2).min(AGAIN_AT_MOST));
    }

    /// What was shown is no news: the next try can wait.
    pub(super) fn rest(&mut self, now: Instant) {
        self.next_at = self.next_at.max(now + AGAIN);
    }

    /// The estimate fell: what the way carries changed, and a queue has to drain first.
    pub(super) fn fell(&mut self, now: Instant) {
        self.cluster = None;
        self.next_at = self.next_at.max(now + AGAIN);
    }
}

impl Cluster {
    fn shown(&self) -> Option<Shown> {
        if f64::from(self.arrived) < ARRIVED * f64::from(self.packets) || self.arrived < LEAST_PACKETS / 2 {
            return None;
        }
        let rate = |bytes: u32, us: i64| {
            if us > 0 { f64::from(bytes) * 8e6 / us as f64 } else { f64::INFINITY }
        };
        let (sending, arriving) = (self.last_sent - self.first_sent, self.last_arrival - self.first_arrival);
        let sent = rate(self.arrived_bytes.saturating_sub(self.last_bytes), sending);
        let after_first = self.arrived_bytes.saturating_sub(self.first_bytes);
        let arrived = rate(after_first, arriving);
        // Who was late with the last of it sent that at once, and before it little: what counts is that no more time passed
        // until all was there.
        let through = rate(after_first, arriving.max(sending)).min(self.rate);
        let late = f64::from(self.last_bytes) > LATE * f64::from(self.arrived_bytes);
        let held = if late { arriving * 2 < sending } else { arrived > COMPRESSED * sent };
        if arrived.is_infinite() || held {
            return None;
        }
        let full = arrived < FILLED * sent;
        let shown = match full {
            true => ROOM * arrived,
            false if late => through.max(sent.min(arrived)),
            false => arrived.min(sent),
        };
        Some(Shown { rate: shown.min(BEYOND * self.rate), full })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a cluster of 1200-byte packets on a grid of 5 ms over a link; what it shows, and bytes sent.
    fn run(
        prober: &mut Prober,
        begin: Instant,
        estimate: Option<f64>,
        goal: f64,
        link: f64,
    ) -> (Option<Shown>, u32) {
        prober.begin(begin, estimate, goal);
        let mut now = begin;
        let mut free_at = 0.0f64;
        let mut total = 0;
        let mut all = vec![];
        while prober.cluster() != 0 {
            let mut due = prober.due(now) as i64;
            while due > 0 {
                prober.sent(1200);
                total += 1200;
                due -= 1200;
                free_at = free_at.max(now.as_micros() as f64) + 9600.0 * 1e6 / link;
                let sent_us = now.as_micros() as i64;
                all.push((
                    Packet { sent_us, bytes: 1200, cluster: prober.cluster(), was_lost: false },
                    free_at,
                ));
            }
            now += Duration::from_millis(5);
        }
        for (packet, arrival) in &all {
            prober.note(packet, *arrival as i64);
        }
        (prober.result(now, now.as_micros() as i64), total)
    }

    #[test]
    fn a_wide_link_is_found_in_three_steps_and_nothing_is_tried_beyond_the_goal() {
        let mut prober = Prober { name: FIRST, ..Prober::default() };
        let mut estimate = None;
        let mut now = Instant::from_millis(1000);
        let mut clusters = 0;
        while prober.cluster() == 0 && clusters < 10 {
            let (shown, bytes) = run(&mut prober, now, estimate, 5e6, 1e9);
            let Some(shown) = shown else { break };
            assert!(!shown.full && bytes < 20_000, "{shown:?} {bytes}");
            estimate = Some(shown.rate);
            clusters += 1;
            now += Duration::from_millis(100);
        }
        let estimate = estimate.expect("found");
        assert!((4.5e6..5.6e6).contains(&estimate) && clusters <= 3, "{estimate} after {clusters}");
    }

    #[test]
    fn a_narrow_link_shows_what_it_carries_and_the_next_try_waits() {
        let mut prober = Prober { name: FIRST, ..Prober::default() };
        let now = Instant::from_millis(1000);
        let (shown, bytes) = run(&mut prober, now, None, 4e6, 6e5);
        let shown = shown.expect("all arrived");
        assert!(shown.full && (5e5..6.2e5).contains(&shown.rate) && bytes < 9_000, "{shown:?} {bytes}");
        prober.begin(now + Duration::from_millis(1500), Some(shown.rate), 4e6);
        assert!(prober.cluster() == 0);
        prober.begin(now + Duration::from_millis(2500), Some(shown.rate), 4e6);
        assert!((prober.cluster() != 0));
    }

    #[test]
    fn who_is_late_with_the_end_of_a_cluster_learns_no_less_from_it() {
        let mut prober = Prober { name: FIRST, ..Prober::default() };
        let begin = Instant::from_millis(1000);
        prober.begin(begin, Some(1.8e6), 2.6e6);
        let mut all = vec![];
        // The processor was busy: it is asked at the beginning, and then after 30 ms.
        for ms in [0, 30, 60] {
            let mut due = prober.due(begin + Duration::from_millis(ms)) as i64;
            let sent_us = 1_000_000 + ms as i64 * 1000;
            while due > 0 {
                prober.sent(300);
                due -= 300;
                let packet = Packet { sent_us, bytes: 300, cluster: prober.cluster(), was_lost: false };
                // 100 Mbit/s and 10 ms.
                all.push((packet, sent_us + 10_000 + 24 * all.len() as i64));
            }
        }
        assert!(prober.cluster() == 0);
        for (packet, arrival) in &all {
            prober.note(packet, *arrival);
        }
        let shown = prober.result(begin + Duration::from_millis(90), 2_000_000).expect("all arrived");
        assert!(!shown.full && (2.4e6..=2.6e6).contains(&shown.rate), "{shown:?}");
    }

    #[test]
    fn without_a_goal_nothing_is_tried() {
        let mut prober = Prober { name: FIRST, ..Prober::default() };
        prober.begin(Instant::from_millis(1), None, 0.0);
        prober.begin(Instant::from_millis(1), Some(3e6), 3e6);
        assert!(prober.cluster() == 0);
    }

    #[test]
    fn an_answer_that_never_comes_blocks_nothing() {
        let mut prober = Prober { name: FIRST, ..Prober::default() };
        let mut now = Instant::from_millis(1);
        prober.begin(now, None, 1e6);
        while prober.cluster() != 0 {
            now += Duration::from_millis(5);
            prober.due(now);
        }
        now += Duration::from_millis(6000);
        prober.begin(now, None, 1e6);
        assert!((prober.cluster() != 0));
    }
}
