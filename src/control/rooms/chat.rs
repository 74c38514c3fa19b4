//! What is said in a group while people are there: to whom it goes, how fast, how far they read; raised hands and
//! reactions. What was said is kept by the directory.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::group::Group;
use super::{Effect, Happened, LinkId, Rooms, Seat};
use crate::control::directory::Identity;
use crate::control::ids::{Gid, MessageId, Uid};
use crate::rate::{Bucket, Rate};
use crate::signal::message::{Mark, MarkOf, Named, Notice, Refusal, Said};
use crate::sorted::{Map, Set};
use crate::units::Instant;

/// What one person may say in a group.
const SPEAKER: Rate = Rate { burst: 10, every: Duration::from_millis(500) };
/// What all may say together in it.
const GROUP: Rate = Rate { burst: 60, every: Duration::from_millis(25) };
/// The same where people are counted: each message goes to very many.
const CROWD: Rate = Rate { burst: 20, every: Duration::from_millis(200) };
/// Keys of one person that are remembered, for what is repeated after a lost connection.
const KEYS: usize = 32;
/// People of a group whose marks are remembered.
const MARKS: usize = 1_000;
/// From here on who said something to the group is not told any more who got it: it would cost the square.
const TOLD_PEOPLE: usize = 100;
/// Hands that may be up at once.
const HANDS: usize = 100;
/// The longest reaction, in bytes: one picture character may take as many.
const REACTION: usize = 32;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Speaker {
    paid: Bucket,
    /// What was said under which key.
    #[serde(with = "crate::json::text")]
    keys: VecDeque<(u64, Said)>,
}

/// The talk of a group.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Talk {
    paid: Bucket,
    speakers: HashMap<Uid, Speaker>,
    marks: Map<Uid, Mark>,
    hands: Vec<Named>,
    /// Who got the last message that went to one in turn.
    turn: Option<Uid>,
}

impl Talk {
    /// Somebody is not here any more.
    pub(super) fn left(&mut self, uid: Uid) {
        self.speakers.remove(&uid);
    }
}

impl Rooms {
    /// Who wants to say something, if that person may do so in the group.
    pub fn speaker(&self, id: LinkId, gid: Gid) -> Result<Identity, Refusal> {
        let link = self.link(id)?;
        if !self.seat(id, gid)?.rights.send {
            return Err(Refusal::new("NOTALLOWED", "You may read here, not write."));
        }
        Ok(link.user.clone())
    }

    /// Who wants to read what was said, if that person may do so in the group.
    pub fn reader(&self, id: LinkId, gid: Gid) -> Result<Uid, Refusal> {
        if !self.seat(id, gid)?.rights.receive {
            return Err(Refusal::new("NOTALLOWED", "You may not read what is written here."));
        }
        Ok(self.link(id)?.user.uid)
    }

    /// What a person said before under the same key.
    pub fn said_before(&self, gid: Gid, uid: Uid, key: Option<u64>) -> Option<&Said> {
        let speaker = self.groups.get(&gid)?.talk.speakers.get(&uid)?;
        speaker.keys.iter().find(|(known, _)| Some(*known) == key).map(|(_, said)| said)
    }

    /// Takes what saying something costs.
    pub fn pay_for_saying(&mut self, now: Instant, gid: Gid, uid: Uid) -> Result<(), Refusal> {
        let Some(group) = self.groups.get_mut(&gid) else { return Err(not_here(gid)) };
        let all = if group.counted { CROWD } else { GROUP };
        let speaker = group.talk.speakers.entry(uid).or_default();
        let now = now.since(Instant::ZERO);
        if !speaker.paid.may(now, SPEAKER) {
            return Err(Refusal::new("RATELIMIT", "You write faster than others read: wait a moment."));
        }
        if !group.talk.paid.may(now, all) {
            return Err(Refusal::new("RATELIMIT", "Many write at once: wait a moment."));
        }
        speaker.paid.pay(now, SPEAKER);
        group.talk.paid.pay(now, all);
        Ok(())
    }

    /// Whose turn it is to get what `from` says, of those who are here and may receive.
    pub fn next_in_turn(&mut self, gid: Gid, from: Uid) -> Option<Uid> {
        let group = self.groups.get(&gid)?;
        let may = |uid: &Uid| *uid != from && self.hears(group, gid, *uid);
        let after = group.talk.turn.map_or(0, |last| last.0.saturating_add(1));
        let mut candidates = group.people.range(Uid(after)..).chain(group.people.range(..Uid(after)));
        let next = candidates.find_map(|(uid, _)| Some(*uid).filter(may))?;
        self.groups.get_mut(&gid)?.talk.turn = Some(next);
        Some(next)
    }

    fn hears(&self, group: &Group, gid: Gid, uid: Uid) -> bool {
        let links = group.people.get(&uid).into_iter().flatten();
        links.copied().any(|link| self.seat(link, gid).is_ok_and(|seat| seat.rights.receive))
    }

    /// Tells what was said to whom it concerns, but for the link that said it.
    pub fn deliver(&mut self, gid: Gid, by: LinkId, said: Said, key: Option<u64>) {
        self.effects.push(Effect::Report(gid, Happened::Message(said.clone())));
        let Some(group) = self.groups.get_mut(&gid) else { return };
        if let (Some(key), Some(speaker)) = (key, group.talk.speakers.get_mut(&said.uid)) {
            if speaker.keys.len() >= KEYS {
                speaker.keys.pop_front();
            }
            speaker.keys.push_back((key, said.clone()));
        }
        let people = said.to.map(|to| [to, said.uid]);
        let readers = self.readers(gid, by, people.as_ref().map(<[Uid; 2]>::as_slice));
        self.tell_all(readers, Notice::Message { gid, said });
    }

    /// The links in a group that may receive, but for one; of all people, or of these.
    fn readers(&self, gid: Gid, but: LinkId, of: Option<&[Uid]>) -> Vec<LinkId> {
        let Some(group) = self.groups.get(&gid) else { return Vec::new() };
        let links: Vec<LinkId> = match of {
            None => group.people.values().flatten().copied().collect(),
            Some(of) => of.iter().filter_map(|uid| group.people.get(uid)).flatten().copied().collect(),
        };
        let may = |link: &LinkId| self.seat(*link, gid).is_ok_and(|seat| seat.rights.receive);
        links.into_iter().filter(|link| *link != but && may(link)).collect()
    }

    /// How far somebody got and read: what it was before, and is now.
    pub fn mark(&mut self, gid: Gid, uid: Uid, mark: Mark) -> (Mark, Mark) {
        let Some(group) = self.groups.get_mut(&gid) else { return (mark, mark) };
        let marks = &mut group.talk.marks;
        let before = marks.get(&uid).copied().unwrap_or_default();
        let read = before.read.max(mark.read);
        let after = Mark { delivered: before.delivered.max(mark.delivered).max(read), read };
        if before != after && (marks.len() < MARKS || marks.contains_key(&uid)) {
            marks.insert(uid, after);
        }
        (before, after)
    }

    /// The marks of a group that are told to one of its people: nobody's but one's own where there are many.
    pub fn marks(&self, gid: Gid, uid: Uid) -> (MessageId, Vec<MarkOf>) {
        let Some(group) = self.groups.get(&gid) else { return (MessageId::default(), Vec::new()) };
        let own = group.talk.marks.get(&uid).map(|mark| mark.read).unwrap_or_default();
        let others = group.talk.marks.iter().filter(|(of, _)| **of != uid && self.tells_marks(gid));
        (own, others.map(|(uid, mark)| MarkOf { uid: *uid, mark: *mark }).collect())
    }

    /// Whether who said something to the group is told who got it.
    pub fn tells_marks(&self, gid: Gid) -> bool {
        self.groups.get(&gid).is_some_and(|group| !group.counted && group.people.len() <= TOLD_PEOPLE)
    }

    /// Tells those who said something how far somebody got.
    pub fn tell_mark(&mut self, gid: Gid, authors: &Set<Uid>, mark: MarkOf) {
        let Some(group) = self.groups.get(&gid) else { return };
        let links = authors.iter().filter_map(|uid| group.people.get(uid)).flatten().copied().collect();
        self.tell_all(links, Notice::Status { gid, mark });
    }

    /// Raises or lowers one's hand.
    pub fn hand(&mut self, now: Instant, id: LinkId, gid: Gid, up: bool) -> Result<(), Refusal> {
        self.seat(id, gid)?;
        let Identity { uid, name, .. } = self.link(id)?.user.clone();
        if !up {
            self.lower_hand(gid, uid);
            return Ok(());
        }
        let Some(group) = self.groups.get(&gid) else { return Err(not_here(gid)) };
        if group.talk.hands.iter().any(|hand| hand.uid == uid) {
            return Ok(());
        }
        if group.talk.hands.len() >= HANDS {
            return Err(Refusal::new("TOOMANY", format!("{HANDS} hands are up already.")));
        }
        self.pay_for_saying(now, gid, uid)?;
        let hand = Named { uid, name };
        let Some(group) = self.groups.get_mut(&gid) else { return Err(not_here(gid)) };
        group.talk.hands.push(hand.clone());
        let watchers = self.hand_watchers(gid, uid);
        self.tell_all(watchers, Notice::Hands { gid, all: false, raised: vec![hand], lowered: Vec::new() });
        Ok(())
    }

    /// Lowers somebody's hand, if it is up.
    pub(super) fn lower_hand(&mut self, gid: Gid, uid: Uid) {
        let Some(group) = self.groups.get_mut(&gid) else { return };
        let before = group.talk.hands.len();
        group.talk.hands.retain(|hand| hand.uid != uid);
        if group.talk.hands.len() == before {
            return;
        }
        let watchers = self.hand_watchers(gid, uid);
        self.tell_all(watchers, Notice::Hands { gid, all: false, raised: Vec::new(), lowered: vec![uid] });
    }

    /// Who sees raised hands: everybody who sees the roster; where people are counted only who is on the stage, and
    /// oneself.
    fn hand_watchers(&self, gid: Gid, of: Uid) -> Vec<LinkId> {
        let Some(group) = self.groups.get(&gid) else { return Vec::new() };
        let links = group.people.iter().flat_map(|(uid, links)| links.iter().map(move |link| (*uid, *link)));
        links.filter(|(uid, link)| *uid == of || self.sees_hands(*link, gid)).map(|(_, link)| link).collect()
    }

    fn sees_hands(&self, link: LinkId, gid: Gid) -> bool {
        let counted = self.groups.get(&gid).is_some_and(|group| group.counted);
        self.seat(link, gid).is_ok_and(|Seat { rights, .. }| rights.list && (rights.publish || !counted))
    }

    /// Tells one link whose hands are up; `again` also if none is.
    pub(super) fn tell_hands(&mut self, id: LinkId, gid: Gid, again: bool) {
        let hands = self.groups.get(&gid).map(|group| group.talk.hands.clone()).unwrap_or_default();
        if (again || !hands.is_empty()) && self.sees_hands(id, gid) {
            self.tell(id, Notice::Hands { gid, all: true, raised: hands, lowered: Vec::new() });
        }
    }

    /// Shows a reaction to those who may receive. Where too many react at once it is not shown.
    pub fn react(&mut self, now: Instant, id: LinkId, gid: Gid, text: &str) -> Result<(), Refusal> {
        let Identity { uid, name, .. } = self.speaker(id, gid)?;
        let text = text.trim().to_owned();
        if text.is_empty() || text.len() > REACTION || text.chars().any(char::is_control) {
            return Err(Refusal::new("BADARG", format!("A reaction has 1 to {REACTION} bytes.")));
        }
        if self.pay_for_saying(now, gid, uid).is_ok() {
            let readers = self.readers(gid, id, None);
            self.tell_all(readers, Notice::Reaction { gid, uid, name, text });
        }
        Ok(())
    }

    fn seat(&self, id: LinkId, gid: Gid) -> Result<&Seat, Refusal> {
        self.link(id)?.groups.get(&gid).ok_or_else(|| not_here(gid))
    }
}

fn not_here(gid: Gid) -> Refusal {
    Refusal::new("BADGROUP", format!("Join group {gid} first."))
}
