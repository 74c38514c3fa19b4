//! What a viewer gets fits what its link carries: everyone something, the stage first, and each stream says why.

use millrace::router::command::{Command, View};
use millrace::router::event::{Event, Why};
use millrace::router::id::{LayerId, TrackId};
use millrace::units::{Bitrate, Duration};

use crate::sim::network::Link;
use crate::sim::{World, tile};

/// These send 0.18, 0.42 and 1.2 Mbit/s here.
const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

fn limit(world: &mut World, viewer: usize, kbps: u64) {
    let session = world.peers[viewer].id;
    world.command(|| Command::LimitSession { session, max_bitrate: Bitrate::from_kbps(kbps), max_voices: 8 });
}

/// A viewer of so many cameras, each in a tile that takes the largest picture.
fn grid(seed: u64, shards: u8, cameras: u16) -> (World, usize, Vec<TrackId>) {
    let mut world = World::new(shards, seed);
    let videos: Vec<_> = (0..cameras).map(|_| world.publish(Link::good(), &HD).2).collect();
    let viewer = world.view(Link::good(), cameras);
    world.run_ms(1000);
    for (slot, video) in (1..).zip(&videos) {
        world.watch(viewer, slot, Some(*video), tile(1280, 720));
    }
    world.run_ms(3000);
    (world, viewer, videos)
}

#[test]
fn a_small_budget_gets_a_small_picture_and_says_so() {
    let (mut world, viewer, _) = grid(1, 1, 1);
    assert_eq!(world.shown(viewer, 1), Some((Some(LayerId(2)), Why::Tile)));
    for (kbps, shown) in
        [(900, (Some(LayerId(1)), Why::Cap)), (300, (Some(LayerId(0)), Why::Cap)), (100, (None, Why::Paused))]
    {
        limit(&mut world, viewer, kbps);
        world.run_ms(1500);
        assert_eq!(world.shown(viewer, 1), Some(shown), "{kbps} kbit/s");
    }
    let before = world.viewer(viewer).slot(1).packets.len();
    world.run_ms(2000);
    assert_eq!(world.viewer(viewer).slot(1).packets.len(), before, "paused");
    // What was taken back comes again, after a while.
    limit(&mut world, viewer, 3000);
    world.run_ms(8000);
    assert_eq!(world.shown(viewer, 1), Some((Some(LayerId(2)), Why::Tile)));
    world.viewer(viewer).slot(1).assert_continuous();
}

/// How many pictures bandwidth holds back and pauses, as the statistics last said.
fn told(world: &World, viewer: usize) -> Option<(u16, u16)> {
    let id = world.peers[viewer].id;
    world.events.iter().rev().find_map(|(_, event)| match event {
        Event::Stats { session, stats } if *session == id => Some((stats.limited, stats.paused)),
        _ => None,
    })
}

#[test]
fn statistics_count_what_bandwidth_holds_back() {
    let (mut world, viewer, _) = grid(6, 1, 3);
    assert_eq!(told(&world, viewer), Some((0, 0)));
    limit(&mut world, viewer, 420);
    world.run_ms(4000);
    assert_eq!(told(&world, viewer), Some((2, 1)));
}

#[test]
fn a_smaller_layer_comes_without_a_freeze() {
    let (mut world, viewer, _) = grid(2, 1, 1);
    limit(&mut world, viewer, 900);
    world.run_ms(5000);
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.layer(), Some(1));
    assert!(slot.longest_freeze() < Duration::from_millis(60), "{:?}", slot.longest_freeze());
}

#[test]
fn all_are_shown_and_the_stage_is_large() {
    for shards in [1, 2] {
        let (mut world, viewer, videos) = grid(3, shards, 4);
        // The rest holds a keyframe of the stage, too, so that it opens at once.
        limit(&mut world, viewer, 2300);
        world.run_ms(3000);
        world.watch(viewer, 3, Some(videos[2]), View { priority: 2, ..tile(1280, 720) });
        world.run_ms(3000);
        let layers: Vec<_> = (1..5).map(|slot| world.viewer(viewer).slot(slot).layer()).collect();
        assert_eq!(layers[2], Some(2), "{layers:?} on {shards} shards");
        assert!(layers.iter().all(Option::is_some), "{layers:?} on {shards} shards");
        assert_eq!(world.shown(viewer, 3), Some((Some(LayerId(2)), Why::Tile)));
        assert_eq!(world.shown(viewer, 4), Some((Some(LayerId(0)), Why::Cap)));
    }
}

#[test]
fn the_budget_holds_on_the_wire() {
    let (mut world, viewer, _) = grid(4, 1, 6);
    limit(&mut world, viewer, 3000);
    world.run_ms(4000);
    let before = world.bytes_to_peers;
    world.run_ms(5000);
    let sent = Bitrate::of(world.bytes_to_peers - before, Duration::from_secs(5));
    assert!(sent <= Bitrate::from_kbps(3150), "{sent}");
    assert!(sent >= Bitrate::from_kbps(2000), "{sent}");
}

#[test]
fn sound_goes_on_whatever_the_budget() {
    let mut world = World::new(1, 5);
    let (_, audio, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    limit(&mut world, viewer, 10);
    world.run_ms(2000);
    assert_eq!(world.shown(viewer, 1), Some((None, Why::Paused)));
    let heard = world.viewer(viewer).slot(0).packets.len();
    world.run_ms(1000);
    assert!(world.viewer(viewer).slot(0).packets.len() >= heard + 45);
}
