//! Puts frames together and checks whether a decoder could decode them, and whether they are what was sent.

use std::collections::BTreeMap;

use millrace::wire::id::Seq;
use millrace::wire::payload::{Codec, vp8};

use super::stream::End;
use crate::stamp;

/// Packets of frames that are not whole yet; the oldest go first.
const PARTS: usize = 4096;

/// See the module.
#[derive(Default)]
pub(super) struct Checker {
    parts: BTreeMap<Seq, Vec<u8>>,
    picture: Option<u16>,
}

impl Checker {
    /// Takes a packet's payload.
    pub(super) fn take(&mut self, seq: Seq, body: &[u8]) {
        self.parts.insert(seq, body.to_vec());
        if self.parts.len() > PARTS {
            self.parts.pop_first();
        }
    }

    /// Frames up to there will not be asked about.
    pub(super) fn forget(&mut self, end: Seq) {
        self.parts = self.parts.split_off(&end.plus(1));
    }

    /// The payloads of the frame that ends there. The one before it was asked about or forgotten.
    pub(super) fn parts(&mut self, end: &End) -> Vec<Vec<u8>> {
        let later = self.parts.split_off(&end.seq.plus(1));
        let parts = std::mem::replace(&mut self.parts, later);
        if parts.last_key_value().is_none_or(|(last, _)| *last != end.seq) {
            return Vec::new();
        }
        parts.into_values().collect()
    }

    /// Whether a frame is sound.
    pub(super) fn frame(&mut self, parts: &[Vec<u8>], end: &End, codec: Codec) -> bool {
        let bodies: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        match codec {
            _ if bodies.is_empty() => false,
            Codec::Vp8 => self.vp8(&bodies, end),
            Codec::H264 { .. } => h264(&bodies, end),
            _ => true,
        }
    }

    /// RFC 7741 and RFC 6386 section 9.1.
    fn vp8(&mut self, bodies: &[&[u8]], end: &End) -> bool {
        let mut frame = Vec::with_capacity(bodies.iter().map(|b| b.len()).sum());
        let mut picture = None;
        for (n, body) in bodies.iter().enumerate() {
            let Ok(descriptor) = vp8::Descriptor::parse(body) else { return false };
            let begins = descriptor.starts_partition && descriptor.partition == 0;
            let number = descriptor.picture_id.map(|id| id.value);
            if begins != (n == 0) || (n > 0 && number != picture) {
                return false;
            }
            picture = number;
            frame.extend_from_slice(body.get(descriptor.len..).unwrap_or_default());
        }
        let follows = match (self.picture, picture) {
            (Some(before), Some(now)) => before.wrapping_add(1) & 0x7fff == now,
            _ => true,
        };
        self.picture = picture;
        let &[a, b, c, ref rest @ ..] = frame.as_slice() else { return false };
        let tag = u32::from_le_bytes([a, b, c, 0]);
        let (is_key, first_partition) = (tag & 1 == 0, (tag >> 5) as usize);
        let header_fits = first_partition < frame.len() && (!is_key || rest.starts_with(&[0x9d, 0x01, 0x2a]));
        // After a keyframe nothing before it matters.
        (follows || is_key) && header_fits && unchanged(&frame, end)
    }
}

/// RFC 6184: single units, and fragments that begin and end.
fn h264(bodies: &[&[u8]], end: &End) -> bool {
    const FU_A: u8 = 28;
    let mut open = false;
    for body in bodies {
        let &[indicator, header, ..] = body else { return false };
        if indicator & 0x80 != 0 {
            return false;
        }
        let (starts, ends) = match indicator & 0x1f {
            FU_A => (header & 0x80 != 0, header & 0x40 != 0),
            1..=24 => (true, true),
            _ => return false,
        };
        if starts == open {
            return false;
        }
        open = !ends;
    }
    !open && unchanged(&bodies.concat(), end)
}

/// The frame without its stamp is the one that was sent.
fn unchanged(frame: &[u8], end: &End) -> bool {
    let check = end.stamp.map_or(0, |stamp| stamp.check);
    let sent = frame.len().checked_sub(stamp::LEN).and_then(|len| frame.get(..len));
    check == 0 || sent.is_some_and(|sent| stamp::checksum([sent]) == check)
}
