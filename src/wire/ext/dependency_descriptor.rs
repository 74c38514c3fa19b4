//! The dependency descriptor (RTP Payload Format For AV1, appendix A): which frame needs which, for any codec.
//!
//! Most packets name one of the templates of a [`Structure`] that came with the last keyframe; whoever reads a stream
//! keeps the latest structure and hands it to [`Descriptor::parse`].

use crate::units::PictureSize;
use crate::wire::Malformed;
use crate::wire::bits::Bits;

/// Templates have numbers of 6 bits.
const MAX_TEMPLATES: usize = 64;
/// Chains that are read: encoders make one for each spatial layer.
const MAX_CHAINS: usize = 8;
/// Direct references that are read: AV1 has 7 at most, VP9 3.
const MAX_REFERENCES: usize = 8;
/// Spatial layers that are read: AV1 has 4 at most, VP9 8.
const MAX_SPATIAL: usize = 8;

/// What every descriptor has, whether or not its structure is known (section A.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    /// The first packet of a frame.
    pub first: bool,
    /// The last packet of a frame.
    pub last: bool,
    /// Which template it follows, before the structure's offset.
    pub template_id: u8,
    /// Grows by one with every frame, of all layers together.
    pub frame_number: u16,
}

/// How a frame matters to a decode target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// Not part of it.
    NotPresent,
    /// Part of it, and nothing later in it needs the frame.
    Discardable,
    /// From here on one can switch to it.
    Switch,
    /// Needed.
    Required,
}

/// The indications of a frame, one for each decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indications(u64);

impl Indications {
    fn read(bits: &mut Bits<'_>, targets: u8) -> Result<Self, Malformed> {
        let mut all = 0;
        for target in 0..targets.min(32) {
            all |= u64::from(bits.u(2)?) << (2 * target);
        }
        Ok(Self(all))
    }

    /// That for one decode target.
    pub const fn of(self, target: u8) -> Indication {
        if target >= 32 {
            return Indication::NotPresent;
        }
        match self.0 >> (2 * target) & 3 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }
}

/// A short list of differences between frame numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    len: u8,
    values: [u16; MAX_REFERENCES],
}

impl Differences {
    fn push(&mut self, value: u16) -> Result<(), Malformed> {
        *self.values.get_mut(usize::from(self.len)).ok_or(Malformed)? = value;
        self.len += 1;
        Ok(())
    }

    /// As a slice.
    pub fn as_slice(&self) -> &[u16] {
        self.values.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What the frames that name it have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// How it matters to each decode target.
    pub indications: Indications,
    /// How many frames back the frames are that it is predicted from.
    pub references: Differences,
    /// For each chain, how many frames back its last frame is; 0 if this is the first.
    pub chains: Differences,
}

/// The template structure (section A.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Number of the first template.
    pub template_id_offset: u8,
    /// Number of decode targets, 1 to 32.
    pub decode_targets: u8,
    /// Number of chains.
    pub chains: u8,
    /// Number of spatial layers.
    pub spatial_layers: u8,
    template_count: u8,
    templates: [Template; MAX_TEMPLATES],
    protected_by: [u8; 32],
    sizes: Option<[PictureSize; MAX_SPATIAL]>,
}

impl Structure {
    /// The templates.
    pub fn templates(&self) -> &[Template] {
        self.templates.get(..usize::from(self.template_count)).unwrap_or_default()
    }

    /// The template with this number (section A.8.4).
    pub fn template(&self, id: u8) -> Option<&Template> {
        let index = id.wrapping_sub(self.template_id_offset) & 0x3f;
        self.templates().get(usize::from(index))
    }

    /// The highest spatial and temporal layer of a decode target.
    pub fn layers(&self, target: u8) -> Option<(u8, u8)> {
        let present = self.templates().iter().filter(|t| t.indications.of(target) != Indication::NotPresent);
        present.map(|t| (t.spatial, t.temporal)).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    }

    /// The chain that protects a decode target: as long as no frame of it is lost, the target can be decoded.
    pub fn protected_by(&self, target: u8) -> Option<u8> {
        if self.chains == 0 || target >= self.decode_targets {
            return None;
        }
        self.protected_by.get(usize::from(target)).copied()
    }

    /// Size of the pictures of a spatial layer, if given.
    pub fn size(&self, spatial: u8) -> Option<PictureSize> {
        if spatial >= self.spatial_layers {
            return None;
        }
        self.sizes.as_ref()?.get(usize::from(spatial)).copied()
    }

    fn read(bits: &mut Bits<'_>) -> Result<Self, Malformed> {
        let template_id_offset = bits.u(6)? as u8;
        let decode_targets = bits.u(5)? as u8 + 1;
        let mut s = Self {
            template_id_offset,
            decode_targets,
            chains: 0,
            spatial_layers: 0,
            template_count: 0,
            templates: [Template::default(); MAX_TEMPLATES],
            protected_by: [0; 32],
            sizes: None,
        };
        s.read_layers(bits)?;
        for template in s.templates.iter_mut().take(usize::from(s.template_count)) {
            template.indications = Indications::read(bits, decode_targets)?;
        }
        for template in s.templates.iter_mut().take(usize::from(s.template_count)) {
            while bits.flag()? {
                template.references.push(bits.u(4)? as u16 + 1)?;
            }
        }
        s.read_chains(bits)?;
        if bits.flag()? {
            let mut sizes = [PictureSize::default(); MAX_SPATIAL];
            for size in sizes.iter_mut().take(usize::from(s.spatial_layers)) {
                let (width, height) = (bits.u(16)?, bits.u(16)?);
                let pixels = |minus_one: u32| u16::try_from(minus_one + 1).map_err(|_| Malformed);
                *size = PictureSize::new(pixels(width)?, pixels(height)?);
            }
            s.sizes = Some(sizes);
        }
        Ok(s)
    }

    /// `template_layers`: the layer of each template, by steps from the one before.
    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Result<(), Malformed> {
        let (mut spatial, mut temporal) = (0u8, 0u8);
        loop {
            let template = self.templates.get_mut(usize::from(self.template_count)).ok_or(Malformed)?;
            (template.spatial, template.temporal) = (spatial, temporal);
            self.template_count += 1;
            match bits.u(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => break,
            }
            if usize::from(spatial) >= MAX_SPATIAL || temporal >= 8 {
                return Err(Malformed);
            }
        }
        self.spatial_layers = spatial + 1;
        Ok(())
    }

    /// `template_chains`
    fn read_chains(&mut self, bits: &mut Bits<'_>) -> Result<(), Malformed> {
        self.chains = non_symmetric(bits, u32::from(self.decode_targets) + 1)?;
        if self.chains == 0 {
            return Ok(());
        }
        for target in self.protected_by.iter_mut().take(usize::from(self.decode_targets)) {
            *target = non_symmetric(bits, u32::from(self.chains))?;
        }
        for template in self.templates.iter_mut().take(usize::from(self.template_count)) {
            for _ in 0..self.chains {
                template.chains.push(bits.u(4)? as u16)?;
            }
        }
        Ok(())
    }
}

/// A whole descriptor, with what its template says filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its first three bytes.
    pub mandatory: Mandatory,
    /// A new structure, which from now on takes the place of the one before.
    pub structure: Option<Structure>,
    /// Which decode targets the sender still makes, if it changed: bit 0 is target 0.
    pub active_targets: Option<u32>,
    /// Layer, indications, references and chains of this very frame.
    pub frame: Template,
    /// Size of its pictures, if the structure tells.
    pub size: Option<PictureSize>,
}

impl Mandatory {
    /// Reads the front of a descriptor.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let &[flags, high, low, ..] = value else { return Err(Malformed) };
        Ok(Self {
            first: flags & 0x80 != 0,
            last: flags & 0x40 != 0,
            template_id: flags & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
        })
    }
}

impl Descriptor {
    /// Reads a descriptor, with the structure that is in force if it brings none.
    pub fn parse(value: &[u8], in_force: Option<&Structure>) -> Result<Self, Malformed> {
        let mandatory = Mandatory::parse(value)?;
        let mut bits = Bits::new(value.get(3..).unwrap_or_default());
        let extended = value.len() > 3;
        let flags = if extended { bits.u(5)? } else { 0 };
        let flag = |n: u32| flags >> (4 - n) & 1 == 1;
        let structure = if flag(0) { Some(Structure::read(&mut bits)?) } else { None };
        let applies = structure.as_ref().or(in_force).ok_or(Malformed)?;
        let active_targets = match (flag(1), &structure) {
            (true, _) => Some(bits.u(u32::from(applies.decode_targets))?),
            // A new structure has all its targets active.
            (false, Some(new)) => Some(u32::MAX >> (32 - u32::from(new.decode_targets))),
            (false, None) => None,
        };
        let mut frame = *applies.template(mandatory.template_id).ok_or(Malformed)?;
        if flag(2) {
            frame.indications = Indications::read(&mut bits, applies.decode_targets)?;
        }
        if flag(3) {
            frame.references = Differences::default();
            loop {
                let size = bits.u(2)?;
                if size == 0 {
                    break;
                }
                frame.references.push(bits.u(4 * size)? as u16 + 1)?;
            }
        }
        if flag(4) {
            frame.chains = Differences::default();
            for _ in 0..applies.chains {
                frame.chains.push(bits.u(8)? as u16)?;
            }
        }
        let size = applies.size(frame.spatial);
        Ok(Self { mandatory, structure, active_targets, frame, size })
    }
}

/// Puts another frame number into a descriptor, without changing its length.
pub fn renumber(value: &mut [u8], frame_number: u16) {
    if let [_, high, low, ..] = value {
        [*high, *low] = frame_number.to_be_bytes();
    }
}

/// Which decode targets are forwarded: how many there are, and a bit for each that is.
pub type Active = (u8, u32);

/// Writes a descriptor with another frame number and, if told, with the decode targets that are forwarded in place of
/// those that it calls active (section A.4.4). Its length; `None` if it does not fit or is malformed.
///
/// Only the first packet of a frame needs to tell them.
pub fn forward(value: &[u8], frame_number: u16, active: Option<Active>, out: &mut [u8]) -> Option<usize> {
    let Some((count, wanted)) = active else {
        out.get_mut(..value.len())?.copy_from_slice(value);
        renumber(out, frame_number);
        return Some(value.len());
    };
    const FLAGS: usize = 24;
    let mut bits = Bits::new(value);
    bits.skip(FLAGS as u32).ok()?;
    let flags = if value.len() > 3 { bits.u(5).ok()? } else { 0 };
    if flags & 0x10 != 0 {
        Structure::read(&mut bits).ok()?;
    }
    let before = bits.position();
    let told = if flags & 0x08 != 0 { bits.u(count.into()).ok()? } else { u32::MAX };
    // What the sender itself stopped cannot be forwarded.
    let active = if told & wanted != 0 { told & wanted } else { wanted };
    let mut copy = BitCopy { out, at: 0 };
    copy.bits(value, 0, FLAGS)?;
    (0..5).rev().try_for_each(|n| copy.bit((flags | 0x08) >> n & 1 == 1))?;
    copy.bits(value, FLAGS + 5, before)?;
    (0..u32::from(count)).rev().try_for_each(|n| copy.bit(active >> n & 1 == 1))?;
    copy.bits(value, bits.position(), value.len() * 8)?;
    let len = copy.at.div_ceil(8);
    renumber(out, frame_number);
    Some(len)
}

/// Appends bits.
struct BitCopy<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl BitCopy<'_> {
    fn bit(&mut self, set: bool) -> Option<()> {
        let byte = self.out.get_mut(self.at / 8)?;
        let mask = 0x80 >> (self.at % 8);
        *byte = if set { *byte | mask } else { *byte & !mask };
        // What follows in the last byte is padding: zero.
        if self.at.is_multiple_of(8) {
            *byte &= 0x80;
        }
        self.at += 1;
        Some(())
    }

    fn bits(&mut self, from: &[u8], start: usize, end: usize) -> Option<()> {
        (start..end).try_for_each(|at| self.bit(from.get(at / 8)? & (0x80 >> (at % 8)) != 0))
    }
}

/// `ns(n)` (AV1 specification section 4.10.7) for chains, of which no more than [`MAX_CHAINS`] are taken.
fn non_symmetric(bits: &mut Bits<'_>, n: u32) -> Result<u8, Malformed> {
    let width = n.checked_ilog2().ok_or(Malformed)? + 1;
    let short = (1 << width) - n;
    let mut value = bits.u(width - 1)?;
    if value >= short {
        value = (value << 1) - short + bits.u(1)?;
    }
    u8::try_from(value).ok().filter(|&v| usize::from(v) <= MAX_CHAINS).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits, written as the specification's tables are.
    fn bytes(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits.bytes().filter(|b| matches!(b, b'0' | b'1')).map(|b| b - b'0').collect();
        bits.chunks(8).map(|c| c.iter().enumerate().fold(0, |acc, (i, b)| acc | b << (7 - i))).collect()
    }

    /// L1T3 with one chain: templates T0 key, T0, T1, T2, T2, as in the specification's example A.10.
    fn l1t3() -> Vec<u8> {
        let mut bits = String::from("1 0 000101 0000000100101100");
        bits += " 1 0 0 0 0"; // a structure, nothing of its own
        bits += " 000101 00010"; // offset 5, three decode targets
        bits += " 00 01 01 00 11"; // T0 T0 T1 T2 T2
        bits += " 10 10 10  10 10 10  00 10 10  00 00 01  00 00 01";
        bits += " 0  1 0011 0  1 0001 0  1 0000 0  1 0000 0"; // references 4, 2, 1, 1 back
        bits += " 01"; // one chain (ns of 4)
        bits += ""; // ns of 1 takes no bits: all targets are protected by chain 0
        bits += " 0000 0100 0010 0001 0011";
        bits += " 1 0000010011111111 0000001011001111";
        bytes(&bits)
    }

    fn structure() -> Structure {
        Descriptor::parse(&l1t3(), None).expect("well-formed").structure.expect("a structure")
    }

    #[test]
    fn a_keyframe_brings_the_structure() {
        let d = Descriptor::parse(&l1t3(), None).expect("well-formed");
        assert_eq!(d.mandatory, Mandatory { first: true, last: false, template_id: 5, frame_number: 300 });
        assert_eq!(d.active_targets, Some(0b111));
        assert_eq!(d.size, Some(PictureSize::new(1280, 720)));
        let s = d.structure.expect("a structure");
        let layers: Vec<_> = s.templates().iter().map(|t| (t.spatial, t.temporal)).collect();
        assert_eq!(layers, [(0, 0), (0, 0), (0, 1), (0, 2), (0, 2)]);
        let references: Vec<_> = s.templates().iter().map(|t| t.references.as_slice().to_vec()).collect();
        assert_eq!(references, [vec![], vec![4], vec![2], vec![1], vec![1]]);
        assert_eq!((s.layers(0), s.layers(1), s.layers(2)), (Some((0, 0)), Some((0, 1)), Some((0, 2))));
        assert_eq!((s.chains, s.protected_by(2), s.protected_by(3)), (1, Some(0), None));
        assert_eq!(s.templates()[4].chains.as_slice(), [3]);
        assert_eq!(d.frame.indications.of(2), Indication::Switch);
    }

    #[test]
    fn later_packets_name_a_template() {
        let s = structure();
        let d = Descriptor::parse(&[0x40 | 8, 1, 0x2d], Some(&s)).expect("well-formed");
        assert!(!d.mandatory.first && d.mandatory.last);
        assert_eq!((d.frame.temporal, d.mandatory.frame_number), (2, 301));
        assert_eq!(d.frame.indications.of(2), Indication::Discardable);
        assert_eq!(d.frame.indications.of(0), Indication::NotPresent);
        assert_eq!((d.structure, d.active_targets), (None, None));
        assert_eq!(
            Descriptor::parse(&[0x40 | 10, 1, 0x2d], Some(&s)),
            Err(Malformed),
            "there are five templates"
        );
        assert_eq!(Descriptor::parse(&[0x40 | 8, 1, 0x2d], None), Err(Malformed), "no structure");
        assert!(Mandatory::parse(&[0x40 | 8, 1, 0x2d]).is_ok(), "its front can be read nevertheless");
    }

    #[test]
    fn a_frame_may_differ_from_its_template() {
        let s = structure();
        let value =
            bytes("11 000111 0000000100101110  0 1 1 1 1  011  01 10 11  01 0110 10 00010000 00  00000101");
        let d = Descriptor::parse(&value, Some(&s)).expect("well-formed");
        assert_eq!(d.active_targets, Some(0b011));
        let of = |n| d.frame.indications.of(n);
        assert_eq!(
            [of(0), of(1), of(2)],
            [Indication::Discardable, Indication::Switch, Indication::Required]
        );
        assert_eq!(d.frame.references.as_slice(), [7, 17]);
        assert_eq!(d.frame.chains.as_slice(), [5]);
        assert_eq!(d.frame.temporal, 1);
    }

    #[test]
    fn renumbering_changes_nothing_else() {
        let mut value = l1t3();
        renumber(&mut value, 0xabcd);
        let (old, new) = (l1t3(), Descriptor::parse(&value, None).expect("well-formed"));
        assert_eq!(new.mandatory.frame_number, 0xabcd);
        assert_eq!((value[0], &value[3..]), (old[0], &old[3..]));
        renumber(&mut [], 1);
    }

    #[test]
    fn forwarded_targets_are_put_in_and_nothing_else_changes() {
        let s = structure();
        let custom =
            bytes("11 000111 0000000100101110  0 0 1 1 1  01 10 11  01 0110 10 00010000 00  00000101");
        for value in [l1t3(), vec![0x40 | 8, 1, 0x2d], custom] {
            let old = Descriptor::parse(&value, Some(&s)).expect("well-formed");
            let mut out = [0xff; 100];
            let len = forward(&value, 77, None, &mut out).expect("fits");
            let new = Descriptor::parse(&out[..len], Some(&s)).expect("well-formed");
            assert_eq!((new.mandatory.frame_number, &new.frame), (77, &old.frame));
            let len = forward(&value, 78, Some((3, 0b001)), &mut out).expect("fits");
            assert!(len <= value.len() + 2);
            let new = Descriptor::parse(&out[..len], Some(&s)).expect("well-formed");
            assert_eq!(new.active_targets, Some(0b001));
            assert_eq!((new.mandatory.frame_number, &new.frame), (78, &old.frame));
            assert_eq!((new.mandatory.first, new.structure), (old.mandatory.first, old.structure));
            // Once more, over what is in there now; what the sender stopped stays stopped.
            let (mut again, first) = ([0; 100], out[..len].to_vec());
            let len = forward(&first, 79, Some((3, 0b011)), &mut again).expect("fits");
            let new = Descriptor::parse(&again[..len], Some(&s)).expect("well-formed");
            assert_eq!((new.active_targets, &new.frame, len), (Some(0b001), &old.frame, first.len()));
            assert_eq!(forward(&value, 1, Some((3, 1)), &mut again[..2]), None);
        }
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        let whole = l1t3();
        for len in 0..whole.len() - 1 {
            assert_eq!(Descriptor::parse(&whole[..len], None), Err(Malformed), "{len} bytes");
        }
    }
}
