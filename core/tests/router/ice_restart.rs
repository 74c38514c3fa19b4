//! ICE restarts, role conflicts, wrong passwords (RFC 8445 section 9, 7.3.1.1; RFC 8489 section 9.1.3).

use millrace::router::command::Command;
use millrace::wire::stun;

use crate::sim::network::Link;
use crate::sim::{World, credentials, tile};

#[test]
fn old_credentials_serve_until_new_ones_are_used() {
    let mut world = World::new(2, 50);
    let (_, _, video) = world.publish(Link::good(), &[(640, 360)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(1000);
    let session = world.peers[viewer].id;
    world.command(|| Command::RestartIce { session, local: credentials("restarted") });
    let answers = world.peers[viewer].answers.len();
    world.run_ms(1000);
    assert!(world.peers[viewer].answers.len() > answers, "the old ones still serve");
    let old = std::mem::replace(&mut world.peers[viewer].remote, credentials("restarted"));
    world.peers[viewer].move_to(30_000);
    world.run_ms(1000);
    let frames = world.viewer(viewer).slot(1).frames.len();
    world.run_ms(1000);
    assert!(world.viewer(viewer).slot(1).frames.len() > frames + 20, "media go on");
    let owner = usize::from(world.owner(viewer).expect("owned"));
    let unknown = world.routers[owner].counters().drops.unknown_ufrag;
    let new = std::mem::replace(&mut world.peers[viewer].remote, old);
    let (check, path) = (world.peers[viewer].check(true), world.peers[viewer].path());
    world.peers[viewer].remote = new;
    world.flows.insert(30_000, owner);
    world.send_on(viewer, path, check);
    world.run_ms(50);
    assert_eq!(world.routers[owner].counters().drops.unknown_ufrag, unknown + 1, "the old ones are over");
    world.viewer(viewer).slot(1).assert_continuous();
}

#[test]
fn who_believes_to_be_controlled_is_told_otherwise() {
    let mut world = World::new(1, 51);
    let peer = world.view(Link::good(), 1);
    let mut check = world.peers[peer].check(false);
    // ICE-CONTROLLING becomes ICE-CONTROLLED; integrity and fingerprint are made anew by hand.
    let at = check.windows(4).position(|w| w == [0x80, 0x2a, 0, 8]).expect("controlling");
    check[at + 1] = 0x29;
    resign(&mut check, world.peers[peer].remote.pwd.as_bytes());
    assert!(stun::Message::parse(&check).is_ok());
    world.peers[peer].next_check = millrace::units::Instant::NEVER;
    world.send_from(peer, check);
    world.run_ms(50);
    assert_eq!(world.peers[peer].answers, [Some(487)]);
}

#[test]
fn a_wrong_password_opens_nothing() {
    let mut world = World::new(1, 52);
    let peer = world.view(Link::good(), 1);
    world.peers[peer].remote.pwd = "not the password at all".to_owned();
    world.run_ms(2000);
    assert_eq!((world.owner(peer), world.peers[peer].answers.len()), (None, 0));
    assert!(world.routers[0].counters().drops.wrong_password >= 3);
}

/// HMAC-SHA1 over the message up to its integrity, and the fingerprint's CRC left out.
fn resign(check: &mut Vec<u8>, password: &[u8]) {
    let integrity = check.windows(4).position(|w| w == [0, 8, 0, 20]).expect("integrity");
    check.truncate(integrity + 24);
    let length = (check.len() - 20) as u16;
    check[2..4].copy_from_slice(&length.to_be_bytes());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password);
    let tag = ring::hmac::sign(&key, &check[..integrity]);
    check[integrity + 4..].copy_from_slice(tag.as_ref());
}
