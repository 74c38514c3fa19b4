//! A download that shares a bottleneck: segments clocked by acknowledgements, slow start, and a window that grows as
//! CUBIC's does (RFC 9438) and shrinks at each episode of loss.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use millrace::units::{Duration, Instant};

use super::bottleneck::Bottleneck;
use super::network::Rng;

const SEGMENT: usize = 1500;
/// RFC 9438 sections 4.1 and 4.6.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Nothing acknowledged for so long: begin anew (RFC 6298 section 2.4).
const TIMEOUT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Download {
    /// Its name at the bottleneck.
    flow: usize,
    begins: Instant,
    /// From the receiver back to the sender.
    back: Duration,
    window: f64,
    threshold: f64,
    /// The window before the last loss, and when that was.
    top: f64,
    epoch: Instant,
    next: u64,
    outstanding: BTreeSet<u64>,
    /// Losses before this one belong to an episode that was answered.
    recovered: u64,
    acks: BinaryHeap<Reverse<(Instant, u64)>>,
    heard: Instant,
}

impl Download {
    pub fn new(flow: usize, begins: Instant, back: Duration) -> Self {
        Self {
            flow,
            begins,
            back,
            window: 10.0,
            threshold: f64::MAX,
            top: 0.0,
            epoch: begins,
            next: 0,
            outstanding: BTreeSet::new(),
            recovered: 0,
            acks: BinaryHeap::new(),
            heard: begins,
        }
    }

    pub fn next_wake(&self) -> Instant {
        if self.next == 0 {
            return self.begins;
        }
        let ack = self.acks.peek().map_or(Instant::NEVER, |Reverse((at, _))| *at);
        ack.min(self.heard + TIMEOUT)
    }

    pub fn wake(&mut self, now: Instant, link: &mut Bottleneck, rng: &mut Rng) {
        if now < self.begins {
            return;
        }
        while let Some(Reverse((at, segment))) = self.acks.peek().copied()
            && at <= now
        {
            self.acks.pop();
            self.acknowledged(segment, now);
        }
        if self.next > 0 && now >= self.heard + TIMEOUT {
            self.heard = now;
            self.outstanding.clear();
            self.threshold = (self.window * BETA).max(2.0);
            self.window = 1.0;
        }
        while self.outstanding.len() < self.window as usize {
            let passage = link.carry(now, self.flow, SEGMENT, rng);
            if let Some(arrives) = passage.arrives {
                self.acks.push(Reverse((arrives + self.back, self.next)));
            }
            self.outstanding.insert(self.next);
            self.next += 1;
        }
    }

    fn acknowledged(&mut self, segment: u64, now: Instant) {
        self.heard = now;
        if !self.outstanding.remove(&segment) {
            return;
        }
        // Three later ones arrived: it will not come any more.
        while let Some(lost) = self.outstanding.first().copied()
            && lost + 3 <= segment
        {
            self.outstanding.pop_first();
            if lost >= self.recovered {
                self.recovered = self.next;
                self.top = self.window;
                self.window = (self.window * BETA).max(2.0);
                self.threshold = self.window;
                self.epoch = now;
            }
        }
        if self.window < self.threshold {
            self.window += 1.0;
        } else {
            let k = (self.top * (1.0 - BETA) / C).cbrt();
            let t = now.since(self.epoch).as_secs_f64() - k;
            let target = (C * t * t * t + self.top).clamp(self.window, self.window * 1.5);
            self.window += (target - self.window) / self.window;
        }
    }
}
