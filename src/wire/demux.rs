//! What a datagram is, by its first byte (RFC 7983 section 7, RFC 9443 section 3).

/// Protocols that share our UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RFC 8489.
    Stun,
    /// RFC 6347, RFC 9147.
    Dtls,
    /// RFC 9000.
    Quic,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
}

/// What `datagram` is; `None` for what we do not speak (ZRTP, TURN channels) and for an empty one.
pub const fn classify(datagram: &[u8]) -> Option<Kind> {
    let Some(first) = datagram.first() else { return None };
    match first {
        0..=3 => Some(Kind::Stun),
        20..=63 => Some(Kind::Dtls),
        64..=127 | 192..=255 => Some(Kind::Quic),
        128..=191 => rtp_or_rtcp(datagram),
        _ => None,
    }
}

/// RFC 5761 section 4: RTCP packet types 192 to 223 are payload types 64 to 95, which RTP does not use here.
const fn rtp_or_rtcp(datagram: &[u8]) -> Option<Kind> {
    match datagram {
        [_, 192..=223, ..] => Some(Kind::Rtcp),
        [_, _, ..] => Some(Kind::Rtp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_decides_at_every_border() {
        let expected = |first: u8| match first {
            0..4 => Some(Kind::Stun),
            4..20 => None,
            20..64 => Some(Kind::Dtls),
            64..128 => Some(Kind::Quic),
            128..192 => Some(Kind::Rtp),
            192.. => Some(Kind::Quic),
        };
        for first in 0..=255 {
            assert_eq!(classify(&[first, 96, 0]), expected(first), "{first}");
        }
    }

    #[test]
    fn the_second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255u8 {
            let expected = if (192..=223).contains(&second) { Kind::Rtcp } else { Kind::Rtp };
            assert_eq!(classify(&[0x80, second]), Some(expected));
        }
        assert_eq!(classify(&[0x80]), None);
        assert_eq!(classify(&[]), None);
    }
}
