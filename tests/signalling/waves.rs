//! Many at once: what is too much is told to come again, and when.

use millrace::control::ids::Sid;
use millrace::router::id::SessionId;
use millrace::signal::message::{Notice, Request, Watch};

use crate::client::Server;

#[tokio::test]
async fn who_finds_all_handshakes_taken_is_told_when_to_ask_again_and_then_served() {
    let server = Server::with_handshakes(1).await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let mut bob = server.client(&server.token("Bob").await).await;
    ann.join(server.gid, &server.pin).await.expect("joins");
    bob.join(server.gid, &server.pin).await.expect("joins");
    // Nobody carries media here, so the handshake that this begins does not end by itself.
    ann.publish(server.gid).await.expect("publishes");
    let refusal = bob.publish(server.gid).await.expect_err("one at a time");
    assert_eq!((refusal.error.as_str(), refusal.retry_ms), ("BUSY", Some(500)));

    let Notice::Roster { joined, .. } =
        bob.notice(|n| matches!(n, Notice::Roster { joined, .. } if joined.len() == 1)).await
    else {
        panic!("a roster")
    };
    let watch = Watch {
        gid: server.gid,
        uid: joined[0].uid,
        sid: Sid(0),
        audio: true,
        video: true,
        width: 640,
        height: 360,
        visible: true,
        priority: 1,
    };
    bob.ask(&Request::Watch(watch)).await.expect("watching waits for nobody");
    let Notice::Offer { rev, sdp, .. } = bob.notice(|n| matches!(n, Notice::Offer { .. })).await else {
        panic!("an offer")
    };
    let sdp = sdp.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active");
    let answer = Request::Answer { rev, sdp };
    assert_eq!(bob.ask(&answer).await.expect_err("one at a time").error, "BUSY");
    let first = SessionId { index: 0, generation: 0 };
    server.control.handshake(first, Ok(()));
    bob.ask(&answer).await.expect("the same answer, when there is room");
}

#[tokio::test]
async fn a_crowd_that_connects_at_once_is_let_in() {
    let server = Server::start().await;
    // More than may be in their handshakes without proof of their address: those that come then are asked for it first.
    let token = server.token("Ann").await;
    let mut crowd = tokio::task::JoinSet::new();
    let server = std::sync::Arc::new(server);
    for _ in 0..150 {
        let (server, token) = (server.clone(), token.clone());
        crowd.spawn(async move { server.stranger().await.hello(&token, None).await.map(|_| ()) });
    }
    while let Some(joined) = crowd.join_next().await {
        // They have one token, and sign each other out.
        if let Err(refusal) = joined.expect("connected") {
            panic!("{refusal:?}");
        }
    }
}
