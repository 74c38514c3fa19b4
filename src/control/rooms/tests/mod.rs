//! Rooms by behaviour, in simulated time.

mod admission;
mod calls;
mod crowd;
mod followed;
mod limits;
mod links;
mod people;
mod picking;
mod publishing;
mod seats;
mod several_groups;
mod watching;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::control::directory::{Identity, Membership};
use crate::control::ids::{Sid, Uid};
use crate::control::limits::Limits;
use crate::control::rights::{Admin, Preset, Rights};
use crate::router::command::Command;
use crate::router::event::Event;
use crate::signal::message::{Answer, Publish, Secret, ServerLine, StreamRef, Watch, Welcome};

const ROOM: Gid = Gid(1000);
const OTHER: Gid = Gid(1001);
const CAMERA: Sid = Sid(0);
const OFFER: &str = include_str!("../../../../tests/fixtures/sdp/chromium-offer-vp8-simulcast.sdp");
const SOUND: &str = include_str!("../../../../tests/fixtures/sdp/chromium-offer-audio.sdp");
const VIEWER: Rights = Rights { publish: false, ..Rights::ALL };
/// A few people are told at once again after so long.
const QUIET: Duration = Duration::from_millis(100);
const SHARD: ShardId = ShardId(1);

/// Rooms, their time, and what came out of them.
struct House {
    rooms: Rooms,
    now: Instant,
    told: BTreeMap<LinkId, Vec<Notice>>,
    done: Vec<Effect>,
}

impl House {
    fn new() -> Self {
        let candidates = vec![([127, 0, 0, 1], 4433).into()];
        let rooms = Rooms::new(Config {
            candidates,
            streams: Vec::new(),
            fingerprint: [7; 32],
            voices: 8,
            handshakes: 1000,
        });
        Self { rooms, now: Instant::from_millis(1000), told: BTreeMap::new(), done: Vec::new() }
    }

    fn settle(&mut self) {
        for effect in self.rooms.take_effects() {
            match effect {
                Effect::Tell(links, notice) => {
                    for link in links {
                        self.told.entry(link).or_default().push(notice.clone());
                    }
                }
                Effect::Say(link, line) => {
                    let Ok(ServerLine::Notice(notice)) = ServerLine::parse(&line) else {
                        panic!("no notice: {line:?}")
                    };
                    self.told.entry(link).or_default().push(notice);
                }
                other => self.done.push(other),
            }
        }
    }

    /// What a link was told since the last time.
    fn heard(&mut self, link: LinkId) -> Vec<Notice> {
        self.settle();
        self.told.remove(&link).unwrap_or_default()
    }

    /// What the data plane and the handshakes were told since the last time.
    fn done(&mut self) -> Vec<Effect> {
        self.settle();
        // What operators' servers hear is for neither.
        self.done.retain(|effect| !matches!(effect, Effect::Report(..)));
        std::mem::take(&mut self.done)
    }

    fn forget_all(&mut self) {
        self.settle();
        self.told.clear();
        self.done.clear();
    }

    /// Lets time pass, with all timers that come due in it.
    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while self.rooms.poll_timeout() <= until {
            self.now = self.now.max(self.rooms.poll_timeout());
            self.rooms.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn hello(&mut self, uid: u32, resume: Option<&Secret>) -> (Attachment, Welcome) {
        self.rooms.hello(self.now, identity(uid), resume).expect("a link")
    }

    /// A link that joined [`ROOM`] with these rights.
    fn member(&mut self, uid: u32, rights: Rights) -> LinkId {
        let link = self.hello(uid, None).0.link;
        self.join(link, ROOM, rights);
        link
    }

    fn join(&mut self, link: LinkId, gid: Gid, rights: Rights) {
        self.rooms.join(self.now, link, gid, seat(gid, rights)).expect("joins");
    }

    fn publish(&mut self, link: LinkId, gids: &[Gid], sdp: &str) -> Result<Answer, Refusal> {
        self.rooms.publish(self.now, link, &stream(gids, CAMERA, sdp))
    }

    /// A member whose camera is published in [`ROOM`], and claimed by [`SHARD`].
    fn publisher(&mut self, uid: u32) -> LinkId {
        let link = self.member(uid, Rights::ALL);
        self.publish(link, &[ROOM], OFFER).expect("publishes");
        let session = self.session_of(uid, CAMERA);
        self.claim(session);
        link
    }

    fn session_of(&self, uid: u32, sid: Sid) -> SessionId {
        self.rooms.streams.get(&StreamId { uid: Uid(uid), sid }).expect("a stream").session
    }

    fn claim(&mut self, session: SessionId) {
        self.event(Event::Claimed { session, shard: SHARD });
    }

    fn event(&mut self, event: Event) {
        self.rooms.handle_event(self.now, SHARD, event);
    }

    fn watch(&mut self, link: LinkId, uid: u32) -> Result<(), Refusal> {
        self.rooms.watch(link, &watch(uid, 1280, 720))
    }

    /// The last offer that was told, answered as a browser does that takes all of it.
    fn answer(&mut self, link: LinkId) -> Vec<Notice> {
        let heard = self.heard(link);
        let offer = heard.iter().rev().find_map(|notice| match notice {
            Notice::Offer { rev, sdp, .. } => Some((*rev, sdp.clone())),
            _ => None,
        });
        let (rev, sdp) = offer.expect("an offer");
        self.rooms.answer(self.now, link, rev, &taken(&sdp)).expect("an answer that fits");
        heard
    }

    /// A member of [`ROOM`] who watches these people, all negotiated and claimed.
    fn viewer(&mut self, uid: u32, watched: &[u32]) -> (LinkId, SessionId) {
        let link = self.member(uid, VIEWER);
        for watched in watched {
            self.watch(link, *watched).expect("watches");
        }
        self.answer(link);
        let session = self.viewing(link);
        self.claim(session);
        (link, session)
    }

    fn viewing(&self, link: LinkId) -> SessionId {
        let link = self.rooms.links.get(link).expect("a link");
        link.viewing.peer.as_ref().expect("a connection").session
    }
}

fn identity(uid: u32) -> Identity {
    Identity {
        uid: Uid(uid),
        token: TokenId::of(&format!("token {uid}")),
        name: format!("Person {uid}"),
        address: format!("person{uid}"),
        guest: false,
        several: false,
    }
}

fn membership(gid: Gid, rights: Rights) -> Membership {
    Membership {
        gid,
        name: "Room".to_owned(),
        preset: Preset::Conference,
        resolution: 0,
        call_flags: 0x8107,
        call_duration: 0,
        limits: Limits::default(),
        expires: 0,
        rights,
        admin: Admin::NONE,
        pins: None,
    }
}

fn seat(gid: Gid, rights: Rights) -> Seat {
    Seat::new(&membership(gid, rights), Instant::ZERO, Duration::ZERO)
}

fn stream(gids: &[Gid], sid: Sid, sdp: &str) -> Publish {
    Publish {
        gids: gids.to_vec(),
        sid,
        source: 1,
        name: None,
        sdp: sdp.to_owned(),
        muted: crate::signal::message::Muted::default(),
        layers: Vec::new(),
    }
}

fn watch(uid: u32, width: u16, height: u16) -> Watch {
    Watch {
        gid: ROOM,
        uid: Uid(uid),
        sid: CAMERA,
        audio: true,
        video: true,
        width,
        height,
        visible: true,
        priority: 1,
    }
}

const fn key(uid: u32) -> StreamRef {
    StreamRef { gid: ROOM, uid: Uid(uid), sid: CAMERA }
}

/// The answer of a browser that takes all that is offered.
fn taken(offer: &str) -> String {
    let mut answer = String::new();
    for line in offer.lines() {
        let line = match line {
            "a=sendonly" => "a=recvonly",
            "a=setup:actpass" => "a=setup:active",
            "a=ice-lite" => continue,
            line if line.starts_with("a=ssrc") || line.starts_with("a=msid") => continue,
            line => line,
        };
        answer.push_str(line);
        answer.push_str("\r\n");
    }
    answer
}

fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.expect_err("refused").error
}

/// The commands to one shard among these.
fn commands(done: Vec<Effect>) -> Vec<Command> {
    done.into_iter()
        .filter_map(|effect| match effect {
            Effect::Shard(shard, command) => {
                assert_eq!(shard, SHARD);
                Some(command)
            }
            _ => None,
        })
        .collect()
}
