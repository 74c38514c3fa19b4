//! QPACK (RFC 9204), as far as one request needs it: no dynamic table, which clients may use only where it was offered.

/// Fields of a request that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Method,
    Protocol,
    Scheme,
    Authority,
    Path,
    Origin,
    Other,
}

impl Name {
    /// RFC 9204 appendix A.
    const fn of_static(index: u64) -> Self {
        match index {
            0 => Self::Authority,
            1 => Self::Path,
            15..=21 => Self::Method,
            22 | 23 => Self::Scheme,
            90 => Self::Origin,
            _ => Self::Other,
        }
    }

    fn of_literal(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":protocol" => Self::Protocol,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b"origin" => Self::Origin,
            _ => Self::Other,
        }
    }
}

/// The value that the static table gives to fields that matter.
const fn static_value(index: u64) -> &'static [u8] {
    match index {
        1 => b"/",
        15 => b"CONNECT",
        22 => b"http",
        23 => b"https",
        _ => b"",
    }
}

/// Calls `field` with each field of a section (RFC 9204 section 4.5); `None` if it cannot be read.
pub(crate) fn read(mut section: &[u8], mut field: impl FnMut(Name, Vec<u8>)) -> Option<()> {
    let input = &mut section;
    // The required insert count and the base are of the dynamic table.
    integer(input, 8)?;
    integer(input, 7)?;
    while let Some(first) = input.first().copied() {
        match first {
            // Both from the static table.
            0b1100_0000.. => {
                let index = integer(input, 6)?;
                field(Name::of_static(index), static_value(index).to_vec());
            }
            // The name from the static table.
            0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => {
                let name = Name::of_static(integer(input, 4)?);
                field(name, string(input, 7)?);
            }
            0b0010_0000..=0b0011_1111 => {
                let name = Name::of_literal(&string(input, 3)?);
                field(name, string(input, 7)?);
            }
            // From the dynamic table, which is empty.
            _ => return None,
        }
    }
    Some(())
}

fn byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

/// An integer whose first `bits` bits are the last of a byte (RFC 7541 section 5.1).
fn integer(input: &mut &[u8], bits: u32) -> Option<u64> {
    let most = (1 << bits) - 1;
    let mut value = u64::from(byte(input)?) & most;
    if value < most {
        return Some(value);
    }
    // Nothing in a section of bounded size is numbered higher than this.
    for shift in [0, 7, 14, 21] {
        let next = byte(input)?;
        value += u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string after whose first `bits` bits its length begins; the bit before says whether it is compressed.
fn string(input: &mut &[u8], bits: u32) -> Option<Vec<u8>> {
    let compressed = input.first()? >> bits & 1 == 1;
    let len = usize::try_from(integer(input, bits)?).ok()?;
    let (text, rest) = input.split_at_checked(len)?;
    *input = rest;
    if compressed { huffman(text) } else { Some(text.to_vec()) }
}

/// How many codes there are of each length from 5 bits on (RFC 7541 appendix B) ...
const CODES: [u8; 26] =
    [10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 3];
/// ... and what they mean, in the order of the codes. The last, of 30 bits, are carriage return, line feed and code 22,
/// beside the mark of the end.
const SYMBOLS: &[u8; 256] = b"012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!\"()?'+|#>\x00$@[]~^}<`{\\\xc3\xd0\
\x80\x82\x83\xa2\xb8\xc2\xe0\xe2\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6\x81\x84\x85\x86\x88\x92\x9a\
\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\
\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef\x09\x8e\x90\x91\x94\x9f\xab\xce\
\xd7\xe1\xec\xed\xc7\xcf\xea\xeb\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff\xcb\xcc\xd3\xd4\xd6\
\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\
\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9\x0a\x0d\x16";

/// Undoes the compression of RFC 7541 section 5.2, whose code is canonical: codes of one length are consecutive numbers,
/// and those of the next length go on where they end.
fn huffman(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 8 / 5);
    // The code read so far, its length, the first code of that length and where its meaning is.
    let (mut code, mut length, mut first, mut at) = (0u32, 0usize, 0u32, 0usize);
    let mut ones = true;
    for bit in text.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1)) {
        code = code << 1 | u32::from(bit);
        first <<= 1;
        length += 1;
        ones &= bit == 1;
        let count = usize::from(length.checked_sub(5).map_or(Some(0), |row| CODES.get(row).copied())?);
        let nth = (code - first) as usize;
        if nth < count {
            out.push(*SYMBOLS.get(at + nth)?);
            (code, length, first, at, ones) = (0, 0, 0, 0, true);
        } else {
            at += count;
            first += count as u32;
        }
    }
    // What fills the last byte up is less than one, and all ones.
    (length < 8 && ones).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(section: &[u8]) -> Option<Vec<(Name, String)>> {
        let mut fields = Vec::new();
        read(section, |name, value| fields.push((name, String::from_utf8_lossy(&value).into_owned())))?;
        Some(fields)
    }

    /// RFC 7541 appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_standard_are_undone() {
        let examples: [(&[u8], &str); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (
                &[
                    0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae,
                    0x43, 0xd3,
                ],
                "https://www.example.com",
            ),
        ];
        for (packed, text) in examples {
            assert_eq!(huffman(packed).as_deref(), Some(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_left_over_must_be_less_than_a_byte_of_ones() {
        assert_eq!(huffman(&[0b0001_1111]), Some(vec![b'a']));
        assert_eq!(huffman(&[0b0001_1110]), None);
        assert_eq!(huffman(&[0b0001_1111, 0xff]), None);
        assert_eq!(huffman(&[0xff; 4]), None);
    }

    #[test]
    fn fields_come_from_the_static_table_or_as_they_are() {
        let section =
            [&[0, 0, 0xcf, 0xd7, 0xc1, 0x50, 1, b'h'][..], b"\x27\x02:protocol\x0cwebtransport"].concat();
        let read = fields(&section).expect("a section");
        let expected = [
            (Name::Method, "CONNECT"),
            (Name::Scheme, "https"),
            (Name::Path, "/"),
            (Name::Authority, "h"),
            (Name::Protocol, "webtransport"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_cut_short_or_refers_to_the_dynamic_table_is_refused() {
        for section in
            [&[0][..], &[0, 0, 0x80], &[0, 0, 0x10], &[0, 0, 0x40, 0], &[0, 0, 0x50, 5, b'a'], &[0, 0, 0x27]]
        {
            assert_eq!(fields(section), None, "{section:?}");
        }
        assert_eq!(fields(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
