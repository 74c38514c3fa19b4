//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3).

use super::feedback_sources;
use crate::wire::bytes::{Out, u8_at, u16_at, u24_at};
use crate::wire::id::{Seq16, Ssrc};

/// Statuses that one chunk can run on for: 13 bits.
const LONGEST_RUN: u16 = 0x1fff;
const RECEIVED_SMALL: u8 = 1;
const RECEIVED_LARGE: u8 = 2;

/// A feedback's fixed part: what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Who reports.
    pub sender: Ssrc,
    /// Any source of the connection: sequence numbers count over all of them.
    pub media: Ssrc,
    /// The first packet reported on.
    pub base: Seq16,
    /// What deltas start from, in units of 64 ms, 24 bits with sign.
    pub reference: i32,
    /// Number of this feedback, to notice lost ones.
    pub count: u8,
}

impl Feedback {
    /// Microseconds of one unit of [`Feedback::reference`].
    pub const REFERENCE_MICROS: i64 = 64_000;
    /// Microseconds of one unit of a delta.
    pub const DELTA_MICROS: i64 = 250;
}

/// A feedback whose chunks cover all packets it counts and whose deltas are all there.
#[derive(Clone, Copy, Debug)]
pub struct Twcc<'a> {
    /// What it is about.
    pub feedback: Feedback,
    statuses: u16,
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
}

impl<'a> Twcc<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (sender, media) = feedback_sources(body)?;
        let feedback = Feedback {
            sender,
            media,
            base: Seq16(u16_at(body, 8)?),
            reference: ((u24_at(body, 12)? << 8) as i32) >> 8,
            count: u8_at(body, 15)?,
        };
        let statuses = u16_at(body, 10)?;
        let all = body.get(16..)?.as_chunks().0;

        // How far the chunks go shows only by counting what they stand for.
        let (mut covered, mut used, mut delta_bytes) = (0, 0, 0);
        while covered < usize::from(statuses) {
            let mut symbols = Symbols::of(*all.get(used)?);
            used += 1;
            let wanted = usize::from(statuses) - covered;
            covered += usize::from(symbols.left);
            delta_bytes += symbols.delta_bytes(wanted);
        }
        let chunks = all.get(..used)?;
        let deltas = body.get(16 + 2 * used..)?.get(..delta_bytes)?;
        Some(Self { feedback, statuses, chunks, deltas })
    }

    /// Number of packets reported on.
    pub const fn len(&self) -> u16 {
        self.statuses
    }

    /// Whether no packet is reported on.
    pub const fn is_empty(&self) -> bool {
        self.statuses == 0
    }

    /// Each packet with its delta to the arrival of the one received before it (the first: to the reference),
    /// in [`Feedback::DELTA_MICROS`]; `None` if it was not received.
    pub fn statuses(&self) -> impl Iterator<Item = (Seq16, Option<i16>)> + Clone + use<'a> {
        let (base, mut deltas) = (self.feedback.base.0, self.deltas);
        let symbols = self.chunks.iter().flat_map(|chunk| Symbols::of(*chunk));
        (0..self.statuses).zip(symbols).map(move |(n, symbol)| {
            let delta = match (symbol, deltas) {
                (RECEIVED_SMALL, [a, rest @ ..]) => {
                    deltas = rest;
                    Some(i16::from(*a))
                }
                (RECEIVED_LARGE, [a, b, rest @ ..]) => {
                    deltas = rest;
                    Some(i16::from_be_bytes([*a, *b]))
                }
                _ => None,
            };
            (Seq16(base.wrapping_add(n)), delta)
        })
    }
}

/// The status symbols of one chunk. The reserved symbol 3 is taken as "not received": it has no delta.
#[derive(Clone, Copy, Debug)]
struct Symbols {
    left: u16,
    /// Symbols yet to come, the next one at the top, each `width` bits wide; a width of 0 is a run.
    bits: u16,
    width: u8,
}

impl Symbols {
    fn of(chunk: [u8; 2]) -> Self {
        let chunk = u16::from_be_bytes(chunk);
        match chunk >> 14 {
            0b10 => Self { left: 14, bits: chunk << 2, width: 1 },
            0b11 => Self { left: 7, bits: chunk << 2, width: 2 },
            _ => Self { left: chunk & LONGEST_RUN, bits: chunk << 1, width: 0 },
        }
    }

    /// Bytes of the deltas of the first `wanted` packets.
    fn delta_bytes(&mut self, wanted: usize) -> usize {
        if self.width == 0 {
            return usize::from(self.left).min(wanted) * delta_len((self.bits >> 14) as u8);
        }
        self.take(wanted).map(delta_len).sum()
    }
}

impl Iterator for Symbols {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        let symbol = if self.width == 1 { self.bits >> 15 } else { self.bits >> 14 };
        self.bits <<= self.width;
        Some(symbol as u8)
    }
}

const fn delta_len(symbol: u8) -> usize {
    match symbol {
        RECEIVED_SMALL => 1,
        RECEIVED_LARGE => 2,
        _ => 0,
    }
}

const fn symbol_of(delta: Option<i16>) -> u8 {
    match delta {
        None => 0,
        Some(0..=255) => RECEIVED_SMALL,
        Some(_) => RECEIVED_LARGE,
    }
}

/// Writes the part after the common header. `None` if it does not fit or there are more than 65535 statuses.
pub(super) fn write(
    out: &mut Out<'_>,
    feedback: &Feedback,
    statuses: impl Iterator<Item = Option<i16>> + Clone,
) -> Option<()> {
    let count = u16::try_from(statuses.clone().count()).ok()?;
    out.u32(feedback.sender.0)?;
    out.u32(feedback.media.0)?;
    out.u16(feedback.base.0)?;
    out.u16(count)?;
    out.u32((feedback.reference as u32) << 8 | u32::from(feedback.count))?;
    write_chunks(out, statuses.clone().map(symbol_of))?;
    for delta in statuses.flatten() {
        match u8::try_from(delta) {
            Ok(small) => out.u8(small)?,
            Err(_) => out.put(&delta.to_be_bytes())?,
        }
    }
    Some(())
}

/// Greedily: a run where it says at least as much as a vector would, else 14 symbols of one bit if none is large,
/// else 7 of two bits.
fn write_chunks(out: &mut Out<'_>, mut symbols: impl Iterator<Item = u8> + Clone) -> Option<()> {
    loop {
        let mut ahead = symbols.clone();
        let Some(first) = ahead.next() else { return Some(()) };
        let same = ahead.take_while(|s| *s == first).take(usize::from(LONGEST_RUN) - 1).count() + 1;
        let narrow = symbols.clone().take(14).all(|s| s != RECEIVED_LARGE);
        let reach = symbols.clone().take(if narrow { 14 } else { 7 }).count();
        let (chunk, taken) = if same >= reach {
            (u16::from(first) << 13 | same as u16, same)
        } else {
            let (mark, width): (u16, u16) = if narrow { (0b10, 1) } else { (0b11, 2) };
            let start = 14 - width;
            let bits = symbols
                .clone()
                .take(reach)
                .zip(0u16..)
                .fold(0, |bits, (symbol, n)| bits | u16::from(symbol) << start.saturating_sub(n * width));
            (mark << 14 | bits, reach)
        };
        out.u16(chunk)?;
        for _ in 0..taken {
            symbols.next();
        }
    }
}
