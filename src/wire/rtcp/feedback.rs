//! Feedback of RFC 4585 and RFC 5104, and REMB.

use super::feedback_sources;
use crate::units::Bitrate;
use crate::wire::bytes::{u8_at, u24_at};
use crate::wire::id::{Seq16, Ssrc};

/// Generic NACK (RFC 4585 section 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// For packets of this source.
    pub media: Ssrc,
    pairs: &'a [[u8; 4]],
}

impl<'a> Nack<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, media) = feedback_sources(body)?;
        Some(Self { sender, media, pairs: body.get(8..)?.as_chunks().0 })
    }

    /// The packets that are missed: each pair names one and, by a bit mask, any of the 16 after it.
    pub fn seqs(&self) -> impl Iterator<Item = Seq16> + Clone + use<'a> {
        self.pairs.iter().flat_map(|[a, b, c, d]| {
            let first = u16::from_be_bytes([*a, *b]);
            let mask = u32::from(u16::from_be_bytes([*c, *d])) << 1 | 1;
            (0..=16).filter(move |n| mask >> n & 1 == 1).map(move |n| Seq16(first.wrapping_add(n)))
        })
    }
}

/// Picture loss indication (RFC 4585 section 6.3.1).
#[derive(Clone, Copy, Debug)]
pub struct Pli {
    /// Who asks.
    pub sender: Ssrc,
    /// For a keyframe of this source.
    pub media: Ssrc,
}

impl Pli {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (sender, media) = feedback_sources(body)?;
        Some(Self { sender, media })
    }
}

/// Full intra request (RFC 5104 section 4.3.1).
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: Ssrc,
    entries: &'a [[u8; 8]],
}

impl<'a> Fir<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, _) = feedback_sources(body)?;
        Some(Self { sender, entries: body.get(8..)?.as_chunks().0 })
    }

    /// Sources that shall send a keyframe, each with its command number: a repeated number is a repeated command.
    pub fn entries(&self) -> impl Iterator<Item = (Ssrc, u8)> + use<'a> {
        self.entries.iter().map(|[a, b, c, d, seq, ..]| (Ssrc(u32::from_be_bytes([*a, *b, *c, *d])), *seq))
    }
}

/// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// For at most this much, over all the sources together.
    pub bitrate: Bitrate,
    ssrcs: &'a [[u8; 4]],
}

impl<'a> Remb<'a> {
    /// What tells it from other application layer feedback.
    pub(super) const NAME: &'static [u8] = b"REMB";

    pub(super) fn is_one(body: &[u8]) -> bool {
        body.get(8..).is_some_and(|fci| fci.starts_with(Self::NAME))
    }

    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, _) = feedback_sources(body)?;
        let count = usize::from(u8_at(body, 12)?);
        let exponent_and_mantissa = u24_at(body, 13)?;
        let (exponent, mantissa) = (exponent_and_mantissa >> 18, u64::from(exponent_and_mantissa & 0x3_ffff));
        // Up to 18 bits, up to 63 to the left: what does not fit into 64 bits is no limit.
        let bps = u64::try_from(u128::from(mantissa) << exponent).unwrap_or(u64::MAX);
        let ssrcs = body.get(16..16 + 4 * count)?.as_chunks().0;
        Some(Self { sender, bitrate: Bitrate::from_bps(bps), ssrcs })
    }

    /// The sources.
    pub fn ssrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        self.ssrcs.iter().map(|b| Ssrc(u32::from_be_bytes(*b)))
    }
}
