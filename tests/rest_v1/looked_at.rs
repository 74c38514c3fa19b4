//! What passes in each stream and view is measured while somebody looks; and a call in lines, sorted and searched.

use millrace::control::ids::{Sid, Uid};
use millrace::control::rooms::Effect;
use millrace::router::command::Command;
use millrace::router::event::{Event, LayerMeasure, SessionStats, SlotMeasure, Why};
use millrace::router::id::{LayerId, SessionId, ShardId, SlotId, TrackId};
use millrace::signal::message::{Request, Watch};
use millrace::units::{Bitrate, Duration, PictureSize};
use serde_json::{Value, json};

use crate::live::{Person, gid_of};
use crate::{KEY, Server};

const SHARD: ShardId = ShardId(0);
/// The first session is that of the stream.
const STREAM: SessionId = SessionId { index: 0, generation: 0 };
const VIDEO: TrackId = TrackId { index: 1, generation: 0 };

async fn tell(server: &Server, events: Vec<Event>) {
    tell_later(server, Duration::ZERO, events).await;
}

/// The same when the time is this much later.
async fn tell_later(server: &Server, later: Duration, events: Vec<Event>) {
    let told = server.control.with(move |state, now| {
        let now = now.instant + later;
        events.into_iter().for_each(|event| state.rooms.handle_event(now, SHARD, event));
    });
    told.await.expect("answered");
}

/// What the shards are asked to measure when the time is this much later, and somebody looks at a person.
async fn asked(server: &Server, gid: u64, uid: u64, later: Duration) -> Vec<SessionId> {
    let (gid, uid) = (gid_of(gid), Uid(u32::try_from(uid).expect("a number")));
    let asked = server.control.with(move |state, now| {
        state.rooms.look_at_person(now.instant + later, gid, uid);
        let effects = state.rooms.take_effects().into_iter();
        let asked = effects.filter_map(|effect| match effect {
            Effect::Shard(_, Command::Measure(session)) => Some(session),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    });
    asked.await.expect("answered")
}

#[tokio::test]
async fn layers_are_measured_when_somebody_looks_and_at_most_once_a_second() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let ann = Person::enter(&server, "ann", gid).await;
    ann.publish(&server, gid).await;
    let layers = [(0, 320, 180), (1, 640, 360)]
        .map(|(layer, width, height)| (LayerId(layer), Some(PictureSize::new(width, height))));
    let codec = millrace::wire::payload::Codec::Vp8;
    let live = Event::TrackLive { track: VIDEO, codec, layers: layers.to_vec() };
    tell(&server, vec![Event::Claimed { session: STREAM, shard: SHARD }, live]).await;

    let path = format!("/v1/groups/{gid}/streams/{}/0", ann.uid);
    let before = server.get(&owner, &path).await.must(200);
    assert_eq!(
        (before["layers"][0]["kbps"].clone(), before["kbpsAudio"].clone()),
        (Value::Null, Value::Null)
    );
    assert_eq!(asked(&server, gid, ann.uid, Duration::from_millis(500)).await, [], "it was asked just now");
    assert_eq!(asked(&server, gid, ann.uid, Duration::from_millis(1500)).await, [STREAM]);

    let arrives = LayerMeasure { track: VIDEO, layer: LayerId(0), rate: Bitrate::from_kbps(140), fps: 30 };
    tell(&server, vec![Event::Measured { session: STREAM, slots: Vec::new(), layers: vec![arrives] }]).await;
    let after = server.get(&owner, &path).await.must(200);
    let shown = |at: usize| {
        let layer = &after["layers"][at];
        (layer["width"].clone(), layer["kbps"].clone(), layer["fps"].clone())
    };
    assert_eq!(shown(0), (json!(320), json!(140), json!(30)));
    assert_eq!(shown(1), (json!(640), json!(0), json!(0)), "it does not arrive");
    // Nobody looked: what a shard says is not kept.
    let stranger = SessionId { index: 77, generation: 0 };
    tell(&server, vec![Event::Measured { session: stranger, slots: Vec::new(), layers: vec![arrives] }])
        .await;
}

#[tokio::test]
async fn a_view_says_its_layer_why_and_for_which_tile() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let ann = Person::enter(&server, "ann", gid).await;
    let bob = Person::enter(&server, "bob", gid).await;
    ann.publish(&server, gid).await;
    let whose = Uid(u32::try_from(ann.uid).expect("a number"));
    let watch = Watch {
        gid: gid_of(gid),
        uid: whose,
        sid: Sid(0),
        audio: false,
        video: true,
        width: 640,
        height: 360,
        visible: true,
        priority: 1,
    };
    bob.ask(&server, Request::Watch(watch)).await;
    // The second session is that of the viewer.
    let session = SessionId { index: 1, generation: 0 };
    let layer = Some((LayerId(1), Some(PictureSize::new(640, 360))));
    // Whichever slot it is.
    let slots = || (0..8).map(SlotId);
    tell(&server, vec![Event::Claimed { session, shard: SHARD }]).await;
    tell(&server, slots().map(|slot| Event::SlotLayer { session, slot, layer, why: Why::Tile }).collect())
        .await;
    let path = format!("/v1/groups/{gid}/participants/{}", bob.uid);
    server.get(&owner, &path).await.must(200);
    let sent = |bytes| {
        let measure = |slot| SlotMeasure { slot, layer: Some(LayerId(1)), packets: 9, bytes };
        vec![Event::Measured { session, slots: slots().map(measure).collect(), layers: Vec::new() }]
    };
    // The counter wraps.
    tell(&server, sent(u32::MAX - 9_999)).await;
    let view = server.get(&owner, &path).await.must(200)["views"][0].clone();
    assert_eq!((view["layer"].clone(), view["kbpsVideo"].clone()), (json!(1), Value::Null));
    tell_later(&server, Duration::from_secs(1), sent(90_000)).await;
    let view = server.get(&owner, &path).await.must(200)["views"][0].clone();
    let kbps = view["kbpsVideo"].as_u64().expect("measured twice");
    assert!((1..=800).contains(&kbps), "100 kB in a second or more: {kbps} kbit/s");
    let expected = [
        ("why", json!("tile")),
        ("width", json!(640)),
        ("tileWidth", json!(640)),
        ("tileHeight", json!(360)),
    ];
    for (name, value) in expected {
        assert_eq!(view[name], value, "{name}");
    }
    assert_eq!((view["audio"].clone(), view["kbpsAudio"].clone()), (json!(false), Value::Null));
}

#[tokio::test]
async fn a_call_is_listed_in_lines_sorted_searched_and_by_pages() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    let ann = Person::enter(&server, "ann", gid).await;
    let bob = Person::enter(&server, "Bob", gid).await;
    let eve = Person::enter(&server, "eve", gid).await;
    ann.publish(&server, gid).await;
    let stats = SessionStats { bitrate_in: Bitrate::from_kbps(700), ..SessionStats::default() };
    let events =
        vec![Event::Claimed { session: STREAM, shard: SHARD }, Event::Stats { session: STREAM, stats }];
    tell(&server, events).await;
    let path = format!("/v1/groups/{gid}/summary");
    let listed = async |query: &str| {
        let page = server.get(KEY, &format!("{path}{query}")).await.must(200);
        let uids: Vec<_> =
            page["items"].as_array().expect("a list").iter().map(|one| one["uid"].clone()).collect();
        (uids, page["next"].as_str().map(str::to_owned))
    };
    let uids = |of: &[&Person]| of.iter().map(|person| json!(person.uid)).collect::<Vec<_>>();
    assert_eq!(listed("").await, (uids(&[&ann, &bob, &eve]), None));
    assert_eq!(listed("?sort=name").await.0, uids(&[&ann, &bob, &eve]));
    assert_eq!(listed("?sort=kbpsIn").await.0[0], json!(ann.uid));
    assert_eq!(listed("?search=BO").await.0, uids(&[&bob]));
    assert_eq!(listed(&format!("?search={}", eve.uid)).await.0, uids(&[&eve]));
    let (first, next) = listed("?sort=streams&limit=2").await;
    assert_eq!(first, uids(&[&ann, &bob]));
    let next = next.expect("more");
    assert_eq!(listed(&format!("?sort=streams&limit=2&cursor={next}")).await, (uids(&[&eve]), None));
    assert_eq!(server.get(KEY, &format!("{path}?sort=age")).await.problem(422), "invalid");
    assert_eq!(server.get(&ann.token, &path).await.problem(403), "forbidden");

    let line = server.get(&owner, &path).await.must(200)["items"][0].clone();
    for (name, value) in
        [("name", json!("ann")), ("streams", json!(1)), ("kbpsIn", json!(700)), ("rttMs", Value::Null)]
    {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(line["muted"], json!({ "audio": false, "video": false }));
}

#[tokio::test]
async fn groups_are_searched_by_name_and_number() {
    let server = Server::start().await;
    let (_, owner) = server.user("owner").await;
    let gid = server.group(&owner).await;
    server.ask(&owner, "POST", "/v1/groups", json!({ "name": "Standup" })).await.must(201);
    let names = async |token: &str, query: &str| {
        let page = server.get(token, &format!("/v1/groups?search={query}")).await.must(200);
        page["items"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    for token in [KEY, &owner] {
        assert_eq!(names(token, "STAND").await, ["Standup"]);
        assert_eq!(names(token, &gid.to_string()).await, ["Room"]);
    }
}
