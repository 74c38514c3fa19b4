//! A peer finds its way through ICE and DTLS to an ice-lite end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use millrace::handshake::Outcome;
use millrace::wire::stun::{self, Key, Message};
use millrace_load::identity::{certificate, fingerprint};
use millrace_load::peer::{Peer, Remote, State, random_credentials};

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
fn a_server_that_checks_us_is_answered_and_may_begin_the_handshake() {
    let now = Instant::now();
    let [us, server] = [9, 4433].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let ends = [(); 2].map(|()| (certificate().expect("a certificate"), random_credentials()));
    let remote = |end: usize, at, begins| Remote {
        ice: ends[end].1.clone(),
        candidates: vec![at],
        fingerprints: vec![fingerprint(&ends[end].0)],
        begins,
    };
    let peer = |end: usize, remote| Peer::new(now, &ends[end].1, &ends[end].0, &remote).expect("a peer");
    // The other one begins, and so thinks that we do not.
    let mut peers = [peer(0, remote(1, server, true)), peer(1, remote(0, us, false))];
    for turn in 0.. {
        let [ours, theirs] = &mut peers;
        if ours.connected() && theirs.connected() {
            break;
        }
        assert!(turn < 100, "{ours:?} {theirs:?}");
        for (from, to) in [(0, 1), (1, 0)] {
            peers[from].handle_timeout(now).expect("it goes on");
            while let Some(mut datagram) = peers[from].poll_transmit() {
                peers[to].handle_datagram(now, &mut datagram).expect("it goes on");
            }
        }
    }
    assert_eq!(peers[0].profile(), peers[1].profile());
    assert_eq!(peers.map(|peer| peer.mapped()), [Some(us), Some(server)], "everyone hears where it is");
}

#[test]
fn a_check_without_our_password_is_not_answered() {
    let now = Instant::now();
    let client = certificate().expect("a certificate");
    let ours = random_credentials();
    let (_, remote) = Lite::new(&client);
    let mut peer = Peer::new(now, &ours, &client, &remote).expect("a peer");
    while peer.poll_transmit().is_some() {}
    for (password, answers) in [("somebody else's password", 0), (ours.pwd.as_str(), 1)] {
        let key = Key::new(password.as_bytes());
        let mut check = [0; 200];
        let name = format!("{}:them", ours.ufrag);
        let len = stun::write_request(&mut check, &[7; 12], &name, 1, false, 1, &key).expect("room");
        peer.handle_datagram(now, &mut check[..len]).expect("it goes on");
        let out: Vec<_> = std::iter::from_fn(|| peer.poll_transmit()).collect();
        let is_answer = |datagram: &&Vec<u8>| Message::parse(datagram).is_ok_and(|m| m.is_binding_success());
        assert_eq!(out.iter().filter(is_answer).count(), answers, "{password}");
    }
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
