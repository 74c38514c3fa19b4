//! Watching: wishes become slots, offers and commands.

use super::*;
use crate::router::command::View;
use crate::router::event::Why;
use crate::router::id::{LayerId, SlotId};
use crate::signal::message::{self, MediaKind};
use crate::units::PictureSize;

pub(super) fn slots(heard: &[Notice]) -> Option<Vec<(String, MediaKind, u32)>> {
    heard.iter().rev().find_map(|notice| match notice {
        Notice::Slots { slots } => {
            Some(slots.iter().map(|slot| (slot.mid.clone(), slot.kind, slot.stream.uid.0)).collect())
        }
        _ => None,
    })
}

fn offers(heard: &[Notice]) -> Vec<(u32, usize, usize)> {
    let lines = |sdp: &str, kind: &str| sdp.lines().filter(|line| line.starts_with(kind)).count();
    heard
        .iter()
        .filter_map(|notice| match notice {
            Notice::Offer { rev, sdp, .. } => Some((*rev, lines(sdp, "m=video"), lines(sdp, "m=audio"))),
            _ => None,
        })
        .collect()
}

#[test]
fn the_first_watch_brings_an_offer_and_its_slots_and_the_answer_a_session() {
    let mut house = House::new();
    house.publisher(1);
    let bob = house.member(2, VIEWER);
    house.forget_all();
    house.watch(bob, 1).expect("watches");
    assert!(house.done().is_empty());
    let heard = house.answer(bob);
    assert_eq!(offers(&heard), [(1, 2, 3)]);
    // The first audio and the first video slot share an msid.
    let expected = vec![("0".to_owned(), MediaKind::Audio, 1), ("3".to_owned(), MediaKind::Video, 1)];
    assert_eq!(slots(&heard), Some(expected));

    let done = house.done();
    let [Effect::Expect(..), Effect::Shards(ToAll::AddSession(params))] = done.as_slice() else {
        panic!("a session: {done:?}")
    };
    assert_eq!(params.slots.len(), 5);
    assert!(params.slots.iter().all(|slot| !slot.payloads.is_empty()));

    house.claim(params.id);
    let watches = commands(house.done());
    let tile = PictureSize::new(1280, 720);
    let shown = watches.iter().filter_map(|command| match command {
        Command::Watch { slot, track: Some(_), view: View { tile, active: true, .. }, .. } => {
            Some((*slot, *tile))
        }
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [(SlotId(0), PictureSize::default()), (SlotId(3), tile)]);
}

#[test]
fn a_changed_tile_costs_one_command_and_no_offer() {
    let mut house = House::new();
    house.publisher(1);
    let (bob, _) = house.viewer(2, &[1]);
    house.forget_all();
    house.rooms.watch(bob, &watch(1, 320, 180)).expect("watches");
    let [Command::SetView { slot: SlotId(3), view, .. }] = commands(house.done())[..] else {
        panic!("a view")
    };
    assert_eq!((view.tile, view.active), (PictureSize::new(320, 180), true));
    assert!(house.heard(bob).is_empty());
    // Hidden is not unheard.
    house.rooms.watch(bob, &Watch { visible: false, ..watch(1, 320, 180) }).expect("watches");
    let [Command::SetView { slot: SlotId(3), view, .. }] = commands(house.done())[..] else {
        panic!("a view")
    };
    assert!(!view.active);
}

#[test]
fn slots_double_when_they_run_out() {
    let mut house = House::new();
    for uid in 1..=3 {
        house.publisher(uid);
    }
    let (bob, session) = house.viewer(10, &[1, 2]);
    house.forget_all();
    house.watch(bob, 3).expect("watches");
    // Sound finds a slot at once, the picture waits for the answer.
    assert_eq!(commands(house.done()).len(), 1);
    assert_eq!(offers(&house.answer(bob)), [(2, 4, 3)]);
    let commands = commands(house.done());
    let [Command::AddSlots { session: of, slots }, Command::Watch { slot: SlotId(5), track: Some(_), .. }] =
        commands.as_slice()
    else {
        panic!("more slots, then what they show: {commands:?}")
    };
    assert_eq!((*of, slots.len()), (session, 2));
}

#[test]
fn many_watches_at_once_make_one_offer_at_a_time() {
    let mut house = House::new();
    for uid in 1..=9 {
        house.publisher(uid);
    }
    let bob = house.member(10, VIEWER);
    house.forget_all();
    for uid in 1..=9 {
        house.watch(bob, uid).expect("watches");
    }
    assert_eq!(offers(&house.answer(bob)), [(1, 2, 3)]);
    assert_eq!(offers(&house.answer(bob)), [(2, 16, 8)]);
    let heard = house.heard(bob);
    assert!(offers(&heard).is_empty());
    let session = house.viewing(bob);
    house.claim(session);
    let watched =
        commands(house.done()).iter().filter(|c| matches!(c, Command::Watch { track: Some(_), .. })).count();
    // Nine pictures and, of nine voices, the eight that have slots.
    assert_eq!(watched, 17);
}

#[test]
fn unwatching_frees_the_slots_for_the_next() {
    let mut house = House::new();
    for uid in 1..=3 {
        house.publisher(uid);
    }
    let (bob, _) = house.viewer(10, &[1, 2]);
    house.forget_all();
    house.rooms.unwatch(bob, key(1)).expect("unwatches");
    house.watch(bob, 3).expect("watches");
    let heard = house.heard(bob);
    assert!(offers(&heard).is_empty());
    let expected = [
        ("0", MediaKind::Audio, 3),
        ("1", MediaKind::Audio, 2),
        ("3", MediaKind::Video, 3),
        ("4", MediaKind::Video, 2),
    ];
    assert_eq!(slots(&heard), Some(expected.map(|(mid, kind, uid)| (mid.to_owned(), kind, uid)).to_vec()));
}

#[test]
fn sound_alone_leaves_the_pairs_to_those_with_a_picture() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.publish(ann, &[ROOM], SOUND).expect("publishes");
    house.publisher(2);
    let bob = house.member(10, VIEWER);
    house.watch(bob, 1).expect("watches");
    house.watch(bob, 2).expect("watches");
    let expected = [("0", MediaKind::Audio, 2), ("2", MediaKind::Audio, 1), ("3", MediaKind::Video, 2)];
    let heard = house.heard(bob);
    assert_eq!(slots(&heard), Some(expected.map(|(mid, kind, uid)| (mid.to_owned(), kind, uid)).to_vec()));
}

#[test]
fn a_replaced_stream_stays_in_its_slots_and_an_ended_one_leaves_them() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let (bob, _) = house.viewer(2, &[1]);
    house.forget_all();
    house.publish(ann, &[ROOM], OFFER).expect("replaces");
    assert_eq!(slots(&house.heard(bob)), None);
    let again = commands(house.done());
    assert!(again.iter().all(|c| matches!(c, Command::Watch { track: Some(_), .. })) && again.len() == 2);

    house.rooms.unpublish(ann, CAMERA, None).expect("ends");
    assert_eq!(slots(&house.heard(bob)), Some(vec![]));
    let emptied = commands(house.done());
    assert!(emptied.iter().all(|c| matches!(c, Command::Watch { track: None, .. })) && emptied.len() == 2);
    assert_eq!(refused(house.watch(bob, 1)), "NOSTREAM");
}

#[test]
fn the_publisher_hears_of_viewers() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let (bob, _) = house.viewer(2, &[1]);
    house.rooms.watch(bob, &watch(1, 10, 10)).expect("watches");
    house.rooms.unwatch(bob, key(1)).expect("unwatches");
    let viewers: Vec<_> = house
        .heard(ann)
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::Viewer { uid, watching, .. } => Some((uid.0, watching)),
            _ => None,
        })
        .collect();
    assert_eq!(viewers, [(2, true), (2, false)]);
}

#[test]
fn only_the_newest_offer_can_be_answered_and_only_once() {
    let mut house = House::new();
    house.publisher(1);
    let bob = house.member(2, VIEWER);
    assert_eq!(refused(house.rooms.answer(house.now, bob, 1, "v=0")), "STALE");
    house.watch(bob, 1).expect("watches");
    assert_eq!(refused(house.rooms.answer(house.now, bob, 2, "v=0")), "STALE");
    assert_eq!(refused(house.rooms.answer(house.now, bob, 1, "v=0")), "BADSDP");
    house.answer(bob);
    assert_eq!(refused(house.rooms.answer(house.now, bob, 1, "v=0")), "STALE");
}

#[test]
fn a_restart_offers_new_credentials_and_the_shards_know_them_first() {
    let mut house = House::new();
    house.publisher(1);
    let (bob, session) = house.viewer(2, &[1]);
    house.forget_all();
    house.rooms.restart_viewing(bob).expect("restarts");
    let done = house.done();
    let [Effect::Shards(ToAll::RestartIce(of, ice))] = done.as_slice() else { panic!("{done:?}") };
    assert_eq!(*of, session);
    let heard = house.answer(bob);
    let [Notice::Offer { rev: 2, sdp, fresh: false }] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(sdp.contains(&ice.ufrag));
    // The answer adds nothing.
    assert!(house.done().is_empty());
    let nobody = house.member(3, VIEWER);
    assert_eq!(refused(house.rooms.restart_viewing(nobody)), "NOSTREAM");
}

#[test]
fn a_connection_that_cannot_be_secured_is_replaced_three_times() {
    let mut house = House::new();
    house.publisher(1);
    let (bob, mut session) = house.viewer(2, &[1]);
    for rev in 2..=4 {
        house.forget_all();
        house.rooms.handle_handshake(session, Err("no".to_owned()));
        let heard = house.answer(bob);
        assert!(
            matches!(heard.as_slice(), [Notice::Offer { rev: of, fresh: true, .. }, ..] if *of == rev),
            "{heard:?}"
        );
        session = house.viewing(bob);
    }
    house.forget_all();
    house.rooms.handle_handshake(session, Err("no".to_owned()));
    assert!(offers(&house.heard(bob)).is_empty());
}

#[test]
fn a_layer_is_told_with_its_size() {
    let mut house = House::new();
    house.publisher(1);
    let (bob, session) = house.viewer(2, &[1]);
    house.forget_all();
    let layer = Some((LayerId(2), Some(PictureSize::new(1280, 720))));
    house.event(Event::SlotLayer { session, slot: SlotId(3), layer, why: Why::Tile });
    house.event(Event::SlotLayer { session, slot: SlotId(3), layer: None, why: Why::Silent });
    let told: Vec<_> = house
        .heard(bob)
        .into_iter()
        .map(|notice| match notice {
            Notice::Layer { uid, width, height, why, .. } => (uid.0, width, height, why),
            other => panic!("only layers: {other:?}"),
        })
        .collect();
    assert_eq!(told, [(1, 1280, 720, message::Why::Tile), (1, 0, 0, message::Why::Silent)]);
}

#[test]
fn what_one_may_watch_is_checked() {
    let mut house = House::new();
    house.publisher(1);
    let stranger = house.hello(2, None).0.link;
    assert_eq!(refused(house.watch(stranger, 1)), "NOTALLOWED");
    let bob = house.member(3, VIEWER);
    assert_eq!(refused(house.watch(bob, 7)), "NOSTREAM");
    // A stream is there only in the groups it was published to.
    house.join(bob, OTHER, VIEWER);
    assert_eq!(refused(house.rooms.watch(bob, &Watch { gid: OTHER, ..watch(1, 1, 1) })), "NOSTREAM");
}

#[test]
fn a_screen_counts_one_higher_when_not_all_fits() {
    let mut house = House::new();
    let alice = house.member(1, Rights::ALL);
    for (sid, source) in [(0, 1), (1, 2)] {
        let ask = Publish { source, ..stream(&[ROOM], Sid(sid), OFFER) };
        house.rooms.publish(house.now, alice, &ask).expect("publishes");
    }
    let bob = house.member(2, VIEWER);
    for sid in [0, 1] {
        house.rooms.watch(bob, &Watch { sid: Sid(sid), ..watch(1, 640, 360) }).expect("watches");
    }
    house.answer(bob);
    house.forget_all();
    let session = house.viewing(bob);
    house.claim(session);
    let shown = commands(house.done()).into_iter().filter_map(|command| match command {
        Command::Watch { slot, view, .. } if slot.0 >= 3 => Some((slot.0, view.priority)),
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [(3, 1), (4, 2)]);
}
