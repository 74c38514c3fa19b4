//! How much a publisher may send of a track. A client is told, by REMB and by its rights; of one that does not listen the
//! layers beyond are dropped on arrival.

use crate::units::{Bitrate, Duration, Instant, PictureSize};

/// A rate is over or within the limit for so long before that counts: clients follow what they are told in about a second,
/// and a keyframe is no breach.
const STEADY: Duration = Duration::from_secs(2);
/// A rate that is over by less than one in so many is within the client's accuracy.
const TOLERANCE: u64 = 8;

/// What is known of one layer, from the smallest up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) size: Option<PictureSize>,
    /// Nothing where it does not arrive.
    pub(crate) rate: Bitrate,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// All layers together.
    pub(crate) max_bitrate: Bitrate,
    /// The largest picture, lying or standing.
    pub(crate) max_size: PictureSize,
    /// So many of the smallest layers are within the rate.
    within: usize,
    /// Since when another number would be right.
    since: Option<Instant>,
}

impl Default for Limit {
    fn default() -> Self {
        let max_size = PictureSize::new(u16::MAX, u16::MAX);
        Self { max_bitrate: Bitrate::MAX, max_size, within: usize::MAX, since: None }
    }
}

impl Limit {
    /// Which layers are to be dropped, by bit.
    pub(crate) fn refused(&mut self, now: Instant, layers: impl Iterator<Item = Seen> + Clone) -> u32 {
        let limit = self.max_bitrate.as_bps();
        let tolerated = limit.saturating_add(limit / TOLERANCE);
        let fitting = |limit| fitting(limit, layers.clone());
        let right = match (fitting(tolerated), fitting(limit)) {
            (fewer, _) if fewer < self.within => fewer,
            (_, more) if more > self.within => more,
            _ => self.within,
        };
        if right == self.within {
            self.since = None;
        } else if now.since(*self.since.get_or_insert(now)) >= STEADY {
            (self.within, self.since) = (right, None);
        }
        let refused = layers.enumerate().filter(|(at, layer)| {
            *at >= self.within || layer.size.is_some_and(|size| !size.is_within(self.max_size))
        });
        refused.fold(0, |bits, (at, _)| bits | 1 << at)
    }
}

/// How many of the smallest layers cost no more than this; all is `usize::MAX`.
fn fitting(limit: u64, layers: impl Iterator<Item = Seen>) -> usize {
    let mut sum = 0u64;
    for (at, layer) in layers.enumerate() {
        sum = sum.saturating_add(layer.rate.as_bps());
        if sum > limit {
            return at;
        }
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(kbps: [u64; 3]) -> impl Iterator<Item = Seen> + Clone {
        let sizes = [(320, 180), (640, 360), (1280, 720)];
        (0..3).map(move |at| Seen {
            size: Some(PictureSize::new(sizes[at].0, sizes[at].1)),
            rate: Bitrate::from_kbps(kbps[at]),
        })
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn what_is_beyond_the_rate_for_long_is_refused_until_it_is_within_for_long() {
        let mut limit = Limit { max_bitrate: Bitrate::from_kbps(1000), ..Limit::default() };
        let (much, little) = ([150, 500, 2000], [100, 300, 600]);
        assert_eq!(limit.refused(at(0), layers(much)), 0);
        assert_eq!(limit.refused(at(1900), layers(much)), 0);
        assert_eq!(limit.refused(at(2000), layers(much)), 0b100);
        assert_eq!(limit.refused(at(3000), layers(little)), 0b100);
        // A little over again: it does not flap.
        assert_eq!(limit.refused(at(4000), layers([100, 300, 650])), 0b100);
        assert_eq!(limit.refused(at(5000), layers(little)), 0b100);
        assert_eq!(limit.refused(at(7000), layers(little)), 0);
        assert_eq!(limit.refused(at(9000), layers([100, 300, 700])), 0, "tolerated");
        limit.max_bitrate = Bitrate::from_kbps(80);
        limit.refused(at(10_000), layers(little));
        assert_eq!(limit.refused(at(12_000), layers(little)), 0b111);
    }

    #[test]
    fn what_is_too_large_is_refused_at_once() {
        let mut limit = Limit { max_size: PictureSize::new(640, 480), ..Limit::default() };
        assert_eq!(limit.refused(at(0), layers([1; 3])), 0b100);
        limit.max_size = PictureSize::new(1280, 720);
        assert_eq!(limit.refused(at(1), layers([1; 3])), 0);
    }
}
