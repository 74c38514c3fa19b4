//! Apps, and the tokens that they sign.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::{KEY, Server};

/// Base64url (RFC 7515 section 2).
pub(crate) fn encode(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |three: &[u8]| {
        let bits =
            three.iter().zip([16, 8, 0]).fold(0_usize, |all, (byte, at)| all | usize::from(*byte) << at);
        (0..=three.len()).map(|n| char::from(LETTERS[bits >> (18 - 6 * n) & 63])).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

fn sign(alg: &str, claims: &Value, with: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let header = json!({ "alg": alg, "typ": "JWT" });
    let signed =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = with(signed.as_bytes());
    format!("{signed}.{}", encode(&signature))
}

fn hs256(claims: &Value, secret: &str) -> String {
    sign("HS256", claims, |signed| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed).as_ref().to_vec()
    })
}

fn soon() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 600
}

#[tokio::test]
async fn who_shows_a_token_of_an_app_is_its_user_at_first_sight() {
    let server = Server::start().await;
    let app = server.ask(KEY, "POST", "/v1/apps", json!({ "appid": "shop" })).await.must(201);
    let secret = app["secret"].as_str().expect("a text").to_owned();
    assert!(server.get(KEY, "/v1/apps/shop").await.must(200).get("secret").is_none());
    assert_eq!(
        server.ask(KEY, "POST", "/v1/apps", json!({ "appid": "shop" })).await.problem(409),
        "conflict"
    );

    let owner = hs256(&json!({ "iss": "shop", "sub": "owner", "name": "Olga", "exp": soon() }), &secret);
    let group = server.ask(&owner, "POST", "/v1/groups", json!({ "name": "Room" })).await.must(201);
    let gid = group["gid"].as_u64().expect("a number");
    let found = server.get(KEY, "/v1/users?address=owner").await.must(200);
    assert_eq!(
        (found["items"][0]["name"].clone(), found["items"][0]["uid"].clone()),
        (json!("Olga"), group["owner"].clone())
    );

    // A member with the rights of the token, who has the same number the next time.
    let claims = |publish: bool| json!({ "iss": "shop", "sub": "ann", "exp": soon(), "gid": gid, "rights": { "publish": publish } });
    server.get(&hs256(&claims(false), &secret), &format!("/v1/groups/{gid}")).await.must(200);
    let members = server.get(&owner, &format!("/v1/groups/{gid}/members")).await.must(200);
    let ann = members["items"][1].clone();
    assert_eq!((ann["address"].clone(), ann["effective"]["publish"].clone()), (json!("ann"), json!(false)));
    server.get(&hs256(&claims(true), &secret), &format!("/v1/groups/{gid}")).await.must(200);
    let again = server.get(&owner, &format!("/v1/groups/{gid}/members/{}", ann["uid"])).await.must(200);
    assert_eq!(again["effective"]["publish"], true);

    // One that was ended is over, whatever it says.
    server.send(&owner, "DELETE", &format!("/v1/users/{}/tokens", group["owner"]), None, &[]).await.must(204);
    assert_eq!(server.get(&owner, "/v1/groups").await.problem(401), "unauthorized");
}

#[tokio::test]
async fn an_app_speaks_for_nobody_elses_users_and_groups() {
    let server = Server::start().await;
    let make = |appid: &'static str| {
        let server = &server;
        async move {
            let app = server.ask(KEY, "POST", "/v1/apps", json!({ "appid": appid })).await.must(201);
            app["secret"].as_str().expect("a text").to_owned()
        }
    };
    let (shop, school) = (make("shop").await, make("school").await);
    let (_, plain) = server.user("plain").await;
    let gid = server.group(&plain).await;
    let claims = |iss: &str, sub: &str| json!({ "iss": iss, "sub": sub, "exp": soon(), "gid": gid });
    server.get(&hs256(&claims("shop", "ann"), &shop), "/v1/groups").await.must(200);
    for (iss, sub, secret) in [
        ("school", "ann", &school),
        ("shop", "plain", &shop),
        ("shop", "ann", &school),
        ("nobody", "ann", &shop),
    ] {
        let token = hs256(&claims(iss, sub), secret);
        assert_eq!(server.get(&token, "/v1/groups").await.problem(401), "unauthorized", "{iss} {sub}");
    }
    // The group is none of the app's.
    let got = server.get(&hs256(&claims("shop", "ann"), &shop), &format!("/v1/groups/{gid}")).await;
    assert_eq!(got.problem(404), "not-found");
}

#[tokio::test]
async fn a_registered_public_key_verifies_and_an_unregistered_one_no_more() {
    let server = Server::start().await;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key");
    let keys = json!([encode(pair.public_key().as_ref())]);
    let app = json!({ "appid": "shop", "publicKeys": keys });
    server.ask(KEY, "POST", "/v1/apps", app).await.must(201);
    let token = |sub: &str| {
        let claims = json!({ "iss": "shop", "sub": sub, "exp": soon(), "limits": { "maxVoices": 2 } });
        sign("EdDSA", &claims, |signed| pair.sign(signed).as_ref().to_vec())
    };
    server.get(&token("ann"), "/v1/groups").await.must(200);
    let none = json!({ "publicKeys": [] });
    server.ask(KEY, "PATCH", "/v1/apps/shop", none).await.must(200);
    assert_eq!(server.get(&token("bob"), "/v1/groups").await.problem(401), "unauthorized");
    let bad = json!({ "appid": "a b", "publicKeys": ["x"] });
    let got = server.ask(KEY, "POST", "/v1/apps", bad).await;
    assert_eq!(got.body["errors"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_apps_secret_rules_its_own_users_and_groups() {
    let server = Server::start().await;
    let shop = server.app("shop").await;
    let ann =
        server.ask(&shop, "POST", "/v1/users", json!({ "name": "Ann", "address": "ann" })).await.must(201);
    assert_eq!(ann["appid"], "shop");
    let uid = ann["uid"].as_u64().expect("a number");
    let token = server.ask(&shop, "POST", &format!("/v1/users/{uid}/tokens"), json!({})).await.must(201);
    let new = json!({ "name": "Standup", "owner": uid });
    let gid = server.ask(&shop, "POST", "/v1/groups", new).await.must(201)["gid"].as_u64().expect("a number");
    let group = format!("/v1/groups/{gid}");
    server.get(token["token"].as_str().expect("a text"), &group).await.must(200);
    server.ask(&shop, "PATCH", &group, json!({ "limits": { "maxPublishKbps": 800 } })).await.must(200);
    let pins = server.get(&shop, &format!("{group}/pins")).await.must(200);
    assert_eq!(pins["items"].as_array().map(Vec::len), Some(2));

    // Whoever is there, and what is said.
    let mut bob =
        server.ask(&shop, "POST", "/v1/users", json!({ "name": "Bob", "address": "bob" })).await.must(201);
    let member = format!("{group}/members/{}", bob["uid"].take());
    server.ask(&shop, "PUT", &member, json!({ "rights": { "publish": false } })).await.must(201);
    server
        .ask(&shop, "POST", &format!("{group}/messages"), json!({ "text": "Hi", "from": uid }))
        .await
        .must(201);
    assert_eq!(server.get(&shop, &format!("{group}/participants")).await.must(200)["items"], json!([]));
    assert_eq!(server.get(&shop, "/v1/calls").await.must(200)["items"], json!([]));

    // All there is for it is its own.
    server.user("plain").await;
    let listed = |list: Value, name: &str| -> Vec<Value> {
        list["items"].as_array().expect("a list").iter().map(|item| item[name].clone()).collect()
    };
    let users = server.get(&shop, "/v1/users").await.must(200);
    assert_eq!(listed(users, "name"), ["Ann", "Bob"]);
    assert_eq!(listed(server.get(&shop, "/v1/groups").await.must(200), "gid"), [json!(gid)]);
    assert_eq!(listed(server.get(&shop, "/v1/apps").await.must(200), "appid"), ["shop"]);
    let keys = json!({ "publicKeys": [encode(&[1; 32])] });
    server.ask(&shop, "PATCH", "/v1/apps/shop", keys).await.must(200);
    server.send(&shop, "DELETE", &group, None, &[]).await.must(204);
    server.send(&shop, "DELETE", &format!("/v1/users/{uid}"), None, &[]).await.must(204);
}

#[tokio::test]
async fn an_apps_secret_reaches_nothing_of_others() {
    let server = Server::start().await;
    let (shop, school) = (server.app("shop").await, server.app("school").await);
    let user = |app: String, address: &'static str| {
        let server = &server;
        async move {
            let made = json!({ "name": address, "address": address });
            server.ask(&app, "POST", "/v1/users", made).await.must(201)["uid"].as_u64().expect("a number")
        }
    };
    let (ann, bob) = (user(shop.clone(), "ann").await, user(school.clone(), "bob").await);
    let (plain, token) = server.user("plain").await;
    let new = |name: &str, owner: u64| json!({ "name": name, "owner": owner });
    let own = server.ask(&shop, "POST", "/v1/groups", new("Own", ann)).await.must(201)["gid"].clone();
    let theirs = server.ask(&school, "POST", "/v1/groups", new("Theirs", bob)).await.must(201)["gid"].clone();
    let servers = server.group(&token).await;

    for uid in [bob, plain] {
        let path = format!("/v1/users/{uid}");
        assert_eq!(server.get(&shop, &path).await.problem(404), "not-found");
        for (method, path, body) in [
            ("PATCH", path.clone(), Some(json!({ "name": "Mine" }))),
            ("DELETE", path.clone(), None),
            ("POST", format!("{path}/tokens"), Some(json!({}))),
            ("DELETE", format!("{path}/tokens"), None),
            ("POST", "/v1/groups".to_owned(), Some(new("Room", uid))),
            ("PUT", format!("/v1/groups/{own}/members/{uid}"), Some(json!({}))),
            ("POST", format!("/v1/groups/{own}/messages"), Some(json!({ "text": "Hi", "from": uid }))),
        ] {
            let got = server.send(&shop, method, &path, body, &[]).await;
            assert_eq!(got.problem(404), "not-found", "{method} {path}");
        }
    }
    for gid in [theirs, json!(servers)] {
        let group = format!("/v1/groups/{gid}");
        for path in ["", "/pins", "/members", "/participants", "/streams", "/messages"] {
            assert_eq!(
                server.get(&shop, &format!("{group}{path}")).await.problem(404),
                "not-found",
                "{path}"
            );
        }
        let patch = json!({ "name": "Mine" });
        assert_eq!(server.ask(&shop, "PATCH", &group, patch).await.problem(404), "not-found");
        assert_eq!(server.send(&shop, "DELETE", &group, None, &[]).await.problem(404), "not-found");
    }
    assert_eq!(server.get(&shop, "/v1/apps/school").await.problem(404), "not-found");
    let nameless = server.ask(&shop, "POST", "/v1/groups", json!({ "name": "Room" })).await;
    assert_eq!(
        (nameless.problem(422), &nameless.body["errors"][0]["pointer"]),
        ("invalid", &json!("/owner"))
    );

    // What belongs to who runs the server.
    let hook = json!({ "webhook": { "url": "http://127.0.0.1:9/", "secret": "s".repeat(24) } });
    for (method, path, body) in [
        ("GET", "/v1/node", None),
        ("PATCH", "/v1/node", Some(json!({ "draining": true }))),
        ("POST", "/v1/apps", Some(json!({ "appid": "third" }))),
        ("PATCH", "/v1/apps/shop", Some(hook)),
        ("POST", "/v1/users", Some(json!({ "name": "X", "address": "x", "appid": "school" }))),
    ] {
        let got = server.send(&shop, method, path, body, &[]).await;
        assert_eq!(got.problem(403), "forbidden", "{method} {path}");
    }
    // And the secret is one of /v1 alone.
    for wrong in ["shop:", "shop:x", "nobody:x", &format!("school:{}", shop.split_once(':').expect("two").1)]
    {
        assert_eq!(server.get(wrong, "/v1/groups").await.problem(401), "unauthorized", "{wrong}");
    }
}

#[tokio::test]
async fn who_guesses_secrets_has_to_wait_and_locks_out_nobody_with_a_token() {
    let server = Server::start().await;
    let (shop, (_, token)) = (server.app("shop").await, server.user("ann").await);
    let room = [("op", "setgroup"), ("token", token.as_str()), ("name", "Room"), ("guests", "1")];
    let room = server.client.get(server.url("/api")).query(&room).send().await.expect("an answer");
    let room: Value = room.json().await.expect("JSON");
    let (gid, pin) = (room["gid"].clone(), room["pin"].clone());
    for _ in 0..20 {
        assert_eq!(server.get("shop:x", "/v1/groups").await.problem(401), "unauthorized");
    }
    assert_eq!(server.get("shop:x", "/v1/groups").await.problem(429), "too-many-requests");
    assert_eq!(server.get(&shop, "/v1/groups").await.problem(429), "too-many-requests", "also the right one");
    server.get(&token, "/v1/groups").await.must(200);
    // Pins are another matter: somebody else behind the same address still comes in.
    let come = |pin: String| {
        let (server, gid) = (&server, gid.to_string());
        async move {
            let query = [("op", "guest"), ("gid", gid.as_str()), ("pin", pin.as_str()), ("name", "Eve")];
            let got = server.client.get(server.url("/api")).query(&query).send().await.expect("an answer");
            let got: Value = got.json().await.expect("JSON");
            got.get("error")
                .or_else(|| got.get("result"))
                .expect("a result")
                .as_str()
                .expect("a text")
                .to_owned()
        }
    };
    let right = pin.as_str().expect("a text").to_owned();
    assert_eq!(come(right.clone()).await, "OK");
    // And the other way round.
    for _ in 0..20 {
        come("00000000".to_owned()).await;
    }
    assert_eq!(come(right).await, "RATELIMIT");
    let school = server.app("school").await;
    assert_eq!(server.get(&school, "/v1/groups").await.status.as_u16(), 429, "the secrets' own");
}
