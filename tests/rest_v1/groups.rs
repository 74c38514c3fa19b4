//! Groups, pins, members and users as resources.

use serde_json::{Value, json};

use crate::{KEY, Server};

#[tokio::test]
async fn a_group_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let (uid, token) = server.user("ann").await;
    let made = server
        .ask(&token, "POST", "/v1/groups", json!({ "name": "Talk", "type": 1, "limits": { "maxVoices": 4 } }))
        .await;
    assert_eq!(made.headers["location"], "/v1/groups/1000");
    let tag = made.tag().to_owned();
    let group = made.must(201);
    assert_eq!(group["owner"], uid);
    assert_eq!(group["choices"]["publish"], "selected");
    assert_eq!(group["limits"]["maxVoices"], 4);
    let read = server.get(&token, "/v1/groups/1000").await;
    assert_eq!(read.tag(), tag);
    assert_eq!(read.must(200), group);

    let patch =
        json!({ "name": "Other", "choices": { "publish": "anyone" }, "limits": { "maxVoices": null } });
    let changed = server.ask(&token, "PATCH", "/v1/groups/1000", patch).await.must(200);
    assert_eq!(changed["name"], "Other");
    assert_eq!(changed["choices"]["publish"], "anyone");
    assert_eq!(changed["choices"]["list"], "anyone", "what is not named stays");
    assert_eq!(changed["limits"]["maxVoices"], 0);

    server.send(&token, "DELETE", "/v1/groups/1000", None, &[]).await.must(204);
    assert_eq!(server.get(&token, "/v1/groups/1000").await.problem(404), "not-found");
}

#[tokio::test]
async fn of_two_who_change_the_same_the_second_is_told() {
    let server = Server::start().await;
    let (_, token) = server.user("ann").await;
    let gid = server.group(&token).await;
    let pins = server.get(&token, &format!("/v1/groups/{gid}/pins")).await.must(200);
    let pin = format!("/v1/groups/{gid}/pins/{}", pins["items"][0]["pin"].as_str().expect("a text"));
    let member = format!("/v1/groups/{gid}/members/1");
    for (path, patch) in [
        (format!("/v1/groups/{gid}"), json!({ "name": "New" })),
        (pin, json!({ "count": 3 })),
        (member, json!({ "limits": { "maxPublishKbps": 500 } })),
    ] {
        let tag = server.get(&token, &path).await.tag().to_owned();
        let send = |tag: String, patch: Value| {
            let (server, token, path) = (&server, &token, &path);
            async move { server.send(token, "PATCH", path, Some(patch), &[("if-match", &tag)]).await }
        };
        let new = send(tag.clone(), patch.clone()).await;
        let new_tag = new.tag().to_owned();
        assert_ne!(new_tag, tag);
        assert_eq!(send(tag.clone(), patch.clone()).await.problem(412), "changed");
        assert_eq!(send(format!("\"x\", {new_tag}"), patch.clone()).await.status, 200);
        assert_eq!(send("*".to_owned(), patch).await.status, 200);
        let got = server.send(&token, "DELETE", &path, None, &[("if-match", &tag)]).await;
        assert_eq!(got.problem(412), "changed");
    }
}

#[tokio::test]
async fn a_pin_is_what_is_said_of_it() {
    let server = Server::start().await;
    let (_, token) = server.user("ann").await;
    let gid = server.group(&token).await;
    let pins = format!("/v1/groups/{gid}/pins");
    let new = json!({ "rights": { "publish": false, "list": true }, "count": 2, "leave": true });
    let made = server.ask(&token, "POST", &pins, new).await;
    let path = made.headers["location"].to_str().expect("a text").to_owned();
    let pin = made.must(201);
    assert_eq!(pin["role"], "further");
    let unset = json!({ "send": null, "receive": null, "publish": false, "subscribe": null, "list": true });
    assert_eq!(pin["rights"], unset);
    let patch = json!({ "rights": { "publish": null }, "count": null });
    let changed = server.ask(&token, "PATCH", &path, patch).await.must(200);
    assert_eq!(changed["rights"]["publish"], Value::Null);
    assert_eq!(changed["rights"]["list"], true);
    assert_eq!((changed["count"].clone(), changed["leave"].clone()), (json!(0), json!(true)));

    let listed = server.get(&token, &format!("{pins}?limit=2")).await.must(200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let next = listed["next"].as_str().expect("more").to_owned();
    let rest = server.get(&token, &format!("{pins}?limit=2&cursor={next}")).await.must(200);
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["next"], Value::Null);
    server.send(&token, "DELETE", &path, None, &[]).await.must(204);
    assert_eq!(server.get(&token, &path).await.status, 404);
}

#[tokio::test]
async fn members_are_put_changed_and_ended() {
    let server = Server::start().await;
    let (_, owner) = server.user("ann").await;
    let (bob, bobs) = server.user("bob").await;
    let gid = server.group(&owner).await;
    let path = format!("/v1/groups/{gid}/members/{bob}");
    assert_eq!(server.get(&owner, &path).await.status, 404);
    assert_eq!(server.get(&bobs, &format!("/v1/groups/{gid}")).await.problem(404), "not-found");

    let said = json!({ "rights": { "publish": false }, "admin": { "pins": true } });
    let made = server.ask(&owner, "PUT", &path, said).await.must(201);
    assert_eq!(made["effective"]["publish"], false);
    assert_eq!(made["effective"]["subscribe"], true);
    let changed = server.ask(&owner, "PATCH", &path, json!({ "expires": 4_000_000_000_u64 })).await.must(200);
    assert_eq!(
        (changed["rights"]["publish"].clone(), changed["admin"]["pins"].clone()),
        (json!(false), json!(true))
    );
    let anew = server.ask(&owner, "PUT", &path, json!({})).await.must(200);
    assert_eq!((anew["effective"]["publish"].clone(), anew["expires"].clone()), (json!(true), json!(0)));

    // An admin does what the bits say, and no more.
    server.get(&bobs, &format!("/v1/groups/{gid}/pins")).await.must(200);
    let all = format!("/v1/groups/{gid}/members");
    assert_eq!(server.get(&bobs, &all).await.problem(403), "forbidden");
    assert_eq!(server.ask(&bobs, "PATCH", &path, json!({})).await.problem(403), "forbidden");
    server.get(&bobs, &path).await.must(200);

    server.send(&owner, "DELETE", &path, None, &[]).await.must(204);
    assert_eq!(server.get(&owner, &all).await.must(200)["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn users_are_the_servers_business() {
    let server = Server::start().await;
    let (ann, token) = server.user("ann").await;
    let taken = json!({ "name": "Another", "address": "ann" });
    assert_eq!(server.ask(KEY, "POST", "/v1/users", taken.clone()).await.problem(409), "conflict");
    assert_eq!(server.ask(&token, "POST", "/v1/users", taken).await.problem(403), "forbidden");
    let found = server.get(KEY, "/v1/users?address=ann").await.must(200);
    assert_eq!(found["items"][0]["uid"], ann);
    let own = format!("/v1/users/{ann}");
    assert_eq!(
        server.ask(&token, "PATCH", &own, json!({ "name": "Ann B" })).await.must(200)["name"],
        "Ann B"
    );
    let (bob, _) = server.user("bob").await;
    assert_eq!(server.get(&token, &format!("/v1/users/{bob}")).await.problem(404), "not-found");

    let gid = server.group(&token).await;
    server.send(KEY, "DELETE", &own, None, &[]).await.must(204);
    assert_eq!(server.get(&token, "/v1/groups").await.problem(401), "unauthorized");
    assert_eq!(server.get(KEY, &format!("/v1/groups/{gid}")).await.problem(404), "not-found");
}

#[tokio::test]
async fn a_server_that_drains_lets_nobody_new_in() {
    let server = Server::start().await;
    let (_, token) = server.user("ann").await;
    assert_eq!(server.get(&token, "/v1/node").await.problem(403), "forbidden");
    let node = server.get(KEY, "/v1/node").await.must(200);
    assert_eq!((node["draining"].clone(), node["counts"]["users"].clone()), (json!(false), json!(1)));
    let health =
        || async { server.client.get(server.url("/healthz")).send().await.expect("an answer").status() };
    assert_eq!(health().await, 200);
    server.ask(KEY, "PATCH", "/v1/node", json!({ "draining": true })).await.must(200);
    assert_eq!(health().await, 503);
    let hello = server.control.with(move |state, now| {
        let from = std::net::Ipv4Addr::LOCALHOST.into();
        let token = millrace::signal::message::Secret(token);
        state.hello(now, from, millrace::signal::message::VERSION, &token, None).map(|_| ())
    });
    assert_eq!(hello.await.expect("answered").expect_err("refused").error, "BUSY");
    server.ask(KEY, "PATCH", "/v1/node", json!({ "draining": false })).await.must(200);
    assert_eq!(health().await, 200);
}
