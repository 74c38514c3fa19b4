//! Stateless resets, and the connection ids that they need.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, EndpointConfig};
use ring::rand::{SecureRandom, SystemRandom};

/// What makes a restarted server able to tell its old clients that they must connect again (RFC 9000 section 10.3).
pub struct ResetKey([u8; 64]);

impl std::fmt::Debug for ResetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetKey(..)")
    }
}

impl ResetKey {
    /// The key that is kept in the data folder, made at first.
    pub fn load(data: &Path) -> io::Result<Self> {
        let file = data.join("reset.key");
        match fs::read(&file) {
            Ok(bytes) => {
                let key = bytes.try_into().map_err(|_| {
                    let text =
                        format!("{} does not hold 64 bytes: delete it to have it made anew", file.display());
                    io::Error::new(io::ErrorKind::InvalidData, text)
                })?;
                Ok(Self(key))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::random()?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
                file.write_all(&key.0)?;
                file.sync_all()?;
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    /// A key that nothing keeps.
    pub fn random() -> io::Result<Self> {
        let mut key = [0; 64];
        let filled = SystemRandom::new().fill(&mut key);
        filled.map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
        Ok(Self(key))
    }

    pub(super) fn endpoint_config(&self) -> EndpointConfig {
        let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.0);
        let mut config = EndpointConfig::new(Arc::new(reset));
        config
            .supported_versions(vec![super::tls::VERSION])
            .cid_generator(|| Box::new(RandomIds))
            // RFC 9443 section 3 tells QUIC from media by the fixed bit.
            .grease_quic_bit(false);
        config
    }
}

/// Random connection ids. The library's own are signed with a key of the process, and a restarted server would not answer
/// those of its predecessor with a reset.
struct RandomIds;

impl RandomIds {
    const LEN: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; Self::LEN];
        // Without randomness the ids would repeat, but then no handshake succeeds anyway.
        SystemRandom::new().fill(&mut id).ok();
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        Self::LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
