//! Calls: who is told that one begins, and when it ends for somebody.

use std::time::Duration;

use super::link::{Link, Spell};
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
        link.calls.insert(gid, Spell { began: now, told: Instant::NEVER });
        self.set_call_end(id, gid);
    }

    /// Sees to it that somebody hears when the call ends, and that it ends when it has lasted as long as it may.
    pub(super) fn set_call_end(&mut self, id: LinkId, gid: Gid) {
        let told = self.links.get(id).and_then(|link| link.calls.get(&gid)).map(|call| call.told);
        if told.is_some_and(|told| told != self.call_end(id, gid)) {
            self.wake_at(Instant::ZERO, Timer::CallEnd(id, gid));
        }
    }

    /// When somebody's call ends by its duration or by the end of what lets the holder in.
    fn call_end(&self, id: LinkId, gid: Gid) -> Instant {
        let ends = |link: &Link| {
            let (call, seat) = (link.calls.get(&gid)?, link.groups.get(&gid)?);
            Some(seat.expires.min(seat.last_of_call(call.began)))
        };
        self.links.get(id).and_then(ends).unwrap_or(Instant::NEVER)
    }

    pub(super) fn call_end_due(&mut self, now: Instant, id: LinkId, gid: Gid) {
        let end = self.call_end(id, gid);
        let Some(link) = self.links.get_mut(id) else { return };
        let (Some(call), Some(seat)) = (link.calls.get_mut(&gid), link.groups.get(&gid)) else { return };
        if seat.last_of_call(call.began) <= now {
            self.remove(now, id, gid, Removal::Duration);
        } else if call.told != end {
            call.told = end;
            let seconds = (end != Instant::NEVER).then(|| end.since(now).as_secs());
            self.tell(id, Notice::Ends { gid, seconds });
            self.wake_at(end, Timer::CallEnd(id, gid));
        }
    }
}
