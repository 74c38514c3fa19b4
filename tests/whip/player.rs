//! The extensions of WHEP: a player is told what it sees by server-sent events, and picks a layer.

use std::time::Duration;

use millrace::router::event::Event;
use millrace::router::id::{LayerId, ShardId, TrackId};
use millrace::units::PictureSize;
use millrace::wire::payload::Codec;
use serde_json::json;

use super::*;

const JSON: &str = "application/json";
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of events, read as it comes.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    /// The data of the next event of a kind; those before it are passed over.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let data = event.strip_prefix(&format!("event: {kind}\ndata: "));
                if let Some(data) = data {
                    return serde_json::from_str(data).expect("JSON in one line");
                }
            }
            let piece = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let piece = piece.expect("an event").expect("a stream").expect("more");
            self.text.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }
}

impl Server {
    /// A player's session, and the places of its extensions.
    async fn player(&self) -> (String, String, String) {
        let made = self.post(&format!("/whep/{}", self.gid), &self.spin, wish()).await;
        let links = made.headers().get_all("link").iter().map(|link| link.to_str().expect("a text"));
        let links: Vec<_> = links.collect();
        let place = |name: &str| {
            let rel = format!("rel=\"urn:ietf:params:whep:ext:core:{name}\"");
            let link = links.iter().find(|link| link.contains(&rel)).expect("a link");
            link.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned()
        };
        let events = links.iter().find(|link| link.contains("events=")).expect("which events");
        assert!(events.ends_with("events=\"active,inactive,layers,viewercount\""), "{events}");
        let (layer, sse) = (place("layer"), place("server-sent-events"));
        (session(&made).0, layer, sse)
    }

    async fn events(&self, path: &str) -> Events {
        let response = self.ask(Method::GET, path).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), header(&response, "content-type")),
            (200, "text/event-stream")
        );
        Events { response, text: String::new() }
    }

    async fn send(&self, path: &str, bearer: &str, body: impl Into<String>) -> Response {
        let asked = self.ask(Method::POST, path).bearer_auth(bearer).header("content-type", JSON);
        asked.body(body.into()).send().await.expect("an answer")
    }

    /// Pictures of the owner's stream arrive.
    fn arrive(&self, sizes: [(u16, u16); 3]) {
        let sizes = sizes.map(|(width, height)| Some(PictureSize::new(width, height)));
        let layers = (0..).map(LayerId).zip(sizes).collect();
        let track = TrackId { index: 1, generation: 0 };
        self.control.shard_event(ShardId(0), Event::TrackLive { track, codec: Codec::Vp8, layers });
    }
}

#[tokio::test]
async fn a_player_is_told_what_it_sees() {
    let server = Server::start().await;
    let (location, _, sse) = server.player().await;
    let mut events = server.events(&sse).await;
    let (publishing, _) = server.published(&server.token).await;
    assert_eq!(events.next("active").await, json!({}));
    let layers = events.next("layers").await;
    assert_eq!(layers["1"]["layers"], json!([]), "nothing arrived: {layers}");
    let names = layers["1"]["inactive"].as_array().expect("three").iter().map(|layer| &layer["id"]);
    assert_eq!(names.collect::<Vec<_>>(), ["q", "h", "f"]);
    assert_eq!(events.next("viewercount").await, json!({ "viewercount": 1 }));
    server.arrive([(320, 180), (640, 360), (1280, 720)]);
    let layers = loop {
        let layers = events.next("layers").await;
        if layers["1"]["layers"] != json!([]) {
            break layers;
        }
    };
    let second = json!({ "encodingId": "h", "rid": "h", "simulcastIdx": 1, "width": 640, "height": 360 });
    assert_eq!(layers["1"]["layers"][1], second, "{layers}");
    assert_eq!(server.delete(&publishing, &server.token).await, StatusCode::OK);
    assert_eq!(events.next("inactive").await, json!({}));
    // The events end with the session.
    assert_eq!(server.delete(&location, &server.spin).await, StatusCode::OK);
    let rest = tokio::time::timeout(PATIENCE, events.response.text()).await.expect("an end");
    assert!(rest.is_ok());
    let gone = server.ask(Method::GET, &sse).send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_of_events_has_the_kinds_that_were_asked_for_until_it_is_deleted() {
    let server = Server::start().await;
    server.published(&server.token).await;
    let (_, _, sse) = server.player().await;
    let made = server.send(&sse, &server.spin, r#"["viewercount","scte35"]"#).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let place = header(&made, "location").to_owned();
    let mut events = server.events(&place).await;
    let first = tokio::time::timeout(PATIENCE, events.response.chunk()).await.expect("an event");
    assert_eq!(first.expect("a stream").expect("more"), "event: viewercount\ndata: {\"viewercount\":1}\n\n");

    assert_eq!(server.delete(&place, &server.pin).await, StatusCode::FORBIDDEN);
    assert_eq!(server.delete(&place, &server.spin).await, StatusCode::OK);
    assert_eq!(server.delete(&place, &server.spin).await, StatusCode::NOT_FOUND);
    let gone = server.ask(Method::GET, &place).send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    for _ in 0..8 {
        assert_eq!(server.send(&sse, &server.spin, "[]").await.status(), StatusCode::CREATED);
    }
    assert_eq!(server.send(&sse, &server.spin, "[]").await.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_player_picks_a_layer_by_name_or_size_and_nobody_else_for_it() {
    let server = Server::start().await;
    let (_, layer, sse) = server.player().await;
    let pick = |body: &'static str| server.send(&layer, &server.spin, body);
    assert_eq!(pick(r#"{"mediaId":"1"}"#).await.status(), StatusCode::CONFLICT, "nothing is shown");
    let (publishing, _) = server.published(&server.token).await;
    server.arrive([(320, 180), (640, 360), (1280, 720)]);
    let mut events = server.events(&sse).await;
    while events.next("layers").await["1"]["layers"] == json!([]) {}
    for (body, status) in [
        (r#"{"mediaId":"1","encodingId":"h"}"#, 200),
        (r#"{"mediaId":"1","rid":"q"}"#, 200),
        (r#"{"maxWidth":640}"#, 200),
        (r#"{"maxHeight":360,"maxWidth":99999}"#, 200),
        (r#"{"mediaId":"1"}"#, 200),
        (r#"{"mediaId":"0","encodingId":"h"}"#, 422),
        (r#"{"encodingId":"x"}"#, 422),
        (r#"{"spatialLayerId":1}"#, 422),
        ("no JSON", 400),
    ] {
        let picked = pick(body).await;
        assert_eq!(picked.status().as_u16(), status, "{body}");
    }
    assert_eq!(server.send(&layer, &server.pin, "{}").await.status(), StatusCode::FORBIDDEN);
    let plain = server.ask(Method::POST, &layer).bearer_auth(&server.spin).header("content-type", SDP);
    let plain = plain.body("{}").send().await.expect("an answer");
    assert_eq!(plain.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // Who publishes has no such places.
    let id = publishing.rsplit('/').next().expect("an id");
    for (method, place) in [(Method::GET, "sse"), (Method::POST, "layer")] {
        let asked = server.ask(method, &format!("/whep/session/{id}/{place}")).bearer_auth(&server.token);
        let refused = asked.header("content-type", JSON).body("{}").send().await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{place}");
    }
    let options = server.ask(Method::OPTIONS, &layer).send().await.expect("an answer");
    assert_eq!((header(&options, "allow"), header(&options, "accept-post")), ("POST, OPTIONS", JSON));
}
