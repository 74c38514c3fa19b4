//! What limits mean for streams that are published and watched, before and while they last.

use std::sync::Arc;

use super::*;
use crate::control::limits::Codecs;
use crate::router::command::{SessionParams, TrackLimits, View};
use crate::signal::message::{Layer, Why};
use crate::units::{Bitrate, PictureSize};
use crate::wire::payload::Codec;

const ALL_CODECS: &str = include_str!("../../../../tests/fixtures/sdp/chromium-offer-default.sdp");
const VGA: PictureSize = PictureSize::new(640, 480);

fn limited(gid: Gid, limits: Limits) -> Seat {
    Seat::new(&Membership { limits, ..membership(gid, Rights::ALL) }, Instant::ZERO, Duration::ZERO)
}

impl House {
    fn limit(&mut self, link: LinkId, limits: Limits) {
        self.rooms.set_seat(link, ROOM, limited(ROOM, limits));
    }

    fn publish_as(&mut self, link: LinkId, sid: u8, sdp: &str) -> Result<Answer, Refusal> {
        self.rooms.publish(self.now, link, &stream(&[ROOM], Sid(sid), sdp))
    }

    /// What the shards were last told of a session that began.
    fn began(&mut self) -> Arc<SessionParams> {
        let params = self.done().into_iter().rev().find_map(|effect| match effect {
            Effect::Shards(ToAll::AddSession(params)) => Some(params),
            _ => None,
        });
        params.expect("a session")
    }
}

fn track_limits(done: Vec<Effect>) -> Vec<TrackLimits> {
    let limits = commands(done).into_iter().filter_map(|command| match command {
        Command::LimitTrack { limits, .. } => Some(limits),
        _ => None,
    });
    limits.collect()
}

#[test]
fn sound_and_pictures_are_limited_from_the_start_and_while_they_last() {
    let mut house = House::new();
    let ann = house.hello(1, None).0.link;
    let limits = Limits {
        max_publish_kbps: 900,
        max_resolution: 2,
        max_fps: 15,
        audio_kbps: 24,
        simulcast_layers: 2,
        ..Limits::default()
    };
    house.rooms.join(house.now, ann, ROOM, limited(ROOM, limits)).expect("joins");
    let Ok(Answer::Published { sdp, .. }) = house.publish_as(ann, 0, ALL_CODECS) else { panic!("published") };
    assert!(sdp.contains(";maxaveragebitrate=24000\r\n"), "{sdp}");
    let session = house.session_of(1, CAMERA);
    let begun = house.rooms.sessions.get(session).and_then(|s| s.params.clone()).expect("begun");
    let expected = TrackLimits {
        max_bitrate: Bitrate::from_kbps(900),
        max_size: VGA,
        max_fps: 15,
        max_layers: 2,
        ..TrackLimits::NONE
    };
    let sound = TrackLimits { max_bitrate: Bitrate::from_kbps(24), ..TrackLimits::NONE };
    for track in &begun.tracks {
        assert_eq!(track.limits, if track.kind == Kind::Video { expected } else { sound });
    }
    house.claim(session);
    house.forget_all();
    house.limit(ann, Limits { audio_kbps: 0, max_fps: 10, ..limits });
    let told = track_limits(house.done());
    assert_eq!(told, [TrackLimits::NONE, TrackLimits { max_fps: 10, ..expected }]);
    let heard = house.heard(ann);
    let said = Limits { audio_kbps: 0, max_fps: 10, ..limits }.said();
    assert_eq!(heard, [Notice::Limits { gid: ROOM, limits: said }]);
    house.limit(ann, Limits { audio_kbps: 0, max_fps: 10, ..limits });
    assert!(house.done().is_empty() && house.heard(ann).is_empty(), "nothing changed");
}

#[test]
fn codecs_are_chosen_among_those_allowed_and_dropped_when_they_are_not_any_more() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    let only = |names: &str| Limits { codecs: Codecs::parse(names).expect("names"), ..Limits::default() };
    house.limit(ann, only("h264,vp8"));
    house.publish_as(ann, 0, ALL_CODECS).expect("published");
    let began = house.began();
    let video = began.tracks.iter().find(|track| track.kind == Kind::Video).expect("video");
    let allowed = |codec: Codec| matches!(codec, Codec::Vp8 | Codec::H264 { .. });
    assert!(video.payloads.len() > 2 && video.payloads.iter().all(|p| allowed(p.codec)));
    let payloads = video.payloads.clone();
    let session = house.session_of(1, CAMERA);
    house.claim(session);
    house.forget_all();
    house.limit(ann, only("h264"));
    let [told] = track_limits(house.done())[..] else { panic!("one track") };
    for (at, payload) in payloads.iter().enumerate() {
        assert_eq!(told.payloads >> at & 1 == 1, payload.codec != Codec::Vp8);
    }
    let refusal = house.publish_as(ann, 1, OFFER).expect_err("vp8 alone");
    assert_eq!(refusal.error, "NOTALLOWED");
    assert!(refusal.text.contains("h264"), "{}", refusal.text);
    house.limit(ann, Limits::default());
    assert_eq!(track_limits(house.done()), [TrackLimits::NONE]);
}

#[test]
fn streams_beyond_their_number_are_refused_and_ended() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.limit(ann, Limits { max_streams: 2, ..Limits::default() });
    for sid in [0, 1, 1] {
        house.publish_as(ann, sid, OFFER).expect("published");
    }
    assert_eq!(refused(house.publish_as(ann, 2, OFFER)), "TOOMANY");
    // Elsewhere they do not count.
    house.join(ann, OTHER, Rights::ALL);
    let elsewhere = stream(&[OTHER], Sid(2), OFFER);
    house.rooms.publish(house.now, ann, &elsewhere).expect("published");
    house.forget_all();
    house.limit(ann, Limits { max_streams: 1, ..Limits::default() });
    let heard = house.heard(ann);
    assert!(heard.contains(&Notice::Ended { gid: ROOM, sid: Sid(1), status: 0x4a }), "{heard:?}");
    let uid = Uid(1);
    assert_eq!(house.rooms.streams_of(ROOM, uid, None), [StreamId { uid, sid: CAMERA }]);
    assert_eq!(house.rooms.streams_of(OTHER, uid, None), [StreamId { uid, sid: Sid(2) }]);
}

#[test]
fn views_beyond_their_number_are_refused_and_ended_the_hidden_first() {
    let mut house = House::new();
    for uid in 1..=4 {
        house.publisher(uid);
    }
    let (bob, _) = house.viewer(9, &[1, 2, 3]);
    let only = |max_subscriptions| Limits { max_subscriptions, ..Limits::default() };
    house.limit(bob, only(3));
    assert_eq!(refused(house.watch(bob, 4)), "TOOMANY");
    house.watch(bob, 3).expect("it is watched already");
    house.rooms.watch(bob, &Watch { visible: false, ..watch(1, 1280, 720) }).expect("watches");
    house.forget_all();
    house.limit(bob, only(2));
    let heard = house.heard(bob);
    let ended =
        |uid| Notice::Layer { gid: ROOM, uid: Uid(uid), sid: CAMERA, width: 0, height: 0, why: Why::Cap };
    assert!(heard.contains(&ended(1)) && !heard.contains(&ended(2)), "{heard:?}");
    let emptied = commands(house.done())
        .into_iter()
        .filter(|command| matches!(command, Command::Watch { track: None, .. }));
    assert_eq!(emptied.count(), 2, "its sound and its picture");
    house.limit(bob, Limits::default());
    house.watch(bob, 4).expect("watches");
}

#[test]
fn whose_priority_is_higher_counts_more_for_all_who_watch() {
    let mut house = House::new();
    let ann = house.publisher(1);
    let (_, _) = house.viewer(2, &[1]);
    house.forget_all();
    let priorities = |done| -> Vec<u8> {
        let priority = |command| match command {
            Command::SetView { view: View { priority, .. }, .. } => Some(priority),
            _ => None,
        };
        commands(done).into_iter().filter_map(priority).collect()
    };
    house.limit(ann, Limits { priority: 7, ..Limits::default() });
    assert_eq!(priorities(house.done()), [8, 8], "of sound and picture");
    house.limit(ann, Limits { priority: 255, ..Limits::default() });
    assert_eq!(priorities(house.done()), [255, 255]);
    house.limit(ann, Limits::default());
    assert_eq!(priorities(house.done()), [1, 1]);
}

#[test]
fn of_several_groups_the_strictest_limits_hold_and_as_long_as_one_is_in_them() {
    let mut house = House::new();
    let ann = house.member(1, Rights::ALL);
    house.limit(ann, Limits { max_fps: 30, ..Limits::default() });
    let strict = Limits { max_fps: 10, ..Limits::default() };
    house.rooms.join(house.now, ann, OTHER, limited(OTHER, strict)).expect("joins");
    let layers = vec![Layer { rid: "q".to_owned(), width: 320, height: 180 }];
    let both = Publish { layers, ..stream(&[ROOM, OTHER], CAMERA, OFFER) };
    house.rooms.publish(house.now, ann, &both).expect("published");
    let fps = |limits: &[TrackLimits]| limits.iter().map(|limits| limits.max_fps).collect::<Vec<_>>();
    let began = house.began();
    let video: Vec<_> = began.tracks.iter().filter(|t| t.kind == Kind::Video).map(|t| t.limits).collect();
    assert_eq!(fps(&video), [10]);
    house.claim(began.id);
    house.forget_all();
    house.rooms.unpublish(ann, CAMERA, Some(OTHER)).expect("taken out");
    assert_eq!(fps(&track_limits(house.done())), [30]);
}
