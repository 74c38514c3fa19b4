//! Figures of an outcome: the same for every scenario.

use millrace::units::{Bitrate, Duration, Instant};

use super::{Outcome, Sample, Seen};
use crate::browser::playout;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// What the viewers got through the link, of what it could have carried.
    pub utilisation: f64,
    /// The mean of their estimates, of the link; 0 where there was none.
    pub estimate: f64,
    /// What one packet in twenty of theirs waited at least.
    pub queue_p95: Duration,
    pub frames_lost: u64,
    /// By the rules of webrtc-stats, all slots of all viewers.
    pub freezes: usize,
    /// Each slot of each viewer.
    pub switches_per_minute: f64,
}

impl Figures {
    pub fn of(outcome: &Outcome) -> Self {
        let (from, to) = (outcome.time(outcome.settled), outcome.time(outcome.seconds));
        let passages = outcome.viewers.iter().flat_map(|v| &v.passages);
        let passed = passages.filter(|p| p.at >= from && p.queued.is_some());
        let bits: u64 = passed.map(|p| p.bytes as u64 * 8).sum();
        let slots: usize = outcome.viewers.iter().map(|v| v.shown.len()).sum();
        let switches: usize = outcome.viewers.iter().map(|v| v.switches(from)).sum();
        Self {
            utilisation: bits as f64 / outcome.link.schedule.bits(from, to) as f64,
            estimate: outcome.viewers.iter().map(|v| v.estimate_share(outcome)).sum(),
            queue_p95: outcome.queue(outcome.settled, outcome.seconds, 0.95),
            frames_lost: outcome.viewers.iter().map(|v| v.frames_lost).sum(),
            freezes: outcome.viewers.iter().flat_map(|v| &v.shown).map(|s| freezes(s, from).len()).sum(),
            switches_per_minute: switches as f64 * 60.0
                / slots as f64
                / (outcome.seconds - outcome.settled) as f64,
        }
    }
}

/// When one slot showed nothing new for too long, by the rules of webrtc-stats, and for how long.
pub fn freezes(shown: &[super::Shown], from: Instant) -> Vec<(Instant, Duration)> {
    let shown: Vec<_> = shown.iter().map(|f| f.at).collect();
    playout::freezes(&shown).into_iter().filter(|(at, _)| *at >= from).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), v| (sum + v, count + 1));
    sum / f64::from(count.max(1))
}

impl Outcome {
    pub fn time(&self, second: u64) -> Instant {
        self.zero + Duration::from_secs(second)
    }

    /// What this share of the viewers' packets did not wait longer than, between two seconds of the story.
    pub fn queue(&self, from: u64, to: u64, share: f64) -> Duration {
        let (from, to) = (self.time(from), self.time(to));
        let passages = self.viewers.iter().flat_map(|v| &v.passages);
        let mut waits: Vec<_> =
            passages.filter(|p| (from..to).contains(&p.at)).filter_map(|p| p.queued).collect();
        waits.sort_unstable();
        let at = (waits.len() as f64 * share) as usize;
        waits.get(at.min(waits.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// The only viewer, or the first.
    pub fn viewer(&self) -> &Seen {
        &self.viewers[0]
    }
}

impl Seen {
    /// The samples between two seconds of the story.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Sample> {
        let (from, to) = (Duration::from_secs(from), Duration::from_secs(to));
        self.samples.iter().filter(move |s| s.at > from && s.at <= to)
    }

    /// What was sent on average, in kbit/s.
    pub fn sent_kbps(&self, from: u64, to: u64) -> f64 {
        mean(self.between(from, to).map(|s| s.sent.as_bps() as f64 / 1000.0))
    }

    /// The estimate on average, in kbit/s.
    pub fn estimate_kbps(&self, from: u64, to: u64) -> f64 {
        mean(self.between(from, to).map(|s| kbps(s.estimate)))
    }

    /// Its extremes.
    pub fn estimate_range_kbps(&self, from: u64, to: u64) -> (f64, f64) {
        let estimates = self.between(from, to).map(|s| kbps(s.estimate));
        estimates.fold((f64::MAX, 0.0), |(least, most), e| (least.min(e), most.max(e)))
    }

    fn estimate_share(&self, outcome: &Outcome) -> f64 {
        let samples = self.between(outcome.settled, outcome.seconds);
        mean(samples.map(|s| kbps(s.estimate) * 1000.0 / s.link.as_bps() as f64))
    }

    /// Seconds from `from` until a sample satisfies; infinite if none before `to` does.
    pub fn seconds_until(&self, from: u64, to: u64, is: impl Fn(&Sample) -> bool) -> f64 {
        let first = self.between(from, to).find(|s| is(s));
        first.map_or(f64::INFINITY, |s| s.at.as_secs_f64() - from as f64)
    }

    /// Freezes longer than this; what froze in several slots at once is one.
    pub fn freezes_over(&self, outcome: &Outcome, least: Duration) -> usize {
        let from = outcome.time(outcome.settled);
        let mut all: Vec<_> = self.shown.iter().flat_map(|s| freezes(s, from)).collect();
        all.retain(|(_, long)| *long > least);
        all.sort_unstable();
        let mut ends = Instant::ZERO;
        let mut count = 0;
        for (at, long) in all {
            count += usize::from(at >= ends);
            ends = ends.max(at + long);
        }
        count
    }

    /// Freezes longer than this that begin at such a second of the story.
    pub fn freezes_between(&self, outcome: &Outcome, least: Duration, when: impl Fn(f64) -> bool) -> usize {
        let all = self.shown.iter().flat_map(|s| freezes(s, outcome.zero));
        all.filter(|(at, long)| *long > least && when(at.since(outcome.zero).as_secs_f64())).count()
    }

    /// The longest time in which some slot showed nothing new.
    pub fn longest_gap(&self, outcome: &Outcome) -> Duration {
        let from = outcome.time(outcome.settled);
        let gap = |shown: &Vec<super::Shown>| {
            let last = shown.last().map_or(outcome.zero, |f| f.at);
            let gaps = shown.windows(2).filter(|w| w[1].at >= from).map(|w| w[1].at.since(w[0].at));
            gaps.max().unwrap_or_default().max(outcome.time(outcome.seconds).since(last))
        };
        self.shown.iter().map(gap).max().unwrap_or_default()
    }

    fn switches(&self, from: Instant) -> usize {
        let slot = |shown: &Vec<super::Shown>| {
            shown.windows(2).filter(|w| w[1].at >= from && w[0].layer != w[1].layer).count()
        };
        self.shown.iter().map(slot).sum()
    }
}

/// 0 where there is none.
pub fn kbps(rate: Option<Bitrate>) -> f64 {
    rate.map_or(0.0, |rate| rate.as_bps() as f64 / 1000.0)
}
