//! QUIC over the shards' sockets: a real client against the real endpoint, whose datagrams come through two shards.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use millrace::net::{Choice, Io};
use millrace::signal::quic::{self, CertificateSlot, Connection, Endpoint as OurEndpoint, NATIVE, ResetKey};
use millrace::signal::quic_socket::QuicSocket;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};

#[path = "common/door.rs"]
mod door;

use door::Door;

fn identity() -> (OurEndpoint, ClientConfig) {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let slot = CertificateSlot::new(key.cert.der(), &key.signing_key.serialize_der()).expect("a slot");
    let endpoint = quic::endpoint(Arc::new(slot), &ResetKey::random().expect("a key")).expect("an endpoint");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![NATIVE.to_vec()];
    let client = QuicClientConfig::try_from(client).expect("a QUIC client");
    (endpoint, ClientConfig::new(Arc::new(client)))
}

/// Echoes every stream of every connection.
async fn echo(endpoint: OurEndpoint, socket: QuicSocket) {
    let session = |connection: Connection| async move {
        while let Ok(stream) = connection.accept_bi().await {
            let mut bytes = Vec::new();
            while let Some(more) = connection.read(stream).await.expect("the whole stream") {
                bytes.extend_from_slice(&more);
            }
            connection.write_all(stream, &bytes).await.expect("written");
            connection.finish(stream);
        }
    };
    endpoint.drive(socket, session).await;
}

fn choices() -> Vec<Choice> {
    [Io::Mmsg, Io::Uring].into_iter().filter_map(|io| Choice::probe(io).ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_two_shards_talk_to_one_endpoint() {
    for choice in choices() {
        let (endpoint, client_config) = identity();
        let (door, socket) = Door::open(&choice, &["127.0.0.1:0"], 2);
        tokio::spawn(echo(endpoint.clone(), socket));
        let mut calls = Vec::new();
        for nth in 0..24u8 {
            let (address, config) = (door.addresses[0], client_config.clone());
            calls.push(tokio::spawn(async move {
                let mut client =
                    Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a client");
                client.set_default_client_config(config);
                let connection =
                    client.connect(address, "localhost").expect("begun").await.expect("a handshake");
                for len in [10, 5_000, 300_000] {
                    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
                    send.write_all(&vec![nth; len]).await.expect("written");
                    send.finish().expect("finished");
                    let back = recv.read_to_end(len).await.expect("the echo");
                    assert!(back == vec![nth; len]);
                }
                connection.close(0u32.into(), b"done");
                client.wait_idle().await;
            }));
        }
        for call in calls {
            tokio::time::timeout(Duration::from_secs(60), call).await.expect("in time").expect("no panic");
        }
        endpoint.close(0, b"");
        tokio::time::timeout(Duration::from_secs(20), endpoint.wait_idle()).await.expect("all are gone");
        door.shards.stop();
        let stats = door.shards.stats();
        assert!(stats.iter().all(|shard| shard.quic > 0), "both shards took part: {stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_family_answers_from_its_own_socket() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here");
        return;
    }
    for choice in choices() {
        let (endpoint, client_config) = identity();
        let (door, socket) = Door::open(&choice, &["0.0.0.0:0", "[::]:0"], 2);
        tokio::spawn(echo(endpoint.clone(), socket));
        let targets = [("127.0.0.1:0", "127.0.0.2", 0), ("[::1]:0", "::1", 1)];
        for (from, to, place) in targets {
            let to = SocketAddr::new(to.parse().expect("an address"), door.addresses[place].port());
            let mut client = Endpoint::client(from.parse().expect("an address")).expect("a client");
            client.set_default_client_config(client_config.clone());
            let connecting = client.connect(to, "localhost").expect("begun");
            let connection = tokio::time::timeout(Duration::from_secs(20), connecting)
                .await
                .expect("in time")
                .expect("a handshake");
            assert_eq!(connection.remote_address(), to);
            connection.close(0u32.into(), b"done");
        }
        endpoint.close(0, b"");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_to_another_port_keeps_its_connection() {
    let (endpoint, client_config) = identity();
    let choice = Choice::probe(Io::Mmsg).expect("the portable driver");
    let (door, socket) = Door::open(&choice, &["127.0.0.1:0"], 2);
    tokio::spawn(echo(endpoint.clone(), socket));
    let mut client = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a client");
    client.set_default_client_config(client_config);
    let connection =
        client.connect(door.addresses[0], "localhost").expect("begun").await.expect("a handshake");
    for _ in 0..3 {
        client.rebind(UdpSocket::bind("127.0.0.1:0").expect("another port")).expect("moved");
        let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
        send.write_all(b"still here").await.expect("written");
        send.finish().expect("finished");
        let back = tokio::time::timeout(Duration::from_secs(20), recv.read_to_end(100)).await;
        assert_eq!(back.expect("in time").expect("the echo"), b"still here");
    }
    endpoint.close(0, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_panics_ends_its_connection_and_no_other() {
    let (endpoint, client_config) = identity();
    let choice = Choice::probe(Io::Mmsg).expect("the portable driver");
    let (door, socket) = Door::open(&choice, &["127.0.0.1:0"], 1);
    let session = |connection: Connection| async move {
        let stream = connection.accept_bi().await.expect("a stream");
        let said = connection.read(stream).await.expect("a stream").expect("a word");
        assert_ne!(&said[..], b"panic");
        connection.write_all(stream, &said).await.expect("written");
        connection.closed().await;
    };
    let driven = endpoint.clone();
    tokio::spawn(async move { driven.drive(socket, session).await });
    let mut client = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a client");
    client.set_default_client_config(client_config);
    let mut connections = Vec::new();
    for word in ["one", "panic", "two"] {
        let connecting = client.connect(door.addresses[0], "localhost").expect("begun");
        let connection = connecting.await.expect("a handshake");
        let (mut send, recv) = connection.open_bi().await.expect("a stream");
        send.write_all(word.as_bytes()).await.expect("written");
        connections.push((word, connection, send, recv));
    }
    for (word, connection, _send, mut recv) in connections {
        let mut answer = [0; 3];
        if word == "panic" {
            connection.closed().await;
        } else {
            recv.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(answer, word.as_bytes());
        }
    }
    endpoint.close(0, b"");
}
