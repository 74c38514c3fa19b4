//! Which sessions have something to send, and on which slots.

use std::collections::VecDeque;

use super::track::Sub;

/// The mark for reports, feedback and retransmissions.
const CONTROL: u64 = 1 << 63;
/// Slots share the other bits.
const SLOT_BITS: u16 = 63;

/// One word of marks per session, apart from the sessions: marking a thousand viewers touches eight kilobytes.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    marks: Vec<u64>,
    order: VecDeque<u32>,
}

impl Queue {
    fn mark(&mut self, session: u32, bit: u64) {
        let place = session as usize;
        if self.marks.len() <= place {
            self.marks.resize(place + 1, 0);
        }
        if let Some(marks) = self.marks.get_mut(place) {
            if *marks == 0 {
                self.order.push_back(session);
            }
            *marks |= bit;
        }
    }

    /// A slot may have packets to send.
    pub(crate) fn mark_slot(&mut self, sub: Sub) {
        self.mark(sub.session, Self::mark_of(sub.slot));
    }

    /// The slots that a word of marks stands for may have packets to send.
    pub(crate) fn mark_slots(&mut self, session: u32, marks: u64) {
        if marks & !CONTROL != 0 {
            self.mark(session, marks & !CONTROL);
        }
    }

    /// The mark of a slot.
    pub(crate) const fn mark_of(slot: u16) -> u64 {
        1 << (slot % SLOT_BITS)
    }

    /// A session has something else to send.
    pub(crate) fn mark_control(&mut self, session: u32) {
        self.mark(session, CONTROL);
    }

    /// The next session and its marks.
    pub(crate) fn front(&self) -> Option<(u32, Marks)> {
        let session = *self.order.front()?;
        Some((session, Marks(self.marks.get(session as usize).copied().unwrap_or(0))))
    }

    /// All marks of the first session were served.
    pub(crate) fn pop(&mut self) {
        if let Some(marks) = self.order.pop_front().and_then(|s| self.marks.get_mut(s as usize)) {
            *marks = 0;
        }
    }
}

/// The marks of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks(u64);

impl Marks {
    /// Whether there is something besides packets of slots.
    pub(crate) const fn control(self) -> bool {
        self.0 & CONTROL != 0
    }

    /// The slots, of `count`, that are marked; beyond 63 a mark stands for several.
    pub(crate) fn slots(self, count: usize) -> impl Iterator<Item = u16> {
        let mut bits = self.0 & !CONTROL;
        let mut next = 0;
        std::iter::from_fn(move || {
            loop {
                if bits == 0 {
                    return None;
                }
                let slot = bits.trailing_zeros() as u16 + next * SLOT_BITS;
                if usize::from(slot) < count {
                    next += 1;
                    return Some(slot);
                }
                next = 0;
                bits &= bits - 1;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_beyond_one_word_stand_for_several_slots() {
        let mut queue = Queue::default();
        queue.mark_slot(Sub { session: 5, slot: 64 });
        queue.mark_slot(Sub { session: 5, slot: 3 });
        queue.mark_control(2);
        let (session, marks) = queue.front().expect("marked");
        assert_eq!((session, marks.control()), (5, false));
        assert_eq!(marks.slots(70).collect::<Vec<_>>(), [1, 64, 3, 66]);
        assert_eq!(marks.slots(3).collect::<Vec<_>>(), [1]);
        queue.pop();
        assert!(queue.front().is_some_and(|(s, m)| s == 2 && m.control()));
        queue.pop();
        assert!(queue.front().is_none());
    }
}
