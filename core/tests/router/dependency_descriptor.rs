//! AV1 goes on with its dependency descriptors: read back, they tell each viewer of a stream that can be decoded, with
//! frame numbers that go on without a seam and the decode targets that are forwarded.

use std::collections::HashSet;

use millrace::wire::ext::dependency_descriptor::{Descriptor, Structure};
use millrace::wire::payload::Codec;

use crate::sim::layered::decode;
use crate::sim::network::Link;
use crate::sim::{World, tile};

const AV1: Codec = Codec::Av1 { profile: 0 };

/// Of each frame its number, its spatial layer, and the decode targets named with it; asserts that all it refers to came
/// before.
fn frames(world: &World, viewer: usize) -> Vec<(u64, u8, Option<u32>)> {
    let mut structure: Option<Structure> = None;
    let mut seen: HashSet<u64> = HashSet::new();
    let (mut last, mut frames) = (None, vec![]);
    for got in world.viewer(viewer).slot(1).packets.values().filter(|got| !got.payload.is_empty()) {
        let value = got.descriptor.as_ref().expect("every packet has one");
        let read = Descriptor::parse(value, structure.as_ref()).expect("well-formed");
        let wire = read.mandatory.frame_number;
        let number = last.map_or(u64::from(wire) + 0x1_0000, |last: u64| {
            last.wrapping_add_signed(i64::from(wire.wrapping_sub(last as u16) as i16))
        });
        if read.mandatory.first {
            assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
            for back in read.frame.references.as_slice() {
                assert!(seen.contains(&(number - u64::from(*back))), "{number} needs {back} back");
            }
            seen.insert(number);
            frames.push((number, read.frame.spatial, read.active_targets));
        }
        last = Some(number);
        structure = read.structure.or(structure);
    }
    frames
}

#[test]
fn each_viewer_gets_its_decode_targets() {
    let mut world = World::new(2, 120);
    let (_, video) = world.publish_layered(Link::good(), AV1);
    let (large, small) = (world.view(Link::good(), 1), world.view(Link::good(), 1));
    world.run_ms(2000);
    world.watch(large, 1, Some(video), tile(1280, 720));
    world.watch(small, 1, Some(video), tile(320, 180));
    world.run_ms(3000);
    let of_small = frames(&world, small);
    assert!(of_small.len() > 70, "{}", of_small.len());
    assert!(of_small.iter().skip(20).all(|(_, spatial, active)| *spatial == 0 && *active == Some(0b111)));
    let of_large = frames(&world, large);
    assert!(of_large.windows(2).all(|w| w[1].0 == w[0].0 + 1), "no frame is left out");
    assert!(of_large.iter().skip(3).all(|(_, _, active)| active.is_none_or(|a| a == 0b1_1111_1111)));
    let spatial = |viewer| decode(AV1, &world.viewer(viewer).slot(1).packets).last().map(|p| p.spatial);
    assert_eq!((spatial(large), spatial(small)), (Some(2), Some(0)));
}

#[test]
fn up_and_down_and_between_publishers() {
    let mut world = World::new(1, 121);
    let (publisher, first) = world.publish_layered(Link::good(), AV1);
    let (_, second) = world.publish_layered(Link::good(), AV1);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(2000);
    let mut now = 0;
    for round in 0..12 {
        let track = if round % 4 < 2 { first } else { second };
        let (width, height) = [(1280, 720), (320, 180), (640, 360)][round % 3];
        world.watch(viewer, 1, Some(track), tile(width, height));
        world.run_ms(800);
        let all = frames(&world, viewer);
        assert!(all.len() > now + 10, "{} {now}", all.len());
        now = all.len();
        assert_eq!(all.last().map(|f| f.1), Some([2, 0, 1][round % 3]), "round {round}");
    }
    assert_eq!(world.viewer(viewer).slot(1).holes(), 0);
    assert!(world.layered[&publisher].plis.len() <= 6, "{:?}", world.layered[&publisher].plis);
}

/// As WHEP players do, whose offers have none: they could not tell of a spatial layer that is for others.
#[test]
fn who_takes_no_descriptors_gets_one_layer_however_large_the_tile() {
    let mut world = World::new(2, 122);
    let (_, video) = world.publish_layered(Link::good(), AV1);
    let (plain, described) = (world.view_undescribed(Link::good(), 1), world.view(Link::good(), 1));
    world.run_ms(2000);
    for viewer in [plain, described] {
        world.watch(viewer, 1, Some(video), tile(1280, 720));
    }
    world.run_ms(3000);
    world.set_view(plain, 1, tile(320, 180));
    world.run_ms(500);
    world.set_view(plain, 1, tile(1280, 720));
    world.run_ms(1500);
    let slot = world.viewer(plain).slot(1);
    assert!(slot.packets.values().all(|got| got.descriptor.is_none()));
    assert_eq!(slot.holes(), 0);
    let pictures = decode(AV1, &slot.packets);
    assert!(pictures.len() > 120, "{}", pictures.len());
    assert!(pictures.iter().all(|picture| picture.spatial == 0), "one spatial layer");
    assert!(pictures.windows(2).all(|w| w[1].number == w[0].number + 1), "and of that every picture");
    let spatial = |viewer| decode(AV1, &world.viewer(viewer).slot(1).packets).last().map(|p| p.spatial);
    assert_eq!(spatial(described), Some(2), "the other one has them all");
}
