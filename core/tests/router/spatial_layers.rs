//! Of a stream in spatial layers each viewer gets those that its tile needs: fewer from the next picture on, more from a
//! keyframe on; and always a stream without holes that can be decoded.

use millrace::router::event::{Event, Why};
use millrace::units::PictureSize;
use millrace::wire::payload::Codec;

use crate::sim::layered::{Picture, decode};
use crate::sim::network::Link;
use crate::sim::{World, tile};

const VP9: Codec = Codec::Vp9 { profile: 0 };

fn pictures(world: &World, viewer: usize, codec: Codec) -> Vec<Picture> {
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.holes(), 0);
    decode(codec, &slot.packets)
}

#[test]
fn a_small_tile_gets_the_small_picture_of_the_same_stream() {
    let mut world = World::new(1, 100);
    let (_, video) = world.publish_layered(Link::good(), VP9);
    let large = world.view(Link::good(), 1);
    let small = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(large, 1, Some(video), tile(1280, 720));
    world.watch(small, 1, Some(video), tile(320, 180));
    world.run_ms(3000);
    let (large, small) = (pictures(&world, large, VP9), pictures(&world, small, VP9));
    assert!(large.len() > 80 && small.len() > 80, "{} {}", large.len(), small.len());
    assert!(large.iter().all(|p| p.spatial == 2));
    assert!(small.iter().skip(10).all(|p| p.spatial == 0));
}

#[test]
fn down_at_the_next_picture_and_up_at_a_keyframe() {
    let mut world = World::new(1, 101);
    let (publisher, video) = world.publish_layered(Link::good(), VP9);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(2000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(1000);
    for round in 0..12 {
        let (size, spatial) =
            [((320, 180), 0), ((1280, 720), 2), ((640, 360), 1), ((1280, 720), 2)][round % 4];
        let asked = world.layered[&publisher].plis.len();
        let now = world.now;
        world.set_view(viewer, 1, tile(size.0, size.1));
        world.run_ms(700);
        let pictures = pictures(&world, viewer, VP9);
        let first = pictures.iter().find(|p| p.at >= now && p.spatial == spatial).expect("switched");
        let took = first.at.since(now).as_millis();
        if spatial < 2 {
            assert_eq!(world.layered[&publisher].plis.len(), asked, "no keyframe to go down");
            assert!(took < 120, "{took} ms");
        } else {
            assert_eq!(world.layered[&publisher].plis.len(), asked + 1, "one keyframe to go up");
            assert!(took < 300, "{took} ms");
        }
        assert_eq!(pictures.last().map(|p| p.spatial), Some(spatial));
        let shown = world.events.iter().rev().find_map(|(_, event)| match event {
            Event::SlotLayer { layer, why, .. } => Some((layer.and_then(|l| l.1), *why)),
            _ => None,
        });
        assert_eq!(shown, Some((Some(PictureSize::new(size.0, size.1)), Why::Tile)));
    }
    let pictures = pictures(&world, viewer, VP9);
    // Not one picture is missing.
    assert!(pictures.windows(2).all(|w| w[1].number == w[0].number + 1));
}

#[test]
fn the_cheap_layers_cost_less() {
    let mut world = World::new(1, 102);
    let (_, video) = world.publish_layered(Link::good(), VP9);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(2000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(1000);
    let bytes = |world: &World| -> usize {
        world.viewer(viewer).slot(1).packets.values().map(|got| got.payload.len()).sum()
    };
    let (before, _) = (bytes(&world), world.run_ms(1000));
    let large = bytes(&world) - before;
    world.set_view(viewer, 1, tile(320, 180));
    world.run_ms(500);
    let (before, _) = (bytes(&world), world.run_ms(1000));
    let small = bytes(&world) - before;
    assert!(small * 5 < large, "{small} {large}");
}

#[test]
fn what_is_lost_on_either_way_leaves_no_hole() {
    for seed in 0..4 {
        let mut world = World::new(1, 110 + seed);
        let (_, video) = world.publish_layered(Link::bad(), VP9);
        let viewer = world.view(Link::bad(), 1);
        world.run_ms(2000);
        world.watch(viewer, 1, Some(video), tile(1280, 720));
        for round in 0..10 {
            let (width, height) = [(320, 180), (1280, 720), (640, 360)][round % 3];
            world.set_view(viewer, 1, tile(width, height));
            world.run_ms(900);
        }
        world.set_view(viewer, 1, tile(320, 180));
        world.run_ms(1500);
        let slot = world.viewer(viewer).slot(1);
        assert!(slot.resent > 0, "something was lost and asked for");
        assert!(slot.holes() <= 12, "seed {seed}: {} holes of {}", slot.holes(), slot.packets.len());
    }
}
