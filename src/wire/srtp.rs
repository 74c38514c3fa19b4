//! SRTP and SRTCP (RFC 3711, RFC 7714).

/// A protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `SRTP_AES128_CM_HMAC_SHA1_80`
    Aes128CmSha1_80,
    /// `SRTP_AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`
    AeadAes256Gcm,
}

impl Profile {
    /// By its number in the `use_srtp` extension.
    pub const fn from_iana(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Aes128CmSha1_80),
            7 => Some(Self::AeadAes128Gcm),
            8 => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }

    const fn key_and_salt_len(self) -> (usize, usize) {
        match self {
            Self::Aes128CmSha1_80 => (16, 14),
            Self::AeadAes128Gcm => (16, 12),
            Self::AeadAes256Gcm => (32, 12),
        }
    }

    /// Bytes to export from DTLS (RFC 5764 section 4.2).
    pub const fn keying_material_len(self) -> usize {
        let (key, salt) = self.key_and_salt_len();
        2 * (key + salt)
    }
}

/// Master key and salt of one direction.
#[derive(Clone)]
pub struct Master {
    /// The key.
    pub key: Vec<u8>,
    /// The salt.
    pub salt: Vec<u8>,
}

/// Keys of both directions.
#[derive(Clone)]
pub struct Keys {
    /// What they are for.
    pub profile: Profile,
    /// From the peer.
    pub inbound: Master,
    /// To the peer.
    pub outbound: Master,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({:?}, ..)", self.profile)
    }
}

impl Keys {
    /// Cuts the keying material that DTLS exported (RFC 5764 section 4.2): client key, server key, client salt,
    /// server salt. `None` when it has not the right length.
    pub fn from_exporter(profile: Profile, material: &[u8], is_dtls_server: bool) -> Option<Self> {
        let (key, salt) = profile.key_and_salt_len();
        if material.len() != profile.keying_material_len() {
            return None;
        }
        let (keys, salts) = material.split_at_checked(2 * key)?;
        let (client_key, server_key) = keys.split_at_checked(key)?;
        let (client_salt, server_salt) = salts.split_at_checked(salt)?;
        let client = Master { key: client_key.to_vec(), salt: client_salt.to_vec() };
        let server = Master { key: server_key.to_vec(), salt: server_salt.to_vec() };
        let (inbound, outbound) = if is_dtls_server { (client, server) } else { (server, client) };
        Some(Self { profile, inbound, outbound })
    }
}
