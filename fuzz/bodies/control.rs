//! The control plane under whatever its people and its owner do, in any order: the first byte is the preset of the first
//! group, then four for each operation. See `house` for what must hold.

use std::time::Duration;

use millrace::control::directory::{MemberChanges, PinChanges, PinRole, Settings};
use millrace::control::ids::{Gid, MessageId, Sid, Uid};
use millrace::control::limits::LimitChanges;
use millrace::control::rights::{Admin, Choice, ChoiceChanges, Override, Preset, Receivers, Say as Says};
use millrace::router::event::Event;
use millrace::signal::message::{
    Action, Edit, HistoryAsk, Layer, Moderate, Muted, Publish, Request, RightsEdit, Say, Secret, StreamId,
    StreamRef, Watch,
};

use super::house::{House, SHARD};

const OFFERS: [&str; 3] = [
    include_str!("../../tests/fixtures/sdp/chromium-offer-vp8-simulcast.sdp"),
    include_str!("../../tests/fixtures/sdp/chromium-offer-audio.sdp"),
    include_str!("../../tests/fixtures/sdp/firefox-offer-default.sdp"),
];
const ANSWERS: [&str; 3] = [
    include_str!("../../tests/fixtures/sdp/chromium-answer-2v3a.sdp"),
    include_str!("../../tests/fixtures/sdp/chromium-answer-4v6a.sdp"),
    "v=0\r\n",
];
const MOST_PEOPLE: usize = 6;
const MOST_GROUPS: usize = 3;
/// Operations of one input: it is slow enough.
const MOST: usize = 200;

/// One input.
pub fn run(data: &[u8]) {
    let Some((preset, operations)) = data.split_first() else { return };
    let mut house = House::new(a_preset(*preset));
    for operation in operations.chunks_exact(4).take(MOST) {
        let [what, who, whom, how] = operation else { return };
        operate(&mut house, *what, *who, *whom, *how);
    }
    house.end();
}

fn a_preset(number: u8) -> Preset {
    Preset::from_number(u32::from(number % 3)).expect("a preset")
}

fn operate(house: &mut House, what: u8, who: u8, whom: u8, how: u8) {
    let count = house.people.len();
    let (who, whom) = (usize::from(who) % count, usize::from(whom) % count);
    let gid = house.gids[usize::from(how >> 6) % house.gids.len()];
    let (uid, sid) = (house.people[whom].uid, Sid(how & 1));
    match what % 26 {
        0 if count < MOST_PEOPLE => house.add_person(),
        1 if count < MOST_PEOPLE => {
            let pin = a_pin(house, gid, how);
            house.add_guest(gid, &pin);
        }
        2 => _ = house.hello(who, how & 1 == 1),
        3 => {
            let pin = (how & 4 == 0).then(|| Secret(a_pin(house, gid, how)));
            house.ask(who, &Request::Join { gid, pin });
        }
        4 => _ = house.ask(who, &Request::Leave { gid }),
        5 => {
            let gids = if how & 8 == 0 { vec![gid] } else { house.gids.clone() };
            let layers = [("q", 320, 180), ("h", 640, 360), ("f", 1280, 720)];
            let layer = |(rid, width, height): (&str, u16, u16)| Layer { rid: rid.to_owned(), width, height };
            let publish = Publish {
                gids,
                sid,
                source: 1 + (how >> 1 & 1),
                name: None,
                sdp: OFFERS[usize::from(how >> 4) % OFFERS.len()].to_owned(),
                muted: Muted { audio: how & 2 != 0, video: how & 4 != 0 },
                layers: layers.into_iter().filter(|_| how & 4 == 0).map(layer).collect(),
            };
            house.ask(who, &Request::Publish(publish));
        }
        6 => _ = house.ask(who, &Request::Unpublish { sid, gid: (how & 2 == 0).then_some(gid) }),
        7 => _ = house.ask(who, &Request::Share { sid, gids: house.gids.clone() }),
        8 => {
            let bit = |at: u8| (how >> at & 1 == 0).then_some(how >> (at + 1) & 1 == 0);
            house.ask(who, &Request::Mute { sid, audio: bit(1), video: bit(3) });
        }
        9 => {
            let watch = Watch {
                gid,
                uid,
                sid,
                audio: how & 2 == 0,
                video: how & 4 == 0,
                width: 640,
                height: 360,
                visible: how & 8 == 0,
                priority: how >> 4 & 3,
            };
            house.ask(who, &Request::Watch(watch));
        }
        10 => _ = house.ask(who, &Request::Unwatch(StreamRef { gid, uid, sid })),
        11 => {
            let rev = house.people[who].offered.wrapping_sub(u32::from(how & 8 != 0));
            let sdp = ANSWERS[usize::from(how & 7) % ANSWERS.len()].to_owned();
            house.ask(who, &Request::Answer { rev, sdp });
        }
        12 => media(house, how),
        13 => {
            const ACTIONS: [Action; 10] = [
                Action::Mute,
                Action::Hangup,
                Action::Remove,
                Action::Lower,
                Action::Unmute,
                Action::Publish,
                Action::Stop,
                Action::Subscribe,
                Action::Fullscreen,
                Action::Leave,
            ];
            let moderate = Moderate {
                gid,
                action: ACTIONS[usize::from(how) % ACTIONS.len()],
                uids: (how & 0x20 == 0).then(|| vec![uid]),
                sid: (how & 0x10 == 0).then_some(sid),
                audio: None,
                video: None,
                stream: Some(StreamId { uid, sid }),
            };
            house.ask(who, &Request::Moderate(moderate));
        }
        14 => {
            let edit = Edit {
                gid,
                uids: vec![uid],
                rights: RightsEdit {
                    publish: Some(how & 1 == 0),
                    subscribe: (how & 2 == 0).then_some(how & 4 == 0),
                    list: (how & 8 == 0).then_some(how & 4 == 0),
                    ..RightsEdit::default()
                },
                limits: LimitChanges::default(),
                admin: (how & 0x10 == 0).then_some(if how & 0x20 == 0 { Admin::ALL } else { Admin::NONE }),
            };
            house.ask(who, &Request::Edit(edit));
        }
        15 => edit_member(house, who, whom, gid, how),
        16 => edit_group(house, who, gid, how),
        17 => edit_pins(house, who, gid, how),
        18 if house.gids.len() < MOST_GROUPS => house.add_group(a_preset(how)),
        19 if how & 0x30 == 0x30 => {
            let by = house.people[who].uid;
            let _ = house.state.directory.delete_group(by, gid);
            house.settle(None);
        }
        20 => talk(house, who, uid, gid, how),
        21 => {
            let request = match how & 3 {
                0 => Request::Hand { gid, up: how & 4 == 0 },
                1 => Request::React { gid, text: "+".to_owned() },
                2 => Request::Restart { sid: None, sdp: None, watching: true },
                _ => Request::Restart { sid: Some(sid), sdp: Some(OFFERS[0].to_owned()), watching: false },
            };
            house.ask(who, &request);
        }
        22 => {
            let to = house.gids[usize::from(how & 3) % house.gids.len()];
            // REST asks for it only where both are there.
            let there = |gid| house.state.directory.group(gid).is_some();
            if there(gid) && there(to) && gid != to && how & 8 == 0 {
                let _ = house.state.send_over(house.now, gid, uid, to);
            } else if there(gid) {
                house.state.put_out(house.now, gid, uid);
            }
            house.settle(None);
        }
        23 if how & 7 == 0 => {
            house.ask(who, &Request::Bye {});
            house.people[who].session = None;
        }
        23 => house.detach(who, how & 3 == 0),
        24 if how & 0x30 == 0x30 => {
            if let Some(session) = house.people[who].session {
                house.state.directory.logout(session.asker.token);
                house.settle(None);
            }
        }
        24 => house.compare(),
        _ => house.pass(Duration::from_millis(u64::from(how) * u64::from(how) * 2)),
    }
}

fn a_pin(house: &House, gid: Gid, how: u8) -> String {
    let Some(group) = house.state.directory.group(gid) else { return "12345678".to_owned() };
    match how & 3 {
        0 => group.pin(PinRole::Participant).to_owned(),
        1 => group.pin(PinRole::Viewer).to_owned(),
        2 => group.pins.last().map(|pin| pin.digits.clone()).unwrap_or_default(),
        _ => "12345678".to_owned(),
    }
}

/// What shards say of some session.
fn media(house: &mut House, how: u8) {
    let Some(session) = house.session(how >> 3) else { return };
    match how & 7 {
        0..4 => house.event(Event::Claimed { session, shard: SHARD }),
        4 => house.event(Event::Lost(session)),
        5 => house.event(Event::Found(session)),
        6 => {
            house.state.rooms.handle_handshake(session, Ok(()));
            house.settle(None);
        }
        _ => {
            house.state.rooms.handle_handshake(session, Err("it failed".to_owned()));
            house.settle(None);
        }
    }
}

fn edit_member(house: &mut House, who: usize, whom: usize, gid: Gid, how: u8) {
    let (by, address) = (house.people[who].uid, house.people[whom].address.clone());
    let say = |at: u8| [Says::Unset, Says::Allow, Says::Deny, Says::Unset][usize::from(how >> at & 3)];
    let unix = house.now.unix.as_secs();
    let directory = &mut house.state.directory;
    let _ = if how & 0x30 == 0x30 {
        directory.remove_members(by, gid, &[&address])
    } else {
        let said =
            Override { send: say(0), receive: say(1), publish: say(2), subscribe: say(3), list: say(4) };
        let changes = MemberChanges {
            said: Some(said),
            expires: (how & 0x30 == 0x20).then_some(unix + u64::from(how & 0xf)),
            ..MemberChanges::default()
        };
        directory.edit_members(by, gid, &[&address], &changes)
    };
    house.settle(None);
}

fn edit_group(house: &mut House, who: usize, gid: Gid, how: u8) {
    let choice = |at: u8| match how >> at & 3 {
        0 => Some(Choice::Members),
        1 => Some(Choice::Selected),
        2 => Some(Choice::Anyone),
        _ => None,
    };
    let unix = house.now.unix.as_secs();
    let settings = Settings {
        preset: (how & 7 == 7).then(|| a_preset(how >> 3)),
        choices: ChoiceChanges {
            send: choice(0),
            receive: choice(1)
                .map(|choice| if how & 0x10 == 0 { Receivers::RoundRobin } else { Receivers::All(choice) }),
            publish: choice(2),
            subscribe: choice(3),
            list: choice(4),
        },
        expires: (how & 0x1f == 0x1f).then_some(unix + u64::from(how >> 4)),
        call_duration: (how & 0x1e == 0x1e).then_some(u32::from(how & 7)),
        guests: (how & 0xc == 0xc).then_some(how & 1 == 0),
        ..Settings::default()
    };
    let _ = house.state.directory.edit_group(house.people[who].uid, gid, &settings);
    house.settle(None);
}

fn edit_pins(house: &mut House, who: usize, gid: Gid, how: u8) {
    let by = house.people[who].uid;
    let unix = house.now.unix.as_secs();
    let changes = PinChanges {
        expires: (how & 8 == 0).then_some(unix + u64::from(how & 7)),
        count: (how & 0x10 == 0).then_some(u32::from(how & 3)),
        leave: Some(how & 0x20 == 0),
        ..PinChanges::default()
    };
    let pin = a_pin(house, gid, 2);
    let directory = &mut house.state.directory;
    let _ = match how & 3 {
        0 => directory.remove_pin(by, gid, &pin),
        1 => directory.edit_pin(by, gid, &pin, &changes),
        _ => directory.add_pin(by, gid, &changes).map(drop),
    };
    house.settle(None);
}

fn talk(house: &mut House, who: usize, uid: Uid, gid: Gid, how: u8) {
    let last = house.state.directory.last_message(gid);
    let request = match how & 3 {
        0 => Request::Receipt { gid, delivered: last, read: MessageId(last.0 / 2) },
        1 => Request::History(HistoryAsk {
            gid,
            before: None,
            with: (how & 4 == 0).then_some(uid),
            count: None,
        }),
        _ => Request::Message(Say {
            gid,
            to: (how & 4 == 0).then_some(uid),
            text: "said".to_owned(),
            file: None,
            key: (how & 8 == 0).then_some(u64::from(how)),
        }),
    };
    house.ask(who, &request);
}
