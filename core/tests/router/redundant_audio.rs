//! Redundant audio goes as it is to who takes it; who does not gets the sound without what it repeats.

use crate::sim::network::Link;
use crate::sim::{World, tile};

#[test]
fn each_gets_what_it_can_decode() {
    let mut world = World::new(1, 40);
    let (publisher, audio, _) = world.publish(Link::good(), &[(640, 360)]);
    let plain = world.view(Link::good(), 1);
    world.red = true;
    let redundant = world.view(Link::good(), 1);
    world.run_ms(1000);
    for viewer in [plain, redundant] {
        world.watch(viewer, 0, Some(audio), tile(0, 0));
    }
    // It begins in the midst of a call, when losses are heard of.
    world.run_ms(1000);
    world.publishers.get_mut(&publisher).expect("is there").red = true;
    world.run_ms(1000);
    let lengths = |viewer: usize| -> Vec<usize> {
        world.viewer(viewer).slot(0).packets.values().map(|got| got.payload.len()).collect()
    };
    let (plain_got, redundant_got) = (lengths(plain), lengths(redundant));
    assert!(plain_got.len() > 95 && plain_got.iter().all(|len| *len == 80), "{plain_got:?}");
    assert!(redundant_got.iter().filter(|len| **len == 165).count() > 45, "{redundant_got:?}");
    for viewer in [plain, redundant] {
        assert_eq!(world.viewer(viewer).slot(0).holes(), 0);
    }
    // What came unwrapped is the packet's own sound: one more each time.
    let sounds = world.viewer(plain).slot(0).packets.values().map(|got| got.payload[0]);
    let sounds: Vec<u8> = sounds.collect();
    assert!(sounds.windows(2).all(|w| w[1] == w[0].wrapping_add(1)), "{sounds:?}");
}
