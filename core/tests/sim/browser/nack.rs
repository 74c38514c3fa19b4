//! What is missing, and when it is asked for again: at once, then with every round trip, ten times.

use std::collections::BTreeMap;

use millrace::units::{Duration, Instant};

/// Until extended reports tell a receiver the round trip it takes it for this.
const ROUND_TRIP: Duration = Duration::from_millis(100);
const TRIES: u8 = 10;
/// More than this cannot be mended one by one.
const MOST: usize = 1000;

/// See the module.
#[derive(Default)]
pub struct Nack {
    highest: Option<u64>,
    /// When it may be asked for, and how often it was.
    missing: BTreeMap<u64, (Instant, u8)>,
    overflow: bool,
    round_trip: Option<Duration>,
    pub asked: u64,
    pub given_up: u64,
}

impl Nack {
    pub fn came(&mut self, seq: u64, resent: bool, now: Instant) {
        self.missing.remove(&seq);
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            return;
        };
        // A retransmission says nothing about what was sent before it.
        if seq > highest && !resent {
            self.missing.extend((highest + 1..seq).map(|skipped| (skipped, (now, 0))));
            self.highest = Some(seq);
        }
        if self.missing.len() > MOST {
            self.missing.clear();
            self.overflow = true;
        }
    }

    /// So long it takes until what was asked for can come.
    pub fn learn(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }

    /// What was decoded needs nothing before it.
    pub fn forget_up_to(&mut self, seq: u64) {
        self.missing = self.missing.split_off(&seq);
    }

    pub fn due(&mut self, now: Instant) -> Vec<u64> {
        let before = self.missing.len();
        self.missing.retain(|_, (at, tries)| *at > now || *tries < TRIES);
        self.given_up += (before - self.missing.len()) as u64;
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP);
        let due = self.missing.iter_mut().filter(|(_, (at, _))| *at <= now);
        let due = due.map(|(seq, (at, tries))| {
            (*at, *tries) = (now + round_trip, *tries + 1);
            *seq
        });
        let seqs: Vec<_> = due.collect();
        self.asked += seqs.len() as u64;
        seqs
    }

    /// Whether so much was missing that it was given up altogether, since the last time this was asked.
    pub fn overflowed(&mut self) -> bool {
        std::mem::take(&mut self.overflow)
    }
}
