//! Limits on what one may send and get (platform API section 6): of groups, members, pins and tokens. Of several that
//! say something the strictest holds.

use serde::{Deserialize, Serialize};

use crate::units::{Bitrate, PictureSize};

/// Voices that a viewer may hear at once at the most: each costs an audio slot of its connection.
pub const MAX_VOICES: u8 = 32;
/// The highest of the API's `STREAM_RESOLUTION_` constants.
pub const MAX_RESOLUTION: u8 = 5;

/// What one group, member, pin or token says; 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// What one may publish, in kbit/s, all layers of a stream together.
    pub max_publish_kbps: u32,
    /// What one may be sent, in kbit/s, all streams together.
    pub max_subscribe_kbps: u32,
    /// The largest picture that one may publish or be sent, 1 to 5.
    pub max_resolution: u8,
    /// How many voices one may hear at once.
    pub max_voices: u8,
}

/// What is to be changed of limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LimitChanges {
    /// See [`Limits`].
    pub max_publish_kbps: Option<u32>,
    /// See [`Limits`].
    pub max_subscribe_kbps: Option<u32>,
    /// See [`Limits`].
    pub max_resolution: Option<u8>,
    /// See [`Limits`].
    pub max_voices: Option<u8>,
}

impl LimitChanges {
    /// Whether every number is one that means something.
    pub fn valid(&self) -> bool {
        self.max_resolution.is_none_or(|most| most <= MAX_RESOLUTION)
            && self.max_voices.is_none_or(|most| most <= MAX_VOICES)
    }
}

impl Limits {
    /// The strictest of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            max_publish_kbps: stricter(self.max_publish_kbps, other.max_publish_kbps),
            max_subscribe_kbps: stricter(self.max_subscribe_kbps, other.max_subscribe_kbps),
            max_resolution: stricter(self.max_resolution, other.max_resolution),
            max_voices: stricter(self.max_voices, other.max_voices),
        }
    }

    /// These, changed.
    pub fn changed(self, by: &LimitChanges) -> Self {
        Self {
            max_publish_kbps: by.max_publish_kbps.unwrap_or(self.max_publish_kbps),
            max_subscribe_kbps: by.max_subscribe_kbps.unwrap_or(self.max_subscribe_kbps),
            max_resolution: by.max_resolution.unwrap_or(self.max_resolution),
            max_voices: by.max_voices.unwrap_or(self.max_voices),
        }
    }

    /// What one may publish, all layers of a stream together.
    pub const fn publish(&self) -> Bitrate {
        rate(self.max_publish_kbps)
    }

    /// What one may be sent, all streams together.
    pub const fn subscribe(&self) -> Bitrate {
        rate(self.max_subscribe_kbps)
    }

    /// The largest picture.
    pub const fn picture(&self) -> PictureSize {
        picture(self.max_resolution)
    }
}

/// The picture of one of the API's `STREAM_RESOLUTION_` constants; any for those that say nothing.
pub const fn picture(resolution: u8) -> PictureSize {
    match resolution {
        1 => PictureSize::new(320, 240),
        2 => PictureSize::new(640, 480),
        3 => PictureSize::new(1280, 720),
        4 => PictureSize::new(1920, 1080),
        5 => PictureSize::new(3840, 2160),
        _ => PictureSize::new(u16::MAX, u16::MAX),
    }
}

const fn rate(kbps: u32) -> Bitrate {
    match kbps {
        0 => Bitrate::MAX,
        kbps => Bitrate::from_kbps(kbps as u64),
    }
}

fn stricter<T: Copy + Ord + Default>(a: T, b: T) -> T {
    let nothing = T::default();
    if a == nothing || (b != nothing && b < a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_of_those_that_say_something_holds() {
        let group = Limits { max_publish_kbps: 900, max_resolution: 3, ..Limits::default() };
        let member = Limits { max_publish_kbps: 2000, max_subscribe_kbps: 400, ..Limits::default() };
        let token = Limits { max_resolution: 1, max_voices: 2, ..Limits::default() };
        let all = Limits { max_publish_kbps: 900, max_subscribe_kbps: 400, max_resolution: 1, max_voices: 2 };
        for order in [[group, member, token], [token, group, member], [member, token, group]] {
            assert_eq!(order.into_iter().fold(Limits::default(), Limits::and), all);
        }
        assert_eq!(Limits::default().publish(), Bitrate::MAX);
        assert_eq!(all.picture(), PictureSize::new(320, 240));
    }
}
