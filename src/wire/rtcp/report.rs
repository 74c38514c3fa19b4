//! Reports, descriptions and goodbyes (RFC 3550 sections 6.4 to 6.6).

use crate::wire::bytes::{u8_at, u24_at, u32_at, u64_at};
use crate::wire::id::{RtpTs, Ssrc};

const BLOCK: usize = 24;

/// What a sender says of its own stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time of the report: seconds since 1900 in 32.32 fixed point.
    pub ntp: u64,
    /// The same moment as a timestamp of the stream.
    pub ts: RtpTs,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub bytes: u32,
}

/// What a receiver says of one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: Ssrc,
    /// Share of packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost so far, 24 bits with sign: duplicates can make it negative.
    pub lost: i32,
    /// Highest sequence number received, with its rollovers in the high 16 bits.
    pub highest_seq: u32,
    /// Interarrival jitter in units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time in the last sender report.
    pub last_sr: u32,
    /// Time since then, in 65536ths of a second.
    pub delay_since_sr: u32,
}

impl ReportBlock {
    fn read(block: &[u8; BLOCK]) -> Option<Self> {
        Some(Self {
            ssrc: Ssrc(u32_at(block, 0)?),
            fraction_lost: u8_at(block, 4)?,
            // Up and down again by a byte: the sign is in bit 23.
            lost: ((u24_at(block, 5)? << 8) as i32) >> 8,
            highest_seq: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            last_sr: u32_at(block, 16)?,
            delay_since_sr: u32_at(block, 20)?,
        })
    }
}

/// `count` report blocks from `at` on; profile extensions after them are none of ours.
fn blocks_at(count: u8, body: &[u8], at: usize) -> Option<&[[u8; BLOCK]]> {
    Some(body.get(at..at + BLOCK * usize::from(count))?.as_chunks().0)
}

/// RFC 3550 section 6.4.1.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    /// Of its own stream.
    pub info: SenderInfo,
    blocks: &'a [[u8; BLOCK]],
}

impl<'a> SenderReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let info = SenderInfo {
            ntp: u64_at(body, 4)?,
            ts: RtpTs(u32_at(body, 12)?),
            packets: u32_at(body, 16)?,
            bytes: u32_at(body, 20)?,
        };
        Some(Self { ssrc: Ssrc(u32_at(body, 0)?), info, blocks: blocks_at(count, body, 24)? })
    }

    /// Of what it receives.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.blocks.iter().filter_map(ReportBlock::read)
    }
}

/// RFC 3550 section 6.4.2.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [[u8; BLOCK]],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self { ssrc: Ssrc(u32_at(body, 0)?), blocks: blocks_at(count, body, 4)? })
    }

    /// Of what it receives.
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.blocks.iter().filter_map(ReportBlock::read)
    }
}

/// RFC 3550 section 6.5.
#[derive(Clone, Copy, Debug)]
pub struct Sdes<'a> {
    count: u8,
    chunks: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let mut rest = body;
        for _ in 0..count {
            rest = Chunk::read(rest)?.1;
        }
        Some(Self { count, chunks: body })
    }

    /// Sources and what is said of them.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + use<'a> {
        let mut rest = self.chunks;
        (0..self.count).map_while(move |_| {
            let (chunk, after) = Chunk::read(rest)?;
            rest = after;
            Some(chunk)
        })
    }
}

/// What is said of one source.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    items: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The item type CNAME: a name that all sources of one endpoint share.
    pub const CNAME: u8 = 1;

    /// The chunk at the front and what follows it. Items end at a zero byte, and the chunk at the next multiple
    /// of four bytes.
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ssrc = Ssrc(u32_at(bytes, 0)?);
        let mut end = 4;
        while u8_at(bytes, end)? != 0 {
            end += 2 + usize::from(u8_at(bytes, end + 1)?);
        }
        let items = bytes.get(4..end)?;
        Some((Self { ssrc, items }, bytes.get((end + 1).next_multiple_of(4)..)?))
    }

    /// Item types and their text.
    pub fn items(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let [kind, len, after @ ..] = rest else { return None };
            let (text, after) = after.split_at_checked(usize::from(*len))?;
            rest = after;
            Some((*kind, text))
        })
    }

    /// The text of the CNAME item.
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items().find(|item| item.0 == Self::CNAME).map(|item| item.1)
    }
}

/// RFC 3550 section 6.6.
#[derive(Clone, Copy, Debug)]
pub struct Bye<'a> {
    ssrcs: &'a [[u8; 4]],
    reason: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn read(count: u8, body: &'a [u8]) -> Option<Self> {
        let (ssrcs, rest) = body.split_at_checked(4 * usize::from(count))?;
        let reason = match rest {
            [] => &[][..],
            [len, text @ ..] => text.get(..usize::from(*len))?,
        };
        Some(Self { ssrcs: ssrcs.as_chunks().0, reason })
    }

    /// The sources that end.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.ssrcs.iter().map(|b| Ssrc(u32::from_be_bytes(*b)))
    }

    /// Why, in text; empty if unsaid.
    pub const fn reason(&self) -> &'a [u8] {
        self.reason
    }
}
