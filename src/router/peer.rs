//! What shards tell each other.

use std::sync::Arc;

use super::history::{Entry, Log};
use super::id::{LayerId, TrackId};
use super::ingest::shape::Shape;
use super::speakers::Voice;
use super::track::Clock;
use crate::batch::Path;
use crate::units::{Bitrate, PictureSize};

/// One message from shard to shard.
#[derive(Debug)]
pub enum PeerMessage {
    /// Datagrams that arrived here and belong to a session of yours.
    Relay(Relayed),
    /// A [`PeerMessage::Relay`] that was taken in, for reuse.
    Spent(Relayed),
    /// Which layers of a track of yours are watched here, by bit; the highest bit alone asks only for its state;
    /// 0 ends it.
    Want {
        /// Which track.
        track: TrackId,
        /// Layers by bit.
        layers: u32,
    },
    /// Packets of a track of ours that you want. All shards that want them share one copy.
    Media(Arc<MediaBatch>),
    /// How a track of ours does.
    State(Box<TrackState>),
    /// A viewer here needs a keyframe.
    Keyframe {
        /// Of which track of yours.
        track: TrackId,
        /// Of which layer.
        layer: LayerId,
    },
}

/// Datagrams in one piece of memory.
#[derive(Debug, Default)]
pub struct Relayed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) datagrams: Vec<(Path, usize, usize)>,
}

impl Relayed {
    /// The most in one message: more waits for the next turn of the loop.
    const MOST: usize = 256;

    pub(crate) fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        let room = self.datagrams.len() < Self::MOST;
        if room {
            self.datagrams.push((path, self.bytes.len(), datagram.len()));
            self.bytes.extend_from_slice(datagram);
        }
        room
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}

/// Packets of one track, in the order of their arrival, as its home logged them.
#[derive(Debug)]
pub struct MediaBatch {
    pub(crate) track: TrackId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) packets: Vec<MediaPacket>,
}

impl MediaBatch {
    pub(crate) const fn new(track: TrackId) -> Self {
        Self { track, bytes: Vec::new(), packets: Vec::new() }
    }

    /// Adds packets of a layer.
    pub(crate) fn append(&mut self, layer: u8, log: &Log, positions: std::ops::Range<u64>) {
        for entry in positions.filter_map(|position| log.get(position)) {
            let (descriptor, payload) = log.content(entry);
            let start = self.bytes.len();
            self.bytes.extend_from_slice(descriptor);
            self.bytes.extend_from_slice(payload);
            self.packets.push(MediaPacket { layer, entry: *entry, start });
        }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaPacket {
    pub(crate) layer: u8,
    pub(crate) entry: Entry,
    /// Where its bytes begin: the dependency descriptor, then the payload.
    pub(crate) start: usize,
}

/// What is known of a track besides its packets.
#[derive(Debug)]
pub struct TrackState {
    pub(crate) track: TrackId,
    pub(crate) muted: bool,
    pub(crate) clock_offset: Option<i64>,
    pub(crate) voice: Voice,
    pub(crate) layers: Vec<LayerState>,
}

/// What is known of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerState {
    pub(crate) live: bool,
    /// It rests, and can be had.
    pub(crate) on_demand: bool,
    pub(crate) size: Option<PictureSize>,
    pub(crate) clock: Option<Clock>,
    pub(crate) rate: Option<Bitrate>,
    pub(crate) shape: Shape,
}
