//! A stamp at the end of every synthetic payload: when it was sent, and which packet it is.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Bytes of a stamp.
pub const LEN: usize = 16;
const MAGIC: [u8; 3] = *b"mrs";

/// What a payload carries at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which encoding of the publisher.
    pub layer: u8,
    /// Number of the packet within the encoding.
    pub number: u32,
    /// When it was made, in microseconds of [`micros`].
    pub at: u64,
}

impl Stamp {
    /// Writes it to the end of `payload`, if there is room.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(stamp) = payload.last_chunk_mut::<LEN>() else { return };
        stamp[..3].copy_from_slice(&MAGIC);
        stamp[3] = self.layer;
        stamp[4..8].copy_from_slice(&self.number.to_be_bytes());
        stamp[8..].copy_from_slice(&self.at.to_be_bytes());
    }

    /// Reads it from the end of `payload`; `None` if a browser sent it.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let &[a, b, c, layer, n0, n1, n2, n3, ref at @ ..] = payload.last_chunk::<LEN>()?;
        ([a, b, c] == MAGIC).then_some(Self {
            layer,
            number: u32::from_be_bytes([n0, n1, n2, n3]),
            at: u64::from_be_bytes(*at),
        })
    }
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
        let stamp = Stamp { layer: 2, number: 70_000, at: 1 << 50 };
        let mut payload = [0; 40];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..39]), None);
        assert_eq!(Stamp::read(&payload[30..]), None);
    }
}
