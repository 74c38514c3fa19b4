//! The certificate of the QUIC endpoint and of DTLS: self-signed, short-lived, kept in the data folder.
//!
//! A browser accepts a self-signed certificate for WebTransport by its SHA-256 if it is ECDSA on P-256 and valid for at
//! most 14 days (W3C WebTransport, `serverCertificateHashes`). Ours are valid for 13: one day before their service
//! begins, for clocks that are slow, seven days of service, five days in reserve. The next one is made when the
//! current one begins its service, so that its hash can be published long before.

pub(crate) mod der;

pub(crate) use self::der::date;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY: u64 = 24 * 3600;
/// From the first moment to the last.
const VALIDITY: u64 = 13 * DAY;
/// How long before its service a certificate is already valid.
const LEAD: u64 = DAY;
/// How long a certificate serves.
const SERVICE: u64 = 7 * DAY;

const FILE: &str = "certificates.json";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file could not be written or read.
    #[error("{path}: {source}: the certificate is kept in the data folder, which must be writable")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate could not be made.
    #[error("a certificate could not be made: the operating system gives no random bytes")]
    Make,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Seconds since 1970 at which it becomes valid.
    not_before: u64,
    #[serde(with = "hex")]
    certificate: Vec<u8>,
    #[serde(with = "hex")]
    private_key: Vec<u8>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({}, ..)", self.hash_hex())
    }
}

impl Certificate {
    /// One whose service begins at `serves_from`, in seconds since 1970.
    fn make(serves_from: u64) -> Result<Self, CertificateError> {
        let not_before = serves_from.saturating_sub(LEAD);
        let validity = (not_before, not_before + VALIDITY);
        let make = || {
            let private_key = der::key()?;
            let certificate = der::certificate(&private_key, "millrace", "localhost", validity)?;
            Ok(Self { not_before, certificate, private_key })
        };
        make().map_err(|_: ring::error::Unspecified| CertificateError::Make)
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key, PKCS#8, DER.
    pub fn private_key(&self) -> &[u8] {
        &self.private_key
    }

    /// When it becomes valid and when it ceases to be, in time since 1970.
    pub const fn validity(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.not_before), Duration::from_secs(self.not_before + VALIDITY))
    }

    /// SHA-256 of the certificate.
    pub fn hash(&self) -> [u8; 32] {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        let mut hash = [0; 32];
        hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }

    /// The hash in hexadecimal, as `/config.json` shows it.
    pub fn hash_hex(&self) -> String {
        hex::text(&self.hash())
    }

    const fn serves_from(&self) -> u64 {
        self.not_before + LEAD
    }

    const fn serves_until(&self) -> u64 {
        self.serves_from() + SERVICE
    }

    /// Whether it is valid now and its service not over.
    const fn serves(&self, now: u64) -> bool {
        self.not_before <= now && now < self.serves_until()
    }

    /// Whether the key reads as what it should be and belongs to the certificate.
    fn sound(&self) -> bool {
        let Some(public) = der::public_half(&self.private_key) else { return false };
        self.certificate.windows(public.len()).any(|window| window == public)
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    current: Certificate,
    next: Certificate,
}

/// The certificate in service and the next one.
#[derive(Debug)]
pub struct Certificates {
    path: PathBuf,
    current: Certificate,
    next: Certificate,
}

impl Certificates {
    /// Those kept in the data folder, or new ones.
    pub fn open(data: &Path, now: Duration) -> Result<Self, CertificateError> {
        let path = data.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => crate::json::parse(&bytes)
                .ok()
                .filter(|kept: &Kept| kept.current.sound() && kept.next.sound())
                // Nothing is lost that clients would not learn anew from /config.json.
                .or_else(|| {
                    tracing::warn!("{}: not readable as certificates: making new ones", path.display());
                    None
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(CertificateError::File { path, source }),
        };
        match kept {
            Some(Kept { current, next }) => {
                let mut certificates = Self { path, current, next };
                certificates.rotate(now)?;
                Ok(certificates)
            }
            None => {
                let current = Certificate::make(now.as_secs())?;
                let next = Certificate::make(current.serves_until())?;
                let certificates = Self { path, current, next };
                certificates.keep()?;
                Ok(certificates)
            }
        }
    }

    /// The one in service.
    pub const fn current(&self) -> &Certificate {
        &self.current
    }

    /// The one that serves next.
    pub const fn next(&self) -> &Certificate {
        &self.next
    }

    /// The hashes of both in hexadecimal, for `/config.json`.
    pub fn hashes(&self) -> Vec<String> {
        vec![self.current.hash_hex(), self.next.hash_hex()]
    }

    /// When to call [`Certificates::rotate`] next, in time since 1970.
    pub const fn due(&self) -> Duration {
        Duration::from_secs(self.current.serves_until())
    }

    /// Puts the next certificate into service if its time has come; whether there is another current one now.
    pub fn rotate(&mut self, now: Duration) -> Result<bool, CertificateError> {
        let now = now.as_secs();
        if self.current.serves(now) {
            return Ok(false);
        }
        // Where the server was down for long, or the clock was set back, neither is of use.
        let current = if self.next.serves(now) { self.next.clone() } else { Certificate::make(now)? };
        let next = Certificate::make(current.serves_until())?;
        let rotated = Self { path: self.path.clone(), current, next };
        rotated.keep()?;
        *self = rotated;
        Ok(true)
    }

    /// Writes both, whole or not at all, readable by the owner alone.
    fn keep(&self) -> Result<(), CertificateError> {
        let kept = Kept { current: self.current.clone(), next: self.next.clone() };
        let new = self.path.with_extension("new");
        let write = || -> io::Result<()> {
            let bytes = serde_json::to_vec(&kept)?;
            // One left by a crash may have other permissions.
            let _ = fs::remove_file(&new);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| CertificateError::File { path: self.path.clone(), source })
    }
}

/// Bytes as hexadecimal in JSON.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) use crate::control::directory::hex as text;
    use crate::control::directory::unhex;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        unhex(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}
