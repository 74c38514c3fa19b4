//! AV1 (RTP Payload Format For AV1, version 1.0 of the Alliance for Open Media).

use super::Frame;
use crate::units::PictureSize;
use crate::wire::Malformed;
use crate::wire::bits::{Bits, Bytes};

const SEQUENCE_HEADER: u8 = 1;

/// The aggregation header (section 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Z: the first OBU element continues one of the packet before.
    pub continues: bool,
    /// Y: the last OBU element goes on in the next packet.
    pub continued: bool,
    /// W: number of OBU elements, of which the last has no length; 0 if all have one.
    pub count: u8,
    /// N: the first packet of a coded video sequence.
    pub new_sequence: bool,
}

impl Descriptor {
    /// Reads the front of a payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let byte = Bytes::new(payload).u8()?;
        let d = Self {
            continues: byte & 0x80 != 0,
            continued: byte & 0x40 != 0,
            count: byte >> 4 & 0x03,
            new_sequence: byte & 0x08 != 0,
        };
        // "If N is equal to 1, then Z must be equal to 0."
        if d.new_sequence && d.continues { Err(Malformed) } else { Ok(d) }
    }

    /// The OBU elements of a payload, in order; ends early where lengths do not fit.
    pub fn elements<'a>(&self, payload: &'a [u8]) -> Elements<'a> {
        Elements { bytes: Bytes::new(payload.get(1..).unwrap_or_default()), count: self.count, read: 0 }
    }
}

/// See [`Descriptor::elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: Bytes<'a>,
    count: u8,
    read: u8,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.bytes.rest().is_empty() || (self.count > 0 && self.read >= self.count) {
            return None;
        }
        self.read = self.read.saturating_add(1);
        if self.count > 0 && self.read == self.count {
            let rest = self.bytes.rest();
            return self.bytes.take(rest.len()).ok();
        }
        let len = self.bytes.leb128().ok()?;
        self.bytes.take(len).ok()
    }
}

/// An OBU with its header read (AV1 specification section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obu<'a> {
    /// `obu_type`
    pub kind: u8,
    /// `temporal_id` and `spatial_id`, if there is an extension.
    pub layer: Option<(u8, u8)>,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Obu<'a> {
    /// Reads an OBU, or the front of one.
    pub fn parse(element: &'a [u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes::new(element);
        let header = bytes.u8()?;
        if header & 0x80 != 0 {
            return Err(Malformed);
        }
        let layer = if header & 0x04 != 0 {
            let extension = bytes.u8()?;
            Some((extension >> 5, extension >> 3 & 0x03))
        } else {
            None
        };
        if header & 0x02 != 0 {
            bytes.leb128()?;
        }
        Ok(Self { kind: header >> 3 & 0x0f, layer, body: bytes.rest() })
    }
}

pub(super) fn inspect(payload: &[u8]) -> Frame {
    let Ok(d) = Descriptor::parse(payload) else { return Frame::default() };
    // A frame is one OBU for browsers' encoders; one that is cut up is recognised by Z in all packets but the first.
    let mut frame = Frame { first: !d.continues, ..Frame::default() };
    for obu in d.elements(payload).skip(usize::from(d.continues)).filter_map(|e| Obu::parse(e).ok()) {
        if let Some((temporal, spatial)) = obu.layer {
            frame.temporal = temporal;
            frame.spatial = spatial;
        }
        if obu.kind == SEQUENCE_HEADER {
            frame.keyframe = true;
            frame.switch_up = true;
            frame.size = picture_size(obu.body).ok();
        }
    }
    frame
}

/// The largest size that a sequence header allows, which is the size where there is one spatial layer
/// (AV1 specification section 5.5.1).
fn picture_size(body: &[u8]) -> Result<PictureSize, Malformed> {
    let mut bits = Bits::new(body);
    bits.skip(4)?;
    let reduced = bits.flag()?;
    if reduced {
        bits.skip(5)?;
    } else {
        skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.u(4)? + 1;
    let height_bits = bits.u(4)? + 1;
    let (width, height) = (bits.u(width_bits)?, bits.u(height_bits)?);
    let pixels = |minus_one: u32| u16::try_from(minus_one + 1).map_err(|_| Malformed);
    Ok(PictureSize::new(pixels(width)?, pixels(height)?))
}

fn skip_operating_points(bits: &mut Bits<'_>) -> Result<(), Malformed> {
    let mut decoder_delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            bits.ue()?;
        }
        if bits.flag()? {
            decoder_delay_bits = Some(bits.u(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delays = bits.flag()?;
    for _ in 0..=bits.u(5)? {
        bits.skip(12)?;
        if bits.u(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(delay) = decoder_delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay + 1)?;
        }
        if display_delays && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence header of profile 0, one operating point, level 5, no timing: sizes in 11 and 10 bits.
    fn sequence_header(width: u32, height: u32) -> Vec<u8> {
        // seq_profile 3, still 1, reduced 1, timing 1, delays 1, count 5, idc 12, level 5 = 29 bits of zero but the level.
        let mut bits = String::from("000 0 0 0 0 00000 000000000000 00101");
        bits += "1010 1001";
        bits += &format!("{:011b}{:010b}", width - 1, height - 1);
        let mut bytes = vec![SEQUENCE_HEADER << 3];
        let bits: Vec<u8> = bits.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
        bytes.extend(bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |acc, (i, b)| acc | b << (7 - i))));
        bytes
    }

    #[test]
    fn a_sequence_header_begins_a_keyframe_and_tells_its_size() {
        let header = sequence_header(1280, 720);
        let mut payload = vec![0x28, header.len() as u8];
        payload.extend(&header);
        payload.extend([0x30, 0x11, 0x22]);
        let frame = inspect(&payload);
        assert!(frame.keyframe && frame.first);
        assert_eq!(frame.size, Some(PictureSize::new(1280, 720)));
    }

    #[test]
    fn elements_are_told_apart_with_and_without_count() {
        let counted = [0x20, 2, 0x10, 0x20, 0x30, 0x40];
        let d = Descriptor::parse(&counted).expect("well-formed");
        assert_eq!(d.elements(&counted).collect::<Vec<_>>(), [&[0x10, 0x20][..], &[0x30, 0x40]]);
        let lengths = [0x00, 1, 0x10, 2, 0x30, 0x40];
        let d = Descriptor::parse(&lengths).expect("well-formed");
        assert_eq!(d.elements(&lengths).collect::<Vec<_>>(), [&[0x10][..], &[0x30, 0x40]]);
        let short = [0x00, 9, 0x10];
        assert_eq!(Descriptor::parse(&short).expect("well-formed").elements(&short).count(), 0);
    }

    #[test]
    fn layers_are_in_the_obu_extension() {
        // A frame OBU of temporal layer 2, spatial layer 1.
        let frame = inspect(&[0x10, 0x34, 2 << 5 | 1 << 3, 0xaa]);
        assert_eq!((frame.temporal, frame.spatial, frame.first, frame.keyframe), (2, 1, true, false));
    }

    #[test]
    fn a_continued_element_is_not_read_as_a_header() {
        // The bytes of a sequence header in the middle of a frame.
        let mut payload = vec![0x90];
        payload.extend(sequence_header(640, 360));
        let frame = inspect(&payload);
        assert!(!frame.first && !frame.keyframe);
    }

    #[test]
    fn a_new_sequence_cannot_continue() {
        assert_eq!(Descriptor::parse(&[0x88]), Err(Malformed));
        assert_eq!(Descriptor::parse(&[]), Err(Malformed));
    }
}
