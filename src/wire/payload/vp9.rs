//! VP9 (RFC 9628).

use super::{Frame, PictureId};
use crate::units::PictureSize;
use crate::wire::Malformed;
use crate::wire::bits::{Bits, Bytes};

/// RFC 9628 section 4.2.1: at most eight spatial layers.
const MAX_SPATIAL: usize = 8;

/// The payload descriptor (RFC 9628 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its length; VP9 data follows.
    pub len: usize,
    /// P: the picture is predicted from an earlier one.
    pub inter_predicted: bool,
    /// F: references are given by difference; there is no TL0PICIDX.
    pub flexible: bool,
    /// B: the first packet of a layer frame.
    pub starts_frame: bool,
    /// E: the last packet of a layer frame.
    pub ends_frame: bool,
    /// Z: no higher spatial layer of the same picture is predicted from this one.
    pub not_for_higher: bool,
    /// Picture ID.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX.
    pub tl0: Option<u8>,
    /// The layer, if the descriptor tells (L).
    pub layer: Option<Layer>,
    /// The scalability structure, if this packet carries it (V).
    pub structure: Option<Structure>,
    picture_id_at: usize,
    tl0_at: usize,
}

/// Layer indices (RFC 9628 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// TID.
    pub temporal: u8,
    /// U: from here on one can switch up to this temporal layer.
    pub switch_up: bool,
    /// SID.
    pub spatial: u8,
    /// D: predicted from the next lower spatial layer of the same picture.
    pub inter_layer: bool,
}

/// Sizes from the scalability structure (RFC 9628 section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Number of spatial layers, 1 to 8.
    pub spatial_layers: u8,
    sizes: Option<[PictureSize; MAX_SPATIAL]>,
}

impl Structure {
    /// Size of the pictures of a spatial layer, if given.
    pub fn size(&self, spatial: u8) -> Option<PictureSize> {
        if spatial >= self.spatial_layers {
            return None;
        }
        self.sizes.as_ref()?.get(usize::from(spatial)).copied()
    }
}

impl Descriptor {
    /// Reads the front of a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes::new(payload);
        let first = bytes.u8()?;
        let mut d = Self {
            len: 1,
            inter_predicted: first & 0x40 != 0,
            flexible: first & 0x10 != 0,
            starts_frame: first & 0x08 != 0,
            ends_frame: first & 0x04 != 0,
            not_for_higher: first & 0x01 != 0,
            picture_id: None,
            tl0: None,
            layer: None,
            structure: None,
            picture_id_at: 0,
            tl0_at: 0,
        };
        if first & 0x80 != 0 {
            d.picture_id_at = bytes.at();
            let high = bytes.u8()?;
            d.picture_id = Some(if high & 0x80 != 0 {
                PictureId { value: u16::from_be_bytes([high & 0x7f, bytes.u8()?]), wide: true }
            } else {
                PictureId { value: u16::from(high), wide: false }
            });
        }
        if first & 0x20 != 0 {
            let layer = bytes.u8()?;
            d.layer = Some(Layer {
                temporal: layer >> 5,
                switch_up: layer & 0x10 != 0,
                spatial: layer >> 1 & 0x07,
                inter_layer: layer & 0x01 != 0,
            });
            if !d.flexible {
                d.tl0_at = bytes.at();
                d.tl0 = Some(bytes.u8()?);
            }
        }
        if d.flexible && d.inter_predicted {
            skip_references(&mut bytes)?;
        }
        if first & 0x02 != 0 {
            d.structure = Some(structure(&mut bytes)?);
        }
        d.len = bytes.at();
        Ok(d)
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

/// P_DIFF with its N bit, at most three (RFC 9628 section 4.2).
fn skip_references(bytes: &mut Bytes<'_>) -> Result<(), Malformed> {
    for _ in 0..3 {
        if bytes.u8()? & 1 == 0 {
            return Ok(());
        }
    }
    Err(Malformed)
}

/// RFC 9628 section 4.2.1. The picture group's references are skipped: forwarding whole temporal layers needs none of them.
fn structure(bytes: &mut Bytes<'_>) -> Result<Structure, Malformed> {
    let head = bytes.u8()?;
    let spatial_layers = (head >> 5) + 1;
    let sizes = if head & 0x10 != 0 {
        let mut sizes = [PictureSize::default(); MAX_SPATIAL];
        for size in sizes.iter_mut().take(usize::from(spatial_layers)) {
            *size = PictureSize::new(bytes.u16()?, bytes.u16()?);
        }
        Some(sizes)
    } else {
        None
    };
    if head & 0x08 != 0 {
        for _ in 0..bytes.u8()? {
            let references = bytes.u8()? >> 2 & 0x03;
            bytes.take(usize::from(references))?;
        }
    }
    Ok(Structure { spatial_layers, sizes })
}

/// Puts other picture numbers into `payload` where it has any, without changing its length.
pub fn rewrite(payload: &mut [u8], picture_id: u16, tl0: u8) {
    if let Ok(descriptor) = Descriptor::parse(payload) {
        descriptor.rewrite(payload, picture_id, tl0);
    }
}

pub(super) fn inspect(payload: &[u8]) -> Frame {
    let Ok(d) = Descriptor::parse(payload) else { return Frame::default() };
    let layer = d.layer.unwrap_or(Layer { temporal: 0, switch_up: false, spatial: 0, inter_layer: false });
    let keyframe = d.starts_frame && !d.inter_predicted && layer.spatial == 0 && !layer.inter_layer;
    let size = d.structure.and_then(|s| s.size(layer.spatial)).or_else(|| {
        let vp9 = if keyframe { payload.get(d.len..)? } else { return None };
        key_size(vp9).ok()
    });
    Frame {
        keyframe,
        first: d.starts_frame,
        last: d.ends_frame,
        intra: !d.inter_predicted,
        temporal: layer.temporal,
        spatial: layer.spatial,
        switch_up: keyframe || layer.switch_up,
        discardable: false,
        size,
        picture_id: d.picture_id,
        tl0: d.tl0,
    }
}

/// The size in a keyframe's uncompressed header (VP9 bitstream specification section 6.2).
fn key_size(vp9: &[u8]) -> Result<PictureSize, Malformed> {
    const SRGB: u32 = 7;
    let mut bits = Bits::new(vp9);
    if bits.u(2)? != 2 {
        return Err(Malformed);
    }
    let profile = bits.u(1)? | bits.u(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let show_existing = bits.flag()?;
    let inter = bits.flag()?;
    if show_existing || inter {
        return Err(Malformed);
    }
    bits.skip(2)?;
    if bits.u(24)? != 0x49_83_42 {
        return Err(Malformed);
    }
    if profile >= 2 {
        bits.skip(1)?;
    }
    let odd = profile & 1 == 1;
    match (bits.u(3)?, odd) {
        (SRGB, true) => bits.skip(1)?,
        (SRGB, false) => return Err(Malformed),
        (_, true) => bits.skip(4)?,
        (_, false) => bits.skip(1)?,
    }
    let (width, height) = (bits.u(16)?, bits.u(16)?);
    let pixels = |minus_one: u32| u16::try_from(minus_one + 1).map_err(|_| Malformed);
    Ok(PictureSize::new(pixels(width)?, pixels(height)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first packet of a picture of three spatial layers of 320x180 to 1280x720, non-flexible.
    fn svc_key() -> Vec<u8> {
        let mut payload = vec![0x80 | 0x20 | 0x08 | 0x02, 0x92, 0x34, 0x00, 0x09, 0x58];
        for (w, h) in [(320u16, 180u16), (640, 360), (1280, 720)] {
            payload.extend(w.to_be_bytes());
            payload.extend(h.to_be_bytes());
        }
        // A picture group of two pictures, with one and two references.
        payload.extend([0x02, 0x14, 0x01, 0x28, 0x01, 0x02]);
        payload.extend([0x82, 0x49]);
        payload
    }

    #[test]
    fn a_keyframe_is_seen_with_the_size_of_its_layer() {
        let frame = inspect(&svc_key());
        assert!(frame.keyframe && frame.first && frame.switch_up);
        assert_eq!(frame.size, Some(PictureSize::new(320, 180)));
        assert_eq!(frame.picture_id, Some(PictureId { value: 0x1234, wide: true }));
        assert_eq!(frame.tl0, Some(9));

        // The higher layers of the same picture need the lower: no place to begin.
        let mut higher = svc_key();
        higher[3] = 0x05;
        let frame = inspect(&higher);
        assert!(!frame.keyframe && frame.first);
        assert_eq!((frame.spatial, frame.size), (2, Some(PictureSize::new(1280, 720))));
    }

    #[test]
    fn without_a_structure_the_size_is_in_the_bitstream() {
        // frame marker 2, profile 0, key, shown; sync code; colour space 1, range 0; 1279, 719.
        let mut payload = vec![0x80 | 0x08, 0x11, 0x82, 0x49, 0x83, 0x42];
        let tail: u64 = 0b001 << 33 | 1279 << 16 | 719;
        payload.extend_from_slice(&(tail << 28).to_be_bytes());
        let frame = inspect(&payload);
        assert!(frame.keyframe);
        assert_eq!(frame.size, Some(PictureSize::new(1280, 720)));
        assert_eq!(frame.picture_id, Some(PictureId { value: 0x11, wide: false }));
    }

    #[test]
    fn flexible_mode_has_references_and_no_tl0() {
        let payload = [0x80 | 0x40 | 0x20 | 0x10 | 0x08, 0x80, 0x01, 0x30, 0x03, 0x04, 0xaa];
        let d = Descriptor::parse(&payload).expect("well-formed");
        assert_eq!((d.len, d.tl0, d.flexible), (6, None, true));
        assert_eq!(d.layer, Some(Layer { temporal: 1, switch_up: true, spatial: 0, inter_layer: false }));
        let mut too_many = payload;
        too_many[5..].copy_from_slice(&[0x05, 0x07]);
        assert_eq!(Descriptor::parse(&too_many), Err(Malformed), "a fourth reference");
    }

    #[test]
    fn rewriting_keeps_width_and_everything_else() {
        let mut wide = svc_key();
        rewrite(&mut wide, 0x8001, 77);
        assert_eq!(&wide[..6], &[0xaa, 0x80, 0x01, 0x00, 77, 0x58]);
        assert_eq!(&wide[6..], &svc_key()[6..]);

        let mut narrow = [0x88, 0x12, 0x82];
        rewrite(&mut narrow, 0x1234, 77);
        assert_eq!(narrow, [0x88, 0x34, 0x82]);

        let mut flexible = [0x80 | 0x20 | 0x10 | 0x08, 0x12, 0x00, 0x82];
        rewrite(&mut flexible, 0x55, 77);
        assert_eq!(flexible, [0xb8, 0x55, 0x00, 0x82]);
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        let whole = svc_key();
        let len = Descriptor::parse(&whole).expect("well-formed").len;
        assert_eq!(len, whole.len() - 2);
        for cut in 0..len {
            assert_eq!(Descriptor::parse(&whole[..cut]), Err(Malformed), "{cut} bytes");
        }
    }
}
