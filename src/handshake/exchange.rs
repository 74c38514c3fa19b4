//! One DTLS handshake in the server role: dimpl, driven and watched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, KeyingMaterial, Output, SrtpProfile};

use super::{Failure, Identity, crypto};
use crate::wire::srtp::{Keys, Profile};

/// First repetition of an unanswered flight; doubled each time. Browsers begin at 50 ms, so they are mostly first.
const FIRST_REPEAT: Duration = Duration::from_millis(400);
/// Repetitions of a flight, those that answer the peer's own repetitions included.
const REPEATS: usize = 16;
/// From the first ClientHello to the keys.
const DEADLINE: Duration = Duration::from_secs(20);
/// Datagrams of a flight stay under what any path carries.
const MTU: usize = 1200;

/// A DTLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 6347.
    Dtls12,
    /// RFC 9147.
    Dtls13,
}

/// What one step brought.
#[derive(Default)]
pub(super) struct Step {
    /// To be sent.
    pub(super) datagrams: Vec<Vec<u8>>,
    /// The peer's certificate, whose possession it proved by the time there are keys.
    pub(super) certificate: Option<Vec<u8>>,
    /// There when the handshake is done and an SRTP profile was agreed on.
    pub(super) keys: Option<Keys>,
    /// The handshake is done.
    pub(super) connected: bool,
    /// When to call [`Exchange::wait`] next.
    pub(super) wake: Option<Instant>,
}

/// The handshake.
pub(super) struct Exchange {
    dtls: Dtls,
    version: Version,
}

/// What all handshakes have in common; `None` if dimpl refuses it.
pub(super) fn config() -> Option<Arc<Config>> {
    Config::builder()
        .with_crypto_provider(crypto::provider())
        // ICE has proved that the peer receives at its address: a cookie would cost a round trip for nothing.
        .use_server_cookie(false)
        .mtu(MTU)
        .flight_start_rto(FIRST_REPEAT)
        .flight_retries(REPEATS)
        .handshake_timeout(DEADLINE)
        .build()
        .ok()
        .map(Arc::new)
}

impl Exchange {
    pub(super) fn new(
        version: Version,
        config: Arc<Config>,
        identity: &Identity,
        now: Instant,
    ) -> Result<Self, Failure> {
        let certificate = DtlsCertificate {
            certificate: identity.certificate.clone(),
            private_key: identity.private_key.clone(),
        };
        confined(|| {
            let dtls = match version {
                Version::Dtls12 => Dtls::new_12(config, certificate, now),
                Version::Dtls13 => Dtls::new_13(config, certificate, now),
            };
            Ok(Self { dtls, version })
        })
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Takes a datagram from the peer.
    pub(super) fn take(&mut self, now: Instant, datagram: &[u8], step: &mut Step) -> Result<(), Failure> {
        confined(|| {
            self.dtls.handle_timeout(now).map_err(failed)?;
            self.drain(step);
            self.dtls.handle_packet(datagram).map_err(failed)?;
            self.drain(step);
            Ok(())
        })
    }

    /// Does what is due.
    pub(super) fn wait(&mut self, now: Instant, step: &mut Step) -> Result<(), Failure> {
        confined(|| {
            self.dtls.handle_timeout(now).map_err(failed)?;
            self.drain(step);
            Ok(())
        })
    }

    fn drain(&mut self, step: &mut Step) {
        // Not kept: every peer of the last seconds has its handshake.
        let mut buffer = vec![0; 2 * MTU];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => step.datagrams.push(datagram.to_vec()),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::PeerCert(der) => step.certificate = Some(der.to_vec()),
                Output::Connected => step.connected = true,
                Output::KeyingMaterial(material, profile) => step.keys = keys(&material, profile),
                Output::Timeout(at) => {
                    step.wake = Some(at);
                    return;
                }
                // Nothing but SRTP keys is wanted of the connection (RFC 5764 section 4.1).
                _ => {}
            }
        }
    }
}

fn keys(material: &KeyingMaterial, profile: SrtpProfile) -> Option<Keys> {
    let profile = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
        _ => return None,
    };
    Keys::from_exporter(profile, material, true)
}

fn failed(error: dimpl::Error) -> Failure {
    Failure::Dtls(error.to_string())
}

/// A panic in DTLS code ends the session that it served, not the worker.
fn confined<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Failure::Bug))
}
