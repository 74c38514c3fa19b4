//! Commands from the control plane to one shard: a ring that the shard empties without ever waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rtrb::{Consumer, Producer, RingBuffer};

use super::lock;
use crate::router::command::Command;

/// Commands that wait without anybody holding a lock.
const RING: usize = 1024;
/// Commands that wait besides, while a shard is behind; what comes after them is dropped.
const OVERFLOW: usize = 64 * 1024;

/// The control plane's end.
#[derive(Debug)]
pub(super) struct Outbox(Arc<Shared>);

/// The shard's end.
#[derive(Debug)]
pub(super) struct Inbox {
    ring: Consumer<Command>,
    shared: Arc<Shared>,
    /// Overflow taken over whole, being worked off.
    taken: VecDeque<Command>,
}

#[derive(Debug)]
struct Shared {
    writer: Mutex<Writer>,
    overflowing: AtomicBool,
}

#[derive(Debug)]
struct Writer {
    ring: Producer<Command>,
    /// What came while the ring was full. While there is any, all that comes goes here, so that order is kept.
    overflow: VecDeque<Command>,
}

pub(super) fn pair() -> (Outbox, Inbox) {
    let (producer, consumer) = RingBuffer::new(RING);
    let writer = Mutex::new(Writer { ring: producer, overflow: VecDeque::new() });
    let shared = Arc::new(Shared { writer, overflowing: AtomicBool::new(false) });
    (Outbox(shared.clone()), Inbox { ring: consumer, shared, taken: VecDeque::new() })
}

impl Outbox {
    /// Posts a command; false if it was dropped, because the shard is gone or hopelessly behind.
    pub(super) fn post(&self, command: Command) -> bool {
        let mut writer = lock(&self.0.writer);
        if writer.ring.is_abandoned() || writer.overflow.len() >= OVERFLOW {
            return false;
        }
        let left = if writer.overflow.is_empty() {
            writer.ring.push(command).err().map(|rtrb::PushError::Full(command)| command)
        } else {
            Some(command)
        };
        if let Some(command) = left {
            writer.overflow.push_back(command);
            self.0.overflowing.store(true, Ordering::Release);
        }
        true
    }
}

impl Inbox {
    /// How many commands to take in this turn. Those that come meanwhile bring a wake-up of their own.
    pub(super) fn waiting(&mut self) -> usize {
        if self.taken.is_empty() && self.ring.is_empty() && self.shared.overflowing.load(Ordering::Acquire) {
            // Whoever holds the lock now is about to post and to wake us again.
            if let Ok(mut writer) = self.shared.writer.try_lock() {
                // The ring was filled before the overflow was.
                while let Ok(command) = self.ring.pop() {
                    self.taken.push_back(command);
                }
                self.taken.append(&mut writer.overflow);
                self.shared.overflowing.store(false, Ordering::Release);
            }
        }
        self.taken.len() + self.ring.slots()
    }

    /// Whether more waits than a turn saw.
    pub(super) fn is_behind(&self) -> bool {
        !self.taken.is_empty() || self.shared.overflowing.load(Ordering::Acquire)
    }

    pub(super) fn take(&mut self) -> Option<Command> {
        self.taken.pop_front().or_else(|| self.ring.pop().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::id::SessionId;

    fn command(index: u32) -> Command {
        Command::RemoveSession(SessionId { index, generation: 0 })
    }

    fn take_all(inbox: &mut Inbox, taken: &mut Vec<u32>) {
        for _ in 0..inbox.waiting() {
            if let Some(Command::RemoveSession(session)) = inbox.take() {
                taken.push(session.index);
            }
        }
    }

    #[test]
    fn order_is_kept_beyond_the_ring() {
        let (outbox, mut inbox) = pair();
        let mut taken = Vec::new();
        let mut posted = 0;
        for burst in [10, 3 * RING, 5, 2 * RING + 1, 1] {
            for _ in 0..burst {
                assert!(outbox.post(command(posted as u32)));
                posted += 1;
            }
            take_all(&mut inbox, &mut taken);
        }
        while taken.len() < posted {
            assert!(inbox.is_behind());
            take_all(&mut inbox, &mut taken);
        }
        assert_eq!(taken, (0..posted as u32).collect::<Vec<_>>());
        assert!(!inbox.is_behind());
    }

    #[test]
    fn what_overflows_is_bounded_and_a_shard_that_is_gone_takes_nothing() {
        let (outbox, inbox) = pair();
        let posted = (0..RING + OVERFLOW + 10).filter(|n| outbox.post(command(*n as u32))).count();
        assert_eq!(posted, RING + OVERFLOW);
        drop(inbox);
        assert!(!outbox.post(command(0)));
    }
}
