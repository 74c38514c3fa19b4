//! How large frames are: an encoder holds its rate over time, not frame by frame.

use millrace::units::{Bitrate, Duration, Instant};

use super::network::Rng;

/// A keyframe is as large as so many others.
const KEYFRAME: f64 = 6.0;
/// A keyframe is not made sooner after another.
const KEYFRAMES_APART: Duration = Duration::from_millis(300);
/// What fits into one packet.
const PACKET: usize = 1150;

/// Of one layer, at 30 frames a second.
#[derive(Clone, Debug)]
pub struct Encoder {
    mean: f64,
    /// What was spent on keyframes and is saved on what follows, in bytes.
    owed: f64,
    last_key: Option<Instant>,
    rng: Rng,
}

impl Encoder {
    pub fn new(rate: Bitrate, seed: u64) -> Self {
        Self { mean: rate.as_bps() as f64 / 8.0 / 30.0, owed: 0.0, last_key: None, rng: Rng::new(seed) }
    }

    /// Whether a keyframe that is asked for is made now.
    pub fn allows_keyframe(&self, now: Instant) -> bool {
        self.last_key.is_none_or(|last| now.since(last) >= KEYFRAMES_APART)
    }

    /// The packets of the next frame, in bytes.
    pub fn frame(&mut self, key: bool, now: Instant) -> Vec<usize> {
        let noise = 0.6 + 0.8 * (self.rng.next() % 1000) as f64 / 1000.0;
        let bytes = if key {
            self.last_key = Some(now);
            self.owed += (KEYFRAME - 1.0) * self.mean;
            KEYFRAME * self.mean
        } else {
            let saved = self.owed.min(self.mean * 0.3);
            self.owed -= saved;
            (self.mean - saved) * noise
        };
        let bytes = (bytes as usize).max(40);
        let count = bytes.div_ceil(PACKET);
        (0..count).map(|n| (n + 1) * bytes / count - n * bytes / count).collect()
    }
}
