//! Connectivity checks of which none is right.

use std::sync::atomic::Ordering;

use millrace::wire::stun::{self, Key};
use millrace_load::peer::HOST_PRIORITY;

use crate::flood::flood;
use crate::ground::Ground;
use crate::intruder::{Intruder, socket};

#[test]
fn checks_with_a_wrong_password_or_for_nobody_are_dropped_without_an_answer() {
    let ground = Ground::new();
    let intruder = Intruder::negotiated(&ground, false);
    let attacker = socket(intruder.server);
    let wrong = Key::new(b"notthepasswordnotthepass");
    let name = format!("{}:mallory", intruder.remote.ice.ufrag);
    let figures = ground.beside("checks of wrong integrity", |over| {
        let check = |n: u64, out: &mut Vec<u8>| {
            let mut transaction = [0; 12];
            transaction[..8].copy_from_slice(&n.to_be_bytes());
            // Every second one is for nobody.
            let to = if n.is_multiple_of(2) { name.clone() } else { format!("n{n:07}:mallory") };
            let mut buffer = [0; 256];
            let len = stun::write_request(&mut buffer, &transaction, &to, HOST_PRIORITY, true, n, &wrong);
            out.extend_from_slice(&buffer[..len.expect("it fits")]);
            !over.load(Ordering::Relaxed)
        };
        flood(&attacker, over, check, |_| ())
    });
    let figures = figures.hold(4096);
    figures.mostly("wrong_password", figures.tally.sent / 2);
    figures.mostly("unknown_ufrag", figures.tally.sent / 2);
    assert_eq!(figures.tally.received, 0, "who does not know the password gets nothing");
    ground.end();
}
