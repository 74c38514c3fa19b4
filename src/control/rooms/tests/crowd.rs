//! More voices than are heard at once: the crowd, what the viewer learns of it, and how many voices there may be.

use super::watching::slots;
use super::*;
use crate::router::id::SlotId;
use crate::signal::message::{self, MediaKind};

/// What was told of sound, in order.
fn sounds(heard: &[Notice]) -> Vec<(u32, message::Why)> {
    let told = heard.iter().filter_map(|notice| match notice {
        Notice::Sound { streams } => Some(streams.iter().map(|sound| (sound.stream.uid.0, sound.why))),
        _ => None,
    });
    told.flatten().collect()
}

fn sound(house: &House, uid: u32) -> TrackId {
    house.rooms.streams[&StreamId { uid: Uid(uid), sid: CAMERA }].audio.expect("sound")
}

/// How many voices the shard was told to send, last.
fn voices(done: Vec<Effect>) -> Option<u8> {
    commands(done).into_iter().rev().find_map(|command| match command {
        Command::LimitSession { max_voices, .. } => Some(max_voices),
        _ => None,
    })
}

/// What the crowd of a viewer gained and lost.
fn crowded(done: Vec<Effect>) -> (Vec<TrackId>, Vec<TrackId>) {
    let crowd = commands(done).into_iter().filter_map(|command| match command {
        Command::Crowd { track, on, .. } => Some((track, on)),
        _ => None,
    });
    let (on, off): (Vec<_>, Vec<_>) = crowd.partition(|(_, on)| *on);
    let tracks = |list: Vec<(TrackId, bool)>| list.into_iter().map(|(track, _)| track).collect();
    (tracks(on), tracks(off))
}

#[test]
fn eight_voices_have_slots_and_the_others_wait_for_their_turn() {
    let mut house = House::new();
    let people: Vec<u32> = (1..=12).collect();
    people.iter().for_each(|uid| _ = house.publisher(*uid));
    let (bob, session) = house.viewer(20, &people);
    let told = sounds(&house.answer(bob));
    let (waiting, gone) = crowded(house.done());
    let peer = house.rooms.links.get(bob).and_then(|l| l.viewing.peer.as_ref()).expect("a connection");
    assert_eq!((peer.count(Kind::Audio), peer.crowd.len()), (8, 4));
    let carried: Vec<_> = slots(&[Notice::Slots { slots: peer.map() }]).expect("a map");
    let hears = |uid| carried.iter().any(|(_, kind, u)| *kind == MediaKind::Audio && *u == uid);
    let outside: Vec<u32> = people.iter().copied().filter(|uid| !hears(*uid)).collect();
    assert_eq!((waiting, gone), (outside.iter().map(|uid| sound(&house, *uid)).collect(), vec![]));
    let unheard: Vec<_> = outside.iter().map(|uid| (*uid, message::Why::Loudness)).collect();
    assert_eq!(told, unheard);

    // One of them talks: the shard gave it the first slot.
    house.forget_all();
    let slot = SlotId(0);
    let (track, out) = (sound(&house, outside[0]), sound(&house, 1));
    house.event(Event::SlotTrack { session, slot, track: Some(track), out });
    let heard = house.heard(bob);
    let expected = [(outside[0], message::Why::Source), (1, message::Why::Loudness)];
    assert_eq!(sounds(&heard), expected);
    let heard = slots(&heard).expect("a map");
    assert!(heard.contains(&("0".to_owned(), MediaKind::Audio, outside[0])), "{heard:?}");
    assert_eq!(heard.iter().filter(|(_, kind, _)| *kind == MediaKind::Audio).count(), 8);
    assert_eq!(commands(house.done()).len(), 0, "the shard knows");

    // Whoever made room is watched no more, and another of the crowd neither.
    house.rooms.unwatch(bob, key(1)).expect("no more");
    house.rooms.unwatch(bob, key(outside[1])).expect("no more");
    let (on, off) = crowded(house.done());
    assert_eq!((on.len(), off), (0, vec![sound(&house, 1), sound(&house, outside[1])]));
}

#[test]
fn a_voice_sent_out_for_no_other_is_told_and_its_slot_stays_free() {
    let mut house = House::new();
    house.rooms.config.voices = 2;
    (1..=3).for_each(|uid| _ = house.publisher(uid));
    let (bob, session) = house.viewer(20, &[1, 2, 3]);
    assert_eq!(sounds(&house.answer(bob)), [(3, message::Why::Loudness)]);
    assert_eq!(voices(house.done()), Some(2));
    house.forget_all();
    // Fewer may be heard, says the shard.
    house.rooms.config.voices = 1;
    house.event(Event::SlotTrack { session, slot: SlotId(1), track: None, out: sound(&house, 2) });
    let heard = house.heard(bob);
    assert_eq!(sounds(&heard), [(2, message::Why::Loudness)]);
    let audible = slots(&heard).expect("a map").into_iter().filter(|(_, kind, _)| *kind == MediaKind::Audio);
    assert_eq!(audible.map(|(_, _, uid)| uid).collect::<Vec<_>>(), [1]);
    assert_eq!(voices(house.done()), Some(1));
    // More may be: the free slots are filled again.
    house.rooms.config.voices = 8;
    house.rooms.watch(bob, &watch(1, 320, 180)).expect("watches");
    let heard = house.heard(bob);
    assert_eq!(sounds(&heard), [(2, message::Why::Source), (3, message::Why::Source)]);
}

#[test]
fn news_of_a_slot_that_was_given_away_meanwhile_leave_everyone_where_the_shard_has_them() {
    let mut house = House::new();
    house.rooms.config.voices = 2;
    (1..=4).for_each(|uid| _ = house.publisher(uid));
    let (bob, session) = house.viewer(20, &[1, 2, 3, 4]);
    house.answer(bob);
    // The first is watched no more, and its slot is the third's; the shard had just given it to the fourth.
    house.rooms.unwatch(bob, key(1)).expect("no more");
    house.forget_all();
    let (track, out) = (sound(&house, 4), sound(&house, 1));
    house.event(Event::SlotTrack { session, slot: SlotId(0), track: Some(track), out });
    assert_eq!(slots(&house.heard(bob)), None);
    assert_eq!(crowded(house.done()), (vec![track], vec![out]));
}

#[test]
fn a_session_that_is_taken_up_again_learns_what_is_not_heard() {
    let mut house = House::new();
    house.rooms.config.voices = 1;
    (1..=3).for_each(|uid| _ = house.publisher(uid));
    let (_, welcome) = house.hello(20, None);
    let bob = house.hello(20, Some(&welcome.resume)).0.link;
    house.join(bob, ROOM, VIEWER);
    (1..=3).for_each(|uid| house.watch(bob, uid).expect("watches"));
    house.answer(bob);
    let session = house.viewing(bob);
    house.claim(session);
    house.forget_all();
    house.hello(20, Some(&welcome.resume));
    assert_eq!(sounds(&house.heard(bob)), [(2, message::Why::Loudness), (3, message::Why::Loudness)]);
}
