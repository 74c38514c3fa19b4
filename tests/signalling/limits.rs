//! What a client may not do, and what it is told.

use millrace::control::ids::Gid;
use millrace::signal::message::{CLIENT_LINE, ClientLine, Notice, Request, Secret, ServerLine};

use crate::client::Server;

#[tokio::test]
async fn a_token_that_is_not_known_is_refused() {
    let server = Server::start().await;
    let mut stranger = server.stranger().await;
    assert_eq!(stranger.hello("0123", None).await.expect_err("refused").error, "AUTHFAIL");
    assert_eq!(stranger.end().await, None);
}

#[tokio::test]
async fn another_version_is_told_which_one_is_spoken() {
    let server = Server::start().await;
    let mut stranger = server.stranger().await;
    let token = Secret(server.token("Ann").await);
    let refusal = stranger.ask(&Request::Hello { v: 2, token, resume: None }).await.expect_err("refused");
    assert_eq!(refusal.error, "VERSION");
    assert!(refusal.text.contains("version 1"));
}

#[tokio::test]
async fn hello_comes_first() {
    let server = Server::start().await;
    let mut stranger = server.stranger().await;
    assert_eq!(stranger.join(server.gid, &server.pin).await.expect_err("refused").error, "NOHELLO");
    assert_eq!(stranger.end().await, None);
}

#[tokio::test]
async fn who_says_nothing_is_shown_out_after_five_seconds() {
    let server = Server::start().await;
    let mut silent = server.stranger().await;
    // A stream exists for the server once something was written to it.
    silent.write(b"\n").await;
    assert_eq!(silent.end().await.as_deref(), Some("NOHELLO"));
}

#[tokio::test]
async fn a_line_that_is_too_long_ends_the_session() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    ann.write(&vec![b' '; CLIENT_LINE]).await;
    assert_eq!(ann.end().await.as_deref(), Some("TOOLONG"));
}

#[tokio::test]
async fn a_line_that_is_no_object_ends_the_session_and_others_go_on() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let mut bob = server.client(&server.token("Bob").await).await;
    ann.join(server.gid, &server.pin).await.expect("joins");
    bob.join(server.gid, &server.pin).await.expect("joins");
    ann.write(b"hello?\n").await;
    assert_eq!(ann.end().await.as_deref(), Some("BADLINE"));
    bob.notice(|n| matches!(n, Notice::People { count: 1, left, .. } if left.len() == 1)).await;
}

#[tokio::test]
async fn messages_that_come_too_fast_end_the_session() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let leave = ClientLine::write(None, &Request::Leave { gid: Gid(1) });
    // 200 at once are allowed; at 50 more a second, so many cannot be within the limit.
    ann.write(&leave.repeat(2000)).await;
    assert_eq!(ann.end().await.as_deref(), Some("TOOFAST"));
}

#[tokio::test]
async fn a_message_that_is_not_understood_is_answered_and_the_session_goes_on() {
    let server = Server::start().await;
    let mut ann = server.client(&server.token("Ann").await).await;
    let cases: [(&[u8], &str); 3] = [
        (b"{\"t\":\"dance\",\"id\":71}\n", "BADOP"),
        (b"{\"t\":\"join\",\"id\":72}\n", "BADARG"),
        (b"{\"t\":\"restart\",\"id\":73}\n", "BADARG"),
    ];
    for ((line, error), id) in cases.into_iter().zip(71..) {
        ann.write(line).await;
        let Some(ServerLine::Answer { re, result: Err(refusal) }) = ann.read().await else {
            panic!("refused")
        };
        assert_eq!((re, refusal.error.as_str()), (id, error));
    }
    ann.join(server.gid, &server.pin).await.expect("joins");
}
