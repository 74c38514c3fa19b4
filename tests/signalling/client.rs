//! A server on loopback, and a native client that keeps what it hears.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use millrace::control::Control;
use millrace::control::directory::{Membership, Settings};
use millrace::control::ids::{Gid, Sid};
use millrace::net::{Choice, Io};
use millrace::signal::message::{
    ClientLine, Muted, Notice, Publish, Refusal, Request, Secret, ServerLine, VERSION, Welcome,
};
use millrace::signal::quic::{self, CertificateSlot, NATIVE, ResetKey};
use millrace::signal::webtransport::Origins;
use quinn::rustls;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::door::Door;

/// Long enough on a busy machine; what is asserted are outcomes.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a browser really offered.
pub(crate) const OFFER: &str = include_str!("../fixtures/sdp/chromium-offer-vp8-simulcast.sdp");

pub(crate) type Reply = Result<Map<String, Value>, Refusal>;

/// A server that carries no media.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Vec<u8>,
    pub(crate) control: Control,
    pub(crate) gid: Gid,
    pub(crate) pin: String,
    pub(crate) spin: String,
    endpoint: quic::Endpoint,
    _door: Door,
    _data: TempDir,
}

impl Server {
    /// A server with one conference room.
    pub(crate) async fn start() -> Self {
        Self::with_handshakes(100).await
    }

    /// The same, for so many handshakes of media at once.
    pub(crate) async fn with_handshakes(handshakes: usize) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let (control, _) = crate::control_plane::start(data.path(), handshakes);
        let made = control
            .with(|state, _| {
                let owner = state.directory.mint_token("Owner", None)?;
                let settings =
                    Settings { name: Some("Room".into()), guests: Some(true), ..Settings::default() };
                state.directory.create_group(owner.uid, &settings)
            })
            .await;
        let Membership { gid, pins, .. } = made.expect("answered").expect("a group");
        let (pin, spin) = pins.expect("the owner's pins");

        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = made.cert.der().to_vec();
        let slot = CertificateSlot::new(&certificate, &made.signing_key.serialize_der()).expect("a slot");
        let choice = Choice::probe(Io::Mmsg).expect("the portable driver");
        let (door, socket) = Door::open(&choice, &["127.0.0.1:0"], 1);
        let key = ResetKey::load(data.path()).expect("a key");
        let endpoint = quic::endpoint(Arc::new(slot), &key).expect("an endpoint");
        tokio::spawn(quic::serve(endpoint.clone(), socket, control.clone(), Origins::default()));
        let address = door.addresses[0];
        Self { address, certificate, control, gid, pin, spin, endpoint, _door: door, _data: data }
    }

    /// The token of a new user.
    pub(crate) async fn token(&self, name: &str) -> String {
        let name = name.to_owned();
        let minted = self.control.with(move |state, _| state.directory.mint_token(&name, None)).await;
        minted.expect("answered").expect("a token").token
    }

    /// A native client that said hello.
    pub(crate) async fn client(&self, token: &str) -> Client {
        let mut client = self.stranger().await;
        client.hello(token, None).await.expect("welcome");
        client
    }

    /// A native client that said nothing yet.
    pub(crate) async fn stranger(&self) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone().into()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![NATIVE.to_vec()];
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("a configuration");
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("an endpoint");
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
        let connection =
            endpoint.connect(self.address, "localhost").expect("a connection").await.expect("connected");
        let (send, receive) = connection.open_bi().await.expect("a stream");
        Client { connection, send, lines: BufReader::new(receive), id: 0, heard: Vec::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.endpoint.close(0, b"");
    }
}

/// A native client.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    send: SendStream,
    lines: BufReader<RecvStream>,
    id: u64,
    /// Notices that nobody asked for yet.
    heard: Vec<Notice>,
}

impl Client {
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("written");
    }

    /// The next line, or `None` at the end of the stream.
    pub(crate) async fn read(&mut self) -> Option<ServerLine> {
        let mut line = String::new();
        match timeout(PATIENCE, self.lines.read_line(&mut line)).await.expect("a line in time") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(ServerLine::parse(line.as_bytes()).expect("a line of the protocol")),
        }
    }

    /// Asks, and waits for the answer; notices are kept.
    pub(crate) async fn ask(&mut self, request: &Request) -> Reply {
        self.id += 1;
        self.write(&ClientLine::write(Some(self.id), request)).await;
        loop {
            match self.read().await.expect("an answer") {
                ServerLine::Answer { re, result } => {
                    assert_eq!(re, self.id);
                    return result;
                }
                ServerLine::Notice(notice) => self.heard.push(notice),
                ServerLine::Unknown => panic!("a notice that is not in the protocol"),
            }
        }
    }

    pub(crate) async fn hello(&mut self, token: &str, resume: Option<&Secret>) -> Result<Welcome, Refusal> {
        let token = Secret(token.to_owned());
        let answer = self.ask(&Request::Hello { v: VERSION, token, resume: resume.cloned() }).await?;
        Ok(ServerLine::members(answer).expect("a welcome"))
    }

    pub(crate) async fn join(&mut self, gid: Gid, pin: &str) -> Reply {
        self.ask(&Request::Join { gid, pin: Some(Secret(pin.to_owned())) }).await
    }

    pub(crate) async fn publish(&mut self, gid: Gid) -> Reply {
        let publish = Publish {
            gids: vec![gid],
            sid: Sid(0),
            source: 1,
            name: None,
            sdp: OFFER.to_owned(),
            muted: Muted::default(),
            layers: vec![],
        };
        self.ask(&Request::Publish(publish)).await
    }

    /// The first notice that `is` holds for, heard already or yet to come.
    pub(crate) async fn notice(&mut self, is: impl Fn(&Notice) -> bool) -> Notice {
        loop {
            if let Some(at) = self.heard.iter().position(&is) {
                return self.heard.remove(at);
            }
            match self.read().await {
                Some(ServerLine::Notice(notice)) => self.heard.push(notice),
                other => panic!("a notice was expected: {other:?}; heard {:?}", self.heard),
            }
        }
    }

    /// What was heard so far.
    pub(crate) fn heard(&self) -> &[Notice] {
        &self.heard
    }

    /// Waits for the end of the session: the `error` that came before it, if one did.
    pub(crate) async fn end(&mut self) -> Option<String> {
        let mut error = None;
        while let Some(line) = self.read().await {
            if let ServerLine::Notice(Notice::Error(refusal)) = line {
                error = Some(refusal.error);
            }
        }
        error
    }

    /// Gone without a word: the server finds out by itself.
    pub(crate) async fn end_stream(mut self) {
        self.send.shutdown().await.expect("the stream ends");
        self.end().await;
    }
}
