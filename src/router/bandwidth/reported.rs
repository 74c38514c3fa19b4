//! For peers without transport-wide feedback: what REMB asks for, lowered while reports tell of loss.
//!
//! The loss rule is the sender's of Carlucci et al., "Analysis and Design of the Google Congestion Control for WebRTC"
//! (2016), section 3.2: up below 2 %, down above 10 %.

use serde::{Deserialize, Serialize};

use super::LEAST;
use crate::units::{Bitrate, Duration, Instant};

/// Below this share of loss, in 1/256, the rate grows ...
const FEW: u8 = 5;
/// ... and above this it falls.
const MANY: u8 = 25;
/// By so much a second it grows, in percent.
const GROWTH_PERCENT: u64 = 8;
/// It falls at most this often: reports come for each source.
const FALL_EVERY: Duration = Duration::from_millis(700);
/// A wish that was not repeated for so long is none any more.
const FORGET: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Reported {
    /// What the peer asked for last, and when.
    remb: Option<(Bitrate, Instant)>,
    /// What losses leave, and when that changed.
    left: Option<(Bitrate, Instant)>,
}

impl Reported {
    /// The peer asks for at most this much.
    pub const fn on_remb(&mut self, now: Instant, rate: Bitrate) {
        self.remb = Some((rate, now));
    }

    /// The peer lost this share, in 1/256, while this much was sent.
    pub fn on_loss(&mut self, now: Instant, fraction: u8, sending: Bitrate) {
        let Some((left, since)) = self.left else {
            if fraction > MANY {
                self.left = Some((lowered(sending, fraction), now));
            }
            return;
        };
        let passed = now.since(since);
        if fraction > MANY {
            if passed >= FALL_EVERY {
                self.left = Some((lowered(left.min(sending), fraction), now));
            }
        } else if fraction < FEW {
            let passed_ms = (passed.as_millis() as u64).min(1000);
            let grown = left.as_bps() + left.as_bps() / 100 * GROWTH_PERCENT * passed_ms / 1000;
            // Far above what is sent it bounds nothing.
            let bounds = grown / 2 < sending.as_bps().max(LEAST.as_bps());
            self.left = bounds.then_some((Bitrate::from_bps(grown), now));
        }
    }

    /// What the way carries; `None` until something is known.
    pub fn estimate(&self, now: Instant) -> Option<Bitrate> {
        let asked = self.remb.filter(|(_, at)| now.since(*at) < FORGET).map(|(rate, _)| rate);
        let left = self.left.map(|(rate, _)| rate);
        let least = match (asked, left) {
            (Some(asked), Some(left)) => asked.min(left),
            (one, other) => one.or(other)?,
        };
        Some(least.max(LEAST))
    }
}

/// By half of what was lost.
fn lowered(rate: Bitrate, fraction: u8) -> Bitrate {
    Bitrate::from_bps(rate.as_bps() / 512 * (512 - u64::from(fraction))).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_wish_holds_until_it_is_not_repeated() {
        let mut reported = Reported::default();
        assert_eq!(reported.estimate(at(0)), None);
        reported.on_remb(at(0), Bitrate::from_kbps(900));
        assert_eq!(reported.estimate(at(9_000)), Some(Bitrate::from_kbps(900)));
        assert_eq!(reported.estimate(at(11_000)), None);
        reported.on_remb(at(12_000), Bitrate::ZERO);
        assert_eq!(reported.estimate(at(12_000)), Some(LEAST));
    }

    #[test]
    fn heavy_loss_lowers_and_its_end_raises_until_nothing_bounds() {
        let mut reported = Reported::default();
        let sending = Bitrate::from_kbps(2000);
        reported.on_loss(at(0), 12, sending);
        assert_eq!(reported.estimate(at(0)), None);
        for second in 1..4 {
            reported.on_loss(at(second * 1000), 77, sending);
            // Another source of the same peer reports the same.
            reported.on_loss(at(second * 1000 + 10), 77, sending);
        }
        let low = reported.estimate(at(4000)).expect("bounded");
        assert!((1_100_000..1_400_000).contains(&low.as_bps()), "{low}");
        for second in 4..30 {
            reported.on_loss(at(second * 1000), 0, sending);
        }
        assert_eq!(reported.estimate(at(30_000)), None);
    }
}
