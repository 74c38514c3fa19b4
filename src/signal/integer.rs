//! Integers of variable length, as QUIC and HTTP/3 have them (RFC 9000 section 16).

/// The integer that `bytes` begin with, and how many of them it takes.
pub(super) fn integer(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = 1 << (first >> 6);
    let rest = bytes.get(1..len)?;
    Some((rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_of_four_lengths() {
        assert_eq!(integer(&[0x25]), Some((37, 1)));
        assert_eq!(integer(&[0x7b, 0xbd]), Some((15293, 2)));
        assert_eq!(integer(&[0x9d, 0x7f, 0x3e, 0x7d]), Some((494_878_333, 4)));
        assert_eq!(
            integer(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
            Some((151_288_809_941_952_652, 8))
        );
        assert_eq!(integer(&[0x7b]), None);
    }
}
