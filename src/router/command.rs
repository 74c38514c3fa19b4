//! What the control plane tells a shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde::{Deserialize, Serialize};

use super::id::{LayerId, SessionId, ShardId, SlotId, TrackId};
use crate::units::{Bitrate, Instant, PictureSize};
use crate::wire::id::{Mid, Pt, Rid, Ssrc};
use crate::wire::payload::Codec;
use crate::wire::srtp;

/// One instruction; it names things by index and generation, so a late one is harmless.
#[derive(Debug)]
pub enum Command {
    /// To every shard: a session waits in the lobby until its peer nominates a candidate pair.
    AddSession(Arc<SessionParams>),
    /// To every shard: the peer restarts ICE (RFC 8445 section 9) with these credentials on our side;
    /// the old ones stay valid until a request with the new ones arrives.
    RestartIce {
        /// Which session.
        session: SessionId,
        /// The new credentials.
        local: IceCredentials,
    },
    /// To every shard: the session and all it publishes and watches are over.
    RemoveSession(SessionId),
    /// To the owner: send this DTLS datagram to the peer.
    SendDtls {
        /// Which session.
        session: SessionId,
        /// One datagram.
        datagram: Vec<u8>,
    },
    /// To the owner: the handshake is done, media may flow.
    InstallKeys {
        /// Which session.
        session: SessionId,
        /// Keys of both directions.
        keys: Box<srtp::Keys>,
    },
    /// To the owner: more slots were negotiated. They follow the slots already there.
    AddSlots {
        /// Which session.
        session: SessionId,
        /// The new slots.
        slots: Vec<SlotParams>,
    },
    /// To every shard: where a track lives. Sent once its session's owner is known, and before any [`Command::Watch`]
    /// of it that is meant to succeed at once; a watch that comes first waits.
    AnnounceTrack {
        /// Which track.
        track: TrackId,
        /// Audio or video.
        kind: Kind,
        /// The shard that owns its session.
        home: ShardId,
    },
    /// To every shard: the track is gone; slots that hold it fall silent.
    WithdrawTrack(TrackId),
    /// To the owner: what a slot shows from now on, `None` to empty it.
    Watch {
        /// The subscribing session.
        session: SessionId,
        /// Which of its slots.
        slot: SlotId,
        /// What to show.
        track: Option<TrackId>,
        /// How to show it.
        view: View,
    },
    /// To the owner: the tile changed; the track stays.
    SetView {
        /// The subscribing session.
        session: SessionId,
        /// Which of its slots.
        slot: SlotId,
        /// How to show it.
        view: View,
    },
    /// To the owner: a viewer with more sound to hear than slots hears this track while it is among the loudest. It
    /// takes an audio slot then, and what was there joins the crowd in its place: see [`Event::SlotTrack`].
    ///
    /// [`Event::SlotTrack`]: super::event::Event::SlotTrack
    Crowd {
        /// The subscribing session.
        session: SessionId,
        /// What to hear.
        track: TrackId,
        /// Whether to hear it.
        on: bool,
    },
    /// To the owner: what all slots of a viewer may send together, whatever its link carries.
    LimitSession {
        /// The subscribing session.
        session: SessionId,
        /// At most this much.
        max_bitrate: Bitrate,
        /// At most so many voices: the loudest. The others join the crowd.
        max_voices: u8,
    },
    /// To the owner of the publishing session: a muted track is dropped at ingest, whatever the client sends.
    MuteTrack {
        /// Which track.
        track: TrackId,
        /// Whether to drop.
        muted: bool,
    },
    /// To the owner of the publishing session: bound what the publisher sends. It is
    /// told by REMB; what is beyond is dropped.
    LimitTrack {
        /// Which track.
        track: TrackId,
        /// How much may come.
        limits: TrackLimits,
    },
    /// To the owner: tell what passed in each slot and layer of a session, once, as [`Event::Measured`].
    ///
    /// [`Event::Measured`]: super::event::Event::Measured
    Measure(SessionId),
    /// To the owner: keep the headers of a session's packets until then, and for [`recorder::KEPT`] after it; a time that is
    /// past forgets them.
    ///
    /// [`recorder::KEPT`]: super::recorder::KEPT
    Record {
        /// Which session.
        session: SessionId,
        /// Until when.
        until: Instant,
    },
    /// To the owner: tell what the flight recorder of a session has, once, as [`Event::Recalled`].
    ///
    /// [`Event::Recalled`]: super::event::Event::Recalled
    Recall(SessionId),
}

/// How much of a track may come from its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackLimits {
    /// At most this much: of pictures all layers together, of sound what is in the packets.
    pub max_bitrate: Bitrate,
    /// No picture larger than this, lying or standing.
    pub max_size: PictureSize,
    /// At most so many pictures a second.
    pub max_fps: u8,
    /// Only so many of the smallest layers, be they simulcast's or spatial ones of the codec's own.
    pub max_layers: u8,
    /// Which of the track's payloads may come, by bit.
    pub payloads: u32,
}

impl TrackLimits {
    /// All may come.
    pub const NONE: Self = Self {
        max_bitrate: Bitrate::MAX,
        max_size: PictureSize::new(u16::MAX, u16::MAX),
        max_fps: u8::MAX,
        max_layers: u8::MAX,
        payloads: u32::MAX,
    };
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// How a viewer shows a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Size of the tile in device pixels; ignored for audio.
    pub tile: PictureSize,
    /// Whether anything is to be sent: false for a hidden tile, or one that the viewer muted.
    pub active: bool,
    /// The largest picture that the viewer's rights and limits allow.
    pub cap: PictureSize,
    /// Who gets more when not all fits: 0 is least.
    pub priority: u8,
}

/// Short-term credentials of one side (RFC 8445 section 5.3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    /// At least 4 characters; ours is unique within the server.
    pub ufrag: String,
    /// At least 22 characters.
    pub pwd: String,
}

impl std::fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IceCredentials({}, ..)", self.ufrag)
    }
}

/// Everything a shard must know of a session, made before the shard hears of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionParams {
    /// Its name.
    pub id: SessionId,
    /// Our ICE credentials.
    pub local: IceCredentials,
    /// Which shard owns it.
    pub claim: Claim,
    /// Header extension ids negotiated with this peer.
    pub extensions: ExtensionIds,
    /// What the peer publishes; empty for a viewer.
    pub tracks: Vec<TrackParams>,
    /// What the peer can watch; empty for a publisher.
    pub slots: Vec<SlotParams>,
    /// SSRC of our own RTCP reports where we only receive.
    pub rtcp_ssrc: Ssrc,
    /// Seed of all randomness in the session (initial sequence numbers and timestamps).
    pub seed: u64,
}

/// Which shard owns a session: decided once, by the shard that first sees its peer nominate a pair.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Claim(AtomicU16);

impl Claim {
    /// Makes `shard` the owner if there is none, and returns the owner.
    pub fn claim(&self, shard: ShardId) -> ShardId {
        let mine = u16::from(shard.0) + 1;
        match self.0.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => shard,
            Err(theirs) => ShardId((theirs - 1) as u8),
        }
    }

    /// The owner, if there is one.
    pub fn owner(&self) -> Option<ShardId> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            theirs => Some(ShardId((theirs - 1) as u8)),
        }
    }
}

/// Negotiated ids of the header extensions we use (RFC 8285); 0 is "not negotiated".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionIds {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    pub mid: u8,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    pub rid: u8,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`
    pub repaired_rid: u8,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464)
    pub audio_level: u8,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    pub twcc: u8,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    pub abs_send_time: u8,
    /// `urn:3gpp:video-orientation`
    pub video_orientation: u8,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`
    pub playout_delay: u8,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`
    pub capture_time: u8,
    /// The AV1 dependency descriptor.
    pub dependency_descriptor: u8,
}

/// A payload type and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadParams {
    /// The codec, with what tells its variants apart.
    pub codec: Codec,
    /// Its payload type on this connection.
    pub pt: Pt,
    /// The payload type of its retransmissions (RFC 4588), if negotiated.
    pub rtx: Option<Pt>,
}

/// One published m-line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrackParams {
    /// Its name.
    pub id: TrackId,
    /// Audio or video.
    pub kind: Kind,
    /// Which m-line (RFC 5888), as sent in the header extension.
    pub mid: Mid,
    /// What may arrive.
    pub payloads: Vec<PayloadParams>,
    /// Layers by rid, from the smallest up; empty when the track has a single encoding.
    pub layers: Vec<LayerParams>,
    /// SSRCs that the offer names (`a=ssrc`), media first and its RTX (by `a=ssrc-group:FID`) second; empty with rids.
    pub ssrcs: Vec<(Ssrc, Option<Ssrc>)>,
    /// Clock rate of the RTP timestamps.
    pub clock_rate: u32,
    /// Whether the client begins muted.
    pub muted: bool,
    /// How much of it may come.
    pub limits: TrackLimits,
}

/// One simulcast layer as the offer declares it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LayerParams {
    /// Its place, from the smallest.
    pub layer: LayerId,
    /// Its name on the wire (RFC 8852).
    pub rid: Rid,
    /// Its expected picture size, if the client told; the stream itself corrects it.
    pub size: Option<PictureSize>,
}

/// One slot of a subscribing session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SlotParams {
    /// Its place.
    pub slot: SlotId,
    /// Audio or video.
    pub kind: Kind,
    /// Its m-line.
    pub mid: Mid,
    /// The SSRC under which it sends.
    pub ssrc: Ssrc,
    /// The SSRC of its retransmissions (RFC 4588); `None` if the peer does not take them.
    pub rtx_ssrc: Option<Ssrc>,
    /// What the peer can receive.
    pub payloads: Vec<PayloadParams>,
}
