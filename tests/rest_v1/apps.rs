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
