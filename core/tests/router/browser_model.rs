//! The models that scenarios are judged with are themselves judged: a link carries what its schedule says, and a browser
//! behind it shows everything that can be shown.

use millrace::units::{Bitrate, Duration, Instant};

use crate::sim::bottleneck::{Bottleneck, Schedule};
use crate::sim::browser::playout::freezes;
use crate::sim::loss::Loss;
use crate::sim::network::{Link, Rng};
use crate::sim::tcp::Download;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn a_link_passes_what_its_schedule_allows_and_drops_the_rest() {
    let zero = Instant::from_millis(5000);
    let mut link = Bottleneck::new(Schedule::steps(zero, &[(0, 1000), (1000, 500), (2000, 2000)]));
    let mut rng = Rng::new(1);
    // 3 Mbit/s are offered for three seconds.
    for n in 0..750 {
        link.carry(zero + Duration::from_millis(4 * n), 0, 1500, &mut rng);
    }
    let end = zero + Duration::from_secs(3);
    let passed = link.log.iter().filter(|p| p.arrives.is_some_and(|at| at <= end + link.delay));
    let bits = passed.map(|p| p.bytes as u64 * 8).sum::<u64>();
    assert!((3_400_000..3_510_000).contains(&bits), "{bits}");
    let longest = link.log.iter().filter_map(|p| p.queued).max().expect("some passed");
    assert!(longest <= Duration::from_millis(300), "{longest:?}");
    assert!(link.log.windows(2).all(|w| w[0].arrives <= w[1].arrives || w[1].arrives.is_none()));
}

#[test]
fn losses_come_in_the_share_and_bursts_that_were_asked_for() {
    let mut rng = Rng::new(2);
    for (mut loss, share) in [(Loss::Random(0.05), 0.05), (Loss::bursts(), 0.05)] {
        let struck: Vec<_> = (0..100_000).map(|_| loss.strikes(&mut rng)).collect();
        let lost = struck.iter().filter(|s| **s).count() as f64 / 100_000.0;
        assert!((lost - share).abs() < 0.01, "{loss:?} {lost}");
        let pairs = struck.windows(2).filter(|w| w[0] && w[1]).count() as f64 / 100_000.0;
        assert_eq!(pairs > share / 2.0, matches!(loss, Loss::Bursts { .. }), "{pairs}");
    }
}

#[test]
fn a_download_fills_a_link() {
    let mut world = World::new(1, 3);
    world.bottlenecks.push(Bottleneck::new(Schedule::constant(Bitrate::from_kbps(2000))));
    world.downloads.push((0, Download::new(99, world.now, Duration::from_millis(20))));
    world.run_ms(30_000);
    let passed = world.bottlenecks[0].log.iter().filter(|p| p.arrives.is_some());
    let rate = Bitrate::of(passed.map(|p| p.bytes as u64).sum(), Duration::from_secs(30));
    assert!(rate > Bitrate::from_kbps(1800), "{rate}");
}

/// A browser that watches one source of 1.5 Mbit/s, and how many frames it lost and how often it froze.
fn watch(seed: u64, change: impl FnOnce(&mut Bottleneck)) -> (u64, usize, usize) {
    let mut world = World::new(1, seed);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let rates = [150, 500, 1500].map(Bitrate::from_kbps);
    world.publishers.get_mut(&publisher).expect("is there").encode_at(&rates);
    let viewer = world.browse(Link::good(), 1);
    world.bottlenecks.push(Bottleneck::new(Schedule::constant(Bitrate::from_kbps(10_000))));
    world.narrow(viewer, 0);
    change(&mut world.bottlenecks[0]);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(20_000);
    let frames = &world.browser(viewer).slot(1).frames;
    let shown: Vec<_> = frames.shown.iter().map(|f| f.at).collect();
    assert!(shown.windows(2).all(|w| w[0] < w[1]));
    (frames.lost(world.now - Duration::from_secs(1)), freezes(&shown).len(), shown.len())
}

#[test]
fn a_browser_behind_a_good_link_shows_every_frame() {
    let (lost, freezes, shown) = watch(4, |_| {});
    assert_eq!((lost, freezes), (0, 0));
    assert!(shown > 590, "{shown}");
}

#[test]
fn a_browser_asks_for_what_is_lost() {
    let (lost, _, shown) = watch(5, |link| link.loss = Loss::Random(0.02));
    assert!(lost <= 20 && shown > 575, "{lost} {shown}");
}

#[test]
fn jitter_is_waited_for() {
    let (lost, freezes, _) = watch(6, |link| link.jitter = Duration::from_millis(50));
    assert_eq!((lost, freezes), (0, 0));
}

#[test]
fn an_outage_shows_as_a_freeze() {
    let (lost, freezes, shown) = watch(7, |link| {
        link.schedule = Schedule::steps(Instant::ZERO, &[(0, 10_000), (8000, 10), (9500, 10_000)]);
    });
    assert!((1..4).contains(&freezes) && lost > 10 && shown > 300, "{lost} {freezes} {shown}");
}
