//! One stream in several groups: one session and one entry in each roster, which end one by one.

use super::*;
use crate::signal::message::Muted;

const FIVE: [Gid; 5] = [ROOM, OTHER, Gid(1002), Gid(1003), Gid(1004)];

/// Who is told of what in the rosters: groups in which streams joined, changed and left.
fn rosters(heard: &[Notice]) -> (Vec<Gid>, Vec<Gid>, Vec<Gid>) {
    let (mut came, mut other, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for notice in heard {
        if let Notice::Roster { gid, all: false, joined, changed, left } = notice {
            came.extend(joined.iter().map(|_| *gid));
            other.extend(changed.iter().map(|_| *gid));
            gone.extend(left.iter().map(|_| *gid));
        }
    }
    (came, other, gone)
}

fn sessions(done: &[Effect]) -> (usize, usize) {
    let count = |is: fn(&Effect) -> bool| done.iter().filter(|effect| is(effect)).count();
    let begun = count(|effect| matches!(effect, Effect::Shards(ToAll::AddSession(_))));
    (begun, count(|effect| matches!(effect, Effect::Shards(ToAll::RemoveSession(_)))))
}

/// Ann, who publishes in the first of [`FIVE`], and Bob, who is in all of them.
fn both(house: &mut House) -> (LinkId, LinkId) {
    let (ann, bob) = (house.member(1, Rights::ALL), house.member(2, VIEWER));
    for gid in &FIVE[1..] {
        house.join(ann, *gid, Rights::ALL);
        house.join(bob, *gid, VIEWER);
    }
    (ann, bob)
}

#[test]
fn one_session_carries_it_to_all_and_each_roster_has_it() {
    let mut house = House::new();
    let (ann, bob) = both(&mut house);
    house.forget_all();
    house.publish(ann, &FIVE, OFFER).expect("published");
    assert_eq!(sessions(&house.done()), (1, 0));
    assert_eq!(rosters(&house.heard(bob)), (FIVE.to_vec(), vec![], vec![]));
    // What is muted is muted in all of them, stream by stream.
    house.rooms.publish(house.now, ann, &stream(&[ROOM], Sid(1), OFFER)).expect("published");
    house.heard(bob);
    house.rooms.mute(ann, CAMERA, Some(true), None).expect("muted");
    assert_eq!(rosters(&house.heard(bob)), (vec![], FIVE.to_vec(), vec![]));
    let muted = |sid| house.rooms.streams.get(&StreamId { uid: Uid(1), sid }).expect("there").muted;
    assert_eq!((muted(CAMERA).audio, muted(Sid(1))), (true, Muted::default()));
}

#[test]
fn groups_come_and_go_while_the_stream_lives() {
    let mut house = House::new();
    let (ann, bob) = both(&mut house);
    house.publish(ann, &FIVE[..1], OFFER).expect("published");
    let session = house.session_of(1, CAMERA);
    house.claim(session);
    house.forget_all();
    house.rooms.share(ann, CAMERA, &FIVE[..3]).expect("shared");
    assert_eq!(rosters(&house.heard(bob)), (FIVE[1..3].to_vec(), vec![], vec![]));
    house.rooms.watch(bob, &Watch { gid: FIVE[2], ..watch(1, 640, 360) }).expect("watches there");
    house.rooms.unpublish(ann, CAMERA, Some(ROOM)).expect("taken out");
    assert_eq!(rosters(&house.heard(bob)).2, [ROOM]);
    assert_eq!(house.session_of(1, CAMERA), session);
    assert_eq!(refused(house.rooms.unpublish(ann, CAMERA, Some(ROOM))), "NOSTREAM");
    assert_eq!(sessions(&house.done()), (0, 0), "nothing is negotiated");
    // Nor where a hang-up is meant for one group.
    house.rooms.hang_up(FIVE[1], Uid(1), None);
    assert_eq!(sessions(&house.done()), (0, 0));
    let ended = Notice::Ended { gid: FIVE[1], sid: CAMERA, status: 0x40 };
    assert!(house.heard(ann).contains(&ended));
    house.rooms.unpublish(ann, CAMERA, None).expect("ended");
    assert_eq!(rosters(&house.heard(bob)).2, FIVE[1..3]);
    assert_eq!(sessions(&house.done()), (0, 1));
}

#[test]
fn rights_are_each_groups_own() {
    let mut house = House::new();
    let (ann, bob) = both(&mut house);
    house.join(ann, FIVE[4], VIEWER);
    house.publish(ann, &FIVE[..2], OFFER).expect("published");
    assert_eq!(refused(house.rooms.share(ann, CAMERA, &FIVE[2..])), "NOTALLOWED");
    assert_eq!(refused(house.rooms.share(ann, CAMERA, &[Gid(4000)])), "BADGROUP");
    assert_eq!(refused(house.rooms.share(ann, Sid(7), &FIVE[..2])), "NOSTREAM");
    house.forget_all();
    house.rooms.set_seat(ann, OTHER, seat(OTHER, VIEWER));
    assert_eq!(rosters(&house.heard(bob)).2, [OTHER], "and in no other");
    let ended = Notice::Ended { gid: OTHER, sid: CAMERA, status: 0x4a };
    assert!(house.heard(ann).contains(&ended));
    assert_eq!(sessions(&house.done()), (0, 0));
    house.rooms.set_seat(bob, ROOM, seat(ROOM, Rights::NONE));
    assert_eq!(refused(house.watch(bob, 1)), "NOTALLOWED");
}

#[test]
fn a_stream_goes_to_so_many_groups_and_no_further() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    let many: Vec<Gid> = (1000..1009).map(Gid).collect();
    many[1..].iter().for_each(|gid| house.join(ann, *gid, Rights::ALL));
    assert_eq!(refused(house.publish(ann, &many, OFFER)), "TOOMANY");
    house.publish(ann, &many[..8], OFFER).expect("published");
    assert_eq!(refused(house.rooms.share(ann, CAMERA, &many[8..])), "TOOMANY");
}
