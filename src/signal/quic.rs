//! The QUIC endpoint: browsers (`h3`, WebTransport) and native clients (`millrace/1`, raw) on one socket.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    AsyncUdpSocket, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    IdleTimeout, VarInt,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, info};

use super::session;
use super::webtransport::{self, Origins};
use crate::control::Control;
use crate::tls;

/// ALPN of native clients.
pub const NATIVE: &[u8] = b"millrace/1";
/// ALPN of browsers (RFC 9114).
const HTTP3: &[u8] = b"h3";

/// Connections at once, those in their handshake included.
const MAX_CONNECTIONS: usize = 50_000;
/// Handshakes at once, from which on clients must first prove their address (RFC 9000 section 8.1.2), ...
const HANDSHAKES_TRUSTED: usize = 64;
/// ... and at most.
const MAX_HANDSHAKES: usize = 512;
/// From a client's first packet to its signalling stream.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long the last words of a session may take to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// A silent client is gone after this ...
const IDLE: Duration = Duration::from_secs(10);
/// ... and is asked for a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Memory per viewer is mostly this: few streams, small windows.
fn transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport
        // WebTransport's CONNECT stream and the signalling stream.
        .max_concurrent_bidi_streams(VarInt::from_u32(4))
        // HTTP/3's control stream and QPACK's two, and room for some of a kind to be ignored.
        .max_concurrent_uni_streams(VarInt::from_u32(6))
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(128 * 1024))
        .send_window(256 * 1024)
        .crypto_buffer_size(16 * 1024)
        // What any path carries is enough; for more, each connection would probe and keep a larger buffer.
        .mtu_discovery_config(None)
        // Nobody sends any, but WebTransport wants them negotiated.
        .datagram_receive_buffer_size(Some(64 * 1024))
        .datagram_send_buffer_size(2048)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok());
    transport
}

/// The certificate that new connections see; it can be swapped while the endpoint runs.
#[derive(Debug)]
pub struct CertificateSlot(RwLock<Arc<CertifiedKey>>);

impl CertificateSlot {
    /// A slot with this certificate (DER) and its key (PKCS#8, DER).
    pub fn new(certificate: &[u8], private_key: &[u8]) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(certified(certificate, private_key)?)))
    }

    /// New connections see this certificate from now on; those that are open stay.
    pub fn swap(&self, certificate: &[u8], private_key: &[u8]) -> Result<(), rustls::Error> {
        let new = certified(certificate, private_key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for CertificateSlot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(certificate: &[u8], private_key: &[u8]) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    let key = PrivateKeyDer::Pkcs8(private_key.to_vec().into());
    let provider = tls::provider();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?))
}

/// What makes a restarted server able to tell its old clients that they must connect again (RFC 9000 section 10.3).
pub struct ResetKey([u8; 64]);

impl std::fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetKey(..)")
    }
}

impl ResetKey {
    /// The key that is kept in the data folder, made at first.
    pub fn load(data: &Path) -> io::Result<Self> {
        let file = data.join("reset.key");
        match fs::read(&file) {
            Ok(bytes) => {
                let key = bytes.try_into().map_err(|_| {
                    let text =
                        format!("{} does not hold 64 bytes: delete it to have it made anew", file.display());
                    io::Error::new(io::ErrorKind::InvalidData, text)
                })?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::random()?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
                file.write_all(&key.0)?;
                file.sync_all()?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    /// A key that nothing keeps.
    pub fn random() -> io::Result<Self> {
        let mut key = [0; 64];
        let filled = SystemRandom::new().fill(&mut key);
        filled.map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
        Ok(Self(key))
    }

    fn endpoint_config(&self) -> EndpointConfig {
        let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.0);
        let mut config = EndpointConfig::new(Arc::new(reset));
        config
            .cid_generator(|| Box::new(RandomIds))
            // RFC 9443 section 3 tells QUIC from media by the fixed bit.
            .grease_quic_bit(false);
        config
    }
}

/// Random connection ids. Quinn's own are signed with a key of the process, and a restarted server would not answer
/// those of its predecessor with a reset.
struct RandomIds;

impl RandomIds {
    const LEN: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; Self::LEN];
        // Without randomness the ids would repeat, but then no handshake succeeds anyway.
        SystemRandom::new().fill(&mut id).ok();
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        Self::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The endpoint, on a socket of the caller's.
pub fn endpoint(
    socket: Arc<dyn AsyncUdpSocket>,
    certificate: Arc<CertificateSlot>,
    reset_key: &ResetKey,
) -> io::Result<Endpoint> {
    let provider = Arc::new(tls::provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // A signed token opens the session; resuming TLS beside it would save a signature and cost memory for each client.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.alpn_protocols = vec![HTTP3.to_vec(), NATIVE.to_vec()];
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport()))
        .max_incoming(MAX_HANDSHAKES)
        .incoming_buffer_size(16 * 1024);
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new_with_abstract_socket(reset_key.endpoint_config(), Some(server), socket, runtime)
}

/// Accepts connections and runs their sessions, until the endpoint is closed.
pub async fn serve(endpoint: Endpoint, control: Control, origins: Origins) {
    let origins = Arc::new(origins);
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    while let Some(incoming) = endpoint.accept().await {
        if endpoint.open_connections() >= MAX_CONNECTIONS {
            incoming.refuse();
            continue;
        }
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let busy = MAX_HANDSHAKES - handshakes.available_permits() > HANDSHAKES_TRUSTED;
        if busy && !incoming.remote_address_validated() && incoming.may_retry() {
            // It may, we just asked.
            incoming.retry().ok();
            continue;
        }
        let (control, origins) = (control.clone(), Arc::clone(&origins));
        tokio::spawn(async move {
            let remote = incoming.remote_address();
            let Ok(connecting) = incoming.accept() else { return };
            let Ok(Ok(connection)) = Box::pin(timeout(READY_WITHIN, connecting)).await else { return };
            drop(permit);
            debug!(%remote, "a client connected");
            match alpn(&connection).as_deref() {
                // Boxed: the task of a native client needs no room for it.
                Some(HTTP3) => Box::pin(webtransport::serve(connection, control, &origins)).await,
                _ => serve_native(connection, remote, control).await,
            }
            debug!(%remote, "a client is gone");
        });
    }
    info!("signalling over QUIC has ended");
}

fn alpn(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol
}

async fn serve_native(connection: quinn::Connection, remote: SocketAddr, control: Control) {
    let Ok(Ok((mut send, receive))) = timeout(READY_WITHIN, connection.accept_bi()).await else {
        connection.close(VarInt::from_u32(1), b"open a stream");
        return;
    };
    let on_purpose = async { closed_on_purpose(&connection.closed().await) };
    session::run(control, remote.ip(), receive, &mut send, on_purpose).await;
    timeout(DRAIN_WITHIN, send.stopped()).await.ok();
    connection.close(VarInt::from_u32(0), b"");
}

/// Whether the client closed the connection with "no error": QUIC's 0 or HTTP/3's (RFC 9114 section 8.1).
pub(super) fn closed_on_purpose(why: &ConnectionError) -> bool {
    const H3_NO_ERROR: u64 = 0x100;
    match why {
        ConnectionError::ApplicationClosed(close) => {
            [0, H3_NO_ERROR].contains(&close.error_code.into_inner())
        }
        _ => false,
    }
}
