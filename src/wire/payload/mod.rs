//! Payload formats, one file per codec: what a router must know of a packet without decoding it.

pub mod av1;
pub mod h264;
pub mod red;
pub mod vp8;
pub mod vp9;

use serde::{Deserialize, Serialize};

use crate::units::PictureSize;

/// A codec, with what tells its variants apart on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628; profile 0 to 3.
    Vp9 {
        /// `profile-id`
        profile: u8,
    },
    /// RFC 6184.
    H264 {
        /// The first two bytes of `profile-level-id`; the level does not tell variants apart.
        profile: u16,
        /// `packetization-mode`
        packetization_mode: u8,
    },
    /// The AOM's RTP payload format for AV1; profile 0 to 2.
    Av1 {
        /// `profile`
        profile: u8,
    },
    /// RFC 7587.
    Opus,
    /// Redundant audio (RFC 2198) over Opus.
    Red,
}

/// What one packet tells of its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// A decoder can begin with this very packet: it starts a keyframe (in H264: it carries a sequence parameter set).
    /// False for the later packets of a keyframe. Always true for audio.
    pub keyframe: bool,
    /// The first packet of a frame, or of one spatial layer of it. In H264 several packets of a frame may say so
    /// (the parameter sets, then the first slice).
    pub first: bool,
    /// The last packet of a frame, or of one spatial layer of it, where the payload tells.
    pub last: bool,
    /// Predicted from no earlier picture, at most from lower spatial layers of the same, where the payload tells.
    pub intra: bool,
    /// Temporal layer, 0 is the base.
    pub temporal: u8,
    /// Spatial layer, 0 is the base.
    pub spatial: u8,
    /// Whoever receives only lower temporal layers can go up to this one here.
    pub switch_up: bool,
    /// No other frame is predicted from this one.
    pub discardable: bool,
    /// Picture size, where the packet tells.
    pub size: Option<PictureSize>,
    /// VP8 and VP9: the number of the picture.
    pub picture_id: Option<PictureId>,
    /// VP8 and VP9: the number of the last picture of the temporal base layer.
    pub tl0: Option<u8>,
}

/// A picture's number, which travels with 7 or 15 bits (RFC 7741 section 4.2, RFC 9628 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// Whether it has 15 bits.
    pub wide: bool,
}

impl PictureId {
    /// The number that follows after `by` pictures, wrapped at this one's width.
    pub const fn plus(self, by: u16) -> u16 {
        self.value.wrapping_add(by) & self.mask()
    }

    const fn mask(self) -> u16 {
        if self.wide { 0x7fff } else { 0x7f }
    }

    /// Writes `value` where this one was read.
    fn replace(self, payload: &mut [u8], at: usize, value: u16) {
        let value = value & self.mask();
        if let (true, Some([high, low])) = (self.wide, payload.get_mut(at..at.saturating_add(2))) {
            *high = 0x80 | (value >> 8) as u8;
            *low = value as u8;
        } else if let (false, Some(byte)) = (self.wide, payload.get_mut(at)) {
            *byte = value as u8;
        }
    }
}

/// What `payload` tells of its frame. A malformed payload tells nothing, nor does an empty one (padding).
pub fn inspect(codec: Codec, payload: &[u8]) -> Frame {
    if payload.is_empty() {
        return Frame::default();
    }
    match codec {
        Codec::Vp8 => vp8::inspect(payload),
        Codec::Vp9 { .. } => vp9::inspect(payload),
        Codec::H264 { .. } => h264::inspect(payload),
        Codec::Av1 { .. } => av1::inspect(payload),
        Codec::Opus | Codec::Red => Frame { keyframe: true, first: true, ..Frame::default() },
    }
}

/// Puts other picture numbers into `payload` where it has any, without changing its length.
pub fn rewrite(codec: Codec, payload: &mut [u8], picture_id: u16, tl0: u8) {
    match codec {
        Codec::Vp8 => vp8::rewrite(payload, picture_id, tl0),
        Codec::Vp9 { .. } => vp9::rewrite(payload, picture_id, tl0),
        Codec::H264 { .. } | Codec::Av1 { .. } | Codec::Opus | Codec::Red => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 6] = [
        Codec::Vp8,
        Codec::Vp9 { profile: 0 },
        Codec::H264 { profile: 0x42e0, packetization_mode: 1 },
        Codec::Av1 { profile: 0 },
        Codec::Opus,
        Codec::Red,
    ];

    #[test]
    fn padding_tells_nothing() {
        for codec in ALL {
            assert_eq!(inspect(codec, &[]), Frame::default());
        }
    }

    #[test]
    fn audio_can_be_joined_anywhere() {
        assert!(inspect(Codec::Opus, &[0x78, 1, 2]).keyframe);
    }

    #[test]
    fn a_picture_id_wraps_at_its_width() {
        assert_eq!(PictureId { value: 0x7f, wide: false }.plus(1), 0);
        assert_eq!(PictureId { value: 0x7f, wide: true }.plus(1), 0x80);
        assert_eq!(PictureId { value: 0x7fff, wide: true }.plus(2), 1);
    }

    #[test]
    fn what_has_no_picture_numbers_is_left_alone() {
        for codec in [Codec::Av1 { profile: 0 }, Codec::H264 { profile: 0x42e0, packetization_mode: 1 }] {
            let mut payload = [0x67, 0x42, 0xe0, 0x1f];
            rewrite(codec, &mut payload, 77, 7);
            assert_eq!(payload, [0x67, 0x42, 0xe0, 0x1f]);
        }
    }
}
