//! A seeded network: loss, delay, jitter, reordering, duplication, rate.

use millrace::units::{Bitrate, Duration, Instant};

/// SplitMix64: the same seed, the same world.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }
}

/// One direction of a peer's connection.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    /// Up to this much more, evenly.
    pub(crate) jitter: Duration,
    /// Whether jitter may let packets overtake each other.
    pub(crate) reorders: bool,
    pub(crate) duplicates: f64,
    pub(crate) rate: Option<Bitrate>,
    /// Nothing at all passes.
    pub(crate) cut: bool,
    free_at: Instant,
    last: Instant,
}

impl Link {
    /// 10 ms, nothing lost.
    pub(crate) fn good() -> Self {
        Self {
            loss: 0.0,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            reorders: false,
            duplicates: 0.0,
            rate: None,
            cut: false,
            free_at: Instant::ZERO,
            last: Instant::ZERO,
        }
    }

    /// Loses this share.
    pub(crate) fn lossy(loss: f64) -> Self {
        Self { loss, ..Self::good() }
    }

    /// Passes only so much.
    pub(crate) fn narrow(rate: Bitrate) -> Self {
        Self { rate: Some(rate), ..Self::good() }
    }

    /// Everything at once.
    pub(crate) fn bad() -> Self {
        Self {
            loss: 0.05,
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(15),
            reorders: true,
            duplicates: 0.02,
            ..Self::good()
        }
    }

    /// When a datagram arrives: never, once or twice.
    pub(crate) fn carry(&mut self, now: Instant, bytes: usize, rng: &mut Rng) -> Vec<Instant> {
        if self.cut || rng.chance(self.loss) {
            return vec![];
        }
        let mut leaves = now;
        if let Some(rate) = self.rate {
            self.free_at =
                self.free_at.max(now) + Duration::from_micros(bytes as u64 * 8_000_000 / rate.as_bps());
            leaves = self.free_at;
            // A queue of a quarter of a second.
            if leaves.since(now) > Duration::from_millis(250) {
                return vec![];
            }
        }
        let mut copies = vec![];
        for _ in 0..1 + usize::from(rng.chance(self.duplicates)) {
            let jitter = self.jitter.as_micros() as u64;
            let extra = if jitter == 0 { 0 } else { rng.next() % jitter };
            let mut at = leaves + self.delay + Duration::from_micros(extra);
            if !self.reorders {
                at = at.max(self.last);
            }
            self.last = at;
            copies.push(at);
        }
        copies
    }
}
