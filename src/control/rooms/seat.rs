//! What a link may do in a group, and what happens when that changes in a running call.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::group::Group;
use super::publish::End;
use super::{LinkId, Rooms, Timer};
use crate::control::directory::Membership;
use crate::control::ids::{Gid, Uid};
use crate::control::limits::{self, Limits};
use crate::control::rights::{Admin, Preset, Rights};
use crate::signal::message::{Joined, Notice};
use crate::units::{Instant, PictureSize};

/// What the directory says of somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    name: String,
    preset: Preset,
    resolution: u8,
    /// What the holder may send and get at most.
    pub(super) limits: Limits,
    call_flags: u32,
    /// How long the holder's call may last; zero is without limit.
    call_duration: Duration,
    /// What the holder may do.
    pub(super) rights: Rights,
    admin: Admin,
    /// When that ends; [`Instant::NEVER`] if it does not.
    pub(super) expires: Instant,
}

impl Seat {
    /// The seat that a membership gives; `now` and `unix` are the same moment on two clocks.
    pub fn new(membership: &Membership, now: Instant, unix: Duration) -> Self {
        let expires = match membership.expires {
            0 => Instant::NEVER,
            at => now + Duration::from_secs(at).saturating_sub(unix),
        };
        Self {
            name: membership.name.clone(),
            preset: membership.preset,
            resolution: membership.resolution,
            limits: membership.limits,
            call_flags: membership.call_flags,
            call_duration: Duration::from_secs(membership.call_duration.into()),
            rights: membership.rights,
            admin: membership.admin,
            expires,
        }
    }

    /// What is the same for whoever may do whatever.
    fn settings(&self) -> (&str, Preset, u8, u32) {
        (&self.name, self.preset, self.resolution, self.call_flags)
    }

    /// Whether viewers are counted and not listed.
    pub(super) const fn webinar(&self) -> bool {
        matches!(self.preset, Preset::Webinar)
    }

    /// When a call that began then has lasted as long as it may.
    pub(super) fn last_of_call(&self, began: Instant) -> Instant {
        if self.call_duration.is_zero() { Instant::NEVER } else { began + self.call_duration }
    }

    /// The largest picture this member may see.
    pub(super) fn cap(&self) -> PictureSize {
        smaller(self.picture(), self.limits.picture())
    }

    /// The largest picture that the room has use for, or this member of it.
    pub(super) const fn picture(&self) -> PictureSize {
        limits::picture(self.resolution)
    }

    pub(super) fn joined(&self, gid: Gid, people: u32) -> Joined {
        Joined {
            gid,
            name: self.name.clone(),
            preset: self.preset.number() as u8,
            resolution: self.resolution,
            call_flags: self.call_flags,
            rights: self.rights,
            admin: self.admin,
            limits: self.limits.said(),
            people,
        }
    }
}

/// The smaller of two pictures.
pub(super) fn smaller(a: PictureSize, b: PictureSize) -> PictureSize {
    if b.area() < a.area() { b } else { a }
}

/// Why somebody is no longer in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The group or the membership expired.
    Expired,
    /// The group was deleted.
    Deleted,
    /// The membership was taken away.
    Removed,
    /// The call lasted as long as it may.
    Duration,
    /// It goes on in another group.
    Moved,
}

impl Removal {
    const fn name(self) -> &'static str {
        match self {
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Removed => "REMOVED",
            Self::Duration => "DURATION",
            Self::Moved => "MOVED",
        }
    }
}

impl Rooms {
    /// Everyone who is in `gid` now, as the directory must be asked for them when the group changed.
    pub fn present(&self, gid: Gid) -> Vec<(LinkId, Uid)> {
        let Some(group) = self.groups.get(&gid) else { return Vec::new() };
        group.people.iter().flat_map(|(uid, links)| links.iter().map(|link| (*link, *uid))).collect()
    }

    /// The links of one person in `gid`.
    pub fn links_of(&self, gid: Gid, uid: Uid) -> Vec<LinkId> {
        self.groups.get(&gid).and_then(|group| group.people.get(&uid)).cloned().unwrap_or_default()
    }

    /// What the directory says of a link in a group now: acts at once.
    ///
    /// Losing `publish` ends the link's streams there, losing `subscribe` its views, losing `list` its roster.
    pub fn set_seat(&mut self, link: LinkId, gid: Gid, seat: Seat) {
        let Some(member) = self.links.get_mut(link).and_then(|link| link.groups.get_mut(&gid)) else {
            return;
        };
        let before = std::mem::replace(member, seat);
        let after = member.clone();
        if before == after {
            return;
        }
        self.wake_at(after.expires, Timer::Expiry(link, gid));
        self.set_call_end(link, gid);
        if (before.rights, before.admin) != (after.rights, after.admin) {
            self.tell(link, Notice::Rights { gid, rights: after.rights, admin: after.admin });
        }
        if before.settings() != after.settings() || after.rights.gains_on(before.rights) {
            let people = self.groups.get(&gid).map_or(0, Group::count);
            self.tell(link, Notice::Settings(after.joined(gid, people)));
        }
        if before.rights.publish && !after.rights.publish {
            self.end_streams(link, gid, End::NotAllowed);
        }
        if before.rights.subscribe && !after.rights.subscribe {
            self.unwatch_group(link, gid);
        }
        if before.rights.list != after.rights.list {
            self.tell_roster(link, gid);
            self.tell_people(link, gid);
        }
        if (before.rights.list, before.rights.publish) != (after.rights.list, after.rights.publish) {
            self.tell_hands(link, gid, false);
        }
        self.limits_changed(link, gid, &before, &after);
        self.sync_limits(link);
    }

    /// Puts a link out of a group.
    pub fn remove(&mut self, now: Instant, link: LinkId, gid: Gid, why: Removal) {
        if self.leave(now, link, gid) {
            self.tell(link, Notice::Removed { gid, reason: why.name().to_owned() });
        }
    }

    /// Sends a link from one group to another: it is told where to go, and put out.
    pub fn send_over(&mut self, now: Instant, link: LinkId, gid: Gid, to: Gid) {
        self.tell(link, Notice::Moved { gid, to });
        self.remove(now, link, gid, Removal::Moved);
    }

    pub(super) fn expiry_due(&mut self, now: Instant, link: LinkId, gid: Gid) {
        let member = self.links.get(link).and_then(|link| link.groups.get(&gid));
        if member.is_some_and(|member| member.expires <= now) {
            self.remove(now, link, gid, Removal::Expired);
        }
    }
}
