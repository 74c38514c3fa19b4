//! WHIP and WHEP over the real HTTP server, control plane and store: what is asked for, refused, patched and ended. That
//! media flows is shown with `millrace-load` (its `whip` tests) and with clients of other makes (the scripts beside this).

#[path = "../common/control_plane.rs"]
mod control_plane;
mod ending;
mod ice;
mod player;
mod watching;

use std::net::SocketAddr;

use millrace::control::Control;
use millrace::control::directory::{FileRules, PinRole, Settings};
use millrace::control::ids::{Gid, Sid, Uid};
use millrace::control::rights::Preset;
use millrace::http::{Http, Serving, Site, Uploads, V1};
use millrace::mail::Mail;
use millrace::signal::message::Secret;
use millrace::signal::webtransport::Origins;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

const ORIGIN: &str = "https://app.example.org";
const OFFER: &str = include_str!("../fixtures/sdp/chromium-offer-vp8-simulcast.sdp");
const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A viewer's offer.
fn wish() -> String {
    include_str!("../fixtures/sdp/chromium-offer-default.sdp").replace("a=sendonly", "a=recvonly")
}

struct Server {
    control: Control,
    serving: Serving,
    client: Client,
    gid: Gid,
    owner: Uid,
    token: String,
    pin: String,
    spin: String,
    _data: tempfile::TempDir,
}

impl Server {
    /// With a conference that guests may enter.
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (control, _actor) = control_plane::start(data.path(), 100);
        let http = Http::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).await.expect("an address");
        let serving = http.start(Site {
            uploads: Uploads::open(data.path(), FileRules::default()).expect("a folder"),
            control: control.clone(),
            signal: vec![SocketAddr::from(([127, 0, 0, 1], 4433))],
            hashes: Box::new(Vec::new),
            healthy: Box::new(|| true),
            origins: Origins::new(vec![ORIGIN.to_owned()]),
            v1: V1::new(&Secret("k".repeat(32)), Box::new(Default::default)),
            mail: Mail::Off,
        });
        let made = control.with(|state, _| {
            let owner = state.directory.mint_token("Owner", Some("owner")).expect("a token");
            let settings = Settings {
                name: Some("Room".to_owned()),
                preset: Some(Preset::Conference),
                guests: Some(true),
                ..Settings::default()
            };
            let gid = state.directory.create_group(owner.uid, &settings).expect("a group").gid;
            let group = state.directory.group(gid).expect("it");
            let pins = [PinRole::Participant, PinRole::Viewer].map(|role| group.pin(role).to_owned());
            (owner, gid, pins)
        });
        let (owner, gid, [pin, spin]) = made.await.expect("answered");
        let client = Client::builder().no_proxy().build().expect("a client");
        let (token, owner) = (owner.token, owner.uid);
        Self { control, serving, client, gid, owner, token, pin, spin, _data: data }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.serving.address()))
    }

    async fn post(&self, path: &str, bearer: &str, sdp: impl Into<String>) -> Response {
        let asked = self.ask(Method::POST, path).bearer_auth(bearer).header("content-type", SDP);
        asked.body(sdp.into()).send().await.expect("an answer")
    }

    async fn publish(&self, bearer: &str) -> Response {
        self.post(&format!("/whip/{}", self.gid), bearer, OFFER).await
    }

    /// Publishes, and tells where the session is and its ETag.
    async fn published(&self, bearer: &str) -> (String, String) {
        session(&self.publish(bearer).await)
    }

    async fn delete(&self, path: &str, bearer: &str) -> StatusCode {
        let asked = self.ask(Method::DELETE, path).bearer_auth(bearer);
        asked.send().await.expect("an answer").status()
    }

    /// How many links, streams and media sessions there are.
    async fn counts(&self) -> (usize, usize, usize) {
        self.control.with(|state, _| state.rooms.counts()).await.expect("answered")
    }

    /// Whether a user publishes something under this number.
    async fn has(&self, uid: Uid, sid: u8) -> bool {
        // The lowest that is free lies above those that are not.
        self.control.with(move |state, _| state.rooms.free_sid(uid) > Sid(sid)).await.expect("answered")
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("a text"))
}

fn session(response: &Response) -> (String, String) {
    assert_eq!(response.status(), StatusCode::CREATED);
    (header(response, "location").to_owned(), header(response, "etag").to_owned())
}

#[tokio::test]
async fn an_offer_is_answered_and_its_session_lasts_until_it_is_deleted() {
    let server = Server::start().await;
    let made = server.publish(&server.token).await;
    assert_eq!(header(&made, "content-type"), SDP);
    assert_eq!(header(&made, "accept-patch"), FRAGMENT);
    let (location, tag) = session(&made);
    assert!(location.starts_with("/whip/session/") && location.len() > 40, "{location}");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");
    let answer = made.text().await.expect("an answer");
    assert!(answer.contains("a=simulcast:recv ") && answer.contains("a=ice-lite"), "{answer}");
    assert!(answer.contains(&format!("a=ice-ufrag:{}\r\n", tag.trim_matches('"'))), "{answer}");
    assert_eq!(server.counts().await, (1, 1, 1));
    assert!(server.has(server.owner, 0).await);

    assert_eq!(server.delete(&location, &server.pin).await, StatusCode::FORBIDDEN);
    let nobody = server.ask(Method::DELETE, &location).send().await.expect("an answer");
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.counts().await, (1, 1, 1));
    assert_eq!(server.delete(&location, &server.token).await, StatusCode::OK);
    assert_eq!(server.counts().await, (0, 0, 0));
    assert_eq!(server.delete(&location, &server.token).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn each_is_a_stream_of_its_own_and_a_signalling_session_goes_on_beside_them() {
    let server = Server::start().await;
    let token = Secret(server.token.clone());
    let hello = server.control.with(move |state, now| {
        let from = SocketAddr::from(([127, 0, 0, 1], 0)).ip();
        state.hello(now, from, millrace::signal::message::VERSION, &token, None).is_ok()
    });
    assert!(hello.await.expect("answered"));
    let (first, _) = server.published(&server.token).await;
    server.published(&server.token).await;
    assert_eq!(server.counts().await, (3, 2, 2));
    assert!(server.has(server.owner, 1).await);
    server.delete(&first, &server.token).await;
    assert_eq!(server.counts().await, (2, 1, 1));
    // Under a number that is taken it comes in the place of what was there.
    let (again, _) =
        session(&server.post(&format!("/whip/{}?sid=1", server.gid), &server.token, OFFER).await);
    assert_eq!(server.counts().await, (2, 1, 1));
    assert_eq!(server.delete(&again, &server.token).await, StatusCode::OK);
    assert_eq!(server.counts().await, (1, 0, 0));
}

#[tokio::test]
async fn a_pin_makes_a_guest_who_goes_with_the_session() {
    let server = Server::start().await;
    let (location, _) =
        session(&server.post(&format!("/whip/{}?name=Camera%20two", server.gid), &server.pin, OFFER).await);
    let gid = server.gid;
    let guest = server.control.with(move |state, _| {
        let [(_, uid)] = state.rooms.present(gid)[..] else { panic!("one is there") };
        (uid, state.directory.user(uid).map(|user| user.name.clone()))
    });
    let (guest, name) = guest.await.expect("answered");
    assert_eq!(name.as_deref(), Some("Camera two"));
    assert_eq!(server.delete(&location, &server.pin).await, StatusCode::OK);
    let gone = server.control.with(move |state, _| state.directory.user(guest).is_none());
    assert!(gone.await.expect("answered"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_status_and_leaves_nothing() {
    let server = Server::start().await;
    let here = format!("/whip/{}", server.gid);
    let (token, spin) = (server.token.as_str(), server.spin.as_str());
    let long = format!("{OFFER}{}", "a=x\r\n".repeat(20_000));
    for (path, bearer, sdp, status) in [
        (here.as_str(), token, "no SDP", 400),
        (&here, token, wish().as_str(), 400),
        (&here, token, long.as_str(), 413),
        (&here, spin, OFFER, 403),
        ("/whip/4000000000", token, OFFER, 404),
        ("/whip/everywhere", token, OFFER, 404),
        ("/whep/1/2/3/4", token, OFFER, 404),
        (&format!("{here}?sid=999"), token, OFFER, 400),
    ] {
        let refused = server.post(path, bearer, sdp).await;
        assert_eq!(refused.status().as_u16(), status, "{path}");
        assert_eq!(header(&refused, "content-type"), "application/problem+json");
        let problem: Value = refused.json().await.expect("JSON");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
    }
    let wrong = server.ask(Method::POST, &here).bearer_auth(token).header("content-type", "text/plain");
    let wrong = wrong.body(OFFER).send().await.expect("an answer");
    assert_eq!((wrong.status().as_u16(), header(&wrong, "accept-post")), (415, SDP));
    let read = server.ask(Method::GET, &here).send().await.expect("an answer");
    assert_eq!((read.status().as_u16(), header(&read, "allow")), (405, "POST, OPTIONS"));
    let nobody = server.ask(Method::POST, &here).header("content-type", SDP).body(OFFER).send().await;
    let nobody = nobody.expect("an answer");
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert!(header(&nobody, "www-authenticate").starts_with("Bearer"));
    assert_eq!(server.counts().await, (0, 0, 0));
    let gid = server.gid;
    let present = server.control.with(move |state, _| state.rooms.present(gid).len());
    assert_eq!(present.await.expect("answered"), 0);
}

#[tokio::test]
async fn a_wrong_pin_and_an_unknown_group_are_the_same_and_guesses_are_counted() {
    let server = Server::start().await;
    let mut told = Vec::new();
    for gid in [server.gid, Gid(4_000_000)] {
        let refused = server.post(&format!("/whip/{gid}"), "00000000", OFFER).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        told.push(refused.text().await.expect("a text"));
    }
    assert_eq!(told[0], told[1]);
    let mut last = StatusCode::UNAUTHORIZED;
    for _ in 0..30 {
        let refused = server.publish("00000001").await;
        last = refused.status();
        if last == StatusCode::TOO_MANY_REQUESTS {
            assert!(header(&refused, "retry-after").parse::<u32>().is_ok());
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    // Who has a token is not held to what others guess.
    server.published(&server.token).await;
}

#[tokio::test]
async fn pages_of_listed_origins_may_use_it() {
    let server = Server::start().await;
    let preflight = server
        .ask(Method::OPTIONS, &format!("/whip/{}", server.gid))
        .header("origin", ORIGIN)
        .header("access-control-request-method", "POST")
        .send()
        .await
        .expect("an answer");
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&preflight, "accept-post"), SDP);
    assert_eq!(header(&preflight, "access-control-allow-origin"), ORIGIN);
    assert!(header(&preflight, "access-control-allow-methods").contains("POST"));
    assert!(header(&preflight, "access-control-allow-headers").contains("authorization"));
    let on_session = server.ask(Method::OPTIONS, "/whip/session/x").send().await.expect("an answer");
    assert!(header(&on_session, "access-control-allow-methods").contains("PATCH"));
    assert!(header(&on_session, "access-control-allow-headers").contains("if-match"));
    assert_eq!(header(&on_session, "accept-patch"), FRAGMENT);

    let asked = server.ask(Method::POST, &format!("/whip/{}", server.gid)).bearer_auth(&server.token);
    let asked = asked.header("content-type", SDP).header("origin", ORIGIN).body(OFFER);
    let made = asked.send().await.expect("an answer");
    assert_eq!(header(&made, "access-control-allow-origin"), ORIGIN);
    let readable = header(&made, "access-control-expose-headers");
    assert!(["location", "etag", "link"].iter().all(|name| readable.contains(name)), "{readable}");
}
