//! What an owner changes in a running call reaches the shards at once.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::control::directory::{Directory, MemberChanges, PinChanges, Settings, Snapshot, SystemEntropy};
use crate::control::ids::Sid;
use crate::control::limits::{LimitChanges, Limits};
use crate::control::rights::Override;
use crate::control::rooms::{Config, Effect, Rooms, ToAll};
use crate::router::command::Command;
use crate::router::event::Event;
use crate::router::id::{SessionId, ShardId};
use crate::signal::message::{Muted, Notice, Publish, Watch};
use crate::units::{Bitrate, Instant, PictureSize};

const OFFER: &str = include_str!("../../../tests/fixtures/sdp/chromium-offer-vp8-simulcast.sdp");
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW: Now = Now { instant: Instant::from_millis(5000), unix: Duration::from_secs(1_000_000) };
const SHARD: ShardId = ShardId(0);

/// At most what rate and picture, ...
type Publishes = (Bitrate, PictureSize);
/// ... at most what rate and how many voices.
type Watches = (Bitrate, u8);

/// A room with a publisher, Ada, who watches herself from elsewhere as Bob: both came with one pin.
struct Call {
    state: State,
    owner: Uid,
    gid: Gid,
    pin: String,
    ada: TokenId,
    bob: TokenId,
}

impl Call {
    fn new() -> Self {
        let directory = Directory::new(Snapshot::default(), Box::new(SystemEntropy::default()));
        let rooms = Rooms::new(Config {
            candidates: Vec::new(),
            streams: Vec::new(),
            fingerprint: [1; 32],
            voices: 8,
            handshakes: 100,
        });
        let mut state = State::new(directory, rooms);
        let owner = state.directory.mint_token("owner", Some("owner")).expect("a token").uid;
        let settings = Settings { name: Some("Room".to_owned()), ..Settings::default() };
        let gid = state.directory.create_group(owner, &settings).expect("a group").gid;
        let given = PinChanges { rights: Override::PARTICIPANT.into(), ..PinChanges::default() };
        let pin = state.directory.add_pin(owner, gid, &given).expect("a pin");
        let none = TokenId([0; 32]);
        let mut call = Self { state, owner, gid, pin, ada: none, bob: none };
        let (ada, bob) = (call.sign_in("ada"), call.sign_in("bob"));
        (call.ada, call.bob) = (ada.asker.token, bob.asker.token);

        let ask = Publish {
            gids: vec![gid],
            sid: Sid(0),
            source: 1,
            name: None,
            sdp: OFFER.to_owned(),
            muted: Muted::default(),
            layers: Vec::new(),
        };
        call.ask(&ada, &Request::Publish(ask));
        call.claim_all();
        let watch = Watch {
            gid,
            uid: ada.asker.uid,
            sid: Sid(0),
            audio: true,
            video: true,
            width: 1280,
            height: 720,
            visible: true,
            priority: 1,
        };
        call.ask(&bob, &Request::Watch(watch));
        let offer = call.effects().into_iter().find_map(|effect| match effect {
            Effect::Tell(_, Notice::Offer { rev, sdp, .. }) => Some((rev, sdp)),
            _ => None,
        });
        let (rev, offer) = offer.expect("an offer");
        let sdp = offer.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active");
        call.ask(&bob, &Request::Answer { rev, sdp });
        call.claim_all();
        call.effects();
        call
    }

    fn sign_in(&mut self, name: &str) -> SignedIn {
        let token = self.state.directory.mint_token(name, Some(name)).expect("a token").token;
        let (signed_in, _) = self.state.hello(NOW, HERE, VERSION, &Secret(token), None).expect("signed in");
        let pin = Some(Secret(self.pin.clone()));
        self.ask(&signed_in, &Request::Join { gid: self.gid, pin });
        signed_in
    }

    fn ask(&mut self, who: &SignedIn, request: &Request) {
        self.state.request(NOW, who, request).expect("allowed");
        self.state.settle(NOW);
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.state.settle(NOW);
        self.state.rooms.take_effects()
    }

    fn claim_all(&mut self) {
        let effects = self.effects();
        let sessions = effects.iter().filter_map(|effect| match effect {
            Effect::Shards(ToAll::AddSession(params)) => Some(params.id),
            _ => None,
        });
        let sessions: Vec<SessionId> = sessions.collect();
        for session in sessions {
            self.state.rooms.handle_event(NOW.instant, SHARD, Event::Claimed { session, shard: SHARD });
        }
    }

    /// What the shards were told since the last time: of the publisher, and of the viewer.
    fn told(&mut self) -> (Option<Publishes>, Option<Watches>) {
        let (mut publisher, mut viewer) = (None, None);
        for effect in self.effects() {
            match effect {
                Effect::Shard(_, Command::LimitTrack { limits, .. }) => {
                    publisher = Some((limits.max_bitrate, limits.max_size));
                }
                Effect::Shard(_, Command::LimitSession { max_bitrate, max_voices, .. }) => {
                    viewer = Some((max_bitrate, max_voices));
                }
                _ => {}
            }
        }
        (publisher, viewer)
    }
}

const ANY: PictureSize = PictureSize::new(u16::MAX, u16::MAX);

fn both(kbps: u32) -> LimitChanges {
    LimitChanges { max_publish_kbps: Some(kbps), max_subscribe_kbps: Some(kbps), ..LimitChanges::default() }
}

#[test]
fn limits_of_the_group_act_at_once() {
    let mut call = Call::new();
    let settings = Settings { limits: both(700), ..Settings::default() };
    call.state.directory.edit_group(call.owner, call.gid, &settings).expect("edited");
    let rate = Bitrate::from_kbps(700);
    assert_eq!(call.told(), (Some((rate, ANY)), Some((rate, 8))));
    assert_eq!(call.told(), (None, None), "once");
    let settings = Settings {
        limits: LimitChanges { max_resolution: Some(2), max_voices: Some(3), ..both(0) },
        ..Settings::default()
    };
    call.state.directory.edit_group(call.owner, call.gid, &settings).expect("edited");
    let vga = PictureSize::new(640, 480);
    assert_eq!(call.told(), (Some((Bitrate::MAX, vga)), Some((Bitrate::MAX, 3))));
}

#[test]
fn limits_of_a_member_are_the_members_alone() {
    let mut call = Call::new();
    let changes = MemberChanges { limits: both(500), ..MemberChanges::default() };
    call.state.directory.edit_members(call.owner, call.gid, &["ada"], &changes).expect("edited");
    assert_eq!(call.told(), (Some((Bitrate::from_kbps(500), ANY)), None));
    call.state.directory.edit_members(call.owner, call.gid, &["bob"], &changes).expect("edited");
    assert_eq!(call.told(), (None, Some((Bitrate::from_kbps(500), 8))));
}

#[test]
fn limits_of_a_pin_are_those_of_all_who_came_with_it() {
    let mut call = Call::new();
    let changes = PinChanges { limits: both(400), ..PinChanges::default() };
    call.state.directory.edit_pin(call.owner, call.gid, &call.pin, &changes).expect("edited");
    let rate = Bitrate::from_kbps(400);
    assert_eq!(call.told(), (Some((rate, ANY)), Some((rate, 8))));
}

#[test]
fn limits_of_a_token_go_with_it_and_the_strictest_holds() {
    let mut call = Call::new();
    let settings = Settings { limits: both(300), ..Settings::default() };
    call.state.directory.edit_group(call.owner, call.gid, &settings).expect("edited");
    call.told();
    let limits = |kbps| Limits { max_publish_kbps: kbps, max_subscribe_kbps: kbps, ..Limits::default() };
    let (ada, bob) = (call.ada, call.bob);
    call.state.directory.limit_token(ada, limits(900)).expect("a token");
    assert_eq!(call.told(), (None, None), "the group's are stricter");
    call.state.directory.limit_token(ada, limits(200)).expect("a token");
    assert_eq!(call.told(), (Some((Bitrate::from_kbps(200), ANY)), None));
    call.state.directory.limit_token(bob, limits(100)).expect("a token");
    assert_eq!(call.told(), (None, Some((Bitrate::from_kbps(100), 8))));
}
