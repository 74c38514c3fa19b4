//! What a viewer's link cannot take at once leaves in its time: no burst, no long queue, and sound never waits.

use millrace::units::{Bitrate, Instant};

use crate::sim::bottleneck::{Bottleneck, Passage, Schedule};
use crate::sim::network::Link;
use crate::sim::{World, tile};

/// One layer of 1.5 Mbit/s to a viewer behind so much, with sound; what passed the link from the tenth second on.
fn watch(seed: u64, link_kbps: u64) -> (World, usize, Vec<Passage>) {
    let mut world = World::new(1, seed);
    let (publisher, audio, video) = world.publish(Link::good(), &[(1280, 720)]);
    world.publishers.get_mut(&publisher).expect("is there").encode_at(&[Bitrate::from_kbps(1500)]);
    let viewer = world.browse(Link::good(), 1);
    world.bottlenecks.push(Bottleneck::new(Schedule::constant(Bitrate::from_kbps(link_kbps))));
    world.narrow(viewer, 0);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(9000);
    let from = world.now;
    // Newcomers make the publisher send keyframes in the midst of it.
    for _ in 0..4 {
        let newcomer = world.view(Link::good(), 1);
        world.run_ms(1000);
        world.watch(newcomer, 1, Some(video), tile(1280, 720));
        world.run_ms(1000);
    }
    let log = world.bottlenecks[0].log.iter().filter(|p| p.at >= from).copied().collect();
    (world, viewer, log)
}

/// The most bytes that came to the link within a stretch of so many milliseconds.
fn most_within(log: &[Passage], ms: u64) -> u64 {
    let within = |first: &Passage| {
        let near =
            log.iter().filter(|p| p.at >= first.at && p.at.since(first.at).as_millis() < u128::from(ms));
        near.map(|p| p.bytes as u64).sum::<u64>()
    };
    log.iter().map(within).max().unwrap_or_default()
}

#[test]
fn bursts_are_bounded_by_what_the_link_carries() {
    let (world, viewer, log) = watch(111, 2500);
    let estimate = world.routers[0].estimate(world.peers[viewer].id, world.now).expect("known").as_bps();
    // Two and a half times the estimate, and what the bucket holds; the estimate moves about what the link carries.
    let bound = |ms: u64| estimate.max(2_500_000) * 5 / 2 * (ms + 16) / 8000 * 3 / 2 + 2_500;
    for ms in [1, 5, 20, 100] {
        let most = most_within(&log, ms);
        assert!(most <= bound(ms), "{most} bytes within {ms} ms, of {}", bound(ms));
    }
    let worst = log.iter().filter_map(|p| p.queued).map(|q| q.as_millis()).max();
    assert!(worst.is_some_and(|ms| ms < 250), "{worst:?} ms in the queue");
}

#[test]
fn sound_comes_in_time_when_pictures_do_not() {
    // The one layer there is does not fit.
    let (world, viewer, log) = watch(112, 400);
    let sound: Vec<Instant> = log.iter().filter(|p| p.bytes < 200).map(|p| p.at).collect();
    assert!(sound.len() > 380, "{} packets of sound in eight seconds", sound.len());
    let gap = sound.windows(2).map(|w| w[1].since(w[0]).as_millis()).max();
    assert!(gap.is_some_and(|ms| ms <= 45), "{gap:?} ms");
    assert!(world.browser(viewer).bytes > 0);
}

#[test]
fn a_link_that_carries_all_delays_nothing() {
    let (world, viewer, _) = watch(113, 50_000);
    let frames = &world.browser(viewer).slot(1).frames;
    let late = frames.shown.windows(2).map(|w| w[1].at.since(w[0].at).as_millis()).max();
    assert!(late.is_some_and(|ms| ms < 100), "{late:?} ms between two frames");
}
