//! Replay windows (RFC 3711 section 3.3.2), one per source.

use serde::{Deserialize, Serialize};

use super::Drop;
use crate::wire::id::Ssrc;

/// Sources that one peer may use in each direction: a publisher with four simulcast tracks, their retransmissions
/// and an audio track needs 25; a hostile one costs us 2 KB.
pub(super) const MAX_STREAMS: usize = 64;
/// Packets that a window covers.
const WINDOW: u64 = 128;

/// What was received of one source.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Stream {
    ssrc: Ssrc,
    highest: u64,
    /// Bit n: index `highest - n` was received.
    seen: u128,
}

impl Stream {
    const fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen >> behind & 1 == 0,
        }
    }

    fn accept(&mut self, index: u64) {
        match index.checked_sub(self.highest) {
            Some(ahead) => {
                self.seen = u32::try_from(ahead).ok().and_then(|n| self.seen.checked_shl(n)).unwrap_or(0) | 1;
                self.highest = index;
            }
            None => {
                let behind = u32::try_from(self.highest - index).unwrap_or(u32::MAX);
                self.seen |= 1u128.checked_shl(behind).unwrap_or(0);
            }
        }
    }
}

/// The sources of one peer in one direction. A look-up begins where the last one ended; most packets follow one
/// of their own kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    #[serde(skip)]
    last: usize,
}

/// What one peer was heard to send, so that nothing of it passes twice.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Windows {
    pub(super) rtp: Streams,
    pub(super) rtcp: Streams,
}

/// A place in [`Streams`]; `None` for a source that was not heard of.
pub(super) type Place = Option<usize>;

impl Streams {
    /// Where `ssrc` is, or that there is room for it.
    pub(super) fn find(&mut self, ssrc: Ssrc) -> Result<Place, Drop> {
        if self.streams.get(self.last).is_some_and(|s| s.ssrc == ssrc) {
            return Ok(Some(self.last));
        }
        match self.streams.iter().position(|s| s.ssrc == ssrc) {
            Some(at) => {
                self.last = at;
                Ok(Some(at))
            }
            None if self.streams.len() < MAX_STREAMS => Ok(None),
            None => Err(Drop::TooManySsrcs),
        }
    }

    fn get(&self, place: Place) -> Option<&Stream> {
        self.streams.get(place?)
    }

    /// The highest index received there.
    pub(super) fn highest(&self, place: Place) -> Option<u64> {
        self.get(place).map(|s| s.highest)
    }

    /// Whether `index` was certainly not received there.
    pub(super) fn is_new(&self, place: Place, index: u64) -> bool {
        self.get(place).is_none_or(|s| s.is_new(index))
    }

    /// Notes an authentic packet. The one allocation of an opener is here, once for a new source.
    pub(super) fn accept(&mut self, place: Place, ssrc: Ssrc, index: u64) {
        match place.and_then(|at| self.streams.get_mut(at)) {
            Some(stream) => stream.accept(index),
            None => self.streams.push(Stream { ssrc, highest: index, seen: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_window_covers_128_packets() {
        let mut stream = Stream { ssrc: Ssrc(1), highest: 1000, seen: 1 };
        assert!(!stream.is_new(1000) && stream.is_new(873) && !stream.is_new(872) && stream.is_new(1001));
        stream.accept(873);
        assert!(!stream.is_new(873) && stream.is_new(874));
        stream.accept(1127);
        assert!(!stream.is_new(1000) && stream.is_new(1001));
        stream.accept(5000);
        assert!(stream.is_new(4999) && !stream.is_new(5000) && !stream.is_new(4872));
    }

    proptest! {
        /// Against a set of everything received: nothing passes twice, and what is new and in the window passes.
        #[test]
        fn nothing_passes_twice(steps in prop::collection::vec(-140i64..140, 1..400)) {
            let mut stream = Stream { ssrc: Ssrc(1), highest: 10_000, seen: 1 };
            let mut received = HashSet::from([10_000u64]);
            for step in steps {
                let index = stream.highest.saturating_add_signed(step);
                let in_window = index + WINDOW > stream.highest;
                prop_assert_eq!(stream.is_new(index), in_window && !received.contains(&index));
                if stream.is_new(index) {
                    stream.accept(index);
                    received.insert(index);
                }
            }
        }
    }
}
