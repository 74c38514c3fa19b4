//! What a client brings along: a certificate for DTLS, and random names and numbers.

use millrace::handshake::{Algorithm, Fingerprint, Identity};
use ring::rand::{SecureRandom, SystemRandom};

/// A fresh self-signed certificate. Many clients may share one: making one costs more than a handshake.
pub fn certificate() -> Result<Identity, crate::Error> {
    let failed = |e: rcgen::Error| crate::Error::Media(format!("no certificate can be made: {e}"));
    let key = rcgen::KeyPair::generate().map_err(failed)?;
    let params = rcgen::CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Identity { certificate: certificate.der().to_vec(), private_key: key.serialize_der() })
}

/// Its fingerprint, as SDP names it.
pub fn fingerprint(identity: &Identity) -> Fingerprint {
    Fingerprint::of(Algorithm::Sha256, &identity.certificate)
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness the operating system is broken; zeros then make the session fail, not the process.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

/// A random name of `len` letters and digits.
pub fn random_name(len: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyzABCDEFGH";
    (0..len).map(|_| char::from(LETTERS[usize::from(random::<1>()[0] % 32)])).collect()
}
