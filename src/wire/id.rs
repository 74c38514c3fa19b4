//! Names and numbers of RTP that must not be confused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A synchronisation source (RFC 3550 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ssrc(pub u32);

/// A payload type, 7 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pt(pub u8);

/// An RTP timestamp, in units of the codec's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTs(pub u32);

/// A sequence number as it travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq16(pub u16);

/// A sequence number with its rollovers counted: it never wraps. The low 16 bits travel; for SRTP the next 32
/// are the rollover counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The full number that is nearest to `self` and travels as `wire` (RFC 3711 section 3.3.1 in spirit).
    pub const fn nearest(self, wire: Seq16) -> Self {
        let ahead = wire.0.wrapping_sub(self.0 as u16) as i16 as i64;
        match self.0.checked_add_signed(ahead) {
            Some(full) => Self(full),
            None => Self(wire.0 as u64),
        }
    }

    /// As it travels.
    pub const fn wire(self) -> Seq16 {
        Seq16(self.0 as u16)
    }

    /// The rollover counter (RFC 3711 section 3.3.1).
    pub const fn rollover(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The number `by` further on.
    pub const fn plus(self, by: u64) -> Self {
        Self(self.0.saturating_add(by))
    }

    /// How far `self` is behind `later`; zero if it is not.
    pub const fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }
}

macro_rules! short_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub struct $name {
            len: u8,
            bytes: [u8; 16],
        }

        impl $name {
            /// From text of 1 to 16 printable ASCII characters without spaces; else `None`.
            pub fn new(text: &[u8]) -> Option<Self> {
                let mut bytes = [0; 16];
                if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
                    return None;
                }
                bytes.get_mut(..text.len())?.copy_from_slice(text);
                Some(Self { len: text.len() as u8, bytes })
            }

            /// Its characters.
            pub fn as_bytes(&self) -> &[u8] {
                self.bytes.get(..usize::from(self.len)).unwrap_or_default()
            }

            /// Its characters.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

short_text!(
    /// Which m-line a packet belongs to (RFC 5888, RFC 9143).
    Mid
);
short_text!(
    /// Which simulcast layer a packet belongs to (RFC 8852).
    Rid
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_number_is_extended_to_the_nearest() {
        assert_eq!(Seq(0x1_0002).nearest(Seq16(0xffff)), Seq(0xffff));
        assert_eq!(Seq(0xfffe).nearest(Seq16(1)), Seq(0x1_0001));
        assert_eq!(Seq(5).nearest(Seq16(0xffff)), Seq(0xffff));
        assert_eq!(Seq(0x1_0002).rollover(), 1);
    }

    #[test]
    fn short_text_has_bounds() {
        assert_eq!(Mid::new(b"0").map(|m| m.to_string()), Some("0".to_owned()));
        assert!(
            Mid::new(b"").is_none() && Mid::new(b"seventeen letters").is_none() && Rid::new(b"a b").is_none()
        );
    }
}
