//! The cryptography under DTLS, by `ring`: what SRTP and QUIC use already, and several times as fast for elliptic
//! curves as what dimpl brings.
//!
//! ChaCha20 is left out: AES-128-GCM is mandatory to implement in DTLS 1.3 (RFC 8446 section 9.1) and between browsers
//! (RFC 8827 section 6.5), and SRTP needs AES anyhow.

mod certificate;
mod exchange;
mod record;
mod signature;

use dimpl::crypto::{
    Buf, CryptoProvider, HashAlgorithm, HashContext, HashProvider, HmacProvider, SecureRandom,
};
use dimpl::{CryptoError, CryptoOperation};
use ring::rand::SecureRandom as _;
use ring::{digest, hmac};

/// What dimpl is to be configured with.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: exchange::GROUPS,
        signature_verification: &signature::Verifier,
        key_provider: &signature::Keys,
        secure_random: &Random,
        hash_provider: &Hashes,
        hmac_provider: &Hmacs,
        cipher_suites: record::SUITES_12,
        dtls13_cipher_suites: record::SUITES_13,
    }
}

const fn failed(operation: CryptoOperation) -> CryptoError {
    CryptoError::OperationFailed(operation)
}

#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buf: &mut [u8]) -> Result<(), CryptoError> {
        ring::rand::SystemRandom::new().fill(buf).map_err(|_| failed(CryptoOperation::FillRandom))
    }
}

#[derive(Debug)]
struct Hashes;

impl HashProvider for Hashes {
    fn create_hash(&self, algorithm: HashAlgorithm) -> Box<dyn HashContext> {
        // No suite of ours has any but these two.
        let algorithm = if algorithm == HashAlgorithm::SHA384 { &digest::SHA384 } else { &digest::SHA256 };
        Box::new(Hash(digest::Context::new(algorithm)))
    }
}

struct Hash(digest::Context);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

impl HashContext for Hash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn clone_and_finalize(&self, out: &mut Buf) {
        out.clear();
        out.extend_from_slice(self.0.clone().finish().as_ref());
    }
}

#[derive(Debug)]
struct Hmacs;

impl HmacProvider for Hmacs {
    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::SHA256 => hmac::HMAC_SHA256,
            HashAlgorithm::SHA384 => hmac::HMAC_SHA384,
            _ => return Err(CryptoError::UnsupportedHmacHash(hash)),
        };
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), data);
        let room = out.get_mut(..tag.as_ref().len()).ok_or(failed(CryptoOperation::ComputeHmac))?;
        room.copy_from_slice(tag.as_ref());
        Ok(room.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_gives_what_the_published_vectors_say() {
        // dimpl compares hashes, HMAC, PRF, AEAD, record numbers, signatures and exchanges with known ones.
        provider().validate().expect("all as published");
    }
}
