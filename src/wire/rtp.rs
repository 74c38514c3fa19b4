//! RTP packets (RFC 3550 section 5) and their header extensions (RFC 8285).

use super::Malformed;
use super::bytes::{Out, u8_at, u16_at, u32_at};
use super::id::{Pt, RtpTs, Seq16, Ssrc};

/// Bytes of a header without CSRCs and extensions.
pub const MIN_HEADER: usize = 12;
/// Profile of the one-byte form (RFC 8285 section 4.2).
const ONE_BYTE: u16 = 0xbede;
/// Profile of the two-byte form, its low four bits are the application's (RFC 8285 section 4.3).
const TWO_BYTE: u16 = 0x1000;

/// Length of the header at the front of `packet`, CSRCs and extensions included. What follows may be encrypted.
pub fn header_len(packet: &[u8]) -> Result<usize, Malformed> {
    layout(packet).map(|l| l.header_len).ok_or(Malformed)
}

struct Layout {
    header_len: usize,
    extension_start: usize,
    profile: u16,
}

fn layout(packet: &[u8]) -> Option<Layout> {
    let first = u8_at(packet, 0)?;
    if first >> 6 != 2 {
        return None;
    }
    let csrc_end = MIN_HEADER + 4 * usize::from(first & 0x0f);
    let (header_len, extension_start, profile) = if first & 0x10 == 0 {
        (csrc_end, csrc_end, 0)
    } else {
        let start = csrc_end + 4;
        (start + 4 * usize::from(u16_at(packet, csrc_end + 2)?), start, u16_at(packet, csrc_end)?)
    };
    (header_len <= packet.len()).then_some(Layout { header_len, extension_start, profile })
}

/// A packet whose structure was checked: fixed header, CSRCs, extension block and padding lie within it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    fixed: &'a [u8; MIN_HEADER],
    packet: &'a [u8],
    extension: &'a [u8],
    payload: &'a [u8],
    header_len: usize,
    profile: u16,
}

impl<'a> View<'a> {
    /// Checks `packet`, which must not be encrypted.
    pub fn parse(packet: &'a [u8]) -> Result<Self, Malformed> {
        Self::checked(packet).ok_or(Malformed)
    }

    fn checked(packet: &'a [u8]) -> Option<Self> {
        let Layout { header_len, extension_start, profile } = layout(packet)?;
        let fixed = packet.first_chunk()?;
        let body = packet.get(header_len..)?;
        // RFC 3550 section 5.1: the last byte counts the padding, itself included.
        let padding = if fixed[0] & 0x20 == 0 {
            0
        } else {
            match usize::from(*body.last()?) {
                0 => return None,
                n => n,
            }
        };
        let payload = body.get(..body.len().checked_sub(padding)?)?;
        let extension = packet.get(extension_start..header_len)?;
        Some(Self { fixed, packet, extension, payload, header_len, profile })
    }

    /// The marker bit; for video, the last packet of a picture.
    pub const fn marker(&self) -> bool {
        self.fixed[1] & 0x80 != 0
    }

    /// The payload type.
    pub const fn pt(&self) -> Pt {
        Pt(self.fixed[1] & 0x7f)
    }

    /// The sequence number.
    pub const fn seq(&self) -> Seq16 {
        Seq16(u16::from_be_bytes([self.fixed[2], self.fixed[3]]))
    }

    /// The timestamp.
    pub const fn ts(&self) -> RtpTs {
        RtpTs(u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]]))
    }

    /// The source.
    pub const fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([self.fixed[8], self.fixed[9], self.fixed[10], self.fixed[11]]))
    }

    /// Contributing sources.
    pub fn csrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let end = MIN_HEADER + 4 * usize::from(self.fixed[0] & 0x0f);
        let list = self.packet.get(MIN_HEADER..end).unwrap_or_default();
        list.as_chunks().0.iter().map(|c| Ssrc(u32::from_be_bytes(*c)))
    }

    /// The fields of the fixed header that a forwarder rewrites.
    pub const fn header(&self) -> Header {
        Header { marker: self.marker(), pt: self.pt(), seq: self.seq(), ts: self.ts(), ssrc: self.ssrc() }
    }

    /// Bytes before the payload.
    pub const fn header_len(&self) -> usize {
        self.header_len
    }

    /// What is carried, without padding.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Bytes of padding after the payload, the count included.
    pub const fn padding_len(&self) -> usize {
        self.packet.len() - self.header_len - self.payload.len()
    }

    /// The whole packet.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.packet
    }

    /// Header extension elements in either form of RFC 8285; none if the block has another profile.
    pub const fn extensions(&self) -> Extensions<'a> {
        Extensions { rest: self.extension, profile: self.profile }
    }

    /// The first element with this id; 0 ("not negotiated") is never there.
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|e| e.0 == id).map(|e| e.1)
    }
}

/// Iterator of [`View::extensions`]. An element that leaves the block ends it.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    profile: u16,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // A zero byte is padding in both forms (RFC 8285 section 4.1).
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        let (id, len, rest) = match (self.profile, self.rest) {
            // Id 15 stops the processing of the whole block (RFC 8285 section 4.2).
            (ONE_BYTE, [first, rest @ ..]) if first >> 4 != 15 => (first >> 4, (first & 15) + 1, rest),
            (p, [id, len, rest @ ..]) if p & 0xfff0 == TWO_BYTE => (*id, *len, rest),
            _ => (0, 0, &[][..]),
        };
        let Some((value, rest)) = rest.split_at_checked(usize::from(len)).filter(|_| id != 0) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, value))
    }
}

/// The fixed header's fields, to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Marker bit.
    pub marker: bool,
    /// Payload type.
    pub pt: Pt,
    /// Sequence number.
    pub seq: Seq16,
    /// Timestamp.
    pub ts: RtpTs,
    /// Source.
    pub ssrc: Ssrc,
}

impl Header {
    /// Writes the header with these extension elements (id and value) to the front of `buf` and returns its length.
    /// `None` if it does not fit, an id is 0 or a value is longer than 255 bytes.
    ///
    /// The one-byte form serves unless an id is over 14 or a value is empty or over 16 bytes.
    pub fn write(&self, buf: &mut [u8], extensions: &[(u8, &[u8])]) -> Option<usize> {
        let mut out = Out::new(buf, 0);
        out.u8(0x80 | (u8::from(!extensions.is_empty()) << 4))?;
        out.u8((u8::from(self.marker) << 7) | (self.pt.0 & 0x7f))?;
        out.u16(self.seq.0)?;
        out.u32(self.ts.0)?;
        out.u32(self.ssrc.0)?;
        if !extensions.is_empty() {
            write_extensions(&mut out, extensions)?;
        }
        Some(out.len())
    }
}

fn write_extensions(out: &mut Out<'_>, extensions: &[(u8, &[u8])]) -> Option<()> {
    let short = extensions.iter().all(|(id, value)| *id < 15 && (1..=16).contains(&value.len()));
    out.u16(if short { ONE_BYTE } else { TWO_BYTE })?;
    out.u16(0)?;
    let start = out.len();
    for (id, value) in extensions {
        if *id == 0 {
            return None;
        }
        let len = u8::try_from(value.len()).ok()?;
        if short {
            out.u8((id << 4) | (len - 1))?;
        } else {
            out.put(&[*id, len])?;
        }
        out.put(value)?;
    }
    out.align(start)?;
    let words = u16::try_from((out.len() - start) / 4).ok()?;
    out.set_u16(start - 2, words)
}

/// Pads the unpadded packet in `buf[..len]` to `target` bytes, so that segments of a run are of one size.
/// `None` if that is not 1 to 255 bytes more, does not fit, or the packet has padding already.
pub fn pad(buf: &mut [u8], len: usize, target: usize) -> Option<usize> {
    let more = u8::try_from(target.checked_sub(len)?).ok()?;
    let room = buf.get_mut(len..target)?;
    room.fill(0);
    *room.last_mut()? = more;
    let first = buf.first_mut().filter(|first| **first & 0x20 == 0)?;
    *first |= 0x20;
    Some(target)
}

/// The fixed header of `packet`, wherever the rest of it may be wrong, encrypted or cut off.
pub fn peek(packet: &[u8]) -> Option<Header> {
    let second = u8_at(packet, 1)?;
    Some(Header {
        marker: second & 0x80 != 0,
        pt: Pt(second & 0x7f),
        seq: Seq16(u16_at(packet, 2)?),
        ts: RtpTs(u32_at(packet, 4)?),
        ssrc: peek_ssrc(packet)?,
    })
}

/// The source that `packet` claims, wherever the rest of it may be wrong or encrypted.
pub fn peek_ssrc(packet: &[u8]) -> Option<Ssrc> {
    u32_at(packet, 8).map(Ssrc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: Header = Header {
        marker: true,
        pt: Pt(96),
        seq: Seq16(0xfffe),
        ts: RtpTs(0x0102_0304),
        ssrc: Ssrc(0xdead_beef),
    };

    /// Payload "abc" after a CSRC and a one-byte block of: id 1 with 2 bytes, a byte of padding, id 2 with 1 byte.
    const PACKET: [u8; 31] = [
        0x91, 0xe0, 0xff, 0xfe, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 9, 0xbe, 0xde, 0, 2, 0x11, 7, 8,
        0, 0x20, 5, 0, 0, b'a', b'b', b'c',
    ];

    fn elements(view: &View<'_>) -> Vec<(u8, Vec<u8>)> {
        view.extensions().map(|(id, value)| (id, value.to_vec())).collect()
    }

    #[test]
    fn a_view_shows_every_field() {
        let view = View::parse(&PACKET).expect("valid");
        assert_eq!(view.header(), HEADER);
        assert_eq!(view.csrcs().collect::<Vec<_>>(), [Ssrc(9)]);
        assert_eq!((view.header_len(), view.payload(), view.padding_len()), (28, &b"abc"[..], 0));
        assert_eq!(elements(&view), [(1, vec![7, 8]), (2, vec![5])]);
        assert_eq!(view.extension(2), Some(&[5][..]));
        assert_eq!(view.extension(0), None);
    }

    #[test]
    fn padding_is_not_payload() {
        let mut packet = PACKET;
        packet[0] |= 0x20;
        for (last, expected) in [(0, None), (1, Some(2)), (3, Some(0)), (4, None)] {
            packet[30] = last;
            assert_eq!(View::parse(&packet).ok().map(|v| v.payload().len()), expected, "{last}");
        }
    }

    #[test]
    fn whatever_is_cut_short_is_malformed() {
        for len in 0..28 {
            assert!(View::parse(&PACKET[..len]).is_err(), "{len}");
        }
        assert!(View::parse(&PACKET[..28]).is_ok());
        assert!(View::parse(&[0x41; 31]).is_err());
    }

    #[test]
    fn an_element_that_leaves_the_block_ends_it() {
        let mut packet = PACKET;
        packet[24] = 0x23;
        assert_eq!(elements(&View::parse(&packet).expect("valid")), [(1, vec![7, 8])]);
        // Id 15 stops the processing, and so does id 0 with a length.
        for stop in [0xf0, 0x01] {
            packet[20] = stop;
            assert_eq!(elements(&View::parse(&packet).expect("valid")), []);
        }
    }

    #[test]
    fn a_foreign_profile_has_no_elements() {
        let mut packet = PACKET;
        packet[16] = 0xab;
        assert_eq!(elements(&View::parse(&packet).expect("valid")), []);
    }

    #[test]
    fn the_form_follows_ids_and_lengths() {
        let mut buf = [0; 1500];
        for (id, len, profile) in [(1, 1, 0xbe), (14, 16, 0xbe), (15, 1, 0x10), (1, 0, 0x10), (1, 17, 0x10)] {
            let value = vec![3; len];
            let written = HEADER.write(&mut buf, &[(id, &value)]).expect("room");
            assert_eq!((buf[12], written % 4), (profile, 0), "id {id}, {len} bytes");
            let view = View::parse(&buf[..written]).expect("valid");
            assert_eq!(elements(&view), [(id, value)]);
        }
        assert_eq!(HEADER.write(&mut buf, &[]), Some(12));
        assert_eq!(HEADER.write(&mut buf, &[(0, &[1])]), None);
        assert_eq!(HEADER.write(&mut buf, &[(1, &[0; 256])]), None);
        assert_eq!(HEADER.write(&mut buf[..19], &[(1, &[0])]), None);
    }

    #[test]
    fn a_padded_packet_has_its_payload_still() {
        let mut buf = [0xff; 64];
        buf[..31].copy_from_slice(&PACKET);
        assert_eq!(pad(&mut buf, 31, 31), None);
        assert_eq!(pad(&mut buf, 31, 65), None);
        assert_eq!(pad(&mut buf, 31, 64), Some(64));
        let view = View::parse(&buf).expect("valid");
        assert_eq!((view.payload(), view.padding_len()), (&b"abc"[..], 33));
        assert_eq!(pad(&mut buf, 60, 64), None, "padded already");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            (marker, pt, seq, ts, ssrc) in (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>()),
            extensions in prop::collection::vec((1u8.., prop::collection::vec(any::<u8>(), 0..40)), 0..6),
            payload in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let header = Header { marker, pt: Pt(pt), seq: Seq16(seq), ts: RtpTs(ts), ssrc: Ssrc(ssrc) };
            let borrowed: Vec<_> = extensions.iter().map(|(id, value)| (*id, &value[..])).collect();
            let mut packet = vec![0; 512];
            let len = header.write(&mut packet, &borrowed).expect("room");
            packet.truncate(len);
            packet.extend_from_slice(&payload);
            let view = View::parse(&packet).expect("valid");
            prop_assert_eq!(view.header(), header);
            prop_assert_eq!(view.payload(), &payload[..]);
            prop_assert_eq!(elements(&view), extensions);
        }
    }
}
