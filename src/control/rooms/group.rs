//! Groups: joining and leaving, the people who are there, and the roster of what they publish.

use serde::{Deserialize, Serialize};

use bytes::Bytes;

use super::chat::Talk;
use super::news::{News, pause};
use super::publish::End;
use super::{Effect, Happened, LinkId, Rooms, Seat, Timer};
use crate::control::ids::{Gid, Uid};
use crate::signal::message::{Joined, Notice, Person, Refusal, StreamId, write_notice};
use crate::sorted::{Map, Set};
use crate::units::Instant;

/// Groups that one link may be in at once.
const MAX_GROUPS: usize = 16;
/// From here on people are counted and not listed, as in a webinar.
const LISTED_PEOPLE: usize = 500;

/// A group with somebody in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Group {
    /// Who is here, by however many links.
    pub(super) people: Map<Uid, Vec<LinkId>>,
    /// What is published here.
    pub(super) streams: Set<StreamId>,
    /// Who was last told to be talking.
    #[serde(skip)]
    pub(super) talking: Vec<StreamId>,
    /// What is said here.
    pub(super) talk: Talk,
    /// Links that show whoever publishes here.
    pub(super) followers: Set<LinkId>,
    /// Whether people are counted and not listed; stays until the group is empty.
    pub(super) counted: bool,
    /// The last count that was told.
    told: u32,
    /// Who came and went since that was told last.
    #[serde(skip)]
    news: News,
    /// All people, as whoever joined last was told: the line serves until the news are told, which the next joiner
    /// gets as well.
    #[serde(skip)]
    list: Option<Bytes>,
    /// When news may be told again.
    tell_at: Instant,
}

impl Group {
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.people.len()).unwrap_or(u32::MAX)
    }
}

impl Rooms {
    /// A link enters a group, with what the directory says it may do there. Roster and people follow as notices.
    pub fn join(&mut self, now: Instant, id: LinkId, gid: Gid, seat: Seat) -> Result<Joined, Refusal> {
        let link = self.link(id)?;
        if link.groups.contains_key(&gid) {
            // Again: perhaps with another pin.
            let joined = seat.joined(gid, self.groups.get(&gid).map_or(0, Group::count));
            self.set_seat(id, gid, seat);
            self.tell_roster(id, gid);
            self.tell_people(id, gid);
            return Ok(joined);
        }
        if link.groups.len() >= MAX_GROUPS {
            return Err(Refusal::new(
                "TOOMANY",
                format!("Leave a group first: {MAX_GROUPS} at once are the most."),
            ));
        }
        let uid = link.user.uid;
        self.wake_at(seat.expires, Timer::Expiry(id, gid));
        let group = self.groups.entry(gid).or_default();
        group.counted |= seat.webinar() || group.people.len() >= LISTED_PEOPLE;
        let links = group.people.get_or_default(uid);
        links.push(id);
        let new = links.len() == 1;
        let joined = seat.joined(gid, group.count());
        if let Some(link) = self.links.get_mut(id) {
            link.groups.insert(gid, seat);
        }
        if new {
            self.people_changed(now, gid, uid, true);
            if let Some(person) = self.links.get(id).map(person) {
                self.effects.push(Effect::Report(gid, Happened::Join(person)));
            }
        }
        self.tell_roster(id, gid);
        self.tell_people(id, gid);
        self.tell_hands(id, gid, false);
        Ok(joined)
    }

    /// A link leaves a group, with all it publishes and watches there. Returns whether it was in it.
    pub fn leave(&mut self, now: Instant, id: LinkId, gid: Gid) -> bool {
        let Some(link) = self.links.get(id) else { return false };
        if !link.groups.contains_key(&gid) {
            return false;
        }
        let uid = link.user.uid;
        self.end_streams(id, gid, End::Silently);
        self.unwatch_group(id, gid);
        if let Some(link) = self.links.get_mut(id) {
            link.groups.remove(&gid);
            link.calls.remove(&gid);
        }
        let Some(group) = self.groups.get_mut(&gid) else { return true };
        group.followers.remove(&id);
        let Some(links) = group.people.get_mut(&uid) else { return true };
        links.retain(|other| *other != id);
        if links.is_empty() {
            group.people.remove(&uid);
            self.effects.push(Effect::Report(gid, Happened::Leave(uid)));
            group.talk.left(uid);
            if group.people.is_empty() {
                self.groups.remove(&gid);
                self.effects.push(Effect::Report(gid, Happened::End));
            } else {
                self.people_changed(now, gid, uid, false);
                self.lower_hand(gid, uid);
            }
        }
        true
    }

    /// The links in a group that may see its roster, but for those of `but`.
    pub(super) fn listeners(&self, gid: Gid, but: Option<Uid>) -> Vec<LinkId> {
        let Some(group) = self.groups.get(&gid) else { return Vec::new() };
        let people = group.people.iter().filter(|(uid, _)| Some(**uid) != but);
        people.flat_map(|(_, links)| links).copied().filter(|link| self.may_list(*link, gid)).collect()
    }

    fn may_list(&self, link: LinkId, gid: Gid) -> bool {
        let member = self.links.get(link).and_then(|link| link.groups.get(&gid));
        member.is_some_and(|member| member.rights.list)
    }

    /// Somebody came or went: the others are told at once, or with whatever else happens until the next telling.
    fn people_changed(&mut self, now: Instant, gid: Gid, uid: Uid, came: bool) {
        let Some(group) = self.groups.get_mut(&gid) else { return };
        group.news.note(uid, came, !group.counted);
        if group.tell_at > now {
            let at = group.tell_at;
            return self.wake_at(at, Timer::People(gid));
        }
        self.tell_news(now, gid, Some(uid));
    }

    /// Tells what came together since the last telling.
    pub(super) fn people_due(&mut self, now: Instant, gid: Gid) {
        if self.groups.get(&gid).is_some_and(|group| group.tell_at <= now && !group.news.is_empty()) {
            self.tell_news(now, gid, None);
        }
    }

    /// Tells everyone but `but` who came and went, or how many are left where people are counted or may not be listed.
    fn tell_news(&mut self, now: Instant, gid: Gid, but: Option<Uid>) {
        let Some(group) = self.groups.get_mut(&gid) else { return };
        group.tell_at = now + pause(group.people.len(), group.counted);
        group.list = None;
        let (came, left) = group.news.take();
        let (count, counted) = (group.count(), group.counted);
        if counted && std::mem::replace(&mut group.told, count) == count {
            return;
        }
        let Some(group) = self.groups.get(&gid) else { return };
        let joined = came.iter().filter_map(|uid| group.people.get(uid)?.first());
        let joined = joined.filter_map(|link| self.links.get(*link)).map(person).collect();
        let others = group.people.iter().filter(|(uid, _)| Some(**uid) != but);
        let others = others.flat_map(|(_, links)| links).copied();
        let (named, unnamed) = others.partition(|link| !counted && self.may_list(*link, gid));
        self.tell_all(named, Notice::People { gid, count, all: false, joined, left });
        let (joined, left) = (Vec::new(), Vec::new());
        self.tell_all(unnamed, Notice::People { gid, count, all: false, joined, left });
    }

    /// Tells one link who is there: everyone where people are listed, else their number.
    pub(super) fn tell_people(&mut self, id: LinkId, gid: Gid) {
        let Some(group) = self.groups.get(&gid) else { return };
        let count = group.count();
        if group.counted || !self.may_list(id, gid) {
            let (joined, left) = (Vec::new(), Vec::new());
            return self.tell(id, Notice::People { gid, count, all: false, joined, left });
        }
        let list = group.list.clone().unwrap_or_else(|| {
            let links = group.people.values().filter_map(|links| self.links.get(*links.first()?));
            let joined = links.map(person).collect();
            Bytes::from(write_notice(&Notice::People { gid, count, all: true, joined, left: Vec::new() }))
        });
        if let Some(group) = self.groups.get_mut(&gid)
            && group.list.is_none()
        {
            group.list = Some(list.clone());
            group.news.listed();
        }
        self.effects.push(Effect::Say(id, list));
    }

    /// Tells one link all that is published in a group; nothing if it may not know.
    pub(super) fn tell_roster(&mut self, id: LinkId, gid: Gid) {
        let Some(link) = self.links.get(id) else { return };
        let Some(group) = self.groups.get(&gid) else { return };
        let uid = link.user.uid;
        let joined = if self.may_list(id, gid) {
            group.streams.iter().filter(|stream| stream.uid != uid).filter_map(|s| self.entry(*s)).collect()
        } else {
            Vec::new()
        };
        self.tell(id, Notice::Roster { gid, all: true, joined, changed: Vec::new(), left: Vec::new() });
        if self.may_list(id, gid)
            && let Some(group) = self.groups.get(&gid)
            && !group.talking.is_empty()
        {
            let streams = group.talking.clone();
            self.tell(id, Notice::Talking { gid, streams });
        }
    }
}

fn person(link: &super::Link) -> Person {
    Person { uid: link.user.uid, name: link.user.name.clone(), address: link.user.address.clone() }
}
