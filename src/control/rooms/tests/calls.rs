use super::*;

fn ends(house: &mut House, link: LinkId) -> Vec<Option<u64>> {
    let told = house.heard(link);
    let told = told.into_iter().filter_map(|notice| match notice {
        Notice::Ends { gid: ROOM, seconds } => Some(seconds),
        _ => None,
    });
    told.collect()
}

fn lasting(seconds: u32, expires: u64) -> Membership {
    Membership { call_duration: seconds, expires, ..membership(ROOM, Rights::ALL) }
}

#[test]
fn when_a_call_ends_is_told_once_as_it_begins_and_again_when_that_changes() {
    let mut house = House::new();
    let link = house.member(1, Rights::ALL);
    let unix = Duration::from_secs(1_000_000);
    house.rooms.set_seat(link, ROOM, Seat::new(&lasting(60, 0), house.now, unix));
    assert_eq!(ends(&mut house, link), [], "no call yet");
    house.publish(link, &[ROOM], OFFER).expect("publishes");
    house.rooms.begin_call(house.now, link, ROOM);
    house.pass(Duration::from_secs(10));
    assert_eq!(ends(&mut house, link), [Some(60)]);
    // What lets one in may end before.
    house.rooms.set_seat(link, ROOM, Seat::new(&lasting(60, 1_000_030), house.now, unix));
    house.pass(Duration::from_secs(1));
    assert_eq!(ends(&mut house, link), [Some(30)]);
    house.rooms.set_seat(link, ROOM, Seat::new(&lasting(0, 0), house.now, unix));
    house.pass(Duration::from_secs(100));
    assert_eq!(ends(&mut house, link), [None]);
    house.rooms.set_seat(link, ROOM, Seat::new(&lasting(120, 0), house.now, unix));
    house.pass(Duration::from_secs(8));
    assert_eq!(ends(&mut house, link), [Some(9)], "it counts from its beginning");
    house.pass(Duration::from_secs(2));
    assert!(house.heard(link).contains(&Notice::Removed { gid: ROOM, reason: "DURATION".to_owned() }));
}

#[test]
fn a_call_without_end_tells_nothing() {
    let mut house = House::new();
    let link = house.publisher(1);
    house.rooms.begin_call(house.now, link, ROOM);
    house.pass(Duration::from_secs(100));
    assert_eq!(ends(&mut house, link), []);
}
