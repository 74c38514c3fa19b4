//! What a viewer gets of one batch leaves in one send: packets that are nearly alike are padded to one size, and the payload
//! stays what it was.

use std::collections::BTreeMap;

use crate::sim::network::Link;
use crate::sim::{World, tile};

/// A viewer of frames of four packets of 1000 bytes and one of `last`: how many packets a send carried, and how many
/// packets of which size came.
fn watch(seed: u64, last: usize) -> (f64, BTreeMap<usize, u64>) {
    let mut world = World::new(1, seed);
    let (publisher, audio, video) = world.publish(Link::good(), &[(320, 180), (640, 360), (1280, 720)]);
    world.publishers.get_mut(&publisher).expect("is there").last_packet = last;
    let viewer = world.view(Link::good(), 2);
    world.run_ms(500);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    // Until the keyframes and the first packets, which name their m-line, are through.
    world.run_ms(5000);
    let (from, before) = (world.now, world.large_runs);
    world.run_ms(5000);
    let (runs, packets) = (world.large_runs.0 - before.0, world.large_runs.1 - before.1);
    let mut sizes = BTreeMap::new();
    let slot = world.viewer(viewer).slot(1);
    for got in slot.packets.values().filter(|got| got.at > from) {
        *sizes.entry(got.payload.len()).or_default() += 1;
    }
    (packets as f64 / runs as f64, sizes)
}

#[test]
fn a_frame_whose_last_packet_is_a_little_longer_leaves_as_one() {
    for (seed, last) in [(121, 1001), (122, 1040), (123, 998)] {
        let (carried, sizes) = watch(seed, last);
        assert!(carried > 4.9, "{last}: {carried} packets in a send");
        let (of_last, of_others) = (sizes[&last], sizes[&1000]);
        assert!(
            sizes.len() == 2 && of_last > 100 && of_others.abs_diff(4 * of_last) <= 4,
            "{last}: {sizes:?}"
        );
    }
}

#[test]
fn what_is_much_longer_is_sent_apart_and_what_is_shorter_along_with_the_others() {
    let (carried, sizes) = watch(124, 1150);
    assert!((2.4..2.6).contains(&carried) && sizes.len() == 2, "{carried} {sizes:?}");
    let (carried, sizes) = watch(125, 300);
    assert!(carried > 4.9 && sizes.len() == 2, "{carried} {sizes:?}");
}
