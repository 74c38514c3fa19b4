//! Calls: who is told that one begins, and when it ends for somebody.

use std::time::Duration;

use super::seat::Removal;
use super::{LinkId, Rooms, Timer};
use crate::control::ids::{Gid, Uid};
use crate::signal::message::{Notice, Person};
use crate::units::Instant;

/// From one notice of a call in a group to the next at least: who publishes, ends it and publishes again rings once.
const RING_PAUSE: Duration = Duration::from_secs(30);
/// Groups whose last notice is remembered; beyond that nobody is told until some are forgotten.
const RUNG: usize = 10_000;

impl Rooms {
    /// Whether nothing is published in a group.
    pub fn is_silent(&self, gid: Gid) -> bool {
        self.groups.get(&gid).is_none_or(|group| group.streams.is_empty())
    }

    /// Tells those of `members` that a call begins in a group who are signed in, and not in the group.
    pub fn ring(&mut self, now: Instant, by: LinkId, gid: Gid, group: &str, members: &[Uid]) {
        let Some(user) = self.holder(by) else { return };
        let by = Person { uid: user.uid, name: user.name.clone(), address: user.address.clone() };
        if self.rung.get(&gid).is_some_and(|at| *at > now) {
            return;
        }
        if self.rung.len() >= RUNG {
            self.rung.retain(|_, at| *at > now);
            if self.rung.len() >= RUNG {
                return;
            }
        }
        let links = members.iter().filter(|uid| **uid != by.uid).flat_map(|uid| self.links_of_user(*uid));
        let outside = |link: &LinkId| self.links.get(*link).is_some_and(|l| !l.groups.contains_key(&gid));
        let links: Vec<_> = links.filter(outside).collect();
        self.rung.insert(gid, now + RING_PAUSE);
        self.tell_all(links, Notice::Call { gid, group: group.to_owned(), by });
    }

    /// Somebody's call in a group begins with the first stream that is published or watched there.
    pub fn begin_call(&mut self, now: Instant, id: LinkId, gid: Gid) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !link.groups.contains_key(&gid) || link.calls.contains_key(&gid) {
            return;
        }
        link.calls.insert(gid, now);
        self.set_call_end(id, gid);
    }

    /// Sees to it that somebody's call ends when it has lasted as long as it may.
    pub(super) fn set_call_end(&mut self, id: LinkId, gid: Gid) {
        if let Some(at) = self.call_end(id, gid) {
            self.wake_at(at, Timer::CallEnd(id, gid));
        }
    }

    fn call_end(&self, id: LinkId, gid: Gid) -> Option<Instant> {
        let link = self.links.get(id)?;
        let (began, seat) = (link.calls.get(&gid)?, link.groups.get(&gid)?);
        (!seat.call_duration.is_zero()).then(|| *began + seat.call_duration)
    }

    pub(super) fn call_end_due(&mut self, now: Instant, id: LinkId, gid: Gid) {
        if self.call_end(id, gid).is_some_and(|at| at <= now) {
            self.remove(now, id, gid, Removal::Duration);
        }
    }
}
