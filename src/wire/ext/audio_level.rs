//! Client-to-mixer audio level (RFC 6464).

/// How loud a packet is, so that nobody needs to decode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the encoder believes that it is speech.
    pub voice: bool,
    /// Decibels *below* the loudest: 0 is overload, 127 silence.
    pub level: u8,
}

impl AudioLevel {
    /// Reads the value of an element. In the two-byte form a padding byte may follow (RFC 6464 section 3).
    pub fn read(value: &[u8]) -> Option<Self> {
        match value {
            [b] | [b, _] => Some(Self { voice: b & 0x80 != 0, level: b & 0x7f }),
            _ => None,
        }
    }

    /// The value to write.
    pub const fn bytes(self) -> [u8; 1] {
        [((self.voice as u8) << 7) | (self.level & 0x7f)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_wire() {
        for byte in 0..=255 {
            let read = AudioLevel::read(&[byte]);
            assert_eq!(read.map(AudioLevel::bytes), Some([byte]));
            assert_eq!(AudioLevel::read(&[byte, 0]), read);
        }
        assert_eq!(AudioLevel::read(&[]), None);
        assert_eq!(AudioLevel::read(&[0x9e]), Some(AudioLevel { voice: true, level: 30 }));
    }
}
