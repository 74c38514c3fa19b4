//! H.264 (RFC 6184, packetization modes 0 and 1).

use super::Frame;
use crate::units::PictureSize;
use crate::wire::Malformed;
use crate::wire::bits::{Bits, Bytes};

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The front of a payload: one NAL unit, several, or a piece of one (RFC 6184 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// A single NAL unit.
    Single {
        /// Its header.
        nal: Header,
    },
    /// STAP-A: whole NAL units, each after its length (section 5.7.1).
    Aggregate {
        /// The header, whose reference importance is the highest of the units'.
        nal: Header,
    },
    /// FU-A: a fragment (section 5.8).
    Fragment {
        /// The header of the unit that is cut up.
        nal: Header,
        /// S: its first piece.
        first: bool,
        /// E: its last piece.
        last: bool,
    },
}

/// A NAL unit's header (H.264 section 7.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `nal_ref_idc`: 0 if nothing is predicted from it.
    pub reference: u8,
    /// `nal_unit_type`
    pub kind: u8,
}

impl Header {
    const fn from_byte(byte: u8) -> Self {
        Self { reference: byte >> 5 & 0x03, kind: byte & 0x1f }
    }
}

impl Descriptor {
    /// Reads the front of a payload. Interleaved mode's packets (STAP-B, MTAP, FU-B) are refused: no browser sends them.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes::new(payload);
        let nal = Header::from_byte(bytes.u8()?);
        match nal.kind {
            1..=23 => Ok(Self::Single { nal }),
            STAP_A => Ok(Self::Aggregate { nal }),
            FU_A => {
                let fu = bytes.u8()?;
                let nal = Header { reference: nal.reference, kind: fu & 0x1f };
                Ok(Self::Fragment { nal, first: fu & 0x80 != 0, last: fu & 0x40 != 0 })
            }
            _ => Err(Malformed),
        }
    }
}

pub(super) fn inspect(payload: &[u8]) -> Frame {
    let mut frame = Frame::default();
    match Descriptor::parse(payload) {
        Ok(Descriptor::Single { nal }) => {
            let body = payload.get(1..).unwrap_or_default();
            frame.discardable = nal.reference == 0 && nal.kind == SLICE;
            unit(&mut frame, nal.kind, body);
        }
        Ok(Descriptor::Aggregate { .. }) => {
            let mut bytes = Bytes::new(payload.get(1..).unwrap_or_default());
            frame.discardable = true;
            while let Ok(len) = bytes.u16() {
                let Ok([header, body @ ..]) = bytes.take(usize::from(len)) else { break };
                let nal = Header::from_byte(*header);
                frame.discardable &= nal.reference == 0 && nal.kind == SLICE;
                unit(&mut frame, nal.kind, body);
            }
        }
        Ok(Descriptor::Fragment { nal, first, .. }) => {
            frame.discardable = nal.reference == 0 && nal.kind == SLICE;
            if first {
                unit(&mut frame, nal.kind, payload.get(2..).unwrap_or_default());
            }
        }
        Err(Malformed) => {}
    }
    frame
}

/// What the beginning of a NAL unit tells.
fn unit(frame: &mut Frame, kind: u8, body: &[u8]) {
    match kind {
        // Without its parameter sets no decoder begins at an IDR picture, so they are what counts.
        SPS => {
            frame.keyframe = true;
            frame.first = true;
            frame.switch_up = true;
            frame.size = picture_size(body).ok();
        }
        // The access unit begins with the first of these (H.264 section 7.4.1.2.3).
        PPS | SEI | DELIMITER => frame.first = true,
        // first_mb_in_slice is 0.
        SLICE | IDR => frame.first |= Bits::of_nal(body).ue() == Ok(0),
        _ => {}
    }
}

/// The size that a sequence parameter set gives, cropped (H.264 section 7.3.2.1.1). `body` follows the NAL header.
fn picture_size(body: &[u8]) -> Result<PictureSize, Malformed> {
    let mut bits = Bits::of_nal(body);
    let profile = bits.u(8)?;
    bits.skip(16)?;
    bits.ue()?;
    let mut chroma_format = 1;
    let mut separate_planes = false;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.ue()?;
        if chroma_format == 3 {
            separate_planes = bits.flag()?;
        }
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
        if bits.flag()? {
            skip_scaling_matrix(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.ue()?;
    match bits.ue()? {
        0 => {
            bits.ue()?;
        }
        1 => {
            bits.skip(1)?;
            bits.se()?;
            bits.se()?;
            // At most 255 (section 7.4.2.1.1).
            let cycle = u8::try_from(bits.ue()?).map_err(|_| Malformed)?;
            for _ in 0..cycle {
                bits.se()?;
            }
        }
        _ => {}
    }
    bits.ue()?;
    bits.skip(1)?;
    let width_mbs = u64::from(bits.ue()?) + 1;
    let height_units = u64::from(bits.ue()?) + 1;
    let frame_mbs_only = bits.flag()?;
    if !frame_mbs_only {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let fields = if frame_mbs_only { 1 } else { 2 };
    // CropUnitX and CropUnitY, equations 7-19 to 7-22.
    let (unit_x, unit_y) = match chroma_format {
        _ if separate_planes => (1, fields),
        1 => (2, 2 * fields),
        2 => (2, fields),
        _ => (1, fields),
    };
    let (mut crop_x, mut crop_y) = (0, 0);
    if bits.flag()? {
        crop_x = (u64::from(bits.ue()?) + u64::from(bits.ue()?)) * unit_x;
        crop_y = (u64::from(bits.ue()?) + u64::from(bits.ue()?)) * unit_y;
    }
    let pixels = |whole: u64, crop: u64| {
        let cropped = whole.checked_sub(crop).filter(|&p| p > 0).ok_or(Malformed)?;
        u16::try_from(cropped).map_err(|_| Malformed)
    };
    Ok(PictureSize::new(pixels(width_mbs * 16, crop_x)?, pixels(height_units * 16 * fields, crop_y)?))
}

/// H.264 section 7.3.2.1.1.1.
fn skip_scaling_matrix(bits: &mut Bits<'_>, lists: usize) -> Result<(), Malformed> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.se()?).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Constrained baseline 3.1, 1280x720, as OpenH264 writes it.
    const SPS_720P: [u8; 14] =
        [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb4, 0x3c, 0x22];
    /// High 4.0, 1920x1080: coded as 1088 lines, 8 of them cropped.
    const SPS_1080P: [u8; 24] = [
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00,
        0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c,
    ];

    #[test]
    fn parameter_sets_begin_a_keyframe_and_tell_its_size() {
        let frame = inspect(&SPS_720P);
        assert!(frame.keyframe && frame.first && !frame.discardable);
        assert_eq!(frame.size, Some(PictureSize::new(1280, 720)));
        assert_eq!(inspect(&SPS_1080P).size, Some(PictureSize::new(1920, 1080)));
    }

    #[test]
    fn parameter_sets_are_found_in_an_aggregate() {
        let mut payload = vec![0x78, 0, SPS_720P.len() as u8];
        payload.extend(SPS_720P);
        payload.extend([0, 4, 0x68, 0xce, 0x3c, 0x80]);
        let frame = inspect(&payload);
        assert!(frame.keyframe && frame.first && !frame.discardable);
        assert_eq!(frame.size, Some(PictureSize::new(1280, 720)));
    }

    #[test]
    fn fragments_know_whether_they_begin_a_frame() {
        let first = inspect(&[0x7c, 0x85, 0x88, 0x80]);
        assert!(first.first && !first.keyframe, "an IDR picture without its parameter sets");
        let later = inspect(&[0x7c, 0x05, 0x88, 0x80]);
        assert!(!later.first && !later.keyframe);
        let second_slice = inspect(&[0x41, 0x43, 0x00]);
        assert!(!second_slice.first, "first_mb_in_slice is not 0");
    }

    #[test]
    fn what_nothing_refers_to_is_discardable() {
        assert!(inspect(&[0x01, 0x9a, 0x00]).discardable);
        assert!(!inspect(&[0x41, 0x9a, 0x00]).discardable);
        assert!(inspect(&[0x1c, 0x81, 0x9a]).discardable);
    }

    #[test]
    fn interleaved_mode_is_refused() {
        for kind in [0, 25, 26, 27, 29, 30, 31] {
            assert_eq!(Descriptor::parse(&[0x60 | kind, 0, 0]), Err(Malformed));
        }
        assert_eq!(Descriptor::parse(&[0x7c]), Err(Malformed));
    }
}
