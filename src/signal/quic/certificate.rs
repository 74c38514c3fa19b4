//! The certificate of signalling.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls;

/// The certificate that new connections see; it can be swapped while the endpoint runs.
#[derive(Debug)]
pub struct CertificateSlot(RwLock<Arc<CertifiedKey>>);

impl CertificateSlot {
    /// A slot with this certificate (DER) and its key (PKCS#8, DER).
    pub fn new(certificate: &[u8], private_key: &[u8]) -> Result<Self, rustls::Error> {
        Ok(Self(RwLock::new(certified(certificate, private_key)?)))
    }

    /// New connections see this certificate from now on; those that are open stay.
    pub fn swap(&self, certificate: &[u8], private_key: &[u8]) -> Result<(), rustls::Error> {
        let new = certified(certificate, private_key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for CertificateSlot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(certificate: &[u8], private_key: &[u8]) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    let key = PrivateKeyDer::Pkcs8(private_key.to_vec().into());
    let provider = tls::provider();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?))
}
