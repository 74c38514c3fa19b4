//! A house for tests: a room and its clock, people in it, and what they hear.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::directory::{Directory, MemberChanges, Settings, Snapshot, SystemEntropy};
use super::ids::{Gid, Uid};
use super::requests::SignedIn;
use super::rights::{Override, Preset};
use super::rooms::{Config, Effect, LinkId, Rooms};
use super::{Now, State};
use crate::control::ids::Sid;
use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::signal::message::{
    Answer, HistoryAsk, Muted, Notice, Page, Publish, Refusal, Request, Say, Secret, VERSION, Watch,
};
use crate::units::Instant;

const OFFER: &str = include_str!("../../tests/fixtures/sdp/chromium-offer-vp8-simulcast.sdp");
pub(super) const SHARD: ShardId = ShardId(0);
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A room and its clock.
pub(super) struct House {
    pub(super) state: State,
    pub(super) owner: Uid,
    pub(super) gid: Gid,
    owner_token: String,
    pub(super) pin: String,
    pub(super) spin: String,
    pub(super) now: Now,
    told: Vec<(LinkId, Notice)>,
    done: Vec<Effect>,
}

/// Somebody in the room.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) session: SignedIn,
    pub(super) uid: Uid,
    pub(super) address: String,
}

impl House {
    pub(super) fn new(preset: Preset) -> Self {
        let mut directory = Directory::new(Snapshot::default(), Box::new(SystemEntropy::default()));
        let minted = directory.mint_token("Owner", Some("owner")).expect("a token");
        let (owner, owner_token) = (minted.uid, minted.token);
        let settings = Settings {
            name: Some("Room".to_owned()),
            preset: Some(preset),
            guests: Some(true),
            ..Settings::default()
        };
        let group = directory.create_group(owner, &settings).expect("a group");
        let candidates = vec![([127, 0, 0, 1], 4433).into()];
        let rooms = Rooms::new(Config {
            candidates,
            streams: Vec::new(),
            fingerprint: [7; 32],
            voices: 8,
            handshakes: 1000,
        });
        let now = Now { instant: Instant::from_millis(5000), unix: Duration::from_secs(1_000_000) };
        let (pin, spin) = group.pins.expect("pins");
        Self {
            state: State::new(directory, rooms),
            owner,
            owner_token,
            gid: group.gid,
            pin,
            spin,
            now,
            told: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Somebody new comes in with the participant's pin.
    pub(super) fn enter(&mut self, name: &str) -> Person {
        let pin = self.pin.clone();
        self.enter_with(name, pin)
    }

    /// Somebody new comes in with the viewer's pin.
    pub(super) fn enter_with_spin(&mut self, name: &str) -> Person {
        let spin = self.spin.clone();
        self.enter_with(name, spin)
    }

    fn enter_with(&mut self, name: &str, pin: String) -> Person {
        let minted = self.state.directory.mint_token(name, None).expect("a token");
        let person = self.hello(&minted.token, minted.uid, &minted.address);
        self.ask(&person, &Request::Join { gid: self.gid, pin: Some(Secret(pin)) }).expect("joins");
        self.settle();
        person
    }

    /// The owner comes in.
    pub(super) fn owner(&mut self) -> Person {
        let token = self.owner_token.clone();
        let person = self.hello(&token, self.owner, "owner");
        self.ask(&person, &Request::Join { gid: self.gid, pin: None }).expect("joins");
        person
    }

    pub(super) fn hello(&mut self, token: &str, uid: Uid, address: &str) -> Person {
        let hello = self.state.hello(self.now, HERE, VERSION, &Secret(token.to_owned()), None);
        Person { session: hello.expect("welcome").0, uid, address: address.to_owned() }
    }

    pub(super) fn ask(&mut self, who: &Person, request: &Request) -> Result<Answer, Refusal> {
        let answer = self.state.request(self.now, &who.session, request);
        self.state.settle(self.now);
        answer
    }

    pub(super) fn say(&mut self, who: &Person, to: Option<Uid>, text: &str) -> Result<Answer, Refusal> {
        self.pass(1);
        let say = Say { gid: self.gid, to, text: text.to_owned(), file: None, key: None };
        self.ask(who, &Request::Message(say))
    }

    /// Lets time pass, with all that comes due in it.
    pub(super) fn tick(&mut self, by: Duration) {
        let until = self.now.instant + by;
        while self.state.rooms.poll_timeout() <= until {
            self.now.instant = self.now.instant.max(self.state.rooms.poll_timeout());
            self.state.rooms.handle_timeout(self.now.instant);
        }
        self.now.instant = until;
        self.now.unix += by;
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now.instant += Duration::from_secs(seconds);
        self.now.unix += Duration::from_secs(seconds);
    }

    pub(super) fn settle(&mut self) {
        for effect in self.state.rooms.take_effects() {
            match effect {
                Effect::Tell(links, notice) => {
                    self.told.extend(links.into_iter().map(|link| (link, notice.clone())));
                }
                other => self.done.push(other),
            }
        }
    }

    /// The texts that somebody got since the last time.
    pub(super) fn read(&mut self, who: &Person) -> Vec<String> {
        let texts = self.heard(who).into_iter().filter_map(|notice| match notice {
            Notice::Message { said, .. } => Some(said.text),
            _ => None,
        });
        texts.collect()
    }

    pub(super) fn heard(&mut self, who: &Person) -> Vec<Notice> {
        self.settle();
        let link = who.session.attachment.link;
        let (mine, others) = self.told.drain(..).partition(|(to, _)| *to == link);
        self.told = others;
        let mine: Vec<(LinkId, Notice)> = mine;
        mine.into_iter().map(|(_, notice)| notice).collect()
    }

    /// What else was to be done since the last time.
    pub(super) fn done(&mut self) -> Vec<Effect> {
        self.settle();
        std::mem::take(&mut self.done)
    }

    /// Publishes somebody's camera, which [`SHARD`] has claimed then.
    pub(super) fn publish(&mut self, who: &Person) -> Result<SessionId, Refusal> {
        let publish = Publish {
            gids: vec![self.gid],
            sid: Sid(0),
            source: 1,
            name: None,
            sdp: OFFER.to_owned(),
            muted: Muted::default(),
            layers: Vec::new(),
        };
        self.ask(who, &Request::Publish(publish))?;
        Ok(self.claimed())
    }

    /// Watches somebody's camera.
    pub(super) fn watch(&mut self, who: &Person, whose: Uid) {
        let watch = Watch {
            gid: self.gid,
            uid: whose,
            sid: Sid(0),
            audio: true,
            video: true,
            width: 640,
            height: 360,
            visible: true,
            priority: 1,
        };
        self.ask(who, &Request::Watch(watch)).expect("watches");
    }

    /// The session that a handshake is expected for, claimed.
    fn claimed(&mut self) -> SessionId {
        let session = self.done().into_iter().find_map(|effect| match effect {
            Effect::Expect(session, _) => Some(session),
            _ => None,
        });
        let session = session.expect("a session");
        self.state.rooms.handle_event(self.now.instant, SHARD, Event::Claimed { session, shard: SHARD });
        session
    }

    pub(super) fn page(&mut self, who: &Person, with: Option<Uid>) -> Result<Page, Refusal> {
        let ask = HistoryAsk { gid: self.gid, before: None, with, count: None };
        match self.ask(who, &Request::History(ask))? {
            Answer::History(page) => Ok(page),
            other => panic!("a page: {other:?}"),
        }
    }

    pub(super) fn texts(&mut self, who: &Person, with: Option<Uid>) -> Vec<String> {
        self.page(who, with).expect("a page").messages.into_iter().map(|said| said.text).collect()
    }

    pub(super) fn change(&mut self, who: &Person, said: Override) {
        let changes = MemberChanges { said: Some(said), ..MemberChanges::default() };
        let edited = self.state.directory.edit_members(self.owner, self.gid, &[&who.address], &changes);
        edited.expect("edited");
        self.state.settle(self.now);
    }
}

pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.expect_err("refused").error
}
