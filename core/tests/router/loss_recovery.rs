//! Who loses packets still sees whole pictures in time, and what it costs is bounded.

use millrace::units::{Duration, Instant};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const FRAME: Duration = Duration::from_micros(33_333);

/// So far one way, losing this share either way.
fn link(delay_ms: u64, loss: f64) -> Link {
    let mut link = Link::lossy(loss);
    link.delay = Duration::from_millis(delay_ms);
    link
}

/// The share, in percent, of the frames of a minute that were whole at the viewer within 250 ms of their capture.
fn in_time(seed: u64, publisher: Link, viewer: Link) -> f64 {
    let mut world = World::new(1, seed);
    let began = world.now;
    let (_, _, video) = world.publish(publisher, &HD);
    let viewer = world.browse(viewer, 1);
    world.run_ms(2000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(3000);
    let from = world.now;
    world.run_ms(60_000);
    let captured = |number: u64| began + FRAME * (number as u32 - 1);
    let until = world.now - Duration::from_millis(250);
    let frames = &world.browser(viewer).slot(1).frames;
    let counted = |at: Instant| from <= at && at < until;
    let timely = frames.complete.iter().filter(|(number, at)| {
        let captured = captured(*number);
        counted(captured) && at.since(captured) <= Duration::from_millis(250)
    });
    let all = (1..).map(captured).skip_while(|at| *at < from).take_while(|at| *at < until);
    timely.count() as f64 * 100.0 / all.count() as f64
}

/// The same over several worlds.
fn mean(seeds: std::ops::Range<u64>, world: impl Fn(u64) -> f64) -> f64 {
    let count = seeds.end - seeds.start;
    seeds.map(world).sum::<f64>() / count as f64
}

#[test]
fn losses_behind_us_are_mended_in_time() {
    // What viewer and router say of them is lost as often as the media. That a second try comes in time rests on extended
    // reports, which tell the viewer its round trip.
    let share = mean(90..100, |seed| in_time(seed, link(1, 0.0), link(40, 0.05)));
    assert!(share >= 99.5, "{share}");
}

#[test]
fn losses_before_us_are_mended_in_time() {
    let share = mean(80..88, |seed| in_time(seed, link(40, 0.05), link(1, 0.0)));
    assert!(share >= 99.5, "{share}");
}
