//! RTCP, which waits a little, since media does not.
//!
//! A thousand viewers send twenty thousand reports a second, each of which would wake the shard, and waking costs ten
//! times what the report does. They come to sockets of their own ([`super::steer`]), and after some were taken those rest for
//! [`REST`]: what comes meanwhile waits for media, which wakes the shard as ever, or for the end of the rest. A report that
//! comes alone wakes the shard at once.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::incoming::Incoming;
use super::sockets::Socket;
use super::{Counters, thread};
use crate::batch::Path;
use crate::units::Instant;

/// The longest that any report waits.
const REST: Duration = Duration::from_millis(2);
/// Messages taken with one system call, and how long they may be: RTCP is not sent in larger packets than media.
const BATCH: usize = 64;
const SIZE: usize = 2048;
/// System calls for one socket in one turn, as long as each brings all that it can.
const READS: usize = 16;

/// See the module.
pub(super) struct Reports {
    /// Each with the index and the address of the socket that it belongs to.
    sockets: Vec<(OwnedFd, u16, IpAddr)>,
    incoming: Incoming,
    rest: Rest,
}

impl Reports {
    /// Takes over what the sockets of a shard have for reports.
    pub(super) fn of(sockets: &mut [Socket]) -> Self {
        let reports = sockets.iter_mut().enumerate().filter_map(|(index, socket)| {
            let fd = socket.take_reports()?;
            Some((fd, index as u16, socket.bound().ip()))
        });
        let sockets: Vec<_> = reports.collect();
        let count = if sockets.is_empty() { 0 } else { BATCH };
        Self { sockets, incoming: Incoming::new(count, SIZE), rest: Rest::default() }
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.sockets.iter().map(|(fd, ..)| fd.as_raw_fd())
    }

    /// Whether a report may end a wait now, and how long to wait at most.
    pub(super) fn patience(&mut self, timeout: Option<Duration>) -> (bool, Option<Duration>) {
        if !self.rest.is_on() {
            return (true, timeout);
        }
        let left = self.rest.left(thread::now());
        (left.is_zero(), if left.is_zero() { timeout } else { Some(timeout.map_or(left, |t| t.min(left))) })
    }

    /// Hands over all that came.
    pub(super) fn drain(&mut self, counters: &mut Counters, rx: &mut impl FnMut(Path, &mut [u8])) {
        let mut taken = 0;
        for (fd, index, bound) in &self.sockets {
            taken += self.incoming.drain((fd.as_raw_fd(), *index, *bound), READS, counters, rx);
        }
        if taken > 0 {
            self.rest.begin(thread::now());
        }
    }
}

/// Until when nobody is woken.
#[derive(Debug, Default)]
struct Rest(Option<Instant>);

impl Rest {
    const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn begin(&mut self, now: Instant) {
        self.0 = Some(now + REST);
    }

    /// What is left of it.
    fn left(&mut self, now: Instant) -> Duration {
        let left = self.0.map_or(Duration::ZERO, |until| until.since(now));
        if left.is_zero() {
            self.0 = None;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_after_others_waits_two_milliseconds_at_most_and_one_alone_not_at_all() {
        let mut rest = Rest::default();
        let at = Instant::from_millis;
        assert!(!rest.is_on());
        rest.begin(at(10));
        assert_eq!(rest.left(at(10)), Duration::from_millis(2));
        assert_eq!(rest.left(at(11)), Duration::from_millis(1));
        assert!(rest.is_on());
        assert_eq!(rest.left(at(12)), Duration::ZERO);
        assert!(!rest.is_on());
    }
}
