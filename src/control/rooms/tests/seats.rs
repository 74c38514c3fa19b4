//! Rights that change, and memberships that end, in a running call.

use super::*;
use crate::router::command::View;
use crate::units::PictureSize;

#[test]
fn losing_publish_ends_the_stream() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let (bob, _) = house.viewer(2, &[1]);
    house.forget_all();
    house.rooms.set_seat(ann, ROOM, seat(ROOM, VIEWER));
    let heard = house.heard(ann);
    assert!(heard.contains(&Notice::Rights { gid: ROOM, rights: VIEWER, admin: Admin::NONE }));
    assert!(heard.contains(&Notice::Ended { gid: ROOM, sid: CAMERA, status: 0x4a }));
    let heard = house.heard(bob);
    assert!(heard.iter().any(|n| matches!(n, Notice::Roster { left, .. } if left.len() == 1)));
    assert!(heard.contains(&Notice::Slots { slots: vec![] }));
    assert_eq!(refused(house.publish(ann, &[ROOM], OFFER)), "NOTALLOWED");
}

#[test]
fn losing_subscribe_ends_the_views() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let (bob, session) = house.viewer(2, &[1]);
    house.forget_all();
    house.rooms.set_seat(bob, ROOM, seat(ROOM, Rights { subscribe: false, ..VIEWER }));
    assert!(house.heard(bob).contains(&Notice::Slots { slots: vec![] }));
    assert!(house.heard(ann).iter().any(|n| matches!(n, Notice::Viewer { watching: false, .. })));
    let emptied = commands(house.done());
    assert_eq!(emptied.len(), 2);
    for command in emptied {
        assert!(matches!(command, Command::Watch { session: of, track: None, .. } if of == session));
    }
    assert_eq!(refused(house.watch(bob, 1)), "NOTALLOWED");
}

#[test]
fn losing_list_stops_the_roster_and_gaining_it_brings_it_back() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let bob = house.member(2, VIEWER);
    house.pass(QUIET);
    house.forget_all();
    house.rooms.set_seat(bob, ROOM, seat(ROOM, Rights { list: false, ..VIEWER }));
    house.heard(bob);
    house.rooms.mute(ann, CAMERA, Some(true), None).expect("mutes");
    assert!(house.heard(bob).is_empty());
    house.rooms.set_seat(bob, ROOM, seat(ROOM, VIEWER));
    let heard = house.heard(bob);
    assert!(heard.iter().any(|n| matches!(n, Notice::Roster { all: true, joined, .. } if joined.len() == 1)));
    assert!(heard.iter().any(|n| matches!(n, Notice::People { all: true, joined, .. } if joined.len() == 2)));
}

#[test]
fn the_resolution_caps_what_is_sent() {
    let mut house = House::new();
    house.publisher(1);
    let (bob, _) = house.viewer(2, &[1]);
    house.forget_all();
    let vga = Membership { resolution: 2, ..membership(ROOM, VIEWER) };
    house.rooms.set_seat(bob, ROOM, Seat::new(&vga, Instant::ZERO, Duration::ZERO));
    let caps: Vec<_> = commands(house.done())
        .iter()
        .map(|command| match command {
            Command::SetView { view: View { cap, .. }, .. } => *cap,
            other => panic!("only views change: {other:?}"),
        })
        .collect();
    assert!(caps.contains(&PictureSize::new(640, 480)));
}

#[test]
fn a_membership_that_expires_removes_its_holder() {
    let mut house = House::new();
    let link = house.hello(1, None).0.link;
    let brief = Membership { expires: 1_000_010, ..membership(ROOM, Rights::ALL) };
    let seat = Seat::new(&brief, house.now, Duration::from_secs(1_000_000));
    house.rooms.join(house.now, link, ROOM, seat).expect("joins");
    house.publish(link, &[ROOM], OFFER).expect("publishes");
    house.pass(Duration::from_secs(9));
    assert!(!house.heard(link).iter().any(|n| matches!(n, Notice::Removed { .. })));
    house.pass(Duration::from_secs(2));
    let removed = Notice::Removed { gid: ROOM, reason: "EXPIRED".to_owned() };
    assert!(house.heard(link).contains(&removed));
    assert_eq!(house.rooms.counts(), (1, 0, 0));
}

#[test]
fn a_deleted_group_ends_for_all() {
    let mut house = House::new();
    house.publisher(1);
    let (bob, _) = house.viewer(2, &[1]);
    house.forget_all();
    for (link, _) in house.rooms.present(ROOM) {
        house.rooms.remove(house.now, link, ROOM, Removal::Deleted);
    }
    assert!(house.heard(bob).contains(&Notice::Removed { gid: ROOM, reason: "DELETED".to_owned() }));
    assert!(house.rooms.groups.is_empty() && house.rooms.streams.is_empty());
}
