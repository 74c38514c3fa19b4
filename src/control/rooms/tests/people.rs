//! Who is told of whom: people, roster and talking.

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

#[test]
fn a_joiner_hears_of_all_and_the_others_of_the_joiner() {
    let mut house = House::new();
    let first = house.member(1, Rights::ALL);
    assert_eq!(people(&house.heard(first)), [(1, true, vec![1], vec![])]);
    let second = house.member(2, Rights::ALL);
    assert_eq!(people(&house.heard(second)), [(2, true, vec![1, 2], vec![])]);
    assert_eq!(people(&house.heard(first)), [(2, false, vec![2], vec![])]);
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
    let webinar = |rights| {
        let membership = Membership { preset: Preset::Webinar, ..membership(ROOM, rights) };
        Seat::new(&membership, Instant::ZERO, Duration::ZERO)
    };
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
