//! From what DTLS exports to session keys (RFC 5764 section 4.2, RFC 3711 section 4.3).

use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes256};
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::{Ctr128BE, CtrCore};
use hmac::Hmac;
use serde::{Deserialize, Serialize};

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, LessSafeKey, UnboundKey};

use super::cipher::{Cipher, Cm, Gcm};

/// A DTLS-SRTP protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// AES in counter mode with HMAC-SHA1 cut to 80 bits: everybody has it, and it costs three times as much.
    Aes128CmSha1_80,
    /// AES-128 in Galois/counter mode.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode.
    AeadAes256Gcm,
}

impl Profile {
    /// The profile with this number in the `use_srtp` extension.
    pub const fn from_iana(number: u16) -> Option<Self> {
        match number {
            0x0001 => Some(Self::Aes128CmSha1_80),
            0x0007 => Some(Self::AeadAes128Gcm),
            0x0008 => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }

    /// Its number in the `use_srtp` extension.
    pub const fn iana(self) -> u16 {
        match self {
            Self::Aes128CmSha1_80 => 0x0001,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// How many bytes to export: two keys and two salts.
    pub const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }

    /// Bytes of the tag, which is all that sealing adds to an RTP packet; RTCP takes four more.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    const fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    const fn salt_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }
}

/// What DTLS exported, from which a session's keys can be made once more.
#[derive(Clone, Serialize, Deserialize)]
pub struct Material {
    profile: Profile,
    bytes: Box<[u8]>,
    is_dtls_server: bool,
}

impl Material {
    /// The keys; `None` if it is not of the length that its profile asks for.
    pub fn keys(&self) -> Option<Keys> {
        Keys::from_exporter(self.profile, &self.bytes, self.is_dtls_server)
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Material({:?}, ..)", self.profile)
    }
}

/// Session keys of both directions, expanded: whoever makes them (a handshake worker) pays for that.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The negotiated profile.
    pub profile: Profile,
    /// Opens what the peer sends.
    pub inbound: Direction,
    /// Seals what we send.
    pub outbound: Direction,
    /// What they are made of.
    pub material: Material,
}

impl Keys {
    /// From the exported keying material (label `EXTRACTOR-dtls_srtp`), in the order client key, server key, client
    /// salt, server salt. `None` if it is not exactly [`Profile::keying_material_len`] bytes long.
    pub fn from_exporter(profile: Profile, material: &[u8], is_dtls_server: bool) -> Option<Self> {
        if material.len() != profile.keying_material_len() {
            return None;
        }
        let (keys, salts) = material.split_at_checked(2 * profile.key_len())?;
        let (client_key, server_key) = keys.split_at_checked(profile.key_len())?;
        let (client_salt, server_salt) = salts.split_at_checked(profile.salt_len())?;
        let client = Direction::derive(profile, client_key, client_salt)?;
        let server = Direction::derive(profile, server_key, server_salt)?;
        let (inbound, outbound) = if is_dtls_server { (client, server) } else { (server, client) };
        let material = Material { profile, bytes: material.into(), is_dtls_server };
        Some(Self { profile, inbound, outbound, material })
    }
}

/// Session keys of one direction.
#[derive(Clone, Debug)]
pub struct Direction {
    pub(super) rtp: Cipher,
    pub(super) rtcp: Cipher,
}

impl Direction {
    fn derive(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        // 96-bit salts stand in the high bits of the 112 that the derivation takes (RFC 7714 section 11).
        let mut salt_112 = [0; 16];
        salt_112.get_mut(2..2 + salt.len())?.copy_from_slice(salt);
        let master = Master { key, salt: u128::from_be_bytes(salt_112) };
        Some(Self { rtp: master.cipher(profile, [0, 1, 2])?, rtcp: master.cipher(profile, [3, 4, 5])? })
    }
}

/// A master key and salt.
struct Master<'a> {
    key: &'a [u8],
    salt: u128,
}

impl Master<'_> {
    /// Session keys under the labels of RFC 3711 section 4.3.2: encryption, authentication, salt.
    fn cipher(&self, profile: Profile, [encryption, authentication, salting]: [u8; 3]) -> Option<Cipher> {
        Some(match profile {
            Profile::Aes128CmSha1_80 => Cipher::Cm(Cm {
                aes: Aes128::new(&self.derive::<16>(encryption)?.into()),
                mac: Hmac::new_from_slice(&self.derive::<20>(authentication)?).ok()?,
                salt: wide(self.derive::<14>(salting)?),
            }),
            Profile::AeadAes128Gcm => Cipher::Gcm(Gcm {
                key: expand(&AES_128_GCM, &self.derive::<16>(encryption)?)?,
                salt: wide(self.derive::<12>(salting)?),
            }),
            Profile::AeadAes256Gcm => Cipher::Gcm(Gcm {
                key: expand(&AES_256_GCM, &self.derive::<32>(encryption)?)?,
                salt: wide(self.derive::<12>(salting)?),
            }),
        })
    }

    /// The first `N` bytes of key stream under `label`, with key derivation rate 0 (RFC 3711 section 4.3.3; with a
    /// master key of 256 bits, RFC 6188 section 3).
    fn derive<const N: usize>(&self, label: u8) -> Option<[u8; N]> {
        let iv = ((self.salt ^ u128::from(label) << 48) << 16).to_be_bytes();
        let mut stream = [0; N];
        match self.key.len() {
            16 => key_stream(&Aes128::new_from_slice(self.key).ok()?, iv, &mut stream),
            _ => key_stream(&Aes256::new_from_slice(self.key).ok()?, iv, &mut stream),
        }
        Some(stream)
    }
}

fn key_stream<A>(aes: &A, iv: [u8; 16], out: &mut [u8])
where
    A: BlockCipherEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let mut stream: Ctr128BE<&A> =
        StreamCipherCoreWrapper::from_core(CtrCore::inner_iv_init(aes, &iv.into()));
    stream.apply_keystream(out);
}

fn expand(algorithm: &'static Algorithm, key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

fn wide<const N: usize>(salt: [u8; N]) -> u128 {
    salt.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
