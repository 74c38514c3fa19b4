//! DTLS-SRTP (RFC 5764), 1.3 and 1.2 offered: the client's side of it unless the server begins.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use millrace::handshake::{Fingerprint, Identity, crypto};
use millrace::wire::srtp::{Keys, Profile};

use super::Remote;
use crate::Error;

/// As browsers do.
const FIRST_REPEAT: Duration = Duration::from_millis(50);

/// One association.
pub(super) struct Secure {
    dtls: Dtls,
    buffer: Vec<u8>,
    next: Option<Instant>,
    certificate: Option<Vec<u8>>,
    named: Vec<Fingerprint>,
    serves: bool,
}

impl Secure {
    pub(super) fn new(now: Instant, identity: &Identity, remote: &Remote) -> Result<Self, Error> {
        let certificate = DtlsCertificate {
            certificate: identity.certificate.clone(),
            private_key: identity.private_key.clone(),
        };
        let mut dtls = Dtls::new_auto(config()?, certificate, now);
        dtls.set_active(!remote.begins);
        Ok(Self {
            dtls,
            buffer: vec![0; 2048],
            next: Some(now),
            certificate: None,
            named: remote.fingerprints.clone(),
            serves: remote.begins,
        })
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut impl Extend<Vec<u8>>,
    ) -> Result<Option<Keys>, Error> {
        self.dtls.handle_timeout(now).map_err(failed)?;
        self.drain(out)
    }

    pub(super) fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        out: &mut impl Extend<Vec<u8>>,
    ) -> Result<Option<Keys>, Error> {
        self.dtls.handle_timeout(now).map_err(failed)?;
        let before = self.drain(out)?;
        self.dtls.handle_packet(datagram).map_err(failed)?;
        Ok(self.drain(out)?.or(before))
    }

    fn drain(&mut self, out: &mut impl Extend<Vec<u8>>) -> Result<Option<Keys>, Error> {
        let mut keys = None;
        loop {
            match self.dtls.poll_output(&mut self.buffer) {
                Output::Packet(datagram) => out.extend([datagram.to_vec()]),
                Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                Output::PeerCert(der) => self.certificate = Some(der.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    let profile = match profile {
                        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
                        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
                        _ => Profile::Aes128CmSha1_80,
                    };
                    self.check()?;
                    keys = Keys::from_exporter(profile, &material, self.serves);
                }
                Output::Timeout(at) => {
                    self.next = Some(at);
                    return Ok(keys);
                }
                _ => {}
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        let certificate = self.certificate.as_deref().unwrap_or_default();
        let matches = |named: &Fingerprint| Fingerprint::of(named.algorithm, certificate) == *named;
        match self.named.iter().any(matches) {
            true => Ok(()),
            false => Err(Error::Media("the server's certificate is not the one that its SDP names".into())),
        }
    }
}

/// One for all: dimpl tries its cryptography out whenever one is made, which takes longer than a handshake.
fn config() -> Result<Arc<Config>, Error> {
    static CONFIG: OnceLock<Result<Arc<Config>, dimpl::Error>> = OnceLock::new();
    let make = || {
        let config = Config::builder().with_crypto_provider(crypto::provider());
        config.flight_start_rto(FIRST_REPEAT).flight_retries(10).mtu(1200).build().map(Arc::new)
    };
    CONFIG.get_or_init(make).clone().map_err(failed)
}

fn failed(error: dimpl::Error) -> Error {
    Error::Media(format!("DTLS failed: {error}"))
}
