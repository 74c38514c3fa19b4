//! A peer finds its way through ICE and DTLS to an ice-lite end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use millrace::handshake::Outcome;
use millrace::wire::stun::{self, Key, Message};
use millrace_load::identity::certificate;
use millrace_load::peer::{Peer, State, random_credentials};

use crate::lite::Lite;

#[test]
fn checks_are_repeated_answered_nominated_and_then_dtls_secures_the_pair() {
    let client = certificate().expect("a certificate");
    let (mut server, remote) = Lite::new(&client);
    let mut now = Instant::now();
    let mut peer = Peer::new(now, &random_credentials(), &client, &remote).expect("a peer");
    let (mut turn, mut lost) = (0, 0);
    while !peer.connected() {
        turn += 1;
        assert!(turn < 100, "{peer:?}");
        peer.handle_timeout(now).expect("it goes on");
        while let Some(datagram) = peer.poll_transmit() {
            // The first two checks never arrive.
            if lost < 2 {
                lost += 1;
                continue;
            }
            for mut answer in server.take(now, &datagram) {
                peer.handle_datagram(now, &mut answer).expect("it goes on");
            }
        }
        now = now.max(peer.poll_timeout().unwrap_or(now));
    }
    assert_eq!(peer.state(), State::Nominated);
    assert_eq!(peer.mapped(), Some(SocketAddr::from(([127, 0, 0, 1], 1234))));
    assert!(
        matches!(server.outcome, Some(Outcome::Secured { profile, .. }) if Some(profile) == peer.profile())
    );
}

#[test]
fn an_answer_without_the_password_is_none_and_silence_ends_in_an_error() {
    let client = certificate().expect("a certificate");
    let (mut server, remote) = Lite::new(&client);
    let begin = Instant::now();
    let mut now = begin;
    let mut peer = Peer::new(now, &random_credentials(), &client, &remote).expect("a peer");
    let forger = Key::new(b"not the password of the server");
    while peer.handle_timeout(now).is_ok() {
        assert!(now < begin + Duration::from_secs(60));
        while let Some(datagram) = peer.poll_transmit() {
            server.take(now, &datagram);
            let check = Message::parse(&datagram).expect("a check");
            let mut answer = [0; 200];
            let from = SocketAddr::from(([127, 0, 0, 1], 1));
            let len = stun::write_success(&mut answer, check.transaction_id(), from, &forger).expect("room");
            peer.handle_datagram(now, &mut answer[..len]).expect("dropped");
        }
        now = now.max(peer.poll_timeout().unwrap_or(now));
    }
    assert_eq!(peer.state(), State::Lost);
    assert!(now > begin + Duration::from_secs(29));
}
