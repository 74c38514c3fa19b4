//! What is live: who is there, what is published, and what is done to them.

use millrace::control::ids::{Gid, Sid, Uid};
use millrace::control::port::{self, Notices};
use millrace::control::requests::SignedIn;
use millrace::router::event::{Event, SessionStats};
use millrace::router::id::{SessionId, ShardId};
use millrace::signal::message::{Muted, Publish, Request, Secret, VERSION, Watch};
use millrace::units::{Bitrate, Duration};
use serde_json::{Value, json};

use crate::{KEY, Server};

const OFFER: &str = include_str!("../fixtures/sdp/chromium-offer-vp8-simulcast.sdp");

/// Somebody in a room.
pub(crate) struct Person {
    pub(crate) uid: u64,
    pub(crate) token: String,
    session: SignedIn,
    notices: Notices,
}

impl Person {
    pub(crate) async fn enter(server: &Server, name: &str, gid: u64) -> Self {
        let (uid, token) = server.user(name).await;
        let member = format!("/v1/groups/{gid}/members/{uid}");
        server.ask(KEY, "PUT", &member, json!({})).await;
        let (port, notices) = port::port(256);
        let secret = Secret(token.clone());
        let hello = server.control.with(move |state, now| {
            let from = std::net::Ipv4Addr::LOCALHOST.into();
            let (session, _) = state.hello(now, from, VERSION, &secret, None).expect("welcome");
            state.set_port(session.attachment.link, port);
            session
        });
        let person = Self { uid, token, session: hello.await.expect("answered"), notices };
        person.ask(server, Request::Join { gid: gid_of(gid), pin: None }).await;
        person
    }

    pub(crate) async fn ask(&self, server: &Server, request: Request) {
        let session = self.session;
        let asked = server.control.with(move |state, now| state.request(now, &session, &request).map(|_| ()));
        asked.await.expect("answered").expect("granted");
    }

    pub(crate) async fn publish(&self, server: &Server, gid: u64) {
        let publish = Publish {
            gids: vec![gid_of(gid)],
            sid: Sid(0),
            source: 1,
            name: None,
            sdp: OFFER.to_owned(),
            muted: Muted::default(),
            layers: Vec::new(),
        };
        self.ask(server, Request::Publish(publish)).await;
    }

    /// The notices of a kind since the last time.
    fn heard(&mut self, kind: &str) -> Vec<Value> {
        let lines = std::iter::from_fn(|| self.notices.waiting());
        let notices = lines.map(|line| serde_json::from_slice::<Value>(&line).expect("JSON"));
        notices.filter(|notice| notice["t"] == kind).collect()
    }
}

pub(crate) fn gid_of(gid: u64) -> Gid {
    Gid(u32::try_from(gid).expect("a number"))
}

#[tokio::test]
async fn people_and_streams_are_shown_with_how_they_do() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let ann = Person::enter(&server, "ann", gid).await;
    let bob = Person::enter(&server, "bob", gid).await;
    ann.publish(&server, gid).await;
    let (to, whose) = (gid_of(gid), Uid(u32::try_from(ann.uid).expect("a number")));
    let watch = Watch {
        gid: to,
        uid: whose,
        sid: Sid(0),
        audio: true,
        video: true,
        width: 640,
        height: 360,
        visible: true,
        priority: 1,
    };
    bob.ask(&server, Request::Watch(watch)).await;
    // The first session is that of the stream.
    let measured = server.control.with(|state, now| {
        let session = SessionId { index: 0, generation: 0 };
        state.rooms.handle_event(now.instant, ShardId(0), Event::Claimed { session, shard: ShardId(0) });
        for sent in 1..=2 {
            let stats = SessionStats {
                packets_in: 90 * sent,
                lost_in: 10 * sent,
                rtt: Some(Duration::from_millis(40)),
                bitrate_in: Bitrate::from_kbps(700),
                ..SessionStats::default()
            };
            state.rooms.handle_event(now.instant, ShardId(0), Event::Stats { session, stats });
        }
    });
    measured.await.expect("answered");

    let base = format!("/v1/groups/{gid}");
    let people = server.get(&owner, &format!("{base}/participants")).await.must(200);
    let people = people["items"].as_array().expect("a list").clone();
    assert_eq!(people.len(), 2);
    let stream = &people[0]["streams"][0];
    assert_eq!((stream["uid"].clone(), stream["viewers"].clone()), (json!(ann.uid), json!(1)));
    let connection = &stream["connection"];
    for (name, value) in [("kbpsIn", 700), ("lossPercent", 10), ("rttMs", 40), ("packetsIn", 180)] {
        assert_eq!(connection[name], value, "{name}");
    }
    assert_eq!(connection["estimateKbps"], Value::Null);
    let view = &people[1]["views"][0];
    assert_eq!((view["uid"].clone(), view["why"].clone()), (json!(ann.uid), Value::Null));
    assert_eq!(view["audio"], true);

    let streams = server.get(KEY, &format!("{base}/streams")).await.must(200);
    assert_eq!(streams["items"][0], *stream);
    assert_eq!(server.get(KEY, &format!("{base}/streams/{}/0", ann.uid)).await.must(200), *stream);
    assert_eq!(server.get(KEY, &format!("{base}/streams/{}/1", ann.uid)).await.status, 404);
    let call = json!({ "gid": gid, "name": "Room", "people": 2, "streams": 1, "kbpsIn": 700, "kbpsOut": 0, "limited": 0 });
    assert_eq!(server.get(KEY, "/v1/calls").await.must(200)["items"], json!([call]));
    assert_eq!(server.get(KEY, "/v1/calls?search=roo").await.must(200)["items"], json!([call]));
    assert_eq!(server.get(KEY, "/v1/calls?search=else").await.must(200)["items"], json!([]));
    assert_eq!(server.get(&owner, "/v1/calls").await.must(200)["items"], json!([call]));
    assert_eq!(server.get(&ann.token, "/v1/calls").await.must(200)["items"], json!([]));
    // It is not everybody's business.
    assert_eq!(server.get(&ann.token, &format!("{base}/participants")).await.problem(403), "forbidden");

    let page = server.get(KEY, &format!("{base}/participants?limit=1")).await.must(200);
    let next = page["next"].as_str().expect("more").to_owned();
    let rest = server.get(KEY, &format!("{base}/participants?limit=1&cursor={next}")).await.must(200);
    assert_eq!((rest["items"][0]["uid"].clone(), rest["next"].clone()), (json!(bob.uid), Value::Null));
}

#[tokio::test]
async fn who_may_mutes_ends_limits_and_puts_out() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let mut ann = Person::enter(&server, "ann", gid).await;
    let bob = Person::enter(&server, "bob", gid).await;
    ann.publish(&server, gid).await;
    let base = format!("/v1/groups/{gid}");
    let person = format!("{base}/participants/{}", ann.uid);
    let stream = format!("{base}/streams/{}/0", ann.uid);

    assert_eq!(
        server.ask(&bob.token, "POST", &format!("{person}/mute"), json!({})).await.problem(403),
        "forbidden"
    );
    server.ask(&owner, "POST", &format!("{person}/mute"), json!({ "audio": true })).await.must(204);
    let muted = json!({ "audio": true, "video": false });
    assert_eq!(server.get(&owner, &stream).await.must(200)["muted"], muted);
    assert_eq!(ann.heard("muted").len(), 1);

    let limits = json!({ "limits": { "maxPublishKbps": 300 } });
    server.ask(&owner, "PATCH", &person, limits).await.must(200);
    assert_eq!(
        server.get(&owner, &format!("{base}/members/{}", ann.uid)).await.must(200)["limits"]["maxPublishKbps"],
        300
    );

    server.send(&owner, "DELETE", &stream, None, &[]).await.must(204);
    assert_eq!(ann.heard("ended").len(), 1);
    server.send(&owner, "DELETE", &person, None, &[]).await.must(204);
    assert_eq!(ann.heard("removed")[0]["reason"], "REMOVED");
    assert_eq!(server.get(&owner, &person).await.problem(404), "not-found");
}

#[tokio::test]
async fn somebody_is_sent_to_another_group() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let (from, to) = (server.group(&owner).await, server.group(&owner).await);
    let mut ann = Person::enter(&server, "ann", from).await;
    let path = format!("/v1/groups/{from}/participants/{}/move", ann.uid);
    assert_eq!(server.ask(&owner, "POST", &path, json!({ "to": from })).await.problem(422), "invalid");
    assert_eq!(server.ask(&owner, "POST", &path, json!({ "to": 9 })).await.problem(404), "not-found");
    server.ask(&owner, "POST", &path, json!({ "to": to })).await.must(204);
    let heard = ann.heard("moved");
    assert_eq!(heard, [json!({ "t": "moved", "gid": from, "to": to })]);
    ann.ask(&server, Request::Join { gid: gid_of(to), pin: None }).await;
    let there = server.get(&owner, &format!("/v1/groups/{to}/participants")).await.must(200);
    assert_eq!(there["items"][0]["uid"], ann.uid);
}

#[tokio::test]
async fn what_is_said_by_rest_is_heard_and_kept() {
    let server = Server::start().await;
    let (owners, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let mut ann = Person::enter(&server, "ann", gid).await;
    let (_, stranger) = server.user("stranger").await;
    let path = format!("/v1/groups/{gid}/messages");
    let said = server.ask(KEY, "POST", &path, json!({ "text": "Hello,\nall" })).await.must(201);
    assert_eq!((said["uid"].clone(), said["to"].clone()), (json!(owners), Value::Null));
    server.ask(&owner, "POST", &path, json!({ "text": "Ann alone", "to": ann.uid })).await.must(201);
    let heard: Vec<_> = ann.heard("message").into_iter().map(|said| said["text"].clone()).collect();
    assert_eq!(heard, ["Hello,\nall", "Ann alone"]);
    assert_eq!(server.ask(&stranger, "POST", &path, json!({ "text": "Hi" })).await.problem(404), "not-found");
    assert_eq!(
        server.ask(&ann.token, "POST", &path, json!({ "text": "Hi", "from": owners })).await.problem(403),
        "forbidden"
    );

    let page = server.get(&ann.token, &format!("{path}?limit=1")).await.must(200);
    assert_eq!(page["items"][0]["text"], "Ann alone");
    let next = page["next"].as_str().expect("more").to_owned();
    let rest = server.get(&ann.token, &format!("{path}?cursor={next}")).await.must(200);
    assert_eq!((rest["items"][0]["text"].clone(), rest["next"].clone()), (json!("Hello,\nall"), Value::Null));
}
