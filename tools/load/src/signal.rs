//! Signalling over raw QUIC (`docs/signalling.md`), as a client.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace::signal::message::{
    ClientLine, Notice, Refusal, Request, SERVER_LINE, Secret, ServerLine, VERSION, Welcome,
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::Error;

/// What a native client speaks.
const ALPN: &[u8] = b"millrace/1";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often something is tried again that a busy server had no time for.
const TRIES: u32 = 5;
/// How long one waits after the first refused connection; twice as long after each further one.
const REFUSED_WAIT: Duration = Duration::from_millis(500);

/// A QUIC endpoint that trusts the certificates with these SHA-256 hashes and no other.
pub fn endpoint(server: SocketAddr, hashes: Vec<[u8; 32]>) -> Result<quinn::Endpoint, Error> {
    let failed = |e: &dyn std::fmt::Display| Error::Signal(e.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| failed(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { hashes, provider }))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let tls = QuicClientConfig::try_from(tls).map_err(|e| failed(&e))?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(Duration::from_secs(3)));
    config.transport_config(Arc::new(transport));
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut endpoint = quinn::Endpoint::client(any)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// A connection, and how often the server refused one before because it has too many handshakes to do.
async fn connect(endpoint: &quinn::Endpoint, server: SocketAddr) -> Result<(quinn::Connection, u64), Error> {
    let failed = |e: &dyn std::fmt::Display| Error::Signal(e.to_string());
    let mut tries = 0;
    loop {
        let connecting = endpoint.connect(server, "localhost").map_err(|e| failed(&e))?;
        match connecting.await {
            Ok(connection) => return Ok((connection, tries)),
            Err(quinn::ConnectionError::ConnectionClosed(close))
                if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED
                    && tries < u64::from(TRIES) =>
            {
                tokio::time::sleep(REFUSED_WAIT.saturating_mul(1 << tries)).await;
                tries += 1;
            }
            Err(e) => return Err(failed(&e)),
        }
    }
}

type Answer = Result<Map<String, Value>, Refusal>;
type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A session.
#[derive(Debug)]
pub struct Session {
    connection: quinn::Connection,
    stream: quinn::SendStream,
    next: u64,
    pending: Pending,
    notices: mpsc::UnboundedReceiver<Notice>,
    token: String,
    welcome: Welcome,
    /// How often the server had no time and said when to come again.
    waits: u64,
}

impl Session {
    /// Connects and says hello, or takes up the session that `resume` names.
    pub async fn open(
        endpoint: &quinn::Endpoint,
        server: SocketAddr,
        token: String,
        resume: Option<Secret>,
    ) -> Result<Self, Error> {
        let failed = |e: &dyn std::fmt::Display| Error::Signal(e.to_string());
        let (connection, waits) = connect(endpoint, server).await?;
        let (stream, lines) = connection.open_bi().await.map_err(|e| failed(&e))?;
        let pending = Pending::default();
        let (notify, notices) = mpsc::unbounded_channel();
        tokio::spawn(read(lines, pending.clone(), notify));
        let welcome = Welcome {
            resume: Secret::default(),
            resumed: false,
            uid: millrace::control::ids::Uid(0),
            address: String::new(),
            name: String::new(),
        };
        let hello = Request::Hello { v: VERSION, token: Secret(token.clone()), resume };
        let mut session = Self { connection, stream, next: 1, pending, notices, token, welcome, waits };
        session.welcome = session.ask("hello", &hello).await?;
        Ok(session)
    }

    /// The same session on a new connection, if the server knows of it; else a new one.
    pub async fn resume(&self, endpoint: &quinn::Endpoint, server: SocketAddr) -> Result<Self, Error> {
        Self::open(endpoint, server, self.token.clone(), Some(self.welcome.resume.clone())).await
    }

    /// What is to be done about the end of a session, as its last notice told or its absence: wait so long, and resume.
    pub fn goes_on(&self, notice: Option<&Notice>) -> Option<Duration> {
        match notice {
            Some(Notice::Error(Refusal { retry_ms: Some(after), .. })) => {
                Some(Duration::from_millis((*after).into()))
            }
            None if self.forgotten() => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Who one is.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends a request and reads its answer as `T`.
    pub async fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        what: &'static str,
        request: &Request,
    ) -> Result<T, Error> {
        let members = self.request(what, request).await?;
        ServerLine::members(members).map_err(|e| Error::Signal(format!("the answer to {what} is odd: {e}")))
    }

    /// Sends a request and waits for its answer; again when it is our turn, if the server is busy.
    pub async fn request(
        &mut self,
        what: &'static str,
        request: &Request,
    ) -> Result<Map<String, Value>, Error> {
        let mut tries = 0;
        loop {
            match self.request_once(what, request).await {
                Err(Error::Refused { refusal: Refusal { retry_ms: Some(after), .. }, .. })
                    if tries < TRIES =>
                {
                    let after = Duration::from_millis(after.into()).saturating_mul(1 << tries);
                    tokio::time::sleep(after.min(PATIENCE)).await;
                    tries += 1;
                    self.waits += 1;
                }
                other => return other,
            }
        }
    }

    /// How often this client was told to come again later, since the last time this was asked.
    pub fn take_waits(&mut self) -> u64 {
        std::mem::take(&mut self.waits)
    }

    async fn request_once(
        &mut self,
        what: &'static str,
        request: &Request,
    ) -> Result<Map<String, Value>, Error> {
        let (tell, answer) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tell);
        let line = ClientLine::write(Some(id), request);
        self.stream.write_all(&line).await.map_err(|e| Error::Signal(e.to_string()))?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(members))) => Ok(members),
            Ok(Ok(Err(refusal))) => Err(Error::Refused { what, refusal }),
            Ok(Err(_)) => Err(Error::Signal(format!("the session ended before {what} was answered"))),
            Err(_) => Err(Error::Signal(format!("{what} was not answered within {PATIENCE:?}"))),
        }
    }

    /// The next thing that the server says unasked; `None` when the session is over.
    pub async fn notice(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// Whether it is over because the server at this address does not know it any more: another process is the server now.
    fn forgotten(&self) -> bool {
        matches!(self.connection.close_reason(), Some(quinn::ConnectionError::Reset))
    }

    /// Waits for a notice of which `pick` makes something; others are passed over.
    pub async fn wait_for<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(Notice) -> Option<T>,
    ) -> Result<T, Error> {
        let wait = async {
            loop {
                let notice = self
                    .notice()
                    .await
                    .ok_or_else(|| Error::Signal(format!("it ended before {what} came")))?;
                if let Notice::Error(refusal) = notice {
                    return Err(Error::Signal(refusal.to_string()));
                }
                if let Some(found) = pick(notice) {
                    return Ok(found);
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| Err(Error::Signal(format!("no {what} within {PATIENCE:?}"))))
    }

    /// The connection is lost: the server waits for whether one comes back.
    pub fn lose(self) {
        self.connection.close(1u32.into(), b"lost");
    }

    /// Leaves everything.
    pub async fn bye(mut self) {
        let bye = ClientLine::write(None, &Request::Bye {});
        // Closing says the same.
        let _ = self.stream.write_all(&bye).await;
        let _ = self.stream.finish();
        self.connection.close(0u32.into(), b"bye");
    }
}

async fn read(mut stream: quinn::RecvStream, pending: Pending, notices: mpsc::UnboundedSender<Notice>) {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = stream.read_chunk(64 * 1024, true).await {
        text.extend_from_slice(&chunk.bytes);
        let mut done = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            done += line.len();
            match ServerLine::parse(line) {
                Ok(ServerLine::Answer { re, result }) => {
                    let asked = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&re);
                    // Whoever asked may have lost patience.
                    asked.map(|tell| tell.send(result));
                }
                Ok(ServerLine::Notice(notice)) => drop(notices.send(notice)),
                Ok(ServerLine::Unknown) | Err(_) => {}
            }
        }
        text.drain(..done);
        if text.len() > SERVER_LINE {
            break;
        }
    }
    pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Trusts certificates by their hash, as browsers do with `serverCertificateHashes`.
#[derive(Debug)]
struct Pinned {
    hashes: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash = ring::digest::digest(&ring::digest::SHA256, certificate);
        match self.hashes.iter().any(|known| known == hash.as_ref()) {
            true => Ok(ServerCertVerified::assertion()),
            false => {
                Err(rustls::Error::General("the certificate is not one of those in /config.json".into()))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
