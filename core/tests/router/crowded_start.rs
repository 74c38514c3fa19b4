//! Who comes while the processor is busy is not taken for somebody behind a narrow way, or not for long.

use millrace::router::event::Why;
use millrace::units::{Bitrate, Duration};

use crate::sim::network::Link;
use crate::sim::{World, tile};

#[test]
fn a_crowd_that_joins_a_busy_server_watches_soon_after() {
    for seed in 0..6 {
        let mut world = World::new(1, seed);
        let (publisher, _, video) = world.publish(Link::good(), &[(1280, 720)]);
        world.publishers.get_mut(&publisher).expect("is there").encode_at(&[Bitrate::from_kbps(1920)]);
        world.run_ms(3000);
        // The only layer fits every way many times; but whatever happens, happens up to 90 ms late.
        world.busy = Duration::from_millis(90);
        let mut viewers = vec![];
        for _ in 0..20 {
            let viewer = world.browse(Link::good(), 1);
            world.run_ms(60);
            world.watch(viewer, 1, Some(video), tile(1280, 720));
            viewers.push(viewer);
        }
        world.run_ms(2000);
        world.busy = Duration::ZERO;
        world.run_ms(2500);
        let is_paused = |v: &&usize| world.shown(**v, 1).is_some_and(|(_, why)| why == Why::Paused);
        let paused: Vec<_> = viewers.iter().filter(is_paused).map(|v| world.estimate(*v)).collect();
        assert!(paused.is_empty(), "seed {seed}: {paused:?}");
    }
}
