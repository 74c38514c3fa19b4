//! Layers that nobody watches are not sent to us; who wants one gets it soon, and the next best meanwhile.

use millrace::router::command::Command;
use millrace::router::id::LayerId;
use millrace::units::{Bitrate, Duration};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn only_what_is_watched_is_sent_and_more_is_back_within_a_second() {
    for shards in [1, 2] {
        let mut world = World::new(shards, 120);
        let (publisher, _, video) = world.publish(Link::good(), &HD);
        let viewers = [world.view(Link::good(), 1), world.view(Link::good(), 1)];
        world.run_ms(1000);
        viewers.iter().for_each(|v| world.watch(*v, 1, Some(video), tile(320, 180)));
        world.run_ms(3000);
        assert_eq!(world.publisher(publisher).resting(), [false; 3], "not at once");
        world.run_ms(2500);
        assert_eq!(world.publisher(publisher).resting(), [false, true, true]);
        let before = world.publisher(publisher).keyframes.len();
        world.run_ms(10_000);
        assert_eq!(world.publisher(publisher).keyframes.len(), before);
        for (viewer, size, layer) in [(viewers[1], (640, 360), 1), (viewers[0], (1280, 720), 2)] {
            world.set_view(viewer, 1, tile(size.0, size.1));
            world.run_ms(700);
            let slot = world.viewer(viewer).slot(1);
            assert_eq!(slot.layer(), Some(layer), "{shards} shards");
            assert!(slot.longest_freeze() < Duration::from_millis(60), "{:?}", slot.longest_freeze());
            slot.assert_continuous();
        }
        assert_eq!(world.publisher(publisher).resting(), [false; 3]);
        // Small again: the larger one rests again, the one that is watched does not.
        world.set_view(viewers[0], 1, tile(320, 180));
        world.run_ms(6000);
        assert_eq!(world.publisher(publisher).resting(), [false, false, true]);
        for viewer in viewers {
            assert!(world.viewer(viewer).slot(1).longest_freeze() < Duration::from_millis(60));
        }
    }
}

#[test]
fn who_comes_for_what_rests_gets_the_next_best_at_once() {
    let mut world = World::new(2, 121);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(8000);
    assert_eq!(world.publisher(publisher).resting(), [false, true, true]);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(800);
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.frames.first().map(|frame| frame.layer), Some(0));
    assert_eq!(slot.layer(), Some(2));
    slot.assert_continuous();
    assert_eq!(world.publisher(publisher).resting(), [false, true, false]);
}

#[test]
fn what_a_link_cannot_carry_rests_and_does_not_become_cheap_by_that() {
    let mut world = World::new(1, 124);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(3000);
    let session = world.peers[viewer].id;
    world.command(|| Command::LimitSession { session, max_bitrate: Bitrate::from_kbps(900), max_voices: 8 });
    world.run_ms(30_000);
    assert_eq!(world.publisher(publisher).resting(), [false, false, true]);
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.layer(), Some(1));
    let switches = slot.frames.windows(2).filter(|w| w[0].layer != w[1].layer).count();
    assert_eq!(switches, 1);
}

#[test]
fn a_publisher_that_does_not_heed_is_watched_all_the_same() {
    let mut world = World::new(1, 122);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    world.publishers.get_mut(&publisher).expect("is there").heeds = false;
    let viewer = world.view(Link::good(), 1);
    world.run_ms(8000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(300);
    assert_eq!(world.viewer(viewer).slot(1).layer(), Some(2));
}

#[test]
fn a_layer_that_cannot_wake_is_not_waited_for_forever() {
    let mut world = World::new(1, 123);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(8000);
    world.publishers.get_mut(&publisher).expect("is there").send_layer(2, false);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(6000);
    // The middle one was not asked for while the largest was hoped for.
    assert_eq!(world.viewer(viewer).slot(1).layer(), Some(1));
    assert_eq!(world.shown(viewer, 1).and_then(|(layer, _)| layer), Some(LayerId(1)));
    world.publishers.get_mut(&publisher).expect("is there").send_layer(2, true);
    world.run_ms(1000);
    assert_eq!(world.viewer(viewer).slot(1).layer(), Some(2));
}
