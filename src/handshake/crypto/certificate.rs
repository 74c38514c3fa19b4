//! The public key in an X.509 certificate (RFC 5280 section 4.1).
//!
//! Nothing else of it counts: whose it is says the fingerprint that signalling brought.

use dimpl::CryptoError;

/// A curve that browsers have certificates on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PublicKey<'a> {
    pub(super) curve: Curve,
    /// Uncompressed.
    pub(super) point: &'a [u8],
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`: the version, where it is not 1.
const VERSION: u8 = 0xa0;

/// The algorithm of a key (RFC 5480 section 2.1.1): id-ecPublicKey, and the curve.
const ON_P256: [u8; 19] =
    [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ON_P384: [u8; 16] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];

/// The key of a certificate in DER.
pub(super) fn public_key(certificate: &[u8]) -> Result<PublicKey<'_>, CryptoError> {
    let (algorithm, point) = find(certificate).ok_or(CryptoError::CertificateParseFailed)?;
    let curve = match algorithm {
        _ if algorithm == ON_P256 => Curve::P256,
        _ if algorithm == ON_P384 => Curve::P384,
        _ => return Err(CryptoError::UnsupportedPublicKeyAlgorithm),
    };
    Ok(PublicKey { curve, point })
}

/// The algorithm and the bits of the key.
fn find(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let signed = Der(Der(certificate).take(SEQUENCE)?).take(SEQUENCE)?;
    let mut fields = Der(signed);
    if signed.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?;
    // What it is signed by, who signed it, how long it is valid, whose it is.
    for _ in 0..4 {
        fields.take(SEQUENCE)?;
    }
    let mut key = Der(fields.take(SEQUENCE)?);
    let algorithm = key.take(SEQUENCE)?;
    // The first byte says how many bits of the last are not used.
    let [0, point @ ..] = key.take(BIT_STRING)? else { return None };
    Some((algorithm, point))
}

/// Elements one after the other, each a tag, a length and its contents.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The contents of the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let [found, first, rest @ ..] = self.0 else { return None };
        if *found != tag {
            return None;
        }
        let (len, rest) = match (first, rest) {
            (0..=0x7f, rest) => (usize::from(*first), rest),
            (0x81, [len, rest @ ..]) => (usize::from(*len), rest),
            (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        let (contents, after) = rest.split_at_checked(len)?;
        self.0 = after;
        Some(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(curve: &'static rcgen::SignatureAlgorithm, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = rcgen::KeyPair::generate_for(curve).expect("a key");
        let made = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let made = made.self_signed(&key).expect("a certificate");
        (made.der().to_vec(), key.public_key_raw().to_vec())
    }

    #[test]
    fn the_key_is_found_whatever_stands_before_it() {
        let curves =
            [(&rcgen::PKCS_ECDSA_P256_SHA256, Curve::P256), (&rcgen::PKCS_ECDSA_P384_SHA384, Curve::P384)];
        for (algorithm, curve) in curves {
            for name in ["a", &"long.".repeat(30), &"longer.".repeat(60)] {
                let (certificate, point) = certificate(algorithm, name);
                assert_eq!(public_key(&certificate), Ok(PublicKey { curve, point: &point }));
            }
        }
    }

    #[test]
    fn another_kind_of_key_is_refused() {
        let (certificate, _) = certificate(&rcgen::PKCS_ED25519, "a");
        assert_eq!(public_key(&certificate), Err(CryptoError::UnsupportedPublicKeyAlgorithm));
    }

    #[test]
    fn no_prefix_and_no_changed_byte_panics() {
        let (whole, _) = certificate(&rcgen::PKCS_ECDSA_P256_SHA256, "a");
        for len in 0..whole.len() {
            assert!(public_key(&whole[..len]).is_err(), "{len}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            for value in [0, 0x7f, 0x80, 0x82, 0xff] {
                changed[at] = value;
                let _ = public_key(&changed);
            }
        }
    }
}
