//! What the way to a viewer carries is known soon after it changes, and is not sought beyond what is wanted.

use millrace::units::{Bitrate, Duration, Instant};

use crate::sim::bottleneck::{Bottleneck, Schedule};
use crate::sim::loss::Loss;
use crate::sim::network::Link;
use crate::sim::{World, tile};

const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

/// A viewer behind a bottleneck that watches three layers of these rates in kbit/s.
fn watch(seed: u64, rates: [u64; 3], link: Bottleneck) -> (World, usize) {
    let mut world = World::new(1, seed);
    let (publisher, audio, video) = world.publish(Link::good(), &SIZES);
    let publisher = world.publishers.get_mut(&publisher).expect("is there");
    publisher.encode_at(&rates.map(Bitrate::from_kbps));
    let viewer = world.browse(Link::good(), 1);
    world.bottlenecks.push(link);
    world.narrow(viewer, 0);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    (world, viewer)
}

fn estimate(world: &World, viewer: usize) -> u64 {
    let estimate = world.routers[0].estimate(world.peers[viewer].id, world.now);
    estimate.map_or(0, |rate| rate.as_bps() / 1000)
}

/// The least and the mean of what is estimated over some seconds.
fn observe(world: &mut World, viewer: usize, secs: u64) -> (u64, u64) {
    let all: Vec<_> = (0..secs * 10)
        .map(|_| {
            world.run_ms(100);
            estimate(world, viewer)
        })
        .collect();
    (all.iter().copied().min().unwrap_or_default(), all.iter().sum::<u64>() / all.len() as u64)
}

#[test]
fn a_drop_is_noticed_within_two_seconds_and_the_return_within_ten() {
    let steps = Schedule::steps(Instant::ZERO, &[(0, 3000), (20_000, 600), (35_000, 3000)]);
    let (mut world, viewer) = watch(101, [150, 600, 1800], Bottleneck::new(steps));
    world.run_ms(20_000 - world.now.as_micros() / 1000);
    assert!(estimate(&world, viewer) > 2_000, "{}", estimate(&world, viewer));
    world.run_ms(2_000);
    assert!(estimate(&world, viewer) < 700, "{}", estimate(&world, viewer));
    world.run_ms(13_000 + 10_000);
    assert!(estimate(&world, viewer) >= 2_550, "{}", estimate(&world, viewer));
}

#[test]
fn a_few_percent_of_random_loss_do_not_halve_the_estimate() {
    let mut link = Bottleneck::new(Schedule::constant(Bitrate::from_kbps(2000)));
    link.loss = Loss::Random(0.05);
    let (mut world, viewer) = watch(102, [150, 500, 1500], link);
    world.run_ms(10_000);
    let (_, mean) = observe(&mut world, viewer, 30);
    assert!(mean > 1_300, "{mean}");
}

#[test]
fn jitter_without_loss_is_no_overuse() {
    let mut link = Bottleneck::new(Schedule::constant(Bitrate::from_kbps(6000)));
    link.jitter = Duration::from_millis(50);
    let (mut world, viewer) = watch(103, [150, 500, 2000], link);
    world.run_ms(10_000);
    let (least, _) = observe(&mut world, viewer, 30);
    assert!(least > 2_000, "{least}");
}

#[test]
fn nothing_is_sought_beyond_what_is_wanted() {
    let link = Bottleneck::new(Schedule::constant(Bitrate::from_kbps(50_000)));
    let (mut world, viewer) = watch(104, [100, 200, 400], link);
    world.run_ms(10_000);
    let (before, padding) = (world.browser(viewer).bytes, world.browser(viewer).padding);
    world.run_ms(20_000);
    let browser = world.browser(viewer);
    let kbps = (browser.bytes - before) * 8 / 20_000;
    assert!(kbps < 600 && browser.padding == padding, "{kbps} kbit/s, {padding} {}", browser.padding);
}
