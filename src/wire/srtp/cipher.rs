//! The two kinds of transforms, with keys expanded ahead.

use aes::Aes128;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, Mac};
use ring::aead::{Aad, LessSafeKey, Nonce, Tag};
use sha1::Sha1;

use crate::wire::id::Ssrc;

/// Session keys of SRTP or of SRTCP in one direction.
#[derive(Clone, Debug)]
pub(super) enum Cipher {
    /// RFC 7714.
    Gcm(Gcm),
    /// RFC 3711.
    Cm(Cm),
}

/// Salt, source and index, laid over each other in 112 bits: the counter block of RFC 3711 section 4.1.1 without its
/// last 16 bits, and in its low 96 bits the nonce of RFC 7714 sections 8.1 and 9.1.
fn nonce(salt: u128, ssrc: Ssrc, index: u64) -> u128 {
    salt ^ (u128::from(ssrc.0) << 48) ^ u128::from(index)
}

/// AEAD_AES_128_GCM or AEAD_AES_256_GCM.
#[derive(Clone)]
pub(super) struct Gcm {
    pub(super) key: LessSafeKey,
    pub(super) salt: u128,
}

impl Gcm {
    fn nonce(&self, ssrc: Ssrc, index: u64) -> Nonce {
        let [_, _, _, _, nonce @ ..] = nonce(self.salt, ssrc, index).to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts `body` in place.
    pub(super) fn seal(&self, ssrc: Ssrc, index: u64, aad: &[u8], body: &mut [u8]) -> Option<Tag> {
        self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(aad), body).ok()
    }

    /// Decrypts in place what is authentic.
    pub(super) fn open(&self, ssrc: Ssrc, index: u64, aad: &[u8], body_and_tag: &mut [u8]) -> bool {
        self.key.open_in_place(self.nonce(ssrc, index), Aad::from(aad), body_and_tag).is_ok()
    }
}

impl std::fmt::Debug for Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gcm(..)")
    }
}

/// AES_CM_128_HMAC_SHA1_80.
#[derive(Clone)]
pub(super) struct Cm {
    pub(super) aes: Aes128,
    pub(super) mac: Hmac<Sha1>,
    pub(super) salt: u128,
}

impl Cm {
    /// Encrypts or decrypts `body` in place.
    pub(super) fn crypt(&self, ssrc: Ssrc, index: u64, body: &mut [u8]) {
        let iv = (nonce(self.salt, ssrc, index) << 16).to_be_bytes();
        let mut stream: Ctr128BE<&Aes128> =
            StreamCipherCoreWrapper::from_core(CtrCore::inner_iv_init(&self.aes, &iv.into()));
        stream.apply_keystream(body);
    }

    fn mac(&self, covered: &[u8], trailer: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(covered);
        mac.update(trailer);
        mac
    }

    /// Writes the tag over `covered` and `trailer`, cut to the room in `tag`.
    pub(super) fn tag(&self, covered: &[u8], trailer: &[u8], tag: &mut [u8]) {
        let full = self.mac(covered, trailer).finalize().into_bytes();
        for (to, from) in tag.iter_mut().zip(full) {
            *to = from;
        }
    }

    /// Whether `tag` is the front of the tag over `covered` and `trailer`; compared in constant time.
    pub(super) fn verify(&self, covered: &[u8], trailer: &[u8], tag: &[u8]) -> bool {
        self.mac(covered, trailer).verify_truncated_left(tag).is_ok()
    }
}

impl std::fmt::Debug for Cm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cm(..)")
    }
}
