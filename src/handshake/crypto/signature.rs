//! Signatures: ours by the key of our certificate, the peer's by its certificate.

use std::sync::{Arc, Mutex, PoisonError};

use dimpl::crypto::{
    Buf, HashAlgorithm, KeyProvider, NamedGroup, SignatureAlgorithm, SignatureVerifier, SigningKey,
};
use dimpl::{CryptoError, CryptoOperation};
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};

use super::certificate::{self, Curve};
use super::failed;

#[derive(Debug)]
pub(super) struct Keys;

/// The key that was asked for last, and what it was read from. Each handshake asks for the key of our certificate, and
/// reading it computes its public half.
static LAST: Mutex<Option<(Vec<u8>, Key)>> = Mutex::new(None);

impl KeyProvider for Keys {
    /// PKCS#8, DER.
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = &*last
            && of == der
        {
            return Ok(Box::new(key.clone()));
        }
        let key = Key::read(der)?;
        *last = Some((der.to_vec(), key.clone()));
        Ok(Box::new(key))
    }
}

impl Key {
    fn read(der: &[u8]) -> Result<Self, CryptoError> {
        let ways = [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, [HashAlgorithm::SHA256]),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, [HashAlgorithm::SHA384]),
        ];
        for (algorithm, hashes) in ways {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new()) {
                return Ok(Self { pair: Arc::new(pair), hashes });
            }
        }
        Err(CryptoError::InvalidPrivateKey)
    }
}

#[derive(Clone, Debug)]
struct Key {
    pair: Arc<EcdsaKeyPair>,
    /// The one that goes with its curve.
    hashes: [HashAlgorithm; 1],
}

impl SigningKey for Key {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        if hash != self.hash_algorithm() {
            let key_hash = self.hash_algorithm();
            return Err(CryptoError::SigningKeyHashMismatch { key_hash, requested: hash });
        }
        let signature =
            self.pair.sign(&SystemRandom::new(), data).map_err(|_| failed(CryptoOperation::Sign))?;
        out.clear();
        out.extend_from_slice(signature.as_ref());
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        let [hash] = self.hashes;
        hash
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &self.hashes
    }
}

#[derive(Debug)]
pub(super) struct Verifier;

impl SignatureVerifier for Verifier {
    fn verify_signature(
        &self,
        certificate: &[u8],
        data: &[u8],
        signature: &[u8],
        hash: HashAlgorithm,
        algorithm: SignatureAlgorithm,
    ) -> Result<(), CryptoError> {
        if algorithm != SignatureAlgorithm::ECDSA {
            return Err(CryptoError::UnsupportedSignatureAlgorithm(algorithm));
        }
        let key = certificate::public_key(certificate)?;
        let group = match key.curve {
            Curve::P256 => NamedGroup::Secp256r1,
            Curve::P384 => NamedGroup::Secp384r1,
        };
        let way: &dyn signature::VerificationAlgorithm = match (key.curve, hash) {
            (Curve::P256, HashAlgorithm::SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Curve::P256, HashAlgorithm::SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            (Curve::P384, HashAlgorithm::SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            (Curve::P384, HashAlgorithm::SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            _ => {
                return Err(CryptoError::UnsupportedSignatureVerification {
                    signature: algorithm,
                    hash,
                    group,
                });
            }
        };
        UnparsedPublicKey::new(way, key.point)
            .verify(data, signature)
            .map_err(|_| CryptoError::SignatureVerificationFailed { signature: algorithm, hash, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key on a curve.
    fn identity(curve: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
        let key = rcgen::KeyPair::generate_for(curve).expect("a key");
        let certificate = rcgen::CertificateParams::new(vec!["somebody".to_owned()]).expect("parameters");
        let certificate = certificate.self_signed(&key).expect("a certificate");
        (certificate.der().to_vec(), key.serialize_der())
    }

    #[test]
    fn what_a_key_signed_its_certificate_verifies_and_no_other() {
        let curves = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384];
        for curve in curves {
            let (certificate, private) = identity(curve);
            let mut key = Keys.load_private_key(&private).expect("a key");
            let mut signed = Buf::new();
            let hash = key.hash_algorithm();
            key.sign(b"data", hash, &mut signed).expect("signed");
            let verify = |certificate: &[u8], data: &[u8]| {
                Verifier.verify_signature(certificate, data, &signed, hash, SignatureAlgorithm::ECDSA)
            };
            assert_eq!(verify(&certificate, b"data"), Ok(()));
            assert!(verify(&certificate, b"date").is_err());
            assert!(verify(&identity(curve).0, b"data").is_err());
            assert!(key.sign(b"data", HashAlgorithm::SHA512, &mut Buf::new()).is_err());
        }
        assert!(Keys.load_private_key(b"no key").is_err());
    }
}
