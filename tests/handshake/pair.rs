//! A DTLS client and a desk, in simulated time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output};
use millrace::handshake::{Algorithm, Desk, DeskLimits, Effect, Fingerprint, Identity, Outcome, crypto};
use millrace::router::command::Command;
use millrace::router::id::{SessionId, ShardId};
use millrace::wire::id::{Pt, RtpTs, Seq, Seq16, Ssrc};
use millrace::wire::rtp::Header;
use millrace::wire::srtp::{Keys, Opener, Profile, Sealer};

/// A fresh certificate.
pub(crate) fn identity() -> Identity {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
    let certificate = params.self_signed(&key).expect("a certificate");
    Identity { certificate: certificate.der().to_vec(), private_key: key.serialize_der() }
}

/// The name of the n-th session.
pub(crate) fn session(n: u32) -> SessionId {
    SessionId { index: n, generation: 0 }
}

/// What a client offers.
#[derive(Clone, Copy)]
pub(crate) enum Offers {
    Only12,
    Only13,
    Both,
}

/// The client's end.
pub(crate) struct Client {
    dtls: Dtls,
    pub(crate) out: Vec<Vec<u8>>,
    pub(crate) keys: Option<Keys>,
    pub(crate) wake: Option<Instant>,
}

impl Client {
    pub(crate) fn new(now: Instant, offers: Offers, identity: &Identity, mtu: usize) -> Self {
        let config = Config::builder()
            .with_crypto_provider(crypto::provider())
            .mtu(mtu)
            .flight_start_rto(Duration::from_millis(50))
            .flight_retries(20);
        let config = Arc::new(config.build().expect("a configuration"));
        let certificate = DtlsCertificate {
            certificate: identity.certificate.clone(),
            private_key: identity.private_key.clone(),
        };
        let mut dtls = match offers {
            Offers::Only12 => Dtls::new_12(config, certificate, now),
            Offers::Only13 => Dtls::new_13(config, certificate, now),
            Offers::Both => Dtls::new_auto(config, certificate, now),
        };
        dtls.set_active(true);
        let mut client = Self { dtls, out: Vec::new(), keys: None, wake: None };
        client.tick(now);
        client
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.dtls.handle_timeout(now).expect("the client goes on");
        self.drain();
    }

    pub(crate) fn take(&mut self, now: Instant, datagram: &[u8]) {
        self.tick(now);
        self.dtls.handle_packet(datagram).expect("the client goes on");
        self.drain();
    }

    fn drain(&mut self) {
        let mut buffer = vec![0; 4096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => self.out.push(datagram.to_vec()),
                Output::Timeout(at) => {
                    self.wake = Some(at);
                    return;
                }
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        dimpl::SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
                        dimpl::SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
                        _ => Profile::Aes128CmSha1_80,
                    };
                    self.keys = Keys::from_exporter(profile, &material, false);
                }
                _ => {}
            }
        }
    }
}

/// A desk and what it did for one session.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) desk: Desk,
    pub(crate) client: Client,
    pub(crate) keys: Option<Keys>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) to_client: Vec<Vec<u8>>,
}

/// Where the desk believes the session to live.
pub(crate) const HOME: ShardId = ShardId(3);

impl Pair {
    /// A pair whose desk knows the client's certificate.
    pub(crate) fn new(offers: Offers, mtu: usize) -> Self {
        let mine = identity();
        let fingerprint = Fingerprint::of(Algorithm::Sha256, &mine.certificate);
        Self::with(offers, mtu, &mine, vec![fingerprint])
    }

    pub(crate) fn with(offers: Offers, mtu: usize, mine: &Identity, named: Vec<Fingerprint>) -> Self {
        let now = Instant::now();
        let mut desk = Desk::new(DeskLimits::default());
        desk.expect(session(0), Arc::new(identity()), named);
        let client = Client::new(now, offers, mine, mtu);
        Self { now, desk, client, keys: None, outcomes: Vec::new(), to_client: Vec::new() }
    }

    pub(crate) fn feed(&mut self, datagram: &[u8]) -> bool {
        let taken = self.desk.feed(self.now, session(0), HOME, datagram);
        self.collect();
        taken
    }

    pub(crate) fn collect(&mut self) {
        let mut installed = false;
        while let Some(effect) = self.desk.poll_effect() {
            match effect {
                Effect::Command(HOME, Command::SendDtls { datagram, .. }) => {
                    assert!(!installed, "media under the new keys would overtake the last flight");
                    self.to_client.push(datagram);
                }
                Effect::Command(HOME, Command::InstallKeys { keys, .. }) => {
                    assert!(self.keys.is_none(), "keys are installed once");
                    installed = true;
                    self.keys = Some(*keys);
                }
                Effect::Outcome(_, outcome) => self.outcomes.push(outcome),
                other => panic!("not for this shard: {other:?}"),
            }
        }
    }

    /// Lets time pass to the next timer of either side.
    pub(crate) fn next_timer(&mut self) {
        let Some(at) = self.desk.poll_timeout().into_iter().chain(self.client.wake).min() else { return };
        self.now = self.now.max(at);
        self.client.tick(self.now);
        self.desk.handle_timeout(self.now);
        self.collect();
    }

    /// Runs until both sides are silent; `meddle` sees every datagram to the desk and returns what arrives of it.
    pub(crate) fn run(&mut self, mut meddle: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>) {
        for _ in 0..200 {
            let to_desk: Vec<_> = self.client.out.drain(..).flat_map(&mut meddle).collect();
            for datagram in &to_desk {
                self.feed(datagram);
            }
            let to_client = std::mem::take(&mut self.to_client);
            for datagram in &to_client {
                self.client.take(self.now, datagram);
            }
            if self.client.out.is_empty() {
                if !self.outcomes.is_empty() {
                    return;
                }
                self.next_timer();
            }
        }
        panic!("neither done nor failed: {:?}", self.outcomes);
    }

    /// Both sides have keys, and each opens what the other sealed.
    pub(crate) fn agree(&self) -> bool {
        let (Some(server), Some(client)) = (&self.keys, &self.client.keys) else { return false };
        opens(server, client) && opens(client, server)
    }
}

/// Whether `receiver` opens what `sender` sealed.
pub(crate) fn opens(sender: &Keys, receiver: &Keys) -> bool {
    let mut packet = [0x55; 80];
    let header = Header { marker: false, pt: Pt(96), seq: Seq16(7), ts: RtpTs(8), ssrc: Ssrc(9) };
    let header_len = header.write(&mut packet, &[]).expect("room");
    let sealed = Sealer::new(sender).seal_rtp(&mut packet, 60, header_len, Seq(7), Ssrc(9)).expect("room");
    Opener::new(receiver).open_rtp(&mut packet[..sealed]) == Ok(60) && packet[header_len..60] == [0x55; 48]
}
