//! What of a track a slot sends, and what there is to choose from.

use crate::units::{Bitrate, PictureSize};

/// "No layer".
pub(crate) const NONE: u8 = u8::MAX;
/// "All there are", of spatial or temporal layers.
pub(crate) const ALL: u8 = u8::MAX;
/// The most rungs of one track: more are not offered.
pub(crate) const MAX_RUNGS: usize = 24;
/// Bits per pixel and second that an encoder is taken to spend before its rate was measured.
const GUESSED_BITS_PER_PIXEL: u64 = 3;

/// What of a track a slot sends: a simulcast layer and, of it, spatial and temporal layers up to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) layer: u8,
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
}

impl Target {
    /// Nothing is sent.
    pub(crate) const NOTHING: Self = Self::whole(NONE);

    /// A simulcast layer with all that is in it.
    pub(crate) const fn whole(layer: u8) -> Self {
        Self { layer, spatial: ALL, temporal: ALL }
    }

    /// Whether nothing is to be sent.
    pub(crate) const fn is_nothing(self) -> bool {
        self.layer == NONE
    }
}

/// One way to send a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) target: Target,
    /// Its picture size, where known.
    pub(crate) size: Option<PictureSize>,
    /// What it costs.
    pub(crate) rate: Bitrate,
    /// What going over to it costs at once: its last keyframe, in bytes.
    pub(crate) opening: u32,
}

/// The ways to send a track that arrive now, from the least up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rungs {
    list: [Rung; MAX_RUNGS],
    count: usize,
}

impl Rungs {
    pub(crate) const fn new() -> Self {
        let nothing = Rung { target: Target::NOTHING, size: None, rate: Bitrate::ZERO, opening: 0 };
        Self { list: [nothing; MAX_RUNGS], count: 0 }
    }

    /// Adds one above those there are.
    pub(crate) fn push(&mut self, rung: Rung) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = rung;
            self.count += 1;
        }
    }
}

impl std::ops::Deref for Rungs {
    type Target = [Rung];

    fn deref(&self) -> &[Rung] {
        self.list.get(..self.count).unwrap_or_default()
    }
}

/// What a layer is taken to cost before it was measured: by its picture, or by its place above the smallest.
pub(crate) fn guessed_rate(size: Option<PictureSize>, layer: u8) -> Bitrate {
    let pixels = size.map_or_else(|| 64_000 << (2 * layer).min(16), |size| u64::from(size.area()));
    Bitrate::from_bps(pixels * GUESSED_BITS_PER_PIXEL)
}

/// What a keyframe costs at least that an encoder makes at this rate: the last one may be from when the layer began, at
/// a lower one.
pub(crate) fn usual_keyframe(rate: Bitrate) -> u32 {
    const MS: u64 = 200;
    u32::try_from(rate.as_bps() / 8000 * MS).unwrap_or(u32::MAX)
}
