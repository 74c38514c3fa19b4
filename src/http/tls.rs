//! The certificate of the page, read again when its files change: it is renewed while the server runs.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use super::HttpError;
use crate::config::Tls;
use crate::tls;

/// What tells whether a file is still the one that was read: its number, its length, when it was written.
type Seen = [Option<(u64, u64, i64, i64)>; 2];

/// What an authority speaks that wants to see a name proved (RFC 8737 section 4).
pub(super) const CHALLENGE: &[u8] = b"acme-tls/1";

/// Certificates that answer challenges, by the name that is to be proved; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Challenges(Arc<Mutex<HashMap<String, Arc<CertifiedKey>>>>);

impl Challenges {
    /// From now on this certificate is shown to an authority that asks for `name`.
    pub fn answer(&self, name: &str, certificate: Vec<u8>, key: Vec<u8>) -> Result<(), rustls::Error> {
        let key = tls::provider().key_provider.load_private_key(PrivatePkcs8KeyDer::from(key).into())?;
        // Not looked into: with an extension that only authorities know it would be refused.
        let shown = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
        self.with(|all| all.insert(name.to_owned(), Arc::new(shown)));
        Ok(())
    }

    /// No challenge is open any more.
    pub fn clear(&self) {
        self.with(HashMap::clear);
    }

    fn with<R>(&self, work: impl FnOnce(&mut HashMap<String, Arc<CertifiedKey>>) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Shows the page's certificate to clients, and answers to authorities.
#[derive(Debug)]
struct Shown {
    page: Arc<CertifiedKey>,
    challenges: Challenges,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut spoken| spoken.any(|one| one == CHALLENGE)) {
            let name = hello.server_name()?.to_ascii_lowercase();
            return self.challenges.with(|all| all.get(&name).cloned());
        }
        Some(Arc::clone(&self.page))
    }
}

/// A certificate that serves.
pub(super) struct Certificate {
    files: Tls,
    challenges: Challenges,
    config: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

impl Certificate {
    pub(super) fn read(files: &Tls) -> Result<Self, HttpError> {
        // Seen before it is read: what changes meanwhile is read once more.
        let seen = Mutex::new(look(files));
        let challenges = Challenges::default();
        let config = RwLock::new(read(files, &challenges)?);
        Ok(Self { files: files.clone(), challenges, config, seen })
    }

    /// Secures one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(super) fn challenges(&self) -> Challenges {
        self.challenges.clone()
    }

    /// Reads the files again if they are others than before. Of no use, as while only one of the two is new, they change
    /// nothing. Connections that there are go on.
    pub(super) fn refresh(&self) {
        let now = look(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match read(&self.files, &self.challenges) {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                info!("a new certificate of the page is in service: {}", self.files.cert.display());
            }
            Err(problem) => error!("the page keeps the certificate that it has: {problem}"),
        }
    }
}

fn look(files: &Tls) -> Seen {
    let of = |path: &Path| {
        let file = fs::metadata(path).ok()?;
        Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    };
    [of(&files.cert), of(&files.key)]
}

fn read(files: &Tls, challenges: &Challenges) -> Result<Arc<ServerConfig>, HttpError> {
    let problem = |file: &Path, reason: String| HttpError::Tls { file: file.display().to_string(), reason };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| problem(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(problem(&files.cert, "there is no certificate in it".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| problem(&files.key, error.to_string()))?;
    let provider = Arc::new(tls::provider());
    let wrong = |error: rustls::Error| problem(&files.key, error.to_string());
    let page = CertifiedKey::from_der(chain, key, &provider).map_err(wrong)?;
    let shown = Shown { page: Arc::new(page), challenges: challenges.clone() };
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.map_err(wrong)?.with_no_client_auth().with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), CHALLENGE.to_vec()];
    Ok(Arc::new(config))
}
