//! What a shard tells the control plane: transitions and snapshots, never one event per packet.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{LayerId, SessionId, ShardId, SlotId, TrackId};
use super::recorder::Recording;
use super::speakers::Talker;
use crate::units::{Bitrate, Duration, PictureSize};
use crate::wire::payload::Codec;

/// One piece of news.
#[derive(Debug)]
pub enum Event {
    /// The peer nominated a pair; this shard owns the session from now on.
    Claimed {
        /// Which session.
        session: SessionId,
        /// Its owner.
        shard: ShardId,
    },
    /// A DTLS datagram from the peer, for the handshake workers.
    Dtls {
        /// Which session.
        session: SessionId,
        /// One datagram.
        datagram: Vec<u8>,
    },
    /// Nothing valid came from the peer for the consent period (RFC 7675); it may come back.
    Lost(SessionId),
    /// The peer is back after [`Event::Lost`].
    Found(SessionId),
    /// The first packets of a track arrived, or its set of live layers changed.
    TrackLive {
        /// Which track.
        track: TrackId,
        /// Its codec.
        codec: Codec,
        /// The layers that arrive, from the smallest, with their picture sizes where known.
        layers: Vec<(LayerId, Option<PictureSize>)>,
    },
    /// Which layers of a track somebody watches or may want at once; the publisher need not send the others.
    LayersWanted {
        /// Which track.
        track: TrackId,
        /// From the smallest up.
        layers: Vec<bool>,
    },
    /// Who is talking, the dominant first, and how much; sent when it changes, at most every 200 ms, and so often while
    /// anybody talks where there are other shards.
    Talking(Vec<Talker>),
    /// What a slot sends changed.
    SlotLayer {
        /// The subscribing session.
        session: SessionId,
        /// Which slot.
        slot: SlotId,
        /// The layer it sends and its picture size, or `None` while it sends nothing.
        layer: Option<(LayerId, Option<PictureSize>)>,
        /// Why this and no other.
        why: Why,
    },
    /// What an audio slot carried went to the viewer's crowd: for a louder track of it, or since fewer may be heard.
    SlotTrack {
        /// The subscribing session.
        session: SessionId,
        /// Which slot.
        slot: SlotId,
        /// What it carries now.
        track: Option<TrackId>,
        /// What it carried before.
        out: TrackId,
    },
    /// Statistics of a session, about once a second while anything flows.
    Stats {
        /// Which session.
        session: SessionId,
        /// The snapshot.
        stats: SessionStats,
    },
    /// The answer to [`Command::Measure`].
    ///
    /// [`Command::Measure`]: super::command::Command::Measure
    Measured {
        /// Which session.
        session: SessionId,
        /// What its slots sent, of those that ever sent.
        slots: Vec<SlotMeasure>,
        /// The layers that arrive of what it publishes.
        layers: Vec<LayerMeasure>,
    },
    /// The answer to [`Command::Recall`].
    ///
    /// [`Command::Recall`]: super::command::Command::Recall
    Recalled {
        /// Which session.
        session: SessionId,
        /// What its flight recorder has.
        recording: Arc<Recording>,
    },
}

/// What a slot sent since it began, retransmissions not counted. Both numbers wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMeasure {
    /// Which slot.
    pub slot: SlotId,
    /// The simulcast layer that it sends now.
    pub layer: Option<LayerId>,
    /// Packets.
    pub packets: u32,
    /// Their bytes, without headers.
    pub bytes: u32,
}

/// What arrives of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerMeasure {
    /// Of which track.
    pub track: TrackId,
    /// Which layer.
    pub layer: LayerId,
    /// What came of late.
    pub rate: Bitrate,
    /// Pictures a second; 0 for sound.
    pub fps: u16,
}

/// Why a slot sends the layer it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// It is the smallest that fills the tile.
    Tile,
    /// The rights or a limit allow no more.
    Cap,
    /// The publisher sends nothing larger.
    Source,
    /// The viewer's link carries no more.
    Bandwidth,
    /// The viewer's link carries not even the smallest.
    Paused,
    /// A keyframe of the wanted layer is awaited.
    Keyframe,
    /// The viewer hides or muted it.
    Inactive,
    /// Nothing arrives from the publisher.
    Silent,
    /// The viewer can decode none of the publisher's codecs.
    Codec,
}

/// What passed in one session since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStats {
    /// Media packets in, and their bytes.
    pub packets_in: u64,
    /// See `packets_in`.
    pub bytes_in: u64,
    /// Packets that never arrived on the way in.
    pub lost_in: u64,
    /// Media packets out, and their bytes, retransmissions included.
    pub packets_out: u64,
    /// See `packets_out`.
    pub bytes_out: u64,
    /// Retransmissions among `packets_out`.
    pub retransmitted: u64,
    /// Share of our packets that the peer lost of late, in 1/256, as its reports say (RFC 3550 section 6.4.1).
    pub fraction_lost_out: u8,
    /// Round-trip time, as its reports tell.
    pub rtt: Option<Duration>,
    /// What came in of late.
    pub bitrate_in: Bitrate,
    /// What went out of late.
    pub bitrate_out: Bitrate,
    /// What the way to the peer is taken to carry; `None` while nothing is known of it.
    pub estimate: Option<Bitrate>,
    /// Pictures that bandwidth keeps below what their tiles ask for, and those that it pauses.
    pub limited: u16,
    /// See `limited`.
    pub paused: u16,
    /// Voices that are not sent because others are louder.
    pub unheard: u16,
}
