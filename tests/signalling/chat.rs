//! People talk to each other over signalling.

use millrace::signal::message::{HistoryAsk, Named, Notice, Page, Request, Say, ServerLine};
use serde_json::Value;

use crate::client::Server;

#[tokio::test]
async fn what_is_said_is_got_and_read_and_found_by_who_comes_later() {
    let server = Server::start().await;
    let gid = server.gid;
    let mut ann = server.client(&server.token("Ann").await).await;
    let mut bob = server.client(&server.token("Bob").await).await;
    ann.join(gid, &server.pin).await.expect("joins");
    bob.join(gid, &server.pin).await.expect("joins");
    let say = Say { gid, to: None, text: "Good morning".to_owned(), file: None, key: Some(1) };
    let sent = ann.ask(&Request::Message(say)).await.expect("sent");
    let id = sent.get("id").and_then(Value::as_u64).expect("a number");
    let got = bob.notice(|notice| matches!(notice, Notice::Message { .. })).await;
    let Notice::Message { said, .. } = got else { panic!("a message") };
    assert_eq!((said.id.0, said.name.as_str(), said.text.as_str()), (id, "Ann", "Good morning"));
    bob.ask(&Request::Receipt { gid, delivered: said.id, read: said.id }).await.expect("noted");
    ann.notice(|n| matches!(n, Notice::Status { mark, .. } if mark.mark.read == said.id)).await;

    let mut late = server.client(&server.token("Late").await).await;
    late.join(gid, &server.spin).await.expect("joins");
    let ask = HistoryAsk { gid, before: None, with: None, count: Some(10) };
    let page = late.ask(&Request::History(ask)).await.expect("a page");
    let page: Page = ServerLine::members(page).expect("a page");
    assert_eq!((page.messages, page.more), (vec![said], false));
}

#[tokio::test]
async fn a_raised_hand_and_a_reaction_are_seen() {
    let server = Server::start().await;
    let gid = server.gid;
    let mut ann = server.client(&server.token("Ann").await).await;
    let mut bob = server.client(&server.token("Bob").await).await;
    ann.join(gid, &server.pin).await.expect("joins");
    bob.join(gid, &server.spin).await.expect("joins");
    bob.ask(&Request::Hand { gid, up: true }).await.expect("up");
    let up = |raised: &[Named]| raised.iter().any(|hand| hand.name == "Bob");
    ann.notice(|n| matches!(n, Notice::Hands { raised, .. } if up(raised))).await;
    bob.ask(&Request::React { gid, text: "🎉".to_owned() }).await.expect("shown");
    ann.notice(|n| matches!(n, Notice::Reaction { name, text, .. } if name == "Bob" && text == "🎉")).await;
    bob.ask(&Request::Leave { gid }).await.expect("leaves");
    ann.notice(|n| matches!(n, Notice::Hands { lowered, .. } if lowered.len() == 1)).await;
}
