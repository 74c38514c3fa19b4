//! Sets of video codecs, as limits name them. Sound is Opus anyway.

use serde::{Deserialize, Serialize};

use crate::wire::payload::Codec;

const NAMES: [(&str, u8); 4] = [("vp8", 1), ("vp9", 2), ("h264", 4), ("av1", 8)];
/// Something was said, if only that there is none.
const SAID: u8 = 0x80;
/// What no codec is called.
const NO_CODEC: &str = "none";

/// Which codecs pictures may have; nothing is said by default, and all are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<&'static str>", try_from = "Vec<String>")]
pub struct Codecs(u8);

impl Codecs {
    /// Names, comma separated; none of them says nothing.
    pub fn parse(names: &str) -> Option<Self> {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self::of(names)
    }

    fn of<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<Self> {
        names.try_fold(Self::default(), |Self(all), name| {
            let known = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, bit)| *bit);
            let bit = known.or_else(|| name.eq_ignore_ascii_case(NO_CODEC).then_some(0))?;
            Some(Self(all | bit | SAID))
        })
    }

    /// Those in both; all are in the one that says nothing.
    pub const fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (0, _) => other,
            (_, 0) => self,
            (a, b) => Self(a & b),
        }
    }

    /// Whether pictures may have this codec.
    pub const fn allows(self, codec: Codec) -> bool {
        let bit = match codec {
            Codec::Vp8 => 1,
            Codec::Vp9 { .. } => 2,
            Codec::H264 { .. } => 4,
            Codec::Av1 { .. } => 8,
            Codec::Opus | Codec::Red => return true,
        };
        self.0 == 0 || self.0 & bit != 0
    }

    /// Their names; empty where nothing is said.
    pub fn names(self) -> Vec<&'static str> {
        let names: Vec<_> =
            NAMES.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(name, _)| *name).collect();
        if names.is_empty() && self.0 != 0 { vec![NO_CODEC] } else { names }
    }
}

impl From<Codecs> for Vec<&'static str> {
    fn from(codecs: Codecs) -> Self {
        codecs.names()
    }
}

impl TryFrom<Vec<String>> for Codecs {
    type Error = &'static str;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        Self::of(names.iter().map(String::as_str)).ok_or("codecs are vp8, vp9, h264 and av1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_allow_is_allowed_and_perhaps_nothing_is() {
        let of = |names| Codecs::parse(names).expect("names");
        let vp8 = Codec::Vp8;
        assert!(Codecs::default().allows(vp8) && of("").allows(vp8));
        assert_eq!(of("vp8, H264").and(Codecs::default()).names(), ["vp8", "h264"]);
        assert_eq!(of("vp8,h264").and(of("h264,av1")).names(), ["h264"]);
        let nothing = of("vp8").and(of("av1"));
        assert!(!nothing.allows(vp8) && nothing.allows(Codec::Opus));
        assert_eq!(nothing.names(), ["none"]);
        assert_eq!(nothing.and(of("vp8")), nothing);
        assert_eq!(of("none"), nothing);
        assert_eq!(Codecs::parse("theora"), None);
    }
}
