//! The certificate of the page, read again when its files change: it is renewed while the server runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use super::HttpError;
use crate::config::Tls;
use crate::tls;

/// What tells whether a file is still the one that was read: its number, its length, when it was written.
type Seen = [Option<(u64, u64, i64, i64)>; 2];

/// A certificate that serves.
pub(super) struct Certificate {
    files: Tls,
    config: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

impl Certificate {
    pub(super) fn read(files: &Tls) -> Result<Self, HttpError> {
        // Seen before it is read: what changes meanwhile is read once more.
        let seen = Mutex::new(look(files));
        let config = RwLock::new(read(files)?);
        Ok(Self { files: files.clone(), config, seen })
    }

    /// Secures one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
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
        match read(&self.files) {
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

fn read(files: &Tls) -> Result<Arc<ServerConfig>, HttpError> {
    let problem = |file: &Path, reason: String| HttpError::Tls { file: file.display().to_string(), reason };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| problem(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(problem(&files.cert, "there is no certificate in it".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| problem(&files.key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(tls::provider().into())
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| problem(&files.key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
