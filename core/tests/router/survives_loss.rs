//! With loss, jitter, reordering and duplicates on all ways at once, everybody still sees moving pictures.

use millrace::units::{Bitrate, Duration};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

#[test]
fn moving_pictures_over_bad_networks() {
    for seed in 0..4 {
        let mut world = World::new(2, 80 + seed);
        let (_, audio, video) = world.publish(Link::bad(), &HD);
        let viewers = [world.view(Link::bad(), 1), world.view(Link::bad(), 1)];
        world.run_ms(2000);
        for viewer in viewers {
            world.watch(viewer, 0, Some(audio), tile(0, 0));
            world.watch(viewer, 1, Some(video), tile(640, 360));
        }
        world.run_ms(20_000);
        for viewer in viewers {
            let slot = world.viewer(viewer).slot(1);
            assert!(slot.frames.len() > 480, "seed {seed}: {} of 600 frames", slot.frames.len());
            let sound = world.viewer(viewer).slot(0).packets.len();
            assert!(sound > 850, "seed {seed}: {sound} of 1000 packets of sound");
        }
    }
}

#[test]
fn an_outage_is_over_when_it_is_over() {
    let mut world = World::new(1, 85);
    let (publisher, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    for place in [publisher, viewer] {
        world.run_ms(2000);
        world.peers[place].up.cut = true;
        world.peers[place].down.cut = true;
        world.run_ms(5000);
        world.peers[place].up.cut = false;
        world.peers[place].down.cut = false;
        world.run_ms(3000);
        let last = world.viewer(viewer).slot(1).frames.last().expect("decoded");
        assert!(world.now.since(last.at) < Duration::from_millis(100), "{place}");
    }
}

#[test]
fn a_publisher_learns_how_it_does() {
    let mut world = World::new(1, 86);
    let (publisher, _, _) = world.publish(Link::good(), &HD);
    world.publishers.get_mut(&publisher).expect("is there").heeds = false;
    world.peers[publisher].up.loss = 0.1;
    world.run_ms(10_000);
    let seen = world.publisher(publisher);
    assert!(seen.acknowledged > 2500, "{}", seen.acknowledged);
    assert_eq!(seen.remb, Some(Bitrate::from_kbps(2500)).filter(|_| seen.remb.is_some()));
    let worst = seen.reports.iter().map(|r| r.fraction_lost).max();
    assert!(worst.is_some_and(|w| (10..80).contains(&w)), "{worst:?}");
    assert!(seen.reports.iter().any(|r| r.last_sr != 0));
}

#[test]
fn a_narrow_way_does_not_starve_others() {
    let mut world = World::new(1, 87);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let narrow = world.view(Link::narrow(Bitrate::from_kbps(200)), 1);
    let wide = world.view(Link::good(), 1);
    world.run_ms(1000);
    for viewer in [narrow, wide] {
        world.watch(viewer, 1, Some(video), tile(1280, 720));
    }
    world.run_ms(5000);
    world.viewer(wide).slot(1).assert_continuous();
    assert!(world.viewer(wide).slot(1).frames.len() > 140);
}
