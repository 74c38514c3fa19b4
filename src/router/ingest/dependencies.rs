//! What the dependency descriptor of a packet (RTP Payload Format For AV1, appendix A) tells of it: its layers, and where
//! one may go up. The structure that packets refer to is kept from the keyframe that brought it.

use crate::router::history::{ENDS_LAYER, Entry, KEYFRAME, UP_FROM_HERE, UP_SPATIAL};
use crate::units::PictureSize;
use crate::wire::ext::dependency_descriptor::{Descriptor, Indication, Structure};

/// Decode targets that are told apart, as many as a descriptor has bits for.
const MOST_TARGETS: usize = 32;

/// The layers of each decode target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Targets {
    count: u8,
    /// The highest spatial and temporal layer.
    layers: [(u8, u8); MOST_TARGETS],
}

impl Targets {
    fn of(structure: &Structure) -> Self {
        let mut all = Self { count: structure.decode_targets.min(MOST_TARGETS as u8), ..Self::default() };
        for (target, layers) in (0..all.count).zip(&mut all.layers) {
            *layers = structure.layers(target).unwrap_or_default();
        }
        all
    }

    /// How many there are, and a bit for each that needs no more than these layers.
    pub(crate) fn within(&self, spatial: u8, temporal: u8) -> (u8, u32) {
        let all = self.layers.iter().take(usize::from(self.count)).enumerate();
        let within = all.filter(|(_, layers)| layers.0 <= spatial && layers.1 <= temporal);
        (self.count, within.fold(0, |bits, (at, _)| bits | 1 << at))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Dependencies {
    structure: Option<Box<Structure>>,
    pub(crate) targets: Targets,
    /// Timestamp of the newest picture, and the number of its first frame.
    picture: Option<(u32, u16)>,
}

impl Dependencies {
    /// Fills in what the descriptor tells. Without one, or the structure it refers to, the payload alone counts.
    pub(crate) fn read(&mut self, value: &[u8], entry: &mut Entry) {
        if value.is_empty() {
            return;
        }
        let Ok(read) = Descriptor::parse(value, self.structure.as_deref()) else { return };
        let Descriptor { mandatory, structure, frame, .. } = read;
        let number = mandatory.frame_number;
        let first = match self.picture {
            Some((ts, first)) if entry.ts.wrapping_sub(ts) as i32 <= 0 => (ts == entry.ts).then_some(first),
            _ => {
                self.picture = Some((entry.ts, number));
                Some(number)
            }
        };
        let begins = structure.is_some() && mandatory.first && frame.references.as_slice().is_empty();
        if let Some(new) = structure {
            self.targets = Targets::of(&new);
            self.structure = Some(Box::new(new));
        }
        // Without references beyond the picture, whoever has its lower layers has all that is needed.
        let within = first.is_some_and(|first| {
            let back = number.wrapping_sub(first);
            frame.references.as_slice().iter().all(|reference| *reference <= back)
        });
        let all = self.targets.layers.iter().zip(0..self.targets.count);
        let mut of_layer = all.filter(|(layers, _)| layers.0 == frame.spatial).map(|(_, target)| target);
        let switches = of_layer.all(|target| frame.indications.of(target) == Indication::Switch);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        (entry.spatial, entry.temporal, entry.frame) = (frame.spatial, frame.temporal, number);
        entry.flags = entry.flags & !(KEYFRAME | ENDS_LAYER | UP_FROM_HERE | UP_SPATIAL)
            | flag(begins, KEYFRAME)
            | flag(mandatory.last, ENDS_LAYER)
            | flag(switches, UP_FROM_HERE)
            | flag(frame.spatial > 0 && within, UP_SPATIAL);
    }

    /// Takes in the structure of a keyframe that another shard read.
    pub(crate) fn learn(&mut self, value: &[u8]) {
        if let Ok(Descriptor { structure: Some(structure), .. }) = Descriptor::parse(value, None) {
            self.targets = Targets::of(&structure);
        }
    }

    /// The sizes of the spatial layers' pictures, as far as the structure tells.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (u8, PictureSize)> + '_ {
        let structure = self.structure.as_deref();
        let count = structure.map_or(0, |s| s.spatial_layers);
        (0..count).filter_map(move |spatial| Some((spatial, structure?.size(spatial)?)))
    }
}
