//! Files of chats, over HTTP: sent, given and refused.

use std::net::{IpAddr, Ipv4Addr};

use millrace::control::directory::FileId;
use millrace::control::ids::Gid;
use millrace::signal::message::{Answer, Request, Say, Secret, VERSION};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::Server;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const KIB: usize = 1024;

/// A room, and two who came to it with its pin.
struct Room {
    server: Server,
    owner: String,
    gid: String,
    ann: String,
    bob: String,
}

impl Room {
    async fn new() -> Self {
        let server = Server::start().await;
        let [owner, ann, bob] = ["owner", "ann", "bob"].map(|name| server.token(name));
        let (owner, ann, bob) = (owner.await, ann.await, bob.await);
        let (gid, pin, _) = server.room(&owner, &[]).await;
        for token in [&ann, &bob] {
            server.op(&[("op", "joingroup"), ("token", token), ("gid", &gid), ("pin", &pin)]).await;
        }
        Self { server, owner, gid, ann, bob }
    }

    async fn send(&self, token: &str, name: &str, kind: &str, bytes: Vec<u8>) -> (StatusCode, Value) {
        let post = self.server.client.post(self.server.url("/files"));
        let post = post.query(&[("gid", self.gid.as_str()), ("name", name)]).bearer_auth(token);
        let answer = post.header("content-type", kind).body(bytes).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// Says something of a file, and gives a link to it.
    async fn say(&self, token: &str, file: &Value, to: Option<&str>) -> Result<String, String> {
        let (token, gid) = (token.to_owned(), Gid(self.gid.parse().expect("a number")));
        let file: FileId = serde_json::from_value(file["id"].clone()).expect("a number");
        let to = to.map(str::to_owned);
        let said = self.server.control.with(move |state, now| {
            let to = to.and_then(|to| state.directory.authenticate(now.unix, &to)).map(|user| user.uid);
            let hello = state.hello(now, HERE, VERSION, &Secret(token), None);
            let (who, _) = hello.map_err(|refusal| refusal.error)?;
            let ask = |state: &mut millrace::control::State, request| {
                state.request(now, &who, &request).map_err(|refusal| refusal.error)
            };
            ask(state, Request::Join { gid, pin: None })?;
            let text = String::new();
            ask(state, Request::Message(Say { gid, to, text, file: Some(file), key: None }))?;
            match ask(state, Request::File { file })? {
                Answer::File { url } => Ok(url),
                other => Err(format!("{other:?}")),
            }
        });
        said.await.expect("answered")
    }

    async fn get(&self, path: &str, token: Option<&str>, range: Option<&str>) -> reqwest::Response {
        let mut get = self.server.client.get(self.server.url(path));
        if let Some(token) = token {
            get = get.bearer_auth(token);
        }
        if let Some(range) = range {
            get = get.header("range", range);
        }
        get.send().await.expect("an answer")
    }

    fn on_disk(&self) -> usize {
        std::fs::read_dir(self.server.data.path().join("files")).expect("a folder").count()
    }
}

fn path(file: &Value) -> String {
    format!("/files/{}", file["id"].as_str().expect("a text"))
}

#[tokio::test]
async fn a_file_is_sent_spoken_of_and_given_to_who_may_have_it() {
    let room = Room::new().await;
    let bytes: Vec<u8> = (0..100 * KIB).map(|n| (n % 251) as u8).collect();
    let (status, file) =
        room.send(&room.ann, "../r\u{e9}port \"1\".pdf", "application/pdf", bytes.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    let expected = json!({"id": file["id"], "name": "r\u{e9}port \"1\".pdf", "type": "application/pdf", "size": 100 * KIB});
    assert_eq!(file, expected);
    let nobody = room.get(&path(&file), Some(&room.bob), None).await;
    assert_eq!(nobody.status(), StatusCode::NOT_FOUND, "nobody spoke of it yet");
    assert_eq!(room.say(&room.bob, &file, None).await, Err("NOFILE".to_owned()), "it is not his");

    let link = room.say(&room.ann, &file, None).await.expect("said");
    let by_link = room.get(&format!("/{link}"), None, None).await;
    let by_token = room.get(&path(&file), Some(&room.bob), None).await;
    for answer in [by_link, by_token] {
        assert_eq!(answer.status(), StatusCode::OK);
        let header = |name: &str| answer.headers()[name].to_str().expect("a text").to_owned();
        assert_eq!(header("content-type"), "application/pdf");
        assert_eq!(header("content-length"), bytes.len().to_string());
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").starts_with("sandbox; default-src 'none'"));
        let disposition =
            "attachment; filename=\"r_port _1_.pdf\"; filename*=UTF-8''r%C3%A9port%20%221%22.pdf";
        assert_eq!(header("content-disposition"), disposition);
        assert_eq!(answer.bytes().await.expect("bytes"), bytes);
    }
    let part = room.get(&path(&file), Some(&room.bob), Some("bytes=1000-1999")).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 1000-1999/{}", bytes.len()));
    assert_eq!(part.bytes().await.expect("bytes"), bytes[1000..2000]);
    let beyond = room.get(&path(&file), Some(&room.bob), Some("bytes=200000-")).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);

    // Neither another's token, nor a link that was changed, nor a made-up file.
    let eve = room.server.token("eve").await;
    assert_eq!(room.get(&path(&file), Some(&eve), None).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(room.get(&path(&file), Some("no"), None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(room.get(&path(&file), None, None).await.status(), StatusCode::UNAUTHORIZED);
    let (until, tag) = link.split_once("link=").and_then(|(_, link)| link.split_once('.')).expect("a link");
    let later = u64::from_str_radix(until, 16).expect("a time") + 1;
    let (_, other) = room.send(&room.ann, "b.txt", "text/plain", b"b".to_vec()).await;
    room.say(&room.ann, &other, None).await.expect("said");
    for changed in [
        format!("{}?link={later:x}.{tag}", path(&file)),
        format!("{}?link={until}.{tag}", path(&other)),
        format!("/files/{}?link={until}.{tag}", "0".repeat(32)),
        "/files/..%2fjournal".to_owned(),
        "/files/".to_owned(),
    ] {
        assert_eq!(room.get(&changed, None, None).await.status(), StatusCode::NOT_FOUND, "{changed}");
    }
}

#[tokio::test]
async fn what_is_between_two_is_between_two_and_goes_with_the_group() {
    let room = Room::new().await;
    let (_, file) = room.send(&room.ann, "a.png", "image/png", vec![1; KIB]).await;
    room.say(&room.ann, &file, Some(&room.bob)).await.expect("said");
    assert_eq!(room.get(&path(&file), Some(&room.bob), None).await.status(), StatusCode::OK);
    assert_eq!(room.get(&path(&file), Some(&room.owner), None).await.status(), StatusCode::NOT_FOUND);
    // Who may not receive any more may not have it any more.
    let edit =
        [("op", "groupeditmembers"), ("token", &*room.owner), ("gid", &*room.gid), ("m", "bob"), ("cr", "0")];
    room.server.op(&edit).await;
    assert_eq!(room.get(&path(&file), Some(&room.bob), None).await.status(), StatusCode::NOT_FOUND);

    assert_eq!(room.on_disk(), 1);
    room.server.op(&[("op", "delgroup"), ("token", &room.owner), ("gid", &room.gid)]).await;
    room.server.uploads.tend(&room.server.control).await;
    assert_eq!(room.on_disk(), 0);
}

#[tokio::test]
async fn what_is_too_large_of_no_known_type_or_not_allowed_is_refused() {
    let room = Room::new().await;
    let text = "text/plain";
    let refused = async |token: &str, kind: &str, bytes: usize| {
        let (status, answer) = room.send(token, "a", kind, vec![0; bytes]).await;
        (status.as_u16(), answer["error"].as_str().expect("a name").to_owned())
    };
    let is = |status, error: &str| (status, error.to_owned());
    assert_eq!(refused("no", text, 1).await, is(401, "AUTHFAIL"));
    assert_eq!(refused(&room.server.token("eve").await, text, 1).await, is(403, "NOTALLOWED"));
    assert_eq!(refused(&room.ann, text, 100 * KIB + 1).await, is(413, "TOOLARGE"));
    for kind in ["text/html", "application/x-sh", "image", "image/(png)", ""] {
        assert_eq!(refused(&room.ann, kind, 1).await, is(415, "BADTYPE"), "{kind}");
    }
    let member =
        [("op", "groupeditmembers"), ("token", &*room.owner), ("gid", &*room.gid), ("m", "bob"), ("cs", "0")];
    room.server.op(&member).await;
    assert_eq!(refused(&room.bob, text, 1).await, is(403, "NOTALLOWED"));
    assert_eq!(room.on_disk(), 0);
    // A user's files, and then the group's, take only so much; what is forgotten makes room again.
    for _ in 0..2 {
        assert_eq!(room.send(&room.ann, "a", text, vec![0; 100 * KIB]).await.0, StatusCode::CREATED);
        assert_eq!(room.send(&room.owner, "a", text, vec![0; 100 * KIB]).await.0, StatusCode::CREATED);
    }
    assert_eq!(refused(&room.ann, text, 60 * KIB).await, is(507, "FULL"));
    assert_eq!(refused(&room.ann, text, KIB).await, is(507, "FULL"));
    assert_eq!(room.on_disk(), 4);
}

#[tokio::test]
async fn a_file_that_does_not_come_whole_or_that_nobody_knows_is_swept() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let room = Room::new().await;
    let address = room.server.serving.address();
    let mut half = tokio::net::TcpStream::connect(address).await.expect("connected");
    let head = format!(
        "POST /files?gid={}&name=a HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\ncontent-length: 1000\r\n\r\nhalf",
        room.gid, room.ann
    );
    half.write_all(head.as_bytes()).await.expect("written");
    half.shutdown().await.expect("closed");
    let mut answer = Vec::new();
    let _ = half.read_to_end(&mut answer).await;
    let (_, whole) = room.send(&room.ann, "b", "text/plain", vec![0; 10]).await;
    room.say(&room.ann, &whole, None).await.expect("said");
    room.server.uploads.tend(&room.server.control).await;

    let folder = room.server.data.path().join("files");
    std::fs::write(folder.join("0".repeat(32)), b"of a crash").expect("written");
    std::fs::write(folder.join("other"), b"of a crash").expect("written");
    room.server.uploads.sweep(&room.server.control).await;
    assert_eq!(room.on_disk(), 1);
    assert_eq!(room.get(&path(&whole), Some(&room.bob), None).await.status(), StatusCode::OK);
}
