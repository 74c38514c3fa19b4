//! Webhooks, told to a real HTTP server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace::hooks::{Settings, endpoint};
use millrace::signal::message::Secret;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::live::Person;
use crate::{KEY, Server};

const SECRET: &str = "a secret of more than enough bytes";

/// What came: the headers, and the body as it came.
struct Came {
    head: String,
    body: String,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{name} in {}", self.head))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Whether it is signed as it should be.
    fn holds(&self) -> bool {
        let signed =
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), signed.as_bytes());
        let signature = self.header("webhook-signature").strip_prefix("v1,").expect("a version");
        signature.trim_end_matches('=').replace('+', "-").replace('/', "_")
            == crate::apps::encode(tag.as_ref())
    }
}

async fn read(stream: &mut TcpStream) -> Came {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("bytes"), 0, "it ended early");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        if body.len() == length.parse::<usize>().expect("a number") {
            return Came { head: head.to_owned(), body: body.to_owned() };
        }
    }
}

/// A server that answers with these, then with 204.
async fn listen(answers: &[u16]) -> (String, mpsc::UnboundedReceiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = format!("http://{}/hooks?k=1", listener.local_addr().expect("an address"));
    let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    let (came, coming) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let request = read(&mut stream).await;
            let answer = answers.lock().expect("a lock").pop_front().unwrap_or(204);
            if came.send(request).is_err() {
                return;
            }
            let line = format!("HTTP/1.1 {answer} So\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(line.as_bytes()).await.expect("written");
        }
    });
    (address, coming)
}

#[tokio::test]
async fn what_happens_is_told_in_order_signed_and_again_until_it_is_taken() {
    let (address, mut coming) = listen(&[500, 404]).await;
    // Nobody listens at the first.
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("an address").local_addr().expect("an address");
    let endpoints = [format!("http://{dead}/"), address];
    let settings = Settings {
        endpoints: endpoints.iter().filter_map(|text| endpoint(text)).collect(),
        secret: Secret(SECRET.to_owned()),
        ca: None,
        first_pause: Some(Duration::from_millis(20)),
    };
    let server = Server::start_telling(Some(&settings)).await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let ann = Person::enter(&server, "ann", gid).await;
    ann.publish(&server, gid).await;
    let message = json!({ "text": "Hello" });
    server.ask(KEY, "POST", &format!("/v1/groups/{gid}/messages"), message).await.must(201);
    server
        .send(KEY, "DELETE", &format!("/v1/groups/{gid}/participants/{}", ann.uid), None, &[])
        .await
        .must(204);

    let mut kinds = Vec::new();
    let mut first = None;
    while kinds.last().is_none_or(|kind| kind != "end") {
        let came = coming.recv().await.expect("told");
        assert!(came.head.starts_with("POST /hooks?k=1 HTTP/1.1\r\n"), "{}", came.head);
        assert!(came.holds(), "{}", came.head);
        let body = came.json();
        assert_eq!((body["gid"].clone(), body["id"].clone()), (json!(gid), json!(came.header("webhook-id"))));
        kinds.push(body["type"].as_str().expect("a text").to_owned());
        // Three times the same: it was refused twice.
        if kinds.len() <= 3 {
            let first = first.get_or_insert_with(|| body.clone());
            assert_eq!(*first, body);
            assert_eq!(body["data"]["address"], "ann");
        }
    }
    assert_eq!(kinds, ["join", "join", "join", "publish", "message", "unpublish", "leave", "end"]);
}

/// The kinds of what came until the call was over, all of one group.
async fn until_end(coming: &mut mpsc::UnboundedReceiver<Came>, gid: u64) -> Vec<String> {
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "end") {
        let came = coming.recv().await.expect("told");
        assert!(came.holds(), "{}", came.head);
        assert_eq!(came.json()["gid"], gid);
        kinds.push(came.json()["type"].as_str().expect("a text").to_owned());
    }
    kinds
}

#[tokio::test]
async fn an_app_is_told_what_happens_in_its_own_groups_alone() {
    let (address, mut coming) = listen(&[503]).await;
    // The operator has no endpoint.
    let settings = Settings { first_pause: Some(Duration::from_millis(20)), ..Settings::default() };
    let server = Server::start_telling(Some(&settings)).await;
    let shop = server.app("shop").await;
    let short = json!({ "webhook": { "url": "ftp://example.org", "secret": "short" } });
    let got = server.ask(KEY, "PATCH", "/v1/apps/shop", short).await;
    let wrong: Vec<_> =
        got.body["errors"].as_array().expect("a list").iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(wrong, ["/webhook/url", "/webhook/secret"]);
    let hook = json!({ "webhook": { "url": address, "secret": SECRET } });
    let app = server.ask(KEY, "PATCH", "/v1/apps/shop", hook).await.must(200);
    assert_eq!(app["webhook"], json!({ "url": address }), "the secret is not shown");
    assert_eq!(server.get(&shop, "/v1/apps/shop").await.must(200), app);

    // Something happens in another app's group, and in one of its own, which is deleted in the middle of a call.
    let (_, token) = server.user("owner").await;
    Person::enter(&server, "ann", server.group(&token).await).await;
    let user = json!({ "name": "Sue", "address": "sue" });
    let sue = server.ask(&shop, "POST", "/v1/users", user).await.must(201)["uid"].clone();
    let room = json!({ "name": "Room", "owner": sue });
    let own = server.ask(&shop, "POST", "/v1/groups", room.clone()).await.must(201)["gid"]
        .as_u64()
        .expect("a number");
    Person::enter(&server, "bob", own).await;
    server.send(&shop, "DELETE", &format!("/v1/groups/{own}"), None, &[]).await.must(204);
    assert_eq!(
        until_end(&mut coming, own).await,
        ["join", "join", "leave", "end"],
        "the first was not taken"
    );

    // From now on elsewhere, then nowhere.
    let (address, mut elsewhere) = listen(&[]).await;
    let hook = json!({ "webhook": { "url": address, "secret": SECRET } });
    server.ask(KEY, "PATCH", "/v1/apps/shop", hook).await.must(200);
    let next =
        server.ask(&shop, "POST", "/v1/groups", room).await.must(201)["gid"].as_u64().expect("a number");
    let carl = Person::enter(&server, "carl", next).await;
    let out = format!("/v1/groups/{next}/participants/{}", carl.uid);
    server.send(&shop, "DELETE", &out, None, &[]).await.must(204);
    assert_eq!(until_end(&mut elsewhere, next).await, ["join", "leave", "end"]);
    let gone = server.ask(KEY, "PATCH", "/v1/apps/shop", json!({ "webhook": null })).await.must(200);
    assert_eq!(gone["webhook"], Value::Null);
    Person::enter(&server, "dora", next).await;
    assert!(coming.try_recv().is_err() && elsewhere.try_recv().is_err());
}
