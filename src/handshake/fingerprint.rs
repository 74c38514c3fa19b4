//! Certificate fingerprints (RFC 8122 section 5): what ties the DTLS peer to the SDP that signalling brought.

use ring::digest;

/// A hash function that may name a certificate. SHA-1 and older are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl Algorithm {
    /// By its name in SDP, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// Its name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    const fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// The hash of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The hash function.
    pub algorithm: Algorithm,
    /// The hash.
    pub bytes: Vec<u8>,
}

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(algorithm: Algorithm, certificate: &[u8]) -> Self {
        Self { algorithm, bytes: digest::digest(algorithm.digest(), certificate).as_ref().to_vec() }
    }

    /// From the two words of an `a=fingerprint` line: `sha-256` and `AB:CD:...`. `None` when the hash function is
    /// not accepted or the length does not fit it.
    pub fn parse(algorithm: &str, hex: &str) -> Option<Self> {
        let algorithm = Algorithm::from_name(algorithm)?;
        let bytes = hex
            .split(':')
            .map(|pair| match pair.as_bytes() {
                [high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    u8::from_str_radix(pair, 16).ok()
                }
                _ => None,
            })
            .collect::<Option<Vec<u8>>>()?;
        (bytes.len() == algorithm.digest().output_len()).then_some(Self { algorithm, bytes })
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.algorithm.name())?;
        for (n, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if n == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Whether `certificate` is one that `named` names. Of several hash functions only the strongest counts
/// (RFC 8122 section 5: "the most preferred hash function that it supports"); without any, nothing matches.
pub(super) fn matches(named: &[Fingerprint], certificate: &[u8]) -> bool {
    let Some(strongest) = named.iter().map(|f| f.algorithm).max() else { return false };
    named.contains(&Fingerprint::of(strongest, certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let one = Fingerprint::of(algorithm, b"certificate");
            let line = one.to_string();
            let (name, hex) = line.split_once(' ').expect("two words");
            assert_eq!(Fingerprint::parse(&name.to_uppercase(), &hex.to_lowercase()), Some(one));
            assert_eq!(Fingerprint::parse(name, &hex[3..]), None, "too short");
        }
        assert_eq!(Fingerprint::parse("sha-1", &["00"; 20].join(":")), None);
        assert_eq!(Fingerprint::parse("sha-256", &["+1"; 32].join(":")), None);
    }

    #[test]
    fn only_the_strongest_hash_function_counts() {
        let right = |a| Fingerprint::of(a, b"mine");
        let wrong = |a| Fingerprint::of(a, b"another");
        assert!(matches(&[right(Algorithm::Sha256)], b"mine"));
        assert!(matches(&[wrong(Algorithm::Sha256), right(Algorithm::Sha256)], b"mine"));
        assert!(matches(&[wrong(Algorithm::Sha256), right(Algorithm::Sha512)], b"mine"));
        assert!(!matches(&[right(Algorithm::Sha256), wrong(Algorithm::Sha384)], b"mine"));
        assert!(!matches(&[], b"mine"));
    }
}
