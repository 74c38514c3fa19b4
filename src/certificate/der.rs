//! Self-signed certificates (RFC 5280) and requests for others (RFC 2986) in DER, those that we need and no other.

use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The attributes of a request.
const ATTRIBUTES: u8 = 0xa0;
/// The tagged fields of a `TBSCertificate`.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// A `dNSName` among the `GeneralName`s.
const DNS_NAME: u8 = 0x82;

/// 1.2.840.10045.4.3.2, ecdsa-with-SHA256 (RFC 5758 section 3.2).
const ECDSA_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// 1.2.840.10045.2.1 and 1.2.840.10045.3.1.7: a key on P-256 (RFC 5480).
const EC_PUBLIC_KEY: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 2.5.4.3, the common name.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// 2.5.29.15, 2.5.29.17 and 2.5.29.37: what the key may be used for, other names, what for in particular ...
const KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1d, 0x25];
/// ... 1.3.6.1.5.5.7.3.1: to be a TLS server.
const SERVER_AUTH: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// 1.3.6.1.5.5.7.1.31: that somebody holds a name (RFC 8737 section 6.1).
const ACME_IDENTIFIER: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f];
/// 1.2.840.113549.1.9.14: extensions that are asked for (RFC 2985 section 5.4.2).
const EXTENSION_REQUEST: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];

/// A new key on P-256 (PKCS#8).
pub(crate) fn key() -> Result<Vec<u8>, Unspecified> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())?;
    Ok(key.as_ref().to_vec())
}

/// The public half of a key on P-256, as certificates hold it.
pub(crate) fn public_half(private_key: &[u8]) -> Option<Vec<u8>> {
    read(private_key).ok().map(|pair| pair.public_key().as_ref().to_vec())
}

fn read(private_key: &[u8]) -> Result<EcdsaKeyPair, Unspecified> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, private_key, &SystemRandom::new());
    pair.map_err(|_| Unspecified)
}

/// A certificate for `host`, issued by `name` to itself, valid from one second since 1970 to another.
pub(crate) fn certificate(
    private_key: &[u8],
    name: &str,
    host: &str,
    validity: (u64, u64),
) -> Result<Vec<u8>, Unspecified> {
    certificate_with(private_key, name, host, validity, &[])
}

/// The certificate that answers a challenge for `host` (RFC 8737 section 3): `proof` is what shows who asked.
pub(crate) fn challenge(
    private_key: &[u8],
    host: &str,
    validity: (u64, u64),
    proof: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let proof = extension(&ACME_IDENTIFIER, true, &value(OCTET_STRING, proof));
    certificate_with(private_key, "challenge", host, validity, &proof)
}

/// Asks for a certificate for these names.
pub(crate) fn request(private_key: &[u8], hosts: &[String]) -> Result<Vec<u8>, Unspecified> {
    let pair = read(private_key)?;
    let names: Vec<_> = hosts.iter().map(|host| value(DNS_NAME, host.as_bytes())).collect();
    let extensions = sequence(&[extension(&SUBJECT_ALT_NAME, false, &sequence(&names))]);
    let request = sequence(&[
        value(INTEGER, &[0]),
        sequence(&[]),
        public_key(pair.public_key().as_ref()),
        value(ATTRIBUTES, &sequence(&[object(&EXTENSION_REQUEST), value(SET, &extensions)])),
    ]);
    let signature = pair.sign(&SystemRandom::new(), &request)?;
    let algorithm = sequence(&[object(&ECDSA_WITH_SHA256)]);
    Ok(sequence(&[request, algorithm, bits(0, signature.as_ref())]))
}

/// From when to when a certificate is valid, in seconds since 1970.
pub(crate) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (_, certificate, _) = take(certificate)?;
    let (_, mut fields, _) = take(certificate)?;
    // A version, if there is one, then number, algorithm and issuer stand before it (RFC 5280 section 4.1).
    if fields.first() == Some(&VERSION) {
        fields = take(fields)?.2;
    }
    for _ in 0..3 {
        fields = take(fields)?.2;
    }
    let (_, validity, _) = take(fields)?;
    let (tag, not_before, rest) = take(validity)?;
    let (other_tag, not_after, _) = take(rest)?;
    Some((read_time(tag, not_before)?, read_time(other_tag, not_after)?))
}

/// The value with which `bytes` begin: its tag, what is in it, and what follows.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, len, rest) = match bytes {
        [tag, len @ 0..=0x7f, rest @ ..] => (*tag, usize::from(*len), rest),
        [tag, 0x81, len, rest @ ..] => (*tag, usize::from(*len), rest),
        [tag, 0x82, high, low, rest @ ..] => (*tag, usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (inner, rest) = rest.split_at_checked(len)?;
    Some((tag, inner, rest))
}

/// RFC 5280 section 4.1.2.5.
fn read_time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (year, rest) = text.split_at_checked(if tag == UTC_TIME { 2 } else { 4 })?;
    let year: u64 = year.parse().ok()?;
    let year = match tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        GENERALIZED_TIME => year,
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    // The years are counted as `date` counts them; one that begins in March ends with the leap day.
    let march = year.checked_sub(u64::from(month < 3))?;
    let since_march = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (365 * march + march / 4 - march / 100 + march / 400 + since_march).checked_sub(719_468)?;
    Some(days * 86_400 + two(4)? * 3600 + two(6)? * 60 + two(8)?)
}

fn public_key(public: &[u8]) -> Vec<u8> {
    sequence(&[sequence(&[object(&EC_PUBLIC_KEY), object(&P256)]), bits(0, public)])
}

fn certificate_with(
    private_key: &[u8],
    name: &str,
    host: &str,
    (not_before, not_after): (u64, u64),
    more: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let pair = read(private_key)?;
    let public = pair.public_key().as_ref();
    let algorithm = sequence(&[object(&ECDSA_WITH_SHA256)]);
    let common_name = sequence(&[object(&COMMON_NAME), value(UTF8_STRING, name.as_bytes())]);
    let name = sequence(&[value(SET, &common_name)]);
    let hash = digest(&SHA256, public);
    let certificate = sequence(&[
        value(VERSION, &value(INTEGER, &[2])),
        // 16 bytes that differ from key to key; the first makes it positive, and no byte more than it needs.
        value(INTEGER, &[&[0x40], hash.as_ref().get(..15).unwrap_or_default()].concat()),
        algorithm.clone(),
        name.clone(),
        sequence(&[time(not_before), time(not_after)]),
        name,
        public_key(public),
        value(
            EXTENSIONS,
            &sequence(&[
                extension(&SUBJECT_ALT_NAME, false, &sequence(&[value(DNS_NAME, host.as_bytes())])),
                // digitalSignature, the first bit.
                extension(&KEY_USAGE, true, &bits(7, &[0x80])),
                extension(&EXTENDED_KEY_USAGE, false, &sequence(&[object(&SERVER_AUTH)])),
                more.to_vec(),
            ]),
        ),
    ]);
    let signature = pair.sign(&SystemRandom::new(), &certificate)?;
    Ok(sequence(&[certificate, algorithm, bits(0, signature.as_ref())]))
}

fn extension(id: &[u8], critical: bool, inner: &[u8]) -> Vec<u8> {
    // DER leaves out what has its default.
    let critical = if critical { value(BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[object(id), critical, value(OCTET_STRING, inner)])
}

fn sequence(fields: &[Vec<u8>]) -> Vec<u8> {
    value(SEQUENCE, &fields.concat())
}

fn object(id: &[u8]) -> Vec<u8> {
    value(OBJECT_IDENTIFIER, id)
}

fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[unused], bytes].concat())
}

/// RFC 5280 section 4.1.2.5: two digits of the year up to 2049, then four.
fn time(seconds: u64) -> Vec<u8> {
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        value(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        value(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

/// Year, month and day of a day since 1970, by the Gregorian calendar.
pub(crate) fn date(day: u64) -> (u64, u64, u64) {
    // Years that begin in March end with the leap day; 400 of them are always 146097 days.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March, and again from August, have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// A value with its tag and its length, which is at most 65535.
fn value(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![tag];
    match bytes.len().to_be_bytes() {
        [.., 0, short @ 0..0x80] => all.push(short),
        [.., 0, long] => all.extend([0x81, long]),
        [.., high, low] => all.extend([0x82, high, low]),
    }
    all.extend(bytes);
    all
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    #[test]
    fn days_are_found_in_the_calendar() {
        let cases = [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_453, (2025, 12, 31)),
            (20_454, (2026, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ];
        for (day, expected) in cases {
            assert_eq!(date(day), expected, "{day}");
        }
        assert_eq!(time(1_800_000_000), [&[UTC_TIME, 13], &b"270115080000Z"[..]].concat());
        assert_eq!(time(2_524_608_000), [&[GENERALIZED_TIME, 15], &b"20500101000000Z"[..]].concat());
    }

    #[test]
    fn the_validity_of_a_certificate_is_read_as_it_was_written() {
        let key = key().expect("a key");
        for validity in [(0, 951_782_399), (951_782_400, 1_800_000_000), (2_524_607_999, 4_107_542_400)] {
            let made = certificate(&key, "somebody", "example.org", validity).expect("a certificate");
            assert_eq!(super::validity(&made), Some(validity));
            for len in 0..100 {
                assert_eq!(super::validity(&made[..len]), None);
            }
        }
    }

    #[test]
    fn lengths_take_the_fewest_bytes() {
        for (len, head) in [(0x7f, &[4, 0x7f][..]), (0x80, &[4, 0x81, 0x80]), (0x100, &[4, 0x82, 1, 0])] {
            assert!(value(OCTET_STRING, &vec![0; len]).starts_with(head), "{len}");
        }
    }

    /// As rustls checks a server, with the certificate as its own authority.
    fn judge(certificate: &[u8], host: &str, now: u64) -> Result<(), rustls::Error> {
        use rustls::client::danger::ServerCertVerifier;
        let certificate = CertificateDer::from(certificate.to_vec());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone())?;
        let provider = rustls::crypto::ring::default_provider().into();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .expect("a verifier");
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        verifier.verify_server_cert(&certificate, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn another_library_reads_it_as_it_is_meant() {
        let key = key().expect("a key");
        let made = certificate(&key, "somebody", "example.org", (1000, 2000)).expect("a certificate");
        judge(&made, "example.org", 1500).expect("good");
        for (host, now) in [("example.com", 1500), ("example.org", 999), ("example.org", 2001)] {
            assert!(judge(&made, host, now).is_err(), "{host} at {now}");
        }
    }
}
