//! Who is told of whom: people, roster and talking.

use std::collections::BTreeSet;

use super::*;
use crate::router::id::TrackId;
use crate::router::speakers::{Activity, Talker};
use crate::signal::message::{Muted, Stream};

/// Whether it is all, and who joined, changed and left.
type Roster = (bool, Vec<u32>, Vec<u32>, Vec<u32>);

fn rosters(heard: &[Notice]) -> Vec<Roster> {
    let uids = |streams: &[Stream]| streams.iter().map(|stream| stream.uid.0).collect();
    heard
        .iter()
        .filter_map(|notice| match notice {
            Notice::Roster { all, joined, changed, left, .. } => {
                Some((*all, uids(joined), uids(changed), left.iter().map(|stream| stream.uid.0).collect()))
            }
            _ => None,
        })
        .collect()
}

fn people(heard: &[Notice]) -> Vec<(u32, bool, Vec<u32>, Vec<u32>)> {
    heard
        .iter()
        .filter_map(|notice| match notice {
            Notice::People { count, all, joined, left, .. } => {
                let joined = joined.iter().map(|person| person.uid.0).collect();
                Some((*count, *all, joined, left.iter().map(|uid| uid.0).collect()))
            }
            _ => None,
        })
        .collect()
}

/// A membership of a group where viewers are counted.
fn webinar(rights: Rights) -> Seat {
    let membership = Membership { preset: Preset::Webinar, ..membership(ROOM, rights) };
    Seat::new(&membership, Instant::ZERO, Duration::ZERO)
}

/// Who is in the room for a client that follows what it is told.
fn known(told: &[(u32, bool, Vec<u32>, Vec<u32>)]) -> BTreeSet<u32> {
    told.iter().fold(BTreeSet::new(), |mut known, (_, all, joined, left)| {
        if *all {
            known.clear();
        }
        known.extend(joined);
        left.iter().for_each(|uid| _ = known.remove(uid));
        known
    })
}

#[test]
fn a_joiner_hears_of_all_and_the_others_of_the_joiner() {
    let mut house = House::new();
    let first = house.member(1, Rights::ALL);
    assert_eq!(people(&house.heard(first)), [(1, true, vec![1], vec![])]);
    house.pass(QUIET);
    let second = house.member(2, Rights::ALL);
    assert_eq!(people(&house.heard(second)), [(2, true, vec![1, 2], vec![])]);
    assert_eq!(people(&house.heard(first)), [(2, false, vec![2], vec![])]);
    house.pass(QUIET);
    house.rooms.leave(house.now, second, ROOM);
    assert_eq!(people(&house.heard(first)), [(1, false, vec![], vec![2])]);
    assert!(house.heard(second).is_empty());
}

#[test]
fn the_roster_follows_publishing_and_leaves_oneself_out() {
    let mut house = House::new();
    let (ann, bob) = (house.member(1, Rights::ALL), house.member(2, Rights::ALL));
    house.forget_all();
    house.publish(ann, &[ROOM], OFFER).expect("publishes");
    assert_eq!(rosters(&house.heard(bob)), [(false, vec![1], vec![], vec![])]);
    assert_eq!(rosters(&house.heard(ann)), []);

    let late = house.member(3, Rights::ALL);
    assert_eq!(rosters(&house.heard(late)), [(true, vec![1], vec![], vec![])]);

    house.rooms.unpublish(ann, CAMERA, None).expect("ends");
    assert_eq!(rosters(&house.heard(bob)), [(false, vec![], vec![], vec![1])]);
    assert_eq!(house.rooms.counts(), (3, 0, 0));
}

#[test]
fn an_explicit_leave_empties_the_roster_at_once() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let bob = house.member(2, Rights::ALL);
    house.forget_all();
    house.rooms.bye(house.now, ann);
    assert_eq!(rosters(&house.heard(bob)), [(false, vec![], vec![], vec![1])]);
}

#[test]
fn a_mute_is_seen_by_the_others() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let bob = house.member(2, Rights::ALL);
    house.forget_all();
    house.rooms.mute(ann, CAMERA, Some(true), None).expect("mutes");
    let heard = house.heard(bob);
    let [Notice::Roster { changed, .. }] = heard.as_slice() else { panic!("one roster: {heard:?}") };
    assert_eq!(changed[0].muted, Muted { audio: true, video: false });
    house.rooms.mute(ann, CAMERA, Some(true), None).expect("is muted already");
    assert!(house.heard(bob).is_empty());
}

#[test]
fn the_same_stream_shows_in_several_groups_over_one_session() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.join(ann, OTHER, Rights::ALL);
    let (here, there) = (house.member(2, Rights::ALL), house.hello(3, None).0.link);
    house.join(there, OTHER, Rights::ALL);
    house.forget_all();
    house.publish(ann, &[ROOM, OTHER], OFFER).expect("publishes");
    assert_eq!(rosters(&house.heard(here)).len(), 1);
    assert_eq!(rosters(&house.heard(there)).len(), 1);
    assert_eq!(house.rooms.counts().2, 1);

    house.rooms.unpublish(ann, CAMERA, Some(ROOM)).expect("leaves one");
    assert_eq!(rosters(&house.heard(here)), [(false, vec![], vec![], vec![1])]);
    assert_eq!(rosters(&house.heard(there)), []);
    assert_eq!(house.rooms.counts().2, 1);
    house.rooms.leave(house.now, ann, OTHER);
    assert_eq!(house.rooms.counts(), (3, 0, 0));
}

#[test]
fn publishing_again_changes_the_entry_and_does_not_add_one() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let bob = house.member(2, Rights::ALL);
    house.forget_all();
    house.publish(ann, &[ROOM], SOUND).expect("replaces");
    let heard = house.heard(bob);
    let [Notice::Roster { changed, joined, .. }] = heard.as_slice() else { panic!("one roster: {heard:?}") };
    assert!(joined.is_empty() && changed.len() == 1);
    assert!(changed[0].audio && !changed[0].video);
    assert_eq!(house.rooms.counts(), (2, 1, 1));
}

#[test]
fn who_may_not_list_sees_no_roster_and_no_names() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let blind = house.member(2, Rights { list: false, ..Rights::ALL });
    let heard = house.heard(blind);
    assert_eq!(rosters(&heard), [(true, vec![], vec![], vec![])]);
    assert!(people(&heard).iter().all(|told| *told == (2, false, vec![], vec![])));
    house.publish(ann, &[ROOM], OFFER).expect("replaces");
    assert!(house.heard(blind).is_empty());
    house.pass(Duration::from_secs(2));
    house.forget_all();
    house.member(3, Rights::ALL);
    assert_eq!(people(&house.heard(blind)), [(3, false, vec![], vec![])]);
}

#[test]
fn a_webinar_counts_its_people_at_most_once_a_second() {
    let mut house = House::new();
    let speaker = house.hello(1, None).0.link;
    house.rooms.join(house.now, speaker, ROOM, webinar(Rights::ALL)).expect("joins");
    house.forget_all();
    for uid in 2..102 {
        house.pass(Duration::from_millis(40));
        let viewer = house.hello(uid, None).0.link;
        house.rooms.join(house.now, viewer, ROOM, webinar(VIEWER)).expect("joins");
    }
    house.pass(Duration::from_secs(2));
    let told = people(&house.heard(speaker));
    assert!(told.len() <= 6, "{told:?}");
    assert_eq!(told.last(), Some(&(101, false, vec![], vec![])));
}

#[test]
fn a_crowd_that_comes_and_goes_costs_who_is_there_a_few_notices_and_everyone_ends_up_knowing_who_is_there() {
    let mut house = House::new();
    let mut links: BTreeMap<u32, LinkId> = BTreeMap::new();
    for uid in 1..=50 {
        links.insert(uid, house.member(uid, VIEWER));
    }
    house.pass(Duration::from_secs(1));
    let mut told: BTreeMap<u32, Vec<_>> =
        links.iter().map(|(uid, link)| (*uid, people(&house.heard(*link)))).collect();
    let before = told[&1].len();
    // 150 a second, of whom most leave after 200 ms.
    for uid in 51..=350 {
        house.pass(Duration::from_micros(6667));
        links.insert(uid, house.member(uid, VIEWER));
        if uid % 10 != 0
            && let Some(link) = links.remove(&(uid - 30))
        {
            house.rooms.bye(house.now, link);
            told.remove(&(uid - 30));
        }
    }
    house.pass(Duration::from_secs(1));
    for (uid, link) in &links {
        told.entry(*uid).or_default().extend(people(&house.heard(*link)));
    }
    let here: BTreeSet<u32> = links.keys().copied().collect();
    let others = |uid: u32| here.iter().copied().filter(move |other| *other != uid).collect::<BTreeSet<_>>();
    for (uid, told) in &told {
        let mut known = known(told);
        known.remove(uid);
        assert_eq!(known, others(*uid), "as {uid} has it");
        assert_eq!(told.last().map(|told| told.0), u32::try_from(here.len()).ok());
    }
    // Two seconds at 2 ms for each of some 80.
    assert!(told[&1].len() - before < 30, "{} notices", told[&1].len() - before);
}

#[test]
fn who_came_and_left_unseen_is_not_worth_a_word() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    let bob = house.member(2, Rights::ALL);
    house.forget_all();
    house.rooms.bye(house.now, bob);
    house.pass(QUIET);
    let told = people(&house.heard(ann));
    assert_eq!(told, [(1, false, vec![], vec![])]);
}

/// What somebody's whole visit makes the rooms do when so many viewers are there, all of it within a second of the
/// visits of others.
fn visit(viewers: u32) -> usize {
    let mut house = House::new();
    let ann = house.hello(1, None).0.link;
    house.rooms.join(house.now, ann, ROOM, webinar(Rights::ALL)).expect("joins");
    house.publish(ann, &[ROOM], OFFER).expect("publishes");
    let session = house.session_of(1, CAMERA);
    house.claim(session);
    for uid in 2..viewers + 2 {
        let link = house.hello(uid, None).0.link;
        house.rooms.join(house.now, link, ROOM, webinar(VIEWER)).expect("joins");
        house.watch(link, 1).expect("watches");
    }
    house.pass(Duration::from_secs(10));
    // Its coming is told, and opens the pause in which the visit falls that counts.
    let first = house.hello(viewers + 2, None).0.link;
    house.rooms.join(house.now, first, ROOM, webinar(VIEWER)).expect("joins");
    house.forget_all();
    let link = house.hello(viewers + 3, None).0.link;
    house.rooms.join(house.now, link, ROOM, webinar(VIEWER)).expect("joins");
    house.watch(link, 1).expect("watches");
    let offered = house.answer(link).len();
    let session = house.viewing(link);
    house.claim(session);
    house.rooms.handle_handshake(session, Ok(()));
    house.rooms.bye(house.now, link);
    let done = house.done().len();
    offered + done + house.told.values().map(Vec::len).sum::<usize>()
}

#[test]
fn a_visit_makes_as_much_work_among_a_thousand_as_among_a_hundred() {
    let work = visit(100);
    assert!(work < 25, "{work}");
    assert_eq!(visit(1000), work);
}

#[test]
fn a_group_is_told_of_who_comes_by_at_most_500_notices_a_second_however_many_are_there() {
    for viewers in [100, 1000] {
        let mut house = House::new();
        for uid in 0..viewers {
            let link = house.hello(uid, None).0.link;
            house.rooms.join(house.now, link, ROOM, webinar(VIEWER)).expect("joins");
        }
        house.pass(Duration::from_secs(10));
        house.forget_all();
        for uid in viewers..viewers + 1500 {
            house.pass(Duration::from_micros(6667));
            let link = house.hello(uid, None).0.link;
            house.rooms.join(house.now, link, ROOM, webinar(VIEWER)).expect("joins");
            house.rooms.bye(house.now, link);
        }
        house.settle();
        let told: usize = house.told.values().map(Vec::len).sum();
        // 10 s, and for each visitor its own roster and count.
        assert!(told <= 500 * 11 + 2 * 1500, "{viewers}: {told}");
    }
}

#[test]
fn talking_is_told_when_it_changes_and_only_where_it_is() {
    let mut house = House::new();
    house.publisher(1);
    house.publisher(2);
    let listener = house.member(3, VIEWER);
    let elsewhere = house.hello(4, None).0.link;
    house.join(elsewhere, OTHER, Rights::ALL);
    house.forget_all();
    let audio = |house: &House, uid| -> TrackId {
        let stream = StreamId { uid: Uid(uid), sid: CAMERA };
        house.rooms.streams[&stream].audio.expect("sound")
    };
    let (one, two) = (audio(&house, 1), audio(&house, 2));
    let talking = |heard: Vec<Notice>| -> Vec<Vec<u32>> {
        heard
            .iter()
            .map(|notice| match notice {
                Notice::Talking { streams, .. } => streams.iter().map(|stream| stream.uid.0).collect(),
                other => panic!("only talking: {other:?}"),
            })
            .collect()
    };
    let talks = |track| Talker { track, activity: Activity { short: 8, medium: 10, long: 5 } };
    house.event(Event::Talking(vec![talks(two), talks(one)]));
    assert_eq!(talking(house.heard(listener)), [[2, 1]]);
    house.event(Event::Talking(vec![talks(two), talks(one)]));
    assert!(house.heard(listener).is_empty());
    // Another shard has its own list: who leads goes on leading.
    house.rooms.handle_event(house.now, ShardId(0), Event::Talking(vec![]));
    assert!(house.heard(listener).is_empty());
    house.event(Event::Talking(vec![talks(one)]));
    house.rooms.handle_event(house.now, ShardId(0), Event::Talking(vec![talks(two)]));
    assert_eq!(talking(house.heard(listener)), [vec![1], vec![1, 2]]);
    house.event(Event::Talking(vec![]));
    house.event(Event::Talking(vec![talks(one)]));
    assert_eq!(talking(house.heard(listener)), [vec![2], vec![2, 1]]);
    house.rooms.handle_event(house.now, ShardId(0), Event::Talking(vec![]));
    assert_eq!(talking(house.heard(listener)), [[1]]);
    // Until somebody on another shard clearly talks more.
    house.rooms.handle_event(house.now, ShardId(0), Event::Talking(vec![talks(two)]));
    assert_eq!(talking(house.heard(listener)), [[1, 2]]);
    let much = Talker { track: two, activity: Activity { short: 12, medium: 20, long: 10 } };
    house.rooms.handle_event(house.now, ShardId(0), Event::Talking(vec![much]));
    assert_eq!(talking(house.heard(listener)), [[2, 1]]);
    house.rooms.handle_event(house.now, ShardId(0), Event::Talking(vec![]));
    house.event(Event::Talking(vec![]));
    assert_eq!(talking(house.heard(listener)), [vec![1], vec![]]);
    assert!(house.heard(elsewhere).is_empty());
}
