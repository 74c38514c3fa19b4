//! A viewer who asks for everything again, and for keyframes, as fast as he can.

use std::cell::Cell;

use millrace::wire::id::{Seq16, Ssrc};
use millrace::wire::rtp::View;

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::Intruder;

const OWN: Ssrc = Ssrc(7);

/// What the intruder asks for, knowing what came last.
fn ask(
    ground: &Ground,
    name: &str,
    what: impl Fn(&mut Intruder, (Ssrc, Seq16), u64) + Sync + Send,
) -> crate::ground::Figures {
    ground.beside(name, |over| {
        let mut intruder = Intruder::watching(ground);
        let socket = intruder.socket.try_clone().expect("a socket");
        let last = Cell::new(None);
        let next = |n: u64, out: &mut Vec<u8>| {
            if let Some(last) = last.get() {
                what(&mut intruder, last, n);
            }
            // Until it knows what to ask for it says nothing of use.
            out.extend(intruder.peer.poll_transmit().unwrap_or_else(|| vec![0; 4]));
            true
        };
        let hear = |datagram: &mut [u8]| {
            if let Ok(view) = View::parse(datagram) {
                last.set(Some((view.ssrc(), view.seq())));
            }
        };
        flood(&socket, over, next, hear)
    })
}

#[test]
fn who_asks_for_everything_again_gets_half_of_it_again_at_most() {
    let ground = Ground::new();
    let figures = ask(&ground, "a flood of NACKs", |intruder, (media, seq), _| {
        let seqs = (0..160).rev().map(|back| Seq16(seq.0.wrapping_sub(back)));
        intruder.peer.send_rtcp(|out| {
            out.receiver_report(OWN, &[]);
            out.nack(OWN, media, seqs);
        });
    });
    let figures = figures.hold(8192);
    let (sent, again) = (
        figures.counted("millrace_media_sent_packets_total{shard=\"0\"}"),
        figures.counted("millrace_retransmitted_packets_total{shard=\"0\"}"),
    );
    assert!(again > 0.0 && again < sent / 2.0, "{again} of {sent}: {figures:?}");
    assert!(figures.dropped("not_resent") > 0.0, "{figures:?}");
    ground.end();
}

#[test]
fn who_asks_for_keyframes_gets_two_a_second_at_most() {
    let ground = Ground::new();
    let figures = ask(&ground, "a flood of PLIs", |intruder, (media, _), n| {
        intruder.peer.send_rtcp(|out| {
            out.receiver_report(OWN, &[]);
            if n.is_multiple_of(2) {
                out.pli(OWN, media)
            } else {
                out.fir(OWN, media, n as u8)
            };
        });
    });
    let figures = figures.hold(8192);
    // One in half a second, which anybody may ask for.
    let most = 2.0 * figures.seconds + 2.0;
    assert!(figures.keyframes() as f64 <= most, "{} keyframes: {figures:?}", figures.keyframes());
    ground.end();
}
