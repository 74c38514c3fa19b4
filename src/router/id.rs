//! Names of things the planes talk about. The control plane hands them out; a shard only looks them up.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $letter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name {
            /// Place in a table; reused after the thing is gone.
            pub index: u32,
            /// How often the place was used before: a late command that names an older one is harmless.
            pub generation: u32,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}.{}"), self.index, self.generation)
            }
        }
    };
}

handle!(
    /// A media session: one peer connection, with its ICE, DTLS and SRTP state.
    SessionId, "s"
);
handle!(
    /// A published track: one audio source, or one video source with all its layers.
    TrackId, "t"
);

/// A shard: one core's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u8);

/// A slot of a subscribing session: an m-line negotiated once, filled with whatever track is to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId(pub u16);

/// A simulcast layer of a video track, from 0, the smallest, up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LayerId(pub u8);
