//! RTCP: reports (RFC 3550 section 6.4 to 6.6, RFC 3611), feedback (RFC 4585, RFC 5104), REMB and transport-wide feedback.
//!
//! Compounds may be of reduced size (RFC 5506). Refused: compounds with anything that is cut short inside; one bad packet
//! drops them all. Types and formats not listed in [`Packet`] (APP, TMMBR, ...) are [`Packet::Unknown`].

mod extended;
mod feedback;
mod report;
mod twcc;
mod write;

pub use extended::{Delay, Extended};
pub use feedback::{Fir, Nack, Pli, Remb};
pub use report::{Bye, Chunk, ReceiverReport, ReportBlock, Sdes, SenderInfo, SenderReport};
pub use twcc::{Feedback, Twcc};
pub use write::Writer;

use super::Malformed;
use super::bytes::{u8_at, u16_at, u32_at};
use super::id::Ssrc;

/// Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611 section 2).
mod kind {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SDES: u8 = 202;
    pub(super) const BYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
    pub(super) const EXTENDED: u8 = 207;
}

/// Formats of feedback (RFC 4585 section 6, RFC 5104 section 4.3.1).
mod format {
    pub(super) const NACK: u8 = 1;
    pub(super) const TWCC: u8 = 15;
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}

/// One packet of a compound, checked: its getters and iterators cannot fail.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// RFC 3550 section 6.4.1.
    SenderReport(SenderReport<'a>),
    /// RFC 3550 section 6.4.2.
    ReceiverReport(ReceiverReport<'a>),
    /// RFC 3550 section 6.5.
    Sdes(Sdes<'a>),
    /// RFC 3550 section 6.6.
    Bye(Bye<'a>),
    /// Generic NACK (RFC 4585 section 6.2.1).
    Nack(Nack<'a>),
    /// Picture loss indication (RFC 4585 section 6.3.1).
    Pli(Pli),
    /// Full intra request (RFC 5104 section 4.3.1).
    Fir(Fir<'a>),
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
    Remb(Remb<'a>),
    /// Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Twcc(Twcc<'a>),
    /// RFC 3611.
    Extended(Extended<'a>),
    /// Anything else.
    Unknown {
        /// Packet type.
        kind: u8,
        /// The five bits after version and padding: a count or a format.
        format: u8,
        /// What follows the first four bytes, without padding.
        body: &'a [u8],
    },
}

/// Checks `compound` as a whole and iterates over its packets.
pub fn packets(compound: &[u8]) -> Result<impl Iterator<Item = Packet<'_>>, Malformed> {
    let mut rest = compound;
    if rest.is_empty() {
        return Err(Malformed);
    }
    while !rest.is_empty() {
        rest = next(rest).ok_or(Malformed)?.1;
    }
    let mut rest = compound;
    Ok(std::iter::from_fn(move || {
        let (packet, after) = next(rest)?;
        rest = after;
        Some(packet)
    }))
}

/// The first packet of `compound` and what follows it.
fn next(compound: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let first = u8_at(compound, 0)?;
    if first >> 6 != 2 {
        return None;
    }
    let words = usize::from(u16_at(compound, 2)?);
    let (packet, rest) = compound.split_at_checked(4 + 4 * words)?;
    let body = unpadded(first, packet.get(4..)?)?;
    Some((Packet::read(u8_at(packet, 1)?, first & 0x1f, body)?, rest))
}

/// RFC 3550 section 6.4.1 pads only the last packet, by a multiple of four bytes. libwebrtc pads its transport-wide feedback
/// by 1 to 3 bytes wherever it stands, so only the count, which is the last byte, must make sense.
fn unpadded(first: u8, body: &[u8]) -> Option<&[u8]> {
    if first & 0x20 == 0 {
        return Some(body);
    }
    let padding = usize::from(*body.last()?);
    if padding == 0 {
        return None;
    }
    body.get(..body.len().checked_sub(padding)?)
}

impl<'a> Packet<'a> {
    fn read(kind: u8, format: u8, body: &'a [u8]) -> Option<Self> {
        Some(match (kind, format) {
            (kind::SENDER_REPORT, count) => Self::SenderReport(SenderReport::read(count, body)?),
            (kind::RECEIVER_REPORT, count) => Self::ReceiverReport(ReceiverReport::read(count, body)?),
            (kind::SDES, count) => Self::Sdes(Sdes::read(count, body)?),
            (kind::BYE, count) => Self::Bye(Bye::read(count, body)?),
            (kind::TRANSPORT_FEEDBACK, format::NACK) => Self::Nack(Nack::read(body)?),
            (kind::TRANSPORT_FEEDBACK, format::TWCC) => Self::Twcc(Twcc::read(body)?),
            (kind::PAYLOAD_FEEDBACK, format::PLI) => Self::Pli(Pli::read(body)?),
            (kind::PAYLOAD_FEEDBACK, format::FIR) => Self::Fir(Fir::read(body)?),
            (kind::PAYLOAD_FEEDBACK, format::APPLICATION) if Remb::is_one(body) => {
                Self::Remb(Remb::read(body)?)
            }
            (kind::EXTENDED, _) => Self::Extended(Extended::read(body)?),
            _ => Self::Unknown { kind, format, body },
        })
    }
}

/// Sender and media source, with which all feedback begins (RFC 4585 section 6.1).
fn feedback_sources(body: &[u8]) -> Option<(Ssrc, Ssrc)> {
    Some((Ssrc(u32_at(body, 0)?), Ssrc(u32_at(body, 4)?)))
}

#[cfg(test)]
mod tests;
