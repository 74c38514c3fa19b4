//! What the control plane and signalling count, for whoever watches the server. Shared by all handles of the actor.

use crate::sorted::Map;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Names of refusals that are told apart; others count together, so that no list grows without bound.
const NAMES: usize = 64;
/// What they are counted as.
const OTHER: &str = "OTHER";

/// Counters since the beginning.
#[derive(Debug, Default)]
pub struct Tally {
    messages: AtomicU64,
    dropped_events: AtomicU64,
    refusals: Mutex<Map<String, u64>>,
}

impl Tally {
    /// A client's message was read.
    pub fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    /// An event found no room before the actor.
    pub(super) fn dropped_event(&self) {
        self.dropped_events.fetch_add(1, Ordering::Relaxed);
    }

    /// A client was refused, with this error's name.
    pub fn refused(&self, name: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if refusals.contains_key(name) || refusals.len() < NAMES { name } else { OTHER };
        match refusals.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(refusals.insert(name.to_owned(), 1)),
        }
    }

    /// Messages that were read.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Events that found no room.
    pub fn dropped_events(&self) -> u64 {
        self.dropped_events.load(Ordering::Relaxed)
    }

    /// Refusals by name.
    pub fn refusals(&self) -> Map<String, u64> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_count_together() {
        let tally = Tally::default();
        for n in 0..NAMES * 2 {
            tally.refused(&format!("N{n}"));
        }
        tally.refused("N0");
        let refusals = tally.refusals();
        assert_eq!(refusals.len(), NAMES + 1);
        assert_eq!((refusals.get("N0"), refusals.get(OTHER)), (Some(&2), Some(&(NAMES as u64))));
    }
}
