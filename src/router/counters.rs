//! What a shard counts: plain integers, summed by whoever reads them.

/// Counters of one router since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams in, of every kind.
    pub datagrams_in: u64,
    /// Media packets in that went into a log.
    pub packets_in: u64,
    /// Bytes of them, RTP headers included.
    pub bytes_in: u64,
    /// Media packets out, retransmissions included.
    pub packets_out: u64,
    /// Bytes of them, as sent.
    pub bytes_out: u64,
    /// Retransmissions out.
    pub retransmitted: u64,
    /// Packets that a publisher's retransmission brought.
    pub recovered: u64,
    /// Publishers' retransmissions of packets that were there already: browsers fill probes of their way with them.
    pub repeated: u64,
    /// Packets taken over from other shards' logs.
    pub mirrored: u64,
    /// Datagrams handed to the shard that owns their session.
    pub relayed: u64,
    /// Connectivity checks answered.
    pub checks: u64,
    /// Keyframe requests sent to publishers.
    pub keyframe_requests: u64,
    /// Keyframe requests that viewers sent or needed.
    pub keyframe_wishes: u64,
    /// NACK packets sent to publishers.
    pub nacks_out: u64,
    /// Sequence numbers that viewers asked for again.
    pub nacked: u64,
    /// TWCC feedback of viewers.
    pub feedback_in: u64,
    /// Times that a layer was found to bring more pictures than its publisher may send, with none that can be left out.
    pub too_fast: u64,
    /// What was dropped, by reason.
    pub drops: Drops,
}

/// Layers of one track that are told apart; larger ones count as the last.
pub const GAUGED_LAYERS: usize = 3;

/// What a router has at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Media connections that it owns.
    pub sessions: u64,
    /// Tracks that are published to it.
    pub tracks: u64,
    /// Slots that stand for a track.
    pub subscriptions: u64,
    /// Those among them that send, by layer from the smallest.
    pub layers: [u64; GAUGED_LAYERS],
}

/// Datagrams and packets dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Neither STUN, DTLS, RTP nor RTCP, or malformed.
    pub malformed: u64,
    /// DTLS or media from an address from which no valid check came.
    pub stranger: u64,
    /// STUN with an unknown user name.
    pub unknown_ufrag: u64,
    /// STUN with a wrong password.
    pub wrong_password: u64,
    /// Media before the handshake was done.
    pub no_keys: u64,
    /// Media that did not authenticate.
    pub auth: u64,
    /// Media that was there before, and is no retransmission.
    pub replay: u64,
    /// Media of a source that no signalled track claims, or of too many sources.
    pub unknown_source: u64,
    /// Media of a muted track.
    pub muted: u64,
    /// Media beyond what the publisher may send.
    pub limited: u64,
    /// Packets too old to be of use.
    pub late: u64,
    /// Packets too large for a datagram of ours, or of a payload that the viewer cannot take.
    pub unfit: u64,
    /// Packets that a viewer asked for again and that are gone, or over its allowance.
    pub not_resent: u64,
    /// Pictures that waited for too long for a viewer whose way does not take them; the next keyframe follows.
    pub behind: u64,
    /// Reports beyond what is taken from one peer.
    pub excess: u64,
    /// A queue was full.
    pub overflow: u64,
}
