//! Two shards, one port: the kernel spreads a peer's datagrams, the session has one owner, what lands elsewhere is relayed,
//! and tracks are watched across.

use millrace::router::event::Event;
use millrace::units::Duration;

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn a_track_is_watched_on_the_other_shard() {
    let mut world = World::new(2, 30);
    let (publisher, audio, video) = world.publish(Link::good(), &HD);
    let here = world.view(Link::good(), 1);
    let there = world.view(Link::good(), 1);
    world.flows.extend([(10_000, 0), (10_001, 0), (10_002, 1)]);
    world.run_ms(1000);
    assert_eq!([publisher, here, there].map(|p| world.owner(p)), [Some(0), Some(0), Some(1)]);
    for viewer in [here, there] {
        world.watch(viewer, 0, Some(audio), tile(0, 0));
        world.watch(viewer, 1, Some(video), tile(1280, 720));
    }
    world.run_ms(2000);
    // One keyframe for both.
    assert!(world.publisher(publisher).plis.len() <= 4, "{:?}", world.publisher(publisher).plis);
    world.set_view(there, 1, tile(320, 180));
    world.run_ms(2000);
    assert_eq!(world.viewer(here).slot(1).layer(), Some(2));
    assert_eq!(world.viewer(there).slot(1).layer(), Some(0));
    for viewer in [here, there] {
        let slot = world.viewer(viewer).slot(1);
        slot.assert_continuous();
        assert!(slot.frames.len() > 110, "{}", slot.frames.len());
        assert!(slot.longest_freeze() < Duration::from_millis(60));
        assert!(world.viewer(viewer).slot(0).packets.len() > 190);
    }
    // Once nobody over there watches, nothing crosses.
    world.watch(there, 0, None, tile(0, 0));
    world.watch(there, 1, None, tile(0, 0));
    world.run_ms(100);
    let before = world.routers[1].counters().mirrored;
    world.run_ms(1000);
    assert_eq!(world.routers[1].counters().mirrored, before);
}

#[test]
fn losses_on_a_mirrored_track_are_answered_by_the_mirror() {
    let mut world = World::new(2, 31);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::lossy(0.05), 1);
    world.run_ms(2000);
    assert_eq!(world.owner(viewer), Some(1));
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(10_000);
    world.peers[viewer].down.loss = 0.0;
    world.run_ms(1000);
    let slot = world.viewer(viewer).slot(1);
    assert!(slot.resent > 20, "{}", slot.resent);
    assert!(slot.frames.len() > 290, "{}", slot.frames.len());
    assert!(world.routers[1].counters().retransmitted > 20);
}

#[test]
fn pairs_on_both_shards_and_the_nominated_one_decides() {
    let mut world = World::new(2, 32);
    let peer = world.view(Link::good(), 1);
    world.peers[peer].nominates = false;
    world.flows.insert(10_000, 0);
    world.run_ms(700);
    assert_eq!(world.owner(peer), None);
    assert!(world.peers[peer].answers.len() >= 2, "the lobby answers");
    // A second pair, from another port, arrives at the other shard and is nominated.
    world.flows.insert(20_000, 1);
    world.peers[peer].move_to(20_000);
    world.peers[peer].nominates = true;
    world.run_ms(200);
    assert_eq!(world.owner(peer), Some(1));
    // A check on the first pair is relayed to the owner, which answers.
    let answers = world.peers[peer].answers.len();
    let check = world.peers[peer].check(false);
    let former = crate::sim::peer::path(world.peers[peer].former[0]);
    world.send_on(peer, former, check);
    world.run_ms(50);
    assert_eq!(world.peers[peer].answers.len(), answers + 1);
    assert!(world.routers[0].counters().relayed >= 1);
    assert_eq!(world.events.iter().filter(|(_, e)| matches!(e, Event::Claimed { .. })).count(), 1);
}

#[test]
fn an_address_change_to_the_other_shard_keeps_the_session() {
    let mut world = World::new(2, 33);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.flows.extend([(10_000, 0), (10_001, 0), (20_000, 1), (20_001, 1)]);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(2000);
    world.peers[publisher].move_to(20_000);
    world.run_ms(1000);
    world.peers[viewer].move_to(20_001);
    world.run_ms(2000);
    assert_eq!((world.owner(publisher), world.owner(viewer)), (Some(0), Some(0)));
    assert!(world.routers[1].counters().relayed > 100, "the publisher's media are relayed");
    let slot = world.viewer(viewer).slot(1);
    let last = slot.frames.last().expect("decoded");
    assert!(world.now.since(last.at) < Duration::from_millis(100));
    slot.assert_continuous();
    assert_eq!(world.events.iter().filter(|(_, e)| matches!(e, Event::Lost(_))).count(), 0);
}

#[test]
fn dtls_follows_the_checked_path() {
    let mut world = World::new(2, 34);
    let peer = world.view(Link::good(), 1);
    world.peers[peer].nominates = false;
    world.flows.extend([(10_000, 1), (20_000, 0)]);
    // From an address without a check it goes nowhere.
    let hello = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    world.send_from(peer, hello.clone());
    world.peers[peer].next_check = world.now + Duration::from_millis(50);
    world.run_ms(40);
    let heard = |world: &World| {
        let dtls = world.events.iter().filter(|(_, e)| matches!(e, Event::Dtls { .. }));
        dtls.count()
    };
    assert_eq!(heard(&world), 0);
    assert_eq!(world.routers[1].counters().drops.stranger, 1);
    // After a check it is passed up, and begins the session where it came.
    world.run_ms(100);
    world.send_from(peer, hello.clone());
    world.run_ms(30);
    assert_eq!((heard(&world), world.owner(peer)), (1, Some(1)));
    // The answer goes to the checked address; DTLS from a further one is relayed.
    let session = world.peers[peer].id;
    let command = || millrace::router::command::Command::SendDtls { session, datagram: hello.clone() };
    world.command(command);
    world.peers[peer].move_to(20_000);
    world.run_ms(50);
    world.send_from(peer, hello.clone());
    world.run_ms(50);
    assert_eq!(world.peers[peer].dtls, [hello]);
    assert_eq!(heard(&world), 2);
}
