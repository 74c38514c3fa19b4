//! Protection of records: AES-GCM in DTLS 1.2 (RFC 5288) and 1.3 (RFC 9147 section 4).

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use dimpl::crypto::{
    Aad, Buf, Cipher, Dtls12CipherSuite, Dtls13CipherSuite, HashAlgorithm, Nonce, SupportedDtls12CipherSuite,
    SupportedDtls13CipherSuite, TmpBuf,
};
use dimpl::{CryptoError, CryptoOperation};
use ring::aead::{self, LessSafeKey, UnboundKey};

use super::failed;

const KEY_128: usize = 16;
const KEY_256: usize = 32;
const TAG: usize = 16;
/// Of the nonce's 12 bytes in DTLS 1.2: what the keys say, and what each record says.
const FIXED_NONCE: usize = 4;
const EXPLICIT_NONCE: usize = 8;

/// Best first.
pub(super) static SUITES_12: &[&dyn SupportedDtls12CipherSuite] = &[
    &Suite { name: Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256, key: KEY_128 },
    &Suite { name: Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384, key: KEY_256 },
];

/// Best first.
pub(super) static SUITES_13: &[&dyn SupportedDtls13CipherSuite] = &[
    &Suite { name: Dtls13CipherSuite::AES_128_GCM_SHA256, key: KEY_128 },
    &Suite { name: Dtls13CipherSuite::AES_256_GCM_SHA384, key: KEY_256 },
];

#[derive(Debug)]
struct Suite<N> {
    name: N,
    /// Bytes of its key.
    key: usize,
}

impl<N> Suite<N> {
    /// The longer key goes with the longer hash.
    const fn hash(&self) -> HashAlgorithm {
        if self.key == KEY_256 { HashAlgorithm::SHA384 } else { HashAlgorithm::SHA256 }
    }
}

impl SupportedDtls12CipherSuite for Suite<Dtls12CipherSuite> {
    fn suite(&self) -> Dtls12CipherSuite {
        self.name
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash()
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        (0, self.key, FIXED_NONCE)
    }

    fn explicit_nonce_len(&self) -> usize {
        EXPLICIT_NONCE
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        cipher(key)
    }
}

impl SupportedDtls13CipherSuite for Suite<Dtls13CipherSuite> {
    fn suite(&self) -> Dtls13CipherSuite {
        self.name
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash()
    }

    fn key_len(&self) -> usize {
        self.key
    }

    fn iv_len(&self) -> usize {
        aead::NONCE_LEN
    }

    fn tag_len(&self) -> usize {
        TAG
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        cipher(key)
    }

    /// RFC 9147 section 4.2.3: the sample as one block of AES.
    fn encrypt_sn(&self, key: &[u8], sample: &[u8; 16]) -> [u8; 16] {
        let mut block = aes::Block::from(*sample);
        // A key of another length is none of this suite's; what it hides nobody could read.
        if let Ok(aes) = Aes128::new_from_slice(key) {
            aes.encrypt_block(&mut block);
        } else if let Ok(aes) = Aes256::new_from_slice(key) {
            aes.encrypt_block(&mut block);
        }
        block.into()
    }
}

struct AesGcm(LessSafeKey);

impl std::fmt::Debug for AesGcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AesGcm")
    }
}

fn cipher(key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
    let algorithm = if key.len() == KEY_256 { &aead::AES_256_GCM } else { &aead::AES_128_GCM };
    let key = UnboundKey::new(algorithm, key).map_err(|_| failed(CryptoOperation::CreateCipher))?;
    Ok(Box::new(AesGcm(LessSafeKey::new(key))))
}

impl Cipher for AesGcm {
    fn encrypt(&mut self, plaintext: &mut Buf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        self.0
            .seal_in_place_append_tag(nonce, aead::Aad::from(&*aad), plaintext)
            .map_err(|_| failed(CryptoOperation::Encrypt))
    }

    fn decrypt(&mut self, ciphertext: &mut TmpBuf, aad: Aad, nonce: Nonce) -> Result<(), CryptoError> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce.0);
        let opened = self
            .0
            .open_in_place(nonce, aead::Aad::from(&*aad), ciphertext.as_mut())
            .map_err(|_| failed(CryptoOperation::Decrypt))?;
        let len = opened.len();
        ciphertext.truncate(len);
        Ok(())
    }
}
