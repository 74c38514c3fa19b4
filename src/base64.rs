//! Base 64 (RFC 4648): the ordinary one, and the one for addresses of the web.

/// Section 4: with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three.iter().zip([16, 8, 0]).fold(0_u32, |all, (byte, at)| all | u32::from(*byte) << at);
        let used = three.len() + 1;
        [18, 12, 6, 0].into_iter().enumerate().map(move |(n, at)| {
            let digit = DIGITS.get((bits >> at & 63) as usize).copied().unwrap_or(b'=');
            char::from(if n < used { digit } else { b'=' })
        })
    };
    bytes.chunks(3).flat_map(group).collect()
}

/// Section 5, without padding.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// Section 5, without padding, as RFC 7515 section 2 has it: one text for each, so that a token has one form.
pub(crate) fn decode_url(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (count < 6 && bits == 0).then_some(bytes)
}

/// Section 4 again, padded or not.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.contains(['-', '_']) {
        return None;
    }
    decode_url(&text.trim_end_matches('=').replace('+', "-").replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("\0a\u{ff}", "AGHDvw=="),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded, "{plain}");
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()), "{coded}");
        }
    }

    #[test]
    fn for_the_web_there_is_one_text_for_each() {
        assert_eq!(decode_url("__79_A").as_deref(), Some(&b"\xff\xfe\xfd\xfc"[..]));
        for text in ["A", "Zh", "Zg==", "Z+9v", "Z/9v", "Zm9v "] {
            assert_eq!(decode_url(text), None, "{text}");
        }
    }
}
