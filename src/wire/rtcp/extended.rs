//! Extended reports (RFC 3611), of which only the round trip of those who send no media is of use here: a receiver says
//! what time it is (section 4.4), and is told how long ago that was (section 4.5).

use crate::wire::bytes::{u8_at, u16_at, u32_at, u64_at};
use crate::wire::id::Ssrc;

/// Block types (RFC 3611 sections 4.4 and 4.5).
pub(super) const RECEIVER_TIME: u8 = 4;
pub(super) const DELAY: u8 = 5;

/// An extended report.
#[derive(Clone, Copy, Debug)]
pub struct Extended<'a> {
    /// Who reports.
    pub sender: Ssrc,
    blocks: &'a [u8],
}

/// How long ago a receiver's time came (RFC 3611 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Whose.
    pub ssrc: Ssrc,
    /// The middle 32 bits of that time.
    pub last_rr: u32,
    /// Time since then, in 65536ths of a second.
    pub since: u32,
}

impl<'a> Extended<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let blocks = body.get(4..)?;
        let mut rest = blocks;
        while !rest.is_empty() {
            rest = next(rest)?.2;
        }
        Some(Self { sender: Ssrc(u32_at(body, 0)?), blocks })
    }

    fn blocks(&self) -> impl Iterator<Item = (u8, &'a [u8])> + Clone + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            let (kind, body, after) = next(rest)?;
            rest = after;
            Some((kind, body))
        })
    }

    /// The NTP time at the receiver when it reported.
    pub fn receiver_time(&self) -> Option<u64> {
        self.blocks().find(|(kind, _)| *kind == RECEIVER_TIME).and_then(|(_, body)| u64_at(body, 0))
    }

    /// How long ago receivers' times came.
    pub fn delays(&self) -> impl Iterator<Item = Delay> + Clone + use<'a> {
        let blocks = self.blocks().filter(|(kind, _)| *kind == DELAY);
        blocks.flat_map(|(_, body)| body.as_chunks::<12>().0).filter_map(|chunk| {
            let (ssrc, last_rr) = (Ssrc(u32_at(chunk, 0)?), u32_at(chunk, 4)?);
            Some(Delay { ssrc, last_rr, since: u32_at(chunk, 8)? })
        })
    }
}

/// The first block, its type and what it says, and what follows it (RFC 3611 section 3).
fn next(blocks: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let words = usize::from(u16_at(blocks, 2)?);
    let (block, rest) = blocks.split_at_checked(4 + 4 * words)?;
    Some((u8_at(block, 0)?, block.get(4..)?, rest))
}
