//! Media that was sent before, and media of which the key is not known.

use millrace::wire::id::{RtpTs, Seq};
use millrace::wire::rtp::Header;
use millrace_load::sdp::VP8;

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::Intruder;

#[test]
fn replayed_and_forged_packets_are_dropped_and_told_apart() {
    let ground = Ground::new();
    let mut intruder = Intruder::publishing(&ground, false);
    let ssrc = intruder.encodings.first().expect("an encoding").ssrc;
    let sealed = |intruder: &mut Intruder, seq: u64| {
        let seq = Seq(seq);
        let header = Header { marker: true, pt: VP8, seq: seq.wire(), ts: RtpTs(seq.0 as u32 * 3000), ssrc };
        let mid = (intruder.extensions.mid, b"0".as_slice());
        assert!(intruder.peer.send_rtp(&header, seq, &[mid], &[&[0x10, 0, 0, 0, 0x9d, 1, 0x2a], &[0; 400]]));
        intruder.peer.poll_transmit().expect("a packet")
    };
    let first = sealed(&mut intruder, 1000);
    let next = sealed(&mut intruder, 1001);
    intruder.socket.send(&first).expect("sent");
    let figures = ground.beside("replayed and forged media", |over| {
        let again = |n: u64, out: &mut Vec<u8>| {
            let replays = n.is_multiple_of(2);
            out.extend_from_slice(if replays { &first } else { &next });
            if let Some(last) = out.last_mut().filter(|_| !replays) {
                *last ^= n as u8 | 1;
            }
            true
        };
        flood(&intruder.socket, over, again, |_| ())
    });
    let figures = figures.hold(4096);
    figures.mostly("replay", figures.tally.sent / 2);
    figures.mostly("auth", figures.tally.sent / 2);
    assert!(figures.counted("millrace_media_received_packets_total{shard=\"0\"}") > 0.0);
    ground.end();
}
