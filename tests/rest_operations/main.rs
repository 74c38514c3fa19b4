//! REST in operation style, the web app and health, over the real HTTP server, control plane and store.

mod accounts;
#[path = "../common/control_plane.rs"]
mod control_plane;
mod files;
mod members;
mod pins;
mod table;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace::config::Tls;
use millrace::control::Control;
use millrace::control::directory::FileRules;
use millrace::control::ids::Gid;
use millrace::control::rights::{Admin, Choice, Choices, Receivers};
use millrace::http::{Http, Serving, Site, Uploads, V1};
use millrace::mail::Mail;
use millrace::signal::message::Secret;
use millrace::signal::webtransport::Origins;
use reqwest::{Client, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ORIGIN: &str = "https://app.example.org";

struct Server {
    control: Control,
    serving: Serving,
    healthy: Arc<AtomicBool>,
    client: Client,
    uploads: Uploads,
    data: tempfile::TempDir,
}

/// What the tests' server takes: files of 100 KiB, 250 of a user, 400 of a group.
fn rules() -> FileRules {
    const KIB: u64 = 1024;
    FileRules { largest: 100 * KIB, of_user: 250 * KIB, of_group: 400 * KIB, ..FileRules::default() }
}

impl Server {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (control, _actor) = control_plane::start(data.path(), 100);
        let http = Http::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None).await.expect("an address");
        let healthy = Arc::new(AtomicBool::new(true));
        let turning = Arc::clone(&healthy);
        let uploads = Uploads::open(data.path(), rules()).expect("a folder");
        let serving = http.start(Site {
            uploads: uploads.clone(),
            control: control.clone(),
            signal: vec![SocketAddr::from(([127, 0, 0, 1], 4433))],
            hashes: Box::new(|| vec!["aa".to_owned(), "bb".to_owned()]),
            healthy: Box::new(move || turning.load(Ordering::Relaxed)),
            origins: Origins::new(vec![ORIGIN.to_owned()]),
            mail: Mail::Log,
            v1: V1::new(&Secret("k".repeat(32)), Box::new(Default::default)),
        });
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { control, serving, healthy, client, uploads, data }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.serving.address())
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.expect("an answer")
    }

    /// One operation, by query; its answer has the members that every answer has.
    async fn op(&self, parameters: &[(&str, &str)]) -> Value {
        let response = self.client.get(self.url("/api")).query(parameters).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let answer: Value = response.json().await.expect("JSON");
        let op = parameters.iter().find(|(name, _)| *name == "op").map_or("", |(_, value)| value);
        assert_eq!(answer["op"], op);
        assert!(answer["ts"].as_u64().expect("a number") > 1_700_000_000);
        match answer["result"].as_str().expect("a text") {
            "OK" => assert!(answer.get("error").is_none()),
            "FAIL" => assert!(answer["error"].is_string()),
            other => panic!("{other}"),
        }
        answer
    }

    async fn token(&self, name: &'static str) -> String {
        let minted = self.control.with(move |state, _| state.directory.mint_token(name, Some(name))).await;
        minted.expect("answered").expect("minted").token
    }

    async fn room(&self, token: &str, more: &[(&str, &str)]) -> (String, String, String) {
        let mut parameters = vec![("op", "setgroup"), ("token", token), ("name", "Room")];
        parameters.extend(more);
        let made = self.op(&parameters).await;
        assert_eq!(made["result"], "OK", "{made}");
        let text = |member: &str| made[member].as_str().expect("a text").to_owned();
        (made["gid"].to_string(), text("pin"), text("spin"))
    }
}

/// The members of an answer besides those of every answer.
fn own(mut answer: Value) -> Value {
    let members = answer.as_object_mut().expect("an object");
    for name in ["op", "ts", "result"] {
        members.remove(name);
    }
    answer
}

fn failed(answer: &Value) -> &str {
    assert_eq!(answer["result"], "FAIL");
    assert_eq!(answer.as_object().expect("an object").len(), 4);
    answer["error"].as_str().expect("a text")
}

#[tokio::test]
async fn without_op_token_or_sense() {
    let server = Server::start().await;
    assert_eq!(failed(&server.op(&[]).await), "NOOP");
    assert_eq!(failed(&server.op(&[("op", "dance")]).await), "BADOP");
    for op in [
        "setgroup",
        "joingroup",
        "leavegroup",
        "rooms",
        "delgroup",
        "logout",
        "groupeditmembers",
        "addpin",
        "editpin",
        "removepin",
        "getpins",
        "getmembers",
    ] {
        assert_eq!(failed(&server.op(&[("op", op)]).await), "AUTHFAIL", "{op}");
        assert_eq!(failed(&server.op(&[("op", op), ("token", "no")]).await), "AUTHFAIL", "{op}");
    }
}

#[tokio::test]
async fn setgroup_creates_and_edits() {
    let server = Server::start().await;
    let token = server.token("owner").await;
    let made = server
        .op(&[
            ("op", "setgroup"),
            ("token", &token),
            ("name", "Böse & Co"),
            ("resolution", "3"),
            ("type", "1"),
        ])
        .await;
    let made = own(made);
    let (pin, spin) = (made["pin"].as_str().expect("a text"), made["spin"].as_str().expect("a text"));
    assert!(pin != spin && pin.len() == 8 && spin.len() == 8);
    let expected = json!({"gid": 1000, "name": "Böse & Co", "type": 1, "resolution": "3", "publish": 1, "pin": pin, "spin": spin});
    assert_eq!(made, expected);

    let edit = [("op", "setgroup"), ("token", &token), ("gid", "1000"), ("name", "Other"), ("type", "0")];
    let expected = json!({"gid": 1000, "name": "Other", "type": 0, "resolution": "3", "publish": 1, "pin": pin, "spin": spin});
    assert_eq!(own(server.op(&edit).await), expected);

    let stranger = server.token("stranger").await;
    let edit = [("op", "setgroup"), ("token", &stranger), ("gid", "1000"), ("name", "Mine")];
    assert_eq!(failed(&server.op(&edit).await), "BADGROUP");
    for gid in ["1001", "x", "-1"] {
        let edit = [("op", "setgroup"), ("token", &token), ("gid", gid), ("name", "Mine")];
        assert_eq!(failed(&server.op(&edit).await), "BADGROUP", "{gid}");
    }
    assert_eq!(failed(&server.op(&[("op", "setgroup"), ("token", &token)]).await), "MISSINGNAME");
    for (name, value) in [
        ("maxPublishKbps", "-1"),
        ("maxResolution", "6"),
        ("maxVoices", "33"),
        ("resolution", "6"),
        ("resolution", "HD"),
        ("type", "3"),
        ("guests", "2"),
    ] {
        let wrong = [("op", "setgroup"), ("token", &token), ("name", "N"), (name, value)];
        assert_eq!(failed(&server.op(&wrong).await), "BADARG", "{name}={value}");
    }
}

#[tokio::test]
async fn joingroup_shows_pins_to_the_owner_alone() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let (gid, pin, spin) = server.room(&owner, &[("resolution", "2")]).await;
    let join = async |token: &str, pin: &str| {
        own(server.op(&[("op", "joingroup"), ("token", token), ("gid", &gid), ("pin", pin)]).await)
    };
    let seen =
        |publish: u8| json!({"gid": 1000, "name": "Room", "type": 0, "resolution": "2", "publish": publish});
    let owned = |publish: u8| {
        let mut seen = seen(publish);
        seen["pin"] = json!(pin);
        seen["spin"] = json!(spin);
        seen
    };
    assert_eq!(join(&ada, &pin).await, seen(1));
    assert_eq!(join(&ada, &spin).await, seen(0));
    assert_eq!(join(&owner, "").await, owned(1));
    assert_eq!(join(&owner, &spin).await, owned(0));
    let bob = server.token("bob").await;
    let wrong = [("op", "joingroup"), ("token", &bob), ("gid", &gid), ("pin", "12345678")];
    let unknown = [("op", "joingroup"), ("token", &bob), ("gid", "4711"), ("pin", &pin)];
    let without = [("op", "joingroup"), ("token", &bob), ("gid", &gid)];
    for answer in [server.op(&wrong).await, server.op(&unknown).await, server.op(&without).await] {
        assert_eq!(failed(&answer), "BADGROUP");
    }
}

#[tokio::test]
async fn guessing_is_limited_per_token_and_per_address() {
    let server = Server::start().await;
    let (owner, one, other) =
        (server.token("owner").await, server.token("one").await, server.token("other").await);
    let (gid, pin, _) = server.room(&owner, &[("guests", "1")]).await;
    let guess = async |token: &str| {
        let answer =
            server.op(&[("op", "joingroup"), ("token", token), ("gid", &gid), ("pin", "12345678")]).await;
        failed(&answer).to_owned()
    };
    for token in [&one, &other] {
        for _ in 0..10 {
            assert_eq!(guess(token).await, "BADGROUP");
        }
        assert_eq!(guess(token).await, "RATELIMIT");
    }
    // Both came from here, and that is enough for all tokens from here.
    let guest = [("op", "guest"), ("gid", &gid), ("pin", &pin), ("name", "G")];
    assert_eq!(failed(&server.op(&guest).await), "RATELIMIT");
}

#[tokio::test]
async fn guest_gives_a_token_with_the_pins_rights() {
    let server = Server::start().await;
    let owner = server.token("owner").await;
    let (gid, pin, spin) = server.room(&owner, &[("guests", "1")]).await;
    for (pin, publish) in [(&pin, 1), (&spin, 0)] {
        let answer = own(server.op(&[("op", "guest"), ("gid", &gid), ("pin", pin), ("name", "Gus")]).await);
        assert_eq!(answer["name"], "Gus");
        assert!(answer["uid"].is_u64() && answer["address"].is_string());
        assert_eq!(answer.as_object().expect("an object").len(), 4);
        let token = answer["token"].as_str().expect("a text");
        assert_eq!(token.len(), 64);
        let joined = server.op(&[("op", "joingroup"), ("token", token), ("gid", &gid)]).await;
        assert_eq!(joined["publish"], publish);
        let made = server.op(&[("op", "setgroup"), ("token", token), ("name", "Mine")]).await;
        assert_eq!(failed(&made), "NOTALLOWED");
    }
    let wrong = [("op", "guest"), ("gid", &gid), ("pin", "12345678"), ("name", "G")];
    assert_eq!(failed(&server.op(&wrong).await), "BADGROUP");
    let (closed, pin, _) = server.room(&owner, &[]).await;
    let refused = [("op", "guest"), ("gid", &closed), ("pin", &pin), ("name", "G")];
    assert_eq!(failed(&server.op(&refused).await), "BADGROUP");
}

#[tokio::test]
async fn rooms_are_listed_latest_first() {
    let server = Server::start().await;
    let owner = server.token("owner").await;
    let list = async || own(server.op(&[("op", "rooms"), ("token", &owner)]).await);
    assert_eq!(list().await, json!({"rooms": [], "count": 0}));
    let (_, pin, spin) = server.room(&owner, &[]).await;
    let (_, later_pin, later_spin) = server.room(&owner, &[]).await;
    let rooms = list().await;
    let uid = rooms["rooms"][0]["uid"].as_u64().expect("a number");
    let expected = json!({"count": 2, "rooms": [
        {"uid": uid, "gid": 1001, "name": "Room", "pin": later_pin, "spin": later_spin},
        {"uid": uid, "gid": 1000, "name": "Room", "pin": pin, "spin": spin},
    ]});
    assert_eq!(rooms, expected);
}

#[tokio::test]
async fn leavegroup_and_delgroup() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let (gid, pin, _) = server.room(&owner, &[]).await;
    let on = async |op: &str, token: &str, pin: &str| {
        server.op(&[("op", op), ("token", token), ("gid", &gid), ("pin", pin)]).await
    };
    assert_eq!(on("joingroup", &ada, &pin).await["result"], "OK");
    assert_eq!(on("joingroup", &ada, "").await["result"], "OK", "a member needs no pin");
    assert_eq!(own(on("leavegroup", &ada, "").await), json!({}));
    assert_eq!(failed(&on("leavegroup", &ada, "").await), "BADGROUP");
    assert_eq!(failed(&on("joingroup", &ada, "").await), "BADGROUP");
    assert_eq!(failed(&on("delgroup", &ada, "").await), "BADGROUP");
    assert_eq!(own(on("delgroup", &owner, "").await), json!({}));
    assert_eq!(failed(&on("delgroup", &owner, "").await), "BADGROUP");
    assert_eq!(failed(&on("joingroup", &ada, &pin).await), "BADGROUP");
}

#[tokio::test]
async fn logout_kills_the_token_at_once() {
    let server = Server::start().await;
    let token = server.token("ada").await;
    assert_eq!(own(server.op(&[("op", "logout"), ("token", &token)]).await), json!({}));
    assert_eq!(failed(&server.op(&[("op", "rooms"), ("token", &token)]).await), "AUTHFAIL");
}

#[tokio::test]
async fn forms_of_both_kinds_serve_as_well_as_a_query() {
    let server = Server::start().await;
    let token = server.token("ada").await;
    let post = server.client.post(server.url("/api?op=rooms&token=wrong")).form(&[("token", &token)]);
    let answer: Value = post.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&answer["op"], &answer["result"]), (&json!("rooms"), &json!("OK")));
    let form = "--x\r\ncontent-disposition: form-data; name=\"token\"\r\n\r\nTOKEN\r\n--x--\r\n"
        .replace("TOKEN", &token);
    let post = server.client.post(server.url("/api?op=rooms&token=wrong")).body(form);
    let post = post.header("content-type", "multipart/form-data; boundary=x");
    let answer: Value = post.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&answer["op"], &answer["result"]), (&json!("rooms"), &json!("OK")));
    let large =
        server.client.post(server.url("/api")).body(vec![b'a'; 65 * 1024]).send().await.expect("an answer");
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let put = server.client.put(server.url("/api")).send().await.expect("an answer");
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn health_follows_the_shards() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status(), StatusCode::OK);
    server.healthy.store(false, Ordering::Relaxed);
    assert_eq!(server.get("/healthz").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn config_tells_where_signalling_is() {
    let server = Server::start().await;
    let config: Value = server.get("/config.json").await.json().await.expect("JSON");
    let types = &config["files"]["types"];
    assert!(types.as_array().is_some_and(|types| types.contains(&json!("image/*"))), "{config}");
    let files = json!({"maxBytes": 100 * 1024, "types": types});
    let signal = "https://127.0.0.1:4433/signal";
    let expected =
        json!({"appid": "default", "codes": "log", "signal": signal, "hashes": ["aa", "bb"], "files": files});
    assert_eq!(config, expected);
}

#[tokio::test]
async fn listed_origins_may_read_and_others_may_not() {
    let server = Server::start().await;
    for path in ["/api?op=rooms", "/config.json"] {
        for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), ("https://evil.example", None)] {
            let response =
                server.client.get(server.url(path)).header("origin", origin).send().await.expect("an answer");
            let told = response
                .headers()
                .get("access-control-allow-origin")
                .map(|value| value.to_str().expect("a text"));
            assert_eq!(told, allowed, "{path} from {origin}");
        }
    }
}

#[tokio::test]
async fn the_web_app_is_served_with_care() {
    let server = Server::start().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/room?gid=1000&pin=1", "text/html; charset=utf-8"),
        ("/sdk/millrace.js", "text/javascript; charset=utf-8"),
        ("/app/app.css", "text/css; charset=utf-8"),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], kind);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let policy = headers["content-security-policy"].to_str().expect("a text");
        assert!(
            policy.contains("script-src 'self'")
                && policy.contains("connect-src 'self' https://127.0.0.1:4433")
        );
        assert!(!response.bytes().await.expect("a body").is_empty());
        let again = server.client.get(server.url(path)).header("if-none-match", &headers["etag"]);
        let again = again.send().await.expect("an answer");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.bytes().await.expect("no body").is_empty());
    }
    for path in ["/nothing", "/../Cargo.toml", "/sdk/", "/sdk"] {
        assert_eq!(server.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let server = Server::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.serving.address()).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("written");
    let filler = [b'a'; 1024];
    let mut cut = false;
    for _ in 0..64 {
        if stream.write_all(&filler).await.is_err() {
            cut = true;
            break;
        }
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    cut |= matches!(read, Ok(Err(_))) || String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 431");
    assert!(cut, "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status(), StatusCode::OK);
    let address = server.serving.address();
    tokio::time::timeout(Duration::from_secs(5), server.serving.stop()).await.expect("stopped");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

fn pem(folder: &Path, name: &str) -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let tls = Tls { cert: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&tls.cert, made.cert.pem()).expect("written");
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
    tls
}

#[tokio::test]
async fn a_certificate_turns_the_page_to_https() {
    let folder = tempfile::tempdir().expect("a folder");
    let (control, _actor) = control_plane::start(folder.path(), 100);
    let tls = pem(folder.path(), "a");
    let http = Http::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Some(&tls)).await.expect("an address");
    assert!(http.secure());
    let serving = http.start(Site {
        uploads: Uploads::open(folder.path(), rules()).expect("a folder"),
        control,
        signal: Vec::new(),
        hashes: Box::new(Vec::new),
        healthy: Box::new(|| true),
        origins: Origins::default(),
        mail: Mail::Off,
        v1: V1::new(&Secret("k".repeat(32)), Box::new(Default::default)),
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&tls.cert).expect("a certificate")).expect("a root");
    let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(serving.address()).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    let mut stream =
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_told_plainly() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (pem(folder.path(), "a"), pem(folder.path(), "b"));
    let mixed = Tls { cert: one.cert, key: other.key };
    let error =
        Http::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Some(&mixed)).await.expect_err("mixed").to_string();
    assert!(error.contains("b.key") && error.contains("that belong together"), "{error}");
    let empty = folder.path().join("empty.crt");
    std::fs::write(&empty, "").expect("written");
    let empty = Tls { cert: empty, key: mixed.key };
    let error =
        Http::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Some(&empty)).await.expect_err("empty").to_string();
    assert!(error.contains("there is no certificate in it"), "{error}");
}

#[tokio::test]
async fn the_link_leads_to_a_secure_context() {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let link = |text, secure| millrace::http::link(address(text), secure, Gid(1000), "12345678");
    assert_eq!(link("127.0.0.1:8080", false), "http://localhost:8080/?gid=1000&pin=12345678");
    assert_eq!(link("0.0.0.0:443", true), "https://localhost:443/?gid=1000&pin=12345678");
    assert_eq!(link("[2001:db8::1]:443", true), "https://[2001:db8::1]:443/?gid=1000&pin=12345678");
}

#[tokio::test]
async fn an_address_in_use_is_told_plainly() {
    let server = Server::start().await;
    let error = Http::bind(server.serving.address(), None).await.expect_err("in use").to_string();
    assert!(error.contains("in use by another program: give another address with --http"), "{error}");
}

#[tokio::test]
async fn limits_are_set_on_groups_members_and_pins() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let (gid, ..) = server.room(&owner, &[("maxSubscribeKbps", "3000"), ("maxVoices", "5")]).await;
    let change = async |op: &str, token: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![("op", op), ("token", token), ("gid", gid.as_str())];
        parameters.extend(more);
        server.op(&parameters).await
    };
    let rights = [("cs", "1"), ("cr", "1"), ("canpub", "1"), ("cansub", "1"), ("canlist", "1")];
    let mut pin = rights.to_vec();
    pin.push(("maxPublishKbps", "900"));
    assert_eq!(failed(&change("addpin", &ada, &pin).await), "BADGROUP");
    let made = own(change("addpin", &owner, &pin).await);
    let pin = made["pin"].as_str().expect("digits").to_owned();
    assert_eq!(own(change("joingroup", &ada, &[("pin", &pin)]).await)["publish"], 1);

    let limits = async || {
        let (gid, ada) = (Gid(gid.parse().expect("a number")), ada.clone());
        let found = server.control.with(move |state, now| {
            let ada = state.directory.authenticate(now.unix, &ada).expect("a user").uid;
            state.directory.membership(now.unix, ada, gid).expect("a member").limits
        });
        found.await.expect("answered")
    };
    let held = limits().await;
    assert_eq!((held.max_publish_kbps, held.max_subscribe_kbps, held.max_voices), (900, 3000, 5));
    own(change(
        "groupeditmembers",
        &owner,
        &[("m", "ada"), ("maxPublishKbps", "500"), ("maxResolution", "2")],
    )
    .await);
    own(change("editpin", &owner, &[("pin", &pin), ("maxSubscribeKbps", "800")]).await);
    own(change("setgroup", &owner, &[("maxVoices", "3")]).await);
    let held = limits().await;
    let all = (held.max_publish_kbps, held.max_subscribe_kbps, held.max_resolution, held.max_voices);
    assert_eq!(all, (500, 800, 2, 3));
    for (op, more) in [
        ("groupeditmembers", &[("m", "nobody")][..]),
        ("groupeditmembers", &[("m", "")]),
        ("groupeditmembers", &[("m", "ada"), ("canpub", "2")]),
        ("editpin", &[("pin", "12345678")]),
    ] {
        let error = change(op, &owner, more).await;
        assert!(["BADUSER", "BADARG", "BADGROUP"].contains(&failed(&error)), "{error}");
    }
    // What is said of a member's rights acts as well.
    own(change("groupeditmembers", &owner, &[("m", "ada"), ("canpub", "0")]).await);
    assert_eq!(own(change("joingroup", &ada_again(&server).await, &[]).await)["publish"], 0);
    own(change("groupeditmembers", &owner, &[("m", "ada"), ("delete", "1")]).await);
    assert_eq!(failed(&change("joingroup", &ada_again(&server).await, &[]).await), "BADGROUP");
}

/// Another token of Ada's.
async fn ada_again(server: &Server) -> String {
    server.token("ada").await
}

#[tokio::test]
async fn receivers_of_messages_and_bits_of_admins_are_set() {
    let server = Server::start().await;
    let (owner, ada) = (server.token("owner").await, server.token("ada").await);
    let (gid, pin, _) = server.room(&owner, &[]).await;
    own(server.op(&[("op", "joingroup"), ("token", &ada), ("gid", &gid), ("pin", &pin)]).await);
    let change = async |op: &str, name: &str, value: &str| {
        let address = ("m", "ada");
        server.op(&[("op", op), ("token", &owner), ("gid", &gid), address, (name, value)]).await
    };
    own(change("setgroup", "receive", "turn").await);
    own(change("groupeditmembers", "admin", "moderate, remove").await);
    let found = async || {
        let (gid, ada) = (Gid(gid.parse().expect("a number")), ada.clone());
        let found = server.control.with(move |state, now| {
            let ada = state.directory.authenticate(now.unix, &ada).expect("a user").uid;
            let receive = state.directory.group(gid).expect("a group").choices.receive;
            (receive, state.directory.admin(gid, ada))
        });
        found.await.expect("answered")
    };
    let bits = Admin { moderate: true, remove: true, ..Admin::NONE };
    assert_eq!(found().await, (Receivers::RoundRobin, bits));
    own(change("setgroup", "receive", "members").await);
    own(change("groupeditmembers", "admin", "none").await);
    assert_eq!(found().await, (Receivers::All(Choice::Members), Admin::NONE));
    for right in ["send", "receive", "publish", "subscribe", "list"] {
        own(change("setgroup", right, "anyone").await);
        assert_eq!(failed(&change("setgroup", right, "cats").await), "BADARG");
    }
    let gid = Gid(gid.parse().expect("a number"));
    let choices = server.control.with(move |state, _| state.directory.group(gid).expect("a group").choices);
    let anyone = Choice::Anyone;
    let receive = Receivers::All(anyone);
    let all = Choices { send: anyone, receive, publish: anyone, subscribe: anyone, list: anyone };
    assert_eq!(choices.await.expect("answered"), all);
    assert_eq!(failed(&change("groupeditmembers", "admin", "cats").await), "BADARG");
}
