//! How large frames are: an encoder holds its rate over time, not frame by frame. As Chromium's does for VP8 in simulcast, it
//! makes three temporal layers, which take 40, 20 and 40 % of the rate.

use millrace::units::{Bitrate, Duration, Instant};

use super::network::Rng;

/// A keyframe is as large as so many others.
const KEYFRAME: f64 = 6.0;
/// A keyframe is not made sooner after another.
const KEYFRAMES_APART: Duration = Duration::from_millis(300);
/// What fits into one packet.
const PACKET: usize = 1150;

/// Temporal layer, share of the mean, and whether nothing but the base layer is referred to: four frames in turn.
const PATTERN: [(u8, f64, bool); 4] = [(0, 1.6, false), (2, 0.8, true), (1, 0.8, true), (2, 0.8, false)];

/// A frame that is to be sent.
#[derive(Clone, Debug)]
pub struct Picture {
    pub temporal: u8,
    pub sync: bool,
    /// Its packets, in bytes.
    pub sizes: Vec<usize>,
}

/// Of one layer, at 30 frames a second.
#[derive(Clone, Debug)]
pub struct Encoder {
    mean: f64,
    /// What was spent on keyframes and is saved on what follows, in bytes.
    owed: f64,
    last_key: Option<Instant>,
    /// Place in the pattern.
    at: usize,
    rng: Rng,
}

impl Encoder {
    pub fn new(rate: Bitrate, seed: u64) -> Self {
        let mean = rate.as_bps() as f64 / 8.0 / 30.0;
        Self { mean, owed: 0.0, last_key: None, at: 0, rng: Rng::new(seed) }
    }

    /// Whether a keyframe that is asked for is made now.
    pub fn allows_keyframe(&self, now: Instant) -> bool {
        self.last_key.is_none_or(|last| now.since(last) >= KEYFRAMES_APART)
    }

    /// The next frame.
    pub fn frame(&mut self, key: bool, now: Instant) -> Picture {
        let noise = 0.6 + 0.8 * (self.rng.next() % 1000) as f64 / 1000.0;
        if key {
            self.at = 0;
        }
        let (temporal, share, sync) = PATTERN[self.at];
        self.at = (self.at + 1) % PATTERN.len();
        let bytes = if key {
            self.last_key = Some(now);
            self.owed += (KEYFRAME - share) * self.mean;
            KEYFRAME * self.mean
        } else {
            let saved = self.owed.min(self.mean * share * 0.3);
            self.owed -= saved;
            (self.mean * share - saved) * noise
        };
        let bytes = (bytes as usize).max(40);
        let count = bytes.div_ceil(PACKET);
        let sizes = (0..count).map(|n| (n + 1) * bytes / count - n * bytes / count).collect();
        Picture { temporal, sync, sizes }
    }
}
