//! Payload formats, one file per codec.

/// A codec, with what tells its variants apart on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628; profile 0 to 3.
    Vp9 {
        /// `profile-id`
        profile: u8,
    },
    /// RFC 6184.
    H264 {
        /// The first two bytes of `profile-level-id`; the level does not tell variants apart.
        profile: u16,
        /// `packetization-mode`
        packetization_mode: u8,
    },
    /// The AOM's RTP payload format for AV1; profile 0 to 2.
    Av1 {
        /// `profile`
        profile: u8,
    },
    /// RFC 7587.
    Opus,
    /// Redundant audio (RFC 2198) over Opus.
    Red,
}
