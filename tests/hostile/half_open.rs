//! QUIC connections that are begun and never finished.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use millrace_load::client::Shared;
use millrace_load::drive::Engine;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::socket;

/// Distinct beginnings, which take time to make, ...
const BEGUN: usize = 10_000;
/// ... each sent from so many ports: to the server a connection of its own unless the last one still waits.
const PORTS: u64 = 10;

/// First packets of connections, each padded to 1200 bytes (RFC 9000 section 14.1).
fn initials(server: SocketAddr) -> Vec<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("a suite for QUIC")));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, true, None);
    let now = Instant::now();
    let begun = (0..BEGUN).map(|_| {
        let (handle, mut connection) =
            endpoint.connect(now, config.clone(), server, "localhost").expect("an address");
        let mut packet = Vec::new();
        assert!(connection.poll_transmit(now, 1, &mut packet).is_some(), "a first packet");
        endpoint.handle_event(handle, quinn_proto::EndpointEvent::drained());
        packet
    });
    begun.collect()
}

#[test]
fn a_hundred_thousand_half_open_connections_are_bounded_and_others_still_get_in() {
    let ground = Ground::new();
    let server = ground.runtime.block_on(async {
        Shared::new(&ground.room, Engine::new(1).expect("an engine")).await.expect("a server").server()
    });
    let initials = initials(server);
    let figures = ground.beside("half-open connections", |over| {
        let from_one_port = |_| {
            let next = |n: u64, out: &mut Vec<u8>| match initials.get(n as usize) {
                Some(initial) => {
                    out.extend_from_slice(initial);
                    true
                }
                None => false,
            };
            flood(&socket(server), over, next, |_| ())
        };
        (0..PORTS).map(from_one_port).sum()
    });
    let figures = figures.hold(64 * 1024);
    assert!(figures.tally.bytes_in <= 3 * figures.tally.bytes_out, "RFC 9000 section 8.1: {figures:?}");
    ground.end();
}
