//! The QUIC endpoint: browsers (`h3`, WebTransport) and native clients (`millrace/1`, raw) on one socket.

mod certificate;
mod connection;
mod endpoint;
mod reset;
mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn_proto::{ConnectionError, IdleTimeout, TransportConfig, VarInt};
use tokio::time::timeout;
use tracing::{debug, info};

pub use certificate::CertificateSlot;
pub use connection::{Connection, Gone};
pub use endpoint::{Bounds, Endpoint};
pub use reset::ResetKey;
use tls::Tls;

use super::quic_socket::QuicSocket;
use super::session::{self, Channel};
use super::webtransport::{self, Origins};
use crate::control::Control;

/// ALPN of native clients.
pub const NATIVE: &[u8] = b"millrace/1";
/// ALPN of browsers (RFC 9114).
const HTTP3: &[u8] = b"h3";

const BOUNDS: Bounds =
    Bounds { connections: 50_000, trusted: 64, handshakes: 512, patience: Duration::from_secs(10) };
/// From the handshake to the signalling stream.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long the last words of a session may take to arrive.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);
/// A silent client is gone after this ...
const IDLE: Duration = Duration::from_secs(10);
/// ... and is asked for a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Memory per viewer is mostly this: few streams, small windows.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        // WebTransport's CONNECT stream and the signalling stream.
        .max_concurrent_bidi_streams(VarInt::from_u32(4))
        // HTTP/3's control stream and QPACK's two, and room for some of a kind to be ignored.
        .max_concurrent_uni_streams(VarInt::from_u32(6))
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(128 * 1024))
        .send_window(256 * 1024)
        .crypto_buffer_size(16 * 1024)
        // What any path carries is enough for signalling.
        .mtu_discovery_config(None)
        // Nobody sends any, but WebTransport wants them negotiated.
        .datagram_receive_buffer_size(Some(64 * 1024))
        .datagram_send_buffer_size(2048)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IdleTimeout::try_from(IDLE).ok());
    transport
}

/// An endpoint that shows this certificate.
pub fn endpoint(certificate: Arc<CertificateSlot>, reset_key: &ResetKey) -> io::Result<Endpoint> {
    let provider = Arc::new(crate::tls::provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // A signed token opens the session; resuming TLS beside it would save a signature and cost memory for each client.
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.alpn_protocols = vec![HTTP3.to_vec(), NATIVE.to_vec()];
    let tls = Tls::new(tls).map_err(io::Error::other)?;
    let mut server = quinn_proto::ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport()))
        .max_incoming(BOUNDS.handshakes)
        .incoming_buffer_size(16 * 1024);
    Ok(Endpoint::new(reset_key.endpoint_config(), server, BOUNDS))
}

/// Runs the sessions of all who connect, for as long as anything arrives at `socket`.
pub async fn serve(endpoint: Endpoint, socket: QuicSocket, control: Control, origins: Origins) {
    let origins = Arc::new(origins);
    let session = |connection: Connection| {
        let (control, origins) = (control.clone(), Arc::clone(&origins));
        async move {
            debug!("a client connected");
            match connection.protocol().as_deref() {
                // Boxed: the task of a native client needs no room for it.
                Some(HTTP3) => Box::pin(webtransport::serve(connection, control, &origins)).await,
                _ => serve_native(connection, control).await,
            }
            debug!("a client is gone");
        }
    };
    endpoint.drive(socket, session).await;
    info!("signalling over QUIC has ended");
}

async fn serve_native(connection: Connection, control: Control) {
    let Ok(Ok(stream)) = timeout(READY_WITHIN, connection.accept_bi()).await else {
        connection.close(1, b"open a stream");
        return;
    };
    let mut channel = Channel::new(&connection, stream);
    session::run(control, &mut channel).await;
    timeout(DRAIN_WITHIN, connection.delivered(stream)).await.ok();
    connection.close(0, b"");
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
