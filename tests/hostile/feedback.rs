//! Feedback that lies: everything came, at once, what was never sent included.

use std::time::Duration;

use millrace::wire::id::{Seq16, Ssrc};
use millrace::wire::rtcp::Feedback;

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::Intruder;

const OWN: Ssrc = Ssrc(7);

#[test]
fn forged_feedback_harms_nobody_but_its_sender() {
    let ground = Ground::new();
    let figures = ground.beside("forged transport-wide feedback", |over| {
        let mut intruder = Intruder::watching(&ground);
        let socket = intruder.socket.try_clone().expect("a socket");
        let next = |n: u64, out: &mut Vec<u8>| {
            let feedback = Feedback {
                sender: OWN,
                media: Ssrc(0),
                base: Seq16((n * 31) as u16),
                reference: n as i32 & 0x7f_ffff,
                count: n as u8,
            };
            intruder.peer.send_rtcp(|out| {
                out.receiver_report(OWN, &[]);
                out.twcc(&feedback, (0..200).map(|k| (k % 3 != 1).then_some((n as i16).wrapping_mul(k))));
            });
            out.extend(intruder.peer.poll_transmit().unwrap_or_else(|| vec![0; 4]));
            true
        };
        flood(&socket, over, next, |_| ())
    });
    let figures = figures.hold(8192);
    // Five hundred a second are judged.
    figures.mostly("excess", figures.tally.sent);
    // Whatever it says, it gets the stream it watches, of 1.92 Mbit/s, with its repetitions and probes.
    let most = 3 * 1_920_000 / 8 * Duration::from_secs(8).as_secs();
    assert!(figures.tally.bytes_in < most, "{figures:?}");
    assert!(figures.tally.bytes_in < 3 * figures.tally.bytes_out, "{figures:?}");
    ground.end();
}
