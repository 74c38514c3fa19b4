//! What nobody may guess.

use ring::rand::{SecureRandom, SystemRandom};

use crate::control::directory::hex;
use crate::router::command::IceCredentials;
use crate::signal::message::Secret;

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // A secret that is not secret is worse than a request that fails: the actor survives a panic.
    assert!(SystemRandom::new().fill(&mut bytes).is_ok(), "the operating system gives no random bytes");
    bytes
}

/// What takes a session up again.
pub(super) fn resume() -> Secret {
    Secret(hex(&random::<16>()))
}

/// Credentials of our side: the ufrag has 64 random bits and so is unique within the server.
pub(super) fn ice() -> IceCredentials {
    IceCredentials { ufrag: hex(&random::<8>()), pwd: hex(&random::<16>()) }
}

/// A seed for what must differ but need not be secret.
pub(super) fn seed() -> u64 {
    u64::from_le_bytes(random())
}
