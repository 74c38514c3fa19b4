//! What a layer is made of: spatial and temporal layers, how large their pictures are and what each costs.

use crate::router::history::Entry;
use crate::units::{Bitrate, Duration, Instant, PictureSize};

/// Spatial and temporal layers that are told apart: AV1 and browsers' encoders have no more.
const MOST: usize = 4;
/// How long bytes are gathered before they count.
const WINDOW: Duration = Duration::from_millis(250);
/// A window's share of the smoothed amount is one in so many.
const WEIGHT: u32 = 4;
/// A layer of which nothing came for so many windows is gone.
const IDLE: u8 = 4;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    sizes: [Option<PictureSize>; MOST],
    /// Smoothed bytes of a window, by spatial and temporal layer.
    bytes: [[u32; MOST]; MOST],
    /// The spatial and the temporal layer up to which it may be sent on, where that is not all of it.
    pub(crate) held: Option<(u8, u8)>,
}

impl Shape {
    /// The highest spatial and temporal layers that come and may be sent on.
    pub(crate) fn tops(&self) -> (u8, u8) {
        let (spatial, temporal) = self.held.unwrap_or((u8::MAX, u8::MAX));
        (self.top_spatial().min(spatial), self.top_temporal().min(temporal))
    }

    /// The highest spatial layer that comes.
    pub(crate) fn top_spatial(&self) -> u8 {
        self.bytes.iter().rposition(|row| row.iter().any(|b| *b > 0)).unwrap_or(0) as u8
    }

    /// The highest temporal layer that comes.
    pub(crate) fn top_temporal(&self) -> u8 {
        let tops = self.bytes.iter().filter_map(|row| row.iter().rposition(|b| *b > 0));
        tops.max().unwrap_or(0) as u8
    }

    /// The size of the pictures of a spatial layer.
    pub(crate) fn size(&self, spatial: u8) -> Option<PictureSize> {
        self.sizes.get(usize::from(spatial)).copied().flatten()
    }

    /// Learns the size of a spatial layer's pictures.
    pub(crate) fn set_size(&mut self, spatial: u8, size: PictureSize) {
        if let Some(place) = self.sizes.get_mut(usize::from(spatial)) {
            *place = Some(size);
        }
    }

    /// What of a layer's whole rate its layers up to these cost.
    pub(crate) fn part(&self, whole: Bitrate, spatial: u8, temporal: u8) -> Bitrate {
        let up_to = |spatial: u8, temporal: u8| -> u64 {
            let rows = self.bytes.iter().take(usize::from(spatial) + 1);
            rows.flat_map(|row| row.iter().take(usize::from(temporal) + 1)).map(|b| u64::from(*b)).sum()
        };
        let all = up_to(u8::MAX, u8::MAX);
        if all == 0 {
            return whole;
        }
        Bitrate::from_bps(
            (u128::from(whole.as_bps()) * u128::from(up_to(spatial, temporal)) / u128::from(all)) as u64,
        )
    }

    fn cells(&self) -> u16 {
        let cells = self.bytes.iter().flatten();
        cells.enumerate().fold(0, |bits, (at, bytes)| bits | u16::from(*bytes > 0) << at)
    }
}

/// Measures the shape of a layer.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    bytes: [[u32; MOST]; MOST],
    idle: [[u8; MOST]; MOST],
    since: Option<Instant>,
}

impl Shaper {
    /// A packet came.
    #[inline]
    pub(crate) fn count(&mut self, entry: &Entry, bytes: usize, now: Instant) {
        self.since.get_or_insert(now);
        let place = |layer: u8| usize::from(layer).min(MOST - 1);
        let row = self.bytes.get_mut(place(entry.spatial));
        if let Some(cell) = row.and_then(|row| row.get_mut(place(entry.temporal))) {
            *cell = cell.saturating_add(bytes as u32);
        }
    }

    /// Nothing comes for now: the gap shall not count.
    pub(crate) fn pause(&mut self) {
        *self = Self::default();
    }

    /// Closes the window if it is over. True if other layers come than before.
    pub(crate) fn tick(&mut self, shape: &mut Shape, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.since(since) < WINDOW) {
            return false;
        }
        self.since = Some(now);
        let before = shape.cells();
        let fresh = self.bytes.iter_mut().flatten().zip(self.idle.iter_mut().flatten());
        for (smooth, (fresh, idle)) in shape.bytes.iter_mut().flatten().zip(fresh) {
            let sample = std::mem::take(fresh);
            *idle = if sample > 0 { 0 } else { idle.saturating_add(1) };
            *smooth = match *smooth {
                _ if *idle >= IDLE => 0,
                0 => sample,
                smooth => (smooth / WEIGHT * (WEIGHT - 1) + sample / WEIGHT).max(1),
            };
        }
        shape.cells() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_has_its_share_and_one_that_stops_is_forgotten() {
        let (mut shaper, mut shape) = (Shaper::default(), Shape::default());
        let mut changes = 0;
        for n in 0..200u64 {
            let now = Instant::from_millis(n * 20);
            let entry = |spatial| Entry { spatial, temporal: (n % 2) as u8, ..Entry::default() };
            shaper.count(&entry(0), 100, now);
            if n < 100 {
                shaper.count(&entry(1), 300, now);
            }
            changes += u32::from(shaper.tick(&mut shape, now));
            if n == 99 {
                assert_eq!((shape.top_spatial(), shape.top_temporal()), (1, 1));
                let part = |spatial, temporal| {
                    shape.part(Bitrate::from_kbps(800), spatial, temporal).as_bps() / 1000
                };
                for (part, expected) in
                    [(part(0, 0), 100), (part(0, 1), 200), (part(1, 0), 400), (part(1, 1), 800)]
                {
                    assert!(part.abs_diff(expected) <= expected / 10, "{part} {expected}");
                }
            }
        }
        assert_eq!((shape.top_spatial(), shape.top_temporal(), changes), (0, 1, 2));
    }
}
