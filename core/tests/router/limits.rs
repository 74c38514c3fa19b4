//! What a publisher may send bounds what is taken of it, whatever its client does.

use millrace::router::command::Command;
use millrace::router::id::TrackId;
use millrace::units::{Bitrate, Duration, PictureSize};

use crate::sim::network::Link;
use crate::sim::{World, tile};

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const ANY: PictureSize = PictureSize::new(u16::MAX, u16::MAX);

fn limit(world: &mut World, track: TrackId, kbps: u64, max_size: PictureSize) {
    world.command(|| Command::LimitTrack { track, max_bitrate: Bitrate::from_kbps(kbps), max_size });
}

#[test]
fn layers_beyond_the_rate_are_dropped_and_come_back_when_it_is_raised() {
    for shards in [1, 2] {
        let mut world = World::new(shards, 130);
        let (publisher, _, video) = world.publish(Link::good(), &HD);
        let viewer = world.view(Link::good(), 1);
        world.run_ms(1000);
        world.watch(viewer, 1, Some(video), tile(1280, 720));
        // The layers are 170, 410 and 1130 kbit/s.
        world.run_ms(3000);
        assert_eq!(world.viewer(viewer).slot(1).layer(), Some(2));
        limit(&mut world, video, 800, ANY);
        world.run_ms(4500);
        assert_eq!(world.viewer(viewer).slot(1).layer(), Some(1));
        assert_eq!(world.publisher(publisher).remb, Some(Bitrate::from_kbps(800)));
        let dropped = world.routers[0].counters().drops.limited;
        assert!(dropped > 100, "{dropped}");
        // It holds as long as the client does not change.
        world.run_ms(10_000);
        assert_eq!(world.viewer(viewer).slot(1).layer(), Some(1));
        limit(&mut world, video, 3000, ANY);
        world.run_ms(4000);
        let slot = world.viewer(viewer).slot(1);
        assert_eq!(slot.layer(), Some(2));
        assert!(slot.longest_freeze() < Duration::from_millis(120), "{:?}", slot.longest_freeze());
        slot.assert_continuous();
    }
}

#[test]
fn pictures_beyond_the_size_are_dropped() {
    let mut world = World::new(1, 131);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(1000);
    limit(&mut world, video, 9000, PictureSize::new(480, 640));
    world.run_ms(500);
    let slot = world.viewer(viewer).slot(1);
    assert_eq!(slot.layer(), Some(1), "640x360 fits 480x640, standing");
    assert!(slot.longest_freeze() < Duration::from_millis(250), "{:?}", slot.longest_freeze());
    slot.assert_continuous();
}
