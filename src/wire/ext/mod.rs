//! Values of RTP header extensions; their framing (RFC 8285) is in [`super::rtp`].
//!
//! `mid`, `rid` and `repaired-rid` are plain text: read them with [`super::id::Mid::new`] and [`super::id::Rid::new`].

pub mod abs_send_time;
pub mod audio_level;
pub mod capture_time;
pub mod dependency_descriptor;
pub mod playout_delay;
pub mod transport_seq;
pub mod video_orientation;

/// Names of extensions in `a=extmap` (RFC 8285 section 5).
pub mod uri {
    /// Which m-line (RFC 9143).
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// Which simulcast layer (RFC 8852).
    pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    /// Which simulcast layer a retransmission belongs to (RFC 8852).
    pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    /// RFC 6464.
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    /// When the packet left, in 24 bits.
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// Transport-wide sequence numbers.
    pub const TRANSPORT_SEQ: &str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// Bounds on the receiver's delay.
    pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    /// When it was captured, by whose clock.
    pub const CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
    /// How the camera is held (3GPP TS 26.114 section 7.4.5).
    pub const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";
    /// Frame dependencies of AV1 and, in Chromium, of other codecs.
    pub const DEPENDENCY_DESCRIPTOR: &str =
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
}
