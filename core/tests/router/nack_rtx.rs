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
fn probes_filled_with_what_was_sent_already_are_no_replay() {
    let mut world = World::new(1, 16);
    let (publisher, _, video) = world.publish(Link::good(), &ONE);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(1000);
    let before = *world.routers[0].counters();
    world.publishers.get_mut(&publisher).expect("a publisher").probe(0, 20);
    world.run_ms(1000);
    let after = world.routers[0].counters();
    assert_eq!(after.repeated - before.repeated, 20);
    assert_eq!(after.drops, before.drops);
    assert_eq!(after.recovered, before.recovered, "none of them was missing");
    world.viewer(viewer).slot(1).assert_continuous();
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
fn whoever_asks_for_everything_gets_a_share_more() {
    let mut world = World::new(1, 14);
    let (_, _, video) = world.publish(Link::good(), &ONE);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(2000);
    let before = (*world.routers[0].counters(), world.bytes_to_peers);
    let mut asked = 0;
    for _ in 0..1000 {
        let seqs: Vec<_> =
            world.viewer(viewer).slot(1).packets.keys().rev().take(50).rev().copied().collect();
        asked += seqs.len();
        world.viewers.get_mut(&viewer).expect("is there").nack(1, &seqs);
        world.run_ms(10);
    }
    let after = world.routers[0].counters();
    let resent = after.retransmitted - before.0.retransmitted;
    let media = after.packets_out - before.0.packets_out - resent;
    // Half of the media, and what was saved up.
    assert!((100..media / 2 + 120).contains(&resent), "{resent} and {media}, {asked} asked for");
    assert!(after.drops.not_resent > 10_000);
}

#[test]
fn a_packet_is_sent_again_once_in_a_round_trip() {
    let mut world = World::new(1, 15);
    let (_, _, video) = world.publish(Link::good(), &ONE);
    let mut far = Link::good();
    far.delay = std::time::Duration::from_millis(100);
    let viewer = world.view(far, 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    // Its reports tell the round trip.
    world.run_ms(5000);
    let before = world.routers[0].counters().retransmitted;
    let last = *world.viewer(viewer).slot(1).packets.keys().next_back().expect("came");
    for _ in 0..13 {
        world.viewers.get_mut(&viewer).expect("is there").nack(1, &[last]);
        world.run_ms(10);
    }
    world.run_ms(200);
    assert_eq!(world.routers[0].counters().retransmitted - before, 1);
    // Whoever asks another time has lost the answer, and gets two.
    world.viewers.get_mut(&viewer).expect("is there").nack(1, &[last]);
    world.run_ms(200);
    assert_eq!(world.routers[0].counters().retransmitted - before, 3);
    // What is so old that it could not be played is not sent.
    world.run_ms(1500);
    world.viewers.get_mut(&viewer).expect("is there").nack(1, &[last]);
    world.run_ms(200);
    assert_eq!(world.routers[0].counters().retransmitted - before, 3);
}
