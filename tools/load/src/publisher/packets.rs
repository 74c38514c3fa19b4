//! Frames as RTP payloads, stamped.

use crate::stamp::{self, Stamp};

/// What a VP8 frame's packets have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vp8 {
    pub(crate) picture: u16,
    pub(crate) key_index: u8,
}

impl Vp8 {
    /// The payload descriptor (RFC 7741 section 4.2).
    fn descriptor(self, first: bool) -> [u8; 6] {
        let [high, low] = self.picture.to_be_bytes();
        // I, L, T and K: picture id, TL0PICIDX, temporal layer 0 with key index.
        [0x80 | if first { 0x10 } else { 0 }, 0xf0, 0x80 | high, low, self.picture as u8, self.key_index]
    }
}

/// Synthetic VP8: as many packets of `len` bytes as wanted, each stamped, numbered from the stamp's number.
pub(super) fn synthetic(
    frame: Vp8,
    key: Option<(u16, u16)>,
    count: u16,
    len: usize,
    stamp: Stamp,
) -> Vec<Vec<u8>> {
    let packet = |index: u16| {
        let mut payload = vec![0x2a; len];
        let descriptor = frame.descriptor(index == 0);
        if let Some((front, rest)) = payload.split_at_mut_checked(descriptor.len()) {
            front.copy_from_slice(&descriptor);
            if index == 0 {
                header(rest, key);
            }
        }
        Stamp { number: stamp.number + u32::from(index), ..stamp }.write(&mut payload);
        payload
    };
    (0..count).map(packet).collect()
}

/// The frame header (RFC 6386 section 9.1) of a keyframe of this size, or of an interframe.
fn header(rest: &mut [u8], key: Option<(u16, u16)>) {
    // Shown, version 0, a first partition of 20 bytes; bit 0 clear is a keyframe.
    let tag: u32 = (20 << 5) | (1 << 4) | u32::from(key.is_none());
    let [a, b, c, _] = tag.to_le_bytes();
    let (width, height) = key.unwrap_or_default();
    let ([w0, w1], [h0, h1]) = (width.to_le_bytes(), height.to_le_bytes());
    let frame = [a, b, c, 0x9d, 0x01, 0x2a, w0, w1, h0, h1];
    let len = if key.is_some() { frame.len() } else { 3 };
    if let (Some(to), Some(from)) = (rest.get_mut(..len), frame.get(..len)) {
        to.copy_from_slice(from);
    }
}

/// An encoded VP8 frame. The stamp follows the last partition, which decoders read as far as they need.
pub(super) fn vp8(frame: Vp8, body: &[u8], most: usize, stamp: Stamp) -> Vec<Vec<u8>> {
    let room = most.saturating_sub(6).max(stamp::LEN);
    let count = (body.len() + stamp::LEN).div_ceil(room);
    let stamp = Stamp { number: stamp.number + count as u32 - 1, check: stamp::checksum([body]), ..stamp };
    vp8_plain(frame, &[body, &stamp.bytes()].concat(), most)
}

/// An encoded VP8 frame as it is (RFC 7741). The packets are equal in size, so that the last has room for all of a stamp.
pub(crate) fn vp8_plain(frame: Vp8, body: &[u8], most: usize) -> Vec<Vec<u8>> {
    let room = most.saturating_sub(6).max(1);
    let size = body.len().div_ceil(body.len().div_ceil(room).max(1)).max(1);
    let cut = body.chunks(size).enumerate();
    cut.map(|(n, part)| [&frame.descriptor(n == 0)[..], part].concat()).collect()
}

/// An encoded H264 frame in Annex B. The stamp is the last unit: filler data, which decoders pass over.
pub(super) fn h264(body: &[u8], most: usize, stamp: Stamp) -> Vec<Vec<u8>> {
    const FILLER: u8 = 12;
    let mut packets = h264_plain(body, most);
    packets.push(vec![FILLER]);
    let check = stamp::checksum(&packets);
    let stamp = Stamp { number: stamp.number + packets.len() as u32 - 1, check, ..stamp };
    if let Some(last) = packets.last_mut() {
        last.extend(stamp.bytes());
    }
    packets
}

/// An encoded H264 frame in Annex B as it is (RFC 6184: single units and FU-A).
pub(crate) fn h264_plain(body: &[u8], most: usize) -> Vec<Vec<u8>> {
    const FU_A: u8 = 28;
    let mut packets = Vec::new();
    for unit in units(body) {
        let Some((&header, rest)) = unit.split_first() else { continue };
        if unit.len() <= most {
            packets.push(unit.to_vec());
            continue;
        }
        let room = most.saturating_sub(2).max(1);
        let count = rest.len().div_ceil(room);
        for (n, part) in rest.chunks(rest.len().div_ceil(count)).enumerate() {
            let ends = if n == 0 { 0x80 } else { 0 } | if n + 1 == count { 0x40 } else { 0 };
            packets.push([&[header & 0xe0 | FU_A, ends | header & 0x1f], part].concat());
        }
    }
    packets
}

/// The units between start codes.
fn units(body: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> =
        body.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(n, _)| n + 3).collect();
    starts.push(body.len() + 3);
    let unit = |pair: &[usize]| {
        let unit = body.get(pair[0]..pair[1] - 3)?;
        // A start code of four bytes leaves a zero behind the unit before.
        Some(unit.strip_suffix(&[0]).unwrap_or(unit))
    };
    starts.windows(2).filter_map(unit).collect()
}

/// A frame of Opus, which is alone in its packet: as code 3 with padding (RFC 6716 section 3.2.5), which is the stamp.
pub(super) fn opus(frame: &[u8], stamp: Stamp) -> Vec<u8> {
    let Some((toc, rest)) = frame.split_first() else { return Vec::new() };
    const ONE_FRAME_PADDED: u8 = 0x41;
    [&[toc | 3, ONE_FRAME_PADDED, stamp::LEN as u8], rest, &stamp.bytes()].concat()
}

#[cfg(test)]
mod tests {
    use millrace::wire::payload::{self, Codec};

    use super::*;

    const STAMP: Stamp = Stamp { layer: 1, source: 2, number: 100, at: 3, check: 0 };

    #[test]
    fn a_vp8_frame_is_cut_evenly_and_the_last_packet_bears_the_stamp() {
        for len in [10, 1100, 1150, 1163, 5000] {
            let body: Vec<u8> = (0..len).map(|n| n as u8 & 0xfe).collect();
            let packets = vp8(Vp8 { picture: 7, key_index: 0 }, &body, 1176, STAMP);
            let last = Stamp::read(packets.last().expect("one")).expect("stamped");
            assert_eq!(last.number, 99 + packets.len() as u32);
            let whole: Vec<u8> = packets.iter().flat_map(|p| p[6..].to_vec()).collect();
            assert_eq!(whole[..len], body);
            assert_eq!(last.check, stamp::checksum([&body]));
            assert!(packets.iter().all(|p| p.len() <= 1176));
        }
    }

    #[test]
    fn an_h264_frame_becomes_units_fragments_and_a_stamp() {
        let large = [&[0x65], vec![3; 3000].as_slice()].concat();
        let body = [&[0, 0, 0, 1, 0x67, 1, 2], &[0, 0, 0, 1, 0x68, 3][..], &[0, 0, 1], &large].concat();
        let packets = h264(&body, 1176, STAMP);
        assert_eq!(packets.len(), 6);
        assert_eq!((packets[0].as_slice(), packets[1].as_slice()), (&[0x67, 1, 2][..], &[0x68, 3][..]));
        assert_eq!([2, 3, 4].map(|n| packets[n][..2].to_vec()), [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]);
        assert_eq!(Stamp::read(&packets[5]).map(|s| s.number), Some(105));
        let h264 = Codec::H264 { profile: 0x42e0, packetization_mode: 1 };
        assert!(payload::inspect(h264, &packets[0]).keyframe);
    }

    #[test]
    fn sound_bears_its_stamp_as_padding() {
        let packet = opus(&[0x78, 9, 9, 9], STAMP);
        assert_eq!(packet[..6], [0x7b, 0x41, stamp::LEN as u8, 9, 9, 9]);
        assert_eq!(Stamp::read(&packet).map(|s| s.number), Some(100));
    }
}
