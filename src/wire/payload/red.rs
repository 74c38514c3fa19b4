//! Redundant audio (RFC 2198): a packet that repeats earlier blocks before its own.

/// The packet's own block, without the earlier ones. `None` if the headers promise more than there is.
pub fn primary(payload: &[u8]) -> Option<&[u8]> {
    let (mut headers, mut repeated) = (payload, 0);
    // Section 3: four bytes for each earlier block, its length in the last ten bits; one byte for the last.
    loop {
        match headers {
            [first, _, high, low, rest @ ..] if first & 0x80 != 0 => {
                repeated += usize::from(u16::from_be_bytes([*high, *low]) & 0x3ff);
                headers = rest;
            }
            [last, blocks @ ..] if last & 0x80 == 0 => return blocks.get(repeated..),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_the_packets_own() {
        let two = [0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 7, 8, 9];
        assert_eq!(primary(&two), Some(&[7, 8, 9][..]));
        let three = [0x80 | 111, 0x1e, 0x00, 1, 0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 3, 9];
        assert_eq!(primary(&three), Some(&[9][..]));
        assert_eq!(primary(&[111, 5, 6]), Some(&[5, 6][..]));
        assert_eq!(primary(&[111]), Some(&[][..]));
    }

    #[test]
    fn headers_that_lie_are_nothing() {
        for bad in [&[][..], &[0x80], &[0xef, 0, 0, 2], &[0xef, 0x0f, 0, 2, 111, 1], &[0xef; 40]] {
            assert_eq!(primary(bad), None, "{bad:x?}");
        }
    }
}
