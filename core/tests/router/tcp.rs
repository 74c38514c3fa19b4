//! A viewer that comes by TCP: while its connection takes less than there is, sound goes on and pictures wait where they
//! are; those that waited for too long are left out whole.

use std::ops::Range;

use millrace::router::id::ShardId;
use millrace::units::{Duration, Instant};

use crate::sim::network::Link;
use crate::sim::{World, tile};

/// Someone who watches sound and one layer by TCP for two seconds.
fn watch(seed: u64) -> (World, usize) {
    let mut world = World::new(1, seed);
    let (_, audio, video) = world.publish(Link::good(), &[(1280, 720)]);
    let viewer = world.view(Link::good(), 1);
    world.peers[viewer].stream = Some(7);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(2000);
    (world, viewer)
}

fn clog(world: &mut World, viewer: usize, clogged: bool) {
    let path = world.peers[viewer].path();
    assert!(path.is_stream());
    world.routers[0].handle_clog(path, clogged);
    world.settle();
}

/// What came of a slot in this time.
fn came(world: &World, viewer: usize, slot: u16, during: &Range<Instant>) -> usize {
    world.viewer(viewer).slot(slot).packets.values().filter(|got| during.contains(&got.at)).count()
}

#[test]
fn while_a_connection_is_clogged_sound_goes_on_and_pictures_follow_without_a_hole() {
    let (mut world, viewer) = watch(181);
    clog(&mut world, viewer, true);
    // What had left before arrives.
    world.run_ms(100);
    let began = world.now;
    world.run_ms(600);
    let during = began..world.now;
    assert_eq!(came(&world, viewer, 1, &during), 0, "no picture");
    assert!(came(&world, viewer, 0, &during) >= 28, "sound all the time");
    clog(&mut world, viewer, false);
    world.run_ms(1000);
    let slot = world.viewer(viewer).slot(1);
    slot.assert_continuous();
    assert!(slot.frames.len() > 80, "{}", slot.frames.len());
    assert!(slot.longest_freeze() < Duration::from_millis(800), "{:?}", slot.longest_freeze());
    assert_eq!(world.routers[0].counters().drops.behind, 0);
}

#[test]
fn pictures_that_waited_for_too_long_are_left_out_and_counted_and_a_keyframe_comes() {
    let (mut world, viewer) = watch(182);
    clog(&mut world, viewer, true);
    world.run_ms(5000);
    let keyframes = |world: &World| world.viewer(viewer).slot(1).frames.iter().filter(|f| f.keyframe).count();
    let (before, dropped) = (keyframes(&world), world.routers[0].counters().drops.behind);
    assert!(dropped > 0);
    clog(&mut world, viewer, false);
    world.run_ms(1000);
    assert!(keyframes(&world) > before);
    let slot = world.viewer(viewer).slot(1);
    slot.assert_continuous();
    let last = slot.frames.last().map(|frame| world.now.since(frame.at));
    assert!(last.is_some_and(|ago| ago < Duration::from_millis(100)), "{last:?}");
}

#[test]
fn a_connection_goes_to_the_shard_that_has_its_session() {
    let mut world = World::new(2, 183);
    let (_, _, video) = world.publish(Link::good(), &[(1280, 720)]);
    let viewer = world.view(Link::good(), 1);
    world.flows.extend([(10_000, 0), (10_001, 0), (10_555, 1)]);
    world.run_ms(1000);
    assert_eq!(world.owner(viewer), Some(0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(1000);
    // UDP ceases to get through, and the peer opens a connection, which comes to the other shard.
    world.peers[viewer].move_to(10_555);
    world.peers[viewer].stream = Some(3);
    let path = world.peers[viewer].path();
    world.run_ms(2000);
    assert_eq!(world.moved, [(path, ShardId(0))]);
    assert_eq!(world.owner(viewer), Some(0));
    let slot = world.viewer(viewer).slot(1);
    slot.assert_continuous();
    assert!(slot.longest_freeze() < Duration::from_millis(100), "{:?}", slot.longest_freeze());
}
