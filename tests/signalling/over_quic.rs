//! The native client's way: raw QUIC.

use millrace::control::ids::Sid;
use millrace::signal::message::{Joined, Notice, Request, Secret, ServerLine, StreamRef, Watch};
use serde_json::Value;

use crate::client::Server;

fn joined(notice: &Notice) -> bool {
    matches!(notice, Notice::Roster { all: false, joined, .. } if joined.len() == 1)
}

fn left(notice: &Notice) -> bool {
    matches!(notice, Notice::Roster { left, .. } if left.len() == 1)
}

#[tokio::test]
async fn two_clients_meet_in_a_room_and_a_leave_empties_the_roster() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let mut bob = server.client(&server.token("Bob").await).await;
    let answer = ann.join(server.gid, &server.pin).await.expect("joins");
    let answer: Joined = ServerLine::members(answer).expect("an answer to join");
    assert_eq!((answer.gid, answer.name.as_str(), answer.people), (server.gid, "Room", 1));
    assert!(answer.rights.publish && answer.rights.list);
    bob.join(server.gid, &server.pin).await.expect("joins");
    ann.notice(|n| matches!(n, Notice::People { joined, all: false, .. } if joined[0].name == "Bob")).await;

    let answer = ann.publish(server.gid).await.expect("publishes");
    assert!(answer.get("sdp").and_then(Value::as_str).is_some_and(|sdp| sdp.starts_with("v=0")));
    let Notice::Roster { joined: streams, .. } = bob.notice(joined).await else { panic!("a roster") };
    assert_eq!(streams[0].name, "Ann");
    assert!(streams[0].audio || streams[0].video);

    let watch = Watch {
        gid: server.gid,
        uid: streams[0].uid,
        sid: Sid(0),
        audio: true,
        video: true,
        width: 640,
        height: 360,
        visible: true,
        priority: 1,
    };
    bob.ask(&Request::Watch(watch)).await.expect("watches");
    bob.notice(|n| matches!(n, Notice::Offer { rev: 1, sdp, .. } if sdp.contains("m=video"))).await;
    bob.notice(|n| matches!(n, Notice::Slots { slots } if !slots.is_empty())).await;
    ann.notice(|n| matches!(n, Notice::Viewer { watching: true, name, .. } if name == "Bob")).await;

    ann.ask(&Request::Leave { gid: server.gid }).await.expect("leaves");
    bob.notice(left).await;
    bob.notice(|n| matches!(n, Notice::Slots { slots } if slots.is_empty())).await;
    let watched = StreamRef { gid: server.gid, uid: streams[0].uid, sid: Sid(0) };
    bob.ask(&Request::Unwatch(watched)).await.expect("nothing is left to unwatch, and that is no error");
}

#[tokio::test]
async fn a_wrong_pin_and_an_unknown_room_are_refused_alike() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let wrong = ann.join(server.gid, "00000000").await.expect_err("refused");
    let unknown = ann.join(millrace::control::ids::Gid(4_000_000), "00000000").await.expect_err("refused");
    assert_eq!(wrong.error, "BADGROUP");
    assert_eq!(wrong, unknown);
    for _ in 0..20 {
        ann.join(server.gid, "00000000").await.expect_err("refused");
    }
    assert_eq!(ann.join(server.gid, &server.pin).await.expect_err("must wait").error, "RATELIMIT");
}

#[tokio::test]
async fn the_holder_of_a_viewers_pin_cannot_publish() {
    let server = Server::start().await;
    let mut viewer = server.client(&server.token("Viewer").await).await;
    let answer = viewer.join(server.gid, &server.spin).await.expect("joins");
    let answer: Joined = ServerLine::members(answer).expect("an answer to join");
    assert!(!answer.rights.publish && answer.rights.subscribe);
    assert_eq!(viewer.publish(server.gid).await.expect_err("refused").error, "NOTALLOWED");
}

#[tokio::test]
async fn a_lost_stream_is_resumed_and_the_others_see_nothing() {
    let server = Server::start().await;
    let token = server.token("Ann").await;
    let mut ann = server.stranger().await;
    let welcome = ann.hello(&token, None).await.expect("welcome");
    ann.join(server.gid, &server.pin).await.expect("joins");
    ann.publish(server.gid).await.expect("publishes");
    let mut bob = server.client(&server.token("Bob").await).await;
    bob.join(server.gid, &server.pin).await.expect("joins");
    bob.notice(|n| matches!(n, Notice::Roster { all: true, joined, .. } if joined.len() == 1)).await;

    ann.end_stream().await;
    let mut ann = server.stranger().await;
    let again = ann.hello(&token, Some(&welcome.resume)).await.expect("welcome");
    assert!(again.resumed && again.resume == welcome.resume);
    ann.notice(|n| matches!(n, Notice::People { all: true, count: 2, .. })).await;
    ann.ask(&Request::Mute { sid: Sid(0), audio: Some(true), video: None })
        .await
        .expect("it is still published");
    bob.notice(|n| matches!(n, Notice::Roster { changed, .. } if changed[0].muted.audio)).await;
    assert!(!bob.heard().iter().any(left), "{:?}", bob.heard());

    // Closed on purpose it leaves at once.
    ann.connection.close(0u32.into(), b"");
    bob.notice(left).await;
}

#[tokio::test]
async fn an_unknown_resume_begins_anew() {
    let server = Server::start().await;
    let mut ann = server.stranger().await;
    let unknown = Secret("0123456789abcdef0123456789abcdef".to_owned());
    let welcome = ann.hello(&server.token("Ann").await, Some(&unknown)).await.expect("welcome");
    assert!(!welcome.resumed && welcome.resume != unknown);
}

#[tokio::test]
async fn signing_in_elsewhere_signs_the_older_session_out() {
    let server = Server::start().await;
    let token = server.token("Ann").await;
    let mut old = server.client(&token).await;
    let mut new = server.client(&token).await;
    old.notice(|n| matches!(n, Notice::Signout {})).await;
    assert_eq!(old.end().await, None);
    new.join(server.gid, &server.pin).await.expect("the newer one goes on");
}

#[tokio::test]
async fn a_logout_ends_the_session() {
    let server = Server::start().await;
    let token = server.token("Ann").await;
    let mut ann = server.client(&token).await;
    server
        .control
        .with(move |state, _| state.directory.logout(millrace::control::directory::TokenId::of(&token)))
        .await
        .expect("answered");
    ann.notice(|n| matches!(n, Notice::Signout {})).await;
    assert_eq!(ann.end().await, None);
}

#[tokio::test]
async fn bye_ends_the_session_everywhere() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let mut bob = server.client(&server.token("Bob").await).await;
    ann.join(server.gid, &server.pin).await.expect("joins");
    bob.join(server.gid, &server.pin).await.expect("joins");
    bob.ask(&Request::Bye {}).await.expect("goes");
    assert_eq!(bob.end().await, None);
    ann.notice(|n| matches!(n, Notice::People { left, count: 1, .. } if left.len() == 1)).await;
}

#[tokio::test]
async fn a_panic_on_the_actor_ends_its_request_and_nothing_else() {
    let server = Server::start().await;
    let failed = server.control.with(|_, _| -> u8 { panic!("a bug") }).await;
    assert_eq!(failed, Err(millrace::control::Unavailable::Failed));
    let mut ann = server.client(&server.token("Ann").await).await;
    ann.join(server.gid, &server.pin).await.expect("joins");
}
