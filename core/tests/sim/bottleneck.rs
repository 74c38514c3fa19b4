//! The narrow place that several flows share: a rate that changes by a schedule, a drop-tail queue, losses on the wire.

use millrace::units::{Bitrate, Duration, Instant};

use super::loss::Loss;
use super::network::Rng;

/// A rate that changes at set times.
#[derive(Clone, Debug)]
pub struct Schedule(Vec<(Instant, Bitrate)>);

impl Schedule {
    /// Always the same.
    pub fn constant(rate: Bitrate) -> Self {
        Self(vec![(Instant::ZERO, rate)])
    }

    /// Rates in kbit/s, each from a time in milliseconds after `zero` on; the first from the beginning.
    pub fn steps(zero: Instant, steps: &[(u64, u64)]) -> Self {
        let step = |(n, (ms, kbps)): (usize, &(u64, u64))| {
            let from = if n == 0 { Instant::ZERO } else { zero + Duration::from_millis(*ms) };
            (from, Bitrate::from_kbps(*kbps))
        };
        Self(steps.iter().enumerate().map(step).collect())
    }

    fn place(&self, at: Instant) -> usize {
        self.0.partition_point(|(from, _)| *from <= at).max(1) - 1
    }

    pub fn rate(&self, at: Instant) -> Bitrate {
        self.0[self.place(at)].1
    }

    /// What could pass between two times, in bits.
    pub fn bits(&self, from: Instant, to: Instant) -> u64 {
        let (mut at, mut bits) = (from, 0);
        while at < to {
            let place = self.place(at);
            let until = self.0.get(place + 1).map_or(to, |(next, _)| to.min(*next));
            bits += until.since(at).as_micros() as u64 * self.0[place].1.as_bps() / 1_000_000;
            at = until;
        }
        bits
    }

    /// When the last bit of something that begins to leave at `from` has left.
    pub fn finish(&self, from: Instant, bytes: usize) -> Instant {
        let (mut at, mut bits) = (from, bytes as u64 * 8);
        loop {
            let place = self.place(at);
            let done = at + Duration::from_micros((bits * 1_000_000).div_ceil(self.0[place].1.as_bps()));
            match self.0.get(place + 1) {
                Some((next, _)) if *next < done => {
                    bits -= self.bits(at, *next).min(bits);
                    at = *next;
                }
                _ => return done,
            }
        }
    }
}

/// Where drop-tail begins to drop.
#[derive(Clone, Copy, Debug)]
pub enum Depth {
    /// A packet that would wait longer is dropped.
    Time(Duration),
    /// A packet is dropped if it would make the queue longer than this.
    Bytes(u64),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// When it came to the queue.
    pub at: Instant,
    /// Whose it was.
    pub flow: usize,
    pub bytes: usize,
    /// How long it waited before its first bit left; `None` if it was dropped.
    pub queued: Option<Duration>,
    /// When it arrives; `None` if it was dropped or lost.
    pub arrives: Option<Instant>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    pub schedule: Schedule,
    pub depth: Depth,
    /// From the end of the queue to the receiver.
    pub delay: Duration,
    /// Up to this much more, evenly; packets never overtake each other.
    pub jitter: Duration,
    pub loss: Loss,
    pub(crate) free_at: Instant,
    pub(crate) last: Instant,
    pub log: Vec<Passage>,
}

impl Bottleneck {
    /// Of this rate, with a queue of 300 ms and a delay of 20 ms.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            depth: Depth::Time(Duration::from_millis(300)),
            delay: Duration::from_millis(20),
            jitter: Duration::ZERO,
            loss: Loss::None,
            free_at: Instant::ZERO,
            last: Instant::ZERO,
            log: vec![],
        }
    }

    /// Takes a packet in and says what becomes of it.
    pub fn carry(&mut self, now: Instant, flow: usize, bytes: usize, rng: &mut Rng) -> Passage {
        let waits = self.free_at.since(now);
        let full = match self.depth {
            Depth::Time(most) => waits > most,
            Depth::Bytes(most) => self.schedule.bits(now, self.free_at) / 8 + bytes as u64 > most,
        };
        let mut passage = Passage { at: now, flow, bytes, queued: None, arrives: None };
        if !full {
            self.free_at = self.schedule.finish(self.free_at.max(now), bytes);
            passage.queued = Some(waits);
            if !self.loss.strikes(rng) {
                let jitter = self.jitter.as_micros() as u64;
                let extra = if jitter == 0 { 0 } else { rng.next() % jitter };
                self.last = self.last.max(self.free_at + self.delay + Duration::from_micros(extra));
                passage.arrives = Some(self.last);
            }
        }
        self.log.push(passage);
        passage
    }
}
