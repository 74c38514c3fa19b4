//! What of one layer came and what is missing: order, losses, what to ask for again, and what to report.

use crate::units::{Duration, Instant};
use crate::wire::id::{Seq, Seq16, Ssrc};
use crate::wire::rtcp::ReportBlock;

/// So many sequence numbers back are told apart from repetitions; what is older is dropped.
const WINDOW: u64 = 1024;
/// A jump further ahead is a new beginning, not a loss (RFC 3550 appendix A.1, MAX_DROPOUT).
const MAX_JUMP: u64 = 3000;
/// The most that is asked for again: who lost more needs a keyframe.
const MAX_MISSING: usize = 256;
/// A packet may be overtaken by so much before it counts as lost: at least, and as late as some came at most.
const MIN_REORDER: Duration = Duration::from_millis(2);
const MAX_REORDER: Duration = Duration::from_millis(30);
/// How often a packet is asked for, and how long: later it could not be played.
const MAX_TRIES: u8 = 10;
const GIVE_UP: Duration = Duration::from_millis(1000);

/// What a sequence number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// New, in or out of order.
    Fresh(u64),
    /// The stream begins anew here.
    Restart(u64),
    /// It was here before.
    Repeated,
    /// Too old to tell.
    Late,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    seq: u64,
    since: Instant,
    /// When it was last asked for, and when it is next.
    asked: Instant,
    next: Instant,
    tries: u8,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reception {
    pub(crate) ssrc: Ssrc,
    started: bool,
    /// Whether lost packets are asked for.
    asks: bool,
    highest: u64,
    seen: [u64; (WINDOW / 64) as usize],
    missing: Vec<Missing>,
    /// How late packets come that were overtaken.
    reorder: Duration,
    // For reports (RFC 3550 appendix A.3, A.8).
    first: u64,
    received: u64,
    recovered: u64,
    before: (u64, u64),
    transit: Option<u32>,
    jitter_16ths: u32,
    /// The last sender report: the middle of its NTP time, and when it came.
    pub(crate) sender_report: Option<(u32, Instant)>,
}

impl Reception {
    pub(crate) const fn new(ssrc: Ssrc, asks: bool) -> Self {
        Self {
            ssrc,
            started: false,
            asks,
            highest: 0,
            seen: [0; (WINDOW / 64) as usize],
            missing: Vec::new(),
            reorder: MIN_REORDER,
            first: 0,
            received: 0,
            recovered: 0,
            before: (0, 0),
            transit: None,
            jitter_16ths: 0,
            sender_report: None,
        }
    }

    /// Takes in a sequence number. `resent`: it came as a retransmission, which no statistics count.
    pub(crate) fn accept(&mut self, wire: Seq16, resent: bool, now: Instant) -> Arrival {
        if !self.started {
            return if resent { Arrival::Late } else { self.begin(wire) };
        }
        let seq = Seq(self.highest).nearest(wire).0;
        if seq > self.highest {
            let jump = seq - self.highest;
            if jump > MAX_JUMP {
                return if resent { Arrival::Late } else { self.begin(wire) };
            }
            for skipped in self.highest + 1..seq {
                self.set(skipped, false);
                self.miss(skipped, now);
            }
            self.highest = seq;
        } else if self.highest - seq >= WINDOW {
            return Arrival::Late;
        } else if self.is_set(seq) {
            return Arrival::Repeated;
        }
        self.set(seq, true);
        if resent {
            self.recovered += 1;
        } else {
            self.received += 1;
        }
        Arrival::Fresh(seq)
    }

    fn begin(&mut self, wire: Seq16) -> Arrival {
        let restarted = self.started;
        self.started = true;
        // One rollover up, so that what is older than the first packet has a number, too.
        let seq = 0x1_0000 + u64::from(wire.0);
        self.seen = [u64::MAX; (WINDOW / 64) as usize];
        self.missing.clear();
        (self.highest, self.first, self.received, self.recovered, self.before) = (seq, seq, 1, 0, (0, 0));
        self.transit = None;
        if restarted { Arrival::Restart(seq) } else { Arrival::Fresh(seq) }
    }

    fn is_set(&self, seq: u64) -> bool {
        self.seen.get((seq % WINDOW / 64) as usize).is_some_and(|word| word >> (seq % 64) & 1 == 1)
    }

    fn set(&mut self, seq: u64, to: bool) {
        if let Some(word) = self.seen.get_mut((seq % WINDOW / 64) as usize) {
            *word = *word & !(1 << (seq % 64)) | u64::from(to) << (seq % 64);
        }
    }

    fn miss(&mut self, seq: u64, now: Instant) {
        if self.asks && self.missing.len() < MAX_MISSING {
            let next = now + self.reorder;
            self.missing.push(Missing { seq, since: now, asked: now, next, tries: 0 });
        }
    }

    /// A packet of the list came; if it was asked for once only, when.
    pub(crate) fn found(&mut self, seq: u64, resent: bool, now: Instant) -> Option<Instant> {
        if self.missing.is_empty() {
            return None;
        }
        let at = self.missing.binary_search_by_key(&seq, |m| m.seq).ok()?;
        let missing = self.missing.remove(at);
        if !resent {
            self.reorder = self.reorder.max(now.since(missing.since) * 5 / 4).min(MAX_REORDER);
        }
        (resent && missing.tries == 1).then_some(missing.asked)
    }

    /// Jitter (RFC 3550 section 6.4.1), from packets that came the first time.
    pub(crate) fn time(&mut self, ts: u32, rate: u32, now: Instant) {
        let arrival = (u128::from(now.as_micros()) * u128::from(rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(ts);
        if let Some(before) = self.transit.replace(transit) {
            let d = (transit.wrapping_sub(before) as i32).unsigned_abs().min(rate);
            self.jitter_16ths = self.jitter_16ths.saturating_add(d) - (self.jitter_16ths + 8) / 16;
        }
    }

    /// When to ask again for something; [`Instant::NEVER`] if nothing is missing.
    pub(crate) fn next_ask(&self) -> Instant {
        self.missing.iter().map(|m| m.next).min().unwrap_or(Instant::NEVER)
    }

    /// Whether something is to be asked for now.
    pub(crate) fn asks_now(&mut self, now: Instant) -> bool {
        self.missing.retain(|m| m.tries < MAX_TRIES && now.since(m.since) < GIVE_UP);
        self.next_ask() <= now
    }

    /// What to ask for now, and again after `again`.
    pub(crate) fn ask(&mut self, now: Instant, again: Duration) -> impl Iterator<Item = Seq16> + '_ {
        self.missing.iter_mut().filter(move |m| m.next <= now).map(move |m| {
            m.tries += 1;
            m.asked = now;
            m.next = now + again;
            Seq(m.seq).wire()
        })
    }

    /// Packets expected and not received by now, recovered ones not counted.
    pub(crate) fn lost(&self) -> u64 {
        if !self.started {
            return 0;
        }
        (self.highest - self.first + 1).saturating_sub(self.received + self.recovered)
    }

    /// The report on this source since the last one.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        if !self.started {
            return None;
        }
        let expected = self.highest - self.first + 1;
        let lost = expected as i64 - self.received as i64;
        let (expected_now, received_now) =
            (expected.saturating_sub(self.before.0), self.received.saturating_sub(self.before.1));
        self.before = (expected, self.received);
        self.reorder = (self.reorder * 7 / 8).max(MIN_REORDER);
        let lost_now = expected_now.saturating_sub(received_now);
        let (last_sr, delay_since_sr) = self.sender_report.map_or((0, 0), |(middle, at)| {
            (middle, (now.since(at).as_micros() * 65_536 / 1_000_000).min(u128::from(u32::MAX)) as u32)
        });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_seq: self.highest.wrapping_sub(0x1_0000) as u32,
            jitter: self.jitter_16ths / 16,
            last_sr,
            delay_since_sr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reception() -> Reception {
        Reception::new(Ssrc(1), true)
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn every_number_is_fresh_once() {
        let mut r = reception();
        assert_eq!(r.accept(Seq16(65_534), false, at(0)), Arrival::Fresh(0x1_fffe));
        assert_eq!(r.accept(Seq16(1), false, at(0)), Arrival::Fresh(0x2_0001));
        assert_eq!(r.accept(Seq16(65_535), false, at(0)), Arrival::Fresh(0x1_ffff));
        assert_eq!(r.accept(Seq16(65_535), true, at(0)), Arrival::Repeated);
        assert_eq!(r.accept(Seq16(0), true, at(0)), Arrival::Fresh(0x2_0000));
        assert_eq!(r.accept(Seq16(60_000), false, at(0)), Arrival::Late);
    }

    #[test]
    fn a_far_jump_is_a_new_beginning() {
        let mut r = reception();
        r.accept(Seq16(10), false, at(0));
        assert_eq!(r.accept(Seq16(9000), false, at(0)), Arrival::Restart(0x1_0000 + 9000));
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes_or_is_too_old() {
        let mut r = reception();
        r.accept(Seq16(10), false, at(0));
        r.accept(Seq16(13), false, at(0));
        assert!(!r.asks_now(at(1)) && r.asks_now(at(2)));
        let asked: Vec<_> = r.ask(at(5), Duration::from_millis(100)).collect();
        assert_eq!(asked, [Seq16(11), Seq16(12)]);
        assert_eq!(r.next_ask(), at(105));
        assert!(matches!(r.accept(Seq16(11), true, at(45)), Arrival::Fresh(_)));
        assert_eq!(r.found(0x1_000b, true, at(45)), Some(at(5)));
        assert_eq!(r.ask(at(105), Duration::from_millis(100)).count(), 1);
        assert!(!r.asks_now(at(1000)));
        assert_eq!(r.next_ask(), Instant::NEVER);
    }

    #[test]
    fn who_reorders_is_given_time() {
        let mut r = reception();
        r.accept(Seq16(10), false, at(0));
        r.accept(Seq16(12), false, at(0));
        assert_eq!(r.next_ask(), at(2));
        r.accept(Seq16(11), false, at(16));
        assert_eq!(r.found(0x1_000b, false, at(16)), None);
        r.accept(Seq16(14), false, at(20));
        assert_eq!(r.next_ask(), at(40));
        // Once nothing overtakes any more, losses are asked for soon again.
        (0..30).for_each(|n| _ = r.report(at(n * 1000)));
        r.missing.clear();
        r.accept(Seq16(16), false, at(40_000));
        assert_eq!(r.next_ask(), at(40_002));
    }

    #[test]
    fn a_report_counts_what_was_lost_since_the_last() {
        let mut r = reception();
        for seq in (0..100).filter(|s| s % 4 != 3) {
            r.accept(Seq16(seq), false, at(0));
        }
        let report = r.report(at(1000)).expect("started");
        assert_eq!((report.lost, report.fraction_lost, report.highest_seq), (24, 62, 98));
        for seq in 99..200 {
            r.accept(Seq16(seq), false, at(0));
        }
        assert_eq!(r.report(at(2000)).expect("started").fraction_lost, 0);
    }

    #[test]
    fn jitter_follows_the_spread_of_transit_times() {
        let mut r = reception();
        r.accept(Seq16(0), false, at(0));
        for n in 0..200u64 {
            // 20 ms apart, every second one 10 ms late: the transit changes by 10 ms each time.
            r.time(n as u32 * 960, 48_000, Instant::from_millis(n * 20 + n % 2 * 10));
        }
        let jitter = r.report(at(4000)).expect("started").jitter;
        assert!((440..=490).contains(&jitter), "{jitter}");
    }
}
