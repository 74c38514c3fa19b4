//! Where the numbers of a slot stand: whatever it sends next goes on from here, under whatever process.

use serde::{Deserialize, Serialize};

use crate::units::Instant;

/// How many packets carry the mid, if the peer does not report the source sooner (RFC 9143 section 9.2).
const WITH_MID: u8 = 100;

/// See the module.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// After the highest sequence number sent.
    pub(super) next_seq: u64,
    pub(super) last_arrival: Instant,
    pub(super) last_ts: u32,
    pub(super) last_picture: u16,
    pub(super) last_tl0: u8,
    pub(super) last_frame: u16,
    /// Whether the peer was told that not all decode targets come, and not since that all do.
    pub(super) narrowed: bool,
    /// How many more packets carry the mid.
    pub(super) with_mid: u8,
    pub(super) packets: u32,
    pub(super) octets: u32,
    pub(super) clock_rate: u32,
    /// After the highest sequence number of a retransmission.
    pub(super) rtx_next: u64,
}

impl Numbers {
    pub(super) const fn new(random: u64) -> Self {
        Self {
            // Below 2^15, so that a receiver which misses the first packets still guesses rollover 0 (RFC 3711 section 3.3.1).
            next_seq: random & 0x7fff,
            last_arrival: Instant::ZERO,
            last_ts: (random >> 16) as u32,
            last_picture: (random >> 48) as u16 & 0x7fff,
            last_tl0: 0,
            last_frame: 0,
            narrowed: false,
            with_mid: WITH_MID,
            packets: 0,
            octets: 0,
            clock_rate: 90_000,
            rtx_next: random >> 3 & 0x7fff,
        }
    }
}
