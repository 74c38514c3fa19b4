//! How much a publisher may send of a track. A client is told, by REMB, by notices and by its rights; of one that does not
//! listen the layers beyond are dropped on arrival, and of sound the packets beyond.

use super::frames::Frames;
use super::shape::Shape;
use crate::router::command::TrackLimits;
use crate::units::Bitrate;
use crate::units::{Duration, Instant, PictureSize};

/// A rate is over or within the limit for so long before that counts: clients follow what they are told in about a second,
/// and a keyframe is no breach.
const STEADY: Duration = Duration::from_secs(2);
/// A rate that is over by less than one in so many is within the client's accuracy.
const TOLERANCE: u64 = 8;
/// Sound may be ahead of its rate by this much: a word costs more than the pause before it.
const SOUND_BURST: Duration = Duration::from_millis(500);

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
    pub(crate) most: TrackLimits,
    /// So many of the smallest layers are within the rate.
    within: usize,
    /// Since when another number would be right.
    since: Option<Instant>,
    /// When all sound that was let through will have been paid for.
    paid: Instant,
}

impl Default for Limit {
    fn default() -> Self {
        Self { most: TrackLimits::NONE, within: usize::MAX, since: None, paid: Instant::default() }
    }
}

impl Limit {
    /// Which layers are to be dropped, by bit.
    pub(crate) fn refused(&mut self, now: Instant, layers: impl Iterator<Item = Seen> + Clone) -> u32 {
        let limit = self.most.max_bitrate.as_bps();
        let tolerated = tolerated(limit);
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
            *at >= self.within.min(usize::from(self.most.max_layers))
                || layer.size.is_some_and(|size| !size.is_within(self.most.max_size))
        });
        refused.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    /// Up to which spatial and temporal layer a layer may be sent on, as far as that is less than all of it.
    pub(crate) fn part(&self, alone: bool, shape: &Shape, frames: &Frames) -> (u8, u8) {
        let all = u8::MAX;
        let top = shape.top_spatial();
        let spatial = match top {
            0 => all,
            _ => {
                let fits =
                    |spatial: &u8| shape.size(*spatial).is_none_or(|s| s.is_within(self.most.max_size));
                let most = (0..=top).rev().find(fits).unwrap_or(0);
                // Next to simulcast's layers those of the codec's own are not counted.
                let counted = if alone { self.most.max_layers.saturating_sub(1) } else { all };
                Some(most.min(counted)).filter(|most| *most < top).unwrap_or(all)
            }
        };
        let last = shape.top_temporal();
        let most = tolerated(u64::from(self.most.max_fps));
        let slow = |temporal: &u8| u64::from(frames.up_to(*temporal)) <= most;
        let temporal = match self.most.max_fps {
            u8::MAX => all,
            _ => Some((0..=last).rev().find(slow).unwrap_or(0)).filter(|most| *most < last).unwrap_or(all),
        };
        (spatial, temporal)
    }

    /// Whether more pictures come than may, though only the base layer is sent on.
    pub(crate) fn too_fast(&self, frames: &Frames) -> bool {
        self.most.max_fps != u8::MAX && u64::from(frames.up_to(0)) > tolerated(u64::from(self.most.max_fps))
    }

    /// Whether a packet with so many bytes of sound is within the rate.
    pub(crate) fn lets_sound(&mut self, now: Instant, bytes: usize) -> bool {
        let bps = tolerated(self.most.max_bitrate.as_bps());
        if self.most.max_bitrate == Bitrate::MAX {
            return true;
        }
        let cost = Duration::from_micros((bytes as u64 * 8).saturating_mul(1_000_000) / bps.max(1));
        let paid = self.paid.max(now) + cost;
        let lets = paid.since(now) <= SOUND_BURST;
        if lets {
            self.paid = paid;
        }
        lets
    }
}

const fn tolerated(limit: u64) -> u64 {
    limit.saturating_add(limit / TOLERANCE)
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
        let mut limit = Limit::default();
        limit.most.max_bitrate = Bitrate::from_kbps(1000);
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
        limit.most.max_bitrate = Bitrate::from_kbps(80);
        limit.refused(at(10_000), layers(little));
        assert_eq!(limit.refused(at(12_000), layers(little)), 0b111);
    }

    #[test]
    fn what_is_too_large_is_refused_at_once() {
        let mut limit = Limit::default();
        limit.most.max_size = PictureSize::new(640, 480);
        assert_eq!(limit.refused(at(0), layers([1; 3])), 0b100);
        limit.most.max_size = PictureSize::new(1280, 720);
        assert_eq!(limit.refused(at(1), layers([1; 3])), 0);
    }

    #[test]
    fn layers_beyond_their_number_are_refused_at_once() {
        let mut limit = Limit::default();
        limit.most.max_layers = 2;
        assert_eq!(limit.refused(at(0), layers([1; 3])), 0b100);
        limit.most.max_layers = 1;
        assert_eq!(limit.refused(at(1), layers([1; 3])), 0b110);
    }

    #[test]
    fn sound_beyond_the_rate_is_left_out_packet_by_packet() {
        let mut limit = Limit::default();
        limit.most.max_bitrate = Bitrate::from_kbps(32);
        // 64 kbit/s for ten seconds, then 24.
        let passed = |limit: &mut Limit, from: u64, bytes| {
            (0..500).filter(|n| limit.lets_sound(at(from + n * 20), bytes)).count() * bytes * 8 / 10_000
        };
        let kbps = passed(&mut limit, 0, 160);
        assert!((34..=39).contains(&kbps), "{kbps}");
        assert_eq!(passed(&mut limit, 20_000, 60), 24);
    }
}
