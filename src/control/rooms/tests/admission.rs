//! Handshakes in flight are bounded, and who comes beyond the bound is told when to ask again.

use super::*;

/// A room with a stream in it, for so many handshakes at once beside the publisher's, which is over.
fn house(handshakes: usize) -> House {
    let mut house = House::new();
    house.publisher(1);
    let session = house.session_of(1, CAMERA);
    house.rooms.handle_handshake(session, Ok(()));
    house.rooms.config.handshakes = handshakes;
    house
}

/// A viewer with an offer: what it answers.
fn offered(house: &mut House, uid: u32) -> (LinkId, String) {
    let link = house.member(uid, VIEWER);
    house.watch(link, 1).expect("watches");
    let heard = house.heard(link);
    let sdp = heard.iter().find_map(|notice| match notice {
        Notice::Offer { sdp, .. } => Some(taken(sdp)),
        _ => None,
    });
    (link, sdp.expect("an offer"))
}

fn answer(house: &mut House, link: LinkId, sdp: &str) -> Result<(), Refusal> {
    house.rooms.answer(house.now, link, 1, sdp)
}

fn later(refused: Result<(), Refusal>) -> u64 {
    let refusal = refused.expect_err("no room");
    assert_eq!(refusal.error, "BUSY");
    u64::from(refusal.retry_ms.expect("a time"))
}

#[test]
fn the_same_answer_is_taken_when_a_handshake_has_ended() {
    let mut house = house(1);
    let (bob, sdp) = offered(&mut house, 2);
    answer(&mut house, bob, &sdp).expect("there is room");
    let (carl, sdp) = offered(&mut house, 3);
    assert_eq!(later(answer(&mut house, carl, &sdp)), 500);
    let dora = house.member(4, Rights::ALL);
    assert_eq!(refused(house.publish(dora, &[ROOM], OFFER)), "BUSY");
    let session = house.viewing(bob);
    house.rooms.handle_handshake(session, Ok(()));
    answer(&mut house, carl, &sdp).expect("there is room again");
}

#[test]
fn who_fails_leaves_or_never_comes_makes_room_once() {
    let mut house = house(1);
    let (bob, sdp) = offered(&mut house, 2);
    answer(&mut house, bob, &sdp).expect("there is room");
    let session = house.viewing(bob);
    house.rooms.bye(house.now, bob);
    house.rooms.handle_handshake(session, Err("it is gone".into()));

    let (carl, sdp) = offered(&mut house, 3);
    answer(&mut house, carl, &sdp).expect("the one before left");
    house.pass(Duration::from_secs(11));
    let (dora, sdp) = offered(&mut house, 4);
    answer(&mut house, dora, &sdp).expect("nobody waits for the one before");
    let (carls, doras) = (house.viewing(carl), house.viewing(dora));
    house.rooms.handle_handshake(carls, Ok(()));
    let (emil, sdp) = offered(&mut house, 5);
    later(answer(&mut house, emil, &sdp));
    house.rooms.handle_handshake(doras, Err("no certificate".into()));
    answer(&mut house, emil, &sdp).expect("the one before failed");
}

#[test]
fn each_of_a_crowd_gets_a_turn_of_its_own_and_nobody_waits_long() {
    let mut house = house(0);
    let (bob, sdp) = offered(&mut house, 2);
    let turns: Vec<u64> = (0..10_000).map(|_| later(answer(&mut house, bob, &sdp))).collect();
    assert!(turns.is_sorted());
    assert_eq!((turns[0], turns[1], turns[1000]), (500, 502, 2500));
    assert_eq!(turns.last(), Some(&10_000));
    house.pass(Duration::from_secs(10));
    assert_eq!(later(answer(&mut house, bob, &sdp)), 500);
}
