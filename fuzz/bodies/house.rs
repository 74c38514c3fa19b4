//! The control plane with people in it, in simulated time, for whoever drives it: after each turn all that was told and
//! commanded is held against what there is.
//!
//! What must hold: notices of a group reach only who is in it, names only who may list, messages only who may receive
//! them; no shard sends a track to who may not watch it; rights follow the one rule; what everybody was told adds up to
//! who and what is there; what the store was given is what the directory says; and when all have left nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use millrace::control::directory::{
    Change, Directory, Entropy, Failure, Member, Settings, Snapshot, TokenId,
};
use millrace::control::ids::{Gid, Uid};
use millrace::control::requests::SignedIn;
use millrace::control::rights::{Choice, Preset, Receivers, Rights, Say};
use millrace::control::rooms::{Config, Effect, LinkId, Rooms, ToAll};
use millrace::control::{Now, State};
use millrace::router::command::Command;
use millrace::router::event::Event;
use millrace::router::id::{SessionId, ShardId, SlotId, TrackId};
use millrace::signal::message::{
    Answer, Notice, Refusal, Request, SERVER_LINE, Secret, StreamId, VERSION, write_notice,
};
use millrace::units::Instant;

/// Where everybody is.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Who claims sessions.
pub const SHARD: ShardId = ShardId(0);
/// More than any timer of the rooms waits once all have left, but the ends of memberships.
const LONG: Duration = Duration::from_secs(120);
/// Longer than what happens is gathered before it is told.
const NEWS: Duration = Duration::from_millis(5);
/// Turns of the clock within one wait: more is a timer that sets itself.
const TURNS: usize = 100_000;

/// Numbers that look random and are the same in every run.
#[derive(Debug)]
struct Seeded(u64);

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

/// Somebody with a token, who may be signed in.
#[derive(Debug)]
pub struct Person {
    /// What signs in.
    pub token: String,
    /// Who it is.
    pub uid: Uid,
    /// The stable name.
    pub address: String,
    /// The session, as far as this person knows.
    pub session: Option<SignedIn>,
    /// What takes it up again.
    pub resume: Option<Secret>,
    /// The number of the last offer.
    pub offered: u32,
}

/// What one link was told of a group.
#[derive(Clone, Debug, Default)]
struct Told {
    rights: Rights,
    streams: BTreeSet<StreamId>,
    /// Where names are told.
    people: Option<BTreeSet<Uid>>,
}

/// What the shards were told.
#[derive(Debug, Default)]
struct Media {
    /// Whose each session is, and of which stream, if it carries one in.
    sessions: BTreeMap<SessionId, LinkId>,
    tracks: BTreeMap<TrackId, StreamId>,
    slots: BTreeMap<(SessionId, SlotId), TrackId>,
    crowd: BTreeSet<(SessionId, TrackId)>,
}

/// A server with people.
#[derive(Debug)]
pub struct House {
    /// The control plane.
    pub state: State,
    /// Its time.
    pub now: Now,
    /// Groups that there are, or were.
    pub gids: Vec<Gid>,
    /// Everybody; the first owns the groups.
    pub people: Vec<Person>,
    uids: BTreeMap<LinkId, Uid>,
    told: BTreeMap<(LinkId, Gid), Told>,
    media: Media,
    store: BTreeMap<String, Change>,
    /// Groups whose people are counted, or were.
    counted: BTreeSet<Gid>,
}

impl House {
    /// With an owner and a group.
    pub fn new(preset: Preset) -> Self {
        let directory = Directory::new(Snapshot::default(), Box::new(Seeded(7)));
        let rooms = Rooms::new(Config {
            candidates: vec![([127, 0, 0, 1], 4433).into()],
            streams: Vec::new(),
            fingerprint: [7; 32],
            voices: 8,
            handshakes: 1000,
        });
        let mut house = Self {
            state: State::new(directory, rooms),
            now: Now { instant: Instant::from_millis(5000), unix: Duration::from_secs(1_000_000) },
            gids: Vec::new(),
            people: Vec::new(),
            uids: BTreeMap::new(),
            told: BTreeMap::new(),
            media: Media::default(),
            store: BTreeMap::new(),
            counted: BTreeSet::new(),
        };
        house.add_person();
        house.add_group(preset);
        house
    }

    /// Somebody new, with a token.
    pub fn add_person(&mut self) {
        let name = format!("Person {}", self.people.len());
        let minted = self.state.directory.mint_token(&name, Some(&name)).expect("a token");
        self.meet(minted.token, minted.uid, minted.address);
    }

    /// Somebody new who comes with a pin and no more, if that is enough.
    pub fn add_guest(&mut self, gid: Gid, pin: &str) {
        if let Ok(minted) = self.state.directory.guest(self.now.unix, HERE, gid, pin, "Guest") {
            self.meet(minted.token, minted.uid, minted.address);
        }
        self.settle(None);
    }

    fn meet(&mut self, token: String, uid: Uid, address: String) {
        self.people.push(Person { token, uid, address, session: None, resume: None, offered: 0 });
    }

    /// A group of the first person.
    pub fn add_group(&mut self, preset: Preset) {
        let settings = Settings {
            name: Some("Room".to_owned()),
            preset: Some(preset),
            guests: Some(true),
            ..Settings::default()
        };
        if let Ok(group) = self.state.directory.create_group(self.people[0].uid, &settings) {
            self.gids.push(group.gid);
        }
        self.settle(None);
    }

    /// Somebody signs in, and perhaps takes up the session of before.
    pub fn hello(&mut self, who: usize, resume: bool) -> Result<Answer, Refusal> {
        let person = &self.people[who];
        let (token, secret) = (Secret(person.token.clone()), person.resume.clone().filter(|_| resume));
        let signed_in = self.state.hello(self.now, HERE, VERSION, &token, secret.as_ref());
        let answer = signed_in.map(|(session, welcome)| {
            assert_eq!(welcome.uid, self.people[who].uid);
            self.uids.insert(session.attachment.link, welcome.uid);
            let person = &mut self.people[who];
            (person.session, person.resume) = (Some(session), Some(welcome.resume.clone()));
            Answer::Welcome(welcome)
        });
        self.settle(None);
        answer
    }

    /// Somebody who is signed in asks for something.
    pub fn ask(&mut self, who: usize, request: &Request) -> Option<Result<Answer, Refusal>> {
        let session = self.people[who].session?;
        let link = session.attachment.link;
        let before = self.told.clone();
        let answer = self.state.request(self.now, &session, request);
        if let Ok(Answer::Joined(joined)) = &answer {
            self.told.entry((link, joined.gid)).or_default().rights = joined.rights;
        }
        if let Ok(Answer::History(page)) = &answer {
            let uid = self.people[who].uid;
            assert!(page.messages.iter().all(|said| said.to.is_none_or(|to| to == uid) || said.uid == uid));
        }
        self.settle_since(&before, Some((link, request)));
        Some(answer)
    }

    /// The transport of somebody is gone.
    pub fn detach(&mut self, who: usize, clean: bool) {
        if let Some(session) = self.people[who].session.take() {
            self.state.rooms.detach(self.now.instant, session.attachment, clean);
            self.settle(None);
        }
    }

    /// News of a media session from its shard.
    pub fn event(&mut self, event: Event) {
        self.state.rooms.handle_event(self.now.instant, SHARD, event);
        self.settle(None);
    }

    /// A session that shards know, by some number.
    pub fn session(&self, which: u8) -> Option<SessionId> {
        let sessions = &self.media.sessions;
        sessions.keys().nth(usize::from(which) % sessions.len().max(1)).copied()
    }

    /// Lets time pass, with all that comes due in it.
    pub fn pass(&mut self, by: Duration) {
        let until = self.now.instant + by;
        let unix = self.now.unix + by;
        for turn in 0.. {
            assert!(turn < TURNS, "a timer sets itself again and again");
            let due = self.state.rooms.poll_timeout();
            if due > until {
                break;
            }
            self.now.instant = self.now.instant.max(due);
            self.now.unix = unix.saturating_sub(until.since(self.now.instant));
            self.state.rooms.handle_timeout(self.now.instant);
            self.settle(None);
        }
        (self.now.instant, self.now.unix) = (until, unix);
        self.state.directory.handle_timeout(self.now.unix);
        self.settle(None);
    }

    /// The end of a turn in which nobody in particular asked for something.
    pub fn settle(&mut self, asked: Option<(LinkId, &Request)>) {
        let before = self.told.clone();
        self.settle_since(&before, asked);
    }

    /// The end of a turn: what was told and commanded, and whether it may be so. `before` is what was so before it.
    fn settle_since(&mut self, before: &BTreeMap<(LinkId, Gid), Told>, asked: Option<(LinkId, &Request)>) {
        self.state.settle(self.now);
        for effect in self.state.rooms.take_effects() {
            match effect {
                Effect::Tell(links, notice) => {
                    assert!(write_notice(&notice).len() <= SERVER_LINE);
                    links.into_iter().for_each(|link| self.hear(before, link, &notice));
                }
                Effect::Say(link, line) => {
                    assert!(line.len() <= SERVER_LINE);
                    let notice: Notice = serde_json::from_slice(&line).expect("a notice");
                    self.hear(before, link, &notice);
                }
                Effect::Close(link) => {
                    self.uids.remove(&link);
                    self.told.retain(|(other, _), _| *other != link);
                }
                Effect::Shards(to_all) => self.command_all(&to_all, asked),
                Effect::Shard(_, command) => self.command(&command),
                Effect::Expect(..) | Effect::Forget(_) | Effect::Report(..) => {}
            }
        }
        for change in self.state.directory.take_changes() {
            self.keep(change);
        }
        self.check_people();
        self.check_media();
    }

    fn hear(&mut self, before: &BTreeMap<(LinkId, Gid), Told>, link: LinkId, notice: &Notice) {
        let Some(uid) = self.uids.get(&link).copied() else { panic!("{notice:?} to nobody") };
        let gid = match notice {
            Notice::Roster { gid, .. }
            | Notice::People { gid, .. }
            | Notice::Talking { gid, .. }
            | Notice::Layer { gid, .. }
            | Notice::Viewer { gid, .. }
            | Notice::Rights { gid, .. }
            | Notice::Limits { gid, .. }
            | Notice::Ended { gid, .. }
            | Notice::Ends { gid, .. }
            | Notice::Moved { gid, .. }
            | Notice::Removed { gid, .. }
            | Notice::Muted { gid, .. }
            | Notice::Asked { gid, .. }
            | Notice::Message { gid, .. }
            | Notice::Status { gid, .. }
            | Notice::Hands { gid, .. }
            | Notice::Reaction { gid, .. } => *gid,
            Notice::Settings(joined) => joined.gid,
            Notice::Slots { slots } => {
                for slot in slots {
                    let may = |told: Option<&Told>| told.is_some_and(|told| told.rights.subscribe);
                    let key = (link, slot.stream.gid);
                    assert!(may(self.told.get(&key)) || may(before.get(&key)), "{slot:?}");
                }
                return;
            }
            Notice::Offer { rev, .. } => {
                let person = self.people.iter_mut().find(|person| person.uid == uid).expect("somebody");
                person.offered = *rev;
                return;
            }
            Notice::Sound { .. }
            | Notice::Quality { .. }
            | Notice::Layers { .. }
            | Notice::Call { .. }
            | Notice::Signout {}
            | Notice::Error(_) => return,
        };
        let was = before.get(&(link, gid)).map(|told| told.rights);
        let told = self.told.get_mut(&(link, gid));
        let is = told.as_ref().map(|told| told.rights);
        assert!(was.is_some() || is.is_some(), "{notice:?} to who is not in {gid}");
        let may = |right: fn(Rights) -> bool| was.is_some_and(right) || is.is_some_and(right);
        let Some(told) = told else { return };
        match notice {
            Notice::Rights { rights, .. } => told.rights = *rights,
            Notice::Settings(joined) => told.rights = joined.rights,
            Notice::Removed { .. } => _ = self.told.remove(&(link, gid)),
            Notice::Roster { all, joined, changed, left, .. } => {
                assert!(joined.is_empty() && changed.is_empty() || may(|rights| rights.list), "{notice:?}");
                if *all {
                    told.streams.clear();
                }
                told.streams.extend(joined.iter().map(|s| StreamId { uid: s.uid, sid: s.sid }));
                left.iter().for_each(|stream| _ = told.streams.remove(stream));
            }
            Notice::People { all, joined, left, .. } => {
                assert!(joined.is_empty() || may(|rights| rights.list), "{notice:?}");
                if *all {
                    told.people = (!joined.is_empty()).then(BTreeSet::new);
                }
                if let Some(people) = &mut told.people {
                    left.iter().for_each(|uid| _ = people.remove(uid));
                    people.extend(joined.iter().map(|person| person.uid));
                }
            }
            Notice::Message { said, .. } => {
                assert!(may(|rights| rights.receive) || said.uid == uid, "{notice:?}");
                assert!(said.to.is_none_or(|to| to == uid) || said.uid == uid, "{notice:?}");
            }
            _ => {}
        }
    }

    fn command_all(&mut self, to_all: &ToAll, asked: Option<(LinkId, &Request)>) {
        match to_all {
            ToAll::AddSession(params) => {
                let (link, request) = asked.expect("somebody asked for it");
                assert!(self.media.sessions.insert(params.id, link).is_none());
                for track in &params.tracks {
                    let Request::Publish(publish) = request else { panic!("a track of nobody") };
                    let uid = self.uids[&link];
                    self.media.tracks.insert(track.id, StreamId { uid, sid: publish.sid });
                }
            }
            ToAll::RemoveSession(id) => {
                assert!(self.media.sessions.remove(id).is_some());
                self.media.slots.retain(|(session, _), _| session != id);
                self.media.crowd.retain(|(session, _)| session != id);
            }
            ToAll::RestartIce(id, _) => assert!(self.media.sessions.contains_key(id)),
            ToAll::AnnounceTrack(track, ..) => assert!(self.media.tracks.contains_key(track)),
            ToAll::WithdrawTrack(gone) => {
                self.media.tracks.remove(gone);
                self.media.slots.retain(|_, track| track != gone);
                self.media.crowd.retain(|(_, track)| track != gone);
            }
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Watch { session, slot, track, .. } => match track {
                Some(track) => _ = self.media.slots.insert((*session, *slot), *track),
                None => _ = self.media.slots.remove(&(*session, *slot)),
            },
            Command::Crowd { session, track, on: true } => _ = self.media.crowd.insert((*session, *track)),
            Command::Crowd { session, track, on: false } => _ = self.media.crowd.remove(&(*session, *track)),
            _ => {}
        }
    }

    /// What the store was given last under each name.
    fn keep(&mut self, change: Change) {
        let (name, removed) = match &change {
            Change::PutUser(uid, _) => (format!("user {uid}"), false),
            Change::RemoveUser(uid) => (format!("user {uid}"), true),
            Change::PutToken(id, _) => (format!("token {id:?}"), false),
            Change::RemoveToken(id) => (format!("token {id:?}"), true),
            Change::PutGroup(gid, _) => (format!("group {gid}"), false),
            Change::RemoveGroup(gid) => (format!("group {gid}"), true),
            Change::PutMember(gid, uid, _) => (format!("member {gid} {uid}"), false),
            Change::RemoveMember(gid, uid) => (format!("member {gid} {uid}"), true),
            Change::PutMessage(gid, id, _) => (format!("message {gid} {}", id.0), false),
            Change::RemoveMessage(gid, id) => (format!("message {gid} {}", id.0), true),
            Change::PutApp(id, _) => (format!("app {id}"), false),
            Change::Numbers(_) => ("numbers".to_owned(), false),
        };
        if removed {
            self.store.remove(&name);
        } else {
            self.store.insert(name, change);
        }
    }

    /// Who is in has the rights that the rule gives, and was told so.
    fn check_people(&mut self) {
        for gid in self.gids.iter().copied() {
            let present = self.state.rooms.present(gid);
            let here: BTreeSet<_> = present.iter().map(|(link, _)| *link).collect();
            self.told.retain(|(link, other), _| *other != gid || here.contains(link));
            let Some(group) = self.state.directory.group(gid).cloned() else {
                assert!(present.is_empty(), "people in a group that is gone");
                continue;
            };
            if group.preset == Preset::Webinar {
                self.counted.insert(gid);
            }
            for (link, uid) in present {
                assert_eq!(self.uids.get(&link), Some(&uid));
                let told = self.told.get(&(link, gid)).expect("was told to be in");
                match self.state.directory.membership(self.now.unix, uid, gid) {
                    Ok(membership) => {
                        assert_eq!(told.rights, membership.rights, "{uid} in {gid}");
                        let listed =
                            self.state.directory.members(group.owner, gid).expect("the owner sees them");
                        // Who neither owns it nor has a record is a stranger.
                        let record = listed.into_iter().find(|listed| listed.uid == uid).map(|l| l.member);
                        let expected = rule(&group, uid, record.as_ref());
                        assert_eq!(told.rights, expected, "{uid} in {gid}");
                    }
                    // The timer that puts them out comes with the rooms' own clock.
                    Err(Failure::Expired) => {}
                    Err(other) => panic!("{uid} is in {gid}: {other}"),
                }
            }
        }
    }

    /// Nothing goes to who may not watch it.
    fn check_media(&self) {
        let slots = self.media.slots.iter().map(|((session, _), track)| (*session, *track));
        for (session, track) in slots.chain(self.media.crowd.iter().copied()) {
            let link = self.media.sessions.get(&session).expect("a session that is there");
            let stream = self.media.tracks.get(&track).expect("a track that is there");
            let may = self.gids.iter().any(|gid| {
                let told = self.told.get(&(*link, *gid));
                told.is_some_and(|told| told.rights.subscribe)
                    && self.state.rooms.streams_in(*gid).contains(stream)
            });
            assert!(may, "{stream:?} goes to who may not watch it");
        }
    }

    /// What everybody was told is what there is, once all news are told.
    pub fn compare(&mut self) {
        self.pass(Duration::from_secs(2));
        // What expired just then is told a little later.
        while self.state.rooms.poll_timeout() <= self.now.instant + NEWS {
            self.pass(NEWS);
        }
        for ((link, gid), told) in &self.told {
            // One's own are not told.
            let others = self.state.rooms.streams_in(*gid).into_iter();
            let others: BTreeSet<_> =
                others.filter(|stream| self.uids.get(link) != Some(&stream.uid)).collect();
            let expected = if told.rights.list { others } else { BTreeSet::new() };
            assert_eq!(told.streams, expected, "the roster of {gid} for {link:?}");
            if let Some(people) = told.people.as_ref().filter(|_| !self.counted.contains(gid)) {
                let present = self.state.rooms.present(*gid);
                let expected: BTreeSet<_> = present.into_iter().map(|(_, uid)| uid).collect();
                assert!(!told.rights.list || *people == expected, "the people of {gid} for {link:?}");
            }
        }
        let kept = self.state.directory.snapshot();
        let mut written = Snapshot { numbers: kept.numbers, ..Snapshot::default() };
        for change in self.store.values().cloned() {
            match change {
                Change::PutUser(uid, user) => written.users.push((uid, user)),
                Change::PutToken(id, token) => written.tokens.push((id, token)),
                Change::PutGroup(gid, group) => written.groups.push((gid, group)),
                Change::PutMember(gid, uid, member) => written.members.push(((gid, uid), member)),
                Change::PutMessage(gid, id, message) => written.messages.push(((gid, id), message)),
                Change::PutApp(id, app) => written.apps.push((id, app)),
                Change::Numbers(numbers) => assert_eq!(numbers, kept.numbers),
                _ => panic!("what is removed is not kept"),
            }
        }
        written.users.sort_by_key(|(uid, _)| *uid);
        written.tokens.sort_by_key(|(id, _): &(TokenId, _)| *id);
        written.groups.sort_by_key(|(gid, _)| *gid);
        written.members.sort_by_key(|(key, _)| *key);
        written.messages.sort_by_key(|(key, _)| *key);
        assert_eq!(written, kept, "the store was given something else");
    }

    /// All leave: nothing is left.
    pub fn end(mut self) {
        self.compare();
        for who in 0..self.people.len() {
            self.detach(who, true);
        }
        self.pass(LONG);
        assert_eq!(self.state.rooms.counts(), (0, 0, 0), "links, streams, media sessions");
        assert_eq!(self.state.rooms.live().count(), 0);
        assert!(self.media.sessions.is_empty() && self.media.tracks.is_empty(), "{:?}", self.media);
    }
}

/// The rule for rights, said anew: who owns it may all, unless in as a viewer; what the record denies or allows
/// holds; else the group's choice does.
fn rule(group: &millrace::control::directory::Group, uid: Uid, record: Option<&Member>) -> Rights {
    let owner = group.owner == uid;
    let says = record.map(Member::says).unwrap_or_default();
    if owner && says.publish != Say::Deny {
        return Rights::ALL;
    }
    let member = owner || record.is_some();
    let right = |say: Say, choice: Choice| {
        say == Say::Allow
            || say == Say::Unset && (choice == Choice::Anyone || choice == Choice::Members && member)
    };
    let receive = match group.choices.receive {
        Receivers::All(choice) => choice,
        Receivers::RoundRobin => Choice::Members,
    };
    Rights {
        send: right(says.send, group.choices.send),
        receive: right(says.receive, receive),
        publish: right(says.publish, group.choices.publish),
        subscribe: right(says.subscribe, group.choices.subscribe),
        list: right(says.list, group.choices.list),
    }
}
