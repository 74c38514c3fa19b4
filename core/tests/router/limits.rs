//! What a publisher may send bounds what is taken of it, whatever its client does.

use millrace::router::command::{Command, TrackLimits};
use millrace::router::id::TrackId;
use millrace::units::{Bitrate, Duration, PictureSize};

use crate::sim::layered::decode;
use crate::sim::network::Link;
use crate::sim::{World, tile};
use millrace::wire::payload::Codec;

const HD: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const ANY: PictureSize = PictureSize::new(u16::MAX, u16::MAX);

fn limit(world: &mut World, track: TrackId, kbps: u64, max_size: PictureSize) {
    let limits = TrackLimits { max_bitrate: Bitrate::from_kbps(kbps), max_size, ..TrackLimits::NONE };
    set(world, track, limits);
}

fn set(world: &mut World, track: TrackId, limits: TrackLimits) {
    world.command(|| Command::LimitTrack { track, limits });
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

#[test]
fn pictures_beyond_their_number_are_left_out_within_a_second() {
    for (shards, codec) in [(1, Codec::Vp8), (2, Codec::Vp8), (1, Codec::Vp9 { profile: 0 })] {
        let mut world = World::new(shards, 132);
        let (_, video) = world.publish_layered(Link::good(), codec);
        let viewer = world.view(Link::good(), 1);
        world.run_ms(3000);
        world.watch(viewer, 1, Some(video), tile(1280, 720));
        world.run_ms(2000);
        // Thirty come, of which every second and every fourth can be sent alone.
        for (max_fps, expected) in [(15, 14..=16), (10, 7..=8), (30, 29..=31), (8, 7..=8), (u8::MAX, 29..=31)]
        {
            set(&mut world, video, TrackLimits { max_fps, ..TrackLimits::NONE });
            world.run_ms(1000);
            let from = world.now;
            world.run_ms(4000);
            let pictures = decode(codec, &world.viewer(viewer).slot(1).packets);
            let got = pictures.iter().filter(|p| p.at >= from).count().div_ceil(4);
            assert!(expected.contains(&got), "{got} pictures a second where {max_fps} may come, {codec:?}");
        }
        assert_eq!(world.viewer(viewer).slot(1).holes(), 0);
        // Where not even the base layer is slow enough, that is counted.
        assert_eq!(world.routers.iter().map(|r| r.counters().too_fast).sum::<u64>(), 0);
        set(&mut world, video, TrackLimits { max_fps: 4, ..TrackLimits::NONE });
        world.run_ms(1000);
        assert!(world.routers.iter().map(|r| r.counters().too_fast).sum::<u64>() > 0);
    }
}

#[test]
fn layers_beyond_their_number_are_dropped() {
    let mut world = World::new(1, 133);
    let (_, _, video) = world.publish(Link::good(), &HD);
    let (_, spatial) = world.publish_layered(Link::good(), Codec::Vp9 { profile: 0 });
    let viewer = world.view(Link::good(), 2);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.watch(viewer, 2, Some(spatial), tile(1280, 720));
    world.run_ms(3000);
    for (max_layers, layer) in [(1, 0), (2, 1), (3, 2), (1, 0)] {
        for track in [video, spatial] {
            set(&mut world, track, TrackLimits { max_layers, ..TrackLimits::NONE });
        }
        world.run_ms(1000);
        let from = world.now;
        world.run_ms(1000);
        assert_eq!(world.viewer(viewer).slot(1).layer(), Some(layer));
        let pictures = decode(Codec::Vp9 { profile: 0 }, &world.viewer(viewer).slot(2).packets);
        let mut got = pictures.iter().filter(|p| p.at >= from);
        assert!(got.all(|p| p.spatial == layer), "{max_layers} layers");
    }
    assert_eq!(world.viewer(viewer).slot(2).holes(), 0);
    world.viewer(viewer).slot(1).assert_continuous();
}

#[test]
fn spatial_layers_that_are_too_large_are_left_out() {
    let mut world = World::new(1, 134);
    let (_, video) = world.publish_layered(Link::good(), Codec::Vp9 { profile: 0 });
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(1000);
    limit(&mut world, video, 9000, PictureSize::new(640, 480));
    world.run_ms(1000);
    let from = world.now;
    world.run_ms(1000);
    let pictures = decode(Codec::Vp9 { profile: 0 }, &world.viewer(viewer).slot(1).packets);
    let of_late: Vec<_> = pictures.iter().filter(|p| p.at >= from).map(|p| p.spatial).collect();
    assert!(of_late.len() > 25 && of_late.iter().all(|spatial| *spatial == 1), "{of_late:?}");
}

#[test]
fn sound_beyond_its_rate_is_dropped_and_nothing_of_a_payload_that_may_not_come() {
    let mut world = World::new(1, 135);
    let (_, audio, video) = world.publish(Link::good(), &HD);
    let viewer = world.view(Link::good(), 1);
    world.run_ms(1000);
    world.watch(viewer, 0, Some(audio), tile(0, 0));
    world.watch(viewer, 1, Some(video), tile(1280, 720));
    world.run_ms(3000);
    let heard = |world: &World| world.viewer(viewer).slot(0).packets.len();
    let seen = |world: &World| world.viewer(viewer).slot(1).packets.len();
    let before = heard(&world);
    world.run_ms(4000);
    let whole = heard(&world) - before;
    assert!(whole >= 190, "{whole} packets of sound in four seconds");
    // Half of what comes, and what is tolerated.
    let bytes = world.viewer(viewer).slot(0).packets.values().next_back().expect("sound").payload.len();
    let max_bitrate = Bitrate::from_bps(bytes as u64 * 8 * 25);
    set(&mut world, audio, TrackLimits { max_bitrate, ..TrackLimits::NONE });
    world.run_ms(1000);
    let before = heard(&world);
    world.run_ms(4000);
    let part = heard(&world) - before;
    assert!(part * 2 >= whole && part * 16 <= whole * 10, "{part} of {whole}");
    set(&mut world, audio, TrackLimits::NONE);

    for track in [audio, video] {
        set(&mut world, track, TrackLimits { payloads: 0, ..TrackLimits::NONE });
    }
    world.run_ms(300);
    let before = (heard(&world), seen(&world));
    world.run_ms(2000);
    assert_eq!((heard(&world), seen(&world)), before);
    for track in [audio, video] {
        set(&mut world, track, TrackLimits::NONE);
    }
    world.run_ms(1500);
    assert!(heard(&world) > before.0 + 40 && seen(&world) > before.1 + 100);
    world.viewer(viewer).slot(1).assert_continuous();
}
