//! Ephemeral key exchange on the three curves that browsers know.

use dimpl::crypto::{ActiveKeyExchange, Buf, NamedGroup, SupportedKxGroup};
use dimpl::{CryptoError, CryptoOperation};
use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::SystemRandom;

use super::failed;

/// Best first.
pub(super) static GROUPS: &[&dyn SupportedKxGroup] = &[
    &Group { name: NamedGroup::X25519, algorithm: &agreement::X25519 },
    &Group { name: NamedGroup::Secp256r1, algorithm: &agreement::ECDH_P256 },
    &Group { name: NamedGroup::Secp384r1, algorithm: &agreement::ECDH_P384 },
];

#[derive(Debug)]
struct Group {
    name: NamedGroup,
    algorithm: &'static agreement::Algorithm,
}

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        self.name
    }

    fn start_exchange(&self, mut public: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        let private = EphemeralPrivateKey::generate(self.algorithm, &SystemRandom::new())
            .map_err(|_| failed(CryptoOperation::GenerateEphemeralKey))?;
        let computed = private.compute_public_key().map_err(|_| failed(CryptoOperation::ComputePublicKey))?;
        public.clear();
        public.extend_from_slice(computed.as_ref());
        Ok(Box::new(Exchange { group: self.name, algorithm: self.algorithm, private, public }))
    }
}

#[derive(Debug)]
struct Exchange {
    group: NamedGroup,
    algorithm: &'static agreement::Algorithm,
    private: EphemeralPrivateKey,
    public: Buf,
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    /// Points that are not on the curve, and of X25519 those that give a known secret (RFC 7748 section 6.1), are refused.
    fn complete(self: Box<Self>, theirs: &[u8], secret: &mut Buf) -> Result<(), CryptoError> {
        let theirs = UnparsedPublicKey::new(self.algorithm, theirs);
        secret.clear();
        agreement::agree_ephemeral(self.private, &theirs, |shared| secret.extend_from_slice(shared))
            .map_err(|_| CryptoError::InvalidPublicKey(self.group))
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_give_a_known_secret_is_refused() {
        for group in GROUPS {
            let exchange = group.start_exchange(Buf::new()).expect("begins");
            let zeros = vec![0; exchange.pub_key().len()];
            let mut secret = Buf::new();
            let refused = exchange.complete(&zeros, &mut secret);
            assert_eq!(refused, Err(CryptoError::InvalidPublicKey(group.name())));
            assert!(secret.is_empty());
        }
    }
}
