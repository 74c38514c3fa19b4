//! A seeded network: loss, delay, jitter, reordering, duplication, rate.

use millrace::units::{Bitrate, Duration, Instant};

/// SplitMix64: the same seed, the same world.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    #[expect(clippy::should_implement_trait, reason = "always a number, never an end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }
}

/// One direction of a peer's connection.
#[derive(Clone, Debug)]
pub struct Link {
    pub loss: f64,
    pub delay: Duration,
    /// Up to this much more, evenly.
    pub jitter: Duration,
    /// Whether jitter may let packets overtake each other.
    pub reorders: bool,
    pub duplicates: f64,
    pub rate: Option<Bitrate>,
    /// Nothing at all passes.
    pub cut: bool,
    free_at: Instant,
    last: Instant,
}

impl Link {
    /// 10 ms, nothing lost.
    pub fn good() -> Self {
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
    pub fn lossy(loss: f64) -> Self {
        Self { loss, ..Self::good() }
    }

    /// Passes only so much.
    pub fn narrow(rate: Bitrate) -> Self {
        Self { rate: Some(rate), ..Self::good() }
    }

    /// Everything at once.
    pub fn bad() -> Self {
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
    pub fn carry(&mut self, now: Instant, bytes: usize, rng: &mut Rng) -> Vec<Instant> {
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
