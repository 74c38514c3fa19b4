//! Publishing: who may, what the shards hear, and how a stream ends.

use super::*;
use crate::router::event::SessionStats;
use crate::signal::message::Layer;
use crate::units::{Bitrate, PictureSize};

fn ended(heard: &[Notice]) -> Vec<u8> {
    let status = |notice: &Notice| match notice {
        Notice::Ended { status, .. } => Some(*status),
        _ => None,
    };
    heard.iter().filter_map(status).collect()
}

#[test]
fn who_may_only_watch_cannot_publish_even_by_hand() {
    let mut house = House::new();
    let viewer = house.member(1, VIEWER);
    house.forget_all();
    assert_eq!(refused(house.publish(viewer, &[ROOM], OFFER)), "NOTALLOWED");
    assert_eq!(refused(house.publish(viewer, &[OTHER], OFFER)), "BADGROUP");
    assert_eq!(refused(house.publish(viewer, &[], OFFER)), "BADGROUP");
    // Allowed in one of two is not enough.
    house.join(viewer, OTHER, Rights::ALL);
    house.forget_all();
    assert_eq!(refused(house.publish(viewer, &[ROOM, OTHER], OFFER)), "NOTALLOWED");
    assert!(house.done().is_empty());
    assert_eq!(house.rooms.counts(), (1, 0, 0));
}

#[test]
fn a_session_description_that_cannot_be_used_leaves_nothing_behind() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    assert_eq!(refused(house.publish(ann, &[ROOM], "hello")), "BADSDP");
    assert!(house.done().is_empty());
    assert_eq!((house.rooms.counts(), house.rooms.tracks.len()), ((1, 0, 0), 0));
}

#[test]
fn the_shards_hear_of_the_session_then_of_its_tracks() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    let layers = [("q", 320, 180), ("h", 640, 360), ("f", 1280, 720)];
    let layers = layers.map(|(rid, width, height)| Layer { rid: rid.to_owned(), width, height }).to_vec();
    let ask = Publish { layers, ..stream(&[ROOM], CAMERA, OFFER) };
    let answer = house.rooms.publish(house.now, ann, &ask).expect("publishes");
    let Answer::Published { sid: CAMERA, sdp } = answer else { panic!("an answer") };
    assert!(sdp.contains("a=setup:passive") && sdp.contains("a=recvonly"));

    let done = house.done();
    let [Effect::Expect(session, fingerprints), Effect::Shards(ToAll::AddSession(params))] = done.as_slice()
    else {
        panic!("a session: {done:?}")
    };
    assert_eq!((*session, fingerprints.len()), (params.id, 1));
    assert!(sdp.contains(&format!("a=ice-ufrag:{}", params.local.ufrag)));
    let video = params.tracks.iter().find(|track| track.kind == Kind::Video).expect("a video track");
    assert_eq!(video.layers[2].size, Some(PictureSize::new(1280, 720)));

    house.claim(*session);
    let announced = house.done();
    assert_eq!(announced.len(), 2);
    assert!(announced.iter().all(|e| matches!(e, Effect::Shards(ToAll::AnnounceTrack(_, _, SHARD)))));
    // The event again changes nothing.
    house.claim(*session);
    assert!(house.done().is_empty());
}

#[test]
fn a_claim_is_seen_also_when_its_event_was_dropped() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.publish(ann, &[ROOM], OFFER).expect("publishes");
    for effect in house.done() {
        if let Effect::Shards(ToAll::AddSession(params)) = effect {
            params.claim.claim(SHARD);
        }
    }
    house.pass(Duration::from_secs(3));
    assert!(matches!(house.done().as_slice(), [Effect::Shards(ToAll::AnnounceTrack(..)), _]));
}

#[test]
fn limits_hold_from_the_start_and_follow_the_group() {
    let mut house = House::new();
    let link = house.hello(1, None).0.link;
    let limited = |kbps, resolution| Membership {
        limits: Limits { max_publish_kbps: kbps, ..Limits::default() },
        resolution,
        ..membership(ROOM, Rights::ALL)
    };
    let seat = |membership: &Membership, now| Seat::new(membership, now, Duration::ZERO);
    let strict = seat(&limited(500, 2), house.now);
    house.rooms.join(house.now, link, ROOM, strict).expect("joins");
    house.publish(link, &[ROOM], OFFER).expect("publishes");
    let began = house.done().into_iter().find_map(|effect| match effect {
        Effect::Shards(ToAll::AddSession(params)) => Some(params),
        _ => None,
    });
    let began = began.expect("a session");
    let video = began.tracks.iter().find(|track| track.kind == Kind::Video).expect("a video track");
    assert_eq!(video.limits.max_bitrate, Bitrate::from_kbps(500));
    assert_eq!(video.limits.max_size, PictureSize::new(640, 480));
    // Raised before the owner is known: it hears of it when it is.
    let raised = seat(&limited(900, 2), house.now);
    house.rooms.set_seat(link, ROOM, raised);
    house.done();
    house.claim(began.id);
    let limits = |done: Vec<Effect>| -> Vec<Bitrate> {
        let limit = |effect: &Effect| match effect {
            Effect::Shard(SHARD, Command::LimitTrack { limits, .. }) => Some(limits.max_bitrate),
            _ => None,
        };
        done.iter().filter_map(limit).collect()
    };
    assert_eq!(limits(house.done()), [Bitrate::from_kbps(900)]);
    let free = seat(&limited(0, 0), house.now);
    house.rooms.set_seat(link, ROOM, free.clone());
    assert_eq!(limits(house.done()), [Bitrate::MAX]);
    house.rooms.set_seat(link, ROOM, free);
    assert!(limits(house.done()).is_empty());
}

#[test]
fn which_layers_are_wanted_is_told_and_told_again_to_who_was_away() {
    let mut house = House::new();
    let (attachment, welcome) = house.hello(1, None);
    house.join(attachment.link, ROOM, Rights::ALL);
    house.publish(attachment.link, &[ROOM], OFFER).expect("publishes");
    let stream = StreamId { uid: Uid(1), sid: CAMERA };
    let track = house.rooms.streams[&stream].video.expect("a video track");
    house.forget_all();
    let wanted = Notice::Layers { sid: CAMERA, active: vec![true, false] };
    house.event(Event::LayersWanted { track, layers: vec![true, false] });
    assert_eq!(house.heard(attachment.link), std::slice::from_ref(&wanted));
    house.rooms.detach(house.now, attachment, false);
    let (again, _) = house.hello(1, Some(&welcome.resume));
    assert!(house.heard(again.link).contains(&wanted));
    // What a track wanted that was replaced says nothing of the one in its place.
    house.publish(again.link, &[ROOM], OFFER).expect("publishes");
    house.forget_all();
    house.event(Event::LayersWanted { track, layers: vec![true, true] });
    assert!(house.heard(again.link).is_empty());
}

#[test]
fn a_mute_reaches_the_owner_also_when_it_came_before_the_claim() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.publish(ann, &[ROOM], OFFER).expect("publishes");
    house.rooms.mute(ann, CAMERA, None, Some(true)).expect("mutes");
    assert!(commands(house.done()).is_empty());
    let session = house.session_of(1, CAMERA);
    house.claim(session);
    assert!(matches!(commands(house.done()).as_slice(), [Command::MuteTrack { muted: true, .. }]));
    house.rooms.mute(ann, CAMERA, None, Some(false)).expect("unmutes");
    assert!(matches!(commands(house.done()).as_slice(), [Command::MuteTrack { muted: false, .. }]));
}

#[test]
fn a_stream_whose_client_never_comes_ends_after_thirty_seconds() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.publish(ann, &[ROOM], OFFER).expect("publishes");
    house.pass(Duration::from_secs(29));
    assert!(ended(&house.heard(ann)).is_empty());
    house.pass(Duration::from_secs(4));
    assert_eq!(ended(&house.heard(ann)), [0x40]);
    assert_eq!(house.rooms.counts(), (1, 0, 0));
}

#[test]
fn a_lost_publisher_has_thirty_seconds_to_be_found() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let session = house.session_of(1, CAMERA);
    house.event(Event::Lost(session));
    house.pass(Duration::from_secs(29));
    house.event(Event::Found(session));
    house.pass(Duration::from_secs(60));
    assert!(ended(&house.heard(ann)).is_empty());

    house.event(Event::Lost(session));
    house.pass(Duration::from_secs(31));
    assert_eq!(ended(&house.heard(ann)), [0x40]);
}

#[test]
fn a_handshake_that_fails_ends_the_stream() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let session = house.session_of(1, CAMERA);
    house.forget_all();
    house.rooms.handle_handshake(session, Err("no".to_owned()));
    assert_eq!(ended(&house.heard(ann)), [0x40]);
    let done = house.done();
    assert!(done.iter().any(|e| matches!(e, Effect::Shards(ToAll::RemoveSession(id)) if *id == session)));
    assert!(done.iter().any(|e| matches!(e, Effect::Forget(id) if *id == session)));
}

#[test]
fn streams_are_bounded_and_each_user_has_their_own() {
    let mut house = House::new();
    let (ann, bob) = (house.member(1, Rights::ALL), house.member(2, Rights::ALL));
    for sid in 0..8 {
        house.rooms.publish(house.now, ann, &stream(&[ROOM], Sid(sid), SOUND)).expect("publishes");
    }
    let ninth = house.rooms.publish(house.now, ann, &stream(&[ROOM], Sid(8), SOUND));
    assert_eq!(refused(ninth), "TOOMANY");
    house.publish(bob, &[ROOM], SOUND).expect("publishes");
    assert_eq!(refused(house.rooms.mute(bob, Sid(3), Some(true), None)), "NOSTREAM");
    assert_eq!(refused(house.rooms.unpublish(bob, Sid(3), None)), "NOSTREAM");
}

#[test]
fn a_restart_gives_new_credentials_to_client_and_shards_alike() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let session = house.session_of(1, CAMERA);
    house.forget_all();
    let Ok(Answer::Restarted { sdp }) = house.rooms.restart_stream(ann, CAMERA, OFFER) else {
        panic!("restarts")
    };
    let done = house.done();
    let [Effect::Shards(ToAll::RestartIce(restarted, ice))] = done.as_slice() else { panic!("{done:?}") };
    assert_eq!(*restarted, session);
    assert!(sdp.contains(&ice.ufrag) && sdp.contains(&ice.pwd));
    assert_eq!(refused(house.rooms.restart_stream(ann, Sid(5), OFFER)), "NOSTREAM");
}

#[test]
fn the_publisher_hears_how_its_connection_does() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let session = house.session_of(1, CAMERA);
    house.forget_all();
    let stats = SessionStats { rtt: Some(Duration::from_millis(20)), ..SessionStats::default() };
    for _ in 0..5 {
        house.event(Event::Stats { session, stats });
    }
    assert_eq!(
        house.heard(ann),
        [Notice::Quality { sid: Some(CAMERA), watching: false, rtt_ms: 20, loss_percent: 0, level: 4 }]
    );
}
