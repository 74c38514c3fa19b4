//! What a whole DTLS handshake costs either side: `cargo bench --bench handshake`.
//!
//! One thread. The server's side is the desk that a worker of the server runs; the client's is dimpl with our
//! cryptography, as in the traffic generator. Certificates are on P-256, as browsers' are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output};
use millrace::handshake::{Algorithm, Desk, DeskLimits, Effect, Fingerprint, Identity, crypto};
use millrace::router::command::Command;
use millrace::router::id::{SessionId, ShardId};

/// Many short rounds: the best of them was not interrupted.
const ROUNDS: u32 = 60;
const HANDSHAKES: u32 = 10;

/// How a client of one version is made.
type New = fn(Arc<Config>, DtlsCertificate, Instant) -> Dtls;

fn identity() -> Identity {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    Identity { certificate: certificate.der().to_vec(), private_key: key.serialize_der() }
}

/// Takes out what the client wants to send; true if it has its keys.
fn drain(client: &mut Dtls, buffer: &mut [u8], out: &mut Vec<Vec<u8>>) -> bool {
    let mut keys = false;
    loop {
        match client.poll_output(buffer) {
            Output::Packet(datagram) => out.push(datagram.to_vec()),
            Output::KeyingMaterial(..) => keys = true,
            Output::Timeout(_) => return keys,
            _ => {}
        }
    }
}

/// What all handshakes have in common.
struct Bench {
    ours: Arc<Identity>,
    theirs: Identity,
    config: Arc<Config>,
    desk: Desk,
    buffer: Vec<u8>,
    count: u32,
}

impl Bench {
    /// One handshake: the time that the server took, and the client.
    fn run(&mut self, new: New) -> (Duration, Duration) {
        let now = Instant::now();
        let id = SessionId { index: self.count, generation: 0 };
        self.count += 1;
        let certificate = DtlsCertificate {
            certificate: self.theirs.certificate.clone(),
            private_key: self.theirs.private_key.clone(),
        };
        let named = vec![Fingerprint::of(Algorithm::Sha256, &self.theirs.certificate)];
        let (mut server, mut client) = (Duration::ZERO, Duration::ZERO);
        let begin = Instant::now();
        let mut peer = new(self.config.clone(), certificate, now);
        peer.set_active(true);
        peer.handle_timeout(now).expect("begins");
        let mut up = Vec::new();
        let mut secured = drain(&mut peer, &mut self.buffer, &mut up);
        client += begin.elapsed();
        let begin = Instant::now();
        self.desk.expect(id, self.ours.clone(), named);
        server += begin.elapsed();
        let mut installed = false;
        while !(secured && installed) {
            let begin = Instant::now();
            up.drain(..).for_each(|datagram| _ = self.desk.feed(now, id, ShardId(0), &datagram));
            let mut down = Vec::new();
            while let Some(effect) = self.desk.poll_effect() {
                match effect {
                    Effect::Command(_, Command::SendDtls { datagram, .. }) => down.push(datagram),
                    Effect::Command(_, Command::InstallKeys { .. }) => installed = true,
                    _ => {}
                }
            }
            server += begin.elapsed();
            assert!(installed || !down.is_empty(), "the handshake stands still");
            let begin = Instant::now();
            for datagram in down {
                peer.handle_packet(&datagram).expect("goes on");
                secured |= drain(&mut peer, &mut self.buffer, &mut up);
            }
            client += begin.elapsed();
        }
        self.desk.forget(now, id);
        (server, client)
    }
}

fn main() {
    let config = Config::builder().with_crypto_provider(crypto::provider()).mtu(1200).build();
    let config = Arc::new(config.expect("a configuration"));
    let desk = Desk::new(DeskLimits::default());
    let (ours, theirs) = (Arc::new(identity()), identity());
    let mut bench = Bench { ours, theirs, config, desk, buffer: vec![0; 4096], count: 0 };
    println!("{:<28} {:>12} {:>12}", "microseconds per handshake", "server", "client");
    let ways: [(&str, New); 2] =
        [("DTLS 1.2, as with Chromium", Dtls::new_12), ("DTLS 1.3, as with Firefox", Dtls::new_13)];
    for (name, new) in ways {
        let mut best = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let (mut server, mut client) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..HANDSHAKES {
                let (one, other) = bench.run(new);
                (server, client) = (server + one, client + other);
            }
            best = (best.0.min(server / HANDSHAKES), best.1.min(client / HANDSHAKES));
        }
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        println!("{name:<28} {:>12.0} {:>12.0}", micros(best.0), micros(best.1));
    }
}
