//! How much may be sent, by what the server reports: REMB is obeyed, losses are given way to, and where transport-wide
//! feedback comes, a queue that grows is given way to as well, by the estimate that the server makes of its own ways out
//! (draft-ietf-rmcat-gcc-02).

use std::time::{Duration, Instant};

use millrace::router::bandwidth::Estimator;
use millrace::units::{self, Bitrate};
use millrace::wire::rtcp::Twcc;

use crate::stamp;

/// What may be sent until something is known, in bit/s, and for how long at the most: a server that says nothing of
/// arrivals is not waited for.
const FIRST: f64 = 500e3;
const SILENT: Duration = Duration::from_secs(2);
/// How often losses are judged where there is no estimate.
const JUDGED: Duration = Duration::from_millis(500);
/// How often an estimate is asked for what it wants besides feedback.
const TICK: Duration = Duration::from_secs(1);
/// How often a probing cluster is to be gone on with.
const PROBE: Duration = Duration::from_millis(5);
/// Nothing is slower than this.
const LEAST: f64 = 60e3;
/// A rate that is no limit.
const MOST: f64 = 100e6;

/// See the module.
#[derive(Debug)]
pub(crate) struct Rate {
    remb: f64,
    by_loss: f64,
    told: (u32, u32),
    judged: Option<Instant>,
    /// Whether delay counts.
    by_delay: bool,
    estimator: Option<Estimator>,
    /// When the first packet was sent, and when the estimate was asked last.
    begun: Option<Instant>,
    ticked: Option<Instant>,
}

fn time(now: Instant) -> units::Instant {
    units::Instant::from_micros(stamp::micros(now))
}

impl Rate {
    /// Where `by_delay` is false, the rate falls by losses and what the server asks for alone: a load that is chosen is not
    /// to shrink because the server is slow.
    pub(crate) fn new(by_delay: bool) -> Self {
        Self {
            remb: MOST,
            by_loss: MOST,
            told: (0, 0),
            judged: None,
            by_delay,
            estimator: None,
            begun: None,
            ticked: None,
        }
    }

    /// The server asks for at most this, in bit/s.
    pub(super) fn remb(&mut self, bps: u64) {
        self.remb = bps as f64;
    }

    /// A packet leaves under a transport-wide number; these grow by one.
    pub(super) fn sent(&mut self, now: Instant, seq: u16, bytes: usize) {
        if !self.by_delay {
            return;
        }
        self.begun.get_or_insert(now);
        let estimator = self.estimator.get_or_insert_with(|| Estimator::new(time(now)));
        estimator.on_sent(seq, bytes, time(now));
    }

    /// The server says which packets arrived, and when.
    pub(super) fn told(&mut self, now: Instant, twcc: &Twcc<'_>) {
        if let Some(estimator) = &mut self.estimator {
            return estimator.on_feedback(time(now), twcc);
        }
        let lost = twcc.statuses().filter(|(_, delta)| delta.is_none()).count();
        self.told.0 += twcc.statuses().count() as u32;
        self.told.1 += lost as u32;
    }

    /// What may be sent now, where `sends` is what would be, both in bit/s.
    pub(crate) fn allowed(&mut self, now: Instant, sends: f64) -> f64 {
        if let Some(estimator) = &mut self.estimator {
            estimator.wanted(Bitrate::from_bps(sends as u64));
            if now.saturating_duration_since(*self.ticked.get_or_insert(now)) >= TICK {
                self.ticked = Some(now);
                estimator.on_tick(time(now));
            }
            let unknown = self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < SILENT);
            let estimate = estimator.estimate().map(|rate| rate.as_bps() as f64);
            return self.remb.min(estimate.unwrap_or(if unknown { FIRST } else { MOST }));
        }
        if now.saturating_duration_since(*self.judged.get_or_insert(now)) >= JUDGED {
            self.judged = Some(now);
            let (packets, lost) = std::mem::take(&mut self.told);
            let share = f64::from(lost) / f64::from(packets.max(1));
            if share > 0.1 {
                self.by_loss = (sends.min(self.by_loss) * (1.0 - 0.5 * share)).max(LEAST);
            } else if share < 0.02 && packets > 0 {
                // 8 % a second.
                self.by_loss = (self.by_loss * 1.04).min(MOST);
            }
        }
        let first = if self.by_delay && self.begun.is_none() { FIRST } else { MOST };
        self.remb.min(self.by_loss).min(first)
    }

    /// Bytes that are to be sent now besides, to find out whether more goes through. To be asked as often as
    /// [`Rate::probes`] says.
    pub(super) fn probe(&mut self, now: Instant) -> usize {
        let Some(estimator) = self.estimator.as_mut().filter(|estimator| estimator.probes()) else {
            return 0;
        };
        estimator.poll_probe(time(now))
    }

    /// When it is to be asked again, if a probing cluster is being sent.
    pub(crate) fn probes(&self, now: Instant) -> Option<Instant> {
        self.estimator.as_ref().filter(|estimator| estimator.probes()).map(|_| now + PROBE)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use millrace::wire::id::{Seq16, Ssrc};
    use millrace::wire::rtcp::{Packet, Writer, packets};

    use super::*;
    use crate::viewer::Arrivals;

    /// What the server would write of these arrivals.
    fn written(arrivals: &mut Arrivals) -> Vec<Vec<u8>> {
        let each = std::iter::from_fn(|| arrivals.take(Ssrc(1), Ssrc(2)));
        let written = each.map(|(feedback, statuses)| {
            let mut buffer = vec![0; 1400];
            let mut writer = Writer::new(&mut buffer);
            assert!(writer.twcc(&feedback, statuses));
            let len = writer.len();
            buffer.truncate(len);
            buffer
        });
        written.collect()
    }

    fn told(rate: &mut Rate, now: Instant, written: &[u8]) {
        for packet in packets(written).expect("well-formed") {
            if let Packet::Twcc(twcc) = packet {
                rate.told(now, &twcc);
            }
        }
    }

    #[test]
    fn without_an_estimate_it_gives_way_to_losses_and_recovers_and_obeys() {
        let mut rate = Rate::new(false);
        let (mut now, mut seq) = (Instant::now(), 0);
        let mut step = |rate: &mut Rate, lost: u16| {
            now += Duration::from_millis(501);
            let mut arrivals = Arrivals::default();
            for n in 0..100 {
                if n == 0 || n > lost {
                    arrivals.note(now, Seq16(seq + n));
                }
            }
            seq += 100;
            written(&mut arrivals).iter().for_each(|report| told(rate, now, report));
            rate.allowed(now, 2e6)
        };
        step(&mut rate, 0);
        assert_eq!(step(&mut rate, 1), MOST);
        let fallen = step(&mut rate, 20);
        assert!((1.7e6..1.9e6).contains(&fallen), "{fallen}");
        assert_eq!(step(&mut rate, 5), fallen, "neither good nor bad");
        assert!(step(&mut rate, 0) > fallen);
        rate.remb(500_000);
        assert_eq!(step(&mut rate, 0), 500e3);
    }

    /// A way of one rate with a queue before it.
    struct Way {
        bps: f64,
        /// What the queue holds at most, in seconds.
        room: f64,
        /// When all that is in it has left.
        free: Instant,
        /// What is on its way, by the time at which it arrives.
        going: VecDeque<(Instant, u16)>,
        dropped: usize,
    }

    const ONE_WAY: Duration = Duration::from_millis(20);
    const MS: Duration = Duration::from_millis(1);

    impl Way {
        fn queued(&self, now: Instant) -> Duration {
            self.free.saturating_duration_since(now)
        }

        fn take(&mut self, now: Instant, seq: u16, bytes: usize) {
            let takes = Duration::from_secs_f64(bytes as f64 * 8.0 / self.bps);
            if (self.queued(now) + takes).as_secs_f64() > self.room {
                self.dropped += 1;
                return;
            }
            self.free = self.free.max(now) + takes;
            self.going.push_back((self.free + ONE_WAY, seq));
        }
    }

    /// A publisher of three layers, as [`super::super::Publisher`] sends them, over a way; what the queue was and what was
    /// sent in each millisecond, and what was dropped in the second half.
    fn publish(
        by_delay: bool,
        bps: f64,
        remb: Option<u64>,
        seconds: u32,
    ) -> (Vec<Duration>, Vec<usize>, usize) {
        const LAYERS: [f64; 3] = [150e3, 500e3, 1500e3];
        let start = Instant::now();
        let mut way = Way { bps, room: 0.2, free: start, going: VecDeque::new(), dropped: 0 };
        let (mut rate, mut arrivals, mut seq) = (Rate::new(by_delay), Arrivals::default(), 0_u16);
        let (mut queued, mut sent, mut early) = (Vec::new(), Vec::new(), 0);
        let mut reports: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        if let Some(remb) = remb {
            rate.remb(remb);
        }
        for ms in 0..seconds * 1000 {
            let now = start + MS * ms;
            while way.going.front().is_some_and(|(at, _)| *at <= now) {
                let Some((at, seq)) = way.going.pop_front() else { break };
                arrivals.note(at, Seq16(seq));
            }
            if ms % 50 == 0 {
                reports.extend(written(&mut arrivals).into_iter().map(|report| (now + ONE_WAY, report)));
            }
            while reports.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, report)) = reports.pop_front() else { break };
                told(&mut rate, now, &report);
            }
            let mut due = Vec::new();
            if ms % 40 == 0 {
                let mut room = rate.allowed(now, LAYERS.iter().sum());
                for (n, layer) in LAYERS.into_iter().enumerate() {
                    let fits = layer <= room;
                    room -= layer;
                    let halved = n == 0 && ms % 80 == 0;
                    if fits || halved {
                        let bytes = (layer / 25.0 / 8.0) as usize;
                        due.extend((0..bytes.div_ceil(1200)).map(|_| bytes / bytes.div_ceil(1200)));
                    }
                }
            }
            let mut padding = rate.probe(now);
            while padding > 0 {
                due.push(1200);
                padding = padding.saturating_sub(1200);
            }
            for bytes in &due {
                seq = seq.wrapping_add(1);
                rate.sent(now, seq, *bytes);
                way.take(now, seq, *bytes);
            }
            queued.push(way.queued(now));
            sent.push(due.iter().sum::<usize>());
            if ms == seconds * 500 {
                early = way.dropped;
            }
        }
        (queued, sent, way.dropped - early)
    }

    fn mean_bps(sent: &[usize]) -> f64 {
        sent.iter().sum::<usize>() as f64 * 8000.0 / sent.len() as f64
    }

    #[test]
    fn behind_a_narrow_way_it_settles_under_it_and_leaves_the_queue_empty() {
        let (queued, sent, dropped) = publish(true, 1e6, None, 40);
        let half = sent.len() / 2;
        let rate = mean_bps(&sent[half..]);
        assert!((550e3..1e6).contains(&rate), "{rate}");
        assert_eq!(dropped, 0, "once it has settled");
        let mut late = queued[half..].to_vec();
        late.sort_unstable();
        let (median, p95) = (late[late.len() / 2], late[late.len() * 95 / 100]);
        assert!(median < 20 * MS && p95 < 100 * MS, "{median:?} {p95:?}");
        // By losses alone the queue is what is filled.
        let (queued, _, dropped) = publish(false, 1e6, None, 40);
        assert!(queued.iter().max() > Some(&(150 * MS)) && dropped > 0, "{dropped}");
    }

    #[test]
    fn on_a_wide_way_it_sends_all_that_it_has_before_long_unless_the_server_asks_for_less() {
        let (_, sent, dropped) = publish(true, 20e6, None, 20);
        assert!(mean_bps(&sent[10_000..]) > 2.1e6 && dropped == 0, "{}", mean_bps(&sent[10_000..]));
        let (_, sent, _) = publish(true, 20e6, Some(700_000), 20);
        let rate = mean_bps(&sent[10_000..]);
        assert!((600e3..800e3).contains(&rate), "{rate}");
    }

    #[test]
    fn a_server_that_says_nothing_of_arrivals_is_not_waited_for() {
        let (mut rate, now) = (Rate::new(true), Instant::now());
        assert_eq!(rate.allowed(now, 2e6), FIRST);
        rate.sent(now, 1, 1200);
        assert_eq!(rate.allowed(now + SILENT / 2, 2e6), FIRST);
        assert_eq!(rate.allowed(now + SILENT, 2e6), MOST);
    }
}
