//! Transport-wide sequence number: one count over all streams of a connection, which feedback refers to
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 2).

use crate::wire::id::Seq16;

/// Reads the value of an element.
pub const fn read(value: &[u8]) -> Option<Seq16> {
    match value {
        [a, b] => Some(Seq16(u16::from_be_bytes([*a, *b]))),
        _ => None,
    }
}

/// The value to write.
pub const fn bytes(seq: Seq16) -> [u8; 2] {
    seq.0.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&bytes(Seq16(0xfe01))), Some(Seq16(0xfe01)));
        assert_eq!(bytes(Seq16(0xfe01)), [0xfe, 0x01]);
        assert_eq!(read(&[1]), None);
    }
}
