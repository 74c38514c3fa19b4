//! A publisher who sends a new source, or a new layer, with each packet.

use millrace::wire::id::{RtpTs, Seq, Ssrc};
use millrace::wire::rtp::Header;
use millrace_load::sdp::VP8;

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::Intruder;

#[test]
fn sources_and_layers_that_were_not_offered_are_dropped_and_not_remembered() {
    let ground = Ground::new();
    let mut intruder = Intruder::publishing(&ground, true);
    let socket = intruder.socket.try_clone().expect("a socket");
    let figures = ground.beside("a new SSRC and rid a packet", |over| {
        let next = |n: u64, out: &mut Vec<u8>| {
            let (seq, ssrc) = (Seq(1 + n % 3), Ssrc(0x1000_0000 + n as u32));
            let header = Header { marker: true, pt: VP8, seq: seq.wire(), ts: RtpTs(0), ssrc };
            let rid = format!("r{n}");
            let extensions =
                [(intruder.extensions.mid, b"0".as_slice()), (intruder.extensions.rid, rid.as_bytes())];
            // With a rid, and with none.
            let extensions = if n.is_multiple_of(2) { extensions.as_slice() } else { &[] };
            assert!(intruder.peer.send_rtp(&header, seq, extensions, &[&[0x10; 200]]));
            out.extend(intruder.peer.poll_transmit().expect("a packet"));
            true
        };
        flood(&socket, over, next, |_| ())
    });
    let figures = figures.hold(4096);
    figures.mostly("unknown_source", figures.tally.sent);
    ground.end();
}
