//! The page gets its certificate from an authority (RFC 8555). This one is a stub: it keeps one account and one order, but
//! holds the client to the protocol as a real one does (numbers used once, signatures, addresses, the proof by
//! tls-alpn-01, the signature of the request), and asks once for another number.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::certificate::{address, shown, until_shown};
use crate::program::{PATIENCE, Running};

const NAME: &str = "meet.example.org";
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

#[derive(Default)]
struct State {
    nonces: HashSet<String>,
    given: usize,
    /// The account's public key and its thumbprint.
    account: Option<(Vec<u8>, String)>,
    asked_again: bool,
    authorized: Option<Result<(), String>>,
    polled: usize,
    chain: Option<String>,
    issued: Vec<Vec<u8>>,
    page: Option<String>,
    /// Whether what is issued is long out of date.
    stale: bool,
    complaints: Vec<String>,
}

struct Authority {
    base: String,
    /// What vouches for its own address.
    ca: String,
    state: Mutex<State>,
    told: Condvar,
}

type Answer = (u16, Option<String>, String);

impl Authority {
    fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate");
        let authority = Arc::new(Self {
            base: format!("https://localhost:{}", listener.local_addr().expect("bound").port()),
            ca: made.cert.pem(),
            state: Mutex::default(),
            told: Condvar::new(),
        });
        let (us, config) = (Arc::clone(&authority), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                us.serve(StreamOwned::new(tls, stream));
            }
        });
        authority
    }

    /// One request.
    fn serve(self: &Arc<Self>, mut stream: StreamOwned<ServerConnection, TcpStream>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let mut body = vec![0; len.parse().expect("a number")];
        stream.read_exact(&mut body).expect("a body");
        let mut words = head.split(' ');
        let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
        let (status, location, body) = self.answer(method, path, &body).unwrap_or_else(|problem| {
            self.state.lock().expect("whole").complaints.push(problem.clone());
            (
                400,
                None,
                json!({ "type": "urn:ietf:params:acme:error:malformed", "detail": problem }).to_string(),
            )
        });
        let location = location.map(|at| format!("Location: {at}\r\n")).unwrap_or_default();
        let nonce = self.nonce();
        let len = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\nReplay-Nonce: {nonce}\r\n{location}Content-Length: {len}\r\n\r\n"
        );
        let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }

    fn nonce(&self) -> String {
        let mut state = self.state.lock().expect("whole");
        state.given += 1;
        let nonce = format!("nonce-{}", state.given);
        state.nonces.insert(nonce.clone());
        nonce
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn answer(self: &Arc<Self>, method: &str, path: &str, body: &[u8]) -> Result<Answer, String> {
        match (method, path) {
            ("GET", "/directory") => {
                let found = json!({
                    "newNonce": self.at("/nonce"), "newAccount": self.at("/account"), "newOrder": self.at("/order"),
                });
                return Ok((200, None, found.to_string()));
            }
            ("GET", "/nonce") => return Ok((204, None, String::new())),
            ("POST", _) => {}
            _ => return Err(format!("{method} {path}")),
        }
        let payload = match self.open(path, body)? {
            Ok(payload) => payload,
            Err(refused) => return Ok(refused),
        };
        let mut state = self.state.lock().expect("whole");
        let done = |value: Value| Ok((200, None, value.to_string()));
        match path {
            "/account" => {
                check(payload["termsOfServiceAgreed"] == true, "the terms")?;
                Ok((201, Some(self.at("/account/1")), "{}".to_owned()))
            }
            "/order" => {
                check(payload == json!({ "identifiers": [{ "type": "dns", "value": NAME }] }), "the names")?;
                (state.authorized, state.chain, state.polled) = (None, None, 0);
                let order = json!({
                    "status": "pending", "authorizations": [self.at("/authz/1")], "finalize": self.at("/finalize/1"),
                });
                Ok((201, Some(self.at("/order/1")), order.to_string()))
            }
            "/authz/1" => {
                check(payload.is_null(), "a POST that asks has no payload")?;
                let status = match &state.authorized {
                    None => "pending",
                    Some(Ok(())) => "valid",
                    Some(Err(_)) => "invalid",
                };
                let challenges = json!([
                    { "type": "http-01", "url": self.at("/challenge/2"), "token": TOKEN },
                    { "type": "tls-alpn-01", "url": self.at("/challenge/1"), "token": TOKEN },
                ]);
                done(json!({
                    "status": status, "identifier": { "type": "dns", "value": NAME }, "challenges": challenges,
                }))
            }
            "/challenge/1" => {
                check(payload == json!({}), "the answer to a challenge is an empty object")?;
                let us = Arc::clone(self);
                std::thread::spawn(move || us.validate());
                done(json!({ "status": "processing" }))
            }
            "/finalize/1" => {
                check(state.authorized == Some(Ok(())), "the name is proved")?;
                let request = decode(payload["csr"].as_str().ok_or("a request")?)?;
                state.chain = Some(issue(&request, state.stale)?);
                done(json!({ "status": "processing" }))
            }
            "/order/1" => {
                check(payload.is_null(), "a POST that asks has no payload")?;
                state.polled += 1;
                match state.polled {
                    1 => done(json!({ "status": "processing" })),
                    _ => done(json!({ "status": "valid", "certificate": self.at("/cert/1") })),
                }
            }
            "/cert/1" => {
                let chain = state.chain.clone().ok_or("a certificate")?;
                let issued = rustls::pki_types::pem::PemObject::from_pem_slice(chain.as_bytes());
                let issued: rustls::pki_types::CertificateDer<'_> = issued.map_err(|_| "a certificate")?;
                state.issued.push(issued.to_vec());
                Ok((200, None, chain))
            }
            other => Err(format!("nothing is at {other}")),
        }
    }

    /// Verifies who says what: the payload, or what is answered at once.
    fn open(&self, path: &str, body: &[u8]) -> Result<Result<Value, Answer>, String> {
        let signed: Value = serde_json::from_slice(body).map_err(|_| "JSON")?;
        let text = |name: &str| signed[name].as_str().ok_or_else(|| format!("{name} is missing"));
        let (protected, payload) = (text("protected")?, text("payload")?);
        let head: Value = serde_json::from_slice(&decode(protected)?).map_err(|_| "JSON")?;
        check(head["alg"] == "ES256" && head["url"] == self.at(path), "algorithm and address")?;
        let mut state = self.state.lock().expect("whole");
        let known = head["nonce"].as_str().is_some_and(|nonce| state.nonces.remove(nonce));
        check(known, "a number that was given, and once")?;
        let key = if path == "/account" {
            check(head["kid"].is_null(), "a new account names its key")?;
            let jwk = &head["jwk"];
            let half = |name: &str| jwk[name].as_str().ok_or("a point").map(decode);
            let point = [vec![4], half("x")??, half("y")??].concat();
            // RFC 7638 section 3.
            let members = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
            let thumbprint = encode(digest(&SHA256, members.as_bytes()).as_ref());
            state.account = Some((point.clone(), thumbprint));
            point
        } else {
            check(head["jwk"].is_null() && head["kid"] == self.at("/account/1"), "the account")?;
            state.account.clone().ok_or("no account")?.0
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
            .verify(format!("{protected}.{payload}").as_bytes(), &decode(text("signature")?)?)
            .map_err(|_| "the signature")?;
        if !std::mem::replace(&mut state.asked_again, true) {
            let problem = json!({ "type": "urn:ietf:params:acme:error:badNonce", "detail": "use another" });
            return Ok(Err((400, None, problem.to_string())));
        }
        match payload {
            "" => Ok(Ok(Value::Null)),
            some => serde_json::from_slice(&decode(some)?).map(Ok).map_err(|_| "JSON".to_owned()),
        }
    }

    /// Connects to the page as RFC 8737 section 3 says.
    fn validate(&self) {
        let state = self.state.lock().expect("whole");
        let waited = self.told.wait_timeout_while(state, PATIENCE, |state| state.page.is_none());
        let (state, _) = waited.expect("whole");
        let (page, account) = (state.page.clone().expect("told"), state.account.clone().expect("an account"));
        drop(state);
        let (certificate, spoken) = shown(&page, NAME, &[b"acme-tls/1"]).expect("a connection");
        let proof = digest(&SHA256, format!("{TOKEN}.{}", account.1).as_bytes());
        // acmeIdentifier, critical, and in it 32 bytes.
        let oid = [0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 1, 0x1f, 1, 1, 0xff, 4, 0x22, 4, 0x20];
        let wanted = [&oid[..], proof.as_ref()].concat();
        let has = |part: &[u8]| certificate.windows(part.len()).any(|window| window == part);
        let good = spoken.as_deref() == Some(b"acme-tls/1") && has(&wanted) && has(NAME.as_bytes());
        let mut state = self.state.lock().expect("whole");
        state.authorized = Some(if good { Ok(()) } else { Err("no proof".to_owned()) });
    }

    fn set_page(&self, page: Option<String>) {
        self.state.lock().expect("whole").page = page;
        self.told.notify_all();
    }

    /// The certificate that was issued as the nth.
    fn issued(&self, nth: usize) -> Vec<u8> {
        let began = Instant::now();
        loop {
            if let Some(issued) = self.state.lock().expect("whole").issued.get(nth) {
                return issued.clone();
            }
            assert!(began.elapsed() < PATIENCE, "{:?}", self.state.lock().expect("whole").complaints);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// The public key that a request is for and signed by.
struct Requested(Vec<u8>);

impl rcgen::PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// Signs what a request (RFC 2986) asks for.
fn issue(request: &[u8], stale: bool) -> Result<String, String> {
    let (_, inside, _) = element(request)?;
    let (info, _, rest) = element(inside)?;
    let (_, _, rest) = element(rest)?;
    let (_, signature, _) = element(rest)?;
    let marker = [0x03, 0x42, 0x00, 0x04];
    let at = info.windows(4).position(|four| four == marker).ok_or("a key on P-256")?;
    let key = info.get(at + 3..at + 68).ok_or("a key")?.to_vec();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key)
        .verify(info, &signature[1..])
        .map_err(|_| "the request's signature")?;
    check(info.windows(NAME.len()).any(|window| window == NAME.as_bytes()), "the request's name")?;
    let mut params = rcgen::CertificateParams::new([NAME.to_owned()]).expect("parameters");
    if stale {
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(2001, 1, 1));
    }
    let root = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
    let issuer = rcgen::Issuer::from_params(&own, root);
    Ok(params.signed_by(&Requested(key), &issuer).expect("signed").pem())
}

/// A value of DER: with its head, what is in it, and what follows.
type Element<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn element(bytes: &[u8]) -> Result<Element<'_>, String> {
    let (head, len) = match bytes {
        [_, len @ 0..=0x7f, ..] => (2, usize::from(*len)),
        [_, 0x81, len, ..] => (3, usize::from(*len)),
        [_, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return Err("DER".to_owned()),
    };
    let (whole, rest) = bytes.split_at_checked(head + len).ok_or("DER")?;
    Ok((whole, &whole[head..], rest))
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("not as it should be: {what}")) }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> String {
    let bits = |at: usize| (0..6).map(move |bit| at * 6 + bit);
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let digit = |at: usize| bits(at).fold(0, |sum, at| sum << 1 | usize::from(bit(at)));
    (0..(bytes.len() * 8).div_ceil(6)).map(|at| char::from(DIGITS[digit(at)])).collect()
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bits = Vec::new();
    for byte in text.bytes() {
        let six = DIGITS.iter().position(|digit| *digit == byte).ok_or("base 64 for addresses")?;
        bits.extend((0..6).rev().map(|at| six >> at & 1 == 1));
    }
    let byte = |bits: &[bool]| bits.iter().fold(0, |sum: u8, bit| sum << 1 | u8::from(*bit));
    Ok(bits.chunks_exact(8).map(byte).collect())
}

fn start(authority: &Authority, folder: &Path) -> Running {
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, &authority.ca).expect("written");
    let directory = authority.at("/directory");
    authority.set_page(None);
    let more =
        ["--acme-domain", NAME, "--acme-directory", &directory, "--acme-ca", ca.to_str().expect("plain")];
    let server = Running::start(&folder.join("data"), &more);
    authority.set_page(Some(address(&server)));
    server
}

#[test]
fn a_certificate_comes_by_itself_is_kept_and_renewed_when_its_time_is_over() {
    let (authority, folder) = (Authority::start(), tempfile::tempdir().expect("a folder"));
    authority.state.lock().expect("whole").stale = true;
    let server = start(&authority, folder.path());
    let first = authority.issued(0);
    until_shown(&server, &first);
    server.end("TERM");
    // That one is long over: another one comes with the next start, and is kept.
    authority.state.lock().expect("whole").stale = false;
    let server = start(&authority, folder.path());
    let second = authority.issued(1);
    until_shown(&server, &second);
    server.end("TERM");
    let server = start(&authority, folder.path());
    assert_eq!(shown(&address(&server), NAME, &[]).expect("a connection").0, second);
    // Nobody is shown the answer to a challenge that is not set.
    assert!(shown(&address(&server), NAME, &[b"acme-tls/1"]).is_err());
    let log = server.end("KILL").1;
    assert!(!log.contains("ERROR"), "{log}");
    let state = authority.state.lock().expect("whole");
    assert_eq!((state.issued.len(), &state.complaints[..]), (2, &[][..]));
}
