//! A stamp at the end of media: when it was due, which packet it is, and what the frame before it must be.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Bytes of a stamp.
pub const LEN: usize = 22;
const MAGIC: [u8; 3] = *b"mrs";

/// What a payload carries at its end: every synthetic packet, and of encoded media the last packet of every frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Which encoding of the publisher.
    pub layer: u8,
    /// Which publisher of the run.
    pub source: u16,
    /// Number of the packet within the encoding.
    pub number: u32,
    /// When it was due, in microseconds of [`micros`]: not when it was sent, so that a tool that is late does not
    /// make the server look better (coordinated omission).
    pub at: u64,
    /// Checksum of the frame up to here; 0 for none.
    pub check: u32,
}

impl Stamp {
    /// Its bytes.
    pub fn bytes(&self) -> [u8; LEN] {
        let mut stamp = [0; LEN];
        stamp[..3].copy_from_slice(&MAGIC);
        stamp[3] = self.layer;
        stamp[4..6].copy_from_slice(&self.source.to_be_bytes());
        stamp[6..10].copy_from_slice(&self.number.to_be_bytes());
        stamp[10..18].copy_from_slice(&self.at.to_be_bytes());
        stamp[18..].copy_from_slice(&self.check.to_be_bytes());
        stamp
    }

    /// Writes it to the end of `payload`, if there is room.
    pub fn write(&self, payload: &mut [u8]) {
        if let Some(stamp) = payload.last_chunk_mut::<LEN>() {
            *stamp = self.bytes();
        }
    }

    /// Reads it from the end of `payload`; `None` if a browser sent it.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let &[a, b, c, layer, s0, s1, n0, n1, n2, n3, ref rest @ ..] = payload.last_chunk::<LEN>()?;
        let (at, check) = rest.split_first_chunk()?;
        ([a, b, c] == MAGIC).then_some(Self {
            layer,
            source: u16::from_be_bytes([s0, s1]),
            number: u32::from_be_bytes([n0, n1, n2, n3]),
            at: u64::from_be_bytes(*at),
            check: u32::from_be_bytes(*check.first_chunk()?),
        })
    }
}

/// The checksum of a frame (FNV-1a, and never 0): against mix-ups, not against malice.
pub fn checksum(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> u32 {
    let mut sum = 0x811c_9dc5u32;
    for part in parts {
        for byte in part.as_ref() {
            sum = (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
    sum.max(1)
}

/// Microseconds since 1970 that never run backwards: the same for all processes of a host, to the microsecond.
pub fn micros(now: Instant) -> u64 {
    static EPOCH: LazyLock<(Instant, u64)> = LazyLock::new(|| {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (Instant::now(), wall.as_micros() as u64)
    });
    let (begin, wall) = *EPOCH;
    match now.checked_duration_since(begin) {
        Some(since) => wall + since.as_micros() as u64,
        None => wall - begin.duration_since(now).as_micros() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_written_and_nothing_else_is_one() {
        let stamp = Stamp { layer: 2, source: 300, number: 70_000, at: 1 << 50, check: 0xdead_beef };
        let mut payload = [0; 40];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..39]), None);
        assert_eq!(Stamp::read(&payload[30..]), None);
    }

    #[test]
    fn a_checksum_does_not_care_how_a_frame_is_cut() {
        assert_eq!(checksum([b"ab".as_slice(), b"cd"]), checksum([b"abcd"]));
        assert_ne!(checksum([b"abcd"]), checksum([b"abdc"]));
    }
}
