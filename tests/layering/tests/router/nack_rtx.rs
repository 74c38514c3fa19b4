//! What is lost is asked for and comes again: from the publisher to us, and from us to the viewers.

use crate::sim::network::Link;
use crate::sim::{World, tile};

const ONE: [(u16, u16); 1] = [(640, 360)];

#[test]
fn losses_before_us_are_asked_for_once_whoever_watches() {
    let mut world = World::new(1, 10);
    let (publisher, _, video) = world.publish(Link::good(), &ONE);
    let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
    world.run_ms(1000);
    viewers.iter().for_each(|v| world.watch(*v, 1, Some(video), tile(640, 360)));
    world.run_ms(1000);
    world.peers[publisher].up.loss = 0.05;
    world.run_ms(10_000);
    world.peers[publisher].up.loss = 0.0;
    world.run_ms(1000);
    let recovered = world.routers[0].counters().recovered;
    assert!(recovered > 10, "{recovered}");
    for viewer in viewers {
        let slot = world.viewer(viewer).slot(1);
        slot.assert_continuous();
        assert!(slot.frames.len() > 310, "{}", slot.frames.len());
    }
}

#[test]
fn losses_behind_us_come_again_as_retransmissions() {
    let mut world = World::new(1, 11);
    let (publisher, _, video) = world.publish(Link::good(), &ONE);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(1000);
    world.peers[viewer].down.loss = 0.05;
    world.run_ms(10_000);
    world.peers[viewer].down.loss = 0.0;
    world.run_ms(1000);
    let slot = world.viewer(viewer).slot(1);
    assert!(slot.resent > 8, "{}", slot.resent);
    slot.assert_continuous();
    // The publisher hears nothing of it.
    assert_eq!(world.publisher(publisher).nacked, 0);
}

#[test]
fn what_was_sent_before_a_switch_can_still_be_had() {
    let mut world = World::new(1, 12);
    let (_, _, video) = world.publish(Link::good(), &[(320, 180), (640, 360), (1280, 720)]);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(320, 180));
    world.run_ms(1000);
    // Nothing arrives around the switch.
    world.peers[viewer].down.cut = true;
    world.run_ms(50);
    world.set_view(viewer, 1, tile(1280, 720));
    world.run_ms(150);
    world.peers[viewer].down.cut = false;
    world.run_ms(1000);
    let slot = world.viewer(viewer).slot(1);
    assert!(slot.resent >= 3, "{}", slot.resent);
    assert_eq!(slot.layer(), Some(2));
    slot.assert_continuous();
}

#[test]
fn a_viewer_without_rtx_gets_nothing_twice() {
    let mut world = World::new(1, 13);
    let (_, audio, _) = world.publish(Link::good(), &ONE);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.run_ms(1000);
    let before = world.seals();
    let seqs: Vec<_> = world.viewer(viewer).slot(0).packets.keys().copied().collect();
    world.viewers.get_mut(&viewer).expect("is there").nack(0, &seqs);
    world.run_ms(15);
    assert!(world.seals() <= before + 2);
    assert!(world.routers[0].counters().drops.not_resent >= seqs.len() as u64);
}

#[test]
fn retransmissions_are_bounded() {
    let mut world = World::new(1, 14);
    let (_, _, video) = world.publish(Link::good(), &ONE);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(2000);
    let before = world.routers[0].counters().retransmitted;
    for _ in 0..100 {
        let seqs: Vec<_> =
            world.viewer(viewer).slot(1).packets.keys().rev().take(50).rev().copied().collect();
        world.viewers.get_mut(&viewer).expect("is there").nack(1, &seqs);
        world.run_ms(10);
    }
    let resent = world.routers[0].counters().retransmitted - before;
    assert!((400..=1600).contains(&resent), "{resent} of 5000 asked for in a second");
}
