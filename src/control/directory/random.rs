//! Randomness, passed in so that tests repeat themselves.

use ring::rand::SecureRandom;

/// Where random bytes come from.
pub trait Entropy: Send + std::fmt::Debug {
    /// Fills `bytes` with what nobody can guess.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug)]
pub struct SystemEntropy(ring::rand::SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        // A secret that is not secret is worse than a request that fails: the actor survives a panic.
        assert!(self.0.fill(bytes).is_ok(), "the operating system gives no random bytes");
    }
}

/// 256 random bits in hexadecimal.
pub(super) fn token(entropy: &mut dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    hex(&bytes)
}

/// Six random digits, uniformly from 100000 to 999999, for the same reason as in a pin.
pub(super) fn code(entropy: &mut dyn Entropy) -> String {
    const SPAN: u32 = 900_000;
    (100_000 + below(entropy, SPAN)).to_string()
}

/// A random number below `span`, all alike.
fn below(entropy: &mut dyn Entropy, span: u32) -> u32 {
    let fair = u32::MAX - u32::MAX % span;
    loop {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        let number = u32::from_le_bytes(bytes);
        if number < fair {
            return number % span;
        }
    }
}

/// An address for a user who brought none.
pub(super) fn address(entropy: &mut dyn Entropy) -> String {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    hex(&bytes)
}

/// Eight random digits, uniformly from 10000000 to 99999999: pages that treat a pin as a number lose no leading zero.
pub(super) fn pin(entropy: &mut dyn Entropy) -> String {
    const SPAN: u32 = 90_000_000;
    (10_000_000 + below(entropy, SPAN)).to_string()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that hexadecimal stands for, if it is any.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_their_shape_and_differ() {
        let mut entropy = SystemEntropy::default();
        let (one, other) = (token(&mut entropy), token(&mut entropy));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        for _ in 0..1000 {
            let pin = pin(&mut entropy);
            assert_eq!(pin.len(), 8);
            assert!(pin.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }

    #[test]
    fn an_unfair_number_is_drawn_again() {
        #[derive(Debug)]
        struct Script(Vec<u32>);
        impl Entropy for Script {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.0.remove(0).to_le_bytes());
            }
        }
        assert_eq!(pin(&mut Script(vec![u32::MAX, 4_294_000_000, 89_999_999])), "99999999");
        assert_eq!(pin(&mut Script(vec![90_000_000])), "10000000");
    }
}
