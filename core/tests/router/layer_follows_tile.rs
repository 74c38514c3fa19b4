//! Each viewer gets the smallest layer that fills its tile, within its cap; and a larger one soon after the tile grows.

use millrace::router::event::Why;
use millrace::router::id::LayerId;
use millrace::units::{Duration, PictureSize};

use crate::sim::network::Link;
use crate::sim::{World, hidden, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn a_large_tile_gets_the_large_picture_and_a_small_one_the_small() {
    let mut world = World::new(1, 1);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let large = world.view(Link::good(), 1);
    let small = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(large, 1, Some(video), tile(1280, 720));
    world.watch(small, 1, Some(video), tile(320, 240));
    world.run_ms(3000);
    assert_eq!(world.viewer(large).slot(1).layer(), Some(2));
    assert_eq!(world.viewer(small).slot(1).layer(), Some(0));
    assert_eq!(world.shown(large, 1), Some((Some(LayerId(2)), Why::Tile)));
    assert_eq!(world.shown(small, 1), Some((Some(LayerId(0)), Why::Tile)));
    assert!(world.viewer(small).slot(1).frames.iter().all(|f| f.layer == 0));
}

#[test]
fn a_growing_tile_gets_the_large_picture_within_a_second_and_without_a_freeze() {
    let mut world = World::new(1, 2);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(320, 180));
    world.run_ms(3000);
    world.set_view(viewer, 1, tile(1280, 720));
    world.run_ms(1000);
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.layer(), Some(2));
    assert!(slot.longest_freeze() < Duration::from_millis(60), "{:?}", slot.longest_freeze());
    slot.assert_continuous();
}

#[test]
fn a_cap_holds_whatever_the_tile() {
    let mut world = World::new(1, 3);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    let mut view = tile(1920, 1080);
    view.cap = PictureSize::new(640, 360);
    world.watch(viewer, 1, Some(video), view);
    world.run_ms(2000);
    assert_eq!(world.viewer(viewer).slot(1).layer(), Some(1));
    assert_eq!(world.shown(viewer, 1), Some((Some(LayerId(1)), Why::Cap)));
}

#[test]
fn a_hidden_tile_costs_nothing_and_comes_back() {
    let mut world = World::new(1, 4);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(640, 360));
    world.run_ms(2000);
    world.set_view(viewer, 1, hidden());
    world.run_ms(100);
    let before = world.viewer(viewer).slot(1).packets.len();
    world.run_ms(2000);
    assert_eq!(world.viewer(viewer).slot(1).packets.len(), before);
    assert_eq!(world.shown(viewer, 1), Some((None, Why::Inactive)));
    world.set_view(viewer, 1, tile(640, 360));
    world.run_ms(500);
    let slot = world.viewer(viewer).slot(1);
    assert!(slot.packets.len() > before);
    slot.assert_continuous();
}

#[test]
fn a_layer_that_the_publisher_stops_is_replaced_and_comes_back() {
    let mut world = World::new(1, 5);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(2000);
    world.publishers.get_mut(&publisher).expect("is there").send_layer(2, false);
    world.run_ms(2000);
    assert_eq!(world.viewer(viewer).slot(1).layer(), Some(1));
    assert_eq!(world.shown(viewer, 1), Some((Some(LayerId(1)), Why::Source)));
    world.publishers.get_mut(&publisher).expect("is there").send_layer(2, true);
    world.run_ms(1000);
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.layer(), Some(2));
    slot.assert_continuous();
}
