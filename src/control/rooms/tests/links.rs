//! Signing in, losing the transport and finding it again, signing out.

use super::*;

#[test]
fn a_lost_transport_is_resumed_within_thirty_seconds_and_nobody_notices() {
    let mut house = House::new();
    house.publisher(1);
    let (attachment, welcome) = house.hello(2, None);
    house.join(attachment.link, ROOM, VIEWER);
    let ann = house.rooms.links_of_user(Uid(1)).next().expect("signed in");
    house.watch(attachment.link, 1).expect("watches");
    house.pass(QUIET);
    house.forget_all();

    house.rooms.detach(house.now, attachment, false);
    house.pass(Duration::from_secs(29));
    let (again, welcome) = house.hello(2, Some(&welcome.resume));
    assert!(welcome.resumed && again.link == attachment.link);
    assert!(house.heard(ann).is_empty());
    let heard = house.heard(again.link);
    assert!(heard.iter().any(|n| matches!(n, Notice::Roster { all: true, joined, .. } if joined.len() == 1)));
    assert!(heard.iter().any(|n| matches!(n, Notice::People { all: true, .. })));
    assert!(heard.iter().any(|n| matches!(n, Notice::Offer { rev: 1, .. })), "the offer was not answered");
    assert!(heard.iter().any(|n| matches!(n, Notice::Slots { slots } if slots.len() == 2)));

    house.pass(Duration::from_secs(60));
    assert!(house.rooms.is_current(again));
}

#[test]
fn after_thirty_seconds_it_has_left() {
    let mut house = House::new();
    let (attachment, welcome) = house.hello(1, None);
    house.join(attachment.link, ROOM, Rights::ALL);
    house.publish(attachment.link, &[ROOM], OFFER).expect("publishes");
    house.rooms.detach(house.now, attachment, false);
    house.pass(Duration::from_secs(31));
    assert_eq!(house.rooms.counts(), (0, 0, 0));
    let (_, welcome) = house.hello(1, Some(&welcome.resume));
    assert!(!welcome.resumed);
}

#[test]
fn a_clean_end_leaves_at_once() {
    let mut house = House::new();
    let (attachment, _) = house.hello(1, None);
    house.join(attachment.link, ROOM, Rights::ALL);
    house.rooms.detach(house.now, attachment, true);
    assert_eq!(house.rooms.counts(), (0, 0, 0));
}

#[test]
fn the_end_of_a_transport_that_was_replaced_means_nothing() {
    let mut house = House::new();
    let (old, welcome) = house.hello(1, None);
    let (new, _) = house.hello(1, Some(&welcome.resume));
    assert!(house.rooms.is_current(new) && !house.rooms.is_current(old));
    house.rooms.detach(house.now, old, true);
    house.pass(Duration::from_secs(60));
    assert!(house.rooms.is_current(new));
}

#[test]
fn the_same_token_elsewhere_signs_the_older_session_out() {
    let mut house = House::new();
    let old = house.publisher(1);
    let bob = house.member(2, Rights::ALL);
    house.forget_all();
    let (new, welcome) = house.hello(1, None);
    assert!(!welcome.resumed && new.link != old);
    assert_eq!(house.heard(old), [Notice::Signout {}]);
    assert!(matches!(house.done().last(), Some(Effect::Close(link)) if *link == old));
    assert!(matches!(house.heard(bob).first(), Some(Notice::Roster { left, .. }) if left.len() == 1));
}

#[test]
fn a_resume_secret_is_of_use_only_with_its_token() {
    let mut house = House::new();
    let (_, welcome) = house.hello(1, None);
    let (thief, stolen) = house.hello(2, Some(&welcome.resume));
    assert!(!stolen.resumed);
    assert_eq!(stolen.uid, Uid(2));
    assert!(house.rooms.is_current(thief));
    assert_eq!(house.rooms.counts().0, 2);
}

#[test]
fn a_dead_token_ends_its_session() {
    let mut house = House::new();
    let ann = house.publisher(1);
    house.forget_all();
    house.rooms.end_token(house.now, identity(1).token, false);
    assert_eq!(house.heard(ann), [Notice::Signout {}]);
    assert_eq!(house.rooms.counts(), (0, 0, 0));
}
