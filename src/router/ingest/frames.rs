//! How many pictures a layer brings a second, by temporal layer.

use crate::router::history::{Entry, MARKER};
use crate::units::{Duration, Instant};

/// Temporal layers that are told apart.
const MOST: usize = 4;
/// How long pictures are gathered before they count.
const WINDOW: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames {
    counts: [u16; MOST],
    since: Option<Instant>,
    /// Of the last two windows, as a rate.
    rates: [[u16; MOST]; 2],
}

impl Frames {
    /// A packet came: its last one is the picture's.
    #[inline]
    pub(crate) fn count(&mut self, entry: &Entry, now: Instant) {
        self.since.get_or_insert(now);
        if entry.is(MARKER)
            && let Some(count) = self.counts.get_mut(usize::from(entry.temporal).min(MOST - 1))
        {
            *count = count.saturating_add(1);
        }
    }

    /// Closes the window if it is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let passed = now.since(since);
        if passed < WINDOW {
            return;
        }
        let ms = u32::try_from(passed.as_millis()).unwrap_or(u32::MAX).max(1);
        let rate = |count: u16| u16::try_from((u32::from(count) * 1000 + ms / 2) / ms).unwrap_or(u16::MAX);
        self.since = Some(now);
        self.rates = [std::mem::take(&mut self.counts).map(rate), self.rates[0]];
    }

    /// Pictures a second of the temporal layers up to this one.
    pub(crate) fn up_to(&self, temporal: u8) -> u16 {
        let [new, old] = self.rates;
        let both = new.iter().zip(old).take(usize::from(temporal) + 1);
        both.map(|(new, old)| if old == 0 { *new } else { new.saturating_add(old).div_ceil(2) }).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_by_temporal_layer() {
        let mut frames = Frames::default();
        for n in 0..120u64 {
            let now = Instant::from_millis(n * 1000 / 30);
            let temporal = [0, 2, 1, 2][(n % 4) as usize];
            let entry = |flags| Entry { temporal, flags, ..Entry::default() };
            frames.count(&entry(0), now);
            frames.count(&entry(MARKER), now);
            frames.tick(now);
        }
        for (temporal, expected) in [(0, 7..=9), (1, 14..=17), (2, 29..=32), (3, 29..=32)] {
            assert!(expected.contains(&frames.up_to(temporal)), "{}", frames.up_to(temporal));
        }
    }
}
