//! What holds for every request: credentials, problems, types, sizes, repetition.

use serde_json::json;

use crate::{KEY, Server};

#[tokio::test]
async fn without_credentials_nothing_is_told() {
    let server = Server::start().await;
    for token in ["", "no", "0123456789abcdef0123456789abcdee"] {
        let got = server.get(token, "/v1/groups").await;
        assert_eq!(got.problem(401), "unauthorized");
        assert_eq!(got.headers["www-authenticate"], "Bearer realm=\"millrace\"");
    }
    let document = server.get("", "/v1/openapi.json").await.must(200);
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn who_guesses_tokens_has_to_wait() {
    let server = Server::start().await;
    for _ in 0..20 {
        server.get("no", "/v1/groups").await;
    }
    let got = server.get("no", "/v1/groups").await;
    assert_eq!(got.problem(429), "too-many-requests");
    assert_eq!(got.headers["retry-after"], "1");
    server.get(KEY, "/v1/groups").await.must(200);
}

#[tokio::test]
async fn what_is_not_there_and_what_does_nothing() {
    let server = Server::start().await;
    for path in ["/v1/", "/v1/nothing", "/v1/groups/x", "/v1/groups/1000/pins/1", "/v1/groups/4294967296"] {
        assert_eq!(server.get(KEY, path).await.problem(404), "not-found", "{path}");
    }
    let got = server.ask(KEY, "PUT", "/v1/groups/1000", json!({})).await;
    assert_eq!(got.problem(405), "method-not-allowed");
    assert_eq!(got.headers["allow"], "GET, PATCH, DELETE, HEAD, OPTIONS");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_with_its_reason() {
    let server = Server::start().await;
    let post = |kind: &'static str, body: String| {
        let request = server.client.post(server.url("/v1/groups")).bearer_auth(KEY);
        async move {
            let request = request.header("content-type", kind).body(body);
            request.send().await.expect("an answer").status().as_u16()
        }
    };
    assert_eq!(post("text/plain", "{}".to_owned()).await, 415);
    assert_eq!(post("application/merge-patch+json", "{}".to_owned()).await, 415);
    assert_eq!(post("application/json", "{".to_owned()).await, 400);
    assert_eq!(post("application/json", "[]".to_owned()).await, 422);
    assert_eq!(post("application/json", format!("{{\"name\":\"{}\"}}", "x".repeat(70_000))).await, 413);
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let server = Server::start().await;
    let group = json!({ "type": 3, "limits": { "maxVoices": "x" }, "colour": 1 });
    let got = server.ask(KEY, "POST", "/v1/groups?limit=0", group).await;
    assert_eq!(got.problem(422), "invalid");
    let errors = got.body["errors"].as_array().expect("a list");
    let places: Vec<_> = errors
        .iter()
        .map(|error| {
            error
                .get("pointer")
                .or_else(|| error.get("parameter"))
                .expect("a place")
                .as_str()
                .expect("a text")
        })
        .collect();
    assert_eq!(places, ["limit", "/name", "/type", "/limits/maxVoices", "/colour"]);
}

#[tokio::test]
async fn a_request_sent_again_with_its_key_is_carried_out_once() {
    let server = Server::start().await;
    let (_, token) = server.user("ann").await;
    let send = |key: &'static str, name: &'static str| {
        let (server, token) = (&server, &token);
        async move {
            let body = Some(json!({ "name": name }));
            server.send(token, "POST", "/v1/groups", body, &[("Idempotency-Key", key)]).await
        }
    };
    let first = send("one", "Room").await;
    let again = send("one", "Room").await;
    assert_eq!(again.headers["location"], first.headers["location"]);
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let gid = first.must(201)["gid"].clone();
    assert_eq!(again.must(201)["gid"], gid);
    assert_eq!(send("one", "Other").await.problem(409), "conflict");
    assert_ne!(send("two", "Room").await.must(201)["gid"], gid);
    assert_eq!(send("a b", "Room").await.problem(422), "invalid");
    // Another caller's key is another key.
    let (_, other) = server.user("bob").await;
    let body = Some(json!({ "name": "Room" }));
    let theirs = server.send(&other, "POST", "/v1/groups", body, &[("Idempotency-Key", "one")]).await;
    assert_ne!(theirs.must(201)["gid"], gid);
    // What failed is not remembered.
    assert_eq!(
        server
            .send(
                KEY,
                "POST",
                "/v1/groups",
                Some(json!({ "name": "R", "owner": 99 })),
                &[("Idempotency-Key", "k")]
            )
            .await
            .status,
        404
    );
    server
        .send(
            KEY,
            "POST",
            "/v1/groups",
            Some(json!({ "name": "R", "owner": 1 })),
            &[("Idempotency-Key", "k")],
        )
        .await
        .must(201);
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask() {
    let server = Server::start().await;
    let origin = [("origin", "https://app.example.org")];
    let got = server.send("", "OPTIONS", "/v1/groups", None, &origin).await;
    assert_eq!(got.headers["access-control-allow-origin"], "https://app.example.org");
    assert!(got.headers["access-control-allow-headers"].to_str().expect("a text").contains("authorization"));
    let got = server.send(KEY, "GET", "/v1/groups", None, &[("origin", "https://evil.example.org")]).await;
    assert!(!got.headers.contains_key("access-control-allow-origin"));
}
