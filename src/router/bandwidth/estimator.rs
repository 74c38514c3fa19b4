//! The parts of the estimate together.

use serde::{Deserialize, Serialize};

use super::acknowledged::Acknowledged;
use super::aimd::{Aimd, Seen};
use super::feedback::PeerClock;
use super::groups::Groups;
use super::loss::Loss;
use super::probe::{Prober, Shown};
use super::sent::Sent;
use super::trend::{Trend, Usage};
use crate::units::{Bitrate, Duration, Instant};
use crate::wire::rtcp::Twcc;

/// Probing goes beyond what is wanted by this factor: exactly what is wanted would leave no room to give it.
const MARGIN: f64 = 1.2;
/// Who sends less than this share of the estimate does not show whether more would go through.
const LIMITED: f64 = 0.65;
/// Without feedback for so long, while packets leave, the way is worse than is known: by this factor each time.
const SILENCE: Duration = Duration::from_millis(1500);
const SILENT: f64 = 0.7;
/// A queue that never falls under so much though the rate fell so often, at most once in this time, is another's: who
/// keeps giving way to it ends with nothing. Then losses alone bound the rate, unless the delay grows by so much.
const EMPTY_MS: f32 = 40.0;
/// A shorter queue at the end of what feedback speaks of is none.
const PAUSE_MS: f32 = 25.0;
const GAVE_WAY: u8 = 4;
const GIVE_WAY_EVERY: Duration = Duration::from_secs(1);
const STEEP: f32 = 0.1;
/// More loss than this is not the other flow's finding out how much there is.
const HEAVY: f32 = 0.15;
/// What did not drain in this time after the rate fell is somebody else's.
const DRAINS: Duration = Duration::from_millis(2000);
/// What the delay did when packets were last sent says nothing after a time without: there is no queue of ours any more.
const FORGOTTEN: Duration = Duration::from_secs(1);
/// Losses up to this share are those that any way has.
const CLEAR: f32 = 0.02;
/// The round trip that is assumed before one was measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// What the way to one viewer carries, judged from transport-wide feedback. Pure: it knows what it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Estimator {
    // Touched for every packet sent.
    sent: Sent,
    cluster: u8,
    /// Touched for every packet that feedback speaks of.
    groups: Groups,
    trend: Trend,
    acknowledged: Acknowledged,
    loss: Loss,
    prober: Prober,
    clock: PeerClock,
    aimd: Aimd,
    /// When the trend was last fed.
    fed: Instant,
    /// In bit/s; 0 is nothing.
    wanted: f64,
    round_trip: Duration,
    heard: Option<Instant>,
    /// How often the rate fell since the queue was last empty, and when it did last.
    gave_way: u8,
    gave_way_at: Instant,
    crowded: bool,
    /// Since when a queue is let drain.
    drains: Option<Instant>,
}

impl Estimator {
    /// Of a way of which nothing is known, on which something is sent now.
    pub fn new(now: Instant) -> Self {
        let mut estimator = Self::unused();
        estimator.prober.begin_at_first(now);
        estimator.cluster = estimator.prober.cluster();
        estimator
    }

    fn unused() -> Self {
        Self {
            sent: Sent::new(),
            cluster: 0,
            groups: Groups::default(),
            trend: Trend::new(),
            acknowledged: Acknowledged::default(),
            loss: Loss::default(),
            prober: Prober::default(),
            clock: PeerClock::default(),
            aimd: Aimd::default(),
            fed: Instant::ZERO,
            wanted: 0.0,
            round_trip: ROUND_TRIP,
            heard: None,
            gave_way: 0,
            gave_way_at: Instant::ZERO,
            crowded: false,
            drains: None,
        }
    }

    /// A packet was sent under a transport-wide number; these grow by one.
    #[inline]
    pub fn on_sent(&mut self, seq: u16, bytes: usize, now: Instant) {
        self.sent.note(seq, bytes, now, self.cluster);
        if self.cluster != 0 {
            self.prober.sent(bytes);
        }
    }

    /// Takes in what the peer says of arrivals.
    pub fn on_feedback(&mut self, now: Instant, twcc: &Twcc<'_>) {
        let (mut over, mut lost) = (false, false);
        let mut newest_us = i64::MIN;
        let limited = self.is_limited();
        self.forget(now);
        let after_outage = self.heard.is_some_and(|heard| now.since(heard) >= SILENCE);
        for (seq, arrival) in self.clock.arrivals(twcc) {
            let Some(packet) = self.sent.settle(seq, arrival.is_some()) else { continue };
            newest_us = newest_us.max(packet.sent_us);
            let Some(arrival) = arrival else {
                self.loss.note(packet.sent_us, packet.bytes, true);
                lost = true;
                continue;
            };
            if packet.was_lost {
                self.loss.arrived_after_all();
                continue;
            }
            self.loss.note(packet.sent_us, packet.bytes, false);
            self.acknowledged.note(arrival, packet.bytes, limited);
            if packet.cluster != 0 {
                self.prober.note(&packet, arrival);
            }
            // A cluster makes a queue of its own, which is what it is for; what is sent first is a cluster only by name.
            if (packet.cluster == 0 || self.aimd.rate().is_none())
                && let Some(step) = self.groups.note(packet.sent_us, arrival)
            {
                over |= self.trend.note(&step) == Usage::Over;
                self.fed = now;
            }
        }
        if newest_us == i64::MIN {
            return;
        }
        if after_outage {
            self.loss.begin();
        }
        self.heard = Some(now);
        let took = Duration::from_micros((now.as_micros() as i64).saturating_sub(newest_us).max(0) as u64);
        // The least of late: what feedback waited for is not on the way.
        self.round_trip = took.min(self.round_trip + Duration::from_millis(2));
        self.judge(now, (over, lost), newest_us);
    }

    fn judge(&mut self, now: Instant, (over, lost): (bool, bool), newest_us: i64) {
        if self.trend.queue_ms() < EMPTY_MS {
            self.gave_way = 0;
            self.drains = None;
        }
        let crowded = self.gave_way >= GAVE_WAY && self.trend.slope() < STEEP;
        self.crowded = crowded;
        // A queue that is gone again by now was somebody's pause.
        let gone = self.trend.queue_ms() < PAUSE_MS;
        let usage = match self.trend.usage() {
            _ if over && !gone && !crowded => Usage::Over,
            Usage::Over if gone => Usage::Normal,
            Usage::Over | Usage::Under if crowded => Usage::Normal,
            usage => usage,
        };
        let acknowledged = self.acknowledged.rate();
        if self.aimd.rate().is_none()
            && let Some(rate) = acknowledged
        {
            self.aimd.begin(now, rate, self.trend.queue_ms());
        }
        let shown = self.prober.result(now, newest_us);
        // While nothing is known a cluster tells only what goes through: that less does, a queue would tell.
        let news =
            |s: &Shown| self.aimd.rate().map_or(!s.full || s.rate >= self.wanted, |rate| s.rate > rate);
        let higher = shown.filter(news);
        if shown.is_some() && higher.is_none() {
            self.prober.rest(now);
        }
        let seen = Seen {
            usage,
            slope: self.trend.slope(),
            queue_ms: self.trend.queue_ms(),
            arrives: acknowledged,
            recent: self.acknowledged.recent(),
            round_trip: self.round_trip,
            crowded,
            lost,
        };
        match higher {
            Some(shown) if usage != Usage::Over => self.aimd.probed(now, shown.rate, self.wanted, shown.full),
            _ if self.aimd.update(now, &seen) => {
                self.prober.fell(now);
                self.drains = Some(now);
                if now.since(self.gave_way_at) >= GIVE_WAY_EVERY {
                    (self.gave_way, self.gave_way_at) = (self.gave_way.saturating_add(1), now);
                }
            }
            _ => {}
        }
        if let Some(rate) = self.aimd.rate() {
            self.loss.update(rate, acknowledged);
        }
        self.seek(now, usage);
    }

    fn forget(&mut self, now: Instant) {
        if now.since(self.fed) >= FORGOTTEN {
            self.trend.forget();
        }
    }

    /// Begins a probing cluster if there is something to find out.
    fn seek(&mut self, now: Instant, usage: Usage) {
        // Who never gave feedback would not answer; and where losses bound the rate a burst shows nothing.
        let lossy = self.loss.limit().is_some_and(|limit| self.aimd.rate().is_none_or(|rate| limit < rate));
        if usage != Usage::Over && self.heard.is_some() && !lossy {
            self.prober.begin(now, self.rate(), self.wanted * MARGIN);
        }
        self.cluster = self.prober.cluster();
    }

    /// To be called about once a second, whether there is feedback or not.
    pub fn on_tick(&mut self, now: Instant) {
        if let (Some(heard), Some(rate)) = (self.heard, self.aimd.rate())
            && now.since(heard) >= SILENCE
            && self.sent.last().since(heard) >= SILENCE / 2
        {
            self.aimd.set(now, rate * SILENT);
            self.prober.fell(now);
        }
        self.forget(now);
        self.seek(now, self.trend.usage());
    }

    /// What would be sent if there were room for it: nothing beyond it is probed for, but for a margin.
    pub const fn wanted(&mut self, rate: Bitrate) {
        self.wanted = rate.as_bps() as f64;
    }

    /// Bytes that are to be sent now for a probing cluster, besides what was sent already. While [`Estimator::probes`], to
    /// be asked every few milliseconds.
    pub fn poll_probe(&mut self, now: Instant) -> usize {
        let due = self.prober.due(now);
        self.cluster = self.prober.cluster();
        if self.heard.is_some() { due } else { 0 }
    }

    /// Whether a queue on the way is to drain: nothing beyond the estimate is to be sent, not even for a moment.
    pub fn drains(&self, now: Instant) -> bool {
        self.gave_way < GAVE_WAY && self.drains.is_some_and(|since| now.since(since) < DRAINS)
    }

    /// Whether the way shows no sign that it carries no more than is estimated.
    pub fn is_clear(&self, now: Instant) -> bool {
        self.trend.usage() == Usage::Normal
            && self.trend.queue_ms() < PAUSE_MS
            && self.loss.fraction() < CLEAR
            && !self.crowded
            && !self.drains(now)
    }

    /// Whether a probing cluster is being sent.
    pub const fn probes(&self) -> bool {
        self.cluster != 0
    }

    /// What the way carries; `None` until something is known.
    pub fn estimate(&self) -> Option<Bitrate> {
        self.rate().map(|rate| Bitrate::from_bps(rate as u64))
    }

    fn rate(&self) -> Option<f64> {
        let rate = self.aimd.rate()?;
        let limit = self.loss.limit().filter(|_| !self.crowded || self.loss.fraction() > HEAVY);
        Some(limit.map_or(rate, |limit| limit.min(rate)).max(super::LEAST.as_bps() as f64))
    }

    /// Whether less is sent than could be.
    fn is_limited(&self) -> bool {
        let rate = self.aimd.rate().unwrap_or(f64::MAX);
        self.acknowledged.rate().is_some_and(|acknowledged| acknowledged < LIMITED * rate)
    }

    /// The way there and back, as feedback shows it.
    pub const fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// The share of packets that was lost of late.
    pub const fn loss(&self) -> f32 {
        self.loss.fraction()
    }
}

#[cfg(test)]
mod tests;
