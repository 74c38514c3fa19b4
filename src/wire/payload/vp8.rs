//! VP8 (RFC 7741).

use super::{Frame, PictureId};
use crate::units::PictureSize;
use crate::wire::Malformed;
use crate::wire::bits::Bytes;

/// The payload descriptor (RFC 7741 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its length; the VP8 payload header follows.
    pub len: usize,
    /// N: no other frame is predicted from this one.
    pub non_reference: bool,
    /// S: the packet starts a partition.
    pub starts_partition: bool,
    /// PID: which partition.
    pub partition: u8,
    /// PictureID.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX.
    pub tl0: Option<u8>,
    /// TID: temporal layer.
    pub temporal: Option<u8>,
    /// Y: predicted from the base layer only.
    pub layer_sync: bool,
    /// KEYIDX: number of the keyframe, 5 bits.
    pub key_index: Option<u8>,
    picture_id_at: usize,
    tl0_at: usize,
}

impl Descriptor {
    /// Reads the front of a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes::new(payload);
        let first = bytes.u8()?;
        let mut d = Self {
            len: 1,
            non_reference: first & 0x20 != 0,
            starts_partition: first & 0x10 != 0,
            partition: first & 0x07,
            picture_id: None,
            tl0: None,
            temporal: None,
            layer_sync: false,
            key_index: None,
            picture_id_at: 0,
            tl0_at: 0,
        };
        if first & 0x80 == 0 {
            return Ok(d);
        }
        let extended = bytes.u8()?;
        if extended & 0x80 != 0 {
            d.picture_id_at = bytes.at();
            let high = bytes.u8()?;
            d.picture_id = Some(if high & 0x80 != 0 {
                PictureId { value: u16::from_be_bytes([high & 0x7f, bytes.u8()?]), wide: true }
            } else {
                PictureId { value: u16::from(high), wide: false }
            });
        }
        if extended & 0x40 != 0 {
            d.tl0_at = bytes.at();
            d.tl0 = Some(bytes.u8()?);
        }
        if extended & 0x30 != 0 {
            let layer = bytes.u8()?;
            if extended & 0x20 != 0 {
                d.temporal = Some(layer >> 6);
                d.layer_sync = layer & 0x20 != 0;
            }
            if extended & 0x10 != 0 {
                d.key_index = Some(layer & 0x1f);
            }
        }
        d.len = bytes.at();
        Ok(d)
    }

    /// Whether a frame begins here (RFC 7741 section 4.2: S is 1 and PID is 0).
    pub const fn starts_frame(&self) -> bool {
        self.starts_partition && self.partition == 0
    }

    /// Puts other numbers into the payload this was parsed from; a number that is not there stays away.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0: u8) {
        if let Some(old) = self.picture_id {
            old.replace(payload, self.picture_id_at, picture_id);
        }
        if let (Some(_), Some(byte)) = (self.tl0, payload.get_mut(self.tl0_at)) {
            *byte = tl0;
        }
    }
}

/// Puts other picture numbers into `payload` where it has any, without changing its length.
pub fn rewrite(payload: &mut [u8], picture_id: u16, tl0: u8) {
    if let Ok(descriptor) = Descriptor::parse(payload) {
        descriptor.rewrite(payload, picture_id, tl0);
    }
}

pub(super) fn inspect(payload: &[u8]) -> Frame {
    let Ok(d) = Descriptor::parse(payload) else { return Frame::default() };
    let mut frame = Frame {
        first: d.starts_frame(),
        temporal: d.temporal.unwrap_or(0),
        // A frame of the base layer needs no sync flag: those who receive anything have it.
        switch_up: d.layer_sync,
        discardable: d.non_reference,
        picture_id: d.picture_id,
        tl0: d.tl0,
        ..Frame::default()
    };
    if d.starts_frame()
        && let Some(size) = payload.get(d.len..).and_then(key_size)
    {
        frame.keyframe = true;
        frame.size = size;
        frame.switch_up = true;
    }
    frame
}

/// The size in a keyframe's header (RFC 6386 section 9.1): `None` if this is no keyframe; inside, `None` if it is cut off.
fn key_size(vp8: &[u8]) -> Option<Option<PictureSize>> {
    let (&tag, rest) = vp8.split_first()?;
    if tag & 1 != 0 {
        return None;
    }
    let &[_, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = rest else { return Some(None) };
    // The two highest bits ask for upscaling.
    let pixels = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    Some(Some(PictureSize::new(pixels(w0, w1), pixels(h0, h1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Chromium sends the first packet of a 1280x720 keyframe: 15-bit picture id, TL0PICIDX and TID.
    const KEY: [u8; 17] = [
        0x90, 0xe0, 0x92, 0x34, 0x05, 0x20, 0x50, 0x42, 0x01, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02, 0x00,
    ];

    #[test]
    fn a_keyframe_is_seen_with_its_size() {
        let frame = inspect(&KEY);
        assert!(frame.keyframe && frame.first && frame.switch_up && !frame.discardable);
        assert_eq!(frame.size, Some(PictureSize::new(1280, 720)));
        assert_eq!(frame.picture_id, Some(PictureId { value: 0x1234, wide: true }));
        assert_eq!((frame.tl0, frame.temporal), (Some(5), 0));
    }

    #[test]
    fn later_packets_of_a_keyframe_are_no_start() {
        let mut later = KEY;
        later[0] = 0x80;
        let frame = inspect(&later);
        assert!(!frame.keyframe && !frame.first);
        // A later partition starts no frame either, even where its first byte looks like a keyframe's.
        later[0] = 0x91;
        assert!(!inspect(&later).keyframe);
    }

    #[test]
    fn layers_and_flags_are_read() {
        let frame = inspect(&[0xb0, 0xe0, 0x80, 0x07, 0x05, 0xa0, 0x31]);
        assert!(frame.first && !frame.keyframe && frame.switch_up && frame.discardable);
        assert_eq!(frame.temporal, 2);
        let d = Descriptor::parse(&[0x90, 0x10, 0x9f, 0x01]);
        assert_eq!(d.map(|d| (d.key_index, d.temporal, d.len)), Ok((Some(0x1f), None, 3)));
    }

    #[test]
    fn rewriting_keeps_width_and_everything_else() {
        let mut wide = KEY;
        rewrite(&mut wide, 0x7fff, 200);
        assert_eq!(&wide[..6], &[0x90, 0xe0, 0xff, 0xff, 200, 0x20]);
        assert_eq!(&wide[6..], &KEY[6..]);

        let mut narrow = [0x90, 0x80, 0x12, 0x31];
        rewrite(&mut narrow, 0x1234, 200);
        assert_eq!(narrow, [0x90, 0x80, 0x34, 0x31]);

        let mut none = [0x10, 0x31, 0x12];
        rewrite(&mut none, 0x1234, 200);
        assert_eq!(none, [0x10, 0x31, 0x12]);
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        for len in 0..6 {
            assert_eq!(Descriptor::parse(&KEY[..len]), Err(Malformed), "{len} bytes");
            let mut cut = KEY;
            rewrite(&mut cut[..len], 1, 1);
            assert_eq!(cut, KEY);
        }
    }
}
