//! QUIC over the shards' sockets: a real client against a real server whose datagrams come through two shards.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millrace::batch::{Path, TxBatch};
use millrace::net::{self, Choice, Io};
use millrace::router::command::Command;
use millrace::router::counters::Counters;
use millrace::router::event::Event;
use millrace::router::id::{SessionId, ShardId};
use millrace::shard::{Core, ShardConfig, Shards, Sinks};
use millrace::signal::quic_socket::QuicSocket;
use millrace::units::Instant;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A core without sessions: whatever is not QUIC ends here.
struct Empty(Arc<AtomicUsize>);

impl Core for Empty {
    type Peer = ();

    fn handle_datagram(&mut self, _: Instant, _: Path, _: &mut [u8]) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn handle_command(&mut self, _: Instant, _: Command) {}
    fn handle_peer(&mut self, _: Instant, _: ShardId, (): ()) {}
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }
    fn poll_transmit(&mut self, _: Instant, _: &mut TxBatch) -> bool {
        false
    }
    fn poll_peer(&mut self) -> Option<(ShardId, ())> {
        None
    }
    fn poll_event(&mut self) -> Option<Event> {
        None
    }
    fn suspect(&self) -> Option<SessionId> {
        None
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

fn identity() -> (ServerConfig, ClientConfig) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).expect("a certificate");
    let certificate: CertificateDer<'static> = key.cert.der().clone();
    let private = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private.into())
        .expect("a key that fits");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = QuicServerConfig::try_from(server).expect("a QUIC server");
    let client = QuicClientConfig::try_from(client).expect("a QUIC client");
    (ServerConfig::with_crypto(Arc::new(server)), ClientConfig::new(Arc::new(client)))
}

struct Server {
    shards: Shards,
    endpoint: Endpoint,
    addresses: Vec<SocketAddr>,
    strays: Arc<AtomicUsize>,
}

fn serve(io: &Choice, listen: &[&str], config: ServerConfig) -> Server {
    let listen: Vec<SocketAddr> = listen.iter().map(|l| l.parse().expect("an address")).collect();
    let sockets = net::bind(&listen, 2).expect("free ports");
    let addresses = sockets.addresses();
    let (socket, intake) = QuicSocket::new(&sockets).expect("a socket");
    let (shards, seats) = Shards::new(2).expect("shards");
    let strays = Arc::new(AtomicUsize::new(0));
    let sinks = |_| {
        let intake = intake.clone();
        Sinks { event: Box::new(|_| {}), quic: Box::new(move |path, bytes| intake.deliver(path, bytes)) }
    };
    let config_of_shards = ShardConfig { sockets, io: io.clone(), pin: false };
    seats.start_with(config_of_shards, |_| Empty(strays.clone()), sinks).expect("they start");
    let mut endpoint_config = EndpointConfig::default();
    endpoint_config.grease_quic_bit(false);
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new_with_abstract_socket(endpoint_config, Some(config), socket, runtime);
    Server { shards, endpoint: endpoint.expect("an endpoint"), addresses, strays }
}

/// Echoes every stream of every connection.
async fn echo(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let connection = incoming.await.expect("a handshake");
            while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                let bytes = recv.read_to_end(8 << 20).await.expect("the whole stream");
                send.write_all(&bytes).await.expect("written");
                send.finish().expect("finished");
            }
        });
    }
}

fn choices() -> Vec<Choice> {
    [Io::Mmsg, Io::Uring].into_iter().filter_map(|io| Choice::probe(io).ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_two_shards_talk_to_one_endpoint() {
    for choice in choices() {
        let (server_config, client_config) = identity();
        let server = serve(&choice, &["127.0.0.1:0"], server_config);
        tokio::spawn(echo(server.endpoint.clone()));
        let mut calls = Vec::new();
        for nth in 0..24u8 {
            let (address, config) = (server.addresses[0], client_config.clone());
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
        server.endpoint.close(0u32.into(), b"");
        server.shards.stop();
        let stats = server.shards.stats();
        assert!(stats.iter().all(|shard| shard.quic > 0), "both shards took part: {stats:?}");
        assert_eq!(server.strays.load(Ordering::Relaxed), 0, "every datagram was recognised as QUIC");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_family_answers_from_its_own_socket() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("no IPv6 here");
        return;
    }
    for choice in choices() {
        let (server_config, client_config) = identity();
        let server = serve(&choice, &["0.0.0.0:0", "[::]:0"], server_config);
        tokio::spawn(echo(server.endpoint.clone()));
        let targets = [("127.0.0.1:0", "127.0.0.2", 0), ("[::1]:0", "::1", 1)];
        for (from, to, place) in targets {
            let to = SocketAddr::new(to.parse().expect("an address"), server.addresses[place].port());
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
        server.endpoint.close(0u32.into(), b"");
        server.shards.stop();
    }
}
