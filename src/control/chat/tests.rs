//! What is said reaches whom it concerns, and nobody else.

use super::*;
use crate::control::directory::{Asker, Settings, TokenId};
use crate::control::house::{HERE, House, refused};
use crate::control::rights::{ChoiceChanges, Override, Preset, Say as Says};
use crate::signal::message::{Notice, Request};

#[test]
fn the_group_reads_what_is_said_to_it_and_two_what_is_between_them() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob, eve) = (house.enter("Ann"), house.enter("Bob"), house.enter("Eve"));
    house.say(&ann, None, "to all").expect("said");
    house.say(&ann, Some(bob.uid), "between us").expect("said");
    assert_eq!(house.read(&ann), Vec::<String>::new());
    assert_eq!(house.read(&bob), ["to all", "between us"]);
    assert_eq!(house.read(&eve), ["to all"]);

    let late = house.enter("Late");
    assert_eq!(house.texts(&late, None), ["to all"]);
    assert_eq!(house.texts(&ann, None), ["to all", "between us"]);
    assert_eq!(house.texts(&bob, Some(ann.uid)), ["between us"]);
    assert_eq!(house.texts(&eve, Some(ann.uid)), Vec::<String>::new());
}

#[test]
fn what_is_said_to_one_who_is_away_waits() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    house.ask(&bob, &Request::Leave { gid: house.gid }).expect("leaves");
    house.say(&ann, Some(bob.uid), "call me").expect("said");
    house.ask(&bob, &Request::Join { gid: house.gid, pin: None }).expect("joins");
    assert_eq!(house.texts(&bob, None), ["call me"]);
    assert_eq!(refused(house.say(&ann, Some(Uid(4_000)), "who?")), "NORECEIVER");
    assert_eq!(refused(house.say(&ann, Some(ann.uid), "me?")), "NORECEIVER");
}

#[test]
fn send_and_receive_are_rights_of_their_own() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    house.change(&bob, Override { send: Says::Deny, ..Override::default() });
    assert_eq!(refused(house.say(&bob, None, "hello")), "NOTALLOWED");
    house.say(&ann, None, "you hear").expect("said");
    assert_eq!(house.read(&bob), ["you hear"]);
    house.change(&bob, Override { receive: Says::Deny, ..Override::default() });
    house.say(&ann, None, "you do not").expect("said");
    assert_eq!(refused(house.say(&ann, Some(bob.uid), "nor this")), "NORECEIVER");
    assert_eq!(house.read(&bob), Vec::<String>::new());
    assert_eq!(refused(house.page(&bob, None)), "NOTALLOWED");
    house.say(&bob, None, "but I speak").expect("said");
}

#[test]
fn messages_to_one_in_turn_go_round_those_who_are_here() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob, eve) = (house.enter("Ann"), house.enter("Bob"), house.enter("Eve"));
    let (owner, gid) = (house.owner, house.gid);
    let choices = ChoiceChanges { receive: Some(Receivers::RoundRobin), ..ChoiceChanges::default() };
    let settings = Settings { choices, ..Settings::default() };
    house.state.directory.edit_group(owner, gid, &settings).expect("chosen");
    for n in 0..3 {
        let Ok(Answer::Sent { to, .. }) = house.say(&ann, None, &n.to_string()) else { panic!("sent") };
        assert_eq!(to, Some(if n == 1 { eve.uid } else { bob.uid }));
    }
    assert_eq!(house.read(&bob), ["0", "2"]);
    assert_eq!(house.read(&eve), ["1"]);
    assert_eq!(house.texts(&eve, None), ["1"]);
    for person in [&bob, &eve] {
        house.ask(person, &Request::Leave { gid: house.gid }).expect("leaves");
    }
    assert_eq!(refused(house.say(&ann, None, "anybody?")), "NORECEIVER");
}

#[test]
fn who_said_it_learns_who_got_and_read_it() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob, eve) = (house.enter("Ann"), house.enter("Bob"), house.enter("Eve"));
    let Ok(Answer::Sent { id, .. }) = house.say(&ann, None, "hello") else { panic!("sent") };
    let beyond = MessageId(u64::MAX);
    let receipt = |delivered, read| Request::Receipt { gid: Gid(1000), delivered, read };
    house.heard(&ann);
    house.heard(&eve);
    house.ask(&bob, &receipt(beyond, MessageId(0))).expect("noted");
    house.ask(&bob, &receipt(MessageId(0), id)).expect("noted");
    house.ask(&bob, &receipt(id, MessageId(0))).expect("nothing new");
    let status = |delivered, read| {
        let mark = MarkOf { uid: bob.uid, mark: Mark { delivered, read } };
        Notice::Status { gid: Gid(1000), mark }
    };
    assert_eq!(house.heard(&ann), [status(id, MessageId(0)), status(id, id)]);
    assert_eq!(house.heard(&eve), []);
    let page = house.page(&ann, None).expect("a page");
    assert_eq!(page.marks, [MarkOf { uid: bob.uid, mark: Mark { delivered: id, read: id } }]);
    assert_eq!(house.page(&bob, None).expect("a page").read, id);
}

#[test]
fn what_is_repeated_with_its_key_is_said_once() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    let say = Say { gid: house.gid, to: None, text: "once".to_owned(), file: None, key: Some(7) };
    let first = house.ask(&ann, &Request::Message(say.clone())).expect("said");
    house.pass(1);
    assert_eq!(house.ask(&ann, &Request::Message(say)).expect("known"), first);
    assert_eq!(house.read(&bob), ["once"]);
}

#[test]
fn who_writes_too_fast_or_too_much_waits() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    let say = |text: &str| {
        Request::Message(Say { gid: Gid(1000), to: None, text: text.to_owned(), file: None, key: None })
    };
    for n in 0..10 {
        house.ask(&ann, &say(&n.to_string())).expect("said");
    }
    assert_eq!(refused(house.ask(&ann, &say("one more"))), "RATELIMIT");
    house.ask(&bob, &say("others may")).expect("said");
    house.pass(1);
    house.ask(&ann, &say("again")).expect("said");
    assert_eq!(refused(house.ask(&ann, &say(&"x".repeat(4097)))), "TOOLONG");
    assert_eq!(refused(house.ask(&ann, &say(" \n\u{7} "))), "BADARG");
}

#[test]
fn hands_stay_up_in_their_order_until_they_are_lowered_or_gone() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    for person in [&bob, &ann] {
        house.ask(person, &Request::Hand { gid: house.gid, up: true }).expect("up");
    }
    let eve = house.enter("Eve");
    let hands = house.heard(&eve).into_iter().find_map(|notice| match notice {
        Notice::Hands { all: true, raised, .. } => Some(raised),
        _ => None,
    });
    let names: Vec<_> = hands.expect("hands").into_iter().map(|hand| hand.name).collect();
    assert_eq!(names, ["Bob", "Ann"]);
    house.ask(&ann, &Request::Hand { gid: house.gid, up: false }).expect("down");
    house.ask(&bob, &Request::Leave { gid: house.gid }).expect("leaves");
    let lowered = house.heard(&eve).into_iter().filter_map(|notice| match notice {
        Notice::Hands { lowered, .. } => Some(lowered),
        _ => None,
    });
    assert_eq!(lowered.flatten().collect::<Vec<_>>(), [ann.uid, bob.uid]);
}

#[test]
fn the_crowd_of_a_webinar_is_not_told_of_hands() {
    let mut house = House::new(Preset::Webinar);
    let speaker = house.enter("Speaker");
    let (one, other) = (house.enter("One"), house.enter("Other"));
    for viewer in [&one, &other] {
        house.change(viewer, Override { publish: Says::Deny, ..Override::default() });
    }
    house.heard(&other);
    house.ask(&one, &Request::Hand { gid: house.gid, up: true }).expect("up");
    let is_hand = |notice: &Notice| matches!(notice, Notice::Hands { .. });
    assert!(house.heard(&speaker).iter().any(is_hand));
    assert!(house.heard(&one).iter().any(is_hand));
    assert!(!house.heard(&other).iter().any(is_hand));
    // Until one of them is on the stage as well.
    house.change(&other, Override { publish: Says::Allow, ..Override::default() });
    assert!(house.heard(&other).iter().any(is_hand));
}

#[test]
fn a_reaction_is_seen_by_the_others_and_kept_by_nobody() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    let react = |text: &str| Request::React { gid: Gid(1000), text: text.to_owned() };
    house.ask(&ann, &react("👏")).expect("shown");
    assert!(house.heard(&bob).iter().any(|n| matches!(n, Notice::Reaction { text, .. } if text == "👏")));
    assert!(!house.heard(&ann).iter().any(|n| matches!(n, Notice::Reaction { .. })));
    assert_eq!(refused(house.ask(&ann, &react(&"x".repeat(33)))), "BADARG");
    assert_eq!(house.texts(&bob, None), Vec::<String>::new());
}

#[test]
fn who_left_the_group_hears_and_says_nothing() {
    let mut house = House::new(Preset::Conference);
    let (ann, bob) = (house.enter("Ann"), house.enter("Bob"));
    house.state.directory.leave_group(bob.uid, house.gid).expect("left");
    house.state.settle(house.now);
    house.heard(&bob);
    house.say(&ann, None, "gone?").expect("said");
    assert_eq!(house.read(&bob), Vec::<String>::new());
    assert_eq!(refused(house.say(&bob, None, "no")), "BADGROUP");
    let asker = Asker { uid: bob.uid, token: TokenId::of("x"), from: HERE };
    assert!(house.state.directory.join_group(house.now.unix, &asker, house.gid, None).is_err());
}
