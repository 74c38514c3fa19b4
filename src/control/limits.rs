//! Limits on what one may send and get (platform API section 6): of groups, members, pins and tokens. Of several that
//! say something the strictest holds.

mod codecs;

use serde::{Deserialize, Serialize};

pub use self::codecs::Codecs;
use crate::router::command::TrackLimits;
use crate::units::{Bitrate, PictureSize};

/// Voices that a viewer may hear at once at the most: each costs an audio slot of its connection.
pub const MAX_VOICES: u8 = 32;
/// The highest of the API's `STREAM_RESOLUTION_` constants.
pub const MAX_RESOLUTION: u8 = 5;

/// The most layers of one stream.
pub const MAX_LAYERS: u8 = 4;

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
    /// How many pictures a second one may publish.
    pub max_fps: u8,
    /// What the sound of a stream may be that one publishes, in kbit/s.
    pub audio_kbps: u32,
    /// The codecs of the pictures that one may publish.
    pub codecs: Codecs,
    /// How many streams one may publish at once.
    pub max_streams: u8,
    /// How many streams one may watch at once.
    pub max_subscriptions: u16,
    /// How many layers of a picture one may publish, the smallest: what the encoder costs.
    pub simulcast_layers: u8,
    /// By how much what one publishes counts higher than other streams where bandwidth is short.
    pub priority: u8,
}

/// What is to be changed of limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LimitChanges {
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_publish_kbps: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_subscribe_kbps: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_resolution: Option<u8>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_voices: Option<u8>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u8>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_kbps: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codecs: Option<Codecs>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<u8>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_subscriptions: Option<u16>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulcast_layers: Option<u8>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

impl LimitChanges {
    /// Whether every number is one that means something.
    pub fn valid(&self) -> bool {
        self.max_resolution.is_none_or(|most| most <= MAX_RESOLUTION)
            && self.max_voices.is_none_or(|most| most <= MAX_VOICES)
            && self.simulcast_layers.is_none_or(|most| most <= MAX_LAYERS)
    }

    /// Whether there is nothing to change.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
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
            max_fps: stricter(self.max_fps, other.max_fps),
            audio_kbps: stricter(self.audio_kbps, other.audio_kbps),
            codecs: self.codecs.and(other.codecs),
            max_streams: stricter(self.max_streams, other.max_streams),
            max_subscriptions: stricter(self.max_subscriptions, other.max_subscriptions),
            simulcast_layers: stricter(self.simulcast_layers, other.simulcast_layers),
            priority: stricter(self.priority, other.priority),
        }
    }

    /// These, changed.
    pub fn changed(self, by: &LimitChanges) -> Self {
        Self {
            max_publish_kbps: by.max_publish_kbps.unwrap_or(self.max_publish_kbps),
            max_subscribe_kbps: by.max_subscribe_kbps.unwrap_or(self.max_subscribe_kbps),
            max_resolution: by.max_resolution.unwrap_or(self.max_resolution),
            max_voices: by.max_voices.unwrap_or(self.max_voices),
            max_fps: by.max_fps.unwrap_or(self.max_fps),
            audio_kbps: by.audio_kbps.unwrap_or(self.audio_kbps),
            codecs: by.codecs.unwrap_or(self.codecs),
            max_streams: by.max_streams.unwrap_or(self.max_streams),
            max_subscriptions: by.max_subscriptions.unwrap_or(self.max_subscriptions),
            simulcast_layers: by.simulcast_layers.unwrap_or(self.simulcast_layers),
            priority: by.priority.unwrap_or(self.priority),
        }
    }

    /// Those that say something, as they are told.
    pub fn said(&self) -> LimitChanges {
        LimitChanges {
            max_publish_kbps: said(self.max_publish_kbps),
            max_subscribe_kbps: said(self.max_subscribe_kbps),
            max_resolution: said(self.max_resolution),
            max_voices: said(self.max_voices),
            max_fps: said(self.max_fps),
            audio_kbps: said(self.audio_kbps),
            codecs: said(self.codecs),
            max_streams: said(self.max_streams),
            max_subscriptions: said(self.max_subscriptions),
            simulcast_layers: said(self.simulcast_layers),
            priority: said(self.priority),
        }
    }

    /// What may come of the pictures of a stream, none larger than `size`.
    pub const fn video(&self, size: PictureSize) -> TrackLimits {
        TrackLimits {
            max_bitrate: rate(self.max_publish_kbps),
            max_size: size,
            max_fps: unless_nothing(self.max_fps),
            max_layers: unless_nothing(self.simulcast_layers),
            ..TrackLimits::NONE
        }
    }

    /// What may come of the sound of a stream.
    pub const fn audio(&self) -> TrackLimits {
        TrackLimits { max_bitrate: rate(self.audio_kbps), ..TrackLimits::NONE }
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

const fn unless_nothing(most: u8) -> u8 {
    if most == 0 { u8::MAX } else { most }
}

fn said<T: PartialEq + Default>(value: T) -> Option<T> {
    Some(value).filter(|value| *value != T::default())
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
        let codecs = |names: &str| Codecs::parse(names).expect("names of codecs");
        let group = Limits { max_fps: 15, audio_kbps: 24, codecs: codecs("vp8,h264"), ..group };
        let member = Limits { max_fps: 30, max_streams: 2, simulcast_layers: 3, priority: 9, ..member };
        let token = Limits {
            max_resolution: 1,
            max_voices: 2,
            audio_kbps: 64,
            codecs: codecs("h264,vp9"),
            max_streams: 1,
            max_subscriptions: 4,
            simulcast_layers: 2,
            priority: 4,
            ..Limits::default()
        };
        let all = Limits {
            max_publish_kbps: 900,
            max_subscribe_kbps: 400,
            max_resolution: 1,
            max_voices: 2,
            max_fps: 15,
            audio_kbps: 24,
            codecs: codecs("h264"),
            max_streams: 1,
            max_subscriptions: 4,
            simulcast_layers: 2,
            priority: 4,
        };
        for order in [[group, member, token], [token, group, member], [member, token, group]] {
            assert_eq!(order.into_iter().fold(Limits::default(), Limits::and), all);
        }
        assert_eq!(Limits::default().changed(&all.said()), all);
        assert_eq!(Limits::default().video(picture(0)), TrackLimits::NONE);
        assert_eq!(Limits::default().audio(), TrackLimits::NONE);
        assert_eq!(all.picture(), PictureSize::new(320, 240));
    }
}
