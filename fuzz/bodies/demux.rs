//! One datagram as the port sees it: classified, then read by the parser of its kind.

use millrace::wire::demux::{Kind, classify};
use millrace::wire::{rtcp, rtp, stun};

/// One input.
pub fn run(data: &[u8]) {
    match classify(data) {
        Some(Kind::Stun) => _ = stun::Message::parse(data),
        Some(Kind::Rtp) => _ = rtp::View::parse(data).map(|view| view.extensions().count()),
        Some(Kind::Rtcp) => _ = rtcp::packets(data).map(Iterator::count),
        Some(Kind::Dtls | Kind::Quic) => assert!((20..128).contains(&data[0]) || data[0] >= 192),
        None => assert!(data.len() < 2 || (4..20).contains(&data[0])),
    }
    // A packet of one kind is no packet of another.
    let stun = stun::Message::parse(data).is_ok();
    let media = rtp::View::parse(data).is_ok() || rtcp::packets(data).is_ok();
    assert!(!(stun && media));
}
