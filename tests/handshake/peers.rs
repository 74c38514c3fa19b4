//! Clients of all kinds over a network of all kinds come to the same keys as the desk, or to none.

use crate::pair::{HOME, Offers, Pair, identity, session};
use millrace::handshake::{Algorithm, Failure, Fingerprint, Outcome, Version};
use millrace::wire::srtp::Profile;

#[test]
fn both_versions_end_with_the_same_keys_on_both_sides() {
    for (offers, version) in [
        (Offers::Only12, Version::Dtls12),
        (Offers::Only13, Version::Dtls13),
        (Offers::Both, Version::Dtls13),
    ] {
        let mut pair = Pair::new(offers, 1200);
        pair.run(|datagram| vec![datagram]);
        assert_eq!(pair.outcomes, [Outcome::Secured { version, profile: Profile::AeadAes256Gcm }]);
        assert!(pair.agree());
    }
}

/// One record with one whole handshake message, as two datagrams with half of it each, as Chromium sends its hello.
fn split(datagram: &[u8]) -> Vec<Vec<u8>> {
    let (record, rest) = datagram.split_at(13);
    let (message, body) = rest.split_at(12);
    let u24 = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
    let size = body.len().div_ceil(2);
    let pieces = body.chunks(size).enumerate().map(|(n, piece)| {
        let mut made = record[..11].to_vec();
        made.extend((12 + piece.len() as u16).to_be_bytes());
        made.extend(&message[..6]);
        made.extend(u24(n * size));
        made.extend(u24(piece.len()));
        made.extend(piece);
        made
    });
    pieces.collect()
}

#[test]
fn a_fragmented_repeated_and_reordered_hello_among_garbage_is_understood() {
    for offers in [Offers::Only12, Offers::Both] {
        let mut pair = Pair::new(offers, 1200);
        let mut hello: Vec<_> = std::mem::take(&mut pair.client.out).iter().flat_map(|d| split(d)).collect();
        assert!(hello.len() > 1, "the hello is fragmented");
        hello.reverse();
        for datagram in &hello {
            assert!(pair.outcomes.is_empty());
            pair.feed(b"");
            pair.feed(&[22; 40]);
            pair.feed(&datagram[..datagram.len() / 2]);
            pair.feed(datagram);
            pair.feed(datagram);
        }
        assert!(!pair.to_client.is_empty(), "answered");
        pair.run(|datagram| vec![datagram]);
        assert!(pair.agree(), "{:?}", pair.outcomes);
    }
}

#[test]
fn every_datagram_doubled_and_garbage_after_the_hello_change_nothing() {
    for offers in [Offers::Only12, Offers::Only13] {
        let mut pair = Pair::new(offers, 1200);
        pair.run(|datagram| {
            let mut noise = datagram.clone();
            noise.iter_mut().skip(13).for_each(|byte| *byte ^= 0x5a);
            vec![datagram.clone(), datagram, noise]
        });
        assert!(pair.agree(), "{:?}", pair.outcomes);
    }
}

#[test]
fn lost_datagrams_are_sent_again() {
    for offers in [Offers::Only12, Offers::Only13] {
        for lost in 0..6 {
            let mut pair = Pair::new(offers, 300);
            let mut n = 0;
            pair.run(|datagram| {
                n += 1;
                if n == lost { vec![] } else { vec![datagram] }
            });
            assert!(pair.agree(), "datagram {lost} lost: {:?}", pair.outcomes);
        }
    }
}

#[test]
fn a_last_flight_that_was_lost_is_repeated_on_demand_for_some_seconds() {
    let mut pair = Pair::new(Offers::Only12, 1200);
    // The server has keys, but its Finished never arrives.
    while pair.outcomes.is_empty() {
        for datagram in std::mem::take(&mut pair.client.out) {
            pair.feed(&datagram);
        }
        if pair.outcomes.is_empty() {
            for datagram in std::mem::take(&mut pair.to_client) {
                pair.client.take(pair.now, &datagram);
            }
        }
    }
    pair.to_client.clear();
    assert!(pair.keys.is_some() && pair.client.keys.is_none());
    let begin = pair.now;
    while pair.client.keys.is_none() {
        pair.next_timer();
        assert!(pair.now < begin + std::time::Duration::from_secs(4), "the client repeats in time");
        for datagram in std::mem::take(&mut pair.client.out) {
            pair.feed(&datagram);
        }
        for datagram in std::mem::take(&mut pair.to_client) {
            pair.client.take(pair.now, &datagram);
        }
    }
    assert!(pair.agree());
    while let Some(at) = pair.desk.poll_timeout() {
        pair.now = at;
        pair.desk.handle_timeout(at);
    }
    assert!(!pair.feed(b"\x17\xfe\xfd"), "forgotten after a while");
    assert_eq!(pair.outcomes.len(), 1, "told once");
}

#[test]
fn another_certificate_than_the_sdp_named_gets_no_keys_and_no_answer() {
    for offers in [Offers::Only12, Offers::Only13] {
        let named = Fingerprint::of(Algorithm::Sha256, &identity().certificate);
        let mut pair = Pair::with(offers, 1200, &identity(), vec![named]);
        pair.run(|datagram| vec![datagram]);
        assert_eq!(pair.outcomes, [Outcome::Failed(Failure::Fingerprint)]);
        assert!(pair.keys.is_none());
        assert!(!pair.feed(b"\x16\xfe\xfd"), "over");
    }
}

#[test]
fn sessions_that_were_not_announced_or_are_forgotten_get_nothing() {
    let mut pair = Pair::new(Offers::Both, 1200);
    let hello = pair.client.out[0].clone();
    assert!(!pair.desk.feed(pair.now, session(7), HOME, &hello));
    assert!(pair.feed(&hello) && !pair.to_client.is_empty());
    pair.desk.forget(pair.now, session(0));
    assert_eq!((pair.desk.load(), pair.desk.poll_timeout()), ((0, 0), None));
    assert!(!pair.feed(&hello));
}

#[test]
fn a_peer_that_never_goes_on_fails_in_the_end() {
    let mut pair = Pair::new(Offers::Only13, 1200);
    for datagram in std::mem::take(&mut pair.client.out) {
        pair.feed(&datagram);
    }
    let begin = pair.now;
    while let Some(at) = pair.desk.poll_timeout() {
        pair.now = at;
        pair.desk.handle_timeout(at);
        pair.collect();
    }
    assert!(matches!(pair.outcomes.as_slice(), [Outcome::Failed(Failure::Dtls(_))]), "{:?}", pair.outcomes);
    assert!(pair.now - begin <= std::time::Duration::from_secs(30));
    assert_eq!(pair.desk.load(), (0, 0));
}
