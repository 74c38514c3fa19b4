//! Which session wakes when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::Instant;

/// Deadlines of sessions. A session has at most one that counts, the one it is armed for; earlier arming leaves the later
/// one behind, which is recognised when it comes up.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
}

impl Timers {
    /// Arms a session for `at` unless it is armed for something earlier; `armed` is where it remembers.
    pub(crate) fn arm(&mut self, session: u32, armed: &mut Instant, at: Instant) {
        if at < *armed {
            *armed = at;
            self.heap.push(Reverse((at, session)));
        }
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Instant {
        self.heap.peek().map_or(Instant::NEVER, |Reverse((at, _))| *at)
    }

    /// A deadline that has come, and whose.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, u32)> {
        if self.next() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| due)
    }
}
