//! The flight recorder of a real call, as it is asked for over REST: what happened, and the headers of its packets, which are
//! those that the clients sent and got.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace::config::Invocation;
use millrace::server::Server;
use millrace_load::client::{Client, Event, Outgoing, Picture, Tile, Tracks};
use millrace_load::web::Room;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Nothing here takes longer on any machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keyframe of VP8 for a decoder that reads headers only: its size follows the start code (RFC 6386 section 9.1).
fn picture() -> Vec<u8> {
    let header = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    [&header[..], &[7; 4000]].concat()
}

async fn show(outgoing: Outgoing) {
    let mut ticker = tokio::time::interval(Duration::from_millis(20));
    for n in 0.. {
        ticker.tick().await;
        outgoing.picture(Duration::from_millis(20) * n, true, picture());
    }
}

struct Operator {
    client: reqwest::Client,
    path: String,
    key: String,
}

impl Operator {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Vec<u8>) {
        let mut request = self.client.request(method, format!("{}{path}", self.path)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.bytes().await.expect("a body").to_vec())
    }

    /// The connections as they are shown.
    async fn read(&self) -> Vec<Value> {
        let (status, body) = self.ask(Method::GET, "", None).await;
        assert_eq!(status, StatusCode::OK);
        let mut shown: Value = serde_json::from_slice(&body).expect("JSON");
        match shown["connections"].take() {
            Value::Array(connections) => connections,
            other => panic!("{other}"),
        }
    }
}

fn list<'a>(connection: &'a Value, name: &str) -> &'a Vec<Value> {
    connection[name].as_array().expect("a list")
}

/// The numbers of the packets of each source, in their order, in a capture.
fn numbers(pcap: &[u8]) -> BTreeMap<u32, Vec<u16>> {
    let u32_at = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((u32_at(0), u32_at(20)), (0xa1b2_c3d4, 101), "a capture of IP packets");
    let (mut at, mut found) = (24, BTreeMap::<u32, Vec<u16>>::new());
    while at < pcap.len() {
        let (kept, whole) = (u32_at(at + 8) as usize, u32_at(at + 12) as usize);
        let packet = &pcap[at + 16..at + 16 + kept];
        let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        assert_eq!((packet[0], packet[9], total), (0x45, 17, whole), "IPv4 and UDP");
        let rtp = &packet[28..];
        if !(192..224).contains(&rtp[1]) {
            let ssrc = u32::from_be_bytes(rtp[8..12].try_into().expect("four bytes"));
            found.entry(ssrc).or_default().push(u16::from_be_bytes([rtp[2], rtp[3]]));
            assert!(!rtp.windows(16).any(|bytes| bytes == [7; 16]), "nothing of what is shown");
        }
        at += 16 + kept;
    }
    found
}

async fn call(link: &str, key: String) {
    let room = Room::from_link(&link.replace("localhost", "127.0.0.1")).expect("a room");
    let mut ada = Client::join(&room, "Ada").await.expect("in the room");
    let mut bob = Client::join(&room, "Bob").await.expect("in the room");
    let tracks = Tracks { picture: Some(Picture::Vp8), sound: false };
    let film = tokio::spawn(show(ada.publish(tracks).await.expect("published")));
    let stream = loop {
        if let Some(Event::Appeared(stream)) = bob.next().await.expect("no error") {
            break stream;
        }
    };
    bob.watch(stream.id, Tile::of(640, 360)).await.expect("watched");
    while !matches!(bob.next().await.expect("no error"), Some(Event::Frame(..))) {}

    let operator = |uid: u32| {
        let path = format!("/v1/groups/{}/participants/{uid}/recorder", room.gid);
        Operator {
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            path: room.server.join(&path).expect("a URL").into(),
            key: key.clone(),
        }
    };
    let (of_ada, of_bob) = (operator(ada.uid().0), operator(bob.uid().0));
    for of in [&of_ada, &of_bob] {
        let started = of.ask(Method::PUT, "", Some(json!({ "seconds": 30 }))).await;
        assert_eq!(started, (StatusCode::NO_CONTENT, Vec::new()));
    }
    for _ in 0..40 {
        while !matches!(bob.next().await.expect("no error"), Some(Event::Frame(..))) {}
    }

    let shown = of_ada.read().await;
    let [comes] = shown.as_slice() else { panic!("one connection: {shown:?}") };
    assert_eq!(comes["sid"], json!(0));
    let arrives = list(comes, "events").iter().find(|event| event["event"] == "arrives").expect("noted");
    assert_eq!((&arrives["uid"], &arrives["kind"]), (&json!(ada.uid()), &json!("video")));
    let shown = of_bob.read().await;
    let [goes] = shown.as_slice() else { panic!("one connection: {shown:?}") };
    assert_eq!(goes["sid"], Value::Null);
    let events = list(goes, "events");
    let place = |name: &str| events.iter().position(|event| event["event"] == name).expect(name);
    let shown = events.iter().position(|event| event["layer"] == 0 && event["why"] == "tile");
    assert!(place("path") < place("secured") && Some(place("secured")) < shown, "{events:?}");
    assert_eq!(events[place("watches")]["uid"], json!(ada.uid()));
    let media =
        list(goes, "packets").iter().filter(|packet| packet["way"] == "out" && packet["kind"] == "rtp");
    assert!(media.count() > 100, "four packets a picture");

    for of in [&of_ada, &of_bob] {
        let (status, pcap) = of.ask(Method::GET, "/pcap", None).await;
        assert_eq!(status, StatusCode::OK);
        let numbers = numbers(&pcap);
        let longest = numbers.values().max_by_key(|numbers| numbers.len()).expect("media");
        assert!(longest.len() > 100, "{}", longest.len());
        assert!(longest.windows(2).all(|pair| pair[0].wrapping_add(1) == pair[1]), "{longest:?}");
    }
    assert_eq!(of_bob.ask(Method::DELETE, "", None).await.0, StatusCode::NO_CONTENT);
    assert!(list(&of_bob.read().await[0], "packets").is_empty());
    film.abort();
}

#[test]
fn a_call_is_looked_into() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("a path");
    let line =
        ["millrace", "--data", folder, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--shards", "2"];
    let config = match Invocation::try_from_line(line).expect("a command line") {
        Invocation::Serve(options) => options.check().expect("no problem"),
        other => panic!("{other:?}"),
    };
    let server = Server::start(&config).expect("it starts");
    let key = std::fs::read_to_string(data.path().join("admin.token")).expect("the admin token");
    let link = server.link().expect("a demo room").to_string();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let looked = tokio::time::timeout(PATIENCE, call(&link, key.trim().to_owned()));
        looked.await.expect("in time");
    });
    drop(runtime);
    server.stop();
}
