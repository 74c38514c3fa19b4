//! A handshake in crumbs.

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::Intruder;
use millrace_load::peer::State;

const CRUMBS: u64 = 60_000;

/// A record with one byte of a message of 60 000 bytes (RFC 6347 sections 4.1 and 4.2.2).
fn crumb(n: u64, out: &mut Vec<u8>) {
    let at = (n as u32 * 7) % 60_000;
    out.extend_from_slice(&[22, 0xfe, 0xfd, 0, 0]);
    out.extend_from_slice(&n.to_be_bytes()[2..]);
    out.extend_from_slice(&13u16.to_be_bytes());
    out.push(1);
    out.extend_from_slice(&60_000u32.to_be_bytes()[1..]);
    // Of eight messages at once, in no order.
    out.extend_from_slice(&((n % 8) as u16).to_be_bytes());
    out.extend_from_slice(&at.to_be_bytes()[1..]);
    out.extend_from_slice(&1u32.to_be_bytes()[1..]);
    out.push(n as u8);
}

#[test]
fn sixty_thousand_crumbs_of_a_handshake_take_no_memory_and_end_only_their_sender() {
    let ground = Ground::new();
    let mut intruder = Intruder::negotiated(&ground, false);
    intruder.until("nominated", |peer| peer.state() == State::Nominated);
    let figures = ground.beside("tiny DTLS fragments", |over| {
        let next = |n, out: &mut Vec<u8>| {
            crumb(n, out);
            n < CRUMBS
        };
        flood(&intruder.socket, over, next, |_| ())
    });
    let figures = figures.hold(4096);
    assert!(figures.tally.bytes_in <= 3 * figures.tally.bytes_out, "{figures:?}");
    ground.end();
}
