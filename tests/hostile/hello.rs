//! DTLS hellos from who has not shown that he is at his address.

use millrace_load::peer::State;

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::{Intruder, socket};

#[test]
fn hellos_from_an_unchecked_address_are_dropped_and_do_not_spoil_the_real_one() {
    let ground = Ground::new();
    let mut intruder = Intruder::negotiated(&ground, false);
    // The honest hello, which has not left yet.
    intruder.holds = true;
    intruder.until("nominated", |peer| peer.state() == State::Nominated);
    intruder.take(&mut [0; 4]);
    intruder.send();
    let hello = intruder.held.first().expect("a hello").clone();
    let attacker = socket(intruder.server);
    let figures = ground.beside("hellos from unchecked addresses", |over| {
        let spoilt = |n: u64, out: &mut Vec<u8>| {
            out.extend_from_slice(&hello);
            // Another random, and now and then a broken byte: none may be taken for the real one.
            let at = 25 + n as usize % 30;
            out[at] ^= n as u8 | 1;
            true
        };
        flood(&attacker, over, spoilt, |_| ())
    });
    let figures = figures.hold(4096);
    figures.mostly("stranger", figures.tally.sent);
    assert_eq!(figures.tally.received, 0, "nothing is sent to an address that was not checked");
    intruder.holds = false;
    intruder.connect();
    ground.end();
}
